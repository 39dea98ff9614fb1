//! An artifact passes from one step to the next, as large as it may be: no process has much
//! of it in memory.
//!
//! `WHARF_BIG_BYTES` says how large it is; it is 4 GiB where `WHARF_ALL` is 1, and else so
//! small that it takes no time. What is measured is the most memory that each process of
//! `wharf step exec` ever had resident, as Linux counts it (`VmHWM`): what it allocated, and
//! also the pages of its own program and of compiled components that it has used.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use wharf_orchestrators::{Example, Inventory, Project, Request, State, checks, made, systems};

const MIB: u64 = 1 << 20;

/// The most that a process may have.
const BAR: u64 = 64 * MIB;

const STEPS: [&str; 2] = ["first", "second"];

#[test]
fn an_artifact_passes_in_little_memory() -> Result<()> {
    let installed = match Inventory::read()?.system("airflow") {
        Ok(installed) => installed,
        Err(reason) => {
            println!("SKIPPED airflow: {reason}");
            return Ok(());
        }
    };
    let system = systems::named("airflow").context("there is no such system")?;
    let size = size()?;
    let project = Project::new(Example::Big)?;
    write(&project.path("big.bin"), size)?;

    let (ran, peaks) = std::thread::scope(|scope| {
        let running = scope.spawn(|| system.run(&installed, &project, &Request::default()));
        let peaks = watch(&project, || running.is_finished());
        let ran = running.join().unwrap_or_else(|_| bail!("it panicked"));
        ran.map(|ran| (ran, peaks))
    })?;

    for step in STEPS {
        let succeeded = ran.tasks.get(step) == Some(&State::Succeeded);
        ensure!(succeeded, "{step}: {ran:#?}");
    }
    let made = made::newest(&project)?;
    let (first, second) = (&made["first"], &made["second"]);
    for made in [first, second] {
        let count = made["results"].to_string();
        ensure!(count.contains(&size.to_string()), "{made:#}");
    }
    ensure!(first["outputs"] == second["outputs"], "{made:#?}");
    ensure!(
        first["outputs"]["copy"] == json!(digest(&project)?),
        "{first:#}"
    );

    for step in STEPS {
        let peak = peaks.get(step).context("no process of it was seen")?;
        println!(
            "{step}: {size} bytes with at most {} KiB of memory",
            peak / 1024
        );
    }
    for (step, peak) in peaks {
        ensure!(peak < BAR, "{step} had {peak} bytes of memory for {size}");
    }
    Ok(())
}

/// How large the artifact is.
fn size() -> Result<u64> {
    if let Ok(size) = std::env::var("WHARF_BIG_BYTES") {
        return size.parse().context("WHARF_BIG_BYTES is no number");
    }
    match std::env::var("WHARF_ALL").as_deref() {
        Ok("1") => Ok(4096 * MIB),
        _ => Ok(256 * MIB),
    }
}

/// Writes a file of so many bytes, all of which look random, and are the same each time.
fn write(path: &Path, size: u64) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut left = size;
    let mut state = 0_u64;
    while left > 0 {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bytes = (word ^ (word >> 31)).to_le_bytes();
        let some = usize::try_from(left.min(8))?;
        file.write_all(&bytes[..some])?;
        left -= left.min(8);
    }
    Ok(file.flush()?)
}

/// The digest of the artifact, as a program says that knows nothing of Wharf.
fn digest(project: &Project) -> Result<String> {
    let ended = std::process::Command::new("sha256sum")
        .arg(project.path("big.bin"))
        .output()
        .context("cannot run sha256sum")?;
    let text = String::from_utf8(ended.stdout)?;
    let digest = text.split(' ').next().unwrap_or_default();
    Ok(format!("sha256:{digest}"))
}

/// The most memory that a process of each step was seen to have had, in bytes, until the run
/// is over.
fn watch(project: &Project, is_over: impl Fn() -> bool) -> BTreeMap<&'static str, u64> {
    let store = project.store();
    let mut peaks = BTreeMap::new();
    while !is_over() {
        for step in STEPS {
            for process in checks::processes_of(&store, step) {
                let file = format!("/proc/{}/status", process.as_raw_nonzero());
                let status = std::fs::read_to_string(file).unwrap_or_default();
                if let Some(peak) = high_water_mark(&status) {
                    let most = peaks.entry(step).or_insert(0);
                    *most = peak.max(*most);
                }
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    peaks
}

fn high_water_mark(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
