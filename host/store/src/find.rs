//! Finds runs by what people write: an id, its beginning or end, or `last`.
//!
//! Runs of single steps and of pipelines are in one sequence: ids sort by time.

use wharf_model::record::RunId;
use wharf_model::{ErrorKind, Fault};

use crate::Store;

/// A run that somebody started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundRun {
    /// Of one step; or an attempt at a step of a pipeline that did not succeed.
    Step(RunId),
    /// Of a pipeline.
    Pipeline(RunId),
}

impl FoundRun {
    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &RunId {
        match self {
            Self::Step(id) | Self::Pipeline(id) => id,
        }
    }
}

impl Store {
    /// All runs, newest first. Attempts at steps of pipelines are left out: the
    /// pipeline was what was started.
    ///
    /// # Errors
    /// Where listing fails.
    pub async fn all_runs(&self) -> Result<Vec<FoundRun>, Fault> {
        let (runs, attempts) = self.runs_and_attempts().await?;
        drop(attempts);
        Ok(runs)
    }

    /// The run whose id is, begins or ends with a text; `last` is the newest. A
    /// pipeline comes before the attempts at its steps.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownRun`] where none or several fit.
    pub async fn find_run(&self, text: &str) -> Result<FoundRun, Fault> {
        let (mut runs, attempts) = self.runs_and_attempts().await?;
        if text == "last" && !runs.is_empty() {
            return Ok(runs.swap_remove(0));
        }
        let fits = |run: &&FoundRun| {
            let id = run.id().as_str();
            !text.is_empty() && (id.starts_with(text) || id.ends_with(text))
        };
        let exact = |run: &&FoundRun| run.id().as_str() == text;
        if let Some(run) = runs.iter().chain(&attempts).find(exact) {
            return Ok(run.clone());
        }
        let mut fitting: Vec<_> = runs.iter().filter(fits).collect();
        if fitting.is_empty() {
            fitting = attempts.iter().filter(fits).collect();
        }
        match &fitting[..] {
            [run] => Ok((*run).clone()),
            [] => Err(self.unknown_run(text)),
            several => Err(Fault::new(
                ErrorKind::UnknownRun,
                format!("{} runs begin or end with `{text}`", several.len()),
            )
            .hint("give more of the id")),
        }
    }

    /// Runs that somebody started, and attempts at steps of pipelines; each newest
    /// first.
    async fn runs_and_attempts(&self) -> Result<(Vec<FoundRun>, Vec<FoundRun>), Fault> {
        let pipelines = self.pipeline_runs().await?;
        let of_pipeline = |id: &RunId| {
            let (run, _) = id.as_str().rsplit_once('-')?;
            let run: RunId = run.parse().ok()?;
            // Newest first.
            let found = pipelines.binary_search_by(|other| run.cmp(other));
            found.ok()
        };
        let (attempts, single): (Vec<_>, Vec<_>) = self
            .runs()
            .await?
            .into_iter()
            .partition(|id| of_pipeline(id).is_some());
        let mut runs: Vec<_> = single.into_iter().map(FoundRun::Step).collect();
        runs.extend(pipelines.into_iter().map(FoundRun::Pipeline));
        runs.sort_unstable_by(|a, b| b.id().cmp(a.id()));
        Ok((runs, attempts.into_iter().map(FoundRun::Step).collect()))
    }

    pub(crate) fn unknown_run(&self, text: &str) -> Fault {
        Fault::new(
            ErrorKind::UnknownRun,
            format!("there is no run `{text}` in the store {}", self.place()),
        )
        .hint("`wharf runs` lists the runs; `--store` says where they are")
    }
}
