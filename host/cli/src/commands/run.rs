//! `wharf run`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use tokio::sync::mpsc::unbounded_channel;
use wharf_model::grants::Grant;
use wharf_model::request::DEFAULT_LOGICAL_TIME;
use wharf_model::{ErrorKind, Fault, Grants, Request};
use wharf_runner::{Committing, Runner, Surroundings};
use wharf_store::Store;

use crate::args;
use crate::ending::Ending;
use crate::report::run::{Reporter, Style};
use crate::surroundings::{self, SystemClock};

pub(crate) fn run(args: args::Run) -> Ending {
    match try_run(args) {
        Ok(ending) | Err(ending) => ending,
    }
}

fn try_run(args: args::Run) -> Result<Ending, Ending> {
    surroundings::allow_open_files();
    let style = Style::choose(args.json, args.quiet);
    let runner = Runner {
        sandbox: surroundings::sandbox(surroundings::compile_cache(args.places.cache.as_deref()))?,
        store: store(&args)?,
        host: surroundings::host(),
        clock: Arc::new(SystemClock::start()),
    };
    let request = request(args)?;
    let runtime = surroundings::runtime()?;
    let ending = runtime.block_on(async {
        let (events, received) = unbounded_channel();
        let committing = Committing::default();
        let surroundings = Surroundings {
            id: surroundings::new_run_id()?,
            events,
            progress: Arc::default(),
            counters: Arc::default(),
            cancel: surroundings::cancellation(&committing)?,
            committing,
        };
        let reporter = Reporter::start(style, &request, &surroundings, received);
        let result = runner.run(request, surroundings).await;
        let shown = reporter
            .finish(result.as_ref().ok(), runner.store.as_ref())
            .await;
        let outcome = result?.outcome;
        shown?;
        Ok(Ending::Ran(Box::new(outcome)))
    });
    // What still reads for a run that has ended is not waited for.
    runtime.shutdown_background();
    ending
}

fn store(args: &args::Run) -> Result<Option<Store>, Fault> {
    if args.no_record {
        return Ok(None);
    }
    let location = surroundings::store_location(args.places.store.as_deref())?;
    surroundings::open_store(&location, args.places.cache.as_deref()).map(Some)
}

/// The request that a command line means.
fn request(args: args::Run) -> Result<Request, Fault> {
    let mut bindings = args.bindings;
    bindings.extend(args.inputs);
    bindings.extend(args.outputs);
    Ok(Request {
        bindings,
        parameters: args
            .params
            .as_deref()
            .map(read_parameters)
            .transpose()?
            .unwrap_or_default(),
        arguments: args.arguments,
        limits: args.limits.limits(),
        grants: grants(&args.world.grants)?,
        logical_time: args.world.logical_time.unwrap_or(DEFAULT_LOGICAL_TIME),
        partition: args.world.partition,
        seed: args.world.seed,
        step_name: None,
        overwrite: args.force,
        step: args.step,
    })
}

/// Most bytes of a file of parameters.
const MAX_PARAMETERS: u64 = 16 << 20;

fn read_parameters(path: &Path) -> Result<BTreeMap<String, Json>, Fault> {
    use std::io::Read;
    let shown = path.display();
    let fault = |message: String| Fault::new(ErrorKind::Parameter, message);
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin()
            .lock()
            .take(MAX_PARAMETERS)
            .read_to_string(&mut text),
        _ => std::fs::File::open(path)
            .and_then(|file| file.take(MAX_PARAMETERS).read_to_string(&mut text)),
    };
    read.map_err(|error| fault(format!("cannot read the parameters in `{shown}`: {error}")))?;
    serde_json::from_str(&text).map_err(|error| {
        fault(format!(
            "the parameters in `{shown}` are not a JSON object: {error}"
        ))
        .hint("write an object such as {\"epochs\": 50}")
    })
}

/// Looks up what is granted: the values of environment variables.
pub(super) fn grants(asked: &[Grant]) -> Result<Grants, Fault> {
    let mut grants = Grants::default();
    for grant in asked {
        match grant {
            Grant::Clock => grants.clock = true,
            Grant::Entropy => grants.entropy = true,
            Grant::Env { name } => {
                let value = std::env::var(name).map_err(|error| {
                    let why = match error {
                        std::env::VarError::NotPresent => "it is not set",
                        std::env::VarError::NotUnicode(_) => "its value is not UTF-8",
                    };
                    let message =
                        format!("the environment variable `{name}` cannot be granted: {why}");
                    Fault::new(ErrorKind::CommandLine, message).hint("set it, or do not ask for it")
                })?;
                grants.env.insert(name.clone(), value);
            }
        }
    }
    Ok(grants)
}
