//! `wharf:step/context`: what a step may know of its run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use super::State;
use super::bindings::wharf::step::context::{Host, Instant};
use crate::invoke::Seed;

/// What a step may know of its run.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) step_name: String,
    pub(crate) logical_time: Timestamp,
    pub(crate) partition: Option<String>,
    pub(crate) seed: Seed,
    pub(crate) cancelled: Arc<Cancelled>,
}

/// Whether the run is being cancelled, and whether the guest ever asked.
#[derive(Debug, Default)]
pub(crate) struct Cancelled {
    pub(crate) requested: AtomicBool,
    pub(crate) asked: AtomicBool,
}

impl Host for State {
    fn step_name(&mut self) -> wasmtime::Result<String> {
        Ok(self.context.step_name.clone())
    }

    fn logical_time(&mut self) -> wasmtime::Result<Instant> {
        let (seconds, nanoseconds) = floor(self.context.logical_time);
        Ok(Instant {
            seconds,
            nanoseconds,
        })
    }

    fn partition(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.context.partition.clone())
    }

    async fn seed(&mut self) -> wasmtime::Result<u64> {
        Ok(self.context.seed.get().await?)
    }

    fn is_cancelled(&mut self) -> wasmtime::Result<bool> {
        let cancelled = &self.context.cancelled;
        cancelled.asked.store(true, Ordering::Relaxed);
        Ok(cancelled.requested.load(Ordering::Relaxed))
    }
}

/// Seconds rounded down, and nanoseconds past them, also before 1970.
fn floor(time: Timestamp) -> (i64, u32) {
    let nanos = time.as_nanosecond();
    let seconds = nanos.div_euclid(1_000_000_000) as i64;
    (seconds, nanos.rem_euclid(1_000_000_000) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_round_down() {
        let time = |nanos| floor(Timestamp::from_nanosecond(nanos).unwrap());
        assert_eq!(time(1_500_000_000), (1, 500_000_000));
        assert_eq!(time(-500_000_000), (-1, 500_000_000));
    }
}
