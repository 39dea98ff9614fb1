//! What each orchestrator says, and is told: with an environment and a file system of the
//! test's own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use wharf_model::event::Level;
use wharf_model::pipeline_run::StepStatus;

use super::{Ending, Environment, Output, Surroundings, detect};
use crate::args::step::Orchestrator;

/// What is detected with some variables.
fn detected(root: &Path, variables: &[(&str, &str)]) -> Result<Surroundings, String> {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    let variable = |name: &str| variables.get(name).map(OsString::from);
    let environment = Environment {
        variable: &variable,
        root,
    };
    detect(environment, None, None).map_err(|fault| fault.to_string())
}

fn ending(status: StepStatus, message: Option<&str>) -> Ending {
    let digest = wharf_model::Digest::of(b"model");
    let output = Output {
        uri: "s3://bucket/blobs/x".to_owned(),
        digest,
        size: 3,
        files: None,
        media_type: None,
    };
    Ending {
        format: super::ENDING_FORMAT,
        run: "run".parse().unwrap(),
        step: "train".to_owned(),
        item: None,
        status,
        retryable: false,
        message: message.map(str::to_owned),
        commit: Some(digest),
        results: json!({"loss": 0.5}),
        outputs: [("model".to_owned(), output)].into(),
        published: vec![],
    }
}

fn root() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn nothing_is_nothing() {
    let root = root();
    let found = detected(root.path(), &[("HOME", "/x"), ("AIRFLOW_CTX_DAG_ID", "")]).unwrap();
    assert_eq!(found.orchestrator, None);
    assert!(found.telling.is_empty());
}

#[test]
fn airflow_in_a_pod_gets_what_a_step_returns() {
    let root = root();
    fs::create_dir_all(root.path().join("airflow/xcom")).unwrap();
    let variables = [
        ("AIRFLOW_CTX_DAG_ID", "d"),
        ("AIRFLOW_CTX_DAG_RUN_ID", "manual__1"),
        ("AIRFLOW_CTX_TRY_NUMBER", "3"),
        ("AIRFLOW_CTX_LOGICAL_DATE", "2013-01-01T00:00:00+00:00"),
    ];
    let mut found = detected(root.path(), &variables).unwrap();
    assert_eq!(found.orchestrator, Some(Orchestrator::Airflow));
    assert_eq!(
        (found.run.as_deref(), found.attempt),
        (Some("manual__1"), Some(3))
    );
    assert_eq!(
        found.logical_date.unwrap().to_string(),
        "2013-01-01T00:00:00Z"
    );
    found
        .teller()
        .ends(&ending(StepStatus::Succeeded, None))
        .unwrap();
    let xcom = fs::read_to_string(root.path().join("airflow/xcom/return.json")).unwrap();
    assert_eq!(xcom, r#"{"loss":0.5}"#);
}

#[test]
fn argo_says_until_when_and_is_told_how_far() {
    let root = root();
    let file = root.path().join("progress");
    let variables = [
        ("ARGO_TEMPLATE", r#"{"name": "train"}"#),
        ("ARGO_WORKFLOW_NAME", "promote-x"),
        ("ARGO_DEADLINE", "2030-01-01T00:00:00Z"),
        ("ARGO_PROGRESS_FILE", file.to_str().unwrap()),
    ];
    let mut found = detected(root.path(), &variables).unwrap();
    assert_eq!(found.run.as_deref(), Some("promote-x"));
    assert_eq!(found.deadline.unwrap().to_string(), "2030-01-01T00:00:00Z");
    let mut teller = found.teller();
    teller.has_done(5, None);
    assert!(!file.exists());
    teller.has_done(5, Some(20));
    assert_eq!(fs::read_to_string(&file).unwrap(), "5/20\n");
    teller.ends(&ending(StepStatus::Succeeded, None)).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "100/100\n");
    // No deadline is the beginning of time.
    let none = [
        ("ARGO_NODE_ID", "a"),
        ("ARGO_DEADLINE", "0001-01-01T00:00:00Z"),
    ];
    assert_eq!(detected(root.path(), &none).unwrap().deadline, None);
}

#[test]
fn a_pod_ends_with_a_message_of_at_most_4_kib() {
    let root = root();
    let file = root.path().join("dev/termination-log");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "").unwrap();
    let mut teller = detected(root.path(), &[]).unwrap().teller();
    teller.ends(&ending(StepStatus::Succeeded, None)).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "");
    let long = "ü".repeat(4096);
    teller
        .ends(&ending(StepStatus::Failed, Some(&long)))
        .unwrap();
    let told = fs::read_to_string(&file).unwrap();
    assert!(told.starts_with("train: üü") && told.len() <= 4096);
    teller.fails("no store");
    assert_eq!(fs::read_to_string(&file).unwrap(), "no store");
}

#[test]
fn tekton_gets_results() {
    let root = root();
    let folder = root.path().join("tekton/results");
    fs::create_dir_all(&folder).unwrap();
    let mut teller = detected(root.path(), &[]).unwrap().teller();
    teller
        .ends(&ending(StepStatus::Skipped, Some("its condition is false")))
        .unwrap();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(
        (read("status"), read("results")),
        ("skipped".into(), r#"{"loss":0.5}"#.into())
    );
    teller.counts("[0,1]").unwrap();
    assert_eq!(read("results"), "[0,1]");
}

#[test]
fn github_shows_text_as_text() {
    let root = root();
    let (output, summary) = (root.path().join("o"), root.path().join("s"));
    let variables = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_RUN_ID", "7"),
        ("GITHUB_RUN_ATTEMPT", "2"),
        ("GITHUB_OUTPUT", output.to_str().unwrap()),
        ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
    ];
    let mut found = detected(root.path(), &variables).unwrap();
    assert_eq!((found.run.as_deref(), found.attempt), (Some("7"), Some(2)));
    let hostile = "a ``` b\n# big";
    let mut teller = found.teller();
    teller
        .ends(&ending(StepStatus::Failed, Some(hostile)))
        .unwrap();
    let shown = fs::read_to_string(&summary).unwrap();
    assert!(shown.contains("````text\na ``` b\n# big\n````"), "{shown}");
    assert_eq!(
        fs::read_to_string(&output).unwrap(),
        "results={\"loss\":0.5}\nstatus=failed\n"
    );
}

/// What Dagster hands over: JSON, compressed, in Base64.
fn encoded(json: &Json) -> String {
    use base64::Engine;
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(json.to_string().as_bytes()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(encoder.finish().unwrap())
}

#[test]
fn dagster_is_told_in_messages_of_pipes() {
    let root = root();
    let file = root.path().join("messages");
    let context = json!({"data": {
        "run_id": "r", "retry_number": 1, "partition_key": "2013-01", "asset_keys": ["promote/train"],
    }});
    let (context, messages) = (encoded(&context), encoded(&json!({"path": file})));
    let variables = [
        ("DAGSTER_PIPES_CONTEXT", context.as_str()),
        ("DAGSTER_PIPES_MESSAGES", messages.as_str()),
    ];
    let mut found = detected(root.path(), &variables).unwrap();
    assert_eq!(
        (found.attempt, found.partition.as_deref()),
        (Some(2), Some("2013-01"))
    );
    let mut teller = found.teller();
    teller.begins().unwrap();
    teller.says(Level::Warn, "careful");
    teller.ends(&ending(StepStatus::Succeeded, None)).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let told: Vec<Json> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let methods: Vec<&str> = told
        .iter()
        .map(|it| it["method"].as_str().unwrap())
        .collect();
    assert_eq!(
        methods,
        ["opened", "log", "report_asset_materialization", "closed"]
    );
    assert!(told.iter().all(|it| it["__dagster_pipes_version"] == "0.1"));
    assert_eq!(
        told[1]["params"],
        json!({"message": "careful", "level": "WARNING"})
    );
    assert_eq!(told[2]["params"]["asset_key"], "promote/train");
    assert_eq!(
        told[2]["params"]["metadata"]["model_size"],
        json!({"raw_value": 3, "type": "int"})
    );
    let mut teller = detected(root.path(), &variables).unwrap().teller();
    teller
        .ends(&ending(StepStatus::Failed, Some("boom")))
        .unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let last: Json = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["params"]["exception"]["message"], "train: boom");
}

#[test]
fn a_trace_that_is_malformed_is_none() {
    let root = root();
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (text, wanted) in [(good, Some(good)), ("00-x-y-01", None), ("nonsense", None)] {
        let found = detected(root.path(), &[("TRACEPARENT", text)]).unwrap();
        assert_eq!(found.trace_parent.as_deref(), wanted);
    }
}

#[test]
fn the_innermost_is_meant() {
    let root = root();
    let both = [
        ("GITHUB_ACTIONS", "true"),
        ("AIRFLOW_CTX_DAG_ID", "d"),
        ("AIRFLOW_CTX_DAG_RUN_ID", "r"),
    ];
    let found = detected(root.path(), &both).unwrap();
    assert_eq!(found.orchestrator, Some(Orchestrator::Airflow));
}
