//! Limits: each ends in its own outcome, named in the record, with nothing
//! published.

use serde_json::{Value as Json, json};

use crate::harness::{HOST_BYTES, MIB, Project, Wharf, guest, hostile};

/// Runs to the end and asserts that it came by this limit: in what the command
/// says, in what the store keeps, in what lies in the folder; and that the host
/// took no memory beyond the guest's and its own.
#[track_caller]
pub(crate) fn exceeds(project: &Project, run: Wharf, limit: &str, allowed: &str) -> Json {
    let before = project.names();
    let (record, ended) = run.measured(1);
    let wanted = json!({"status": "limit-exceeded", "limit": limit, "allowed": allowed});
    assert_eq!(record["outcome"], wanted, "{ended}");
    assert_eq!(record["outputs"], json!([]), "{ended}");
    assert_eq!(project.last_record(), record);
    assert_eq!(project.names(), before, "published: {ended}");
    let guests = record["usage"]["memory-bytes"].as_u64();
    ended.stays_below(guests.expect("a number") + HOST_BYTES);
    record
}

#[test]
fn memory_is_limited_over_everything_that_grows() {
    let project = Project::new();
    let limited = |step: &str| project.step(step, &["--memory", "96MiB", "--timeout", "60s"]);
    for step in [
        hostile("grow"),
        guest("hostile-many-memories"),
        guest("hostile-table-bomb"),
        guest("hostile-many-instances"),
    ] {
        let record = exceeds(&project, limited(&step), "memory", "96 MiB");
        let used = record["usage"]["memory-bytes"].as_u64().unwrap();
        assert!(used <= 96 * MIB, "{step}: {used}");
        let ended = limited(&step).run().exits(1);
        ended.says(&["exceeded the limit `memory` of 96 MiB", "--memory"]);
    }
}

#[test]
fn a_limit_on_memory_leaves_room_for_what_fits() {
    let project = Project::with(&[("data", "x")]);
    let arguments = ["data=data", "result=r", "--memory", "4MiB"];
    let record = project.step(&guest("noop"), &arguments).record(0);
    let used = record["usage"]["memory-bytes"].as_u64().unwrap();
    assert!((1..=4 * MIB).contains(&used), "{used}");
}

#[test]
fn parts_of_a_component_are_limited_where_memory_is_not() {
    let project = Project::new();
    let run = project.step(&guest("hostile-many-instances"), &["--memory", "1TiB"]);
    let allowed = "1000 instances, 100 memories, 1000 tables";
    exceeds(&project, run, "instances", allowed);
}

#[test]
fn time_is_limited_wherever_it_is_spent() {
    let project = Project::with(&[("data", "x")]);
    for step in [
        hostile("spin"),
        hostile("fill"),
        hostile("cooperative"),
        guest("hostile-start-spin"),
    ] {
        let run = project.step(&step, &["--timeout", "300ms"]);
        exceeds(&project, run, "time", "300 ms");
    }
    let nap = ["seconds=3600", "--allow", "clock", "--timeout", "300ms"];
    exceeds(
        &project,
        project.step(&hostile("nap"), &nap),
        "time",
        "300 ms",
    );
    let spin = ["--out", "data=out", "--timeout", "300ms", "--", "spin"];
    exceeds(
        &project,
        project.step(&guest("hostile-cli"), &spin),
        "time",
        "300 ms",
    );
}

#[test]
fn fuel_is_limited_and_the_same_each_time() {
    let project = Project::new();
    let spin = || project.step(&hostile("spin"), &["--fuel", "1000000"]);
    let record = exceeds(&project, spin(), "fuel", "1000000");
    assert_eq!(record["usage"]["fuel"], 1_000_000);
    let compute = || project.step(&guest("compute"), &["rounds=1", "--fuel", "100000000000"]);
    let used = compute().record(0)["usage"]["fuel"].clone();
    assert!(used.as_u64() > Some(1_000_000), "{used}");
    assert_eq!(compute().record(0)["usage"]["fuel"], used);
}

#[test]
fn output_bytes_are_limited_over_all_outputs() {
    let project = Project::with(&[("data", &"a,b\n1,2\n".repeat(1000))]);
    let flood = ["sink=out", "--max-output", "8MiB"];
    let run = project.step(&hostile("output-flood"), &flood);
    let record = exceeds(&project, run, "output-bytes", "8 MiB");
    assert!(record["usage"]["output-bytes"].as_u64() <= Some(8 * MIB));
    // Each of the two outputs is below the limit; together they are not.
    let both = [
        "data=data",
        "train=a",
        "test=b",
        "every=2",
        "--max-output",
        "6000",
    ];
    let run = project.step(&guest("split"), &both);
    exceeds(&project, run, "output-bytes", "6000 B");
    let program = [
        "--out",
        "data=out",
        "--max-output",
        "8MiB",
        "--",
        "flood-out",
    ];
    let run = project.step(&guest("hostile-cli"), &program);
    exceeds(&project, run, "output-bytes", "8 MiB");
}

#[test]
fn log_bytes_are_limited_whichever_way_they_come() {
    let project = Project::new();
    for function in ["log-flood", "print-flood", "metric-flood"] {
        let run = project.step(&hostile(function), &["--max-log", "64KiB"]);
        let record = exceeds(&project, run, "log-bytes", "64 KiB");
        assert!(record["usage"]["log-bytes"].as_u64() <= Some(64 << 10));
    }
}

#[test]
fn handles_are_limited_whatever_they_are_of() {
    let project = Project::with(&[("tree/file", "x")]);
    let run = project.step(
        &hostile("many-handles"),
        &["data=tree", "--max-handles", "100"],
    );
    exceeds(&project, run, "handles", "100");
    let run = project.step(&hostile("many-pollables"), &[]);
    exceeds(&project, run, "handles", "1024");
}

/// A usual limit of the system is as high as Wharf's own.
#[test]
fn handles_are_limited_before_the_systems_files_are() {
    let project = Project::with(&[("tree/file", "x")]);
    let run = project.step(&hostile("many-handles"), &["data=tree"]);
    exceeds(&project, run.under("ulimit -Sn 1024"), "handles", "1024");
}

#[test]
fn bytes_of_a_component_are_limited() {
    let project = Project::with(&[("data", "x")]);
    let arguments = ["data=data", "result=r", "--max-component", "1000"];
    let record = exceeds(
        &project,
        project.step(&guest("noop"), &arguments),
        "component-bytes",
        "1000 B",
    );
    let size = std::fs::metadata(guest("noop")).unwrap().len();
    assert_eq!(record["step"]["size"], size);
}

#[test]
fn bytes_of_a_call_are_limited() {
    let project = Project::new();
    for (function, binding) in [
        ("huge-string", None),
        ("big-result", None),
        ("big-error", None),
        ("big-write", Some("sink=out")),
    ] {
        let arguments: Vec<_> = binding.into_iter().chain(["mib=64"]).collect();
        let run = project.step(&hostile(function), &arguments);
        exceeds(&project, run, "call-bytes", "4 MiB");
    }
    let run = project.step(&hostile("big-write"), &["sink=out", "mib=5"]);
    exceeds(&project, run, "call-bytes", "4 MiB");
    project
        .step(&hostile("big-write"), &["sink=out", "mib=4"])
        .record(0);
    assert_eq!(project.read("out").len() as u64, 4 * MIB);
}

#[test]
fn random_bytes_are_limited() {
    let project = Project::new();
    let random = |mib: &str| project.step(&hostile("random-flood"), &[mib]);
    exceeds(&project, random("mib=2"), "random-bytes", "1 MiB");
    exceeds(&project, random("mib=4000"), "random-bytes", "1 MiB");
    assert_eq!(random("mib=1").results(), MIB);
}

#[test]
fn result_bytes_are_limited() {
    let project = Project::new();
    let run = project.step(&hostile("big-result"), &["mib=1"]);
    exceeds(&project, run, "result-bytes", "1 MiB");
}

#[test]
fn files_of_a_tree_are_limited() {
    let project = Project::new();
    let run = project.step(&hostile("tree-flood"), &["sink=tree"]);
    exceeds(&project, run, "tree-files", "65536");
    let arguments = ["--out", "data=out/", "--", "many-files"];
    let run = project.step(&guest("hostile-cli"), &arguments);
    exceeds(&project, run, "tree-files", "65536");
}

#[test]
fn the_stack_is_limited() {
    let project = Project::new();
    exceeds(
        &project,
        project.step(&hostile("recurse"), &[]),
        "stack",
        "512 KiB",
    );
}

/// A cache of its own: what is compiled already cannot exceed these.
#[test]
fn compiling_is_limited_in_time_and_memory() {
    let project = Project::with(&[("data", "x")]);
    let run = |limit: [&str; 2]| {
        let arguments = [&["data=data", "profile=p"], &limit[..]].concat();
        let run = project.step(&guest("profile"), &arguments);
        run.env("WHARF_CACHE", project.path("cache"))
    };
    project.write("cache/.keep", "");
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    make_private(&project, "cache");
    exceeds(
        &project,
        run(["--compile-timeout", "10ms"]),
        "compile-time",
        "10 ms",
    );
    exceeds(
        &project,
        run(["--compile-memory", "64MiB"]),
        "compile-memory",
        "64 MiB",
    );
    assert_eq!(project.names(), ["cache/", "cache/key", "data"]);
}

fn make_private(project: &Project, folder: &str) {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new()
        .mode(0o700)
        .create(project.path(folder));
    made.expect("the project is writable");
    // The first use makes the key; what is there afterwards is compared.
    let doctor = project
        .wharf(["doctor"])
        .env("WHARF_CACHE", project.path(folder));
    doctor.run().exits(0);
}

#[test]
fn the_record_states_the_limits_that_held() {
    let project = Project::new();
    let arguments = ["--memory", "2GiB", "--timeout", "90s", "--max-handles", "7"];
    let limits = project
        .step(&crate::harness::values("nothing"), &arguments)
        .record(0);
    let limits = limits["limits"].clone();
    assert_eq!(limits["memory"], 2 * 1024 * MIB);
    assert_eq!(limits["time"], 90_000);
    assert_eq!(limits["handles"], 7);
    assert_eq!(limits["fuel"], Json::Null);
    assert_eq!(limits["output"], 16 * 1024 * MIB);
}

#[test]
fn a_limit_of_nothing_is_exceeded_at_once() {
    let project = Project::with(&[("data", "x")]);
    for (option, limit) in [
        ("--memory=0", "memory"),
        ("--fuel=0", "fuel"),
        ("--max-output=0", "output-bytes"),
        ("--max-handles=0", "handles"),
        ("--max-component=0", "component-bytes"),
    ] {
        let run = project.step(&guest("noop"), &["data=data", "result=r", option]);
        let outcome = run.record(1)["outcome"].clone();
        assert_eq!(
            (&outcome["status"], &outcome["limit"]),
            (&json!("limit-exceeded"), &json!(limit))
        );
        project.holds(&["data"]);
    }
    let run = project.step(&hostile("log-flood"), &["--max-log=0"]);
    exceeds(&project, run, "log-bytes", "0 B");
}

#[test]
fn a_limit_may_be_as_large_as_can_be_written() {
    let project = Project::with(&[("data", "x")]);
    let most = u64::MAX.to_string();
    for option in [
        "--memory",
        "--fuel",
        "--max-output",
        "--max-log",
        "--max-component",
    ] {
        let arguments = ["data=data", "result=r", "--force", option, &most];
        project.step(&guest("noop"), &arguments).record(0);
    }
    let arguments = [
        "data=data",
        "result=r",
        "--force",
        "--max-handles",
        "4294967295",
    ];
    project.step(&guest("noop"), &arguments).record(0);
    let arguments = ["data=data", "result=r", "--force", "--timeout", "1000000h"];
    project.step(&guest("noop"), &arguments).record(0);
}
