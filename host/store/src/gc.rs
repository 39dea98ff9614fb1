//! Garbage collection: removes blobs that nothing names, beside running pipelines.
//!
//! A pipeline writes blobs, and then the commit that names them. A blob that is not
//! named yet is young; the collector has patience. But a pipeline may also find that
//! a blob which it is about to write is there already, old and unnamed, and rely on
//! it just when it is removed. So:
//!
//! - The collector lists all blobs, then reads all records, then writes down which
//!   blobs it condemns (`gc/<id>.json`), then waits for [`PAUSE`], then looks at each
//!   once more, removes it if it is as it was in the listing, and at last removes what
//!   it wrote down.
//! - Whoever relies on an old blob dates it anew first, then waits until no list
//!   condemns it, then makes sure that it is there.
//! - Whoever writes a blob that is not there waits first until no list condemns it.
//!
//! If the list was written after somebody looked for it, the blob was dated anew
//! before that, and the collector sees it. If it was written before, they wait until
//! the collector is done, and write the blob where it is gone. They write it only then,
//! since a removal whose answer was lost is repeated, and the second one would remove
//! what was written after the first. Where the list was written after they looked, its
//! collector finds no blob, or a new one, and sends no removal at all.
//!
//! Who writes thousands of blobs does not look for lists each time: that there was none
//! is remembered for [`REMEMBERED`], which is shorter than the pause. A list that is
//! missed so was written after somebody looked, which was less than [`REMEMBERED`] before
//! they relied on it; its collector looks at the first blob [`PAUSE`] after it has
//! written the list, and so after they have dated theirs, or found that it is not there.
//!
//! Whoever waits does so by their own clock, and no longer than a collector can run: it
//! stops removing after [`REMOVES_FOR`], and the last request takes some minutes at
//! most. What it left behind the next collector removes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use serde::{Deserialize, Serialize};
use wharf_model::{Digest, ErrorKind, Fault};

use crate::Store;
use crate::blobs::{self, BLOBS, REFRESHED_AFTER};
use crate::cache::remove_any;
use crate::clock::CLOCK;
use crate::objects::Meta;
use crate::records::Kept;
use crate::trees::for_each;

/// Where lists of condemned blobs are.
pub(crate) const GC: &str = "gc";
/// The version of the format of a list.
const FORMAT: &str = "wharf.gc/1";

/// Blobs that are younger are not collected, unless somebody says otherwise.
pub const DEFAULT_PATIENCE: Duration = LEAST_PATIENCE;

/// The least patience beside running pipelines. Nothing names a blob until the step that
/// uses it is committed: what a run writes, or finds younger than an hour,
/// must be named within the rest of this, with all waiting and all attempts.
pub const LEAST_PATIENCE: Duration = Duration::from_secs(24 * 3600);
const _: () = assert!(LEAST_PATIENCE.as_secs() >= 2 * REFRESHED_AFTER.as_secs());

/// How long a collector removes what one list condemns; then it stops.
const REMOVES_FOR: Duration = Duration::from_secs(300);
/// How long a collector may be at work from when its list is seen.
const WAITED_FOR: Duration = Duration::from_secs(2 * REMOVES_FOR.as_secs());

/// How long a collector waits before it removes anything, so that everybody who may rely
/// on having found no list has found this one.
const PAUSE: Duration = Duration::from_secs(5);
/// How long it is remembered that there was no list.
const REMEMBERED: Duration = Duration::from_secs(2);
/// How often somebody who waits looks again.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Blobs that one list condemns: as many as can be removed in a part of that time.
const CONDEMNED_AT_ONCE: usize = 10_000;

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

/// What a process knows of collectors.
#[derive(Debug, Default)]
pub(crate) struct Collectors {
    /// When there was no list: by the clock that nobody sets, and by the one that goes
    /// on while the machine sleeps.
    none: Mutex<Option<(Instant, SystemTime)>>,
    /// Lists that were read; they never change.
    lists: Mutex<BTreeMap<ObjectPath, Arc<Seen>>>,
}

/// A list that was read.
#[derive(Debug)]
pub(crate) struct Seen {
    digests: BTreeSet<Digest>,
    since: Instant,
    is_told: AtomicBool,
}

impl Collectors {
    fn are_none(&self) -> bool {
        let none = self.none.lock().unwrap_or_else(PoisonError::into_inner);
        none.is_some_and(|(instant, time)| {
            let slept = time.elapsed();
            instant.elapsed() < REMEMBERED && slept.is_ok_and(|slept| slept < REMEMBERED)
        })
    }

    fn found_none(&self, when: (Instant, SystemTime)) {
        *self.none.lock().unwrap_or_else(PoisonError::into_inner) = Some(when);
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that are waited for no longer are kept, so that they are not again.
        lists.retain(|_, seen| seen.since.elapsed() >= WAITED_FOR);
    }

    pub(crate) fn seen(&self, path: &ObjectPath) -> Option<Arc<Seen>> {
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.get(path).cloned()
    }

    fn add(&self, path: &ObjectPath, digests: BTreeSet<Digest>) -> Arc<Seen> {
        let seen = || {
            Arc::new(Seen {
                digests,
                since: Instant::now(),
                is_told: AtomicBool::new(false),
            })
        };
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.entry(path.clone()).or_insert_with(seen).clone()
    }
}

impl Store {
    /// Removes blobs that nothing names and that were written longer ago than
    /// `patience`; with `dry`, only says which that would be. With less than
    /// [`LEAST_PATIENCE`], nothing else may use the store.
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
            let is_alone = patience < LEAST_PATIENCE;
            let pause = if is_alone { Duration::ZERO } else { PAUSE };
            garbage = self.remove_all(garbage, pause).await?;
            self.remove_stale(is_alone).await?;
            self.remove_abandoned();
        }
        collected.removed = garbage.len() as u64;
        collected.removed_bytes = garbage.iter().map(|(_, meta)| meta.size).sum();
        Ok(collected)
    }

    /// Removes blobs that are still as they were listed; gives those.
    async fn remove_all(
        &self,
        garbage: Vec<(Digest, Meta)>,
        pause: Duration,
    ) -> Result<Vec<(Digest, Meta)>, Fault> {
        let mut removed = Vec::new();
        for some in garbage.chunks(CONDEMNED_AT_ONCE) {
            let list = ObjectPath::from(format!("{GC}/{}.json", uuid::Uuid::new_v4()));
            let condemned = Condemned {
                format: FORMAT.to_owned(),
                digests: some.iter().map(|(digest, _)| *digest).collect(),
            };
            let started = Instant::now();
            self.create_only_record(&list, &condemned).await?;
            tokio::time::sleep(pause).await;
            let done = self.remove_condemned(some, started).await;
            // Also where that failed: what is left is as it was.
            self.objects.remove(&list).await?;
            removed.extend(done?);
        }
        Ok(removed)
    }

    async fn remove_condemned(
        &self,
        some: &[(Digest, Meta)],
        started: Instant,
    ) -> Result<Vec<(Digest, Meta)>, Fault> {
        let removed = Mutex::new(Vec::new());
        let remove = |(digest, meta): &(Digest, Meta)| {
            let (digest, meta, removed) = (*digest, meta.clone(), &removed);
            async move {
                let is_late = started.elapsed() >= REMOVES_FOR;
                if is_late || self.objects.head(&meta.path).await?.as_ref() != Some(&meta) {
                    return Ok(());
                }
                self.objects.remove(&meta.path).await?;
                let removed = removed.lock();
                let mut removed = removed.unwrap_or_else(PoisonError::into_inner);
                removed.push((digest, meta));
                Ok(())
            }
        };
        for_each(some, remove).await?;
        let removed = removed.into_inner();
        Ok(removed.unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits while a collector may be about to remove a blob; says whether that was so.
    pub(crate) async fn waits_for_collectors(&self, digest: &Digest) -> Result<bool, Fault> {
        let mut waited = false;
        while self.is_condemned(digest).await? {
            waited = true;
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(waited)
    }

    /// Whether a collector may be about to remove a blob.
    async fn is_condemned(&self, digest: &Digest) -> Result<bool, Fault> {
        if self.collectors.are_none() {
            return Ok(false);
        }
        let asked = (Instant::now(), SystemTime::now());
        let lists: Vec<Meta> = self.objects.list(GC)?.try_collect().await?;
        let mut are_none = true;
        for list in lists {
            let age = self.age(list.modified).await?.unwrap_or_default();
            if age > WAITED_FOR {
                continue;
            }
            let seen = match self.collectors.seen(&list.path) {
                Some(seen) => seen,
                None => match self.read_record::<Condemned>(&list.path).await? {
                    Some(condemned) => self.collectors.add(&list.path, condemned.digests),
                    None => continue,
                },
            };
            if seen.since.elapsed() >= WAITED_FOR {
                continue;
            }
            are_none = false;
            if seen.digests.contains(digest) {
                if !seen.is_told.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        list = %list.path,
                        "garbage is being collected: waiting for that, for {} minutes at most",
                        WAITED_FOR.as_secs() / 60
                    );
                }
                return Ok(true);
            }
        }
        if are_none {
            self.collectors.found_none(asked);
        }
        Ok(false)
    }

    /// Removes what collectors, and who asked for the time, have left behind. A date that
    /// is to come is of a clock that was wrong.
    async fn remove_stale(&self, is_alone: bool) -> Result<(), Fault> {
        let now = self.now().await?;
        for prefix in [GC, CLOCK] {
            let listed: Vec<Meta> = self.objects.list(prefix)?.try_collect().await?;
            for meta in listed {
                let age = now.duration_since(meta.modified).unsigned_abs();
                if is_alone || age > WAITED_FOR {
                    self.objects.remove(&meta.path).await?;
                }
            }
        }
        Ok(())
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
            "blobs that were written in the last 24 hours may belong to a pipeline that runs",
        )
        .hint("collect with more patience, or add --alone where nothing else uses the store")),
    }
}

/// The digest that a path of a blob names.
fn digest_of(path: &ObjectPath) -> Option<Digest> {
    let digest = format!("sha256:{}", path.filename()?).parse().ok()?;
    (blobs::path(&digest) == *path).then_some(digest)
}

/// A list that condemns these, for tests.
#[cfg(test)]
pub(crate) fn condemned<const COUNT: usize>(digests: [Digest; COUNT]) -> impl Kept {
    Condemned {
        format: FORMAT.to_owned(),
        digests: digests.into(),
    }
}
