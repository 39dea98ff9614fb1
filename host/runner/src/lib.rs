//! Runs one step: stages its artifacts, invokes it, publishes what it made, and
//! records what happened.
//!
//! ```text
//! Request -> open -> plan -> stage -> prepare -> invoke -> publish -> record
//! ```
//!
//! Nothing here prints, parses a command line or reads the environment; the
//! clock and the ids of runs are given. Events leave through a channel.
#![deny(missing_docs)]

mod component;
mod digester;
mod local;
pub mod pipeline;
mod program;
pub mod replay;
mod run;
mod sink;
mod source;
mod stage;
pub mod stored;
pub mod transfer;
mod tree;

pub use component::ComponentFile;
pub use run::{Clock, RunError, Runner, Surroundings, cancelled};
pub use sink::IoCounters;
pub use stage::Committing;
