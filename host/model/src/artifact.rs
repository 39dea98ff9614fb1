//! Artifacts that the store keeps: what they are, their versions, tags and names.
//!
//! ```text
//! Content           what the bytes are: a digest, a size
//! Version           content under a name and a number: never changes
//! TagMove           a name such as `prod` that says which version is meant
//! ArtifactReference how people write one: `model`, `model:prod`, `model@3`
//! ```

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::digest::{Digest, ParseDigestError};
use crate::name::{Name, NameError};
use crate::record::RunId;

/// The version of the format of a [`Version`].
pub const VERSION_FORMAT: &str = "wharf.version/1";
/// The version of the format of a [`TagMove`].
pub const TAG_FORMAT: &str = "wharf.tag/1";

/// What the bytes of an artifact are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Content {
    /// The digest of its bytes; for a tree, of its listing.
    pub digest: Digest,
    /// Its size in bytes; for a tree, over all files.
    pub size: u64,
    /// How many files it has, where it is a tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// The digest of the list of its chunks, which lets a part be checked without
    /// the rest; absent where it is small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Digest>,
}

impl Content {
    /// Content that is one small file.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            files: None,
            chunks: None,
        }
    }

    /// Whether it is a tree.
    #[must_use]
    pub const fn is_tree(&self) -> bool {
        self.files.is_some()
    }
}

/// A version of a named artifact. Written once and never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Version {
    /// [`VERSION_FORMAT`].
    pub format: String,
    /// The name of the artifact.
    pub name: Name,
    /// Counts the versions of the artifact, from 1 on.
    pub number: u64,
    /// What it is.
    pub content: Content,
    /// Its media type, where one was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What is attached to it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Json>,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it.
    pub by: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a version comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Origin {
    /// Somebody put a file or folder into the store.
    Put {
        /// Where it was.
        path: String,
    },
    /// A step of a pipeline made it.
    Step {
        /// The run of the pipeline.
        run: RunId,
        /// The step.
        step: String,
        /// Which of its outputs.
        output: String,
        /// The key of the step's commit.
        commit: Digest,
        /// The partition that the pipeline ran for, where it has partitions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        partition: Option<String>,
    },
    /// A pipeline was given it, and published it as it is.
    Input {
        /// The run of the pipeline.
        run: RunId,
        /// Where it was.
        path: String,
    },
    /// It was copied from another store, where it had this origin.
    Copy {
        /// The store that it was copied from.
        store: String,
        /// The number of its version there.
        number: u64,
        /// Its origin there.
        origin: Box<Origin>,
    },
}

impl Origin {
    /// The run that made the version, where one did.
    #[must_use]
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Self::Put { .. } => None,
            Self::Step { run, .. } | Self::Input { run, .. } => Some(run),
            Self::Copy { origin, .. } => origin.run(),
        }
    }
}

impl Origin {
    /// The commit of the step that made the version, where one did.
    #[must_use]
    pub fn commit(&self) -> Option<Digest> {
        match self {
            Self::Step { commit, .. } => Some(*commit),
            Self::Copy { origin, .. } => origin.commit(),
            Self::Put { .. } | Self::Input { .. } => None,
        }
    }
}

impl Origin {
    /// The partition that the pipeline ran for which made the version, where there is
    /// one.
    #[must_use]
    pub fn partition(&self) -> Option<&str> {
        match self {
            Self::Step { partition, .. } => partition.as_deref(),
            Self::Copy { origin, .. } => origin.partition(),
            Self::Put { .. } | Self::Input { .. } => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { path } => write!(f, "put from {path}"),
            Self::Step {
                run,
                step,
                output,
                partition,
                ..
            } => {
                write!(f, "{output} of {step} in run {run}")?;
                match partition {
                    Some(partition) => write!(f, " for {partition}"),
                    None => Ok(()),
                }
            }
            Self::Input { run, path } => write!(f, "{path}, an input of run {run}"),
            Self::Copy {
                store,
                number,
                origin,
            } => write!(f, "version {number} in {store}: {origin}"),
        }
    }
}

/// A tag was moved. The one with the highest sequence says where the tag is; the
/// others are its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TagMove {
    /// [`TAG_FORMAT`].
    pub format: String,
    /// The name of the artifact.
    pub name: Name,
    /// The tag.
    pub tag: Name,
    /// Counts the moves of the tag, from 1 on.
    pub sequence: u64,
    /// The version that it means from now on; none where the tag was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The version that it meant before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// When it was moved.
    pub moved: Timestamp,
    /// Who moved it.
    pub by: String,
    /// The run of a pipeline that moved it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The partition that the pipeline ran for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
}

/// How a version of an artifact is asked for.
///
/// ```
/// use wharf_model::artifact::{ArtifactReference, Which};
/// let parse = |text: &str| text.parse::<ArtifactReference>().unwrap();
/// assert_eq!(parse("model").which, Which::Latest);
/// assert_eq!(parse("model@3").which, Which::Number(3));
/// assert_eq!(parse("model:prod").to_string(), "model:prod");
/// for refused in ["", "Model", "model:", "model@0", "model@x", "a/b", "model:a:b"] {
///     assert!(refused.parse::<ArtifactReference>().is_err(), "{refused}");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArtifactReference {
    /// The name of the artifact.
    pub name: Name,
    /// Which of its versions.
    pub which: Which,
}

/// Which version of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// The one with the highest number.
    Latest,
    /// The one that a tag means.
    Tag(Name),
    /// The one with a number.
    Number(u64),
    /// The newest one with this content.
    Digest(Digest),
}

/// A text that is no reference to an artifact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseArtifactReferenceError {
    /// The name, or the tag, is none.
    #[error("`{0}` cannot name an artifact or a tag: {NameError}")]
    Name(String),
    /// What comes after `@` is neither a number nor a digest.
    #[error(
        "`@{0}` is no version: write NAME, NAME:TAG, NAME@NUMBER (from 1 on) or NAME@sha256:DIGEST"
    )]
    Version(String),
}

impl FromStr for ArtifactReference {
    type Err = ParseArtifactReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, which) = match (text.split_once('@'), text.split_once(':')) {
            (Some((name, version)), _) => (name, parse_version(version)?),
            (None, Some((name, tag))) => (name, Which::Tag(parse_name(tag)?)),
            (None, None) => (text, Which::Latest),
        };
        let name = parse_name(name)?;
        Ok(Self { name, which })
    }
}

fn parse_name(text: &str) -> Result<Name, ParseArtifactReferenceError> {
    Name::new(text).map_err(|_| ParseArtifactReferenceError::Name(text.to_owned()))
}

fn parse_version(text: &str) -> Result<Which, ParseArtifactReferenceError> {
    let refused = || ParseArtifactReferenceError::Version(text.to_owned());
    if text.starts_with("sha256:") {
        let digest = text.parse().map_err(|_: ParseDigestError| refused())?;
        return Ok(Which::Digest(digest));
    }
    match text.parse() {
        Ok(number) if number > 0 => Ok(Which::Number(number)),
        _ => Err(refused()),
    }
}

impl fmt::Display for ArtifactReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.which {
            Which::Latest => name.fmt(f),
            Which::Tag(tag) => write!(f, "{name}:{tag}"),
            Which::Number(number) => write!(f, "{name}@{number}"),
            Which::Digest(digest) => write!(f, "{name}@{digest}"),
        }
    }
}
