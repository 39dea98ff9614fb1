//! The threads on which large blobs go to stores that are elsewhere, and come from
//! there.
//!
//! To encrypt and to sign what is sent takes as long as to send it, so that one thread,
//! which is what a command has, would be what a transfer waits for.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};
use wharf_model::Fault;

/// Started when something is first sent or fetched, and there until the process ends:
/// they serve the connections that are opened on them, which outlive what opened them.
static THREADS: Mutex<Option<&'static Runtime>> = Mutex::new(None);

/// Most threads: more than that are not faster than the line.
const MOST_THREADS: usize = 4;

/// Where transfers run.
pub(crate) fn threads() -> Result<&'static Handle, Fault> {
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = *threads {
        return Ok(runtime.handle());
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = Builder::new_multi_thread()
        .worker_threads(cores.min(MOST_THREADS))
        .thread_name("wharf-transfer")
        .enable_all()
        .build();
    let runtime = runtime
        .map_err(|error| Fault::internal(format!("cannot start threads for transfers: {error}")))?;
    Ok(threads.insert(Box::leak(Box::new(runtime))).handle())
}
