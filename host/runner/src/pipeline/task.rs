//! One task of a run that an orchestrator schedules: a step, or one of its items, in a
//! process that knows nothing but the store.
//!
//! ```text
//! begin -> known (what it needs, as other tasks have left it) -> Schedule -> TaskEnd
//! ```
//!
//! What other tasks have made is found by how they ended, which the store has; or else,
//! where they ran in another run, by its key. So a run that one orchestrator began goes on
//! in another.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use serde_json::Value as Json;
use wharf_model::limits::Millis;
use wharf_model::pipeline::{CheckedStep, Value};
use wharf_model::pipeline_run::{
    External, Started, StepEnd, StepStatus, TASK_END_FORMAT, TaskEnd, UsedComponent,
};
use wharf_model::record::RunId;
use wharf_model::{Digest, ErrorKind, Fault, Outcome, Record};

use super::execute::Shared;
use super::load::Loaded;
use super::lock::step_index;
use super::pinned::Pinned;
use super::schedule::{Known, PipelineRunner, Schedule, check, micros};
use super::scope::{Handle, StepState};
use super::{Connections, PipelineEvent, PipelineRequest};

/// Records of tasks that are read at a time.
const READ_AT_A_TIME: usize = 32;

/// The task that a process runs.
#[derive(Clone, Debug)]
pub struct Task {
    /// The name of the step.
    pub step: String,
    /// Which item of its list; all of them where none is given.
    pub item: Option<u64>,
    /// Which attempt at it this is, from 1 on.
    pub attempt: u32,
    /// A name that no other attempt has: a few lower-case letters and digits.
    pub name: String,
    /// Whether the host tries again itself, as often as the pipeline says.
    pub retries: bool,
    /// Whether what the task has made is there, and only published.
    pub only_publishes: bool,
    /// How long the orchestrator lets it run, where it has said so.
    pub time_left: Option<Millis>,
    /// What the orchestrator calls the run.
    pub external: External,
}

/// How a task ended.
#[derive(Clone, Debug)]
pub struct TaskEnded {
    /// The run that it belongs to.
    pub run: RunId,
    /// How it ended.
    pub end: TaskEnd,
    /// The record of what it has made, where it has.
    pub record: Option<Record>,
    /// What it returned; of all items of a step, a list.
    pub results: Json,
}

impl PipelineRunner {
    /// Runs a task, or finds it done.
    ///
    /// # Errors
    /// Where the request does not fit the pipeline, or the store fails. How the task ends
    /// is what is returned.
    pub async fn run_task(
        &self,
        request: Arc<PipelineRequest>,
        connections: Connections,
    ) -> Result<TaskEnded, Fault> {
        let task = task_of(&request)?.clone();
        check(&request)?;
        self.runner.store.prepare().await?;
        let request = self.pin_parameters(&request).await?;
        let started = self.begin(&request).await?;
        let began = self.runner.clock.elapsed();
        // On the clock of the run, which another process may have started.
        let since = self.runner.clock.now().duration_since(started.started);
        let began_us = u64::try_from(since.as_micros()).unwrap_or(0);
        let mut schedule = self.schedule(&request, &connections, began).await?;
        schedule.run().await;
        if let Some(message) = schedule.no_item.take() {
            return Err(Fault::new(ErrorKind::Parameter, message));
        }
        let mut ended = self
            .ended(&request, &task, &mut schedule, began_us, began)
            .await;
        if task.item.is_some() && ended.end.end.status.is_good() {
            let published = self.publish_whole(&request, &task, &connections).await?;
            ended.end.published = published;
        }
        let store = &self.runner.store;
        store
            .put_task_end(&request.id, &ended.end, &task.name)
            .await?;
        Ok(ended)
    }

    /// How many items the step of a task has, once all that it needs has ended; nothing
    /// where it is not to run.
    ///
    /// # Errors
    /// Where the step has no list, or what it needs has not ended.
    pub async fn count_items(
        &self,
        request: Arc<PipelineRequest>,
        connections: Connections,
    ) -> Result<u64, Fault> {
        let task = task_of(&request)?;
        let index = step_index(&request.loaded, &task.step)?;
        check(&request)?;
        if !request.loaded.checked.steps[index].is_each() {
            let message = format!("the step `{}` has no `foreach`, and so no items", task.step);
            return Err(Fault::new(ErrorKind::Pipeline, message));
        }
        self.runner.store.prepare().await?;
        let request = self.pin_parameters(&request).await?;
        self.begin(&request).await?;
        let began = self.runner.clock.elapsed();
        let mut schedule = self.schedule(&request, &connections, began).await?;
        schedule.only_count(index).await.map_err(|message| {
            // Others may still be about to make it.
            Fault::new(ErrorKind::Pipeline, message)
        })
    }

    /// The request with all files that it is given in the store. A file is what the first
    /// task of the run has found, wherever that was: others may find it at other paths, or
    /// not at all; with another content it is another run.
    async fn pin_parameters(
        &self,
        request: &Arc<PipelineRequest>,
    ) -> Result<Arc<PipelineRequest>, Fault> {
        let is_path = |handle: &Handle| matches!(handle, Handle::Path(..));
        let has_path = request.parameters.values().any(|value| match value {
            Value::Artifact(handle) => is_path(handle),
            Value::Artifacts(handles) => handles.iter().any(is_path),
            Value::Json(_) | Value::Absent => false,
        });
        if !has_path {
            return Ok(request.clone());
        }
        let pinned = Pinned::new(&self.runner.store, &request.id, false, true);
        let mut parameters = request.parameters.clone();
        for (name, value) in &mut parameters {
            let handles = match value {
                Value::Artifact(handle) => std::slice::from_mut(handle),
                Value::Artifacts(handles) => handles,
                Value::Json(_) | Value::Absent => continue,
            };
            for (index, handle) in handles.iter_mut().enumerate() {
                if let Handle::Path(path, shape) = handle {
                    let what = format!("parameter {name} {index}");
                    *handle = Handle::Stored(pinned.given(&what, path, *shape).await?);
                }
            }
        }
        Ok(Arc::new(PipelineRequest {
            parameters,
            ..PipelineRequest::clone(request)
        }))
    }

    /// Records that the run begins, or finds that it has, and for the same.
    async fn begin(&self, request: &PipelineRequest) -> Result<Started, Fault> {
        let store = &self.runner.store;
        let lock = request.loaded.lock.as_ref().map(|(_, lock)| lock);
        let lock = lock.ok_or_else(|| Fault::internal("a task of a pipeline without a lock"))?;
        let components = lock.components.iter().map(|locked| UsedComponent {
            reference: locked.reference.clone(),
            content: locked.content,
        });
        let started = self.started(request, lock.definition, components.collect());
        let before = match store.begun(&request.id).await? {
            Some(before) => before,
            None => store.begin(&started).await?,
        };
        match difference(&before, &started) {
            None => Ok(before),
            Some(what) => {
                let external = started
                    .external
                    .map_or_else(String::new, |external| external.id);
                let message = format!("the run `{external}` was begun with {what}");
                Err(Fault::new(ErrorKind::Parameter, message)
                    .hint("give all tasks of a run the same, or another --run-id"))
            }
        }
    }

    async fn schedule(
        &self,
        request: &Arc<PipelineRequest>,
        connections: &Connections,
        began: Duration,
    ) -> Result<Schedule, Fault> {
        let known = self.known(request).await?;
        let shared = Shared::new(
            self.runner.clone(),
            request.clone(),
            connections.clone(),
            self.capacity.clone(),
            None,
        );
        Ok(Schedule::new(Arc::new(shared), began, known))
    }

    /// What the steps have made that the task needs, where other tasks of the run have
    /// left it.
    async fn known(&self, request: &PipelineRequest) -> Result<Known, Fault> {
        let steps = &request.loaded.checked.steps;
        let index = step_index(&request.loaded, &task_of(request)?.step)?;
        let mut known = Known::new();
        for on in &steps[index].depends_on {
            if let Some(state) = self.state(&request.id, &steps[*on]).await? {
                known.insert(*on, state);
            }
        }
        Ok(known)
    }

    /// What a step has made in a run; nothing where not all of it has ended.
    async fn state(&self, run: &RunId, step: &CheckedStep) -> Result<Option<StepState>, Fault> {
        let store = &self.runner.store;
        if !step.is_each() {
            let Some(done) = store.task_done(run, &step.name, None).await? else {
                return Ok(None);
            };
            return self.state_of(vec![done], false).await;
        }
        // All of its items by one task, skipped, or each by its own.
        if let Some(whole) = store.task_done(run, &step.name, None).await?
            && whole.end.status == StepStatus::Skipped
        {
            return self.state_of(vec![whole], true).await;
        }
        let Some(first) = store.task_done(run, &step.name, Some(0)).await? else {
            return Ok(None);
        };
        let count = first.items.unwrap_or_default();
        let others = stream::iter(1..count)
            .map(|item| store.task_done(run, &step.name, Some(item)))
            .buffered(READ_AT_A_TIME);
        let others: Vec<_> = others.collect().await;
        let mut all = vec![first];
        for other in others {
            match other? {
                Some(other) => all.push(other),
                None => return Ok(None),
            }
        }
        self.state_of(all, true).await
    }

    async fn state_of(
        &self,
        ends: Vec<TaskEnd>,
        is_each: bool,
    ) -> Result<Option<StepState>, Fault> {
        let store = &self.runner.store;
        let mut state = StepState {
            status: ends.iter().map(|task| task.end.status).max(),
            ..StepState::default()
        };
        if !state.status.is_some_and(StepStatus::is_good) {
            return Ok(Some(state));
        }
        let commits: Vec<Digest> = ends.iter().filter_map(|task| task.end.commit).collect();
        let records = stream::iter(commits)
            .map(|commit| async move { Ok::<_, Fault>((store.commit_of(&commit).await?, commit)) })
            .buffered(READ_AT_A_TIME);
        let records: Vec<_> = records.collect().await;
        let mut made = Vec::new();
        for record in records {
            match record? {
                (Some(record), commit) => made.push((record, commit)),
                // It was removed since: whoever needs it looks for it by its key.
                (None, _) => return Ok(None),
            }
        }
        state.made(made, is_each);
        Ok(Some(state))
    }

    /// How the task ended, from how its schedule did.
    async fn ended(
        &self,
        request: &PipelineRequest,
        task: &Task,
        schedule: &mut Schedule,
        began_us: u64,
        began: Duration,
    ) -> TaskEnded {
        let took = self.runner.clock.elapsed().saturating_sub(began);
        let ends = std::mem::take(&mut schedule.ends);
        let failed = ends.iter().find(|end| end.status == StepStatus::Failed);
        let worst = failed.or_else(|| ends.iter().max_by_key(|end| end.status));
        let status = worst.map_or(StepStatus::Succeeded, |end| end.status);
        let message = worst.and_then(|end| end.message.clone());
        // It was not begun: what it needs is not there, or it was stopped.
        let cancelled = schedule.is_cancelled();
        let message = message.or_else(|| schedule.unmet.take());
        let status = match (status, cancelled) {
            (StepStatus::NotRun, true) => StepStatus::Cancelled,
            (StepStatus::NotRun, false) => StepStatus::Failed,
            (status, _) => status,
        };
        let made = schedule.made.take();
        let results = match (&made, task.item, status.is_good()) {
            (_, _, false) => Json::Null,
            (Some((record, _)), Some(_), _) => results_of(record),
            _ => schedule.results(&task.step),
        };
        let whole = ends.len() == 1;
        let one = ends.into_iter().next();
        let end = StepEnd {
            step: task.step.clone(),
            item: task.item,
            status,
            commit: made.as_ref().filter(|_| whole).map(|(_, commit)| *commit),
            attempt: one.as_ref().and_then(|end| end.attempt.clone()),
            attempts: one.as_ref().map_or(0, |end| end.attempts),
            began_us,
            took_us: micros(took),
            message,
        };
        TaskEnded {
            run: request.id.clone(),
            end: TaskEnd {
                format: TASK_END_FORMAT.to_owned(),
                end,
                items: schedule.items,
                retryable: cancelled || schedule.failed == Some(true),
                published: std::mem::take(&mut schedule.published),
            },
            record: made.map(|(record, _)| record),
            results,
        }
    }

    /// Publishes what a step publishes whose items are tasks of their own, once the last
    /// of them is committed.
    async fn publish_whole(
        &self,
        request: &Arc<PipelineRequest>,
        task: &Task,
        connections: &Connections,
    ) -> Result<Vec<String>, Fault> {
        let index = step_index(&request.loaded, &task.step)?;
        if request.loaded.checked.steps[index]
            .publishes()
            .next()
            .is_none()
        {
            return Ok(Vec::new());
        }
        let whole = PipelineRequest {
            task: Some(Task {
                item: None,
                only_publishes: true,
                ..task.clone()
            }),
            ..PipelineRequest::clone(request)
        };
        // Who looks before the last item is there leaves it to that one.
        let (events, _) = tokio::sync::mpsc::unbounded_channel::<PipelineEvent>();
        let quiet = Connections {
            events,
            cancel: connections.cancel.clone(),
        };
        let began = self.runner.clock.elapsed();
        let mut schedule = self.schedule(&Arc::new(whole), &quiet, began).await?;
        schedule.run().await;
        Ok(std::mem::take(&mut schedule.published))
    }
}

fn task_of(request: &PipelineRequest) -> Result<&Task, Fault> {
    let task = request.task.as_ref();
    task.ok_or_else(|| Fault::internal("a task is run that there is not"))
}

fn results_of(record: &Record) -> Json {
    match &record.outcome {
        Outcome::Succeeded { results } => results.clone(),
        _ => Json::Null,
    }
}

/// What of a run is not as it was when it began.
fn difference(before: &Started, now: &Started) -> Option<String> {
    if before.lock != now.lock {
        return Some("another pipeline".to_owned());
    }
    if before.partition != now.partition {
        let partition = before.partition.as_deref().unwrap_or("none");
        return Some(format!("the partition {partition}"));
    }
    if before.logical_time != now.logical_time {
        return Some(format!("the logical time {}", before.logical_time));
    }
    let other = now
        .parameters
        .iter()
        .find(|(name, value)| before.parameters.get(*name) != Some(value));
    other.map(|(name, value)| {
        let before = before.parameters.get(name).unwrap_or(&Json::Null);
        format!("{name}={before}, not {value}")
    })
}

/// The step of a task must be one of the pipeline.
///
/// # Errors
/// [`ErrorKind::Pipeline`], with the nearest that there is.
pub fn check_step(loaded: &Loaded, step: &str) -> Result<usize, Fault> {
    step_index(loaded, step)
}
