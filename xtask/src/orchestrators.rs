//! Other orchestrators, so that tests can run the same steps under each of them.
//!
//! Installs them, all with pinned versions and into the target folder but for Debian's
//! packages, and writes down where they are: tests in other packages read that file.
//! Starts none of them; that is what the tests do.

mod containers;
mod locked;
mod quiet;
mod tools;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Error, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::context::Context;
use crate::stamp;

/// What there is, in the target folder. A map from the names of systems, and from
/// `environment` to what turns their telemetry off.
const INVENTORY: &str = "orchestrators.json";

/// The key in it that is no system.
const ENVIRONMENT: &str = "environment";

/// What can be installed: orchestrators, and what runs or checks files for those that
/// need a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum System {
    Airflow,
    Dagster,
    /// Kubeflow Pipelines: compiles, and runs locally over podman.
    Kfp,
    Prefect,
    Metaflow,
    Snakemake,
    /// The reference runner of the Common Workflow Language.
    Cwltool,
    Zenml,
    /// Checks files of Kubernetes and of GitHub Actions against their schemas.
    Checkers,
    /// Runs containers and Pods, and has the socket of Docker.
    Podman,
    /// The linter of Argo Workflows.
    Argo,
    /// A linter of Tekton's manifests.
    Tekton,
    /// A linter of workflows, and `act`, which runs them.
    GithubActions,
}

impl System {
    /// As people type it and the inventory has it.
    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    fn install(self, context: &Context) -> Result<Ready> {
        match self {
            Self::Airflow => locked::ensure(context, "airflow", &["apache-airflow"]),
            Self::Dagster => locked::ensure(context, "dagster", &["dagster"]),
            Self::Kfp => locked::ensure(context, "kfp", &["kfp"]),
            Self::Prefect => locked::ensure(context, "prefect", &["prefect"]),
            Self::Metaflow => locked::ensure(context, "metaflow", &["metaflow"]),
            Self::Snakemake => locked::ensure(context, "snakemake", &["snakemake"]),
            Self::Cwltool => locked::ensure(context, "cwltool", &["cwltool"]),
            Self::Zenml => locked::ensure(context, "zenml", &["zenml"]),
            Self::Checkers => locked::ensure(
                context,
                "checkers",
                &["check-jsonschema", "kubernetes-validate"],
            ),
            Self::Podman => containers::ensure(context),
            Self::Argo => tools::argo(context),
            Self::Tekton => tools::tekton(context),
            Self::GithubActions => tools::github_actions(context),
        }
    }
}

/// A system that is ready.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Ready {
    /// One version, or `NAME VERSION` for each part.
    version: String,
    /// The Python environment, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    venv: Option<PathBuf>,
    /// Programs by name, where they are not those of an environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    programs: BTreeMap<&'static str, PathBuf>,
    /// What the programs need in their environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    environment: BTreeMap<&'static str, PathBuf>,
}

impl Ready {
    /// A program of it.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        let program = match &self.venv {
            Some(venv) => Some(venv.join("bin").join(name)),
            None => self.programs.get(name).cloned(),
        };
        program
            .filter(|program| program.is_file())
            .with_context(|| format!("there is no program {name}"))
    }

    /// A program of it, in the environment that it needs.
    pub(crate) fn command(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(self.program(name)?);
        command.envs(&self.environment);
        Ok(command)
    }
}

/// Why a system is not to be had on this machine: no network, not root, not Debian.
#[derive(Debug, Serialize)]
pub(crate) struct Skipped {
    #[serde(rename = "skipped")]
    reason: String,
}

impl From<Error> for Skipped {
    fn from(error: Error) -> Self {
        Self {
            reason: format!("{error:#}").trim_end().to_owned(),
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skipped: {}", self.reason)
    }
}

impl std::error::Error for Skipped {}

/// Installs a system if it is missing or has other versions.
pub(crate) fn ensure(context: &Context, system: System) -> Result<Ready, Skipped> {
    system.install(context).map_err(Skipped::from)
}

/// What `cargo xtask orchestrators` can be told.
#[derive(Args, Debug, Default)]
pub(crate) struct Orchestrators {
    /// Only these; all where none is named.
    #[arg(value_enum, value_name = "NAME")]
    systems: Vec<System>,
    /// Fails if one of them is skipped.
    #[arg(long)]
    strict: bool,
    /// Before that, writes the lists of all Python packages anew, with the newest
    /// versions that fit.
    #[arg(long)]
    lock: bool,
}

/// Installs the systems and writes the inventory.
pub(crate) fn run(context: &Context, options: &Orchestrators) -> Result<()> {
    if options.lock {
        locked::resolve(context)?;
    }
    let systems = match options.systems.as_slice() {
        [] => System::value_variants(),
        named => named,
    };
    let mut inventory = Inventory::read(context);
    let mut skipped = 0;
    for system in systems {
        let outcome = ensure(context, *system);
        context.say(format!("{}: {}", system.name(), describe(&outcome)));
        skipped += usize::from(outcome.is_err());
        inventory.set(*system, &outcome)?;
    }
    inventory.write(context)?;
    context.say(format!(
        "{} of {} systems are ready, {skipped} skipped",
        systems.len() - skipped,
        systems.len()
    ));
    if options.strict && skipped > 0 {
        bail!("{skipped} systems were skipped");
    }
    Ok(())
}

fn describe(outcome: &Result<Ready, Skipped>) -> String {
    match outcome {
        Ok(ready) => ready.version.clone(),
        Err(skipped) => skipped.to_string(),
    }
}

/// What is known of the systems. Those that were not asked for stay as they were.
struct Inventory(Map<String, Value>);

impl Inventory {
    /// Anything unreadable counts as nothing.
    fn read(context: &Context) -> Self {
        let known = fs::read(context.target().join(INVENTORY)).ok();
        let known = known.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self(known.unwrap_or_default())
    }

    fn set(&mut self, system: System, outcome: &Result<Ready, Skipped>) -> Result<()> {
        let value = match outcome {
            Ok(ready) => serde_json::to_value(ready),
            Err(skipped) => serde_json::to_value(skipped),
        };
        self.0.insert(system.name(), value?);
        Ok(())
    }

    fn write(mut self, context: &Context) -> Result<()> {
        let quiet = serde_json::to_value(quiet::environment())?;
        self.0.insert(ENVIRONMENT.to_owned(), quiet);
        let mut text = serde_json::to_vec_pretty(&self.0)?;
        text.push(b'\n');
        stamp::write(&context.target().join(INVENTORY), &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_system_has_the_name_of_the_environment() {
        for system in System::value_variants() {
            assert!(!system.name().is_empty());
            assert_ne!(system.name(), ENVIRONMENT);
        }
    }

    #[test]
    fn the_inventory_says_what_there_is_and_why_not() {
        let mut inventory = Inventory(Map::new());
        let ready = Ready {
            version: "3.3.2".to_owned(),
            venv: Some(PathBuf::from("/venvs/airflow")),
            ..Ready::default()
        };
        let refused = Error::msg("no network").context("cannot install kfp\n");
        inventory.set(System::Airflow, &Ok(ready)).unwrap();
        inventory.set(System::Kfp, &Err(refused.into())).unwrap();
        assert_eq!(
            Value::Object(inventory.0),
            serde_json::json!({
                "airflow": {"venv": "/venvs/airflow", "version": "3.3.2"},
                "kfp": {"skipped": "cannot install kfp\n: no network"},
            })
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let ready = Ready {
            venv: Some(folder.path().to_owned()),
            ..Ready::default()
        };
        assert!(ready.program("python").is_err());
        stamp::write(&folder.path().join("bin/python"), b"").unwrap();
        assert!(ready.program("python").is_ok());
    }
}
