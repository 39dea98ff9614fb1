//! The storage services that tests run against: installed here, and started by the
//! tests themselves (`tests/services`).

use anyhow::Result;

use crate::context::Context;
use crate::npm;
use crate::venv::{self, Environment};

/// Installs what is missing.
pub(crate) fn ensure(context: &Context) -> Result<()> {
    venv::ensure(context, Environment::Services)?;
    // Azure Blob Storage.
    npm::ensure(context, "azurite", "xtask/azurite")?;
    Ok(())
}
