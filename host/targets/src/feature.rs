//! What targets express: one table, which refuses what a workflow uses and a target does
//! not have, and which `wharf pipeline targets` prints.

use std::fmt;

use wharf_model::pipeline::{Every, Partition};

use crate::{Items, Refusal, Target, Workflow};
use crate::{
    airflow, argo, cwl, dagster, github_actions, kfp, kubernetes, metaflow, prefect, snakemake,
    tekton, zenml,
};

/// Something that a pipeline or a stack can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// `parameters` that are values.
    Parameters,
    /// `parameters` that are artifacts.
    ArtifactParameters,
    /// `when`.
    When,
    /// That a step which does not run is shown as skipped.
    SkippedState,
    /// `foreach` over a list in the file: a task for each item.
    StaticForeach,
    /// `foreach` over what parameters or steps give: tasks that are made while it runs.
    Mapping,
    /// `retries`.
    Retries,
    /// That only failures are tried again that may pass.
    RetryTransientOnly,
    /// `retries.backoff` and `retries.max-backoff`.
    Backoff,
    /// `timeout`.
    Timeout,
    /// `limits.memory`, as what a task is given.
    Memory,
    /// `partition` by day or month.
    PartitionByTime,
    /// `partition` by values.
    PartitionByValue,
    /// `schedule` of a stack.
    Schedule,
    /// `schedule` of a stack, for a pipeline with partitions: the one that has ended.
    ScheduledPartition,
    /// `parallelism` of a stack.
    Parallelism,
    /// Tasks that are processes, of the program `command` of a stack.
    Processes,
    /// Tasks that are containers, of the `image` of a stack.
    Containers,
    /// `settings` of a stack.
    Settings,
    /// `secrets` of a stack.
    Secrets,
    /// `kubernetes` of a stack.
    Kubernetes,
}

impl Feature {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 21] = [
        Self::Parameters,
        Self::ArtifactParameters,
        Self::When,
        Self::SkippedState,
        Self::StaticForeach,
        Self::Mapping,
        Self::Retries,
        Self::RetryTransientOnly,
        Self::Backoff,
        Self::Timeout,
        Self::Memory,
        Self::PartitionByTime,
        Self::PartitionByValue,
        Self::Schedule,
        Self::ScheduledPartition,
        Self::Parallelism,
        Self::Processes,
        Self::Containers,
        Self::Settings,
        Self::Secrets,
        Self::Kubernetes,
    ];

    /// What it is called, in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::ArtifactParameters => "parameters that are artifacts",
            Self::When => "when",
            Self::SkippedState => "shown as skipped",
            Self::StaticForeach => "foreach over a list in the file",
            Self::Mapping => "foreach over what a run gives",
            Self::Retries => "retries",
            Self::RetryTransientOnly => "retries of what may pass alone",
            Self::Backoff => "retries.backoff",
            Self::Timeout => "timeout",
            Self::Memory => "limits.memory",
            Self::PartitionByTime => "partition by day or month",
            Self::PartitionByValue => "partition by values",
            Self::Schedule => "schedule",
            Self::ScheduledPartition => "schedule of a partition",
            Self::Parallelism => "parallelism",
            Self::Processes => "command",
            Self::Containers => "image",
            Self::Settings => "settings",
            Self::Secrets => "secrets",
            Self::Kubernetes => "kubernetes",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who sees to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The target, by means of its own.
    Native,
    /// The host, inside the task: it means the same everywhere.
    Host,
    /// Nobody: a pipeline that needs it is refused. Of what no key asks for, that it is
    /// not so.
    No,
}

impl Level {
    /// Whether a pipeline can use it.
    #[must_use]
    pub const fn is_expressed(self) -> bool {
        matches!(self, Self::Native | Self::Host)
    }

    /// The word in tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Host => "host",
            Self::No => "no",
        }
    }
}

/// How a target expresses something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support {
    /// Who sees to it.
    pub level: Level,
    /// By what, or why not; in a few words.
    pub how: &'static str,
}

/// The target has it.
pub(crate) const fn native(how: &'static str) -> Support {
    let level = Level::Native;
    Support { level, how }
}

/// The host sees to it.
pub(crate) const fn host(how: &'static str) -> Support {
    let level = Level::Host;
    Support { level, how }
}

/// There is no such thing.
pub(crate) const fn no(how: &'static str) -> Support {
    let level = Level::No;
    Support { level, how }
}

impl Target {
    /// How a target expresses something.
    #[must_use]
    pub const fn support(self, feature: Feature) -> Support {
        match self {
            Self::Airflow => airflow::support(feature),
            Self::Kfp => kfp::support(feature),
            Self::Argo => argo::support(feature),
            Self::Kubernetes => kubernetes::support(feature),
            Self::Dagster => dagster::support(feature),
            Self::Prefect => prefect::support(feature),
            Self::Metaflow => metaflow::support(feature),
            Self::Snakemake => snakemake::support(feature),
            Self::Cwl => cwl::support(feature),
            Self::GithubActions => github_actions::support(feature),
            Self::Tekton => tekton::support(feature),
            Self::Zenml => zenml::support(feature),
        }
    }
}

/// All that a workflow uses and a target does not have, and what it needs and the
/// deployment does not say.
pub(crate) fn refusals(target: Target, workflow: &Workflow) -> Vec<Refusal> {
    let mut refusals: Vec<Refusal> = used(workflow)
        .into_iter()
        .filter(|(feature, _)| !target.support(*feature).level.is_expressed())
        .map(|(feature, key)| Refusal::new(target, key, target.support(feature).how))
        .collect();
    refusals.extend(where_it_runs(target, workflow));
    refusals.extend(when_it_runs(target, workflow));
    refusals
}

/// What a run that nobody starts by hand cannot be.
fn when_it_runs(target: Target, workflow: &Workflow) -> Vec<Refusal> {
    let Some(schedule) = &workflow.deployment.schedule else {
        return Vec::new();
    };
    let key = format!("stacks.{}.schedule", workflow.deployment.stack);
    let without = workflow.parameters.iter().filter(|it| it.default.is_none());
    let mut refusals: Vec<Refusal> = without
        .map(|parameter| {
            let key = format!("parameters.{}", parameter.name);
            let why = "a run by schedule cannot be given it, and it has no default";
            Refusal::new(target, key, why)
                .hint("give it a default, fix it when compiling, or take `schedule` from the stack")
        })
        .collect();
    match &workflow.partition {
        Some(Partition::Values(_)) => refusals.push(
            Refusal::new(
                target,
                key,
                "a schedule cannot tell partitions that are values",
            )
            .hint("take `schedule` from the stack, and start a run for each value"),
        ),
        Some(Partition::Every(every)) if !schedule.fires_once(*every) => {
            let why = format!(
                "`{}` does not fire once a {}, which the partitions are",
                schedule.cron,
                every.name()
            );
            let example = match every {
                Every::Month => "0 6 1 * *",
                Every::Day => "0 6 * * *",
            };
            refusals.push(
                Refusal::new(target, key, why)
                    .hint(format!("write one that does, such as `{example}`")),
            );
        }
        _ => {}
    }
    refusals
}

/// What a workflow uses, and the key that says so.
pub(crate) fn used(workflow: &Workflow) -> Vec<(Feature, String)> {
    let mut used = Vec::new();
    for parameter in &workflow.parameters {
        let feature = match parameter.kind {
            crate::ParameterKind::Artifact => Feature::ArtifactParameters,
            _ => Feature::Parameters,
        };
        used.push((feature, format!("parameters.{}", parameter.name)));
    }
    match &workflow.partition {
        Some(Partition::Every(_)) => used.push((Feature::PartitionByTime, "partition".into())),
        Some(Partition::Values(_)) => used.push((Feature::PartitionByValue, "partition".into())),
        None => {}
    }
    for task in &workflow.tasks {
        let key = |key: &str| format!("steps.{}.{key}", task.step);
        // Of the items of a step, the first speaks for all.
        match task.items {
            Items::At { index: 0, .. } => used.push((Feature::StaticForeach, key("foreach"))),
            Items::At { .. } => continue,
            Items::Each => used.push((Feature::Mapping, key("foreach"))),
            Items::One => {}
        }
        if task.is_conditional {
            used.push((Feature::When, key("when")));
        }
        if task.retries.count > 0 {
            used.push((Feature::Retries, key("retries")));
        }
        if task.timeout.is_some() {
            used.push((Feature::Timeout, key("timeout")));
        }
    }
    let deployment = &workflow.deployment;
    let stack = |key: &str| format!("stacks.{}.{key}", deployment.stack);
    if deployment.schedule.is_some() {
        let feature = match workflow.partition {
            None => Feature::Schedule,
            Some(_) => Feature::ScheduledPartition,
        };
        used.push((feature, stack("schedule")));
    }
    if !deployment.environment.is_empty() {
        used.push((Feature::Settings, stack("settings")));
    }
    if !deployment.secrets.is_empty() {
        used.push((Feature::Secrets, stack("secrets")));
    }
    used
}

/// Whether tasks can be what the deployment makes of them.
fn where_it_runs(target: Target, workflow: &Workflow) -> Vec<Refusal> {
    let deployment = &workflow.deployment;
    let stack = |key: &str| format!("stacks.{}.{key}", deployment.stack);
    let has = |feature| target.support(feature).level.is_expressed();
    let mut refusals = Vec::new();
    if deployment.image.is_none() && !has(Feature::Processes) {
        let why = "its tasks are containers, and no image is given";
        refusals.push(
            Refusal::new(target, stack("image"), why)
                .hint("add `image = \"REGISTRY/wharf:VERSION\"` to the stack"),
        );
    }
    if workflow.runs_in_containers(target) {
        if is_on_this_machine(&deployment.store) && has(Feature::Kubernetes) {
            let why = format!(
                "the store `{}` is a folder, which a pod cannot reach",
                deployment.store
            );
            refusals.push(
                Refusal::new(target, stack("store"), why)
                    .hint("use a bucket: s3://, gs:// or az://"),
            );
        }
        if !deployment.secrets.is_empty()
            && deployment.kubernetes.secret.is_none()
            && has(Feature::Kubernetes)
        {
            let why = "pods take secrets from a Kubernetes Secret, and none is named";
            refusals.push(Refusal::new(target, stack("kubernetes.secret"), why).hint(
                "add `kubernetes = { secret = \"NAME\" }` to the stack, with an entry \
                           for each name under `secrets`",
            ));
        }
    }
    refusals
}

/// Whether a store is a folder.
fn is_on_this_machine(store: &str) -> bool {
    !store.contains("://") || store.starts_with("file://")
}

impl Workflow {
    /// Whether its tasks are containers: the deployment has an image, and the target can
    /// start one.
    #[must_use]
    pub fn runs_in_containers(&self, target: Target) -> bool {
        let has = |feature| target.support(feature).level.is_expressed();
        has(Feature::Containers) && (self.deployment.image.is_some() || !has(Feature::Processes))
    }
}
