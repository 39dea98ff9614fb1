//! Kubeflow Pipelines: what it hands to a task (`{{$}}`, the `ExecutorInput` of its
//! protocol), and the files that it reads when the task has ended.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value as Json, json};
use wharf_model::Fault;

use super::{Ending, Environment, Surroundings, Telling, malformed, write};
use crate::args::step::Orchestrator;

pub(super) fn is_here(environment: Environment<'_>) -> bool {
    environment.has("KFP_POD_NAME")
}

/// What is used of an `ExecutorInput`; there is more in it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ExecutorInput {
    inputs: Inputs,
    outputs: Outputs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Inputs {
    parameter_values: BTreeMap<String, Json>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Outputs {
    parameters: BTreeMap<String, OutputParameter>,
    artifacts: BTreeMap<String, OutputArtifacts>,
    output_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OutputParameter {
    output_file: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OutputArtifacts {
    artifacts: Vec<RuntimeArtifact>,
}

/// An artifact as it is handed over. Its place is Kubeflow's own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RuntimeArtifact {
    name: String,
    uri: String,
}

pub(super) fn read(
    environment: Environment<'_>,
    input: Option<&str>,
    found: &mut Surroundings,
) -> Result<(), Fault> {
    found.orchestrator = Some(Orchestrator::Kfp);
    found.attempt = environment.count("KFP_RETRY_INDEX", 0)?;
    if let Some(input) = input {
        let input: ExecutorInput = serde_json::from_str(input)
            .map_err(|error| malformed("--executor-input", &error.to_string()))?;
        found.parameters = input.inputs.parameter_values;
        found.telling.push(Box::new(Executor(input.outputs)));
    }
    Ok(())
}

/// The files of a task's outputs.
#[derive(Debug)]
struct Executor(Outputs);

impl Telling for Executor {
    fn ends(&mut self, ending: &Ending) -> Result<(), Fault> {
        if !ending.status.is_good()
            && ending.status != wharf_model::pipeline_run::StepStatus::Skipped
        {
            return Ok(());
        }
        let mut parameters = serde_json::Map::new();
        for (name, parameter) in &self.0.parameters {
            let value = match &**name {
                "results" => ending.results(),
                "status" => ending.status.name().to_owned(),
                _ => continue,
            };
            write(&parameter.output_file, &value)?;
            parameters.insert(name.clone(), value.into());
        }
        let Some(file) = &self.0.output_file else {
            return Ok(());
        };
        let artifacts = self.0.artifacts.iter().map(|(name, artifacts)| {
            let theirs = artifacts.artifacts.first().cloned().unwrap_or_default();
            let output = ending.outputs.iter().find(|(own, _)| same_name(own, name));
            // Of a step that was skipped there is none, and the next task is given one.
            let metadata = output.map(|(_, output)| {
                json!({
                    "wharf_uri": output.uri,
                    "digest": output.digest.to_string(),
                    "size": output.size,
                    "media_type": output.media_type,
                })
            });
            let artifact = json!({
                "name": theirs.name,
                "uri": theirs.uri,
                "metadata": metadata.unwrap_or_else(|| json!({"status": ending.status.name()})),
            });
            (name.clone(), json!({"artifacts": [artifact]}))
        });
        let artifacts: serde_json::Map<String, Json> = artifacts.collect();
        let text = json!({"parameterValues": parameters, "artifacts": artifacts});
        write(file, &text.to_string())
    }
}

/// Whether a name of KFP, which has no `-`, is that of an output.
fn same_name(own: &str, theirs: &str) -> bool {
    let own = own.replace('-', "_");
    own == theirs || theirs.strip_suffix('_') == Some(&own)
}
