//! Guests in Go: an ordinary program becomes a preview1 core module.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::guests::{self, Guest};
use crate::process;
use crate::stamp::{self, Recipe};

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

/// A package of a module, with a test of this repository's beside the package's own.
pub(crate) struct Test<'a> {
    /// `PATH@VERSION`.
    pub(crate) module: &'a str,
    /// The package, as a folder of the module.
    pub(crate) package: &'a str,
    /// The test, as a file: it sees all that the package's tests see.
    pub(crate) source: &'a Path,
}

impl Test<'_> {
    /// Compiles the tests of the package, in a folder that is gone in the end. Nothing of
    /// the module's cache may be added to, and so all of it is copied.
    pub(crate) fn compile(&self, folder: &Path, program: &Path) -> Result<()> {
        let mut download = go()?;
        download.args(["mod", "download", "-json", self.module]);
        let found = process::run(download.current_dir("/").env("GOFLAGS", ""))?;
        let found: serde_json::Value = serde_json::from_str(&found)?;
        let module = found["Dir"].as_str().context("a module has a folder")?;
        copy(Path::new(module), folder)?;
        let name = self.source.file_name().context("a test is a file")?;
        fs::copy(self.source, folder.join(self.package).join(name))?;
        let mut compile = go()?;
        compile
            .current_dir(folder)
            .env("GOFLAGS", "")
            .env("CGO_ENABLED", "0")
            .args(["test", "-c", "-vet=off", "-trimpath", "-buildvcs=false"])
            // Debuggers have no use for it, and it is a hundred megabytes.
            .args(["-ldflags=-s -w", "-o"])
            .arg(program)
            .arg(format!("./{}", self.package));
        let compiled = process::run(&mut compile);
        fs::remove_dir_all(folder)?;
        compiled.map(drop)
    }
}

/// Copies a folder into a new one, where things may be written.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    for file in stamp::files(from)? {
        stamp::write(&to.join(file.strip_prefix(from)?), &fs::read(&file)?)?;
    }
    Ok(())
}

fn go() -> Result<Command> {
    let program = process::find("go").context("Go is missing: install Go 1.22 or newer")?;
    let mut command = Command::new(program);
    command.env("GOTOOLCHAIN", "local");
    Ok(command)
}
