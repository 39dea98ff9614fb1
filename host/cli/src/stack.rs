//! The stack that a command works on: from `stack.toml`, or from the command line
//! alone. The one place that decides where the store is.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use wharf_model::grants::Grant;
use wharf_model::limits::{Bytes, Limits};
use wharf_model::stack::{MAX_STACK_BYTES, Most, Permit, SecretReference, Stack, Stacks, parse};
use wharf_model::{ErrorKind, Fault, nearest};
use wharf_runner::pipeline::Resources;
use wharf_store::{Location, Settings, Store};

use crate::args::pipeline::OnStack;
use crate::args::{InStore, Places};
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
    /// Where the store is: a URL, or an absolute path.
    pub(crate) place: String,
    /// The stack, where there is one.
    pub(crate) stack: Option<Stack>,
    pub(crate) resources: Resources,
    /// What to add to another command so that it finds the same store.
    pub(crate) again: String,
    permits: Vec<Permit>,
}

/// Chooses a stack for a pipeline. What was typed wins, but it does not permit what a
/// stack does not.
pub(crate) fn choose(pipeline: &Path, args: &OnStack) -> Result<Chosen, Ending> {
    let asked = Asked {
        places: &args.places,
        name: args.stack.as_deref(),
        file: args.stack_file.as_deref(),
        beside: pipeline.parent().unwrap_or(Path::new("")),
    };
    let Some(named) = asked.find()? else {
        return Ok(Chosen {
            again: asked.again(None),
            name: None,
            stack: None,
            place: place(&asked.location(None)?),
            store: asked.open(None)?,
            resources: resources(args, None),
            permits: args.grants.iter().cloned().map(Permit::One).collect(),
        });
    };
    if !args.grants.is_empty() {
        let name = &named.name;
        let message = format!("the stack `{name}` says what steps are permitted, not --allow");
        return Err(Fault::new(ErrorKind::CommandLine, message)
            .hint("add it to `grants` in the stack, or run without one")
            .into());
    }
    Ok(Chosen {
        again: asked.again(Some(&named)),
        place: place(&asked.location(Some(&named))?),
        store: asked.open(Some(&named))?,
        resources: resources(args, Some(&named.stack)),
        permits: named.stack.grants.clone(),
        name: Some(named.name),
        stack: Some(named.stack),
    })
}

/// A place as another process finds it, in whatever folder that is.
fn place(location: &Location) -> String {
    match location {
        Location::Folder(folder) => {
            let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
            // `./.wharf` is `.wharf`.
            absolute
                .components()
                .collect::<PathBuf>()
                .display()
                .to_string()
        }
        elsewhere => elsewhere.to_string(),
    }
}

/// The store of runs and artifacts, to read from: it must be there.
pub(crate) fn existing_store(args: &InStore) -> Result<Store, Ending> {
    let asked = Asked::of(args, args.stack.as_deref());
    let named = asked.find_for_store()?;
    let location = asked.location(named.as_ref())?;
    surroundings::check_exists(&location)?;
    Ok(asked.open_at(&location, named.as_ref())?)
}

/// The store of artifacts, to write to.
pub(crate) fn store(args: &InStore) -> Result<Store, Ending> {
    let asked = Asked::of(args, args.stack.as_deref());
    let named = asked.find_for_store()?;
    Ok(asked.open(named.as_ref())?)
}

/// The store of another stack in the same file.
pub(crate) fn store_of(args: &InStore, stack: &str) -> Result<Store, Ending> {
    let places = Places {
        store: None,
        cache: args.places.cache.clone(),
    };
    let asked = Asked {
        places: &places,
        ..Asked::of(args, Some(stack))
    };
    let named = asked.find()?;
    Ok(asked.open(named.as_ref())?)
}

/// What a command line says of where the store is.
#[derive(Clone, Copy)]
struct Asked<'a> {
    places: &'a Places,
    name: Option<&'a str>,
    file: Option<&'a Path>,
    /// Where the file of stacks is looked for.
    beside: &'a Path,
}

/// A stack that was found.
struct Named {
    name: String,
    stack: Stack,
    /// The folder of its file, which its paths are relative to.
    folder: PathBuf,
    /// Whether it was asked for, and not merely the default.
    is_asked_for: bool,
}

impl<'a> Asked<'a> {
    fn of(args: &'a InStore, name: Option<&'a str>) -> Self {
        Self {
            places: &args.places,
            name,
            file: args.stack_file.as_deref(),
            beside: Path::new(""),
        }
    }

    /// The stack that is meant, for a command that needs nothing but its store.
    fn find_for_store(&self) -> Result<Option<Named>, Ending> {
        let is_said = self.places.store.is_some() || surroundings::store_variable().is_some();
        match self.name.is_none() && is_said {
            true => Ok(None),
            false => self.find(),
        }
    }

    /// The file of stacks.
    fn path(&self) -> PathBuf {
        let file = self.file.map(Path::to_owned);
        file.unwrap_or_else(|| self.beside.join(FILE))
    }

    /// The stack that is meant, where there is one.
    fn find(&self) -> Result<Option<Named>, Ending> {
        let file = self.path();
        if self.file.is_none() && is_absent(&file) {
            return match self.name {
                None => Ok(None),
                Some(name) => Err(no_file(name, &file)),
            };
        }
        let Stacks {
            default,
            mut stacks,
        } = read(&file)?;
        let Some(name) = self.name.map(str::to_owned).or(default) else {
            return Err(which(&file, &stacks));
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
        Ok(Some(Named {
            name,
            stack,
            folder: file.parent().unwrap_or(Path::new("")).to_owned(),
            is_asked_for: self.name.is_some(),
        }))
    }

    /// Where the store is: what was typed, a stack that was asked for, `WHARF_STORE`, the
    /// default stack, and else the nearest folder.
    fn location(&self, named: Option<&Named>) -> Result<Location, Fault> {
        let variable = surroundings::store_variable();
        let own = self.places.store.as_deref();
        match (own, named) {
            (Some(_), _) => surroundings::store_location(own),
            (None, Some(named)) if named.is_asked_for || variable.is_none() => named.location(),
            (None, _) => surroundings::store_location(variable.as_deref()),
        }
    }

    /// What to add to another command, in this folder, so that it finds the same store.
    fn again(&self, named: Option<&Named>) -> String {
        if let Some(store) = &self.places.store {
            return format!(" --store {}", store.display());
        }
        let mut again = String::new();
        if let Some(named) = named {
            if named.is_asked_for {
                again += &format!(" --stack {}", named.name);
            }
            let file = self.path();
            if file != Path::new(FILE) {
                again += &format!(" --stack-file {}", file.display());
            }
        }
        again
    }

    fn open(&self, named: Option<&Named>) -> Result<Store, Fault> {
        self.open_at(&self.location(named)?, named)
    }

    fn open_at(&self, location: &Location, named: Option<&Named>) -> Result<Store, Fault> {
        let mut settings = surroundings::store_settings();
        let mut cache = surroundings::blob_cache(self.places.cache.as_deref());
        if let Some(Named { stack, folder, .. }) = named {
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
}

impl Named {
    fn location(&self) -> Result<Location, Fault> {
        let location: Result<Location, _> = self.stack.store.parse();
        let location =
            location.map_err(|error| Fault::new(ErrorKind::Pipeline, error.to_string()))?;
        Ok(match location {
            Location::Folder(store) => Location::Folder(self.folder.join(store)),
            elsewhere => elsewhere,
        })
    }
}

/// Whether nothing has this name, not even a link that leads nowhere.
fn is_absent(file: &Path) -> bool {
    let found = std::fs::symlink_metadata(file);
    found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

fn no_file(name: &str, file: &Path) -> Ending {
    let message = format!(
        "there is no stack `{name}`: `{}` does not exist",
        file.display()
    );
    Fault::new(ErrorKind::Pipeline, message)
        .hint("write one, or say where it is with --stack-file")
        .into()
}

fn which(file: &Path, stacks: &BTreeMap<String, Stack>) -> Ending {
    let names: Vec<_> = stacks.keys().map(String::as_str).collect();
    let message = format!(
        "`{}` does not say which stack is meant where none is named",
        file.display()
    );
    Fault::new(ErrorKind::Pipeline, message)
        .hint(format!(
            "say it with --stack ({}), or add `default = \"NAME\"` to the file",
            names.join(", ")
        ))
        .into()
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

fn read(file: &Path) -> Result<Stacks, Ending> {
    let unread = |why: &str| {
        let message = format!("cannot read the stacks in `{}`: {why}", file.display());
        Ending::from(Fault::new(ErrorKind::Pipeline, message))
    };
    let text = read_bounded(file, MAX_STACK_BYTES).map_err(|why| unread(&why))?;
    parse(&text).map_err(|diagnostics| {
        let file = file.to_owned();
        Ending::Mistakes(Box::new(Mistakes {
            file,
            text,
            diagnostics,
        }))
    })
}

/// The text of a file of at most so many bytes; a device may have no end.
fn read_bounded(file: &Path, most: usize) -> Result<String, String> {
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| error.kind().to_string())?;
    let read = opened.take(most as u64 + 1).read_to_string(&mut text);
    read.map_err(|error| error.kind().to_string())?;
    match text.len() <= most {
        true => Ok(text),
        false => Err(format!("it is larger than {}", Bytes(most as u64))),
    }
}

/// Most bytes of a secret.
const MAX_SECRET_BYTES: usize = 64 << 10;

fn add_settings(settings: &mut Settings, stack: &Stack, folder: &Path) -> Result<(), Fault> {
    let plain = stack.settings.iter();
    settings.extend(plain.map(|(name, value)| (name.clone(), value.clone().into())));
    add_secrets(settings, &stack.secrets, folder)
}

/// Adds secrets to what a store needs to know. Their files are relative to a folder.
///
/// # Errors
/// All that cannot be had.
pub(crate) fn add_secrets<'a, N: AsRef<str> + 'a>(
    settings: &mut Settings,
    secrets: impl IntoIterator<Item = (&'a N, &'a SecretReference)>,
    folder: &Path,
) -> Result<(), Fault> {
    let mut missing = Vec::new();
    for (name, reference) in secrets {
        let name = name.as_ref();
        match secret(reference, folder) {
            Ok(secret) => drop(settings.insert(name.to_owned(), secret.into())),
            Err(why) => missing.push(format!(
                "the secret `{name}` ({reference}) cannot be had: {why}"
            )),
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Fault::new(ErrorKind::Pipeline, missing.join("; "))
            .hint("set what is missing, or change the stack")),
    }
}

/// What a reference leads to. What went wrong never says what it found.
fn secret(reference: &SecretReference, folder: &Path) -> Result<String, String> {
    match reference {
        SecretReference::Env(name) => {
            std::env::var(name).map_err(|_| "the variable is not set, or not UTF-8".to_owned())
        }
        SecretReference::File(path) => {
            let text = read_bounded(&folder.join(path), MAX_SECRET_BYTES)?;
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
