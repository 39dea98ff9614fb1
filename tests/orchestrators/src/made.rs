//! What a run has made, as its store has it.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value as Json, json};

use crate::Project;

/// What each step of a run has made, by `STEP` or `STEP[ITEM]`: the key, results and
/// digests of outputs of what was committed, or that it was skipped.
pub type Made = BTreeMap<String, Json>;

/// What the newest run has made.
///
/// # Errors
/// Where there is none, or it cannot be read.
pub fn newest(project: &Project) -> Result<Made> {
    of_run(project, "last")
}

/// What each run of the store has made that has a partition, by partition; of several runs
/// for one, the newest.
///
/// # Errors
/// Where the store cannot be read.
pub fn by_partition(project: &Project) -> Result<BTreeMap<String, Made>> {
    let runs = project.print(&["runs", "--json", "-n", "1000"])?;
    let mut made = BTreeMap::new();
    for line in runs.lines() {
        let run: Json = serde_json::from_str(line)?;
        let (Some(id), Some(partition)) = (run["id"].as_str(), run["partition"].as_str()) else {
            continue;
        };
        if !made.contains_key(partition) {
            made.insert(partition.to_owned(), of_run(project, id)?);
        }
    }
    Ok(made)
}

/// What a run has made.
///
/// # Errors
/// Where it cannot be read.
pub fn of_run(project: &Project, run: &str) -> Result<Made> {
    let shown = project.json(&["show", run, "--json"])?;
    let steps = shown["ended"]["steps"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut made = Made::new();
    for end in steps {
        let step = end["step"].as_str().unwrap_or_default();
        let of = match end["item"].as_u64() {
            Some(item) => format!("{step}[{item}]"),
            None => step.to_owned(),
        };
        let what = match (end["commit"].is_null(), end["status"].as_str()) {
            (true, Some("succeeded" | "cached")) => json!("published"),
            (true, status) => json!(status),
            (false, _) => committed(project, &format!("{run}/{of}"))?,
        };
        made.insert(of, what);
    }
    Ok(made)
}

fn committed(project: &Project, step: &str) -> Result<Json> {
    let record = project.json(&["show", step, "--json"])?;
    let outputs = record["outputs"].as_array().cloned().unwrap_or_default();
    let outputs: BTreeMap<String, Json> = outputs
        .iter()
        .map(|output| {
            let name = output["name"].as_str().unwrap_or_default();
            (name.to_owned(), output["digest"].clone())
        })
        .collect();
    Ok(json!({
        "key": record["key"],
        "results": record["outcome"]["results"],
        "outputs": outputs,
    }))
}
