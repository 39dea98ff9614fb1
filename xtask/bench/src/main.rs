//! Measures what Wharf promises, each figure beside its yardstick from the same
//! run. Started by `cargo xtask bench`, which builds what this is given.
//!
//! Repetitions of the two sides take turns, so that what else the machine does
//! falls on both. A figure that misses its bar is reported, and is no failure of
//! this program; a figure that cannot be taken is.

mod boundary;
mod cold;
mod compute;
mod copy;
mod disk;
mod in_process;
mod launch;
mod machine;
mod measurement;
mod pipeline;
mod pipeline_100;
mod random;
mod report;
mod s3;
mod s3_server;
mod samples;
mod warm;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;

use measurement::Measurement;
use report::Report;

/// What is measured: a name and what measures it.
type Measure = (&'static str, fn(&Setup) -> Result<Vec<Measurement>>);

const MEASURES: [Measure; 9] = [
    ("pipeline-100", pipeline_100::measure),
    ("cold-rust", cold::rust),
    ("cold-python", cold::python),
    ("copy-4g", copy::measure),
    ("s3-1g", s3::measure),
    ("boundary", boundary::measure),
    ("compute", compute::measure),
    ("warm-call", warm::measure),
    // Leaves many removed files behind, which slows down whoever makes new ones.
    ("pipeline-10k", pipeline::measure),
];

/// What to measure, and where the parts are.
#[derive(Debug, Parser)]
#[command(name = "wharf-bench")]
pub(crate) struct Setup {
    /// Prints JSON: a list of measurements.
    #[arg(long)]
    json: bool,
    /// Measures less: a quarter of the bytes, and fewer repetitions.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measures only this.
    #[arg(long)]
    only: Vec<String>,
    /// The command that is measured.
    #[arg(long)]
    pub(crate) wharf: PathBuf,
    /// The command that it is compared with.
    #[arg(long)]
    pub(crate) wasmtime: PathBuf,
    /// The program that copies natively.
    #[arg(long)]
    pub(crate) native_copy: PathBuf,
    /// The server that speaks S3, where that is measured.
    #[arg(long)]
    pub(crate) s3_server: Option<PathBuf>,
    /// The command `snakemake`, where it is compared with.
    #[arg(long)]
    pub(crate) snakemake: Option<PathBuf>,
    /// A Python that has Dagster, where that is compared with.
    #[arg(long)]
    pub(crate) dagster_python: Option<PathBuf>,
    /// The folder of the guests.
    #[arg(long)]
    pub(crate) guests: PathBuf,
    /// A folder for what is read and written.
    #[arg(long)]
    pub(crate) work: PathBuf,
}

impl Setup {
    /// The component of a guest.
    pub(crate) fn guest(&self, name: &str) -> PathBuf {
        self.guests.join(format!("{name}.wasm"))
    }

    /// How often something is repeated.
    pub(crate) fn repetitions(&self, usual: usize, quick: usize) -> usize {
        if self.quick { quick } else { usual }
    }

    fn measures(&self) -> Result<Vec<Measure>> {
        let known = MEASURES.map(|(name, _)| name);
        if let Some(unknown) = self
            .only
            .iter()
            .find(|name| !known.contains(&name.as_str()))
        {
            bail!(
                "there is no measurement {unknown}; there are {}",
                known.join(", ")
            );
        }
        let mut measures = MEASURES.to_vec();
        if !self.only.is_empty() {
            measures.retain(|(name, _)| self.only.iter().any(|only| only == name));
        }
        Ok(measures)
    }
}

fn main() -> Result<()> {
    if let Some(command) = launch::launched() {
        return launch::main(command);
    }
    let setup = Setup::parse();
    let measures = setup.measures()?;
    let mut report = Report::start(setup.json);
    for (name, measure) in measures {
        report.doing(name);
        report.add(measure(&setup)?);
    }
    report.finish()
}
