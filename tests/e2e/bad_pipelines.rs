//! Wrong pipelines and places: each mistake is told with its place and what to do, and
//! nothing is lost.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use wharf_services::Service;

use crate::harness::{Ended, Project, names_in};

const USAGE: i32 = 2;
const FAILED: i32 = 1;
const RETRYABLE: i32 = 75;

/// A project with the guests that the pipelines here use.
fn project(pipeline: &str) -> Project {
    let files = [("pipeline.yaml", pipeline), ("data.csv", "a,b\n1,2\n")];
    Project::with(&files).with_guests("", &["noop", "evaluate"])
}

fn run(project: &Project, arguments: &[&str]) -> Ended {
    let all = [&["pipeline", "run", "pipeline.yaml"], arguments].concat();
    project.wharf(all).run()
}

/// A pipeline is refused with these words, before anything happens.
fn refused(pipeline: &str, says: &[&str]) {
    let project = project(pipeline);
    let before = names_in(project.folder());
    for command in ["check", "run", "plan", "graph"] {
        let ended = project.wharf(["pipeline", command, "pipeline.yaml"]).run();
        ended.exits(USAGE).says(says);
    }
    assert_eq!(names_in(project.folder()), before, "nothing was written");
}

#[test]
fn unknown_keys_name_the_nearest() {
    let unknown = "steps:\n  a:\n    uses: noop.wasm\n    wiht: { data: data.csv }\n";
    refused(
        unknown,
        &["pipeline.yaml:4:5", "`wiht`", "did you mean `with`?"],
    );
    let unknown = "stepz:\n  a: { uses: noop.wasm }\n";
    refused(unknown, &["pipeline.yaml:1:1", "did you mean `steps`?"]);
    let unknown = "steps:\n  a: { uses: noop.wasm, with: { dta: data.csv } }\n";
    refused(
        unknown,
        &["pipeline.yaml:2:33", "`dta`", "did you mean `data`?"],
    );
}

#[test]
fn duplicate_keys_are_refused() {
    let twice = "steps:\n  a: { uses: noop.wasm, with: { data: data.csv } }\n  a: { uses: noop.wasm, with: { data: data.csv } }\n";
    refused(twice, &["pipeline.yaml:3:3", "`a`"]);
}

#[test]
fn anchors_aliases_and_tags_are_refused() {
    let anchor = "steps:\n  a: &a { uses: noop.wasm, with: { data: data.csv } }\n  b: *a\n";
    refused(anchor, &["pipeline.yaml:2:", "anchor"]);
    let mut bomb = "parameters:\n  a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in ["b", "c", "d", "e", "f", "g", "h", "i"]
        .iter()
        .zip("abcdefgh".chars())
    {
        let all = vec![format!("*{before}"); 10].join(", ");
        bomb += &format!("  {name}: &{name} [{all}]\n");
    }
    refused(&bomb, &["pipeline.yaml:2:", "anchor"]);
    let tag = "steps:\n  a: !!python/object:os.system { uses: noop.wasm }\n";
    refused(tag, &["pipeline.yaml:2:", "tag"]);
}

#[test]
fn tabs_are_refused() {
    refused(
        "steps:\n\ta: { uses: noop.wasm }\n",
        &["pipeline.yaml:2:1", "tab"],
    );
}

#[test]
fn lines_and_columns_are_those_that_an_editor_shows() {
    refused("\u{feff}steps: 1\n", &["pipeline.yaml:1:8"]);
    let lines = "steps:\r  a: { uses: noop.wasm, wiht: 1 }\r  b: 1\r";
    refused(lines, &["pipeline.yaml:2:25", "pipeline.yaml:3:6"]);
}

/// Neither the size nor the depth of a file takes more than it should.
#[test]
fn huge_and_deep_files_are_refused() {
    let long = format!(
        "steps:\n  a: {{ uses: noop.wasm }}\n# {}\n",
        "x".repeat(10 << 20)
    );
    refused(&long, &["is larger than", "data belongs into artifacts"]);
    let nested = format!("steps: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    refused(&nested, &["pipeline.yaml:1:"]);
    let project = project("");
    fs::write(project.path("pipeline.yaml"), b"steps:\n  a: \xff\n").unwrap();
    run(&project, &[])
        .exits(USAGE)
        .says(&["is not UTF-8: byte 12"]);
}

#[test]
fn dangling_references_and_cycles_are_refused() {
    let dangling =
        "steps:\n  a: { uses: noop.wasm, with: { data: \"${{ steps.b.outputs.model }}\" } }\n";
    refused(dangling, &["pipeline.yaml:2:", "`b`"]);
    let output = "steps:\n  a: { uses: noop.wasm, with: { data: data.csv } }\n  b: { uses: noop.wasm, with: { data: \"${{ steps.a.outputs.reslut }}\" } }\n";
    refused(
        output,
        &["pipeline.yaml:3:", "`reslut`", "did you mean `result`?"],
    );
    let cycle = "steps:\n  a: { uses: noop.wasm, with: { data: \"${{ steps.b.outputs.result }}\" } }\n  b: { uses: noop.wasm, with: { data: \"${{ steps.a.outputs.result }}\" } }\n";
    refused(
        cycle,
        &[
            "pipeline.yaml:2:",
            "the steps wait for each other: `a -> b -> a`",
        ],
    );
    let file = "steps:\n  a: { uses: none.wasm }\n";
    refused(
        file,
        &[
            "pipeline.yaml:2:14",
            "the component `none.wasm` does not exist",
            "relative to the file of the pipeline",
        ],
    );
}

/// Mistakes of the form, of components and of the types are told together.
#[test]
fn types_that_do_not_fit_are_refused() {
    let form = "
steps:
  a: { uses: noop.wasm, with: { data: data.csv }, foreach: 5 }
  b: { uses: noop.wasm, with: { data: data.csv }, when: 'yes' }
  c: { uses: noop.wasm, with: { data: 5 } }
  d: { uses: none.wasm, with: { data: 5 }, needs: [e] }
";
    let says = [
        "pipeline.yaml:3:60",
        "`foreach` must be a list or an expression, not a number",
        "pipeline.yaml:4:57",
        "`when` must be one expression, not a text",
        "pipeline.yaml:5:39",
        "the component `none.wasm` does not exist",
        "there is no step `e`",
    ];
    refused(form, &says);
    let types = r#"
parameters: { rows: { type: u32, default: many }, one: { type: u32, default: 1 } }
steps:
  a: { uses: noop.wasm, with: { data: 5 } }
  b: { uses: noop.wasm, with: { data: data.csv }, foreach: "${{ parameters.one }}" }
  c: { uses: noop.wasm, with: { data: data.csv }, when: "${{ parameters.one }}" }
"#;
    let says = [
        "pipeline.yaml:2:43",
        "pipeline.yaml:4:39",
        "pipeline.yaml:5:",
        "pipeline.yaml:6:",
    ];
    refused(types, &says);
}

#[test]
fn bad_partitions_are_refused() {
    let every = "partition: { every: fortnight }\nsteps:\n  a: { uses: noop.wasm, with: { data: data.csv } }\n";
    refused(every, &["pipeline.yaml:1:", "fortnight"]);
    let monthly = every.replace("fortnight", "month");
    let project = project(&monthly);
    let cases: [(&[&str], &[&str]); 6] = [
        (&[], &["runs for a partition, and none is given"]),
        (&["--partition", "2013-13"], &["2013-13"]),
        (&["--partition", "2013-01-05"], &["2013-01-05"]),
        (
            &["--from", "2013-05", "--to", "2013-01"],
            &["2013-05", "2013-01"],
        ),
        (&["--from", "2013-05", "--to", "soon"], &["soon"]),
        (&["--from", "0001-01", "--to", "9999-12"], &["partitions"]),
    ];
    for (arguments, says) in cases {
        run(&project, arguments).exits(USAGE).says(says);
    }
    assert!(!project.path(".wharf").exists());
}

/// Told before the first step runs, all at once; a step that may be skipped may miss
/// what it needs.
#[test]
fn missing_inputs_are_told_before_anything_runs() {
    let pipeline = r#"
parameters: { table: { type: input, default: none.csv } }
steps:
  first: { uses: noop.wasm, with: { data: data.csv } }
  second: { uses: noop.wasm, with: { data: gone.csv }, needs: [first] }
  third: { uses: noop.wasm, with: { data: "${{ parameters.table }}" }, needs: [second] }
  each:
    foreach: [data.csv, lost.csv]
    uses: noop.wasm
    with: { data: "${{ item }}" }
  model: { uses: noop.wasm, with: { data: "${{ artifact('model:prod') }}" } }
  never: { uses: noop.wasm, with: { data: away.csv }, when: false }
"#;
    let project = project(pipeline);
    let ended = run(&project, &[]).exits(USAGE);
    assert!(!ended.stderr.contains("away.csv"), "{ended}");
    ended.says(&[
        "the input `gone.csv` does not exist (`data` of the step `second`)",
        "the input `none.csv` does not exist (`data` of the step `third`)",
        "the input `lost.csv` does not exist (`data` of the step `each`)",
        "`model`",
    ]);
    assert!(
        !project.path(".wharf/pipelines").exists(),
        "nothing has started"
    );
}

const ONE: &str = "steps:\n  a: { uses: noop.wasm, with: { data: data.csv } }\n";

/// The same command with its store at a service.
fn run_at(project: &Project, settings: &[(String, String)], arguments: &[&str]) -> Ended {
    project.wharf(arguments).envs(settings).run()
}

const AT_S3: [&str; 5] = ["pipeline", "run", "pipeline.yaml", "--store", "s3://none/x"];

#[test]
fn a_store_that_cannot_be_reached_is_named() {
    let project = project(ONE);
    // A port that was free a moment ago, and that nobody listens on.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap();
    drop(free);
    let ended = run_at(&project, &Service::S3.settings_at(nobody), &AT_S3);
    ended.exits(RETRYABLE).says(&["s3://none/x"]);
    let missing = run_at(&project, &Service::S3.settings(), &AT_S3);
    let says = ["s3://none/x", "create the bucket, or check its name"];
    missing.exits(FAILED).says(&says);
    let folder = run(&project, &["--store", "data.csv"]);
    folder.exits(USAGE).says(&["data.csv"]);
    let scheme = run(&project, &["--store", "ftp://host/x"]).exits(USAGE);
    scheme.says(&["ftp"]);
    assert_eq!(project.text("data.csv"), "a,b\n1,2\n");
}

/// A service that refuses every request, for a reason.
fn refusing(code: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 403 Forbidden\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else {
                return;
            };
            // The whole request fits into one read, or its rest does not matter.
            let _ = connection.read(&mut [0; 1 << 16]);
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn a_bucket_that_is_forbidden_is_no_reason_to_try_again() {
    let project = project(ONE);
    for (code, says) in [
        ("AccessDenied", "check the credentials"),
        ("RequestTimeTooSkewed", "the clock of this machine differs"),
    ] {
        let settings = Service::S3.settings_at(refusing(code));
        let ended = run_at(&project, &settings, &AT_S3);
        ended.exits(FAILED).says(&["s3://none/x", says]);
    }
}

#[test]
fn one_step_is_not_several() {
    let checked = |pipeline: &str| {
        let project = project(pipeline);
        let check = ["pipeline", "check", "pipeline.yaml"];
        project.wharf(check).run().exits(0).stdout
    };
    assert_eq!(checked(ONE), "pipeline.yaml: 1 step, no mistakes\n");
    let two = format!("{ONE}  b: {{ uses: noop.wasm, with: {{ data: data.csv }} }}\n");
    assert_eq!(checked(&two), "pipeline.yaml: 2 steps, no mistakes\n");
}
