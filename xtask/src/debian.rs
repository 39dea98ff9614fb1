//! Debian's packages, installed where that can be done: on Debian, as root.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::context::Context;
use crate::process;

/// What a system has that has Debian's packages.
const VERSION: &str = "/etc/debian_version";

/// Installs packages. The error says what to type by hand.
pub(crate) fn install(context: &Context, packages: &[&str]) -> Result<()> {
    let all = packages.join(" ");
    if !Path::new(VERSION).exists() {
        bail!("this system does not have Debian's packages ({all})");
    }
    if !is_root()? {
        bail!("only root installs packages: apt-get install {all}");
    }
    let noun = if packages.len() == 1 {
        "package"
    } else {
        "packages"
    };
    context.say(format!("installing the {noun} {}", packages.join(", ")));
    // What is known of the packages may be too old, or nothing.
    apt_install(packages).or_else(|_| {
        apt(&["update"])?;
        apt_install(packages)
    })
}

fn apt_install(packages: &[&str]) -> Result<()> {
    apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut apt = Command::new("apt-get");
    apt.arg("--quiet")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    process::run(&mut apt).map(drop)
}

/// Whether this process is root's.
pub(crate) fn is_root() -> Result<bool> {
    let id = process::run(Command::new("id").arg("-u"))?;
    Ok(id.trim() == "0")
}
