//! Tekton Pipelines, API `v1`: a `Pipeline`, and a `PipelineRun` that starts it.
//!
//! A task is a pod with one step. Tasks are told in the pipeline itself, so that all of it
//! is one object, and its parameters are known to each.
//!
//! Tekton has no list that it makes tasks of and that may be empty: it would leave out all
//! that comes after. So lists are those of the file, or of parameters that are fixed.

use crate::feature::{Support, host, native, no};
use crate::names::{self, Rule};
use crate::pods;
use crate::yaml::Yaml;
use crate::{Feature, File, Refusal, Target, Task, Workflow};

pub(crate) const fn support(feature: Feature) -> Support {
    match feature {
        Feature::Parameters => native("params"),
        Feature::ArtifactParameters => native("params: artifact:NAME"),
        Feature::When => host("decided in the task, which then succeeds"),
        Feature::SkippedState => no("it succeeds, and its result `status` says so"),
        Feature::StaticForeach => native("a task for each item"),
        Feature::Mapping => no("an empty matrix would skip all that comes after it"),
        Feature::Retries => host("in the task: its retries look at no exit code"),
        Feature::RetryTransientOnly | Feature::Backoff => host("in the task"),
        Feature::Timeout => native("timeout, after the host's own"),
        Feature::Memory => native("computeResources"),
        Feature::PartitionByTime | Feature::PartitionByValue => native("a param"),
        Feature::Schedule | Feature::ScheduledPartition => {
            no("it starts nothing by time: leave that to a trigger, or to another target")
        }
        Feature::Parallelism => no("it runs all tasks that can run"),
        Feature::Processes => no("its tasks are containers"),
        Feature::Containers => native("a step of a task"),
        Feature::Settings => native("env"),
        Feature::Secrets => native("env from a Secret"),
        Feature::Kubernetes => native("of the PipelineRun; resources"),
    }
}

/// The name of a pipeline, which labels have.
const PIPELINE: Rule = Rule {
    most: 63,
    inside: "-",
    capitals: false,
};

/// Names of tasks: DNS labels.
const TASK: Rule = PIPELINE;

pub(crate) fn compile(workflow: &Workflow) -> Result<Vec<File>, Vec<Refusal>> {
    let target = Target::Tekton;
    let mut refusals = names::check(target, workflow, PIPELINE, TASK);
    refusals.extend(names::alike(target, workflow));
    refusals.extend(pods::own_parameter(target, workflow));
    refusals.extend(pods::marked(target, workflow, "$("));
    refusals.extend(pods::marked_defaults(target, workflow, "$("));
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let name = &workflow.name;
    let pipeline = pods::head(target, workflow, &[]) + &pipeline(workflow).document();
    let how = [
        "`kubectl create -f` starts a run each time. Its parameters are as they are by default:",
        "say others under `params`.",
    ]
    .map(str::to_owned);
    let run = pods::head(target, workflow, &how) + &run(workflow).document();
    Ok(vec![
        File {
            path: format!("{name}-pipeline.yaml"),
            text: pipeline,
        },
        File {
            path: format!("{name}-run.yaml"),
            text: run,
        },
    ])
}

fn object(kind: &str, metadata: Yaml, spec: Yaml) -> Yaml {
    Yaml::map([
        ("apiVersion", Some("tekton.dev/v1".into())),
        ("kind", Some(kind.into())),
        ("metadata", Some(metadata)),
        ("spec", Some(spec)),
    ])
}

fn pipeline(workflow: &Workflow) -> Yaml {
    let tasks = workflow.tasks.iter().map(|it| task(workflow, it));
    let about = workflow.description.as_deref().map(pods::line);
    let spec = Yaml::map([
        ("description", about.map(Yaml::from)),
        ("params", parameters(workflow).unless_empty()),
        ("tasks", Some(Yaml::List(tasks.collect()))),
    ]);
    let metadata = pods::metadata(workflow, "name", workflow.name.clone());
    object("Pipeline", metadata, spec)
}

/// What can be chosen for each run.
fn parameters(workflow: &Workflow) -> Yaml {
    let chosen = workflow.parameters.iter().map(|parameter| {
        Yaml::map([
            ("name", Some(parameter.name.as_str().into())),
            ("type", Some("string".into())),
            ("description", pods::description(parameter).map(Yaml::from)),
            ("default", pods::default(parameter).map(Yaml::from)),
        ])
    });
    let partition = workflow.partition.iter().map(|partition| {
        let about = pods::partition_description(partition);
        Yaml::map([
            ("name", Some("partition".into())),
            ("type", Some("string".into())),
            ("description", Some(about.into())),
        ])
    });
    Yaml::List(chosen.chain(partition).collect())
}

fn task(workflow: &Workflow, task: &Task) -> Yaml {
    let needs = task.needs.iter().map(|on| workflow.tasks[*on].slug());
    let results = [
        ("results", "what the step returned, as JSON"),
        ("status", "how it ended: succeeded, cached or skipped"),
    ];
    let results = results.map(|(name, about)| {
        Yaml::map([
            ("name", Some(name.into())),
            ("description", Some(about.into())),
        ])
    });
    let spec = Yaml::map([
        ("results", Some(Yaml::List(results.into()))),
        ("steps", Some(Yaml::List(vec![step(workflow, task)]))),
        ("volumes", Some(pods::volumes())),
    ]);
    Yaml::map([
        ("name", Some(task.slug().into())),
        ("description", Some(task.summary().into())),
        ("runAfter", Yaml::list(needs).unless_empty()),
        (
            "timeout",
            task.deadline_of_all()
                .map(|time| pods::duration(time).into()),
        ),
        ("taskSpec", Some(spec)),
    ])
}

fn step(workflow: &Workflow, task: &Task) -> Yaml {
    let image = workflow.deployment.image.clone();
    let more: &[&str] = match task.retries.count {
        0 => &[],
        _ => &["--retries", "step"],
    };
    Yaml::map([
        ("name", Some("wharf".into())),
        ("image", image.map(Yaml::from)),
        (
            "command",
            Some(Yaml::list([workflow.deployment.command.as_str()])),
        ),
        (
            "args",
            Some(Yaml::list(pods::arguments(workflow, task, more))),
        ),
        ("env", Some(Yaml::List(environment(workflow)))),
        (
            "computeResources",
            Some(pods::resources(workflow, task.memory)),
        ),
        ("securityContext", Some(pods::security_context())),
        ("volumeMounts", Some(pods::volume_mounts())),
    ])
}

fn environment(workflow: &Workflow) -> Vec<Yaml> {
    let mut variables = vec![pods::variable("WHARF_RUN_ID", "$(context.pipelineRun.uid)")];
    if workflow.partition.is_some() {
        variables.push(pods::variable("WHARF_PARTITION", "$(params.partition)"));
    }
    variables.extend(workflow.parameters.iter().map(|parameter| {
        let name = &parameter.name;
        pods::variable(
            &format!("WHARF_PARAMETER_{name}"),
            format!("$(params.{name})"),
        )
    }));
    variables.extend(pods::settings(workflow));
    variables
}

/// What starts a run, and where it runs.
fn run(workflow: &Workflow) -> Yaml {
    let kubernetes = &workflow.deployment.kubernetes;
    let selector = pods::node_selector(workflow);
    let pods = selector.map(|labels| Yaml::map([("nodeSelector", Some(labels))]));
    let template = Yaml::map([
        (
            "serviceAccountName",
            kubernetes.service_account.clone().map(Yaml::from),
        ),
        ("podTemplate", pods),
    ]);
    let missing = workflow.parameters.iter();
    let missing = missing.filter(|parameter| parameter.default.is_none());
    let missing = missing.map(|parameter| pods::variable(&parameter.name, ""));
    let partition = workflow.partition.iter();
    let partition = partition.map(|_| pods::variable("partition", ""));
    let parameters = Yaml::List(missing.chain(partition).collect());
    let reference = Yaml::map([("name", Some(workflow.name.as_str().into()))]);
    let spec = Yaml::map([
        ("pipelineRef", Some(reference)),
        ("params", parameters.unless_empty()),
        ("taskRunTemplate", template.unless_empty()),
        // Else an hour: how long steps may take is said by them.
        (
            "timeouts",
            Some(Yaml::map([("pipeline", Some("0s".into()))])),
        ),
    ]);
    let name = format!("{}-", workflow.name);
    let metadata = pods::metadata(workflow, "generateName", name);
    object("PipelineRun", metadata, spec)
}
