//! The gate through which a guest changes anything outside of itself.
//!
//! A guest that is left behind on its thread still runs for a while. Once its run
//! has ended, what it has written is removed, and it must not write on meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use wharf_model::Fault;

/// How often, and how long from one time to the next, a guest is waited for that is
/// in the middle of a change: a second in all. A disk that does not answer for
/// longer must not hold up the end of the run.
const TURNS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(1);

/// Whether a guest may still change anything. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_closed: AtomicBool,
    /// Held by whoever passes.
    passing: Mutex<()>,
}

impl Gate {
    /// Passes through, for one change.
    ///
    /// # Errors
    /// Where the run has ended. Nobody learns of it but the guest, which ends.
    pub(crate) fn pass(&self) -> Result<MutexGuard<'_, ()>, Fault> {
        let passing = self.0.passing.lock();
        let passing = passing.unwrap_or_else(PoisonError::into_inner);
        match self.0.is_closed.load(Ordering::SeqCst) {
            false => Ok(passing),
            true => Err(Fault::internal("the run has ended")),
        }
    }

    /// Lets nothing through any more, and waits for the change that is under way.
    pub(crate) fn close(&self) {
        self.0.is_closed.store(true, Ordering::SeqCst);
        for _ in 0..TURNS {
            match self.0.passing.try_lock() {
                Ok(_) | Err(TryLockError::Poisoned(_)) => return,
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            }
        }
        tracing::warn!("the guest is in the middle of a change that does not end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_gate_waits_for_the_last_one_and_lets_nobody_through() {
        let gate = Gate::default();
        let passing = gate.pass().unwrap();
        let closing = {
            let gate = gate.clone();
            std::thread::spawn(move || gate.close())
        };
        drop(passing);
        closing.join().unwrap();
        assert!(gate.pass().is_err());
    }

    /// A guest that passes again and again is stopped, too.
    #[test]
    fn a_busy_gate_is_closed() {
        let gate = Gate::default();
        let busy = {
            let gate = gate.clone();
            std::thread::spawn(move || while gate.pass().is_ok() {})
        };
        gate.close();
        busy.join().unwrap();
    }
}
