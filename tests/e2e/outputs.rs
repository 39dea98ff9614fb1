//! Outputs: where they cannot go, and what becomes of them where the run fails.

use std::fs;

use crate::harness::{Project, Refusal, SmallDisk, guest, hostile};

const USAGE: i32 = 2;
const RETRYABLE: i32 = 75;

fn output<'a>(says: &'a [&'a str]) -> Refusal<'a> {
    Refusal {
        code: USAGE,
        kind: "output",
        says,
    }
}

fn project() -> Project {
    Project::with(&[("data", "x"), ("folder/file", "x")])
}

#[test]
fn an_output_in_a_missing_folder_is_refused() {
    let says = [
        "the folder of the output `no/such/result` does not exist",
        "mkdir -p no/such",
    ];
    let arguments = ["data=data", "result=no/such/result"];
    project().refuses_step(&guest("noop"), &arguments, &output(&says));
    let arguments = ["source=folder", "target=no/such/result"];
    project().refuses_step(&guest("tree"), &arguments, &output(&says));
}

#[test]
fn an_output_that_exists_is_refused_and_untouched() {
    let says = ["exists already", "--force replaces it"];
    let project = project();
    let arguments = ["data=data", "result=data"];
    project.refuses_step(&guest("noop"), &arguments, &output(&says));
    let arguments = ["source=folder", "target=folder"];
    project.refuses_step(&guest("tree"), &arguments, &output(&says));
    let arguments = ["--in", "text=data", "--out", "lines=data"];
    project.refuses_step(&guest("linecount"), &arguments, &output(&says));
    assert_eq!(project.text("data"), "x");
}

#[test]
fn an_output_file_with_a_trailing_slash_is_refused() {
    let step = guest("noop");
    for path in ["new/", "data/", "."] {
        let result = format!("result={path}");
        let says = [&*format!("the output `{path}`")];
        project().refuses_step(&step, &["data=data", &result], &output(&says));
        let arguments = ["data=data", &result, "--force"];
        project().refuses_step(&step, &arguments, &output(&says));
    }
}

#[test]
fn an_output_inside_an_input_is_refused() {
    let says = ["folder/new` lies inside the input", "outside of the input"];
    let arguments = ["source=folder", "target=folder/new"];
    project().refuses_step(&guest("tree"), &arguments, &output(&says));
}

#[test]
fn an_output_never_replaces_an_input_or_the_step() {
    let project = project();
    fs::copy(guest("copy"), project.path("copy.wasm")).unwrap();
    std::os::unix::fs::symlink("data", project.path("link")).unwrap();
    for (input, copy) in [
        ("data", "data"),
        ("data", "folder/../data"),
        ("link", "data"),
        ("data", "link"),
        ("data", "copy.wasm"),
    ] {
        let arguments = [
            &*format!("data={input}"),
            &*format!("copy={copy}"),
            "--force",
        ];
        let says = [
            "is what the step is made from, or reads",
            "choose another path",
        ];
        project.refuses_step("copy.wasm", &arguments, &output(&says));
    }
    assert_eq!(project.text("data"), "x");
}

#[test]
fn a_link_is_read_through_and_replaced_itself() {
    let project = project();
    std::os::unix::fs::symlink("data", project.path("link")).unwrap();
    let step = guest("noop");
    project.step(&step, &["data=link", "result=r"]).record(0);
    let says = ["the output `link` exists already"];
    project.refuses_step(&step, &["data=data", "result=link"], &output(&says));
    project.write("other", "x");
    project
        .step(&step, &["data=other", "result=link", "--force"])
        .record(0);
    assert!(!project.path("link").is_symlink());
    assert_eq!(project.text("data"), "x");
}

#[test]
fn a_store_that_is_a_file_is_refused() {
    let project = project();
    let arguments = ["data=data", "result=r", "--store", "data"];
    let ended = project.step(&guest("noop"), &arguments).run();
    assert!(matches!(ended.status.code(), Some(1 | 2)), "{ended}");
    ended.says(&["the store `data`", "  hint: "]);
    project.holds(&["data", "folder/", "folder/file"]);
}

#[test]
fn force_replaces_a_file_and_a_folder_as_a_whole() {
    let project = project();
    project.write("result", "old");
    let arguments = ["data=data", "result=result", "--force"];
    project.step(&guest("noop"), &arguments).record(0);
    assert_ne!(project.text("result"), "old");

    project.write("target/old", "old");
    let arguments = ["source=folder", "target=target", "--force"];
    project.step(&guest("tree"), &arguments).record(0);
    project.holds(&[
        "data",
        "folder/",
        "folder/file",
        "result",
        "target/",
        "target/file",
        "target/index.json",
    ]);
}

#[test]
fn force_does_not_replace_a_folder_by_a_file_or_the_reverse() {
    let says = ["the output `folder` is a folder; the step writes a file"];
    let arguments = ["data=data", "result=folder", "--force"];
    project().refuses_step(&guest("noop"), &arguments, &output(&says));
    let says = ["the output `data` is a file; the step writes a folder"];
    let arguments = ["source=folder", "target=data", "--force"];
    project().refuses_step(&guest("tree"), &arguments, &output(&says));
}

#[test]
fn a_failure_leaves_what_force_would_have_replaced() {
    let project = Project::with(&[("result", "old")]);
    let arguments = ["sink=result", "--force"];
    project
        .step(&hostile("write-then-fail"), &arguments)
        .record(1);
    assert_eq!(project.text("result"), "old");
    project.holds(&["result"]);
}

#[test]
fn two_outputs_at_one_path_are_refused() {
    let project = Project::with(&[("all.csv", "a,b\n1,2\n")]);
    let says = ["`same`"];
    for force in [&[][..], &["--force"]] {
        let arguments = ["data=all.csv", "train=same", "test=same", "every=2"];
        let arguments = [&arguments[..], force].concat();
        project.refuses_step(&guest("split"), &arguments, &output(&says));
    }
}

// Full disks.

#[test]
fn a_full_disk_fails_the_run_and_leaves_nothing() {
    let project = Project::with(&[("big/file", "")]);
    let bytes = vec![7; 8 << 20];
    project.write("data", &bytes);
    project.write("big/file", &bytes);
    fs::create_dir(project.path("disk")).unwrap();
    let folder = project.path("disk");
    let Some(_disk) = SmallDisk::mount(&folder, "size=4m") else {
        return;
    };
    let (copy, tree, program) = (guest("copy"), guest("tree"), guest("hostile-cli"));
    for arguments in [
        &[&*copy, "data=data", "copy=disk/copy"][..],
        &[&*tree, "source=big", "target=disk/tree"],
        &[&*program, "--out", "data=disk/out", "--", "flood-out"],
    ] {
        let says = ["No space left on device", "free some space"];
        let refusal = Refusal {
            code: RETRYABLE,
            kind: "disk-full",
            says: &says,
        };
        project.refuses(&[&["run"], arguments].concat(), &refusal);
    }
}

#[test]
fn a_full_disk_under_the_store_fails_the_run() {
    let project = Project::with(&[("data", "x")]);
    fs::create_dir(project.path("disk")).unwrap();
    let folder = project.path("disk");
    let Some(_disk) = SmallDisk::mount(&folder, "size=4m") else {
        return;
    };
    let filler = vec![7; 4 << 20];
    // Fills the disk to the last page; the error is what is wanted.
    let _ = fs::write(project.path("disk/filler"), filler);
    let arguments = ["data=data", "result=result", "--json"];
    let run = project.step(&guest("noop"), &arguments);
    let ended = run.env("WHARF_STORE", project.path("disk/store")).run();
    let ended = ended.exits(RETRYABLE);
    assert_eq!(ended.json()["error"]["kind"], "disk-full", "{ended}");
    // A retry must not find an output of a run that has no record.
    let files = || {
        let names = project.names().into_iter();
        names
            .filter(|name| !name.ends_with('/'))
            .collect::<Vec<_>>()
    };
    assert_eq!(files(), ["data", "disk/filler"]);
    // And what it was to replace is there again.
    project.write("result", "old");
    let arguments = ["data=data", "result=result", "--force", "--json"];
    let run = project.step(&guest("noop"), &arguments);
    let ended = run.env("WHARF_STORE", project.path("disk/store")).run();
    ended.exits(RETRYABLE);
    assert_eq!(files(), ["data", "disk/filler", "result"]);
    assert_eq!(project.text("result"), "old");
}

/// Found out before the step runs, not after its work.
#[test]
fn a_store_that_cannot_be_written_is_refused_before_the_step_runs() {
    let project = Project::with(&[("data", "x")]);
    fs::create_dir(project.path("store")).unwrap();
    let folder = project.path("store");
    let Some(_disk) = SmallDisk::mount(&folder, "ro") else {
        return;
    };
    let arguments = ["data=data", "result=r", "--json", "--store", "store"];
    let ended = project.step(&guest("noop"), &arguments).run().exits(2);
    let started = ended
        .events()
        .iter()
        .any(|event| event["event"] == "started");
    assert!(!started, "{ended}");
    assert_eq!(ended.json()["error"]["kind"], "command-line");
    let hint = ended.json()["error"]["problems"][0]["hint"].to_string();
    assert!(hint.contains("--no-record"), "{ended}");
    project.holds(&["data", "store/"]);
}
