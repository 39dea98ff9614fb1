//! What every orchestrator is asked to do.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::{Example, Installed, Project};

/// A run that is asked for.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// What parameters are that have no default, or another value than that.
    pub parameters: Vec<(&'a str, &'a str)>,
    /// The partition that it is for.
    pub partition: Option<&'a str>,
    /// A step during which the run is stopped, as a user of the orchestrator would.
    pub cancel_during: Option<&'a str>,
}

/// How a task ended, as the orchestrator itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It succeeded.
    Succeeded,
    /// It was skipped; where the orchestrator has no such state, it succeeded and says that
    /// it was skipped.
    Skipped,
    /// It failed.
    Failed,
    /// It was stopped.
    Cancelled,
    /// It was not started, since what it needs failed.
    NotRun,
}

/// What came of a run, as the orchestrator itself says.
#[derive(Clone, Debug, Default)]
pub struct Ran {
    /// How each task ended, by the name of its step, or `STEP[ITEM]`.
    pub tasks: BTreeMap<String, State>,
    /// How often each task was tried, where the orchestrator counts that.
    pub tries: BTreeMap<String, u32>,
    /// What the orchestrator shows of each task: its log, or the reason of its state.
    pub said: BTreeMap<String, String>,
}

/// An orchestrator.
pub trait System: Sync {
    /// What `wharf pipeline compile` calls it.
    fn target(&self) -> &'static str;

    /// What the inventory calls it.
    fn installed_as(&self) -> &'static str {
        self.target()
    }

    /// What else has to be installed, as the inventory calls it.
    fn needs(&self) -> &'static [&'static str] {
        &[]
    }

    /// A project whose store its tasks reach: a folder, where they are processes of this
    /// machine.
    ///
    /// # Errors
    /// Where it cannot be made.
    fn project(&self, example: Example) -> Result<Project> {
        Project::new(example)
    }

    /// Compiles the pipeline of a project, and runs it to its end.
    ///
    /// # Errors
    /// Where the orchestrator does not do it. That a task fails is no error.
    fn run(&self, installed: &Installed, project: &Project, request: &Request<'_>) -> Result<Ran>;
}
