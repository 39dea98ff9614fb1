//! Compiled code, kept between runs, and never trusted unseen.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value as Json;

use crate::harness::{Ended, Project, guest, names_in};

fn project() -> Project {
    Project::with(&[("data", "x")])
}

/// The entries of a compile cache.
fn entries(project: &Project, cache: &str) -> Vec<String> {
    let mut names = names_in(&project.path(cache));
    names.retain(|name| name.ends_with(".cwasm"));
    names
}

/// A run with a cache of its own, which becomes owner-only.
fn run_with_cache(project: &Project) -> (Json, Ended) {
    let arguments = ["data=data", "result=result", "--force"];
    let run = project.step(&guest("noop"), &arguments);
    run.env("WHARF_CACHE", project.path("cache/compiled"))
        .measured(0)
}

#[test]
fn a_second_run_compiles_nothing() {
    let project = project();
    let compiled = |(record, ended): (Json, Ended)| {
        let says = ended
            .events()
            .iter()
            .any(|event| event["event"] == "compiling");
        assert_eq!(record["timings"]["compiled-before"], !says);
        says
    };
    assert!(compiled(run_with_cache(&project)));
    assert!(!compiled(run_with_cache(&project)));
    assert_eq!(entries(&project, "cache/compiled").len(), 1);
    let mode = fs::metadata(project.path("cache/compiled"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    let key = fs::metadata(project.path("cache/compiled/key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(key & 0o077, 0);
    // Code that counts fuel is other code.
    let arguments = [
        "data=data",
        "result=result",
        "--force",
        "--fuel",
        "1000000000",
    ];
    let fuelled = project.step(&guest("noop"), &arguments);
    let fuelled = fuelled
        .env("WHARF_CACHE", project.path("cache/compiled"))
        .record(0);
    assert_eq!(fuelled["timings"]["compiled-before"], false);
    assert_eq!(entries(&project, "cache/compiled").len(), 2);
}

#[test]
fn compiled_code_that_was_changed_is_not_used() {
    let project = project();
    run_with_cache(&project);
    let entry = format!("cache/compiled/{}", entries(&project, "cache/compiled")[0]);
    let good = project.read(&entry);
    let flipped = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 1;
        bad
    };
    for bad in [
        flipped(0),
        flipped(20),
        flipped(good.len() / 2),
        flipped(good.len() - 1),
        good[..good.len() / 2].to_vec(),
        Vec::new(),
    ] {
        project.write(&entry, bad);
        let (record, ended) = run_with_cache(&project);
        assert_eq!(record["timings"]["compiled-before"], false);
        ended.says(&["does not verify"]);
        // The good one is back.
        assert_eq!(
            run_with_cache(&project).0["timings"]["compiled-before"],
            true
        );
    }
}

#[test]
fn an_entry_of_another_component_is_not_used() {
    let project = project();
    run_with_cache(&project);
    let entry = entries(&project, "cache/compiled")[0].clone();
    let run = project.step(&guest("compute"), &["rounds=1"]);
    run.env("WHARF_CACHE", project.path("cache/compiled"))
        .record(0);
    let other = entries(&project, "cache/compiled");
    let other = other.iter().find(|name| **name != entry).unwrap();
    let folder = project.path("cache/compiled");
    fs::copy(folder.join(other), folder.join(&entry)).unwrap();
    let (record, ended) = run_with_cache(&project);
    assert_eq!(record["timings"]["compiled-before"], false);
    ended.says(&["does not verify"]);
}

#[test]
fn a_cache_that_is_open_to_others_is_not_used() {
    let project = project();
    fs::create_dir_all(project.path("cache/compiled")).unwrap();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(project.path("cache/compiled"), open).unwrap();
    for _ in 0..2 {
        let (record, ended) = run_with_cache(&project);
        assert_eq!(record["timings"]["compiled-before"], false);
        ended.says(&["is open to other users", "without a compile cache"]);
    }
    assert!(entries(&project, "cache/compiled").is_empty());
}

#[test]
fn a_cache_that_cannot_be_made_is_done_without() {
    let project = project();
    let arguments = ["data=data", "result=result"];
    let run = project.step(&guest("noop"), &arguments);
    // Below a file, where no folder can be.
    let (record, ended) = run
        .env("WHARF_CACHE", project.path("data/cache"))
        .measured(0);
    assert_eq!(record["timings"]["compiled-before"], false);
    ended.says(&["without a compile cache"]);
}
