//! The order of a workflow.

use crate::names::listing;
use crate::pods;
use crate::yaml::Yaml;
use crate::{Items, Task, Workflow};

/// The name of the template that is the DAG: one that no step has.
pub(super) fn entrypoint(workflow: &Workflow) -> &'static str {
    match workflow.tasks.iter().any(|task| task.step == "main") {
        false => "main",
        // Names of steps have no capitals.
        true => "Main",
    }
}

pub(super) fn dag(workflow: &Workflow, name: &str) -> Yaml {
    let tasks = workflow.tasks.iter().flat_map(|task| {
        let listing = match task.items {
            Items::Each => Some(lists(workflow, task)),
            Items::One | Items::At { .. } => None,
        };
        listing.into_iter().chain([runs(workflow, task)])
    });
    let tasks = Yaml::map([("tasks", Some(Yaml::List(tasks.collect())))]);
    Yaml::map([("name", Some(name.into())), ("dag", Some(tasks))])
}

/// The task that lists the items of a step.
fn lists(workflow: &Workflow, task: &Task) -> Yaml {
    let name = listing(task);
    Yaml::map([
        ("name", Some(name.as_str().into())),
        ("template", Some(name.as_str().into())),
        ("depends", depends(workflow, task)),
    ])
}

/// A task of the DAG. It starts when all that it needs succeeded: that is what a name alone
/// means in `depends`.
fn runs(workflow: &Workflow, task: &Task) -> Yaml {
    let item = match task.items {
        Items::One => None,
        Items::At { index, .. } => Some(index.to_string()),
        Items::Each => Some("{{item}}".to_owned()),
    };
    let item = item.map(|item| {
        let item = pods::variable("item", item);
        Yaml::map([("parameters", Some(Yaml::List(vec![item])))])
    });
    let list = listing(task);
    let (depends, list) = match task.items {
        Items::Each => (
            Some(list.as_str().into()),
            Some(format!("{{{{tasks.{list}.outputs.parameters.items}}}}")),
        ),
        Items::One | Items::At { .. } => (depends(workflow, task), None),
    };
    Yaml::map([
        ("name", Some(task.slug().into())),
        ("template", Some(task.step.as_str().into())),
        ("depends", depends),
        ("arguments", item),
        ("withParam", list.map(Yaml::from)),
    ])
}

fn depends(workflow: &Workflow, task: &Task) -> Option<Yaml> {
    let needs = task.needs.iter().map(|on| workflow.tasks[*on].slug());
    let needs: Vec<_> = needs.collect();
    (!needs.is_empty()).then(|| needs.join(" && ").into())
}
