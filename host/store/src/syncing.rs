//! Makes many files or folders durable at a time, in the way that is the faster one.
//!
//! To sync the file system is best where nobody else writes, and waits for all that
//! others have written where somebody does. To sync each, by many threads, waits for
//! nobody, but for the processor where that is busy. So where the first is slow, both
//! are measured, and the slower one is tried again from time to time. What is durable
//! is the same.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Instant;

/// Up to this many are synced one by one, unless the file system is known to be fast:
/// whoever writes little must not find out how much others have written.
const FEW: usize = 4;
/// Seconds within which to sync the file system is fast enough, so that nothing else is
/// tried.
const FAST: f64 = 0.01;
/// Threads that sync: the disk is told once to write its own cache, for all that wait
/// for that at a time.
const THREADS: usize = 32;
/// Syncs until the slower way is tried again, at first and at the most.
const PATIENCE: u32 = 8;
const MOST_PATIENCE: u32 = 256;

/// Syncs what is on a file system.
#[derive(Debug)]
pub(crate) struct Syncing {
    /// Open from before anything was written: what fails in between is told through it.
    root: File,
    pace: Pace,
}

impl Syncing {
    /// Of the file system that a folder is on.
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: File::open(root)?,
            pace: Pace::default(),
        })
    }

    /// Syncs all of them.
    pub(crate) fn sync<T: Sync>(
        &mut self,
        all: &[T],
        sync: impl Fn(&T) -> io::Result<()> + Sync,
    ) -> io::Result<()> {
        let alone = all.len() <= 1 || !self.pace.whole_is_fast();
        if all.len() <= FEW && alone {
            return all.iter().try_for_each(sync);
        }
        let way = self.pace.choose(all.len());
        let started = Instant::now();
        match way {
            Way::Whole => rustix::fs::syncfs(&self.root)?,
            Way::Each => sync_each(all, sync)?,
        }
        let took = started.elapsed().as_secs_f64();
        self.pace.measured(way, all.len(), took);
        Ok(())
    }
}

fn sync_each<T: Sync>(all: &[T], sync: impl Fn(&T) -> io::Result<()> + Sync) -> io::Result<()> {
    let sync_part = |part: &[T]| part.iter().try_for_each(&sync);
    std::thread::scope(|scope| {
        let start = |part| {
            let thread = std::thread::Builder::new().name("wharf-sync".to_owned());
            let started = thread.spawn_scoped(scope, move || sync_part(part));
            started.map_err(|_| part)
        };
        let parts = all.chunks(all.len().div_ceil(THREADS));
        let parts: Vec<_> = parts.map(start).collect();
        let synced = parts.into_iter().map(|started| match started {
            Ok(thread) => thread
                .join()
                .map_err(|_| io::Error::other("a thread that syncs panicked"))?,
            // There may be no more threads.
            Err(part) => sync_part(part),
        });
        synced.collect()
    })
}

/// A way to sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The file system.
    Whole,
    /// Each of them.
    Each,
}

/// How fast both ways were lately.
#[derive(Debug)]
struct Pace {
    /// Seconds to sync the file system.
    whole: Option<f64>,
    /// Seconds to sync each, for one.
    each: Option<f64>,
    /// Syncs since the slower way was tried.
    since: u32,
    patience: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            whole: None,
            each: None,
            since: 0,
            patience: PATIENCE,
        }
    }
}

impl Pace {
    /// Whether the file system was synced lately, and fast.
    fn whole_is_fast(&self) -> bool {
        self.whole.is_some_and(|seconds| seconds <= FAST)
    }

    fn choose(&mut self, count: usize) -> Way {
        let Some(whole) = self.whole.filter(|seconds| *seconds > FAST) else {
            return Way::Whole;
        };
        let Some(each) = self.each else {
            return Way::Each;
        };
        self.since += 1;
        let whole_is_faster = whole <= each * count as f64;
        let try_other = self.since > self.patience;
        if try_other {
            self.since = 0;
            self.patience = (self.patience * 2).min(MOST_PATIENCE);
        }
        match whole_is_faster != try_other {
            true => Way::Whole,
            false => Way::Each,
        }
    }

    fn measured(&mut self, way: Way, count: usize, seconds: f64) {
        let was_faster = self.faster(count);
        let (known, now) = match way {
            Way::Whole => (&mut self.whole, seconds),
            Way::Each => (&mut self.each, seconds / count as f64),
        };
        // It is slow for a moment more often than it is fast for one.
        *known = Some(known.map_or(now, |before| now.min(f64::midpoint(before, now))));
        if self.faster(count) != was_faster {
            // Something has changed, and may change again.
            self.patience = PATIENCE;
        }
    }

    fn faster(&self, count: usize) -> Option<Way> {
        let whole_is_faster = self.whole? <= self.each? * count as f64;
        Some(if whole_is_faster {
            Way::Whole
        } else {
            Way::Each
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many syncs of 100 files, how many were of the file system.
    fn whole_of(pace: &mut Pace, syncs: usize, whole: f64, each: f64) -> usize {
        let mut chosen = 0;
        for _ in 0..syncs {
            let way = pace.choose(100);
            let took = match way {
                Way::Whole => whole,
                Way::Each => each * 100.0,
            };
            pace.measured(way, 100, took);
            chosen += usize::from(way == Way::Whole);
        }
        chosen
    }

    #[test]
    fn the_faster_way_is_taken_and_the_other_one_not_forgotten() {
        let mut pace = Pace::default();
        let (whole, each) = (2.0 * FAST, 0.001);
        assert!((90..100).contains(&whole_of(&mut pace, 100, whole, each)));
        // Somebody else writes.
        whole_of(&mut pace, 4, 3.0, each);
        assert!((1..20).contains(&whole_of(&mut pace, 200, 3.0, each)));
        // No longer.
        whole_of(&mut pace, MOST_PATIENCE as usize, whole, each);
        assert!(whole_of(&mut pace, 100, whole, each) >= 90);
    }

    #[test]
    fn what_is_fast_is_not_compared() {
        let mut pace = Pace::default();
        assert_eq!(whole_of(&mut pace, 100, FAST, 0.0), 100);
    }

    #[test]
    fn both_ways_sync_and_tell_of_failures() {
        let folder = tempfile::tempdir().unwrap();
        let mut syncing = Syncing::new(folder.path()).unwrap();
        for count in [0, 1, FEW + 1, 100, 100, 1000] {
            let files: Vec<File> = (0..count).map(|_| tempfile::tempfile().unwrap()).collect();
            syncing.sync(&files, File::sync_all).unwrap();
        }
        let failed = sync_each(&[1, 2, 3], |number| match number {
            3 => Err(io::Error::other("no")),
            _ => Ok(()),
        });
        assert!(failed.is_err());
    }
}
