//! Python environments whose packages are all pinned, those that others depend on too:
//! `xtask/orchestrators/NAME.in` says what is wanted, `NAME.txt` what that comes to.
//!
//! An orchestrator has a hundred packages, and a new version of any of them may break
//! it. Installed by uv: pip takes a minute for what takes uv a second.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Ready;
use crate::context::Context;
use crate::process;
use crate::stamp::{self, Recipe, Stamp};
use crate::venv::{self, Environment};

/// The lists, in the repository.
const LISTS: &str = "xtask/orchestrators";

/// The oldest Python that the lists are for.
const PYTHON: &str = "3.11";

/// Makes the environment if it is missing or has other packages. Its version is that
/// of the packages `main`.
pub(super) fn ensure(context: &Context, name: &str, main: &[&str]) -> Result<Ready> {
    let list = context.source(LISTS).join(format!("{name}.txt"));
    let text =
        fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let version = version_of(&text, main)?;
    let venv = context.venv(name);
    let stamp = Stamp::new(venv.join("wharf-stamp"), Recipe::default().text(&text));
    if !stamp.is_current(&venv.join("bin").join("python")) {
        context.say(format!(
            "installing {name} {version} into {}",
            venv.display()
        ));
        make(context, &venv, &list).with_context(|| format!("cannot install {name}"))?;
        stamp.keep()?;
    }
    Ok(Ready {
        version,
        venv: Some(venv),
        ..Ready::default()
    })
}

fn make(context: &Context, venv: &Path, list: &Path) -> Result<()> {
    let uv = uv(context)?;
    let python = process::find("python3").context("Python is missing: install Python 3.11")?;
    if venv.exists() {
        fs::remove_dir_all(venv)?;
    }
    let mut create = Command::new(&uv);
    create
        .args(["venv", "--quiet", "--no-python-downloads", "--python"])
        .arg(python);
    process::run(create.arg(venv))?;
    let mut install = Command::new(&uv);
    install
        // What is not in the list is a mistake in the list.
        .args(["pip", "install", "--quiet", "--no-deps", "--python"])
        .arg(venv.join("bin").join("python"));
    process::run(install.arg("--requirements").arg(list)).map(drop)
}

/// Writes every list anew.
pub(super) fn resolve(context: &Context) -> Result<()> {
    let uv = uv(context)?;
    for wanted in wanted(context)? {
        let list = wanted.with_extension("txt");
        context.say(format!("resolving {}", wanted.display()));
        let mut compile = Command::new(&uv);
        compile
            .args(["pip", "compile", "--quiet", "--upgrade"])
            // For each platform, and for this Python and newer ones.
            .args(["--universal", "--python-version", PYTHON])
            // Where packages come from is for each machine to know.
            .args(["--no-emit-index-url", "--no-emit-find-links"])
            .args(["--no-header", "--no-annotate", "--output-file"]);
        process::run(compile.arg(&list).arg(&wanted))?;
    }
    Ok(())
}

fn uv(context: &Context) -> Result<PathBuf> {
    Ok(venv::ensure(context, Environment::Uv)?.program("uv"))
}

/// The files `NAME.in`.
fn wanted(context: &Context) -> Result<Vec<PathBuf>> {
    let mut files = stamp::files(&context.source(LISTS))?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "in"));
    Ok(files)
}

/// The version of the one package, or `NAME VERSION` of each.
fn version_of(list: &str, packages: &[&str]) -> Result<String> {
    let pinned = |package: &&str| {
        pins(list)
            .find_map(|(name, version)| (name == *package).then_some(version))
            .with_context(|| format!("{package} is not in the list of its own packages"))
    };
    if let [package] = packages {
        return Ok(pinned(package)?.to_owned());
    }
    let parts = packages
        .iter()
        .map(|package| Ok(format!("{package} {}", pinned(package)?)))
        .collect::<Result<Vec<_>>>()?;
    Ok(parts.join(", "))
}

/// The packages of a list with their versions, without what says where each is needed.
fn pins(list: &str) -> impl Iterator<Item = (&str, &str)> {
    list.lines().filter_map(|line| {
        let pin = line.split(';').next()?;
        let (name, version) = pin.split_once("==")?;
        Some((name.trim(), version.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "a-b==1.0\ncolorama==0.4.6 ; sys_platform == 'win32'\nz==2\n";

    #[test]
    fn versions_are_those_of_the_packages_that_matter() {
        assert_eq!(version_of(LIST, &["a-b"]).unwrap(), "1.0");
        assert_eq!(
            version_of(LIST, &["colorama", "z"]).unwrap(),
            "colorama 0.4.6, z 2"
        );
        assert!(version_of(LIST, &["b"]).is_err());
    }

    #[test]
    fn every_list_pins_what_is_wanted_and_names_no_server() {
        let context = Context::from_environment().unwrap();
        let wanted = wanted(&context).unwrap();
        assert!(!wanted.is_empty());
        for file in wanted {
            let list = fs::read_to_string(file.with_extension("txt")).unwrap();
            assert!(!list.contains("://") && !list.contains(" @ "), "{file:?}");
            assert_eq!(pins(&list).count(), list.lines().count(), "{file:?}");
            let text = fs::read_to_string(&file).unwrap();
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let exact = line.split_once("==");
                let name = exact.map_or(line, |(name, _)| name);
                let name = name.split(['[', '<', '>']).next().unwrap();
                let pin = pins(&list).find(|(package, _)| package.eq_ignore_ascii_case(name));
                let pin = pin.unwrap_or_else(|| panic!("{file:?} lacks {name}"));
                assert!(exact.is_none_or(|(_, version)| version == pin.1), "{line}");
            }
        }
    }
}
