//! What tasks need that run in containers: an image with the `wharf` that is tested.
//!
//! Containers have the network of this machine (`cargo xtask orchestrators` says so to
//! podman), and so reach a store that a [`Project`](crate::Project) has in a bucket here.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::inventory::{source_folder, wharf};

/// Its name, which names nothing outside of this machine.
const IMAGE: &str = "localhost/wharf:tested";

/// Makes the image, once, and says its name.
///
/// # Errors
/// Where it cannot be made.
pub fn image() -> Result<&'static str> {
    static MADE: OnceLock<Result<(), String>> = OnceLock::new();
    let made = MADE.get_or_init(|| make().map_err(|error| format!("{error:#}")));
    match made {
        Ok(()) => Ok(IMAGE),
        Err(error) => bail!("there is no image of wharf: {error}"),
    }
}

/// As people make it.
fn make() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let made = Command::new(cargo)
        .current_dir(source_folder())
        .env_remove("LD_LIBRARY_PATH")
        .args(["xtask", "image", "--tag", IMAGE, "--binary"])
        .arg(wharf())
        .stdin(Stdio::null())
        .output()
        .context("cargo does not run")?;
    match made.status.success() {
        true => Ok(()),
        false => bail!("{}", String::from_utf8_lossy(&made.stderr)),
    }
}
