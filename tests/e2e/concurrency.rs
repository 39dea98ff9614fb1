//! Several runs at a time, as a scheduler or a person in a hurry starts them.

use serde_json::Value as Json;

use crate::harness::{Ended, Project, Running, guest, names_in};

const RUNS: usize = 8;

fn start_all(start: impl Fn(usize) -> Running) -> Vec<Ended> {
    let running: Vec<Running> = (0..RUNS).map(start).collect();
    running.into_iter().map(Running::wait).collect()
}

#[test]
fn of_many_runs_to_one_output_one_wins() {
    let project = Project::with(&[("data", "x")]);
    let ended = start_all(|_| {
        let arguments = ["data=data", "result=result", "--json"];
        project.step(&guest("noop"), &arguments).start()
    });
    let (won, lost): (Vec<_>, Vec<_>) = ended.iter().partition(|ended| ended.status.success());
    assert_eq!(won.len(), 1);
    for lost in lost {
        // There before it began, or while it ran.
        let kind = match lost.status.code() {
            Some(2) => "output",
            _ => "conflict",
        };
        assert_eq!(lost.json()["error"]["kind"], kind, "{lost}");
    }
    project.holds(&["data", "result"]);
    assert_eq!(project.records(), 1);
}

/// None has a key, a folder or compiled code to start with.
#[test]
fn many_runs_share_a_new_store_and_a_new_cache() {
    let project = Project::with(&[("data", "x")]);
    let cache = project.path("cache");
    let start = |count: usize| {
        let result = format!("result=result-{count}");
        let run = project.step(&guest("noop"), &["data=data", &result, "--json"]);
        run.env("WHARF_CACHE", &cache).start()
    };
    let records: Vec<Json> = start_all(start)
        .into_iter()
        .map(|ended| ended.exits(0).json())
        .collect();
    assert!(
        records
            .iter()
            .all(|record| record["key"] == records[0]["key"])
    );
    assert_eq!(project.records(), RUNS);
    let entries = names_in(&cache);
    assert_eq!(entries.len(), 2, "{entries:?}");
    let next = start(RUNS).wait().exits(0).json();
    assert_eq!(next["timings"]["compiled-before"], true);
}
