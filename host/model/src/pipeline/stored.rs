//! How a pipeline names artifacts that are kept under a name.

use std::fmt;
use std::str::FromStr;

use crate::name::{Name, NameError};

/// A stored artifact: `NAME` for its newest version, `NAME:TAG`, or `NAME@3` for
/// its third version.
///
/// ```
/// use wharf_model::pipeline::{ArtifactReference, Version};
/// let model: ArtifactReference = "cancer-model:prod".parse().unwrap();
/// assert_eq!(model.name.as_str(), "cancer-model");
/// assert!(matches!(model.version, Version::Tag(tag) if tag.as_str() == "prod"));
/// let model: ArtifactReference = "cancer-model@3".parse().unwrap();
/// assert_eq!(model.version, Version::Number(3));
/// for refused in ["", "Model", "model:", "model@0", "model@x", "a:b:c", "a@1:b"] {
///     assert!(refused.parse::<ArtifactReference>().is_err(), "{refused:?}");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArtifactReference {
    /// The name that it is kept under.
    pub name: Name,
    /// Which of its versions.
    pub version: Version,
}

/// Which version of a stored artifact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The newest.
    Newest,
    /// The one that a tag stands at.
    Tag(Name),
    /// The one with a number, from 1.
    Number(u64),
}

/// A text that does not name a stored artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write NAME, NAME:TAG or NAME@NUMBER; {NameError}")]
pub struct ParseArtifactReferenceError;

impl FromStr for ArtifactReference {
    type Err = ParseArtifactReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = |text| Name::new(text).map_err(|_| ParseArtifactReferenceError);
        let (kept, version) = match (text.split_once('@'), text.split_once(':')) {
            (Some((kept, number)), _) => (kept, Version::Number(version_number(number)?)),
            (None, Some((kept, tag))) => (kept, Version::Tag(name(tag)?)),
            (None, None) => (text, Version::Newest),
        };
        Ok(Self {
            name: name(kept)?,
            version,
        })
    }
}

fn version_number(text: &str) -> Result<u64, ParseArtifactReferenceError> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err(ParseArtifactReferenceError),
    }
}

impl fmt::Display for ArtifactReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Version::Newest => self.name.fmt(f),
            Version::Tag(tag) => write!(f, "{}:{tag}", self.name),
            Version::Number(number) => write!(f, "{}@{number}", self.name),
        }
    }
}

/// Where an artifact is published: a new version of `NAME`, and with `NAME:TAG`
/// the tag moved to it.
///
/// ```
/// use wharf_model::pipeline::PublishTarget;
/// let target: PublishTarget = "cancer-model:prod".parse().unwrap();
/// assert_eq!(target.tag.as_ref().map(|tag| tag.as_str()), Some("prod"));
/// assert_eq!(target.to_string(), "cancer-model:prod");
/// assert!("cancer-model@3".parse::<PublishTarget>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublishTarget {
    /// The name that it is kept under.
    pub name: Name,
    /// The tag that is moved to it.
    pub tag: Option<Name>,
}

/// A text that does not say where to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write NAME or NAME:TAG; {NameError}")]
pub struct ParsePublishTargetError;

impl FromStr for PublishTarget {
    type Err = ParsePublishTargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let reference: ArtifactReference = text.parse().map_err(|_| ParsePublishTargetError)?;
        let tag = match reference.version {
            Version::Newest => None,
            Version::Tag(tag) => Some(tag),
            Version::Number(_) => return Err(ParsePublishTargetError),
        };
        Ok(Self {
            name: reference.name,
            tag,
        })
    }
}

impl fmt::Display for PublishTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            None => self.name.fmt(f),
            Some(tag) => write!(f, "{}:{tag}", self.name),
        }
    }
}
