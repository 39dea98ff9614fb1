//! The Rust toolchain for guests: finds or installs one that has a standard
//! library for `wasm32-wasip2`.
//!
//! Two ways. Where Rust's own servers are reached, `rustup target add`. Where
//! they are not, Debian's second Rust, which brings the standard library's
//! source, with the linker of the rustup toolchain. A `rust-toolchain.toml`
//! would do the first on every cargo call, and hang where it is impossible.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::context::Context;
use crate::{debian, process, stamp};

/// What guests are compiled to.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// `rustup target add` hangs where its server is out of reach.
const RUSTUP_LIMIT: Duration = Duration::from_secs(20);

/// A Rust compiler with its standard library's source, and a C library.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "wasi-libc"];

/// Vectors, which every host of components has and no default of rustc uses yet.
/// Arithmetic on lists of numbers takes half the time.
const GUEST_FLAGS: [&str; 1] = ["-Ctarget-feature=+simd128"];

/// The C library comes from Debian's `wasi-libc`, not with the compiler.
const DEBIAN_FLAGS: [&str; 2] = ["-Clink-self-contained=no", "-Lnative=/usr/lib/wasm32-wasi"];

/// What cargo leaves in xtask's environment for itself, and what would steer
/// the build of a guest from outside.
const FOREIGN_VARIABLES: [&str; 7] = [
    "CARGO",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
];

/// A way to build Rust guests.
pub(crate) enum RustToolchain {
    /// The usual toolchain has the target.
    Rustup,
    /// Debian's compiler, with the linker in the rustup toolchain's folder.
    Debian { linkers: PathBuf },
}

impl RustToolchain {
    /// Finds a toolchain, or installs what is missing.
    pub(crate) fn ensure(context: &Context) -> Result<Self> {
        if has_target() || add_target(context)? {
            return Ok(Self::Rustup);
        }
        ensure_debian_packages(context)?;
        Ok(Self::Debian {
            linkers: rustup_linkers()?,
        })
    }

    /// What identifies the compiler.
    pub(crate) fn version(&self) -> Result<String> {
        let rustc = match self {
            Self::Rustup => "rustc",
            Self::Debian { .. } => "/usr/bin/rustc",
        };
        process::run(isolated(rustc).arg("-vV"))
    }

    /// A cargo call for guests: `cargo build --release --target ..`.
    pub(crate) fn cargo_build(&self, context: &Context) -> Result<Command> {
        let mut flags = path_flags(context)?;
        flags.extend(GUEST_FLAGS.map(str::to_owned));
        let mut command = match self {
            Self::Rustup => isolated("cargo"),
            Self::Debian { linkers } => {
                flags.extend(DEBIAN_FLAGS.map(str::to_owned));
                debian_cargo(linkers)?
            }
        };
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        command.args(["build", "--release", "--locked", "--target", TARGET]);
        if matches!(self, Self::Debian { .. }) {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        Ok(command)
    }
}

/// Leaves the folders of this machine out of the guests: they are for nobody
/// else to see, and would make a component's digest depend on them.
fn path_flags(context: &Context) -> Result<Vec<String>> {
    let cargo_home = match env::var_os("CARGO_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => env::home_dir()
            .context("there is no home folder")?
            .join(".cargo"),
    };
    let folders = [(context.source(""), "wharf"), (cargo_home, "cargo")];
    let flags = folders.map(|(folder, name)| {
        format!(
            "--remap-path-prefix={}=/{name}",
            folder.display().to_string().trim_end_matches('/')
        )
    });
    Ok(flags.into())
}

/// A program without what cargo set for xtask.
fn isolated(program: &str) -> Command {
    let mut command = Command::new(program);
    for variable in FOREIGN_VARIABLES {
        command.env_remove(variable);
    }
    command
}

fn debian_cargo(linkers: &Path) -> Result<Command> {
    let mut path = vec![linkers.join("gcc-ld")];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let mut command = isolated("/usr/bin/cargo");
    command
        .env("PATH", env::join_paths(path)?)
        .env("RUSTC", "/usr/bin/rustc")
        // `-Zbuild-std` is unstable; the compiler is a release.
        .env("RUSTC_BOOTSTRAP", "1")
        .env(
            "CARGO_TARGET_WASM32_WASIP2_LINKER",
            linkers.join("wasm-component-ld"),
        );
    Ok(command)
}

/// Whether the usual toolchain has the target's standard library.
fn has_target() -> bool {
    let folder =
        process::run(isolated("rustc").args(["--print", "target-libdir", "--target", TARGET]));
    folder.is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

/// Adds the target by rustup. A failure is remembered, and not tried again.
fn add_target(context: &Context) -> Result<bool> {
    let failure = context.build().join("rustup-target-failed");
    if failure.exists() || process::find("rustup").is_none() {
        return Ok(false);
    }
    context.say(format!("adding the target {TARGET} by rustup"));
    let log = context.build().join("rustup.log");
    fs::create_dir_all(context.build())?;
    let outcome = process::run_within(
        isolated("rustup").args(["target", "add", TARGET]),
        RUSTUP_LIMIT,
        &log,
    );
    let Err(error) = outcome else { return Ok(true) };
    context.say(format!(
        "{error}; using Debian's Rust instead (delete {} to try again)",
        failure.display()
    ));
    stamp::write(&failure, error.to_string().as_bytes())?;
    Ok(false)
}

/// The folder of `wasm-component-ld` in the usual toolchain.
fn rustup_linkers() -> Result<PathBuf> {
    let version = process::run(isolated("rustc").arg("-vV"))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not name its host")?;
    let sysroot = process::run(isolated("rustc").args(["--print", "sysroot"]))?;
    let folder = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(host)
        .join("bin");
    let linker = folder.join("wasm-component-ld");
    if !linker.is_file() {
        bail!(
            "{} is missing: Rust guests need a toolchain by rustup, which has it",
            linker.display()
        );
    }
    Ok(folder)
}

fn ensure_debian_packages(context: &Context) -> Result<()> {
    let missing: Vec<&str> = DEBIAN_PACKAGES
        .into_iter()
        .filter(|package| !is_installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    debian::install(context, &missing).with_context(|| {
        format!("there is no Rust for {TARGET}: `rustup target add {TARGET}` failed")
    })
}

fn is_installed(package: &str) -> bool {
    let status = process::run(Command::new("dpkg-query").args(["-W", "-f=${Status}", package]));
    status.is_ok_and(|status| status == "install ok installed")
}
