//! Runs one item of one step: finds it committed, or runs it, and again where that
//! may help.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use wharf_model::digest::Hasher;
use wharf_model::event::Event;
use wharf_model::limits::Bytes;
use wharf_model::outcome::{Cancellation, Retry};
use wharf_model::pipeline::{BoundParameter, BoundValue, CheckedStep, Retries};
use wharf_model::pipeline_run::StepStatus;
use wharf_model::plan::Shape;
use wharf_model::record::{PipelineStep, RunId};
use wharf_model::signature::Arity;
use wharf_model::{Digest, ErrorKind, Fault, Limits, Outcome, Record};

use super::pinned::{Pinned, check_is_tree};
use super::plan::Before;
use super::scope::Handle;
use super::{Connections, PipelineEvent, PipelineRequest, Resources, StepOf, Watch};
use crate::run::cancelled as stopped;
use crate::stored::{Attempt, StepRunner, StoredArgument, StoredInput, StoredStep, Told};

/// What all steps of a run share.
pub(super) struct Shared {
    pub(super) runner: Arc<StepRunner>,
    pub(super) request: Arc<PipelineRequest>,
    pub(super) pinned: Pinned,
    pub(super) connections: Connections,
    capacity: Arc<Capacity>,
    attempts: AtomicU64,
    /// Keys of steps that are on their way, so that of several that are the same, one
    /// runs, and the others find it committed.
    same: Mutex<BTreeMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    /// Where nothing is to be run: what is known of the run before.
    pub(super) dry: Option<Before>,
}

const MIB: u64 = 1 << 20;

/// What steps that run at a time share, over all pipelines of a process.
#[derive(Debug)]
pub struct Capacity {
    cores: Semaphore,
    /// One permit for each MiB.
    memory: Semaphore,
}

impl Capacity {
    /// Room for so many steps, and so much memory.
    #[must_use]
    pub fn new(resources: &Resources) -> Self {
        let memory = permits_for(resources.memory);
        Self {
            cores: Semaphore::new(resources.parallelism.max(1)),
            memory: Semaphore::new(memory as usize),
        }
    }
}

/// What a step and its result go by.
#[derive(Clone, Copy)]
struct Identity {
    seed: u64,
    key: Digest,
    commit: Digest,
}

/// How many permits stand for memory. Rounded up on both sides: a step that may take all
/// of it must find room.
fn permits_for(memory: Bytes) -> u32 {
    let permits = memory.0.div_ceil(MIB).max(1);
    // Fits into what a semaphore takes on any machine.
    u32::try_from(permits)
        .unwrap_or(u32::MAX)
        .min(u32::MAX >> 4)
}

/// An item of a step, with what it is bound to.
pub(super) struct Item {
    pub(super) step: usize,
    pub(super) index: usize,
    pub(super) of: StepOf,
    pub(super) bound: Vec<BoundParameter<Handle>>,
    pub(super) program_arguments: Vec<String>,
    /// Whether it must be committed: it is not to be run.
    pub(super) must_be_committed: bool,
    /// Whether it runs although it may be committed.
    pub(super) anew: bool,
}

/// How an item has ended.
pub(super) struct ItemEnd {
    pub(super) step: usize,
    pub(super) index: usize,
    pub(super) of: StepOf,
    pub(super) status: StepStatus,
    /// Its record, where it succeeded, and the key of the commit.
    pub(super) made: Option<(Record, Digest)>,
    pub(super) attempt: Option<RunId>,
    pub(super) attempts: u32,
    pub(super) began: Duration,
    pub(super) message: Option<String>,
    pub(super) retryable: bool,
}

impl Shared {
    pub(super) fn new(
        runner: Arc<StepRunner>,
        request: Arc<PipelineRequest>,
        connections: Connections,
        capacity: Arc<Capacity>,
        dry: Option<Before>,
    ) -> Self {
        Self {
            pinned: Pinned::new(
                &runner.store,
                &request.id,
                dry.is_some(),
                request.task.is_some(),
            ),
            dry,
            capacity,
            runner,
            request,
            connections,
            attempts: AtomicU64::new(0),
            same: Mutex::default(),
        }
    }

    pub(super) fn tell(&self, event: PipelineEvent) {
        // Nobody may be listening.
        let _ = self.connections.events.send(event);
    }

    /// Runs an item, or finds it committed.
    pub(super) async fn execute(self: Arc<Self>, item: Item) -> ItemEnd {
        let began = self.runner.clock.elapsed();
        let mut end = ItemEnd {
            step: item.step,
            index: item.index,
            of: item.of.clone(),
            status: StepStatus::Failed,
            made: None,
            attempt: None,
            attempts: 0,
            began,
            message: None,
            retryable: false,
        };
        if let Err(fault) = self.try_execute(&item, &mut end).await {
            end.retryable = is_retryable(&fault);
            end.message = Some(fault.to_string());
        }
        end
    }

    async fn try_execute(&self, item: &Item, end: &mut ItemEnd) -> Result<(), Fault> {
        let step = &self.request.loaded.checked.steps[item.step];
        let stored = self.stored(step, item).await?;
        let (seed, key) = stored.key();
        let commit = self.commit_key(&stored, &key, item);
        let identity = Identity { seed, key, commit };
        let same = self.same_as(&commit);
        let alone = same.lock().await;
        let done = self.find_or_run(step, stored, identity, item, end).await;
        drop(alone);
        self.forget_same(&commit, same);
        done
    }

    /// Finds a step committed, or runs it.
    async fn find_or_run(
        &self,
        step: &CheckedStep,
        stored: StoredStep,
        identity: Identity,
        item: &Item,
        end: &mut ItemEnd,
    ) -> Result<(), Fault> {
        let commit = identity.commit;
        if (!item.anew || item.must_be_committed)
            && let Some(record) = self.runner.store.commit_of(&commit).await?
        {
            end.status = StepStatus::Cached;
            end.made = Some((record, commit));
            return Ok(());
        }
        if let Some(before) = &self.dry {
            end.status = StepStatus::NotRun;
            end.message = Some(before.why(&self.runner.store, &stored, item).await?);
            return Ok(());
        }
        if item.must_be_committed {
            let step = &item.of.step;
            let message = match self.request.task {
                Some(_) => {
                    format!("`{step}` has not succeeded in this run, nor before with the same")
                }
                None => format!("`{step}` is not committed, and was not chosen to run"),
            };
            return Err(
                Fault::new(ErrorKind::Pipeline, message).hint("run it first, or choose it, too")
            );
        }
        self.run(self.retries(step), stored, identity, item, end)
            .await
    }

    /// What bounds a step; an orchestrator may leave it less time.
    fn limits(&self, step: &CheckedStep) -> Limits {
        let mut limits = limits_of(step, &self.request.resources);
        let task = self.request.task.as_ref();
        if let Some(left) = task.and_then(|task| task.time_left) {
            limits.time = limits.time.min(left);
        }
        limits
    }

    /// How often the host tries again itself.
    fn retries(&self, step: &CheckedStep) -> Retries {
        match &self.request.task {
            Some(task) if !task.retries => Retries {
                count: 0,
                ..step.retries
            },
            _ => step.retries,
        }
    }

    /// Runs a step, and again where that may help.
    async fn run(
        &self,
        retries: Retries,
        mut stored: StoredStep,
        identity: Identity,
        item: &Item,
        end: &mut ItemEnd,
    ) -> Result<(), Fault> {
        let Identity { seed, key, commit } = identity;
        for attempt in 1.. {
            if let Some(by) = *self.connections.cancel.borrow() {
                if end.attempts == 0 {
                    end.status = StepStatus::NotRun;
                    return Ok(());
                }
                return cancelled(end, by);
            }
            let Some(room) = self.room(&stored).await else {
                continue;
            };
            if attempt == 1 {
                end.began = self.runner.clock.elapsed();
            }
            stored.pipeline = Some(self.pipeline_step(item, attempt));
            let number = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
            let id = self.attempt_id(number)?;
            end.attempts = attempt;
            end.attempt = Some(id.clone());
            let attempted = Attempt {
                id,
                seed,
                key,
                commit,
            };
            let (message, transient) = match self.attempt(&stored, attempted, item, room).await {
                Ok(record) => match &record.outcome {
                    Outcome::Succeeded { .. } => {
                        end.status = StepStatus::Succeeded;
                        end.made = Some((record, commit));
                        return Ok(());
                    }
                    Outcome::Cancelled { by } => return cancelled(end, *by),
                    outcome => (reason(outcome), is_transient(outcome)),
                },
                Err(fault) => match *self.connections.cancel.borrow() {
                    Some(by) => return cancelled(end, by),
                    None => (fault.to_string(), is_retryable(&fault)),
                },
            };
            if !transient || attempt > retries.count {
                end.message = Some(message);
                end.retryable = transient;
                return Ok(());
            }
            self.wait(&retries, attempt, item, message).await;
        }
        Ok(())
    }

    fn same_as(&self, commit: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut same = self.same.lock().unwrap_or_else(PoisonError::into_inner);
        same.entry(*commit).or_default().clone()
    }

    /// Keeps nothing of a step that nobody else waits for.
    fn forget_same(&self, commit: &Digest, same: Arc<tokio::sync::Mutex<()>>) {
        let mut all = self.same.lock().unwrap_or_else(PoisonError::into_inner);
        drop(same);
        if all
            .get(commit)
            .is_some_and(|same| Arc::strong_count(same) == 1)
        {
            all.remove(commit);
        }
    }

    /// Waits before the next attempt, or until the run is stopped.
    async fn wait(&self, retries: &Retries, attempt: u32, item: &Item, message: String) {
        let after = retries.wait(attempt - 1);
        self.tell(PipelineEvent::Retrying {
            of: item.of.clone(),
            message,
            after_ms: after.as_millis() as u64,
        });
        let cancel = self.connections.cancel.clone();
        tokio::select! {
            () = tokio::time::sleep(after) => {}
            _ = stopped(cancel) => {}
        }
    }

    /// Waits for a core and the memory that a step may take; nothing where the run is
    /// stopped meanwhile.
    async fn room(&self, stored: &StoredStep) -> Option<impl Send + '_> {
        let memory = permits_for(stored.limits.memory);
        let room = async {
            let memory = self.capacity.memory.acquire_many(memory).await;
            (memory, self.capacity.cores.acquire().await)
        };
        tokio::select! {
            room = room => Some(room),
            _ = stopped(self.connections.cancel.clone()) => None,
        }
    }

    async fn attempt(
        &self,
        stored: &StoredStep,
        attempt: Attempt,
        item: &Item,
        room: impl Send,
    ) -> Result<Record, Fault> {
        let number = stored.pipeline.as_ref().map_or(1, |of| of.attempt);
        let watch = Watch::default();
        self.tell(PipelineEvent::StepStarted {
            of: item.of.clone(),
            attempt: number,
            watch: watch.clone(),
        });
        let (events, mut said) = tokio::sync::mpsc::unbounded_channel::<Event>();
        let told = Told {
            events,
            progress: watch.progress,
            counters: watch.counters,
            cancel: self.connections.cancel.clone(),
        };
        let passing = async {
            while let Some(said) = said.recv().await {
                let of = item.of.clone();
                self.tell(PipelineEvent::Step { of, said });
            }
        };
        let running = self.runner.attempt(stored, attempt, told, room);
        let (record, ()) = tokio::join!(running, passing);
        record
    }

    fn pipeline_step(&self, item: &Item, attempt: u32) -> PipelineStep {
        PipelineStep {
            run: self.request.id.clone(),
            name: self.request.name.clone(),
            item: item.of.item,
            attempt: match &self.request.task {
                Some(task) => task.attempt.saturating_add(attempt - 1),
                None => attempt,
            },
        }
    }

    fn attempt_id(&self, number: u64) -> Result<RunId, Fault> {
        // Other tasks of the run count for themselves.
        let own = self.request.task.as_ref().map(|task| task.name.as_str());
        let id = format!("{}-{}{number}", self.request.id, own.unwrap_or_default());
        id.parse().map_err(Fault::internal)
    }

    /// What the commit of a step goes by: its key, or where each run may differ,
    /// something that is this run's own.
    fn commit_key(&self, stored: &StoredStep, key: &Digest, item: &Item) -> Digest {
        if stored.grants.deterministic() || self.request.resources.cache_nondeterministic {
            return *key;
        }
        let mut hasher = Hasher::new();
        let own = format!(
            "{key}\n{}\n{}\n{:?}\n",
            self.request.id, item.of.step, item.of.item
        );
        hasher.update(own.as_bytes());
        hasher.finish()
    }

    /// The step with all artifacts looked up.
    async fn stored(&self, step: &CheckedStep, item: &Item) -> Result<StoredStep, Fault> {
        let Some(uses) = &step.uses else {
            return Err(Fault::internal("a step that uses nothing was run"));
        };
        let loaded = &self.request.loaded;
        let (mut arguments, mut program_arguments) = (Vec::new(), Vec::new());
        for parameter in &item.bound {
            let name = parameter.name.clone();
            match &parameter.value {
                BoundValue::Json(json) if step.is_program() => {
                    let text = json
                        .as_str()
                        .map_or_else(|| json.to_string(), str::to_owned);
                    program_arguments.push(format!("--{name}={text}"));
                }
                BoundValue::Json(json) => {
                    let ty = value_type(step, &name)?;
                    arguments.push((name, StoredArgument::Value(ty, json.clone())));
                }
                BoundValue::Artifacts { arity, artifacts } => {
                    let tree = wants_tree(step, &name);
                    let given = self.resolve(artifacts, *arity, tree).await?;
                    arguments.push((name, inputs(*arity, tree, given)));
                }
            }
        }
        program_arguments.extend(item.program_arguments.iter().cloned());
        arguments.extend(step.outputs.iter().map(|output| {
            let tree = output.shape == Shape::Tree;
            (output.name.clone(), StoredArgument::Output { tree })
        }));
        if let Some(function) = &step.function {
            let order = |name: &str| function.parameters.iter().position(|it| it.name == name);
            arguments.sort_by_key(|(name, _)| order(name));
        }
        let request = &self.request;
        Ok(StoredStep {
            code: loaded.code(&uses.path)?,
            reference: uses.to_string(),
            name: step.name.clone(),
            function: step.function.clone(),
            arguments,
            program_arguments,
            limits: self.limits(step),
            grants: request.grants.only(&step.grants),
            logical_time: request.logical_time,
            partition: request.slice.as_ref().map(|slice| slice.name.clone()),
            seed: step.seed,
            pipeline: None,
        })
    }

    /// Looks artifacts up; one that may be left out is, where it does not exist.
    async fn resolve(
        &self,
        handles: &[Handle],
        arity: Arity,
        tree: Option<bool>,
    ) -> Result<Vec<StoredInput>, Fault> {
        let mut inputs = Vec::new();
        for handle in handles {
            match self.pinned.resolve(handle).await {
                Ok(input) => {
                    check_is_tree(&input.from, input.content.is_tree(), tree)?;
                    inputs.push(StoredInput::clone(&input));
                }
                Err(fault)
                    if fault.kind() == ErrorKind::UnknownArtifact && arity == Arity::Optional => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(inputs)
    }
}

/// The limits of a step.
pub(super) fn limits_of(step: &CheckedStep, resources: &Resources) -> Limits {
    let mut limits = step.limits.over(&resources.limits);
    if let Some(timeout) = step.timeout {
        limits.time = timeout;
    }
    limits
}

fn inputs(arity: Arity, tree: Option<bool>, given: Vec<StoredInput>) -> StoredArgument {
    let is_tree = || given.first().is_some_and(|input| input.content.is_tree());
    match tree.unwrap_or_else(is_tree) {
        true => StoredArgument::InputTrees(arity, given),
        false => StoredArgument::Inputs(arity, given),
    }
}

/// Whether a parameter takes trees; a program takes either.
fn wants_tree(step: &CheckedStep, name: &str) -> Option<bool> {
    use wharf_model::signature::ParameterType;
    let parameter = step.function.as_ref()?.parameter(name)?;
    match &parameter.ty {
        ParameterType::Input { tree, .. } => Some(*tree),
        ParameterType::Output { .. } | ParameterType::Value { .. } => None,
    }
}

fn value_type(step: &CheckedStep, name: &str) -> Result<wharf_model::value_type::ValueType, Fault> {
    use wharf_model::signature::ParameterType;
    let function = step.function.as_ref();
    let parameter = function.and_then(|function| function.parameter(name));
    match parameter.map(|parameter| &parameter.ty) {
        Some(ParameterType::Value { value }) => Ok(value.clone()),
        _ => Err(Fault::internal(format!("`{name}` is no value"))),
    }
}

fn cancelled(end: &mut ItemEnd, by: Cancellation) -> Result<(), Fault> {
    end.status = StepStatus::Cancelled;
    end.message = Some(Outcome::Cancelled { by }.to_string());
    Ok(())
}

/// Why a step failed, without saying that it did.
fn reason(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed { message, .. } => message.clone(),
        outcome => outcome.to_string(),
    }
}

const fn is_transient(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Failed {
            retry: Retry::Transient,
            ..
        }
    )
}

/// Whether a fault of the host may pass.
pub(super) fn is_retryable(fault: &Fault) -> bool {
    use wharf_model::exit::{Ending, ExitCode, exit_code};
    exit_code(Ending::Error(fault.kind())) == ExitCode::Retryable
}
