//! Wharf's store: what is kept of runs, as objects under one URL.
//!
//! There is no server and no database. `objects` writes and reads objects, each
//! once; `runs` knows what they are.
#![deny(missing_docs)]

mod folder;
mod objects;
mod runs;

use std::path::Path;

use objects::Objects;
use wharf_model::Fault;

/// The parts that a store is made of.
const PARTS: [&str; 2] = [runs::RUNS, runs::LOGS];

/// A place where runs are kept.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Objects,
}

impl Store {
    /// The store in a folder, which is made when something is written.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            objects: Objects::in_folder(folder),
        }
    }

    /// A store in memory, gone with the last clone.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            objects: Objects::in_memory(),
        }
    }

    /// Makes sure that the store can be used, so that a run does not find out
    /// at its end that it cannot be recorded.
    ///
    /// # Errors
    /// Where a folder cannot be made or used.
    pub fn prepare(&self) -> Result<(), Fault> {
        self.objects.prepare(&PARTS)
    }

    /// Removes the folder of a local store, where this process made it and it
    /// holds nothing, so that a run that came to nothing leaves nothing.
    pub fn remove_if_empty(&self) {
        self.objects.remove_if_empty(&PARTS);
    }

    /// Where the store is, for people to read.
    #[must_use]
    pub fn place(&self) -> &str {
        self.objects.place()
    }
}

#[cfg(test)]
mod tests;
