//! From the bytes of a file to a component that is ready to run.
//!
//! ```text
//! bytes -> hash -> cache lookup -> [ prescan -> describe -> compile ] -> load
//! ```
//!
//! The part in brackets looks at bytes that nobody trusts; it runs in a child
//! process with limits of its own (`compile`), and not at all when the cache
//! has the result. The bytes that are hashed are the ones that are compiled:
//! the file is read once.

pub(crate) mod cache;
pub(crate) mod code;
pub(crate) mod compile;
pub(crate) mod describe;
mod docs;
mod nan;
mod prescan;
mod program;

use serde::{Deserialize, Serialize};
use wharf_model::Signature;

/// What a file of WebAssembly is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A component.
    Component,
    /// A core module, which is a program for WASI preview 1.
    CoreModule,
}

/// What a component is and needs, as far as its bytes tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Description {
    /// What it offers to run.
    pub signature: Signature,
    /// What it imports, sorted.
    pub imports: Vec<Import>,
    /// Whether it is a component or a core module.
    pub kind: Kind,
    /// The doc comment of its world, where it carries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
}

/// Something that a component imports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Import {
    /// The interface with its version, such as `wasi:clocks/wall-clock@0.2.6`;
    /// for a core module, the module that it imports from.
    pub name: String,
    /// Whether Wharf provides it.
    pub provided: bool,
}

impl Description {
    /// The imports that nobody provides.
    pub fn missing_imports(&self) -> impl Iterator<Item = &str> {
        let missing = self.imports.iter().filter(|import| !import.provided);
        missing.map(|import| &*import.name)
    }
}
