//! Argo Workflows: its deadline, and the file in which a task says how far it has come.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use wharf_model::Fault;

use super::{Ending, Environment, Surroundings, Telling, malformed, write};
use crate::args::step::Orchestrator;

/// Between two writes of progress: Argo reads it every few seconds.
const BETWEEN: Duration = Duration::from_secs(1);

pub(super) fn is_here(environment: Environment<'_>) -> bool {
    environment.has("ARGO_TEMPLATE") || environment.has("ARGO_NODE_ID")
}

pub(super) fn read(environment: Environment<'_>, found: &mut Surroundings) -> Result<(), Fault> {
    found.orchestrator = Some(Orchestrator::Argo);
    if let Some(template) = environment.get("ARGO_TEMPLATE")? {
        let is_object = serde_json::from_str::<serde_json::Value>(&template);
        if !is_object.is_ok_and(|json| json.is_object()) {
            return Err(malformed("ARGO_TEMPLATE", "it is not a JSON object"));
        }
    }
    found.run = environment.get("ARGO_WORKFLOW_NAME")?;
    // A workflow without a deadline has the beginning of time.
    let deadline = environment.time("ARGO_DEADLINE")?;
    found.deadline = deadline.filter(|deadline| deadline.as_second() > 0);
    if let Some(file) = environment.get("ARGO_PROGRESS_FILE")? {
        found.telling.push(Box::new(Progress {
            file: file.into(),
            told: None,
        }));
    }
    Ok(())
}

/// Progress as `N/M`.
#[derive(Debug)]
struct Progress {
    file: PathBuf,
    told: Option<Instant>,
}

impl Progress {
    fn tell(&self, text: &str) {
        if let Err(fault) = write(&self.file, text) {
            tracing::debug!(%fault, "progress is not told");
        }
    }
}

impl Telling for Progress {
    fn has_done(&mut self, done: u64, total: Option<u64>) {
        let Some(total) = total.filter(|total| *total > 0) else {
            return;
        };
        if self.told.is_some_and(|told| told.elapsed() < BETWEEN) {
            return;
        }
        self.told = Some(Instant::now());
        self.tell(&format!("{}/{total}\n", done.min(total)));
    }

    fn ends(&mut self, ending: &Ending) -> Result<(), Fault> {
        if ending.status.is_good() && self.told.is_some() {
            self.tell("100/100\n");
        }
        Ok(())
    }
}
