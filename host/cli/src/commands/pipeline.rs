//! `wharf pipeline`.

mod compile;
mod lock;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use serde_json::json;
use tokio::sync::mpsc::unbounded_channel;
use wharf_model::limits::Limits;
use wharf_model::pipeline::{Checked, Slice, Value, graph};
use wharf_model::pipeline_run::PipelineOutcome;
use wharf_model::plan::BadRequest;
use wharf_model::request::DEFAULT_LOGICAL_TIME;
use wharf_model::{ErrorKind, Fault, Grants};
use wharf_runner::Committing;
use wharf_runner::pipeline::{
    Capacity, Connections, Handle, Loaded, PipelineRequest, PipelineRunner, Selection, load,
};
use wharf_runner::stored::{Guests, StepRunner};
use wharf_sandbox::Sandbox;

use crate::args::pipeline::{Check, Format, Graph, Pipeline, PipelineCommand, RunPipeline};
use crate::ending::Ending;
use crate::parameters::{Given, parameters};
use crate::report::out;
use crate::report::pipeline::Reporter;
use crate::report::run::Style;
use crate::stack::{self, Chosen};
use crate::surroundings::{self, SystemClock};

/// Partitions that run at a time: each holds the state of its own steps.
const PARTITIONS_AT_A_TIME: usize = 4;

pub(crate) fn pipeline(args: Pipeline) -> Ending {
    let ended = match args.command {
        PipelineCommand::Check(args) => check(&args),
        PipelineCommand::Plan(args) => run(&args, true),
        PipelineCommand::Run(args) => run(&args, false),
        PipelineCommand::Graph(args) => draw(&args),
        PipelineCommand::Lock(args) => lock::lock(&args),
        PipelineCommand::Compile(args) => compile::compile(&args),
        PipelineCommand::Targets(args) => compile::targets(&args),
        PipelineCommand::Diff(args) => compile::diff(&args),
    };
    match ended {
        Ok(ending) | Err(ending) => ending,
    }
}

/// A pipeline that is checked, for commands that run nothing.
fn checked(file: &Path, cache: Option<&Path>) -> Result<Loaded, Ending> {
    let sandbox = surroundings::sandbox(surroundings::compile_cache(cache))?;
    let limits = Limits::default();
    Ok(surroundings::runtime()?.block_on(load(file, &sandbox, &limits))?)
}

fn check(args: &Check) -> Result<Ending, Ending> {
    let loaded = checked(&args.file, args.cache.as_deref())?;
    let (steps, file) = (loaded.checked.steps.len(), args.file.display());
    let said = match args.json {
        true => format!("{}\n", json!({"steps": steps, "problems": []})),
        false if steps == 1 => format!("{file}: 1 step, no mistakes\n"),
        false => format!("{file}: {steps} steps, no mistakes\n"),
    };
    out(&said)?;
    Ok(Ending::Done)
}

fn draw(args: &Graph) -> Result<Ending, Ending> {
    let loaded = checked(&args.file, args.cache.as_deref())?;
    let graph = graph::Graph::of(&loaded.pipeline);
    out(&match args.format {
        Format::Mermaid => graph.mermaid(),
        Format::Dot => graph.dot(),
        Format::Svg => graph.svg(),
    })?;
    Ok(Ending::Done)
}

fn run(args: &RunPipeline, only_plan: bool) -> Result<Ending, Ending> {
    surroundings::allow_open_files();
    let chosen = stack::choose(&args.file, &args.on)?;
    let runner = runner(args, &chosen)?;
    let cancel = surroundings::cancellation(&Committing::default())?;
    let reporter = Reporter::start(Style::choose(args.json, args.quiet), chosen.again.clone());
    let runtime = surroundings::runtime()?;
    let ended = runtime.block_on(async {
        let preparing = prepare(args, &chosen, &runner.runner.sandbox, &reporter);
        let prepared = surroundings::unless_stopped(preparing, cancel.clone()).await?;
        let requests = requests(args, &chosen, prepared)?;
        check_inputs(&runner, &requests).await?;
        match only_plan {
            true => plan_all(&runner, requests, cancel, args.json).await,
            false => run_all(&runner, requests, cancel, &reporter).await,
        }
    });
    runtime.shutdown_background();
    ended
}

fn runner(args: &RunPipeline, chosen: &Chosen) -> Result<PipelineRunner, Fault> {
    let cache = surroundings::compile_cache(args.on.places.cache.as_deref());
    let store = chosen.store.clone();
    Ok(PipelineRunner {
        capacity: Arc::new(Capacity::new(&chosen.resources)),
        runner: Arc::new(StepRunner {
            sandbox: Arc::new(surroundings::yielding_sandbox(cache)?),
            guests: Guests::start(chosen.resources.parallelism)?,
            // Who runs all of it anew may do so because something is damaged.
            store: match args.no_cache {
                true => store.mending(),
                false => store,
            },
            host: surroundings::host(),
            clock: Arc::new(SystemClock::start()),
        }),
    })
}

/// What is known before anything runs.
struct Prepared {
    loaded: Loaded,
    parameters: BTreeMap<String, Value<Handle>>,
    slices: Vec<Option<Slice>>,
    grants: Grants,
}

/// Reads and checks all, and compiles what has to be.
async fn prepare(
    args: &RunPipeline,
    chosen: &Chosen,
    sandbox: &Sandbox,
    reporter: &Reporter,
) -> Result<Prepared, Ending> {
    let limits = &chosen.resources.limits;
    let mut loaded = load(&args.file, sandbox, limits).await?;
    let given = Given::of(&args.bindings, BTreeMap::new());
    let parameters = parameters(&loaded, &given)?;
    let slices = slices(&loaded.checked, args)?;
    let grants = grants(&loaded.checked, chosen)?;
    let compiling = |path: &Path| reporter.compiling(path);
    loaded.prepare(sandbox, limits, compiling).await?;
    Ok(Prepared {
        loaded,
        parameters,
        slices,
        grants,
    })
}

type Cancel = tokio::sync::watch::Receiver<Option<wharf_model::outcome::Cancellation>>;

/// The runs that are asked for: one, or one for each partition.
fn requests(
    args: &RunPipeline,
    chosen: &Chosen,
    prepared: Prepared,
) -> Result<Vec<Arc<PipelineRequest>>, Fault> {
    let name = name(&prepared.loaded);
    let loaded = Arc::new(prepared.loaded);
    let by = surroundings::author().by;
    let requests = prepared.slices.into_iter().map(|slice| {
        let time = slice
            .as_ref()
            .map_or(DEFAULT_LOGICAL_TIME, |slice| slice.time);
        Ok(Arc::new(PipelineRequest {
            id: surroundings::new_run_id()?,
            loaded: loaded.clone(),
            name: name.clone(),
            parameters: prepared.parameters.clone(),
            logical_time: args.logical_time.unwrap_or(time),
            slice,
            selection: selection(args),
            continue_on_error: args.continue_on_error,
            resources: chosen.resources.clone(),
            grants: prepared.grants.clone(),
            stack: chosen.name.clone(),
            by: by.clone(),
            task: None,
        }))
    });
    requests.collect()
}

/// What the runs are sure to need must be there before any of them starts.
async fn check_inputs(
    runner: &PipelineRunner,
    requests: &[Arc<PipelineRequest>],
) -> Result<(), Ending> {
    let problems = runner.missing(requests).await;
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Ending::BadRequest(BadRequest { problems })),
    }
}

async fn run_all(
    runner: &PipelineRunner,
    requests: Vec<Arc<PipelineRequest>>,
    cancel: Cancel,
    reporter: &Reporter,
) -> Result<Ending, Ending> {
    let runs = requests.into_iter().map(|request| {
        let (events, received) = unbounded_channel();
        let connections = Connections {
            events,
            cancel: cancel.clone(),
        };
        async move {
            let (ended, shown) =
                tokio::join!(runner.run(request, connections), reporter.show(received));
            Ok::<_, Fault>((ended?, shown?))
        }
    });
    let mut runs = futures::stream::iter(runs).buffer_unordered(PARTITIONS_AT_A_TIME);
    let mut outcomes = Vec::new();
    while let Some(ended) = runs.next().await {
        let (ended, told) = ended?;
        reporter.ended(&ended, told)?;
        outcomes.push(ended.outcome);
    }
    reporter.all_ended(&outcomes);
    let outcome = outcomes.into_iter().fold(PipelineOutcome::Succeeded, worse);
    Ok(Ending::RanPipeline(outcome))
}

/// Says what the runs would do.
async fn plan_all(
    runner: &PipelineRunner,
    requests: Vec<Arc<PipelineRequest>>,
    cancel: Cancel,
    json: bool,
) -> Result<Ending, Ending> {
    for request in requests {
        let (events, _) = unbounded_channel();
        let connections = Connections {
            events,
            cancel: cancel.clone(),
        };
        let slice = request.slice.as_ref().map(|slice| slice.name.clone());
        let steps = runner.plan(request, connections).await?;
        if let Some(by) = *cancel.borrow() {
            return Err(Ending::Stopped(by));
        }
        crate::report::plan::report(slice.as_deref(), &steps, json)?;
    }
    Ok(Ending::Done)
}

/// Of two outcomes, the one that counts for both.
fn worse(one: PipelineOutcome, other: PipelineOutcome) -> PipelineOutcome {
    let weight = |outcome: &PipelineOutcome| match outcome {
        PipelineOutcome::Succeeded => 0,
        PipelineOutcome::Failed { retryable: true } => 1,
        PipelineOutcome::Cancelled { .. } => 2,
        PipelineOutcome::Failed { retryable: false } | PipelineOutcome::Unfinished => 3,
    };
    if weight(&other) > weight(&one) {
        other
    } else {
        one
    }
}

/// The name that the file gives, or its own.
fn name(loaded: &Loaded) -> String {
    let own = loaded
        .file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let given = loaded.checked.name.as_ref().map(ToString::to_string);
    given.or(own).unwrap_or_default()
}

fn selection(args: &RunPipeline) -> Selection {
    let from = args.from.iter().filter(|_| args.to.is_none());
    Selection {
        only: (!args.only.is_empty()).then(|| args.only.iter().cloned().collect()),
        from: from.cloned().collect(),
        no_cache: args.no_cache,
    }
}

/// The partitions that it runs for; one of none where the pipeline has none.
fn slices(checked: &Checked, args: &RunPipeline) -> Result<Vec<Option<Slice>>, Fault> {
    let wrong = |message: String| Fault::new(ErrorKind::Parameter, message);
    let Some(partition) = &checked.partition else {
        return match args.partition.is_none() && args.to.is_none() {
            true => Ok(vec![None]),
            false => Err(wrong("the pipeline has no partition".to_owned())
                .hint("add `partition: { every: month }`, or leave out --partition and --to")),
        };
    };
    let slices = match (&args.partition, &args.to, &args.from[..]) {
        (Some(one), ..) => partition.parse(one).map(|slice| vec![slice]),
        (None, Some(to), [from]) => partition.range(from, to),
        _ => {
            return Err(
                wrong("the pipeline runs for a partition, and none is given".to_owned())
                    .hint("say which with --partition, or with --from and --to"),
            );
        }
    };
    let slices = slices.map_err(|error| {
        let fault = wrong(error.to_string());
        match error.advice() {
            Some(advice) => fault.hint(advice),
            None => fault,
        }
    })?;
    Ok(slices.into_iter().map(Some).collect())
}

/// What the steps are granted: what they ask for, if it is permitted.
fn grants(checked: &Checked, chosen: &Chosen) -> Result<Grants, Fault> {
    check_permitted(checked, chosen)?;
    let steps = checked.steps.iter();
    let asked: Vec<_> = steps.flat_map(|step| step.grants.iter().cloned()).collect();
    super::run::grants(&asked)
}

/// What the steps ask for must be permitted.
fn check_permitted(checked: &Checked, chosen: &Chosen) -> Result<(), Fault> {
    for step in &checked.steps {
        for grant in &step.grants {
            if !chosen.permits(grant) {
                let message = format!(
                    "the step `{}` asks for `{grant}`, which is not permitted",
                    step.name
                );
                return Err(
                    Fault::new(ErrorKind::Pipeline, message).hint(chosen.how_to_permit(grant))
                );
            }
        }
    }
    Ok(())
}
