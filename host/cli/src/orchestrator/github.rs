//! GitHub Actions: outputs of a step, its summary, and annotations.

use std::path::PathBuf;

use wharf_model::Fault;
use wharf_model::event::Level;

use super::{Ending, Environment, Surroundings, Telling, append};
use crate::args::step::Orchestrator;
use crate::report::err;

pub(super) fn is_here(environment: Environment<'_>) -> bool {
    environment.has("GITHUB_ACTIONS")
}

pub(super) fn read(environment: Environment<'_>, found: &mut Surroundings) -> Result<(), Fault> {
    found.orchestrator = Some(Orchestrator::GithubActions);
    found.run = environment.get("GITHUB_RUN_ID")?;
    found.attempt = environment.count("GITHUB_RUN_ATTEMPT", 1)?;
    let file = |name: &str| Ok::<_, Fault>(environment.get(name)?.map(PathBuf::from));
    found.telling.push(Box::new(Job {
        output: file("GITHUB_OUTPUT")?,
        summary: file("GITHUB_STEP_SUMMARY")?,
    }));
    Ok(())
}

#[derive(Debug)]
struct Job {
    output: Option<PathBuf>,
    summary: Option<PathBuf>,
}

impl Telling for Job {
    fn says(&mut self, level: Level, message: &str) {
        if level == Level::Warn {
            err(&format!("::warning::{}", data(message)));
        }
    }

    fn ends(&mut self, ending: &Ending) -> Result<(), Fault> {
        if !ending.status.is_good()
            && ending.status != wharf_model::pipeline_run::StepStatus::Skipped
        {
            self.fails(&format!("{}: {}", ending.title(), ending.reason()));
        }
        if let Some(file) = &self.output {
            let text = format!(
                "results={}\nstatus={}\n",
                ending.results(),
                ending.status.name()
            );
            append(file, &text)?;
        }
        if let Some(file) = &self.summary {
            append(file, &summary(ending))?;
        }
        Ok(())
    }

    fn counts(&mut self, list: &str) -> Result<(), Fault> {
        match &self.output {
            Some(file) => append(file, &format!("results={list}\n")),
            None => Ok(()),
        }
    }

    fn fails(&mut self, message: &str) {
        err(&format!("::error::{}", data(message)));
    }
}

/// A message as a workflow command takes it.
fn data(message: &str) -> String {
    message
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// What the page of the run shows. Whatever steps say stays text.
fn summary(ending: &Ending) -> String {
    let mut text = format!("### {}: {}\n\n", ending.title(), ending.status);
    if let Some(message) = &ending.message {
        text += &fenced("text", message);
    }
    if !ending.results.is_null() {
        let results = serde_json::to_string_pretty(&ending.results).unwrap_or_default();
        text += &fenced("json", &results);
    }
    if !ending.outputs.is_empty() {
        text += "| output | size | digest |\n|---|---|---|\n";
        for (name, output) in &ending.outputs {
            let size = crate::report::bytes(output.size);
            text += &format!("| {name} | {size} | `{}` |\n", output.digest);
        }
        text.push('\n');
    }
    text
}

/// A block of text that nothing in it ends.
fn fenced(kind: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{kind}\n{text}\n{fence}\n\n")
}
