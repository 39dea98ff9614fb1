//! What `wharf pipeline run` shows.

use std::path::Path;

use tokio::sync::mpsc::UnboundedReceiver;
use wharf_model::Fault;
use wharf_model::pipeline_run::{Ended, StepEnd, StepStatus};
use wharf_runner::pipeline::PipelineEvent;

use super::{bytes, duration, err, events, inert, out};

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// In plain lines.
    Lines,
    /// As JSON.
    Json,
    /// Errors only.
    Quiet,
}

impl Style {
    pub(crate) fn choose(json: bool, quiet: bool) -> Self {
        match (json, quiet) {
            (true, _) => Self::Json,
            (_, true) => Self::Quiet,
            (false, false) => Self::Lines,
        }
    }
}

/// Shows runs of a pipeline.
#[derive(Debug)]
pub(crate) struct Reporter {
    style: Style,
}

/// Finished steps of one name that are told one by one; of the others, the summary
/// tells.
const TOLD_EACH: u64 = 20;

impl Reporter {
    pub(crate) fn start(style: Style) -> Self {
        Self { style }
    }

    pub(crate) fn compiling(&self, path: &Path) {
        if self.style == Style::Lines {
            err(&format!(
                "compiling {}: later runs need not",
                path.display()
            ));
        }
    }

    /// Shows the events of one run, until it ends.
    pub(crate) async fn show(
        &self,
        mut events: UnboundedReceiver<PipelineEvent>,
    ) -> Result<(), Fault> {
        let mut partition = String::new();
        while let Some(event) = events.recv().await {
            if let PipelineEvent::Started {
                partition: Some(name),
                ..
            } = &event
            {
                partition = format!("{name} ");
            }
            match self.style {
                Style::Json => {
                    let json = serde_json::to_string(&event).map_err(Fault::internal)?;
                    err(&inert(json));
                }
                Style::Lines => line(&event, &partition),
                Style::Quiet => failure(&event, &partition),
            }
        }
        Ok(())
    }

    /// Shows how a run ended.
    ///
    /// # Errors
    /// Where standard output cannot be written.
    pub(crate) fn ended(&self, ended: &Ended) -> Result<(), Fault> {
        match self.style {
            Style::Json => {
                let json = serde_json::to_string(ended).map_err(Fault::internal)?;
                out(&(inert(json) + "\n"))
            }
            Style::Lines => {
                summary(ended);
                Ok(())
            }
            Style::Quiet => Ok(()),
        }
    }
}

fn line(event: &PipelineEvent, partition: &str) {
    match event {
        PipelineEvent::Step { of, said } => {
            if let Some(line) = events::line(said) {
                err(&format!("{partition}{} | {line}", of));
            }
        }
        PipelineEvent::Retrying {
            of,
            message,
            after_ms,
        } => {
            let after = duration(after_ms * 1000);
            err(&format!("{partition}{}: {message}; again in {after}", of));
        }
        PipelineEvent::StepEnded { end, output_bytes } => {
            if end.item.is_none_or(|item| item < TOLD_EACH) || !end.status.is_good() {
                err(&format!("{partition}{}", step_line(end, *output_bytes)));
            }
        }
        PipelineEvent::Published {
            step,
            artifact,
            tag,
        } => {
            let tag = tag.as_ref().map(|tag| format!(", tagged {tag}"));
            err(&format!(
                "{partition}{step}: published {artifact}{}",
                tag.unwrap_or_default()
            ));
        }
        PipelineEvent::Started { .. }
        | PipelineEvent::Items { .. }
        | PipelineEvent::StepStarted { .. }
        | PipelineEvent::Ended { .. } => {}
    }
}

fn failure(event: &PipelineEvent, partition: &str) {
    if let PipelineEvent::StepEnded { end, .. } = event
        && end.status == StepStatus::Failed
    {
        err(&format!("{partition}{}", step_line(end, 0)));
    }
}

fn step_line(end: &StepEnd, output_bytes: u64) -> String {
    let message = end.message.as_ref().map(|message| format!(": {message}"));
    let message = message.unwrap_or_default();
    let name = end.of();
    match end.status {
        StepStatus::Succeeded => {
            let made = match output_bytes {
                0 => String::new(),
                made => format!(", {}", bytes(made)),
            };
            format!("{name}  {}  {}{made}", end.status, duration(end.took_us))
        }
        StepStatus::Failed if end.attempts > 1 => {
            format!("{name}  failed after {} attempts{message}", end.attempts)
        }
        status => format!("{name}  {status}{message}"),
    }
}

fn summary(ended: &Ended) {
    let took = duration(ended.took_us());
    err(&format!(
        "{} in {took}: {}",
        ended.outcome.word(),
        counts(ended)
    ));
    err(&format!("  run  {}", ended.id));
}

/// How many steps ended how, for people.
pub(crate) fn counts(ended: &Ended) -> String {
    let counts = ended.counts().into_iter();
    let counts = counts.map(|(status, count)| format!("{count} {status}"));
    counts.collect::<Vec<_>>().join(", ")
}
