//! Programs that attack the host by its file system.

use std::collections::BTreeMap;

use crate::harness::{Project, guest};
use crate::limits::exceeds;

fn project() -> Project {
    Project::with(&[("data", "the input")])
}

fn arguments(attack: &str) -> Vec<&str> {
    vec!["--in", "data=data", "--out", "data=out", "--", attack]
}

/// What the program printed for each thing that it tried. It does not write its
/// output, so that the run fails in the end.
fn attempts(project: &Project, attack: &str) -> BTreeMap<String, String> {
    let run = project.step(&guest("hostile-cli"), &arguments(attack));
    let (record, ended) = run.measured(1);
    let message = record["outcome"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("did not write `/out/data`"), "{message}");
    let events = ended.events();
    let lines = events.iter().filter_map(|event| event["line"].as_str());
    let pairs = lines.filter_map(|line| line.split_once(": "));
    pairs
        .map(|(what, outcome)| (what.to_owned(), outcome.to_owned()))
        .collect()
}

#[test]
fn an_input_cannot_be_changed() {
    let project = project();
    let mut attempts = attempts(&project, "write-in");
    assert_eq!(attempts.remove("read").as_deref(), Some("ok"));
    assert_eq!(attempts.len(), 15, "{attempts:?}");
    for (what, outcome) in attempts {
        let refused = ["ReadOnly", "read-only", "PermissionDenied", "not-permitted"];
        assert!(
            refused.iter().any(|word| outcome.contains(word)),
            "{what}: {outcome}"
        );
    }
    assert_eq!(project.text("data"), "the input");
    project.holds(&["data"]);
}

#[test]
fn nothing_outside_in_and_out_can_be_reached() {
    let project = project();
    let attempts = attempts(&project, "escape");
    assert!(attempts.len() >= 30, "{attempts:?}");
    for (what, outcome) in attempts {
        assert_ne!(outcome, "ok", "{what}");
    }
    project.holds(&["data"]);
    let beside = project.folder().parent().unwrap();
    assert!(!beside.join("x").exists());
}

#[test]
fn a_file_cannot_be_larger_than_the_limit_however_it_is_made() {
    let project = project();
    for attack in ["flood-out", "sparse"] {
        let mut limited = arguments(attack);
        limited.splice(0..0, ["--max-output", "16MiB"]);
        let run = project.step(&guest("hostile-cli"), &limited);
        exceeds(&project, run, "output-bytes", "16 MiB");
    }
}
