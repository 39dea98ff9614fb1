//! What is kept of runs, and of compiled code.

use std::fs;

use serde_json::{Value as Json, json};

use crate::harness::{Project, example_table, guest, hostile, names_in, values};

fn noop(project: &Project) -> Json {
    let arguments = ["data=data", "result=result", "--force"];
    project.step(&guest("noop"), &arguments).record(0)
}

fn project() -> Project {
    Project::with(&[("data", "x")])
}

#[test]
fn a_record_holds_all_that_the_run_depended_on_and_did() {
    let project = Project::new();
    fs::copy(example_table(), project.path("data.csv")).unwrap();
    let step = guest("train");
    let arguments = [
        "data=data.csv",
        "model=model.json",
        "epochs=3",
        "--partition",
        "2013-01",
    ];
    let record = project.step(&step, &arguments).record(0);
    let is_digest = |json: &Json| {
        let hex = json.as_str().and_then(|text| text.strip_prefix("sha256:"));
        hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    assert_eq!(record["format"], "wharf.run/1");
    assert_eq!(record["host"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        record["host"]["wasmtime"]
            .as_str()
            .unwrap()
            .starts_with("48.")
    );
    assert!(record["host"]["platform"].is_string());
    assert_eq!(record["step"]["reference"], step);
    assert_eq!(record["step"]["name"], "run");
    assert_eq!(record["step"]["size"], fs::metadata(&step).unwrap().len());
    assert!(is_digest(&record["step"]["digest"]));
    assert_eq!(
        record["step"]["signature"],
        "run: func(data: input, model: output, epochs: u32, rate: option<f64>) \
         -> result<scores, string>"
    );
    assert_eq!(record["parameters"], json!({"epochs": 3, "rate": null}));
    for (side, name, path) in [
        ("inputs", "data", "data.csv"),
        ("outputs", "model", "model.json"),
    ] {
        let artifact = &record[side][0];
        assert_eq!(
            (&artifact["name"], &artifact["path"]),
            (&json!(name), &json!(path))
        );
        assert!(is_digest(&artifact["digest"]));
        assert_eq!(
            artifact["size"],
            fs::metadata(project.path(path)).unwrap().len()
        );
    }
    assert!(record["outcome"]["results"]["accuracy"].is_f64());
    assert!(record["seed"].is_u64());
    assert!(is_digest(&record["key"]));
    assert_eq!(record["grants"], json!([]));
    assert_eq!(record["deterministic"], true);
    assert_eq!(record["limits"]["handles"], 1024);
    assert_eq!(record["logical-time"], "2000-01-01T00:00:00Z");
    assert_eq!(record["partition"], "2013-01");
    for part in ["prepare-us", "stage-us", "invoke-us", "publish-us"] {
        assert!(record["timings"][part].is_u64(), "{part}");
    }
    assert!(record["timings"]["started"].is_string());
    assert!(record["usage"]["memory-bytes"].as_u64() > Some(0));
    assert!(record["usage"]["log-bytes"].as_u64() > Some(0));
    // What was printed is what was kept.
    assert_eq!(project.last_record(), record);
}

#[test]
fn a_run_is_found_by_its_id_its_ends_and_as_the_last() {
    let project = project();
    let (first, second) = (noop(&project), noop(&project));
    let id = |record: &Json| record["id"].as_str().unwrap().to_owned();
    let show = |run: &str| project.wharf(["show", run, "--json"]).run();
    assert_eq!(show("last").exits(0).json(), second);
    for record in [&first, &second] {
        let id = id(record);
        assert_eq!(show(&id).exits(0).json(), *record);
        assert_eq!(show(&id[id.len() - 12..]).exits(0).json(), *record);
    }
    let both = &id(&first)[..4];
    let ended = show(both).exits(1);
    assert_eq!(ended.json()["error"]["kind"], "unknown-run");
    let ended = project.wharf(["show", both]).run().exits(1);
    ended.says(&["2 runs begin or end with", "give more of the id"]);
    let ended = project.wharf(["show", "nope"]).run().exits(1);
    ended.says(&["there is no run `nope`", "`wharf runs` lists the runs"]);
}

#[test]
fn show_tells_people_what_was_run_and_what_came_of_it() {
    let project = Project::new();
    fs::copy(example_table(), project.path("data.csv")).unwrap();
    let arguments = ["data=data.csv", "model=model.json", "epochs=3"];
    let record = project.step(&guest("train"), &arguments).record(0);
    let shown = project.wharf(["show", "last", "--logs"]).run().exits(0);
    for part in [
        record["id"].as_str().unwrap(),
        "succeeded",
        "\"accuracy\"",
        record["step"]["digest"].as_str().unwrap(),
        "run: func(data: input",
        "epochs = 3",
        "data = data.csv",
        "model = model.json",
        record["outputs"][0]["digest"].as_str().unwrap(),
        "2000-01-01T00:00:00Z",
        &record["seed"].to_string(),
        "1 GiB memory",
        "info  table read rows=569 features=30",
        "metric loss = ",
    ] {
        assert!(shown.stdout.contains(part), "no {part:?}: {shown}");
    }
    let json = project
        .wharf(["show", "last", "--logs", "--json"])
        .run()
        .exits(0);
    let lines: Vec<Json> = json
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0], record);
    assert_eq!(lines[1]["message"], "table read");
}

#[test]
fn runs_are_listed_newest_first() {
    let project = project();
    let ended = project.wharf(["runs"]).run().exits(1);
    ended.says(&["there is no store", "run a step first"]);
    let first = noop(&project);
    let arguments = ["kind=transient", "message=later"];
    let second = project.step(&values("fail"), &arguments).record(75);
    let third = project.step(&hostile("recurse"), &[]).record(1);
    let listed = project.wharf(["runs", "--json"]).run().exits(0);
    let listed: Vec<Json> = listed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(listed, [third, second, first.clone()]);
    let table = project.wharf(["runs"]).run().exits(0).stdout;
    let words: Vec<&str> = table
        .lines()
        .map(|line| line.rsplit("  ").next().unwrap())
        .collect();
    assert_eq!(words, ["OUTCOME", "limit stack", "failed", "succeeded"]);
    assert!(
        table.contains(&first["id"].as_str().unwrap()[24..]),
        "{table}"
    );
    let one = project.wharf(["runs", "--limit", "1"]).run().exits(0);
    assert_eq!(one.stdout.lines().count(), 2);
}

#[test]
fn a_run_may_leave_no_record() {
    let project = project();
    let arguments = ["data=data", "result=result", "--no-record"];
    let record = project.step(&guest("noop"), &arguments).record(0);
    assert_eq!(record["outcome"]["status"], "succeeded");
    assert_eq!(names_in(project.folder()), ["data", "result"]);
}

#[test]
fn the_store_is_where_it_was_said_to_be_else_in_the_nearest_folder() {
    let project = project();
    let run = || {
        let arguments = ["data=data", "result=result", "--force"];
        project.step(&guest("noop"), &arguments)
    };
    run()
        .env("WHARF_STORE", project.path("by-variable"))
        .record(0);
    assert!(project.path("by-variable/runs").is_dir());
    run().args(&["--store", "by-option"]).record(0);
    assert!(project.path("by-option/runs").is_dir());
    assert!(!project.path(".wharf").exists());
    run().without_env("WHARF_STORE").record(0);
    assert_eq!(project.records(), 1);
    // From a folder below, the same store is found.
    fs::create_dir_all(project.path("a/b")).unwrap();
    let below = project.wharf(["runs", "--json"]).without_env("WHARF_STORE");
    let listed = below.folder(&project.path("a/b")).run().exits(0);
    assert_eq!(listed.stdout.lines().count(), 1);
}

#[test]
fn a_record_that_is_damaged_is_named_and_hides_no_other() {
    let project = project();
    let (first, second) = (noop(&project), noop(&project));
    let id = first["id"].as_str().unwrap();
    project.write(&format!(".wharf/runs/{id}.json"), "{");
    let shown = project.wharf(["show", id, "--json"]).run().exits(1);
    assert_eq!(shown.json()["error"]["kind"], "corrupt");
    let listed = project.wharf(["runs", "--json"]).run().exits(0);
    assert_eq!(listed.json(), second);
    listed.says(&[id]);
}

#[test]
fn a_new_store_is_kept_out_of_version_control() {
    let project = Project::with(&[("data", "x")]);
    project
        .step(&guest("noop"), &["data=data", "result=r"])
        .record(0);
    assert_eq!(project.text(".wharf/.gitignore"), "*\n");
}
