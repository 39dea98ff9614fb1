//! The record of a run: what was run, with what, and what came of it.
//!
//! Records are written once and never changed. The format carries a version;
//! fields that a reader does not know are refused rather than lost.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::artifact::Content;
use crate::digest::Digest;
use crate::grants::Grant;
use crate::limits::Limits;
use crate::outcome::Outcome;

/// The version of the format that this code writes.
pub const FORMAT: &str = "wharf.run/1";

/// The record of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Record {
    /// [`FORMAT`].
    pub format: String,
    /// The id of the run.
    pub id: RunId,
    /// The host that ran it.
    pub host: Host,
    /// The step that was run.
    pub step: Step,
    /// The pipeline that it was run for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineStep>,
    /// The values of the parameters.
    pub parameters: Map<String, Json>,
    /// The arguments of a program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// The artifacts that the step was given.
    pub inputs: Vec<Artifact>,
    /// The artifacts that were published: none unless the step succeeded.
    pub outputs: Vec<Artifact>,
    /// What the run was allowed.
    pub grants: Vec<Grant>,
    /// Whether the same request gives the same bytes every time.
    pub deterministic: bool,
    /// What bounded the run.
    pub limits: Limits,
    /// Where the virtual clock started.
    pub logical_time: Timestamp,
    /// The partition that the run was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// The seed; absent where the inputs could not be hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What identifies the result; absent where the inputs could not be hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// How long it took.
    pub timings: Timings,
}

/// The host that ran a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Host {
    /// The version of Wharf.
    pub version: String,
    /// The version of wasmtime in it.
    pub wasmtime: String,
    /// The operating system and processor, such as `linux-x86_64`.
    pub platform: String,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            version,
            wasmtime,
            platform,
        } = self;
        write!(f, "wharf {version} (wasmtime {wasmtime}) on {platform}")
    }
}

/// The step that was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Step {
    /// How it was asked for.
    pub reference: String,
    /// The name that it went by.
    pub name: String,
    /// The component's digest; absent where the run ended before it was hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The component's size in bytes.
    pub size: u64,
    /// The function's signature as WIT; absent for a program, and where the
    /// component was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// A step in the run of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PipelineStep {
    /// The run of the pipeline.
    pub run: RunId,
    /// The name of the pipeline.
    pub name: String,
    /// Which item of its list the step was run for, counted from 0 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u64>,
    /// Counts the attempts at it, from 1 on.
    pub attempt: u32,
}

/// An artifact that a step was given or that it published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Artifact {
    /// The parameter that it was bound to.
    pub name: String,
    /// Where it was or went, as it was given.
    pub path: String,
    /// Its digest: of its bytes, or for a tree of its listing; absent where
    /// the run ended before it was hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Its size in bytes; for a tree, over all files.
    pub size: u64,
    /// How many files it has, where it is a tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// The key of the commit of the step that made it, where a pipeline's did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Digest>,
    /// The digest of the list of its chunks, where the store has it and it is
    /// large; see [`Content::chunks`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Digest>,
    /// Its media type, where the step set one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What the step attached to it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Json>,
}

impl Artifact {
    /// What it is, where it was hashed.
    #[must_use]
    pub fn content(&self) -> Option<Content> {
        let digest = self.digest?;
        let (size, files, chunks) = (self.size, self.files, self.chunks);
        Some(Content {
            digest,
            size,
            files,
            chunks,
        })
    }
}

/// What a run used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Usage {
    /// The most linear memory and tables at a time, in bytes.
    pub memory_bytes: u64,
    /// Fuel, where it was limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Bytes written to outputs, published or not.
    pub output_bytes: u64,
    /// Bytes of log messages, metrics, standard output and error.
    pub log_bytes: u64,
}

/// How long a run took. Lengths in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Timings {
    /// When it started.
    pub started: Timestamp,
    /// Whether compiled code was found in the cache.
    pub compiled_before: bool,
    /// To read, verify and compile or load the component.
    pub prepare_us: u64,
    /// To open inputs and make places for outputs.
    pub stage_us: u64,
    /// To run the guest.
    pub invoke_us: u64,
    /// To complete and publish the outputs.
    pub publish_us: u64,
}

impl Timings {
    /// All of it together, in microseconds.
    #[must_use]
    pub fn took_us(&self) -> u64 {
        let parts = [
            self.prepare_us,
            self.stage_us,
            self.invoke_us,
            self.publish_us,
        ];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

/// The id of a run: sorts by the time the run started.
///
/// - Lower-case letters, digits and `-` only; 1 to 64 of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// A text that is not the id of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a run: ids have lower-case letters, digits and `-` only")]
pub struct ParseRunIdError;

impl FromStr for RunId {
    type Err = ParseRunIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        match (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            true => Ok(Self(text.to_owned())),
            false => Err(ParseRunIdError),
        }
    }
}

impl RunId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RunId {
    type Error = ParseRunIdError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}
