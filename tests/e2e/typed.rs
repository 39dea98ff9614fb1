//! Typed steps: the guest examples, and every kind of value.

use serde_json::{Value as Json, json};

use crate::harness::{Project, example_table, guest, values};

fn table() -> Project {
    let project = Project::new();
    std::fs::copy(example_table(), project.path("all.csv")).expect("the table is there");
    project
}

/// A project with the table split into `train.csv` and `test.csv`.
pub(crate) fn split_table() -> Project {
    let project = table();
    let split = guest("split");
    let arguments = [
        "data=all.csv",
        "train=train.csv",
        "test=test.csv",
        "every=4",
    ];
    let counts = project.step(&split, &arguments).results();
    assert_eq!(counts, json!({"train-rows": 427, "test-rows": 142}));
    project
}

/// Fits a model with a step and returns its results.
pub(crate) fn fit(project: &Project, step: &str, model: &str) -> Json {
    let model = format!("model={model}");
    let arguments = ["data=train.csv", &model, "epochs=300"];
    project.step(&guest(step), &arguments).results()
}

/// What `evaluate` says of a model on the rows that it has not seen.
pub(crate) fn evaluate(project: &Project, model: &str) -> Json {
    let model = format!("model={model}");
    let evaluate = guest("evaluate");
    project
        .step(&evaluate, &["data=test.csv", &model])
        .results()
}

#[test]
fn noop_reads_an_input_and_writes_an_output() {
    let project = Project::with(&[("data", "some bytes")]);
    let noop = guest("noop");
    let results = project
        .step(&noop, &["data=data", "result=result"])
        .results();
    assert_eq!(results, Json::Null);
    project.holds(&["data", "result"]);
    assert!(!project.read("result").is_empty());
}

#[test]
fn compare_judges_by_rows_that_neither_model_has_seen() {
    let project = split_table();
    for (model, epochs) in [("model=good", "epochs=200"), ("model=poor", "epochs=1")] {
        let arguments = ["data=train.csv", model, epochs];
        project.step(&guest("train"), &arguments).results();
    }
    let compare = |challenger: &str, champion: &str| {
        let challenger = format!("challenger={challenger}");
        let champion = format!("champion={champion}");
        let all = ["data=test.csv", &challenger, &champion];
        let given = if champion == "champion=" {
            &all[..2]
        } else {
            &all
        };
        project.step(&guest("compare"), given)
    };
    let (good, poor) = (evaluate(&project, "good"), evaluate(&project, "poor"));
    let first = compare("poor", "").results();
    assert_eq!(first["champion-accuracy"], Json::Null);
    assert_eq!(first["better"], true);
    let better = compare("good", "poor").results();
    let wanted = json!({
        "accuracy": good["accuracy"],
        "champion-accuracy": poor["accuracy"],
        "loss": good["loss"],
        "champion-loss": poor["loss"],
        "better": true,
    });
    assert_eq!(better, wanted);
    assert_eq!(compare("poor", "good").results()["better"], false);
    assert_eq!(compare("good", "good").results()["better"], false);
    let failed = compare("good", "test.csv").record(1);
    let message = failed["outcome"]["message"].as_str().unwrap();
    assert!(message.starts_with("champion: "), "{message}");
}

#[test]
fn split_writes_every_row_to_one_of_its_outputs() {
    let project = split_table();
    project.holds(&["all.csv", "test.csv", "train.csv"]);
    let all = project.text("all.csv");
    let (train, test) = (project.text("train.csv"), project.text("test.csv"));
    let mut rows: Vec<&str> = train.lines().chain(test.lines().skip(1)).collect();
    let mut wanted: Vec<&str> = all.lines().collect();
    rows.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(rows, wanted);
    let outputs = project.last_record()["outputs"].clone();
    assert_eq!(outputs[0]["media-type"], "text/csv");
}

#[test]
fn train_reports_loss_and_progress_and_writes_a_model() {
    let project = split_table();
    let step = guest("train");
    let arguments = [
        "data=train.csv",
        "model=model.json",
        "epochs=20",
        "rate=0.5",
    ];
    let (record, ended) = project.step(&step, &arguments).measured(0);
    assert_eq!(record["parameters"], json!({"epochs": 20, "rate": 0.5}));
    assert_eq!(record["outputs"][0]["media-type"], "application/json");
    let metrics = ended.events();
    let metrics = metrics.iter().filter(|event| event["event"] == "metric");
    let losses: Vec<f64> = metrics
        .filter_map(|event| event["value"].as_f64())
        .collect();
    // Ten points are enough for a curve.
    assert_eq!(losses.len(), 10);
    assert!(losses.is_sorted_by(|before, after| before > after));
    let model: Json = serde_json::from_slice(&project.read("model.json")).unwrap();
    assert_eq!(model["format"], "logistic/1");
}

#[test]
fn models_of_rust_and_python_are_interchangeable() {
    let project = split_table();
    let scores = [
        fit(&project, "train", "rust.json"),
        fit(&project, "train-python", "python.json"),
    ];
    let evaluations = [
        evaluate(&project, "rust.json"),
        evaluate(&project, "python.json"),
    ];
    assert_eq!(scores[0]["accuracy"], scores[1]["accuracy"]);
    assert_eq!(scores[0]["rows"], 427);
    assert_eq!(evaluations[0]["confusion"], evaluations[1]["confusion"]);
    for evaluation in &evaluations {
        assert!(evaluation["accuracy"].as_f64() > Some(0.95), "{evaluation}");
        let counts = evaluation["confusion"].as_object().unwrap();
        let rows: u64 = counts.values().filter_map(Json::as_u64).sum();
        assert_eq!(rows, 142);
    }
}

#[test]
fn train_fails_with_the_line_and_column_of_what_is_wrong() {
    let project = Project::with(&[("bad.csv", "a,b,y\n1,2,0\n3,oops,1\n")]);
    for step in ["train", "train-python"] {
        let arguments = ["data=bad.csv", "model=model.json", "epochs=1"];
        let record = project.step(&guest(step), &arguments).record(1);
        assert_eq!(record["outcome"]["status"], "failed");
        assert_eq!(record["outcome"]["retry"], "permanent");
        let message = record["outcome"]["message"].as_str().unwrap();
        assert!(message.contains("line 3, column b"), "{message}");
        project.holds(&["bad.csv"]);
    }
}

#[test]
fn profile_describes_columns_in_javascript() {
    let project = Project::with(&[("data.csv", "n,word\n1,a\n2,b\n6,\"a\"\n,b\n")]);
    let profile = guest("profile");
    let arguments = ["data=data.csv", "profile=profile.json"];
    let results = project.step(&profile, &arguments).results();
    assert_eq!(results, json!({"rows": 4, "columns": 2}));
    let columns: Json = serde_json::from_slice(&project.read("profile.json")).unwrap();
    let number = &columns[0];
    assert_eq!(number["type"], "number");
    assert_eq!(number["missing"], 1);
    assert_eq!((&number["min"], &number["max"]), (&json!(1), &json!(6)));
    assert_eq!(number["mean"], 3);
    assert_eq!(columns[1]["distinct"], 2);
}

#[test]
fn copy_gives_back_the_same_bytes_whatever_the_chunk() {
    let bytes: Vec<u8> = (0..5_000_000_u32)
        .map(|n| (n.wrapping_mul(n) >> 7) as u8)
        .collect();
    let project = Project::new();
    project.write("data", &bytes);
    for chunk in ["chunk-kib=1", "chunk-kib=4096", "chunk-kib=null"] {
        let copy = guest("copy");
        let arguments = ["data=data", "copy=copy", chunk, "--force"];
        let record = project.step(&copy, &arguments).record(0);
        assert_eq!(record["outcome"]["results"], 5_000_000);
        assert_eq!(
            record["inputs"][0]["digest"],
            record["outputs"][0]["digest"]
        );
        assert!(project.read("copy") == bytes);
    }
}

#[test]
fn copy_takes_an_empty_input() {
    let project = Project::with(&[("data", "")]);
    let copy = guest("copy");
    assert_eq!(
        project.step(&copy, &["data=data", "copy=copy"]).results(),
        0
    );
    assert_eq!(project.read("copy"), b"");
}

#[test]
fn tree_reads_a_folder_and_writes_a_folder() {
    let project = Project::with(&[("source/a.txt", "one"), ("source/b/c.txt", "two two")]);
    let tree = guest("tree");
    let record = project
        .step(&tree, &["source=source", "target=target"])
        .record(0);
    assert_eq!(
        record["outcome"]["results"],
        json!({"files": 2, "bytes": 10})
    );
    assert_eq!(record["inputs"][0]["files"], 2);
    assert_eq!(record["outputs"][0]["files"], 3);
    project.holds(&[
        "source/",
        "source/a.txt",
        "source/b/",
        "source/b/c.txt",
        "target/",
        "target/a.txt",
        "target/b/",
        "target/b/c.txt",
        "target/index.json",
    ]);
    assert_eq!(project.text("target/b/c.txt"), "TWO TWO");
}

#[test]
fn tree_takes_an_empty_folder() {
    let project = Project::new();
    std::fs::create_dir(project.path("source")).unwrap();
    let tree = guest("tree");
    let results = project
        .step(&tree, &["source=source", "target=target"])
        .results();
    assert_eq!(results, json!({"files": 0, "bytes": 0}));
    assert_eq!(project.text("target/index.json"), "[]\n");
}

#[test]
fn compute_needs_no_artifacts_and_gives_the_same_number_each_time() {
    let project = Project::new();
    let compute = guest("compute");
    let first = project.step(&compute, &["rounds=1"]).results();
    assert!(first.as_u64().is_some(), "{first}");
    assert_eq!(project.step(&compute, &["rounds=1"]).results(), first);
    assert_ne!(project.step(&compute, &["rounds=2"]).results(), first);
}

/// A value for each parameter of `values#echo`: as text, and the JSON that it
/// means.
fn everything() -> Vec<(&'static str, &'static str, Json)> {
    vec![
        ("truth", "true", json!(true)),
        ("small-signed", "-128", json!(-128)),
        ("small-unsigned", "255", json!(255)),
        ("medium-signed", "-32768", json!(-32768)),
        ("medium-unsigned", "65535", json!(65535)),
        ("signed", "-2147483648", json!(-2147483648_i64)),
        ("unsigned", "4294967295", json!(4294967295_u64)),
        ("large-signed", "-9223372036854775808", json!(i64::MIN)),
        ("large-unsigned", "18446744073709551615", json!(u64::MAX)),
        ("single", "0.5", json!(0.5)),
        ("double", "1e-300", json!(1e-300)),
        ("letter", "ß", json!("ß")),
        (
            "text",
            "with = and 'quotes'\n\u{1f980}",
            json!("with = and 'quotes'\n\u{1f980}"),
        ),
        ("numbers", "[1, -2, 3]", json!([1, -2, 3])),
        ("maybe", "42", json!("42")),
        ("maybe-maybe", "7", json!(7)),
        ("outcome", r#"{"err": "no"}"#, json!({"err": "no"})),
        ("pair", r#"["a", 2.5]"#, json!(["a", 2.5])),
        (
            "size",
            r#"{"width": 3, "height": 4}"#,
            json!({"width": 3, "height": 4}),
        ),
        ("shape", r#"{"circle": 1.5}"#, json!({"circle": 1.5})),
        ("color", "deep-blue", json!("deep-blue")),
        ("permissions", "run-it, read", json!(["read", "run-it"])),
        (
            "named-sizes",
            r#"[["a", {"width": 1, "height": 2}], ["b", null]]"#,
            json!([["a", {"width": 1, "height": 2}], ["b", null]]),
        ),
    ]
}

fn as_object() -> Json {
    let pairs = everything().into_iter();
    pairs
        .map(|(name, _, json)| (name.to_owned(), json))
        .collect()
}

#[test]
fn every_kind_of_value_is_taken_as_text() {
    let given = everything();
    let bindings: Vec<String> = given
        .iter()
        .map(|(name, text, _)| format!("{name}={text}"))
        .collect();
    let bindings: Vec<&str> = bindings.iter().map(String::as_str).collect();
    let record = Project::new().step(&values("echo"), &bindings).record(0);
    assert_eq!(record["outcome"]["results"], as_object());
    assert_eq!(record["parameters"], as_object());
}

#[test]
fn every_kind_of_value_is_taken_as_json() {
    let project = Project::new();
    project.write("all.json", as_object().to_string());
    let from_file = project.step(&values("echo"), &["--params", "all.json"]);
    assert_eq!(from_file.results(), as_object());
    let piped = project.step(&values("echo"), &["--params", "-"]);
    let piped = piped.input(as_object().to_string().as_bytes());
    assert_eq!(piped.results(), as_object());
}

#[test]
fn a_record_of_every_kind_of_value_comes_back_as_it_was() {
    let project = Project::new();
    let value = format!("value={}", as_object());
    assert_eq!(
        project.step(&values("repeat"), &[&value]).results(),
        as_object()
    );
}

#[test]
fn the_command_line_wins_over_the_file_of_parameters() {
    let project = Project::with(&[("p.json", r#"{"kind": "permanent", "message": "file"}"#)]);
    let arguments = ["--params", "p.json", "message=line"];
    let record = project.step(&values("fail"), &arguments).record(1);
    assert_eq!(record["outcome"]["message"], "line");
}

/// Other cases of the types that have cases.
#[test]
fn absent_and_other_cases_come_back_as_they_were() {
    let project = Project::new();
    for (name, value) in [
        ("maybe", json!(null)),
        ("maybe-maybe", json!(null)),
        ("outcome", json!({"ok": 1})),
        ("shape", json!("point")),
        ("shape", json!({"label": "x"})),
        ("shape", json!({"rectangle": {"width": 1, "height": 2}})),
        ("color", json!("red")),
        ("permissions", json!([])),
        ("numbers", json!([])),
        ("named-sizes", json!([])),
        ("text", json!("")),
        ("single", json!(3.4028235e38)),
        ("double", json!(-0.0)),
    ] {
        let mut all = as_object();
        all[name] = value;
        let argument = format!("value={all}");
        assert_eq!(
            project.step(&values("repeat"), &[&argument]).results(),
            all,
            "{name}"
        );
    }
}

#[test]
fn a_function_may_take_and_return_nothing() {
    let project = Project::new();
    assert_eq!(project.step(&values("nothing"), &[]).results(), Json::Null);
    project.holds(&[]);
}

#[test]
fn inputs_may_be_one_none_or_many() {
    let project = Project::with(&[("a", "1"), ("b", "2"), ("c", "3")]);
    let names = |arguments: &[&str]| project.step(&values("names"), arguments).results();
    assert_eq!(names(&["one=a", "many=b"]), json!(["one", "many"]));
    assert_eq!(
        names(&["one=a", "maybe=b", "many=c", "many=a"]),
        json!(["one", "maybe", "many", "many"])
    );
}

#[test]
fn a_function_may_write_its_text_to_an_output() {
    let project = Project::new();
    let arguments = ["text=grüße", "to=greeting"];
    assert_eq!(
        project.step(&values("save"), &arguments).results(),
        Json::Null
    );
    assert_eq!(project.text("greeting"), "grüße");
}

#[test]
fn a_transient_failure_is_retryable_and_a_permanent_one_is_not() {
    let project = Project::new();
    for (kind, code) in [("permanent", 1), ("transient", 75)] {
        let kind_is = format!("kind={kind}");
        let arguments = [&*kind_is, "message=because"];
        let record = project.step(&values("fail"), &arguments).record(code);
        let wanted = json!({"status": "failed", "retry": kind, "message": "because"});
        assert_eq!(record["outcome"], wanted);
        assert_eq!(project.last_record(), record);
    }
}

#[test]
fn a_panic_is_a_trap_with_its_message_and_a_backtrace() {
    let project = Project::new();
    let step = values("panic");
    let record = project.step(&step, &["message=boom"]).record(1);
    let outcome = &record["outcome"];
    assert_eq!(outcome["status"], "trapped");
    assert!(outcome["reason"].as_str().unwrap().contains("unreachable"));
    let frames = outcome["backtrace"].as_array().unwrap();
    let has = |name: &str| {
        frames
            .iter()
            .any(|frame| frame.as_str().unwrap().contains(name))
    };
    assert!(has("panic_fmt") && has("values::"), "{outcome:#}");
    let ended = project.step(&step, &["message=boom"]).run().exits(1);
    ended.says(&[
        "boom",
        "trapped",
        "unreachable",
        "in core::panicking::panic_fmt",
    ]);
}
