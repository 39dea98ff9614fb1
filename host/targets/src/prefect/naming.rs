//! Names in a file for Prefect.

use crate::names::Rule;
use crate::script::{self, own};
use crate::{Parameter, Task};

/// Names of flows and tasks can have anything that names of pipelines have.
pub(super) const NAMES: Rule = Rule {
    most: 128,
    inside: "-_.",
    capitals: false,
};

/// Names that the flow needs itself.
pub(super) const TAKEN: [&str; 11] = [
    "chosen",
    "flow",
    "flow_run",
    "items",
    "json",
    "listed",
    "partition",
    "run",
    "step",
    "task",
    "unmapped",
];

/// What the flow calls its own parameters.
pub(super) const OF_FLOWS: [&str; 9] = [
    "chosen",
    "flow_run",
    "items",
    "listed",
    "partition",
    "run",
    "step",
    "stop_with_flow",
    "unmapped",
];

/// What the file calls its own functions, and those that it uses.
pub(super) const OF_FILES: [&str; 28] = [
    "acreate_table_artifact",
    "asyncio",
    "bool",
    "dict",
    "enumerate",
    "float",
    "flow",
    "flow_run",
    "get_run_logger",
    "int",
    "isinstance",
    "items",
    "listed",
    "json",
    "list",
    "may_pass",
    "os",
    "show",
    "signal",
    "step",
    "stop_with_flow",
    "str",
    "task",
    "task_run",
    "tempfile",
    "threading",
    "unmapped",
    "wharf",
];

/// The name of a pipeline as Prefect takes names of artifacts.
pub(super) fn key(name: &str) -> String {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric());
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

/// The variable of a task.
pub(super) fn variable(task: &Task) -> String {
    own(&task.slug(), &TAKEN)
}

/// The variable of what lists the items of a step.
pub(super) fn listing(task: &Task) -> String {
    format!("{}_items", variable(task))
}

pub(super) fn argument(parameter: &Parameter) -> String {
    script::field(&parameter.name, &OF_FLOWS)
}
