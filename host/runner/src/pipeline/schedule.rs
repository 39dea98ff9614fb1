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
use wharf_model::{Content, Digest, ErrorKind, Fault, Record};
use wharf_store::{Author, NewTag, NewVersion};

use super::execute::{Capacity, Item, ItemEnd, Shared, is_retryable, limits_of};
use super::plan::Before;
use super::scope::{Handle, RunScope, StepState};
use super::{Connections, EVENTS_FORMAT, PipelineEvent, PipelineRequest, StayingTag, StepOf};
use crate::stored::StepRunner;

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
        let mut schedule = Schedule::new(Arc::new(shared), began, Known::new());
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
        let mut schedule = Schedule::new(Arc::new(shared), began, Known::new());
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
        store
            .put_started(&self.started(request, definition, components))
            .await
    }

    /// What a run is recorded to have been asked to do.
    pub(super) fn started(
        &self,
        request: &PipelineRequest,
        definition: Content,
        components: Vec<UsedComponent>,
    ) -> Started {
        let parameters = request.parameters.iter();
        let task = request.task.as_ref();
        Started {
            format: STARTED_FORMAT.to_owned(),
            id: request.id.clone(),
            name: request.name.clone(),
            file: request.loaded.file.display().to_string(),
            lock: request.loaded.lock.as_ref().map(|(digest, _)| *digest),
            external: task.map(|task| task.external.clone()),
            steps: task.map(|_| request.loaded.checked.steps.len() as u64),
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
        }
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

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Finds mistakes in a request that nothing can make up for.
pub(super) fn check(request: &PipelineRequest) -> Result<(), Fault> {
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

/// What is known of steps before anything runs, by index.
pub(super) type Known = BTreeMap<usize, StepState>;

/// A pipeline that runs.
pub(super) struct Schedule {
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
    pub(super) ends: Vec<StepEnd>,
    /// Whether something failed in a way that may pass; only such things, or not.
    pub(super) failed: Option<bool>,
    /// What a task has made.
    pub(super) made: Option<(Record, Digest)>,
    /// How many items the step of a task has.
    pub(super) items: Option<u64>,
    /// Whether items are only counted.
    counts: bool,
    /// Versions that were published.
    pub(super) published: Vec<String>,
    /// Why there is no such item as a task is to run.
    pub(super) no_item: Option<String>,
    /// Why what a task needs is not there.
    pub(super) unmet: Option<String>,
}

/// What a step is for, in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It runs.
    Runs,
    /// Something that runs needs what it has made before.
    Needed,
    /// It has ended, and what it has made is known.
    Known,
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
    pub(super) fn new(shared: Arc<Shared>, began: Duration, known: Known) -> Self {
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
        let role = roles(&shared.request, &known);
        let mut states = vec![StepState::default(); steps.len()];
        for (index, state) in known {
            states[index] = state;
        }
        Self {
            states,
            anew: anew(&shared.request),
            role,
            waits_for,
            dependents,
            ready,
            waiting: VecDeque::new(),
            open: BTreeMap::new(),
            ends: Vec::new(),
            failed: None,
            made: None,
            items: None,
            counts: false,
            published: Vec::new(),
            no_item: None,
            unmet: None,
            shared,
            began,
        }
    }

    /// Finds out what a step needs, and counts its items; none where it is not to run.
    pub(super) async fn only_count(&mut self, step: usize) -> Result<u64, String> {
        self.counts = true;
        self.run().await;
        let name = self.step(step).name.clone();
        let end = self.ends.iter().find(|end| end.step == name);
        match (self.items, end) {
            (Some(items), _) => Ok(items),
            (None, Some(end)) if end.status == StepStatus::Skipped => Ok(0),
            (None, end) => {
                let said = end.and_then(|end| end.message.clone());
                let unmet = said.or_else(|| self.unmet.take());
                Err(unmet.unwrap_or_else(|| "what it needs has not ended".to_owned()))
            }
        }
    }

    /// Whether somebody has stopped it.
    pub(super) fn is_cancelled(&self) -> bool {
        self.shared.connections.cancel.borrow().is_some()
    }

    /// What a step returned.
    pub(super) fn results(&self, step: &str) -> Json {
        let steps = &self.shared.request.loaded.checked.steps;
        let index = steps.iter().position(|it| it.name == step);
        index.map_or(Json::Null, |index| self.states[index].results.clone())
    }

    fn step(&self, index: usize) -> &CheckedStep {
        &self.shared.request.loaded.checked.steps[index]
    }

    pub(super) async fn run(&mut self) {
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
        if self.role[index] == Role::Known {
            return self.release(index);
        }
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
            files: &request.loaded.files,
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
        let chosen = match self.chosen(index, items.as_deref()) {
            Ok(chosen) => chosen,
            Err(message) => {
                self.failed = Some(false);
                self.no_item = Some(message);
                return self.step_ended(index, StepStatus::NotRun, None);
            }
        };
        let open = Open {
            ended: (0..count).map(|_| None).collect(),
            items,
            left: chosen.len(),
        };
        self.open.insert(index, open);
        match chosen.is_empty() {
            // All of none have succeeded.
            true => self.items_ended(index).await,
            false => self.waiting.extend(chosen.map(|item| (index, item))),
        }
    }

    /// Which items of a step are run: all, or the one of a task.
    fn chosen(
        &mut self,
        index: usize,
        items: Option<&[Value<Handle>]>,
    ) -> Result<std::ops::Range<usize>, String> {
        let count = items.map_or(1, <[_]>::len);
        let task = self.shared.request.task.as_ref();
        let Some(task) = task.filter(|_| self.role[index] == Role::Runs) else {
            return Ok(0..count);
        };
        self.items = items.map(|items| items.len() as u64);
        if self.counts {
            return Ok(0..0);
        }
        let step = &task.step;
        match (task.item, items) {
            (None, _) => Ok(0..count),
            (Some(_), None) => Err(format!("the step `{step}` has no list, and so no items")),
            (Some(item), Some(_)) => match usize::try_from(item) {
                Ok(item) if item < count => Ok(item..item + 1),
                _ => Err(format!(
                    "the step `{step}` has {count} items; there is no item {item}"
                )),
            },
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
            must_be_committed: self.role[step] == Role::Needed || self.only_publishes(),
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
        if self.shared.request.task.is_some() && self.role[step] == Role::Runs {
            self.made.clone_from(&end.made);
        }
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
        // Others tell of what a task only needs.
        if self.shared.request.task.is_some() && self.role[end.step] != Role::Runs {
            if !end.status.is_good() {
                self.unmet = self.unmet.take().or_else(|| end.message.clone());
            }
            return;
        }
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
        let made = ends.into_iter().filter_map(|end| end.made);
        self.states[index].made(made, is_each);
        match self.is_part(index) {
            true => self.release(index),
            false => self.publish(index).await,
        }
    }

    /// Whether a task has run already, and what it publishes is left.
    fn only_publishes(&self) -> bool {
        let task = self.shared.request.task.as_ref();
        task.is_some_and(|task| task.only_publishes)
    }

    /// Whether only an item of a step is run.
    fn is_part(&self, index: usize) -> bool {
        let task = self.shared.request.task.as_ref();
        self.role[index] == Role::Runs && task.is_some_and(|task| task.item.is_some())
    }

    /// Publishes what a step that succeeded is to publish, and lets others begin.
    async fn publish(&mut self, index: usize) {
        let is_publisher = self.step(index).uses.is_none();
        let began = self.shared.runner.clock.elapsed();
        match self.publish_all(index).await {
            Ok(published) => {
                self.published.extend(published);
                match is_publisher {
                    true => self.step_ended_since(began, index, StepStatus::Succeeded, None),
                    false => self.release(index),
                }
            }
            Err((status, message, retryable)) => {
                if status == StepStatus::Failed {
                    self.failed = Some(self.failed.unwrap_or(true) && retryable);
                }
                self.step_ended(index, status, Some(message));
            }
        }
    }

    /// What it is called that was published.
    async fn publish_all(&self, index: usize) -> Result<Vec<String>, (StepStatus, String, bool)> {
        let mut all = Vec::new();
        if self.role[index] != Role::Runs || self.shared.dry.is_some() || self.counts {
            return Ok(all);
        }
        let scope = self.scope(None, Some(&self.states[index]));
        let publications = self.step(index).publications(&scope);
        let publications = publications.map_err(|error| {
            let (status, message) = self.explain(error);
            (status, message, false)
        })?;
        for (target, handle) in publications {
            let published = self.publish_one(index, &target, &handle).await;
            let published = published.map_err(|fault| {
                // The next run sees what somebody else has put there; to try again in
                // the same one helps nobody.
                let again = self.shared.request.task.is_none();
                let conflict = fault.kind() == ErrorKind::Conflict;
                let retryable = is_retryable(&fault) || (conflict && again);
                (StepStatus::Failed, fault.to_string(), retryable)
            })?;
            all.push(published);
        }
        Ok(all)
    }

    async fn publish_one(
        &self,
        index: usize,
        target: &wharf_model::pipeline::PublishTarget,
        handle: &Handle,
    ) -> Result<String, Fault> {
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
        let artifact = format!("{}@{}", version.name, version.number);
        shared.tell(PipelineEvent::Published {
            step: self.step(index).name.clone(),
            artifact: artifact.clone(),
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
        Ok(artifact)
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
            expected: shared.pinned.expected(name, tag).await?,
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
fn roles(request: &PipelineRequest, known: &Known) -> Vec<Role> {
    let steps = &request.loaded.checked.steps;
    let Some(only) = &request.selection.only else {
        return vec![Role::Runs; steps.len()];
    };
    let mut roles = vec![Role::Out; steps.len()];
    for (index, step) in steps.iter().enumerate().rev() {
        if only.contains(&step.name) {
            roles[index] = Role::Runs;
        }
        if matches!(roles[index], Role::Runs | Role::Needed) {
            for on in &step.depends_on {
                if roles[*on] == Role::Out {
                    roles[*on] = match known.contains_key(on) {
                        true => Role::Known,
                        false => Role::Needed,
                    };
                }
            }
        }
    }
    roles
}
