//! The run of one step, which has a record of its own.

use std::collections::BTreeMap;

use wharf_model::record::RunId;
use wharf_model::{Fault, Outcome};
use wharf_store::Store;

use super::super::data::{Bar, Item, Page, Row, Step, Timeline};
use super::super::limits::{self, cut};
use super::logs::{Metrics, logs};
use super::{details, lineage, time, values};
use crate::report::duration;

pub(super) async fn gather(store: &Store, id: &RunId) -> Result<Page, Fault> {
    let record = store.run(id).await?;
    let events = store.events(id).await?;
    let status = details::status(&record.outcome);
    let took = record.timings.took_us();
    let mut metrics = Metrics::default();
    metrics.add("", &events);
    let (plots, more_plots) = metrics.plots();
    let mut notes = Vec::new();
    if more_plots {
        notes.push(format!("Of its metrics, {} are drawn.", limits::PLOTS));
    }
    let message = (!record.outcome.is_success()).then(|| record.outcome.to_string());
    let name = cut(&record.step.name, limits::NAME);
    let mut facts = vec![
        ("run", record.id.to_string()),
        ("started", time(record.timings.started)),
        ("took", duration(took)),
    ];
    if let Some(of) = &record.pipeline {
        let attempt = format!(
            "attempt {} in the run {} of {}",
            of.attempt, of.run, of.name
        );
        facts.push(("pipeline", cut(&attempt, limits::NAME)));
    }
    facts.push(("host", cut(&record.host.to_string(), limits::NAME)));
    facts.push(("logical time", record.logical_time.to_string()));
    let partition = record.partition.as_ref();
    facts.extend(partition.map(|partition| ("partition", cut(partition, limits::NAME))));
    let mut lineage = lineage::Lineage::new(store, BTreeMap::new());
    let made = lineage.of_outputs(&record).await;
    let item = Item {
        number: None,
        status: Some(status),
        attempts: record.pipeline.as_ref().map_or(1, |of| of.attempt),
        took,
        message: message.map(|message| cut(&message, limits::TEXT)),
        recorded: true,
        record: Some(details::details(&record)),
        logs: logs(&events, &mut limits::LOGS.clone()),
    };
    let bars = stages(&record.timings, status);
    Ok(Page {
        name: name.clone(),
        what: "step",
        status: Some(status),
        outcome: match &record.outcome {
            Outcome::Succeeded { .. } => "succeeded".to_owned(),
            other => cut(&other.to_string(), limits::NAME),
        },
        facts,
        notes,
        counts: Vec::new(),
        graph: None,
        timeline: Timeline {
            rows: bars,
            length: took,
            left_out: 0,
        },
        parameters: values(&record.parameters),
        steps: vec![Step {
            anchor: "step-0".to_owned(),
            name,
            status: Some(status),
            took: Some(took),
            items: vec![item],
            plots,
            ..Step::default()
        }],
        lineage: made,
    })
}

/// What a run does, one after the other.
fn stages(
    timings: &wharf_model::record::Timings,
    status: wharf_model::pipeline_run::StepStatus,
) -> Vec<Row> {
    let prepare = if timings.compiled_before {
        "load"
    } else {
        "compile"
    };
    let stages = [
        (prepare, timings.prepare_us),
        ("stage", timings.stage_us),
        ("run", timings.invoke_us),
        ("publish", timings.publish_us),
    ];
    let mut began = 0_u64;
    let row = |(name, took): (&str, u64)| {
        let bar = Bar {
            began,
            took,
            status,
        };
        began = began.saturating_add(took);
        Row {
            name: name.to_owned(),
            status,
            items: None,
            bars: vec![bar],
        }
    };
    stages.into_iter().map(row).collect()
}
