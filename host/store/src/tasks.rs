//! Runs whose tasks an orchestrator starts: each in a process of its own, which knows
//! nothing of the others but what is here.
//!
//! ```text
//! locks/<digest>.json                        pipelines, with all that they need
//! joined/<digest>.json                       which run an orchestrator's run is
//! pipelines/<id>/pins/<digest>.json          artifacts that it has looked up
//! pipelines/<id>/tasks/<step>/<item>.json    tasks that succeeded or were skipped
//! pipelines/<id>/failed/<step>/<item>/<attempt>.json
//! ```
//!
//! Each is one conditional create. Of tasks that do the same at a time, the first one
//! counts, and the others go by what it says.

use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use wharf_model::lock::{LOCK_FORMAT, Lock};
use wharf_model::outcome::Cancellation;
use wharf_model::pipeline_run::{
    ENDED_FORMAT, Ended, JOINED_FORMAT, Joined, PIN_FORMAT, Pin, PipelineOutcome, Started,
    StepStatus, TASK_END_FORMAT, TaskEnd,
};
use wharf_model::record::RunId;
use wharf_model::{Digest, ErrorKind, Fault};

use crate::Store;
use crate::objects::Meta;
use crate::pipelines::{PIPELINES, started_path};
use crate::records::{Kept, Written, seal, unsealed_as};

/// Where locks are.
pub(crate) const LOCKS: &str = "locks";
/// Where it is said which runs orchestrators' runs are.
const JOINED: &str = "joined";
/// The name of what is not one of several items.
const WHOLE: &str = "all";

impl Kept for Lock {
    const FORMAT: &'static str = LOCK_FORMAT;
    fn format(&self) -> &str {
        &self.format
    }
}

impl Kept for Joined {
    const FORMAT: &'static str = JOINED_FORMAT;
    fn format(&self) -> &str {
        &self.format
    }
}

impl Kept for TaskEnd {
    const FORMAT: &'static str = TASK_END_FORMAT;
    fn format(&self) -> &str {
        &self.format
    }
}

impl Kept for Pin {
    const FORMAT: &'static str = PIN_FORMAT;
    fn format(&self) -> &str {
        &self.format
    }
}

impl Store {
    /// Keeps a pipeline with all that it needs. The same one has the same digest.
    ///
    /// # Errors
    /// Where writing fails.
    pub async fn put_lock(&self, lock: &Lock) -> Result<Digest, Fault> {
        let bytes = seal(lock)?;
        let digest = Digest::of(&bytes);
        self.create_only(&lock_path(&digest), bytes).await?;
        Ok(digest)
    }

    /// The pipeline with a digest.
    ///
    /// # Errors
    /// [`ErrorKind::Pipeline`] where there is none, [`ErrorKind::Corrupt`] where it is not
    /// what its digest says.
    pub async fn lock(&self, digest: &Digest) -> Result<Lock, Fault> {
        let path = lock_path(digest);
        let Some(bytes) = self.objects.read(&path).await? else {
            let message = format!("there is no pipeline {digest} in {}", self.place());
            return Err(Fault::new(ErrorKind::Pipeline, message)
                .hint("compile it for this store, with `wharf pipeline compile` or `lock`"));
        };
        match Digest::of(&bytes) == *digest {
            true => unsealed_as(&bytes).map_err(|why| self.not_understood(&path, &why)),
            false => Err(self.damaged(&path)),
        }
    }

    /// Which run an orchestrator's run is: what `joined` says, unless somebody was first.
    ///
    /// # Errors
    /// Where reading or writing fails.
    pub async fn join(&self, joined: &Joined) -> Result<RunId, Fault> {
        let partition = joined.partition.as_deref().unwrap_or_default();
        let key = format!("{}\n{partition}\n{}", joined.lock, joined.external);
        let hex = Digest::of(key.as_bytes()).hex();
        let path = ObjectPath::from(format!("{JOINED}/{}/{hex}.json", &hex[..2]));
        if let Some(before) = self.read_record::<Joined>(&path).await? {
            return Ok(before.run);
        }
        match self.create_record(&path, joined).await? {
            Written::Ours => Ok(joined.run.clone()),
            Written::Other(before) => Ok(before.run),
        }
    }

    /// Records that a run begins, unless another task has; what is recorded then.
    ///
    /// # Errors
    /// Where reading or writing fails.
    pub async fn begin(&self, started: &Started) -> Result<Started, Fault> {
        let path = started_path(&started.id);
        match self.create_record(&path, started).await? {
            Written::Ours => Ok(started.clone()),
            Written::Other(before) => Ok(before),
        }
    }

    /// What is recorded of the beginning of a run, where it has begun.
    ///
    /// # Errors
    /// Where it cannot be read or understood.
    pub async fn begun(&self, run: &RunId) -> Result<Option<Started>, Fault> {
        self.read_record(&started_path(run)).await
    }

    /// Records how a task ended. `attempt` is a name that no other attempt at it has.
    ///
    /// # Errors
    /// Where writing fails.
    pub async fn put_task_end(
        &self,
        run: &RunId,
        end: &TaskEnd,
        attempt: &str,
    ) -> Result<(), Fault> {
        let (step, item) = (&end.end.step, end.end.item);
        if !is_done(end.end.status) {
            let item = item_name(item);
            let path = format!("{PIPELINES}/{run}/failed/{step}/{item}/{attempt}.json");
            return self.create_only_record(&ObjectPath::from(path), end).await;
        }
        // The first one counts: it has made the same.
        let written = self.create_record(&done_path(run, step, item), end).await?;
        drop(written);
        Ok(())
    }

    /// How a task ended, where it succeeded or was skipped.
    ///
    /// # Errors
    /// Where it cannot be read or understood.
    pub async fn task_done(
        &self,
        run: &RunId,
        step: &str,
        item: Option<u64>,
    ) -> Result<Option<TaskEnd>, Fault> {
        self.read_record(&done_path(run, step, item)).await
    }

    /// What a run has looked up before.
    ///
    /// # Errors
    /// Where it cannot be read or understood.
    pub async fn pinned(&self, run: &RunId, what: &str) -> Result<Option<Pin>, Fault> {
        self.read_record(&pin_path(run, what)).await
    }

    /// Records what a run has looked up, unless another task has; what counts then.
    ///
    /// # Errors
    /// Where reading or writing fails.
    pub async fn pin(&self, run: &RunId, pin: &Pin) -> Result<Pin, Fault> {
        match self.create_record(&pin_path(run, &pin.what), pin).await? {
            Written::Ours => Ok(pin.clone()),
            Written::Other(before) => Ok(before),
        }
    }

    /// What is known of the end of a run whose tasks an orchestrator starts; nothing where
    /// no task has ended.
    pub(crate) async fn ended_of_tasks(&self, started: &Started) -> Result<Option<Ended>, Fault> {
        let mut tasks = Vec::new();
        for kind in ["tasks", "failed"] {
            let mut listed = self
                .objects
                .list(&format!("{PIPELINES}/{}/{kind}", started.id))?;
            while let Some(Meta { path, .. }) = listed.try_next().await? {
                tasks.extend(self.read_record::<TaskEnd>(&path).await?);
            }
        }
        Ok(ended(started, tasks))
    }
}

/// How a run has ended whose tasks ended so.
fn ended(started: &Started, mut tasks: Vec<TaskEnd>) -> Option<Ended> {
    // Of several attempts at a task, what succeeded counts, else the last.
    tasks.sort_by(|a, b| {
        let of = |task: &TaskEnd| (task.end.of(), is_done(task.end.status), task.end.began_us);
        of(a).cmp(&of(b))
    });
    let mut last: Vec<TaskEnd> = Vec::new();
    for task in tasks {
        match last.last_mut() {
            Some(before) if before.end.of() == task.end.of() => *before = task,
            _ => last.push(task),
        }
    }
    let end = |task: &TaskEnd| task.end.began_us.saturating_add(task.end.took_us);
    let latest = last.iter().map(end).max()?;
    let outcome = outcome(started, &last);
    let mut steps: Vec<_> = last.into_iter().map(|task| task.end).collect();
    steps.sort_by_key(|end| end.began_us.saturating_add(end.took_us));
    let micros = i64::try_from(latest).unwrap_or(i64::MAX);
    let after = jiff::SignedDuration::from_micros(micros);
    Some(Ended {
        format: ENDED_FORMAT.to_owned(),
        id: started.id.clone(),
        outcome,
        ended: started
            .started
            .checked_add(after)
            .unwrap_or(started.started),
        steps,
    })
}

fn outcome(started: &Started, tasks: &[TaskEnd]) -> PipelineOutcome {
    let failed = tasks
        .iter()
        .filter(|task| task.end.status == StepStatus::Failed);
    let retryable: Vec<bool> = failed.map(|task| task.retryable).collect();
    if !retryable.is_empty() {
        let retryable = retryable.into_iter().all(|retryable| retryable);
        return PipelineOutcome::Failed { retryable };
    }
    if tasks
        .iter()
        .any(|task| task.end.status == StepStatus::Cancelled)
    {
        let by = Cancellation::Terminate;
        return PipelineOutcome::Cancelled { by };
    }
    match whole_steps(tasks) >= started.steps.unwrap_or(u64::MAX) {
        true => PipelineOutcome::Succeeded,
        false => PipelineOutcome::Unfinished,
    }
}

/// How many steps have ended with all their items. Tasks of a step are side by side.
fn whole_steps(tasks: &[TaskEnd]) -> u64 {
    let steps = tasks.chunk_by(|a, b| a.end.step == b.end.step);
    let whole = steps.filter(|tasks| {
        let items = tasks.iter().filter(|task| task.end.item.is_some()).count() as u64;
        let is_one = tasks.iter().any(|task| task.end.item.is_none());
        is_one || tasks.iter().any(|task| task.items == Some(items))
    });
    whole.count() as u64
}

const fn is_done(status: StepStatus) -> bool {
    matches!(
        status,
        StepStatus::Succeeded | StepStatus::Cached | StepStatus::Skipped
    )
}

fn lock_path(digest: &Digest) -> ObjectPath {
    ObjectPath::from(format!("{LOCKS}/{}.json", digest.hex()))
}

fn done_path(run: &RunId, step: &str, item: Option<u64>) -> ObjectPath {
    let item = item_name(item);
    ObjectPath::from(format!("{PIPELINES}/{run}/tasks/{step}/{item}.json"))
}

fn item_name(item: Option<u64>) -> String {
    item.map_or_else(|| WHOLE.to_owned(), |item| item.to_string())
}

fn pin_path(run: &RunId, what: &str) -> ObjectPath {
    let hex = Digest::of(what.as_bytes()).hex();
    ObjectPath::from(format!("{PIPELINES}/{run}/pins/{hex}.json"))
}
