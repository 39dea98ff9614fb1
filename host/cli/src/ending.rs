//! How a command ended, and the exit code that follows.

use std::path::PathBuf;
use std::process::ExitCode;

use wharf_model::exit::{self, exit_code};
use wharf_model::outcome::Cancellation;
use wharf_model::pipeline::Diagnostic;
use wharf_model::pipeline_run::{PipelineOutcome, StepStatus};
use wharf_model::plan::BadRequest;
use wharf_model::{ErrorKind, Fault, Outcome};
use wharf_runner::RunError;
use wharf_runner::pipeline::LoadError;

/// How a command ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It did what it was asked to.
    Done,
    /// It ran a step, which ended so.
    Ran(Box<Outcome>),
    /// The request was wrong.
    BadRequest(BadRequest),
    /// The pipeline has mistakes.
    Mistakes(Box<Mistakes>),
    /// It ran a pipeline, which ended so; the report has said all about it.
    RanPipeline(PipelineOutcome),
    /// It ran a task of an orchestrator, which ended so; the report has said all about it.
    RanTask {
        /// How.
        status: StepStatus,
        /// Whether trying again can help.
        retryable: bool,
        /// The exit code where it was skipped.
        skipped: u8,
    },
    /// Somebody stopped it before it was done.
    Stopped(Cancellation),
    /// It failed.
    Failed(Fault),
}

/// The mistakes in a file.
#[derive(Debug)]
pub(crate) struct Mistakes {
    pub(crate) file: PathBuf,
    pub(crate) text: String,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Ending {
    /// The exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let ending = match self {
            Self::Done => exit::Ending::Done,
            Self::Ran(outcome) => exit::Ending::Outcome(outcome),
            Self::BadRequest(bad) => {
                let kind = bad
                    .problems
                    .first()
                    .map_or(ErrorKind::CommandLine, |problem| problem.kind);
                exit::Ending::Error(kind)
            }
            Self::Mistakes(_) => exit::Ending::Error(ErrorKind::Pipeline),
            Self::RanPipeline(outcome) => exit::Ending::Pipeline(*outcome),
            Self::RanTask {
                status: StepStatus::Skipped,
                skipped,
                ..
            } => return ExitCode::from(*skipped),
            Self::RanTask {
                status, retryable, ..
            } => exit::Ending::Task(*status, *retryable),
            Self::Stopped(by) => exit::Ending::Pipeline(PipelineOutcome::Cancelled { by: *by }),
            Self::Failed(fault) => exit::Ending::Error(fault.kind()),
        };
        ExitCode::from(exit_code(ending) as u8)
    }
}

impl From<Fault> for Ending {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

impl From<RunError> for Ending {
    fn from(error: RunError) -> Self {
        match error {
            RunError::BadRequest(bad) => Self::BadRequest(bad),
            RunError::Fault(fault) => Self::Failed(fault),
        }
    }
}

impl From<LoadError> for Ending {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Fault(fault) => Self::Failed(fault),
            LoadError::Mistakes {
                file,
                text,
                diagnostics,
            } => Self::Mistakes(Box::new(Mistakes {
                file,
                text,
                diagnostics,
            })),
        }
    }
}

impl<E: Into<Self>> From<Result<(), E>> for Ending {
    fn from(result: Result<(), E>) -> Self {
        result.map_or_else(Into::into, |()| Self::Done)
    }
}
