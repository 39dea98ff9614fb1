//! The same request gives the same bytes; each departure is a grant.

use serde_json::{Value as Json, json};

use crate::harness::{Project, guest};
use crate::typed::split_table;

/// 2000-01-01T00:00:00Z
const DEFAULT_SECONDS: i64 = 946_684_800;
const HOUR_NANOS: u64 = 3_600_000_000_000;

fn facts(arguments: &[&str]) -> Json {
    Project::new().step(&guest("facts"), arguments).results()
}

fn record_of_facts(arguments: &[&str]) -> Json {
    Project::new().step(&guest("facts"), arguments).record(0)
}

/// What identifies a run and its results, and nothing of when and where.
fn identity(record: &Json) -> Json {
    let mut outputs = record["outputs"].clone();
    for output in outputs.as_array_mut().expect("a list") {
        output.as_object_mut().expect("an artifact").remove("path");
    }
    json!([
        record["key"],
        record["seed"],
        outputs,
        record["outcome"],
        record["step"]["digest"]
    ])
}

#[test]
fn the_same_command_twice_gives_the_same_bytes() {
    let table = split_table();
    std::fs::create_dir(table.path("parts")).unwrap();
    for part in ["train.csv", "test.csv"] {
        std::fs::copy(table.path(part), table.path("parts").join(part)).unwrap();
    }
    for (step, arguments, output) in [
        ("noop", &["data=all.csv", "result=@"][..], "result"),
        ("copy", &["data=all.csv", "copy=@"], "copy"),
        (
            "train",
            &["data=train.csv", "model=@", "epochs=30"],
            "model",
        ),
        (
            "train-python",
            &["data=train.csv", "model=@", "epochs=3"],
            "model",
        ),
        ("profile", &["data=all.csv", "profile=@"], "profile"),
        (
            "linecount",
            &["--in", "text=all.csv", "--out", "lines=@"],
            "lines",
        ),
        (
            "wordcount",
            &["--in", "text=all.csv", "--out", "counts=@"],
            "counts",
        ),
    ] {
        let run = |to: &str| {
            let arguments: Vec<String> = arguments.iter().map(|a| a.replace('@', to)).collect();
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            table.step(&guest(step), &arguments).record(0)
        };
        let (first, second) = (run("first"), run("second"));
        assert_eq!(identity(&first), identity(&second), "{step}");
        assert_eq!(first["outputs"][0]["name"], output);
        assert!(table.read("first") == table.read("second"), "{step}");
        for name in ["first", "second"] {
            std::fs::remove_file(table.path(name)).unwrap();
        }
    }
    let tree = |to: &str| {
        let target = format!("target={to}");
        table
            .step(&guest("tree"), &["source=parts", &target])
            .record(0)
    };
    assert_eq!(identity(&tree("one")), identity(&tree("two")));
}

#[test]
fn a_result_depends_on_everything_that_the_step_sees_and_on_nothing_else() {
    let project = Project::with(&[("a", "same"), ("b", "same"), ("c", "other")]);
    let key = |arguments: &[&str]| {
        let arguments = [arguments, &["result=r", "--force"]].concat();
        let record = project.step(&guest("noop"), &arguments).record(0);
        (record["key"].clone(), record["seed"].clone())
    };
    let base = key(&["data=a"]);
    // Where the bytes lie and what bounds the run is not part of it.
    assert_eq!(key(&["data=b"]), base);
    assert_eq!(
        key(&["data=a", "--memory", "2GiB", "--timeout", "5m"]),
        base
    );
    assert_eq!(key(&["data=a", "--logical-time", "2000-01-01"]), base);
    let mut keys = vec![base.0.clone()];
    for other in [
        &["data=c"][..],
        &["data=a", "--seed", "1"],
        &["data=a", "--seed", "2"],
        &["data=a", "--logical-time", "2013-01-31"],
        &["data=a", "--partition", "2013-01"],
        &["data=a", "--allow", "clock"],
        &["data=a", "--allow", "entropy"],
    ] {
        let (key, _) = key(other);
        assert!(!keys.contains(&key), "{other:?}");
        keys.push(key);
    }
}

#[test]
fn facts_are_the_same_each_time() {
    let (first, second) = (record_of_facts(&[]), record_of_facts(&[]));
    assert_eq!(first["outcome"], second["outcome"]);
    assert_eq!(identity(&first), identity(&second));
    assert_eq!(first["deterministic"], true);
    assert_eq!(first["grants"], json!([]));
}

#[test]
fn the_clock_starts_at_the_logical_time_and_a_sleep_takes_no_time() {
    let facts = facts(&[]);
    assert_eq!(
        facts["logical-time"],
        json!({"seconds": DEFAULT_SECONDS, "nanoseconds": 0})
    );
    let (before, after) = (&facts["wall-clock"], &facts["wall-clock-after"]);
    assert_eq!(before["seconds"], DEFAULT_SECONDS);
    assert!(before["nanoseconds"].as_u64() < Some(1_000_000), "{before}");
    assert_eq!(after["seconds"], DEFAULT_SECONDS + 3600);
    let slept = facts["slept"].as_u64().unwrap();
    assert!(
        (HOUR_NANOS..HOUR_NANOS + 1_000_000).contains(&slept),
        "{slept}"
    );
    assert!(facts["tick"].as_u64() > Some(0));
}

#[test]
fn the_logical_time_and_the_partition_are_seen_and_recorded() {
    let arguments = [
        "--logical-time",
        "2013-01-31T12:00:00Z",
        "--partition",
        "2013-01",
    ];
    let record = record_of_facts(&arguments);
    let facts = &record["outcome"]["results"];
    assert_eq!(facts["logical-time"]["seconds"], 1_359_633_600);
    assert_eq!(facts["wall-clock"]["seconds"], 1_359_633_600);
    assert_eq!(facts["partition"], "2013-01");
    assert_eq!(record["logical-time"], "2013-01-31T12:00:00Z");
    assert_eq!(record["partition"], "2013-01");
    assert_eq!(record["deterministic"], true);
    assert_eq!(facts["step-name"], "run");
}

#[test]
fn randomness_follows_the_seed() {
    let random = |facts: &Json| facts["random"].as_str().unwrap().to_owned();
    let (one, again) = (facts(&["--seed", "1"]), facts(&["--seed", "1"]));
    let two = facts(&["--seed", "2"]);
    assert_eq!(one, again);
    assert_eq!((&one["seed"], &two["seed"]), (&json!(1), &json!(2)));
    assert_ne!(random(&one), random(&two));
    assert_ne!(one["insecure-random"], two["insecure-random"]);
    let largest = facts(&["--seed", "18446744073709551615"]);
    assert_eq!(largest["seed"], u64::MAX);
    // Derived where it is not given, and the same as the record says.
    let record = record_of_facts(&[]);
    assert_eq!(record["outcome"]["results"]["seed"], record["seed"]);
    assert_ne!(random(&record["outcome"]["results"]), random(&one));
}

#[test]
fn nothing_of_the_machine_is_seen() {
    let project = Project::new();
    let run = project.step(&guest("facts"), &[]);
    let run = run
        .env("SECRET", "hunter2")
        .env("TZ", "Asia/Tokyo")
        .env("HOME", "/home/somebody");
    let facts = run.results();
    assert_eq!(facts["environment"], json!([]));
    assert_eq!(facts["arguments"], json!([]));
    assert!(facts["root"]["err"].is_string(), "{}", facts["root"]);
    let there = Project::new().step(&guest("facts"), &[]).results();
    assert_eq!(facts, there);
}

/// Everything but these is the same as without the grant.
#[track_caller]
fn differs_only_in(with: &Json, without: &Json, wanted: &[&str]) {
    let fields = without.as_object().expect("a record").keys();
    let differing: Vec<&str> = fields
        .filter(|field| with[field.as_str()] != without[field.as_str()])
        .map(String::as_str)
        .collect();
    assert!(
        differing.iter().all(|field| wanted.contains(field)),
        "{differing:?}"
    );
}

#[test]
fn the_grant_of_a_clock_gives_the_time_of_day_and_real_sleep() {
    let now = || {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
        i64::try_from(since.unwrap().as_secs()).unwrap()
    };
    // The seed is given: a derived one would follow the grants.
    let arguments = ["--seed", "7", "nap-seconds=0"];
    let before = now();
    let record = record_of_facts(&[&arguments[..], &["--allow", "clock"]].concat());
    let with = &record["outcome"]["results"];
    let seen = with["wall-clock"]["seconds"].as_i64().unwrap();
    assert!((before..=now()).contains(&seen), "{seen}");
    assert_eq!(with["logical-time"]["seconds"], DEFAULT_SECONDS);
    let clocks = ["wall-clock", "wall-clock-after", "tick", "slept"];
    differs_only_in(with, &facts(&arguments), &clocks);
    assert_eq!(record["grants"], json!(["clock"]));
    assert_eq!(record["deterministic"], false);

    let napped = facts(&["nap-seconds=1", "--allow", "clock"]);
    let slept = napped["slept"].as_u64().unwrap();
    assert!((1_000_000_000..60_000_000_000).contains(&slept), "{slept}");
}

#[test]
fn the_grant_of_entropy_gives_true_randomness_and_nothing_else() {
    let arguments = ["--seed", "7", "--allow", "entropy"];
    let (one, two) = (record_of_facts(&arguments), record_of_facts(&arguments));
    let (first, second) = (&one["outcome"]["results"], &two["outcome"]["results"]);
    assert_ne!(first["random"], second["random"]);
    let randomness = ["random", "insecure-random", "insecure-seed"];
    differs_only_in(first, second, &randomness);
    differs_only_in(first, &facts(&["--seed", "7"]), &randomness);
    assert_eq!(one["grants"], json!(["entropy"]));
    assert_eq!(one["deterministic"], false);
}

#[test]
fn the_grant_of_a_variable_shows_that_variable_alone() {
    let project = Project::new();
    let run = |value: &str| {
        let run = project.step(&guest("facts"), &["--seed", "7", "--allow", "env:LEVEL"]);
        run.env("LEVEL", value).env("SECRET", "hunter2").record(0)
    };
    let record = run("high");
    let facts_with = &record["outcome"]["results"];
    assert_eq!(facts_with["environment"], json!([["LEVEL", "high"]]));
    differs_only_in(facts_with, &facts(&["--seed", "7"]), &["environment"]);
    assert_eq!(record["grants"], json!(["env:LEVEL"]));
    assert_eq!(record["deterministic"], true);
    // Its value is part of what identifies the result, and is not recorded.
    assert_ne!(run("low")["key"], record["key"]);
    let kept = project.step(&guest("compute"), &["rounds=1", "--allow", "env:LEVEL"]);
    let kept = kept.env("LEVEL", "hunter3").record(0);
    assert!(!kept.to_string().contains("hunter3"));
}

#[test]
fn grants_add_up() {
    let project = Project::new();
    let arguments = [
        "--allow",
        "entropy",
        "--allow",
        "clock",
        "--allow",
        "env:A",
        "nap-seconds=0",
    ];
    let record = project
        .step(&guest("facts"), &arguments)
        .env("A", "b")
        .record(0);
    assert_eq!(record["grants"], json!(["clock", "entropy", "env:A"]));
    assert_eq!(project.last_record(), record);
}
