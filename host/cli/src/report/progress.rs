//! How far a step has come, on one line of a terminal.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use wharf_runner::IoCounters;
use wharf_sandbox::Progress;

/// How often lines are drawn.
pub(crate) const FRAME: Duration = Duration::from_millis(100);

/// How often programs are told how far a step has come.
pub(crate) const TOLD: Duration = Duration::from_secs(1);

/// How a line looks: where nothing is known, in bytes, and in other units.
pub(crate) const SPINNER: &str = "{spinner} {prefix}  {wide_msg}";
const BYTES: &str = "{spinner} {prefix}  [{bar:20}] {binary_bytes}/{binary_total_bytes}  \
                     {binary_bytes_per_sec}  {eta} left {wide_msg}";
const COUNT: &str = "{spinner} {prefix}  [{bar:20}] {human_pos}/{human_len} {msg}  {eta} left";

/// A test parses all templates.
pub(crate) fn style(template: &str) -> ProgressStyle {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

/// What a step says of its progress.
pub(crate) fn said(progress: &Mutex<Progress>) -> Progress {
    let said = progress.lock();
    said.unwrap_or_else(PoisonError::into_inner).clone()
}

/// Draws what a step says of its progress; where it says nothing, how much of its
/// inputs it has read.
pub(crate) fn draw(bar: &ProgressBar, progress: &Mutex<Progress>, counters: &IoCounters) {
    let said = said(progress);
    let (read, to_read) = (
        counters.read.load(Ordering::Relaxed),
        counters.to_read.load(Ordering::Relaxed),
    );
    match said.total {
        Some(total) if total > 0 => {
            let in_bytes = said.unit == "bytes" || said.unit == "B";
            bar.set_style(style(if in_bytes { BYTES } else { COUNT }));
            bar.set_length(total);
            bar.set_position(said.done.min(total));
            bar.set_message(if in_bytes { String::new() } else { said.unit });
        }
        _ if to_read > 0 && read > 0 => {
            bar.set_style(style(BYTES));
            bar.set_length(to_read);
            bar.set_position(read.min(to_read));
        }
        _ => {}
    }
    bar.tick();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for template in [SPINNER, BYTES, COUNT] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
