//! `cargo xtask demo`: a first look at Wharf, on real data.
//!
//! Splits a table, trains a classifier and evaluates it, each as one command
//! that is shown, so that the reader can repeat it. Shows nothing that the
//! command does not offer to everybody.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::context::Context;
use crate::{cargo, guests, process};

/// The guests that the demonstration runs, and one to try next.
const GUESTS: [&str; 3] = ["split", "train", "evaluate"];
/// The table, in the repository and in the demonstration's folder.
const TABLE: [&str; 2] = ["guest-examples/data/breast-cancer.csv", "breast-cancer.csv"];

/// What is run, each with what it is for.
const STEPS: [(&str, &[&str]); 3] = [
    (
        "Every fourth row is put aside for the test:",
        &[
            "run",
            "../guests/split.wasm",
            "data=breast-cancer.csv",
            "train=train.csv",
            "test=test.csv",
            "every=4",
            "--force",
        ],
    ),
    (
        "A model is fitted to the other rows:",
        &[
            "run",
            "../guests/train.wasm",
            "data=train.csv",
            "model=model.json",
            "epochs=200",
            "--force",
        ],
    ),
    (
        "The model says what it thinks of the rows that it has not seen:",
        &[
            "run",
            "../guests/evaluate.wasm",
            "data=test.csv",
            "model=model.json",
        ],
    ),
];

/// Commands that show what else there is.
const NEXT: [(&str, &str); 5] = [
    (
        "wharf inspect ../guests/train.wasm",
        "what a step takes, gives and needs",
    ),
    (
        "wharf run ../guests/train.wasm data=train.csv model=m.json epochs=-1",
        "what a mistake looks like",
    ),
    ("wharf show last", "the record of the last run"),
    ("wharf runs", "all runs"),
    (
        "cargo xtask guests",
        "builds the other examples; train-python.wasm takes the place of train.wasm",
    ),
];

/// What `evaluate` returns.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Evaluation {
    accuracy: f64,
    confusion: Confusion,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Confusion {
    true_positive: u32,
    false_positive: u32,
    true_negative: u32,
    false_negative: u32,
}

/// Sets up and runs the demonstration.
pub(crate) fn run(context: &Context) -> Result<()> {
    guests::build_only(context, &GUESTS.map(str::to_owned))?;
    let wharf = cargo::release_wharf(context)?;
    let folder = prepare(context)?;
    introduce(&folder, &wharf);
    let mut printed = String::new();
    for (purpose, arguments) in STEPS {
        say(&format!("\n{purpose}\n$ wharf {}", arguments.join(" ")));
        printed = process::answer(
            Command::new(&wharf)
                .current_dir(&folder)
                // The demonstration has a store of its own.
                .env_remove("WHARF_STORE")
                .args(arguments),
        )?;
        say(printed.trim_end());
    }
    let evaluation = serde_json::from_str(&printed).context("in the results of evaluate")?;
    conclude(&folder, &evaluation);
    Ok(())
}

/// Makes the folder that the demonstration runs in.
fn prepare(context: &Context) -> Result<PathBuf> {
    let folder = context.target().join("demo");
    // A store here, so that runs are not recorded in one further up.
    fs::create_dir_all(folder.join(".wharf"))?;
    let [from, to] = TABLE;
    fs::copy(context.source(from), folder.join(to))?;
    Ok(folder)
}

fn introduce(folder: &Path, wharf: &Path) {
    let programs = wharf.parent().unwrap_or(wharf);
    say(&format!(
        "\nEverything below can be repeated by hand:\n$ cd {}\n$ export PATH=\"{}:$PATH\"",
        shown(folder),
        programs.display()
    ));
}

fn conclude(folder: &Path, evaluation: &Evaluation) {
    say(&format!("\n{}", summary(evaluation)));
    say(&format!(
        "The model is {}, the records of the runs are in {}.",
        shown(&folder.join("model.json")),
        shown(&folder.join(".wharf"))
    ));
    say("\nTry next, in the same folder:");
    for (command, purpose) in NEXT {
        say(&format!("  $ {command}\n      {purpose}"));
    }
}

/// The accuracy and the confusion matrix. In this table 1 is benign.
fn summary(evaluation: &Evaluation) -> String {
    let Confusion {
        true_positive,
        false_positive,
        true_negative,
        false_negative,
    } = evaluation.confusion;
    let right = true_positive + true_negative;
    let rows = right + false_positive + false_negative;
    format!(
        "Accuracy: {:.1}% ({right} of {rows} tumours told right)\n\n\
         {:22}{:>12}{:>12}\n\
         {:22}{true_positive:>12}{false_negative:>12}\n\
         {:22}{false_positive:>12}{true_negative:>12}\n",
        evaluation.accuracy * 100.0,
        "",
        "told benign",
        "malignant",
        "  is benign",
        "  is malignant",
    )
}

/// A path as somebody in the current folder would write it.
fn shown(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(&here)
        .unwrap_or(path)
        .display()
        .to_string()
}

#[expect(clippy::print_stdout, reason = "the demonstration is what is printed")]
fn say(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_evaluate_are_understood() {
        let results = r#"{"accuracy": 0.75, "loss": 0.1, "confusion": {"true-positive": 1,
            "false-positive": 0, "true-negative": 2, "false-negative": 1}}"#;
        let evaluation: Evaluation = serde_json::from_str(results).unwrap();
        let summary = summary(&evaluation);
        assert!(summary.contains("75.0% (3 of 4"), "{summary}");
    }

    #[test]
    fn commands_name_guests_that_are_built() {
        for (_, arguments) in STEPS {
            let guest = arguments[1].trim_start_matches("../guests/");
            assert!(GUESTS.contains(&guest.trim_end_matches(".wasm")), "{guest}");
        }
    }
}
