//! A call of a step that is compiled and loaded, in a process that runs: a new
//! instance each time, parameters checked and passed, results taken.
//!
//! For comparison, wasmtime alone: instance and call of the step `compute` with
//! nothing to compute, and the same through the sandbox.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Store};
use wharf_model::signature::Arity;
use wharf_sandbox::artifact::Source;
use wharf_sandbox::{Parameter, Stopping};

use crate::Setup;
use crate::in_process::{InProcess, MemorySource, NoSink};
use crate::measurement::{Bar, Measurement, Yardstick};

/// Microseconds.
const BAR: f64 = 150.0;
/// Calls that are not counted.
const WARM_UP: usize = 200;

/// Measures the calls in turn.
pub(crate) fn measure(setup: &Setup) -> Result<Vec<Measurement>> {
    let sandbox = InProcess::new(Stopping::Yielding)?;
    let noop = sandbox.prepare(&setup.guest("noop"), None)?;
    let compute = sandbox.prepare(&setup.guest("compute"), None)?;
    let source: Arc<dyn Source> = Arc::new(MemorySource(vec![7; 1024]));
    let call_noop = || {
        let source = source.clone();
        let parameters = vec![
            (
                "data".to_owned(),
                Parameter::Inputs(Arity::One, vec![source]),
            ),
            ("result".to_owned(), Parameter::Output(Arc::new(NoSink))),
        ];
        sandbox.call(&noop, parameters).map(drop)
    };
    let call_compute = || {
        let parameters = vec![compute.value("rounds", 0.into())?];
        sandbox.call(&compute, parameters).map(drop)
    };
    let alone = Alone::prepare(&setup.guest("compute")).map_err(|error| anyhow!("{error:#}"))?;
    let call_alone = || alone.call().map_err(|error| anyhow!("{error:#}"));

    let [mut with_artifacts, mut without, mut bare] = [const { Vec::new() }; 3];
    for turn in 0..WARM_UP + setup.repetitions(3000, 500) {
        let times = [
            micros(call_noop)?,
            micros(call_compute)?,
            micros(call_alone)?,
        ];
        if turn >= WARM_UP {
            with_artifacts.push(times[0]);
            without.push(times[1]);
            bare.push(times[2]);
        }
    }
    let measurement = |name: &str, what: &str, readings, bar| Measurement {
        name: name.to_owned(),
        what: what.to_owned(),
        unit: "us",
        readings,
        yardstick: Some(Yardstick {
            what: "wasmtime alone: instance and call of `compute` with 0 rounds",
            readings: bare.clone(),
        }),
        bar,
    };
    Ok(vec![
        measurement(
            "warm-call",
            "a call of the step `noop`, one input and one output in memory",
            with_artifacts,
            Bar::ValueAtMost(BAR),
        ),
        measurement(
            "warm-call/no-artifact",
            "a call of the step `compute` with 0 rounds",
            without,
            Bar::Open,
        ),
    ])
}

fn micros(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64() * 1e6)
}

/// A step in wasmtime, with no host around it.
struct Alone {
    engine: Engine,
    step: InstancePre<()>,
}

impl Alone {
    fn prepare(wasm: &Path) -> wasmtime::Result<Self> {
        let engine = Engine::default();
        let component = Component::from_file(&engine, wasm)?;
        let mut linker = Linker::new(&engine);
        // It calls none of what it imports.
        linker.define_unknown_imports_as_traps(&component)?;
        let step = linker.instantiate_pre(&component)?;
        Ok(Self { engine, step })
    }

    fn call(&self) -> wasmtime::Result<()> {
        let mut store = Store::new(&self.engine, ());
        let instance = self.step.instantiate(&mut store)?;
        let run = instance.get_typed_func::<(u32,), (u64,)>(&mut store, "run")?;
        run.call(&mut store, (0,)).map(drop)
    }
}
