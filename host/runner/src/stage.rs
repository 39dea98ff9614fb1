//! Opens a plan's inputs and makes places for its outputs, before anything
//! runs; and completes, publishes or forgets them afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Map;
use tokio::sync::watch;
use wharf_model::key::{KeyInput, KeyParts};
use wharf_model::outcome::Cancellation;
use wharf_model::plan::{Argument, BadRequest, Bound, Problem, Shape};
use wharf_model::record::Artifact;
use wharf_model::signature::Function;
use wharf_model::{Digest, ErrorKind, Fault, Outcome, Plan};
use wharf_sandbox::{Entry, Parameter, ProgramInput, Seed};

use crate::digester::{Digester, Pending};
use crate::local::{Place, Published, parent};
use crate::program::{Scratch, Wanted};
use crate::run::RunError;
use crate::sink::{Becomes, FileSink, Flow, IoCounters};
use crate::source::{FileSource, OpenFile};
use crate::tree::{FolderSink, FolderSource};

/// A plan whose artifacts are open.
pub(crate) struct Staged {
    pub(crate) entry: Entry,
    inputs: Vec<Input>,
    outputs: Expected,
    /// Hashes the inputs until it is dropped.
    _digester: Digester,
}

/// An input, for the record.
struct Input {
    name: String,
    path: String,
    /// Where it is, without links; absent where that cannot be said.
    real: Option<PathBuf>,
    opened: Opened,
    digest: Pending,
}

enum Opened {
    File(Arc<OpenFile>),
    Folder(Arc<FolderSource>),
}

/// The outputs of a typed step, or of a program.
enum Expected {
    Typed(Vec<Output>),
    Program(Option<Scratch>),
}

struct Output {
    name: String,
    path: String,
    place: Place,
    sink: Sink,
}

enum Sink {
    File(Arc<FileSink>),
    Folder(Arc<FolderSink>),
}

/// Gathers what is staged; mistakes in the request do not stop it, so that all
/// are reported together.
struct Stage<'a> {
    overwrite: bool,
    counters: &'a Arc<IoCounters>,
    flow: Arc<Flow>,
    digester: Digester,
    inputs: Vec<Input>,
    /// Where outputs go and how that was written, to notice two that go to one
    /// place.
    places: BTreeMap<PathBuf, PathBuf>,
    problems: Vec<Problem>,
}

/// Opens all that a plan names.
pub(crate) fn stage(plan: &Plan, counters: &Arc<IoCounters>) -> Result<Staged, RunError> {
    let mut stage = Stage {
        overwrite: plan.overwrite,
        counters,
        flow: Arc::new(Flow::new(counters)),
        digester: Digester::default(),
        inputs: Vec::new(),
        places: BTreeMap::new(),
        problems: Vec::new(),
    };
    let (entry, outputs) = match &plan.function {
        Some(function) => stage.function(function, &plan.arguments)?,
        None => stage.program(plan)?,
    };
    stage.check_places(&plan.step.path);
    if !stage.problems.is_empty() {
        return Err(BadRequest {
            problems: stage.problems,
        }
        .into());
    }
    stage.digester.start()?;
    Ok(Staged {
        entry,
        inputs: stage.inputs,
        outputs,
        _digester: stage.digester,
    })
}

impl Stage<'_> {
    fn function(
        &mut self,
        function: &Function,
        arguments: &[Argument],
    ) -> Result<(Entry, Expected), Fault> {
        let mut outputs = Vec::new();
        let mut parameters = Vec::new();
        for Argument { name, bound } in arguments {
            let parameter = match bound {
                Bound::Value { ty, json } => Ok(Parameter::Value(ty.clone(), json.clone())),
                Bound::Inputs {
                    shape: Shape::Tree,
                    arity,
                    paths,
                } => {
                    let trees = paths.iter().map(|path| self.folder(name, path));
                    let trees = trees
                        .map(|tree| tree.map(|tree| tree as _))
                        .collect::<Result<_, _>>();
                    trees.map(|trees| Parameter::InputTrees(*arity, trees))
                }
                Bound::Inputs {
                    shape: Shape::File | Shape::Either,
                    arity,
                    paths,
                } => {
                    let files = paths.iter().map(|path| self.file(name, path));
                    let files = files
                        .map(|file| file.map(|file| file as _))
                        .collect::<Result<_, _>>();
                    files.map(|files| Parameter::Inputs(*arity, files))
                }
                Bound::Output { shape, path } => self.output(name, path, *shape, &mut outputs),
            };
            if let Some(parameter) = self.keep(parameter)? {
                parameters.push((name.clone(), parameter));
            }
        }
        let function = Box::new(function.clone());
        Ok((
            Entry::Function {
                function,
                parameters,
            },
            Expected::Typed(outputs),
        ))
    }

    fn program(&mut self, plan: &Plan) -> Result<(Entry, Expected), Fault> {
        let mut inputs = Vec::new();
        let mut wanted = Vec::new();
        for Argument { name, bound } in &plan.arguments {
            match bound {
                Bound::Value { .. } => {}
                Bound::Inputs { paths, .. } => {
                    for path in paths {
                        let input = self.either(name, path);
                        inputs.extend(self.keep(input)?.map(|input| (name.clone(), input)));
                    }
                }
                Bound::Output { shape, path } => {
                    let taken = self.take_place(path);
                    self.keep(taken)?;
                    let (name, path, shape) = (name.clone(), path.clone(), *shape);
                    wanted.push(Wanted {
                        name,
                        path,
                        shape,
                        overwrite: self.overwrite,
                    });
                }
            }
        }
        let scratch = Scratch::create(wanted);
        let scratch = self.keep(scratch)?.flatten();
        let folder = scratch.as_ref().map(Scratch::open).transpose()?;
        let arguments = plan.program_arguments.clone();
        Ok((
            Entry::Program {
                arguments,
                inputs,
                scratch: folder,
            },
            Expected::Program(scratch),
        ))
    }

    /// Keeps mistakes in the request for later; faults of the host end it.
    fn keep<T>(&mut self, result: Result<T, Fault>) -> Result<Option<T>, Fault> {
        use wharf_model::ErrorKind::{Input, Output};
        match result {
            Ok(value) => Ok(Some(value)),
            Err(fault) if matches!(fault.kind(), Input | Output) => {
                let hint = fault.advice().map(str::to_owned);
                self.problems.push(Problem {
                    kind: fault.kind(),
                    message: fault.to_string(),
                    hint,
                });
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    fn file(&mut self, name: &str, path: &Path) -> Result<Arc<FileSource>, Fault> {
        let file = Arc::new(OpenFile::open(path)?);
        let digest = self.digester.add(file.clone());
        self.remember(name, path, Opened::File(file.clone()), &digest);
        Ok(Arc::new(FileSource::new(file, digest, self.counters)))
    }

    fn folder(&mut self, name: &str, path: &Path) -> Result<Arc<FolderSource>, Fault> {
        let folder = Arc::new(FolderSource::open(path, self.counters)?);
        let digest = self.digester.add(folder.clone());
        self.remember(name, path, Opened::Folder(folder.clone()), &digest);
        Ok(folder)
    }

    fn either(&mut self, name: &str, path: &Path) -> Result<ProgramInput, Fault> {
        match path.is_dir() {
            true => Ok(ProgramInput::Tree(self.folder(name, path)?)),
            false => Ok(ProgramInput::File(self.file(name, path)?)),
        }
    }

    fn take_place(&mut self, path: &Path) -> Result<(), Fault> {
        // A folder that does not exist is reported where the place is made.
        let folder = parent(path).canonicalize().unwrap_or_default();
        let place = folder.join(path.file_name().unwrap_or_default());
        match self.places.insert(place, path.to_owned()).is_none() {
            true => Ok(()),
            false => {
                let message = format!("two outputs go to `{}`", path.display());
                Err(Fault::new(ErrorKind::Output, message).hint("give each a path of its own"))
            }
        }
    }

    /// An output inside an input would change what the step reads; one inside
    /// another output would vanish when that is replaced, and so would an input.
    fn check_places(&mut self, step: &Path) {
        self.check_replaced(step);
        self.check_nested();
        for (place, path) in &self.places {
            // Where a folder cannot be found again, nothing is known to be outside.
            let around = |input: &&Input| {
                let real = input.real.as_deref();
                matches!(input.opened, Opened::Folder(_))
                    && real.is_none_or(|real| place.starts_with(real))
            };
            if let Some(tree) = self.inputs.iter().find(around) {
                self.problems.push(Problem {
                    kind: ErrorKind::Output,
                    message: format!(
                        "the output `{}` lies inside the input `{}`",
                        path.display(),
                        tree.path
                    ),
                    hint: Some("choose a path outside of the input".to_owned()),
                });
            }
        }
    }

    /// What a run is made from must still be there when somebody looks at its
    /// record, whatever may be replaced.
    fn check_replaced(&mut self, step: &Path) {
        let inputs = self.inputs.iter().filter_map(|input| input.real.clone());
        let read: BTreeSet<PathBuf> = inputs.chain(step.canonicalize().ok()).collect();
        for (place, path) in &self.places {
            if place
                .canonicalize()
                .is_ok_and(|place| read.contains(&place))
            {
                self.problems.push(Problem {
                    kind: ErrorKind::Output,
                    message: format!(
                        "the output `{}` is what the step is made from, or reads",
                        path.display()
                    ),
                    hint: Some("choose another path for the output".to_owned()),
                });
            }
        }
    }

    fn check_nested(&mut self) {
        let inputs = self.inputs.iter();
        let inputs =
            inputs.filter_map(|input| Some((input.real.as_deref()?, Path::new(&input.path))));
        let outputs = self
            .places
            .iter()
            .map(|(place, path)| (place.as_path(), path.as_path()));
        let all: Vec<_> = inputs.chain(outputs).collect();
        for (place, path) in &self.places {
            let inside = |(other, _): &&(&Path, &Path)| other != place && other.starts_with(place);
            if let Some((_, other)) = all.iter().find(inside) {
                self.problems.push(Problem {
                    kind: ErrorKind::Output,
                    message: format!(
                        "`{}` lies inside the output `{}`",
                        other.display(),
                        path.display()
                    ),
                    hint: Some("choose a path of its own for each".to_owned()),
                });
            }
        }
    }

    fn remember(&mut self, name: &str, path: &Path, opened: Opened, digest: &Pending) {
        self.inputs.push(Input {
            name: name.to_owned(),
            path: path.display().to_string(),
            real: path.canonicalize().ok(),
            opened,
            digest: digest.clone(),
        });
    }

    fn output(
        &mut self,
        name: &str,
        path: &Path,
        shape: Shape,
        outputs: &mut Vec<Output>,
    ) -> Result<Parameter, Fault> {
        self.take_place(path)?;
        let (place, sink, parameter) = match shape {
            Shape::Tree => {
                let place = Place::for_folder(path, self.overwrite)?;
                let sink = Arc::new(FolderSink::new(
                    place.temporary().to_owned(),
                    Becomes::InTree,
                    &self.flow,
                ));
                (
                    place,
                    Sink::Folder(sink.clone()),
                    Parameter::OutputTree(sink),
                )
            }
            Shape::File | Shape::Either => {
                let (place, file) = Place::for_file(path, self.overwrite)?;
                let sink = Arc::new(FileSink::to_file(file, path, Becomes::Output, &self.flow));
                (place, Sink::File(sink.clone()), Parameter::Output(sink))
            }
        };
        let path = path.display().to_string();
        outputs.push(Output {
            name: name.to_owned(),
            path,
            place,
            sink,
        });
        Ok(parameter)
    }
}

impl Staged {
    /// What identifies the result, once all inputs are hashed.
    pub(crate) fn key(
        &self,
        plan: &Plan,
        step: Digest,
    ) -> impl Future<Output = Result<KeyParts, Fault>> + Send + use<> {
        let mut parts = key_parts(plan, step);
        let inputs = self.inputs.iter().map(|input| {
            let is_tree = matches!(input.opened, Opened::Folder(_));
            (input.name.clone(), is_tree, input.digest.clone())
        });
        let inputs: Vec<_> = inputs.collect();
        async move {
            for (name, is_tree, digest) in inputs {
                let digest = digest.get().await?;
                let input = if is_tree {
                    KeyInput::Tree(digest)
                } else {
                    KeyInput::File(digest)
                };
                parts.inputs.entry(name).or_default().push(input);
            }
            Ok(parts)
        }
    }

    /// The seed: what the plan says, or derived from everything else.
    pub(crate) fn seed(&self, plan: &Plan, step: Digest) -> Seed {
        match plan.seed {
            Some(seed) => Seed::known(seed),
            None => {
                let key = self.key(plan, step);
                Seed::from_future(async move { Ok(key.await?.derive_seed()) })
            }
        }
    }

    /// Splits off what is called from what stays.
    pub(crate) fn split(self) -> (Entry, Rest) {
        (
            self.entry,
            Rest {
                inputs: self.inputs,
                outputs: self.outputs,
                _digester: self._digester,
            },
        )
    }
}

fn key_parts(plan: &Plan, step: Digest) -> KeyParts {
    let is_program = plan.function.is_none();
    let outputs = plan.arguments.iter().filter(|_| is_program);
    let outputs = outputs.filter_map(|argument| match &argument.bound {
        Bound::Output { shape, .. } => Some((argument.name.clone(), *shape == Shape::Tree)),
        Bound::Value { .. } | Bound::Inputs { .. } => None,
    });
    KeyParts {
        outputs: outputs.collect(),
        step,
        function: plan.function.as_ref().map(|function| function.name.clone()),
        step_name: plan.step_name.clone(),
        parameters: plan.values(),
        arguments: plan.program_arguments.clone(),
        inputs: Default::default(),
        logical_time: plan.logical_time,
        partition: plan.partition.clone(),
        clock: plan.grants.clock,
        entropy: plan.grants.entropy,
        env: plan.grants.env.clone(),
    }
}

/// Whether a run that is about to publish is still wanted.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    pub(crate) cancel: watch::Receiver<Option<Cancellation>>,
    pub(crate) committing: Committing,
}

/// Whether outputs are being made visible, and the record written: a moment in
/// which nobody should end the process.
pub type Committing = Arc<AtomicBool>;

impl Stop {
    /// How the run has ended, where somebody has stopped it.
    pub(crate) fn now(&self) -> Option<Outcome> {
        let by = *self.cancel.borrow();
        by.map(|by| Outcome::Cancelled { by })
    }

    /// The same, at the last moment: from here on, the run is not stopped.
    fn commit(&self) -> Option<Outcome> {
        self.committing.store(true, Ordering::SeqCst);
        let stopped = self.now();
        if stopped.is_some() {
            self.committing.store(false, Ordering::SeqCst);
        }
        stopped
    }
}

/// The outputs of a run, for its record and to take them back.
pub(crate) type Outputs = (Vec<Artifact>, Vec<Published>);

/// What remains of a staged plan while the guest runs.
pub(crate) struct Rest {
    inputs: Vec<Input>,
    outputs: Expected,
    _digester: Digester,
}

impl Rest {
    /// Fails where an input is not what it was when it was opened.
    pub(crate) fn check_inputs(&self) -> Result<(), Fault> {
        for input in &self.inputs {
            match &input.opened {
                Opened::File(file) => file.check_unchanged()?,
                Opened::Folder(folder) => folder.check_unchanged()?,
            }
        }
        Ok(())
    }

    /// The inputs for the record, with the digests that are there.
    pub(crate) fn inputs(&self) -> Vec<Artifact> {
        let artifact = |input: &Input| {
            let (size, files) = match &input.opened {
                Opened::File(file) => (file.size(), None),
                Opened::Folder(folder) => (folder.bytes(), Some(folder.files())),
            };
            Artifact {
                name: input.name.clone(),
                path: input.path.clone(),
                digest: input.digest.now(),
                size,
                files,
                commit: None,
                chunks: None,
                media_type: None,
                metadata: Map::new(),
            }
        };
        self.inputs.iter().map(artifact).collect()
    }

    /// Waits until all inputs are hashed.
    pub(crate) async fn hashed(&self) -> Result<(), Fault> {
        for input in &self.inputs {
            input.digest.get().await?;
        }
        Ok(())
    }

    /// Completes the outputs, then makes them visible, all or none, unless `stop`
    /// gives an outcome before the first is. A program that has not written one has
    /// failed, which is the outcome.
    pub(crate) fn publish(self, stop: &Stop) -> Result<Result<Outputs, Outcome>, Fault> {
        let mut completed = Vec::new();
        match self.outputs {
            Expected::Typed(outputs) => {
                for output in outputs {
                    if let Some(outcome) = stop.now() {
                        return Ok(Err(outcome));
                    }
                    completed.push(complete(output)?);
                }
            }
            Expected::Program(None) => {}
            Expected::Program(Some(scratch)) => match scratch.collect(stop)? {
                Err(outcome) => return Ok(Err(outcome)),
                Ok(found) => {
                    let pairs = scratch.wanted().iter().zip(found);
                    completed.extend(pairs.map(|(wanted, found)| from_program(wanted, found)));
                }
            },
        }
        if let Some(outcome) = stop.commit() {
            return Ok(Err(outcome));
        }
        let (places, artifacts): (Vec<_>, Vec<_>) = completed.into_iter().unzip();
        Ok(Ok((artifacts, publish_all(places)?)))
    }
}

fn complete(output: Output) -> Result<(Place, Artifact), Fault> {
    let Output {
        name,
        path,
        place,
        sink,
    } = output;
    let artifact = match sink {
        Sink::File(sink) => {
            let written = sink.finish()?;
            let (media_type, metadata) = (written.media_type, written.metadata);
            let (digest, size) = (Some(written.digest), written.size);
            Artifact {
                name,
                path,
                digest,
                size,
                files: None,
                commit: None,
                chunks: None,
                media_type,
                metadata,
            }
        }
        Sink::Folder(sink) => {
            let (digest, size, files) = sink.finish()?;
            let (digest, files) = (Some(digest), Some(files));
            Artifact {
                name,
                path,
                digest,
                size,
                files,
                commit: None,
                chunks: None,
                media_type: None,
                metadata: Map::new(),
            }
        }
    };
    Ok((place, artifact))
}

fn from_program(wanted: &Wanted, found: crate::program::Found) -> (Place, Artifact) {
    let artifact = Artifact {
        name: wanted.name.clone(),
        path: wanted.path.display().to_string(),
        digest: Some(found.digest),
        size: found.size,
        files: found.files,
        commit: None,
        chunks: None,
        media_type: None,
        metadata: Map::new(),
    };
    (found.place, artifact)
}

fn publish_all(places: Vec<Place>) -> Result<Vec<Published>, Fault> {
    let mut published: Vec<Published> = Vec::new();
    for place in places {
        let durable = place.publish().and_then(|one| {
            published.push(one);
            published.last().map_or(Ok(()), Published::sync)
        });
        if let Err(fault) = durable {
            published.into_iter().for_each(Published::take_back);
            return Err(fault);
        }
    }
    Ok(published)
}
