//! Where a task runs: what its orchestrator says in the environment, and what it wants to
//! be told.
//!
//! ```text
//! environment -> detect -> Surroundings -> (task) -> Ending -> tell
//! ```
//!
//! One [`Surroundings`] goes in and one [`Ending`] comes out, whichever orchestrator it
//! is; each has a module that translates the two. What an orchestrator says and cannot be
//! understood is an error: to go on would be to run something else than was meant.

mod airflow;
mod argo;
mod dagster;
mod github;
mod kfp;
mod kubernetes;
mod tekton;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;
use wharf_model::event::Level;
use wharf_model::pipeline_run::StepStatus;
use wharf_model::record::{Artifact, RunId};
use wharf_model::{Digest, ErrorKind, Fault};
use wharf_runner::pipeline::TaskEnded;
use wharf_store::Store;

use crate::args::step::Orchestrator;

/// Most bytes of what a step returns that are handed to an orchestrator as they are; of
/// more, where it is. Each of them keeps such values in a database, or in the status of a
/// pod.
const MAX_INLINE: usize = 1024;

/// The version of what an ending looks like.
const ENDING_FORMAT: &str = "wharf.step-ending/1";

/// The environment of the process, so that tests have one of their own.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'a> {
    /// A variable; nothing where it is not set, or empty.
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Where the root of the file system is.
    root: &'a Path,
}

impl Environment<'_> {
    /// Calls `work` with the environment of this process.
    pub(crate) fn real<T>(work: impl FnOnce(Environment<'_>) -> T) -> T {
        let variable = |name: &str| std::env::var_os(name);
        work(Environment {
            variable: &variable,
            root: Path::new("/"),
        })
    }

    /// A variable that is set to something.
    fn get(&self, name: &str) -> Result<Option<String>, Fault> {
        let Some(value) = (self.variable)(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let value = value.into_string();
        value
            .map(Some)
            .map_err(|_| malformed(name, "it is not UTF-8"))
    }

    fn has(&self, name: &str) -> bool {
        (self.variable)(name).is_some_and(|value| !value.is_empty())
    }

    /// A number that counts attempts from `first` on.
    fn count(&self, name: &str, first: u32) -> Result<Option<u32>, Fault> {
        let Some(text) = self.get(name)? else {
            return Ok(None);
        };
        let count: u32 = text
            .parse()
            .map_err(|_| malformed(name, &format!("`{text}` is not a number")))?;
        Ok(Some(count.saturating_sub(first).saturating_add(1)))
    }

    fn time(&self, name: &str) -> Result<Option<Timestamp>, Fault> {
        let Some(text) = self.get(name)? else {
            return Ok(None);
        };
        let time = text.parse();
        time.map(Some)
            .map_err(|_| malformed(name, &format!("`{text}` is not a time")))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

/// What an orchestrator says, and it cannot be understood.
fn malformed(variable: &str, why: &str) -> Fault {
    let message = format!("`{variable}`, which says how this task runs, is malformed: {why}");
    Fault::new(ErrorKind::CommandLine, message)
        .hint("where no orchestrator has set it, unset it, or say --orchestrator none")
}

/// What an orchestrator says.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// Which one it is.
    pub(crate) orchestrator: Option<Orchestrator>,
    /// What it calls the run.
    pub(crate) run: Option<String>,
    /// Which attempt at the task this is, from 1 on.
    pub(crate) attempt: Option<u32>,
    /// The date that the run is for.
    pub(crate) logical_date: Option<Timestamp>,
    /// The partition that the run is for.
    pub(crate) partition: Option<String>,
    /// What it gives for parameters, by names of its own.
    pub(crate) parameters: std::collections::BTreeMap<String, Json>,
    /// When the task is stopped.
    pub(crate) deadline: Option<Timestamp>,
    /// The trace that the run belongs to, as W3C writes it.
    pub(crate) trace_parent: Option<String>,
    /// How it is told.
    telling: Vec<Box<dyn Telling>>,
}

/// How an orchestrator is told what happens. What cannot be told fails the task only
/// where the orchestrator would go on with something else.
trait Telling: std::fmt::Debug {
    /// The task begins.
    fn begins(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    /// The step says something.
    fn says(&mut self, _level: Level, _message: &str) {}

    /// The step says how far it has come.
    fn has_done(&mut self, _done: u64, _total: Option<u64>) {}

    /// The task ends.
    fn ends(&mut self, ending: &Ending) -> Result<(), Fault>;

    /// The items of a step were counted: a list of numbers.
    fn counts(&mut self, _list: &str) -> Result<(), Fault> {
        Ok(())
    }

    /// The task could not be run at all.
    fn fails(&mut self, _message: &str) {}
}

/// How a task ended, as programs are told.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Ending {
    format: &'static str,
    run: RunId,
    step: String,
    item: Option<u64>,
    pub(crate) status: StepStatus,
    retryable: bool,
    pub(crate) message: Option<String>,
    commit: Option<Digest>,
    /// What the step returned, or where that is.
    results: Json,
    outputs: std::collections::BTreeMap<String, Output>,
    published: Vec<String>,
}

/// An artifact that a task has made.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Output {
    uri: String,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<u64>,
    media_type: Option<String>,
}

impl Ending {
    /// What programs are told of how a task ended.
    pub(crate) fn of(ended: &TaskEnded, store: &Store) -> Self {
        let end = &ended.end.end;
        let outputs = ended.record.iter().flat_map(|record| &record.outputs);
        let outputs =
            outputs.filter_map(|output| Some((output.name.clone(), output_of(output, store)?)));
        Self {
            format: ENDING_FORMAT,
            run: ended.run.clone(),
            step: end.step.clone(),
            item: end.item,
            status: end.status,
            retryable: ended.end.retryable,
            message: end.message.clone(),
            commit: end.commit,
            results: handed_over(&ended.results, end.commit.as_ref(), store),
            outputs: outputs.collect(),
            published: ended.end.published.clone(),
        }
    }

    /// What the step returned, as one line.
    pub(crate) fn results(&self) -> String {
        self.results.to_string()
    }

    /// Whether trying again can help.
    pub(crate) const fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// Why it did not succeed.
    pub(crate) fn reason(&self) -> String {
        match (&self.message, self.status) {
            (Some(message), _) => message.clone(),
            (None, status) => status.to_string(),
        }
    }

    /// `STEP`, or `STEP[ITEM]`.
    pub(crate) fn title(&self) -> String {
        match self.item {
            Some(item) => format!("{}[{item}]", self.step),
            None => self.step.clone(),
        }
    }
}

fn output_of(output: &Artifact, store: &Store) -> Option<Output> {
    let digest = output.digest?;
    Some(Output {
        uri: store.uri_of_blob(&digest),
        digest,
        size: output.size,
        files: output.files,
        media_type: output.media_type.clone(),
    })
}

/// A value as orchestrators get it: itself where it is small, else where it is.
fn handed_over(value: &Json, commit: Option<&Digest>, store: &Store) -> Json {
    let text = value.to_string();
    let Some(commit) = commit.filter(|_| text.len() > MAX_INLINE) else {
        return value.clone();
    };
    serde_json::json!({
        "uri": format!("{}#/outcome/results", store.uri_of_commit(commit)),
        "sha256": Digest::of(text.as_bytes()).hex(),
        "size": text.len(),
        "media_type": "application/json",
    })
}

/// Finds out where the task runs, or goes by what somebody says.
///
/// # Errors
/// Where what an orchestrator says cannot be understood.
pub(crate) fn detect(
    environment: Environment<'_>,
    said: Option<Orchestrator>,
    executor_input: Option<&str>,
) -> Result<Surroundings, Fault> {
    let mut found = Surroundings {
        trace_parent: trace_parent(environment)?,
        ..Surroundings::default()
    };
    if said == Some(Orchestrator::None) {
        return Ok(found);
    }
    let is = |one: Orchestrator, detected: bool| said == Some(one) || (said.is_none() && detected);
    // The innermost first: a task of Airflow may run in a job of GitHub.
    if executor_input.is_some() || is(Orchestrator::Kfp, kfp::is_here(environment)) {
        kfp::read(environment, executor_input, &mut found)?;
    } else if is(Orchestrator::Dagster, dagster::is_here(environment)) {
        dagster::read(environment, &mut found)?;
    } else if is(Orchestrator::Airflow, airflow::is_here(environment)) {
        airflow::read(environment, &mut found)?;
    } else if is(Orchestrator::Argo, argo::is_here(environment)) {
        argo::read(environment, &mut found)?;
    } else if is(Orchestrator::Tekton, tekton::is_here(environment)) {
        tekton::read(environment, &mut found)?;
    } else if is(Orchestrator::GithubActions, github::is_here(environment)) {
        github::read(environment, &mut found)?;
    }
    if is(Orchestrator::Kubernetes, kubernetes::is_here(environment)) {
        kubernetes::read(environment, &mut found)?;
    }
    Ok(found)
}

/// `00-<trace>-<span>-<flags>`, of <https://www.w3.org/TR/trace-context/>.
fn trace_parent(environment: Environment<'_>) -> Result<Option<String>, Fault> {
    let Some(text) = environment.get("TRACEPARENT")? else {
        return Ok(None);
    };
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let fits = match &parts[..] {
        [version, trace, span, flags, ..] => {
            is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2)
        }
        _ => false,
    };
    match fits {
        true => Ok(Some(text)),
        // Who reads one that is malformed must begin another trace, says the standard.
        false => Ok(None),
    }
}

impl Surroundings {
    /// The name of the orchestrator.
    pub(crate) fn name(&self) -> Option<String> {
        use clap::ValueEnum;
        let value = self.orchestrator?.to_possible_value()?;
        Some(value.get_name().to_owned())
    }

    /// How it is told, from now on.
    pub(crate) fn teller(&mut self) -> Teller {
        Teller(std::mem::take(&mut self.telling))
    }
}

/// Tells orchestrators what happens.
#[derive(Debug, Default)]
pub(crate) struct Teller(Vec<Box<dyn Telling>>);

impl Teller {
    pub(crate) fn begins(&mut self) -> Result<(), Fault> {
        self.0.iter_mut().try_for_each(|one| one.begins())
    }

    pub(crate) fn says(&mut self, level: Level, message: &str) {
        self.0.iter_mut().for_each(|one| one.says(level, message));
    }

    pub(crate) fn has_done(&mut self, done: u64, total: Option<u64>) {
        self.0.iter_mut().for_each(|one| one.has_done(done, total));
    }

    pub(crate) fn ends(&mut self, ending: &Ending) -> Result<(), Fault> {
        self.0.iter_mut().try_for_each(|one| one.ends(ending))
    }

    pub(crate) fn counts(&mut self, list: &str) -> Result<(), Fault> {
        self.0.iter_mut().try_for_each(|one| one.counts(list))
    }

    pub(crate) fn fails(&mut self, message: &str) {
        self.0.iter_mut().for_each(|one| one.fails(message));
    }
}

/// Writes a file that an orchestrator reads.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Fault> {
    if let Some(folder) = path.parent() {
        // Where it cannot be made, to write the file says why.
        let _ = std::fs::create_dir_all(folder);
    }
    std::fs::write(path, text).map_err(|error| Fault::io("write", path, &error))
}

/// Adds to a file that an orchestrator reads.
fn append(path: &Path, text: &str) -> Result<(), Fault> {
    use std::io::Write;
    let file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Fault::io("write", path, &error))
}

/// The beginning of a text, of at most so many bytes.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
