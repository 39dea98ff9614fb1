//! Orchestrators whose tasks are containers, which podman runs here: each has a driver of
//! its own, and a store in a bucket.

use anyhow::Result;

use super::python::asked;
use crate::process::{Process, Variables};
use crate::{Example, Installed, Project, Ran, Request, System, containers, driver};

/// An orchestrator that a driver has run containers.
#[derive(Debug)]
pub(super) struct Contained {
    /// What `wharf pipeline compile` calls it, and its driver.
    pub(super) target: &'static str,
    /// What the inventory calls it.
    pub(super) installed_as: &'static str,
    /// What it cannot do without.
    pub(super) needs: &'static [&'static str],
    pub(super) driver: Driver,
}

/// What has it run something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Driver {
    /// The script of its name.
    Python,
    /// A program that is installed, with arguments before those of all drivers.
    Program(&'static str, &'static [&'static str]),
}

impl System for Contained {
    fn target(&self) -> &'static str {
        self.target
    }

    fn installed_as(&self) -> &'static str {
        self.installed_as
    }

    fn needs(&self) -> &'static [&'static str] {
        self.needs
    }

    fn project(&self, example: Example) -> Result<Project> {
        Project::in_bucket(example, containers::image()?)
    }

    fn run(&self, installed: &Installed, project: &Project, request: &Request<'_>) -> Result<Ran> {
        let folder = project.compile(self.target)?;
        let home = project.make(&format!("home-{}", self.target))?;
        let mut asked = asked(project, &folder, request);
        asked["secrets"] = project.secrets().into_iter().collect();
        match self.driver {
            Driver::Python => {
                let driver = format!("{}.py", self.target);
                driver::run(installed, &driver, &home, &Variables::new(), &asked)
            }
            Driver::Program(name, arguments) => {
                let driver = Process::new(installed.program(name)?, &home).args(arguments);
                driver::ask(installed, driver, &home, &asked)
            }
        }
    }
}
