//! Arguments, environment, clocks, randomness.

use wasmtime::Caller;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};

use super::super::files::Files;
use super::super::telemetry::Printer;
use super::super::{State, random};
use super::abi::{Errno, clock};
use super::descriptors::Descriptors;
use super::{Answer, Guest, guest};

/// What a module knows of itself.
#[derive(Debug)]
pub(crate) struct Process {
    /// Without the zero at the end.
    arguments: Vec<Vec<u8>>,
    /// `NAME=value`
    environment: Vec<Vec<u8>>,
    pub(super) descriptors: Descriptors,
}

impl Process {
    pub(crate) fn new<'a>(
        arguments: impl IntoIterator<Item = &'a String>,
        environment: impl IntoIterator<Item = (&'a String, &'a String)>,
        printers: &[Printer; 2],
        files: &Files,
        handles: u32,
    ) -> Self {
        let environment = environment.into_iter();
        Self {
            arguments: arguments
                .into_iter()
                .map(|a| a.clone().into_bytes())
                .collect(),
            environment: environment
                .map(|(name, value)| format!("{name}={value}").into_bytes())
                .collect(),
            descriptors: Descriptors::new(files, printers, handles),
        }
    }
}

pub(super) fn args_get(guest: &mut Guest<'_>, pointers: u32, texts: u32) -> Answer {
    let Guest { memory, state } = guest;
    write_texts(&state.process.arguments, pointers, texts, |at, bytes| {
        Ok(memory.write(at, bytes)?)
    })
}

pub(super) fn args_sizes_get(guest: &mut Guest<'_>, count: u32, bytes: u32) -> Answer {
    let sizes = sizes(&guest.state.process.arguments)?;
    guest.memory.write_u32(count, sizes.0)?;
    guest.memory.write_u32(bytes, sizes.1)
}

pub(super) fn environ_get(guest: &mut Guest<'_>, pointers: u32, texts: u32) -> Answer {
    let Guest { memory, state } = guest;
    write_texts(&state.process.environment, pointers, texts, |at, bytes| {
        Ok(memory.write(at, bytes)?)
    })
}

pub(super) fn environ_sizes_get(guest: &mut Guest<'_>, count: u32, bytes: u32) -> Answer {
    let sizes = sizes(&guest.state.process.environment)?;
    guest.memory.write_u32(count, sizes.0)?;
    guest.memory.write_u32(bytes, sizes.1)
}

/// How many texts there are, and their bytes with a zero after each.
fn sizes(texts: &[Vec<u8>]) -> Answer<(u32, u32)> {
    let bytes: usize = texts.iter().map(|text| text.len() + 1).sum();
    let fit = |size: usize| u32::try_from(size).map_err(|_| Errno::Overflow);
    Ok((fit(texts.len())?, fit(bytes)?))
}

/// Writes texts one after another, with a zero after each, and their addresses.
fn write_texts(
    texts: &[Vec<u8>],
    mut pointer: u32,
    mut at: u32,
    mut write: impl FnMut(u32, &[u8]) -> Answer,
) -> Answer {
    for text in texts {
        write(pointer, &at.to_le_bytes())?;
        write(at, text)?;
        // What was written fits into 32 bits; what comes next need not.
        let end = at.saturating_add(text.len() as u32);
        write(end, &[0])?;
        at = end.saturating_add(1);
        pointer = pointer.saturating_add(4);
    }
    Ok(())
}

pub(super) fn clock_res_get(guest: &mut Guest<'_>, clock: u32, result: u32) -> Answer {
    let nanos = match clock {
        clock::REALTIME => nanos(wall_clock::Host::resolution(guest.state)?)?,
        clock::MONOTONIC => monotonic_clock::Host::resolution(guest.state)?,
        _ => return Err(Errno::Invalid.into()),
    };
    guest.memory.write_u64(result, nanos)
}

pub(super) fn clock_time_get(guest: &mut Guest<'_>, clock: u32, _: u64, result: u32) -> Answer {
    let nanos = match clock {
        clock::REALTIME => nanos(wall_clock::Host::now(guest.state)?)?,
        clock::MONOTONIC => monotonic_clock::Host::now(guest.state)?,
        _ => return Err(Errno::Invalid.into()),
    };
    guest.memory.write_u64(result, nanos)
}

fn nanos(time: Datetime) -> Result<u64, Errno> {
    let seconds = time.seconds.checked_mul(1_000_000_000);
    seconds
        .and_then(|nanos| nanos.checked_add(time.nanoseconds.into()))
        .ok_or(Errno::Overflow)
}

pub(super) fn proc_raise(_: &mut Guest<'_>, _: u32) -> Answer {
    Err(Errno::NotSupported.into())
}

pub(super) fn sched_yield(_: &mut Guest<'_>) -> Answer {
    // There is one thread; it gives way when the epoch says so.
    Ok(())
}

pub(super) async fn random_get(caller: &mut Caller<'_, State>, buffer: u32, len: u32) -> Answer {
    guest(caller)?.memory.bytes(buffer, len)?;
    let (bytes,) = random::bytes(caller.data_mut(), len.into()).await?;
    Ok(guest(caller)?.memory.write(buffer, &bytes)?)
}

#[cfg(test)]
mod tests {
    use super::super::memory::GuestMemory;
    use super::*;

    #[test]
    fn texts_end_with_zeros() {
        let texts = [b"ab".to_vec(), b"".to_vec(), b"c=d".to_vec()];
        assert_eq!(sizes(&texts).unwrap(), (3, 8));
        let mut bytes = [0xff; 24];
        let mut memory = GuestMemory(&mut bytes);
        write_texts(&texts, 0, 12, |at, bytes| Ok(memory.write(at, bytes)?)).unwrap();
        assert_eq!((bytes[0], bytes[4], bytes[8]), (12, 15, 16));
        assert_eq!(&bytes[12..21], b"ab\0\0c=d\0\xff");
    }

    #[test]
    fn texts_stay_in_memory() {
        let texts = [b"ab".to_vec()];
        let mut bytes = [0; 8];
        let mut memory = GuestMemory(&mut bytes);
        for (pointer, at) in [(0, 6), (5, 0), (u32::MAX, 0), (0, u32::MAX - 1)] {
            let write = |at, bytes: &[u8]| Ok(memory.write(at, bytes)?);
            assert!(write_texts(&texts, pointer, at, write).is_err());
        }
    }

    #[test]
    fn times_past_the_year_2554_overflow() {
        let time = |seconds| Datetime {
            seconds,
            nanoseconds: 1,
        };
        assert_eq!(nanos(time(1)), Ok(1_000_000_001));
        assert_eq!(nanos(time(20_000_000_000)), Err(Errno::Overflow));
    }
}
