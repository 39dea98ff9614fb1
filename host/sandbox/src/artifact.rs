//! What a guest reads and writes, as the sandbox sees it.
//!
//! The sandbox knows bytes, names and digests; where they come from and go to
//! is the business of whoever implements these traits (`wharf-runner`). Methods
//! take `&self`: a handle in the guest and its owner in the host look at the
//! same artifact.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use wharf_model::name::TreePath;
use wharf_model::{Digest, Fault};

/// An artifact that a guest reads.
#[async_trait]
pub trait Source: Debug + Send + Sync {
    /// The size in bytes; it does not change.
    fn size(&self) -> u64;

    /// Whether [`Self::read_at`] gives these bytes at once.
    fn is_here(&self, _offset: u64, _length: u64) -> bool {
        true
    }

    /// Waits until these bytes are here. Only what typed steps read is waited for;
    /// what programs are given must be here.
    ///
    /// # Errors
    /// Where they cannot be had, which ends the run.
    async fn fetch(&self, _offset: u64, _length: u64) -> Result<(), Fault> {
        Ok(())
    }

    /// Fills the buffer from the byte at `offset` on, as far as the artifact
    /// reaches; returns how many bytes it filled.
    ///
    /// # Errors
    /// Where reading fails, which ends the run; an error with a [`Fault`] inside is
    /// reported as that.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// The digest, once all bytes are hashed.
    ///
    /// # Errors
    /// Where hashing failed, which ends the run.
    async fn digest(&self) -> Result<Digest, Fault>;

    /// The media type, where it is known.
    fn media_type(&self) -> Option<String> {
        None
    }

    /// What is attached to the artifact, sorted by key.
    fn metadata(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// A file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// Its path in the tree.
    pub path: TreePath,
    /// Its size in bytes.
    pub size: u64,
}

/// A tree of artifacts that a guest reads.
pub trait SourceTree: Debug + Send + Sync {
    /// All files, sorted by path.
    fn entries(&self) -> &[TreeEntry];

    /// Opens the file at an index of [`Self::entries`].
    ///
    /// # Errors
    /// Where opening fails, which ends the run.
    fn open(&self, index: usize) -> Result<Arc<dyn Source>, Fault>;
}

/// An artifact that a guest writes, from the first byte to the last.
#[async_trait]
pub trait Sink: Debug + Send + Sync {
    /// Appends bytes.
    ///
    /// # Errors
    /// Where writing fails, now or of earlier bytes; ends the run.
    fn write(&self, bytes: Vec<u8>) -> Result<(), Fault>;

    /// Whether so many bytes wait to be written that the guest must wait too.
    fn is_full(&self) -> bool {
        false
    }

    /// Waits until the sink is not full.
    async fn drained(&self) {}

    /// Sets the media type.
    fn set_media_type(&self, media_type: String);

    /// Sets a metadata entry. Returns `false` where there are too many.
    fn set_metadata(&self, key: String, value: String) -> bool;

    /// Says that the guest writes no more, so that what is held for writing can
    /// be freed.
    fn close(&self) {}
}

/// A tree of artifacts that a guest writes.
pub trait SinkTree: Debug + Send + Sync {
    /// Creates a file and the folders above it. `None` where the path is taken.
    ///
    /// # Errors
    /// Where creating fails, which ends the run.
    fn create(&self, path: &TreePath) -> Result<Option<Arc<dyn Sink>>, Fault>;
}
