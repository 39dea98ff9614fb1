//! Apache Airflow, by `airflow dags test`: as its scheduler does it, in one process.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;

use crate::process::{Process, Variables};
use crate::{Installed, Project, Ran, Request, System, driver};

/// Airflow.
#[derive(Debug)]
pub(super) struct Airflow;

impl System for Airflow {
    fn target(&self) -> &'static str {
        "airflow"
    }

    fn run(&self, installed: &Installed, project: &Project, request: &Request<'_>) -> Result<Ran> {
        let dags = project.compile(self.target())?;
        let home = project.path("airflow");
        if !home.is_dir() {
            fs::create_dir(&home)?;
            fs::copy(database(installed)?, home.join("airflow.db"))?;
        }
        let mut conf = Map::new();
        for (name, value) in &request.parameters {
            // What a form gives: JSON, or else a text.
            let value = serde_json::from_str(value).unwrap_or_else(|_| Json::from(*value));
            conf.insert((*name).to_owned(), value);
        }
        if let Some(partition) = request.partition {
            conf.insert("partition".to_owned(), partition.into());
        }
        let mut variables = variables(&home);
        variables.insert(
            "AIRFLOW__CORE__DAGS_FOLDER".to_owned(),
            dags.display().to_string(),
        );
        variables.insert(
            "WHARF_CACHE".to_owned(),
            crate::project::compiled().display().to_string(),
        );
        let request = json!({
            "dag": project.example().name(),
            "conf": conf,
            "cancel_during": request.cancel_during,
        });
        driver::run(installed, "airflow.py", &home, &variables, &request)
    }
}

fn variables(home: &std::path::Path) -> Variables {
    let home = home.display().to_string();
    [
        ("AIRFLOW_HOME", home.as_str()),
        ("AIRFLOW__CORE__LOAD_EXAMPLES", "False"),
        ("AIRFLOW__LOGGING__COLORED_CONSOLE_LOG", "False"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// A database that is made once: that takes longer than many a run.
fn database(installed: &Installed) -> Result<PathBuf> {
    static HOME: OnceLock<Result<TempDir, String>> = OnceLock::new();
    let make = || {
        let home = tempfile::tempdir()?;
        Process::new(installed.program("airflow")?, home.path())
            .envs(&installed.environment)
            .envs(variables(home.path()))
            .envs([("PATH", installed.path())])
            .args(["db", "migrate"])
            .succeed()?;
        Ok::<_, anyhow::Error>(home)
    };
    let home = HOME.get_or_init(|| make().map_err(|error| format!("{error:#}")));
    let home = home.as_ref().map_err(|error| anyhow::anyhow!("{error}"));
    Ok(home
        .context("Airflow's database cannot be made")?
        .path()
        .join("airflow.db"))
}
