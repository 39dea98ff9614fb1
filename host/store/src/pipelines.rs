//! Runs of pipelines.
//!
//! ```text
//! pipelines/<id>/started.json
//! pipelines/<id>/ended.json      gone where the run was interrupted, or still runs
//! ```

use object_store::path::Path as ObjectPath;
use wharf_model::pipeline_run::{ENDED_FORMAT, Ended, STARTED_FORMAT, Started, StepEnd};
use wharf_model::record::RunId;
use wharf_model::{Fault, Record};

use crate::Store;
use crate::records::Kept;
use crate::runs::record_path;

/// Where runs of pipelines are.
pub(crate) const PIPELINES: &str = "pipelines";

impl Kept for Started {
    const FORMAT: &'static str = STARTED_FORMAT;
    fn format(&self) -> &str {
        &self.format
    }
}

impl Kept for Ended {
    const FORMAT: &'static str = ENDED_FORMAT;
    fn format(&self) -> &str {
        &self.format
    }
}

impl Store {
    /// Records that a pipeline starts.
    ///
    /// # Errors
    /// Where writing fails.
    pub async fn put_started(&self, started: &Started) -> Result<(), Fault> {
        self.create_only_record(&started_path(&started.id), started)
            .await
    }

    /// Records how a pipeline ended.
    ///
    /// # Errors
    /// Where writing fails.
    pub async fn put_ended(&self, ended: &Ended) -> Result<(), Fault> {
        let path = ObjectPath::from(format!("{PIPELINES}/{}/ended.json", ended.id));
        self.create_only_record(&path, ended).await
    }

    /// The run of a pipeline; the end is absent where it was interrupted, or still
    /// runs. Of one whose tasks an orchestrator starts, the end is what is known of it.
    ///
    /// # Errors
    /// [`wharf_model::ErrorKind::UnknownRun`] where there is none.
    pub async fn pipeline_run(&self, id: &RunId) -> Result<(Started, Option<Ended>), Fault> {
        let started = self.read_record::<Started>(&started_path(id)).await?;
        let started = started.ok_or_else(|| self.unknown_run(id.as_str()))?;
        if started.lock.is_some() {
            let ended = self.ended_of_tasks(&started).await?;
            return Ok((started, ended));
        }
        let path = ObjectPath::from(format!("{PIPELINES}/{id}/ended.json"));
        Ok((started, self.read_record(&path).await?))
    }

    /// The record of a step in the run of a pipeline: of the commit that counted, or of
    /// the last attempt. Absent where none was made, or it is gone.
    ///
    /// # Errors
    /// Where it cannot be read or understood.
    pub async fn record_of(&self, end: &StepEnd) -> Result<Option<Record>, Fault> {
        match (&end.commit, &end.attempt) {
            (Some(commit), _) => self.commit_of(commit).await,
            (None, Some(attempt)) => self.read_record(&record_path(attempt)).await,
            (None, None) => Ok(None),
        }
    }

    /// The ids of all runs of pipelines, newest first.
    ///
    /// # Errors
    /// Where listing fails.
    pub async fn pipeline_runs(&self) -> Result<Vec<RunId>, Fault> {
        let folders = self.objects.folders(PIPELINES).await?;
        let mut ids: Vec<RunId> = folders
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids)
    }
}

pub(crate) fn started_path(id: &RunId) -> ObjectPath {
    ObjectPath::from(format!("{PIPELINES}/{id}/started.json"))
}
