//! Programs that have an orchestrator run something, in its own language: they know its
//! interfaces, and answer in JSON.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;

use crate::inventory::source_folder;
use crate::process::{Process, Variables};
use crate::{Installed, Ran, State};

/// Bytes of what a task said that are kept: its end.
const MOST_SAID: usize = 4_000;

/// Runs a driver in an orchestrator's Python environment, and reads its answer.
///
/// # Errors
/// Where it fails, with all that it said.
pub fn run(
    installed: &Installed,
    name: &str,
    folder: &Path,
    variables: &Variables,
    request: &Json,
) -> Result<Ran> {
    let driver = source_folder()
        .join("tests/orchestrators/drivers")
        .join(name);
    let python = Process::new(installed.program("python")?, folder)
        .envs(variables)
        .args([driver]);
    ask(installed, python, folder, request)
}

/// Runs a driver that is a program of its own, and reads its answer.
///
/// # Errors
/// As [`run`].
pub fn ask(installed: &Installed, driver: Process, folder: &Path, request: &Json) -> Result<Ran> {
    let answer = folder.join("answer.json");
    // Of a driver that fails, there is none.
    let _ = std::fs::remove_file(&answer);
    let log = driver
        .envs(&installed.environment)
        .envs([("PATH", installed.path())])
        .args([request.to_string(), answer.display().to_string()])
        .succeed()?;
    let text = std::fs::read_to_string(&answer);
    let text = text.with_context(|| format!("there is no answer:\n{log}"))?;
    ran(&serde_json::from_str(&text)?).with_context(|| format!("the driver said:\n{log}"))
}

/// What a driver's answer says.
fn ran(answer: &Json) -> Result<Ran> {
    let mut ran = Ran::default();
    for (task, state) in answer["tasks"].as_object().into_iter().flatten() {
        ran.tasks
            .insert(task.clone(), state_of(state.as_str().unwrap_or_default())?);
    }
    for (task, tries) in answer["tries"].as_object().into_iter().flatten() {
        let tries = tries.as_u64().and_then(|tries| u32::try_from(tries).ok());
        ran.tries.insert(task.clone(), tries.unwrap_or_default());
    }
    for (task, said) in answer["said"].as_object().into_iter().flatten() {
        let said = said.as_str().unwrap_or_default();
        let from = said.ceil_char_boundary(said.len().saturating_sub(MOST_SAID));
        ran.said.insert(task.clone(), said[from..].to_owned());
    }
    Ok(ran)
}

fn state_of(text: &str) -> Result<State> {
    Ok(match text {
        "succeeded" => State::Succeeded,
        "skipped" => State::Skipped,
        "failed" => State::Failed,
        "cancelled" => State::Cancelled,
        "not-run" => State::NotRun,
        other => bail!("`{other}` is no state"),
    })
}
