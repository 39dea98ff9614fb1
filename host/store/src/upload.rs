//! Uploads: a file of this machine becomes an object, in parts where it is large.
//!
//! What is sent is hashed on the way, again as it was when its name was found: the
//! chunks of what is large, which takes less time than the whole. An object whose bytes
//! would be others is not completed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt};
use tokio::task::JoinSet;
use wharf_model::Fault;
use wharf_model::digest::Hasher;

use crate::chunks::{ChunkHasher, Hashed};
use crate::transfers;

/// Up to this size, one request is faster than several.
pub(crate) const WHOLE_BYTES: u64 = 16 << 20;
/// Bytes of a part. Services take 10,000 parts at most, of 5 MiB at least.
const PART_BYTES: u64 = 8 << 20;
const MAX_PARTS: u64 = 10_000;
/// Parts on their way at a time.
const AT_A_TIME: usize = 8;

/// Why an upload came to nothing.
#[derive(Debug)]
pub(crate) enum UploadError {
    /// The bytes are not those that were meant.
    Changed,
    Store(Error),
    Host(Fault),
}

impl From<Error> for UploadError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// Uploads a file whole, or not at all.
pub(crate) async fn upload(
    to: &dyn ObjectStore,
    path: &ObjectPath,
    file: &File,
    hashed: &Hashed,
) -> Result<(), UploadError> {
    let size = hashed.content.size;
    let mut reading = HashedFile {
        file: Arc::new(file.try_clone().map_err(unread)?),
        hasher: Check::new(hashed),
        buffers: Buffers::default(),
    };
    if size <= WHOLE_BYTES {
        let bytes = reading.read(0, size).await?;
        reading.check(hashed)?;
        to.put(path, bytes.into()).await?;
        return Ok(());
    }
    let mut upload = to.put_multipart(path).await?;
    let sent = parts(&mut *upload, &mut reading, size).await;
    let checked = sent.and_then(|()| reading.check(hashed));
    let uploaded = match checked {
        Ok(()) => upload.complete().await.map(drop).map_err(UploadError::from),
        Err(error) => Err(error),
    };
    if uploaded.is_err() {
        // What cannot be taken back either is for the bucket's own rules to clear.
        let _ = upload.abort().await;
    }
    uploaded
}

async fn parts(
    upload: &mut dyn MultipartUpload,
    file: &mut HashedFile,
    size: u64,
) -> Result<(), UploadError> {
    // By tasks of their own: they go on while the next one is read.
    let mut on_their_way = JoinSet::new();
    let sent = send(upload, file, size, &mut on_their_way).await;
    // Nothing is sent any more when the upload is taken back.
    on_their_way.shutdown().await;
    sent
}

async fn send(
    upload: &mut dyn MultipartUpload,
    file: &mut HashedFile,
    size: u64,
    on_their_way: &mut JoinSet<object_store::Result<()>>,
) -> Result<(), UploadError> {
    let part = part_bytes(size);
    let threads = transfers::threads().map_err(UploadError::Host)?;
    for offset in (0..size).step_by(part as usize) {
        if on_their_way.len() >= AT_A_TIME {
            check(on_their_way.join_next().await)?;
        }
        let bytes = file.read(offset, part.min(size - offset)).await?;
        on_their_way.spawn_on(upload.put_part(bytes.into()), threads);
    }
    while !on_their_way.is_empty() {
        check(on_their_way.join_next().await)?;
    }
    Ok(())
}

type Ended = Result<object_store::Result<()>, tokio::task::JoinError>;

fn check(ended: Option<Ended>) -> Result<(), UploadError> {
    match ended {
        Some(ended) => Ok(ended.map_err(Error::from)??),
        None => Ok(()),
    }
}

fn part_bytes(size: u64) -> u64 {
    PART_BYTES.max(size.div_ceil(MAX_PARTS))
}

/// Hashes what is sent.
enum Check {
    Whole(Hasher),
    Chunks(Box<ChunkHasher>),
}

impl Check {
    fn new(hashed: &Hashed) -> Self {
        match hashed.chunks {
            Some(_) => Self::Chunks(Box::default()),
            None => Self::Whole(Hasher::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Whole(hasher) => hasher.update(bytes),
            Self::Chunks(hasher) => hasher.update(bytes),
        }
    }

    fn fits(self, hashed: &Hashed) -> bool {
        match self {
            Self::Whole(hasher) => hasher.finish() == hashed.content.digest,
            Self::Chunks(hasher) => hasher.finish() == hashed.chunks,
        }
    }
}

/// A file that is hashed while it is read, from the first byte to the last.
struct HashedFile {
    file: Arc<File>,
    hasher: Check,
    buffers: Buffers,
}

impl HashedFile {
    async fn read(&mut self, offset: u64, size: u64) -> Result<Bytes, UploadError> {
        let (file, mut hasher) = (
            self.file.clone(),
            std::mem::replace(&mut self.hasher, Check::Whole(Hasher::new())),
        );
        let mut buffer = self.buffers.take();
        let read = move || {
            buffer.bytes.resize(size as usize, 0);
            file.read_exact_at(&mut buffer.bytes, offset).map(|()| {
                hasher.update(&buffer.bytes);
                (Bytes::from_owner(buffer), hasher)
            })
        };
        let read = tokio::task::spawn_blocking(read).await;
        let (bytes, hasher) = read.map_err(Error::from)?.map_err(unread)?;
        self.hasher = hasher;
        Ok(bytes)
    }

    fn check(self, hashed: &Hashed) -> Result<(), UploadError> {
        match self.hasher.fits(hashed) {
            true => Ok(()),
            false => Err(UploadError::Changed),
        }
    }
}

/// Memory for parts, which the next one has when one is sent: to be given new memory
/// takes the kernel as long as to read into it.
#[derive(Clone, Default)]
struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    fn take(&self) -> Buffer {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Buffer {
            bytes: idle.pop().unwrap_or_default(),
            home: self.clone(),
        }
    }
}

/// One of them, which goes back when it is dropped.
struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(std::mem::take(&mut self.bytes));
    }
}

/// A file that became shorter was changed.
fn unread(error: std::io::Error) -> UploadError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => UploadError::Changed,
        _ => UploadError::Store(Error::Generic {
            store: "file",
            source: Box::new(error),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunks::BlobHasher;
    use object_store::memory::InMemory;
    use std::io::Write;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn hashed_as(bytes: &[u8]) -> Hashed {
        let mut hasher = BlobHasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn no_file_has_too_many_parts() {
        assert_eq!(part_bytes(WHOLE_BYTES + 1), PART_BYTES);
        let tebibyte = 1 << 40;
        assert!(tebibyte / part_bytes(tebibyte) <= MAX_PARTS);
    }

    #[tokio::test]
    async fn what_was_changed_does_not_appear() {
        for size in [5, WHOLE_BYTES as usize + 5] {
            let bytes = vec![7; size];
            let (store, path) = (InMemory::new(), ObjectPath::from("blob"));
            let hashed = hashed_as(&bytes);
            let mut longer = hashed.clone();
            longer.content.size += 1;
            let other = hashed_as(&vec![8; size]);
            for wrong in [other, longer] {
                let error = upload(&store, &path, &file(&bytes), &wrong)
                    .await
                    .unwrap_err();
                assert!(matches!(error, UploadError::Changed), "{error:?}");
                assert!(store.head(&path).await.is_err());
            }
            upload(&store, &path, &file(&bytes), &hashed).await.unwrap();
            let found = store.get(&path).await.unwrap().bytes().await.unwrap();
            assert!(found == bytes);
        }
    }
}
