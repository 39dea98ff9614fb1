//! Blobs: bytes named by their digest, written once and never changed.
//!
//! ```text
//! blobs/sha256/<2 digits>/<digest>
//! ```
//!
//! To write a blob that is there is to compare what is there, and to do nothing more,
//! unless it is damaged, or so old that the garbage collector may be about to remove
//! it; see [`crate::gc`] for what is done then.
//!
//! What is there is compared by its bytes, whoever writes it: "it is kept" is a promise
//! that it can be read. That costs one reading of as many bytes as the caller has just
//! read and hashed, and would otherwise have written. Bytes that were hashed may always
//! replace what has their name.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path as ObjectPath;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};
use tempfile::{NamedTempFile, TempPath};
use wharf_model::digest::Hasher;
use wharf_model::{Content, Digest, ErrorKind, Fault};

use crate::Store;
use crate::chunks::{BlobHasher, Hashed};
use crate::durable::temporary;
use crate::hashing;

/// Where blobs are.
pub(crate) const BLOBS: &str = "blobs/sha256";

/// A blob that was written longer ago than this is written again by whoever needs
/// it. Much shorter than the garbage collector's patience, and longer than most
/// pipelines, which need not look at each of their blobs again.
pub(crate) const REFRESHED_AFTER: Duration = Duration::from_secs(3600);

/// How often a blob that is not what it should be is read again: it may have been
/// damaged on its way.
pub(crate) const READINGS: u32 = 3;

/// Up to this size, a blob is read whole to be compared.
const SMALL_BYTES: u64 = 1 << 20;
/// What a time in whole seconds may be behind.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Bytes that are asked for at a time of a blob elsewhere that is compared.
const PART_BYTES: u64 = 8 << 20;

/// What a blob is written from.
pub(crate) enum Source<'a> {
    /// Bytes.
    Bytes(Bytes),
    /// A file in the scratch folder, which is kept where the store, or its cache,
    /// keeps it.
    Spooled(TempPath),
    /// A file that is somebody's.
    File(&'a File),
}

/// What is complete, and about to become a blob.
#[derive(Debug)]
pub enum Spooled {
    /// A small one, in memory.
    Bytes(Bytes),
    /// A file that [`Store::spool`] gave, or on the same file system. It is moved, or
    /// removed.
    File(TempPath),
}

/// An object that is there.
#[derive(Clone, Copy)]
struct There {
    size: u64,
    /// When; not known of files that the file system does not date.
    written: Option<Timestamp>,
}

/// The path of a blob.
pub(crate) fn path(digest: &Digest) -> ObjectPath {
    let hex = digest.hex();
    ObjectPath::from(format!("{BLOBS}/{}/{hex}", &hex[..2]))
}

impl Store {
    /// A file to fill, that can become a blob.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn spool(&self) -> Result<NamedTempFile, Fault> {
        if let Some(folder) = self.objects.folder() {
            self.objects.prepare(&[])?;
            let scratch = folder.scratch();
            return temporary(&scratch).map_err(|error| Fault::io("write in", &scratch, &error));
        }
        match &self.cache {
            Some(cache) => cache.spool(),
            None => NamedTempFile::new()
                .map_err(|error| Fault::io("write in", &std::env::temp_dir(), &error)),
        }
    }

    /// Keeps bytes as a blob.
    ///
    /// # Errors
    /// Where writing fails.
    pub async fn put_bytes(&self, bytes: Bytes) -> Result<Content, Fault> {
        let mut hasher = BlobHasher::default();
        hasher.update(&bytes);
        let hashed = hasher.finish();
        self.put_chunks(&hashed).await?;
        self.put(&hashed, Source::Bytes(bytes)).await?;
        Ok(hashed.content)
    }

    fn spool_bytes(&self, bytes: &Bytes) -> Result<TempPath, Fault> {
        use std::io::Write;
        let mut spool = self.spool()?;
        let written = spool.write_all(bytes);
        written.map_err(|error| Fault::io("write", spool.path(), &error))?;
        Ok(spool.into_temp_path())
    }

    /// Keeps what was hashed already as a blob.
    ///
    /// # Errors
    /// Where writing fails.
    pub async fn put_spooled(&self, spooled: Spooled, hashed: &Hashed) -> Result<Content, Fault> {
        self.put_chunks(hashed).await?;
        match spooled {
            Spooled::File(file) => self.put(hashed, Source::Spooled(file)).await?,
            Spooled::Bytes(bytes) => {
                let source = Source::Bytes(bytes.clone());
                self.put(hashed, source).await?;
                self.cache_bytes(&bytes, &hashed.content.digest);
            }
        }
        Ok(hashed.content)
    }

    /// Keeps a file of this machine as a blob.
    ///
    /// # Errors
    /// [`ErrorKind::InputChanged`] where the file changes meanwhile; where reading
    /// or writing fails.
    pub async fn put_file(&self, path: &Path) -> Result<Content, Fault> {
        let unread = |error| Fault::io("read", path, &error);
        match self.is_local() {
            true => {
                let (spool, from) = (self.spool()?, path.to_owned());
                let copying = tokio::task::spawn_blocking(move || spool_file(spool, &from));
                let copied = copying.await.map_err(Fault::internal)?;
                let (file, hashed) = copied.map_err(unread)?;
                self.put_spooled(Spooled::File(file), &hashed).await
            }
            false => {
                let file = File::open(path).map_err(unread)?;
                let hashed = hash_file(&file).await.map_err(unread)?;
                self.put_chunks(&hashed).await?;
                let put = self.put(&hashed, Source::File(&file)).await;
                put.map_err(|fault| match fault.kind() {
                    ErrorKind::InputChanged => has_changed(path),
                    _ => fault,
                })?;
                Ok(hashed.content)
            }
        }
    }

    /// What a file of this machine is, or would be, as a blob. Keeps nothing.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn content_of_file(path: &Path) -> Result<Content, Fault> {
        let unread = |error| Fault::io("read", path, &error);
        let file = File::open(path).map_err(unread)?;
        Ok(hash_file(&file).await.map_err(unread)?.content)
    }

    /// Where a blob is, as a URL; for a tree, its listing.
    #[must_use]
    pub fn uri_of_blob(&self, digest: &Digest) -> String {
        self.uri_of(&path(digest))
    }

    /// Where an object is, as a URL.
    pub(crate) fn uri_of(&self, path: &ObjectPath) -> String {
        match self.objects.file(path) {
            Some(file) => {
                let file = std::path::absolute(&file).unwrap_or(file);
                format!("file://{}", file.display())
            }
            None => format!("{}/{path}", self.place()),
        }
    }

    /// Whether blobs are files of this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.objects.folder().is_some()
    }

    /// Whether the store has a blob, or the listing of a tree. Says nothing of what it
    /// holds: that is checked when it is read.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn has_blob(&self, content: &Content) -> Result<bool, Fault> {
        let path = path(&content.digest);
        match content.is_tree() {
            true => Ok(self.objects.head(&path).await?.is_some()),
            false => self.has(&path, content.size).await,
        }
    }

    /// Keeps the list of the chunks of a blob, which is there before the blob is.
    async fn put_chunks(&self, hashed: &Hashed) -> Result<(), Fault> {
        let Some(chunks) = &hashed.chunks else {
            return Ok(());
        };
        let list = Hashed {
            content: Content::of(chunks),
            chunks: None,
        };
        self.put(&list, Source::Bytes(chunks.clone())).await
    }

    /// Writes a blob, unless it is there and will stay.
    async fn put(&self, hashed: &Hashed, from: Source<'_>) -> Result<(), Fault> {
        let content = &hashed.content;
        let path = path(&content.digest);
        let found = self.look(&path).await?;
        if let Some(there) = found.filter(|there| there.size == content.size)
            && self.stays(&path, there, hashed, &from).await?
        {
            return Ok(());
        }
        // What is on its way to be removed is gone after this.
        self.waits_for_collectors(&content.digest).await?;
        self.write(&path, hashed, from).await?;
        // What was damaged may have been condemned since.
        let is_kept = found.is_none() || {
            self.waits_for_collectors(&content.digest).await?;
            self.has(&path, content.size).await?
        };
        match is_kept {
            true => Ok(()),
            false => {
                let message = format!("`{path}` was removed as it was written");
                Err(Fault::new(ErrorKind::Store, message).hint("try again"))
            }
        }
    }

    /// Whether an object of this size is there.
    pub(crate) async fn has(&self, path: &ObjectPath, size: u64) -> Result<bool, Fault> {
        let there = self.look(path).await?;
        Ok(there.is_some_and(|there| there.size == size))
    }

    /// What an object is; nothing where there is none.
    async fn look(&self, path: &ObjectPath) -> Result<Option<There>, Fault> {
        if let Some(file) = self.objects.file(path) {
            let found = std::fs::metadata(file).ok();
            return Ok(found.filter(|found| found.is_file()).map(|found| There {
                size: found.len(),
                written: found
                    .modified()
                    .ok()
                    .and_then(|written| Timestamp::try_from(written).ok()),
            }));
        }
        Ok(self.objects.head(path).await?.map(|meta| There {
            size: meta.size,
            written: Some(meta.modified),
        }))
    }

    /// Makes sure that a blob that is there is not removed before somebody can name
    /// it. Says `false` where it was removed all the same.
    async fn stays(
        &self,
        path: &ObjectPath,
        there: There,
        hashed: &Hashed,
        from: &Source<'_>,
    ) -> Result<bool, Fault> {
        let is_young = self.was_written_lately(there).await?;
        // An old blob elsewhere is written again, whatever its bytes are.
        let content = &hashed.content;
        let is_compared = self.is_local() || is_young && self.mends;
        if is_compared && !self.is_intact(content).await? {
            tracing::warn!(%path, "a blob in the store is damaged: writing it again");
            return Ok(false);
        }
        if is_young {
            return Ok(true);
        }
        tracing::debug!(%path, "a blob is old: dated anew");
        self.refresh(path, hashed, from).await?;
        self.waits_for_collectors(&content.digest).await?;
        self.has(path, content.size).await
    }

    /// Whether what is there has the bytes of the blob, past every cache.
    pub(crate) async fn is_intact(&self, content: &Content) -> Result<bool, Fault> {
        let path = path(&content.digest);
        // Small, and compared by the thousand: a thread for each would take longer.
        if content.size <= SMALL_BYTES {
            let found = self.objects.read(&path).await?;
            return Ok(found.is_some_and(|found| Digest::of(&found) == content.digest));
        }
        if let Some(file) = self.objects.file(&path) {
            let hashing = tokio::task::spawn_blocking(move || hashing::digest(&file));
            // What cannot be read is not there.
            let found = hashing.await.map_err(Fault::internal)?;
            return Ok(found.is_ok_and(|found| found == content.digest));
        }
        let mut hasher = Hasher::new();
        for offset in (0..content.size).step_by(PART_BYTES as usize) {
            let end = (offset + PART_BYTES).min(content.size);
            match self.objects.read_range(&path, offset..end).await? {
                Some(pieces) => pieces.iter().for_each(|piece| hasher.update(piece)),
                None => return Ok(false),
            };
        }
        Ok(hasher.finish() == content.digest)
    }

    /// Whether a blob is there, whole by its size and bytes, and will stay for a while.
    pub(crate) async fn is_kept(&self, content: &Content) -> Result<bool, Fault> {
        let Some(there) = self.look(&path(&content.digest)).await? else {
            return Ok(false);
        };
        Ok(there.size == content.size
            && self.was_written_lately(there).await?
            && self.is_intact(content).await?)
    }

    /// Whether a blob was written so lately that no collector removes it, by the clock
    /// of what dated it: the store's, or that of the file system.
    async fn was_written_lately(&self, there: There) -> Result<bool, Fault> {
        let Some(written) = there.written else {
            return Ok(false);
        };
        // What is to come is as good as a clock that is wrong, but for the part of a
        // second that files are dated with, and the store's clock is read without.
        let age = self
            .age(written.saturating_sub(SECOND).unwrap_or(written))
            .await?;
        Ok(age.is_some_and(|age| age < REFRESHED_AFTER))
    }

    #[cfg(test)]
    pub(crate) async fn is_young(&self, path: &ObjectPath) -> Result<bool, Fault> {
        match self.look(path).await? {
            Some(there) => self.was_written_lately(there).await,
            None => Ok(false),
        }
    }

    /// Dates a blob anew.
    async fn refresh(
        &self,
        path: &ObjectPath,
        hashed: &Hashed,
        from: &Source<'_>,
    ) -> Result<(), Fault> {
        if let Some(file) = self.objects.file(path) {
            let dated = File::open(&file).and_then(|file| date_now(&file));
            // Where it is gone, it is written.
            return match dated {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Fault::io("date", &file, &error))
                }
                _ => Ok(()),
            };
        }
        match from {
            Source::Bytes(bytes) => self.objects.overwrite(path, bytes.clone()).await,
            Source::Spooled(file) => {
                let file = open(file)?;
                self.objects.upload(path, file, hashed).await
            }
            Source::File(file) => {
                let file = file.try_clone().map_err(Fault::internal)?;
                self.objects.upload(path, file, hashed).await
            }
        }
    }

    async fn write(
        &self,
        path: &ObjectPath,
        hashed: &Hashed,
        from: Source<'_>,
    ) -> Result<(), Fault> {
        if let Some(there) = self.objects.file(path) {
            // Where something appears just now, it is from somebody who hashed it.
            let is_there = there.exists();
            return match from {
                Source::Bytes(bytes) if is_there => {
                    let spooled = self.spool_bytes(&bytes)?;
                    self.objects.replace(path, spooled).await
                }
                Source::Bytes(bytes) => self.objects.create(path, bytes).await.map(drop),
                Source::Spooled(file) if is_there => self.objects.replace(path, file).await,
                Source::Spooled(file) => self.objects.adopt(path, file).await,
                Source::File(_) => Err(Fault::internal("a file that was not spooled")),
            };
        }
        self.refresh(path, hashed, &from).await?;
        if let (Some(cache), Source::Spooled(file)) = (&self.cache, from) {
            cache.add(file, &hashed.content.digest, hashed.content.size);
        }
        Ok(())
    }
}

/// Dates a file with what the file system thinks is now: on a disk that machines share,
/// this one's clock may be another.
fn date_now(file: &File) -> std::io::Result<()> {
    let time = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let now = Timestamps {
        last_access: time(UTIME_OMIT),
        last_modification: time(UTIME_NOW),
    };
    Ok(futimens(file, &now)?)
}

fn open(path: &Path) -> Result<File, Fault> {
    File::open(path).map_err(|error| Fault::io("read", path, &error))
}

fn has_changed(path: &Path) -> Fault {
    let message = format!("`{}` changed while it was read", path.display());
    Fault::new(ErrorKind::InputChanged, message).hint("try again when nothing writes to it")
}

/// Copies a file into the scratch folder; what is hashed is what is copied.
fn spool_file(spool: NamedTempFile, path: &Path) -> std::io::Result<(TempPath, Hashed)> {
    use std::io::Write;
    let mut spool = spool;
    let mut from = File::open(path)?;
    let hashed = hashing::hash(&mut from, |bytes| spool.as_file_mut().write_all(bytes))?;
    Ok((spool.into_temp_path(), hashed))
}

async fn hash_file(file: &File) -> std::io::Result<Hashed> {
    let mut file = file.try_clone()?;
    let hashing = tokio::task::spawn_blocking(move || hashing::hash(&mut file, |_| Ok(())));
    hashing.await?
}
