//! GitHub Actions, by `act`: it runs workflows as GitHub does, and the jobs of runners of
//! one's own on this machine.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use rustix::process::{Pid, Signal};
use serde_json::Value as Json;

use crate::process::{Ended, Process, wait_until};
use crate::{Installed, Project, Ran, Request, State, System, checks};

/// The numbers of runs, which GitHub counts.
static RUNS: AtomicU32 = AtomicU32::new(1);

/// `act`.
#[derive(Debug)]
pub(super) struct GithubActions;

impl System for GithubActions {
    fn target(&self) -> &'static str {
        "github-actions"
    }

    fn run(&self, installed: &Installed, project: &Project, request: &Request<'_>) -> Result<Ran> {
        let folder = project.compile(self.target())?;
        let home = project.make("act")?;
        let mut arguments = Vec::new();
        for label in ["self-hosted", "wharf"] {
            arguments.extend(["-P".to_owned(), format!("{label}=-self-hosted")]);
        }
        let partition = request.partition.map(|partition| ("partition", partition));
        for (name, value) in request.parameters.iter().copied().chain(partition) {
            arguments.extend(["--input".to_owned(), format!("{name}={value}")]);
        }
        // Of this process's environment, jobs have the search path alone.
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let compiled = crate::project::compiled();
        for variable in [
            format!("GITHUB_RUN_ID={run}"),
            format!("WHARF_CACHE={}", compiled.display()),
        ] {
            arguments.extend(["--env".to_owned(), variable]);
        }
        let process = Process::new(installed.program("act")?, &home)
            .envs(&installed.environment)
            .envs([("PATH", installed.path())])
            .envs([("XDG_CACHE_HOME", home.join("cache"))])
            .args(["workflow_dispatch", "--json", "--no-cache-server"])
            .args(["--actor", "somebody", "--directory"])
            .args([folder])
            .args(arguments);
        let ended = to_its_end(process, project, request)?;
        Ok(ran(&ended.log))
    }
}

/// A job, by what `act` tells of it.
#[derive(Debug, Default)]
struct Job {
    lists: bool,
    result: Option<State>,
    skipped: bool,
    cancelled: bool,
    said: String,
}

impl Job {
    fn state(&self) -> State {
        match self.result {
            _ if self.cancelled => State::Cancelled,
            Some(State::Succeeded) if self.skipped => State::Skipped,
            Some(state) => state,
            None => State::Cancelled,
        }
    }
}

fn ran(log: &str) -> Ran {
    let mut jobs: BTreeMap<String, Job> = BTreeMap::new();
    for line in log.lines() {
        let line: Json = serde_json::from_str(line).unwrap_or_default();
        let Some(id) = line["jobID"].as_str() else {
            continue;
        };
        let name = match line["matrix"].get("item") {
            Some(item) => format!("{id}[{item}]"),
            None => id.to_owned(),
        };
        // All that is told of it but what runs `wharf` is of the runner.
        if line["stepID"][0] != "wharf" {
            continue;
        }
        let job = jobs.entry(name).or_default();
        let step = line["step"].as_str().unwrap_or_default();
        job.lists |= step.starts_with("Lists the items of ");
        let message = line["msg"].as_str().unwrap_or_default();
        let is_annotated = line["command"] == "error";
        if line["raw_output"] == true || is_annotated {
            job.said += message;
        }
        job.cancelled |= line["level"] == "error" && message.contains("has been cancelled");
        job.skipped |=
            line["command"] == "set-output" && line["name"] == "status" && line["arg"] == "skipped";
        // Not that of the job: of a matrix, each has failed where one has.
        job.result = match line["stepResult"].as_str() {
            Some("success") => Some(State::Succeeded),
            Some(_) => Some(State::Failed),
            None => job.result,
        };
    }
    let mut ran = Ran::default();
    for (name, job) in jobs.into_iter().filter(|(_, job)| !job.lists) {
        ran.tasks.insert(name.clone(), job.state());
        ran.tries.insert(name.clone(), tries_in(&job.said));
        ran.said.insert(name, job.said);
    }
    ran
}

/// Runs `act` to its end. Where the run is to be cancelled, it is interrupted as by Ctrl-C,
/// once the step is at work.
fn to_its_end(process: Process, project: &Project, request: &Request<'_>) -> Result<Ended> {
    let mut running = process.start()?;
    if let Some(step) = request.cancel_during {
        let store = project.store();
        wait_until("the step is at work", || {
            let ended = running.has_ended().unwrap_or(true);
            let tasks = checks::processes_of(&store, step);
            ended || tasks.into_iter().any(is_at_work)
        })?;
        running.signal(Signal::INT);
    }
    running.wait()
}

/// Whether a process has computed for a while: longer than it takes to begin.
fn is_at_work(process: Pid) -> bool {
    /// Of a hundredth of a second.
    const TICKS: u64 = 30;
    let file = format!("/proc/{}/stat", process.as_raw_nonzero());
    let text = std::fs::read_to_string(file).unwrap_or_default();
    // The second field, a name, may have blanks; the times are the 14th and the 15th.
    let after = text.rsplit_once(") ").map_or("", |(_, after)| after);
    let times = after.split(' ').skip(11).take(2);
    times.filter_map(|it| it.parse::<u64>().ok()).sum::<u64>() >= TICKS
}

/// How often a step was tried by the host within its task, which says so each time.
fn tries_in(said: &str) -> u32 {
    let again = said.lines().filter(|line| line.contains("; again in "));
    u32::try_from(again.count()).map_or(u32::MAX, |again| again.saturating_add(1))
}
