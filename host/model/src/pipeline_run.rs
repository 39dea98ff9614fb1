//! The record of the run of a pipeline: what it was asked to do, written when it
//! starts, and what came of it, written when it ends.
//!
//! The steps themselves have records of their own ([`crate::Record`]); a run that was
//! interrupted has no end, and loses nothing by it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::artifact::{Content, Origin};
use crate::digest::Digest;
use crate::outcome::Cancellation;
use crate::record::{Host, RunId};

/// The version of the format of [`Started`].
pub const STARTED_FORMAT: &str = "wharf.pipeline-started/1";
/// The version of the format of [`Ended`].
pub const ENDED_FORMAT: &str = "wharf.pipeline-ended/1";

/// What the run of a pipeline was asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Started {
    /// [`STARTED_FORMAT`].
    pub format: String,
    /// The id of the run.
    pub id: RunId,
    /// The name of the pipeline.
    pub name: String,
    /// Its file, as it was given.
    pub file: String,
    /// Its lock, where an orchestrator runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Digest>,
    /// What the orchestrator calls the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// How many steps it has, where an orchestrator runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// The text of its file, a blob.
    pub definition: Content,
    /// The components that its steps use, each a blob.
    pub components: Vec<UsedComponent>,
    /// What the parameters are, artifacts as paths or references.
    pub parameters: Map<String, Json>,
    /// The partition that it runs for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Where the virtual clocks of its steps start.
    pub logical_time: Timestamp,
    /// The stack that says where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The host that runs it.
    pub host: Host,
    /// Who started it.
    pub by: String,
    /// When.
    pub started: Timestamp,
}

/// The run of an orchestrator that a run belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct External {
    /// What it calls the run.
    pub id: String,
    /// Which orchestrator it is, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orchestrator: Option<String>,
    /// The trace that the run belongs to, as W3C writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_parent: Option<String>,
}

/// Most bytes of what an orchestrator calls a run.
pub const MAX_EXTERNAL_ID: usize = 512;

/// The version of the format of [`Joined`].
pub const JOINED_FORMAT: &str = "wharf.joined/1";

/// Which run the tasks of an orchestrator's run belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Joined {
    /// [`JOINED_FORMAT`].
    pub format: String,
    /// The lock of the pipeline.
    pub lock: Digest,
    /// What the orchestrator calls the run.
    pub external: String,
    /// The partition that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// The run.
    pub run: RunId,
}

/// The version of the format of [`TaskEnd`].
pub const TASK_END_FORMAT: &str = "wharf.task-end/1";

/// How a task ended that an orchestrator ran: a step, or one of its items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TaskEnd {
    /// [`TASK_END_FORMAT`].
    pub format: String,
    /// How it ended.
    pub end: StepEnd,
    /// How many items its step has, where it has a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// Whether trying again can help, where it failed.
    pub retryable: bool,
    /// What it published: `NAME@NUMBER`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<String>,
}

/// The version of the format of [`Pin`].
pub const PIN_FORMAT: &str = "wharf.pin/1";

/// An artifact that a run has looked up: all its tasks see the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pin {
    /// [`PIN_FORMAT`].
    pub format: String,
    /// What was looked up: a reference, or a path.
    pub what: String,
    /// What it was; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
}

/// An artifact that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Found {
    /// What it is.
    pub content: Content,
    /// Where it was found, for people to read.
    pub from: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The number of the version, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What is attached to it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Json>,
}

/// A component that a pipeline uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UsedComponent {
    /// How the file refers to it, without a function.
    pub reference: String,
    /// What it is.
    pub content: Content,
}

/// What came of the run of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ended {
    /// [`ENDED_FORMAT`].
    pub format: String,
    /// The id of the run.
    pub id: RunId,
    /// How it ended.
    pub outcome: PipelineOutcome,
    /// When.
    pub ended: Timestamp,
    /// How its steps ended, in the order in which they did.
    pub steps: Vec<StepEnd>,
}

/// How the run of a pipeline ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PipelineOutcome {
    /// All steps succeeded, or were skipped on purpose.
    Succeeded,
    /// Some step failed.
    Failed {
        /// Whether trying again can help.
        retryable: bool,
    },
    /// Somebody stopped it.
    Cancelled {
        /// How.
        by: Cancellation,
    },
    /// Some of its tasks have not ended, as far as the store knows: an orchestrator runs
    /// them, or has given up.
    Unfinished,
}

/// A step, or one of its items. Shown as `STEP`, or `STEP[ITEM]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepOf {
    /// The name of the step.
    pub step: String,
    /// Which item of its list, counted from 0 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<u64>,
}

impl fmt::Display for StepOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.item {
            Some(item) => write!(f, "{}[{item}]", self.step),
            None => f.write_str(&self.step),
        }
    }
}

/// How a step ended, or one of its items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StepEnd {
    /// The name of the step.
    pub step: String,
    /// Which item of its list, counted from 0 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u64>,
    /// How it ended.
    pub status: StepStatus,
    /// The key of its commit, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Digest>,
    /// The last attempt at it in this run; none where none was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<RunId>,
    /// How many attempts there were.
    #[serde(default)]
    pub attempts: u32,
    /// When it began, in microseconds since the run did.
    pub began_us: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// Why it failed or was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl StepEnd {
    /// What ended.
    #[must_use]
    pub fn of(&self) -> StepOf {
        StepOf {
            step: self.step.clone(),
            item: self.item,
        }
    }
}

impl Ended {
    /// How long the run took, in microseconds: until the last step ended.
    #[must_use]
    pub fn took_us(&self) -> u64 {
        let ends = self.steps.iter().map(|end| end.began_us + end.took_us);
        ends.max().unwrap_or_default()
    }

    /// How many steps, or items, ended in each way that some did.
    #[must_use]
    pub fn counts(&self) -> Vec<(StepStatus, usize)> {
        let of = |status| self.steps.iter().filter(|end| end.status == status).count();
        let counts = StepStatus::ALL.map(|status| (status, of(status)));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

impl PipelineOutcome {
    /// One word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
            Self::Unfinished => "unfinished",
        }
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// It ran, and succeeded.
    Succeeded,
    /// It was committed before: it did not run.
    Cached,
    /// Its condition was false, or a step that it needs was skipped.
    Skipped,
    /// It failed.
    Failed,
    /// Somebody stopped it.
    Cancelled,
    /// It was not started, since another had failed, or the run was stopped.
    NotRun,
}

impl StepStatus {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Succeeded,
        Self::Cached,
        Self::Skipped,
        Self::Failed,
        Self::Cancelled,
        Self::NotRun,
    ];

    /// Whether what depends on it can run.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Succeeded | Self::Cached)
    }

    /// The name in `--json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Cached => "cached",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::NotRun => "not-run",
        }
    }
}

impl fmt::Display for StepStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRun => "not run",
            other => other.name(),
        })
    }
}
