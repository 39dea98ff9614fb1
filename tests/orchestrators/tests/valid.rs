//! What is compiled is what each system takes, as its own checker says: the examples of the
//! documentation, and all that the compiler's own tests keep.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use wharf_orchestrators::inventory::source_folder;
use wharf_orchestrators::process::Process;
use wharf_orchestrators::{Example, Installed, Inventory, Project};

/// The examples of the documentation.
const EXAMPLES: [Example; 4] = [
    Example::Promote,
    Example::Flights,
    Example::FlightsYear,
    Example::Year,
];

/// Targets whose tasks are containers, whatever the stack says: the examples have none.
const CONTAINERS: [&str; 4] = ["argo", "kfp", "kubernetes", "tekton"];

/// All that was compiled for a target, each in a folder of its own.
struct Made {
    root: TempDir,
    folders: Vec<PathBuf>,
}

impl Made {
    fn of(target: &str) -> Result<Self> {
        let root = tempfile::tempdir()?;
        let mut folders = Vec::new();
        let kept = source_folder().join("host/targets/golden").join(target);
        for entry in fs::read_dir(&kept).with_context(|| format!("{}", kept.display()))? {
            let entry = entry?;
            let to = root.path().join(entry.file_name());
            copy(&entry.path(), &to)?;
            // What cannot be expressed was refused.
            if !to.join("refused.txt").is_file() {
                folders.push(to);
            }
        }
        for example in EXAMPLES {
            let project = Project::new(example)?;
            match (project.compile(target), CONTAINERS.contains(&target)) {
                (Ok(made), false) => {
                    let to = root.path().join(format!("example-{}", example.name()));
                    copy(&made, &to)?;
                    folders.push(to);
                }
                (Err(error), true) => {
                    let reason = format!("{error:#}");
                    ensure!(reason.contains("image"), "{target}: {reason}");
                }
                (Ok(_), true) => bail!("{target} needs no image for {}", example.file()),
                (Err(error), false) => return Err(error.context(example.file())),
            }
        }
        folders.sort();
        Ok(Self { root, folders })
    }

    /// The files with an ending.
    fn files(&self, ending: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for folder in &self.folders {
            let before = found.len();
            find(folder, ending, &mut found)?;
            let what = folder.display();
            ensure!(found.len() > before, "there is no {ending} in {what}");
        }
        found.sort();
        Ok(found)
    }

    /// Runs a checker, which must be content.
    fn check<'a>(
        &self,
        installed: &Installed,
        program: &str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Result<String> {
        self.check_in(self.root.path(), installed, program, arguments)
    }

    /// The same in a folder.
    fn check_in<'a>(
        &self,
        folder: &Path,
        installed: &Installed,
        program: &str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Result<String> {
        let home = self.root.path().display().to_string();
        let homes = [
            "HOME",
            "XDG_CACHE_HOME",
            "AIRFLOW_HOME",
            "DAGSTER_HOME",
            "METAFLOW_HOME",
            "PREFECT_HOME",
            "ZENML_CONFIG_PATH",
        ];
        Process::new(installed.program(program)?, folder)
            .envs(&installed.environment)
            .envs(homes.map(|name| (name, home.as_str())))
            .envs([("PATH", installed.path().as_str()), ("USERNAME", "wharf")])
            .args(arguments)
            .succeed()
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}

fn find(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, ending, found)?;
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    Ok(())
}

/// A system, if this machine has it; else the reason is told.
#[expect(clippy::print_stdout, reason = "a test that is left out is told")]
fn installed(name: &str) -> Result<Option<Installed>> {
    match Inventory::read()?.system(name) {
        Ok(installed) => Ok(Some(installed)),
        Err(reason) => {
            println!("SKIPPED {name}: {reason}");
            Ok(None)
        }
    }
}

fn shown(files: &[PathBuf]) -> Vec<String> {
    files
        .iter()
        .map(|file| file.display().to_string())
        .collect()
}

/// Arguments, and then files.
fn and<'a>(arguments: &[&'a str], files: &'a [String]) -> Vec<&'a str> {
    let files = files.iter().map(String::as_str);
    arguments.iter().copied().chain(files).collect()
}

#[test]
fn python_is_python() -> Result<()> {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("SKIPPED Python: there is no python3");
        return Ok(());
    }
    for target in ["airflow", "dagster", "kfp", "metaflow", "prefect", "zenml"] {
        let made = Made::of(target)?;
        let files = shown(&made.files(".py")?);
        Process::new("python3", made.root.path())
            .args(and(&["-W", "error", "-m", "py_compile"], &files))
            .succeed()?;
    }
    Ok(())
}

#[test]
fn airflow_imports_dags() -> Result<()> {
    /// Prints the DAGs of each folder, and fails where one cannot be imported.
    const IMPORT: &str = "\
import sys
from airflow.dag_processing.dagbag import DagBag
for folder in sys.argv[1:]:
    bag = DagBag(folder)
    print(folder, bag.dag_ids)
    if bag.import_errors or not bag.dags:
        sys.exit(f'{folder}: {bag.import_errors}')
";
    let Some(airflow) = installed("airflow")? else {
        return Ok(());
    };
    let made = Made::of("airflow")?;
    let mut folders = Vec::new();
    for file in made.files(".py")? {
        // What pods need is a package of its own, which is not installed.
        if !fs::read_to_string(&file)?.contains("KubernetesPodOperator") {
            folders.extend(file.parent().map(|folder| folder.display().to_string()));
        }
    }
    ensure!(folders.len() > EXAMPLES.len(), "{folders:?}");
    made.check(&airflow, "airflow", ["db", "migrate"])?;
    made.check(&airflow, "python", and(&["-c", IMPORT], &folders))?;
    Ok(())
}

#[test]
fn dagster_finds_definitions() -> Result<()> {
    let Some(dagster) = installed("dagster")? else {
        return Ok(());
    };
    let made = Made::of("dagster")?;
    for file in shown(&made.files(".py")?) {
        made.check(
            &dagster,
            "dagster",
            ["definitions", "validate", "-f", &file],
        )?;
    }
    Ok(())
}

#[test]
fn kubeflow_compiles_pipelines() -> Result<()> {
    let Some(kfp) = installed("kfp")? else {
        return Ok(());
    };
    let made = Made::of("kfp")?;
    for file in shown(&made.files(".py")?) {
        let output = format!("{file}.yaml");
        let compile = ["dsl", "compile", "--function", "pipeline", "--py", &file];
        made.check(
            &kfp,
            "kfp",
            compile.into_iter().chain(["--output", &output]),
        )?;
        ensure!(Path::new(&output).is_file(), "{output} was not made");
    }
    Ok(())
}

#[test]
fn metaflow_lints_flows() -> Result<()> {
    let Some(metaflow) = installed("metaflow")? else {
        return Ok(());
    };
    let made = Made::of("metaflow")?;
    for file in shown(&made.files(".py")?) {
        made.check(&metaflow, "python", [&file, "--no-pylint", "check"])?;
    }
    Ok(())
}

/// Neither has a checker: what they refuse, they refuse when a file is imported.
#[test]
fn prefect_and_zenml_import_files() -> Result<()> {
    const IMPORT: &str = "import runpy, sys; [runpy.run_path(file) for file in sys.argv[1:]]";
    for name in ["prefect", "zenml"] {
        let Some(system) = installed(name)? else {
            continue;
        };
        let made = Made::of(name)?;
        let files = shown(&made.files(".py")?);
        made.check(&system, "python", and(&["-c", IMPORT], &files))?;
    }
    Ok(())
}

#[test]
fn github_takes_workflows() -> Result<()> {
    let made = Made::of("github-actions")?;
    let files = shown(&made.files(".yaml")?);
    if let Some(checkers) = installed("checkers")? {
        let schema = ["--builtin-schema", "vendor.github-workflows"];
        made.check(&checkers, "check-jsonschema", and(&schema, &files))?;
    }
    if let Some(github) = installed("github-actions")? {
        // The label of one's own machines is the only thing that it cannot know.
        let labels = made.root.path().join("actionlint.yaml");
        fs::write(&labels, "self-hosted-runner: { labels: [wharf] }\n")?;
        let labels = labels.display().to_string();
        made.check(
            &github,
            "actionlint",
            and(&["-config-file", &labels], &files),
        )?;
    }
    Ok(())
}

#[test]
fn kubernetes_takes_objects() -> Result<()> {
    /// As the command does it, which cannot name what has a `generateName`.
    const VALIDATE: &str = "\
import sys, yaml, kubernetes_validate
for path in sys.argv[1:]:
    for thing in yaml.safe_load_all(open(path)):
        kubernetes_validate.validate(thing, '1.37', strict=True)
";
    let Some(checkers) = installed("checkers")? else {
        return Ok(());
    };
    let made = Made::of("kubernetes")?;
    let files = shown(&made.files(".yaml")?);
    made.check(&checkers, "python", and(&["-c", VALIDATE], &files))?;
    Ok(())
}

#[test]
fn argo_lints_workflows() -> Result<()> {
    let Some(argo) = installed("argo")? else {
        return Ok(());
    };
    let made = Made::of("argo")?;
    for file in shown(&made.files(".yaml")?) {
        let said = made.check(&argo, "argo-lint", [file.as_str()])?;
        ensure!(said.contains("no linting errors found"), "{file}: {said}");
    }
    Ok(())
}

#[test]
fn tekton_lints_pipelines() -> Result<()> {
    let Some(tekton) = installed("tekton")? else {
        return Ok(());
    };
    let made = Made::of("tekton")?;
    for folder in &made.folders {
        let mut files = Vec::new();
        find(folder, ".yaml", &mut files)?;
        let files = shown(&files);
        // A run names the pipeline that is in the file beside it.
        let said = made.check(&tekton, "tekton-lint", and(&[], &files))?;
        // It succeeds with warnings.
        ensure!(said.trim().is_empty(), "{said}");
    }
    Ok(())
}

#[test]
fn cwltool_takes_documents() -> Result<()> {
    let Some(cwltool) = installed("cwltool")? else {
        return Ok(());
    };
    let made = Made::of("cwl")?;
    for file in shown(&made.files(".cwl")?) {
        made.check(&cwltool, "cwltool", ["--validate", &file])?;
    }
    Ok(())
}

/// A run that does nothing says all that is wrong; to lint them would ask for an environment
/// of conda for each rule.
#[test]
fn snakemake_plans_workflows() -> Result<()> {
    let Some(snakemake) = installed("snakemake")? else {
        return Ok(());
    };
    let made = Made::of("snakemake")?;
    for folder in &made.folders {
        let config = fs::read_to_string(folder.join("config/config.yaml"))?;
        // What has no default, or nothing as its default.
        let names = config
            .lines()
            .filter_map(|line| line.strip_suffix(": null"));
        let given = names.map(|name| match name {
            "partition" if is_of_months(folder) => "partition=2013-01".to_owned(),
            "partition" => "partition=north".to_owned(),
            "months" => "months=['artifact:a']".to_owned(),
            _ => format!("{name}=artifact:a"),
        });
        let mut given: Vec<String> = given.collect();
        if !given.is_empty() {
            given.insert(0, "--config".to_owned());
        }
        let arguments = and(&["--dry-run", "--cores", "1"], &given);
        let said = made.check_in(folder, &snakemake, "snakemake", arguments)?;
        ensure!(said.contains("This was a dry-run"), "{said}");
    }
    Ok(())
}

/// Whether the partitions of a pipeline are months: else they are parts of the world.
fn is_of_months(folder: &Path) -> bool {
    folder.to_string_lossy().contains("flights")
}
