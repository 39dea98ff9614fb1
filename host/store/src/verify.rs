//! Verification: reads every blob that something names, and compares.

use futures::StreamExt;
use serde::Serialize;
use wharf_model::digest::Hasher;
use wharf_model::{Content, Digest, ErrorKind, Fault};

use crate::Store;
use crate::blobs;
use crate::chunks::{CHUNK_BYTES, ChunkHasher};
use crate::reach::Named;

/// Blobs that are read at a time.
const AT_A_TIME: usize = 4;
/// Bytes that are read by one request.
const PART_BYTES: u64 = 8 * CHUNK_BYTES;

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verified {
    /// Blobs that are what they should be.
    pub good: u64,
    /// Their bytes.
    pub good_bytes: u64,
    /// What is not, sorted by digest.
    pub bad: Vec<Damage>,
    /// The paths of records that are damaged. What they alone name was not looked at.
    pub bad_records: Vec<String>,
}

/// A blob that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Damage {
    /// The blob.
    pub digest: Digest,
    /// What is wrong with it.
    pub kind: DamageKind,
    /// The first record that names it.
    pub named_by: String,
}

/// What is wrong with a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DamageKind {
    /// It is not there.
    Missing,
    /// It has other bytes.
    Corrupt,
}

impl Store {
    /// Reads all blobs that something names, past every cache, and compares their
    /// digests. `told` is called with the bytes of each that was read.
    ///
    /// # Errors
    /// Where the store cannot be read, or a record is of a newer version.
    pub async fn verify(&self, told: impl Fn(u64)) -> Result<Verified, Fault> {
        let uncached = Self {
            cache: None,
            ..self.clone()
        };
        let mut bad_records = Vec::new();
        // Trees that cannot be read are found again among the blobs.
        let reachable = uncached.reachable(|path, _| {
            bad_records.push(path.to_string());
            Ok(())
        });
        let reachable = reachable.await?;
        let checks = reachable.blobs().map(|(digest, named)| {
            let uncached = &uncached;
            async move { (*digest, named, uncached.check_twice(digest, named).await) }
        });
        let mut checks = futures::stream::iter(checks).buffer_unordered(AT_A_TIME);
        bad_records.sort_unstable();
        let mut verified = Verified {
            bad_records,
            ..Verified::default()
        };
        while let Some((digest, named, checked)) = checks.next().await {
            match checked? {
                Ok(bytes) => {
                    verified.good += 1;
                    verified.good_bytes += bytes;
                    told(bytes);
                }
                Err(kind) => verified.bad.push(Damage {
                    digest,
                    kind,
                    named_by: named.by.clone(),
                }),
            }
        }
        verified.bad.sort_unstable();
        Ok(verified)
    }

    /// Checks a blob, and once more where that finds damage, which may have come
    /// about on the way.
    async fn check_twice(
        &self,
        digest: &Digest,
        named: &Named,
    ) -> Result<Result<u64, DamageKind>, Fault> {
        match self.check(digest, named).await? {
            Err(DamageKind::Corrupt) if !self.is_local() => self.check(digest, named).await,
            checked => Ok(checked),
        }
    }

    /// Checks a blob; gives its bytes where it is good.
    async fn check(
        &self,
        digest: &Digest,
        named: &Named,
    ) -> Result<Result<u64, DamageKind>, Fault> {
        let path = blobs::path(digest);
        let Some(meta) = self.objects.head(&path).await? else {
            return Ok(Err(DamageKind::Missing));
        };
        let (mut whole, mut chunks) = (Hasher::new(), ChunkHasher::default());
        let mut offset = 0;
        while offset < meta.size {
            let end = (offset + PART_BYTES).min(meta.size);
            let Some(pieces) = self.objects.read_range(&path, offset..end).await? else {
                return Ok(Err(DamageKind::Missing));
            };
            for bytes in pieces {
                whole.update(&bytes);
                chunks.update(&bytes);
            }
            offset = end;
        }
        let list = chunks.finish().map(|list| Digest::of(&list));
        let fits = whole.finish() == *digest
            && named
                .content
                .is_none_or(|content| fits(&content, meta.size, list));
        Ok(if fits {
            Ok(meta.size)
        } else {
            Err(DamageKind::Corrupt)
        })
    }
}

/// Whether a blob with this size and list of chunks is the content that is named.
fn fits(content: &Content, size: u64, list: Option<Digest>) -> bool {
    content.size == size && (content.chunks.is_none() || content.chunks == list)
}

impl Verified {
    /// The fault that says how much is damaged, where something is.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        let (missing, corrupt): (Vec<_>, Vec<_>) = self
            .bad
            .iter()
            .partition(|damage| damage.kind == DamageKind::Missing);
        let message = format!(
            "{} blobs are missing, {} are corrupt",
            missing.len(),
            corrupt.len()
        );
        if let Some(first) = self.bad_records.first() {
            let count = self.bad_records.len();
            let message = match self.bad.is_empty() {
                true => format!("{count} records are damaged, the first is `{first}`"),
                false => format!("{message}; {count} records are damaged, the first is `{first}`"),
            };
            return Some(Fault::new(ErrorKind::Corrupt, message).hint(
                "restore the records, or remove them; until then nothing is collected as garbage",
            ));
        }
        (!self.bad.is_empty()).then(|| {
            Fault::new(ErrorKind::Corrupt, message)
                .hint("bring them from another store with `wharf artifact copy`, or run the steps again with --no-cache")
        })
    }
}
