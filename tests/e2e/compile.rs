//! `wharf pipeline compile`, `targets` and `diff`.

use std::fs;

use serde_json::{Value as Json, json};

use crate::harness::{Project, Refusal, example_table, source_folder};

/// A pipeline that is small, and has a stack.
fn project(stack: &str) -> Project {
    let file = source_folder().join("docs/examples/promote.yaml");
    let text = fs::read_to_string(file).expect("the example is there");
    let project = Project::with(&[("pipeline.yaml", &text)]);
    if !stack.is_empty() {
        project.write("stack.toml", stack);
    }
    let project = project.with_guests("steps", &["split", "train", "compare"]);
    let table = project.path("breast-cancer.csv");
    fs::copy(example_table(), table).expect("the table is there");
    project
}

const TARGETS: [&str; 12] = [
    "airflow",
    "kfp",
    "argo",
    "kubernetes",
    "dagster",
    "prefect",
    "metaflow",
    "snakemake",
    "cwl",
    "github-actions",
    "tekton",
    "zenml",
];

fn compile<'a>(target: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [
        &[
            "pipeline",
            "compile",
            "pipeline.yaml",
            "--target",
            target,
            "-o",
            "out",
        ],
        rest,
    ]
    .concat()
}

#[test]
fn the_same_pipeline_gives_the_same_files() {
    let project = project("");
    let digests: Vec<Json> = (0..2)
        .map(|_| {
            let made = project
                .wharf(compile("airflow", &["--json"]))
                .run()
                .exits(0)
                .json();
            assert_eq!(made["files"], json!(["out/promote.py"]));
            assert_eq!(made["fixed"], json!([]));
            let text = project.text("out/promote.py");
            assert!(text.contains(made["pipeline"].as_str().expect("a digest")));
            json!([made["pipeline"], text])
        })
        .collect();
    assert_eq!(digests[0], digests[1]);
    let printed = project.wharf(compile("airflow", &[])).args(&["-o", "-"]);
    // Given twice, an option is refused.
    printed.run().exits(2);
    let arguments = [
        "pipeline",
        "compile",
        "pipeline.yaml",
        "--target",
        "airflow",
        "-o",
        "-",
    ];
    let printed = project.wharf(arguments).run().exits(0).stdout;
    assert_eq!(printed, project.text("out/promote.py"));
    // Another pipeline is another lock.
    let other = project
        .wharf(compile("airflow", &["epochs=9", "--json"]))
        .run()
        .exits(0);
    assert_ne!(other.json()["pipeline"], digests[0][0]);
    assert!(!project.text("out/promote.py").contains("\"epochs\""));
}

#[test]
fn what_somebody_else_wrote_is_not_replaced() {
    let project = project("");
    project.write("out/promote.py", "print('mine')\n");
    let refused = project.wharf(compile("airflow", &[])).run().exits(2);
    refused.says(&[
        "`out/promote.py` is there, and was not made by this",
        "--force",
    ]);
    assert_eq!(project.text("out/promote.py"), "print('mine')\n");
    project
        .wharf(compile("airflow", &["--force"]))
        .run()
        .exits(0);
    assert!(project.text("out/promote.py").contains("BashOperator"));
}

/// Before anything is written, to the store or elsewhere.
#[test]
fn what_a_target_does_not_have_is_refused_by_key() {
    let project = project("default = \"local\"\n[stacks.local]\nstore = \".wharf\"\n");
    let stack = ["--stack", "local"];
    project.refuses(
        &compile("argo", &stack),
        &Refusal {
            code: 2,
            kind: "pipeline",
            says: &[
                "argo: `stacks.local.image`: its tasks are containers, and no image is given",
                "add `image = ",
                "argo: `stacks.local.store`: the store `",
                "is a folder, which a pod cannot reach",
            ],
        },
    );
    let unknown = project.wharf(compile("airflw", &[])).run().exits(2);
    unknown.says(&["there is no target `airflw`; did you mean `airflow`?"]);
    project.write("broken.yaml", "steps:\n  a:\n    uses: steps/splitt.wasm\n");
    let arguments = [
        "pipeline",
        "compile",
        "broken.yaml",
        "--target",
        "airflow",
        "-o",
        "out",
    ];
    project
        .wharf(arguments)
        .run()
        .exits(2)
        .says(&["splitt.wasm"]);
    fs::remove_file(project.path("breast-cancer.csv")).expect("it is there");
    let missing = project.wharf(compile("airflow", &[])).run().exits(2);
    missing.says(&["`breast-cancer.csv` does not exist", "the parameter `data`"]);
    assert!(!project.path("out").exists());
    let file = project
        .wharf(compile("airflow", &["data=stack.toml"]))
        .run()
        .exits(2);
    file.says(&[
        "the parameter `data` is a file of this machine",
        "wharf artifact put",
    ]);
}

/// A file of each month is of no use to a lock, which has what there is now.
#[test]
fn files_of_partitions_are_refused() {
    let project = Project::with(&[(
        "pipeline.yaml",
        "partition: { every: month }\nsteps:\n  copy:\n    uses: steps/copy.wasm\n    \
         with: { data: \"flights-${{ partition }}.csv\" }\n",
    )]);
    let project = project.with_guests("steps", &["copy"]);
    let refused = project.wharf(compile("airflow", &[])).run().exits(2);
    refused.says(&["`data` of the step `copy` is a file of each partition"]);
}

#[test]
fn every_target_makes_something_of_a_stack_that_has_all() {
    let stack = "[stacks.prod]\nstore = \"s3://wharf-no-such-bucket/x\"\n\
                 image = \"registry.example.com/wharf:0.1.0\"\n\
                 settings = { AWS_REGION = \"eu-central-1\" }\n";
    let project = project(stack);
    for target in TARGETS {
        let from = ["--from", "airflow", "--to", target];
        let diff = [
            &["pipeline", "diff", "pipeline.yaml", "--stack", "prod"],
            &from[..],
        ]
        .concat();
        let diff = project.wharf(diff).args(&["--json"]).run().exits(0).json();
        assert_eq!(diff["refused"], json!([]), "{target}");
        assert_eq!(
            diff["changes"] == json!([]),
            target == "airflow",
            "{target}"
        );
    }
    let diff = [
        "pipeline",
        "diff",
        "pipeline.yaml",
        "--stack",
        "prod",
        "--from",
        "airflow",
        "--to",
    ];
    let shown = project.wharf(diff).args(&["argo"]).run().exits(0);
    assert!(shown.stdout.contains("steps.promote.when"), "{shown}");
    assert!(
        shown.stdout.ends_with("Argo Workflows takes all of it\n"),
        "{shown}"
    );
}

#[test]
fn targets_are_listed_with_what_they_express() {
    let project = Project::new();
    let all = project
        .wharf(["pipeline", "targets", "--json"])
        .run()
        .exits(0)
        .json();
    let mut names: Vec<&String> = all.as_object().expect("an object").keys().collect();
    names.sort();
    let mut wanted = TARGETS;
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    let shown = project.wharf(["pipeline", "targets"]).run().exits(0).stdout;
    assert!(
        shown.lines().all(|line| line.chars().count() <= 100),
        "{shown}"
    );
    let one = project
        .wharf(["pipeline", "targets", "airflow"])
        .run()
        .exits(0)
        .stdout;
    assert!(one.contains("native  dynamic task mapping"), "{one}");
}
