//! Work for the processor alone: one kernel, as a step and natively.
//!
//! Both are compiled by rustc for the processors of its default target: a guest
//! cannot know which one it will run on, so the native kernel does not either.
//! The step's memory is bounded, its NaNs are canonical, and it can be
//! interrupted; that is the price measured here.

#[path = "../../../guest-examples/compute/src/kernel.rs"]
#[expect(unreachable_pub, reason = "the guest's own file")]
mod kernel;

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::Value as Json;

use crate::Setup;
use crate::in_process::{InProcess, Step};
use crate::measurement::{Bar, Measurement, Yardstick};

/// Rounds of about 25 ms, natively.
const ROUNDS: u32 = 40;
/// At most so many times the native kernel's time.
const BAR: f64 = 1.4;

/// Measures both in turn.
pub(crate) fn measure(setup: &Setup) -> Result<Vec<Measurement>> {
    let sandbox = InProcess::new()?;
    let step = sandbox.prepare(&setup.guest("compute"))?;
    run(&sandbox, &step, 1)?;
    let (mut readings, mut native) = (Vec::new(), Vec::new());
    for _ in 0..setup.repetitions(9, 3) {
        let started = Instant::now();
        let checksum = run(&sandbox, &step, ROUNDS)?;
        readings.push(started.elapsed().as_secs_f64());
        let started = Instant::now();
        let wanted = kernel::run(black_box(ROUNDS));
        native.push(started.elapsed().as_secs_f64());
        ensure!(checksum == wanted, "the checksums differ");
    }
    Ok(vec![Measurement {
        name: "compute".to_owned(),
        what: format!("{ROUNDS} rounds of the kernel in the step `compute`"),
        unit: "s",
        readings,
        yardstick: Some(Yardstick {
            what: "the same source native, for the default target",
            readings: native,
        }),
        bar: Bar::RatioAtMost(BAR),
    }])
}

fn run(sandbox: &InProcess, step: &Step, rounds: u32) -> Result<Json> {
    sandbox.call(step, vec![step.value("rounds", rounds.into())?])
}
