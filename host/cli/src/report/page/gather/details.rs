//! What a record says, for reading.

use wharf_model::outcome::Outcome;
use wharf_model::pipeline_run::StepStatus;
use wharf_model::{Record, record};

use super::super::data::{Artifact, Details};
use super::super::limits::{self, cut, few};
use super::{time, values};
use crate::report::{bytes, duration};

/// How a run ended, in the terms of a pipeline.
pub(super) const fn status(outcome: &Outcome) -> StepStatus {
    match outcome {
        Outcome::Succeeded { .. } => StepStatus::Succeeded,
        Outcome::Failed { .. } | Outcome::Trapped { .. } | Outcome::LimitExceeded { .. } => {
            StepStatus::Failed
        }
        Outcome::Cancelled { .. } => StepStatus::Cancelled,
    }
}

/// What a record says.
pub(super) fn details(record: &Record) -> Details {
    let (inputs, more_inputs) = artifacts(&record.inputs);
    let (outputs, more_outputs) = artifacts(&record.outputs);
    let backtrace = match &record.outcome {
        Outcome::Trapped { backtrace, .. } => &backtrace[..backtrace.len().min(limits::VALUES)],
        _ => &[],
    };
    Details {
        facts: facts(record),
        results: results(&record.outcome),
        parameters: values(&record.parameters),
        inputs,
        outputs,
        left_out: more_inputs + more_outputs,
        signature: record
            .step
            .signature
            .as_ref()
            .map(|text| cut(text, limits::TEXT)),
        backtrace: backtrace
            .iter()
            .map(|line| cut(line, limits::NAME))
            .collect(),
    }
}

fn results(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Succeeded { results } if !results.is_null() => {
            Some(cut(&format!("{results:#}"), limits::TEXT))
        }
        _ => None,
    }
}

fn artifacts(all: &[record::Artifact]) -> (Vec<Artifact>, usize) {
    let (shown, left_out) = few(all.iter().collect(), limits::ARTIFACTS);
    (shown.into_iter().map(artifact).collect(), left_out)
}

fn artifact(artifact: &record::Artifact) -> Artifact {
    let files = artifact.files.map(|files| format!(" in {files} files"));
    let media_type = artifact.media_type.as_ref().map(|ty| format!(", {ty}"));
    let (size, files) = (bytes(artifact.size), files.unwrap_or_default());
    let size = format!("{size}{files}{}", media_type.unwrap_or_default());
    Artifact {
        name: cut(&artifact.name, limits::NAME),
        path: cut(&artifact.path, limits::NAME),
        size: cut(&size, limits::NAME),
        digest: artifact
            .digest
            .map(|digest| digest.to_string())
            .unwrap_or_default(),
    }
}

fn facts(record: &Record) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("run", record.id.to_string()),
        ("step", cut(&record.step.reference, limits::NAME)),
    ];
    let timings = &record.timings;
    let digest = record
        .step
        .digest
        .map(|digest| format!("{digest} ({})", bytes(record.step.size)));
    facts.extend(digest.map(|digest| ("component", digest)));
    if !record.arguments.is_empty() {
        facts.push(("arguments", cut(&record.arguments.join(" "), limits::LINE)));
    }
    let prepared = match timings.compiled_before {
        true => "load",
        false => "compile",
    };
    facts.push((
        "took",
        format!(
            "{} to {prepared}, {} to stage, {} to run, {} to publish",
            duration(timings.prepare_us),
            duration(timings.stage_us),
            duration(timings.invoke_us),
            duration(timings.publish_us)
        ),
    ));
    facts.push(("started", time(timings.started)));
    let usage = &record.usage;
    let fuel = usage
        .fuel
        .map(|fuel| format!(", {fuel} fuel"))
        .unwrap_or_default();
    facts.push((
        "used",
        format!(
            "{} memory{fuel}, {} output, {} log",
            bytes(usage.memory_bytes),
            bytes(usage.output_bytes),
            bytes(usage.log_bytes)
        ),
    ));
    let granted: Vec<_> = record.grants.iter().map(ToString::to_string).collect();
    let granted = if granted.is_empty() {
        "nothing".to_owned()
    } else {
        granted.join(", ")
    };
    facts.push(("granted", cut(&granted, limits::LINE)));
    if !record.deterministic {
        facts.push((
            "deterministic",
            "no: it may give something else each time".to_owned(),
        ));
    }
    facts.push(("logical time", record.logical_time.to_string()));
    let partition = record.partition.as_ref();
    facts.extend(partition.map(|partition| ("partition", cut(partition, limits::NAME))));
    facts.extend(record.seed.map(|seed| ("seed", seed.to_string())));
    facts.extend(record.key.map(|key| ("key", key.to_string())));
    facts.push(("host", cut(&record.host.to_string(), limits::NAME)));
    facts
}
