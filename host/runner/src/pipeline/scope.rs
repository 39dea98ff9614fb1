//! What the expressions of a step refer to, in a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;
use wharf_model::artifact::ArtifactReference;
use wharf_model::pipeline::{Scope, Slice, Value};
use wharf_model::pipeline_run::StepStatus;
use wharf_model::plan::Shape;
use wharf_model::{Digest, Fault, Outcome, Record};

use super::files::Files;
use crate::stored::StoredInput;

/// An artifact, as far as it is known. Files and named artifacts are looked up when a
/// step needs them.
#[derive(Clone, Debug, PartialEq)]
pub enum Handle {
    /// It is in the store.
    Stored(Arc<StoredInput>),
    /// A version of a named artifact.
    Named(ArtifactReference),
    /// A file or folder of this machine.
    Path(PathBuf, Shape),
}

/// What is known of a step that has ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepState {
    pub(crate) status: Option<StepStatus>,
    /// Its results; of a step with `foreach`, a list.
    pub(crate) results: Json,
    /// Its outputs: one artifact, or one for each item.
    pub(crate) outputs: BTreeMap<String, Vec<Handle>>,
}

impl StepState {
    fn is_good(&self) -> bool {
        self.status.is_some_and(StepStatus::is_good)
    }

    /// Takes what a step has made: a record and the key of its commit, or one for each
    /// item of its list, in order.
    pub(crate) fn made(&mut self, made: impl IntoIterator<Item = (Record, Digest)>, is_each: bool) {
        let mut results = Vec::new();
        for (record, commit) in made {
            let run = record.pipeline.as_ref().map_or(&record.id, |of| &of.run);
            for output in &record.outputs {
                let step = &record.step.name;
                let partition = record.partition.as_deref();
                if let Some(input) = StoredInput::of_output(output, step, run, partition, commit) {
                    let made = self.outputs.entry(output.name.clone()).or_default();
                    made.push(Handle::Stored(Arc::new(input)));
                }
            }
            if let Outcome::Succeeded { results: one } = record.outcome {
                results.push(one);
            }
        }
        self.results = match is_each {
            true => Json::Array(results),
            false => results.pop().unwrap_or_default(),
        };
    }
}

/// The scope of one step, or of one of its items.
#[derive(Clone, Copy)]
pub(crate) struct RunScope<'a> {
    pub(crate) parameters: &'a BTreeMap<String, Value<Handle>>,
    pub(crate) steps: &'a [StepState],
    pub(crate) slice: Option<&'a Slice>,
    /// The files that the pipeline names.
    pub(crate) files: &'a Files,
    pub(crate) item: Option<&'a Value<Handle>>,
    /// The step itself, once it has succeeded.
    pub(crate) own: Option<&'a StepState>,
}

impl Scope for RunScope<'_> {
    type Artifact = Handle;

    fn parameter(&self, name: &str) -> Option<&Value<Handle>> {
        self.parameters.get(name)
    }

    fn results(&self, step: usize) -> Option<&Json> {
        let state = self.steps.get(step).filter(|state| state.is_good());
        state.map(|state| &state.results)
    }

    fn outputs(&self, step: usize, output: &str) -> Option<&[Handle]> {
        let state = self.steps.get(step).filter(|state| state.is_good())?;
        Some(state.outputs.get(output).map_or(&[], Vec::as_slice))
    }

    fn own_outputs(&self, output: &str) -> Option<&[Handle]> {
        self.own?.outputs.get(output).map(Vec::as_slice)
    }

    fn item(&self) -> Option<&Value<Handle>> {
        self.item
    }

    fn partition(&self) -> Option<&Slice> {
        self.slice
    }

    fn artifact(&self, reference: &ArtifactReference) -> Result<Handle, Fault> {
        Ok(Handle::Named(reference.clone()))
    }

    fn path(&self, path: &Path, shape: Shape) -> Result<Handle, Fault> {
        self.files.handle(path, shape)
    }
}
