//! Apache Airflow 3.3: one file with a DAG.
//!
//! A task is a `BashOperator`, or a `KubernetesPodOperator` where the stack has an image.
//! What all tasks have in common is in `default_args`, so that each says what is its own.
//! A `RetryPolicy` looks at how `wharf` ended: of failures, only those are tried again
//! that may pass. Partitions are Airflow's own (`CronPartitionTimetable`).

mod container;
mod process;

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value as Json;
use wharf_model::pipeline::{Every, Partition};

use crate::feature::{Support, host, native};
use crate::names::{self, Rule, identifier};
use crate::python::{self, literal, prose, string};
use crate::{Feature, File, Items, Parameter, ParameterKind, Refusal, Target, Task, Workflow};

pub(crate) const fn support(feature: Feature) -> Support {
    match feature {
        Feature::Parameters => native("params, with a form and types"),
        Feature::ArtifactParameters => native("params: artifact:NAME, or a path"),
        Feature::When => host("decided in the task, with exit code 99"),
        Feature::SkippedState => native("skip_on_exit_code"),
        Feature::StaticForeach => native("a task for each item"),
        Feature::Mapping => native("dynamic task mapping (expand)"),
        Feature::Retries => native("retries"),
        Feature::RetryTransientOnly => native("retry_policy"),
        Feature::Backoff => native("retry_delay, retry_exponential_backoff"),
        Feature::Timeout => native("execution_timeout, after the host's own"),
        Feature::Memory => native("container_resources; the host's limit in processes"),
        Feature::PartitionByTime => native("partition_key"),
        Feature::PartitionByValue => native("partition_key"),
        Feature::Schedule => native("schedule"),
        Feature::ScheduledPartition => native("CronPartitionTimetable"),
        Feature::Parallelism => native("max_active_tasks"),
        Feature::Processes => native("BashOperator"),
        Feature::Containers => native("KubernetesPodOperator"),
        Feature::Settings => native("env"),
        Feature::Secrets => native("variables of the worker; a Secret for pods"),
        Feature::Kubernetes => native("namespace, service account, resources, node selector"),
    }
}

/// Names of DAGs and tasks: what Airflow takes in keys.
const NAMES: Rule = Rule {
    most: 250,
    inside: "-_.",
    capitals: true,
};

pub(crate) fn compile(workflow: &Workflow) -> Result<Vec<File>, Vec<Refusal>> {
    let mut refusals = names::check(Target::Airflow, workflow, NAMES, NAMES);
    refusals.extend(own_names(workflow));
    refusals.extend(filled_in(workflow));
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let kind = match workflow.runs_in_containers(Target::Airflow) {
        true => Kind::Container,
        false => Kind::Process,
    };
    let dag = Dag { workflow, kind };
    Ok(vec![File {
        path: format!("{}.py", identifier(&workflow.name)),
        text: dag.text(),
    }])
}

/// Texts of commands that Airflow would fill something into, and not everywhere.
fn filled_in(workflow: &Workflow) -> Vec<Refusal> {
    let deployment = &workflow.deployment;
    let secrets = workflow.secret_arguments();
    let texts = [
        ("store", &deployment.store),
        ("command", &deployment.command),
    ];
    let texts = texts
        .into_iter()
        .chain(secrets.iter().map(|it| ("secrets", it)));
    let wrong = texts.filter(|(_, text)| ["{{", "{%", "{#"].iter().any(|it| text.contains(it)));
    let refusals = wrong.map(|(key, text)| {
        let key = format!("stacks.{}.{key}", deployment.stack);
        let why = format!("`{text}` is a template for Airflow");
        Refusal::new(Target::Airflow, key, why).hint("use another path")
    });
    refusals.collect()
}

/// Names that the DAG needs for itself.
fn own_names(workflow: &Workflow) -> Vec<Refusal> {
    let listed = workflow.tasks.iter().filter(|it| it.items == Items::Each);
    let listed = listed.map(|task| (format!("{}-items", task.step), &*task.step));
    let tasks = workflow.tasks.iter().map(|it| (it.slug(), &*it.step));
    let mut refusals = names::distinct(Target::Airflow, listed.chain(tasks));
    let is_own = |parameter: &&Parameter| parameter.name == "partition";
    let own = workflow.parameters.iter().find(is_own);
    let own = own.filter(|_| workflow.partition.is_some());
    let refusal = own.map(|_| {
        let why = "the DAG has a parameter `partition` that says which partition a run is for";
        Refusal::new(Target::Airflow, "parameters.partition", why)
            .hint("give the parameter another name")
    });
    refusals.extend(refusal);
    refusals
}

/// What tasks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Process,
    Container,
}

struct Dag<'a> {
    workflow: &'a Workflow,
    kind: Kind,
}

impl Dag<'_> {
    fn text(&self) -> String {
        let parts = [
            self.head(),
            self.imports(),
            self.retry_policy(),
            match self.kind {
                Kind::Process => process::constants(self.workflow),
                Kind::Container => container::constants(self.workflow),
            },
            self.dag(),
        ];
        let parts = parts.iter().map(|part| part.trim_matches('\n'));
        let [head, imports, rest @ ..] =
            &parts.filter(|part| !part.is_empty()).collect::<Vec<_>>()[..]
        else {
            return String::new();
        };
        format!("{head}\n\n{imports}\n\n\n{}\n", rest.join("\n\n\n"))
    }

    fn head(&self) -> String {
        let Workflow {
            name,
            description,
            file,
            deployment,
            ..
        } = self.workflow;
        let about = description
            .as_deref()
            .map_or_else(String::new, |about| format!(": {}", prose(about)));
        let stack = match &*deployment.stack {
            "" => String::new(),
            stack => format!(" --stack {stack}"),
        };
        format!(
            "\"\"\"{name}{about}\n\n\
             Made by `wharf pipeline compile {file} --target airflow{stack}`.\n\
             Change the pipeline, and make this anew. The pipeline itself is in the store: a task\n\
             needs that and `wharf`, and nothing else.\n\
             \"\"\"\n",
            file = prose(file),
        )
    }

    fn retries(&self) -> bool {
        self.workflow
            .tasks
            .iter()
            .any(|task| task.retries.count > 0)
    }

    fn imports(&self) -> String {
        let workflow = self.workflow;
        let has_times = self.retries() || workflow.tasks.iter().any(|task| task.timeout.is_some());
        let mut python: Vec<&str> = vec!["import json"];
        if self.kind == Kind::Container && !workflow.maps() {
            python.clear();
        }
        if self.retries() {
            python.push("import re");
        }
        if has_times {
            python.push("from datetime import timedelta");
        }
        let mut sdk = vec!["DAG"];
        if workflow.deployment.schedule.is_some() {
            sdk.push(match workflow.partition {
                Some(_) => "CronPartitionTimetable",
                None => "CronTriggerTimetable",
            });
        }
        if !workflow.parameters.is_empty() || workflow.partition.is_some() {
            sdk.push("Param");
        }
        if self.retries() {
            sdk.extend(["RetryDecision", "RetryPolicy"]);
        }
        let operators = match self.kind {
            Kind::Process => process::imports(workflow),
            Kind::Container => container::imports(workflow),
        };
        let mut text = String::new();
        if !python.is_empty() {
            text += &python.join("\n");
            text += "\n\n";
        }
        if workflow.deployment.schedule.is_some() {
            text += "import pendulum\n";
        }
        text += &operators;
        let _ = writeln!(text, "from airflow.sdk import {}", sdk.join(", "));
        if self.kind == Kind::Container {
            text += "from kubernetes.client import models as k8s\n";
        }
        text
    }

    /// Only what may pass is tried again.
    fn retry_policy(&self) -> String {
        if !self.retries() {
            return String::new();
        }
        let code = match self.kind {
            Kind::Process => process::EXIT_CODE,
            Kind::Container => container::EXIT_CODE,
        };
        format!(
            "\nclass OnlyWhatMayPass(RetryPolicy):\n    \
                 \"\"\"Fails at once where `wharf` says that trying again cannot help (1, 2).\"\"\"\n\n    \
                 def evaluate(self, exception, try_number, max_tries, context=None):\n        \
                     code = re.search({code}, str(exception))\n        \
                     if code and code[1] in (\"1\", \"2\"):\n            \
                         return RetryDecision.fail()\n        \
                     return RetryDecision.default()\n\n",
            code = raw(code),
        )
    }

    fn dag(&self) -> String {
        let workflow = self.workflow;
        let mut text = String::from("\nwith DAG(\n");
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "    {name}={value},");
        };
        line("dag_id", &string(&workflow.name));
        if let Some(about) = &workflow.description {
            line("description", &string(&prose(about)));
        }
        line("schedule", &self.schedule());
        if let Some(schedule) = &workflow.deployment.schedule {
            let zone = string(&schedule.timezone);
            line(
                "start_date",
                &format!("pendulum.datetime(2000, 1, 1, tz={zone})"),
            );
            line("catchup", "False");
        }
        if let Some(most) = workflow.deployment.parallelism {
            line("max_active_tasks", &most.to_string());
        }
        let params = workflow.parameters.iter().map(param);
        let params: String = params
            .chain(workflow.partition.iter().map(partition))
            .collect();
        if !params.is_empty() {
            line("params", &format!("{{\n{params}    }}"));
        }
        line("default_args", "DEFAULT_ARGS");
        line("tags", "[\"wharf\"]");
        text += "):\n";
        for (index, task) in workflow.tasks.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            text += &match self.kind {
                Kind::Process => process::task(workflow, task),
                Kind::Container => container::task(workflow, task),
            };
        }
        text += &self.order();
        text
    }

    fn schedule(&self) -> String {
        let partition = self.workflow.partition.as_ref();
        let Some(schedule) = &self.workflow.deployment.schedule else {
            return "None".to_owned();
        };
        let (cron, zone) = (string(&schedule.cron), string(&schedule.timezone));
        let format = match partition {
            None => return format!("CronTriggerTimetable({cron}, timezone={zone})"),
            Some(Partition::Every(Every::Day)) => "%Y-%m-%d",
            Some(Partition::Every(Every::Month) | Partition::Values(_)) => "%Y-%m",
        };
        // The one that has ended: the interval before.
        format!(
            "CronPartitionTimetable(\n        {cron}, timezone={zone}, run_offset=-1, \
             key_format={}\n    )",
            string(format)
        )
    }

    /// What waits for what.
    fn order(&self) -> String {
        let tasks = &self.workflow.tasks;
        let mut text = String::new();
        for task in tasks {
            let needs: Vec<_> = task.needs.iter().map(|on| variable(&tasks[*on])).collect();
            let first = match task.items {
                Items::Each => listing(task),
                Items::One | Items::At { .. } => variable(task),
            };
            let _ = match &needs[..] {
                [] => Ok(()),
                [one] => writeln!(text, "    {one} >> {first}"),
                several => writeln!(text, "    [{}] >> {first}", several.join(", ")),
            };
        }
        match text.is_empty() {
            true => text,
            false => format!("\n{text}"),
        }
    }
}

/// A text that is written as it is, for regular expressions.
fn raw(text: &str) -> String {
    format!("r\"{text}\"")
}

/// A parameter of the DAG.
fn param(parameter: &Parameter) -> String {
    let mut arguments = Vec::new();
    let (default, ty) = match parameter.kind {
        // What the file names is locked: to choose nothing is to take that.
        ParameterKind::Artifact if parameter.default.is_some() => {
            (Some(Json::Null), Some(r#"["null", "string", "array"]"#))
        }
        ParameterKind::Artifact => (None, Some(r#"["string", "array"]"#)),
        ParameterKind::Text => (parameter.default.clone(), Some(r#""string""#)),
        ParameterKind::Integer => (parameter.default.clone(), Some(r#""integer""#)),
        ParameterKind::Number => (parameter.default.clone(), Some(r#""number""#)),
        ParameterKind::Boolean => (parameter.default.clone(), Some(r#""boolean""#)),
        ParameterKind::Json => (parameter.default.clone(), None),
    };
    arguments.extend(default.as_ref().map(literal));
    arguments.extend(ty.map(|ty| format!("type={ty}")));
    let about = match (&parameter.description, parameter.kind, &parameter.default) {
        (Some(about), ..) => Some(about.clone()),
        (None, ParameterKind::Artifact, Some(path)) => {
            let path = path
                .as_str()
                .map_or_else(|| path.to_string(), str::to_owned);
            Some(format!("An artifact (artifact:NAME); {path} by default"))
        }
        (None, ParameterKind::Artifact, None) => Some("An artifact (artifact:NAME)".to_owned()),
        (None, ..) => None,
    };
    arguments.extend(about.map(|about| format!("description={}", string(&prose(&about)))));
    let name = string(&parameter.name);
    let line = format!("        {name}: Param({}),\n", arguments.join(", "));
    match line.len() <= python::WIDTH {
        true => line,
        false => {
            let arguments = arguments.join(",\n            ");
            format!("        {name}: Param(\n            {arguments},\n        ),\n")
        }
    }
}

/// The parameter of the DAG that says which partition a run is for.
fn partition(partition: &Partition) -> String {
    let about = match partition {
        Partition::Every(Every::Month) => "The month, such as 2013-01",
        Partition::Every(Every::Day) => "The day, such as 2013-01-31",
        Partition::Values(_) => "The partition",
    };
    let ty = match partition {
        Partition::Every(_) => "type=[\"null\", \"string\"]".to_owned(),
        Partition::Values(values) => {
            let values: Vec<Json> = values.iter().map(|value| value.as_str().into()).collect();
            let all = [&[Json::Null][..], &values].concat();
            format!("enum={}", literal(&Json::Array(all)))
        }
    };
    format!(
        "        \"partition\": Param(None, {ty}, description={}),\n",
        string(about)
    )
}

/// The variable of a task.
fn variable(task: &Task) -> String {
    identifier(&task.slug())
}

/// The task that lists the items of a step.
fn listing(task: &Task) -> String {
    format!("{}_items", identifier(&task.step))
}

/// What a task has of its own beside what it runs.
fn options(task: &Task) -> Vec<(&'static str, String)> {
    let mut options = Vec::new();
    let retries = task.retries;
    if retries.count > 0 {
        options.push(("retries", retries.count.to_string()));
        options.push(("retry_delay", delta(retries.backoff.duration())));
        if retries.max_backoff > retries.backoff {
            options.push(("retry_exponential_backoff", "True".to_owned()));
            options.push(("max_retry_delay", delta(retries.max_backoff.duration())));
        }
        options.push(("retry_policy", "OnlyWhatMayPass()".to_owned()));
    }
    if let Some(deadline) = task.deadline() {
        options.push(("execution_timeout", delta(deadline)));
    }
    options
}

/// A length of time.
fn delta(time: Duration) -> String {
    let millis = time.as_millis();
    match (millis % 1_000, millis % 60_000, millis % 3_600_000) {
        (.., 0) => format!("timedelta(hours={})", millis / 3_600_000),
        (_, 0, _) => format!("timedelta(minutes={})", millis / 60_000),
        (0, ..) => format!("timedelta(seconds={})", millis / 1_000),
        _ => format!("timedelta(milliseconds={millis})"),
    }
}
