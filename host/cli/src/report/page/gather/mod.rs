//! Reads from the store what a page shows, and nothing else.

mod details;
mod lineage;
mod logs;
mod made;
mod pipeline;
mod step;
mod timeline;

use std::collections::BTreeMap;

use futures::StreamExt;
use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use wharf_model::event::Event;
use wharf_model::pipeline_run::StepEnd;
use wharf_model::{Digest, Fault, Record};
use wharf_store::{FoundRun, Store};

use super::data::Page;
use super::limits::{self, cut};

/// Requests to the store at a time.
const REQUESTS: usize = 16;

/// Gathers what a page about a run shows.
///
/// # Errors
/// Where the run itself cannot be read. Of what belongs to it, the page says what is
/// missing.
pub(crate) async fn gather(store: &Store, run: &FoundRun) -> Result<Page, Fault> {
    match run {
        FoundRun::Pipeline(id) => pipeline::gather(store, id).await,
        FoundRun::Step(id) => step::gather(store, id).await,
    }
}

/// Records of steps, by the key of their commit or the id of their run.
#[derive(Debug, Default)]
struct Records(BTreeMap<String, Record>);

impl Records {
    /// Reads the records of some steps; one that cannot be read is left out.
    async fn read(store: &Store, ends: &[&StepEnd]) -> Self {
        let mut wanted: Vec<&StepEnd> = ends.to_vec();
        wanted.sort_by_key(|end| name_of(end));
        wanted.dedup_by_key(|end| name_of(end));
        let reading = wanted.into_iter().filter_map(|end| {
            let name = name_of(end)?;
            Some(async move { (name, read(store, end).await) })
        });
        let read = futures::stream::iter(reading).buffer_unordered(REQUESTS);
        let read: Vec<_> = read.collect().await;
        let read = read.into_iter();
        Self(
            read.filter_map(|(name, record)| Some((name, record?)))
                .collect(),
        )
    }

    fn of(&self, end: &StepEnd) -> Option<&Record> {
        self.0.get(&name_of(end)?)
    }

    fn of_commit(&self, commit: &Digest) -> Option<&Record> {
        self.0.get(&commit.to_string())
    }
}

/// What the record of a step goes by.
fn name_of(end: &StepEnd) -> Option<String> {
    let commit = end.commit.as_ref().map(ToString::to_string);
    commit.or_else(|| end.attempt.as_ref().map(ToString::to_string))
}

async fn read(store: &Store, end: &StepEnd) -> Option<Record> {
    let read = store.record_of(end).await;
    // A page without one record is worth more than none.
    read.unwrap_or_else(|fault| {
        tracing::warn!(%fault);
        None
    })
}

/// What a run logged; nothing where that cannot be read.
async fn events(store: &Store, record: Option<&Record>) -> Vec<Event> {
    let Some(record) = record else {
        return Vec::new();
    };
    store.events(&record.id).await.unwrap_or_else(|fault| {
        tracing::warn!(%fault);
        Vec::new()
    })
}

fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Values by name, as JSON.
fn values(values: &Map<String, Json>) -> Vec<(String, String)> {
    let shown = values.iter().take(limits::VALUES);
    let value = |(name, value): (&String, &Json)| {
        let text = match value {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        (cut(name, limits::NAME), cut(&text, limits::LINE))
    };
    let mut shown: Vec<_> = shown.map(value).collect();
    if values.len() > limits::VALUES {
        shown.push((
            "…".to_owned(),
            format!("{} more", values.len() - limits::VALUES),
        ));
    }
    shown
}
