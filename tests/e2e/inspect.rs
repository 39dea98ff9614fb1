//! What the other commands say, and the texts that people see, as files that
//! are compared.
//!
//! `WHARF_BLESS=1 cargo test` writes the files anew; look at the difference.

use std::fs;

use serde_json::Value as Json;

use crate::harness::{Ended, Project, example_table, guest, source_folder};

/// Compares a text with a file, after what differs from run to run is replaced.
#[track_caller]
fn is_golden(name: &str, text: &str) {
    let path = source_folder().join("tests/e2e/golden").join(name);
    let text = redacted(text);
    if std::env::var_os("WHARF_BLESS").is_some() {
        fs::write(&path, text).expect("the source tree is writable");
        return;
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, wanted, "{name} differs; WHARF_BLESS=1 accepts it");
}

/// Replaces digests, ids, sizes of components, and lengths of time.
fn redacted(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words = line.split_inclusive(' ').map(redacted_word);
        words.collect::<String>() + "\n"
    });
    lines.collect()
}

fn redacted_word(word: &str) -> String {
    let bare = word.trim_end_matches([' ', ',', ';', ':', '…']);
    let rest = &word[bare.len()..];
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let is_id = bare.len() == 36 && hex(bare);
    let digest = bare.strip_prefix("sha256:").is_some_and(hex);
    match (is_id, digest) {
        (true, _) => format!("<id>{rest}"),
        (_, true) => format!("sha256:<digest>{rest}"),
        _ => word.to_owned(),
    }
}

/// A project with a guest at a short path.
fn project_with(name: &str) -> Project {
    Project::new().with_guests("", &[name])
}

#[test]
fn the_help_is_what_it_was() {
    let project = Project::new();
    for (name, arguments) in [
        ("help.txt", &["--help"][..]),
        ("help-run.txt", &["run", "--help"]),
        ("help-inspect.txt", &["inspect", "--help"]),
        ("help-runs.txt", &["runs", "--help"]),
        ("help-show.txt", &["show", "--help"]),
        ("help-doctor.txt", &["doctor", "--help"]),
        ("help-completions.txt", &["completions", "--help"]),
    ] {
        // Without the places that this test gives, which help would show.
        let help = project.wharf(arguments);
        let help = help.without_env("WHARF_CACHE").without_env("WHARF_STORE");
        let help = help.run().exits(0);
        assert_eq!(help.stderr, "");
        assert!(help.stdout.contains("Example"), "{help}");
        is_golden(name, &help.stdout);
    }
}

/// The size, the imports of WASI and the width of their column follow the tools
/// that built the guest.
fn without_build(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("  wasi:"));
    let lines = lines.map(|line| match line.trim_start() {
        text if text.starts_with("size ") => "  size    <size>\n".to_owned(),
        text if text.starts_with("wharf:step/") => {
            let words: Vec<&str> = text.split_whitespace().collect();
            format!("  {}\n", words.join(" "))
        }
        _ => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn inspect_shows_signature_documentation_and_imports() {
    let project = project_with("train");
    let inspected = project.wharf(["inspect", "train.wasm"]).run().exits(0);
    assert_eq!(inspected.stderr, "");
    is_golden("inspect-train.txt", &without_build(&inspected.stdout));
    let project = project_with("linecount");
    let inspected = project.wharf(["inspect", "linecount.wasm"]).run().exits(0);
    is_golden("inspect-linecount.txt", &without_build(&inspected.stdout));
}

#[test]
fn inspect_says_what_each_import_gets() {
    let project = Project::new();
    let inspected = project
        .wharf(["inspect", &guest("facts")])
        .run()
        .exits(0)
        .stdout;
    for (import, gets) in [
        (
            "wasi:clocks/{monotonic-clock,wall-clock}@0.2",
            "--allow clock",
        ),
        (
            "wasi:random/{insecure-seed,insecure,random}@0.2",
            "--allow entropy",
        ),
        ("wasi:cli/environment@0.2", "--allow env:NAME"),
        ("wasi:cli/{stdin + 5 more}@0.2", "no input, no terminal"),
        (
            "wasi:filesystem/{preopens,types}@0.2",
            "nothing for typed steps",
        ),
        ("wharf:step/context@0.1.0", "logical time, partition, seed"),
    ] {
        let fits = |line: &str| line.contains(import) && line.contains(gets);
        assert!(inspected.lines().any(fits), "{import}: {inspected}");
    }
}

#[test]
fn inspect_shows_one_function_of_several() {
    let project = project_with("values");
    let all = project
        .wharf(["inspect", "values.wasm"])
        .run()
        .exits(0)
        .stdout;
    let one = project
        .wharf(["inspect", "values.wasm#save"])
        .run()
        .exits(0)
        .stdout;
    for function in [
        "echo", "repeat", "nothing", "names", "save", "fail", "panic",
    ] {
        assert!(
            all.contains(&format!("\n{function}: func(")),
            "{function}: {all}"
        );
        let shown = one.contains(&format!("\n{function}: func("));
        assert_eq!(shown, function == "save", "{function}: {one}");
    }
    assert!(
        one.contains("wharf run values.wasm#save text=STRING to=PATH"),
        "{one}"
    );
    assert!(
        all.contains("names one=PATH [maybe=PATH] many=PATH..."),
        "{all}"
    );
    assert!(all.contains("enum color"), "{all}");
    let ended = project.wharf(["inspect", "values.wasm#sav"]).run().exits(1);
    ended.says(&["no function `sav` (did you mean `save`?)"]);
}

#[test]
fn inspect_gives_programs_the_same_as_json() {
    let project = Project::new();
    let json = project
        .wharf(["inspect", &guest("train"), "--json"])
        .run()
        .exits(0)
        .json();
    assert_eq!(json["format"], "wharf.inspect/1");
    assert_eq!(json["size"], fs::metadata(guest("train")).unwrap().len());
    assert!(json["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(json["kind"], "component");
    let function = &json["signature"]["functions"][0];
    assert_eq!(function["name"], "run");
    assert!(
        function["docs"]
            .as_str()
            .unwrap()
            .starts_with("Fits a model")
    );
    let names = function["parameters"].as_array().unwrap().iter();
    let names: Vec<&str> = names.map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["data", "model", "epochs", "rate"]);
    let imports = json["imports"].as_array().unwrap();
    assert!(imports.iter().all(|import| import["provided"] == true));
    let program = project
        .wharf(["inspect", &guest("linecount"), "--json"])
        .run()
        .exits(0)
        .json();
    assert_eq!(program["signature"]["kind"], "program");
    assert_eq!(program["kind"], "core-module");
}

/// A world in another language documents itself all the same.
#[test]
fn inspect_shows_the_documentation_of_guests_in_python_and_javascript() {
    let project = Project::new();
    let docs = |name: &str| {
        let json = project
            .wharf(["inspect", &guest(name), "--json"])
            .run()
            .exits(0)
            .json();
        json["signature"]["functions"][0]["docs"].clone()
    };
    assert_eq!(docs("train-python"), docs("train"));
    assert!(
        docs("profile")
            .as_str()
            .unwrap()
            .contains("one entry for each")
    );
}

#[test]
fn what_people_see_of_a_run_is_what_it_was() {
    let project = project_with("train");
    fs::copy(example_table(), project.path("data.csv")).unwrap();
    let run = |arguments: &[&str]| project.step("train.wasm", arguments);
    run(&["data=data.csv", "model=warm-up.json", "epochs=1"]).record(0);
    let ended = run(&["data=data.csv", "model=model.json", "epochs=2"])
        .run()
        .exits(0);
    is_golden("run-train.out.txt", &ended.stdout);
    is_golden("run-train.err.txt", &without_times(&ended.stderr));
    let refused = run(&["data=no.csv", "model=model.json", "epochs=-2", "rat=1"]).run();
    is_golden("run-refused.txt", &refused.exits(2).stderr);
    let refused = run(&["data=no.csv", "model=model.json", "epochs=2"]).run();
    is_golden("run-refused-paths.txt", &refused.exits(2).stderr);
    project.write("bad.csv", "a,y\n1,maybe\n");
    let failed = run(&["data=bad.csv", "model=new.json", "epochs=2"]).run();
    is_golden("run-failed.txt", &failed.exits(1).stderr);
    let limited = run(&[
        "data=data.csv",
        "model=new.json",
        "epochs=2",
        "--memory",
        "1MiB",
    ]);
    is_golden("run-limited.txt", &limited.run().exits(1).stderr);
}

#[test]
fn what_people_see_of_a_trap_is_what_it_was() {
    let project = project_with("hostile-unreachable");
    let run = || project.step("hostile-unreachable.wasm", &[]);
    run().record(1);
    is_golden("run-trapped.txt", &run().run().exits(1).stderr);
}

/// Replaces the words after `in` on the line that sums up.
fn without_times(text: &str) -> String {
    let lines = text.lines().map(|line| match line.rsplit_once(" in ") {
        Some((before, _)) if line.starts_with("succeeded") => format!("{before} in <time>\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn results_alone_go_to_standard_output() {
    let project = Project::with(&[("data", "12345")]);
    let copy = guest("copy");
    let arguments = ["data=data", "copy=copy", "--force"];
    let plain = project.step(&copy, &arguments).run().exits(0);
    assert_eq!(plain.stdout, "5\n");
    let quiet = project
        .step(&copy, &arguments)
        .args(&["--quiet"])
        .run()
        .exits(0);
    assert_eq!((&*quiet.stdout, &*quiet.stderr), ("5\n", ""));
    let arguments = ["data=nope", "copy=copy", "--quiet"];
    let refused = project.step(&copy, &arguments).run().exits(2);
    refused.says(&["does not exist"]);
}

#[test]
fn a_program_may_do_nothing_but_print() {
    let project = Project::new();
    let ended = project.step(&guest("hello"), &[]).run().exits(0);
    assert_eq!(ended.stdout, "Hello, world!\n");
}

#[test]
fn what_a_program_prints_goes_where_it_printed_it() {
    let project = Project::with(&[("data", "x")]);
    let arguments = ["--in", "data=data", "--", "write-in"];
    let ended = project.step(&guest("hostile-cli"), &arguments).run();
    assert!(ended.stdout.contains("read: ok\n"), "{ended}");
    assert!(!ended.stderr.contains("read: ok\n"), "{ended}");
    let arguments = ["--", "nonsense"];
    let ended = project
        .step(&guest("hostile-cli"), &arguments)
        .run()
        .exits(1);
    assert_eq!(ended.stdout, "");
    ended.says(&["unknown attack: \"nonsense\""]);
}

#[test]
fn nothing_has_colours_where_nobody_sees_them() {
    let project = Project::with(&[("data", "x")]);
    let show = |ended: Ended| {
        let text = ended.stdout + &ended.stderr;
        assert!(!text.contains('\u{1b}'), "{text:?}");
    };
    show(project.wharf(["--help"]).run());
    show(project.wharf(["run", "--nope"]).run());
    show(project.step("nope.wasm", &[]).run());
    show(
        project
            .step(&guest("noop"), &["data=data", "result=r"])
            .run(),
    );
    show(project.step(&guest("hostile-unreachable"), &[]).run());
    show(project.wharf(["runs"]).run());
}

#[test]
fn a_wrong_command_line_in_two_ways_is_refused() {
    let project = Project::new();
    let arguments = ["run", "step.wasm", "--json", "--quiet"];
    let ended = project.wharf(arguments).run().exits(2);
    assert_eq!(ended.json()["error"]["kind"], "command-line");
    let ended = project.wharf(std::iter::empty::<&str>()).run().exits(2);
    assert!(ended.stderr.contains("Usage"), "{ended}");
}

#[test]
fn the_version_is_printed() {
    let ended = Project::new().wharf(["--version"]).run().exits(0);
    assert_eq!(
        ended.stdout,
        format!("wharf {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn completions_are_printed_for_each_shell() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish"] {
        let ended = project.wharf(["completions", shell]).run().exits(0);
        assert!(
            ended.stdout.contains("wharf") && ended.stdout.contains("inspect"),
            "{ended}"
        );
    }
    project.wharf(["completions", "nosh"]).run().exits(2);
}

#[test]
fn doctor_says_what_the_machine_offers() {
    let project = Project::new();
    let json = project.wharf(["doctor", "--json"]).run().exits(0).json();
    assert_eq!(json["format"], "wharf.doctor/1");
    let state = |name: &str| {
        let checks = json["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name);
        check.unwrap_or(&Json::Null)["state"].clone()
    };
    assert_eq!(state("compiler"), "ok");
    assert_eq!(state("compile cache"), "ok");
    assert_eq!(state("store"), "none");
    for name in [
        "wharf",
        "machine",
        "landlock",
        "seccomp",
        "rust guests",
        "c guests",
    ] {
        assert!(state(name).is_string(), "{name}");
    }
    let text = project.wharf(["doctor"]).run().exits(0).stdout;
    assert!(text.contains("ok       compiler"), "{text}");
    project.holds(&[]);
    let nowhere = project
        .wharf(["doctor"])
        .without_env("WHARF_CACHE")
        .run()
        .exits(0);
    assert!(
        nowhere.stdout.contains("missing  compile cache"),
        "{nowhere}"
    );
    let empty = project.wharf(["doctor"]).env("WHARF_CACHE", "").run();
    assert_eq!(empty.exits(0).stdout, nowhere.stdout);
}
