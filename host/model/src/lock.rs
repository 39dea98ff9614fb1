//! A pipeline as it is kept in a store, with all that it needs: what an orchestrator's
//! tasks are given instead of a file.
//!
//! A lock is named by the digest of its text, so that whoever has the digest runs that
//! pipeline and no other: the same components, the same files, the same limits.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::artifact::Content;
use crate::grants::Grant;
use crate::limits::Limits;
use crate::signature::Signature;

/// The version of the format.
pub const LOCK_FORMAT: &str = "wharf.pipeline-lock/1";

/// A pipeline with all that it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lock {
    /// [`LOCK_FORMAT`].
    pub format: String,
    /// The name of the pipeline.
    pub name: String,
    /// Its file, as it was given.
    pub file: String,
    /// The text of its file, a blob.
    pub definition: Content,
    /// The components that its steps use, each a blob.
    pub components: Vec<LockedComponent>,
    /// The files and folders that it names, each a blob.
    pub files: Vec<LockedFile>,
    /// Parameters that no run can choose any more.
    pub fixed: Map<String, Json>,
    /// What bounds a step that asks for nothing.
    pub limits: Limits,
    /// What its steps ask for, all of which was permitted.
    pub grants: Vec<Grant>,
    /// Whether results are used again that may differ each time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cache_nondeterministic: bool,
    /// The stack that permitted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}

/// A component that a pipeline uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedComponent {
    /// How the file refers to it, without a function.
    pub reference: String,
    /// What it is.
    pub content: Content,
    /// What it offers, so that a pipeline is checked without its components.
    pub signature: Signature,
}

/// A file or folder that a pipeline names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedFile {
    /// How the pipeline names it.
    pub path: String,
    /// What it was.
    pub content: Content,
}
