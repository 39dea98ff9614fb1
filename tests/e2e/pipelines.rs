//! Pipelines, through the command.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value as Json, json};
use wharf_services::Service;

use crate::harness::{Ended, Project, SmallDisk, example_table, guest};

/// A model is trained, judged, and promoted where it is good enough.
const TRAIN: &str = r#"
name: cancer
parameters:
  epochs: { type: u32, default: 5 }
  least: { type: f64, default: 0.5 }
  data: { type: input, default: data.csv }
steps:
  train:
    uses: steps/train.wasm
    with: { data: "${{ parameters.data }}", epochs: "${{ parameters.epochs }}" }
    publish: { cancer-model: "${{ outputs.model }}" }
  evaluate:
    uses: steps/evaluate.wasm
    with: { data: "${{ parameters.data }}", model: "${{ steps.train.outputs.model }}" }
  promote:
    when: ${{ steps.evaluate.results.accuracy > parameters.least }}
    publish: { "cancer-model:prod": "${{ steps.train.outputs.model }}" }
"#;

/// A project with guests in `steps/`, a table, and a pipeline.
fn project(pipeline: &str, guests: &[&str]) -> Project {
    let project = Project::with(&[("pipeline.yaml", pipeline)]).with_guests("steps", guests);
    fs::copy(example_table(), project.path("data.csv")).expect("the table is there");
    project
}

fn run(project: &Project, arguments: &str) -> Ended {
    let arguments = arguments.split(' ').filter(|word| !word.is_empty());
    let all = ["pipeline", "run", "pipeline.yaml"]
        .into_iter()
        .chain(arguments);
    project.wharf(all).run()
}

/// How each step ended: `name status`, sorted.
fn statuses(ended: &Json) -> Vec<String> {
    let steps = ended["steps"].as_array().expect("a report").iter();
    let mut statuses: Vec<_> = steps
        .map(|step| {
            let item = step["item"].as_u64().map(|item| format!("[{item}]"));
            let (name, status) = (
                step["step"].as_str().expect("a report"),
                step["status"].as_str().expect("a report"),
            );
            format!("{name}{} {status}", item.unwrap_or_default())
        })
        .collect();
    statuses.sort();
    statuses
}

fn run_json(project: &Project, arguments: &str, code: i32) -> Json {
    run(project, &format!("{arguments} --json"))
        .exits(code)
        .json()
}

#[test]
fn a_model_is_trained_and_promoted_and_nothing_runs_twice() {
    let project = project(TRAIN, &["train", "evaluate"]);
    let first = run_json(&project, "", 0);
    assert_eq!(first["outcome"], json!({"status": "succeeded"}));
    let all = ["evaluate succeeded", "promote succeeded", "train succeeded"];
    assert_eq!(statuses(&first), all);
    let shown = project.wharf(["show", "last"]).run().exits(0);
    assert!(shown.stdout.contains("{\"accuracy\":0.9"), "{shown}");
    let again = run_json(&project, "", 0);
    assert_eq!(
        statuses(&again),
        ["evaluate cached", "promote succeeded", "train cached"]
    );
    let shown = project
        .wharf(["artifact", "show", "cancer-model:prod", "--json"])
        .run();
    let shown = shown.exits(0).json();
    assert_eq!(shown["version"]["number"], 1);
    assert_eq!(shown["tags"].as_array().unwrap().len(), 1);
    assert_eq!(shown["tags"][0]["run"], first["id"]);
    assert_eq!(shown["version"]["origin"]["run"], first["id"]);

    // Another parameter is another model, which is not good enough.
    let other = run_json(&project, "epochs=6 least=2", 0);
    assert_eq!(
        statuses(&other),
        ["evaluate succeeded", "promote skipped", "train succeeded"]
    );
    let listed = project
        .wharf(["artifact", "ls", "cancer-model", "--json"])
        .run()
        .exits(0);
    let tags: Vec<Json> = listed
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap()["tags"].clone())
        .collect();
    assert_eq!(tags, [json!([]), json!(["prod"])]);
    let lineage = project
        .wharf(["artifact", "lineage", "cancer-model"])
        .run()
        .exits(0);
    assert!(lineage.stdout.contains("epochs = 6"), "{lineage}");
    project.wharf(["verify"]).run().exits(0);
}

/// The same step with the same inputs has the same key, whatever runs it.
#[test]
fn a_pipeline_and_a_single_run_make_the_same() {
    let project = project(TRAIN, &["train", "evaluate"]);
    let ended = run_json(&project, "--only train", 0);
    assert_eq!(statuses(&ended), ["train succeeded"]);
    let shown = project.wharf(["show", "last/train"]).run().exits(0);
    assert!(shown.stdout.contains("output       model\n"), "{shown}");
    project
        .wharf(["artifact", "get", "cancer-model", "stored.json"])
        .run()
        .exits(0);
    let arguments = ["data=data.csv", "model=model.json", "epochs=5"];
    let step = project.path("steps/train.wasm").display().to_string();
    project.step(&step, &arguments).record(0);
    let model: Json = serde_json::from_slice(&project.read("model.json")).unwrap();
    let stored: Json = serde_json::from_slice(&project.read("stored.json")).unwrap();
    assert!(model.is_object() && stored.is_object());
}

#[test]
fn steps_are_chosen() {
    let project = project(TRAIN, &["train", "evaluate"]);
    let missing = run_json(&project, "--only evaluate", 1);
    assert_eq!(statuses(&missing), ["evaluate not-run", "train failed"]);
    run(&project, "").exits(0);
    let only = run_json(&project, "--only evaluate", 0);
    assert_eq!(statuses(&only), ["evaluate cached", "train cached"]);
    let from = run_json(&project, "--from evaluate", 0);
    assert_eq!(
        statuses(&from),
        ["evaluate succeeded", "promote succeeded", "train cached"]
    );
    let none = run_json(&project, "--no-cache", 0);
    assert_eq!(
        statuses(&none),
        ["evaluate succeeded", "promote succeeded", "train succeeded"]
    );
    run(&project, "--from trian")
        .exits(2)
        .says(&["no step `trian`", "did you mean `train`?"]);
}

#[test]
fn a_list_fans_out_and_in() {
    let pipeline = r#"
parameters:
  texts: { type: list<input>, default: [a.txt, b.txt, c.txt] }
steps:
  copy:
    uses: steps/copy.wasm
    foreach: ${{ parameters.texts }}
    with: { data: "${{ item }}" }
    publish: { first: "${{ outputs.copy[0] }}" }
"#;
    let project = project(pipeline, &["copy"]);
    for (name, text) in [("a.txt", "1"), ("b.txt", "22"), ("c.txt", "333")] {
        project.write(name, text);
    }
    let ended = run_json(&project, "", 0);
    assert_eq!(
        statuses(&ended),
        [
            "copy[0] succeeded",
            "copy[1] succeeded",
            "copy[2] succeeded"
        ]
    );
    project.write("b.txt", "new");
    let again = run_json(&project, "", 0);
    assert_eq!(
        statuses(&again),
        ["copy[0] cached", "copy[1] succeeded", "copy[2] cached"]
    );
}

#[test]
fn of_several_that_are_the_same_one_runs() {
    let pipeline = "steps:\n  noop:\n    uses: steps/noop.wasm\n    foreach: [1, 2, 3, 4, 5, 6]\n    with: { data: data.csv }\n";
    let project = project(pipeline, &["noop"]);
    let ended = run_json(&project, "", 0);
    let statuses = statuses(&ended);
    let ran = statuses
        .iter()
        .filter(|status| status.ends_with("succeeded"));
    assert_eq!(ran.count(), 1, "{statuses:?}");
}

#[test]
fn partitions_run_each_for_itself() {
    let pipeline = r#"
partition: { every: month }
steps:
  facts:
    uses: steps/noop.wasm
    with: { data: "data-${{ partition.year }}-${{ partition.month }}.csv" }
"#;
    let project = project(pipeline, &["noop"]);
    for month in [11, 12] {
        project.write(&format!("data-2013-{month}.csv"), month.to_string());
    }
    project.write("data-2014-1.csv", "x");
    let ended = run(&project, "--from 2013-11 --to 2014-01 --json").exits(0);
    let runs: Vec<Json> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(runs.len(), 3);
    assert!(runs.iter().all(|run| statuses(run) == ["facts succeeded"]));
    let again = run(&project, "--from 2013-11 --to 2014-01 --json").exits(0);
    assert_eq!(again.stdout.matches("\"cached\"").count(), 3);
    let one = run_json(&project, "--partition 2013-12", 0);
    assert_eq!(statuses(&one), ["facts cached"]);
    run(&project, "--from 2013-11 --to 2013-12")
        .exits(0)
        .says(&["2013-11 succeeded in", "2013-12 succeeded in"]);
    run(&project, "")
        .exits(2)
        .says(&["none is given", "--partition"]);
    run(&project, "--partition 2013-13")
        .exits(2)
        .says(&["2013-13"]);
    let missing = run(&project, "--from 2013-09 --to 2013-12").exits(2);
    missing.says(&[
        "`data-2013-9.csv` does not exist (`data` of the step `facts`, partition 2013-09)",
        "`data-2013-10.csv` does not exist",
    ]);
}

/// Months run in any order, and again; what is newest stays newest.
#[test]
fn a_tag_stays_with_the_latest_partition() {
    let pipeline = r#"
partition: { every: month }
steps:
  copy:
    uses: steps/copy.wasm
    with: { data: "data-${{ partition.month }}.csv" }
    publish: { "month:newest": "${{ outputs.copy }}" }
"#;
    let project = project(pipeline, &["copy"]);
    for month in [1, 2] {
        project.write(&format!("data-{month}.csv"), month.to_string());
    }
    let runs = [
        ("2013-02", "copy: published month@1, tagged newest"),
        (
            "2013-01",
            "copy: published month@2; newest stays at month@1, of the later partition 2013-02",
        ),
        (
            "2013-01",
            "copy: month@2 was published before; newest stays at month@1",
        ),
        ("2013-02", "copy: month@1 is tagged newest"),
    ];
    for (partition, said) in runs {
        run(&project, &format!("--partition {partition}"))
            .exits(0)
            .says(&[said]);
    }
    // Also where somebody has put it by hand, by what it means.
    let tag = ["artifact", "rm", "month:newest"];
    project.wharf(tag).run().exits(0);
    let tag = ["artifact", "tag", "month@1", "newest"];
    project.wharf(tag).run().exits(0);
    run(&project, "--partition 2013-01")
        .exits(0)
        .says(&["newest stays at month@1, of the later partition 2013-02"]);
    let listed = project.wharf(["artifact", "ls", "month"]).run().exits(0);
    assert!(listed.stdout.contains(" for 2013-01"), "{listed}");
    let shown = project.wharf(["artifact", "show", "month:newest"]).run();
    assert!(shown.stdout.contains(" for 2013-02"), "{shown}");
    assert!(shown.stdout.contains("newest: none -> 1 by "), "{shown}");
}

#[test]
fn mistakes_are_shown_where_they_are_and_all_at_once() {
    let pipeline = "steps:\n  train:\n    uses: steps/train.wasm\n    with: { dta: data.csv, epochs: many }\n    retires: 3\n";
    let project = project(pipeline, &["train"]);
    let ended = project
        .wharf(["pipeline", "check", "pipeline.yaml"])
        .run()
        .exits(2);
    ended.says(&["retires", "did you mean `retries`?", "pipeline.yaml:5:5"]);
    project.write("pipeline.yaml", pipeline.replace("    retires: 3\n", ""));
    let ended = project
        .wharf(["pipeline", "check", "pipeline.yaml", "--json"])
        .run()
        .exits(2);
    let problems = ended.json()["error"]["problems"].clone();
    let lines: Vec<_> = problems
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["line"].clone())
        .collect();
    assert!(lines.len() >= 3, "{problems}");
    let fine = pipeline
        .replace("    retires: 3\n", "")
        .replace("dta", "data")
        .replace("many", "3");
    project.write("pipeline.yaml", fine);
    project
        .wharf(["pipeline", "check", "pipeline.yaml"])
        .run()
        .exits(0);
    project
        .wharf(["pipeline", "check", "none.yaml"])
        .run()
        .exits(2)
        .says(&["none.yaml"]);
    let graph = project
        .wharf(["pipeline", "graph", "pipeline.yaml"])
        .run()
        .exits(0);
    assert!(graph.stdout.starts_with("flowchart"), "{graph}");
}

#[test]
fn what_a_step_asks_for_must_be_permitted() {
    let pipeline = "steps:\n  noop:\n    uses: steps/noop.wasm\n    with: { data: data.csv }\n    grants: [clock]\n";
    let project = project(pipeline, &["noop"]);
    run(&project, "")
        .exits(2)
        .says(&["asks for `clock`", "--allow clock"]);
    let first = run_json(&project, "--allow clock", 0);
    let again = run_json(&project, "--allow clock", 0);
    // What may differ each time is not taken from before.
    assert_eq!(statuses(&first), statuses(&again));
    assert_eq!(statuses(&again), ["noop succeeded"]);
}

#[test]
fn a_step_that_fails_stops_what_needs_it() {
    let pipeline = r#"
steps:
  train:
    uses: steps/train.wasm
    with: { data: bad.csv, epochs: 1 }
  evaluate:
    uses: steps/evaluate.wasm
    with: { data: data.csv, model: "${{ steps.train.outputs.model }}" }
  other:
    uses: steps/noop.wasm
    with: { data: data.csv }
    needs: [slow]
  slow:
    uses: steps/noop.wasm
    with: { data: bad.csv }
"#;
    let project = project(pipeline, &["train", "evaluate", "noop"]);
    project.write("bad.csv", "no table");
    let ended = run_json(&project, "--continue-on-error", 1);
    assert_eq!(
        ended["outcome"],
        json!({"status": "failed", "retryable": false})
    );
    let statuses = statuses(&ended);
    let wanted = [
        "evaluate not-run",
        "other succeeded",
        "slow succeeded",
        "train failed",
    ];
    assert_eq!(statuses, wanted);
}

#[test]
fn a_bucket_is_all_that_a_pipeline_needs() {
    for service in Service::ALL {
        let project = project(TRAIN, &["train", "evaluate"]);
        let url = service.url(&format!("pipeline-{}", std::process::id()));
        let at = |command: &[&str], cache: &str| {
            let wharf = project.wharf(command).env("WHARF_STORE", &*url);
            let wharf = wharf.env("WHARF_CACHE", project.path(cache));
            wharf.envs(&service.settings()).run()
        };
        let command = ["pipeline", "run", "pipeline.yaml", "--json"];
        at(&command, "one").exits(0);
        let again = at(&command, "another").exits(0).json();
        assert_eq!(
            statuses(&again),
            ["evaluate cached", "promote succeeded", "train cached"]
        );
        at(
            &["artifact", "get", "cancer-model:prod", "model.json"],
            "third",
        )
        .exits(0);
        let model: Json = serde_json::from_slice(&project.read("model.json")).unwrap();
        assert!(model.is_object());
    }
}

#[test]
fn a_signal_ends_a_pipeline_that_asks_for_another_try() {
    let pipeline = r#"
steps:
  noop:
    uses: steps/noop.wasm
    with: { data: data.csv }
  spin:
    uses: steps/hostile.wasm#spin
    needs: [noop]
  last:
    uses: steps/noop.wasm
    with: { data: data.csv }
    needs: [spin]
"#;
    let project = project(pipeline, &["noop", "hostile"]);
    for (signal, by) in [(Signal::TERM, "terminate"), (Signal::INT, "interrupt")] {
        let running = project
            .wharf(["pipeline", "run", "pipeline.yaml", "--json"])
            .start();
        running.wait_for_event("step-started\",\"step\":\"spin");
        running.signal(signal);
        let ended = running.wait().exits(75);
        assert!(ended.took < Duration::from_secs(25), "{ended}");
        let json = ended.json();
        assert_eq!(json["outcome"], json!({"status": "cancelled", "by": by}));
        let before = if signal == Signal::TERM {
            "succeeded"
        } else {
            "cached"
        };
        let wanted = ["last not-run", &format!("noop {before}"), "spin cancelled"];
        assert_eq!(statuses(&json), wanted);
    }
}

#[test]
fn a_full_disk_fails_a_pipeline_and_leaves_nothing_half_made() {
    let pipeline = "steps:\n  copy:\n    uses: steps/copy.wasm\n    with: { data: large }\n";
    let project = project(pipeline, &["copy"]);
    project.write("large", vec![7; 3 << 20]);
    fs::create_dir(project.path("disk")).unwrap();
    let folder = project.path("disk");
    let Some(_disk) = SmallDisk::mount(&folder, "size=4m") else {
        return;
    };
    // It has room for the input, and not for the output beside it.
    let at = |command: &[&str]| {
        project
            .wharf(command)
            .env("WHARF_STORE", project.path("disk/store"))
    };
    let ended = at(&["pipeline", "run", "pipeline.yaml", "--json"])
        .run()
        .exits(75);
    let json = ended.json();
    assert_eq!(
        json["outcome"],
        json!({"status": "failed", "retryable": true})
    );
    assert!(
        json["steps"][0]["message"]
            .as_str()
            .unwrap()
            .contains("No space left on device")
    );
    assert_eq!(
        fs::read_dir(project.path("disk/store/tmp"))
            .unwrap()
            .count(),
        0
    );
    assert!(!project.path("disk/store/commits").exists());
}

/// What a plan says of each step, sorted: `name does: why`.
fn plan(project: &Project, arguments: &str) -> Vec<String> {
    let arguments = arguments.split(' ').filter(|word| !word.is_empty());
    let all = ["pipeline", "plan", "pipeline.yaml", "--json"]
        .into_iter()
        .chain(arguments);
    let plan = project.wharf(all).run().exits(0).json();
    let text = |step: &Json, key: &str| step[key].as_str().unwrap_or_default().to_owned();
    let steps = plan["steps"].as_array().expect("a list").iter();
    let steps = steps.map(|step| {
        format!(
            "{} {}: {}",
            text(step, "step"),
            text(step, "plan"),
            text(step, "why")
        )
    });
    let mut steps: Vec<_> = steps.collect();
    steps.sort();
    steps
}

#[test]
fn a_plan_says_what_runs_and_why_and_does_nothing() {
    let project = project(TRAIN, &["train", "evaluate"]);
    let waits = |on: &str| format!("`{on}` will run first");
    let first = plan(&project, "");
    assert_eq!(first[2], "train will run: it was not run before");
    assert_eq!(first[0], format!("evaluate will run: {}", waits("train")));
    assert!(!project.path(".wharf").exists(), "a plan writes nothing");

    run(&project, "").exits(0);
    let committed = "it is committed";
    let wanted = [
        format!("evaluate cached: {committed}"),
        "promote publishes: ".to_owned(),
        format!("train cached: {committed}"),
    ];
    assert_eq!(plan(&project, ""), wanted);
    assert_eq!(
        plan(&project, "epochs=9")[2],
        "train will run: the parameter `epochs` changed"
    );
    assert_eq!(
        plan(&project, "--from train")[2],
        "train will run: it is to run anew"
    );
    let mut table = project.text("data.csv");
    let last = table.trim_end().lines().last().unwrap().to_owned();
    table.push_str(&format!("{last}\n"));
    project.write("data.csv", table);
    assert_eq!(
        plan(&project, "")[2],
        "train will run: the input `data` changed"
    );
    let step = fs::read(guest("train")).unwrap();
    fs::write(
        project.path("steps/train.wasm"),
        [&step[..], b"\0\x02\x01x"].concat(),
    )
    .unwrap();
    let both = "train will run: the component changed, the input `data` changed";
    assert_eq!(plan(&project, "")[2], both);
    let shown = project
        .wharf(["pipeline", "plan", "pipeline.yaml"])
        .run()
        .exits(0);
    assert!(shown.stdout.starts_with("STEP "), "{shown}");
}

/// Each step that runs has a line; what has ended is told above, in colours.
#[test]
fn a_terminal_shows_how_far_steps_have_come() {
    let project = project(TRAIN, &["train", "evaluate"]);
    let arguments = ["pipeline", "run", "pipeline.yaml", "epochs=20000"];
    let command = project.wharf(arguments).env("TERM", "xterm").on_terminal();
    let ended = command.run().exits(0);
    let shown = &ended.stderr;
    assert!(shown.contains("/20,000 epochs"), "{ended}");
    assert!(shown.contains(" of 3 steps"), "{ended}");
    assert!(
        shown.contains("train  \u{1b}[32msucceeded\u{1b}[0m"),
        "{ended}"
    );
    assert!(!shown.contains("metric loss"), "{ended}");
    // The lines are gone when all is said.
    let last = shown
        .rsplit("\u{1b}[1;32msucceeded")
        .next()
        .expect("a part");
    assert!(
        !last.contains("epochs") && last.contains("3.0 KiB written"),
        "{ended}"
    );
}

/// Programs are told the same.
#[test]
fn events_are_json_lines_of_a_known_version() {
    let project = project(TRAIN, &["train", "evaluate"]);
    let ended = run(&project, "epochs=20 --json").exits(0);
    let events = ended.events();
    assert_eq!(events[0]["event"], "started");
    assert_eq!(events[0]["format"], "wharf.pipeline-events/1");
    let progress = |event: &&Json| event["said"]["event"] == "metric";
    assert!(events.iter().any(|event| progress(&event)), "{ended}");
    assert_eq!(events.last().expect("events")["event"], "ended");
}

/// What is attached to an artifact can be read, too: it is a part of what a step is given.
#[test]
fn what_is_attached_to_an_input_is_a_part_of_it() {
    let pipeline = "steps:\n  look:\n    uses: steps/noop.wasm\n    with: { data: \"${{ artifact('table') }}\" }\n";
    let project = project(pipeline, &["noop"]);
    let put = |arguments: &[&str]| {
        let all = [&["artifact", "put", "table", "data.csv"], arguments].concat();
        project.wharf(all).run().exits(0);
    };
    put(&["--media-type", "text/csv"]);
    assert_eq!(statuses(&run_json(&project, "", 0)), ["look succeeded"]);
    assert_eq!(statuses(&run_json(&project, "", 0)), ["look cached"]);
    put(&["--media-type", "text/plain"]);
    assert_eq!(statuses(&run_json(&project, "", 0)), ["look succeeded"]);
    put(&["--media-type", "text/plain", "--meta", "rows=3"]);
    assert_eq!(statuses(&run_json(&project, "", 0)), ["look succeeded"]);
}

/// All of the memory is enough for a step that may take all of it, however it is written.
#[test]
fn a_step_may_take_all_the_memory() {
    let pipeline = "steps:\n  all:\n    uses: steps/noop.wasm\n    with: { data: data.csv }\n    limits: { memory: 512MB }\n";
    let project = project(pipeline, &["noop"]);
    run(&project, "--memory 512MB").exits(0);
}

#[test]
fn a_folder_is_no_file_wherever_it_comes_from() {
    let pipeline = "parameters: { data: input }\nsteps:\n  look: { uses: steps/noop.wasm, with: { data: \"${{ parameters.data }}\" } }\n";
    let project = project(pipeline, &["noop"]);
    let put = ["artifact", "put", "folder", "steps"];
    project.wharf(put).run().exits(0);
    let says = ["is a folder; a file is wanted"];
    run(&project, "data=artifact:folder").exits(2).says(&says);
    run(&project, "data=steps").exits(2).says(&says);
    run(&project, "data=/dev/null")
        .exits(2)
        .says(&["is no regular file"]);
}

/// Of several partitions at a time, each event says whose it is.
#[test]
fn events_say_which_run_they_belong_to() {
    let pipeline = "partition: { every: month }\nsteps:\n  look: { uses: steps/noop.wasm, with: { data: data.csv } }\n";
    let project = project(pipeline, &["noop"]);
    let ended = run(&project, "--from 2013-01 --to 2013-03 --json").exits(0);
    let lines = ended.stdout.lines();
    let lines = lines.map(|line| serde_json::from_str::<Json>(line).unwrap());
    let runs: std::collections::BTreeMap<String, Json> = lines
        .map(|run| (run["id"].to_string(), run["partition"].clone()))
        .collect();
    let mut partitions: Vec<_> = runs.values().map(Json::to_string).collect();
    partitions.sort();
    assert_eq!(partitions, ["\"2013-01\"", "\"2013-02\"", "\"2013-03\""]);
    for event in ended.events() {
        assert!(runs.contains_key(&event["run"].to_string()), "{event}");
    }
}

/// Also before anything runs: a signal never ends the process as if it had been killed.
#[test]
fn a_signal_while_a_component_is_compiled_asks_for_another_try() {
    let pipeline =
        "steps:\n  fit: { uses: steps/train-python.wasm, with: { data: data.csv, epochs: 1 } }\n";
    let project = project(pipeline, &["train-python"]);
    let arguments = ["pipeline", "run", "pipeline.yaml", "--cache", "compiled"];
    let running = project.wharf(arguments).without_env("WHARF_CACHE").start();
    crate::harness::wait_until("it listens", || running.listens_to(Signal::TERM));
    running.signal(Signal::TERM);
    let ended = running.wait().exits(75);
    ended.says(&["cancelled by a request to terminate"]);
}

/// What files are called, and what records say of it, does nothing to a terminal, and
/// is no line of its own.
#[test]
fn names_of_files_do_nothing_to_a_terminal() {
    let file = "e\u{1b}[31m\nx.yaml";
    let input = "q\u{1b}[31mred\nb  succeeded  1 ms";
    let text = r#"steps: { a: { uses: steps/noop.wasm, with: { data: "q\e[31mred\nb  succeeded  1 ms" } } }"#;
    let project = project(text, &["noop"]);
    fs::rename(project.path("pipeline.yaml"), project.path(file)).unwrap();
    let run = |code| project.wharf(["pipeline", "run", file]).run().exits(code);
    let seen = |ended: &Ended| {
        for text in [&ended.stdout, &ended.stderr] {
            assert!(!text.contains('\u{1b}'), "{ended}");
            assert!(!text.lines().any(|line| line.starts_with("b  ")), "{ended}");
            assert!(
                !text.lines().any(|line| line.starts_with("x.yaml")),
                "{ended}"
            );
        }
    };
    let missing = run(2);
    seen(&missing);
    missing.says(&["`q\\u{1b}[31mred\\nb  succeeded  1 ms`"]);
    fs::copy(project.path("data.csv"), project.path(input)).unwrap();
    seen(&run(0));
    let put = ["artifact", "put", "table", input];
    seen(&project.wharf(put).run().exits(0));
    for command in [
        "runs",
        "show last",
        "show last/a",
        "artifact ls table",
        "artifact show table",
    ] {
        let shown = project.wharf(command.split(' ')).run().exits(0);
        seen(&shown);
    }
    let shown = project.wharf(["show", "last"]).run();
    assert!(shown.stdout.contains("e\\u{1b}[31m\\nx.yaml"), "{shown}");
}
