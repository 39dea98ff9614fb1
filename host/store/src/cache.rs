//! A cache of blobs on this machine, for stores that are elsewhere. Processes share
//! it.
//!
//! ```text
//! <folder>/blobs/<2 digits>/<digest>   complete blobs
//! <folder>/tmp/                        what is not complete yet
//! ```
//!
//! An entry appears by one rename, after its bytes were checked, and is checked
//! again when it is read. Whoever reads one has it open, so that it may be removed
//! meanwhile. The ones used least recently go first.

use std::fs::{self, File, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use tempfile::{NamedTempFile, TempPath};
use wharf_model::limits::Bytes;
use wharf_model::{Digest, ErrorKind, Fault};

use crate::durable::temporary;

/// Where the cache is, and how large it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheOptions {
    /// Its folder.
    pub folder: PathBuf,
    /// Bytes of all blobs in it; what is being added comes on top.
    pub most: Bytes,
}

/// The size of a cache of which nobody said how large it may be: 10 GiB.
pub const DEFAULT_CACHE: Bytes = Bytes(10 << 30);

/// How old a file may be that nobody completes.
const ABANDONED_SECONDS: u64 = 24 * 3600;

/// A cache of blobs. Clones share what they know of it.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    most: u64,
    /// Bytes added since somebody last looked at the size.
    added: Arc<AtomicU64>,
}

impl Cache {
    /// The cache in a folder, which is made when something is added.
    pub(crate) fn new(options: CacheOptions) -> Self {
        Self {
            folder: options.folder,
            most: options.most.0,
            // The first to add something looks.
            added: Arc::new(AtomicU64::new(u64::MAX / 2)),
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.folder.join("blobs").join(&hex[..2]).join(hex)
    }

    /// Opens a blob that is in the cache, and notes that it was used.
    pub(crate) fn open(&self, digest: &Digest) -> Option<File> {
        Self::used(File::open(self.path(digest)).ok()?)
    }

    /// The same, of a large blob, of which parts may have to be written again. Whoever
    /// does so removes it from the cache.
    pub(crate) fn open_to_mend(&self, digest: &Digest) -> Option<File> {
        let mut options = File::options();
        Self::used(
            options
                .read(true)
                .write(true)
                .open(self.path(digest))
                .ok()?,
        )
    }

    fn used(file: File) -> Option<File> {
        let now = FileTimes::new().set_modified(SystemTime::now());
        // Where that fails, it only seems older than it is.
        let _ = file.set_times(now);
        Some(file)
    }

    /// A file to fill, that can be added.
    pub(crate) fn spool(&self) -> Result<NamedTempFile, Fault> {
        let scratch = self.folder.join("tmp");
        temporary(&scratch).map_err(|error| Fault::io("write in the cache", &scratch, &error))
    }

    /// Adds a file whose bytes have the digest. A cache that takes nothing makes
    /// later reads slower, and nothing else.
    pub(crate) fn add(&self, file: TempPath, digest: &Digest, size: u64) {
        if let Err(error) = self.try_add(file, digest) {
            tracing::warn!(%error, folder = %self.folder.display(), "a blob is not kept in the cache");
            return;
        }
        let added = self.added.fetch_add(size, Ordering::Relaxed) + size;
        if added >= self.most / 16 {
            self.added.store(0, Ordering::Relaxed);
            self.prune();
        }
    }

    fn try_add(&self, file: TempPath, digest: &Digest) -> io::Result<()> {
        let path = self.path(digest);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        // Whoever else adds it has the same bytes.
        Ok(file.persist(path)?)
    }

    /// Removes a blob whose bytes are not what they should be.
    pub(crate) fn remove(&self, digest: &Digest) {
        let _ = fs::remove_file(self.path(digest));
    }

    /// Removes what was used least recently, down to the size allowed, unless
    /// another process is just doing that.
    fn prune(&self) {
        let Ok(lock) = File::create(self.folder.join("prune.lock")) else {
            return;
        };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return;
        }
        self.remove_abandoned();
        let mut entries = self.entries();
        let mut size: u64 = entries.iter().map(|entry| entry.size).sum();
        entries.sort_by_key(|entry| entry.used);
        for entry in entries {
            if size <= self.most {
                break;
            }
            if fs::remove_file(&entry.path).is_ok() {
                size -= entry.size;
            }
        }
    }

    fn remove_abandoned(&self) {
        for entry in files(&self.folder.join("tmp")) {
            let age = entry.used.elapsed().unwrap_or_default();
            if age.as_secs() > ABANDONED_SECONDS {
                remove_any(&entry.path);
            }
        }
    }

    fn entries(&self) -> Vec<Entry> {
        let folders = fs::read_dir(self.folder.join("blobs"));
        let folders = folders.into_iter().flatten().flatten();
        folders.flat_map(|folder| files(&folder.path())).collect()
    }

    /// How many blobs it has, and their bytes.
    pub(crate) fn usage(&self) -> (u64, u64) {
        let entries = self.entries();
        let bytes = entries.iter().map(|entry| entry.size).sum();
        (entries.len() as u64, bytes)
    }
}

/// Removes what somebody has left behind: a file, or a folder with all that is in it.
pub(crate) fn remove_any(path: &Path) {
    // Who removes it at the same time is welcome.
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
}

struct Entry {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

/// The files in a folder; those that vanish meanwhile are left out.
fn files(folder: &Path) -> Vec<Entry> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let entries = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some(Entry {
            path: entry.path(),
            size: metadata.len(),
            used: metadata.modified().ok()?,
        })
    });
    entries.collect()
}

impl CacheOptions {
    /// Checks that the cache can be used.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn check(&self) -> Result<(), Fault> {
        fs::create_dir_all(&self.folder).map_err(|error| {
            let message = format!(
                "the cache `{}` cannot be used: {error}",
                self.folder.display()
            );
            Fault::new(ErrorKind::Io, message)
                .hint("say where it shall be with --cache or WHARF_CACHE")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    fn cache(folder: &tempfile::TempDir, most: u64) -> Cache {
        let folder = folder.path().to_owned();
        Cache::new(CacheOptions {
            folder,
            most: Bytes(most),
        })
    }

    fn add(cache: &Cache, bytes: &[u8]) -> Digest {
        let mut file = cache.spool().unwrap();
        file.write_all(bytes).unwrap();
        let digest = Digest::of(bytes);
        cache.add(file.into_temp_path(), &digest, bytes.len() as u64);
        digest
    }

    #[test]
    fn what_was_added_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder, 1000);
        let digest = add(&cache, b"blob");
        let found = cache.open(&digest).map(io::read_to_string);
        assert_eq!(found.unwrap().unwrap(), "blob");
        assert!(cache.open(&Digest::of(b"other")).is_none());
    }

    #[test]
    fn it_stays_within_its_size_and_keeps_what_was_used() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder, 1000);
        let first = add(&cache, &[1; 400]);
        let second = add(&cache, &[2; 400]);
        let past = SystemTime::now() - Duration::from_secs(60);
        for digest in [first, second] {
            let file = File::open(cache.path(&digest)).unwrap();
            file.set_times(FileTimes::new().set_modified(past)).unwrap();
        }
        assert!(cache.open(&first).is_some());
        add(&cache, &[3; 400]);
        assert!(cache.open(&second).is_none());
        assert!(cache.open(&first).is_some());
        assert_eq!(cache.usage(), (2, 800));
    }

    #[test]
    fn a_blob_that_is_read_may_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder, 100);
        let digest = add(&cache, &[1; 90]);
        let open = cache.open(&digest).unwrap();
        add(&cache, &[2; 95]);
        assert_eq!(io::read_to_string(open).unwrap().len(), 90);
    }
}
