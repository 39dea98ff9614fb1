//! Runs pipelines on this machine.
//!
//! ```text
//! file -> load -> Loaded -> schedule -> (resolve -> StoredStep -> attempt)* -> Ended
//! ```
//!
//! `load` reads the file and its components, and checks it. `schedule` decides what
//! runs when; `execute` runs one item of one step: finds it committed, or runs it, and
//! again where that may help. Where an orchestrator decides what runs when, `lock` keeps
//! the pipeline in the store, and `task` runs one step, or one item of it. State is in the store alone: a run that was interrupted
//! goes on when the same is asked for again.

mod execute;
mod files;
mod inputs;
mod load;
mod lock;
mod pinned;
mod plan;
mod schedule;
mod scope;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use wharf_model::event::Event;
use wharf_model::limits::Bytes;
use wharf_model::outcome::Cancellation;
use wharf_model::pipeline::{Slice, Value};
pub use wharf_model::pipeline_run::StepOf;
use wharf_model::pipeline_run::{PipelineOutcome, StepEnd};
use wharf_model::record::RunId;
use wharf_model::stack::Most;
use wharf_model::{Grants, Limits};
use wharf_sandbox::Progress;

pub use execute::Capacity;
pub use files::Files;
pub use load::{LoadError, Loaded, Used, load, load_locked};
pub use lock::{Locking, item_counts, lock};
pub use schedule::PipelineRunner;
pub use scope::Handle;
pub use task::{Task, TaskEnded, check_step};

use crate::sink::IoCounters;

/// The run of a pipeline that somebody asks for.
#[derive(Clone, Debug)]
pub struct PipelineRequest {
    /// The id of the run.
    pub id: RunId,
    /// The pipeline.
    pub loaded: Arc<Loaded>,
    /// Its name, where the file gives none.
    pub name: String,
    /// What its parameters are: all that have no default.
    pub parameters: BTreeMap<String, Value<Handle>>,
    /// The partition that it runs for.
    pub slice: Option<Slice>,
    /// Where the virtual clocks of its steps start.
    pub logical_time: Timestamp,
    /// Which of its steps run, and which run anew.
    pub selection: Selection,
    /// Whether steps go on that do not depend on one that failed.
    pub continue_on_error: bool,
    /// What the steps may use.
    pub resources: Resources,
    /// All that its steps are granted together, with the values of variables.
    pub grants: Grants,
    /// The stack that says all this, for the record.
    pub stack: Option<String>,
    /// Who asks, for the record and the history of artifacts.
    pub by: String,
    /// The one task that is run, where an orchestrator schedules the others.
    pub task: Option<Task>,
}

/// Which steps run, and which run anew.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The steps that run, where not all do. What they depend on must be committed.
    pub only: Option<BTreeSet<String>>,
    /// Steps that run anew, and all that depend on them.
    pub from: BTreeSet<String>,
    /// All steps run anew.
    pub no_cache: bool,
}

/// What the steps of a pipeline may use.
#[derive(Clone, Debug)]
pub struct Resources {
    /// Steps that run at a time.
    pub parallelism: usize,
    /// The memory limits of all steps that run at a time, together.
    pub memory: Bytes,
    /// What bounds a step that asks for nothing.
    pub limits: Limits,
    /// The most that a step may ask for.
    pub most: Most,
    /// Whether results are used again that may differ each time.
    pub cache_nondeterministic: bool,
}

/// A tag that a run leaves where it is.
#[derive(Clone, Debug, Serialize)]
pub struct StayingTag {
    /// The tag.
    pub tag: String,
    /// What it means: `NAME@NUMBER`.
    pub artifact: String,
    /// The partition of the run that has put it there.
    pub partition: String,
}

/// What happens while a pipeline runs. The version of what is told is in the first
/// event.
#[derive(Clone, Debug, Serialize)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum PipelineEvent {
    /// It starts.
    Started {
        /// [`EVENTS_FORMAT`].
        format: &'static str,
        /// The id of the run.
        run: RunId,
        /// The name of the pipeline.
        pipeline: String,
        /// The partition that it runs for.
        partition: Option<String>,
        /// How many steps it has.
        steps: u64,
    },
    /// A step has so many items.
    Items {
        /// The name of the step.
        step: String,
        /// How many.
        items: u64,
    },
    /// A step, or one of its items, runs.
    StepStarted {
        /// Which.
        #[serde(flatten)]
        of: StepOf,
        /// Counts the attempts, from 1 on.
        attempt: u32,
        /// How far it says that it has come, and what it has read and written.
        #[serde(skip)]
        watch: Watch,
    },
    /// A step says something.
    Step {
        /// Which.
        #[serde(flatten)]
        of: StepOf,
        /// What.
        said: Event,
    },
    /// An attempt failed, and another is made.
    Retrying {
        /// Which.
        #[serde(flatten)]
        of: StepOf,
        /// Why it failed.
        message: String,
        /// When the next one starts, in milliseconds from now.
        after_ms: u64,
    },
    /// A step, or one of its items, has ended.
    StepEnded {
        /// How.
        #[serde(flatten)]
        end: StepEnd,
        /// Bytes of its outputs.
        output_bytes: u64,
    },
    /// A version of an artifact was published.
    Published {
        /// The step that did.
        step: String,
        /// What it is called: `NAME@NUMBER`.
        artifact: String,
        /// Whether this run has made the version; the same output may have been
        /// published before.
        is_new: bool,
        /// The tag that means it.
        tag: Option<String>,
        /// The tag that does not, since a later partition has it.
        stays: Option<StayingTag>,
    },
    /// The pipeline has ended.
    Ended {
        /// How.
        outcome: PipelineOutcome,
        /// How long it took, in microseconds.
        took_us: u64,
    },
}

/// The version of what events tell.
pub const EVENTS_FORMAT: &str = "wharf.pipeline-events/1";

/// What can be looked at while a step runs.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// How far it says that it has come.
    pub progress: Arc<Mutex<Progress>>,
    /// How many bytes it has read and written.
    pub counters: Arc<IoCounters>,
}

/// What the run of a pipeline is connected to.
#[derive(Clone, Debug)]
pub struct Connections {
    /// Where events go.
    pub events: UnboundedSender<PipelineEvent>,
    /// Becomes `Some` when somebody stops the run.
    pub cancel: watch::Receiver<Option<Cancellation>>,
}
