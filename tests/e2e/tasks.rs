//! Tasks of orchestrators: one step of a pipeline in the store, in a process of its own.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::harness::{Ended, Project, Wharf, example_table, source_folder, wait_until};

/// The pipeline of `docs/promote.md`, with its steps.
fn promoting() -> Project {
    let file = source_folder().join("docs/examples/promote.yaml");
    let text = fs::read_to_string(file).expect("the example is there");
    let project = Project::with(&[("pipeline.yaml", &text)]);
    let project = project.with_guests("steps", &["split", "train", "compare"]);
    let table = project.path("breast-cancer.csv");
    fs::copy(example_table(), table).expect("the table is there");
    project
}

const STEPS: [&str; 4] = ["split", "train", "compare", "promote"];

/// The digest of the pipeline in the project's store.
fn lock(project: &Project) -> String {
    let command = project.wharf(["pipeline", "lock", "pipeline.yaml"]);
    command.run().exits(0).stdout.trim().to_owned()
}

/// A task of a run.
fn task(project: &Project, lock: &str, run: &str, step: &str) -> Wharf {
    let folder = project.path("elsewhere");
    fs::create_dir_all(&folder).expect("a new folder");
    let arguments = [
        "step",
        "exec",
        "--pipeline",
        lock,
        "--run-id",
        run,
        "--step",
        step,
    ];
    // It has the store, and nothing else.
    project.wharf(arguments).folder(&folder)
}

/// Runs tasks, each of which must end well, and says how each ended.
fn tasks(project: &Project, lock: &str, run: &str, steps: &[&str]) -> BTreeMap<String, String> {
    let end = |step: &&str| {
        let file = project.path(&format!("{run}-{step}.json"));
        let file = file.to_str().expect("UTF-8");
        let ended = task(project, lock, run, step)
            .args(&["--ending-to", file])
            .run();
        let json: Json = serde_json::from_slice(&fs::read(file).expect("an ending")).expect("JSON");
        let wanted = if json["status"] == "skipped" { 99 } else { 0 };
        ended.exits(wanted);
        (
            step.to_string(),
            json["status"].as_str().expect("a status").to_owned(),
        )
    };
    steps.iter().map(end).collect()
}

fn status(of: &BTreeMap<String, String>) -> Vec<&str> {
    of.values().map(String::as_str).collect()
}

/// What a run has made, by step: results, and the digests of outputs and of the commit.
fn made(project: &Project, run: &str) -> BTreeMap<String, Json> {
    let shown = project.wharf(["show", run, "--json"]).run().exits(0).json();
    let steps = shown["ended"]["steps"].as_array().expect("steps").clone();
    let made = |end: Json| {
        let of = match end["item"].as_u64() {
            Some(item) => format!("{}[{item}]", end["step"].as_str().expect("a step")),
            None => end["step"].as_str().expect("a step").to_owned(),
        };
        let record = match end["commit"].is_null() {
            true => json!({}),
            false => {
                let which = format!("{run}/{of}");
                project
                    .wharf(["show", &which, "--json"])
                    .run()
                    .exits(0)
                    .json()
            }
        };
        let outputs = record["outputs"].as_array().cloned().unwrap_or_default();
        let outputs = outputs.iter().map(|output| output["digest"].clone());
        let what = json!({
            "commit": end["commit"],
            "key": record["key"],
            "results": record["outcome"]["results"],
            "outputs": outputs.collect::<Vec<_>>(),
        });
        (of, what)
    };
    steps.into_iter().map(made).collect()
}

#[test]
fn tasks_make_what_the_pipeline_makes() {
    let (one, other) = (promoting(), promoting());
    one.wharf(["pipeline", "run", "pipeline.yaml"])
        .run()
        .exits(0);
    let lock = lock(&other);
    let ended = tasks(&other, &lock, "manual__2026-01-01T00:00:00+00:00", &STEPS);
    assert_eq!(status(&ended), ["succeeded"; 4]);
    assert_eq!(made(&one, "last"), made(&other, "last"));
    let shown = other
        .wharf(["show", "last", "--json"])
        .run()
        .exits(0)
        .json();
    assert_eq!(
        shown["started"]["external"]["id"],
        "manual__2026-01-01T00:00:00+00:00"
    );
    assert_eq!(shown["ended"]["outcome"]["status"], "succeeded");
    let runs = other.wharf(["runs"]).run().exits(0);
    assert!(runs.stdout.contains("pipeline promote"), "{runs}");
    other
        .wharf(["report", "last", "--html", "-o", "run.html"])
        .run()
        .exits(0);
    other.wharf(["replay", "last"]).run().exits(0);
    other.wharf(["verify"]).run().exits(0);
}

/// Who began does not matter, nor who goes on: nothing runs twice.
#[test]
fn a_run_goes_on_elsewhere() {
    let project = promoting();
    let lock = lock(&project);
    assert_eq!(
        status(&tasks(&project, &lock, "a", &STEPS[..2])),
        ["succeeded"; 2]
    );
    let here = project.wharf(["pipeline", "run", "pipeline.yaml", "--json"]);
    let steps = here.run().exits(0).json()["steps"].clone();
    let statuses = steps.as_array().expect("steps").iter();
    let statuses: Vec<_> = statuses.map(|step| step["status"].clone()).collect();
    assert_eq!(statuses, ["cached", "cached", "succeeded", "succeeded"]);
    // There is a champion now, which run `a` has not looked up yet.
    let ended = tasks(&project, &lock, "a", &STEPS);
    assert_eq!(ended["split"], "cached");
    assert_eq!(ended["compare"], "succeeded");
    assert_eq!(ended["promote"], "skipped");
}

#[test]
fn all_tasks_of_a_run_see_the_same_version() {
    let project = promoting();
    let lock = lock(&project);
    // `compare` of run `a` looks the champion up, and there is none.
    tasks(&project, &lock, "a", &STEPS[..3]);
    tasks(&project, &lock, "b", &STEPS);
    let again = task(&project, &lock, "a", "compare").run().exits(0);
    assert_eq!(again.json()["champion-accuracy"], Json::Null);
    // And the tag was moved meanwhile, so that `a` must not.
    let promote = task(&project, &lock, "a", "promote").run().exits(1);
    promote.says(&["error: promote: ", "it was moved while this ran"]);
    let tag = project.wharf(["artifact", "show", "cancer-model:prod", "--json"]);
    assert_eq!(
        tag.run().exits(0).json()["tags"].as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn what_a_task_needs_is_there_or_named() {
    let project = promoting();
    let lock = lock(&project);
    let ended = task(&project, &lock, "a", "train").run().exits(1);
    ended.says(&["error: train: `split` has not succeeded in this run"]);
    tasks(&project, &lock, "a", &["split"]);
    // By its key, as another run has made it.
    assert_eq!(
        status(&tasks(&project, &lock, "b", &["train"])),
        ["succeeded"]
    );
}

/// Steps that end in each way.
const ENDS: &str = r#"
parameters:
  wanted: { type: bool, default: true }
steps:
  fail:
    uses: steps/values.wasm#fail
    with: { kind: permanent, message: "the disk says \"no\"" }
    retries: { count: 2, backoff: 1ms }
  again:
    uses: steps/values.wasm#fail
    with: { kind: transient, message: come back }
    retries: { count: 2, backoff: 1ms }
  skipped:
    uses: steps/values.wasm#fail
    when: ${{ parameters.wanted }}
    with: { kind: transient, message: "" }
  spin:
    uses: steps/hostile.wasm#spin
    timeout: 200ms
  long:
    uses: steps/hostile.wasm#spin
    timeout: 10m
"#;

fn ending() -> Project {
    Project::with(&[("pipeline.yaml", ENDS)]).with_guests("steps", &["values", "hostile"])
}

#[test]
fn each_end_has_its_code_and_its_message() {
    let project = ending();
    let lock = lock(&project);
    let failed = task(&project, &lock, "a", "fail").run().exits(1);
    assert_eq!(failed.stdout, "");
    failed.says(&["error: fail: the disk says \"no\"\n"]);
    // The orchestrator tries again, unless it says that the host shall.
    let again = task(&project, &lock, "a", "again").run().exits(75);
    assert!(!again.stderr.contains("again in"), "{again}");
    again.says(&["error: again: come back\n"]);
    let again = task(&project, &lock, "a", "again").args(&["--retries", "step"]);
    let again = again.run().exits(75);
    assert_eq!(again.stderr.matches("again in").count(), 2, "{again}");
    let late = task(&project, &lock, "a", "spin").run().exits(1);
    late.says(&["error: spin: exceeded the limit"]);
    let skipped = task(&project, &lock, "b", "skipped").args(&["wanted=false"]);
    let skipped = skipped.run().exits(99);
    assert_eq!(skipped.stdout, "null\n");
    let skipped = task(&project, &lock, "b", "skipped");
    let skipped = skipped
        .args(&["wanted=false", "--skip-exit-code", "0"])
        .run();
    skipped.exits(0).says(&["skipped: its condition is false"]);
    let shown = project
        .wharf(["show", "last", "--json"])
        .run()
        .exits(0)
        .json();
    assert_eq!(shown["ended"]["outcome"]["status"], "unfinished");
}

#[test]
fn a_signal_stops_a_task_which_may_be_run_again() {
    let project = ending();
    let lock = lock(&project);
    let file = project.path("ending.json");
    let task = task(&project, &lock, "a", "long");
    let running = task
        .args(&["--ending-to", file.to_str().expect("UTF-8")])
        .start();
    // It has begun once the run has.
    wait_until("it has begun", || {
        project.path(".wharf/pipelines").is_dir() && running.listens_to(Signal::TERM)
    });
    running.signal(Signal::TERM);
    let ended = running.wait().exits(75);
    ended.says(&["error: "]);
}

/// Lists of texts and of artifacts; what one of the items makes is published.
const LISTS: &str = r#"
parameters:
  texts: { type: list<string>, default: [a, b, c] }
steps:
  each:
    uses: steps/copy.wasm
    foreach: ${{ parameters.texts }}
    with: { data: "${{ item }}.txt" }
    publish: { last: "${{ outputs.copy[2] }}" }
  again:
    uses: steps/copy.wasm
    foreach: ${{ steps.each.outputs.copy }}
    with: { data: "${{ item }}" }
  after:
    uses: steps/copy.wasm
    with: { data: "${{ steps.again.outputs.copy[1] }}" }
"#;

fn lists() -> Project {
    let files = [
        ("pipeline.yaml", LISTS),
        ("a.txt", "1"),
        ("b.txt", "22"),
        ("c.txt", "333"),
    ];
    Project::with(&files).with_guests("steps", &["copy"])
}

#[test]
fn items_are_tasks_of_their_own() {
    let project = lists();
    let lock = lock(&project);
    let items = |step: &str| {
        let arguments = [
            "step",
            "items",
            "--pipeline",
            &lock,
            "--run-id",
            "a",
            "--step",
            step,
        ];
        project.wharf(arguments).run()
    };
    assert_eq!(items("each").exits(0).stdout, "[0,1,2]\n");
    items("again").exits(2).says(&["`each` has not succeeded"]);
    items("after").exits(2).says(&["no `foreach`"]);
    let item = |step: &str, item: &str| {
        task(&project, &lock, "a", step)
            .args(&["--item", item])
            .run()
    };
    // In any order; the last one publishes.
    for number in ["2", "0"] {
        let ended = item("each", number).exits(0);
        assert!(!ended.stderr.contains("published"), "{ended}");
    }
    item("each", "3")
        .exits(2)
        .says(&["has 3 items; there is no item 3"]);
    task(&project, &lock, "a", "after").run().exits(1);
    item("each", "1").exits(0);
    project
        .wharf(["artifact", "get", "last", "last.txt"])
        .run()
        .exits(0);
    assert_eq!(project.text("last.txt"), "333");
    assert_eq!(items("again").exits(0).stdout, "[0,1,2]\n");
    for number in ["0", "1", "2"] {
        item("again", number).exits(0);
    }
    task(&project, &lock, "a", "after").run().exits(0);
    let by_tasks = made(&project, "last");
    project
        .wharf(["pipeline", "run", "pipeline.yaml", "--no-cache"])
        .run()
        .exits(0);
    let here = made(&project, "last");
    assert_eq!(by_tasks, here);
}

#[test]
fn parameters_and_partitions_are_given_in_many_ways() {
    let pipeline = "partition: { every: month }\nparameters:\n  data: { type: input, default: a.txt }\n  \
                    many: { type: list<input>, default: [] }\nsteps:\n  copy:\n    \
                    uses: steps/copy.wasm\n    with: { data: \"${{ parameters.data }}\" }\n";
    let project = Project::with(&[("pipeline.yaml", pipeline), ("a.txt", "a"), ("b.txt", "bb")]);
    let project = project.with_guests("steps", &["copy"]);
    project
        .wharf(["artifact", "put", "texts", "b.txt"])
        .run()
        .exits(0);
    let lock = lock(&project);
    let partition = |ended: Ended| {
        let ended = ended.exits(0);
        let shown = project
            .wharf(["show", "last", "--json"])
            .run()
            .exits(0)
            .json();
        (shown["started"]["partition"].clone(), ended)
    };
    let run = |id: &str, arguments: &[&str]| task(&project, &lock, id, "copy").args(arguments);
    let (name, _) = partition(run("a", &["--partition", "2013-01", "data="]).run());
    assert_eq!(name, "2013-01");
    let fired = [
        "--partition-before",
        "2013-02-28T23:30:00Z",
        "--timezone",
        "Europe/Berlin",
    ];
    assert_eq!(partition(run("b", &fired).run()).0, "2013-02");
    let fired = ["--partition-before", "2013-02-28T23:30:00Z"];
    assert_eq!(partition(run("c", &fired).run()).0, "2013-01");
    let airflow = [
        ("AIRFLOW_CTX_DAG_ID", "flights"),
        ("AIRFLOW_CTX_DAG_RUN_ID", "manual__1"),
        ("AIRFLOW_CTX_TRY_NUMBER", "2"),
        ("AIRFLOW_CTX_LOGICAL_DATE", "2013-05-01T00:00:00+00:00"),
        (
            "WHARF_PARAMETERS",
            r#"{"data": "artifact:texts", "many": []}"#,
        ),
        ("WHARF_PARTITION", ""),
    ];
    let set = |task: Wharf| {
        airflow
            .iter()
            .fold(task, |task, (name, value)| task.env(name, *value))
    };
    let (name, ended) = partition(set(run("", &[])).run());
    assert_eq!(name, "2013-05");
    assert_eq!(ended.stdout, "2\n", "{ended}");
    let shown = project
        .wharf(["show", "last/copy", "--json"])
        .run()
        .exits(0)
        .json();
    assert_eq!(shown["pipeline"]["attempt"], 2);
    let (_, ended) = partition(run("d", &["--partition", "2013-01", "data=../b.txt"]).run());
    assert_eq!(ended.stdout, "2\n", "{ended}");
}

/// What orchestrators have that can hand over texts alone, or names of their own.
#[test]
fn orchestrators_give_parameters_in_ways_of_their_own() {
    let pipeline = "partition: { every: month }\nparameters:\n  in-file: { type: input }\n  \
                    how-many: { type: u32, default: 1 }\n  list: { type: list<u32>, default: [] }\n\
                    steps:\n  copy:\n    uses: steps/copy.wasm\n    \
                    with: { data: \"${{ parameters.in-file }}\" }\n";
    let files = [
        ("pipeline.yaml", pipeline),
        ("one/a.txt", "aaa"),
        ("two/b.txt", "aaa"),
        ("c.txt", "c"),
    ];
    let project = Project::with(&files).with_guests("steps", &["copy"]);
    let lock = lock(&project);
    let path = |name: &str| project.path(name).display().to_string();
    let partition = |run: &str, set: &dyn Fn(Wharf) -> Wharf| {
        set(task(&project, &lock, run, "copy")).run().exits(0);
        let shown = project
            .wharf(["show", "last", "--json"])
            .run()
            .exits(0)
            .json();
        (
            shown["started"]["partition"].clone(),
            shown["started"]["parameters"].clone(),
        )
    };
    let arguments =
        json!({"in-file": path("one/a.txt"), "how-many": "3", "list": "[1,2]"}).to_string();
    let (name, given) = partition("a", &|task| {
        task.env("WHARF_ARGUMENTS", &arguments)
            .env("WHARF_PARTITION", "")
            .env(
                "WHARF_PARTITION_BEFORE",
                "2013-02-28T23:30:00Z[Europe/Berlin]",
            )
    });
    assert_eq!(name, "2013-02");
    assert_eq!(
        (&given["how-many"], &given["list"]),
        (&json!(3), &json!([1, 2]))
    );
    // 28394821 minutes after 1970 began is a day of December 2023.
    let (name, given) = partition("b", &|task| {
        task.env("WHARF_PARAMETER_in-file", path("one/a.txt"))
            .env("WHARF_PARAMETER_how-many", "4")
            .env("WHARF_PARTITION_BEFORE", "flights-28394821[Europe/Berlin]")
    });
    assert_eq!((name, &given["how-many"]), (json!("2023-11"), &json!(4)));
    let input = json!({
        "inputs": {"parameterValues": {
            "in_file": path("one/a.txt"), "how_many_": 5.0, "list": [1.0], "partition": "2013-03",
        }},
        "outputs": {
            "parameters": {"results": {"outputFile": path("kfp/results")}},
            "artifacts": {"copy": {"artifacts": [{"name": "it", "uri": "minio://x/y"}]}},
            "outputFile": path("kfp/output.json"),
        },
    });
    let (_, given) = partition("c", &|task| {
        task.args(&[
            "--partition",
            "2013-03",
            "--executor-input",
            &input.to_string(),
        ])
    });
    assert_eq!(
        (&given["how-many"], &given["list"]),
        (&json!(5), &json!([1]))
    );
    assert_eq!(project.text("kfp/results"), "3");
    let output: Json = serde_json::from_slice(&project.read("kfp/output.json")).expect("JSON");
    let artifact = &output["artifacts"]["copy"]["artifacts"][0];
    assert_eq!(artifact["uri"], "minio://x/y");
    assert_eq!(artifact["metadata"]["size"], 3);
    assert_eq!(output["parameterValues"]["results"], "3");
    // Texts for all that is no text, as forms give them.
    let texts = r#"{"how-many": "6", "list": "[7]", "in-file": "FILE"}"#
        .replace("FILE", &path("one/a.txt"));
    let (_, given) = partition("d", &|task| {
        task.args(&["--partition", "2013-03", "--parameters", &texts])
    });
    assert_eq!(
        (&given["how-many"], &given["list"]),
        (&json!(6), &json!([7]))
    );
    // The same file may be at another path for another task, and gone after the first; not
    // another file.
    let again = |name: &str| {
        let file = format!("in-file={}", path(name));
        let texts = ["--partition", "2013-03", "how-many=6", "list=[7]", &file];
        task(&project, &lock, "d", "copy").args(&texts).run()
    };
    again("two/b.txt").exits(0);
    let other = again("c.txt").exits(2);
    other.says(&["the parameter in-file 0 of the run is ", "and is given as"]);
    fs::remove_file(project.path("one/a.txt")).expect("it is there");
    again("one/a.txt").exits(0);
}

#[test]
fn what_is_wrong_is_told() {
    let project = promoting();
    let lock = lock(&project);
    let refused = |arguments: &[&str], says: &[&str]| {
        let ended = task(&project, &lock, "a", "split")
            .args(arguments)
            .run()
            .exits(2);
        assert_eq!(ended.stdout, "", "{ended}");
        ended.says(says);
    };
    refused(
        &["epoch=3"],
        &["no parameter `epoch`", "did you mean `epochs`?"],
    );
    refused(&["epochs=many"], &["parameter `epochs`"]);
    refused(
        &["--partition", "2013-01"],
        &["the pipeline has no partition"],
    );
    refused(&["--parameters", "epochs=3"], &["not a JSON object"]);
    refused(
        &["--parameters", r#"{"data": 3}"#],
        &["wanted an artifact, as a text, got 3"],
    );
    refused(
        &["--item", "first"],
        &["`first` is not the number of an item"],
    );
    refused(
        &["--secret", "AWS_SECRET_ACCESS_KEY=hunter2"],
        &["a secret is a reference"],
    );
    let lines = task(&project, &lock, "a\nb", "split").run().exits(2);
    lines.says(&["`a\\nb` cannot be the id of a run"]);
    task(&project, &lock, "a", "splitt")
        .run()
        .exits(2)
        .says(&["did you mean `split`?"]);
    task(&project, &lock, "", "split")
        .run()
        .exits(2)
        .says(&["belongs to no run", "--run-id"]);
    let none = format!("sha256:{}", "0".repeat(64));
    let ended = task(&project, &none, "a", "split").run().exits(2);
    ended.says(&["there is no pipeline", "wharf pipeline compile"]);
    let ended = task(&project, &lock, "a", "split")
        .without_env("WHARF_STORE")
        .run();
    ended.exits(2).says(&["the task has no store"]);
    task(&project, &lock, "a", "split")
        .args(&["epochs=3"])
        .run()
        .exits(0);
    let other = task(&project, &lock, "a", "train")
        .args(&["epochs=4"])
        .run();
    other
        .exits(2)
        .says(&["the run `a` was begun with epochs=3, not 4"]);
    let fixed = project.wharf(["pipeline", "lock", "pipeline.yaml", "epochs=7"]);
    let fixed = fixed.run().exits(0).stdout.trim().to_owned();
    let ended = task(&project, &fixed, "f", "split")
        .args(&["epochs=8"])
        .run();
    ended.exits(2).says(&["the parameter `epochs` is fixed"]);
    task(&project, &fixed, "f", "split").run().exits(0);
}

#[test]
fn an_environment_that_makes_no_sense_is_refused() {
    let project = promoting();
    let lock = lock(&project);
    let airflow = [("AIRFLOW_CTX_DAG_ID", "a"), ("AIRFLOW_CTX_DAG_RUN_ID", "b")];
    for (variables, says) in [
        (vec![airflow[0]], "`AIRFLOW_CTX_DAG_RUN_ID`"),
        (
            [&airflow[..], &[("AIRFLOW_CTX_TRY_NUMBER", "first")]].concat(),
            "`first` is not a number",
        ),
        (
            [&airflow[..], &[("AIRFLOW_CTX_LOGICAL_DATE", "soon")]].concat(),
            "`soon` is not a time",
        ),
        (vec![("ARGO_TEMPLATE", "{")], "`ARGO_TEMPLATE`"),
        (
            vec![("ARGO_NODE_ID", "a"), ("ARGO_DEADLINE", "soon")],
            "`soon` is not a time",
        ),
        (vec![("DAGSTER_PIPES_CONTEXT", "{}")], "it is not Base64"),
        (
            vec![("DAGSTER_PIPES_CONTEXT", "e30=")],
            "it is not compressed",
        ),
        (
            vec![("GITHUB_ACTIONS", "true"), ("GITHUB_RUN_ATTEMPT", "x")],
            "`x` is not a number",
        ),
    ] {
        let set = |task: Wharf| {
            variables
                .iter()
                .fold(task, |task, (name, value)| task.env(name, *value))
        };
        let refused = set(task(&project, &lock, "a", "split")).run().exits(2);
        refused.says(&["malformed", says, "--orchestrator none"]);
        let none = set(task(&project, &lock, "a", "split")).args(&["--orchestrator", "none"]);
        none.run().exits(0);
    }
    let ended = task(&project, &lock, "a", "split")
        .args(&["--executor-input", "{"])
        .run();
    ended.exits(2).says(&["`--executor-input`"]);
}

#[test]
fn github_is_told_what_it_shows() {
    let project = promoting();
    let lock = lock(&project);
    let (output, summary) = (project.path("output"), project.path("summary"));
    let set = |task: Wharf| {
        task.env("GITHUB_ACTIONS", "true")
            .env("GITHUB_RUN_ID", "77")
            .env("GITHUB_OUTPUT", &output)
            .env("GITHUB_STEP_SUMMARY", &summary)
    };
    set(task(&project, &lock, "", "split")).run().exits(0);
    assert_eq!(
        project.text("output"),
        "results={\"test-rows\":142,\"train-rows\":427}\nstatus=succeeded\n"
    );
    let shown = project.text("summary");
    assert!(
        shown.starts_with("### split: succeeded\n\n```json\n{\n  \"test-rows\": 142,"),
        "{shown}"
    );
    assert!(shown.contains("| test | 29.8 KiB | `sha256:"), "{shown}");
    let failed = set(task(&project, &lock, "", "promote")).run().exits(1);
    failed.says(&[
        "::error::promote: `train` has not succeeded",
        "error: promote: ",
    ]);
}
