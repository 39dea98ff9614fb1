//! Runs the same pipelines under real orchestrators, and compares what comes of it.
//!
//! `cargo xtask orchestrators` installs them, and writes down where they are
//! ([`inventory`]); a [`System`] compiles a pipeline for its orchestrator, has that run it
//! to its end without anybody's help, and says how each task ended ([`Ran`]). What was made
//! is in the store ([`made`]).
//!
//! Everything that a run needs is in the folder of its [`Project`]: homes, databases,
//! ports that are free. Nothing is left running, and no system tells its makers anything.
//!
//! An orchestrator that this machine does not have is skipped, with the reason: that is
//! never a success.
#![deny(missing_docs)]

pub mod checks;
pub mod containers;
pub mod driver;
pub mod inventory;
pub mod made;
pub mod process;
pub mod project;
pub mod system;
pub mod systems;

pub use inventory::{Installed, Inventory};
pub use project::{Example, Project};
pub use system::{Ran, Request, State, System};
