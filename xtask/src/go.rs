//! Guests in Go: an ordinary program becomes a preview1 core module.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::guests::{self, Guest};
use crate::process;
use crate::stamp::Recipe;

/// Adds the compiler's version.
pub(crate) fn add_to(recipe: Recipe) -> Result<Recipe> {
    Ok(recipe.text(&process::run(go()?.arg("version"))?))
}

/// Builds the module.
pub(crate) fn build(context: &Context, guest: &Guest) -> Result<Vec<u8>> {
    let module = guests::scratch(context, guest)?.join("module.wasm");
    let mut command = go()?;
    command
        .current_dir(&guest.source)
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        .env("GOFLAGS", "");
    process::run(
        command
            .args(["build", "-trimpath", "-buildvcs=false", "-o"])
            .arg(&module),
    )?;
    Ok(fs::read(&module)?)
}

/// Installs a command in a folder.
pub(crate) fn install(module: &str, folder: &Path) -> Result<()> {
    let mut command = go()?;
    command
        .env("GOBIN", folder)
        .env("GOFLAGS", "")
        .env("CGO_ENABLED", "0");
    process::run(command.args(["install", "-trimpath", module])).map(drop)
}

/// Builds the command whose source is in a folder.
pub(crate) fn build_command(source: &Path, program: &Path) -> Result<()> {
    let mut command = go()?;
    command
        .current_dir(source)
        .env("GOFLAGS", "")
        .env("CGO_ENABLED", "0")
        .args(["build", "-trimpath", "-buildvcs=false", "-o"]);
    process::run(command.arg(program).arg(".")).map(drop)
}

fn go() -> Result<Command> {
    let program = process::find("go").context("Go is missing: install Go 1.22 or newer")?;
    let mut command = Command::new(program);
    command.env("GOTOOLCHAIN", "local");
    Ok(command)
}
