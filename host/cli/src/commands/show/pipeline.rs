//! The record of the run of a pipeline.

use serde_json::json;
use wharf_model::Fault;
use wharf_model::event::Event;
use wharf_model::pipeline_run::{StepEnd, StepOf};
use wharf_store::Store;

use super::Lines;
use crate::found::PipelineRun;
use crate::report::pipeline::counts;
use crate::report::table::Table;
use crate::report::{duration, events, inert, plain};

/// What the steps of a run logged and printed.
pub(super) async fn logged(
    store: &Store,
    run: &PipelineRun,
) -> Result<Vec<(StepOf, Event)>, Fault> {
    let mut all = Vec::new();
    for end in run.ended.iter().flat_map(|ended| &ended.steps) {
        if let Some(record) = store.record_of(end).await? {
            let events = store.events(&record.id).await?;
            all.extend(events.into_iter().map(|event| (end.of(), event)));
        }
    }
    Ok(all)
}

/// The two records of the run, in one object; then what was logged, one a line.
pub(super) fn as_json(run: &PipelineRun, logged: &[(StepOf, Event)]) -> Result<String, Fault> {
    let mut text = json!({"started": run.started, "ended": run.ended}).to_string() + "\n";
    for (of, event) in logged {
        let mut line = serde_json::to_value(event).map_err(Fault::internal)?;
        line["of"] = json!(of);
        text += &(line.to_string() + "\n");
    }
    Ok(text)
}

pub(super) fn as_text(run: &PipelineRun, logged: &[(StepOf, Event)]) -> String {
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
        None => lines.add("outcome", "interrupted, or still running"),
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
    for (of, event) in logged {
        if let Some(line) = events::line(event) {
            lines.add("log", &format!("{of} | {line}"));
        }
    }
    let mut text = lines.text();
    if let Some(ended) = ended {
        text += &format!("\n{}", steps(&ended.steps));
        text += &format!(
            "\n`wharf show {}/STEP` shows the record of one\n",
            started.id
        );
    }
    text
}

fn steps(ends: &[StepEnd]) -> Table<5> {
    let mut table = Table::new(["STEP", "STATUS", "TOOK", "ATTEMPTS", "MESSAGE"]);
    for end in ends {
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
            end.message.clone().unwrap_or_default(),
        ]);
    }
    table
}
