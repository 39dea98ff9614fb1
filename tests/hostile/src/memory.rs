//! Steps that take too much: of their own memory, of the host's on their behalf,
//! of the call stack, of the table of handles.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use wasip2::clocks::monotonic_clock;
use wasip2::random::random;

use crate::InputTree;
use crate::wharf::step::telemetry::{self, Level};

const MIB: usize = 1 << 20;

/// Allocates a MiB at a time, writes to it so that it is real, and keeps it.
pub fn grow() {
    loop {
        let mut block = vec![0_u8; MIB];
        block.fill(black_box(1));
        std::mem::forget(black_box(block));
    }
}

/// Never set; read from memory so that the compiler cannot know.
static STOP: AtomicBool = AtomicBool::new(false);

/// Exhausts the host's call stack. The frames use no memory of the guest, so
/// that the guest's own stack does not run out first.
pub fn recurse() {
    black_box(descend(0));
}

#[inline(never)]
fn descend(depth: u64) -> u64 {
    if STOP.load(Ordering::Relaxed) {
        return depth;
    }
    descend(depth + 1).wrapping_mul(31) ^ depth
}

/// Makes the host build one huge list of random bytes; returns their number.
pub fn random_flood(mib: u32) -> u64 {
    random::get_random_bytes(u64::from(mib) << 20).len() as u64
}

/// Makes the host take one huge string.
pub fn huge_string(mib: u32) {
    telemetry::log(Level::Info, &text(mib), &[]);
}

/// A text of that many MiB.
pub fn text(mib: u32) -> String {
    "x".repeat(mib as usize * MIB)
}

/// Opens one file a million times and drops none; returns how often it worked.
pub fn many_handles(data: &InputTree) -> Result<u64, String> {
    let entries = data.entries();
    let first = entries.first().ok_or("the tree is empty")?;
    for count in 0..1_000_000 {
        match data.open(&first.path) {
            Ok(input) => std::mem::forget(input),
            Err(error) => return Err(format!("after {count}: {error}")),
        }
    }
    Ok(1_000_000)
}

/// Handles again, of an interface that is not Wharf's.
pub fn many_pollables() {
    loop {
        std::mem::forget(monotonic_clock::subscribe_duration(1_000_000_000));
    }
}
