//! The browser that tests look at pages with: Chromium, from the system's packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::context::Context;
use crate::process;

/// What it is called, on one system or another; tests look for the same.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What a system says that has Debian's packages.
const DEBIAN: &str = "/etc/debian_version";

/// Finds the browser, or installs it where that can be done.
pub(crate) fn ensure(context: &Context) -> Result<()> {
    if find().is_some() {
        return Ok(());
    }
    let how = "install Chromium or Google Chrome, so that it is on the PATH";
    if !Path::new(DEBIAN).exists() {
        bail!("there is no browser: {how}");
    }
    if !is_root()? {
        bail!("there is no browser: {how} (as root: apt-get install chromium)");
    }
    context.say("installing the package chromium");
    let install = apt(&["install", "--yes", "--no-install-recommends", "chromium"]);
    // What is known of the packages may be too old, or nothing.
    let installed = install.or_else(|_| {
        apt(&["update"])?;
        apt(&["install", "--yes", "--no-install-recommends", "chromium"])
    });
    installed.with_context(|| format!("the package chromium cannot be installed: {how}"))?;
    match find() {
        Some(_) => Ok(()),
        None => bail!("the package chromium is installed, and there is no browser: {how}"),
    }
}

fn find() -> Option<PathBuf> {
    NAMES.iter().find_map(|name| process::find(name))
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut apt = Command::new("apt-get");
    apt.arg("--quiet")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    process::run(&mut apt).map(drop)
}

fn is_root() -> Result<bool> {
    let id = process::run(Command::new("id").arg("-u"))?;
    Ok(id.trim() == "0")
}
