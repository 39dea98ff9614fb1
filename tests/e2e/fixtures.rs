//! No guest is without a test: each example, each exported function, each
//! attack is named by the source of some test.

use std::fs;
use std::path::Path;

use crate::harness::{guest, source_folder};

/// The text of all tests but this file.
fn tests() -> String {
    let folder = source_folder().join("tests/e2e");
    let files = fs::read_dir(folder)
        .expect("the sources are there")
        .flatten();
    let files = files.map(|file| file.path());
    let sources = files.filter(|path| {
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        is_rust && path.file_name().is_some_and(|name| name != "fixtures.rs")
    });
    sources
        .map(|path| fs::read_to_string(path).expect("a source"))
        .collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(source_folder().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Folders that hold a guest, by what makes one; the others are libraries and
/// data.
fn examples() -> Vec<String> {
    let folder = source_folder().join("guest-examples");
    let is_guest = |folder: &Path| {
        let made_by = ["wit", "app.py", "app.js", "main.c", "main.go"];
        made_by.iter().any(|name| folder.join(name).exists())
    };
    let folders = fs::read_dir(folder)
        .expect("the examples are there")
        .flatten();
    let guests = folders.filter(|entry| is_guest(&entry.path()));
    let mut names: Vec<_> = guests
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The functions that a world exports.
fn exports(wit: &str) -> Vec<String> {
    let lines = read(wit);
    let names = lines.lines().filter_map(|line| {
        let (name, _) = line.trim().strip_prefix("export ")?.split_once(": func(")?;
        Some(name.trim_start_matches('%').to_owned())
    });
    names.collect()
}

/// The words that the attacks of `hostile-cli` go by.
fn commands() -> Vec<String> {
    let source = read("tests/hostile/cli/src/lib.rs");
    let names = source.lines().filter_map(|line| {
        let (name, _) = line.trim().strip_prefix('"')?.split_once("\" =>")?;
        Some(name.to_owned())
    });
    names.collect()
}

fn texts() -> Vec<String> {
    let folder = fs::read_dir(source_folder().join("tests/hostile")).expect("they are there");
    let names = folder.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        Some(format!("hostile-{}", name.strip_suffix(".wat")?))
    });
    names.collect()
}

#[test]
fn no_fixture_is_orphaned() {
    let tests = tests();
    let lists = [
        examples(),
        exports("guest-examples/values/wit/world.wit"),
        exports("tests/hostile/wit/world.wit"),
        commands(),
        texts(),
    ];
    // A list that is empty would find everything in order.
    let least = [12, 7, 28, 8, 8];
    for (list, least) in lists.iter().zip(least) {
        assert!(list.len() >= least, "only {list:?}");
    }
    let names = lists.iter().flatten();
    let orphans: Vec<_> = names
        .filter(|name| !tests.contains(&format!("\"{name}\"")))
        .collect();
    assert!(orphans.is_empty(), "no test names {orphans:?}");
}

#[test]
fn every_guest_is_built() {
    let programs = ["hostile", "hostile-cli"].map(str::to_owned);
    for name in examples().iter().chain(&texts()).chain(&programs) {
        guest(name);
    }
}
