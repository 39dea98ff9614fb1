//! What is in the records of runs is run again, and made again; lists of runs.

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::harness::{Project, example_table, names_in};

const PIPELINE: &str = r#"
name: words
parameters:
  epochs: { type: u32, default: 3 }
steps:
  train:
    uses: train.wasm
    with: { data: data.csv, epochs: "${{ parameters.epochs }}" }
  evaluate:
    uses: evaluate.wasm
    with: { data: data.csv, model: "${{ steps.train.outputs.model }}" }
  split:
    foreach: [2, 3]
    uses: split.wasm
    with: { data: data.csv, every: "${{ item }}" }
"#;

fn project(guests: &[&str]) -> Project {
    let project = Project::with(&[("pipeline.yaml", PIPELINE)]).with_guests("", guests);
    fs::copy(example_table(), project.path("data.csv")).expect("the table is there");
    project
}

/// The verdicts of `wharf replay`, by step.
fn verdicts(project: &Project, arguments: &[&str], code: i32) -> Vec<(String, String)> {
    let all = ["replay", "--json"].iter().chain(arguments);
    let ended = project.wharf(all).run().exits(code);
    let lines = ended.stdout.lines();
    let lines = lines.map(|line| serde_json::from_str::<Json>(line).expect("JSON lines"));
    let text = |json: &Json| json.as_str().expect("a text").to_owned();
    let mut verdicts: Vec<_> = lines
        .map(|line| (text(&line["step"]), text(&line["verdict"])))
        .collect();
    verdicts.sort();
    verdicts
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

/// Nothing but the store is needed: neither files nor components are there any more.
#[test]
fn a_pipeline_is_replayed_from_its_store_alone() {
    let project = project(&["train", "evaluate", "split"]);
    project
        .wharf(["pipeline", "run", "pipeline.yaml"])
        .run()
        .exits(0);
    for name in [
        "train.wasm",
        "evaluate.wasm",
        "split.wasm",
        "data.csv",
        "pipeline.yaml",
    ] {
        fs::remove_file(project.path(name)).unwrap();
    }
    let stored = names_in(&project.path(".wharf"));
    let all = [
        ("evaluate", "same"),
        ("split[0]", "same"),
        ("split[1]", "same"),
        ("train", "same"),
    ];
    assert_eq!(verdicts(&project, &["last"], 0), pairs(&all));
    let one = verdicts(&project, &["last/evaluate"], 0);
    assert_eq!(one, pairs(&[("evaluate", "same")]));
    let item = verdicts(&project, &["last/split[1]"], 0);
    assert_eq!(item, pairs(&[("split[1]", "same")]));
    let words = project.wharf(["replay", "last/train"]).run().exits(0);
    assert_eq!(words.stdout, "train  same\n");
    // The new store was another one.
    assert_eq!(names_in(&project.path(".wharf")), stored);
    let unknown = project.wharf(["replay", "last/trian"]).run().exits(1);
    unknown.says(&["has no step `trian`", "did you mean `train`?"]);
}

#[test]
fn a_single_run_is_replayed_while_its_files_are_what_they_were() {
    let project = project(&["train"]);
    let arguments = ["data=data.csv", "model=model.json", "epochs=3"];
    project.step("train.wasm", &arguments).record(0);
    assert_eq!(
        verdicts(&project, &["last"], 0),
        pairs(&[("train.wasm", "same")])
    );
    project.write("data.csv", "a,b\n1,2\n");
    let ended = project.wharf(["replay", "last"]).run().exits(1);
    assert!(
        ended
            .stdout
            .contains("not run: the input `data.csv` is not what it was"),
        "{ended}"
    );
    ended.says(&["1 of 1 steps could not be run again"]);
    fs::remove_file(project.path("train.wasm")).unwrap();
    let ended = project.wharf(["replay", "last"]).run().exits(1);
    assert!(
        ended
            .stdout
            .contains("the component `train.wasm` does not exist"),
        "{ended}"
    );
}

/// Writes a record anew, as if another had been made.
fn forge(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).expect("a record");
    let (record, _) = text
        .rsplit_once(",\n  \"checksum\"")
        .expect("a checksum at the end");
    assert!(record.contains(from), "{record}");
    let record = record.replacen(from, to, 1);
    let sum = Sha256::digest(format!("{record}\n}}\n"));
    let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    let forged = format!("{record},\n  \"checksum\": \"sha256:{sum}\"\n}}\n");
    fs::write(file, forged).expect("the record can be written");
}

/// Where the record says something else, that is what is told, and where.
#[test]
fn what_differs_is_found() {
    let project = project(&["train", "evaluate", "split"]);
    let run = ["pipeline", "run", "pipeline.yaml", "--json"];
    let ended = project.wharf(run).run().exits(0).json();
    let ends = ended["steps"].as_array().unwrap();
    let end = ends.iter().find(|end| end["step"] == "train").unwrap();
    let key = end["commit"]
        .as_str()
        .unwrap()
        .strip_prefix("sha256:")
        .unwrap();
    let record = project.path(&format!(".wharf/commits/{}/{key}.json", &key[..2]));
    let text: Json = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    let model = text["outputs"][0]["digest"].as_str().unwrap();
    let other = format!("sha256:{}", "0".repeat(64));
    forge(&record, model, &other);
    let ended = project.wharf(["replay", "last"]).run().exits(1);
    let lines = format!(
        "train  differs\n  output model: was {other} application/json\n  output model: is  {model} application/json\n"
    );
    assert!(ended.stdout.contains(&lines), "{ended}");
    assert!(ended.stdout.contains("evaluate  same\n"), "{ended}");
    ended.says(&["1 of 4 steps made something else"]);
}

/// A record grants nothing by itself, and what is not deterministic may differ.
#[test]
fn grants_are_given_again_by_who_replays() {
    let pipeline = "
steps:
  look:
    uses: facts.wasm
    grants: [entropy, 'env:SECRET']
";
    let project = project(&["facts"]);
    project.write("pipeline.yaml", pipeline);
    let run = [
        "pipeline",
        "run",
        "pipeline.yaml",
        "--allow",
        "entropy",
        "--allow",
        "env:SECRET",
    ];
    project.wharf(run).env("SECRET", "s3cret").run().exits(0);
    let denied = project
        .wharf(["replay", "last"])
        .env("SECRET", "s3cret")
        .run()
        .exits(1);
    let why = "look  not run: it was granted `entropy`; permit it again with --allow entropy\n";
    assert_eq!(denied.stdout, why);
    let denied = project
        .wharf(["replay", "last", "--allow", "entropy"])
        .run()
        .exits(1);
    assert!(denied.stdout.contains("`env:SECRET`"), "{denied}");
    let allowed = [
        "replay",
        "last",
        "--allow",
        "entropy",
        "--allow",
        "env:SECRET",
    ];
    let ended = project
        .wharf(allowed)
        .env("SECRET", "s3cret")
        .run()
        .exits(0);
    assert!(
        ended.stdout.starts_with("look  differs, as it may"),
        "{ended}"
    );
}

#[test]
fn pipelines_are_listed_and_shown() {
    let project = project(&["train", "evaluate", "split"]);
    let arguments = ["data=data.csv", "model=model.json", "epochs=3"];
    project.step("train.wasm", &arguments).record(0);
    let run = ["pipeline", "run", "pipeline.yaml", "epochs=2", "--json"];
    let ended = project.wharf(run).run().exits(0).json();
    let id = ended["id"].as_str().unwrap();
    let listed = project.wharf(["runs"]).run().exits(0).stdout;
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 3, "{listed}");
    assert!(
        lines[1].contains("pipeline words") && lines[1].ends_with("succeeded"),
        "{listed}"
    );
    assert!(lines[2].contains("train.wasm"), "{listed}");
    let listed = project.wharf(["runs", "--json"]).run().exits(0).stdout;
    let first: Json = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert_eq!(first["id"], id);
    assert_eq!(first["steps"], json!({"succeeded": 4}));

    let shown = project.wharf(["show", "last"]).run().exits(0).stdout;
    for part in [
        "words (pipeline.yaml)",
        "4 succeeded",
        "epochs = 2",
        "split[1]",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let json = project.wharf(["show", id, "--json"]).run().exits(0).json();
    assert_eq!(json["started"]["name"], "words");
    assert_eq!(json["ended"]["steps"], ended["steps"]);
    let step = project
        .wharf(["show", "last/train", "--json"])
        .run()
        .exits(0)
        .json();
    assert_eq!(step["step"]["name"], "train");
    let several = project.wharf(["show", "last/split"]).run().exits(1);
    several.says(&["has 2 items", "`last/split[0]`"]);
    let logs = project
        .wharf(["show", "last", "--logs"])
        .run()
        .exits(0)
        .stdout;
    assert!(logs.contains("log          train | "), "{logs}");
}

/// A step that failed has a record, which tells the same when it is run again.
#[test]
fn a_failure_is_replayed() {
    let project = project(&["train"]);
    project.write("data.csv", "not a table\n");
    project.write(
        "pipeline.yaml",
        "steps:\n  train: { uses: train.wasm, with: { data: data.csv, epochs: 1 } }\n",
    );
    project
        .wharf(["pipeline", "run", "pipeline.yaml"])
        .run()
        .exits(1);
    let shown = project.wharf(["show", "last/train"]).run().exits(0).stdout;
    assert!(shown.contains("outcome      failed"), "{shown}");
    assert_eq!(
        verdicts(&project, &["last"], 0),
        pairs(&[("train", "same")])
    );
}
