//! What a run costs from the command to its end, where the step does next to
//! nothing: a process is started, compiled code loaded, one input read, one
//! output written and made durable, the record kept.
//!
//! The yardstick is `wasmtime run` of a program that prints a line, as people
//! call it: its compile cache is on. With the cache off, which compiles the
//! program each time, and with code compiled before, it is given for information.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::Setup;
use crate::launch::{self, Finished};
use crate::measurement::{Bar, Measurement, Yardstick};

const MIB: &str = "MiB";

/// A step that is started again and again.
struct Step {
    name: &'static str,
    guest: &'static str,
    what: &'static str,
    input: &'static str,
    /// Parameters, and the output without its path.
    parameters: &'static [&'static str],
    output: &'static str,
    /// At most so many times the yardstick.
    bar: f64,
    /// At most so much memory, in MiB.
    memory: Bar,
}

/// A step in Rust.
pub(crate) fn rust(setup: &Setup) -> Result<Vec<Measurement>> {
    let step = Step {
        name: "cold-rust",
        guest: "noop",
        what: "a process `wharf run noop.wasm`, compiled before",
        input: "sixteen bytes of it",
        parameters: &[],
        output: "result",
        bar: 2.0,
        memory: Bar::ValueAtMost(30.0),
    };
    measure(setup, &step)
}

/// A step in Python: it trains, but for one epoch on two rows.
pub(crate) fn python(setup: &Setup) -> Result<Vec<Measurement>> {
    let step = Step {
        name: "cold-python",
        guest: "train-python",
        what: "a process `wharf run train-python.wasm` on two rows, compiled before",
        input: "x,y\n1,0\n2,1\n",
        parameters: &["epochs=1"],
        output: "model",
        bar: 10.0,
        memory: Bar::Open,
    };
    measure(setup, &step)
}

fn measure(setup: &Setup, step: &Step) -> Result<Vec<Measurement>> {
    let bench = Bench::prepare(setup, step)?;
    // Once without counting: fills the caches of both.
    bench.all()?;
    let rounds = setup.repetitions(30, 10);
    let rounds: Vec<Round> = (0..rounds).map(|_| bench.all()).collect::<Result<_>>()?;
    let millis = |side: fn(&Round) -> Finished| -> Vec<f64> {
        rounds
            .iter()
            .map(|round| side(round).seconds * 1e3)
            .collect()
    };
    let against = |suffix: &str, what, readings, bar| Measurement {
        name: format!("{}{suffix}", step.name),
        what: step.what.to_owned(),
        unit: "ms",
        readings: millis(|round| round.wharf),
        yardstick: Some(Yardstick { what, readings }),
        bar,
    };
    let memory = |suffix: &str, what: &str, side: fn(&Round) -> Finished, bar| Measurement {
        name: format!("{}-memory{suffix}", step.name),
        what: format!("peak resident memory of {what}"),
        unit: MIB,
        readings: rounds.iter().map(|round| side(round).peak_mib).collect(),
        yardstick: Some(Yardstick {
            what: "peak resident memory of `wasmtime run hello.wasm`",
            readings: rounds.iter().map(|round| round.plain.peak_mib).collect(),
        }),
        bar,
    };
    Ok(vec![
        against(
            "",
            "`wasmtime run hello.wasm`",
            millis(|round| round.plain),
            Bar::RatioAtMost(step.bar),
        ),
        against(
            "/compiling",
            "the same with its compile cache off",
            millis(|round| round.compiling),
            Bar::Open,
        ),
        against(
            "/precompiled",
            "the same of `wasmtime compile`d code",
            millis(|round| round.precompiled),
            Bar::Open,
        ),
        memory("", "that process", |round| round.wharf, step.memory),
    ])
}

/// One turn of each.
struct Round {
    wharf: Finished,
    plain: Finished,
    compiling: Finished,
    precompiled: Finished,
}

/// Commands that are ready to run.
struct Bench<'a> {
    setup: &'a Setup,
    folder: PathBuf,
    output: PathBuf,
    wharf: Vec<OsString>,
    plain: Vec<OsString>,
    compiling: Vec<OsString>,
    precompiled: Vec<OsString>,
}

impl<'a> Bench<'a> {
    fn prepare(setup: &'a Setup, step: &Step) -> Result<Self> {
        let folder = setup.work.join(step.name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(folder.join("input"), step.input)?;
        let hello = setup.guest("hello");
        let compiled = compile(setup, &folder, &hello)?;
        Ok(Self {
            setup,
            output: folder.join("output"),
            wharf: wharf_run(setup, step),
            plain: vec!["run".into(), hello.clone().into()],
            compiling: ["run", "-C", "cache=n"]
                .map(OsString::from)
                .into_iter()
                .chain([hello.into()])
                .collect(),
            precompiled: vec!["run".into(), "--allow-precompiled".into(), compiled.into()],
            folder,
        })
    }

    fn all(&self) -> Result<Round> {
        let wasmtime = |arguments| launch::run(&self.folder, &self.setup.wasmtime, arguments);
        let wharf = launch::run(&self.folder, &self.setup.wharf, &self.wharf)?;
        fs::remove_file(&self.output).context("the step wrote no output")?;
        Ok(Round {
            wharf,
            plain: wasmtime(&self.plain)?,
            compiling: wasmtime(&self.compiling)?,
            precompiled: wasmtime(&self.precompiled)?,
        })
    }
}

/// `wharf run` with a store and a cache of its own.
fn wharf_run(setup: &Setup, step: &Step) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["run".into(), setup.guest(step.guest).into()];
    arguments.push("data=input".into());
    arguments.push(format!("{}=output", step.output).into());
    arguments.extend(step.parameters.iter().map(OsString::from));
    arguments.extend(["--store", "store", "--cache", "cache"].map(OsString::from));
    arguments
}

fn compile(setup: &Setup, folder: &Path, hello: &Path) -> Result<PathBuf> {
    let compiled = folder.join("hello.cwasm");
    let arguments = [
        "compile".into(),
        hello.into(),
        "-o".into(),
        compiled.clone().into(),
    ];
    launch::run(folder, &setup.wasmtime, &arguments)?;
    Ok(compiled)
}
