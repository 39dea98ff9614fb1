//! What a terminal shows while pipelines run: a line for each step that runs, and one
//! for all of them; above, what has ended.
//!
//! Lines are printed at most once a frame, all that have come up to then: a thousand
//! steps a second must not wait for a terminal.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use wharf_model::pipeline_run::{StepOf, StepStatus};
use wharf_runner::pipeline::Watch;

use super::err;
use super::progress::{SPINNER, draw, style};

/// Most steps that have a line of their own.
const MOST_LINES: usize = 16;

/// The lines of all runs.
#[derive(Debug)]
pub(crate) struct Board {
    lines: MultiProgress,
    total: ProgressBar,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<(String, StepOf), Running>,
    /// What is to be printed above the lines.
    pending: Vec<String>,
    all: u64,
    ended: u64,
    cached: u64,
    failed: u64,
}

#[derive(Debug)]
struct Running {
    watch: Watch,
    name: String,
    /// Where there is room for it.
    line: Option<ProgressBar>,
}

impl Board {
    pub(crate) fn new() -> Self {
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let total = lines.add(ProgressBar::no_length());
        total.set_style(style("{spinner} {msg}"));
        Self {
            lines,
            total,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many more steps, or items, are to end.
    pub(crate) fn more(&self, steps: u64) {
        self.state().all += steps;
    }

    /// A step runs.
    pub(crate) fn started(&self, partition: &str, of: &StepOf, attempt: u32, watch: &Watch) {
        let mut name = format!("{partition}{of}");
        if attempt > 1 {
            name += &format!(" (attempt {attempt})");
        }
        let running = Running {
            watch: watch.clone(),
            name,
            line: None,
        };
        let key = (partition.to_owned(), of.clone());
        let before = self.state().running.insert(key, running);
        self.remove(before);
    }

    /// A step runs no longer, since it is tried again later.
    pub(crate) fn stopped(&self, partition: &str, of: &StepOf) {
        let key = (partition.to_owned(), of.clone());
        let before = self.state().running.remove(&key);
        self.remove(before);
    }

    /// A step has ended.
    pub(crate) fn ended(&self, partition: &str, of: &StepOf, status: StepStatus) {
        self.stopped(partition, of);
        let mut state = self.state();
        state.ended += 1;
        state.cached += u64::from(status == StepStatus::Cached);
        state.failed += u64::from(status == StepStatus::Failed);
    }

    fn remove(&self, running: Option<Running>) {
        if let Some(line) = running.and_then(|running| running.line) {
            line.finish_and_clear();
            self.lines.remove(&line);
        }
    }

    /// Prints a line above the others, with the next frame.
    pub(crate) fn print(&self, line: String) {
        self.state().pending.push(line);
    }

    /// Draws the lines as things are now.
    pub(crate) fn draw(&self) {
        self.print_pending();
        let mut state = self.state();
        state.give_lines(|name| {
            let line = ProgressBar::no_length().with_style(style(SPINNER));
            let line = self.lines.insert_before(&self.total, line);
            line.set_prefix(name.to_owned());
            line
        });
        for running in state.running.values() {
            if let Some(line) = &running.line {
                draw(line, &running.watch.progress, &running.watch.counters);
            }
        }
        self.total.set_message(state.summary());
        self.total.tick();
    }

    fn print_pending(&self) {
        let pending = std::mem::take(&mut self.state().pending);
        if !pending.is_empty() {
            self.lines.suspend(|| err(&pending.join("\n")));
        }
    }

    /// Prints what is left, and takes the lines away.
    pub(crate) fn clear(&self) {
        self.print_pending();
        self.total.finish_and_clear();
        // A failed write to a terminal leaves some lines, and is no failure.
        let _ = self.lines.clear();
    }
}

impl State {
    /// Gives lines to steps that have none while there are fewer than fit. What has a
    /// line keeps it until it ends: lines that jump cannot be read.
    fn give_lines(&mut self, new: impl Fn(&str) -> ProgressBar) {
        let shown = self.running.values().filter(|it| it.line.is_some()).count();
        let without = self.running.values_mut().filter(|it| it.line.is_none());
        for running in without.take(MOST_LINES.saturating_sub(shown)) {
            running.line = Some(new(&running.name));
        }
    }

    fn summary(&self) -> String {
        let mut summary = format!("{} of {} steps", self.ended, self.all);
        let counts = [(self.cached, "cached"), (self.failed, "failed")];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            summary += &format!(", {count} {what}");
        }
        let hidden = self.running.len().saturating_sub(MOST_LINES);
        if hidden > 0 {
            summary += &format!(", {hidden} more are running");
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(state: &mut State, name: &str) {
        let running = Running {
            watch: Watch::default(),
            name: name.to_owned(),
            line: None,
        };
        let of = StepOf {
            step: name.to_owned(),
            item: None,
        };
        state.running.insert((String::new(), of), running);
    }

    fn shown(state: &mut State) -> Vec<String> {
        state.give_lines(|_| ProgressBar::hidden());
        let shown = state.running.values().filter(|it| it.line.is_some());
        shown.map(|it| it.name.clone()).collect()
    }

    #[test]
    fn a_step_keeps_its_line_and_no_more_have_one_than_fit() {
        let mut state = State::default();
        let first: Vec<_> = (0..MOST_LINES).map(|at| format!("n{at:02}")).collect();
        first.iter().for_each(|name| start(&mut state, name));
        assert_eq!(shown(&mut state), first);
        // These come before the others by name.
        start(&mut state, "a");
        start(&mut state, "b");
        assert_eq!(shown(&mut state), first);
        state.running.pop_last();
        let now = shown(&mut state);
        assert_eq!(now.len(), MOST_LINES);
        assert_eq!(now[..2], ["a", "n00"]);
    }
}
