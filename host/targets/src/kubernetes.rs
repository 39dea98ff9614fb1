//! Kubernetes alone: a `Job`, or a `CronJob` where the stack has a schedule.
//!
//! Kubernetes has no order of Jobs, but of the containers of a pod: each step is an init
//! container, the last one the container, so that they run one after another. When the pod
//! is lost, the Job makes another one, which goes on where the first one was, since what
//! was committed is not run again. The host tries a step again, as its `retries` say; the
//! Job does so where the host itself was ended.
//!
//! What a run chooses is in annotations of the pod, where people find it: Kubernetes fills
//! nothing into values that come from there.

use std::time::Duration;

use serde_json::Value as Json;

use crate::feature::{Support, host, native, no};
use crate::names::{self, Rule};
use crate::pods;
use crate::yaml::Yaml;
use crate::{Feature, File, ParameterKind, Refusal, Target, Task, Workflow};

pub(crate) const fn support(feature: Feature) -> Support {
    match feature {
        Feature::Parameters | Feature::ArtifactParameters => native("an annotation of the pod"),
        Feature::When => host("decided in the container, which then succeeds"),
        Feature::SkippedState => no("the container succeeds, and its message says so"),
        Feature::StaticForeach => native("a container for each item"),
        Feature::Mapping => no("the containers of a pod are known before it runs"),
        Feature::Retries => host("in the container; a lost pod is made again"),
        Feature::RetryTransientOnly => host("in the container; podFailurePolicy for the pod"),
        Feature::Backoff => host("in the container"),
        Feature::Timeout => host("the host's own; activeDeadlineSeconds where all steps have one"),
        Feature::Memory => native("resources"),
        Feature::PartitionByTime | Feature::PartitionByValue => native("an annotation of the pod"),
        Feature::Schedule => native("CronJob"),
        Feature::ScheduledPartition => native("CronJob, from the time in the name of its Job"),
        Feature::Parallelism => no("steps run one after another"),
        Feature::Processes => no("its tasks are containers"),
        Feature::Containers => native("init containers of a Job, in order"),
        Feature::Settings => native("env"),
        Feature::Secrets => native("env from a Secret"),
        Feature::Kubernetes => native("namespace, service account, resources, node selector"),
    }
}

/// The name of a Job, which the labels of its pods have; it ends with five letters that
/// make it unique.
const JOB: Rule = Rule {
    most: 57,
    inside: "-",
    capitals: false,
};

/// The name of a CronJob, to which the time is added.
const CRON: Rule = Rule { most: 52, ..JOB };

/// The name of a container.
const CONTAINER: Rule = Rule { most: 63, ..JOB };

/// Most containers of a pod: an object of Kubernetes has at most 1.5 MB.
const MAX_CONTAINERS: usize = 250;

/// How long a Job that has ended is kept, in seconds: a week.
const KEPT: i64 = 7 * 24 * 60 * 60;

/// How long a step that only publishes may take.
const PUBLISHES: Duration = Duration::from_secs(60);

/// How often a pod is made again whose host was ended, as by a lack of memory.
const PODS_AGAIN: i64 = 2;

/// Where a run says what its parameters are.
const PARAMETERS: &str = "wharf/parameters";
/// Where a run says which partition it is for.
const PARTITION: &str = "wharf/partition";

pub(crate) fn compile(workflow: &Workflow) -> Result<Vec<File>, Vec<Refusal>> {
    let target = Target::Kubernetes;
    let scheduled = workflow.deployment.schedule.is_some();
    let rule = if scheduled { CRON } else { JOB };
    let mut refusals = names::check(target, workflow, rule, CONTAINER);
    refusals.extend(names::alike(target, workflow));
    refusals.extend(too_many(workflow));
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let (kind, object) = match workflow.deployment.schedule {
        None => ("job", job(workflow)),
        Some(_) => ("cronjob", cron_job(workflow)),
    };
    Ok(vec![File {
        path: format!("{}-{kind}.yaml", workflow.name),
        text: pods::head(target, workflow, &comment(workflow)) + &object.document(),
    }])
}

fn too_many(workflow: &Workflow) -> Option<Refusal> {
    let count = workflow.tasks.len();
    let last = workflow.tasks.last()?;
    let why = format!("there would be {count} containers in a pod; at most {MAX_CONTAINERS} are");
    (count > MAX_CONTAINERS).then(|| {
        Refusal::new(Target::Kubernetes, format!("steps.{}", last.step), why)
            .hint("make several pipelines of it")
    })
}

/// What a person does with the file.
fn comment(workflow: &Workflow) -> Vec<String> {
    let mut lines = match workflow.deployment.schedule {
        None => vec!["`kubectl create -f` starts a run each time.".to_owned()],
        Some(_) => vec![
            "`kubectl apply -f` keeps the schedule, and `kubectl create job NAME \\".to_owned(),
            format!("--from=cronjob/{}` starts a run by hand.", workflow.name),
        ],
    };
    if !workflow.parameters.is_empty() || workflow.partition.is_some() {
        lines.push(
            "The annotations of the pod say what a run is for: change them there.".to_owned(),
        );
    }
    let missing = workflow.parameters.iter();
    let missing = missing.filter(|parameter| parameter.default.is_none());
    lines.extend(missing.map(|parameter| {
        let name = &parameter.name;
        format!("`{name}` has no default: add it to the parameters.")
    }));
    lines
}

fn object(kind: &str, metadata: Yaml, spec: Yaml) -> Yaml {
    Yaml::map([
        ("apiVersion", Some("batch/v1".into())),
        ("kind", Some(kind.into())),
        ("metadata", Some(metadata)),
        ("spec", Some(spec)),
    ])
}

fn job(workflow: &Workflow) -> Yaml {
    let name = format!("{}-", workflow.name);
    let metadata = pods::metadata(workflow, "generateName", name);
    object("Job", metadata, job_spec(workflow))
}

fn cron_job(workflow: &Workflow) -> Yaml {
    let schedule = workflow.deployment.schedule.as_ref();
    let template = Yaml::map([("spec", Some(job_spec(workflow)))]);
    let spec = Yaml::map([
        (
            "schedule",
            schedule.map(|schedule| schedule.cron.as_str().into()),
        ),
        (
            "timeZone",
            schedule.map(|schedule| schedule.timezone.as_str().into()),
        ),
        ("jobTemplate", Some(template)),
    ]);
    let metadata = pods::metadata(workflow, "name", workflow.name.clone());
    object("CronJob", metadata, spec)
}

fn job_spec(workflow: &Workflow) -> Yaml {
    let deadlines = workflow.tasks.iter().map(deadline);
    let deadline: Option<Duration> = deadlines.sum();
    let pod = Yaml::map([
        ("metadata", annotations(workflow)),
        ("spec", Some(pod(workflow))),
    ]);
    Yaml::map([
        ("backoffLimit", Some(PODS_AGAIN.into())),
        (
            "activeDeadlineSeconds",
            deadline.map(|deadline| pods::seconds(deadline).into()),
        ),
        ("ttlSecondsAfterFinished", Some(KEPT.into())),
        ("podFailurePolicy", Some(failure_policy())),
        ("template", Some(pod)),
    ])
}

/// How long a step may take in all; one that only publishes takes no time to speak of.
fn deadline(task: &Task) -> Option<Duration> {
    match task.uses {
        Some(_) => task.deadline_of_all(),
        None => Some(PUBLISHES),
    }
}

/// A pod that its machine gave up is made again. A step that failed is not: the host has
/// tried it again already, where that may help (75).
fn failure_policy() -> Yaml {
    let disrupted = Yaml::map([
        ("type", Some("DisruptionTarget".into())),
        ("status", Some("True".into())),
    ]);
    let codes = [1, 2, 75].map(Yaml::Integer);
    let failed = Yaml::map([
        ("operator", Some("In".into())),
        ("values", Some(Yaml::List(codes.into()))),
    ]);
    let rules = vec![
        Yaml::map([
            ("action", Some("Ignore".into())),
            ("onPodConditions", Some(Yaml::List(vec![disrupted]))),
        ]),
        Yaml::map([
            ("action", Some("FailJob".into())),
            ("onExitCodes", Some(failed)),
        ]),
    ];
    Yaml::map([("rules", Some(Yaml::List(rules)))])
}

/// What a run is for.
fn annotations(workflow: &Workflow) -> Option<Yaml> {
    let parameters = (!workflow.parameters.is_empty()).then(|| parameters(workflow).into());
    let partition = workflow.partition.as_ref().map(|_| "".into());
    let all = Yaml::map([(PARAMETERS, parameters), (PARTITION, partition)]);
    let all = all.unless_empty()?;
    Some(Yaml::map([("annotations", Some(all))]))
}

/// The parameters as JSON, as they are by default: a line for each. Those without a default
/// are left out, so that the host says which are missing.
fn parameters(workflow: &Workflow) -> String {
    let parameters = workflow.parameters.iter().filter_map(|parameter| {
        let default = parameter.default.as_ref()?;
        let value = match parameter.kind {
            ParameterKind::Artifact => &Json::Null,
            _ => default,
        };
        Some(format!("  {}: {value}", Json::from(&*parameter.name)))
    });
    let lines: Vec<_> = parameters.collect();
    match lines.is_empty() {
        true => "{}".to_owned(),
        false => format!("{{\n{}\n}}\n", lines.join(",\n")),
    }
}

fn pod(workflow: &Workflow) -> Yaml {
    let kubernetes = &workflow.deployment.kubernetes;
    let mut containers: Vec<_> = workflow
        .tasks
        .iter()
        .map(|task| container(workflow, task))
        .collect();
    // A pipeline has at least one step.
    let last = containers.pop().into_iter().collect();
    Yaml::map([
        ("restartPolicy", Some("Never".into())),
        (
            "serviceAccountName",
            kubernetes.service_account.clone().map(Yaml::from),
        ),
        ("automountServiceAccountToken", Some(false.into())),
        ("enableServiceLinks", Some(false.into())),
        ("nodeSelector", pods::node_selector(workflow)),
        ("initContainers", Yaml::List(containers).unless_empty()),
        ("containers", Some(Yaml::List(last))),
        ("volumes", Some(pods::volumes())),
    ])
}

fn container(workflow: &Workflow, task: &Task) -> Yaml {
    let image = workflow.deployment.image.clone();
    let more: &[&str] = match task.retries.count {
        0 => &[],
        _ => &["--retries", "step"],
    };
    Yaml::map([
        ("name", Some(task.slug().into())),
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
        ("resources", Some(pods::resources(workflow, task.memory))),
        ("securityContext", Some(pods::security_context())),
        (
            "terminationMessagePolicy",
            Some("FallbackToLogsOnError".into()),
        ),
        ("volumeMounts", Some(pods::volume_mounts())),
    ])
}

fn environment(workflow: &Workflow) -> Vec<Yaml> {
    let annotation =
        |name: &str, key: &str| pods::field(name, &format!("metadata.annotations['{key}']"));
    let label = |name: &str, key: &str| {
        pods::field(
            name,
            &format!("metadata.labels['batch.kubernetes.io/{key}']"),
        )
    };
    // The same for all pods of a Job.
    let mut variables = vec![label("WHARF_RUN_ID", "controller-uid")];
    if workflow.partition.is_some() {
        variables.push(annotation("WHARF_PARTITION", PARTITION));
    }
    if let (Some(_), Some(schedule)) = (&workflow.partition, &workflow.deployment.schedule) {
        // A Job that a CronJob makes is called `NAME-MINUTES`, by when it was to start.
        variables.push(label("JOB_NAME", "job-name"));
        let before = format!("$(JOB_NAME)[{}]", schedule.timezone);
        variables.push(pods::variable("WHARF_PARTITION_BEFORE", before));
    }
    if !workflow.parameters.is_empty() {
        variables.push(annotation("WHARF_PARAMETERS", PARAMETERS));
    }
    variables.extend(pods::settings(workflow));
    variables
}
