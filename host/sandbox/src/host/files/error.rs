//! How an operation on files fails.

use std::io;

use wharf_model::name::TreePathError;
use wharf_model::{ErrorKind, Fault};

use crate::limiter::Exceeded;

/// The result of an operation on files.
pub(crate) type FilesResult<T> = Result<T, FilesError>;

/// Why an operation did not happen.
#[derive(Debug)]
pub(crate) enum FilesError {
    /// The program's mistake, which it may handle.
    Mistake(Mistake),
    /// The host failed, which ends the run: a program must never go on with
    /// half of its data.
    Fault(Fault),
    /// A limit was exceeded, which ends the run.
    Exceeded(Exceeded),
}

/// What a program did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    NoEntry,
    Exist,
    IsDirectory,
    NotDirectory,
    NotEmpty,
    ReadOnly,
    NotPermitted,
    Invalid,
    NameTooLong,
    IllegalByteSequence,
}

impl FilesError {
    /// The error for wasmtime, which ends the run. For places where no mistake
    /// is possible; one would be a fault of the host.
    pub(crate) fn into_end(self) -> wasmtime::Error {
        match self {
            Self::Mistake(mistake) => Fault::internal(format!("{mistake:?} in a stream")).into(),
            Self::Fault(fault) => fault.into(),
            Self::Exceeded(exceeded) => exceeded.into(),
        }
    }
}

impl From<Mistake> for FilesError {
    fn from(mistake: Mistake) -> Self {
        Self::Mistake(mistake)
    }
}

impl From<Fault> for FilesError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Exceeded> for FilesError {
    fn from(exceeded: Exceeded) -> Self {
        Self::Exceeded(exceeded)
    }
}

impl From<&TreePathError> for Mistake {
    fn from(error: &TreePathError) -> Self {
        match error {
            TreePathError::Empty | TreePathError::EmptyPart => Self::NoEntry,
            TreePathError::TooLong | TreePathError::PartTooLong | TreePathError::TooDeep => {
                Self::NameTooLong
            }
            TreePathError::Absolute | TreePathError::Dots => Self::NotPermitted,
            TreePathError::Character => Self::IllegalByteSequence,
        }
    }
}

/// What the operating system says of a path: the program's mistake, or a fault.
pub(super) fn of_path(error: io::Error) -> FilesError {
    use io::ErrorKind::{
        AlreadyExists, DirectoryNotEmpty, InvalidFilename, InvalidInput, IsADirectory,
        NotADirectory, NotFound, PermissionDenied,
    };
    let mistake = match error.kind() {
        NotFound => Mistake::NoEntry,
        AlreadyExists => Mistake::Exist,
        NotADirectory => Mistake::NotDirectory,
        IsADirectory => Mistake::IsDirectory,
        DirectoryNotEmpty => Mistake::NotEmpty,
        InvalidInput => Mistake::Invalid,
        InvalidFilename => Mistake::NameTooLong,
        PermissionDenied => Mistake::NotPermitted,
        _ => return of_disk(error).into(),
    };
    mistake.into()
}

/// A fault of the disk under `/out`.
pub(super) fn of_disk(error: io::Error) -> Fault {
    let fault = Fault::new(
        ErrorKind::of_io(&error),
        format!("cannot write in `/out`: {error}"),
    );
    match fault.kind() {
        ErrorKind::DiskFull => {
            fault.hint("free some space, or choose another place for the outputs")
        }
        _ => fault,
    }
}
