//! Containers without a daemon: podman, with settings under the target folder.
//!
//! Nothing of the machine is configured: podman reads the two files that its
//! environment names. As little as possible is asked of the machine: the host's
//! network, for tests reach nothing else; files that are copied for each container
//! (`vfs`), since the folder may be on a file system that cannot be an overlay; no more
//! open files than a process may have here; `runc`, which works where `crun` does not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Ready;
use crate::context::Context;
use crate::stamp::{self, Recipe, Stamp};
use crate::{debian, process};

/// The programs, which are Debian's packages too. A Pod waits in `catatonit`.
const PROGRAMS: [&str; 3] = ["podman", "runc", "catatonit"];

/// Where podman keeps what only lives as long as the machine is up. Sockets are in
/// there, under names of 90 characters, and a socket's path has at most 107: in a
/// longer folder containers start and nobody hears of their end.
const RUN: &str = "/run";

/// An image with one program that needs nothing else, and says its version.
const CHECK: &str = "FROM scratch\nCOPY catatonit /catatonit\n";

/// Its name. Images of this host's name are looked for nowhere else.
const CHECK_IMAGE: &str = "localhost/wharf-check:1";

/// Finds podman, or installs it where that can be done, and runs a container.
pub(super) fn ensure(context: &Context) -> Result<Ready> {
    if PROGRAMS.iter().any(|name| process::find(name).is_none()) {
        debian::install(context, &PROGRAMS).context("there is no podman that starts Pods")?;
    }
    if !debian::is_root()? {
        bail!("containers are only run by root here");
    }
    let podman = find("podman")?;
    let settings = Settings::write(&context.target().join("orchestrators").join("podman"))?;
    let version = version(&podman)?;
    let recipe = Recipe::default()
        .text(&version)
        .text(CHECK)
        .path(&settings.containers)?
        .path(&settings.storage)?;
    let checked = settings.folder.join("checked");
    let stamp = Stamp::new(checked.clone(), recipe);
    if !stamp.is_current(&checked) {
        check(&podman, &settings).context("podman does not run containers here")?;
        stamp.keep()?;
    }
    Ok(Ready {
        version,
        programs: [("podman", podman)].into(),
        environment: settings.environment().into(),
        ..Ready::default()
    })
}

/// The files that say how podman works.
struct Settings {
    folder: PathBuf,
    containers: PathBuf,
    storage: PathBuf,
}

impl Settings {
    fn write(folder: &Path) -> Result<Self> {
        let settings = Self {
            folder: folder.to_owned(),
            containers: folder.join("containers.conf"),
            storage: folder.join("storage.conf"),
        };
        stamp::write(&settings.containers, containers_conf(folder).as_bytes())?;
        stamp::write(&settings.storage, storage_conf(folder).as_bytes())?;
        Ok(settings)
    }

    fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [
            ("CONTAINERS_CONF", self.containers.clone()),
            ("CONTAINERS_STORAGE_CONF", self.storage.clone()),
        ]
    }
}

/// Each target folder has its own, by a digest of its path.
fn run_folder(folder: &Path) -> PathBuf {
    let digest = Recipe::default()
        .text(&folder.display().to_string())
        .digest();
    let short: String = digest.chars().take(8).collect();
    Path::new(RUN).join(format!("wharf-{short}"))
}

/// Locks and what runs are kept apart from those of the machine's own podman.
fn containers_conf(folder: &Path) -> String {
    format!(
        "[containers]\n\
         netns = \"host\"\n\
         default_ulimits = []\n\
         [engine]\n\
         runtime = \"runc\"\n\
         cgroup_manager = \"cgroupfs\"\n\
         events_logger = \"file\"\n\
         lock_type = \"file\"\n\
         tmp_dir = {:?}\n",
        run_folder(folder).join("libpod")
    )
}

fn storage_conf(folder: &Path) -> String {
    format!(
        "[storage]\n\
         driver = \"vfs\"\n\
         graphroot = {:?}\n\
         runroot = {:?}\n",
        folder.join("storage"),
        run_folder(folder)
    )
}

fn version(podman: &Path) -> Result<String> {
    let said = process::run(Command::new(podman).arg("--version"))?;
    let version = said.split_whitespace().last();
    Ok(version.context("podman has no version")?.to_owned())
}

/// Builds an image and runs it: what a machine forbids is only seen by trying.
fn check(podman: &Path, settings: &Settings) -> Result<()> {
    let source = settings.folder.join("check");
    stamp::write(&source.join("Containerfile"), CHECK.as_bytes())?;
    fs::copy(find("catatonit")?, source.join("catatonit"))?;
    let podman = || {
        let mut command = Command::new(podman);
        command.envs(settings.environment());
        command
    };
    process::run(
        podman()
            .args(["build", "--quiet", "--tag", CHECK_IMAGE])
            .arg(&source),
    )?;
    let said = process::run(podman().args(["run", "--rm", CHECK_IMAGE, "/catatonit", "--version"]));
    let said = said?;
    if !said.contains("catatonit") {
        bail!("a container said {said:?} instead of its version");
    }
    process::run(podman().args(["rmi", CHECK_IMAGE])).map(drop)
}

fn find(program: &str) -> Result<PathBuf> {
    process::find(program).with_context(|| format!("{program} is not on the PATH"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where settings say that things are kept.
    fn paths(folder: &str) -> Vec<PathBuf> {
        let folder = Path::new(folder);
        let settings = containers_conf(folder) + &storage_conf(folder);
        let values = settings.lines().filter_map(|line| line.split_once(" = "));
        values
            .map(|(_, value)| PathBuf::from(value.trim_matches('"')))
            .filter(|path| path.is_absolute())
            .collect()
    }

    #[test]
    fn sockets_fit_wherever_the_target_folder_is() {
        let folder = format!("/{}/podman", "long".repeat(30));
        let paths = paths(&folder);
        assert_eq!(paths.len(), 3);
        for path in paths.iter().filter(|path| !path.starts_with(&folder)) {
            assert!(path.starts_with(RUN), "{path:?}");
            assert!(path.as_os_str().len() < 30, "{path:?}");
        }
    }

    #[test]
    fn target_folders_share_nothing() {
        let other = paths("/b/podman");
        assert!(paths("/a/podman").iter().all(|path| !other.contains(path)));
    }
}
