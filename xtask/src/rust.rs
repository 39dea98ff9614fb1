//! Guests in Rust: one workspace, one target folder, so that the standard
//! library is built once.

use std::fs;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::process;
use crate::stamp::Recipe;
use crate::toolchain::{RustToolchain, TARGET};

/// Files that all Rust guests are made from, beside their own.
const SHARED: [&str; 5] = [
    "guest-examples/Cargo.toml",
    "guest-examples/Cargo.lock",
    "guest-examples/artifact-io",
    "guest-examples/flights",
    "guest-examples/logistic",
];

/// A toolchain that is ready.
pub(crate) struct RustGuests {
    toolchain: RustToolchain,
    version: String,
}

impl RustGuests {
    /// Finds or installs the toolchain.
    pub(crate) fn prepare(context: &Context) -> Result<Self> {
        let toolchain = RustToolchain::ensure(context)?;
        let version = toolchain.version()?;
        Ok(Self { toolchain, version })
    }

    /// Adds what all Rust guests are made from.
    pub(crate) fn add_to(&self, recipe: Recipe, context: &Context) -> Result<Recipe> {
        SHARED
            .iter()
            .try_fold(recipe.text(&self.version), |recipe, path| {
                recipe.path(&context.source(path))
            })
    }

    /// Builds the package and returns its component.
    pub(crate) fn build(&self, context: &Context, package: &str) -> Result<Vec<u8>> {
        let mut cargo = self.toolchain.cargo_build(context)?;
        cargo
            .current_dir(context.source("guest-examples"))
            .env("CARGO_TARGET_DIR", context.build());
        process::run(cargo.args(["--package", package]))?;
        // Cargo names the file after the crate, not after the package.
        let file = format!("{}.wasm", package.replace('-', "_"));
        let file = context.build().join(TARGET).join("release").join(file);
        fs::read(&file).with_context(|| format!("cargo did not make {}", file.display()))
    }
}
