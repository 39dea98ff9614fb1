//! Records of runs, and their logs.
//!
//! ```text
//! runs/<id>.json     the record of a run
//! logs/<id>.jsonl    the events of a run, one JSON text a line, where it had some
//! ```

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use wharf_model::event::Event;
use wharf_model::record::RunId;
use wharf_model::{ErrorKind, Fault, Record};

use crate::Store;

/// Where records and logs are.
pub(crate) const RUNS: &str = "runs";
pub(crate) const LOGS: &str = "logs";

impl Store {
    /// Keeps the record of a run, and its events where it had some. The record
    /// is written last: a run that has one is complete. A log whose record cannot
    /// be written is removed, unless the store has the record of another run
    /// under the same id.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where the store has another record of that id;
    /// otherwise where writing fails.
    pub async fn put_run(&self, record: &Record, events: &[Event]) -> Result<(), Fault> {
        self.put_log(&record.id, events).await?;
        let path = record_path(&record.id);
        let created = self.create_only_record(&path, record).await;
        if let Err(fault) = &created
            && fault.kind() != ErrorKind::Conflict
            && !events.is_empty()
        {
            self.remove_log(&record.id).await;
        }
        created
    }

    /// Keeps the events of a run, where it had some.
    pub(crate) async fn put_log(&self, id: &RunId, events: &[Event]) -> Result<(), Fault> {
        match events.is_empty() {
            true => Ok(()),
            false => self.create_only(&log_path(id), json_lines(events)?).await,
        }
    }

    /// Removes the events of a run. Where that fails, nobody looks for them.
    pub(crate) async fn remove_log(&self, id: &RunId) {
        let _ = self.objects.remove(&log_path(id)).await;
    }

    /// The record of a run.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownRun`] where there is none; [`ErrorKind::Store`] where
    /// it cannot be read or understood.
    pub async fn run(&self, id: &RunId) -> Result<Record, Fault> {
        let record = self.read_record(&record_path(id)).await?;
        record.ok_or_else(|| self.unknown(id.as_str()))
    }

    /// The events of a run, in order.
    ///
    /// # Errors
    /// Where they cannot be read or understood.
    pub async fn events(&self, id: &RunId) -> Result<Vec<Event>, Fault> {
        let path = log_path(id);
        let bytes = self.objects.read(&path).await?.unwrap_or_default();
        let lines = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let events = lines.map(serde_json::from_slice).collect::<Result<_, _>>();
        events.map_err(|error| {
            Fault::new(
                ErrorKind::Store,
                format!("the log `{path}` in {} is damaged: {error}", self.place()),
            )
        })
    }

    /// The ids of all runs, newest first.
    ///
    /// # Errors
    /// Where listing fails.
    pub async fn runs(&self) -> Result<Vec<RunId>, Fault> {
        let names = self.objects.names(RUNS).await?;
        let ids = names.iter();
        let ids = ids.filter_map(|name| name.strip_suffix(".json")?.parse().ok());
        let mut ids: Vec<RunId> = ids.collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids)
    }

    pub(crate) fn unknown(&self, text: &str) -> Fault {
        Fault::new(
            ErrorKind::UnknownRun,
            format!("there is no run `{text}` in the store {}", self.place()),
        )
        .hint("`wharf runs` lists the runs; `--store` says where they are")
    }
}

fn json_lines(events: &[Event]) -> Result<Bytes, Fault> {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, event).map_err(Fault::internal)?;
        lines.push(b'\n');
    }
    Ok(lines.into())
}

fn record_path(id: &RunId) -> ObjectPath {
    ObjectPath::from(format!("{RUNS}/{id}.json"))
}

fn log_path(id: &RunId) -> ObjectPath {
    ObjectPath::from(format!("{LOGS}/{id}.jsonl"))
}
