//! Where things are: the repository and the target folder.
//!
//! The only module that reads xtask's own environment.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The folders that every task works in.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    root: PathBuf,
    target: PathBuf,
}

impl Context {
    /// The repository that xtask was built from, with `CARGO_TARGET_DIR` or
    /// `target` in it for everything that is made.
    pub(crate) fn from_environment() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest
            .parent()
            .context("xtask's folder has no parent")?
            .to_owned();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => std::path::absolute(folder)?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// A path in the repository.
    pub(crate) fn source(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The folder of everything that is made.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The finished guests: `NAME.wasm`.
    pub(crate) fn guests(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// Everything that is made on the way to a guest.
    pub(crate) fn build(&self) -> PathBuf {
        self.target.join("guest-build")
    }

    /// A Python environment.
    pub(crate) fn venv(&self, name: &str) -> PathBuf {
        self.target.join("venvs").join(name)
    }

    /// A folder of npm packages.
    pub(crate) fn node(&self, name: &str) -> PathBuf {
        self.target.join("node").join(name)
    }

    /// The commands that are installed or built for this repository alone.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools").join("bin")
    }

    /// One line on what is being done.
    #[expect(clippy::print_stderr, reason = "what a person who waits wants to read")]
    pub(crate) fn say(&self, line: impl AsRef<str>) {
        eprintln!("xtask: {}", line.as_ref());
    }
}
