//! What went wrong outside of the guest, in a form that people and programs
//! understand.

use std::fmt;
use std::io;
use std::path::Path;

use crate::error_kind::ErrorKind;

/// A failure of the host, or of what it was asked to do.
///
/// Its `Display` is one short message that says what and where; [`Self::hint`]
/// says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

impl Fault {
    /// A fault with a message.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    /// A fault of reading or writing at a path. A full disk gets a kind of its
    /// own.
    #[must_use]
    pub fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        let kind = ErrorKind::of_io(error);
        let fault = Self::new(
            kind,
            format!("cannot {doing} `{}`: {error}", path.display()),
        );
        match kind {
            ErrorKind::DiskFull => fault.hint("free some space, or choose another place"),
            _ => fault,
        }
    }

    /// A fault in Wharf itself.
    #[must_use]
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Internal, message.to_string())
            .hint("this is a bug in Wharf: please report it with the command that you ran")
    }

    /// Says where it is, before what it is.
    #[must_use]
    pub fn at(mut self, place: &dyn fmt::Display) -> Self {
        self.message = format!("`{place}`: {}", self.message);
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The category.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
