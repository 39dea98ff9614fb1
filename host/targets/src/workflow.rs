//! A pipeline as orchestrators see it: tasks, and what each waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value as Json;
use wharf_model::Digest;
use wharf_model::limits::{Bytes, Millis};
use wharf_model::pipeline::{
    Checked, CheckedParameter, CheckedStep, Every, ItemsFrom, ParameterDefault, Partition, Retries,
};
use wharf_model::plan::Shape;
use wharf_model::signature::{Arity, ParameterType};
use wharf_model::stack::SecretReference;
use wharf_model::value_type::ValueType;

use crate::{Feature, Refusal, Target};

/// Memory that the host needs beside a step, in bytes: for wasmtime, the code, and what
/// is on its way to the store.
const HOST_MEMORY: u64 = 256 << 20;

/// How much longer than the host a target waits.
const GRACE: Duration = Duration::from_secs(60);

/// Most tasks that a step becomes where its items are tasks of their own.
const MAX_UNROLLED: usize = 1_000;

/// A pipeline as orchestrators see it.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// The name of the pipeline.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The name of the file that it was made from, for people to read.
    pub file: String,
    /// The lock of the pipeline in the store.
    pub pipeline: Digest,
    /// What can be chosen for each run, in the order of the file.
    pub parameters: Vec<Parameter>,
    /// How the data is divided: each run is for one partition.
    pub partition: Option<Partition>,
    /// The tasks; each comes after those that it needs.
    pub tasks: Vec<Task>,
    /// Where it runs.
    pub deployment: Deployment,
}

/// Where a workflow runs: what a stack says.
#[derive(Clone, Debug, Default)]
pub struct Deployment {
    /// The name of the stack.
    pub stack: String,
    /// The store: a URL, or an absolute path.
    pub store: String,
    /// The image that has `wharf`, where tasks are containers.
    pub image: Option<String>,
    /// The `wharf` program, where tasks are processes: a name on the `PATH`, or a path.
    pub command: String,
    /// Variables that tasks have.
    pub environment: BTreeMap<String, String>,
    /// Variables that tasks have, by reference.
    pub secrets: BTreeMap<String, SecretReference>,
    /// When it runs by itself.
    pub schedule: Option<Schedule>,
    /// Tasks of one run at a time.
    pub parallelism: Option<u16>,
    /// What pods are told.
    pub kubernetes: Kubernetes,
}

/// When a workflow runs by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Minute, hour, day of the month, month and day of the week, as cron has them.
    pub cron: String,
    /// The time zone that they are in, such as `Europe/Berlin`.
    pub timezone: String,
}

impl Schedule {
    /// Whether it fires once in each month or day: then the run is for the one before.
    #[must_use]
    pub fn fires_once(&self, every: Every) -> bool {
        let fields: Vec<&str> = self.cron.split_whitespace().collect();
        let one = |field: &str| !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit());
        match (&fields[..], every) {
            ([minute, hour, "*", "*", "*"], Every::Day) => one(minute) && one(hour),
            // The 29th is not in every month.
            ([minute, hour, day, "*", "*"], Every::Month) => {
                let in_each = day.parse().is_ok_and(|day: u8| (1..=28).contains(&day));
                one(minute) && one(hour) && in_each
            }
            _ => false,
        }
    }
}

/// What pods are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kubernetes {
    /// The namespace that they are in.
    pub namespace: Option<String>,
    /// The account that they act as.
    pub service_account: Option<String>,
    /// The `Secret` whose entries are the variables of [`Deployment::secrets`].
    pub secret: Option<String>,
    /// Processors that a step asks for, as Kubernetes writes them: `1`, `500m`.
    pub cpu: Option<String>,
    /// Labels of the machines that they run on.
    pub node_selector: BTreeMap<String, String>,
}

/// A parameter of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ParameterKind,
    /// What it is where a run does not say otherwise; of an artifact, the path in the
    /// file, whose content is locked.
    pub default: Option<Json>,
    /// What it means.
    pub description: Option<String>,
}

/// What a parameter is, as far as orchestrators tell values apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A text.
    Text,
    /// A number without a fraction.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// Anything else, written as JSON.
    Json,
    /// An artifact: `artifact:REF`, or a path where the task can read it. Nothing is the
    /// default.
    Artifact,
}

/// A task: a step, or an item of one.
#[derive(Clone, Debug)]
pub struct Task {
    /// The name of the step.
    pub step: String,
    /// What it runs for.
    pub items: Items,
    /// What it uses, for people to read: the component and its function; nothing for a
    /// step that only publishes.
    pub uses: Option<String>,
    /// The tasks that must end before it, by index, in order, each once. It starts where
    /// they succeeded or were skipped; whether it is skipped, too, it finds out itself.
    pub needs: Vec<usize>,
    /// Whether it may be skipped: it has a condition, or needs something that may be.
    pub may_skip: bool,
    /// Whether it has a condition of its own.
    pub is_conditional: bool,
    /// How often it is tried again.
    pub retries: Retries,
    /// The wall time of one attempt.
    pub timeout: Option<Millis>,
    /// Memory of the task, in bytes: the step's limit, and what the host needs.
    pub memory: Bytes,
    /// What it writes.
    pub outputs: Vec<Output>,
    /// Where it publishes, as `NAME` or `NAME:TAG`.
    pub publishes: Vec<String>,
}

/// What a task runs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Items {
    /// The step has no list.
    One,
    /// One item of the list of its step.
    At {
        /// Which, from 0 on.
        index: usize,
        /// How many there are.
        of: usize,
    },
    /// Each item of a list that `wharf step items` tells: the target makes a task of each.
    Each,
}

/// An artifact that a step writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Whether it is a folder of files.
    pub tree: bool,
}

/// What a workflow is made from.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// The pipeline.
    pub checked: &'a Checked,
    /// Its name.
    pub name: &'a str,
    /// The name of its file.
    pub file: &'a str,
    /// Its lock.
    pub lock: Digest,
    /// Parameters that are fixed, so that no run can choose them.
    pub fixed: &'a BTreeSet<String>,
    /// How many items each step has whose list comes from parameters, as they are fixed
    /// or by default; by the name of the step.
    pub counts: &'a BTreeMap<String, usize>,
    /// The memory limit of each step, by name.
    pub memory: &'a BTreeMap<String, Bytes>,
}

impl Workflow {
    /// The workflow of a pipeline, as a target can have it: where that cannot make tasks
    /// while it runs, a list that parameters give is taken as it is now, and they are
    /// fixed.
    ///
    /// # Errors
    /// Where a step has more items than can be tasks of their own.
    pub fn of(
        target: Target,
        source: &Source<'_>,
        deployment: Deployment,
    ) -> Result<Self, Vec<Refusal>> {
        let maps = target.support(Feature::Mapping).level.is_expressed();
        let mut making = Making {
            target,
            source,
            maps,
            tasks: Vec::new(),
            of_step: Vec::new(),
            fixed: source.fixed.clone(),
            refusals: Vec::new(),
        };
        for step in &source.checked.steps {
            making.step(step);
        }
        if !making.refusals.is_empty() {
            return Err(making.refusals);
        }
        let parameters = source.checked.parameters.iter();
        let open = parameters.filter(|parameter| !making.fixed.contains(&parameter.name));
        Ok(Self {
            name: source.name.to_owned(),
            description: source.checked.description.clone(),
            file: source.file.to_owned(),
            pipeline: source.lock,
            parameters: open.map(parameter).collect(),
            partition: source.checked.partition.clone(),
            tasks: making.tasks,
            deployment,
        })
    }

    /// What starts a task, without the program itself, and without what only the run
    /// knows: its id, its partition, and what its parameters are.
    #[must_use]
    pub fn arguments(&self, task: &Task) -> Vec<String> {
        let mut arguments = self.of_step("exec", task);
        if let Items::At { index, .. } = task.items {
            arguments.extend(["--item".to_owned(), index.to_string()]);
        }
        arguments
    }

    /// The same for the list of the items of a step.
    #[must_use]
    pub fn items_arguments(&self, task: &Task) -> Vec<String> {
        self.of_step("items", task)
    }

    fn of_step(&self, command: &str, task: &Task) -> Vec<String> {
        let pipeline = self.pipeline.to_string();
        let fixed = [
            ("--store", &self.deployment.store),
            ("--pipeline", &pipeline),
            ("--step", &task.step),
        ];
        let fixed = fixed.into_iter().flat_map(|(name, value)| [name, value]);
        let mut arguments = vec!["step".to_owned(), command.to_owned()];
        arguments.extend(fixed.map(str::to_owned));
        arguments
    }

    /// Secrets that do not come from a variable of their own name, as arguments; only
    /// for tasks that are processes of the orchestrator's machine.
    #[must_use]
    pub fn secret_arguments(&self) -> Vec<String> {
        let renamed = self.deployment.secrets.iter().filter(|(name, reference)| {
            !matches!(reference, SecretReference::Env(variable) if variable == *name)
        });
        renamed
            .flat_map(|(name, reference)| ["--secret".to_owned(), format!("{name}={reference}")])
            .collect()
    }

    /// Whether any task has a list that is known only when it runs.
    #[must_use]
    pub fn maps(&self) -> bool {
        self.tasks.iter().any(|task| task.items == Items::Each)
    }

    /// The steps, for targets that have a way to say several tasks at once.
    pub(crate) fn steps(&self) -> Vec<Step<'_>> {
        let is_first = |task: &&Task| !matches!(task.items, Items::At { index: 1.., .. });
        let firsts = self.tasks.iter().filter(is_first);
        let steps = firsts.map(|task| {
            let mut needs: Vec<&str> = task.needs.iter().map(|on| &*self.tasks[*on].step).collect();
            needs.dedup();
            Step { task, needs }
        });
        steps.collect()
    }
}

/// A step, with all its tasks.
#[derive(Clone, Debug)]
pub(crate) struct Step<'a> {
    /// Its task, or the first of them: they differ in nothing but the item.
    pub(crate) task: &'a Task,
    /// The steps that must end before it, by name, each once.
    pub(crate) needs: Vec<&'a str>,
}

impl Task {
    /// Its name as people read it: `STEP`, or `STEP[ITEM]`.
    #[must_use]
    pub fn title(&self) -> String {
        match self.items {
            Items::At { index, .. } => format!("{}[{index}]", self.step),
            Items::One | Items::Each => self.step.clone(),
        }
    }

    /// A name of its own: `STEP`, or `STEP-ITEM` with as many digits as the last item
    /// has, so that names sort as items do.
    #[must_use]
    pub fn slug(&self) -> String {
        match self.items {
            Items::At { index, of } => {
                let digits = of.saturating_sub(1).to_string().len();
                format!("{}-{index:0digits$}", self.step)
            }
            Items::One | Items::Each => self.step.clone(),
        }
    }

    /// How long a target waits for one attempt: longer than the host, which stops the
    /// step and says why. It is for a host that cannot.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let timeout = self.timeout?.duration();
        Some(timeout.saturating_add(GRACE))
    }

    /// The same for all attempts together, and the time between them: where the host
    /// itself tries again, within one task.
    #[must_use]
    pub fn deadline_of_all(&self) -> Option<Duration> {
        let once = self.timeout?.duration();
        let attempts = once.saturating_mul(self.retries.count.saturating_add(1));
        // From the 32nd on, waits differ in nothing; it is as many as can be summed up.
        let waits = (0..self.retries.count.min(32)).map(|retry| self.retries.wait(retry));
        let waits = waits.fold(Duration::ZERO, Duration::saturating_add);
        let rest = self.retries.count.saturating_sub(32);
        let rest = self.retries.max_backoff.duration().saturating_mul(rest);
        let all = attempts.saturating_add(waits).saturating_add(rest);
        Some(all.saturating_add(GRACE))
    }

    /// What it does, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        match (&self.uses, self.publishes.is_empty()) {
            (Some(uses), true) => format!("Runs {uses}"),
            (Some(uses), false) => {
                format!("Runs {uses}, and publishes {}", self.publishes.join(", "))
            }
            (None, _) => format!("Publishes {}", self.publishes.join(", ")),
        }
    }
}

/// Makes tasks of steps.
struct Making<'a> {
    target: Target,
    source: &'a Source<'a>,
    maps: bool,
    tasks: Vec<Task>,
    /// The tasks of each step.
    of_step: Vec<Vec<usize>>,
    fixed: BTreeSet<String>,
    refusals: Vec<Refusal>,
}

impl Making<'_> {
    fn step(&mut self, step: &CheckedStep) {
        let needs: BTreeSet<usize> = step
            .depends_on
            .iter()
            .flat_map(|on| self.of_step[*on].iter().copied())
            .collect();
        let may_skip = step.is_conditional() || needs.iter().any(|on| self.tasks[*on].may_skip);
        let first = self.tasks.len();
        let memory = self.source.memory.get(&step.name).copied();
        for items in self.items(step) {
            self.tasks.push(Task {
                step: step.name.clone(),
                items,
                uses: step.uses.as_ref().map(ToString::to_string),
                needs: needs.iter().copied().collect(),
                may_skip,
                is_conditional: step.is_conditional(),
                retries: step.retries,
                timeout: step.timeout,
                memory: Bytes(memory.unwrap_or_default().0.saturating_add(HOST_MEMORY)),
                outputs: step
                    .outputs
                    .iter()
                    .map(|output| Output {
                        name: output.name.clone(),
                        tree: output.shape == Shape::Tree,
                    })
                    .collect(),
                publishes: step.publishes().map(ToString::to_string).collect(),
            });
        }
        self.of_step.push((first..self.tasks.len()).collect());
    }

    /// What the tasks of a step run for.
    fn items(&mut self, step: &CheckedStep) -> Vec<Items> {
        let from = match step.items_from() {
            None => return vec![Items::One],
            Some(from) => from,
        };
        let count = match from {
            ItemsFrom::File { count } => count,
            ItemsFrom::Parameters(_) | ItemsFrom::Steps if self.maps => return vec![Items::Each],
            ItemsFrom::Parameters(names) => {
                self.fixed.extend(names);
                self.source.counts.get(&step.name).copied().unwrap_or(0)
            }
            // Refused as a feature.
            ItemsFrom::Steps => return vec![Items::Each],
        };
        if count > MAX_UNROLLED {
            let key = format!("steps.{}.foreach", step.name);
            let why = format!("it has {count} items; at most {MAX_UNROLLED} become tasks");
            let refusal = Refusal::new(self.target, key, why);
            self.refusals.push(match self.maps {
                true => refusal.hint("make the list a parameter, so that the target maps it"),
                false => refusal.hint("make several pipelines of it"),
            });
            return Vec::new();
        }
        (0..count)
            .map(|index| Items::At { index, of: count })
            .collect()
    }
}

fn parameter(parameter: &CheckedParameter) -> Parameter {
    let path = |path: &std::path::PathBuf| Json::from(path.display().to_string());
    Parameter {
        name: parameter.name.clone(),
        kind: kind(&parameter.ty),
        default: parameter.default.as_ref().map(|default| match default {
            ParameterDefault::Json(json) => json.clone(),
            ParameterDefault::Paths(paths) => match &paths[..] {
                [one] if !is_many(&parameter.ty) => path(one),
                paths => paths.iter().map(path).collect(),
            },
        }),
        description: parameter.description.clone(),
    }
}

const fn is_many(ty: &ParameterType) -> bool {
    matches!(
        ty,
        ParameterType::Input {
            arity: Arity::Many,
            ..
        }
    )
}

const fn kind(ty: &ParameterType) -> ParameterKind {
    let ParameterType::Value { value } = ty else {
        return ParameterKind::Artifact;
    };
    match value {
        ValueType::Bool => ParameterKind::Boolean,
        ValueType::String | ValueType::Char | ValueType::Enum { .. } => ParameterKind::Text,
        ValueType::Integer { .. } => ParameterKind::Integer,
        ValueType::F32 | ValueType::F64 => ParameterKind::Number,
        _ => ParameterKind::Json,
    }
}
