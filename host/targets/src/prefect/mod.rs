//! Prefect 3.8: one file with a flow, which serves itself as a deployment.
//!
//! One task runs `wharf`; each step is that task with options of its own, so that names,
//! retries and timeouts are Prefect's. A step that is skipped ends in the state
//! `Skipped`, which is a completed one: what waits for it starts, and decides for itself.
//! `retry_condition_fn` looks at how `wharf` ended. Items are mapped.

mod naming;
mod text;

use std::fmt::Write as _;
use std::time::Duration;

use wharf_model::pipeline::{Partition, Retries};

use crate::feature::{Support, host, native, no};
use crate::names;
use crate::python::{prose, string};
use crate::script::{self, call, function, list, seconds};
use crate::{Feature, File, Items, Parameter, ParameterKind, Refusal, Target, Task, Workflow};
use naming::{NAMES, OF_FILES, argument, key, listing, variable};

pub(crate) const fn support(feature: Feature) -> Support {
    match feature {
        Feature::Parameters => native("parameters of the flow, with a form and types"),
        Feature::ArtifactParameters => native("parameters: artifact:NAME, or a path"),
        Feature::When => host("decided in the task"),
        Feature::SkippedState => native("a state of that name, which is completed"),
        Feature::StaticForeach => native("a task for each item"),
        Feature::Mapping => native("map"),
        Feature::Retries => native("retries"),
        Feature::RetryTransientOnly => native("retry_condition_fn"),
        Feature::Backoff => native("retry_delay_seconds"),
        Feature::Timeout => native("timeout_seconds, after the host's own"),
        Feature::Memory => host("the host's limit"),
        Feature::PartitionByTime => native("a parameter"),
        Feature::PartitionByValue => native("a parameter with choices"),
        Feature::Schedule => native("Cron"),
        Feature::ScheduledPartition => native("Cron, and the time a run was scheduled for"),
        Feature::Parallelism => native("ThreadPoolTaskRunner"),
        Feature::Processes => native("processes of tasks"),
        Feature::Containers => no("its containers run whole flows: add `wharf` to their image"),
        Feature::Settings => native("variables of the process"),
        Feature::Secrets => native("variables of the process"),
        Feature::Kubernetes => no("pods are those of its work pools"),
    }
}

/// The most delays that Prefect takes; the last one is for all further retries.
const MOST_DELAYS: u32 = 50;

pub(crate) fn compile(workflow: &Workflow) -> Result<Vec<File>, Vec<Refusal>> {
    let target = Target::Prefect;
    let mut refusals = names::check(target, workflow, NAMES, NAMES);
    refusals.extend(script::no_parameter_partition(target, workflow));
    refusals.extend(script::alike(target, workflow, argument));
    refusals.extend(script::collisions(target, workflow, |task| {
        match task.items {
            Items::Each => vec![variable(task), listing(task)],
            Items::One | Items::At { .. } => vec![variable(task)],
        }
    }));
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let name = function(&workflow.name, &OF_FILES);
    Ok(vec![File {
        path: format!("{}_flow.py", function(&workflow.name, &[])),
        text: Flow { workflow, name }.text(),
    }])
}

struct Flow<'a> {
    workflow: &'a Workflow,
    /// The name of the pipeline as an identifier.
    name: String,
}

impl Flow<'_> {
    fn text(&self) -> String {
        let parts = [
            format!(
                "{}# The beginning of the names of artifacts.\nKEY = {}\n",
                script::constants(self.workflow),
                string(&key(&self.workflow.name)),
            ),
            text::wharf(self.workflow),
            text::step(),
            text::items(self.workflow),
            self.flow(),
            self.serve(),
        ];
        let parts = parts.iter().map(|part| part.trim_matches('\n'));
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        format!(
            "{}\n{}\n\n{}\n",
            script::head(Target::Prefect, self.workflow, ""),
            self.imports(),
            parts.join("\n\n\n"),
        )
    }

    fn imports(&self) -> String {
        let workflow = self.workflow;
        let mut text = String::from(
            "import asyncio\nimport json\nimport os\nimport signal\nimport tempfile\n\
             import threading\nfrom pathlib import Path\n",
        );
        let mut typing = Vec::new();
        if workflow
            .parameters
            .iter()
            .any(|it| it.kind == ParameterKind::Json)
        {
            typing.push("Any");
        }
        if let Some(Partition::Values(_)) = workflow.partition {
            typing.push("Literal");
        }
        if !typing.is_empty() {
            let _ = writeln!(text, "from typing import {}", typing.join(", "));
        }
        let unmapped = if workflow.maps() { ", unmapped" } else { "" };
        let _ = write!(
            text,
            "\nfrom prefect import flow, get_run_logger, task{unmapped}\n\
             from prefect.artifacts import acreate_table_artifact\n\
             from prefect.cache_policies import NO_CACHE\n\
             from prefect.runtime import flow_run, task_run\n",
        );
        let deployment = &workflow.deployment;
        if deployment.schedule.is_some() {
            text += "from prefect.schedules import Cron\n";
        }
        text += "from prefect.states import Completed\n";
        if deployment.parallelism.is_some() {
            text += "from prefect.task_runners import ThreadPoolTaskRunner\n";
        }
        text
    }

    fn flow(&self) -> String {
        let workflow = self.workflow;
        let mut options = vec![format!("name={}", string(&workflow.name))];
        if let Some(most) = workflow.deployment.parallelism {
            options.push(format!(
                "task_runner=ThreadPoolTaskRunner(max_workers={most})"
            ));
        }
        let parameters = self.parameters();
        let signature = call(0, &format!("def {}", self.name), &parameters);
        let tasks = self.tasks().into_iter();
        let steps: String = tasks.map(|task| self.task(task)).collect();
        format!(
            "{}\n{signature}:\n{}{}{steps}{}",
            call(0, "@flow", &options),
            self.docstring(),
            self.run(),
            self.ends(),
        )
    }

    /// The parameters of the flow; those without a default come first, as Python wants.
    fn parameters(&self) -> Vec<String> {
        let partition = self.workflow.partition.as_ref().map(|partition| {
            let scheduled = self.workflow.deployment.schedule.is_some();
            match partition {
                Partition::Values(values) => {
                    let values = values.iter().map(|value| string(value.as_str()));
                    let values: Vec<_> = values.collect();
                    (format!("partition: Literal[{}]", values.join(", ")), None)
                }
                Partition::Every(_) if scheduled => {
                    ("partition: str | None".to_owned(), Some("None".to_owned()))
                }
                Partition::Every(_) => ("partition: str".to_owned(), None),
            }
        });
        let parameters = self.workflow.parameters.iter();
        let parameters = parameters.map(|it| {
            let default = script::default(it);
            (format!("{}: {}", argument(it), hint(it)), default)
        });
        let all: Vec<_> = partition.into_iter().chain(parameters).collect();
        let (given, chosen): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, default)| default.is_none());
        let parameters = given.into_iter().chain(chosen);
        parameters
            .map(|(name, default)| match default {
                Some(default) => format!("{name} = {default}"),
                None => name,
            })
            .collect()
    }

    /// What Prefect shows of the flow and its parameters.
    fn docstring(&self) -> String {
        let workflow = self.workflow;
        let what = workflow
            .description
            .as_deref()
            .map_or_else(|| format!("Runs the pipeline {}.", workflow.name), prose);
        let mut lines: Vec<_> = workflow
            .partition
            .iter()
            .map(|it| format!("partition: {}", script::about_partition(it)))
            .collect();
        let parameters = workflow.parameters.iter();
        lines.extend(parameters.filter_map(|it| {
            let about = script::about(it)?;
            Some(format!("{}: {about}", argument(it)))
        }));
        let what = script::ended(&what);
        if lines.is_empty() {
            return format!("    \"\"\"{what}\"\"\"\n");
        }
        let lines: String = lines
            .iter()
            .map(|line| format!("        {line}\n"))
            .collect();
        format!("    \"\"\"{what}\n\n    Args:\n{lines}    \"\"\"\n")
    }

    /// What all tasks of a run are given.
    fn run(&self) -> String {
        let workflow = self.workflow;
        let entries = workflow.parameters.iter();
        let entries: Vec<_> = entries
            .map(|it| format!("{}: {}", string(&it.name), argument(it)))
            .collect();
        let chosen = script::enclosed(4, "chosen = ", &entries, ['{', '}']);
        let partition = match &workflow.partition {
            None => String::new(),
            Some(Partition::Every(_)) if workflow.deployment.schedule.is_some() => {
                "    # By schedule, the one that has ended.\n    \
                 scheduled = flow_run.scheduled_start_time.isoformat()\n    \
                 run += [\"--partition\", partition] if partition else \
                 [\"--partition-before\", scheduled]\n"
                    .to_owned()
            }
            Some(_) => "    run += [\"--partition\", partition]\n".to_owned(),
        };
        format!(
            "    stop_with_flow()\n    {chosen}\n    run = [\"--run-id\", flow_run.id]\n{partition}"
        )
    }

    /// The tasks, those that wait for a list last: the flow itself waits for it.
    fn tasks(&self) -> Vec<&Task> {
        let tasks = &self.workflow.tasks;
        let mut late: Vec<bool> = Vec::new();
        for task in tasks {
            let waits = task.needs.iter().any(|on| late[*on]);
            late.push(waits || task.items == Items::Each);
        }
        let of = |wanted: bool| {
            let tasks = tasks.iter().zip(&late);
            tasks
                .filter(move |(_, late)| **late == wanted)
                .map(|(task, _)| task)
        };
        of(false).chain(of(true)).collect()
    }

    fn task(&self, task: &Task) -> String {
        let name = variable(task);
        let needs: Vec<_> = task
            .needs
            .iter()
            .map(|on| &self.workflow.tasks[*on])
            .map(|on| match (on.items, task.needs.len()) {
                (Items::Each, 2..) => format!("*{}", variable(on)),
                _ => variable(on),
            })
            .collect();
        let waits = match &needs[..] {
            [] => None,
            // A mapped task is a list already.
            [one] if self.workflow.tasks[task.needs[0]].items == Items::Each => {
                Some(format!("wait_for={one}"))
            }
            needs => Some(list(8, "wait_for=", needs)),
        };
        let step = string(&task.step);
        let mut text = String::new();
        let options = call(4, "step.with_options", &options(task));
        match task.items {
            Items::Each => {
                let listing = listing(task);
                let options_of_listing = format!(
                    "items.with_options(name={}).submit",
                    string(&format!("{}-items", task.step))
                );
                let mut arguments = vec![step.clone(), "run".to_owned(), "chosen".to_owned()];
                arguments.extend(waits);
                let listed = call(4, &format!("{listing} = {options_of_listing}"), &arguments);
                let arguments = [
                    step,
                    "unmapped(run)".to_owned(),
                    "unmapped(chosen)".to_owned(),
                    format!("listed({listing})"),
                ];
                let mapped = call(4, &format!("{name} = {options}.map"), &arguments);
                let all = format!("{name} = [{listing}, *{name}]");
                let _ = write!(
                    text,
                    "\n    # {}, once for each item.\n    {listed}\n    {mapped}\n    {all}\n",
                    task.summary(),
                );
            }
            Items::One | Items::At { .. } => {
                let mut arguments = vec![step, "run".to_owned(), "chosen".to_owned()];
                if let Items::At { index, .. } = task.items {
                    arguments.push(index.to_string());
                }
                arguments.extend(waits);
                let submitted = call(4, &format!("{name} = {options}.submit"), &arguments);
                let _ = write!(text, "\n    # {}.\n    {submitted}\n", task.summary());
            }
        }
        text
    }

    /// The run ends as its tasks do.
    fn ends(&self) -> String {
        let tasks = self.workflow.tasks.iter();
        let tasks: Vec<_> = tasks
            .map(|task| match task.items {
                Items::Each => format!("*{}", variable(task)),
                Items::One | Items::At { .. } => variable(task),
            })
            .collect();
        format!(
            "\n    # It ends as they do.\n    {}\n",
            list(4, "return ", &tasks)
        )
    }

    fn serve(&self) -> String {
        let deployment = &self.workflow.deployment;
        let name = match &*deployment.stack {
            "" => &self.workflow.name,
            stack => stack,
        };
        let mut arguments = vec![format!("name={}", string(name))];
        if let Some(schedule) = &deployment.schedule {
            arguments.push(format!(
                "schedule=Cron({}, timezone={})",
                string(&schedule.cron),
                string(&schedule.timezone)
            ));
        }
        arguments.push("tags=[\"wharf\"]".to_owned());
        format!(
            "if __name__ == \"__main__\":\n    {}\n",
            call(4, &format!("{}.serve", self.name), &arguments)
        )
    }
}

/// What a task has of its own.
fn options(task: &Task) -> Vec<String> {
    let mut options = vec![format!("name={}", string(&task.slug()))];
    if task.items == Items::Each {
        let name = format!("{}-{{item}}", task.step);
        options.push(format!("task_run_name={}", string(&name)));
    }
    if task.retries.count > 0 {
        options.push(format!("retries={}", task.retries.count));
        let delays: Vec<_> = delays(task.retries).into_iter().map(seconds).collect();
        options.push(list(8, "retry_delay_seconds=", &delays));
    }
    if let Some(deadline) = task.deadline() {
        options.push(format!("timeout_seconds={}", seconds(deadline)));
    }
    options
}

/// How long to wait before each retry; the last is for all further ones.
fn delays(retries: Retries) -> Vec<Duration> {
    let most = retries.max_backoff.duration();
    let mut delays = Vec::new();
    let mut delay = retries.backoff.duration();
    for _ in 0..retries.count.min(MOST_DELAYS) {
        delays.push(delay.min(most));
        if delay >= most {
            break;
        }
        delay = delay.saturating_mul(2);
    }
    delays
}

/// The type of a parameter.
const fn hint(parameter: &Parameter) -> &'static str {
    match (parameter.kind, &parameter.default) {
        (ParameterKind::Text, _) => "str",
        (ParameterKind::Integer, _) => "int",
        (ParameterKind::Number, _) => "float",
        (ParameterKind::Boolean, _) => "bool",
        (ParameterKind::Json, _) => "Any",
        // One, or several; nothing is what the file names.
        (ParameterKind::Artifact, Some(_)) => "str | list[str] | None",
        (ParameterKind::Artifact, None) => "str | list[str]",
    }
}
