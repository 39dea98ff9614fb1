//! Uploads: a file of this machine becomes an object, in parts where it is large.
//!
//! What is sent is hashed on the way. An object whose bytes would not be those that
//! its name says is not completed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt};
use wharf_model::digest::Hasher;
use wharf_model::{Content, Digest};

/// Up to this size, one request is faster than several.
pub(crate) const WHOLE_BYTES: u64 = 16 << 20;
/// Bytes of a part. Services take 10,000 parts at most, of 5 MiB at least.
const PART_BYTES: u64 = 16 << 20;
const MAX_PARTS: u64 = 10_000;
/// Parts on their way at a time.
const AT_A_TIME: usize = 4;

/// Why an upload came to nothing.
#[derive(Debug)]
pub(crate) enum UploadError {
    /// The bytes are not those that were meant.
    Changed,
    Store(Error),
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
    content: &Content,
) -> Result<(), UploadError> {
    let mut hashed = HashedFile {
        file: Arc::new(file.try_clone().map_err(unread)?),
        hasher: Hasher::new(),
    };
    if content.size <= WHOLE_BYTES {
        let bytes = hashed.read(0, content.size).await?;
        hashed.check(&content.digest)?;
        to.put(path, bytes.into()).await?;
        return Ok(());
    }
    let mut upload = to.put_multipart(path).await?;
    let sent = parts(&mut *upload, &mut hashed, content.size).await;
    let checked = sent.and_then(|()| hashed.check(&content.digest));
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
    let part = part_bytes(size);
    let mut on_their_way = FuturesUnordered::new();
    for offset in (0..size).step_by(part as usize) {
        if on_their_way.len() >= AT_A_TIME {
            on_their_way.next().await.transpose()?;
        }
        let bytes = file.read(offset, part.min(size - offset)).await?;
        on_their_way.push(upload.put_part(bytes.into()));
    }
    Ok(on_their_way.try_collect::<()>().await?)
}

fn part_bytes(size: u64) -> u64 {
    PART_BYTES.max(size.div_ceil(MAX_PARTS))
}

/// A file that is hashed while it is read, from the first byte to the last.
struct HashedFile {
    file: Arc<File>,
    hasher: Hasher,
}

impl HashedFile {
    async fn read(&mut self, offset: u64, size: u64) -> Result<Bytes, UploadError> {
        let (file, mut hasher) = (self.file.clone(), std::mem::take(&mut self.hasher));
        let read = move || {
            let mut bytes = vec![0; size as usize];
            file.read_exact_at(&mut bytes, offset).map(|()| {
                hasher.update(&bytes);
                (bytes, hasher)
            })
        };
        let read = tokio::task::spawn_blocking(read).await;
        let (bytes, hasher) = read.map_err(Error::from)?.map_err(unread)?;
        self.hasher = hasher;
        Ok(bytes.into())
    }

    fn check(self, digest: &Digest) -> Result<(), UploadError> {
        match self.hasher.finish() == *digest {
            true => Ok(()),
            false => Err(UploadError::Changed),
        }
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
    use object_store::memory::InMemory;
    use std::io::Write;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
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
            let other = Content {
                digest: Digest::of(b"other"),
                ..Content::of(&bytes)
            };
            let longer = Content {
                size: size as u64 + 1,
                ..Content::of(&bytes)
            };
            for wrong in [other, longer] {
                let error = upload(&store, &path, &file(&bytes), &wrong)
                    .await
                    .unwrap_err();
                assert!(matches!(error, UploadError::Changed), "{error:?}");
                assert!(store.head(&path).await.is_err());
            }
            upload(&store, &path, &file(&bytes), &Content::of(&bytes))
                .await
                .unwrap();
            let found = store.get(&path).await.unwrap().bytes().await.unwrap();
            assert!(found == bytes);
        }
    }
}
