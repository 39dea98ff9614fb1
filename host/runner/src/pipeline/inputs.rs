//! Looks for the inputs that a run is sure to need, before it starts: a file that is
//! missing is told at once, not when its step begins.

use std::collections::BTreeMap;
use std::sync::Arc;

use wharf_model::Fault;
use wharf_model::pipeline::CheckedStep;
use wharf_model::plan::{Problem, Shape};
use wharf_model::signature::Arity;
use wharf_store::Store;

use super::PipelineRequest;
use super::pinned::{check_is_tree, check_shape, tree_of};
use super::scope::{Handle, RunScope, StepState};

/// Items of a step whose inputs are looked for: of the others, their steps tell.
const LOOKED_AT: usize = 1000;

/// Artifacts that are not there although the file or the command line names them, for
/// steps that nothing can skip. Each is looked for once, however many runs need it.
pub(super) async fn missing(store: &Store, requests: &[Arc<PipelineRequest>]) -> Vec<Problem> {
    let mut looked = BTreeMap::new();
    let mut problems = Vec::new();
    for request in requests {
        let partition = request.slice.as_ref();
        let partition = partition.map(|slice| format!(", partition {}", slice.name));
        let partition = partition.unwrap_or_default();
        for (name, (handle, shape, (step, parameter))) in wanted(request) {
            if !looked.contains_key(&name) {
                looked.insert(name.clone(), look(store, &handle, shape).await);
            }
            if let Some(Err(fault)) = looked.get(&name) {
                problems.push(Problem {
                    kind: fault.kind(),
                    message: format!("{fault} (`{parameter}` of the step `{step}`{partition})"),
                    hint: fault.advice().map(str::to_owned),
                });
            }
        }
    }
    problems
}

/// What a run is sure to need, each once.
fn wanted(request: &PipelineRequest) -> WantedBy<'_> {
    let steps = &request.loaded.checked.steps;
    let states = vec![StepState::default(); steps.len()];
    let scope = RunScope {
        parameters: &request.parameters,
        steps: &states,
        slice: request.slice.as_ref(),
        files: &request.loaded.files,
        item: None,
        own: None,
    };
    let mut certain: Vec<bool> = Vec::with_capacity(steps.len());
    let mut wanted = BTreeMap::new();
    for step in steps {
        let is_wanted = matches!(step.is_wanted(&scope), Ok(true));
        let is_certain = is_wanted && step.depends_on.iter().all(|on| certain[*on]);
        certain.push(is_certain);
        if !(is_certain && is_chosen(step, request)) {
            continue;
        }
        // A list that is not known yet, or is none, is seen when the step begins.
        match step.items(&scope).unwrap_or_default() {
            None => collect(step, &scope, &mut wanted),
            Some(items) => {
                for item in items.iter().take(LOOKED_AT) {
                    let item = Some(item);
                    collect(step, &RunScope { item, ..scope }, &mut wanted);
                }
            }
        }
    }
    wanted
}

fn is_chosen(step: &CheckedStep, request: &PipelineRequest) -> bool {
    let only = request.selection.only.as_ref();
    step.uses.is_some() && only.is_none_or(|only| only.contains(&step.name))
}

type WantedBy<'a> = BTreeMap<String, (Handle, Shape, (&'a str, &'a str))>;

/// Adds what a step, or one of its items, is given; each once.
fn collect<'a>(step: &'a CheckedStep, scope: &RunScope<'_>, wanted: &mut WantedBy<'a>) {
    for known in step.known_artifacts(scope) {
        let shape = known.shape;
        for handle in known.artifacts {
            let name = match &handle {
                Handle::Path(path, _) => path.display().to_string(),
                // One that may be missing is nothing then.
                Handle::Named(_) if known.arity == Arity::Optional => continue,
                // After the files.
                Handle::Named(reference) => format!("~{reference}"),
                Handle::Stored(_) => continue,
            };
            let by = (step.name.as_str(), known.parameter);
            let wanted = wanted.entry(format!("{name} {shape:?}"));
            wanted.or_insert((handle, shape, by));
        }
    }
}

async fn look(store: &Store, handle: &Handle, shape: Shape) -> Result<(), Fault> {
    match handle {
        Handle::Path(path, _) => check_shape(path, shape),
        Handle::Named(reference) => {
            let version = store.version(reference).await?;
            let is_tree = version.content.is_tree();
            check_is_tree(&reference.to_string(), is_tree, tree_of(shape))
        }
        Handle::Stored(_) => Ok(()),
    }
}
