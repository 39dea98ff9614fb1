//! `wharf pipeline lock`: a pipeline in the store, for tasks that have nothing else.

use std::path::Path;

use serde_json::{Map, Value as Json};
use wharf_model::lock::Lock as PipelineLock;
use wharf_model::pipeline::Value;
use wharf_model::plan::BadRequest;
use wharf_model::request::Binding;
use wharf_model::{Digest, ErrorKind, Fault};
use wharf_runner::pipeline::{Handle, Loaded, Locking, load};

use crate::args::pipeline::Lock;
use crate::ending::Ending;
use crate::parameters::{Given, parameters};
use crate::report::out;
use crate::stack::{self, Chosen};
use crate::surroundings;

pub(super) fn lock(args: &Lock) -> Result<Ending, Ending> {
    let chosen = stack::choose(&args.file, &args.on)?;
    let cache = args.on.places.cache.as_deref();
    let (_, digest, _) = locked(&args.file, &args.bindings, cache, &chosen)?;
    out(&format!("{digest}\n"))?;
    Ok(Ending::Done)
}

/// Checks a pipeline, and keeps it in the store.
pub(super) fn locked(
    file: &Path,
    bindings: &[Binding],
    cache: Option<&Path>,
    chosen: &Chosen,
) -> Result<(Loaded, Digest, PipelineLock), Ending> {
    let sandbox = surroundings::sandbox(surroundings::compile_cache(cache))?;
    let limits = &chosen.resources.limits;
    surroundings::run(async {
        let loaded = load(file, &sandbox, limits).await?;
        super::check_permitted(&loaded.checked, chosen)?;
        check_limits(&loaded, chosen)?;
        let locking = Locking {
            name: super::name(&loaded),
            fixed: fixed(&loaded, bindings)?,
            limits: limits.clone(),
            cache_nondeterministic: chosen.resources.cache_nondeterministic,
            stack: chosen.name.clone(),
        };
        let locked = wharf_runner::pipeline::lock(&chosen.store, &loaded, locking).await;
        let (digest, lock) =
            locked.map_err(|problems| Ending::BadRequest(BadRequest { problems }))?;
        Ok((loaded, digest, lock))
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
fn fixed(loaded: &Loaded, bindings: &[Binding]) -> Result<Map<String, Json>, Ending> {
    let mut fixed = Map::new();
    // Those that are not given may be missing still.
    let given = Given::of(bindings, Default::default()).of_some();
    for (name, value) in parameters(loaded, &given)? {
        if !bindings.iter().any(|binding| binding.name == name) {
            continue;
        }
        let json = match value {
            Value::Json(json) => json,
            Value::Artifact(handle) => reference(&name, &handle)?.into(),
            Value::Artifacts(handles) => {
                let texts = handles.iter().map(|handle| reference(&name, handle));
                texts
                    .map(|text| text.map(Json::from))
                    .collect::<Result<_, _>>()?
            }
            Value::Absent => Json::Null,
        };
        fixed.insert(name, json);
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
