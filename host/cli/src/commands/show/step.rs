//! The record of the run of a step.

use wharf_model::event::Event;
use wharf_model::record::{Artifact, Step};
use wharf_model::{Digest, Fault, Outcome, Record};

use super::Lines;
use crate::report::{bytes, duration, events, inert, plain};

pub(super) fn as_json(record: &Record, events: &[Event]) -> Result<String, Fault> {
    let mut text = serde_json::to_string(record).map_err(Fault::internal)? + "\n";
    for event in events {
        text += &(serde_json::to_string(event).map_err(Fault::internal)? + "\n");
    }
    Ok(text)
}

pub(super) fn as_text(record: &Record, logged: &[Event]) -> String {
    let mut lines = Lines::default();
    let mut line = |name: &str, value: &str| lines.add(name, value);
    line("run", record.id.as_str());
    line("outcome", &record.outcome.to_string());
    if let Outcome::Trapped { backtrace, .. } = &record.outcome {
        backtrace
            .iter()
            .for_each(|frame| line("", &format!("  in {frame}")));
    }
    if let Outcome::Succeeded { results } = &record.outcome
        && !results.is_null()
    {
        line("results", &inert(format!("{results:#}")));
    }
    line("step", &plain(&record.step.reference));
    line("digest", &digest_line(&record.step));
    if let Some(signature) = &record.step.signature {
        line("signature", signature);
    }
    record
        .parameters
        .iter()
        .for_each(|(name, value)| line("parameter", &inert(format!("{name} = {value}"))));
    if !record.arguments.is_empty() {
        line("arguments", &plain(&record.arguments.join(" ")));
    }
    record
        .inputs
        .iter()
        .for_each(|artifact| line("input", &artifact_line(artifact)));
    record
        .outputs
        .iter()
        .for_each(|artifact| line("output", &artifact_line(artifact)));
    let grants: Vec<_> = record.grants.iter().map(ToString::to_string).collect();
    line(
        "granted",
        if grants.is_empty() {
            "nothing".to_owned()
        } else {
            grants.join(", ")
        }
        .as_str(),
    );
    line("logical time", &record.logical_time.to_string());
    if let Some(partition) = &record.partition {
        line("partition", partition);
    }
    if let Some(seed) = record.seed {
        line("seed", &seed.to_string());
    }
    if let Some(key) = record.key {
        line(
            "key",
            &format!(
                "{key}{}",
                if record.deterministic {
                    ""
                } else {
                    " (not deterministic)"
                }
            ),
        );
    }
    line("limits", &limits_line(record));
    line("used", &used_line(record));
    line("took", &took_line(record));
    line("host", &record.host.to_string());
    logged
        .iter()
        .filter_map(events::line)
        .for_each(|event| line("log", &event));
    lines.text()
}

fn shown(digest: Option<Digest>) -> String {
    digest.map_or_else(|| "not hashed".to_owned(), |digest| digest.to_string())
}

fn digest_line(step: &Step) -> String {
    format!("{} ({})", shown(step.digest), bytes(step.size))
}

fn artifact_line(artifact: &Artifact) -> String {
    let digest = shown(artifact.digest);
    let files = artifact
        .files
        .map(|files| format!(" in {files} files"))
        .unwrap_or_default();
    let media_type = artifact
        .media_type
        .as_ref()
        .map(|ty| format!(" {ty}"))
        .unwrap_or_default();
    let size = bytes(artifact.size);
    // An output that is kept in the store has no path.
    let path = match artifact.path.is_empty() {
        true => String::new(),
        false => format!(" = {}", plain(&artifact.path)),
    };
    format!(
        "{}{path}\n{size}{files}{media_type} {digest}",
        artifact.name
    )
}

fn limits_line(record: &Record) -> String {
    let limits = &record.limits;
    let fuel = limits
        .fuel
        .map(|fuel| format!(", {fuel} fuel"))
        .unwrap_or_default();
    format!(
        "{} memory, {} time{fuel}, {} output, {} log, {} handles",
        limits.memory, limits.time, limits.output, limits.log, limits.handles
    )
}

fn used_line(record: &Record) -> String {
    let usage = &record.usage;
    let fuel = usage
        .fuel
        .map(|fuel| format!(", {fuel} fuel"))
        .unwrap_or_default();
    let (memory, output, log) = (
        bytes(usage.memory_bytes),
        bytes(usage.output_bytes),
        bytes(usage.log_bytes),
    );
    format!("{memory} memory{fuel}, {output} output, {log} log")
}

fn took_line(record: &Record) -> String {
    let timings = &record.timings;
    let compiled = if timings.compiled_before {
        "load"
    } else {
        "compile"
    };
    format!(
        "{} to {compiled}, {} to stage, {} to run, {} to publish; started {}",
        duration(timings.prepare_us),
        duration(timings.stage_us),
        duration(timings.invoke_us),
        duration(timings.publish_us),
        timings.started.strftime("%Y-%m-%d %H:%M:%S UTC"),
    )
}
