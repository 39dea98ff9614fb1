//! Dagster, through Pipes 0.1: what it hands to a process, and the messages that it reads.
//!
//! The protocol: two variables hold JSON, compressed with zlib and written in Base64. One
//! says where the context is, the other where messages go, each a line of JSON.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use wharf_model::Fault;
use wharf_model::event::Level;

use super::{Ending, Environment, Surroundings, Telling, malformed};
use crate::args::step::Orchestrator;

const CONTEXT: &str = "DAGSTER_PIPES_CONTEXT";
const MESSAGES: &str = "DAGSTER_PIPES_MESSAGES";
/// Most bytes of what is handed over, once it is not compressed.
const MOST: u64 = 16 << 20;

pub(super) fn is_here(environment: Environment<'_>) -> bool {
    environment.has(CONTEXT)
}

/// Where something is: in a file, or here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Params {
    path: Option<PathBuf>,
    data: Option<Json>,
    stdio: Option<String>,
}

/// What is used of a context; there is more in it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Context {
    run_id: Option<String>,
    retry_number: Option<u32>,
    partition_key: Option<String>,
    asset_keys: Option<Vec<String>>,
}

pub(super) fn read(environment: Environment<'_>, found: &mut Surroundings) -> Result<(), Fault> {
    found.orchestrator = Some(Orchestrator::Dagster);
    let params: Params = decoded(environment, CONTEXT)?;
    let context: Context = match (params.path, params.data) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| malformed(CONTEXT, &format!("{}: {error}", path.display())))?;
            serde_json::from_str(&text)
        }
        (None, Some(data)) => serde_json::from_value(data),
        (None, None) => return Err(malformed(CONTEXT, "it has neither `path` nor `data`")),
    }
    .map_err(|error| malformed(CONTEXT, &error.to_string()))?;
    found.run = context.run_id;
    found.attempt = context.retry_number.map(|retry| retry.saturating_add(1));
    found.partition = context.partition_key;
    if environment.has(MESSAGES) {
        let params: Params = decoded(environment, MESSAGES)?;
        let channel = channel(&params)?;
        let asset = context.asset_keys.unwrap_or_default();
        found.telling.push(Box::new(Pipes {
            channel,
            assets: asset,
        }));
    }
    Ok(())
}

/// What a variable holds.
fn decoded(environment: Environment<'_>, name: &str) -> Result<Params, Fault> {
    let text = environment.get(name)?;
    let text = text.ok_or_else(|| malformed(name, "it is missing"))?;
    let bytes = STANDARD.decode(text.trim());
    let bytes = bytes.map_err(|_| malformed(name, "it is not Base64"))?;
    let mut json = String::new();
    let read = flate2::read::ZlibDecoder::new(&*bytes)
        .take(MOST)
        .read_to_string(&mut json);
    read.map_err(|_| malformed(name, "it is not compressed text"))?;
    serde_json::from_str(&json).map_err(|error| malformed(name, &error.to_string()))
}

fn channel(params: &Params) -> Result<Channel, Fault> {
    match (&params.path, params.stdio.as_deref()) {
        (Some(path), _) => {
            let file = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path);
            let file = file.map_err(|error| Fault::io("write", path, &error))?;
            Ok(Channel::File(file))
        }
        (None, Some("stderr")) => Ok(Channel::Stderr),
        (None, Some("stdout")) => {
            let why = "messages on standard output, where a step's results go; use a file";
            Err(malformed(MESSAGES, why))
        }
        _ => Err(malformed(MESSAGES, "it has neither `path` nor `stdio`")),
    }
}

#[derive(Debug)]
enum Channel {
    File(File),
    Stderr,
}

#[derive(Debug)]
struct Pipes {
    channel: Channel,
    assets: Vec<String>,
}

impl Pipes {
    fn send(&mut self, method: &str, params: &Json) -> Result<(), Fault> {
        let message = json!({
            "__dagster_pipes_version": "0.1",
            "method": method,
            "params": params,
        });
        let line = format!("{message}\n");
        match &mut self.channel {
            Channel::File(file) => file.write_all(line.as_bytes()).map_err(|error| {
                Fault::new(
                    wharf_model::ErrorKind::Io,
                    format!("cannot tell Dagster anything: {error}"),
                )
            }),
            Channel::Stderr => {
                crate::report::err(line.trim_end());
                Ok(())
            }
        }
    }

    /// What Dagster can do without.
    fn try_to_send(&mut self, method: &str, params: &Json) {
        if let Err(fault) = self.send(method, params) {
            tracing::debug!(%fault, "Dagster is not told");
        }
    }
}

impl Telling for Pipes {
    fn begins(&mut self) -> Result<(), Fault> {
        self.send("opened", &json!({}))
    }

    fn says(&mut self, level: Level, message: &str) {
        let level = match level {
            Level::Error => "ERROR",
            Level::Warn => "WARNING",
            Level::Info => "INFO",
            Level::Debug | Level::Trace => "DEBUG",
        };
        self.try_to_send("log", &json!({"message": message, "level": level}));
    }

    fn ends(&mut self, ending: &Ending) -> Result<(), Fault> {
        if ending.status.is_good() {
            for asset in self.assets.clone() {
                self.send(
                    "report_asset_materialization",
                    &materialization(&asset, ending),
                )?;
            }
            return self.send("closed", &json!({}));
        }
        if ending.status == wharf_model::pipeline_run::StepStatus::Skipped {
            self.says(Level::Info, &format!("skipped: {}", ending.reason()));
            return self.send("closed", &json!({}));
        }
        self.fails(&format!("{}: {}", ending.title(), ending.reason()));
        Ok(())
    }

    fn fails(&mut self, message: &str) {
        let exception = json!({
            "message": message,
            "stack": [],
            "name": null,
            "cause": null,
            "context": null,
        });
        self.try_to_send("log", &json!({"message": message, "level": "ERROR"}));
        self.try_to_send("closed", &json!({"exception": exception}));
    }
}

/// That an asset was made: its version is what identifies what was made.
fn materialization(asset: &str, ending: &Ending) -> Json {
    let text = |raw: String| json!({"raw_value": raw, "type": "text"});
    let mut metadata = serde_json::Map::new();
    if !ending.results.is_null() {
        let results = json!({"raw_value": ending.results, "type": "json"});
        let is_fit = ending.results.is_object() || ending.results.is_array();
        let results = match is_fit {
            true => results,
            false => text(ending.results()),
        };
        metadata.insert("results".to_owned(), results);
    }
    for (name, output) in &ending.outputs {
        metadata.insert(name.clone(), text(output.uri.clone()));
        metadata.insert(format!("{name}_digest"), text(output.digest.to_string()));
        let size = json!({"raw_value": output.size, "type": "int"});
        metadata.insert(format!("{name}_size"), size);
    }
    metadata.insert("status".to_owned(), text(ending.status.name().to_owned()));
    metadata.insert("wharf_run".to_owned(), text(ending.run.to_string()));
    json!({
        "asset_key": asset,
        "metadata": metadata,
        "data_version": ending.commit.map(|commit| commit.to_string()),
    })
}
