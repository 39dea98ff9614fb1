//! `wharf pipeline compile`, `targets` and `diff`: pipelines in the language of an
//! orchestrator.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use wharf_model::limits::Bytes;
use wharf_model::pipeline::Value;
use wharf_model::plan::{BadRequest, Problem};
use wharf_model::{Digest, ErrorKind, Fault};
use wharf_runner::pipeline::{Handle, Loaded, item_counts};
use wharf_targets::diff::{Change, changes, refused};
use wharf_targets::{
    Deployment, Feature, File, Kubernetes, Refusal, Schedule, Source, Target, Workflow,
};

use super::lock::{Checking, check, keep};
use crate::args::pipeline::{Compile, Diff, Targets};
use crate::ending::Ending;
use crate::report::table::Table;
use crate::report::{err, inert, out, plain};
use crate::stack::{self, Chosen};

/// How a file says that it was made here, and may be made anew.
const MADE: &str = "Made by `wharf pipeline compile ";

/// Targets beside each other in a table, so that it fits a terminal.
const BESIDE: usize = 6;

pub(super) fn compile(args: &Compile) -> Result<Ending, Ending> {
    let chosen = stack::choose(&args.file, &args.on)?;
    let checking = check(&args.file, &args.bindings, &args.on, &chosen)?;
    let deployment = deployment(&chosen);
    let draft = workflow(args.target, &checking, Digest::of(b""), deployment);
    let mut workflow = draft.map_err(refusal)?;
    // All that is refused, before anything is written anywhere.
    wharf_targets::compile(args.target, &workflow).map_err(refusal)?;
    workflow.pipeline = keep(&checking, &chosen)?;
    let files = wharf_targets::compile(args.target, &workflow).map_err(refusal)?;
    if args.output.as_os_str() == "-" {
        files.iter().try_for_each(|file| out(&file.text))?;
        return Ok(Ending::Done);
    }
    write(&args.output, &files, args.force)?;
    tell(args, &checking, &workflow, &files)?;
    Ok(Ending::Done)
}

fn tell(
    args: &Compile,
    checking: &Checking,
    workflow: &Workflow,
    files: &[File],
) -> Result<(), Fault> {
    let paths: Vec<PathBuf> = files
        .iter()
        .map(|file| args.output.join(&file.path))
        .collect();
    let declared = checking.loaded.checked.parameters.iter().map(|it| &it.name);
    let open: BTreeSet<&String> = workflow.parameters.iter().map(|it| &it.name).collect();
    let given: BTreeSet<&String> = checking.given.keys().collect();
    // Those that the target made fixed, which nobody has asked for.
    let fixed: Vec<&String> = declared
        .filter(|name| !open.contains(name) && !given.contains(name))
        .collect();
    if args.json {
        let json = json!({
            "target": args.target.name(),
            "pipeline": workflow.pipeline,
            "store": workflow.deployment.store,
            "files": paths,
            "fixed": fixed,
        });
        return out(&inert(format!("{json}\n")));
    }
    for path in &paths {
        err(&format!("{}", path.display()));
    }
    for name in fixed {
        err(&plain(&format!(
            "the parameter `{name}` is fixed to its default: {} makes tasks of its items now, not \
             when it runs",
            args.target.title()
        )));
    }
    let store = &workflow.deployment.store;
    err(&plain(&format!(
        "the pipeline is {} in {store}",
        workflow.pipeline
    )));
    err(&format!(
        "  next  docs/orchestrators/{}.md says how to run it",
        args.target
    ));
    Ok(())
}

/// What orchestrators are told of a stack.
fn deployment(chosen: &Chosen) -> Deployment {
    let stack = chosen.stack.clone().unwrap_or_default();
    let kubernetes = stack.tasks.kubernetes;
    let timezone = stack.tasks.timezone.unwrap_or_else(|| "UTC".to_owned());
    Deployment {
        stack: chosen.name.clone().unwrap_or_default(),
        store: chosen.place.clone(),
        image: stack.tasks.image,
        command: stack.tasks.command.unwrap_or_else(|| "wharf".to_owned()),
        environment: stack.settings,
        secrets: stack.secrets,
        schedule: stack.tasks.schedule.map(|cron| Schedule { cron, timezone }),
        parallelism: stack.parallelism,
        kubernetes: Kubernetes {
            namespace: kubernetes.namespace,
            service_account: kubernetes.service_account,
            secret: kubernetes.secret,
            cpu: kubernetes.cpu,
            node_selector: kubernetes.node_selector,
        },
    }
}

fn workflow(
    target: Target,
    checking: &Checking,
    lock: Digest,
    deployment: Deployment,
) -> Result<Workflow, Vec<Refusal>> {
    let loaded: &Loaded = &checking.loaded;
    let limits = &checking.limits;
    let memory = loaded.checked.steps.iter().map(|step| {
        let memory: Bytes = step.limits.over(limits).memory;
        (step.name.clone(), memory)
    });
    let given: &BTreeMap<String, Value<Handle>> = &checking.given;
    let file = loaded.file.file_name();
    let source = Source {
        checked: &loaded.checked,
        name: &checking.name,
        file: &file.map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        lock,
        fixed: &given.keys().cloned().collect(),
        counts: &item_counts(loaded, given),
        memory: &memory.collect(),
    };
    Workflow::of(target, &source, deployment)
}

fn refusal(refusals: Vec<Refusal>) -> Ending {
    let problem = |refusal: Refusal| Problem {
        kind: ErrorKind::Pipeline,
        message: refusal.to_string(),
        hint: refusal.hint,
    };
    let problems = refusals.into_iter().map(problem).collect();
    Ending::BadRequest(BadRequest { problems })
}

/// Writes all files, or none: what somebody else has written is not replaced.
fn write(folder: &Path, files: &[File], force: bool) -> Result<(), Fault> {
    let foreign = |path: &Path, text: &str| match fs::read_to_string(path) {
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        Ok(there) => there != text && !there.contains(MADE),
    };
    for file in files {
        let path = folder.join(&file.path);
        if !force && foreign(&path, &file.text) {
            let message = format!("`{}` is there, and was not made by this", path.display());
            return Err(Fault::new(ErrorKind::Output, message)
                .hint("name another folder, or replace it with --force"));
        }
    }
    for file in files {
        let path = folder.join(&file.path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|error| Fault::io("create", parent, &error))?;
        fs::write(&path, &file.text).map_err(|error| Fault::io("write", &path, &error))?;
    }
    Ok(())
}

pub(super) fn targets(args: &Targets) -> Result<Ending, Ending> {
    let chosen = match args.target {
        Some(one) => vec![one],
        None => Target::ALL.to_vec(),
    };
    if args.json {
        let targets = chosen.iter().map(|target| {
            let features = Feature::ALL.into_iter().map(|feature| {
                let support = target.support(feature);
                let how = json!({"level": support.level.word(), "how": support.how});
                (feature.name().to_owned(), how)
            });
            let features: serde_json::Map<String, Json> = features.collect();
            (
                target.name().to_owned(),
                json!({"title": target.title(), "expresses": features}),
            )
        });
        let targets: serde_json::Map<String, Json> = targets.collect();
        out(&format!("{}\n", Json::Object(targets)))?;
        return Ok(Ending::Done);
    }
    out(&match args.target {
        Some(target) => one_target(target),
        None => all_targets(),
    })?;
    Ok(Ending::Done)
}

/// How one target expresses each thing.
fn one_target(target: Target) -> String {
    let mut table = Table::new(["WHAT", "BY", "HOW"]);
    for feature in Feature::ALL {
        let support = target.support(feature);
        let cells = [feature.name(), support.level.word(), support.how];
        table.row(cells.map(str::to_owned));
    }
    format!("{}\n\n{table}", target.title())
}

/// Who sees to each thing, in each target.
fn all_targets() -> String {
    let mut text = String::new();
    for targets in Target::ALL.chunks(BESIDE) {
        let cell = |column: usize, first: &str, of: &dyn Fn(Target) -> &'static str| match column {
            0 => first.to_owned(),
            column => targets
                .get(column - 1)
                .map_or("", |target| of(*target))
                .to_owned(),
        };
        let header: [String; BESIDE + 1] =
            std::array::from_fn(|column| cell(column, "WHAT", &|target| target.name()));
        let mut table = Table::new(header.each_ref().map(String::as_str));
        for feature in Feature::ALL {
            let level = |target: Target| target.support(feature).level.word();
            table.row(std::array::from_fn(|column| {
                cell(column, feature.name(), &level)
            }));
        }
        text += &format!("{table}\n");
    }
    text + "native: by means of its own; host: by Wharf, in the task; no: refused\n\
            `wharf pipeline targets TARGET` says how\n"
}

pub(super) fn diff(args: &Diff) -> Result<Ending, Ending> {
    let chosen = stack::choose(&args.file, &args.on)?;
    let checking = check(&args.file, &args.bindings, &args.on, &chosen)?;
    let made = |target| workflow(target, &checking, Digest::of(b""), deployment(&chosen));
    let from = made(args.from).map_err(refusal)?;
    let changes = changes(args.from, args.to, &from);
    let refusals = match made(args.to) {
        Ok(workflow) => refused(args.to, &workflow),
        Err(refusals) => refusals,
    };
    match args.json {
        true => out(&inert(format!("{}\n", as_json(&changes, &refusals))))?,
        false => out(&shown(args, &changes, &refusals))?,
    }
    Ok(Ending::Done)
}

fn as_json(changes: &[Change], refusals: &[Refusal]) -> Json {
    let support = |support: wharf_targets::Support| json!({"level": support.level.word(), "how": support.how});
    let changes: Vec<Json> = changes
        .iter()
        .map(|change| {
            json!({
                "what": change.feature.name(),
                "keys": change.keys,
                "from": support(change.from),
                "to": support(change.to),
            })
        })
        .collect();
    let refusals: Vec<Json> = refusals
        .iter()
        .map(|refusal| json!({"key": refusal.key, "why": refusal.why, "hint": refusal.hint}))
        .collect();
    json!({"changes": changes, "refused": refusals})
}

fn shown(args: &Diff, changes: &[Change], refusals: &[Refusal]) -> String {
    let mut text = String::new();
    for change in changes {
        text += &format!("{}  {}\n", change.feature, plain(&change.keys.join(", ")));
        for (target, support) in [(args.from, change.from), (args.to, change.to)] {
            let name = target.name();
            text += &format!(
                "  {name:<14}  {:<6}  {}\n",
                support.level.word(),
                support.how
            );
        }
    }
    if changes.is_empty() {
        text += "nothing changes in what the pipeline uses\n";
    }
    for refusal in refusals {
        text += &format!("refused  {}\n", plain(&refusal.to_string()));
        if let Some(hint) = &refusal.hint {
            text += &format!("  hint: {}\n", plain(hint));
        }
    }
    if refusals.is_empty() {
        text += &format!("{} takes all of it\n", args.to.title());
    }
    text
}
