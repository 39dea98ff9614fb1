//! Wrong requests: each is refused before anything starts, with a message that
//! says what, where and what to do.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::harness::{Project, Refusal, guest, names_in, values, wait_until};

const USAGE: i32 = 2;
const RETRYABLE: i32 = 75;

fn parameter<'a>(says: &'a [&'a str]) -> Refusal<'a> {
    Refusal {
        code: USAGE,
        kind: "parameter",
        says,
    }
}

fn input<'a>(says: &'a [&'a str]) -> Refusal<'a> {
    Refusal {
        code: USAGE,
        kind: "input",
        says,
    }
}

fn command_line<'a>(says: &'a [&'a str]) -> Refusal<'a> {
    Refusal {
        code: USAGE,
        kind: "command-line",
        says,
    }
}

fn project() -> Project {
    Project::with(&[("data", "x"), ("folder/file", "x")])
}

// Inputs.

#[test]
fn a_missing_input_is_refused() {
    let says = [
        "the input `nope.csv` does not exist",
        "relative to the current folder",
    ];
    let arguments = ["data=nope.csv", "result=result"];
    project().refuses_step(&guest("noop"), &arguments, &input(&says));
    let arguments = ["--in", "text=nope.csv", "--out", "lines=lines"];
    project().refuses_step(&guest("linecount"), &arguments, &input(&says));
}

#[test]
fn a_folder_where_a_file_is_wanted_is_refused() {
    let says = [
        "the input `folder` is a folder; a file is wanted",
        "input-tree",
    ];
    let arguments = ["data=folder", "result=result"];
    project().refuses_step(&guest("noop"), &arguments, &input(&says));
}

#[test]
fn a_file_where_a_folder_is_wanted_is_refused() {
    let says = ["the input `data` is not a folder", "give a folder"];
    let arguments = ["source=data", "target=target"];
    project().refuses_step(&guest("tree"), &arguments, &input(&says));
}

#[test]
fn an_input_that_is_no_regular_file_is_refused() {
    let says = [
        "the input `/dev/null` is not a regular file",
        "copy it to a file",
    ];
    let arguments = ["data=/dev/null", "result=result"];
    project().refuses_step(&guest("noop"), &arguments, &input(&says));
}

/// Opening a pipe waits for its writer: a request must not hang on it.
#[test]
fn a_pipe_as_an_input_is_refused_at_once() {
    let project = project();
    let made = Command::new("mkfifo").arg(project.path("pipe")).status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "mkfifo is missing"
    );
    let says = ["the input `pipe` is not a regular file"];
    project.refuses_step(&guest("noop"), &["data=pipe", "result=r"], &input(&says));
}

#[test]
fn a_link_in_an_input_tree_is_refused() {
    let project = project();
    std::os::unix::fs::symlink("/etc/passwd", project.path("folder/link")).unwrap();
    let says = [
        "the input `folder` has `link`",
        "regular files and folders only",
    ];
    let arguments = ["source=folder", "target=target"];
    project.refuses_step(&guest("tree"), &arguments, &input(&says));
}

#[test]
fn an_input_that_changes_while_the_step_runs_fails_the_run() {
    let project = Project::new();
    let file = fs::File::create(project.path("data")).unwrap();
    // Sparse, and read in small pieces: enough to do to be changed meanwhile.
    file.set_len(512 << 20).unwrap();
    let arguments = ["data=data", "copy=copy", "chunk-kib=1", "--json"];
    let running = project.step(&guest("copy"), &arguments).start();
    // The place for the output is made after the inputs were opened.
    let is_partial = |name: &String| name.ends_with(".partial");
    wait_until("the step is staged", || {
        names_in(project.folder()).iter().any(is_partial)
    });
    project.write("data", "changed");
    let ended = running.wait().exits(RETRYABLE);
    let error = ended.json()["error"].clone();
    assert_eq!(error["kind"], "input-changed", "{ended}");
    let said = error["problems"][0]["message"].as_str().unwrap();
    assert!(
        said.contains("the input `data` changed while the step ran"),
        "{said}"
    );
    project.holds(&["data"]);
    assert_eq!(project.records(), 0);
}

// Parameters.

#[test]
fn missing_unknown_and_repeated_parameters_are_refused() {
    let step = guest("copy");
    for (arguments, says) in [
        (
            &["data=data"][..],
            &["parameter `copy` (output) is missing", "add copy=PATH"][..],
        ),
        (
            &["copy=copy"],
            &["parameter `data` (input) is missing", "add data=PATH"],
        ),
        (
            &["data=data", "copy=copy", "chunk-kbi=1"],
            &[
                "`run` has no parameter `chunk-kbi`",
                "did you mean `chunk-kib`?",
            ],
        ),
        (
            &["data=data", "copy=copy", "zebra=1"],
            &[
                "`run` has no parameter `zebra`",
                "it has `data`, `copy`, `chunk-kib`",
            ],
        ),
        (
            &["data=data", "copy=a", "copy=b"],
            &[
                "parameter `copy` (output) is given 2 times",
                "give copy=PATH once",
            ],
        ),
        (
            &["data=data", "copy=copy", "chunk-kib=1", "chunk-kib=1"],
            &["parameter `chunk-kib` (option<u32>) is given 2 times"],
        ),
    ] {
        project().refuses_step(&step, arguments, &parameter(says));
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let says = [
        "parameter `data` (input) is missing",
        "parameter `model` (output) is missing",
        "parameter `epochs`: wanted u32 (0 to 4294967295), got `-1`",
        "`run` has no parameter `rat`",
    ];
    project().refuses_step(&guest("train"), &["epochs=-1", "rat=1"], &parameter(&says));
}

/// One value that does not fit, for each kind of value that can be wrong.
#[test]
fn a_value_that_does_not_fit_its_type_is_refused() {
    for (binding, wanted) in [
        (
            "truth=maybe",
            "parameter `truth`: wanted bool (true or false), got `maybe`",
        ),
        (
            "unsigned=-1",
            "parameter `unsigned`: wanted u32 (0 to 4294967295), got `-1`",
        ),
        ("unsigned=4294967296", "got `4294967296`"),
        ("unsigned=1.5", "wanted u32 (0 to 4294967295), got `1.5`"),
        ("unsigned=ten", "wanted u32 (0 to 4294967295), got `ten`"),
        ("unsigned=", "wanted u32 (0 to 4294967295), got ``"),
        ("small-signed=128", "wanted s8 (-128 to 127), got `128`"),
        (
            "large-unsigned=18446744073709551616",
            "wanted u64 (0 to 18446744073709551615), got `18446744073709551616`",
        ),
        (
            "double=NaN",
            "parameter `double`: wanted f64 (a finite number), got `NaN`",
        ),
        ("double=inf", "wanted f64 (a finite number), got `inf`"),
        ("double=1e999", "wanted f64 (a finite number), got `1e999`"),
        ("single=1e300", "wanted f32 (a finite number), got `1e300`"),
        ("letter=ab", "parameter `letter`: wanted char"),
        ("numbers=[1, \\\"x\\\"]", "parameter `numbers`: "),
        ("numbers=[1", "not JSON"),
        ("color=deepblue", "did you mean `deep-blue`?"),
        ("color=zebra", "parameter `color`: wanted color"),
        ("permissions=red", "did you mean `read`?"),
        ("size={\"width\": 1}", "the field `height` (u32) is missing"),
        (
            "size={\"width\": 1, \"hight\": 2}",
            "did you mean `height`?",
        ),
        ("shape={\"circle\": \"x\"}", "at `.circle`: wanted f64"),
        ("shape=circle", "the case `circle` carries a value"),
        (
            "pair=[\"a\"]",
            "parameter `pair`: wanted tuple<string, f64>",
        ),
        (
            "outcome={\"maybe\": 1}",
            "parameter `outcome`: wanted result<u32, string>",
        ),
    ] {
        // The other parameters are missing, which is told as well.
        let wanted = wanted.replace('"', "\\\"");
        project().refuses_step(&values("echo"), &[binding], &parameter(&[&wanted]));
    }
}

#[test]
fn an_artifact_is_not_a_value_and_the_reverse() {
    let project = project();
    project.write("p.json", json!({"data": "data"}).to_string());
    let says = ["parameter `data` is an artifact, not a value", "data=PATH"];
    let arguments = ["--params", "p.json", "result=r"];
    project.refuses_step(&guest("noop"), &arguments, &parameter(&says));
    let says = [
        "parameter `rounds` is a value of type u32, not an artifact",
        "rounds=VALUE",
    ];
    project.refuses_step(
        &guest("compute"),
        &["--in", "rounds=data"],
        &parameter(&says),
    );
    let says = ["parameter `data` is an input of the step"];
    let arguments = ["--out", "data=data", "result=r"];
    project.refuses_step(&guest("noop"), &arguments, &parameter(&says));
}

#[test]
fn a_file_of_parameters_that_is_not_an_object_is_refused() {
    let project = project();
    project.write("list.json", "[1]");
    project.write("text.json", "epochs = 1");
    for file in ["list.json", "text.json"] {
        let says = [
            &*format!("the parameters in `{file}` are not a JSON object"),
            "epochs",
        ];
        let arguments = ["--params", file];
        project.refuses_step(&guest("compute"), &arguments, &parameter(&says));
    }
    let says = ["cannot read the parameters in `nope.json`"];
    project.refuses_step(
        &guest("compute"),
        &["--params", "nope.json"],
        &parameter(&says),
    );
}

#[test]
fn parameters_in_a_file_are_checked_and_named() {
    let project = project();
    project.write("p.json", json!({"rounds": "many", "round": 1}).to_string());
    let says = [
        "`run` has no parameter `round`",
        "did you mean `rounds`?",
        "parameter `rounds`: wanted u32",
    ];
    project.refuses_step(
        &guest("compute"),
        &["--params", "p.json"],
        &parameter(&says),
    );
}

// The command line.

#[test]
fn a_wrong_command_line_is_refused() {
    let step = guest("compute");
    for (arguments, says) in [
        (
            &["--frobnicate"][..],
            &["unexpected argument '--frobnicate'"][..],
        ),
        (
            &["rounds"],
            &["`rounds` is not a binding: write NAME=VALUE"],
        ),
        (
            &["--allow", "entrpy"],
            &["`entrpy` is not a grant; did you mean `entropy`?"],
        ),
        (
            &["--allow", "network"],
            &["`network` is not a grant: known are clock, entropy"],
        ),
        (&["--allow", "env:"], &["write env:NAME"]),
        (&["--memory", "lots"], &["'lots'", "not a size", "512MiB"]),
        (&["--memory", "-1"], &["-1"]),
        (
            &["--timeout", "soon"],
            &["'soon'", "not a length of time", "90s"],
        ),
        (&["--fuel", "some"], &["'some'"]),
        (&["--seed", "-1"], &["-1"]),
        (
            &["--logical-time", "yesterday"],
            &["'yesterday'", "2013-01-31"],
        ),
    ] {
        let arguments = [&["run", &*step][..], arguments].concat();
        let project = project();
        project.refuses(&arguments, &command_line(says));
    }
    project().refuses(&["rnu"], &command_line(&["unrecognized subcommand 'rnu'"]));
    project().refuses(&["run"], &command_line(&["<STEP.wasm[#FUNCTION]>"]));
    project().refuses(
        &["run", "#fit"],
        &command_line(&["write the path of a component"]),
    );
}

#[test]
fn a_variable_that_is_not_set_cannot_be_granted() {
    let says = ["the environment variable `NOPE` cannot be granted: it is not set"];
    let arguments = ["rounds=1", "--allow", "env:NOPE"];
    project().refuses_step(&guest("compute"), &arguments, &command_line(&says));
}

#[test]
fn arguments_of_a_program_are_refused_for_a_function() {
    let says = ["arguments after `--` are for programs", "NAME=VALUE"];
    let project = project();
    let step = guest("compute");
    project.refuses_step(&step, &["rounds=1", "--", "-v"], &command_line(&says));
}

#[test]
fn names_of_a_programs_artifacts_are_checked() {
    let step = guest("linecount");
    for name in ["..", "a/b", "A", ""] {
        let binding = format!("{name}=data");
        let project = project();
        let ended = project.step(&step, &["--in", &binding]).run().exits(USAGE);
        assert!(ended.stderr.starts_with("error: "), "{ended}");
        assert_eq!(project.records(), 0);
    }
    let says = ["`text` is given twice"];
    let arguments = ["--in", "text=data", "--in", "text=data"];
    project().refuses_step(&step, &arguments, &parameter(&says));
}

// Functions.

#[test]
fn an_unknown_function_is_refused_with_the_nearest() {
    let refusal = |says| Refusal {
        code: 1,
        kind: "not-a-step",
        says,
    };
    let project = project();
    let says = ["no function `ecko`", "did you mean `echo`?", "`repeat`"];
    project.refuses_step(&values("ecko"), &[], &refusal(&says));
    let says = ["several functions", ".wasm#", "`echo`, `repeat`"];
    project.refuses_step(&guest("values"), &[], &refusal(&says));
    let says = ["the component is a program", "remove `#main`"];
    let step = format!("{}#main", guest("linecount"));
    project.refuses_step(&step, &[], &refusal(&says));
}
