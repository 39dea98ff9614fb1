//! Cargo on this repository's own workspaces.
//!
//! Guests for WebAssembly are not built here; see `rust.rs`.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::context::Context;
use crate::process;

/// The package of the `wharf` command.
const COMMAND: &str = "wharf-cli";

/// Cargo in the repository, as the person who started xtask has it.
pub(crate) fn cargo(context: &Context) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command
        .current_dir(context.source(""))
        .env("CARGO_TARGET_DIR", context.target())
        // What cargo set to run xtask: packages that look at it would be built
        // anew each time.
        .env_remove("LD_LIBRARY_PATH");
    command
}

/// Builds `wharf` as it is shipped and returns its path.
pub(crate) fn release_wharf(context: &Context) -> Result<PathBuf> {
    let wharf = context.target().join("release").join("wharf");
    let first = if wharf.exists() {
        ""
    } else {
        " (the first time takes some minutes)"
    };
    context.say(format!("building wharf{first}"));
    process::show(cargo(context).args(["build", "--release", "--locked", "--package", COMMAND]))?;
    match wharf.is_file() {
        true => Ok(wharf),
        false => bail!("cargo did not make {}", wharf.display()),
    }
}
