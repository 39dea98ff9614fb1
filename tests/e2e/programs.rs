//! Programs: `wasi:cli/run` and modules for WASI preview 1.

use serde_json::json;

use crate::harness::{Project, guest};

const TEXT: &str = "one two two\nthree three three\nlast";

#[test]
fn wordcount_runs_unchanged_from_go() {
    let project = Project::with(&[("book.txt", TEXT)]);
    let step = guest("wordcount");
    let arguments = [
        "--in",
        "text=book.txt",
        "--out",
        "counts=counts.tsv",
        "--",
        "--top=2",
    ];
    let record = project.step(&step, &arguments).record(0);
    assert_eq!(project.text("counts.tsv"), "three\t3\ntwo\t2\n");
    assert_eq!(record["arguments"], json!(["--top=2"]));
    assert_eq!(record["inputs"][0]["name"], "text");
    assert_eq!(record["outputs"][0]["path"], "counts.tsv");
    project.holds(&["book.txt", "counts.tsv"]);
}

#[test]
fn values_become_arguments_of_a_program() {
    let project = Project::with(&[("book.txt", TEXT)]);
    let step = guest("wordcount");
    let arguments = [
        "--in",
        "text=book.txt",
        "--out",
        "counts=counts.tsv",
        "top=1",
    ];
    let record = project.step(&step, &arguments).record(0);
    assert_eq!(record["arguments"], json!(["--top=1"]));
    assert_eq!(project.text("counts.tsv"), "three\t3\n");
}

#[test]
fn linecount_runs_unchanged_from_c() {
    let project = Project::with(&[("book.txt", TEXT)]);
    let step = guest("linecount");
    let arguments = ["--in", "text=book.txt", "--out", "lines=lines.txt"];
    let record = project.step(&step, &arguments).record(0);
    assert_eq!(project.text("lines.txt"), "3\n");
    assert_eq!(record["outcome"]["status"], "succeeded");
    project.holds(&["book.txt", "lines.txt"]);
}

#[test]
fn a_program_that_misses_its_input_fails_with_its_own_words() {
    let project = Project::new();
    for (step, output, said) in [
        ("wordcount", "counts=counts.tsv", "/in/text"),
        ("linecount", "lines=lines.txt", "/in/text"),
    ] {
        let (record, ended) = project.step(&guest(step), &["--out", output]).measured(1);
        assert_eq!(record["outcome"]["status"], "failed");
        assert_eq!(
            record["outcome"]["message"],
            "the program ended with exit code 1"
        );
        ended.says(&[said]);
        project.holds(&[]);
    }
}

#[test]
fn a_program_that_does_not_write_a_promised_output_fails() {
    let project = Project::with(&[("book.txt", TEXT)]);
    let step = guest("linecount");
    let arguments = [
        "--in",
        "text=book.txt",
        "--out",
        "lines=a",
        "--out",
        "other=b",
    ];
    let record = project.step(&step, &arguments).record(1);
    assert_eq!(record["outcome"]["status"], "failed");
    let message = record["outcome"]["message"].as_str().unwrap();
    assert!(message.contains("other"), "{message}");
    project.holds(&["book.txt"]);
}

#[test]
fn a_program_that_says_that_it_failed_has_failed() {
    let project = Project::with(&[("data", "x")]);
    let run = |command: &str| {
        let arguments = ["--in", "data=data", "--out", "data=out", "--", command];
        project.step(&guest("hostile-cli"), &arguments).record(1)
    };
    // `wasi:cli/exit` of WASI 0.2 says that a program failed, not with which code.
    for command in ["exit3", "fail"] {
        let outcome = run(command)["outcome"].clone();
        assert_eq!(outcome["status"], "failed");
        assert_eq!(outcome["message"], "the program ended with exit code 1");
        project.holds(&["data"]);
    }
}

#[test]
fn a_program_may_read_a_folder() {
    let project = Project::with(&[("texts/a", "x"), ("texts/b", "y")]);
    let step = guest("linecount");
    // The program opens it as a file, which is its own mistake to report.
    let arguments = ["--in", "text=texts", "--out", "lines=lines"];
    let record = project.step(&step, &arguments).record(1);
    assert_eq!(record["inputs"][0]["files"], 2);
    assert_eq!(record["outcome"]["status"], "failed");
}
