//! Steps that do not end. The host needs a way to interrupt each of them.

use std::hint::black_box;
use std::time::Duration;

use crate::wharf::step::{context, telemetry};

/// Computes forever, without a call into the host.
pub fn spin() {
    let mut count = 0_u64;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}

/// Fills 64 MiB again and again: `memory.fill` is one instruction, and a host
/// that counts or checks between instructions gets few chances.
pub fn fill() {
    let mut buffer = vec![0_u8; 64 << 20];
    let mut value = 0_u8;
    loop {
        buffer.fill(black_box(value));
        black_box(&buffer);
        value = value.wrapping_add(1);
    }
}

/// Sleeps: at once where the clock is virtual, else on the host's time.
pub fn nap(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

/// Looks as if it would behave, and does not.
pub fn stubborn() {
    context::is_cancelled();
    telemetry::log(telemetry::Level::Info, "asked", &[]);
    spin();
}

/// Behaves: asks between pieces of work whether to stop.
pub fn cooperative() -> Result<(), String> {
    let mut work = 0_u64;
    while !context::is_cancelled() {
        for _ in 0..10_000 {
            work = black_box(work.wrapping_add(1));
        }
    }
    Ok(())
}
