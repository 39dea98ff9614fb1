//! The browser that tests look at pages with: Chromium, from the system's packages.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::context::Context;
use crate::{debian, process};

/// What it is called, on one system or another; tests look for the same.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What a person does where it cannot be installed from here.
const HOW: &str = "install Chromium or Google Chrome, so that it is on the PATH";

/// Finds the browser, or installs it where that can be done.
pub(crate) fn ensure(context: &Context) -> Result<()> {
    if find().is_some() {
        return Ok(());
    }
    debian::install(context, &["chromium"])
        .with_context(|| format!("there is no browser: {HOW}"))?;
    match find() {
        Some(_) => Ok(()),
        None => bail!("the package chromium is installed, and there is no browser: {HOW}"),
    }
}

fn find() -> Option<PathBuf> {
    NAMES.iter().find_map(|name| process::find(name))
}
