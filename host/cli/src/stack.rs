//! The stack that a pipeline runs on: from `stack.toml`, or from the command line
//! alone.

use std::path::{Path, PathBuf};

use wharf_model::grants::Grant;
use wharf_model::limits::{Bytes, Limits};
use wharf_model::stack::{MAX_STACK_BYTES, Most, Permit, SecretReference, Stack, Stacks, parse};
use wharf_model::{ErrorKind, Fault, nearest};
use wharf_runner::pipeline::Resources;
use wharf_store::{Location, Settings, Store};

use crate::args::pipeline::OnStack;
use crate::ending::{Ending, Mistakes};
use crate::surroundings;

/// The file that stacks are in, beside the pipeline.
const FILE: &str = "stack.toml";

/// Memory that the host itself needs beside the steps.
const HOST_MEMORY: u64 = 256 << 20;

/// What a run is given of a stack, and of the command line.
pub(crate) struct Chosen {
    /// The name of the stack, where there is one.
    pub(crate) name: Option<String>,
    pub(crate) store: Store,
    pub(crate) resources: Resources,
    permits: Vec<Permit>,
}

/// Chooses a stack for a pipeline. What the command line says itself wins, but it does
/// not permit what a stack does not.
pub(crate) fn choose(pipeline: &Path, args: &OnStack) -> Result<Chosen, Ending> {
    let file = find(pipeline, args)?;
    let Some((name, stack, folder)) = file else {
        let location = surroundings::store_location(args.places.store.as_deref())?;
        return Ok(Chosen {
            name: None,
            store: open(args, &location, None, None)?,
            resources: resources(args, None),
            permits: args.grants.iter().cloned().map(Permit::One).collect(),
        });
    };
    if !args.grants.is_empty() {
        let message = format!("the stack `{name}` says what steps are permitted, not --allow");
        return Err(Fault::new(ErrorKind::CommandLine, message)
            .hint("add it to `grants` in the stack, or run without one")
            .into());
    }
    let location = location(args, &stack, &folder)?;
    Ok(Chosen {
        store: open(args, &location, Some(&stack), Some(&folder))?,
        resources: resources(args, Some(&stack)),
        permits: stack.grants,
        name: Some(name),
    })
}

impl Chosen {
    /// Whether a step may be granted this.
    pub(crate) fn permits(&self, grant: &Grant) -> bool {
        self.permits.iter().any(|permit| permit.permits(grant))
    }

    /// How to permit something.
    pub(crate) fn how_to_permit(&self, grant: &Grant) -> String {
        match &self.name {
            Some(name) => format!("the stack `{name}` does not permit it: add it to its `grants`"),
            None => format!("permit it with --allow {grant}"),
        }
    }
}

/// The stack that is meant, with its name, and the folder of its file.
fn find(pipeline: &Path, args: &OnStack) -> Result<Option<(String, Stack, PathBuf)>, Ending> {
    let beside = pipeline.parent().unwrap_or(Path::new(""));
    let file = args.stack_file.clone().unwrap_or_else(|| beside.join(FILE));
    if args.stack_file.is_none() && !file.exists() {
        return match &args.stack {
            None => Ok(None),
            Some(name) => {
                let message = format!(
                    "there is no stack `{name}`: `{}` does not exist",
                    file.display()
                );
                let fault = Fault::new(ErrorKind::Pipeline, message);
                Err(fault
                    .hint("write one, or say where it is with --stack-file")
                    .into())
            }
        };
    }
    let Stacks {
        default,
        mut stacks,
    } = read(&file)?;
    let Some(name) = args.stack.clone().or(default) else {
        return Ok(None);
    };
    let Some(stack) = stacks.remove(&name) else {
        let message = format!("there is no stack `{name}` in `{}`", file.display());
        let fault = Fault::new(ErrorKind::Pipeline, message);
        return Err(match nearest(&name, stacks.keys().map(String::as_str)) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault,
        }
        .into());
    };
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    Ok(Some((name, stack, folder)))
}

fn read(file: &Path) -> Result<Stacks, Ending> {
    let unread = |why: &str| {
        let message = format!("cannot read the stacks in `{}`: {why}", file.display());
        Ending::from(Fault::new(ErrorKind::Pipeline, message))
    };
    let metadata = std::fs::metadata(file).map_err(|error| unread(&error.to_string()))?;
    if metadata.len() > MAX_STACK_BYTES as u64 {
        return Err(unread(&format!(
            "it is larger than {}",
            Bytes(MAX_STACK_BYTES as u64)
        )));
    }
    let text = std::fs::read_to_string(file).map_err(|error| unread(&error.to_string()))?;
    parse(&text).map_err(|diagnostics| {
        let file = file.to_owned();
        Ending::Mistakes(Box::new(Mistakes {
            file,
            text,
            diagnostics,
        }))
    })
}

fn location(args: &OnStack, stack: &Stack, folder: &Path) -> Result<Location, Fault> {
    if args.places.store.is_some() {
        return surroundings::store_location(args.places.store.as_deref());
    }
    let location: Result<Location, _> = stack.store.parse();
    let location = location.map_err(|error| Fault::new(ErrorKind::Pipeline, error.to_string()))?;
    Ok(match location {
        Location::Folder(store) => Location::Folder(folder.join(store)),
        elsewhere => elsewhere,
    })
}

fn open(
    args: &OnStack,
    location: &Location,
    stack: Option<&Stack>,
    folder: Option<&Path>,
) -> Result<Store, Fault> {
    let mut settings = surroundings::store_settings();
    let mut cache = surroundings::blob_cache(args.places.cache.as_deref());
    if let (Some(stack), Some(folder)) = (stack, folder) {
        add_settings(&mut settings, stack, folder)?;
        if let Some(cache) = &mut cache {
            cache.most = stack.cache_size.unwrap_or(cache.most);
            if let Some(own) = &stack.cache_folder {
                cache.folder = folder.join(own);
            }
        }
    }
    Store::open(location, &settings, cache)
}

fn add_settings(settings: &mut Settings, stack: &Stack, folder: &Path) -> Result<(), Fault> {
    let plain = stack.settings.iter();
    settings.extend(plain.map(|(name, value)| (name.clone(), value.clone().into())));
    for (name, reference) in &stack.secrets {
        let secret = secret(reference, folder).map_err(|why| {
            let message = format!("the secret `{name}` ({reference}) cannot be had: {why}");
            Fault::new(ErrorKind::Pipeline, message).hint("set it, or change the stack")
        })?;
        settings.insert(name.clone(), secret.into());
    }
    Ok(())
}

/// What a reference leads to. What went wrong never says what it found.
fn secret(reference: &SecretReference, folder: &Path) -> Result<String, String> {
    match reference {
        SecretReference::Env(name) => {
            std::env::var(name).map_err(|_| "the variable is not set, or not UTF-8".to_owned())
        }
        SecretReference::File(path) => {
            let read = std::fs::read_to_string(folder.join(path));
            let text = read.map_err(|error| error.kind().to_string())?;
            Ok(text.trim_end().to_owned())
        }
    }
}

fn resources(args: &OnStack, stack: Option<&Stack>) -> Resources {
    let cores = surroundings::cores();
    let machine = surroundings::memory().saturating_sub(HOST_MEMORY);
    let most = stack.map_or(Most::default(), |stack| stack.most);
    let limits = stack.map_or_else(Limits::default, |stack| stack.most.default_limits());
    let parallelism = args
        .parallelism
        .or(stack.and_then(|stack| stack.parallelism));
    let memory = args.memory.or(stack.and_then(|stack| stack.memory));
    Resources {
        parallelism: parallelism.map_or(cores, usize::from),
        // A step that asks for nothing can always run.
        memory: memory.unwrap_or(Bytes(machine).max(limits.memory)),
        limits,
        most,
        cache_nondeterministic: stack.is_some_and(|stack| stack.cache_nondeterministic),
    }
}
