//! What a pipeline costs for each of its steps, where they do next to nothing: each is
//! looked up, run, and committed durably on the local disk.

use std::cell::Cell;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::Setup;
use crate::disk;
use crate::launch::{self, Finished};
use crate::measurement::{Bar, Measurement, Yardstick};

const STEPS: usize = 10_000;
const FEW_STEPS: usize = 100;

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Measurement>> {
    let sizes = [STEPS, FEW_STEPS, 1];
    let bench = Pipelines::prepare(setup, setup.work.join("pipeline"), &sizes)?;
    // Once without counting: compiles the step.
    bench.fresh(1)?;
    let (mut many, mut cached, mut few, mut one) = (vec![], vec![], vec![], vec![]);
    for _ in 0..setup.repetitions(5, 2) {
        many.push(bench.fresh(STEPS)?);
        cached.push(bench.again(STEPS)?);
        few.push(bench.fresh(FEW_STEPS)?);
        one.push(bench.fresh(1)?);
    }
    let seconds = |runs: &[Finished]| runs.iter().map(|run| run.seconds).collect::<Vec<_>>();
    // What a step costs beside the start of the process.
    let each = |runs: &[Finished], steps: usize| {
        let pairs = seconds(runs).into_iter().zip(seconds(&one));
        let each = pairs.map(|(all, start)| (all - start) / (steps - 1) as f64 * 1e6);
        each.collect::<Vec<_>>()
    };
    let measurement = |name: &str, what: &str, unit, readings, bar| Measurement {
        name: format!("pipeline-10k{name}"),
        what: what.to_owned(),
        unit,
        readings,
        yardstick: None,
        bar,
    };
    let speed = seconds(&many)
        .iter()
        .map(|all| STEPS as f64 / all)
        .collect();
    let flat = Measurement {
        yardstick: Some(Yardstick {
            what: "the same of 100 steps",
            readings: each(&few, FEW_STEPS),
        }),
        ..measurement(
            "/each",
            "what each of 10,000 steps costs",
            "us",
            each(&many, STEPS),
            Bar::RatioAtMost(1.5),
        )
    };
    let memory = many.iter().map(|run| run.peak_mib).collect();
    Ok(vec![
        measurement(
            "",
            "10,000 no-op steps as one pipeline, records durable",
            "steps/s",
            speed,
            Bar::ValueAtLeast(1000.0),
        ),
        measurement(
            "-memory",
            "peak resident memory of that",
            "MiB",
            memory,
            Bar::ValueAtMost(200.0),
        ),
        measurement(
            "/cached",
            "the same, all committed before",
            "s",
            seconds(&cached),
            Bar::ValueAtMost(3.0),
        ),
        flat,
    ])
}

/// Pipelines of no-op steps that are ready to run.
///
/// Each fresh run has a store of its own. Those of earlier runs stay until all is
/// measured: file systems are slow to make files where many were just removed.
pub(crate) struct Pipelines<'a> {
    setup: &'a Setup,
    folder: PathBuf,
    /// Stores that there are; the last one is in use.
    stores: Cell<usize>,
}

impl<'a> Pipelines<'a> {
    /// Pipelines of so many steps each, in a folder that is made anew.
    pub(crate) fn prepare(setup: &'a Setup, folder: PathBuf, sizes: &[usize]) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(folder.join("data"), "sixteen bytes of it")?;
        fs::copy(setup.guest("noop"), folder.join("noop.wasm"))?;
        for steps in sizes {
            let mut text = "steps:\n".to_owned();
            for step in 0..*steps {
                write!(
                    text,
                    "  s{step}:\n    uses: noop.wasm\n    with: {{ data: data }}\n"
                )?;
            }
            fs::write(folder.join(format!("{steps}.yaml")), text)?;
        }
        Ok(Self {
            setup,
            folder,
            stores: Cell::new(0),
        })
    }

    /// Runs a pipeline in a store that has nothing.
    pub(crate) fn fresh(&self, steps: usize) -> Result<Finished> {
        self.stores.set(self.stores.get() + 1);
        self.again(steps)
    }

    /// Runs it in the same store.
    fn again(&self, steps: usize) -> Result<Finished> {
        let file = format!("{steps}.yaml");
        let store = format!("store-{}", self.stores.get());
        let arguments = [
            "pipeline", "run", &file, "--quiet", "--store", &store, "--cache", "cache",
        ];
        let arguments = arguments.map(OsString::from);
        disk::settle();
        launch::run(&self.folder, &self.setup.wharf, &arguments)
    }
}

impl Drop for Pipelines<'_> {
    fn drop(&mut self) {
        // What cannot be removed is, when all is measured again.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
