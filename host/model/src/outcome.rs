//! How a run ended, where the host did its part.
//!
//! A guest's failure is an outcome; a fault of the host is an error
//! ([`crate::ErrorKind`]). They are different types all the way to the exit
//! code.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::limits::LimitKind;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// The step returned ok; its outputs are published.
    Succeeded {
        /// What the step returned, as JSON; null where it returned nothing.
        results: Json,
    },
    /// The step said that it failed. Nothing is published.
    Failed {
        /// Whether trying again can help.
        retry: Retry,
        /// The step's own message.
        message: String,
    },
    /// The guest did something that WebAssembly forbids, such as to run into
    /// `unreachable` after a panic. Nothing is published.
    Trapped {
        /// What it did.
        reason: String,
        /// The guest's functions, innermost first, where the component has
        /// their names.
        backtrace: Vec<String>,
    },
    /// The run exceeded a limit. Nothing is published.
    LimitExceeded {
        /// Which one.
        limit: LimitKind,
        /// Its value, as people write it.
        allowed: String,
    },
    /// Somebody stopped the run. Nothing is published.
    Cancelled {
        /// How.
        by: Cancellation,
    },
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// The same input fails again.
    Permanent,
    /// Trying again may help.
    Transient,
}

/// How a run was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cancellation {
    /// SIGINT: somebody pressed Ctrl-C.
    Interrupt,
    /// SIGTERM: the machine or the orchestrator wants the process to leave.
    Terminate,
}

impl Outcome {
    /// Whether the step succeeded.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Succeeded { .. })
    }

    /// One word for lists: the status, or the limit.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::Succeeded { .. } => "succeeded".to_owned(),
            Self::Failed { .. } => "failed".to_owned(),
            Self::Trapped { .. } => "trapped".to_owned(),
            Self::LimitExceeded { limit, .. } => format!("limit {limit}"),
            Self::Cancelled { .. } => "cancelled".to_owned(),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded { .. } => f.write_str("succeeded"),
            Self::Failed {
                retry: Retry::Permanent,
                message,
            } => write!(f, "failed: {message}"),
            Self::Failed {
                retry: Retry::Transient,
                message,
            } => {
                write!(f, "failed, trying again may help: {message}")
            }
            Self::Trapped { reason, .. } => write!(f, "trapped: {reason}"),
            Self::LimitExceeded { limit, allowed } => {
                write!(f, "exceeded the limit `{limit}` of {allowed}")
            }
            Self::Cancelled {
                by: Cancellation::Interrupt,
            } => f.write_str("cancelled by an interrupt"),
            Self::Cancelled {
                by: Cancellation::Terminate,
            } => f.write_str("cancelled by a request to terminate"),
        }
    }
}
