//! What `cargo xtask orchestrators` has installed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;

use crate::System;

/// What is installed, and what is not.
#[derive(Debug)]
pub struct Inventory {
    systems: Json,
}

/// A system that is installed.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Its version, or those of its parts.
    pub version: String,
    /// Its Python environment, where it has one.
    pub venv: Option<PathBuf>,
    /// Its programs that are not in that.
    programs: BTreeMap<String, PathBuf>,
    /// What it needs in its environment.
    pub environment: BTreeMap<String, String>,
}

impl Inventory {
    /// Reads what was installed.
    ///
    /// # Errors
    /// Where nothing was.
    pub fn read() -> Result<Self> {
        let path = target_folder().join("orchestrators.json");
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| {
            format!(
                "{} is missing; install orchestrators first: cargo xtask orchestrators",
                path.display()
            )
        })?;
        Ok(Self {
            systems: serde_json::from_str(&text)?,
        })
    }

    /// What a system is, with all that it needs, or why that is not installed.
    ///
    /// # Errors
    /// The reason, for people to read.
    pub fn of(&self, system: &dyn System) -> Result<Installed> {
        let mut installed = self.system(system.installed_as())?;
        for name in system.needs() {
            let needed = self.system(name)?;
            installed.version += &format!(", {name} {}", needed.version);
            installed.venv = installed.venv.or(needed.venv);
            installed.programs.extend(needed.programs);
            installed.environment.extend(needed.environment);
        }
        Ok(installed)
    }

    /// A system, or why it is not installed.
    ///
    /// # Errors
    /// The reason, for people to read.
    pub fn system(&self, name: &str) -> Result<Installed> {
        let Some(system) = self.systems.get(name) else {
            bail!("{name} was not installed: cargo xtask orchestrators {name}");
        };
        if let Some(reason) = system["skipped"].as_str() {
            bail!("{reason}");
        }
        let texts = |json: &Json| -> BTreeMap<String, String> {
            let entries = json.as_object().into_iter().flatten();
            let entries = entries
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
            entries.collect()
        };
        let programs = texts(&system["programs"]).into_iter();
        let mut environment = texts(&self.systems["environment"]);
        environment.extend(texts(&system["environment"]));
        Ok(Installed {
            version: system["version"].as_str().unwrap_or_default().to_owned(),
            venv: system["venv"].as_str().map(PathBuf::from),
            programs: programs.map(|(name, path)| (name, path.into())).collect(),
            environment,
        })
    }
}

impl Installed {
    /// A program of it.
    ///
    /// # Errors
    /// Where there is none.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let in_venv = || Some(self.venv.as_ref()?.join("bin").join(name));
        let program = self.programs.get(name).cloned().or_else(in_venv);
        let program = program.filter(|program| program.is_file());
        program.with_context(|| format!("there is no program {name}"))
    }

    /// A search path with its programs before those of the machine, and `wharf` first.
    #[must_use]
    pub fn path(&self) -> String {
        let mut folders = vec![wharf_folder()];
        folders.extend(self.venv.iter().map(|venv| venv.join("bin")));
        folders.extend(
            self.programs
                .values()
                .filter_map(|program| Some(program.parent()?.to_owned())),
        );
        let machine = std::env::var_os("PATH").unwrap_or_default();
        folders.extend(std::env::split_paths(&machine));
        let joined = std::env::join_paths(folders);
        joined.map_or_else(
            |_| String::new(),
            |path| path.to_string_lossy().into_owned(),
        )
    }
}

/// The folder that cargo builds into.
#[must_use]
pub fn target_folder() -> PathBuf {
    let from_environment = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    from_environment.unwrap_or_else(|| source_folder().join("target"))
}

/// The source tree.
#[must_use]
pub fn source_folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The folder of the `wharf` that is tested: what `WHARF_BIN` names, else that of a debug
/// build.
#[must_use]
pub fn wharf_folder() -> PathBuf {
    let named = std::env::var_os("WHARF_BIN").map(PathBuf::from);
    let named = named.and_then(|program| program.parent().map(Path::to_owned));
    named.unwrap_or_else(|| target_folder().join("debug"))
}

/// The `wharf` that is tested.
#[must_use]
pub fn wharf() -> PathBuf {
    wharf_folder().join("wharf")
}
