//! Names in a file for Metaflow.

use crate::names::Rule;
use crate::script::own;
use crate::{Items, Refusal, Target, Task, Workflow};

/// Names become those of a class and its methods.
pub(super) const NAMES: Rule = Rule {
    most: 128,
    inside: "-",
    capitals: false,
};

/// Names that flows have themselves, and that the file gives to what steps keep.
pub(super) const TAKEN: [&str; 20] = [
    "cmd",
    "end",
    "foreach_stack",
    "index",
    "input",
    "inputs",
    "items",
    "merge_artifacts",
    "name",
    "next",
    "outputs",
    "published",
    "resources",
    "results",
    "retry",
    "script_name",
    "start",
    "status",
    "step",
    "timeout",
];

/// Names of options that `run` has itself.
pub(super) const OPTIONS: [&str; 21] = [
    "clone-only",
    "decospecs",
    "help",
    "max-log-size",
    "max-num-splits",
    "max-workers",
    "namespace",
    "obj",
    "origin-run-id",
    "params",
    "partition-before",
    "reentrant",
    "resume-identifier",
    "run-id",
    "run-id-file",
    "runner-attribute-file",
    "tag",
    "tags",
    "task-id",
    "user-namespace",
    "with",
];

/// Names of steps of the flow that a task needs.
pub(super) fn names_of(task: &Task) -> Vec<String> {
    let name = name(task);
    match task.items {
        Items::One => vec![name],
        Items::Each | Items::At { .. } => {
            vec![format!("{name}_items"), format!("{name}_join"), name]
        }
    }
}

/// Parameters that cannot be options of `run`.
pub(super) fn options(workflow: &Workflow) -> Vec<Refusal> {
    let parameters = workflow.parameters.iter();
    let taken = parameters.filter(|it| OPTIONS.contains(&&*it.name));
    taken
        .map(|it| {
            let key = format!("parameters.{}", it.name);
            let why = "it would be an option of `run` that Metaflow has itself";
            Refusal::new(Target::Metaflow, key, why).hint("give the parameter another name")
        })
        .collect()
}

/// The step of the flow that runs a task, or the items of its step. Steps named as those
/// are that join levels, or begin them, get a `_`, too.
pub(super) fn name(task: &Task) -> String {
    let plain = own(&task.step, &TAKEN);
    let level = plain.strip_prefix("join_").or(plain.strip_prefix("fork_"));
    match level.is_some_and(|level| level.bytes().all(|b| b.is_ascii_digit())) {
        true => format!("{plain}_"),
        false => plain,
    }
}

/// The class of a pipeline: `flights-2` is `Flights_2Flow`, since `flights2` is another.
pub(super) fn class(name: &str) -> String {
    let parts = name.split('-').map(|part| {
        let mut chars = part.chars();
        match chars.next() {
            Some(first) if first.is_ascii_digit() => format!("_{part}"),
            Some(first) => format!("{}{}", first.to_ascii_uppercase(), chars.as_str()),
            None => "_".to_owned(),
        }
    });
    format!("{}Flow", parts.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_different_names_are_different() {
        assert_eq!(class("flights-year"), "FlightsYearFlow");
        assert_eq!(class("flights-2"), "Flights_2Flow");
        assert_eq!(class("flights2"), "Flights2Flow");
    }
}
