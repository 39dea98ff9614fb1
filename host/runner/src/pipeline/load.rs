//! Reads a pipeline and its components, and checks that they fit together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wharf_model::limits::Limits;
use wharf_model::lock::Lock;
use wharf_model::pipeline::{
    Checked, Diagnostic, MAX_FILE_BYTES, Pipeline, Span, check_partly, parse_partly,
};
use wharf_model::signature::Signature;
use wharf_model::{Content, Digest, ErrorKind, Fault};
use wharf_sandbox::{Component, Opened, PrepareError, Sandbox};
use wharf_store::Store;

use super::files::Files;
use crate::component::ComponentFile;
use crate::stored::StepCode;

/// A pipeline that is checked.
#[derive(Debug)]
pub struct Loaded {
    /// The pipeline as its file gives it.
    pub pipeline: Pipeline,
    /// The pipeline, checked.
    pub checked: Checked,
    /// Its text.
    pub text: String,
    /// Its file.
    pub file: PathBuf,
    /// Its components, by the path that the file gives.
    pub components: BTreeMap<PathBuf, Used>,
    /// The files that it names.
    pub files: Files,
    /// Its lock, where it comes from one.
    pub lock: Option<(Digest, Lock)>,
}

/// A component that a pipeline uses.
#[derive(Debug)]
pub struct Used {
    /// Where it is.
    pub path: PathBuf,
    /// What it is, where it is in the store.
    pub content: Option<Content>,
    /// What it offers.
    pub signature: Signature,
    /// The component, where it is made ready to run.
    pub component: Option<Arc<Component>>,
    opened: Option<Opened>,
}

/// Why a pipeline cannot be used.
#[derive(Debug)]
pub enum LoadError {
    /// It has mistakes.
    Mistakes {
        /// Its file.
        file: PathBuf,
        /// Its text.
        text: String,
        /// The mistakes, in the order of the file.
        diagnostics: Vec<Diagnostic>,
    },
    /// It cannot be read, or the host failed.
    Fault(Fault),
}

impl From<Fault> for LoadError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Reads a pipeline and its components, and checks it.
///
/// # Errors
/// All its mistakes together; where a file cannot be read.
pub async fn load(file: &Path, sandbox: &Sandbox, limits: &Limits) -> Result<Loaded, LoadError> {
    let text = read(file)?;
    let mistakes = |diagnostics: Vec<Diagnostic>| LoadError::Mistakes {
        file: file.to_owned(),
        text: text.clone(),
        diagnostics,
    };
    let (pipeline, mut diagnostics) = parse_partly(&text);
    let Some(pipeline) = pipeline else {
        return Err(mistakes(diagnostics));
    };
    let mut components = BTreeMap::new();
    let mut signatures: BTreeMap<String, Signature> = BTreeMap::new();
    for (reference, span) in first_uses(&pipeline) {
        let path = beside(file).join(&reference.path);
        match open(&path, sandbox, limits).await {
            Ok(opened) => {
                let signature = opened.description().signature.clone();
                let same = pipeline
                    .references()
                    .filter(|other| other.path == reference.path);
                signatures.extend(same.map(|other| (other.to_string(), signature.clone())));
                let used = Used {
                    path,
                    content: None,
                    signature,
                    component: None,
                    opened: Some(opened),
                };
                components.insert(reference.path.clone(), used);
            }
            Err(fault) => {
                let hint = fault.advice().map(str::to_owned);
                let diagnostic = Diagnostic::new(span, fault.to_string());
                diagnostics.push(diagnostic.maybe_hint(hint));
            }
        }
    }
    let checked = check_partly(&pipeline, &signatures, diagnostics).map_err(mistakes)?;
    Ok(Loaded {
        pipeline,
        checked,
        text,
        file: file.to_owned(),
        components,
        files: Files::Beside(beside(file).to_owned()),
        lock: None,
    })
}

/// Reads a pipeline that was locked. Its components are read where they are
/// needed ([`Loaded::prepare_locked`]).
///
/// # Errors
/// Where there is no such lock, or this version of Wharf does not understand what it
/// holds.
pub async fn load_locked(store: &Store, digest: Digest) -> Result<Loaded, Fault> {
    let lock = store.lock(&digest).await?;
    let text = store.open_blob(&lock.definition).await?.read().await?;
    let not_understood = |why: String| {
        let message = format!("the pipeline {digest} cannot be understood: {why}");
        Fault::new(ErrorKind::Pipeline, message)
            .hint("another version of Wharf may have locked it: compile it with this one")
    };
    let text = String::from_utf8(text.into()).map_err(|_| not_understood("no UTF-8".into()))?;
    let first = |mistakes: Vec<Diagnostic>| {
        let first = mistakes.into_iter().next();
        not_understood(first.map_or_else(String::new, |first| first.message))
    };
    let pipeline = wharf_model::pipeline::parse(&text).map_err(first)?;
    let used = lock.components.iter().map(|locked| {
        let path = PathBuf::from(&locked.reference);
        let used = Used {
            path: path.clone(),
            content: Some(locked.content),
            signature: locked.signature.clone(),
            component: None,
            opened: None,
        };
        (path, used)
    });
    let components: BTreeMap<PathBuf, Used> = used.collect();
    let signatures = pipeline.references().filter_map(|reference| {
        let used = components.get(&reference.path)?;
        Some((reference.to_string(), used.signature.clone()))
    });
    let signatures = signatures.collect();
    let checked = wharf_model::pipeline::check(&pipeline, &signatures).map_err(first)?;
    let files = lock.files.iter();
    let files = files.map(|file| (PathBuf::from(&file.path), file.content));
    Ok(Loaded {
        pipeline,
        checked,
        text,
        file: PathBuf::from(&lock.file),
        components,
        files: Files::Locked(files.collect()),
        lock: Some((digest, lock)),
    })
}

/// Each component once, with where it is first used.
fn first_uses(pipeline: &Pipeline) -> Vec<(wharf_model::request::StepReference, Span)> {
    let mut seen = std::collections::BTreeSet::new();
    let uses = pipeline
        .uses()
        .filter(|(reference, _)| seen.insert(reference.path.clone()));
    uses.map(|(reference, span)| (reference.clone(), span))
        .collect()
}

/// The folder that a file's paths are relative to; empty for the current one.
pub(super) fn beside(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

fn read(file: &Path) -> Result<String, Fault> {
    use std::io::Read;
    let shown = file.display();
    let fault = |message: String| Fault::new(ErrorKind::Pipeline, message);
    let opened = std::fs::File::open(file);
    let opened = opened.map_err(|error| {
        fault(format!("cannot read the pipeline `{shown}`: {error}"))
            .hint("give the path of a pipeline.yaml")
    })?;
    let mut bytes = Vec::new();
    let most = MAX_FILE_BYTES as u64 + 1;
    let read = opened.take(most).read_to_end(&mut bytes);
    read.map_err(|error| fault(format!("cannot read the pipeline `{shown}`: {error}")))?;
    if bytes.len() as u64 >= most {
        let most = wharf_model::limits::Bytes(MAX_FILE_BYTES as u64);
        return Err(
            fault(format!("the pipeline `{shown}` is larger than {most}"))
                .hint("a pipeline names steps; data belongs into artifacts"),
        );
    }
    // A mark of the byte order says nothing in UTF-8, and is no column of the first line.
    let bytes = match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => rest.to_vec(),
        None => bytes,
    };
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        fault(format!(
            "the pipeline `{shown}` is not UTF-8: byte {at} cannot be read"
        ))
    })
}

async fn open(path: &Path, sandbox: &Sandbox, limits: &Limits) -> Result<Opened, Fault> {
    let file = ComponentFile::open(path).map_err(|fault| match path.try_exists() {
        Ok(false) => fault.hint("check the path; it is relative to the file of the pipeline"),
        _ => fault,
    });
    let file = Arc::new(file?);
    if file.size() > limits.component.0 {
        let message = format!("`{}` is larger than {}", path.display(), limits.component);
        return Err(Fault::new(ErrorKind::InvalidComponent, message));
    }
    let digest = file.digest().await?;
    let opened = sandbox.open_with(digest, file.size(), limits, || file.read(digest));
    opened.await.map_err(|error| in_file(error, path))
}

fn in_file(error: PrepareError, path: &Path) -> Fault {
    match error {
        PrepareError::Fault(fault) => fault.at(&path.display()),
        exceeded @ PrepareError::LimitExceeded { .. } => {
            let message = format!("`{}` {exceeded}", path.display());
            Fault::new(ErrorKind::InvalidComponent, message)
        }
    }
}

impl Used {
    /// The digest of the component, once it was opened.
    pub(super) fn digest(&self) -> Option<Digest> {
        let opened = self.opened.as_ref().map(Opened::digest);
        opened.or_else(|| self.component.as_ref().map(|component| component.digest()))
    }
}

impl Loaded {
    /// Makes all components ready to run. `compiling` is called with the path of each
    /// that is compiled.
    ///
    /// # Errors
    /// Where a component cannot be compiled.
    pub async fn prepare(
        &mut self,
        sandbox: &Sandbox,
        limits: &Limits,
        compiling: impl Fn(&Path),
    ) -> Result<(), Fault> {
        for used in self.components.values_mut() {
            let Some(opened) = used.opened.take() else {
                continue;
            };
            let prepared = sandbox
                .prepare(opened, limits, |_| compiling(&used.path))
                .await;
            let component = prepared.map_err(|error| in_file(error, &used.path))?;
            used.component = Some(Arc::new(component));
        }
        Ok(())
    }

    /// Makes the component of one step ready to run, from the store.
    ///
    /// # Errors
    /// Where it is not there, does not offer what the lock says, or cannot be compiled.
    pub async fn prepare_locked(
        &mut self,
        step: usize,
        store: &Store,
        sandbox: &Sandbox,
        limits: &Limits,
        compiling: impl Fn(&Path),
    ) -> Result<(), Fault> {
        let Some(uses) = &self.checked.steps[step].uses else {
            return Ok(());
        };
        let used = self.components.get_mut(&uses.path);
        let Some((used, content)) = used.and_then(|used| {
            let content = used.content?;
            Some((used, content))
        }) else {
            let message = format!("the lock has no component `{}`", uses.path.display());
            return Err(Fault::new(ErrorKind::Pipeline, message));
        };
        let path = used.path.clone();
        let wrong = |error| in_file(error, &path);
        if content.size > limits.component.0 {
            let message = format!("`{}` is larger than {}", path.display(), limits.component);
            return Err(Fault::new(ErrorKind::InvalidComponent, message));
        }
        let compiled = sandbox.open_compiled(content.digest, content.size, limits);
        let opened = match compiled.await.map_err(wrong)? {
            Some(opened) => opened,
            None => {
                let wasm = store.open_blob(&content).await?.read().await?;
                let opened = sandbox.open(wasm.into(), content.digest, limits);
                opened.await.map_err(wrong)?
            }
        };
        if opened.description().signature != used.signature {
            let message = format!(
                "the lock says something else of what `{}` offers than the component does",
                path.display()
            );
            return Err(Fault::new(ErrorKind::InvalidComponent, message)
                .hint("another version of Wharf may have locked it: compile it with this one"));
        }
        let prepared = sandbox.prepare(opened, limits, |_| compiling(&path)).await;
        used.component = Some(Arc::new(prepared.map_err(wrong)?));
        Ok(())
    }

    /// What a step runs, by the path that the file gives.
    pub(crate) fn code(&self, path: &Path) -> Result<StepCode, Fault> {
        let used = self.components.get(path);
        match used.map(|used| (&used.component, &used.content)) {
            Some((Some(component), _)) => Ok(StepCode::ready(component)),
            Some((None, Some(content))) => Ok(StepCode::known(content)),
            _ => Err(Fault::internal(format!(
                "`{}` is not ready",
                path.display()
            ))),
        }
    }

    /// The digest of a component, by the path that the file gives.
    pub(crate) fn component(&self, path: &Path) -> Result<&Arc<Component>, Fault> {
        let used = self.components.get(path);
        let component = used.and_then(|used| used.component.as_ref());
        component.ok_or_else(|| Fault::internal(format!("`{}` is not ready", path.display())))
    }
}
