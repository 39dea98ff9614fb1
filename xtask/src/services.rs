//! The storage services that tests run against: installed here, and started by the
//! tests themselves (`tests/services`).

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::stamp::{Recipe, Stamp};
use crate::venv::{self, Environment};
use crate::{guests, process};

/// Azure Blob Storage, an npm package with its lock file.
const AZURITE: &str = "xtask/azurite";

/// Installs what is missing.
pub(crate) fn ensure(context: &Context) -> Result<()> {
    venv::ensure(context, Environment::Services)?;
    ensure_azurite(context)
}

fn ensure_azurite(context: &Context) -> Result<()> {
    let source = context.source(AZURITE);
    let folder = context.node("azurite");
    let stamp = Stamp::new(folder.join("wharf-stamp"), Recipe::default().path(&source)?);
    if stamp.is_current(&folder.join("node_modules")) {
        return Ok(());
    }
    process::find("npm").context("npm is missing: install Node.js 20 or newer")?;
    context.say(format!("installing Azurite into {}", folder.display()));
    guests::copy_files(&source, &folder)?;
    let mut npm = Command::new("npm");
    npm.current_dir(&folder)
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error"])
        // What needs compiling is optional, and its scripts are nobody's business.
        .arg("--ignore-scripts");
    process::run(&mut npm).context("cannot install the packages of xtask/azurite/package.json")?;
    stamp.keep()
}
