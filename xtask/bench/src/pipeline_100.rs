//! What each of 100 no-op steps costs, beside the same in Snakemake and in Dagster.
//!
//! Of all three, the time of one step is taken off, so that neither the start of a
//! process nor the import of a library counts. Each is set up as somebody would who
//! wants it to be fast: Snakemake's rules run in its own process and threads, which
//! was faster than a shell, or a process, for each; Dagster runs in process, with an
//! instance in memory, and logs nothing. Wharf's records are durable, and no others.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::Setup;
use crate::disk;
use crate::launch;
use crate::measurement::{Bar, Measurement, Yardstick};
use crate::pipeline::Pipelines;

const STEPS: usize = 100;
/// At least ten times less than the others.
const SHARE: f64 = 0.1;

const SNAKEFILE: &str = r#"
rule all:
    input: expand("made/{number}", number=range(int(config["count"])))

rule no_op:
    output: "made/{number}"
    run: open(output[0], "w").close()
"#;

/// No telemetry.
const DAGSTER: &str = "telemetry:\n  enabled: false\n";

pub(crate) fn measure(setup: &Setup) -> Result<Vec<Measurement>> {
    let folder = setup.work.join("pipeline-100");
    let pipelines = Pipelines::prepare(setup, folder.clone(), &[STEPS, 1])?;
    let others = Others::prepare(setup, folder)?;
    // Once without counting: compiles the step, and warms up the rest.
    pipelines.fresh(1)?;
    others.snakemake(1)?;
    others.dagster()?;
    let rounds = (0..setup.repetitions(5, 2)).map(|_| {
        let (many, one) = (pipelines.fresh(STEPS)?, pipelines.fresh(1)?);
        let wharf = Both::of(many.seconds, one.seconds);
        let snakemake = Both::of(others.snakemake(STEPS)?, others.snakemake(1)?);
        Ok([wharf, snakemake, others.dagster()?])
    });
    let rounds: Vec<[Both; 3]> = rounds.collect::<Result<_>>()?;
    let each = |side: usize| rounds.iter().map(|round| round[side].each()).collect();
    let against = |name: &str, what, side| Measurement {
        name: format!("pipeline-100/{name}"),
        what: "what each of 100 no-op steps costs, records durable".to_owned(),
        unit: "us",
        readings: each(0),
        yardstick: Some(Yardstick {
            what,
            readings: each(side),
        }),
        bar: Bar::RatioAtMost(SHARE),
    };
    let wall = |side: usize| rounds.iter().map(|round| round[side].many).collect();
    let whole = Measurement {
        name: "pipeline-100/wall".to_owned(),
        what: "a process that runs 100 no-op steps, from its start to its end".to_owned(),
        unit: "s",
        readings: wall(0),
        yardstick: Some(Yardstick {
            what: "a process of Snakemake",
            readings: wall(1),
        }),
        bar: Bar::Open,
    };
    Ok(vec![
        against("snakemake", "what each of 100 jobs costs in Snakemake", 1),
        against(
            "dagster",
            "what each of 100 ops costs in Dagster, in process",
            2,
        ),
        whole,
    ])
}

/// Seconds of 100 steps, and of one.
struct Both {
    many: f64,
    one: f64,
}

impl Both {
    const fn of(many: f64, one: f64) -> Self {
        Self { many, one }
    }

    /// Microseconds of each step.
    fn each(&self) -> f64 {
        (self.many - self.one) / (STEPS - 1) as f64 * 1e6
    }
}

/// What Wharf is compared with, ready to run.
struct Others<'a> {
    snakemake: &'a Path,
    /// A Python that has Dagster.
    dagster: &'a Path,
    folder: PathBuf,
    /// How often Snakemake was run, each time in a folder of its own.
    runs: Cell<usize>,
}

impl<'a> Others<'a> {
    fn prepare(setup: &'a Setup, folder: PathBuf) -> Result<Self> {
        fs::write(folder.join("Snakefile"), SNAKEFILE)?;
        fs::write(folder.join("dagster.yaml"), DAGSTER)?;
        let given = |program: &'a Option<PathBuf>, name| {
            let program = program.as_deref();
            program.with_context(|| format!("it was not said where it is: --{name}"))
        };
        Ok(Self {
            snakemake: given(&setup.snakemake, "snakemake")?,
            dagster: given(&setup.dagster_python, "dagster-python")?,
            folder,
            runs: Cell::new(0),
        })
    }

    /// Seconds that a process takes for so many jobs that were never run.
    fn snakemake(&self, jobs: usize) -> Result<f64> {
        self.runs.set(self.runs.get() + 1);
        let folder = self.folder.join(format!("snakemake-{}", self.runs.get()));
        fs::create_dir(&folder)?;
        let mut arguments: Vec<OsString> = vec!["XDG_CACHE_HOME=cache".into()];
        arguments.push(self.snakemake.into());
        arguments.extend(["--snakefile".into(), self.folder.join("Snakefile").into()]);
        let options = ["--cores", "2", "--force-use-threads", "--quiet", "all"];
        arguments.extend(options.map(OsString::from));
        arguments.extend(["--config".into(), format!("count={jobs}").into()]);
        disk::settle();
        let finished = launch::run(&folder, Path::new("env"), &arguments)?;
        let count = fs::read_dir(folder.join("made"))?.count();
        ensure!(count == jobs, "Snakemake made {count} of {jobs} files");
        Ok(finished.seconds)
    }

    /// Seconds in a process that has Dagster loaded.
    fn dagster(&self) -> Result<Both> {
        let output = Command::new(self.dagster)
            .current_dir(&self.folder)
            .env("DAGSTER_HOME", &self.folder)
            .env("DAGSTER_DISABLE_TELEMETRY", "yes")
            .args(["-c", include_str!("dagster_noops.py")])
            .args([STEPS, 1].map(|count| count.to_string()))
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "Dagster failed:\n{said}");
        let text = String::from_utf8(output.stdout)?;
        let (many, one) = text.trim().split_once(' ').context("two numbers")?;
        Ok(Both::of(many.parse()?, one.parse()?))
    }
}
