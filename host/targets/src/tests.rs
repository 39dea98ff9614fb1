//! What targets make of some pipelines, kept beside the code (`golden`); `WHARF_BLESS=1`
//! writes it anew. That it is what each system takes is seen by their own checkers, in
//! the tests of the whole (`tests/e2e`).

mod examples;
mod pods;
mod refusals;
mod scripts;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Refusal, Target, Workflow, compile};
use examples::{Example, examples};

fn golden(target: Target, example: &Example) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    folder.join(target.name()).join(example.name)
}

/// What is made of an example, as text to compare: a file with what is refused where it is.
fn made(target: Target, example: &Example) -> BTreeMap<String, String> {
    let made = example.workflow(target).and_then(|workflow| {
        let made = compile(target, &workflow);
        assert_eq!(
            made,
            compile(target, &workflow),
            "{target}: it differs each time"
        );
        made
    });
    match made {
        Ok(files) => files
            .into_iter()
            .map(|file| (file.path, file.text))
            .collect(),
        Err(refusals) => {
            let lines = refusals.iter().map(|refusal| match &refusal.hint {
                Some(hint) => format!("{refusal}\n  hint: {hint}\n"),
                None => format!("{refusal}\n"),
            });
            [("refused.txt".to_owned(), lines.collect())].into()
        }
    }
}

#[test]
fn targets_make_what_is_kept() {
    let bless = std::env::var_os("WHARF_BLESS").is_some();
    let mut wrong = Vec::new();
    for target in Target::ALL {
        for example in examples() {
            let folder = golden(target, &example);
            let made = made(target, &example);
            if bless {
                let _ = fs::remove_dir_all(&folder);
                fs::create_dir_all(&folder).unwrap();
                for (name, text) in &made {
                    let path = folder.join(name);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, text).unwrap();
                }
            }
            let kept = kept(&folder, &folder);
            if kept != made {
                wrong.push(format!("{}", folder.display()));
            }
        }
    }
    let hint = "look at the difference; WHARF_BLESS=1 keeps what is made now";
    assert!(wrong.is_empty(), "not what is kept ({hint}): {wrong:#?}");
}

/// All files in a folder, by path.
fn kept(folder: &Path, root: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(kept(&path, root));
        } else {
            let name = path.strip_prefix(root).unwrap();
            files.insert(
                name.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            );
        }
    }
    files
}

/// The refusals of a workflow.
fn refused(target: Target, workflow: Result<Workflow, Vec<Refusal>>) -> Vec<Refusal> {
    workflow
        .and_then(|workflow| compile(target, &workflow))
        .err()
        .unwrap_or_default()
}

#[test]
fn an_unknown_target_is_told_with_the_nearest() {
    let error = "airflw".parse::<Target>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no target `airflw`; did you mean `airflow`?"
    );
    for target in Target::ALL {
        assert_eq!(target.name().parse(), Ok(target));
    }
}
