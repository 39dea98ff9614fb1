//! `cargo xtask conformance`: the same pipelines under every orchestrator.

use anyhow::Result;

use crate::context::Context;
use crate::orchestrators::{self, Orchestrators};
use crate::{cargo, data, guests, process};

/// Installs what is missing, builds `wharf` as it is shipped, and has it run everywhere.
pub(crate) fn run(context: &Context, only: &[String], json: bool) -> Result<()> {
    guests::build_all(context)?;
    data::ensure(context)?;
    orchestrators::run(context, &Orchestrators::default())?;
    let build = ["build", "--release", "--locked", "--package", "wharf-cli"];
    process::show(cargo::cargo(context).args(build))?;
    let mut conformance = cargo::cargo(context);
    conformance
        .args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "wharf-orchestrators",
        ])
        .args(["--bin", "conformance", "--"])
        .args(only)
        .env("WHARF_BIN", context.target().join("release/wharf"));
    if json {
        conformance.arg("--json");
    }
    process::show(&mut conformance)
}
