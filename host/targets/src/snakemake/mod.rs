//! Snakemake 9: a workflow in the layout that Snakemake recommends.
//!
//! ```text
//! config/config.yaml                       what a run can be given
//! workflow/Snakefile                       a rule for each step
//! workflow/schemas/config.schema.yaml      what it may be given
//! workflow/profiles/default/config.yaml    how Snakemake itself is to run
//! ```
//!
//! A job writes how its step ended to a file, which is what Snakemake waits for. Items
//! and partitions are wildcards. The id of a run is a file, too, made anew where
//! parameters change: an interrupted run goes on as the run that it was.

mod config;
mod rules;

use wharf_model::pipeline::Partition;

use crate::feature::{Support, host, native, no};
use crate::names::{self, identifier};
use crate::{Feature, File, Items, Parameter, Refusal, Target, Workflow};

pub(crate) const fn support(feature: Feature) -> Support {
    match feature {
        Feature::Parameters => native("config, checked by a schema"),
        Feature::ArtifactParameters => native("config: artifact:NAME, or a path"),
        Feature::When => host("decided in the job; its file says so"),
        Feature::SkippedState => no("a job has no such state; its file says skipped"),
        Feature::StaticForeach => native("a wildcard: a job for each item"),
        Feature::Mapping => native("a checkpoint, and a wildcard"),
        Feature::Retries => host("in the job: Snakemake looks at no exit code"),
        Feature::RetryTransientOnly => host("exit code 75, in the job"),
        Feature::Backoff => host("between the attempts"),
        Feature::Timeout => host("in the job; resources: runtime, for clusters"),
        Feature::Memory => native("resources: mem_mb"),
        Feature::PartitionByTime | Feature::PartitionByValue => native("a wildcard, from config"),
        Feature::Schedule | Feature::ScheduledPartition => {
            no("Snakemake starts nothing by itself; cron can")
        }
        Feature::Parallelism => native("jobs, in the profile"),
        Feature::Processes => native("shell"),
        Feature::Containers => no("a rule's container needs a shell; it runs `command`"),
        Feature::Settings => native("the environment"),
        Feature::Secrets => native("envvars; files of the machine"),
        Feature::Kubernetes => no("jobs are no pods"),
    }
}

pub(crate) fn compile(workflow: &Workflow) -> Result<Vec<File>, Vec<Refusal>> {
    let refusals = clashes(workflow);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut files = Vec::new();
    let mut file = |path: &str, text: String| {
        files.push(File {
            path: path.to_owned(),
            text,
        });
    };
    if has_config(workflow) {
        file("config/config.yaml", config::values(workflow));
    }
    file("workflow/Snakefile", rules::snakefile(workflow));
    file(
        "workflow/profiles/default/config.yaml",
        config::profile(workflow),
    );
    if has_config(workflow) {
        file(
            "workflow/schemas/config.schema.yaml",
            config::schema(workflow),
        );
    }
    Ok(files)
}

/// Names that the workflow needs for itself.
fn clashes(workflow: &Workflow) -> Vec<Refusal> {
    let listed = workflow.tasks.iter().filter(|it| it.items == Items::Each);
    let listed = listed.map(|task| (listing(&task.step), &*task.step));
    let steps = workflow.steps();
    let steps = steps.iter().map(|it| (rule(&it.task.step), &*it.task.step));
    let mut refusals = names::distinct(Target::Snakemake, listed.chain(steps));
    let is_own = |parameter: &&Parameter| parameter.name == "partition";
    if workflow.partition.is_some()
        && let Some(parameter) = workflow.parameters.iter().find(is_own)
    {
        let key = format!("parameters.{}", parameter.name);
        let why = "config has a `partition` that says which partition a run is for";
        refusals.push(
            Refusal::new(Target::Snakemake, key, why).hint("give the parameter another name"),
        );
    }
    refusals
}

/// Whether there is anything to choose.
fn has_config(workflow: &Workflow) -> bool {
    !workflow.parameters.is_empty() || workflow.partition.is_some()
}

/// The rule of a step. Those that are not of steps get out of the way of names that
/// steps have.
fn rule(step: &str) -> String {
    match &*identifier(step) {
        name @ ("all" | "run_id") => format!("{name}_"),
        name => name.to_owned(),
    }
}

/// The checkpoint that lists the items of a step.
fn listing(step: &str) -> String {
    format!("{}_items", identifier(step))
}

/// What a partition looks like, as a regular expression.
fn pattern(partition: &Partition) -> String {
    use wharf_model::pipeline::Every;
    match partition {
        Partition::Every(Every::Month) => r"\d{4}-\d{2}".to_owned(),
        Partition::Every(Every::Day) => r"\d{4}-\d{2}-\d{2}".to_owned(),
        Partition::Values(values) => {
            // Beside letters and digits, values have `.`, `_` and `-`.
            let values = values.iter().map(|value| value.replace('.', r"\."));
            values.collect::<Vec<_>>().join("|")
        }
    }
}
