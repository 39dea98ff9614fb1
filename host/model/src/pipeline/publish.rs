//! How a pipeline names what it publishes.

use std::fmt;
use std::str::FromStr;

use crate::artifact::{ArtifactReference, Which};
use crate::name::{Name, NameError};

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
        let tag = match reference.which {
            Which::Latest => None,
            Which::Tag(tag) => Some(tag),
            Which::Number(_) | Which::Digest(_) => return Err(ParsePublishTargetError),
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
