//! How fast bytes cross between guest and host, both ways: the step `copy`, in
//! chunks of 1 MiB, from memory to memory, nothing hashed.
//!
//! A copy of one byte is two that cross. Beside it, what the machine needs to
//! copy as many bytes within one memory.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use wharf_model::signature::Arity;
use wharf_sandbox::artifact::{Sink, Source};
use wharf_sandbox::{Parameter, Stopping};

use crate::Setup;
use crate::in_process::{InProcess, MemorySink, MemorySource, NoSink, Step};
use crate::measurement::{Bar, Measurement, Yardstick};

const BYTES: usize = 1 << 30;
const CHUNK: usize = 1 << 20;
/// GB/s, counting both ways.
const SPEED: f64 = 5.0;

/// Measures with an output that is kept, and with one that is dropped.
pub(crate) fn measure(setup: &Setup) -> Result<Vec<Measurement>> {
    let sandbox = InProcess::new(Stopping::Yielding)?;
    let step = sandbox.prepare(&setup.guest("copy"), None)?;
    let bytes: Vec<u8> = (0..BYTES).map(|at| (at ^ (at >> 8)) as u8).collect();
    let mut room = vec![1; BYTES];
    let source = Arc::new(MemorySource(bytes));
    let sink = Arc::new(MemorySink::with_room(BYTES));
    copy(&sandbox, &step, &source, sink.clone())?;
    ensure!(sink.holds(&source.0), "the copy is not the same");

    let (mut kept, mut dropped, mut memcpy) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setup.repetitions(9, 3) {
        sink.reset();
        kept.push(speed(2, || copy(&sandbox, &step, &source, sink.clone()))?);
        dropped.push(speed(2, || {
            copy(&sandbox, &step, &source, Arc::new(NoSink))
        })?);
        memcpy.push(speed(1, || {
            copy_within_memory(&source.0, &mut room);
            Ok(())
        })?);
    }
    let yardstick = Yardstick {
        what: "memcpy of as many bytes, in the same chunks",
        readings: memcpy,
    };
    let measurement = |name: &str, what: &str, readings, bar| Measurement {
        name: name.to_owned(),
        what: format!("1 GiB through the step `copy`, read and written bytes both counted, {what}"),
        unit: "GB/s",
        readings,
        yardstick: Some(yardstick.clone()),
        bar,
    };
    let artifact = kept.iter().map(|speed| speed / 2.0).collect();
    Ok(vec![
        measurement(
            "boundary",
            "kept in memory that is ready",
            kept,
            Bar::ValueAtLeast(SPEED),
        ),
        measurement("boundary/dropped", "the output dropped", dropped, Bar::Open),
        measurement("boundary/artifact", "each byte once", artifact, Bar::Open),
    ])
}

/// GB/s of something that moves all bytes so many times.
fn speed(times: usize, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    work()?;
    Ok((times * BYTES) as f64 / started.elapsed().as_secs_f64() / 1e9)
}

fn copy(
    sandbox: &InProcess,
    step: &Step,
    source: &Arc<MemorySource>,
    sink: Arc<dyn Sink>,
) -> Result<()> {
    let source: Arc<dyn Source> = source.clone();
    let parameters = vec![
        (
            "data".to_owned(),
            Parameter::Inputs(Arity::One, vec![source]),
        ),
        ("copy".to_owned(), Parameter::Output(sink)),
        step.value("chunk-kib", (CHUNK >> 10).into())?,
    ];
    let copied = sandbox.call(step, parameters)?;
    ensure!(copied == BYTES, "{copied} bytes were copied");
    Ok(())
}

fn copy_within_memory(from: &[u8], to: &mut [u8]) {
    for (from, to) in from.chunks(CHUNK).zip(to.chunks_mut(CHUNK)) {
        black_box(to).copy_from_slice(black_box(from));
    }
}
