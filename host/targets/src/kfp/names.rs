//! What things are called in the module: each name once.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::identifier;
use crate::{Refusal, Target, Task, Workflow};

/// What the module uses itself.
const OWN: [&str; 14] = [
    "bool",
    "configured",
    "dict",
    "dsl",
    "float",
    "int",
    "kubernetes",
    "list",
    "memory",
    "parameters",
    "pipeline",
    "str",
    "task",
    "timeout",
];

/// The names of a module.
#[derive(Debug)]
pub(super) struct Names {
    /// The input that says which item.
    pub(super) item: String,
    /// The input that has the items.
    pub(super) items: String,
    /// The output that has what a step returned.
    pub(super) results: String,
    inputs: BTreeSet<String>,
    steps: BTreeMap<String, StepNames>,
    variables: BTreeMap<String, String>,
}

/// The names of a step.
#[derive(Debug)]
pub(super) struct StepNames {
    /// Its component.
    pub(super) component: String,
    /// The component that lists its items.
    pub(super) listing: String,
    /// The variable of that task.
    pub(super) list: String,
    /// The pipeline that runs it for each of them.
    pub(super) each: String,
}

impl Names {
    pub(super) fn of(workflow: &Workflow) -> Self {
        let parameters = workflow.parameters.iter().map(|it| input(&it.name));
        let partition = workflow.partition.iter().map(|_| "partition".to_owned());
        let inputs: BTreeSet<_> = parameters.chain(partition).collect();
        let mut taken = inputs.clone();
        taken.extend(OWN.map(str::to_owned));
        // In the signature of a component, beside its outputs.
        let outputs = workflow.tasks.iter().flat_map(|task| &task.outputs);
        let mut signature = taken.clone();
        signature.extend(outputs.map(|output| output_name(&inputs, &output.name)));
        let [item, items, results] =
            ["item", "items", "results"].map(|name| fresh(&mut signature, name));
        taken.extend([item.clone(), items.clone()]);
        // Components first, which people read; they are of step and function names.
        let mut steps = BTreeMap::new();
        for task in &workflow.tasks {
            if !steps.contains_key(&task.step) {
                let component = fresh(&mut taken, &apart(workflow, identifier(&task.step)));
                steps.insert(task.step.clone(), component);
            }
        }
        let steps = steps.into_iter().map(|(step, component)| {
            let id = identifier(&step);
            let names = StepNames {
                component,
                listing: fresh(&mut taken, &apart(workflow, format!("{id}_items"))),
                list: fresh(&mut taken, &format!("{id}_list")),
                each: fresh(&mut taken, &apart(workflow, format!("{id}_each"))),
            };
            (step, names)
        });
        let steps: BTreeMap<_, _> = steps.collect();
        let variables = workflow.tasks.iter().map(|task| {
            let name = fresh(&mut taken, &format!("{}_task", identifier(&task.slug())));
            (task.slug(), name)
        });
        Self {
            item,
            items,
            results,
            inputs,
            variables: variables.collect(),
            steps,
        }
    }

    /// Those of a step.
    pub(super) fn step(&self, task: &Task) -> &StepNames {
        &self.steps[&task.step]
    }

    /// The variable of a task in the pipeline.
    pub(super) fn variable(&self, task: &Task) -> &str {
        &self.variables[&task.slug()]
    }

    /// An artifact that a step writes.
    pub(super) fn output(&self, name: &str) -> String {
        output_name(&self.inputs, name)
    }
}

/// The input for a parameter: nothing that the functions use themselves.
pub(super) fn input(name: &str) -> String {
    let name = identifier(name);
    match OWN.contains(&&*name) {
        true => format!("{name}_"),
        false => name,
    }
}

/// The name of a component: not that of the pipeline, which Kubeflow would take it for.
fn apart(workflow: &Workflow, name: String) -> String {
    match name.trim_end_matches('_') == identifier(&workflow.name).trim_end_matches('_') {
        true => format!("{name}_step"),
        false => name,
    }
}

/// The name of an output: no input has it.
fn output_name(inputs: &BTreeSet<String>, name: &str) -> String {
    fresh(&mut inputs.clone(), &identifier(name))
}

/// A name that is not taken: `_` is added until it is one. Nothing in a pipeline is called
/// so that it ends with `_`, so that whoever reads it can leave that away.
fn fresh(taken: &mut BTreeSet<String>, name: &str) -> String {
    let mut name = name.to_owned();
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}

/// Outputs of a step that have one name in Python: names of outputs may have `.`, `-` and
/// `_`, all of which are `_` there.
pub(super) fn alike(workflow: &Workflow) -> Vec<Refusal> {
    let mut refusals = BTreeMap::new();
    for task in &workflow.tasks {
        let mut seen = BTreeMap::new();
        for output in &task.outputs {
            let name = identifier(&output.name);
            let plain = name.trim_end_matches('_').to_owned();
            if plain.is_empty() || !plain.starts_with(|c: char| c.is_ascii_alphabetic()) {
                let why = format!("`{}` is no name of Python", output.name);
                refusals.insert(&task.step, why);
            } else if let Some(other) = seen.insert(plain, &output.name) {
                let why = format!("`{}` and `{other}` have one name in Python", output.name);
                refusals.insert(&task.step, why);
            }
        }
    }
    let refusals = refusals.into_iter().map(|(step, why)| {
        Refusal::new(Target::Kfp, format!("steps.{step}.outputs"), why)
            .hint("give the output another name")
    });
    refusals.collect()
}
