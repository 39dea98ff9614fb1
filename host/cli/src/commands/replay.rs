//! `wharf replay`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use serde_json::{Value as Json, json};
use wharf_model::pipeline_run::StepEnd;
use wharf_model::record::RunId;
use wharf_model::{ErrorKind, Fault, Record};
use wharf_runner::Committing;
use wharf_runner::replay::{Difference, Replayer, Verdict};
use wharf_runner::stored::{Guests, StepRunner};
use wharf_store::Store;

use crate::args;
use crate::ending::Ending;
use crate::found::Found;
use crate::report::{err, inert, out};
use crate::stack;
use crate::surroundings::{self, SystemClock};

pub(crate) fn replay(args: &args::Replay) -> Result<(), Ending> {
    let cache = args.within.places.cache.as_deref();
    let from = stack::existing_store(&args.within)?;
    let sandbox = surroundings::yielding_sandbox(surroundings::compile_cache(cache))?;
    let parallelism = args
        .parallelism
        .map_or_else(surroundings::cores, usize::from);
    let folder = tempfile::tempdir().map_err(|error| {
        Fault::io("write in", &std::env::temp_dir(), &error).hint("TMPDIR says where else")
    })?;
    let to = Store::in_folder(folder.path());
    let runner = StepRunner {
        sandbox: Arc::new(sandbox),
        guests: Guests::start(parallelism)?,
        store: to.clone(),
        host: surroundings::host(),
        clock: Arc::new(SystemClock::start()),
    };
    let grants = super::run::grants(&args.grants)?;
    let replayer = Replayer::new(runner, from.clone(), grants);
    let runtime = surroundings::runtime()?;
    let counts = runtime.block_on(replay_all(args, &from, &to, &replayer, parallelism));
    runtime.shutdown_background();
    let counts = counts?;
    match counts.same + counts.may_differ == counts.all {
        true => {
            if !args.json {
                err(&counts.summary());
            }
            Ok(())
        }
        false => Err(counts.fault().into()),
    }
}

/// How many steps came out how.
#[derive(Debug, Default)]
struct Counts {
    all: u64,
    same: u64,
    differ: u64,
    may_differ: u64,
}

impl Counts {
    fn summary(&self) -> String {
        let all = match self.all {
            1 => "the step".to_owned(),
            all => format!("all {all} steps"),
        };
        match self.may_differ {
            0 => format!("{all} made the same again"),
            differ => format!("{all} ran again; {differ} may differ, and did"),
        }
    }

    fn fault(&self) -> Fault {
        let (all, differ) = (self.all, self.differ);
        let not_run = all - self.same - self.may_differ - differ;
        let message = match (differ, not_run) {
            (0, 1) => format!("1 of {all} steps could not be run again"),
            (0, _) => format!("{not_run} of {all} steps could not be run again"),
            _ => format!("{differ} of {all} steps made something else"),
        };
        Fault::new(ErrorKind::NotReproduced, message)
    }
}

async fn replay_all(
    args: &args::Replay,
    from: &Store,
    to: &Store,
    replayer: &Replayer,
    parallelism: usize,
) -> Result<Counts, Ending> {
    to.prepare().await?;
    let cancel = surroundings::cancellation(&Committing::default())?;
    let own = surroundings::new_run_id()?;
    let number = AtomicU64::new(0);
    let steps = steps(args, from).await?;
    if steps.is_empty() {
        let message = format!("no step of `{}` has run", args.run);
        return Err(Fault::new(ErrorKind::UnknownRun, message).into());
    }
    let replays = steps.into_iter().map(|step| {
        let (cancel, own, number) = (cancel.clone(), &own, &number);
        async move {
            let number = number.fetch_add(1, Ordering::Relaxed);
            let id: RunId = format!("{own}-{number}").parse().map_err(Fault::internal)?;
            let verdict = match step.record(from).await? {
                Some(record) => replayer.replay(id, &record, cancel).await?,
                None => Verdict::NotRun("its record is gone".to_owned()),
            };
            Ok::<_, Fault>((step.name(), verdict))
        }
    });
    let mut replays = futures::stream::iter(replays).buffered(parallelism);
    let mut counts = Counts::default();
    while let Some(replayed) = replays.next().await {
        let (name, verdict) = replayed?;
        if let Some(by) = *cancel.borrow() {
            return Err(Ending::Stopped(by));
        }
        counts.all += 1;
        match &verdict {
            Verdict::Same => counts.same += 1,
            Verdict::Differs(_) => counts.differ += 1,
            Verdict::MayDiffer(_) => counts.may_differ += 1,
            Verdict::NotRun(_) => {}
        }
        match args.json {
            true => out(&(inert(as_json(&name, &verdict).to_string()) + "\n"))?,
            false => out(&as_text(&name, &verdict))?,
        }
    }
    Ok(counts)
}

/// A step to run again.
enum Step {
    /// Of a pipeline.
    Of(Box<StepEnd>),
    /// By itself.
    Single(Box<Record>),
}

impl Step {
    fn name(&self) -> String {
        match self {
            Self::Of(end) => end.of().to_string(),
            Self::Single(record) => record.step.reference.clone(),
        }
    }

    async fn record(&self, from: &Store) -> Result<Option<Record>, Fault> {
        match self {
            Self::Of(end) => from.record_of(end).await,
            Self::Single(record) => Ok(Some(Record::clone(record))),
        }
    }
}

/// The steps that are meant, each once: of several with one commit, only the first ran.
async fn steps(args: &args::Replay, from: &Store) -> Result<Vec<Step>, Fault> {
    let run = match args.run.find_run(from).await? {
        Found::Step(record) => return Ok(vec![Step::Single(record)]),
        Found::Pipeline(run) => run,
    };
    let mut seen = BTreeSet::new();
    let ends = args.run.ends(&run)?.into_iter();
    let ends = ends.filter(|end| end.commit.is_some() || end.attempt.is_some());
    let ends = ends.filter(|end| end.commit.is_none_or(|commit| seen.insert(commit)));
    Ok(ends.map(|end| Step::Of(Box::new(end.clone()))).collect())
}

fn as_json(name: &str, verdict: &Verdict) -> Json {
    let differences = |differences: &[Difference]| {
        let differences = differences.iter();
        let differences = differences.map(
            |Difference { what, before, now }| json!({"what": what, "before": before, "now": now}),
        );
        differences.collect::<Vec<_>>()
    };
    match verdict {
        Verdict::Same => json!({"step": name, "verdict": "same"}),
        Verdict::Differs(found) => {
            json!({"step": name, "verdict": "differs", "differences": differences(found)})
        }
        Verdict::MayDiffer(found) => {
            json!({"step": name, "verdict": "may-differ", "differences": differences(found)})
        }
        Verdict::NotRun(why) => json!({"step": name, "verdict": "not-run", "message": why}),
    }
}

fn as_text(name: &str, verdict: &Verdict) -> String {
    let differences = |differences: &[Difference]| {
        let lines = differences.iter().map(|Difference { what, before, now }| {
            inert(format!("  {what}: was {before}\n  {what}: is  {now}\n"))
        });
        lines.collect::<String>()
    };
    match verdict {
        Verdict::Same => format!("{name}  same\n"),
        Verdict::Differs(found) => format!("{name}  differs\n{}", differences(found)),
        Verdict::MayDiffer(found) => format!(
            "{name}  differs, as it may: it was granted a clock or entropy\n{}",
            differences(found)
        ),
        Verdict::NotRun(why) => format!("{name}  not run: {why}\n"),
    }
}
