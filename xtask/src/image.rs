//! The image whose containers run the tasks of orchestrators: `wharf`, and what it cannot
//! do without.
//!
//! Made from nothing rather than from somebody's base image: none has to be fetched, and
//! what is not in there needs no updates. It is for machines like this one: libraries and
//! certificates are those that are here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::context::Context;
use crate::orchestrators::{self, Ready, System};
use crate::stamp::{self, Recipe, Stamp};
use crate::{cargo, process};

/// How it is made.
const CONTAINERFILE: &str = "xtask/image/Containerfile";

/// Its name where nobody says otherwise, before the version. Images of this host's name
/// are looked for nowhere else.
const NAME: &str = "localhost/wharf";

/// Where the certificates of authorities are, on one system or the other.
const CERTIFICATES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Where the image has them: `wharf` looks there.
const CERTIFICATES_THERE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Files that say who is who: a user without a name puzzles some programs.
const NAMES: [(&str, &str); 2] = [
    (
        "etc/passwd",
        "wharf:x:65532:65532:wharf:/tmp:/sbin/nologin\n",
    ),
    ("etc/group", "wharf:x:65532:\n"),
];

/// What `cargo xtask image` can be told.
#[derive(Args, Debug)]
pub(crate) struct Image {
    /// The `wharf` that it has; else one is built as it is shipped.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Its name; else `localhost/wharf` with the version of `wharf`.
    #[arg(long, value_name = "NAME:VERSION")]
    tag: Option<String>,
    /// Writes it to a file too, which `podman load` and `docker load` take.
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
}

/// Makes the image, and prints its name and size.
#[expect(clippy::print_stdout, reason = "it is the command's result")]
pub(crate) fn run(context: &Context, image: &Image) -> Result<()> {
    let binary = match &image.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => cargo::release_wharf(context)?,
    };
    let tag = match &image.tag {
        Some(tag) => tag.clone(),
        None => format!("{NAME}:{}", version(&binary)?),
    };
    let podman = orchestrators::ensure(context, System::Podman)?;
    let content = Content::of(&binary)?;
    let folder = context.target().join("image");
    let stamp = content.stamp(context, &folder, &tag)?;
    if !stamp.is_current(stamp.file()) || !exists(&podman, &tag)? {
        stamp.remove()?;
        build(context, &podman, &content, &folder, &tag)?;
        stamp.keep()?;
    }
    if let Some(archive) = &image.archive {
        save(&podman, &tag, archive)?;
    }
    println!("{tag}, {:.1} MiB", size(&podman, &tag)?);
    Ok(())
}

fn version(binary: &Path) -> Result<String> {
    let said = process::run(Command::new(binary).arg("--version"))?;
    let version = said.split_whitespace().last();
    Ok(version.context("wharf has no version")?.to_owned())
}

/// What goes into it.
struct Content {
    binary: PathBuf,
    /// With the loader, which is one of them.
    libraries: Vec<PathBuf>,
    certificates: PathBuf,
}

impl Content {
    fn of(binary: &Path) -> Result<Self> {
        let linked = process::run(Command::new("ldd").arg(binary))?;
        let libraries = libraries(&linked)?;
        let certificates = CERTIFICATES.iter().map(PathBuf::from);
        let certificates = certificates.into_iter().find(|file| file.is_file());
        let certificates = certificates
            .context("this machine has no certificates of authorities: install ca-certificates")?;
        Ok(Self {
            binary: binary.to_owned(),
            libraries,
            certificates,
        })
    }

    /// Where each file is, and where it goes to.
    fn files(&self) -> impl Iterator<Item = (&Path, PathBuf)> {
        let libraries = self.libraries.iter();
        let libraries = libraries.map(|library| (library.as_path(), inside(library)));
        libraries.chain([(
            self.certificates.as_path(),
            PathBuf::from(CERTIFICATES_THERE),
        )])
    }

    /// What it is made from.
    fn stamp(&self, context: &Context, folder: &Path, tag: &str) -> Result<Stamp> {
        let mut recipe = Recipe::default()
            .text(include_str!("image.rs"))
            .text(tag)
            .path(&context.source(CONTAINERFILE))?
            .path(&self.binary)?;
        for (from, to) in self.files() {
            recipe = recipe.text(&to.display().to_string()).path(from)?;
        }
        // Images of different names are made by different files.
        let name = Recipe::default().text(tag).digest();
        Ok(Stamp::new(folder.join(format!("{name}-stamp")), recipe))
    }

    /// Puts all of it in a folder.
    fn put(&self, root: &Path) -> Result<()> {
        let program = root.join("usr/bin/wharf");
        stamp::write(&program, b"")?;
        // Names of functions in a debug build are larger than the program.
        let mut strip = Command::new("strip");
        process::run(strip.arg("-o").arg(&program).arg(&self.binary))?;
        for (from, to) in self.files() {
            let to = root.join(to);
            fs::create_dir_all(to.parent().context("a file has a folder")?)?;
            fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        for (name, text) in NAMES {
            stamp::write(&root.join(name), text.as_bytes())?;
        }
        let tmp = root.join("tmp");
        fs::create_dir_all(&tmp)?;
        fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777))?;
        Ok(())
    }
}

fn build(
    context: &Context,
    podman: &Ready,
    content: &Content,
    folder: &Path,
    tag: &str,
) -> Result<()> {
    // Somebody else may be making one.
    let work = folder.join(std::process::id().to_string());
    content.put(&work.join("root"))?;
    let mut build = podman.command("podman")?;
    build
        .args(["build", "--quiet", "--layers=false", "--tag", tag])
        // The same bytes from the same files.
        .args(["--timestamp", "0", "--file"])
        .arg(context.source(CONTAINERFILE))
        .arg(&work);
    let built = process::run(&mut build);
    fs::remove_dir_all(&work)?;
    built.with_context(|| format!("cannot make {tag}"))?;
    // The one that had this name before.
    process::run(
        podman
            .command("podman")?
            .args(["image", "prune", "--force"]),
    )
    .map(drop)
}

fn exists(podman: &Ready, tag: &str) -> Result<bool> {
    let mut exists = podman.command("podman")?;
    Ok(exists.args(["image", "exists", tag]).status()?.success())
}

fn save(podman: &Ready, tag: &str, archive: &Path) -> Result<()> {
    if archive.exists() {
        // podman would add to it.
        fs::remove_file(archive)?;
    }
    let mut save = podman.command("podman")?;
    process::run(
        save.args(["save", "--quiet", "--output"])
            .arg(archive)
            .arg(tag),
    )
    .map(drop)
}

/// In MiB.
fn size(podman: &Ready, tag: &str) -> Result<f64> {
    let mut inspect = podman.command("podman")?;
    let inspect = inspect.args(["image", "inspect", "--format", "{{.Size}}", tag]);
    let bytes: u32 = process::run(inspect)?.trim().parse()?;
    Ok(f64::from(bytes) / f64::from(1 << 20))
}

/// The files that `ldd` names; the kernel's own is none.
fn libraries(linked: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in linked.lines() {
        if line.contains("not found") {
            bail!("{} is not on this machine", line.trim());
        }
        let word = |word: &str| word.starts_with('/').then(|| PathBuf::from(word));
        found.extend(line.split_whitespace().find_map(word));
    }
    match found.is_empty() {
        true => bail!("it is not linked to anything:\n{linked}"),
        false => Ok(found),
    }
}

/// Where a file of this machine is in the image: at the same place.
fn inside(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_is_a_library_and_the_kernels_own_is_not() {
        let linked = "\tlinux-vdso.so.1 (0x00007f35d6e9c000)\n\
                      \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f35d3a1e000)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f35d6e9e000)\n";
        let found = libraries(linked).unwrap();
        let found: Vec<_> = found.iter().map(|path| inside(path)).collect();
        assert_eq!(
            found,
            [
                PathBuf::from("lib/x86_64-linux-gnu/libc.so.6"),
                PathBuf::from("lib64/ld-linux-x86-64.so.2")
            ]
        );
    }

    #[test]
    fn a_library_that_is_not_there_is_told() {
        let error = libraries("\tlibx.so.1 => not found\n").unwrap_err();
        assert!(error.to_string().contains("libx.so.1"), "{error}");
    }
}
