//! Pure data of Wharf, and the decisions that need nothing but data.
//!
//! The flow of a run, each arrow consuming its input:
//!
//! ```text
//! Request --plan()--> Plan --(runner)--> Record
//! ```
//!
//! That is one step; [`pipeline`] is the language that puts steps together.
//!
//! Nothing here reads a file, the clock, the environment or randomness, and
//! nothing here knows wasmtime or a store.
#![deny(missing_docs)]

pub mod artifact;
pub mod digest;
pub mod error_kind;
pub mod event;
pub mod exit;
mod fault;
pub mod grants;
pub mod key;
pub mod limits;
pub mod lock;
pub mod name;
pub mod outcome;
pub mod pipeline;
pub mod pipeline_run;
pub mod plan;
pub mod record;
pub mod request;
pub mod signature;
pub mod stack;
mod suggest;
pub mod tree;
pub mod value;
pub mod value_type;

pub use artifact::{ArtifactReference, Content};
pub use digest::Digest;
pub use error_kind::ErrorKind;
pub use fault::Fault;
pub use grants::Grants;
pub use limits::Limits;
pub use outcome::Outcome;
pub use plan::Plan;
pub use record::Record;
pub use request::Request;
pub use signature::Signature;
pub use suggest::nearest;
