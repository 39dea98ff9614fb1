//! A large file through the step `copy`, beside a native program that does the
//! same: reads the file, writes the copy, hashes both, makes the copy durable.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::Setup;
use crate::launch::{self, Finished};
use crate::measurement::{Bar, Measurement, Yardstick};
use crate::random::random_file;

const GIB: u64 = 1 << 30;
/// At least this share of the native program's speed.
const SPEED: f64 = 0.8;
/// At most so much memory, in MiB, whatever the file's size.
const MEMORY: f64 = 64.0;

/// What counts as the same memory for 4 GiB as for 1 GiB.
const SAME: f64 = 1.1;

/// Measures 4 GiB, or what `--quick` makes of it, and the memory for 1 GiB.
pub(crate) fn measure(setup: &Setup) -> Result<Vec<Measurement>> {
    let sizes: &[u64] = if setup.quick { &[1] } else { &[4, 1] };
    let folder = setup.work.join("copy");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut measurements = Vec::new();
    let mut peaks: Vec<Vec<f64>> = Vec::new();
    for gib in sizes {
        let size = measure_size(setup, &folder, *gib)?;
        peaks.extend(size.last().map(|memory| memory.readings.clone()));
        measurements.extend(size);
    }
    if let [large, small] = &peaks[..] {
        measurements.push(Measurement {
            name: "copy-memory-growth".to_owned(),
            what: "peak resident memory for 4 GiB".to_owned(),
            unit: "MiB",
            readings: large.clone(),
            yardstick: Some(Yardstick {
                what: "the same for 1 GiB",
                readings: small.clone(),
            }),
            bar: Bar::RatioAtMost(SAME),
        });
    }
    Ok(measurements)
}

fn measure_size(setup: &Setup, folder: &Path, gib: u64) -> Result<Vec<Measurement>> {
    let input = random_file(folder, gib * GIB)?;
    let both = Both {
        setup,
        folder,
        input: &input,
    };
    both.wharf()?; // Compiles, and brings the file into memory for both.
    let mut pairs = Vec::new();
    for turn in 0..setup.repetitions(5, 3) {
        // Who goes second finds the disk busier or the caches warmer.
        pairs.push(match turn % 2 {
            0 => {
                let wharf = both.wharf()?;
                (wharf, both.native()?)
            }
            _ => {
                let native = both.native()?;
                (both.wharf()?, native)
            }
        });
    }
    Ok(report(gib, &pairs))
}

fn report(gib: u64, pairs: &[(Finished, Finished)]) -> Vec<Measurement> {
    let speed = |run: &Finished| (gib * GIB) as f64 / run.seconds / 1e9;
    let (wharf, native): (Vec<Finished>, Vec<Finished>) = pairs.iter().copied().unzip();
    let peaks = |runs: &[Finished]| runs.iter().map(|run| run.peak_mib).collect();
    vec![
        Measurement {
            name: format!("copy-{gib}g"),
            what: format!("{gib} GiB from a file to a file through the step `copy`"),
            unit: "GB/s",
            readings: wharf.iter().map(speed).collect(),
            yardstick: Some(Yardstick {
                what: "a native program that reads, writes, hashes both and syncs",
                readings: native.iter().map(speed).collect(),
            }),
            bar: Bar::RatioAtLeast(SPEED),
        },
        Measurement {
            name: format!("copy-{gib}g-memory"),
            what: "peak resident memory of that process".to_owned(),
            unit: "MiB",
            readings: peaks(&wharf),
            yardstick: Some(Yardstick {
                what: "the native program's",
                readings: peaks(&native),
            }),
            bar: Bar::ValueAtMost(MEMORY),
        },
    ]
}

struct Both<'a> {
    setup: &'a Setup,
    folder: &'a Path,
    input: &'a Path,
}

impl Both<'_> {
    fn wharf(&self) -> Result<Finished> {
        let binding = |name: &str, path: &Path| {
            let mut binding = OsString::from(format!("{name}="));
            binding.push(path);
            binding
        };
        let mut arguments: Vec<OsString> = vec!["run".into(), self.setup.guest("copy").into()];
        arguments.push(binding("data", self.input));
        arguments.push(binding("copy", &self.output()));
        arguments.extend(["--store", "store", "--cache", "cache"].map(OsString::from));
        self.run(&self.setup.wharf, &arguments)
    }

    fn native(&self) -> Result<Finished> {
        let arguments = [self.input.into(), self.output().into()];
        self.run(&self.setup.native_copy, &arguments)
    }

    fn run(&self, program: &Path, arguments: &[OsString]) -> Result<Finished> {
        let finished = launch::run(self.folder, program, arguments)?;
        let (input, output) = (fs::metadata(self.input)?, fs::metadata(self.output())?);
        anyhow::ensure!(input.len() == output.len(), "the copy is not complete");
        fs::remove_file(self.output())?;
        Ok(finished)
    }

    fn output(&self) -> PathBuf {
        self.folder.join("output")
    }
}
