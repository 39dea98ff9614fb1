//! The categories of what can go wrong outside of the guest.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What went wrong, as `--json` names it and the exit code follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The command line itself: an unknown flag, a missing argument.
    CommandLine,
    /// A parameter is missing, unknown, given twice, or does not fit its type.
    Parameter,
    /// An input is missing, unreadable, or not what is wanted (a folder where a
    /// file is, say).
    Input,
    /// An output cannot be written where it should: the folder is missing, or
    /// something is there already.
    Output,
    /// A pipeline, or a stack, has mistakes.
    Pipeline,
    /// The component's file is missing or unreadable.
    ComponentFile,
    /// The file is not a WebAssembly component or a program for WASI.
    NotAComponent,
    /// The component has no function that can be run as a step, or not the one
    /// that was named.
    NotAStep,
    /// The component needs an import that nobody provides.
    MissingImport,
    /// The component is damaged, or uses what Wharf does not support.
    InvalidComponent,
    /// The run that was asked for does not exist.
    UnknownRun,
    /// The artifact, version or tag that was asked for does not exist.
    UnknownArtifact,
    /// The store does not let this user do it, or does not know them.
    Denied,
    /// What the store holds is not what was put into it: a digest does not fit.
    Corrupt,
    /// An input changed while the step ran.
    InputChanged,
    /// The disk is full, or a quota is reached.
    DiskFull,
    /// Reading or writing failed.
    Io,
    /// The store failed, or holds something that is not as it should be.
    Store,
    /// Something else is where the result should go: an output that appeared while
    /// the step ran, another object in the store. Nothing was overwritten.
    Conflict,
    /// A step that was run again made something else, or could not be run again.
    NotReproduced,
    /// A fault in Wharf itself.
    Internal,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [Self; 21] = [
        Self::CommandLine,
        Self::Parameter,
        Self::Input,
        Self::Output,
        Self::Pipeline,
        Self::ComponentFile,
        Self::NotAComponent,
        Self::NotAStep,
        Self::MissingImport,
        Self::InvalidComponent,
        Self::UnknownRun,
        Self::UnknownArtifact,
        Self::Denied,
        Self::Corrupt,
        Self::InputChanged,
        Self::DiskFull,
        Self::Io,
        Self::Store,
        Self::Conflict,
        Self::NotReproduced,
        Self::Internal,
    ];

    /// The name in `--json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CommandLine => "command-line",
            Self::Parameter => "parameter",
            Self::Input => "input",
            Self::Output => "output",
            Self::Pipeline => "pipeline",
            Self::ComponentFile => "component-file",
            Self::NotAComponent => "not-a-component",
            Self::NotAStep => "not-a-step",
            Self::MissingImport => "missing-import",
            Self::InvalidComponent => "invalid-component",
            Self::UnknownRun => "unknown-run",
            Self::UnknownArtifact => "unknown-artifact",
            Self::Denied => "denied",
            Self::Corrupt => "corrupt",
            Self::InputChanged => "input-changed",
            Self::DiskFull => "disk-full",
            Self::Io => "io",
            Self::Store => "store",
            Self::Conflict => "conflict",
            Self::NotReproduced => "not-reproduced",
            Self::Internal => "internal",
        }
    }

    /// The kind of an I/O error.
    #[must_use]
    pub fn of_io(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
