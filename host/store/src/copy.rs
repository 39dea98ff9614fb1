//! Copies artifacts from one store to another: blob by blob, each checked on its way
//! and left out where it is there already, so that a copy that was interrupted goes
//! on where it was.

use std::io::Write;

use serde::Serialize;
use wharf_model::artifact::{Origin, Version};
use wharf_model::{Content, ErrorKind, Fault};

use crate::Store;
use crate::artifacts::{Author, NewVersion};
use crate::blobs::{self, Spooled};
use crate::chunks::BlobHasher;
use crate::reader::{BlobReader, fault_of};

/// Bytes that are copied at a time.
const PART_BYTES: u64 = 8 << 20;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Copied {
    /// Blobs that were copied.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that were there already.
    pub skipped: u64,
    /// Their bytes.
    pub skipped_bytes: u64,
}

impl Store {
    /// Copies a version of an artifact into this store, where it becomes a version
    /// of its own. `told` is called with the bytes that are done.
    ///
    /// # Errors
    /// Where one of the stores fails, or the other one's bytes are damaged.
    pub async fn copy_version(
        &self,
        from: &Store,
        version: &Version,
        author: &Author,
        told: impl Fn(u64),
    ) -> Result<(Version, Copied), Fault> {
        let copied = self.copy_content(from, &version.content, &told).await?;
        let new = NewVersion {
            name: version.name.clone(),
            content: version.content,
            media_type: version.media_type.clone(),
            metadata: version.metadata.clone(),
            origin: Origin::Copy {
                store: from.place().to_owned(),
                number: version.number,
                origin: Box::new(version.origin.clone()),
            },
        };
        Ok((self.add_version(&new, author).await?, copied))
    }

    /// Copies what an artifact is made of.
    ///
    /// # Errors
    /// As [`Self::copy_version`].
    pub async fn copy_content(
        &self,
        from: &Store,
        content: &Content,
        told: &impl Fn(u64),
    ) -> Result<Copied, Fault> {
        let mut copied = Copied::default();
        if content.is_tree() {
            for file in from.tree(content).await? {
                self.copy_blob(from, &file.content(), &mut copied, told)
                    .await?;
            }
            let listing = from.read_digest(&content.digest).await?;
            let listing = Content::of(&listing);
            self.copy_blob(from, &listing, &mut copied, &|_| {}).await?;
        } else {
            self.copy_blob(from, content, &mut copied, told).await?;
        }
        Ok(copied)
    }

    async fn copy_blob(
        &self,
        from: &Store,
        content: &Content,
        copied: &mut Copied,
        told: &impl Fn(u64),
    ) -> Result<(), Fault> {
        if self.is_kept_whole(content).await? {
            copied.skipped += 1;
            copied.skipped_bytes += content.size;
            told(content.size);
            return Ok(());
        }
        let reader = from.open_blob(content).await?;
        let mut spool = self.spool()?;
        let mut hasher = BlobHasher::default();
        let mut offset = 0;
        while offset < content.size {
            let bytes = part(&reader, offset).await?;
            hasher.update(&bytes);
            let written = spool.write_all(&bytes);
            written.map_err(|error| Fault::io("write", spool.path(), &error))?;
            offset += bytes.len() as u64;
            told(bytes.len() as u64);
        }
        let hashed = hasher.finish();
        if hashed.content.digest != content.digest {
            return Err(from.missing(&content.digest));
        }
        // What is there was not kept: it may be damaged.
        let to = self.clone().mending();
        to.put_spooled(Spooled::File(spool.into_temp_path()), &hashed)
            .await?;
        copied.blobs += 1;
        copied.bytes += content.size;
        Ok(())
    }

    /// Whether a blob is there, with the list of its chunks, is what it should be, and
    /// will stay. It is read: to copy an artifact again is how it is mended.
    async fn is_kept_whole(&self, content: &Content) -> Result<bool, Fault> {
        if let Some(chunks) = content.chunks {
            let list = self.objects.head(&blobs::path(&chunks)).await?;
            let Some(list) = list else { return Ok(false) };
            let list = Content {
                digest: chunks,
                size: list.size,
                files: None,
                chunks: None,
            };
            if !self.is_kept(&list).await? {
                return Ok(false);
            }
        }
        self.is_kept(content).await
    }
}

async fn part(reader: &BlobReader, offset: u64) -> Result<Vec<u8>, Fault> {
    let length = PART_BYTES.min(reader.size() - offset);
    reader.fetch(offset, length).await?;
    let mut bytes = vec![0; length as usize];
    let read = reader.read_at(offset, &mut bytes);
    match read.map_err(|error| fault_of(&error))? as u64 == length {
        true => Ok(bytes),
        false => Err(Fault::new(ErrorKind::Io, "a blob ends before its size")),
    }
}
