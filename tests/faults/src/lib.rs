//! A proxy between a client and a real service that does what networks and services
//! do on bad days: errors, delays, bodies that end early or are damaged, connections
//! that break before or after the service has done what it was asked for.
//!
//! What happens to a request depends on the seed, the method, the path, and how often
//! that was asked for before: not on time, and not on what else goes on.
#![deny(missing_docs)]

mod proxy;
mod script;

pub use proxy::{Entry, Proxy};
pub use script::{Fault, Rule, Script};
