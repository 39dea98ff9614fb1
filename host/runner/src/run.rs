//! One run, from the request to the record.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use std::path::Path;

use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use wharf_model::event::Event;
use wharf_model::key::KeyParts;
use wharf_model::limits::LimitKind;
use wharf_model::outcome::Cancellation;
use wharf_model::plan::{self, BadRequest};
use wharf_model::record::{self, Host, RunId, Timings, Usage};
use wharf_model::{ErrorKind, Fault, Outcome, Plan, Record, Request};
use wharf_sandbox::{Call, Called, Component, PrepareError, Progress, Sandbox, Seed};
use wharf_store::Store;

use crate::component::ComponentFile;
use crate::local::Published;
use crate::sink::IoCounters;
use crate::stage::{Committing, Outputs, Rest, Staged, Stop, stage};

/// Tells the time. Given by the caller, so that nothing here reads it by itself.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment; never goes back.
    fn elapsed(&self) -> Duration;
}

/// Why a run has no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The request does not fit the component or this machine. Nothing was
    /// started.
    #[error(transparent)]
    BadRequest(#[from] BadRequest),
    /// The component cannot be run, or the host failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What a run is connected to.
#[derive(Debug)]
pub struct Surroundings {
    /// The id of the run.
    pub id: RunId,
    /// Where events go.
    pub events: UnboundedSender<Event>,
    /// How far the step says that it has come.
    pub progress: Arc<Mutex<Progress>>,
    /// How many bytes the step has read and written.
    pub counters: Arc<IoCounters>,
    /// Becomes `Some` when somebody stops the run.
    pub cancel: watch::Receiver<Option<Cancellation>>,
    /// Is set while the process should not end.
    pub committing: Committing,
}

/// Runs steps.
pub struct Runner {
    /// Where they run.
    pub sandbox: Sandbox,
    /// Where records go; nowhere if absent.
    pub store: Option<Store>,
    /// This host, for the records.
    pub host: Host,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl Runner {
    /// Runs a step and keeps its record.
    ///
    /// The outputs are published before the record is written: a record never
    /// names an output that is not there.
    ///
    /// # Errors
    /// Where the request is wrong, the component cannot be run, or the host
    /// failed; then there is no record. However the step ends is the record's
    /// outcome.
    pub async fn run(
        &self,
        request: Request,
        surroundings: Surroundings,
    ) -> Result<Record, RunError> {
        let watch = Watch::start(&*self.clock);
        let (events, kept) = keep_events(surroundings.events);
        let committing = surroundings.committing.clone();
        let mut run = Run {
            watch: &watch,
            draft: Draft::new(&self.host, surroundings.id, &request, watch.started),
            events,
            progress: surroundings.progress,
            counters: surroundings.counters,
            stop: Stop {
                cancel: surroundings.cancel,
                committing: surroundings.committing,
            },
            published: Vec::new(),
        };
        let result = self.attempt(request, &mut run).await;
        let events = kept.end().await;
        let result = match &events {
            Ok(_) => result,
            Err(fault) => Err(Stopped::Error(fault.clone().into())),
        };
        let recorded = match result {
            Ok(outcome) | Err(Stopped::Outcome(outcome)) => {
                let record = run.draft.end(outcome);
                let events = events.unwrap_or_default();
                self.keep(&record, &events).await.map(|()| record)
            }
            Err(Stopped::Error(error)) => Err(error),
        };
        if recorded.is_err() {
            // A run without a record has not been: it leaves nothing.
            run.published.into_iter().for_each(Published::take_back);
            if let Some(store) = &self.store {
                store.remove_if_empty();
            }
        }
        committing.store(false, Ordering::SeqCst);
        recorded
    }

    async fn keep(&self, record: &Record, events: &[Event]) -> Result<(), RunError> {
        if let Some(store) = &self.store {
            store.put_run(record, events).await?;
        }
        Ok(())
    }

    /// All of a run but its record.
    async fn attempt(&self, request: Request, run: &mut Run<'_>) -> Result<Outcome, Stopped> {
        let file = open(&request, &mut run.draft)?;
        let hashing = async { Ok(file.digest().await?) };
        let digest = unless_cancelled(hashing, &run.stop.cancel).await?;
        run.draft.record.step.digest = Some(digest);
        let size = file.size();
        let read = || file.read(digest);
        let opening = self.sandbox.open_with(digest, size, &request.limits, read);
        let opened = unless_cancelled(opening, &run.stop.cancel).await;
        let opened = opened.map_err(|stopped| stopped.of(&request))?;
        tracing::debug!(%digest, compiled = opened.is_compiled(), "opened the component");
        let signature = &opened.description().signature;
        let function = signature.resolve(request.step.function.as_deref());
        let function = function
            .map_err(|error| Fault::new(ErrorKind::NotAStep, error.to_string()))
            .map_err(|fault| Stopped::from(fault).of(&request))?
            .cloned();
        let plan = plan::plan(request, function.as_ref())?;
        run.draft.plan(&plan);
        run.draft.timings.prepare_us = run.watch.lap();

        let staged = stage(&plan, &run.counters)?;
        tracing::debug!(step = %plan.step, "opened all inputs, made places for all outputs");
        run.draft.timings.stage_us = run.watch.lap();

        let events = run.events.clone();
        let compiling = move |kept| drop(events.send(Event::Compiling { kept }));
        let preparing = self.sandbox.prepare(opened, &plan.limits, compiling);
        let step = plan.step.path.clone();
        let component = unless_cancelled(preparing, &run.stop.cancel).await;
        let component = component.map_err(|stopped| stopped.in_file(&step))?;
        tracing::debug!(
            from_cache = component.from_cache(),
            "the component is ready"
        );
        run.draft.timings.compiled_before = component.from_cache();
        run.draft.timings.prepare_us += run.watch.lap();

        if let Some(store) = &self.store {
            store.prepare().await?;
        }
        self.invoke(plan, &component, staged, run).await
    }

    /// Calls the step and publishes what it made.
    async fn invoke(
        &self,
        plan: Plan,
        component: &Component,
        staged: Staged,
        run: &mut Run<'_>,
    ) -> Result<Outcome, Stopped> {
        let key = staged.key(&plan, component.digest());
        let seed = staged.seed(&plan, component.digest());
        let (entry, rest) = staged.split();
        let program = plan.function.is_none();
        let call = Call {
            entry,
            step_name: plan.step_name,
            limits: plan.limits,
            grants: plan.grants,
            logical_time: plan.logical_time,
            partition: plan.partition,
            seed: seed.clone(),
            events: run.events.clone(),
            progress: run.progress.clone(),
            cancel: run.stop.cancel.clone(),
        };
        let _ = run.events.send(Event::Started { program });
        let Called { outcome, usage } = self.sandbox.call(component, call).await?;
        tracing::debug!(outcome = %outcome, memory = usage.memory_bytes, "the guest has ended");
        run.draft.record.usage = usage;
        run.draft.timings.invoke_us = run.watch.lap();

        if outcome.is_success() {
            let _ = run.events.send(Event::Publishing);
            tokio::select! {
                biased;
                by = cancelled(run.stop.cancel.clone()) => {
                    return Ok(Outcome::Cancelled { by });
                }
                hashed = rest.hashed() => hashed?,
            }
        }
        rest.check_inputs()?;
        run.draft.inputs(rest.inputs(), key, seed).await?;
        let outcome = match outcome.is_success() {
            true => match publish(rest, run.stop.clone()).await? {
                Ok((outputs, published)) => {
                    (run.draft.record.outputs, run.published) = (outputs, published);
                    outcome
                }
                Err(failed) => failed,
            },
            false => outcome,
        };
        run.draft.timings.publish_us = run.watch.lap();
        Ok(outcome)
    }
}

/// A run that goes on.
struct Run<'a> {
    watch: &'a Watch<'a>,
    draft: Draft,
    events: UnboundedSender<Event>,
    progress: Arc<Mutex<Progress>>,
    counters: Arc<IoCounters>,
    stop: Stop,
    published: Vec<Published>,
}

/// Why a run did not come to its end.
enum Stopped {
    /// The component is over a limit, or the run was cancelled: that is how it
    /// ended.
    Outcome(Outcome),
    /// There is nothing to record.
    Error(RunError),
}

impl Stopped {
    /// Names the file that a component is in, where it is at fault: among many steps,
    /// nobody knows else.
    fn in_file(self, path: &Path) -> Self {
        use ErrorKind::{InvalidComponent, MissingImport, NotAComponent, NotAStep};
        match self {
            Self::Error(RunError::Fault(fault))
                if matches!(
                    fault.kind(),
                    InvalidComponent | MissingImport | NotAComponent | NotAStep
                ) =>
            {
                Self::Error(fault.at(&path.display()).into())
            }
            other => other,
        }
    }

    fn of(self, request: &Request) -> Self {
        self.in_file(&request.step.path)
    }
}

impl<E: Into<RunError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// Opens the component, unless it is too large.
fn open(request: &Request, draft: &mut Draft) -> Result<Arc<ComponentFile>, Stopped> {
    let file = ComponentFile::open(&request.step.path)?;
    draft.record.step.size = file.size();
    let allowed = request.limits.component;
    match file.size() <= allowed.0 {
        true => Ok(Arc::new(file)),
        false => Err(Stopped::Outcome(Outcome::LimitExceeded {
            limit: LimitKind::ComponentBytes,
            allowed: allowed.exact(),
        })),
    }
}

/// Waits for a component, unless the run is cancelled first.
async fn unless_cancelled<T>(
    work: impl Future<Output = Result<T, PrepareError>>,
    cancel: &watch::Receiver<Option<Cancellation>>,
) -> Result<T, Stopped> {
    let result = tokio::select! {
        biased;
        by = cancelled(cancel.clone()) => {
            return Err(Stopped::Outcome(Outcome::Cancelled { by }));
        }
        result = work => result,
    };
    result.map_err(|error| match error {
        PrepareError::Fault(fault) => fault.into(),
        PrepareError::LimitExceeded { limit, allowed } => {
            Stopped::Outcome(Outcome::LimitExceeded { limit, allowed })
        }
    })
}

/// Waits until somebody stops the run.
pub async fn cancelled(mut cancel: watch::Receiver<Option<Cancellation>>) -> Cancellation {
    let by = cancel.wait_for(Option::is_some).await;
    match by.ok().and_then(|by| *by) {
        Some(by) => by,
        // Whoever could cancel is gone.
        None => std::future::pending().await,
    }
}

/// Publishing syncs to disk, which takes as long as it takes.
async fn publish(rest: Rest, stop: Stop) -> Result<Result<Outputs, Outcome>, Fault> {
    tokio::task::spawn_blocking(move || rest.publish(&stop))
        .await
        .map_err(Fault::internal)?
}

/// The events of a run, as they are passed on and kept.
pub(crate) struct Kept {
    end: oneshot::Sender<()>,
    events: JoinHandle<Vec<Event>>,
}

impl Kept {
    /// Waits until all events are passed on that there were so far. A guest that was
    /// left behind may have more to say, which nobody wants to know.
    pub(crate) async fn end(self) -> Result<Vec<Event>, Fault> {
        // Where the task is gone, so are the events, which is said below.
        let _ = self.end.send(());
        self.events.await.map_err(Fault::internal)
    }
}

/// Passes events on, and keeps those that the log is made of.
pub(crate) fn keep_events(out: UnboundedSender<Event>) -> (UnboundedSender<Event>, Kept) {
    let (events, mut received): (_, UnboundedReceiver<Event>) = unbounded_channel();
    let (end, mut ended) = oneshot::channel();
    let kept = tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let event = tokio::select! {
                event = received.recv() => event,
                _ = &mut ended, if !received.is_closed() => {
                    received.close();
                    continue;
                }
            };
            let Some(event) = event else { break };
            let said = matches!(
                event,
                Event::Log { .. } | Event::Print { .. } | Event::Metric { .. }
            );
            // Nobody may be listening; the log is kept all the same.
            let _ = out.send(event.clone());
            if said {
                kept.push(event);
            }
        }
        kept
    });
    (events, Kept { end, events: kept })
}

/// Measures the parts of a run.
struct Watch<'a> {
    clock: &'a dyn Clock,
    started: Timestamp,
    last: std::cell::Cell<Duration>,
}

impl<'a> Watch<'a> {
    fn start(clock: &'a dyn Clock) -> Self {
        Self {
            clock,
            started: clock.now(),
            last: std::cell::Cell::new(clock.elapsed()),
        }
    }

    /// Microseconds since the last lap.
    fn lap(&self) -> u64 {
        let now = self.clock.elapsed();
        let lap = now.saturating_sub(self.last.replace(now));
        u64::try_from(lap.as_micros()).unwrap_or(u64::MAX)
    }
}

/// A record that is being filled in.
struct Draft {
    record: Record,
    timings: Timings,
}

impl Draft {
    fn new(host: &Host, id: RunId, request: &Request, started: Timestamp) -> Self {
        let timings = Timings {
            started,
            compiled_before: false,
            prepare_us: 0,
            stage_us: 0,
            invoke_us: 0,
            publish_us: 0,
        };
        let step = record::Step {
            reference: request.step.to_string(),
            name: request
                .step_name
                .clone()
                .or_else(|| request.step.function.clone())
                .unwrap_or_else(|| "run".to_owned()),
            digest: None,
            size: 0,
            signature: None,
        };
        let record = Record {
            format: record::FORMAT.to_owned(),
            id,
            host: host.clone(),
            step,
            pipeline: None,
            parameters: Default::default(),
            arguments: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            grants: request.grants.shown(),
            deterministic: request.grants.deterministic(),
            limits: request.limits.clone(),
            logical_time: request.logical_time,
            partition: request.partition.clone(),
            seed: None,
            key: None,
            outcome: Outcome::Succeeded {
                results: serde_json::Value::Null,
            },
            usage: Usage::default(),
            timings,
        };
        Self { record, timings }
    }

    /// Adds the inputs, and what follows from their digests where all are
    /// hashed.
    async fn inputs(
        &mut self,
        inputs: Vec<record::Artifact>,
        key: impl Future<Output = Result<KeyParts, Fault>>,
        seed: Seed,
    ) -> Result<(), Fault> {
        if inputs.iter().all(|input| input.digest.is_some()) {
            let (key, seed) = (key.await?, seed.get().await?);
            self.record.key = Some(key.key(seed));
            self.record.seed = Some(seed);
        }
        self.record.inputs = inputs;
        Ok(())
    }

    fn plan(&mut self, plan: &Plan) {
        self.record.step.name.clone_from(&plan.step_name);
        self.record.step.signature = plan.function.as_ref().map(ToString::to_string);
        self.record.parameters = plan.values();
        self.record.arguments.clone_from(&plan.program_arguments);
    }

    fn end(mut self, outcome: Outcome) -> Record {
        self.record.outcome = outcome;
        self.record.timings = self.timings;
        self.record
    }
}
