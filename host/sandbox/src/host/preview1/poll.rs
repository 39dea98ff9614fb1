//! Waiting. Files and streams are always ready; so a call waits only where all
//! that it is for are clocks, and then for the one that is due first.

use wasmtime::Caller;
use wharf_model::limits::CHUNK_BYTES;

use super::super::State;
use super::super::clocks::Which;
use super::abi::{self, EVENT_BYTES, Errno, SUBSCRIPTION_BYTES, Wanted, clock};
use super::descriptors::{Descriptor, Descriptors};
use super::{Answer, guest};

/// Most subscriptions of one call; Go's runtime makes 65,535 at most.
const MAX_SUBSCRIPTIONS: u32 = 65_536;

/// A subscription, and how far it is.
struct Subscription {
    wanted: Wanted,
    mark: u64,
    state: Progress,
}

enum Progress {
    /// Due in so many nanoseconds.
    Due(u64),
    /// So many bytes can be read or written, and whether they are the last.
    Ready(u64, bool),
    Wrong(Errno),
}

impl Progress {
    fn nanos(&self) -> u64 {
        match self {
            Self::Due(nanos) => *nanos,
            Self::Ready(..) | Self::Wrong(_) => 0,
        }
    }
}

impl Subscription {
    fn event(&self) -> [u8; EVENT_BYTES as usize] {
        let (error, bytes, at_end) = match self.state {
            Progress::Due(_) => (None, 0, false),
            Progress::Ready(bytes, at_end) => (None, bytes, at_end),
            Progress::Wrong(errno) => (Some(errno), 0, false),
        };
        abi::event(self.mark, &self.wanted, error, bytes, at_end)
    }
}

pub(super) async fn poll_oneoff(
    caller: &mut Caller<'_, State>,
    wanted: u32,
    events: u32,
    count: u32,
    result: u32,
) -> Answer {
    // Without any, nothing would ever happen.
    if count == 0 || count > MAX_SUBSCRIPTIONS {
        return Err(Errno::Invalid.into());
    }
    let subscriptions = subscriptions(caller, wanted, count)?;
    guest(caller)?.memory.bytes(events, count * EVENT_BYTES)?;
    let nanos = subscriptions.iter().map(|one| one.state.nanos()).min();
    let nanos = nanos.unwrap_or(0);
    if nanos > 0 {
        caller.data_mut().sleep(nanos).await;
    }
    let due = subscriptions
        .iter()
        .filter(|one| one.state.nanos() <= nanos);
    let mut guest = guest(caller)?;
    let mut written = 0;
    for one in due {
        guest
            .memory
            .write(events + written * EVENT_BYTES, &one.event())?;
        written += 1;
    }
    guest.memory.write_u32(result, written)
}

fn subscriptions(caller: &mut Caller<'_, State>, at: u32, count: u32) -> Answer<Vec<Subscription>> {
    let guest = guest(caller)?;
    let bytes = guest.memory.bytes(at, count * SUBSCRIPTION_BYTES)?;
    let records = bytes.as_chunks::<{ SUBSCRIPTION_BYTES as usize }>().0;
    let subscription = |record| {
        let (wanted, mark) = abi::subscription(record).ok_or(Errno::Invalid)?;
        let state = match progress(guest.state, &wanted) {
            Ok(state) => state,
            Err(super::Refusal::Errno(errno)) => Progress::Wrong(errno),
            Err(end) => return Err(end),
        };
        Ok(Subscription {
            wanted,
            mark,
            state,
        })
    };
    records.iter().map(subscription).collect()
}

fn progress(state: &mut State, wanted: &Wanted) -> Answer<Progress> {
    match *wanted {
        Wanted::Clock {
            clock,
            timeout,
            absolute,
        } => {
            let which = match clock {
                clock::REALTIME => Which::Wall,
                clock::MONOTONIC => Which::Monotonic,
                _ => return Err(Errno::Invalid.into()),
            };
            match absolute {
                true => Ok(Progress::Due(state.nanos_until(which, timeout)?)),
                false => Ok(Progress::Due(timeout)),
            }
        }
        Wanted::Read { fd } => readable(&state.process.descriptors, fd),
        Wanted::Write { fd } => writable(&state.process.descriptors, fd),
    }
}

fn readable(descriptors: &Descriptors, fd: u32) -> Answer<Progress> {
    match descriptors.get(fd)? {
        Descriptor::Nothing => Ok(Progress::Ready(0, true)),
        Descriptor::File(file) if file.reads => {
            let left = file.node.size()?.saturating_sub(file.position);
            Ok(Progress::Ready(left, left == 0))
        }
        _ => Err(Errno::BadDescriptor.into()),
    }
}

fn writable(descriptors: &Descriptors, fd: u32) -> Answer<Progress> {
    match descriptors.get(fd)? {
        Descriptor::Printer(_) => Ok(Progress::Ready(CHUNK_BYTES as u64, false)),
        Descriptor::File(file) if file.writes => Ok(Progress::Ready(CHUNK_BYTES as u64, false)),
        _ => Err(Errno::BadDescriptor.into()),
    }
}
