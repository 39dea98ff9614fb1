//! `wharf runs`.

use serde_json::{Value as Json, json};
use wharf_model::Fault;
use wharf_model::record::RunId;

use crate::args;
use crate::ending::Ending;
use crate::found::{Found, PipelineRun};
use crate::report::table::Table;
use crate::report::{duration, file_name, inert, out};
use crate::{stack, surroundings};

pub(crate) fn runs(args: &args::Runs) -> Result<(), Ending> {
    let store = stack::existing_store(&args.within)?;
    let (runs, all) = surroundings::runtime()?.block_on(async {
        let found = store.all_runs().await?;
        let mut runs = Vec::new();
        for one in &found {
            if runs.len() as u64 >= args.limit {
                break;
            }
            // One record that cannot be read must not hide the others.
            match Found::read(&store, one).await {
                Ok(run) => runs.push(run),
                Err(fault) => tracing::warn!(%fault),
            }
        }
        Ok::<_, Fault>((runs, found.len()))
    })?;
    match args.json {
        true => {
            for run in &runs {
                out(&(inert(as_json(run)?.to_string()) + "\n"))?;
            }
        }
        false if all == 0 => out("no runs yet\n")?,
        false => out(&table(&runs))?,
    }
    Ok(())
}

/// The record of a step; of a pipeline, what it was asked to do, with its outcome and
/// how many steps ended how.
fn as_json(run: &Found) -> Result<Json, Fault> {
    match run {
        Found::Step(record) => serde_json::to_value(record).map_err(Fault::internal),
        Found::Pipeline(run) => {
            let mut json = serde_json::to_value(&run.started).map_err(Fault::internal)?;
            if let Some(ended) = &run.ended {
                json["outcome"] = json!(ended.outcome);
                json["ended"] = json!(ended.ended);
                let counts = ended.counts().into_iter();
                let counts = counts.map(|(status, count)| (status.name().to_owned(), count.into()));
                json["steps"] = Json::Object(counts.collect());
            }
            Ok(json)
        }
    }
}

fn table(runs: &[Found]) -> String {
    let mut table = Table::new(["RUN", "STARTED", "WHAT", "TOOK", "OUTCOME"]);
    runs.iter().for_each(|run| table.row(row(run)));
    table.to_string()
}

fn row(run: &Found) -> [String; 5] {
    match run {
        Found::Step(record) => [
            short(&record.id),
            started(record.timings.started),
            file_name(&record.step.reference),
            duration(record.timings.took_us()),
            record.outcome.word(),
        ],
        Found::Pipeline(run) => {
            let PipelineRun {
                started: asked,
                ended,
            } = &**run;
            let partition = asked.partition.as_ref();
            let partition = partition.map_or_else(String::new, |name| format!(" {name}"));
            [
                short(&asked.id),
                started(asked.started),
                format!("pipeline {}{partition}", asked.name),
                ended
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), |ended| duration(ended.took_us())),
                match ended {
                    Some(ended) => ended.outcome.word().to_owned(),
                    None => "interrupted, or running".to_owned(),
                },
            ]
        }
    }
}

fn started(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The end of an id, which tells runs apart; the beginning is the time.
fn short(id: &RunId) -> String {
    let id = id.as_str();
    let from = id.char_indices().rev().nth(11).map_or(0, |(at, _)| at);
    id[from..].to_owned()
}
