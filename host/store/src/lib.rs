//! Wharf's store: runs, commits, blobs and named artifacts, as objects under one URL.
//!
//! There is no server and no database. All state is objects, reached through
//! object_store; a pod needs a bucket and nothing else.
//!
//! ```text
//! objects     writes and reads objects: the only place that talks to object_store
//! durable     the same for files of this machine, many at a time; syncing
//! blobs       bytes named by their digest; chunks, hashing, reader, upload,
//!             transfers, trees
//! records     JSON with a checksum; runs, commits, artifacts, pipelines, tasks: what
//!             is recorded
//! reach, gc, verify, copy     what goes over all of it
//! cache       blobs of a store elsewhere, on this machine
//! ```
#![deny(missing_docs)]

mod artifacts;
mod blobs;
mod cache;
mod chunks;
mod clock;
mod commits;
mod copy;
mod durable;
mod find;
mod folder;
mod gc;
mod hashing;
mod lineage;
mod location;
mod objects;
mod pipelines;
mod reach;
mod reader;
mod records;
mod runs;
mod syncing;
mod tasks;
mod transfers;
mod trees;
mod upload;
mod verify;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::OnceCell;
use wharf_model::{ErrorKind, Fault};

pub use artifacts::{Author, NewTag, NewVersion};
pub use blobs::Spooled;
pub use cache::{CacheOptions, DEFAULT_CACHE};
pub use chunks::{BlobHasher, ChunkHasher, Hashed};
pub use commits::Committed;
pub use copy::Copied;
pub use find::FoundRun;
pub use gc::{Collected, DEFAULT_PATIENCE, LEAST_PATIENCE, check_patience};
pub use lineage::Ancestor;
pub use location::{Location, ParseLocationError, Service, Settings};
pub use reader::{BlobReader, fault_of};
pub use verify::{Damage, DamageKind, Verified};

use cache::Cache;
use objects::{Created, Objects};

/// The parts that a local store is made of, for one that comes to nothing.
const PARTS: [&str; 3] = [runs::RUNS, runs::LOGS, folder::SCRATCH];

/// The object that says that a bucket, or a part of one, is a store.
const MARKER: &str = "wharf.json";
/// What it holds: the version of how a store is laid out.
const MARKED: &str = "{\"format\": \"wharf.store/1\"}\n";

/// A place where runs and artifacts are kept. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Objects,
    cache: Option<Cache>,
    /// What time it was by the store's clock, and when that was found out.
    time: Arc<OnceCell<(Timestamp, Instant)>>,
    checked: Arc<OnceCell<()>>,
    collectors: Arc<gc::Collectors>,
    /// Whether what is written reads what is there, also where that is far away.
    mends: bool,
}

impl Store {
    /// The store at a place. Talks to nobody yet; a folder is made when something is
    /// written. The cache is for stores that are elsewhere.
    ///
    /// # Errors
    /// Where the settings cannot be used.
    pub fn open(
        location: &Location,
        settings: &Settings,
        cache: Option<CacheOptions>,
    ) -> Result<Self, Fault> {
        let objects = Objects::open(location, settings)?;
        let cache = cache.filter(|_| objects.folder().is_none());
        Ok(Self {
            objects,
            cache: cache.map(Cache::new),
            time: Arc::default(),
            checked: Arc::default(),
            collectors: Arc::default(),
            mends: false,
        })
    }

    /// The store in a folder, which is made when something is written.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            objects: Objects::in_folder(folder),
            cache: None,
            time: Arc::default(),
            checked: Arc::default(),
            collectors: Arc::default(),
            mends: false,
        }
    }

    /// The same store, for who writes blobs again because they may be damaged: what is
    /// there already is read and compared. On a disk that is always done. In a bucket it
    /// means to fetch again what was just hashed, and readers check all the same.
    #[must_use]
    pub fn mending(self) -> Self {
        Self {
            mends: true,
            ..self
        }
    }

    /// Makes sure that the store can be used, so that a run does not find out
    /// at its end that it cannot be recorded.
    ///
    /// # Errors
    /// Where a folder cannot be made or used; where a bucket does not exist, cannot
    /// be reached, may not be written, or its service does not keep what Wharf relies
    /// on.
    pub async fn prepare(&self) -> Result<(), Fault> {
        if self.objects.folder().is_some() {
            return self.objects.prepare(&PARTS);
        }
        self.checked.get_or_try_init(|| self.mark()).await?;
        Ok(())
    }

    /// Marks a bucket as a store, once. A service that lets an object be created
    /// twice would lose commits.
    async fn mark(&self) -> Result<(), Fault> {
        let marker = object_store::path::Path::from(MARKER);
        let created = self.create_surely(&marker, MARKED.into()).await?;
        match created {
            Created::Same => return Ok(()),
            Created::New => {}
            Created::Other(_) => {
                let message = format!("`{MARKER}` in {} is not that of a store", self.place());
                return Err(Fault::new(ErrorKind::Store, message)
                    .hint("a newer version of Wharf may have made it; choose another place"));
            }
        }
        match self.objects.create(&marker, "another\n".into()).await? {
            Created::Other(_) => Ok(()),
            Created::New | Created::Same => {
                self.objects.remove(&marker).await?;
                let message = format!(
                    "the service of {} creates objects that exist already",
                    self.place()
                );
                Err(Fault::new(ErrorKind::Store, message).hint(
                    "Wharf needs conditional writes (If-None-Match); use a service that has them",
                ))
            }
        }
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

    /// How many blobs the cache has and their bytes, where there is a cache.
    #[must_use]
    pub fn cache_usage(&self) -> Option<(u64, u64)> {
        self.cache.as_ref().map(Cache::usage)
    }
}

#[cfg(test)]
mod odd;
#[cfg(test)]
mod tests;
