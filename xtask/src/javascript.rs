//! Guests in JavaScript: `app.js` becomes a component that carries an engine.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::guests::{self, Guest};
use crate::process;
use crate::stamp::{Recipe, Stamp};

/// The npm packages with their lock file, and the script that calls them.
const TOOL: &str = "xtask/javascript";

/// Adds the tool: its lock file names all versions.
pub(crate) fn add_to(recipe: Recipe, context: &Context) -> Result<Recipe> {
    recipe.path(&context.source(TOOL))
}

/// Builds the component. The world has the guest's name.
pub(crate) fn build(context: &Context, guest: &Guest) -> Result<Vec<u8>> {
    let tool = ensure_tool(context)?;
    let wit = guests::staged_wit(context, guest)?;
    let component = wit.with_file_name("component.wasm");
    let mut node = Command::new("node");
    node.current_dir(&tool)
        .arg("componentize.mjs")
        .arg(guest.source.join("app.js"))
        .arg(&wit)
        .arg(&guest.name);
    process::run(node.arg(&component))?;
    Ok(fs::read(&component)?)
}

/// Installs the npm packages into the target folder, never beside their sources.
fn ensure_tool(context: &Context) -> Result<PathBuf> {
    let source = context.source(TOOL);
    let folder = context.node("guest");
    let stamp = Stamp::new(folder.join("wharf-stamp"), Recipe::default().path(&source)?);
    if stamp.is_current(&folder.join("node_modules")) {
        return Ok(folder);
    }
    for program in ["node", "npm"] {
        process::find(program)
            .with_context(|| format!("{program} is missing: install Node.js 20 or newer"))?;
    }
    context.say(format!("installing npm packages into {}", folder.display()));
    guests::copy_files(&source, &folder)?;
    let mut npm = Command::new("npm");
    // Not `npm ci`: that fails where the registry lacks an optional package for
    // a platform that is not this one. The lock file counts here too.
    npm.current_dir(&folder)
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
    process::run(&mut npm)
        .context("cannot install the packages of xtask/javascript/package.json")?;
    stamp.keep()?;
    Ok(folder)
}
