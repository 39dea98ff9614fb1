//! Runs by a part of their id.

use wharf_model::record::RunId;
use wharf_model::{ErrorKind, Fault};

use crate::Store;

/// What stands for the newest run.
const LAST: &str = "last";

/// A run that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundRun {
    /// The run of a pipeline.
    Pipeline(RunId),
    /// The run of one step, which has a record of its own.
    Step(RunId),
}

impl Store {
    /// The run of a step whose id is, begins or ends with a text; `last` is the newest.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownRun`] where none or several fit.
    pub async fn find_run(&self, text: &str) -> Result<RunId, Fault> {
        let ids = self.runs().await?;
        let fitting = fitting(&ids, text);
        self.only(fitting, text).cloned()
    }

    /// The same for runs of pipelines and of steps together. An attempt at a step of a
    /// pipeline is found by all of its id; what fits both means the pipeline.
    ///
    /// # Errors
    /// As [`Self::find_run`].
    pub async fn find_any_run(&self, text: &str) -> Result<FoundRun, Fault> {
        let (pipelines, steps) = (self.pipeline_runs().await?, self.runs().await?);
        let found_pipelines = fitting(&pipelines, text);
        let mut found_steps = fitting(&steps, text);
        if let Some(exact) = found_steps.iter().find(|id| id.as_str() == text) {
            return Ok(FoundRun::Step((*exact).clone()));
        }
        found_steps.retain(|step| !found_pipelines.iter().any(|run| is_attempt_of(step, run)));
        let pipelines = found_pipelines.into_iter().cloned().map(FoundRun::Pipeline);
        let steps = found_steps.into_iter().cloned().map(FoundRun::Step);
        let mut found: Vec<FoundRun> = pipelines.chain(steps).collect();
        if text == LAST {
            found.sort_by(|one, other| other.id().cmp(one.id()));
            found.truncate(1);
        }
        self.only(found, text)
    }

    /// The one that was found.
    fn only<T>(&self, found: Vec<T>, text: &str) -> Result<T, Fault> {
        let count = found.len();
        let mut found = found.into_iter();
        match (found.next(), count) {
            (Some(one), 1) => Ok(one),
            (None, _) => Err(self.unknown(text)),
            _ => Err(Fault::new(
                ErrorKind::UnknownRun,
                format!("{count} runs begin or end with `{text}`"),
            )
            .hint("give more of the id")),
        }
    }
}

impl FoundRun {
    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &RunId {
        match self {
            Self::Pipeline(id) | Self::Step(id) => id,
        }
    }
}

/// The ids that a text means; they are sorted, the newest first.
fn fitting<'a>(ids: &'a [RunId], text: &str) -> Vec<&'a RunId> {
    let fits = |id: &&RunId| id.as_str().starts_with(text) || id.as_str().ends_with(text);
    match text {
        "" => Vec::new(),
        LAST => ids.first().into_iter().collect(),
        _ => match ids.iter().find(|id| id.as_str() == text) {
            Some(exact) => vec![exact],
            None => ids.iter().filter(fits).collect(),
        },
    }
}

/// Whether a run is an attempt at a step of a pipeline that ran.
fn is_attempt_of(step: &RunId, pipeline: &RunId) -> bool {
    let rest = step.as_str().strip_prefix(pipeline.as_str());
    rest.is_some_and(|rest| rest.starts_with('-'))
}
