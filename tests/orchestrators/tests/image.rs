//! The image that `cargo xtask image` makes, as a careful cluster runs it: nothing to write
//! to but /tmp, no capabilities, no new privileges.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;
use wharf_orchestrators::{Example, Installed, Inventory, Project, containers};

/// podman with the image, or nothing where this machine does not have it.
struct Image {
    podman: Installed,
    name: &'static str,
}

impl Image {
    #[expect(clippy::print_stdout, reason = "one that is left out is told")]
    fn make() -> Result<Option<Self>> {
        match Inventory::read()?.system("podman") {
            Ok(podman) => Ok(Some(Self {
                podman,
                name: containers::image()?,
            })),
            Err(reason) => {
                println!("SKIPPED podman: {reason}");
                Ok(None)
            }
        }
    }

    fn podman(&self) -> Result<Command> {
        let mut command = Command::new(self.podman.program("podman")?);
        command.envs(&self.podman.environment);
        Ok(command)
    }

    /// What a program in a container makes of its arguments, with folders of this machine
    /// as volumes.
    fn run(&self, volumes: &[(&Path, &str)], words: &[&str]) -> Result<Output> {
        let mut run = self.podman()?;
        run.args(["run", "--rm", "--read-only", "--cap-drop", "all"])
            .args(["--security-opt", "no-new-privileges", "--tmpfs", "/tmp"]);
        for (from, to) in volumes {
            run.arg("--volume").arg(format!("{}:{to}", from.display()));
        }
        let ended = run.arg(self.name).args(words).output()?;
        Ok(ended)
    }

    /// What it prints; it must succeed.
    fn print(&self, volumes: &[(&Path, &str)], words: &[&str]) -> Result<String> {
        let ended = self.run(volumes, words)?;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(
            ended.status.success(),
            "{words:?}: {}\n{said}",
            ended.status
        );
        Ok(String::from_utf8(ended.stdout)?)
    }
}

#[test]
fn it_has_no_more_than_it_needs() -> Result<()> {
    let Some(image) = Image::make()? else {
        return Ok(());
    };
    let inspected = image
        .podman()?
        .args(["image", "inspect", image.name])
        .output()?;
    let inspected: Json = serde_json::from_slice(&inspected.stdout)?;
    let (size, config) = (&inspected[0]["Size"], &inspected[0]["Config"]);
    // Of a debug build; one that is shipped is no larger.
    ensure!(size.as_u64().is_some_and(|size| size < 80 << 20), "{size}");
    assert_eq!(config["User"], "65532:65532");
    assert!(config["Entrypoint"].is_null() && config["Cmd"].is_null());
    let variables = config["Env"].as_array().context("it has variables")?;
    for variable in ["PATH=/usr/bin", "HOME=/tmp"] {
        ensure!(variables.iter().any(|it| it == variable), "{variables:?}");
    }

    let files = files(&image)?;
    for file in ["usr/bin/wharf", "etc/passwd", "etc/group"] {
        ensure!(files.iter().any(|it| it == file), "no {file}: {files:?}");
    }
    let others = files.iter().filter(|file| {
        let name = file.rsplit('/').next().unwrap_or_default();
        let is_library = name.contains(".so");
        !is_library && !file.ends_with('/') && !file.starts_with("etc/")
    });
    assert_eq!(others.collect::<Vec<_>>(), ["usr/bin/wharf"]);
    for shell in ["sh", "/bin/sh", "bash", "busybox"] {
        let ended = image.run(&[], &[shell, "-c", "true"])?;
        // As podman says that there is no such program.
        assert_eq!(ended.status.code(), Some(127), "{shell}");
    }
    Ok(())
}

/// All files of the image; the names of folders end with `/`.
fn files(image: &Image) -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("image.tar");
    let saved = image
        .podman()?
        .args(["save", "--quiet", "--format", "docker-dir", "--output"])
        .args([archive.as_os_str(), image.name.as_ref()])
        .status()?;
    ensure!(saved.success(), "it cannot be saved");
    let manifest: Json = serde_json::from_slice(&std::fs::read(archive.join("manifest.json"))?)?;
    let layers = manifest["layers"].as_array().context("it has layers")?;
    let mut files = Vec::new();
    for layer in layers {
        let digest = layer["digest"].as_str().unwrap_or_default();
        let layer = archive.join(digest.trim_start_matches("sha256:"));
        let listed = Command::new("tar").arg("-tf").arg(layer).output()?;
        ensure!(listed.status.success(), "tar: {}", listed.status);
        let listed = String::from_utf8(listed.stdout)?;
        files.extend(listed.lines().map(str::to_owned));
    }
    Ok(files)
}

#[test]
fn it_says_what_it_is() -> Result<()> {
    let Some(image) = Image::make()? else {
        return Ok(());
    };
    let here = Project::new(Example::Promote)?.print(&["--version"])?;
    assert_eq!(image.print(&[], &["wharf", "--version"])?, here);
    let doctor = image.print(&[], &["wharf", "doctor"])?;
    for line in ["compiler", "compile cache     /tmp/", "seccomp"] {
        ensure!(doctor.contains(&format!("ok       {line}")), "{doctor}");
    }
    Ok(())
}

#[test]
fn it_writes_nowhere_but_where_it_may() -> Result<()> {
    let Some(image) = Image::make()? else {
        return Ok(());
    };
    let words = ["wharf", "artifact", "put", "x", "/etc/passwd"];
    let put = |store: &str| {
        let words = [&words[..], &["--store", store]].concat();
        image.run(&[], &words)
    };
    let ended = put("/new")?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(said.contains("Read-only file system"), "{said}");
    let ended = put("/tmp/new")?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{said}");

    // Also where somebody runs it without care.
    let careless = image
        .podman()?
        .args(["run", "--rm", image.name])
        .args(words)
        .args(["--store", "/new"])
        .output()?;
    let said = String::from_utf8_lossy(&careless.stderr);
    ensure!(said.contains("Permission denied"), "{said}");
    Ok(())
}

#[test]
fn it_runs_a_step_in_a_store_that_is_mounted() -> Result<()> {
    let Some(image) = Image::make()? else {
        return Ok(());
    };
    let project = Project::new(Example::Promote)?;
    let pipeline = project.print(&["pipeline", "lock", project.example().file()])?;
    let store = project.path("store");
    open(&store)?;
    let mut words = vec!["wharf", "step", "exec", "--store", "/store"];
    words.extend(["--pipeline", pipeline.trim(), "--step", "split"]);
    words.extend(["--run-id", "in-a-container"]);
    let results: Json = serde_json::from_str(&image.print(&[(&store, "/store")], &words)?)?;
    ensure!(results.is_object(), "{results}");
    let shown = project.json(&["show", "last/split", "--json"])?;
    ensure!(
        shown["outputs"].as_array().is_some_and(|it| !it.is_empty()),
        "{shown:#}"
    );
    // Its user made that.
    assert_eq!(store.join("commits").metadata()?.uid(), 65532);
    Ok(())
}

/// Lets everybody write in a folder.
fn open(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            open(&path)?;
        }
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777))?;
    Ok(())
}
