//! A bar for what is copied or read, on a terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const KNOWN: &str = "{spinner} {prefix}  [{bar:20}] {binary_bytes}/{binary_total_bytes}  \
                     {binary_bytes_per_sec}  {eta} left";
const UNKNOWN: &str = "{spinner} {prefix}  {binary_bytes}  {binary_bytes_per_sec}";

/// Shows how many bytes are done; gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Meter(Option<ProgressBar>);

impl Meter {
    /// Starts to show; with a total of 0, none is known.
    pub(crate) fn start(name: &str, total: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(
            (total > 0).then_some(total),
            ProgressDrawTarget::stderr(),
        );
        let template = if total > 0 { KNOWN } else { UNKNOWN };
        let style = ProgressStyle::with_template(template);
        bar.set_style(
            style
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> "),
        );
        bar.set_prefix(name.to_owned());
        Self(Some(bar))
    }

    pub(crate) fn add(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for template in [KNOWN, UNKNOWN] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
