//! Orchestrators that are driven in Python, each by a driver of its own, in an environment
//! of its own.

use std::fs;

use anyhow::Result;
use serde_json::{Map, Value as Json, json};

use crate::process::Variables;
use crate::{Installed, Project, Ran, Request, System, driver};

/// An orchestrator that a driver has run something.
#[derive(Debug)]
pub(super) struct Driven {
    /// What `wharf pipeline compile` calls it, and its driver.
    pub(super) target: &'static str,
    /// What the inventory calls it.
    pub(super) installed_as: &'static str,
    /// Variables that it needs. `HOME` in a value is a folder that it has for itself.
    pub(super) variables: &'static [(&'static str, &'static str)],
    /// Files that must be in that folder.
    pub(super) files: &'static [(&'static str, &'static str)],
}

impl System for Driven {
    fn target(&self) -> &'static str {
        self.target
    }

    fn installed_as(&self) -> &'static str {
        self.installed_as
    }

    fn run(&self, installed: &Installed, project: &Project, request: &Request<'_>) -> Result<Ran> {
        let folder = project.compile(self.target)?;
        let home = project.make(&format!("home-{}", self.target))?;
        for (name, text) in self.files {
            fs::write(home.join(name), text)?;
        }
        let own = home.display().to_string();
        let variables = self.variables.iter();
        let mut variables: Variables = variables
            .map(|(name, value)| ((*name).to_owned(), value.replace("HOME", &own)))
            .collect();
        let compiled = crate::project::compiled().display().to_string();
        variables.insert("WHARF_CACHE".to_owned(), compiled);
        driver::run(
            installed,
            &format!("{}.py", self.target),
            &home,
            &variables,
            &asked(project, &folder, request),
        )
    }
}

/// A request as drivers get it.
pub(super) fn asked(project: &Project, folder: &std::path::Path, request: &Request<'_>) -> Json {
    let parameters = request.parameters.iter().map(|(name, value)| {
        // What a form gives: JSON, or else a text.
        let value = serde_json::from_str(value).unwrap_or_else(|_| Json::from(*value));
        ((*name).to_owned(), value)
    });
    json!({
        "folder": folder,
        "name": project.example().name(),
        "store": project.store(),
        "parameters": Json::Object(parameters.collect::<Map<_, _>>()),
        "partition": request.partition,
        "cancel_during": request.cancel_during,
    })
}
