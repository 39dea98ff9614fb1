//! Metaflow 2.19: one file with a flow.
//!
//! Steps of Metaflow branch and join like brackets, which is less than a graph can be.
//! So tasks are sorted by what they wait for ([`shape`]): those of one level run side by
//! side and are joined before the next. A task never starts before what it needs; it may
//! start later than it could. Items are a `foreach`.
//!
//! `@retry` tries all failures again but those of a step that ends with 202, which is how
//! a step ends whose failure is final. Where Metaflow cannot look at that, the host tries
//! again.

mod naming;
mod shape;
mod text;

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value as Json;
use wharf_model::pipeline::{Every, Partition};

use crate::feature::{Support, host, native, no};
use crate::names;
use crate::python::{prose, string};
use crate::script::{self, call, own, seconds};
use crate::{Feature, File, Items, Parameter, ParameterKind, Refusal, Target, Task, Workflow};
use naming::{NAMES, TAKEN, class, name, names_of, options};
use shape::{Node, Role};

pub(crate) const fn support(feature: Feature) -> Support {
    match feature {
        Feature::Parameters => native("Parameter, with types"),
        Feature::ArtifactParameters => native("Parameter: artifact:NAME, or a path"),
        Feature::When => host("decided in the step"),
        Feature::SkippedState => no("it has no such state; `status` says so"),
        Feature::StaticForeach | Feature::Mapping => native("foreach"),
        Feature::Retries => native("@retry, up to 4; else the host's"),
        Feature::RetryTransientOnly => native("exit code 202"),
        Feature::Backoff => host("before a step is tried again"),
        Feature::Timeout => native("@timeout, after the host's own"),
        Feature::Memory => native("@resources; the host's limit in processes"),
        Feature::PartitionByTime | Feature::PartitionByValue => native("a Parameter"),
        Feature::Schedule => native("@schedule, where it is deployed"),
        Feature::ScheduledPartition => native("@schedule, and the time a run began at"),
        Feature::Parallelism => no("an option of `run`: --max-workers"),
        Feature::Processes => native("processes of steps"),
        Feature::Containers => no("they need Metaflow, too: add `wharf` to their image"),
        Feature::Settings => native("variables of the process"),
        Feature::Secrets => native("variables of the process"),
        Feature::Kubernetes => no("pods are those of Metaflow's own configuration"),
    }
}

/// The most that `@retry` takes: six attempts, of which it keeps one to itself.
const MOST_RETRIES: u32 = 4;

/// The items of a `foreach` that `run` takes where it is not told otherwise.
const SPLITS: usize = 100;

pub(crate) fn compile(workflow: &Workflow) -> Result<Vec<File>, Vec<Refusal>> {
    let target = Target::Metaflow;
    let mut refusals = names::check(target, workflow, NAMES, NAMES);
    refusals.extend(script::no_parameter_partition(target, workflow));
    refusals.extend(script::collisions(target, workflow, names_of));
    refusals.extend(options(workflow));
    if workflow.name.starts_with(|c: char| c.is_ascii_digit()) {
        let why = format!(
            "`{}` begins with a digit, which flows cannot",
            workflow.name
        );
        refusals.push(Refusal::new(target, "name", why).hint("give the pipeline another `name`"));
    }
    let flow = Flow {
        workflow,
        nodes: shape::nodes(workflow, &name),
    };
    refusals.extend(script::alike(target, workflow, |it| flow.attribute(it)));
    if !refusals.is_empty() {
        return Err(refusals);
    }
    Ok(vec![File {
        path: format!("{}_flow.py", names::identifier(&workflow.name)),
        text: flow.text(),
    }])
}

struct Flow<'a> {
    workflow: &'a Workflow,
    nodes: Vec<Node<'a>>,
}

impl Flow<'_> {
    fn text(&self) -> String {
        let workflow = self.workflow;
        let parts = [
            script::constants(workflow),
            text::execute(workflow),
            match workflow.maps() {
                true => text::items(),
                false => String::new(),
            },
            self.class(),
            format!(
                "if __name__ == \"__main__\":\n    {}()",
                class(&workflow.name)
            ),
        ];
        let parts = parts.iter().map(|part| part.trim_matches('\n'));
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        format!(
            "{}\n{}\n\n{}\n",
            script::head(Target::Metaflow, workflow, &self.run()),
            self.imports(),
            parts.join("\n\n\n"),
        )
    }

    /// How it is run, where that is not the usual.
    fn run(&self) -> String {
        let mut options = String::new();
        if let Some(most) = self.workflow.deployment.parallelism {
            let _ = write!(options, " --max-workers {most}");
        }
        let tasks = self.workflow.tasks.iter();
        let splits = tasks.filter_map(|task| match task.items {
            Items::At { of, .. } => Some(of),
            Items::One | Items::Each => None,
        });
        if let Some(most) = splits.max().filter(|most| *most > SPLITS) {
            let _ = write!(options, " --max-num-splits {most}");
        }
        match &*options {
            "" => String::new(),
            options => format!("Run it with `run{options}`.\n"),
        }
    }

    fn imports(&self) -> String {
        let workflow = self.workflow;
        let mut used = vec!["FlowSpec", "current", "step"];
        let is_json = |it: &Parameter| kind(it) == "JSONType";
        if workflow.parameters.iter().any(is_json) {
            used.push("JSONType");
        }
        if !workflow.parameters.is_empty() || workflow.partition.is_some() {
            used.push("Parameter");
        }
        if workflow.deployment.schedule.is_some() {
            used.push("schedule");
        }
        if workflow.tasks.iter().any(|task| self.retries(task)) {
            used.push("retry");
        }
        if workflow
            .tasks
            .iter()
            .any(|task| self.timeout(task).is_some())
        {
            used.push("timeout");
        }
        used.push("resources");
        used.sort_by_key(|name| {
            let capital = name.starts_with(|c: char| c.is_ascii_uppercase());
            (!capital, *name)
        });
        let clock = match self.is_by_schedule() {
            true => "from datetime import datetime, timezone\n",
            false => "",
        };
        let environ = match workflow.deployment.environment.is_empty() {
            true => "",
            false => "import os\n",
        };
        let names = used.join(", ");
        format!(
            "import json\n{environ}import signal\nimport subprocess\nimport sys\nimport tempfile\n\
             import time\n{clock}\
             from pathlib import Path\n\nfrom metaflow import {names}\n",
        )
    }

    /// Whether the partition may be told by when a run began.
    fn is_by_schedule(&self) -> bool {
        let every = matches!(self.workflow.partition, Some(Partition::Every(_)));
        every && self.workflow.deployment.schedule.is_some()
    }

    /// Whether Metaflow tries a task again. A flow with a schedule is deployed, where
    /// retries do not look at how a step ended.
    fn retries(&self, task: &Task) -> bool {
        let count = task.retries.count;
        let is_deployed = self.workflow.deployment.schedule.is_some();
        (1..=MOST_RETRIES).contains(&count) && !is_deployed
    }

    /// The longest that it waits before it is tried again.
    fn longest_wait(task: &Task) -> Duration {
        let retries = task.retries;
        let times = 1_u32.checked_shl(retries.count.saturating_sub(1));
        let last = retries
            .backoff
            .duration()
            .saturating_mul(times.unwrap_or(u32::MAX));
        last.min(retries.max_backoff.duration())
    }

    /// How long Metaflow waits for an attempt, which begins with the wait before it. What
    /// the host tries again, it also stops.
    fn timeout(&self, task: &Task) -> Option<Duration> {
        let deadline = task.deadline()?;
        match (task.retries.count, self.retries(task)) {
            (0, _) => Some(deadline),
            (_, true) => Some(deadline.saturating_add(Self::longest_wait(task))),
            (_, false) => None,
        }
    }

    fn class(&self) -> String {
        let workflow = self.workflow;
        let mut text = String::new();
        if let Some(schedule) = &workflow.deployment.schedule {
            let _ = writeln!(
                text,
                "@schedule(cron={}, timezone={})",
                string(&schedule.cron),
                string(&schedule.timezone)
            );
        }
        let about = workflow.description.as_deref();
        let about = about.map_or_else(|| format!("Runs {}.", workflow.name), prose);
        let _ = write!(
            text,
            "class {}(FlowSpec):\n    \"\"\"{}\"\"\"\n\n",
            class(&workflow.name),
            script::ended(&about)
        );
        let parameters = self.parameters();
        text += &parameters;
        if !parameters.is_empty() {
            text.push('\n');
        }
        let nodes: Vec<_> = self.nodes.iter().map(|node| self.node(node)).collect();
        text + nodes.join("\n").trim_end()
    }

    fn parameters(&self) -> String {
        let mut text = String::new();
        if let Some(partition) = &self.workflow.partition {
            let mut arguments = vec!["\"partition\"".to_owned()];
            if !self.is_by_schedule() {
                arguments.push("required=True".to_owned());
            }
            let about = match partition {
                Partition::Values(values) => {
                    let values: Vec<_> = values.iter().map(|it| it.as_str()).collect();
                    format!("One of {}", values.join(", "))
                }
                Partition::Every(Every::Day | Every::Month) => {
                    script::about_partition(partition).to_owned()
                }
            };
            arguments.push(format!("help={}", string(&about)));
            let _ = writeln!(text, "    {}", call(4, "partition = Parameter", &arguments));
        }
        for parameter in &self.workflow.parameters {
            let mut arguments = vec![string(&parameter.name), format!("type={}", kind(parameter))];
            match (&parameter.default, parameter.kind) {
                (None, _) => arguments.push("required=True".to_owned()),
                (Some(_), ParameterKind::Artifact) => {}
                (Some(value), ParameterKind::Json) => {
                    arguments.push(format!("default={}", string(&value.to_string())));
                }
                (Some(_), _) => {
                    let default = script::default(parameter);
                    arguments.extend(default.map(|it| format!("default={it}")));
                }
            }
            if let Some(about) = script::about(parameter) {
                arguments.push(format!("help={}", string(&about)));
            }
            let before = format!("{} = Parameter", self.attribute(parameter));
            let _ = writeln!(text, "    {}", call(4, &before, &arguments));
        }
        text
    }

    /// The attribute of a parameter. Steps are attributes, too.
    fn attribute(&self, parameter: &Parameter) -> String {
        let plain = own(&parameter.name, &[]);
        let is_step = self.nodes.iter().any(|node| node.name == plain);
        let is_own = TAKEN.contains(&&*plain) || ["run_options", "partition"].contains(&&*plain);
        match is_step || is_own {
            true => format!("{plain}_parameter"),
            false => plain,
        }
    }

    fn node(&self, node: &Node<'_>) -> String {
        let mut text = String::new();
        if let Role::One(task) | Role::Item(task) = node.role {
            let _ = writeln!(text, "    # {}.", self.summary(task));
            text += &self.decorators(task);
        }
        let inputs = if node.role.joins() { ", inputs" } else { "" };
        let _ = writeln!(text, "    @step\n    def {}(self{inputs}):", node.name);
        text += &self.body(node);
        let next: Vec<_> = node.next.iter().map(|it| format!("self.{it}")).collect();
        match (&node.role, next.is_empty()) {
            (Role::End, _) | (_, true) => {}
            (Role::List(_), _) => {
                let _ = writeln!(text, "        self.next({}, foreach=\"items\")", next[0]);
            }
            _ => {
                let _ = writeln!(text, "        {}", call(8, "self.next", &next));
            }
        }
        text
    }

    fn summary(&self, task: &Task) -> String {
        match task.items {
            Items::One => task.summary(),
            Items::Each | Items::At { .. } => format!("{}, once for each item", task.summary()),
        }
    }

    fn decorators(&self, task: &Task) -> String {
        let mut text = String::new();
        if self.retries(task) {
            // The step itself waits, as long as the pipeline says.
            let count = task.retries.count;
            let _ = writeln!(text, "    @retry(times={count}, minutes_between_retries=0)");
        }
        if let Some(timeout) = self.timeout(task) {
            let seconds = timeout.as_millis().div_ceil(1_000);
            let _ = writeln!(text, "    @timeout(seconds={seconds})");
        }
        let memory = task.memory.0.div_ceil(1 << 20);
        let _ = writeln!(text, "    @resources(memory={memory})");
        text
    }

    fn body(&self, node: &Node<'_>) -> String {
        match node.role {
            Role::Start => self.start(),
            Role::End => "        pass\n".to_owned(),
            Role::Fork => String::new(),
            Role::One(task) => self.execute(task, "None"),
            Role::Item(task) if task.items == Items::Each => format!(
                "        # Nothing, where there are no items.\n        \
                 if self.input is not None:\n    {}",
                self.execute(task, "self.input")
            ),
            Role::Item(task) => self.execute(task, "self.input"),
            Role::List(task) => match task.items {
                Items::At { of, .. } => format!("        self.items = list(range({of}))\n"),
                Items::One | Items::Each => {
                    format!("        self.items = items(self, {})\n", string(&task.step))
                }
            },
            Role::Join => {
                "        self.merge_artifacts(inputs, include=[\"run_options\"])\n".to_owned()
            }
        }
    }

    /// What all steps are told: kept, so that a run that is resumed is the same run.
    fn start(&self) -> String {
        let parameters = self.workflow.parameters.iter();
        let parameters: Vec<_> = parameters
            .map(|it| format!("{}: self.{}", string(&it.name), self.attribute(it)))
            .collect();
        let mut text = String::from(
            "        # Kept, so that a run that is resumed is the same run.\n        \
             self.run_options = [\"--run-id\", f\"{current.flow_name}-{current.run_id}\"]\n",
        );
        match &self.workflow.partition {
            None => {}
            Some(_) if self.is_by_schedule() => {
                text += "        # By schedule, the one that has ended.\n        \
                         now = datetime.now(timezone.utc).isoformat()\n        \
                         self.run_options += (\n            \
                         [\"--partition\", self.partition]\n            \
                         if self.partition\n            \
                         else [\"--partition-before\", now]\n        )\n";
            }
            Some(_) => text += "        self.run_options += [\"--partition\", self.partition]\n",
        }
        if !parameters.is_empty() {
            let chosen = script::enclosed(8, "chosen = ", &parameters, ['{', '}']);
            let _ = writeln!(
                text,
                "        {chosen}\n        self.run_options += given(chosen)"
            );
        }
        text
    }

    fn execute(&self, task: &Task, item: &str) -> String {
        let mut arguments = vec!["self".to_owned(), string(&task.step)];
        if item != "None" {
            arguments.push(format!("item={item}"));
        }
        let retries = task.retries;
        if self.retries(task) {
            arguments.push(format!("backoff={}", seconds(retries.backoff.duration())));
            let most = retries.max_backoff.duration();
            arguments.push(format!("max_backoff={}", seconds(most)));
        } else if retries.count > 0 {
            arguments.push("retries=\"step\"".to_owned());
        }
        format!("        {}\n", call(8, "execute", &arguments))
    }
}

/// The type of a parameter.
const fn kind(parameter: &Parameter) -> &'static str {
    match (parameter.kind, &parameter.default) {
        (ParameterKind::Text, _) => "str",
        (ParameterKind::Integer, _) => "int",
        (ParameterKind::Number, _) => "float",
        (ParameterKind::Boolean, _) => "bool",
        (ParameterKind::Artifact, Some(Json::Array(_))) | (ParameterKind::Json, _) => "JSONType",
        // Several of them as JSON.
        (ParameterKind::Artifact, _) => "str",
    }
}
