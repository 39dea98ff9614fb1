//! Keeps a pipeline in the store, with all that it needs, for tasks that have nothing
//! else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Map, Value as Json};
use wharf_model::lock::{LOCK_FORMAT, Lock, LockedComponent, LockedFile};
use wharf_model::pipeline::{CheckedStep, ParameterDefault, Partition, Slice, Value};
use wharf_model::plan::{Problem, Shape};
use wharf_model::signature::{Arity, ParameterType};
use wharf_model::{Digest, ErrorKind, Fault, Limits};
use wharf_store::Store;

use super::files::Files;
use super::load::{Loaded, beside};
use super::scope::{Handle, RunScope, StepState};
use crate::transfer;

/// What a lock has beside the pipeline.
#[derive(Debug)]
pub struct Locking {
    /// The name of the pipeline, where its file gives none.
    pub name: String,
    /// Parameters that no run can choose any more.
    pub fixed: Map<String, Json>,
    /// What bounds a step that asks for nothing.
    pub limits: Limits,
    /// Whether results are used again that may differ each time.
    pub cache_nondeterministic: bool,
    /// The stack that permits what its steps ask for.
    pub stack: Option<String>,
}

/// Keeps a pipeline in the store. What its steps ask for must have been permitted.
///
/// # Errors
/// All files that it names and that are not there; where a component changed since it
/// was read, or the store fails.
pub async fn lock(
    store: &Store,
    loaded: &Loaded,
    locking: Locking,
) -> Result<(Digest, Lock), Vec<Problem>> {
    let files = files(store, loaded).await?;
    let locked = finish(store, loaded, locking, files).await;
    locked.map_err(|fault| vec![problem(&fault, fault.to_string())])
}

async fn finish(
    store: &Store,
    loaded: &Loaded,
    locking: Locking,
    files: Vec<LockedFile>,
) -> Result<(Digest, Lock), Fault> {
    store.prepare().await?;
    let mut components = Vec::new();
    for (reference, used) in &loaded.components {
        let content = store.put_file(&used.path).await?;
        if Some(content.digest) != used.digest() {
            let message = format!("`{}` changed after it was read", used.path.display());
            return Err(Fault::new(ErrorKind::InputChanged, message).hint("try again"));
        }
        components.push(LockedComponent {
            reference: reference.display().to_string(),
            content,
            signature: used.signature.clone(),
        });
    }
    let steps = &loaded.checked.steps;
    let grants = steps.iter().flat_map(|step| step.grants.iter().cloned());
    // In the order of their names, so that the same pipeline has the same lock.
    let grants: BTreeMap<String, _> = grants.map(|grant| (grant.to_string(), grant)).collect();
    let lock = Lock {
        format: LOCK_FORMAT.to_owned(),
        name: locking.name,
        file: loaded.file.file_name().map_or_else(String::new, |name| {
            // The folder that it was in is of no use elsewhere.
            name.to_string_lossy().into_owned()
        }),
        definition: store.put_bytes(loaded.text.clone().into()).await?,
        components,
        files,
        fixed: locking.fixed,
        limits: locking.limits,
        grants: grants.into_values().collect(),
        cache_nondeterministic: locking.cache_nondeterministic,
        stack: locking.stack,
    };
    let digest = store.put_lock(&lock).await?;
    Ok((digest, lock))
}

fn problem(fault: &Fault, message: String) -> Problem {
    Problem {
        kind: fault.kind(),
        message,
        hint: fault.advice().map(str::to_owned),
    }
}

/// The files and folders that the pipeline names, kept.
async fn files(store: &Store, loaded: &Loaded) -> Result<Vec<LockedFile>, Vec<Problem>> {
    let mut problems = of_partitions(loaded);
    let mut files = BTreeMap::new();
    for (path, (shape, used_by)) in named(loaded) {
        let file = beside(&loaded.file).join(&path);
        let kept = match super::pinned::check_shape(&file, shape) {
            Ok(()) => transfer::put(store, &file).await,
            Err(fault) => Err(fault),
        };
        match kept {
            Ok(content) => drop(files.insert(path, content)),
            Err(fault) => problems.push(problem(&fault, format!("{fault} ({used_by})"))),
        }
    }
    let files = files.into_iter().map(|(path, content)| LockedFile {
        path: path.display().to_string(),
        content,
    });
    match problems.is_empty() {
        true => Ok(files.collect()),
        false => Err(problems),
    }
}

/// Paths that depend on a month or a day: nobody knows which there will be.
fn of_partitions(loaded: &Loaded) -> Vec<Problem> {
    let Some(Partition::Every(_)) = loaded.checked.partition else {
        return Vec::new();
    };
    let steps = loaded.checked.steps.iter();
    let found = steps.flat_map(|step| {
        let names = step.paths_of_partition().into_iter();
        names.map(move |name| Problem {
            kind: ErrorKind::Pipeline,
            message: format!(
                "`{name}` of the step `{}` is a file of each partition, which a lock cannot have",
                step.name
            ),
            hint: Some(
                "make it a parameter, so that each run is given one: data=artifact:NAME".into(),
            ),
        })
    });
    found.collect()
}

type Named = BTreeMap<PathBuf, (Shape, String)>;

/// The paths that the pipeline names, with what they are for.
fn named(loaded: &Loaded) -> Named {
    let checked = &loaded.checked;
    let mut named = Named::new();
    let here = Files::Beside(PathBuf::new());
    let parameters = defaults(loaded, |path, (shape, parameter)| {
        let used_by = format!("the parameter `{parameter}`");
        named.entry(path.clone()).or_insert((shape, used_by));
    });
    let slices: Vec<Option<Slice>> = match &checked.partition {
        Some(partition @ Partition::Values(values)) => {
            let slices = values.iter().map(|value| partition.parse(value).ok());
            slices.collect()
        }
        _ => vec![None],
    };
    let states = vec![StepState::default(); checked.steps.len()];
    for slice in &slices {
        let scope = RunScope {
            parameters: &parameters,
            steps: &states,
            slice: slice.as_ref(),
            files: &here,
            item: None,
            own: None,
        };
        for step in &checked.steps {
            match step.items(&scope).unwrap_or_default() {
                None => of_step(step, &scope, &mut named),
                Some(items) => {
                    for item in &items {
                        let item = Some(item);
                        of_step(step, &RunScope { item, ..scope }, &mut named);
                    }
                }
            }
        }
    }
    named
}

fn of_step(step: &CheckedStep, scope: &RunScope<'_>, named: &mut Named) {
    for known in step.known_artifacts(scope) {
        for artifact in known.artifacts {
            if let Handle::Path(path, _) = artifact {
                let used_by = format!("`{}` of the step `{}`", known.parameter, step.name);
                named.entry(path).or_insert((known.shape, used_by));
            }
        }
    }
}

fn shape_of(ty: &ParameterType) -> Shape {
    match ty {
        ParameterType::Input { tree: true, .. } => Shape::Tree,
        _ => Shape::File,
    }
}

fn default_of(ty: &ParameterType, mut handles: Vec<Handle>) -> Value<Handle> {
    let is_many = matches!(
        ty,
        ParameterType::Input {
            arity: Arity::Many,
            ..
        }
    );
    match (is_many, handles.len()) {
        (false, 1) => handles.pop().map_or(Value::Absent, Value::Artifact),
        _ => Value::Artifacts(handles),
    }
}

/// How many items each step has whose list comes from parameters, as they are given or by
/// default; by the name of the step. Those that a run must give are left out.
#[must_use]
pub fn item_counts(
    loaded: &Loaded,
    given: &BTreeMap<String, Value<Handle>>,
) -> BTreeMap<String, usize> {
    let mut parameters = defaults(loaded, |_, _| {});
    parameters.extend(
        given
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    let states = vec![StepState::default(); loaded.checked.steps.len()];
    let scope = RunScope {
        parameters: &parameters,
        steps: &states,
        slice: None,
        files: &Files::Beside(PathBuf::new()),
        item: None,
        own: None,
    };
    let counts = loaded.checked.steps.iter().filter_map(|step| {
        let items = step.items(&scope).ok()??;
        Some((step.name.clone(), items.len()))
    });
    counts.collect()
}

/// What the parameters are where nobody says otherwise; `path` is told of each file.
fn defaults(
    loaded: &Loaded,
    mut path: impl FnMut(&PathBuf, (Shape, &str)),
) -> BTreeMap<String, Value<Handle>> {
    let mut values = BTreeMap::new();
    for parameter in &loaded.checked.parameters {
        let value = match &parameter.default {
            Some(ParameterDefault::Json(json)) => Value::Json(json.clone()),
            Some(ParameterDefault::Paths(paths)) => {
                let shape = shape_of(&parameter.ty);
                paths
                    .iter()
                    .for_each(|it| path(it, (shape, &parameter.name)));
                let handles = paths.iter().map(|path| Handle::Path(path.clone(), shape));
                default_of(&parameter.ty, handles.collect())
            }
            None => continue,
        };
        values.insert(parameter.name.clone(), value);
    }
    values
}

/// The steps of a pipeline, by name.
pub(super) fn step_index(loaded: &Loaded, name: &str) -> Result<usize, Fault> {
    let steps = &loaded.checked.steps;
    let found = steps.iter().position(|step| step.name == name);
    found.ok_or_else(|| {
        let fault = Fault::new(ErrorKind::Pipeline, format!("there is no step `{name}`"));
        let names: BTreeSet<&str> = steps.iter().map(|step| &*step.name).collect();
        match wharf_model::nearest(name, names) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault,
        }
    })
}
