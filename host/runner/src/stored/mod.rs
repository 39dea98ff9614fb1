//! Steps whose artifacts are in the store, as pipelines run them.
//!
//! ```text
//! StoredStep -> key -> commit found? -> stage -> invoke -> blobs -> commit
//! ```
//!
//! All that the result depends on is known before the step runs, so that its key is,
//! too. What it makes becomes blobs; the commit makes them count.

mod output;
mod run;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use wharf_model::artifact::Origin;
use wharf_model::key::{KeyInput, KeyParts};
use wharf_model::record::{Artifact, PipelineStep, RunId};
use wharf_model::signature::{Arity, Function};
use wharf_model::value_type::ValueType;
use wharf_model::{Content, Digest, Fault, Grants, Limits};
use wharf_sandbox::Component;

pub use run::{Attempt, Guests, StepRunner, Told};

/// A step with all that it is given.
#[derive(Clone, Debug)]
pub struct StoredStep {
    /// What it runs.
    pub code: StepCode,
    /// How the step was asked for.
    pub reference: String,
    /// The name that the step goes by.
    pub name: String,
    /// The function to call; `None` for a program.
    pub function: Option<Arc<Function>>,
    /// What the parameters are, in the order of the signature; of a program, its
    /// inputs and outputs.
    pub arguments: Vec<(String, StoredArgument)>,
    /// Arguments of a program, after its name.
    pub program_arguments: Vec<String>,
    /// What bounds the run.
    pub limits: Limits,
    /// What the run is allowed.
    pub grants: Grants,
    /// Where the virtual clock starts.
    pub logical_time: Timestamp,
    /// The partition that the run is for.
    pub partition: Option<String>,
    /// The seed, where one was given.
    pub seed: Option<u64>,
    /// The pipeline that it belongs to.
    pub pipeline: Option<PipelineStep>,
}

/// The component of a step: ready to run, or known by its digest, which is all that is
/// needed to find what it has made.
#[derive(Clone, Debug)]
pub struct StepCode {
    /// The digest of the component.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    component: Option<Arc<Component>>,
}

impl StepCode {
    /// A component that is ready.
    #[must_use]
    pub fn ready(component: &Arc<Component>) -> Self {
        Self {
            digest: component.digest(),
            size: component.size(),
            component: Some(component.clone()),
        }
    }

    /// A component that cannot be run here.
    #[must_use]
    pub const fn known(content: &Content) -> Self {
        Self {
            digest: content.digest,
            size: content.size,
            component: None,
        }
    }

    pub(crate) fn component(&self) -> Result<&Arc<Component>, Fault> {
        let component = self.component.as_ref();
        component
            .ok_or_else(|| Fault::internal(format!("the component {} is not ready", self.digest)))
    }
}

/// What a parameter is.
#[derive(Clone, Debug)]
pub enum StoredArgument {
    /// A value that fits its type, in canonical form.
    Value(ValueType, Json),
    /// Artifacts to read.
    Inputs(Arity, Vec<StoredInput>),
    /// Trees to read.
    InputTrees(Arity, Vec<StoredInput>),
    /// An artifact to write.
    Output {
        /// Whether it is a tree; of a program, whether it must be one.
        tree: bool,
    },
}

/// An artifact that a step is given.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredInput {
    /// What it is.
    pub content: Content,
    /// Where it comes from, for people to read.
    pub from: String,
    /// Where it comes from, for the history of artifacts.
    pub origin: Origin,
    /// Its media type.
    pub media_type: Option<String>,
    /// What is attached to it.
    pub metadata: Map<String, Json>,
}

impl StoredInput {
    /// An output of a step that was committed in the run of a pipeline.
    #[must_use]
    pub fn of_output(
        output: &Artifact,
        step: &str,
        run: &RunId,
        partition: Option<&str>,
        commit: Digest,
    ) -> Option<Self> {
        Some(Self {
            content: output.content()?,
            from: format!("steps.{step}.outputs.{}", output.name),
            origin: Origin::Step {
                run: run.clone(),
                step: step.to_owned(),
                output: output.name.clone(),
                commit,
                partition: partition.map(str::to_owned),
            },
            media_type: output.media_type.clone(),
            metadata: output.metadata.clone(),
        })
    }
}

impl StoredStep {
    /// The seed of the run, and what identifies its result.
    #[must_use]
    pub fn key(&self) -> (u64, Digest) {
        let parts = self.key_parts();
        let seed = self.seed.unwrap_or_else(|| parts.derive_seed());
        (seed, parts.key(seed))
    }

    fn key_parts(&self) -> KeyParts {
        let is_program = self.function.is_none();
        let mut inputs: BTreeMap<String, Vec<KeyInput>> = BTreeMap::new();
        let mut outputs = BTreeMap::new();
        for (name, argument) in &self.arguments {
            match argument {
                StoredArgument::Value(..) => {}
                StoredArgument::Inputs(_, given) | StoredArgument::InputTrees(_, given) => {
                    if !given.is_empty() {
                        let given = given.iter().map(|input| key_input(input, is_program));
                        inputs.insert(name.clone(), given.collect());
                    }
                }
                StoredArgument::Output { tree } if self.function.is_none() => {
                    outputs.insert(name.clone(), *tree);
                }
                StoredArgument::Output { .. } => {}
            }
        }
        KeyParts {
            step: self.code.digest,
            function: self.function.as_ref().map(|function| function.name.clone()),
            step_name: self.name.clone(),
            parameters: self.values(),
            arguments: self.program_arguments.clone(),
            inputs,
            outputs,
            logical_time: self.logical_time,
            partition: self.partition.clone(),
            clock: self.grants.clock,
            entropy: self.grants.entropy,
            env: self.grants.env.clone(),
        }
    }

    /// The values of the parameters, by name.
    pub(crate) fn values(&self) -> Map<String, Json> {
        let values = self
            .arguments
            .iter()
            .filter_map(|(name, argument)| match argument {
                StoredArgument::Value(_, json) => Some((name.clone(), json.clone())),
                _ => None,
            });
        values.collect()
    }

    /// The inputs, for the record.
    pub(crate) fn inputs(&self) -> Vec<Artifact> {
        let all = self
            .arguments
            .iter()
            .filter_map(|(name, argument)| match argument {
                StoredArgument::Inputs(_, given) | StoredArgument::InputTrees(_, given) => {
                    Some(given.iter().map(move |input| artifact(name, input)))
                }
                StoredArgument::Value(..) | StoredArgument::Output { .. } => None,
            });
        all.flatten().collect()
    }
}

/// An input as the key has it. A program sees a file, and nothing that is attached.
fn key_input(input: &StoredInput, is_program: bool) -> KeyInput {
    let file = input.content.digest;
    let is_plain = input.media_type.is_none() && input.metadata.is_empty();
    match input.content.is_tree() {
        true => KeyInput::Tree(file),
        false if is_program || is_plain => KeyInput::File(file),
        false => KeyInput::Described {
            file,
            media_type: input.media_type.clone(),
            metadata: input.metadata.clone(),
        },
    }
}

fn artifact(name: &str, input: &StoredInput) -> Artifact {
    let Content {
        digest,
        size,
        files,
        chunks,
    } = input.content;
    Artifact {
        name: name.to_owned(),
        path: input.from.clone(),
        digest: Some(digest),
        size,
        files,
        commit: input.origin.commit(),
        chunks,
        media_type: input.media_type.clone(),
        metadata: input.metadata.clone(),
    }
}
