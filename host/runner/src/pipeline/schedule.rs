//! Decides which step runs when.
//!
//! A step begins when all that it depends on has ended. Its items, or itself, then
//! wait for a place among those that are on their way; each waits for a core and for
//! memory where it has to run. What each costs here does not depend on how many there
//! are.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use serde_json::Value as Json;
use wharf_model::artifact::{TagMove, Version};
use wharf_model::name::Name;
use wharf_model::pipeline::{CheckedStep, EvaluationError, Value};
use wharf_model::pipeline_run::{
    ENDED_FORMAT, Ended, PipelineOutcome, STARTED_FORMAT, Started, StepEnd, StepStatus,
    UsedComponent,
};
use wharf_model::plan::Problem;
use wharf_model::{ErrorKind, Fault, Outcome};
use wharf_store::{Author, NewTag, NewVersion};

use super::execute::{Capacity, Item, ItemEnd, Shared, is_retryable, limits_of};
use super::load::beside;
use super::plan::Before;
use super::scope::{Handle, RunScope, StepState};
use super::{Connections, EVENTS_FORMAT, PipelineEvent, PipelineRequest, StayingTag, StepOf};
use crate::stored::{StepRunner, StoredInput};

/// Items that are on their way at a time: looked up, run, or committed. Enough that
/// commits are made durable many at a time.
const ON_THEIR_WAY: usize = 256;

/// Runs pipelines.
#[derive(Debug)]
pub struct PipelineRunner {
    /// Runs their steps.
    pub runner: Arc<StepRunner>,
    /// What they share with those of other pipelines.
    pub capacity: Arc<Capacity>,
}

impl PipelineRunner {
    /// Runs a pipeline.
    ///
    /// # Errors
    /// Where the request does not fit the pipeline, or the store fails. How its steps
    /// end is what is returned.
    pub async fn run(
        &self,
        request: Arc<PipelineRequest>,
        connections: Connections,
    ) -> Result<Ended, Fault> {
        check(&request)?;
        self.runner.store.prepare().await?;
        self.record_start(&request).await?;
        let capacity = self.capacity.clone();
        let runner = self.runner.clone();
        let shared = Shared::new(runner, request.clone(), connections, capacity, None);
        shared.tell(PipelineEvent::Started {
            format: EVENTS_FORMAT,
            run: request.id.clone(),
            pipeline: request.name.clone(),
            partition: request.slice.as_ref().map(|slice| slice.name.clone()),
            steps: request.loaded.checked.steps.len() as u64,
        });
        let began = self.runner.clock.elapsed();
        let mut schedule = Schedule::new(Arc::new(shared), began);
        schedule.run().await;
        let ended = Ended {
            format: ENDED_FORMAT.to_owned(),
            id: request.id.clone(),
            outcome: schedule.outcome(),
            ended: self.runner.clock.now(),
            steps: std::mem::take(&mut schedule.ends),
        };
        self.runner.store.put_ended(&ended).await?;
        schedule.shared.tell(PipelineEvent::Ended {
            outcome: ended.outcome,
            took_us: micros(self.runner.clock.elapsed().saturating_sub(began)),
        });
        Ok(ended)
    }

    /// The inputs that some runs are sure to need, and that are not there.
    pub async fn missing(&self, requests: &[Arc<PipelineRequest>]) -> Vec<Problem> {
        super::inputs::missing(&self.runner.store, requests).await
    }

    /// Says what a run would do, and does nothing.
    ///
    /// # Errors
    /// Where the request does not fit the pipeline, or the store fails.
    pub async fn plan(
        &self,
        request: Arc<PipelineRequest>,
        connections: Connections,
    ) -> Result<Vec<StepEnd>, Fault> {
        check(&request)?;
        let (runner, capacity) = (self.runner.clone(), self.capacity.clone());
        let before = Before::of(&runner.store, &request).await?;
        let shared = Shared::new(runner, request, connections, capacity, Some(before));
        let began = self.runner.clock.elapsed();
        let mut schedule = Schedule::new(Arc::new(shared), began);
        schedule.run().await;
        Ok(schedule.ends)
    }

    /// Keeps what the run is made of, so that it can be run again from its record.
    async fn record_start(&self, request: &PipelineRequest) -> Result<(), Fault> {
        let (store, loaded) = (&self.runner.store, &request.loaded);
        let definition = store.put_bytes(loaded.text.clone().into()).await?;
        let mut components = Vec::new();
        for (reference, used) in &loaded.components {
            let content = store.put_file(&used.path).await?;
            if content.digest != loaded.component(reference)?.digest() {
                let message = format!("`{}` changed after it was read", used.path.display());
                return Err(Fault::new(ErrorKind::InputChanged, message).hint("run it again"));
            }
            components.push(UsedComponent {
                reference: reference.display().to_string(),
                content,
            });
        }
        let parameters = request.parameters.iter();
        let started = Started {
            format: STARTED_FORMAT.to_owned(),
            id: request.id.clone(),
            name: request.name.clone(),
            file: loaded.file.display().to_string(),
            definition,
            components,
            parameters: parameters
                .map(|(name, value)| (name.clone(), shown(value)))
                .collect(),
            partition: request.slice.as_ref().map(|slice| slice.name.clone()),
            logical_time: request.logical_time,
            stack: request.stack.clone(),
            host: self.runner.host.clone(),
            by: request.by.clone(),
            started: self.runner.clock.now(),
        };
        store.put_started(&started).await
    }
}

/// A parameter as the record has it.
fn shown(value: &Value<Handle>) -> Json {
    let handle = |handle: &Handle| match handle {
        Handle::Stored(input) => input.from.clone(),
        Handle::Named(reference) => reference.to_string(),
        Handle::Path(path, _) => path.display().to_string(),
    };
    match value {
        Value::Json(json) => json.clone(),
        Value::Artifact(artifact) => handle(artifact).into(),
        Value::Artifacts(artifacts) => artifacts.iter().map(handle).collect(),
        Value::Absent => Json::Null,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Finds mistakes in a request that nothing can make up for.
fn check(request: &PipelineRequest) -> Result<(), Fault> {
    let steps = &request.loaded.checked.steps;
    let chosen = request.selection.only.iter().flatten();
    for name in chosen.chain(&request.selection.from) {
        if !steps.iter().any(|step| step.name == *name) {
            let near = wharf_model::nearest(name, steps.iter().map(|step| &*step.name));
            let fault = Fault::new(ErrorKind::Pipeline, format!("there is no step `{name}`"));
            return Err(match near {
                Some(near) => fault.hint(format!("did you mean `{near}`?")),
                None => fault,
            });
        }
    }
    if let Some(only) = &request.selection.only
        && let Some(left_out) = request.selection.from.difference(only).next()
    {
        let message = format!("`{left_out}` is to run anew, and is not among those that run");
        return Err(Fault::new(ErrorKind::Pipeline, message)
            .hint(format!("add --only {left_out}, or leave out --only")));
    }
    let running = steps.iter().filter(|step| step.uses.is_some());
    running
        .into_iter()
        .try_for_each(|step| check_limits(step, request))
}

/// What a step asks for must be allowed, and there.
fn check_limits(step: &CheckedStep, request: &PipelineRequest) -> Result<(), Fault> {
    let (resources, name) = (&request.resources, &step.name);
    let wanted = limits_of(step, resources);
    if let Some((limit, wanted, most)) = resources.most.exceeded(&wanted) {
        let stack = request.stack.as_deref().unwrap_or("here");
        let message = format!(
            "the step `{name}` asks for {limit} {wanted}; the stack `{stack}` allows {most}"
        );
        return Err(Fault::new(ErrorKind::Pipeline, message)
            .hint("let the step ask for less, or the stack allow more"));
    }
    let most = resources.memory;
    if wanted.memory > most {
        let message = format!(
            "the step `{name}` may take {}, of {most} in all",
            wanted.memory
        );
        return Err(Fault::new(ErrorKind::Pipeline, message)
            .hint("give the stack more memory, or the step less"));
    }
    Ok(())
}

/// A pipeline that runs.
struct Schedule {
    shared: Arc<Shared>,
    began: Duration,
    states: Vec<StepState>,
    /// For each step, how many it depends on that have not ended.
    waits_for: Vec<usize>,
    /// For each step, those that depend on it.
    dependents: Vec<Vec<usize>>,
    /// Whether each runs although it may be committed.
    anew: Vec<bool>,
    /// Which steps may run at all.
    role: Vec<Role>,
    ready: VecDeque<usize>,
    waiting: VecDeque<(usize, usize)>,
    /// Steps whose items are on their way.
    open: BTreeMap<usize, Open>,
    ends: Vec<StepEnd>,
    /// Whether something failed in a way that may pass; only such things, or not.
    failed: Option<bool>,
}

/// What a step is for, in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It runs.
    Runs,
    /// Something that runs needs what it has made before.
    Needed,
    /// It is left out.
    Out,
}

/// A step whose items are on their way.
struct Open {
    items: Option<Vec<Value<Handle>>>,
    ended: Vec<Option<ItemEnd>>,
    left: usize,
}

type Running = FuturesUnordered<BoxFuture<'static, ItemEnd>>;

impl Schedule {
    fn new(shared: Arc<Shared>, began: Duration) -> Self {
        let steps = &shared.request.loaded.checked.steps;
        let mut dependents = vec![Vec::new(); steps.len()];
        for (index, step) in steps.iter().enumerate() {
            step.depends_on
                .iter()
                .for_each(|on| dependents[*on].push(index));
        }
        let waits_for: Vec<usize> = steps.iter().map(|step| step.depends_on.len()).collect();
        let ready = (0..steps.len())
            .filter(|index| waits_for[*index] == 0)
            .collect();
        Self {
            states: vec![StepState::default(); steps.len()],
            anew: anew(&shared.request),
            role: roles(&shared.request),
            waits_for,
            dependents,
            ready,
            waiting: VecDeque::new(),
            open: BTreeMap::new(),
            ends: Vec::new(),
            failed: None,
            shared,
            began,
        }
    }

    fn step(&self, index: usize) -> &CheckedStep {
        &self.shared.request.loaded.checked.steps[index]
    }

    async fn run(&mut self) {
        let mut running = Running::new();
        loop {
            while let Some(step) = self.ready.pop_front() {
                self.begin(step).await;
            }
            while running.len() < ON_THEIR_WAY
                && let Some((step, index)) = self.waiting.pop_front()
            {
                self.start(step, index, &running);
            }
            match running.next().await {
                Some(end) => self.item_ended(end).await,
                None if self.waiting.is_empty() && self.ready.is_empty() => return,
                None => {}
            }
        }
    }

    /// Whether nothing more is to be started.
    fn is_over(&self) -> bool {
        let stopped = self.shared.connections.cancel.borrow().is_some();
        stopped || (self.failed.is_some() && !self.shared.request.continue_on_error)
    }

    /// A step whose dependencies have ended.
    async fn begin(&mut self, index: usize) {
        let bad = |on: &usize| {
            let status = self.states[*on].status;
            matches!(
                status,
                Some(StepStatus::Failed | StepStatus::Cancelled | StepStatus::NotRun)
            )
        };
        if self.role[index] == Role::Out || self.is_over() {
            return self.step_ended(index, StepStatus::NotRun, None);
        }
        if let Some(on) = self.step(index).depends_on.iter().find(|on| bad(on)) {
            let what = match (&self.shared.dry, self.states[*on].status) {
                (None, _) => "did not succeed",
                (Some(_), Some(StepStatus::NotRun)) => "will run first",
                (Some(_), _) => "would fail",
            };
            let needs = format!("`{}` {what}", self.step(*on).name);
            return self.step_ended(index, StepStatus::NotRun, Some(needs));
        }
        match self.items(index) {
            Ok(items) => self.begin_items(index, items).await,
            Err(error) => self.not_evaluated(index, error),
        }
    }

    /// The items that a step has, once it is known to be wanted; the outer option is
    /// none where it is not.
    fn items(&self, index: usize) -> Result<Option<Option<Vec<Value<Handle>>>>, EvaluationError> {
        let (step, scope) = (self.step(index), self.scope(None, None));
        match step.is_wanted(&scope)? {
            true => step.items(&scope).map(Some),
            false => Ok(None),
        }
    }

    fn scope<'a>(
        &'a self,
        item: Option<&'a Value<Handle>>,
        own: Option<&'a StepState>,
    ) -> RunScope<'a> {
        let request = &self.shared.request;
        RunScope {
            parameters: &request.parameters,
            steps: &self.states,
            slice: request.slice.as_ref(),
            folder: beside(&request.loaded.file),
            item,
            own,
        }
    }

    async fn begin_items(&mut self, index: usize, items: Option<Option<Vec<Value<Handle>>>>) {
        let Some(items) = items else {
            return self.skipped(index, "its condition is false".to_owned());
        };
        if self.step(index).uses.is_none() {
            self.states[index].status = Some(StepStatus::Succeeded);
            return self.publish(index).await;
        }
        let count = items.as_ref().map_or(1, Vec::len);
        if let Some(items) = &items {
            self.shared.tell(PipelineEvent::Items {
                step: self.step(index).name.clone(),
                items: items.len() as u64,
            });
        }
        let open = Open {
            ended: (0..count).map(|_| None).collect(),
            items,
            left: count,
        };
        self.open.insert(index, open);
        match count {
            // All of none have succeeded.
            0 => self.items_ended(index).await,
            _ => self.waiting.extend((0..count).map(|item| (index, item))),
        }
    }

    /// Starts an item, or ends it where it cannot be bound.
    fn start(&mut self, step: usize, index: usize, running: &Running) {
        let of = self.of(step, index);
        if self.is_over() {
            let end = self.unstarted(step, index, of, StepStatus::NotRun, None);
            return running.push(Box::pin(std::future::ready(end)));
        }
        match self.bind(step, index, of.clone()) {
            Ok(item) => running.push(Box::pin(self.shared.clone().execute(item))),
            Err(error) => {
                let (status, message) = self.explain(error);
                let end = self.unstarted(step, index, of, status, Some(message));
                running.push(Box::pin(std::future::ready(end)));
            }
        }
    }

    fn of(&self, step: usize, index: usize) -> StepOf {
        let open = self.open.get(&step);
        let is_each = open.is_some_and(|open| open.items.is_some());
        StepOf {
            step: self.step(step).name.clone(),
            item: is_each.then_some(index as u64),
        }
    }

    fn bind(&self, step: usize, index: usize, of: StepOf) -> Result<Item, EvaluationError> {
        let items = self.open.get(&step).and_then(|open| open.items.as_ref());
        let item = items.and_then(|items| items.get(index));
        let scope = self.scope(item, None);
        let checked = self.step(step);
        Ok(Item {
            step,
            index,
            of,
            bound: checked.bind(&scope)?,
            program_arguments: checked.program_arguments(&scope)?,
            must_be_committed: self.role[step] == Role::Needed,
            anew: self.anew[step],
        })
    }

    fn unstarted(
        &self,
        step: usize,
        index: usize,
        of: StepOf,
        status: StepStatus,
        message: Option<String>,
    ) -> ItemEnd {
        ItemEnd {
            step,
            index,
            of,
            status,
            made: None,
            attempt: None,
            attempts: 0,
            began: self.shared.runner.clock.elapsed(),
            message,
            retryable: false,
        }
    }

    fn explain(&self, error: EvaluationError) -> (StepStatus, String) {
        match error {
            EvaluationError::Skipped { step } => {
                let message = format!("`{}` was skipped", self.step(step).name);
                (StepStatus::Skipped, message)
            }
            EvaluationError::Wrong(diagnostic) => {
                let (line, column) = diagnostic.line_column(&self.shared.request.loaded.text);
                let message = format!("line {line}, column {column}: {}", diagnostic.message);
                (StepStatus::Failed, message)
            }
            EvaluationError::Fault(fault) => (StepStatus::Failed, fault.to_string()),
        }
    }

    fn not_evaluated(&mut self, index: usize, error: EvaluationError) {
        match self.explain(error) {
            (StepStatus::Skipped, message) => self.skipped(index, message),
            (status, message) => {
                self.failed = Some(false);
                self.step_ended(index, status, Some(message));
            }
        }
    }

    fn skipped(&mut self, index: usize, why: String) {
        self.step_ended(index, StepStatus::Skipped, Some(why));
    }

    async fn item_ended(&mut self, end: ItemEnd) {
        self.tell_end(&end);
        if end.status == StepStatus::Failed {
            let retryable = self.failed.unwrap_or(true) && end.retryable;
            self.failed = Some(retryable);
        }
        let step = end.step;
        let Some(open) = self.open.get_mut(&step) else {
            return;
        };
        let index = end.index;
        open.ended[index] = Some(end);
        open.left -= 1;
        if open.left == 0 {
            self.items_ended(step).await;
        }
    }

    fn tell_end(&mut self, end: &ItemEnd) {
        let now = self.shared.runner.clock.elapsed();
        let outputs = end.made.iter().flat_map(|(record, _)| &record.outputs);
        let output_bytes = outputs.map(|output| output.size).sum();
        let step_end = StepEnd {
            step: end.of.step.clone(),
            item: end.of.item,
            status: end.status,
            commit: end.made.as_ref().map(|(_, commit)| *commit),
            attempt: end.attempt.clone(),
            attempts: end.attempts,
            began_us: micros(end.began.saturating_sub(self.began)),
            took_us: micros(now.saturating_sub(end.began)),
            message: end.message.clone(),
        };
        self.shared.tell(PipelineEvent::StepEnded {
            end: step_end.clone(),
            output_bytes,
        });
        self.ends.push(step_end);
    }

    /// All items of a step have ended: gathers what they made.
    async fn items_ended(&mut self, index: usize) {
        let Some(open) = self.open.remove(&index) else {
            return;
        };
        let is_each = open.items.is_some();
        let ends: Vec<ItemEnd> = open.ended.into_iter().flatten().collect();
        let status = worst(ends.iter().map(|end| end.status));
        self.states[index].status = Some(status);
        if !status.is_good() {
            return self.release(index);
        }
        let mut results = Vec::new();
        for (record, commit) in ends.into_iter().filter_map(|end| end.made) {
            let run = record.pipeline.as_ref().map_or(&record.id, |of| &of.run);
            for output in &record.outputs {
                let step = &record.step.name;
                let partition = record.partition.as_deref();
                if let Some(input) = StoredInput::of_output(output, step, run, partition, commit) {
                    let outputs = &mut self.states[index].outputs;
                    let made = outputs.entry(output.name.clone()).or_default();
                    made.push(Handle::Stored(Arc::new(input)));
                }
            }
            if let Outcome::Succeeded { results: one } = record.outcome {
                results.push(one);
            }
        }
        self.states[index].results = match is_each {
            true => Json::Array(results),
            false => results.pop().unwrap_or_default(),
        };
        self.publish(index).await;
    }

    /// Publishes what a step that succeeded is to publish, and lets others begin.
    async fn publish(&mut self, index: usize) {
        let is_publisher = self.step(index).uses.is_none();
        let began = self.shared.runner.clock.elapsed();
        match self.publish_all(index).await {
            Ok(()) if is_publisher => {
                self.step_ended_since(began, index, StepStatus::Succeeded, None);
            }
            Ok(()) => self.release(index),
            Err((status, message, retryable)) => {
                if status == StepStatus::Failed {
                    self.failed = Some(self.failed.unwrap_or(true) && retryable);
                }
                self.step_ended(index, status, Some(message));
            }
        }
    }

    async fn publish_all(&self, index: usize) -> Result<(), (StepStatus, String, bool)> {
        if self.role[index] != Role::Runs || self.shared.dry.is_some() {
            return Ok(());
        }
        let scope = self.scope(None, Some(&self.states[index]));
        let publications = self.step(index).publications(&scope);
        let publications = publications.map_err(|error| {
            let (status, message) = self.explain(error);
            (status, message, false)
        })?;
        for (target, handle) in publications {
            let published = self.publish_one(index, &target, &handle).await;
            published.map_err(|fault| {
                // The next run sees what somebody else has put there.
                let retryable = is_retryable(&fault) || fault.kind() == ErrorKind::Conflict;
                (StepStatus::Failed, fault.to_string(), retryable)
            })?;
        }
        Ok(())
    }

    async fn publish_one(
        &self,
        index: usize,
        target: &wharf_model::pipeline::PublishTarget,
        handle: &Handle,
    ) -> Result<(), Fault> {
        let (shared, store) = (&self.shared, &self.shared.runner.store);
        let input = shared.pinned.resolve(handle).await?;
        let author = Author {
            by: shared.request.by.clone(),
            now: shared.runner.clock.now(),
        };
        let new = NewVersion {
            name: target.name.clone(),
            content: input.content,
            media_type: input.media_type.clone(),
            metadata: input.metadata.clone(),
            origin: input.origin.clone(),
        };
        let version = store.add_version(&new, &author).await?;
        let moved = match &target.tag {
            Some(tag) => Some(self.move_tag(&version, tag, &author).await?),
            None => None,
        };
        let (is_there, stays) = match moved {
            Some(moved) if moved.version == Some(version.number) => (true, None),
            Some(moved) => (false, moved.version.zip(moved.partition)),
            None => (false, None),
        };
        let tag = target.tag.as_ref().map(ToString::to_string);
        shared.tell(PipelineEvent::Published {
            step: self.step(index).name.clone(),
            artifact: format!("{}@{}", version.name, version.number),
            // What was there before has another time.
            is_new: version.created == author.now,
            stays: stays
                .zip(tag.clone())
                .map(|((number, partition), tag)| StayingTag {
                    tag,
                    artifact: format!("{}@{number}", version.name),
                    partition,
                }),
            tag: tag.filter(|_| is_there),
        });
        Ok(())
    }

    async fn move_tag(
        &self,
        version: &Version,
        tag: &Name,
        author: &Author,
    ) -> Result<TagMove, Fault> {
        let (shared, name) = (&self.shared, &version.name);
        let new = NewTag {
            name: name.clone(),
            tag: tag.clone(),
            version: Some(version.number),
            expected: shared.pinned.expected(name, tag),
            run: Some(shared.request.id.clone()),
            partition: shared
                .request
                .slice
                .as_ref()
                .map(|slice| slice.name.clone()),
        };
        let moved = shared.runner.store.move_tag(&new, author).await;
        let moved = moved.map_err(|fault| match fault.kind() {
            ErrorKind::Conflict => {
                let message = format!("{fault}: it was moved while this ran; run it again");
                Fault::new(ErrorKind::Conflict, message)
            }
            _ => fault,
        })?;
        if moved.version == Some(version.number) {
            shared.pinned.has_moved(name, tag, version.number);
        }
        Ok(moved)
    }

    /// A step has ended as a whole, without items that have.
    fn step_ended(&mut self, index: usize, status: StepStatus, message: Option<String>) {
        let now = self.shared.runner.clock.elapsed();
        self.step_ended_since(now, index, status, message);
    }

    /// The same, where it has taken some time.
    fn step_ended_since(
        &mut self,
        began: Duration,
        index: usize,
        status: StepStatus,
        message: Option<String>,
    ) {
        let of = StepOf {
            step: self.step(index).name.clone(),
            item: None,
        };
        self.states[index].status = Some(status);
        if self.role[index] != Role::Out {
            let end = self.unstarted(index, 0, of, status, message);
            self.tell_end(&ItemEnd { began, ..end });
        }
        self.release(index);
    }

    /// Lets those begin that have waited for a step.
    fn release(&mut self, index: usize) {
        for dependent in std::mem::take(&mut self.dependents[index]) {
            self.waits_for[dependent] -= 1;
            if self.waits_for[dependent] == 0 {
                self.ready.push_back(dependent);
            }
        }
    }

    fn outcome(&self) -> PipelineOutcome {
        let cancelled = *self.shared.connections.cancel.borrow();
        match (self.failed, cancelled) {
            (_, Some(by)) if !self.is_complete() => PipelineOutcome::Cancelled { by },
            (Some(retryable), _) => PipelineOutcome::Failed { retryable },
            (None, _) => PipelineOutcome::Succeeded,
        }
    }

    /// Whether all steps ended as if nobody had stopped the run.
    fn is_complete(&self) -> bool {
        let stopped = [StepStatus::Cancelled, StepStatus::NotRun];
        !self.ends.iter().any(|end| stopped.contains(&end.status))
    }
}

/// How a step ended whose items ended so.
fn worst(statuses: impl Iterator<Item = StepStatus>) -> StepStatus {
    // Succeeded, Cached, Skipped, Failed, Cancelled, NotRun: the later, the worse,
    // except that one that ran makes the step one that did.
    let statuses: Vec<_> = statuses.collect();
    let worst = statuses
        .iter()
        .max()
        .copied()
        .unwrap_or(StepStatus::Succeeded);
    match worst {
        StepStatus::Cached if statuses.contains(&StepStatus::Succeeded) => StepStatus::Succeeded,
        StepStatus::NotRun if statuses.contains(&StepStatus::Failed) => StepStatus::Failed,
        worst => worst,
    }
}

/// Which steps run although they may be committed: those that were named, and all that
/// depend on them.
fn anew(request: &PipelineRequest) -> Vec<bool> {
    let steps = &request.loaded.checked.steps;
    let mut anew: Vec<bool> = Vec::with_capacity(steps.len());
    for step in steps {
        let is_named = request.selection.no_cache || request.selection.from.contains(&step.name);
        // Each comes after those that it depends on.
        anew.push(is_named || step.depends_on.iter().any(|on| anew[*on]));
    }
    anew
}

/// What each step is for.
fn roles(request: &PipelineRequest) -> Vec<Role> {
    let steps = &request.loaded.checked.steps;
    let Some(only) = &request.selection.only else {
        return vec![Role::Runs; steps.len()];
    };
    let mut roles = vec![Role::Out; steps.len()];
    for (index, step) in steps.iter().enumerate().rev() {
        if only.contains(&step.name) {
            roles[index] = Role::Runs;
        }
        if roles[index] != Role::Out {
            for on in &step.depends_on {
                if roles[*on] == Role::Out {
                    roles[*on] = Role::Needed;
                }
            }
        }
    }
    roles
}
