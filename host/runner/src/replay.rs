//! Runs steps again from their records, in a store that has nothing yet, and compares
//! what they make.
//!
//! ```text
//! Record -> component, inputs by digest -> StoredStep -> attempt -> Verdict
//! ```
//!
//! Each step gets the inputs that its record names, not what the step before it made
//! this time: a difference is found where it comes from. Components and inputs are
//! blobs of the store that has the record; what a single run took from a file is
//! looked for at its path. Both count only with the digest in the record.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use tokio::sync::Mutex;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;
use wharf_model::artifact::Origin;
use wharf_model::digest::Hasher;
use wharf_model::outcome::Cancellation;
use wharf_model::record::{Artifact, RunId};
use wharf_model::request::StepReference;
use wharf_model::signature::{Arity, Function, ParameterType, Signature};
use wharf_model::{Content, Digest, ErrorKind, Fault, Grants, Limits, Outcome, Record};
use wharf_sandbox::{Component, PrepareError};
use wharf_store::Store;

use crate::component::ComponentFile;
use crate::stored::{Attempt, StepCode, StepRunner, StoredArgument, StoredInput, StoredStep, Told};
use crate::transfer;

/// Runs steps again.
#[derive(Debug)]
pub struct Replayer {
    /// Its store is the one that has nothing yet.
    runner: StepRunner,
    /// The store that has the records.
    from: Store,
    /// What steps may be granted again, with the values of variables. A record grants
    /// nothing by itself: somebody else may have written it.
    grants: Grants,
    /// By digest, and whether fuel is counted.
    ready: Mutex<BTreeMap<(Digest, bool), Ready>>,
}

/// A component that is ready to run.
#[derive(Clone, Debug)]
struct Ready {
    component: Arc<Component>,
    signature: Signature,
}

/// What came of running a step again.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It made the same.
    Same,
    /// It made something else, although the same was given.
    Differs(Vec<Difference>),
    /// It made something else, as a step may that was granted a clock or entropy.
    MayDiffer(Vec<Difference>),
    /// It could not be run again.
    NotRun(String),
}

/// What is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What: `output NAME`, `results`, or `outcome`.
    pub what: String,
    /// What the record has.
    pub before: String,
    /// What came of it now.
    pub now: String,
}

impl Replayer {
    /// Runs what `from` has records of in the store of `runner`, which has nothing.
    #[must_use]
    pub fn new(runner: StepRunner, from: Store, grants: Grants) -> Self {
        Self {
            runner,
            from,
            grants,
            ready: Mutex::default(),
        }
    }

    /// Runs the step of a record again.
    ///
    /// # Errors
    /// Where the host failed, or the run is stopped. A step that cannot be run again
    /// is a verdict.
    pub async fn replay(
        &self,
        id: RunId,
        record: &Record,
        cancel: watch::Receiver<Option<Cancellation>>,
    ) -> Result<Verdict, Fault> {
        if let Some(why) = self.hindrance(record) {
            return Ok(Verdict::NotRun(why));
        }
        let (step, seed) = match self.step(record).await {
            Ok(step) => step,
            Err(fault) if is_missing(fault.kind()) => {
                return Ok(Verdict::NotRun(fault.to_string()));
            }
            Err(fault) => return Err(fault),
        };
        // A record of another host, or of other values of variables, says nothing of this
        // one; a program's key has its path among the outputs, which is not recorded.
        let (_, key) = step.key();
        if record.key.is_some_and(|before| before != key) {
            let why = "it would not be the same run: a variable has another value now, or this \
                       version of Wharf gives steps something else";
            return Ok(Verdict::NotRun(why.to_owned()));
        }
        let attempt = Attempt {
            commit: own_key(&id),
            id,
            seed,
            key,
        };
        // What it says was said before.
        let (events, _) = unbounded_channel();
        let told = Told {
            events,
            progress: Arc::default(),
            counters: Arc::default(),
            cancel,
        };
        let again = self.runner.attempt(&step, attempt, told, ()).await?;
        if let Outcome::Cancelled { .. } = again.outcome {
            return Ok(Verdict::NotRun(again.outcome.to_string()));
        }
        let differences = differences(record, &again);
        // What the record says of itself may be wrong.
        Ok(
            match (differences.is_empty(), step.grants.deterministic()) {
                (true, _) => Verdict::Same,
                (false, true) => Verdict::Differs(differences),
                (false, false) => Verdict::MayDiffer(differences),
            },
        )
    }

    /// Why a step cannot be run again, where the record alone says so.
    fn hindrance(&self, record: &Record) -> Option<String> {
        if let Outcome::Cancelled { .. } = record.outcome {
            return Some("it was stopped before it ended".to_owned());
        }
        if record.step.signature.is_none() && !record.outcome.is_success() {
            return Some("of a program that failed, the outputs are not recorded".to_owned());
        }
        let denied = record.grants.iter().find(|grant| !self.grants.has(grant))?;
        Some(format!(
            "it was granted `{denied}`; permit it again with --allow {denied}"
        ))
    }

    /// The step as the record has it, with all that it is given in the new store.
    async fn step(&self, record: &Record) -> Result<(StoredStep, u64), Fault> {
        let missing = |what| Fault::new(ErrorKind::Input, format!("the record has no {what}"));
        let digest = record.step.digest.ok_or_else(|| missing("component"))?;
        let seed = record.seed.ok_or_else(|| missing("seed"))?;
        let Ready {
            component,
            signature,
        } = self.component(record, digest).await?;
        let reference: StepReference = record.step.reference.parse().map_err(Fault::internal)?;
        let function = signature
            .resolve(reference.function.as_deref())
            .map_err(|error| Fault::new(ErrorKind::NotAStep, error.to_string()))?
            .cloned()
            .map(Arc::new);
        let mut inputs: BTreeMap<&str, Vec<StoredInput>> = BTreeMap::new();
        for artifact in &record.inputs {
            let input = self.input(artifact).await?;
            inputs.entry(&artifact.name).or_default().push(input);
        }
        let arguments = match &function {
            Some(function) => typed(function, record, inputs),
            None => program(record, inputs),
        };
        let step = StoredStep {
            code: StepCode::ready(&component),
            reference: record.step.reference.clone(),
            name: record.step.name.clone(),
            function,
            arguments,
            program_arguments: record.arguments.clone(),
            limits: record.limits.clone(),
            // What it was granted, with the values of now.
            grants: self.grants.only(&record.grants),
            logical_time: record.logical_time,
            partition: record.partition.clone(),
            seed: Some(seed),
            pipeline: None,
        };
        Ok((step, seed))
    }

    /// The component with a digest: a blob, or else the file that the record names.
    async fn component(&self, record: &Record, digest: Digest) -> Result<Ready, Fault> {
        let limits = &record.limits;
        let key = (digest, limits.fuel.is_some());
        // Held while it is compiled: the steps of a pipeline often share one.
        let mut all = self.ready.lock().await;
        if let Some(ready) = all.get(&key) {
            return Ok(ready.clone());
        }
        let wasm = self.wasm(record, digest).await?;
        let sandbox = &self.runner.sandbox;
        let opened = sandbox.open(wasm, digest, limits).await.map_err(refused)?;
        let signature = opened.description().signature.clone();
        let prepared = sandbox.prepare(opened, limits, |_| {}).await;
        let ready = Ready {
            component: Arc::new(prepared.map_err(refused)?),
            signature,
        };
        all.insert(key, ready.clone());
        Ok(ready)
    }

    async fn wasm(&self, record: &Record, digest: Digest) -> Result<Vec<u8>, Fault> {
        let content = Content {
            digest,
            size: record.step.size,
            files: None,
            chunks: None,
        };
        check_size(&record.limits, content.size)?;
        if self.from.has_blob(&content).await? {
            let wasm = self.from.open_blob(&content).await?.read().await?;
            return Ok(wasm.into());
        }
        let reference: StepReference = record.step.reference.parse().map_err(Fault::internal)?;
        let file = Arc::new(ComponentFile::open(&reference.path)?);
        check_size(&record.limits, file.size())?;
        if file.digest().await? != digest {
            return Err(changed("component", &reference.path));
        }
        file.read(digest)
    }

    /// An input in the new store: a blob of the old one, or else the file or folder
    /// that the record names.
    async fn input(&self, artifact: &Artifact) -> Result<StoredInput, Fault> {
        let content = artifact.content().ok_or_else(|| {
            let message = format!("the input `{}` was not hashed", artifact.name);
            Fault::new(ErrorKind::Input, message)
        })?;
        let to = &self.runner.store;
        let content = match self.from.has_blob(&content).await? {
            true => {
                to.copy_content(&self.from, &content, &|_| {}).await?;
                content
            }
            false => {
                let path = Path::new(&artifact.path);
                let put = transfer::put(to, path).await?;
                if put.digest != content.digest {
                    return Err(changed("input", path));
                }
                put
            }
        };
        Ok(StoredInput {
            content,
            from: artifact.path.clone(),
            origin: Origin::Put {
                path: artifact.path.clone(),
            },
            media_type: artifact.media_type.clone(),
            metadata: artifact.metadata.clone(),
        })
    }
}

/// What the parameters of a function were, in their order.
fn typed(
    function: &Function,
    record: &Record,
    mut inputs: BTreeMap<&str, Vec<StoredInput>>,
) -> Vec<(String, StoredArgument)> {
    let arguments = function.parameters.iter().map(|parameter| {
        let name = parameter.name.as_str();
        let argument = match &parameter.ty {
            ParameterType::Value { value } => {
                let given = record.parameters.get(name).cloned();
                StoredArgument::Value(value.clone(), given.unwrap_or(Json::Null))
            }
            ParameterType::Input { tree, arity } => {
                let given = inputs.remove(name).unwrap_or_default();
                match tree {
                    true => StoredArgument::InputTrees(*arity, given),
                    false => StoredArgument::Inputs(*arity, given),
                }
            }
            ParameterType::Output { tree } => StoredArgument::Output { tree: *tree },
        };
        (name.to_owned(), argument)
    });
    arguments.collect()
}

/// What a program was given, and what it made: only of one that succeeded is that
/// known.
fn program(
    record: &Record,
    inputs: BTreeMap<&str, Vec<StoredInput>>,
) -> Vec<(String, StoredArgument)> {
    let inputs = inputs.into_iter().map(|(name, given)| {
        let arity = match given.len() {
            1 => Arity::One,
            _ => Arity::Many,
        };
        let argument = match given.iter().any(|input| input.content.is_tree()) {
            true => StoredArgument::InputTrees(arity, given),
            false => StoredArgument::Inputs(arity, given),
        };
        (name.to_owned(), argument)
    });
    let outputs = record.outputs.iter().map(|output| {
        let tree = output.files.is_some();
        (output.name.clone(), StoredArgument::Output { tree })
    });
    inputs.chain(outputs).collect()
}

/// What is not the same in the record of the second run.
fn differences(before: &Record, now: &Record) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut compare = |what: String, before: String, now: String| {
        if before != now {
            differences.push(Difference { what, before, now });
        }
    };
    match (&before.outcome, &now.outcome) {
        (Outcome::Succeeded { results: before }, Outcome::Succeeded { results: now }) => {
            compare("results".to_owned(), before.to_string(), now.to_string());
        }
        (before, now) => compare("outcome".to_owned(), before.to_string(), now.to_string()),
    }
    if !now.outcome.is_success() {
        return differences;
    }
    let output = |record: &Record, name: &str| {
        let output = record.outputs.iter().find(|output| output.name == name);
        output.map_or_else(|| "nothing".to_owned(), shown)
    };
    let names = before.outputs.iter().chain(&now.outputs);
    let names: std::collections::BTreeSet<_> = names.map(|output| &output.name).collect();
    for name in names {
        compare(
            format!("output {name}"),
            output(before, name),
            output(now, name),
        );
    }
    differences
}

/// What an output is: its digest, and what is attached to it.
fn shown(output: &Artifact) -> String {
    let digest = output.digest;
    let mut shown = digest.map_or_else(|| "not hashed".to_owned(), |digest| digest.to_string());
    if let Some(media_type) = &output.media_type {
        shown += &format!(" {media_type}");
    }
    if !output.metadata.is_empty() {
        shown += &format!(" {}", Json::Object(output.metadata.clone()));
    }
    shown
}

/// Under what a second run is committed: it competes with no other.
fn own_key(id: &RunId) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(id.as_str().as_bytes());
    hasher.finish()
}

/// Whether a step cannot be run again, since something is no longer what it was.
const fn is_missing(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Input
            | ErrorKind::ComponentFile
            | ErrorKind::Corrupt
            | ErrorKind::NotAStep
            | ErrorKind::InvalidComponent
    )
}

fn check_size(limits: &Limits, size: u64) -> Result<(), Fault> {
    if size <= limits.component.0 {
        return Ok(());
    }
    let message = format!("the component is larger than {}", limits.component);
    Err(Fault::new(ErrorKind::InvalidComponent, message))
}

fn changed(what: &str, path: &Path) -> Fault {
    let message = format!("the {what} `{}` is not what it was", path.display());
    Fault::new(ErrorKind::Input, message)
}

fn refused(error: PrepareError) -> Fault {
    match error {
        PrepareError::Fault(fault) => fault,
        exceeded @ PrepareError::LimitExceeded { .. } => {
            Fault::new(ErrorKind::InvalidComponent, exceeded.to_string())
        }
    }
}
