//! Signals: the step ends, nothing is published, and the exit code asks for
//! another try.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::harness::{Ended, Project, guest, hostile, names_in, wait_until};

const RETRYABLE: i32 = 75;

/// Starts a step that does not end, sends a signal once it runs, and returns
/// the record. `ready` says when it runs.
fn cancel(
    project: &Project,
    step: &str,
    arguments: &[&str],
    signal: Signal,
    ready: impl FnMut() -> bool,
) -> (Json, Ended) {
    let mut line = vec!["--json"];
    line.extend(arguments);
    let running = project.step(step, &line).start();
    running.wait_for_event("started");
    wait_until("the step runs", ready);
    running.signal(signal);
    let ended = running.wait().exits(RETRYABLE);
    assert!(
        ended.took < Duration::from_secs(30),
        "{:?}: {ended}",
        ended.took
    );
    let record = ended.json();
    assert_eq!(record["outputs"], json!([]));
    assert_eq!(project.last_record(), record);
    (record, ended)
}

#[test]
fn a_signal_ends_a_step_that_does_not_listen() {
    let signals = [
        (Signal::INT, "interrupt"),
        (Signal::TERM, "terminate"),
        (Signal::HUP, "terminate"),
    ];
    for (signal, by) in signals {
        let project = Project::new();
        let (record, _) = cancel(&project, &hostile("spin"), &[], signal, || true);
        assert_eq!(record["outcome"], json!({"status": "cancelled", "by": by}));
        project.holds(&[]);
    }
}

#[test]
fn a_signal_ends_a_program_and_its_output_is_gone() {
    let project = Project::with(&[("data", "x")]);
    let arguments = ["--in", "data=data", "--out", "data=out", "--", "spin"];
    let has_scratch = || {
        names_in(project.folder())
            .iter()
            .any(|name| name.contains("partial"))
    };
    let step = guest("hostile-cli");
    let (record, _) = cancel(&project, &step, &arguments, Signal::TERM, has_scratch);
    assert_eq!(record["outcome"]["status"], "cancelled");
    project.holds(&["data"]);
}

#[test]
fn a_signal_ends_a_step_that_writes() {
    let project = Project::new();
    let arguments = ["sink=out", "--max-output", "1TiB"];
    let grows = || {
        let sizes = std::fs::read_dir(project.folder()).unwrap().flatten();
        sizes
            .filter_map(|entry| entry.metadata().ok())
            .any(|file| file.len() > 1 << 20)
    };
    let step = hostile("output-flood");
    let (record, _) = cancel(&project, &step, &arguments, Signal::INT, grows);
    assert!(record["usage"]["output-bytes"].as_u64() > Some(1 << 20));
    project.holds(&[]);
}

#[test]
fn a_step_that_sleeps_in_real_time_is_woken() {
    let project = Project::new();
    let arguments = ["seconds=100000", "--allow", "clock"];
    let (record, _) = cancel(&project, &hostile("nap"), &arguments, Signal::TERM, || true);
    assert_eq!(
        record["outcome"],
        json!({"status": "cancelled", "by": "terminate"})
    );
}

/// It returns ok as soon as it learns of it. What it returns does not count: it
/// has not done its work.
#[test]
fn a_step_that_asks_returns_early_and_is_cancelled_all_the_same() {
    let project = Project::new();
    let (record, ended) = cancel(&project, &hostile("cooperative"), &[], Signal::INT, || true);
    assert_eq!(
        record["outcome"],
        json!({"status": "cancelled", "by": "interrupt"})
    );
    // Well before the five seconds that such a step is given.
    let invoked = record["timings"]["invoke-us"].as_u64().unwrap();
    assert!(invoked < 4_500_000, "{invoked} us: {ended}");
}

/// It is given five seconds, since it has asked once; nobody has to wait for them.
#[test]
fn a_second_signal_ends_the_process_at_once() {
    let project = Project::new();
    let running = project.step(&hostile("stubborn"), &["--json"]).start();
    // It says that it has asked.
    running.wait_for_event("log");
    running.signal(Signal::INT);
    // Those that come at once are part of the first.
    for _ in 0..35 {
        running.signal(Signal::TERM);
        std::thread::sleep(Duration::from_millis(100));
    }
    let ended = running.wait().exits(RETRYABLE);
    ended.says(&["left at the second signal"]);
    project.holds(&[]);
}

#[test]
fn a_step_that_only_asks_is_stopped_after_a_while() {
    let project = Project::new();
    let (record, _) = cancel(&project, &hostile("stubborn"), &[], Signal::TERM, || true);
    assert_eq!(record["outcome"]["status"], "cancelled");
}

/// The guest is left behind in the middle of its work, which has to go all the same.
#[test]
fn a_signal_ends_a_program_that_writes_files() {
    let project = Project::new();
    for attack in ["flood-out", "many-files"] {
        let arguments = ["--out", "data=out", "--max-output", "1TiB", "--", attack];
        let step = guest("hostile-cli");
        let running = project.step(&step, &arguments).start();
        let writes = || {
            let names = names_in(project.folder());
            names.iter().any(|name| name.contains(".partial/data"))
        };
        wait_until("it writes", writes);
        running.signal(Signal::TERM);
        running.wait().exits(RETRYABLE);
        project.holds(&[]);
    }
}

#[test]
fn a_cancelled_training_publishes_no_model() {
    let project = crate::typed::split_table();
    let before = project.names();
    let arguments = ["data=train.csv", "model=model.json", "epochs=4000000000"];
    let (record, _) = cancel(&project, &guest("train"), &arguments, Signal::INT, || true);
    assert_eq!(record["outcome"]["status"], "cancelled");
    assert_eq!(project.names(), before);
}

/// Files of 64 GiB without content, which take a minute to hash.
fn large(project: &Project, name: &str) {
    let file = std::fs::File::create(project.path(name)).expect("a new file");
    file.set_len(64 << 30).expect("a sparse file");
}

#[test]
fn a_signal_ends_the_hashing_of_a_component() {
    let project = Project::new();
    large(&project, "large.wasm");
    let arguments = ["--max-component", "1TiB", "--json"];
    let running = project.step("large.wasm", &arguments).start();
    wait_until("the process listens", || running.listens_to(Signal::TERM));
    running.signal(Signal::TERM);
    let record = running.wait().exits(RETRYABLE).json();
    assert_eq!(record["outcome"]["status"], "cancelled");
    assert_eq!(record["step"]["digest"], Json::Null);
    assert_eq!(record["step"]["size"], 64_u64 << 30);
}

#[test]
fn a_signal_ends_the_hashing_of_an_input() {
    let project = Project::new();
    large(&project, "data");
    let running = project.step(&guest("noop"), &["data=data", "result=out", "--json"]);
    let running = running.start();
    // The step has returned; what is waited for is the hash.
    running.wait_for_event("publishing");
    running.signal(Signal::INT);
    let record = running.wait().exits(RETRYABLE).json();
    assert_eq!(record["outcome"]["status"], "cancelled");
    assert_eq!(record["inputs"][0]["digest"], Json::Null);
    project.holds(&["data"]);
}

/// A cache of its own, so that there is something to compile.
#[test]
fn a_signal_ends_a_run_that_still_compiles() {
    let project = Project::with(&[("data", "x")]);
    let arguments = ["data=data", "profile=out", "--json"];
    let run = project.step(&guest("profile"), &arguments);
    let running = run.env("WHARF_CACHE", project.path(".wharf/cache")).start();
    running.wait_for_event("compiling");
    running.signal(Signal::TERM);
    let ended = running.wait().exits(RETRYABLE);
    assert_eq!(
        ended.json()["outcome"],
        json!({"status": "cancelled", "by": "terminate"})
    );
    project.holds(&["data"]);
}

/// Nobody can clean up after this; what is left has a name that says what it is.
#[test]
fn a_killed_run_leaves_no_half_of_an_output() {
    let project = Project::new();
    let arguments = ["sink=out", "--max-output", "1TiB", "--json"];
    let running = project.step(&hostile("output-flood"), &arguments).start();
    running.wait_for_event("started");
    running.signal(Signal::KILL);
    let ended = running.wait();
    assert_eq!(ended.status.code(), None, "{ended}");
    let left = project.names();
    let is_partial = |name: &String| name.starts_with(".wharf-") && name.ends_with(".partial");
    assert!(left.iter().all(is_partial), "{left:?}");
    assert_eq!(project.records(), 0);
    // And the next run is not in its way.
    project
        .step(&hostile("big-write"), &["sink=out", "mib=1"])
        .record(0);
}

#[test]
fn people_are_told_what_ended_the_run() {
    let project = Project::new();
    let running = project.step(&hostile("spin"), &[]).start();
    // Nothing is said when a step starts; its store is there before.
    wait_until("the process listens", || running.listens_to(Signal::INT));
    running.signal(Signal::INT);
    let ended = running.wait().exits(RETRYABLE);
    ended.says(&["cancelled by an interrupt"]);
}
