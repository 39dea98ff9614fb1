//! The pods of a workflow: what they have in common, and what each step has.

use wharf_model::limits::Bytes;
use wharf_model::pipeline::Retries;

use crate::names::listing;
use crate::pods;
use crate::yaml::Yaml;
use crate::{Items, Parameter, Task, Workflow};

/// Where a step leaves what it returned.
const RESULTS: &str = "/tmp/results.json";
/// Where a step leaves how it ended.
const ENDING: &str = "/tmp/ending.json";

/// What the host does at most for a task that lists items.
const LISTING_MEMORY: Bytes = Bytes(256 << 20);

/// What all pods have in common.
pub(super) fn defaults(workflow: &Workflow) -> Yaml {
    let container = Yaml::map([
        ("image", image(workflow)),
        (
            "command",
            Some(Yaml::list([workflow.deployment.command.as_str()])),
        ),
        ("env", Some(Yaml::List(environment(workflow)))),
        ("securityContext", Some(pods::security_context())),
        (
            "terminationMessagePolicy",
            Some("FallbackToLogsOnError".into()),
        ),
        ("volumeMounts", Some(pods::volume_mounts())),
    ]);
    Yaml::map([("container", Some(container))])
}

fn image(workflow: &Workflow) -> Option<Yaml> {
    workflow.deployment.image.clone().map(Yaml::from)
}

fn environment(workflow: &Workflow) -> Vec<Yaml> {
    let mut variables = vec![pods::variable("WHARF_RUN_ID", "{{workflow.uid}}")];
    if workflow.partition.is_some() {
        let partition = "{{workflow.parameters.partition}}";
        variables.push(pods::variable("WHARF_PARTITION", partition));
    }
    if let (Some(_), Some(schedule)) = (&workflow.partition, &workflow.deployment.schedule) {
        // Nothing, in a run that was started by hand.
        let before = format!(
            "{{{{=workflow.scheduledTime == nil ? '' : workflow.scheduledTime + '[{}]'}}}}",
            schedule.timezone
        );
        variables.push(pods::variable("WHARF_PARTITION_BEFORE", before));
    }
    if !workflow.parameters.is_empty() {
        variables.push(pods::variable("WHARF_ARGUMENTS", chosen(workflow)));
    }
    variables.extend(pods::settings(workflow));
    variables
}

/// The parameters of the pipeline as a JSON object of texts, in which nothing is filled in.
fn chosen(workflow: &Workflow) -> String {
    let member = |parameter: &Parameter| {
        let name = &parameter.name;
        format!("'{name}': workflow.parameters['{name}']")
    };
    let members: Vec<_> = workflow.parameters.iter().map(member).collect();
    format!(
        r"{{{{=sprig.replace('$', '\\u0024', sprig.replace('{{' + '{{', '{{\\u007b', toJson({{{}}})))}}}}",
        members.join(", ")
    )
}

/// The template of a step.
pub(super) fn step(workflow: &Workflow, task: &Task) -> Yaml {
    // Its items have one, which is told which item it is for.
    let (one, has_items) = match task.items {
        Items::One => (task.clone(), false),
        Items::At { .. } | Items::Each => (
            Task {
                items: Items::Each,
                ..task.clone()
            },
            true,
        ),
    };
    let mut more = Vec::new();
    if has_items {
        more.extend(["--item", "{{inputs.parameters.item}}"]);
    }
    if task.retries.count > 0 {
        more.extend(["--attempt", "{{=asInt(retries) + 1}}"]);
    }
    more.extend(["--results-to", RESULTS, "--ending-to", ENDING]);
    let inputs = has_items.then(|| {
        let item = Yaml::map([("name", Some("item".into()))]);
        Yaml::map([("parameters", Some(Yaml::List(vec![item])))])
    });
    let deadline = task.deadline();
    let deadline = deadline.map(|deadline| pods::seconds(deadline).to_string());
    Yaml::map([
        ("name", Some(task.step.as_str().into())),
        ("inputs", inputs),
        (
            "outputs",
            Some(outputs([("results", RESULTS), ("ending", ENDING)])),
        ),
        ("retryStrategy", retry(task.retries)),
        ("activeDeadlineSeconds", deadline.map(Yaml::from)),
        (
            "container",
            Some(container(
                workflow,
                pods::arguments(workflow, &one, &more),
                task.memory,
            )),
        ),
    ])
}

/// The template that lists the items of a step.
pub(super) fn items(workflow: &Workflow, task: &Task) -> Yaml {
    let mut arguments = workflow.items_arguments(task);
    arguments.extend(["--results-to", RESULTS].map(str::to_owned));
    let arguments = arguments.iter().map(|it| pods::literal(it)).collect();
    Yaml::map([
        ("name", Some(listing(task).into())),
        ("outputs", Some(outputs([("items", RESULTS)]))),
        (
            "container",
            Some(container(workflow, arguments, LISTING_MEMORY)),
        ),
    ])
}

/// Outputs that a container leaves in files; it may have failed before.
fn outputs<const N: usize>(files: [(&str, &str); N]) -> Yaml {
    let files = files.map(|(name, path)| {
        let from = Yaml::map([
            ("path", Some(path.into())),
            ("default", Some("null".into())),
        ]);
        Yaml::map([("name", Some(name.into())), ("valueFrom", Some(from))])
    });
    Yaml::map([("parameters", Some(Yaml::List(files.into())))])
}

fn container(workflow: &Workflow, arguments: Vec<String>, memory: Bytes) -> Yaml {
    Yaml::map([
        ("image", image(workflow)),
        ("args", Some(Yaml::list(arguments))),
        ("resources", Some(pods::resources(workflow, memory))),
    ])
}

/// Only what may pass is tried again: what `wharf` says is final (1, 2) is not.
fn retry(retries: Retries) -> Option<Yaml> {
    let Retries {
        count,
        backoff,
        max_backoff,
    } = retries;
    let grows = max_backoff > backoff;
    let backoff = Yaml::map([
        ("duration", Some(pods::duration(backoff.duration()).into())),
        ("factor", grows.then_some("2".into())),
        (
            "cap",
            grows.then(|| pods::duration(max_backoff.duration()).into()),
        ),
    ]);
    (count > 0).then(|| {
        Yaml::map([
            ("limit", Some(count.to_string().into())),
            ("retryPolicy", Some("Always".into())),
            (
                "expression",
                Some("not (asInt(lastRetry.exitCode) in [1, 2])".into()),
            ),
            ("backoff", Some(backoff)),
        ])
    })
}
