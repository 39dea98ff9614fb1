//! The orchestrators.

mod airflow;

use crate::System;

/// All of them.
pub const ALL: [&dyn System; 1] = [&airflow::Airflow];

/// The one with a name.
#[must_use]
pub fn named(target: &str) -> Option<&'static dyn System> {
    ALL.into_iter().find(|system| system.target() == target)
}
