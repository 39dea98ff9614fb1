//! What a run tells while it goes on.
//!
//! Events leave through a channel; only the command line prints. Their number
//! is bounded by the run's log limit.

use serde::{Deserialize, Serialize};

/// Something that happened during a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// The component is being compiled.
    Compiling {
        /// Whether the code is kept, so that later runs need not.
        kept: bool,
    },
    /// The guest starts.
    Started {
        /// Whether it is a program, whose standard output is its own.
        program: bool,
    },
    /// The step wrote a message.
    Log {
        /// How much it matters.
        level: Level,
        /// The text, without control characters.
        message: String,
        /// Named values beside it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fields: Vec<(String, String)>,
    },
    /// The step wrote a line to its standard output or error.
    Print {
        /// Which of the two.
        stream: Stream,
        /// The line, without its end and control characters.
        line: String,
    },
    /// The step recorded a metric.
    Metric {
        /// Its name.
        name: String,
        /// Its value; not a number where the step says so.
        #[serde(with = "float")]
        value: f64,
        /// The training step or epoch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u64>,
    },
    /// The step said how far it has come. The latest is told about once a second,
    /// and none is kept.
    Progress {
        /// Units done.
        done: u64,
        /// All units, where the step knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        /// What is counted.
        unit: String,
    },
    /// The guest returned; outputs are being completed and published.
    Publishing,
}

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the usual levels")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// A standard stream of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the usual streams")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// JSON has no NaN and no infinities: they are written as strings.
mod float {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        match value.is_finite() {
            true => serializer.serialize_f64(*value),
            false => serializer.collect_str(value),
        }
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(number),
            Written::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}
