//! The record of the run of a pipeline.

use serde_json::{Value as Json, json};
use wharf_model::event::Event;
use wharf_model::pipeline_run::{StepEnd, StepOf};
use wharf_model::{Fault, Outcome};
use wharf_store::Store;

use super::Lines;
use crate::args::Show;
use crate::found::PipelineRun;
use crate::report::pipeline::counts;
use crate::report::table::Table;
use crate::report::{duration, events, inert, plain};

/// Steps and items whose results are shown; of more, the report shows them.
const SHOWN: usize = 100;
/// Characters of a step's results in a line.
const LINE: usize = 60;

/// What is in the records of a run's steps.
#[derive(Default)]
pub(super) struct Told {
    /// What they logged and printed.
    logged: Vec<(StepOf, Event)>,
    /// What they returned, in short: of each end, as far as it is shown.
    results: Vec<Option<String>>,
}

/// Reads each record that is needed, once.
pub(super) async fn told(store: &Store, run: &PipelineRun, args: &Show) -> Result<Told, Fault> {
    let mut told = Told::default();
    let ends = run.ended.iter().flat_map(|ended| &ended.steps);
    for (at, end) in ends.enumerate() {
        let returns = !args.json && at < SHOWN && end.status.is_good();
        let record = match args.logs || returns {
            true => store.record_of(end).await?,
            false => None,
        };
        if let Some(record) = record.as_ref().filter(|_| args.logs) {
            let events = store.events(&record.id).await?;
            let events = events.into_iter().map(|event| (end.of(), event));
            told.logged.extend(events);
        }
        if at < SHOWN {
            let returned = record.filter(|_| returns);
            told.results
                .push(returned.and_then(|record| match record.outcome {
                    Outcome::Succeeded { results } if !results.is_null() => Some(short(&results)),
                    _ => None,
                }));
        }
    }
    Ok(told)
}

fn short(results: &Json) -> String {
    let text = results.to_string();
    match text.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The two records of the run, in one object; then what was logged, one a line.
pub(super) fn as_json(run: &PipelineRun, told: &Told) -> Result<String, Fault> {
    let mut text = json!({"started": run.started, "ended": run.ended}).to_string() + "\n";
    for (of, event) in &told.logged {
        let mut line = serde_json::to_value(event).map_err(Fault::internal)?;
        line["of"] = json!(of);
        text += &(line.to_string() + "\n");
    }
    Ok(text)
}

pub(super) fn as_text(run: &PipelineRun, told: &Told) -> String {
    let PipelineRun { started, ended } = run;
    let mut lines = Lines::default();
    lines.add("run", started.id.as_str());
    let pipeline = format!("{} ({})", started.name, started.file);
    lines.add("pipeline", &plain(&pipeline));
    match ended {
        Some(ended) => {
            lines.add("outcome", ended.outcome.word());
            lines.add("steps", &counts(ended));
            lines.add("took", &duration(ended.took_us()));
        }
        None => {
            let plan = format!("`wharf pipeline plan {}` says what is left", started.file);
            let outcome = format!("interrupted, or still running\n{plan}");
            lines.add("outcome", &outcome);
        }
    }
    for (name, value) in &started.parameters {
        lines.add("parameter", &inert(format!("{name} = {value}")));
    }
    if let Some(partition) = &started.partition {
        lines.add("partition", partition);
    }
    lines.add("logical time", &started.logical_time.to_string());
    if let Some(stack) = &started.stack {
        lines.add("stack", stack);
    }
    for used in &started.components {
        let component = format!("{}\n{}", plain(&used.reference), used.content.digest);
        lines.add("component", &component);
    }
    let at = started.started.strftime("%Y-%m-%d %H:%M:%S UTC");
    lines.add("started", &plain(&format!("{at} by {}", started.by)));
    lines.add("host", &started.host.to_string());
    for (of, event) in &told.logged {
        if let Some(line) = events::line(event) {
            lines.add("log", &format!("{of} | {line}"));
        }
    }
    let mut text = lines.text();
    if let Some(ended) = ended {
        text += &format!("\n{}", steps(&ended.steps, &told.results));
        text += &format!(
            "\n`wharf show {}/STEP` shows the record of one\n",
            started.id
        );
    }
    text
}

fn steps(ends: &[StepEnd], results: &[Option<String>]) -> Table<5> {
    let mut table = Table::new(["STEP", "STATUS", "TOOK", "ATTEMPTS", "SAYS"]);
    let results = results.iter().chain(std::iter::repeat(&None));
    for (end, results) in ends.iter().zip(results) {
        let took = match end.attempts {
            0 => String::new(),
            _ => duration(end.took_us),
        };
        let attempts = match end.attempts {
            0 => String::new(),
            attempts => attempts.to_string(),
        };
        table.row([
            end.of().to_string(),
            end.status.to_string(),
            took,
            attempts,
            end.message
                .as_ref()
                .or(results.as_ref())
                .cloned()
                .unwrap_or_default(),
        ]);
    }
    table
}
