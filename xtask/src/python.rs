//! Guests in Python: `app.py` becomes a component that carries CPython.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::guests::{self, Guest};
use crate::process;
use crate::stamp::Recipe;
use crate::venv::{self, Environment};

/// Adds the tool's version.
pub(crate) fn add_to(recipe: Recipe) -> Recipe {
    recipe.text(&Environment::GuestPython.packages().join(" "))
}

/// Builds the component. The world has the name of its WIT folder's package.
pub(crate) fn build(context: &Context, guest: &Guest) -> Result<Vec<u8>> {
    let venv = venv::ensure(context, Environment::GuestPython)?;
    let wit = guests::staged_wit(context, guest)?;
    let scratch = wit.parent().context("the folder is in another")?;
    // A copy: the component holds all files of the folder, and the tool leaves
    // compiled ones there.
    let app = scratch.join("app");
    guests::copy_files(&guest.source, &app)?;
    let component = scratch.join("component.wasm");
    let mut command = Command::new(venv.program("componentize-py"));
    command
        .current_dir(&app)
        .env_remove("PYTHONPATH")
        .env("PYTHONHASHSEED", "0");
    command
        .arg("-d")
        .arg(&wit)
        .args(["-w", "train", "componentize", "app", "-o"])
        .arg(&component);
    process::run(&mut command)?;
    Ok(fs::read(&component)?)
}
