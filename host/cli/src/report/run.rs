//! What `wharf run` shows: events as they come, a bar while the step works, a
//! summary at the end.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex};

use indicatif::{ProgressBar, ProgressDrawTarget};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use wharf_model::event::{Event, Stream};
use wharf_model::record::Artifact;
use wharf_model::{Fault, Outcome, Record, Request};
use wharf_runner::{IoCounters, Surroundings};
use wharf_sandbox::Progress;
use wharf_store::Store;

use super::progress::{FRAME, SPINNER, TOLD, draw, said, style};
use super::{bytes, duration, err, events, file_name, inert, out, painted, plain};

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Style {
    /// With a bar, for a terminal.
    Terminal,
    /// In plain lines.
    Lines,
    /// As JSON.
    Json,
    /// Results and errors only.
    Quiet,
}

impl Style {
    pub(crate) fn choose(json: bool, quiet: bool) -> Self {
        match (json, quiet, std::io::stderr().is_terminal()) {
            (true, ..) => Self::Json,
            (_, true, _) => Self::Quiet,
            (_, _, true) => Self::Terminal,
            (_, _, false) => Self::Lines,
        }
    }
}

/// Shows a run while it goes on.
pub(crate) struct Reporter {
    style: Style,
    shown: JoinHandle<Result<(), Fault>>,
}

impl Reporter {
    /// Starts to show a run. Must be called on the runtime.
    pub(crate) fn start(
        style: Style,
        request: &Request,
        surroundings: &Surroundings,
        events: UnboundedReceiver<Event>,
    ) -> Self {
        let view = View {
            style,
            name: plain(&request.step.to_string()).into_owned(),
            is_program: false,
            progress: surroundings.progress.clone(),
            counters: surroundings.counters.clone(),
            told: Progress::default(),
            bar: (style == Style::Terminal).then(bar),
        };
        Self {
            style,
            shown: tokio::spawn(view.show(events)),
        }
    }

    /// Shows how the run ended.
    ///
    /// # Errors
    /// Where standard output cannot be written.
    pub(crate) async fn finish(
        self,
        record: Option<&Record>,
        store: Option<&Store>,
    ) -> Result<(), Fault> {
        // The events end when the run does.
        let shown = self.shown.await.map_err(Fault::internal)?;
        let Some(record) = record else { return shown };
        match self.style {
            Style::Json => {
                let json = serde_json::to_string(record).map_err(Fault::internal)?;
                out(&(inert(json) + "\n"))?;
            }
            Style::Quiet => {
                if !record.outcome.is_success() {
                    failure(record);
                }
            }
            Style::Terminal | Style::Lines => summary(record, store, self.style == Style::Terminal),
        }
        if let (Outcome::Succeeded { results }, false) =
            (&record.outcome, self.style == Style::Json)
            && !results.is_null()
        {
            out(&inert(format!("{results:#}\n")))?;
        }
        shown
    }
}

/// The view on a running step.
struct View {
    style: Style,
    name: String,
    is_program: bool,
    progress: Arc<Mutex<Progress>>,
    counters: Arc<IoCounters>,
    /// The progress that programs were told.
    told: Progress,
    bar: Option<ProgressBar>,
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style(SPINNER));
    bar
}

impl View {
    async fn show(mut self, mut events: UnboundedReceiver<Event>) -> Result<(), Fault> {
        let mut shown = Ok(());
        let mut frames = tokio::time::interval(FRAME);
        let mut tellings = tokio::time::interval(TOLD);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => {
                        if let Event::Started { program } = event {
                            self.is_program = program;
                        }
                        if event == Event::Publishing {
                            shown = shown.and(self.tell_progress());
                        }
                        // What comes after a failure may still be shown.
                        shown = shown.and(self.event(&event));
                    }
                    None => break,
                },
                _ = frames.tick() => {
                    if let Some(bar) = &self.bar {
                        draw(bar, &self.progress, &self.counters);
                    }
                }
                _ = tellings.tick(), if self.style == Style::Json => {
                    shown = shown.and(self.tell_progress());
                }
            }
        }
        shown = shown.and(self.tell_progress());
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        shown
    }

    fn event(&self, event: &Event) -> Result<(), Fault> {
        match (self.style, event) {
            (Style::Json, event) => {
                err(&inert(
                    serde_json::to_string(event).map_err(Fault::internal)?,
                ));
            }
            (Style::Quiet, _) => {}
            (_, Event::Compiling { kept: true }) => self.phase("compiling: later runs need not"),
            (_, Event::Compiling { kept: false }) => self.phase("compiling"),
            (_, Event::Started { .. }) => self.phase_on_terminal("running"),
            (_, Event::Publishing) => self.phase_on_terminal("publishing"),
            (
                _,
                Event::Print {
                    stream: Stream::Stdout,
                    line,
                },
            ) if self.is_program => return self.stdout(line),
            (_, event) => {
                // Marked, so that no step can pass its words off as Wharf's.
                if let Some(line) = events::line(event) {
                    self.line(&format!("| {line}"));
                }
            }
        }
        Ok(())
    }

    /// Tells programs how far the step has come, where it has come further.
    fn tell_progress(&mut self) -> Result<(), Fault> {
        if self.style != Style::Json {
            return Ok(());
        }
        let said = said(&self.progress);
        if said == self.told {
            return Ok(());
        }
        self.told = said.clone();
        let Progress { done, total, unit } = said;
        self.event(&Event::Progress { done, total, unit })
    }

    fn phase(&self, text: &str) {
        match &self.bar {
            Some(_) => self.phase_on_terminal(text),
            None => err(&format!("{}: {text}", self.name)),
        }
    }

    fn phase_on_terminal(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(file_name(&self.name));
            bar.set_message(text.to_owned());
        }
    }

    fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| err(line)),
            None => err(line),
        }
    }

    fn stdout(&self, line: &str) -> Result<(), Fault> {
        let line = format!("{line}\n");
        match &self.bar {
            Some(bar) => bar.suspend(|| out(&line)),
            None => out(&line),
        }
    }
}

fn summary(record: &Record, store: Option<&Store>, colour: bool) {
    let took = duration(record.timings.took_us());
    match &record.outcome {
        Outcome::Succeeded { .. } => {
            err(&format!(
                "{} {} in {took}",
                painted("succeeded", "1;32", colour),
                plain(&record.step.reference)
            ));
            table(&record.outputs);
        }
        _ => failure(record),
    }
    if store.is_some() {
        err(&format!("  record  wharf show {}", record.id));
    }
}

fn failure(record: &Record) {
    let colour = std::io::stderr().is_terminal();
    let outcome = painted(&plain(&record.outcome.to_string()), "1;31", colour);
    err(&format!("{}: {outcome}", plain(&record.step.reference)));
    match &record.outcome {
        Outcome::Trapped { backtrace, .. } => {
            for frame in backtrace {
                err(&format!("    in {}", plain(frame)));
            }
            err("  hint: the step has a bug, which its author can find by these functions");
        }
        Outcome::LimitExceeded { limit, .. } => err(&format!("  hint: {}", limit.hint())),
        Outcome::Succeeded { .. } | Outcome::Failed { .. } | Outcome::Cancelled { .. } => {}
    }
}

fn table(outputs: &[Artifact]) {
    let shown = |output: &Artifact| {
        let digest = output.digest.map(|digest| digest.short());
        (
            plain(&output.name).into_owned(),
            plain(&output.path).into_owned(),
            bytes(output.size),
            digest.unwrap_or_default(),
        )
    };
    let shown: Vec<_> = outputs.iter().map(shown).collect();
    let widest = |widths: &mut dyn Iterator<Item = usize>| widths.max().unwrap_or(0);
    let names = widest(&mut shown.iter().map(|(name, ..)| name.chars().count()));
    let paths = widest(&mut shown.iter().map(|(_, path, ..)| path.chars().count()));
    for (name, path, size, digest) in shown {
        err(&format!(
            "  {name:names$}  {path:paths$}  {size:>9}  sha256:{digest}…"
        ));
    }
}
