//! What holds for every orchestrator.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use rustix::process::{Pid, Signal, kill_process};

use crate::made::{self, Made};
use crate::process::wait_until;
use crate::{Example, Installed, Project, Ran, Request, State, System};

/// The months of the backfill.
pub const MONTHS: [&str; 12] = [
    "2013-01", "2013-02", "2013-03", "2013-04", "2013-05", "2013-06", "2013-07", "2013-08",
    "2013-09", "2013-10", "2013-11", "2013-12",
];

/// How many keys, digests and results were compared, all of which are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Same {
    /// Steps, or items of them.
    pub steps: usize,
    /// Outputs of those.
    pub outputs: usize,
}

/// The pipeline that trains, compares and promotes makes what it makes under the local
/// runner. Twice: the first run has nobody to beat; the second one finds a champion that
/// is as good, so that it does not promote.
///
/// # Errors
/// Where anything is not the same, or the orchestrator fails.
pub fn promote(system: &dyn System, installed: &Installed) -> Result<Same> {
    let (here, there) = (
        Project::new(Example::Promote)?,
        system.project(Example::Promote)?,
    );
    let mut same = Same::default();
    for last in [State::Succeeded, State::Skipped] {
        here.print(&["pipeline", "run", "promote.yaml"])?;
        let ran = system.run(installed, &there, &Request::default())?;
        let mut wanted = all_succeeded(&["compare", "split", "train"]);
        wanted.insert("promote".to_owned(), last);
        ends_as(&ran, &wanted)?;
        same.add(&made::newest(&here)?, &made::newest(&there)?)?;
    }
    Ok(same)
}

/// So does the backfill, month by month.
///
/// # Errors
/// As above.
pub fn flights(system: &dyn System, installed: &Installed, months: &[&str]) -> Result<Same> {
    let (here, there) = (
        Project::new(Example::Flights)?,
        system.project(Example::Flights)?,
    );
    for month in months {
        here.print(&["pipeline", "run", "flights.yaml", "--partition", month])?;
        let request = Request {
            partition: Some(month),
            ..Request::default()
        };
        let ran = system.run(installed, &there, &request)?;
        ends_as(&ran, &all_succeeded(&["summarise"]))?;
    }
    let (wanted, made) = (made::by_partition(&here)?, made::by_partition(&there)?);
    ensure!(
        wanted.len() == months.len(),
        "the local runner has {wanted:#?}"
    );
    let mut same = Same::default();
    for (month, wanted) in &wanted {
        let made = made
            .get(month)
            .with_context(|| format!("{month} was not run"))?;
        same.add(wanted, made)?;
    }
    Ok(same)
}

/// So does a run whose steps are made of a list, and joined.
///
/// # Errors
/// As above.
pub fn list(system: &dyn System, installed: &Installed) -> Result<Same> {
    let (here, there) = (
        Project::new(Example::FlightsYear)?,
        system.project(Example::FlightsYear)?,
    );
    here.print(&["pipeline", "run", "flights-year.yaml"])?;
    let ran = system.run(installed, &there, &Request::default())?;
    let mut same = Same::default();
    let made = made::newest(&there).with_context(|| format!("{ran:#?}"))?;
    same.add(&made::newest(&here)?, &made)
        .with_context(|| format!("{ran:#?}"))?;
    ensure!(
        same.steps == MONTHS.len() + 1,
        "{} steps were made",
        same.steps
    );
    Ok(same)
}

fn all_succeeded(steps: &[&str]) -> BTreeMap<String, State> {
    let steps = steps
        .iter()
        .map(|step| ((*step).to_owned(), State::Succeeded));
    steps.collect()
}

fn ends_as(ran: &Ran, wanted: &BTreeMap<String, State>) -> Result<()> {
    match ran.tasks == *wanted {
        true => Ok(()),
        false => bail!("wanted {wanted:?}, and got {ran:#?}"),
    }
}

impl Same {
    fn add(&mut self, wanted: &Made, made: &Made) -> Result<()> {
        for (step, wanted) in wanted {
            let made = made
                .get(step)
                .with_context(|| format!("{step} has made nothing"))?;
            ensure!(made == wanted, "{step} has made {made:#}, not {wanted:#}");
            self.steps += 1;
            self.outputs += wanted["outputs"]
                .as_object()
                .map_or(0, serde_json::Map::len);
        }
        let others: Vec<_> = made
            .keys()
            .filter(|step| !wanted.contains_key(*step))
            .collect();
        ensure!(others.is_empty(), "there is more: {others:?}");
        Ok(())
    }
}

/// The steps of [`Example::Ends`] of which one is run at a time.
const CONDITIONAL: [&str; 4] = ["permanent", "transient", "slow", "long"];

/// How a run ends in which one step ends in a way of its own.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// What the pipeline is told.
    pub kind: &'static str,
    /// The step that is not skipped.
    step: &'static str,
    state: State,
    /// What follows it.
    after: State,
    tries: u32,
    says: &'static str,
    stop: Option<Stop>,
}

/// Who stops a step that would run for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// A user of the orchestrator.
    Cancel,
    /// Somebody who kills its process, such as a machine that has no memory left.
    Kill,
}

/// Each way in which a step can end.
pub const ENDS: [End; 6] = [
    End {
        kind: "succeed",
        step: "after",
        state: State::Succeeded,
        after: State::Succeeded,
        tries: 1,
        says: "",
        stop: None,
    },
    End {
        kind: "permanent",
        step: "permanent",
        state: State::Failed,
        after: State::NotRun,
        tries: 1,
        says: "this cannot work: it's",
        stop: None,
    },
    End {
        kind: "transient",
        step: "transient",
        state: State::Failed,
        after: State::NotRun,
        tries: 2,
        says: "the service is away",
        stop: None,
    },
    End {
        kind: "timeout",
        step: "slow",
        state: State::Failed,
        after: State::NotRun,
        tries: 1,
        says: "exceeded the limit `time` of 1 s",
        stop: None,
    },
    End {
        kind: "cancel",
        step: "long",
        // Where there is no such state, it has failed.
        state: State::Cancelled,
        after: State::NotRun,
        tries: 1,
        says: "",
        stop: Some(Stop::Cancel),
    },
    End {
        kind: "kill",
        step: "long",
        state: State::Failed,
        after: State::NotRun,
        tries: 1,
        says: "",
        stop: Some(Stop::Kill),
    },
];

/// The way in which a step ends shows in the orchestrator, with the step's own message.
///
/// # Errors
/// Where it does not.
pub fn end(system: &dyn System, installed: &Installed, project: &Project, end: &End) -> Result<()> {
    let kind = match end.stop {
        Some(_) => end.step,
        None => end.kind,
    };
    let request = Request {
        parameters: vec![("kind", kind)],
        cancel_during: (end.stop == Some(Stop::Cancel)).then_some(end.step),
        ..Request::default()
    };
    let ran = match end.stop {
        Some(Stop::Kill) => std::thread::scope(|scope| {
            let running = scope.spawn(|| system.run(installed, project, &request));
            let killed = kill_task(project, end.step, || running.is_finished());
            let ran = running.join().unwrap_or_else(|_| bail!("it panicked"));
            killed.and(ran)
        })?,
        _ => system.run(installed, project, &request)?,
    };
    let context = || format!("{}: {ran:#?}", end.kind);
    for step in CONDITIONAL.into_iter().filter(|step| *step != end.step) {
        // Where a step fails or is stopped, others may not be started.
        let is_fine = match ran.tasks.get(step) {
            Some(State::Skipped) => true,
            Some(State::NotRun | State::Cancelled) | None => end.after == State::NotRun,
            Some(State::Succeeded | State::Failed) => false,
        };
        ensure!(is_fine, "{step}: {}", context());
    }
    let state = ran.tasks.get(end.step).copied();
    let is_cancelled = end.stop == Some(Stop::Cancel);
    let is_shown = state == Some(end.state) || is_cancelled && state == Some(State::Failed);
    ensure!(is_shown, "{}: {}", end.step, context());
    let after = ran.tasks.get("after").copied().unwrap_or(State::NotRun);
    let is_stopped = is_cancelled && after == State::Cancelled;
    ensure!(after == end.after || is_stopped, "after: {}", context());
    if let Some(tries) = ran.tries.get(end.step) {
        ensure!(*tries == end.tries, "{} tries: {}", tries, context());
    }
    let said = ran.said.get(end.step).map_or("", String::as_str);
    ensure!(
        said.contains(end.says),
        "it does not say why: {}",
        context()
    );
    Ok(())
}

/// Kills the process of a task, once it is there.
fn kill_task(project: &Project, step: &str, is_over: impl Fn() -> bool) -> Result<()> {
    let store = project.store();
    let mut killed = false;
    wait_until("the task is there", || {
        for process in processes_of(&store, step) {
            // A moment, so that it is at its work.
            std::thread::sleep(std::time::Duration::from_millis(300));
            killed |= kill_process(process, Signal::KILL).is_ok();
        }
        killed || is_over()
    })?;
    ensure!(killed, "it ended before it was killed");
    Ok(())
}

/// The processes that run a step with a store, on this machine.
#[must_use]
pub fn processes_of(store: &str, step: &str) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(process) = number.and_then(Pid::from_raw) else {
            continue;
        };
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        let words: Vec<&str> = command.split('\0').collect();
        let has = |word: &str| words.contains(&word);
        if words
            .first()
            .is_some_and(|program| program.ends_with("wharf"))
            && has("exec")
            && has(step)
            && has(store)
        {
            found.push(process);
        }
    }
    found
}
