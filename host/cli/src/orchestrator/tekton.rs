//! Tekton: the results of a task.

use std::path::PathBuf;

use wharf_model::Fault;

use super::{Ending, Environment, Surroundings, Telling, write};
use crate::args::step::Orchestrator;

/// Where results go, each a file. All of them together may have 4 KiB.
const RESULTS: &str = "/tekton/results";

pub(super) fn is_here(environment: Environment<'_>) -> bool {
    environment.path(RESULTS).is_dir()
}

pub(super) fn read(environment: Environment<'_>, found: &mut Surroundings) -> Result<(), Fault> {
    found.orchestrator = Some(Orchestrator::Tekton);
    found
        .telling
        .push(Box::new(Results(environment.path(RESULTS))));
    Ok(())
}

#[derive(Debug)]
struct Results(PathBuf);

impl Telling for Results {
    fn ends(&mut self, ending: &Ending) -> Result<(), Fault> {
        write(&self.0.join("status"), ending.status.name())?;
        write(&self.0.join("results"), &ending.results())
    }

    fn counts(&mut self, list: &str) -> Result<(), Fault> {
        write(&self.0.join("results"), list)
    }
}
