//! What `wharf pipeline run` shows.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;
use tokio::sync::mpsc::UnboundedReceiver;
use wharf_model::Fault;
use wharf_model::event::Event;
use wharf_model::pipeline_run::{Ended, PipelineOutcome, StepEnd, StepOf, StepStatus};
use wharf_model::record::RunId;
use wharf_runner::pipeline::{PipelineEvent, StayingTag, Watch};
use wharf_sandbox::Progress;

use super::board::Board;
use super::progress::{FRAME, TOLD, said};
use super::run::Style;
use super::{bytes, duration, err, events, inert, out, painted, plain};

/// Finished steps of one name that are told one by one; of the others, the summary
/// tells.
const TOLD_EACH: u64 = 20;

/// Shows runs of a pipeline.
#[derive(Debug)]
pub(crate) struct Reporter {
    style: Style,
    /// On a terminal.
    board: Option<Board>,
    /// What `wharf show` has to be told so that it finds the store.
    again: String,
}

/// What was told of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// The partition that the run is for.
    partition: Option<String>,
    /// The run.
    run: Option<RunId>,
    /// Bytes of outputs that steps wrote.
    written: u64,
}

impl Told {
    /// What goes before each line.
    fn prefix(&self) -> String {
        let partition = self.partition.as_ref();
        partition.map_or_else(String::new, |name| format!("{name} "))
    }
}

impl Reporter {
    pub(crate) fn start(style: Style, again: String) -> Self {
        let board = (style == Style::Terminal).then(Board::new);
        Self {
            style,
            board,
            again,
        }
    }

    pub(crate) fn compiling(&self, path: &Path) {
        if matches!(self.style, Style::Lines | Style::Terminal) {
            let path = path.display().to_string();
            self.say(format!("compiling {}: later runs need not", plain(&path)));
        }
    }

    fn say(&self, line: String) {
        match &self.board {
            Some(board) => board.print(line),
            None => err(&line),
        }
    }

    /// Shows the events of one run, until it ends.
    pub(crate) async fn show(
        &self,
        mut events: UnboundedReceiver<PipelineEvent>,
    ) -> Result<Told, Fault> {
        let mut told = Told::default();
        let mut frames = tokio::time::interval(FRAME);
        let mut tellings = tokio::time::interval(TOLD);
        let mut running = Running::new();
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                _ = frames.tick(), if self.board.is_some() => {
                    self.board.iter().for_each(Board::draw);
                    continue;
                }
                _ = tellings.tick(), if self.style == Style::Json => {
                    tell_progress(&mut running, told.run.as_ref())?;
                    continue;
                }
            };
            let Some(event) = event else { break };
            match &event {
                PipelineEvent::Started { partition, run, .. } => {
                    told.partition.clone_from(partition);
                    told.run = Some(run.clone());
                }
                PipelineEvent::StepEnded { end, output_bytes }
                    if end.status == StepStatus::Succeeded =>
                {
                    told.written += output_bytes;
                }
                _ => {}
            }
            if let Some(board) = &self.board {
                follow(board, &event, &told.prefix());
            }
            match self.style {
                Style::Json => {
                    tell(&event, told.run.as_ref())?;
                    keep_running(&mut running, &event);
                }
                Style::Lines | Style::Terminal => {
                    if let Some(line) = line(&event, self.board.is_some()) {
                        self.say(format!("{}{line}", told.prefix()));
                    }
                }
                Style::Quiet => failure(&event, &told.prefix()),
            }
        }
        Ok(told)
    }

    /// Shows how a run ended.
    ///
    /// # Errors
    /// Where standard output cannot be written.
    pub(crate) fn ended(&self, ended: &Ended, told: Told) -> Result<(), Fault> {
        match self.style {
            Style::Json => {
                let mut json = serde_json::to_string(ended).map_err(Fault::internal)?;
                if let Some(partition) = &told.partition {
                    add_member(&mut json, "partition", partition);
                }
                out(&(inert(json) + "\n"))
            }
            Style::Lines | Style::Terminal => {
                self.say(summary(ended, &told, self.board.is_some()));
                self.say(format!("  run  wharf show {}{}", ended.id, self.again));
                Ok(())
            }
            Style::Quiet => Ok(()),
        }
    }
}

impl Reporter {
    /// Shows how all runs of a range of partitions ended.
    pub(crate) fn all_ended(&self, outcomes: &[PipelineOutcome]) {
        if outcomes.len() < 2 || !matches!(self.style, Style::Lines | Style::Terminal) {
            return;
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for outcome in outcomes {
            *counts.entry(outcome.word()).or_default() += 1;
        }
        let counts = counts
            .iter()
            .map(|(outcome, count)| format!("{count} {outcome}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        self.say(format!("{} partitions: {counts}", outcomes.len()));
    }
}

impl Drop for Reporter {
    /// Whatever comes after this, such as an error, finds the terminal as it was.
    fn drop(&mut self) {
        self.board.iter().for_each(Board::clear);
    }
}

/// Steps that run, with what was told of their progress.
type Running = BTreeMap<StepOf, (Watch, Progress)>;

fn keep_running(running: &mut Running, event: &PipelineEvent) {
    match event {
        PipelineEvent::StepStarted { of, watch, .. } => {
            running.insert(of.clone(), (watch.clone(), Progress::default()));
        }
        PipelineEvent::Retrying { of, .. } => drop(running.remove(of)),
        PipelineEvent::StepEnded { end, .. } => drop(running.remove(&end.of())),
        _ => {}
    }
}

/// Tells programs how far the steps have come that have come further.
fn tell_progress(running: &mut Running, run: Option<&RunId>) -> Result<(), Fault> {
    for (of, (watch, told)) in running {
        let said = said(&watch.progress);
        if said == *told {
            continue;
        }
        told.clone_from(&said);
        let Progress { done, total, unit } = said;
        let event = PipelineEvent::Step {
            of: of.clone(),
            said: Event::Progress { done, total, unit },
        };
        tell(&event, run)?;
    }
    Ok(())
}

/// Tells an event to programs, with the run that it belongs to: those of several
/// partitions come mixed.
fn tell(event: &PipelineEvent, run: Option<&RunId>) -> Result<(), Fault> {
    let mut json = serde_json::to_string(event).map_err(Fault::internal)?;
    if let (Some(run), false) = (run, matches!(event, PipelineEvent::Started { .. })) {
        add_member(&mut json, "run", run.as_str());
    }
    err(&inert(json));
    Ok(())
}

/// Adds a member at the end of an object, and leaves the others where they are.
fn add_member(object: &mut String, name: &str, text: &str) {
    if object.pop() == Some('}') {
        let (name, text) = (Json::from(name), Json::from(text));
        *object += &format!(",{name}:{text}}}");
    }
}

/// Keeps the lines of a terminal up to what happens.
fn follow(board: &Board, event: &PipelineEvent, partition: &str) {
    match event {
        PipelineEvent::Started { steps, .. } => board.more(*steps),
        // The step itself was counted.
        PipelineEvent::Items { items, .. } => board.more(items.saturating_sub(1)),
        PipelineEvent::StepStarted { of, attempt, watch } => {
            board.started(partition, of, *attempt, watch);
        }
        PipelineEvent::Retrying { of, .. } => board.stopped(partition, of),
        PipelineEvent::StepEnded { end, .. } => board.ended(partition, &end.of(), end.status),
        PipelineEvent::Step { .. }
        | PipelineEvent::Published { .. }
        | PipelineEvent::Ended { .. } => {}
    }
}

/// The line that tells of an event, where one does.
fn line(event: &PipelineEvent, terminal: bool) -> Option<String> {
    match event {
        // On a terminal they would hide all else; the report plots them.
        PipelineEvent::Step {
            said: Event::Metric { .. },
            ..
        } if terminal => None,
        PipelineEvent::Step { of, said } => events::line(said).map(|line| format!("{of} | {line}")),
        PipelineEvent::Retrying {
            of,
            message,
            after_ms,
        } => {
            let after = duration(after_ms * 1000);
            Some(format!("{of}: {}; again in {after}", plain(message)))
        }
        PipelineEvent::StepEnded { end, output_bytes } => {
            let is_told = end.item.is_none_or(|item| item < TOLD_EACH) || !end.status.is_good();
            is_told.then(|| step_line(end, *output_bytes, terminal))
        }
        PipelineEvent::Published {
            step,
            artifact,
            is_new,
            tag,
            stays,
        } => {
            let published = match (is_new, tag) {
                (true, None) => format!("published {artifact}"),
                (true, Some(tag)) => format!("published {artifact}, tagged {tag}"),
                (false, None) => format!("{artifact} was published before"),
                (false, Some(tag)) => format!("{artifact} is tagged {tag}"),
            };
            let stays = stays.as_ref().map(|stays| {
                let StayingTag {
                    tag,
                    artifact,
                    partition,
                } = stays;
                format!("; {tag} stays at {artifact}, of the later partition {partition}")
            });
            Some(format!("{step}: {published}{}", stays.unwrap_or_default()))
        }
        PipelineEvent::Started { .. }
        | PipelineEvent::Items { .. }
        | PipelineEvent::StepStarted { .. }
        | PipelineEvent::Ended { .. } => None,
    }
}

fn failure(event: &PipelineEvent, partition: &str) {
    if let PipelineEvent::StepEnded { end, .. } = event
        && end.status == StepStatus::Failed
    {
        err(&format!("{partition}{}", step_line(end, 0, false)));
    }
}

fn step_line(end: &StepEnd, output_bytes: u64, colour: bool) -> String {
    let message = end.message.as_ref();
    let message = message.map_or_else(String::new, |message| format!(": {}", plain(message)));
    let name = end.of();
    let status = painted(&end.status.to_string(), code(end.status), colour);
    match end.status {
        StepStatus::Succeeded => {
            let made = match output_bytes {
                0 => String::new(),
                made => format!(", {}", bytes(made)),
            };
            format!("{name}  {status}  {}{made}", duration(end.took_us))
        }
        StepStatus::Failed if end.attempts > 1 => {
            format!("{name}  {status} after {} attempts{message}", end.attempts)
        }
        _ => format!("{name}  {status}{message}"),
    }
}

/// The colour of a status, beside the word.
const fn code(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Succeeded => "32",
        StepStatus::Cached => "36",
        StepStatus::Skipped | StepStatus::NotRun => "2",
        StepStatus::Failed => "1;31",
        StepStatus::Cancelled => "33",
    }
}

fn summary(ended: &Ended, told: &Told, colour: bool) -> String {
    let outcome = match ended.outcome {
        PipelineOutcome::Succeeded => "1;32",
        PipelineOutcome::Failed { .. }
        | PipelineOutcome::Cancelled { .. }
        | PipelineOutcome::Unfinished => "1;31",
    };
    let outcome = painted(ended.outcome.word(), outcome, colour);
    let written = match told.written {
        0 => String::new(),
        written => format!("; {} written", bytes(written)),
    };
    let (took, counts) = (duration(ended.took_us()), counts(ended));
    let prefix = told.prefix();
    format!("{prefix}{outcome} in {took}: {counts}{written}")
}

/// How many steps ended how, for people.
pub(crate) fn counts(ended: &Ended) -> String {
    let counts = ended.counts().into_iter();
    let counts = counts.map(|(status, count)| format!("{count} {status}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    match counts.is_empty() {
        true => "no steps".to_owned(),
        false => counts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(message: &str) -> StepEnd {
        StepEnd {
            step: "a".to_owned(),
            item: None,
            status: StepStatus::Failed,
            commit: None,
            attempt: None,
            attempts: 1,
            began_us: 0,
            took_us: 0,
            message: Some(message.to_owned()),
        }
    }

    #[test]
    fn a_run_of_nothing_says_so() {
        let mut ended = Ended {
            format: String::new(),
            id: "019b-1".parse().unwrap(),
            outcome: PipelineOutcome::Succeeded,
            ended: jiff::Timestamp::UNIX_EPOCH,
            steps: Vec::new(),
        };
        assert_eq!(counts(&ended), "no steps");
        ended.steps = vec![failed("no"), failed("no")];
        assert_eq!(counts(&ended), "2 failed");
    }

    #[test]
    fn no_message_acts_or_forges_a_line() {
        let end = failed("no `q\u{1b}[31mred\nb  succeeded  1 ms`");
        assert_eq!(
            step_line(&end, 0, false),
            "a  failed: no `q\\u{1b}[31mred\\nb  succeeded  1 ms`"
        );
    }
}
