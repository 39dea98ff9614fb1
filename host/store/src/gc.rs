//! Garbage collection: removes blobs that nothing names, beside running pipelines.
//!
//! A pipeline writes blobs, and then the commit that names them. A blob that is not
//! named yet is young; the collector has patience. But a pipeline may also find that
//! a blob which it is about to write is there already, old and unnamed, and rely on
//! it just when it is removed. So:
//!
//! - The collector lists all blobs, then reads all records, then writes down which
//!   blobs it condemns (`gc/<id>.json`), then looks at each once more, removes it if
//!   it is as it was in the listing, and at last removes what it wrote down.
//! - Whoever relies on an old blob dates it anew first, then waits until no list
//!   condemns it, then makes sure that it is there.
//!
//! If the list was written after somebody looked for it, the blob was dated anew
//! before that, and the collector sees it. If it was written before, they wait until
//! the collector is done, and write the blob where it is gone. A collector that has
//! ended without removing its list is not waited for longer than it could have run.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use serde::{Deserialize, Serialize};
use wharf_model::{Digest, ErrorKind, Fault};

use crate::Store;
use crate::blobs::{self, BLOBS, REFRESHED_AFTER};
use crate::cache::remove_any;
use crate::objects::Meta;
use crate::records::Kept;
use crate::trees::for_each;

/// Where lists of condemned blobs are.
pub(crate) const GC: &str = "gc";
/// The version of the format of a list.
const FORMAT: &str = "wharf.gc/1";

/// Blobs that are younger are not collected, unless somebody says otherwise: longer
/// than any step takes from its first output to its commit.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// The least patience beside running pipelines: they do not date younger blobs anew.
pub const LEAST_PATIENCE: Duration = Duration::from_secs(2 * REFRESHED_AFTER.as_secs());

/// How long a collector removes; then it stops. Lists that are older than twice that
/// are of collectors that have ended.
const REMOVES_FOR: Duration = Duration::from_secs(1800);

/// Blobs that one list condemns.
const CONDEMNED_AT_ONCE: usize = 50_000;

/// What garbage collection found, and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Collected {
    /// Blobs that something names.
    pub kept: u64,
    /// Their bytes.
    pub kept_bytes: u64,
    /// Blobs that nothing names, but that are too young.
    pub young: u64,
    /// Their bytes.
    pub young_bytes: u64,
    /// Blobs that were removed, or would be.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Condemned {
    format: String,
    digests: BTreeSet<Digest>,
}

impl Kept for Condemned {
    const FORMAT: &'static str = FORMAT;
    fn format(&self) -> &str {
        &self.format
    }
}

impl Store {
    /// Removes blobs that nothing names and that were written longer ago than
    /// `patience`; with `dry`, only says which that would be.
    ///
    /// # Errors
    /// Where a record cannot be read: then nobody knows what it names, and nothing is
    /// removed.
    pub async fn collect_garbage(&self, patience: Duration, dry: bool) -> Result<Collected, Fault> {
        let now = self.now().await?;
        // Before the records are read: what is named after this was dated anew.
        let listed: Vec<Meta> = self.objects.list(BLOBS)?.try_collect().await?;
        let reachable = self.reachable(|_, fault| Err(fault)).await?;
        let mut collected = Collected::default();
        let mut garbage = Vec::new();
        for meta in listed {
            let Some(digest) = digest_of(&meta.path) else {
                continue;
            };
            let age = Duration::try_from(now.duration_since(meta.modified)).unwrap_or_default();
            if reachable.has(&digest) {
                collected.kept += 1;
                collected.kept_bytes += meta.size;
            } else if age < patience {
                collected.young += 1;
                collected.young_bytes += meta.size;
            } else {
                garbage.push((digest, meta));
            }
        }
        if !dry {
            garbage = self.remove_all(garbage).await?;
            self.remove_abandoned();
        }
        collected.removed = garbage.len() as u64;
        collected.removed_bytes = garbage.iter().map(|(_, meta)| meta.size).sum();
        Ok(collected)
    }

    /// Removes blobs that are still as they were listed; gives those.
    async fn remove_all(&self, garbage: Vec<(Digest, Meta)>) -> Result<Vec<(Digest, Meta)>, Fault> {
        let mut removed = Vec::new();
        for some in garbage.chunks(CONDEMNED_AT_ONCE) {
            let list = ObjectPath::from(format!("{GC}/{}.json", uuid::Uuid::new_v4()));
            let condemned = Condemned {
                format: FORMAT.to_owned(),
                digests: some.iter().map(|(digest, _)| *digest).collect(),
            };
            self.create_only_record(&list, &condemned).await?;
            let done = self.remove_condemned(some).await;
            // Also where that failed: what is left is as it was.
            self.objects.remove(&list).await?;
            removed.extend(done?);
        }
        Ok(removed)
    }

    async fn remove_condemned(
        &self,
        some: &[(Digest, Meta)],
    ) -> Result<Vec<(Digest, Meta)>, Fault> {
        let started = Instant::now();
        let removed = std::sync::Mutex::new(Vec::new());
        let remove = |(digest, meta): &(Digest, Meta)| {
            let (digest, meta, removed) = (*digest, meta.clone(), &removed);
            async move {
                let is_late = started.elapsed() >= REMOVES_FOR;
                if is_late || self.objects.head(&meta.path).await?.as_ref() != Some(&meta) {
                    return Ok(());
                }
                self.objects.remove(&meta.path).await?;
                let removed = removed.lock();
                let mut removed = removed.unwrap_or_else(std::sync::PoisonError::into_inner);
                removed.push((digest, meta));
                Ok(())
            }
        };
        for_each(some, remove).await?;
        let removed = removed.into_inner();
        Ok(removed.unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Whether a collector may be about to remove a blob.
    pub(crate) async fn is_condemned(&self, digest: &Digest) -> Result<bool, Fault> {
        let lists: Vec<Meta> = self.objects.list(GC)?.try_collect().await?;
        for list in lists {
            let age = self.age(list.modified).await?.unwrap_or_default();
            if age > 2 * REMOVES_FOR {
                continue;
            }
            let Some(condemned) = self.read_record::<Condemned>(&list.path).await? else {
                continue;
            };
            if condemned.digests.contains(digest) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes files of a local store that were begun a day ago and not completed.
    fn remove_abandoned(&self) {
        let Some(folder) = self.objects.folder() else {
            return;
        };
        let files = std::fs::read_dir(folder.scratch()).into_iter().flatten();
        for file in files.flatten() {
            let written = file.metadata().and_then(|found| found.modified());
            let age = written.ok().and_then(|written| written.elapsed().ok());
            if age.is_some_and(|age| age > DEFAULT_PATIENCE) {
                remove_any(&file.path());
            }
        }
    }
}

/// Refuses a patience that is not safe beside running pipelines.
///
/// # Errors
/// Where it is less than [`LEAST_PATIENCE`].
pub fn check_patience(patience: Duration) -> Result<(), Fault> {
    match patience >= LEAST_PATIENCE {
        true => Ok(()),
        false => Err(Fault::new(
            ErrorKind::CommandLine,
            "blobs that were written in the last 2 hours may belong to a pipeline that runs",
        )
        .hint("collect with more patience, or add --alone where nothing else uses the store")),
    }
}

/// The digest that a path of a blob names.
fn digest_of(path: &ObjectPath) -> Option<Digest> {
    let digest = format!("sha256:{}", path.filename()?).parse().ok()?;
    (blobs::path(&digest) == *path).then_some(digest)
}
