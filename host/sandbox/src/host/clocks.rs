//! `wasi:clocks`: a virtual clock, or the real one where it is granted.
//!
//! The virtual clock starts at the run's logical time. Reading it advances it
//! by a tick, so that a loop that waits for time to pass ends; a sleep advances
//! it by its length and returns at once. Of several sleeps waited for together,
//! the one that ends first comes first, as with a real clock.
//!
//! `wasi_snapshot_preview1` reads the same clock, and waits for it here.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::clocks::WasiClocksView as _;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::State;

/// What reading the virtual clock advances it by, in nanoseconds: about what a
/// call takes.
const TICK_NANOS: u64 = 1_000;

/// The clock of a run.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    Virtual(VirtualClock),
    Real,
}

/// A clock that only the guest advances. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct VirtualClock {
    start: Timestamp,
    time: Arc<Mutex<Time>>,
}

#[derive(Debug, Default)]
struct Time {
    /// Nanoseconds since the start.
    now: u64,
    /// Deadlines that are being waited for, in no order.
    waiting: Vec<u64>,
}

impl VirtualClock {
    pub(crate) fn starting_at(start: Timestamp) -> Self {
        Self {
            start,
            time: Arc::default(),
        }
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        self.time
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Nanoseconds since the start; advances by a tick.
    fn read(&self) -> u64 {
        let mut time = self.time();
        time.now = time.now.saturating_add(TICK_NANOS);
        time.now
    }

    /// Time since 1970, `elapsed` after the start; the earliest WASI can say.
    fn wall(&self, elapsed: u64) -> Duration {
        let elapsed = i128::from(elapsed);
        let nanos = self.start.as_nanosecond().saturating_add(elapsed).max(0);
        Duration::from_nanos_u128(nanos.unsigned_abs())
    }

    fn deadline(&self, at: u64) -> Deadline {
        Deadline {
            clock: self.clone(),
            at,
        }
    }
}

/// A sleep on the virtual clock.
struct Deadline {
    clock: VirtualClock,
    at: u64,
}

#[async_trait]
impl Pollable for Deadline {
    async fn ready(&mut self) {
        if self.clock.time().now >= self.at {
            return;
        }
        // Everything else that is waited for together gets a look first: the
        // clock advances only when nothing else can happen, and then to the
        // earliest deadline of all.
        let waiting = Waiting::register(&self.clock, self.at);
        loop {
            tokio::task::yield_now().await;
            let mut time = self.clock.time();
            if time.now >= self.at || time.waiting.iter().all(|other| *other >= self.at) {
                time.now = time.now.max(self.at);
                break;
            }
        }
        drop(waiting);
    }
}

/// An entry of [`Time::waiting`], which leaves with the future that made it.
struct Waiting {
    clock: VirtualClock,
    at: u64,
}

impl Waiting {
    fn register(clock: &VirtualClock, at: u64) -> Self {
        clock.time().waiting.push(at);
        Self {
            clock: clock.clone(),
            at,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut time = self.clock.time();
        if let Some(index) = time.waiting.iter().position(|at| *at == self.at) {
            time.waiting.swap_remove(index);
        }
    }
}

/// A clock of WASI.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    Wall,
    Monotonic,
}

impl State {
    /// Nanoseconds until an instant, none where it is past. Does not count as
    /// reading the clock.
    pub(super) fn nanos_until(&mut self, which: Which, instant: u64) -> wasmtime::Result<u64> {
        let now = match (&self.clock, which) {
            (Clock::Virtual(clock), Which::Monotonic) => clock.time().now.into(),
            (Clock::Virtual(clock), Which::Wall) => clock.wall(clock.time().now).as_nanos(),
            (Clock::Real, Which::Monotonic) => {
                monotonic_clock::Host::now(&mut self.clocks())?.into()
            }
            (Clock::Real, Which::Wall) => {
                let now = wall_clock::Host::now(&mut self.clocks())?;
                Duration::new(now.seconds, now.nanoseconds).as_nanos()
            }
        };
        let nanos = u128::from(instant).saturating_sub(now);
        Ok(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Lets time pass.
    pub(super) async fn sleep(&mut self, nanos: u64) {
        match &self.clock {
            Clock::Real => tokio::time::sleep(Duration::from_nanos(nanos)).await,
            Clock::Virtual(clock) => {
                let until = clock.time().now.saturating_add(nanos);
                clock.deadline(until).ready().await;
            }
        }
    }
}

impl wall_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        match &self.clock {
            Clock::Real => wall_clock::Host::now(&mut self.clocks()),
            Clock::Virtual(clock) => {
                let now = clock.wall(clock.read());
                Ok(wall_clock::Datetime {
                    seconds: now.as_secs(),
                    nanoseconds: now.subsec_nanos(),
                })
            }
        }
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        match &self.clock {
            Clock::Real => wall_clock::Host::resolution(&mut self.clocks()),
            Clock::Virtual(_) => Ok(wall_clock::Datetime {
                seconds: 0,
                nanoseconds: TICK_NANOS as u32,
            }),
        }
    }
}

impl monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        match &self.clock {
            Clock::Real => monotonic_clock::Host::now(&mut self.clocks()),
            Clock::Virtual(clock) => Ok(clock.read()),
        }
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        match &self.clock {
            Clock::Real => monotonic_clock::Host::resolution(&mut self.clocks()),
            Clock::Virtual(_) => Ok(TICK_NANOS),
        }
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        match &self.clock {
            Clock::Real => monotonic_clock::Host::subscribe_instant(&mut self.clocks(), when),
            Clock::Virtual(clock) => {
                let deadline = clock.deadline(when);
                subscribe_to(&mut self.table, deadline)
            }
        }
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        match &self.clock {
            Clock::Real => monotonic_clock::Host::subscribe_duration(&mut self.clocks(), duration),
            Clock::Virtual(clock) => {
                let now = clock.time().now;
                let deadline = clock.deadline(now.saturating_add(duration));
                subscribe_to(&mut self.table, deadline)
            }
        }
    }
}

fn subscribe_to(
    table: &mut ResourceTable,
    deadline: Deadline,
) -> wasmtime::Result<Resource<DynPollable>> {
    let deadline = table.push(deadline)?;
    subscribe(table, deadline)
}

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wall_clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    monotonic_clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> VirtualClock {
        VirtualClock::starting_at(Timestamp::from_second(1_000).unwrap())
    }

    #[test]
    fn reading_advances_by_a_tick() {
        let clock = clock();
        assert_eq!((clock.read(), clock.read()), (TICK_NANOS, 2 * TICK_NANOS));
        assert_eq!(
            clock.wall(clock.read()),
            Duration::new(1_000, 3 * TICK_NANOS as u32)
        );
    }

    #[test]
    fn before_1970_is_1970() {
        let clock = VirtualClock::starting_at(Timestamp::from_second(-5).unwrap());
        assert_eq!(clock.wall(clock.read()), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_sleep_takes_no_time_and_passes_all_of_it() {
        let clock = clock();
        clock.deadline(3_600_000_000_000).ready().await;
        assert_eq!(clock.time().now, 3_600_000_000_000);
        assert!(clock.time().waiting.is_empty());
    }

    #[tokio::test]
    async fn the_earliest_of_several_sleeps_ends_first() {
        let clock = clock();
        let (mut late, mut early) = (clock.deadline(500), clock.deadline(100));
        tokio::select! {
            biased;
            () = late.ready() => panic!("the later sleep ended first"),
            () = early.ready() => {}
        }
        assert_eq!(clock.time().now, 100);
    }

    #[tokio::test]
    async fn what_is_ready_comes_before_any_sleep() {
        let clock = clock();
        let mut sleep = clock.deadline(500);
        tokio::select! {
            biased;
            () = sleep.ready() => panic!("the clock advanced although something was ready"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(clock.time().now, 0);
    }
}
