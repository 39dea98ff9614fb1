//! Typed steps that attack the host. Those whose end is a limit are in
//! `limits`; here are the others, and what all of them cost the host.

use std::net::TcpListener;

use serde_json::{Value as Json, json};

use crate::harness::{HOST_BYTES, MIB, Project, hostile, names_in};
use crate::limits::exceeds;

/// What was tried and what came of it.
fn attempts(results: &Json) -> Vec<(String, String)> {
    serde_json::from_value(results.clone()).expect("a list of attempts")
}

/// Asserts that nothing that was tried worked; returns what was said.
#[track_caller]
fn all_refused(results: &Json, wanted: &str) {
    let attempts = attempts(results);
    assert!(!attempts.is_empty());
    for (what, outcome) in attempts {
        assert!(outcome.contains(wanted), "{what}: {outcome}");
    }
}

/// What ends without a limit must not fill the host's memory either.
#[test]
fn no_flood_fills_the_hosts_memory() {
    let project = Project::with(&[("tree/file", "x")]);
    for (function, arguments, code) in [
        ("progress-flood", &["count=300000"][..], 0),
        ("many-pollables", &["--max-handles", "100000"], 1),
        ("big-error", &["mib=4"], 1),
        ("huge-string", &["mib=3"], 0),
    ] {
        let (record, ended) = project.step(&hostile(function), arguments).measured(code);
        let guests = record["usage"]["memory-bytes"].as_u64();
        ended.stays_below(guests.expect("a number") + HOST_BYTES);
        project.holds(&["tree/", "tree/file"]);
    }
}

/// The system may have fewer files to give than a run allows: that is a limit
/// of the guest's, not a fault of the host's.
#[test]
fn a_guest_cannot_make_the_host_fail_by_opening_files() {
    let project = Project::with(&[("tree/file", "x")]);
    let arguments = ["data=tree", "--max-handles", "1000000"];
    let run = project.step(&hostile("many-handles"), &arguments);
    let (record, _) = run.under("ulimit -n 256").measured(1);
    assert_eq!(record["outcome"]["limit"], "handles", "{record:#}");
}

#[test]
fn a_sleep_past_the_deadline_takes_no_time_where_the_clock_is_virtual() {
    let project = Project::new();
    let nap = ["seconds=1000000000", "--timeout", "30s"];
    project.step(&hostile("nap"), &nap).record(0);
}

#[test]
fn progress_is_cheap_and_never_an_error() {
    let project = Project::new();
    let (record, ended) = project
        .step(&hostile("progress-flood"), &["count=100000"])
        .measured(0);
    assert_eq!(record["usage"]["log-bytes"], 0);
    assert!(ended.events().len() < 10, "{ended}");
}

#[test]
fn a_long_error_message_is_cut() {
    let project = Project::new();
    let outcome = project.step(&hostile("big-error"), &["mib=3"]).record(1)["outcome"].clone();
    assert_eq!(outcome["status"], "failed");
    let message = outcome["message"].as_str().unwrap();
    assert!(
        message.len() < 9000 && message.ends_with("… [cut]"),
        "{}",
        message.len()
    );
}

#[test]
fn a_long_log_message_is_cut() {
    let project = Project::new();
    let (record, ended) = project
        .step(&hostile("huge-string"), &["mib=3"])
        .measured(0);
    // What was said counts, not what was kept.
    assert!(record["usage"]["log-bytes"].as_u64() > Some(3 * MIB));
    let events = ended.events();
    let message = events
        .iter()
        .find_map(|event| event["message"].as_str())
        .unwrap();
    assert!(message.len() < 9000 && message.ends_with("… [cut]"));
    let run = project.step(&hostile("huge-string"), &["mib=3", "--max-log", "1MiB"]);
    exceeds(&project, run, "log-bytes", "1 MiB");
}

#[test]
fn no_name_leaves_an_output_tree() {
    let project = Project::new();
    let results = project
        .step(&hostile("tree-names"), &["sink=tree"])
        .results();
    let attempts = attempts(&results);
    assert!(attempts.len() >= 25);
    let worked = attempts.iter().filter(|(_, outcome)| outcome == "ok");
    let worked: Vec<&str> = worked.map(|(what, _)| what.as_str()).collect();
    assert_eq!(worked, ["plain", "nested"]);
    for (what, outcome) in &attempts {
        let taken = ["duplicate", "file as folder", "folder as file"].contains(&what.as_str());
        let wanted = match (taken, worked.contains(&what.as_str())) {
            (true, _) => "AlreadyExists",
            (_, true) => "ok",
            _ => "InvalidPath",
        };
        assert!(outcome.contains(wanted), "{what}: {outcome}");
    }
    project.holds(&["tree/", "tree/folder/", "tree/folder/file", "tree/plain"]);
    // Nor beside the project.
    let beside = project.folder().parent().unwrap();
    assert!(!beside.join("x").exists() && !beside.join("etc").exists());
}

#[test]
fn no_name_leaves_an_input_tree() {
    let project = Project::with(&[("tree/inside", "x"), ("x", "secret")]);
    let results = project
        .step(&hostile("open-names"), &["data=tree"])
        .results();
    all_refused(&results, "NotFound");
}

#[test]
fn logged_control_characters_arrive_escaped() {
    let project = Project::new();
    let step = hostile("log-injection");
    let check = |name: &str, text: &str| {
        for c in text.chars() {
            let is_harmful = c.is_control() && c != '\n';
            let is_bidi =
                ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
            assert!(!is_harmful && !is_bidi, "{name} has {c:?}:\n{text}");
        }
        // Neither the unit of progress nor the name of a metric makes a line.
        assert!(
            !text.lines().any(|line| line.starts_with("forged")),
            "{name}:\n{text}"
        );
    };
    let plain = project.step(&step, &[]).run().exits(0);
    check("lines", &(plain.stdout.clone() + &plain.stderr));
    assert!(plain.stderr.contains("\\u{1b}[2J"), "{plain}");
    // A message is one line; what a step prints has the lines that it prints.
    let message =
        "| warn  first\\nERROR forged second line new line=first\\nERROR forged second line";
    assert!(plain.stderr.lines().any(|line| line == message), "{plain}");
    let json = project.step(&step, &["--json"]).run().exits(0);
    check("json", &(json.stdout.clone() + &json.stderr));
    for event in json.events() {
        // Unescaping JSON must not bring them back.
        check("event", event["message"].as_str().unwrap_or_default());
    }
    let shown = project.wharf(["show", "last", "--logs"]).run().exits(0);
    check("show", &shown.stdout);
    let dropped = "dropped a metric with the name `forged\\nname`";
    assert!(plain.stderr.contains(dropped), "{plain}");
}

#[test]
fn there_is_no_environment() {
    let project = Project::new();
    let run = project.step(&hostile("environment"), &[]);
    let results = run
        .env("SECRET", "hunter2")
        .env("PATH", "/usr/bin")
        .results();
    assert_eq!(results, json!([]));
}

#[test]
fn sockets_are_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("address={}", listener.local_addr().unwrap());
    let project = Project::new();
    let results = project.step(&hostile("connect"), &[&address]).results();
    all_refused(&results, "access-denied");
    assert!(listener.accept().is_err(), "somebody connected");
    let results = project
        .step(&hostile("connect"), &["address=[::1]:1"])
        .results();
    all_refused(&results, "access-denied");
}

#[test]
fn looking_up_names_is_refused() {
    let project = Project::new();
    for name in ["name=localhost", "name=127.0.0.1", "name=example.org"] {
        let results = project.step(&hostile("resolve"), &[name]).results();
        let attempts = attempts(&results);
        assert!(
            attempts.iter().all(|(_, outcome)| outcome != "ok"),
            "{name}: {attempts:?}"
        );
    }
}

#[test]
fn a_typed_step_has_no_files() {
    let project = Project::new();
    let results = project.step(&hostile("files"), &[]).results();
    all_refused(&results, "No such file or directory");
    project.holds(&[]);
}

#[test]
fn what_was_written_before_a_failure_is_not_published() {
    let project = Project::new();
    let trapped = project
        .step(&hostile("write-then-trap"), &["sink=out"])
        .record(1);
    assert_eq!(trapped["outcome"]["status"], "trapped");
    let failed = project
        .step(&hostile("write-then-fail"), &["sink=out"])
        .record(1);
    assert_eq!(failed["outcome"]["status"], "failed");
    for record in [trapped, failed] {
        assert_eq!(record["usage"]["output-bytes"], 26);
        assert_eq!(record["outputs"], json!([]));
    }
    project.holds(&[]);
}

#[test]
fn a_run_that_fails_leaves_no_temporary_names() {
    let project = Project::new();
    for arguments in [["sink=a"], ["sink=b"]] {
        project
            .step(&hostile("write-then-trap"), &arguments)
            .record(1);
    }
    let all = names_in(project.folder());
    assert!(
        all.iter()
            .all(|name| !name.contains("partial") && !name.contains('#')),
        "{all:?}"
    );
}
