//! `cargo xtask bench`: sets up what is measured and the yardsticks, then starts
//! the package `wharf-bench`, which measures.
//!
//! A package of its own, so that building xtask does not mean building wasmtime.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::context::Context;
use crate::orchestrators::{self, System};
use crate::stamp::{Recipe, Stamp};
use crate::{cargo, go, guests, process};

/// The guests that are measured.
const GUESTS: [&str; 5] = ["noop", "copy", "compute", "train-python", "hello"];

/// The version of the yardstick: that of the wasmtime in Wharf.
const WASMTIME: &str = "48.0.8";

/// A server that speaks S3 and reads only the parts of an object that are wanted.
const S3_SERVER: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";

/// The native side of a comparison is compiled as guests are. With more units
/// the kernel of `compute` comes out at half its speed, and flatters the step.
const AS_GUESTS: &str = "profile.release.package.wharf-bench.codegen-units=1";

/// What to measure, and how to say it.
#[derive(Args)]
pub(crate) struct Bench {
    /// Prints JSON: a list of measurements.
    #[arg(long)]
    json: bool,
    /// Measures less: a quarter of the bytes, and fewer repetitions.
    #[arg(long)]
    quick: bool,
    /// Measures only this.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

impl Bench {
    /// What shows that everything can still be measured.
    pub(crate) fn smallest() -> Self {
        Self {
            json: false,
            quick: true,
            only: Vec::new(),
        }
    }

    fn includes(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

/// Builds what is missing and measures.
pub(crate) fn run(context: &Context, bench: &Bench) -> Result<()> {
    guests::build_only(context, &GUESTS.map(str::to_owned))?;
    let wharf = cargo::release_wharf(context)?;
    let wasmtime = ensure_wasmtime(context)?;
    context.say("building the measurements");
    process::show(
        cargo::cargo(context)
            .args(["build", "--release", "--locked"])
            .args(["--package", "wharf-bench", "--bins"])
            .args(["--config", AS_GUESTS]),
    )?;
    let programs = context.target().join("release");
    let work = context.target().join("bench");
    let mut measure = Command::new(programs.join("wharf-bench"));
    measure
        .args(bench.json.then_some("--json"))
        .args(bench.quick.then_some("--quick"))
        .args(bench.only.iter().flat_map(|name| ["--only", name]))
        .arg("--wharf")
        .arg(wharf)
        .arg("--wasmtime")
        .arg(wasmtime)
        .arg("--native-copy")
        .arg(programs.join("native-copy"))
        .args(yardsticks(context, bench)?)
        .arg("--guests")
        .arg(context.guests())
        .arg("--work")
        .arg(&work)
        // The server of this one measurement makes it.
        .env("SSL_CERT_FILE", work.join("certificate.pem"));
    process::show(&mut measure)
}

/// What some measurements need alone, as options.
fn yardsticks(context: &Context, bench: &Bench) -> Result<Vec<OsString>> {
    let mut options = Vec::new();
    let mut add = |option: &str, program: PathBuf| {
        options.extend([OsString::from(option), program.into()]);
    };
    if bench.includes("pipeline-100") {
        let snakemake = orchestrators::ensure(context, System::Snakemake)?;
        add("--snakemake", snakemake.program("snakemake")?);
        let dagster = orchestrators::ensure(context, System::Dagster)?;
        add("--dagster-python", dagster.program("python")?);
    }
    if bench.includes("s3-1g") {
        add("--s3-server", ensure_s3_server(context)?);
    }
    Ok(options)
}

fn ensure_s3_server(context: &Context) -> Result<PathBuf> {
    let folder = context.tools();
    let server = folder.join("versitygw");
    let recipe = Recipe::default().text(S3_SERVER);
    let stamp = Stamp::new(folder.join("versitygw-stamp"), recipe);
    if !stamp.is_current(&server) {
        context.say(format!(
            "installing {S3_SERVER} (this takes some minutes, once)"
        ));
        go::install(S3_SERVER, &folder)?;
        stamp.keep()?;
    }
    Ok(server)
}

/// The `wasmtime` command, installed where it is missing.
fn ensure_wasmtime(context: &Context) -> Result<PathBuf> {
    let folder = context.target().join("tools");
    let wasmtime = folder.join("bin").join("wasmtime");
    let version = process::run(Command::new(&wasmtime).arg("--version"));
    if version.is_ok_and(|version| version.split_whitespace().nth(1) == Some(WASMTIME)) {
        return Ok(wasmtime);
    }
    context.say(format!(
        "installing wasmtime-cli {WASMTIME}, the yardstick (this takes ten minutes, once)"
    ));
    process::show(
        cargo::cargo(context)
            .args(["install", "--locked", "--force", "--quiet"])
            .args(["--version", WASMTIME, "wasmtime-cli", "--root"])
            .arg(&folder),
    )?;
    Ok(wasmtime)
}
