//! Hashes inputs beside the guest.
//!
//! Small inputs are hashed at once, which is faster than to start a thread.
//! Others are hashed by threads of their own, one for each core at most, that
//! stop when the run ends early.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use wharf_model::digest::Hasher;
use wharf_model::{Digest, Fault};

/// Bytes that are hashed without a thread: about 0.1 ms.
const SMALL_BYTES: u64 = 256 << 10;
/// Bytes read at a time: past this, larger is not faster.
const CHUNK: usize = 512 << 10;

/// A digest that is computed, or will be. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Pending(watch::Receiver<Option<Result<Digest, Fault>>>);

impl Pending {
    /// Waits for the digest.
    pub(crate) async fn get(&self) -> Result<Digest, Fault> {
        let mut receiver = self.0.clone();
        match receiver.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or_else(|| Err(stopped())),
            Err(_) => Err(stopped()),
        }
    }

    /// The digest, where it is there already.
    pub(crate) fn now(&self) -> Option<Digest> {
        self.0.borrow().as_ref()?.as_ref().ok().copied()
    }
}

fn stopped() -> Fault {
    Fault::internal("an input was not hashed")
}

/// Something that can be hashed.
pub(crate) trait Digestible: Send + Sync {
    /// Its size in bytes, to tell small from large.
    fn bytes(&self) -> u64;

    /// Computes its digest, unless it is told to stop.
    fn digest(&self, stop: &Stop) -> Result<Digest, Fault>;
}

/// Says whether hashing is still wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Hashes what `read` gives, chunk by chunk, until it gives nothing more.
    pub(crate) fn hash(
        &self,
        mut read: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
    ) -> io::Result<(Digest, u64)> {
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; CHUNK];
        let mut offset = 0;
        while !self.0.load(Ordering::Relaxed) {
            match read(offset, &mut buffer)? {
                0 => return Ok((hasher.finish(), offset)),
                bytes => {
                    hasher.update(&buffer[..bytes]);
                    offset += bytes as u64;
                }
            }
        }
        Err(io::Error::other(
            "the run ended before the input was hashed",
        ))
    }
}

struct Job {
    what: Arc<dyn Digestible>,
    done: watch::Sender<Option<Result<Digest, Fault>>>,
}

/// The threads that hash a run's inputs.
#[derive(Default)]
pub(crate) struct Digester {
    queue: Arc<Mutex<VecDeque<Job>>>,
    stop: Stop,
}

impl Digester {
    /// Hashes something: now where it is small, else once [`Self::start`] is
    /// called.
    pub(crate) fn add(&mut self, what: Arc<dyn Digestible>) -> Pending {
        let (done, pending) = watch::channel(None);
        if what.bytes() <= SMALL_BYTES {
            let _ = done.send(Some(what.digest(&self.stop)));
        } else {
            lock(&self.queue).push_back(Job { what, done });
        }
        Pending(pending)
    }

    /// Starts the threads that are needed.
    pub(crate) fn start(&self) -> Result<(), Fault> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = lock(&self.queue).len().min(cores);
        for _ in 0..wanted {
            let (queue, stop) = (self.queue.clone(), self.stop.clone());
            let work = move || {
                while let Some(job) = next(&queue) {
                    let _ = job.done.send(Some(job.what.digest(&stop)));
                }
            };
            std::thread::Builder::new()
                .name("wharf-hash".to_owned())
                .spawn(work)
                .map_err(|error| Fault::internal(format!("cannot start a thread: {error}")))?;
        }
        Ok(())
    }
}

/// The next job; the queue is free again while it is done.
fn next(queue: &Mutex<VecDeque<Job>>) -> Option<Job> {
    lock(queue).pop_front()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Digester {
    fn drop(&mut self) {
        self.stop.0.store(true, Ordering::Relaxed);
        lock(&self.queue).clear();
        // Nobody waits for the threads: each ends after the chunk that it reads, and
        // that may be on a disk that does not answer.
    }
}
