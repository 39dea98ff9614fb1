//! The disk between two measurements.

use std::thread;
use std::time::Duration;

/// Waits until all that was written or removed before is on the disk: otherwise the
/// next one that makes something durable would wait for it.
pub(crate) fn settle() {
    // SAFETY: it has no arguments and cannot fail.
    unsafe { libc::sync() };
    thread::sleep(Duration::from_millis(100));
}
