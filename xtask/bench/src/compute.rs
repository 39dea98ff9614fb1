//! Work for the processor alone: one kernel, as a step and natively.
//!
//! Both are compiled by rustc at opt-level 3 in one codegen unit, which
//! `cargo xtask bench` sees to, and for the processors of the default target: a
//! guest cannot know which one it will run on, so the native kernel does not
//! either.
//! The step's memory is bounded and its NaNs are canonical, which is the price
//! measured here. It is stopped by leaving it behind, which costs nothing.

#[path = "../../../guest-examples/compute/src/kernel.rs"]
#[expect(unreachable_pub, reason = "the guest's own file")]
mod kernel;

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::Value as Json;
use wharf_sandbox::Stopping;

use crate::Setup;
use crate::in_process::InProcess;
use crate::measurement::{Bar, Measurement, Yardstick};

/// Rounds of about 10 ms, natively.
const ROUNDS: u32 = 40;
/// At most so many times the native kernel's time.
const BAR: f64 = 1.4;

/// Measures all kinds of work together, then each alone. Both sides take turns.
pub(crate) fn measure(setup: &Setup) -> Result<Vec<Measurement>> {
    // As `wharf run` does, which leaves a guest behind that does not end.
    let sandbox = InProcess::new(Stopping::LeavingBehind)?;
    let all = sandbox.prepare(&setup.guest("compute"), None)?;
    let one = sandbox.prepare(&setup.guest("compute"), Some("one"))?;
    let together = compare(
        setup,
        || sandbox.call(&all, vec![all.value("rounds", ROUNDS.into())?]),
        || kernel::run(None, black_box(ROUNDS)),
    )?;
    let mut measurements = vec![Measurement {
        name: "compute".to_owned(),
        what: format!("{ROUNDS} rounds of all kinds of work in the step `compute`"),
        bar: Bar::RatioAtMost(BAR),
        ..together
    }];
    for (work, _) in kernel::ALL {
        let parameters = || -> Result<_> {
            let work = one.value("work", work.into())?;
            Ok(vec![work, one.value("rounds", ROUNDS.into())?])
        };
        let alone = compare(
            setup,
            || sandbox.call(&one, parameters()?),
            || kernel::run(Some(work), black_box(ROUNDS)),
        )?;
        measurements.push(Measurement {
            name: format!("compute/{work}"),
            what: format!("{ROUNDS} rounds of {work} alone"),
            ..alone
        });
    }
    Ok(measurements)
}

/// Measures two ways to do the same, in turn.
fn compare(
    setup: &Setup,
    step: impl Fn() -> Result<Json>,
    native: impl Fn() -> u64,
) -> Result<Measurement> {
    let (mut readings, mut yardstick) = (Vec::new(), Vec::new());
    step()?;
    for _ in 0..setup.repetitions(9, 3) {
        let started = Instant::now();
        let checksum = step()?;
        readings.push(started.elapsed().as_secs_f64());
        let started = Instant::now();
        let wanted = native();
        yardstick.push(started.elapsed().as_secs_f64());
        ensure!(checksum == wanted, "the checksums differ");
    }
    Ok(Measurement {
        name: String::new(),
        what: String::new(),
        unit: "s",
        readings,
        yardstick: Some(Yardstick {
            what: "the same source native, for the default target",
            readings: yardstick,
        }),
        bar: Bar::Open,
    })
}
