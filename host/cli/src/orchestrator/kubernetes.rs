//! A pod of Kubernetes: the message that it ends with.

use std::path::PathBuf;

use wharf_model::Fault;
use wharf_model::pipeline_run::StepStatus;

use super::{Ending, Environment, Surroundings, Telling, cut, write};
use crate::args::step::Orchestrator;

/// Where Kubernetes looks for it, where a pod does not say otherwise.
const MESSAGE: &str = "/dev/termination-log";
/// Most bytes of it.
const MOST: usize = 4096;

pub(super) fn is_here(environment: Environment<'_>) -> bool {
    environment.has("KUBERNETES_SERVICE_HOST") || environment.path(MESSAGE).is_file()
}

pub(super) fn read(environment: Environment<'_>, found: &mut Surroundings) -> Result<(), Fault> {
    found.orchestrator.get_or_insert(Orchestrator::Kubernetes);
    let file = environment.path(MESSAGE);
    if file.is_file() {
        found.telling.push(Box::new(Message(file)));
    }
    Ok(())
}

#[derive(Debug)]
struct Message(PathBuf);

impl Message {
    fn put(&self, text: &str) {
        if let Err(fault) = write(&self.0, cut(text, MOST)) {
            tracing::debug!(%fault, "the message of the pod is not written");
        }
    }
}

impl Telling for Message {
    fn ends(&mut self, ending: &Ending) -> Result<(), Fault> {
        match ending.status {
            StepStatus::Succeeded | StepStatus::Cached => {}
            _ => self.put(&format!("{}: {}", ending.title(), ending.reason())),
        }
        Ok(())
    }

    fn fails(&mut self, message: &str) {
        self.put(message);
    }
}
