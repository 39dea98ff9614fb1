//! `wharf step`: one task of a run that an orchestrator schedules.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value as Json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use wharf_model::event::Event;
use wharf_model::grants::Grant;
use wharf_model::limits::{Bytes, Millis};
use wharf_model::pipeline::Slice;
use wharf_model::pipeline_run::{External, JOINED_FORMAT, Joined, MAX_EXTERNAL_ID, StepStatus};
use wharf_model::request::{Binding, BindingKind, DEFAULT_LOGICAL_TIME};
use wharf_model::stack::Most;
use wharf_model::{ErrorKind, Fault};
use wharf_runner::Committing;
use wharf_runner::pipeline::{
    Capacity, Connections, Loaded, PipelineEvent, PipelineRequest, PipelineRunner, Resources,
    Selection, Task, Watch, check_step, load_locked,
};
use wharf_runner::stored::{Guests, StepRunner};
use wharf_store::Store;

use crate::args::step::{Exec, Items, OfRun, Step, StepCommand, WhoRetries};
use crate::ending::Ending;
use crate::orchestrator::{self, Environment, Surroundings, Teller};
use crate::parameters::{Given, parameters};
use crate::report::pipeline::Reporter;
use crate::report::run::Style;
use crate::report::{errors, out};
use crate::surroundings::{self, SystemClock};

/// How long before the orchestrator's deadline a step is stopped, so that there is time to
/// say so.
const BEFORE_DEADLINE: Duration = Duration::from_secs(5);

/// How often an orchestrator is told how far a step has come.
const TOLD: Duration = Duration::from_millis(500);

pub(crate) fn step(args: Step) -> Ending {
    let ended = match args.command {
        StepCommand::Exec(args) => exec(&args),
        StepCommand::Items(args) => items(&args),
    };
    match ended {
        Ok(ending) | Err(ending) => ending,
    }
}

fn exec(args: &Exec) -> Result<Ending, Ending> {
    surroundings::allow_open_files();
    let input = args.of.executor_input.as_deref();
    let said = args.of.orchestrator;
    let mut around = Environment::real(|real| orchestrator::detect(real, said, input))?;
    let mut teller = around.teller();
    // Of an earlier attempt: who kills this one must not find how that one ended.
    for file in [&args.ending_to, &args.of.results_to].into_iter().flatten() {
        let _ = std::fs::remove_file(file);
    }
    let ended = exec_in(args, &around, &mut teller);
    if let Err(ending) = &ended
        && let Some(message) = message_of(ending)
    {
        teller.fails(&message);
    }
    ended
}

/// What went wrong, in one line.
fn message_of(ending: &Ending) -> Option<String> {
    match ending {
        Ending::Failed(fault) => Some(fault.to_string()),
        Ending::BadRequest(bad) => {
            let messages = bad.problems.iter().map(|problem| &*problem.message);
            Some(messages.collect::<Vec<_>>().join("; "))
        }
        Ending::Stopped(by) => Some(wharf_model::Outcome::Cancelled { by: *by }.to_string()),
        _ => None,
    }
}

fn exec_in(args: &Exec, around: &Surroundings, teller: &mut Teller) -> Result<Ending, Ending> {
    let item = item(args.item.as_deref())?;
    let store = store(&args.of)?;
    let cancel = surroundings::cancellation(&Committing::default())?;
    // A terminal is a place to try things, where a bar would hide what orchestrators see.
    let reporter = Reporter::start(Style::Lines, String::new());
    let runtime = surroundings::runtime()?;
    let ended = runtime.block_on(async {
        teller.begins()?;
        let preparing = prepare(&args.of, around, &store);
        let prepared = surroundings::unless_stopped(preparing, cancel.clone()).await?;
        let task = task(args, around, item)?;
        let (request, runner) = request(&args.of, prepared, task, &store)?;
        let request = make_ready(request, &runner, &reporter).await?;
        let (events, received) = unbounded_channel();
        let (passed, shown) = unbounded_channel();
        let connections = Connections { events, cancel };
        let (ended, (), shown) = tokio::join!(
            runner.run_task(request, connections),
            pass_on(received, passed, teller),
            reporter.show(shown),
        );
        shown?;
        Ok::<_, Ending>(orchestrator::Ending::of(&ended?, &store))
    });
    runtime.shutdown_background();
    tell(args, &ended?, teller)
}

/// Tells how the task ended: files first, then the orchestrator, and at last standard
/// output, whose last line some take for the result.
fn tell(args: &Exec, ending: &orchestrator::Ending, teller: &mut Teller) -> Result<Ending, Ending> {
    if let Some(file) = &args.ending_to {
        let json = serde_json::to_string(ending).map_err(Fault::internal)?;
        orchestrator::write(file, &(json + "\n"))?;
    }
    let made = ending.status.is_good() || ending.status == StepStatus::Skipped;
    if let Some(file) = args.of.results_to.as_ref().filter(|_| made) {
        orchestrator::write(file, &(ending.results() + "\n"))?;
    }
    teller.ends(ending)?;
    if made {
        out(&(ending.results() + "\n"))?;
    } else {
        errors::line(&format!("{}: {}", ending.title(), ending.reason()));
    }
    Ok(Ending::RanTask {
        status: ending.status,
        retryable: ending.is_retryable(),
        skipped: args.of.skip_exit_code,
    })
}

fn items(args: &Items) -> Result<Ending, Ending> {
    let input = args.of.executor_input.as_deref();
    let said = args.of.orchestrator;
    let mut around = Environment::real(|real| orchestrator::detect(real, said, input))?;
    let mut teller = around.teller();
    let counted = count(args, &around);
    if let Err(ending) = &counted
        && let Some(message) = message_of(ending)
    {
        teller.fails(&message);
    }
    let list: Vec<Json> = (0..counted?).map(Json::from).collect();
    let list = Json::Array(list).to_string();
    if let Some(file) = &args.of.results_to {
        orchestrator::write(file, &format!("{list}\n"))?;
    }
    teller.counts(&list)?;
    out(&format!("{list}\n"))?;
    Ok(Ending::Done)
}

/// How many items a step has.
fn count(args: &Items, around: &Surroundings) -> Result<u64, Ending> {
    let store = store(&args.of)?;
    surroundings::run(async {
        let prepared = prepare(&args.of, around, &store).await?;
        let task = Task {
            step: args.of.step.clone(),
            item: None,
            attempt: 1,
            name: unique()?,
            retries: false,
            only_publishes: false,
            time_left: None,
            external: external(&args.of, around)?,
        };
        let (request, runner) = request(&args.of, prepared, task, &store)?;
        let (events, _) = unbounded_channel();
        let (_, cancel) = tokio::sync::watch::channel(None);
        let connections = Connections { events, cancel };
        Ok::<_, Ending>(runner.count_items(Arc::new(request), connections).await?)
    })
}

/// The store, with its secrets.
fn store(args: &OfRun) -> Result<Store, Fault> {
    let places = &args.places;
    if places.store.is_none() && surroundings::store_variable().is_none() {
        return Err(
            Fault::new(ErrorKind::CommandLine, "the task has no store").hint(
                "say where it is with --store, or WHARF_STORE: a folder, or s3://, gs:// or az://",
            ),
        );
    }
    let location = surroundings::store_location(places.store.as_deref())?;
    surroundings::check_exists(&location)?;
    let mut settings = surroundings::store_settings();
    let secrets = args
        .secrets
        .iter()
        .map(|(name, reference)| (name, reference));
    crate::stack::add_secrets(&mut settings, secrets, std::path::Path::new(""))?;
    let cache = surroundings::blob_cache(places.cache.as_deref());
    Store::open(&location, &settings, cache)
}

/// What is known before a task runs.
struct Prepared {
    loaded: Loaded,
    parameters: BTreeMap<String, wharf_model::pipeline::Value<wharf_runner::pipeline::Handle>>,
    slice: Option<Slice>,
    run: wharf_model::record::RunId,
}

async fn prepare(args: &OfRun, around: &Surroundings, store: &Store) -> Result<Prepared, Ending> {
    let loaded = load_locked(store, args.pipeline).await?;
    check_step(&loaded, &args.step)?;
    let given = given(args, around, &loaded)?;
    let parameters = parameters(&loaded, &given)?;
    let slice = slice(args, around, &loaded)?;
    let joined = Joined {
        format: JOINED_FORMAT.to_owned(),
        lock: args.pipeline,
        external: external(args, around)?.id,
        partition: slice.as_ref().map(|slice| slice.name.clone()),
        run: surroundings::new_run_id()?,
    };
    store.prepare().await?;
    let run = store.join(&joined).await?;
    Ok(Prepared {
        loaded,
        parameters,
        slice,
        run,
    })
}

/// What begins the names of variables that are parameters.
const PARAMETER_VARIABLE: &str = "WHARF_PARAMETER_";

/// What is given for parameters, in all the ways in which orchestrators can.
fn given(args: &OfRun, around: &Surroundings, loaded: &Loaded) -> Result<Given, Fault> {
    let mut texts = args.bindings.clone();
    let mut text = |name: String, text: String| {
        texts.push(Binding {
            name,
            text,
            kind: BindingKind::BySignature,
        });
    };
    let arguments: BTreeMap<String, String> = object(args.arguments.as_deref())?;
    arguments
        .into_iter()
        .for_each(|(name, value)| text(name, value));
    for (name, value) in surroundings::variables(PARAMETER_VARIABLE)? {
        text(name, value);
    }
    let mut json: BTreeMap<String, Json> = object(args.parameters.as_deref())?;
    for (name, value) in &around.parameters {
        // The orchestrator's names have `_` where ours have `-`, and one at their end where
        // they would be words of its language. It has some of its own, too.
        let declared = loaded.checked.parameters.iter();
        let own = declared.map(|it| &it.name).find(|own| {
            let theirs = own.replace('-', "_");
            *name == theirs || name.strip_suffix('_') == Some(&theirs)
        });
        match (own, value) {
            (Some(own), Json::String(value)) => text(own.clone(), value.clone()),
            (Some(own), value) => drop(json.insert(own.clone(), whole(value))),
            (None, _) => {}
        }
    }
    Ok(Given::by_orchestrator(&texts, json))
}

/// Numbers without a fraction as such, however they were written: protocol buffers have
/// no others than those with one.
fn whole(value: &Json) -> Json {
    /// Above that, numbers with a fraction cannot tell whole ones apart.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Json::Array(items) => items.iter().map(whole).collect(),
        Json::Object(entries) => {
            let entries = entries.iter();
            let entries = entries.map(|(name, value)| (name.clone(), whole(value)));
            Json::Object(entries.collect())
        }
        Json::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(number) if number.fract() == 0.0 && number.abs() < EXACT => {
                Json::from(number as i64)
            }
            _ => value.clone(),
        },
        Json::Null | Json::Bool(_) | Json::String(_) => value.clone(),
    }
}

/// An object that an orchestrator has written.
fn object<T: serde::de::DeserializeOwned>(
    text: Option<&str>,
) -> Result<BTreeMap<String, T>, Fault> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(BTreeMap::new());
    };
    serde_json::from_str(text).map_err(|error| {
        let message = format!("the parameters are not a JSON object: {error}");
        Fault::new(ErrorKind::Parameter, message)
            .hint("write an object such as {\"epochs\": 50} in --parameters or WHARF_PARAMETERS")
    })
}

/// What the orchestrator calls the run.
fn external(args: &OfRun, around: &Surroundings) -> Result<External, Fault> {
    let given = args.run_id.clone().filter(|id| !id.is_empty());
    let Some(id) = given.or_else(|| around.run.clone()) else {
        return Err(
            Fault::new(ErrorKind::CommandLine, "the task belongs to no run").hint(
                "say which with --run-id, or WHARF_RUN_ID: a text that all tasks of a run share",
            ),
        );
    };
    if id.len() > MAX_EXTERNAL_ID || id.chars().any(wharf_model::name::is_active) {
        let message = format!(
            "`{}` cannot be the id of a run: at most {MAX_EXTERNAL_ID} bytes, in one line",
            id.escape_debug()
        );
        return Err(Fault::new(ErrorKind::CommandLine, message));
    }
    Ok(External {
        id,
        orchestrator: around.name(),
        trace_parent: around.trace_parent.clone(),
    })
}

/// The partition that the run is for.
fn slice(args: &OfRun, around: &Surroundings, loaded: &Loaded) -> Result<Option<Slice>, Fault> {
    let wrong = |message: String| Fault::new(ErrorKind::Parameter, message);
    let given = args.partition.as_deref().filter(|name| !name.is_empty());
    let Some(partition) = &loaded.checked.partition else {
        return match given {
            None => Ok(None),
            Some(name) => Err(wrong(format!(
                "the pipeline has no partition, and `{name}` is given"
            ))),
        };
    };
    let told = |error: wharf_model::pipeline::PartitionError| {
        let fault = wrong(error.to_string());
        match error.advice() {
            Some(advice) => fault.hint(advice),
            None => fault,
        }
    };
    if let Some(name) = given.or(around.partition.as_deref()) {
        return partition.parse(name).map(Some).map_err(told);
    }
    let before = args.partition_before.as_deref();
    if let Some(text) = before.filter(|text| !text.is_empty()) {
        let date = date_in(text, &args.timezone)?;
        return partition.before(date).map(Some).map_err(told);
    }
    if let Some(date) = around.logical_date {
        let date = TimeZone::UTC.to_datetime(date).date();
        return partition.at(date).map(Some).map_err(told);
    }
    Err(
        wrong("the pipeline runs for a partition, and none is given".to_owned())
            .hint("say which with --partition, or WHARF_PARTITION"),
    )
}

/// The date that a time has in a time zone, which may follow it in brackets (RFC 9557).
fn date_in(text: &str, zone: &str) -> Result<jiff::civil::Date, Fault> {
    let wrong = |message: String| Fault::new(ErrorKind::CommandLine, message);
    let (written, zone) = match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        Some((time, zone)) => (time, zone),
        None => (text, zone),
    };
    let time: Option<Timestamp> = written.parse().ok();
    let time = time.or_else(|| time_of_job(written)).ok_or_else(|| {
        wrong(format!("`{text}` is not a time")).hint("write one such as 2013-02-01T06:00:00Z")
    })?;
    let zone = TimeZone::get(zone).map_err(|_| {
        wrong(format!("there is no time zone `{zone}`")).hint("write one such as Europe/Berlin")
    })?;
    Ok(zone.to_datetime(time).date())
}

/// When a CronJob made a Job: its name ends with the minutes since 1970.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/>
fn time_of_job(name: &str) -> Option<Timestamp> {
    let (_, minutes) = name.rsplit_once('-')?;
    let is_time = minutes.len() == 8 && minutes.bytes().all(|b| b.is_ascii_digit());
    let minutes: i64 = minutes.parse().ok().filter(|_| is_time)?;
    Timestamp::from_second(minutes * 60).ok()
}

fn item(text: Option<&str>) -> Result<Option<u64>, Fault> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        let message = format!("`{text}` is not the number of an item");
        Fault::new(ErrorKind::CommandLine, message).hint("items are counted from 0 on")
    })
}

/// A name that no other attempt has: 48 random bits.
fn unique() -> Result<String, Fault> {
    let id = surroundings::new_run_id()?;
    let digits = id.as_str().replace('-', "");
    Ok(digits[digits.len() - 12..].to_owned())
}

fn task(args: &Exec, around: &Surroundings, item: Option<u64>) -> Result<Task, Fault> {
    let time_left = around.deadline.map(|deadline| {
        let left = deadline.duration_since(Timestamp::now());
        let left = Duration::try_from(left).unwrap_or_default();
        // Nothing is no limit: it stops at once.
        let left = left.saturating_sub(BEFORE_DEADLINE);
        Millis::of(left.max(Duration::from_millis(1)))
    });
    Ok(Task {
        step: args.of.step.clone(),
        item,
        attempt: args.attempt.or(around.attempt).unwrap_or(1).max(1),
        name: unique()?,
        retries: args.retries == WhoRetries::Step,
        only_publishes: false,
        time_left,
        external: external(&args.of, around)?,
    })
}

/// What is asked for, and what carries it out.
fn request(
    args: &OfRun,
    prepared: Prepared,
    task: Task,
    store: &Store,
) -> Result<(PipelineRequest, PipelineRunner), Fault> {
    let Prepared {
        loaded,
        parameters,
        slice,
        run,
    } = prepared;
    let lock = loaded.lock.as_ref().map(|(_, lock)| lock.clone());
    let lock = lock.ok_or_else(|| Fault::internal("a pipeline without its lock"))?;
    let asked = granted(&loaded, &args.step, &lock.grants)?;
    let limits = lock.limits;
    let resources = Resources {
        parallelism: surroundings::cores(),
        // The orchestrator gives the task what its step may take.
        memory: Bytes(u64::MAX >> 1),
        limits,
        most: Most::default(),
        cache_nondeterministic: lock.cache_nondeterministic,
    };
    let time = slice
        .as_ref()
        .map_or(DEFAULT_LOGICAL_TIME, |slice| slice.time);
    let runner = PipelineRunner {
        capacity: Arc::new(Capacity::new(&resources)),
        runner: Arc::new(StepRunner {
            sandbox: Arc::new(surroundings::yielding_sandbox(
                surroundings::compile_cache(args.places.cache.as_deref()),
            )?),
            guests: Guests::start(match task.item {
                // One guest at a time.
                Some(_) => 1,
                None => resources.parallelism,
            })?,
            store: store.clone(),
            host: surroundings::host(),
            clock: Arc::new(SystemClock::start()),
        }),
    };
    let request = PipelineRequest {
        id: run,
        name: lock.name,
        loaded: Arc::new(loaded),
        parameters,
        logical_time: time,
        slice,
        selection: Selection {
            only: Some([args.step.clone()].into()),
            ..Selection::default()
        },
        continue_on_error: false,
        resources,
        grants: super::run::grants(&asked)?,
        stack: lock.stack,
        by: surroundings::author().by,
        task: Some(task),
    };
    Ok((request, runner))
}

/// What the step asks for, all of which the lock must permit.
fn granted(loaded: &Loaded, step: &str, permitted: &[Grant]) -> Result<Vec<Grant>, Fault> {
    let index = check_step(loaded, step)?;
    let asked = &loaded.checked.steps[index].grants;
    match asked.iter().find(|grant| !permitted.contains(grant)) {
        None => Ok(asked.clone()),
        Some(grant) => {
            let message =
                format!("the step `{step}` asks for `{grant}`, which its lock does not permit");
            Err(Fault::new(ErrorKind::Denied, message).hint("compile the pipeline again"))
        }
    }
}

/// Makes the component of the step ready to run.
async fn make_ready(
    mut request: PipelineRequest,
    runner: &PipelineRunner,
    reporter: &Reporter,
) -> Result<Arc<PipelineRequest>, Ending> {
    let limits = request.resources.limits.clone();
    let step = request.task.as_ref().map(|task| task.step.clone());
    let step = check_step(&request.loaded, &step.unwrap_or_default())?;
    let loaded = Arc::get_mut(&mut request.loaded);
    let loaded = loaded.ok_or_else(|| Fault::internal("a pipeline that is shared"))?;
    let (store, sandbox) = (&runner.runner.store, &runner.runner.sandbox);
    loaded
        .prepare_locked(step, store, sandbox, &limits, |path| {
            reporter.compiling(path);
        })
        .await?;
    Ok(Arc::new(request))
}

/// Tells the orchestrator what happens, and passes it on to be shown.
async fn pass_on(
    mut events: UnboundedReceiver<PipelineEvent>,
    shown: UnboundedSender<PipelineEvent>,
    teller: &mut Teller,
) {
    let mut tick = tokio::time::interval(TOLD);
    let mut watch = Watch::default();
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            _ = tick.tick() => {
                let said = crate::report::progress::said(&watch.progress);
                if said.done > 0 {
                    teller.has_done(said.done, said.total);
                }
                continue;
            }
        };
        let Some(event) = event else { return };
        match &event {
            PipelineEvent::StepStarted { watch: own, .. } => watch = own.clone(),
            PipelineEvent::Step {
                said: Event::Log { level, message, .. },
                ..
            } => teller.says(*level, message),
            // It is told last, as an error.
            PipelineEvent::StepEnded { end, .. }
                if matches!(end.status, StepStatus::Failed | StepStatus::NotRun) =>
            {
                continue;
            }
            _ => {}
        }
        // Nobody may be listening.
        let _ = shown.send(event);
    }
}
