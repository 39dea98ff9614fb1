//! Stacks: where pipelines run, and what they may do there.

use serde_json::Value as Json;
use wharf_services::Service;

use crate::harness::{Ended, Project, guest};

const PIPELINE: &str = r#"
steps:
  noop:
    uses: steps/noop.wasm
    with: { data: data.csv }
    grants: [clock]
    limits: { memory: 64MiB }
    timeout: 10m
"#;

fn project(stack: &str) -> Project {
    let project = Project::with(&[
        ("pipeline.yaml", PIPELINE),
        ("data.csv", "x"),
        ("stack.toml", stack),
    ]);
    let bytes = std::fs::read(guest("noop")).expect("the guest is there");
    project.write("steps/noop.wasm", bytes);
    project
}

fn run(project: &Project, arguments: &[&str]) -> Ended {
    let all = [&["pipeline", "run", "pipeline.yaml"], arguments].concat();
    project.wharf(all).without_env("WHARF_STORE").run()
}

/// One switch changes the store, its secrets and what is permitted.
#[test]
fn another_stack_is_another_place_for_the_same_pipeline() {
    let s3 = Service::S3;
    let settings = s3.settings();
    let plain: Vec<String> = settings
        .iter()
        .filter(|(name, _)| name != "AWS_SECRET_ACCESS_KEY")
        .map(|(name, value)| format!("{name} = \"{value}\""))
        .collect();
    let stack = format!(
        r#"
default = "local"

[stacks.local]
store = "here"
grants = ["clock"]

[stacks.prod]
store = "{}"
grants = ["clock"]
parallelism = 2
memory = "512MiB"
cache-folder = "cache"
limits = {{ memory = "256MiB" }}
settings = {{ {} }}
secrets = {{ AWS_SECRET_ACCESS_KEY = "file:secret" }}
"#,
        s3.url(&format!("stacks-{}", std::process::id())),
        plain.join(", ")
    );
    let project = project(&stack);
    run(&project, &[]).exits(0);
    assert!(project.path("here/commits").is_dir());
    let missing = run(&project, &["--stack", "prod"]).exits(2);
    missing.says(&["the secret `AWS_SECRET_ACCESS_KEY` (file:secret) cannot be had"]);
    project.write("secret", "test\n");
    let ended: Json = run(&project, &["--stack", "prod", "--json"])
        .exits(0)
        .json();
    assert_eq!(ended["steps"][0]["status"], "succeeded");
    assert!(project.path("cache").is_dir());
    let listed = std::fs::read_dir(project.path("here/pipelines")).expect("a folder");
    assert_eq!(listed.count(), 1, "the other run is elsewhere");
}

#[test]
fn a_stack_bounds_what_steps_ask_for() {
    let with = |lines: &str| project(&format!("[stacks.a]\nstore = \"here\"\n{lines}"));
    let a = ["--stack", "a"];
    run(&with(""), &a).exits(2).says(&[
        "the step `noop` asks for `clock`, which is not permitted",
        "the stack `a` does not permit it",
    ]);
    let clock = "grants = [\"clock\"]\n";
    run(&with(clock), &a).exits(0);
    let memory = format!("{clock}limits = {{ memory = \"32MiB\" }}");
    run(&with(&memory), &a)
        .exits(2)
        .says(&["asks for memory 64 MiB; the stack `a` allows 32 MiB"]);
    let time = format!("{clock}limits = {{ timeout = \"1m\" }}");
    run(&with(&time), &a)
        .exits(2)
        .says(&["asks for timeout 10 min; the stack `a` allows 1 min"]);
    let all = format!("{clock}memory = \"16MiB\"");
    run(&with(&all), &a)
        .exits(2)
        .says(&["may take 64 MiB, of 16 MiB in all"]);
    let both = run(&with(clock), &["--stack", "a", "--allow", "clock"]);
    both.exits(2)
        .says(&["the stack `a` says what steps are permitted"]);
}

#[test]
fn mistakes_in_stacks_are_shown_where_they_are() {
    let wrong = project("[stacks.prod]\nstoer = \"x\"\n");
    run(&wrong, &[])
        .exits(2)
        .says(&["stack.toml:2:1", "did you mean `store`?"]);
    let empty = project("[stacks.prod]\nparallelism = 4\n");
    run(&empty, &[])
        .exits(2)
        .says(&["the stack `prod` has no store"]);
    let good = project("[stacks.prod]\nstore = \"x\"\n");
    run(&good, &["--stack", "prd"])
        .exits(2)
        .says(&["no stack `prd`", "did you mean `prod`?"]);
    run(&good, &["--stack-file", "none.toml"])
        .exits(2)
        .says(&["none.toml"]);
    std::fs::remove_file(good.path("stack.toml")).expect("it is there");
    run(&good, &["--stack", "prod"])
        .exits(2)
        .says(&["`stack.toml` does not exist"]);
    // Without a stack, the command line says it all.
    run(&good, &["--allow", "clock"]).exits(0);
    assert!(good.path(".wharf/commits").is_dir());
}

/// What was asked for by name comes before what the environment says, and what was typed
/// before both.
#[test]
fn a_stack_that_is_named_comes_before_the_variable() {
    let project = project(
        "default = \"near\"\n[stacks.near]\nstore = \"near\"\ngrants = [\"clock\"]\n[stacks.far]\nstore = \"far\"\ngrants = [\"clock\"]\n",
    );
    let run = |arguments: &[&str], variable: Option<&str>| {
        let all = [&["pipeline", "run", "pipeline.yaml"], arguments].concat();
        let command = project.wharf(all).without_env("WHARF_STORE");
        match variable {
            Some(store) => command.env("WHARF_STORE", store).run().exits(0),
            None => command.run().exits(0),
        }
    };
    let made = |name: &str| project.path(name).join("commits").is_dir();
    let ended = run(&["--stack", "far"], Some("variable"));
    assert!(made("far") && !made("variable"));
    // The command that is told finds the run there, and not without.
    let told = ended.stderr.lines().last().expect("a line");
    assert!(told.ends_with(" --stack far"), "{ended}");
    let show = |arguments: &str| {
        let arguments = arguments.split(' ');
        project.wharf(arguments).without_env("WHARF_STORE").run()
    };
    show(&show_of(told)).exits(0);
    show("show last")
        .exits(1)
        .says(&["there is no store at `near`"]);
    run(&[], Some("variable"));
    assert!(made("variable") && !made("near"));
    run(&[], None);
    assert!(made("near"));
    run(&["--stack", "far", "--store", "typed"], Some("other"));
    assert!(made("typed") && !made("other"));
    for command in [
        "runs",
        "show last",
        "replay last --allow clock",
        "gc --dry-run",
        "verify",
        "artifact ls",
    ] {
        show(&format!("{command} --stack far")).exits(0);
    }
    project.write("some", "thing");
    show("artifact put some some --stack near").exits(0);
    show("artifact copy some --stack near --to-stack far").exits(0);
    show("artifact show some --stack far").exits(0);
}

/// The command in the last line of a run.
fn show_of(line: &str) -> String {
    let command = line.trim().strip_prefix("run  wharf ");
    command.expect("a command").to_owned()
}

/// A file of stacks is never passed over in silence.
#[test]
fn a_file_of_stacks_counts() {
    let none = project("[stacks.a]\nstore = \"a\"\n[stacks.b]\nstore = \"b\"\n");
    run(&none, &[]).exits(2).says(&[
        "`stack.toml` does not say which stack is meant",
        "say it with --stack (a, b)",
    ]);
    let gone = project("");
    std::fs::remove_file(gone.path("stack.toml")).expect("it is there");
    std::os::unix::fs::symlink("nowhere", gone.path("stack.toml")).expect("a link");
    run(&gone, &[])
        .exits(2)
        .says(&["cannot read the stacks in `stack.toml`"]);
    run(&gone, &["--stack-file", "/dev/zero"])
        .exits(2)
        .says(&["it is larger than"]);
    run(&gone, &["--parallelism", "0"]).exits(2);
}
