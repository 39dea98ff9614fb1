//! Tools that are npm packages: installed by their lock file, without running any of
//! their scripts.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::stamp::{Recipe, Stamp};
use crate::{guests, process};

/// Installs what `package.json` and the lock file in the folder `source` name, and
/// returns the folder that has `node_modules`.
pub(crate) fn ensure(context: &Context, name: &str, source: &str) -> Result<PathBuf> {
    let packages = context.source(source);
    let folder = context.node(name);
    let stamp = Stamp::new(
        folder.join("wharf-stamp"),
        Recipe::default().path(&packages)?,
    );
    if stamp.is_current(&folder.join("node_modules")) {
        return Ok(folder);
    }
    process::find("npm").context("npm is missing: install Node.js 20 or newer")?;
    context.say(format!("installing {name} into {}", folder.display()));
    guests::copy_files(&packages, &folder)?;
    let mut npm = Command::new("npm");
    npm.current_dir(&folder)
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error"])
        // What needs compiling is optional, and its scripts are nobody's business.
        .arg("--ignore-scripts");
    process::run(&mut npm)
        .with_context(|| format!("cannot install the packages of {source}/package.json"))?;
    stamp.keep()?;
    Ok(folder)
}
