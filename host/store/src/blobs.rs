//! Blobs: bytes named by their digest, written once and never changed.
//!
//! ```text
//! blobs/sha256/<2 digits>/<digest>
//! ```
//!
//! To write a blob that is there is to do nothing, unless it is so old that the
//! garbage collector may be about to remove it; see [`crate::gc`] for what is done
//! then.

use std::fs::{File, FileTimes};
use std::io::Read;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use tempfile::{NamedTempFile, TempPath};
use wharf_model::{Content, Digest, ErrorKind, Fault};

use crate::Store;
use crate::chunks::{BlobHasher, Hashed};
use crate::durable::temporary;

/// Where blobs are.
pub(crate) const BLOBS: &str = "blobs/sha256";

/// A blob that was written longer ago than this is written again by whoever needs
/// it. Much shorter than the garbage collector's patience, and longer than most
/// pipelines, which need not look at each of their blobs again.
pub(crate) const REFRESHED_AFTER: Duration = Duration::from_secs(3600);

/// How often a blob that is not what it should be is read again: it may have been
/// damaged on its way.
pub(crate) const READINGS: u32 = 3;

/// Bytes that are read at a time to be hashed.
const READ_BYTES: usize = 1 << 20;

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
                let (file, hashed) = spool_file(self.spool()?, path).map_err(unread)?;
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
        let path = path(&hashed.content.digest);
        let is_there = self.has(&path, hashed.content.size).await?;
        if is_there && self.stays(&path, hashed, &from).await? {
            return Ok(());
        }
        self.write(&path, hashed, from).await
    }

    /// Whether an object of this size is there.
    pub(crate) async fn has(&self, path: &ObjectPath, size: u64) -> Result<bool, Fault> {
        if let Some(file) = self.objects.file(path) {
            let found = std::fs::metadata(file);
            return Ok(found.is_ok_and(|found| found.is_file() && found.len() == size));
        }
        let found = self.objects.head(path).await?;
        Ok(found.is_some_and(|meta| meta.size == size))
    }

    /// Makes sure that a blob that is there is not removed before somebody can name
    /// it. Says `false` where it was removed all the same.
    async fn stays(
        &self,
        path: &ObjectPath,
        hashed: &Hashed,
        from: &Source<'_>,
    ) -> Result<bool, Fault> {
        if self.is_young(path).await? {
            return Ok(true);
        }
        tracing::debug!(%path, "a blob is old: dated anew");
        self.refresh(path, hashed, from).await?;
        while self.is_condemned(&hashed.content.digest).await? {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.has(path, hashed.content.size).await
    }

    pub(crate) async fn is_young(&self, path: &ObjectPath) -> Result<bool, Fault> {
        if let Some(file) = self.objects.file(path) {
            let written = std::fs::metadata(file).and_then(|found| found.modified());
            let age = written.map(|written| SystemTime::now().duration_since(written));
            return Ok(matches!(age, Ok(Ok(age)) if age < REFRESHED_AFTER));
        }
        let Some(meta) = self.objects.head(path).await? else {
            return Ok(false);
        };
        // What is to come is as good as a clock that is wrong.
        let age = self.age(meta.modified).await?;
        Ok(age.is_some_and(|age| age < REFRESHED_AFTER))
    }

    /// Dates a blob anew.
    async fn refresh(
        &self,
        path: &ObjectPath,
        hashed: &Hashed,
        from: &Source<'_>,
    ) -> Result<(), Fault> {
        if let Some(file) = self.objects.file(path) {
            let now = FileTimes::new().set_modified(SystemTime::now());
            let dated = File::open(&file).and_then(|file| file.set_times(now));
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
        if self.is_local() {
            return match from {
                Source::Bytes(bytes) => self.objects.create(path, bytes).await.map(drop),
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
    let hashed = hash(&mut from, |bytes| spool.as_file_mut().write_all(bytes))?;
    Ok((spool.into_temp_path(), hashed))
}

async fn hash_file(file: &File) -> std::io::Result<Hashed> {
    let mut file = file.try_clone()?;
    let hashing = tokio::task::spawn_blocking(move || hash(&mut file, |_| Ok(())));
    hashing.await?
}

fn hash(
    from: &mut File,
    mut also: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<Hashed> {
    let mut hasher = BlobHasher::default();
    let mut buffers = [vec![0; READ_BYTES], vec![0; READ_BYTES]];
    let mut length = fill(from, &mut buffers[0])?;
    while length > 0 {
        let [now, next] = &mut buffers;
        let read = hasher.update_while(&now[..length], || {
            also(&now[..length])?;
            fill(from, next)
        });
        length = read?;
        buffers.swap(0, 1);
    }
    Ok(hasher.finish())
}

/// Reads as much as there is room for, less only at the end.
fn fill(from: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
