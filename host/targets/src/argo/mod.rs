//! Argo Workflows 4: a `WorkflowTemplate`, and a `CronWorkflow` where the stack has a
//! schedule.
//!
//! A task of its DAG is a pod. What all pods have in common is in `templateDefaults`, so
//! that each template says what is its own.
//!
//! What a run chooses reaches a step as a variable that holds JSON. Argo and Kubernetes
//! both fill in texts that look like theirs, `{{..}}` and `$(..)`, even where they come out
//! of a value; so an expression writes what begins them as JSON can, `\u007b` and `\u0024`.

mod dag;
mod pod;

use wharf_model::pipeline::Partition;

use crate::feature::{Support, host, native, no};
use crate::names::{self, Rule};
use crate::pods;
use crate::yaml::Yaml;
use crate::{Feature, File, Items, ParameterKind, Refusal, Target, Workflow};

pub(crate) const fn support(feature: Feature) -> Support {
    match feature {
        Feature::Parameters => native("arguments of the workflow"),
        Feature::ArtifactParameters => native("arguments: artifact:NAME"),
        Feature::When => host("decided in the task, which then succeeds"),
        Feature::SkippedState => no("it succeeds, and its output `ending` says so"),
        Feature::StaticForeach => native("a task for each item"),
        Feature::Mapping => native("withParam"),
        Feature::Retries => native("retryStrategy.limit"),
        Feature::RetryTransientOnly => native("retryStrategy.expression"),
        Feature::Backoff => native("retryStrategy.backoff"),
        Feature::Timeout => native("activeDeadlineSeconds, after the host's own"),
        Feature::Memory => native("resources"),
        Feature::PartitionByTime | Feature::PartitionByValue => {
            native("an argument of the workflow")
        }
        Feature::Schedule => native("CronWorkflow"),
        Feature::ScheduledPartition => native("CronWorkflow, from workflow.scheduledTime"),
        Feature::Parallelism => native("parallelism"),
        Feature::Processes => no("its tasks are containers"),
        Feature::Containers => native("container templates"),
        Feature::Settings => native("env"),
        Feature::Secrets => native("env from a Secret"),
        Feature::Kubernetes => native("namespace, service account, resources, node selector"),
    }
}

/// Names of templates and tasks.
const TASK: Rule = Rule {
    most: 128,
    inside: "-",
    capitals: true,
};

/// The name of a `WorkflowTemplate`, which a label has.
const TEMPLATE: Rule = Rule {
    most: 63,
    inside: "-",
    capitals: false,
};

/// The name of a `CronWorkflow`, to which Argo adds the time.
const CRON: Rule = Rule {
    most: 52,
    ..TEMPLATE
};

/// How long a workflow that has ended is kept, in seconds: a week.
const KEPT: i64 = 7 * 24 * 60 * 60;

pub(crate) fn compile(workflow: &Workflow) -> Result<Vec<File>, Vec<Refusal>> {
    let target = Target::Argo;
    let scheduled = workflow.deployment.schedule.is_some();
    let rule = if scheduled { CRON } else { TEMPLATE };
    let mut refusals = names::check(target, workflow, rule, TASK);
    refusals.extend(names::alike(target, workflow));
    refusals.extend(pods::own_parameter(target, workflow));
    refusals.extend(pods::marked(target, workflow, "{{"));
    refusals.extend(words(workflow));
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut text = pods::head(target, workflow, &[]);
    text += &template(workflow).document();
    if let Some(cron) = cron(workflow) {
        text += "---\n";
        text += &cron.document();
    }
    Ok(vec![File {
        path: format!("{}-workflow.yaml", workflow.name),
        text,
    }])
}

/// Names that mean something else in `depends`.
fn words(workflow: &Workflow) -> Vec<Refusal> {
    let words = workflow
        .tasks
        .iter()
        .filter(|task| ["false", "in", "true"].contains(&&*task.step));
    words
        .map(|task| {
            let key = format!("steps.{}", task.step);
            let why = format!("`{}` is a word of its expressions", task.step);
            Refusal::new(Target::Argo, key, why).hint("give the step another name")
        })
        .collect()
}

fn object(kind: &str, metadata: Yaml, spec: Yaml) -> Yaml {
    Yaml::map([
        ("apiVersion", Some("argoproj.io/v1alpha1".into())),
        ("kind", Some(kind.into())),
        ("metadata", Some(metadata)),
        ("spec", Some(spec)),
    ])
}

fn metadata(workflow: &Workflow) -> Yaml {
    let Yaml::Map(mut entries) = pods::metadata(workflow, "name", workflow.name.clone()) else {
        return Yaml::Map(Vec::new());
    };
    if let Some(about) = &workflow.description {
        let about = Yaml::from(pods::line(about));
        let about = [("workflows.argoproj.io/description".to_owned(), about)];
        entries.push(("annotations".to_owned(), Yaml::Map(about.into())));
    }
    Yaml::Map(entries)
}

fn template(workflow: &Workflow) -> Yaml {
    let kubernetes = &workflow.deployment.kubernetes;
    let parameters = parameters(workflow).unless_empty();
    let arguments = parameters.map(|all| Yaml::map([("parameters", Some(all))]));
    let entrypoint = dag::entrypoint(workflow);
    let mut templates = vec![dag::dag(workflow, entrypoint)];
    let mut last = None;
    for task in &workflow.tasks {
        // The items of a step have one template.
        if last == Some(&task.step) {
            continue;
        }
        last = Some(&task.step);
        if task.items == Items::Each {
            templates.push(pod::items(workflow, task));
        }
        templates.push(pod::step(workflow, task));
    }
    let kept = Yaml::map([("secondsAfterCompletion", Some(KEPT.into()))]);
    let spec = Yaml::map([
        ("entrypoint", Some(entrypoint.into())),
        ("arguments", arguments),
        (
            "serviceAccountName",
            kubernetes.service_account.clone().map(Yaml::from),
        ),
        ("nodeSelector", pods::node_selector(workflow)),
        (
            "parallelism",
            workflow
                .deployment
                .parallelism
                .map(|most| i64::from(most).into()),
        ),
        ("ttlStrategy", Some(kept)),
        ("volumes", Some(pods::volumes())),
        ("templateDefaults", Some(pod::defaults(workflow))),
        ("templates", Some(Yaml::List(templates))),
    ]);
    object("WorkflowTemplate", metadata(workflow), spec)
}

/// What can be chosen for each run.
fn parameters(workflow: &Workflow) -> Yaml {
    let chosen = workflow.parameters.iter().map(|parameter| {
        let choices = (parameter.kind == ParameterKind::Boolean).then_some(["false", "true"]);
        Yaml::map([
            ("name", Some(parameter.name.as_str().into())),
            ("description", pods::description(parameter).map(Yaml::from)),
            ("value", pods::default(parameter).map(Yaml::from)),
            ("enum", choices.map(Yaml::list)),
        ])
    });
    let partition = workflow.partition.iter().map(|partition| {
        let scheduled = workflow.deployment.schedule.is_some();
        let choices = match partition {
            Partition::Values(values) => {
                Some(Yaml::list(values.iter().map(|value| value.as_str())))
            }
            Partition::Every(_) => None,
        };
        Yaml::map([
            ("name", Some("partition".into())),
            (
                "description",
                Some(pods::partition_description(partition).into()),
            ),
            ("value", scheduled.then(|| "".into())),
            ("enum", choices),
        ])
    });
    Yaml::List(chosen.chain(partition).collect())
}

/// What starts the template by schedule.
fn cron(workflow: &Workflow) -> Option<Yaml> {
    let schedule = workflow.deployment.schedule.as_ref()?;
    let template = Yaml::map([("name", Some(workflow.name.as_str().into()))]);
    let run = Yaml::map([("workflowTemplateRef", Some(template))]);
    let spec = Yaml::map([
        ("schedules", Some(Yaml::list([schedule.cron.as_str()]))),
        ("timezone", Some(schedule.timezone.as_str().into())),
        ("workflowSpec", Some(run)),
    ]);
    let metadata = pods::metadata(workflow, "name", workflow.name.clone());
    Some(object("CronWorkflow", metadata, spec))
}
