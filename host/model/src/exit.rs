//! Exit codes: a contract with orchestrators, fixed.
//!
//! Never 64 or 65 (Argo's executor), 125 to 127 (container runtimes and
//! shells), 137 or 143 (killed): those mean something else to somebody already.

use crate::error_kind::ErrorKind;
use crate::outcome::{Outcome, Retry};
use crate::pipeline_run::{PipelineOutcome, StepStatus};

/// How the `wharf` process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// All is well.
    Ok = 0,
    /// It failed, and will fail again with the same input.
    Failed = 1,
    /// What was asked for is wrong; nothing was started.
    Usage = 2,
    /// It failed, and trying again may help.
    Retryable = 75,
    /// The step was skipped on purpose.
    Skipped = 99,
}

/// Everything that a command can end with.
#[derive(Clone, Copy, Debug)]
pub enum Ending<'a> {
    /// The command did what it was asked to.
    Done,
    /// A run ended with this outcome.
    Outcome(&'a Outcome),
    /// A pipeline ended with this outcome.
    Pipeline(PipelineOutcome),
    /// A task of an orchestrator ended so, and trying again may help or not.
    Task(StepStatus, bool),
    /// The command failed.
    Error(ErrorKind),
}

/// The exit code for an ending. The one place that decides.
#[must_use]
pub const fn exit_code(ending: Ending<'_>) -> ExitCode {
    match ending {
        Ending::Done | Ending::Outcome(Outcome::Succeeded { .. }) => ExitCode::Ok,
        Ending::Outcome(
            Outcome::Failed {
                retry: Retry::Permanent,
                ..
            }
            | Outcome::Trapped { .. }
            | Outcome::LimitExceeded { .. },
        ) => ExitCode::Failed,
        Ending::Outcome(
            Outcome::Failed {
                retry: Retry::Transient,
                ..
            }
            | Outcome::Cancelled { .. },
        ) => ExitCode::Retryable,
        Ending::Pipeline(PipelineOutcome::Succeeded) => ExitCode::Ok,
        Ending::Pipeline(
            PipelineOutcome::Failed { retryable: false } | PipelineOutcome::Unfinished,
        ) => ExitCode::Failed,
        Ending::Pipeline(
            PipelineOutcome::Failed { retryable: true } | PipelineOutcome::Cancelled { .. },
        ) => ExitCode::Retryable,
        Ending::Task(StepStatus::Succeeded | StepStatus::Cached, _) => ExitCode::Ok,
        Ending::Task(StepStatus::Skipped, _) => ExitCode::Skipped,
        Ending::Task(StepStatus::Failed, false) => ExitCode::Failed,
        Ending::Task(StepStatus::Failed, true)
        | Ending::Task(StepStatus::Cancelled | StepStatus::NotRun, _) => ExitCode::Retryable,
        Ending::Error(
            ErrorKind::CommandLine
            | ErrorKind::Parameter
            | ErrorKind::Input
            | ErrorKind::Output
            | ErrorKind::Pipeline
            | ErrorKind::ComponentFile,
        ) => ExitCode::Usage,
        Ending::Error(
            ErrorKind::NotAComponent
            | ErrorKind::NotAStep
            | ErrorKind::MissingImport
            | ErrorKind::InvalidComponent
            | ErrorKind::UnknownRun
            | ErrorKind::UnknownArtifact
            | ErrorKind::Denied
            | ErrorKind::Corrupt
            | ErrorKind::Conflict
            | ErrorKind::NotReproduced,
        ) => ExitCode::Failed,
        Ending::Error(
            ErrorKind::InputChanged
            | ErrorKind::DiskFull
            | ErrorKind::Io
            | ErrorKind::Store
            | ErrorKind::Internal,
        ) => ExitCode::Retryable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_means_something_else_to_an_orchestrator() {
        for code in [
            ExitCode::Ok,
            ExitCode::Failed,
            ExitCode::Usage,
            ExitCode::Retryable,
            ExitCode::Skipped,
        ] {
            assert!(![64, 65, 125, 126, 127, 137, 143].contains(&(code as u8)));
        }
    }
}
