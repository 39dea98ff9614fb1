//! What the README promises of the examples: the models are as good as those of
//! a library that people trust.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Project, guest, source_folder, target_folder};
use crate::typed::{evaluate, fit, split_table};

/// One point of accuracy.
const ONE_POINT: f64 = 0.01;

/// Fits scikit-learn's model to standardised features, and prints the share of
/// the rows in the second table that it gets right.
const SCIKIT_LEARN: &str = r#"
import csv, sys
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

def read(path):
    rows = [[float(cell) for cell in row] for row in list(csv.reader(open(path)))[1:]]
    return [row[:-1] for row in rows], [row[-1] for row in rows]

model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=10000))
model.fit(*read(sys.argv[1]))
print(model.score(*read(sys.argv[2])))
"#;

fn python() -> PathBuf {
    let python = std::env::var_os("WHARF_TEST_PYTHON").map(PathBuf::from);
    let python = python.unwrap_or_else(|| target_folder().join("venvs/test/bin/python"));
    assert!(
        python.is_file(),
        "{} is missing; set it up first: cargo xtask venv test \
         (or name a Python with scikit-learn in WHARF_TEST_PYTHON)",
        python.display()
    );
    python
}

fn accuracy_of_scikit_learn(project: &Project) -> f64 {
    let output = Command::new(python())
        .args(["-c", SCIKIT_LEARN, "train.csv", "test.csv"])
        .current_dir(project.folder())
        .output()
        .expect("Python starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scikit-learn failed: {said}");
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.trim().parse().expect("it prints a number")
}

#[test]
fn models_are_as_accurate_as_those_of_scikit_learn() {
    let project = split_table();
    let wanted = accuracy_of_scikit_learn(&project);
    assert!(wanted > 0.9, "{wanted}");
    for step in ["train", "train-python"] {
        fit(&project, step, step);
        let reached = evaluate(&project, step)["accuracy"].as_f64().unwrap();
        assert!(
            reached >= wanted - ONE_POINT,
            "{step} reaches {reached}, scikit-learn {wanted}"
        );
    }
}

/// What a newcomer copies is what is built and run here.
#[test]
fn the_first_step_of_the_readme_works() {
    let source = |path: &str| {
        let path = source_folder().join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let readme = source("README.md");
    let world = source("guest-examples/lines/wit/world.wit");
    // The examples share one copy of the contract; a step of one's own has its own.
    let code = source("guest-examples/lines/src/lib.rs");
    let code = code.replace(r#"path: ["../../wit", "wit"]"#, r#"path: "wit""#);
    assert!(readme.contains(&format!("```wit\n{world}```")), "{world}");
    assert!(readme.contains(&format!("```rust\n{code}```")), "{code}");

    let project = Project::with(&[("README.md", &readme)]);
    let arguments = ["text=README.md", "kept=kept.txt", "word=wharf"];
    let count = project.step(&guest("lines"), &arguments).results();
    let kept: Vec<&str> = readme
        .lines()
        .filter(|line| line.contains("wharf"))
        .collect();
    assert_eq!(count, kept.len());
    assert_eq!(project.text("kept.txt"), kept.join("\n") + "\n");
}
