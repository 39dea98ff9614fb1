//! Names in a file for ZenML.

use crate::Task;
use crate::names::Rule;
use crate::script::own;

/// Names of pipelines and steps can have anything that those of Wharf have.
pub(super) const NAMES: Rule = Rule {
    most: 128,
    inside: "-_.",
    capitals: false,
};

/// What the file calls its own functions, and those that it uses.
pub(super) const TAKEN: [&str; 25] = [
    "annotated",
    "artifact",
    "bring",
    "chosen",
    "dict",
    "done",
    "execute",
    "float",
    "int",
    "items",
    "json",
    "list",
    "log_metadata",
    "os",
    "partition",
    "pipeline",
    "run_parameters",
    "step",
    "str",
    "subprocess",
    "tempfile",
    "tuple",
    "unmapped",
    "wharf",
    "zip",
];

/// Names that arguments of steps and pipelines cannot have.
pub(super) const OF_STEPS: [&str; 7] = [
    "after",
    "args",
    "id",
    "kwargs",
    "self",
    "start_after",
    "values",
];

/// The function of a step.
pub(super) fn step(task: &Task) -> String {
    own(&task.step, &TAKEN)
}

/// The variable of an output.
pub(super) fn local(output: &str) -> String {
    match output {
        "results" | "chosen" | "item" => format!("{output}_"),
        output => own(output, &TAKEN),
    }
}

/// The step that lists the items of one.
pub(super) fn listing(task: &Task) -> String {
    format!("{}-items", task.step)
}
