//! How a command ended, and the exit code that follows.

use std::process::ExitCode;

use wharf_model::exit::{self, exit_code};
use wharf_model::plan::BadRequest;
use wharf_model::{ErrorKind, Fault, Outcome};
use wharf_runner::RunError;

/// How a command ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It did what it was asked to.
    Done,
    /// It ran a step, which ended so.
    Ran(Box<Outcome>),
    /// The request was wrong.
    BadRequest(BadRequest),
    /// It failed.
    Failed(Fault),
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

impl From<Result<(), Fault>> for Ending {
    fn from(result: Result<(), Fault>) -> Self {
        result.map_or_else(Self::Failed, |()| Self::Done)
    }
}
