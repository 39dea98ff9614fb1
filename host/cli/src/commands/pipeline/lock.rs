//! `wharf pipeline lock`: a pipeline in the store, for tasks that have nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value as Json};
use wharf_model::pipeline::Value;
use wharf_model::plan::BadRequest;
use wharf_model::request::Binding;
use wharf_model::{Digest, ErrorKind, Fault, Limits};
use wharf_runner::pipeline::{Handle, Loaded, Locking, load};

use crate::args::pipeline::{Lock, OnStack};
use crate::ending::Ending;
use crate::parameters::{Given, parameters};
use crate::report::out;
use crate::stack::{self, Chosen};
use crate::surroundings;

pub(super) fn lock(args: &Lock) -> Result<Ending, Ending> {
    let chosen = stack::choose(&args.file, &args.on)?;
    let checking = check(&args.file, &args.bindings, &args.on, &chosen)?;
    let digest = keep(&checking, &chosen)?;
    out(&format!("{digest}\n"))?;
    Ok(Ending::Done)
}

/// A pipeline that was checked, with all that its lock will have.
pub(super) struct Checking {
    pub(super) loaded: Loaded,
    pub(super) name: String,
    /// Parameters that no run can choose any more.
    pub(super) given: BTreeMap<String, Value<Handle>>,
    /// What bounds a step that asks for nothing.
    pub(super) limits: Limits,
    fixed: Map<String, Json>,
}

/// Checks a pipeline, and whether the stack permits what it asks for.
pub(super) fn check(
    file: &Path,
    bindings: &[Binding],
    on: &OnStack,
    chosen: &Chosen,
) -> Result<Checking, Ending> {
    let sandbox = surroundings::sandbox(surroundings::compile_cache(on.places.cache.as_deref()))?;
    let limits = chosen.resources.limits.clone();
    surroundings::run(async {
        let loaded = load(file, &sandbox, &limits).await?;
        super::check_permitted(&loaded.checked, chosen)?;
        check_limits(&loaded, chosen)?;
        // Those that are not given may be missing still.
        let given = Given::of(bindings, BTreeMap::new()).of_some();
        let given = parameters(&loaded, &given)?;
        Ok(Checking {
            name: super::name(&loaded),
            fixed: fixed(&given)?,
            given,
            limits: limits.clone(),
            loaded,
        })
    })
}

/// Keeps a pipeline in the store; its digest.
pub(super) fn keep(checking: &Checking, chosen: &Chosen) -> Result<Digest, Ending> {
    let locking = Locking {
        name: checking.name.clone(),
        fixed: checking.fixed.clone(),
        limits: checking.limits.clone(),
        cache_nondeterministic: chosen.resources.cache_nondeterministic,
        stack: chosen.name.clone(),
    };
    surroundings::run(async {
        let locked = wharf_runner::pipeline::lock(&chosen.store, &checking.loaded, locking).await;
        let locked = locked.map_err(|problems| Ending::BadRequest(BadRequest { problems }));
        Ok(locked?.0)
    })
}

/// What a step asks for must be allowed by the stack, now rather than when it runs.
fn check_limits(loaded: &Loaded, chosen: &Chosen) -> Result<(), Fault> {
    let running = loaded
        .checked
        .steps
        .iter()
        .filter(|step| step.uses.is_some());
    for step in running {
        let mut wanted = step.limits.over(&chosen.resources.limits);
        wanted.time = step.timeout.unwrap_or(wanted.time);
        if let Some((limit, wanted, most)) = chosen.resources.most.exceeded(&wanted) {
            let stack = chosen.name.as_deref().unwrap_or("here");
            let message = format!(
                "the step `{}` asks for {limit} {wanted}; the stack `{stack}` allows {most}",
                step.name
            );
            return Err(Fault::new(ErrorKind::Pipeline, message)
                .hint("let the step ask for less, or the stack allow more"));
        }
    }
    Ok(())
}

/// The parameters that are given, as the lock has them.
fn fixed(given: &BTreeMap<String, Value<Handle>>) -> Result<Map<String, Json>, Fault> {
    let mut fixed = Map::new();
    for (name, value) in given {
        let json = match value {
            Value::Json(json) => json.clone(),
            Value::Artifact(handle) => reference(name, handle)?.into(),
            Value::Artifacts(handles) => {
                let texts = handles.iter().map(|handle| reference(name, handle));
                texts
                    .map(|text| text.map(Json::from))
                    .collect::<Result<_, _>>()?
            }
            Value::Absent => Json::Null,
        };
        fixed.insert(name.clone(), json);
    }
    Ok(fixed)
}

fn reference(name: &str, handle: &Handle) -> Result<String, Fault> {
    match handle {
        Handle::Named(reference) => Ok(format!("artifact:{reference}")),
        Handle::Path(..) | Handle::Stored(_) => {
            let message = format!("the parameter `{name}` is a file of this machine");
            Err(Fault::new(ErrorKind::Parameter, message).hint(
                "keep it with `wharf artifact put`, and give it as artifact:NAME; or make it \
                 the default in the pipeline, which is locked",
            ))
        }
    }
}
