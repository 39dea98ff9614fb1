//! Dagster 1.13: one file with assets, a job that makes them, and its schedule.
//!
//! A step is an asset, with what it waits for as its lineage. All steps of a run belong
//! together: its id is how a step finds what those before it wrote. They are therefore
//! one graph of ops whose outputs are the assets, so that none is made without the run
//! that it belongs to. A graph can also do what single assets cannot: an op has two
//! outputs, `made`, which is the asset and absent where the step is skipped, and `ended`,
//! which those that wait for it wait for. So a skipped step makes nothing, and what comes
//! after it still starts and decides for itself. Items are dynamic outputs.
//!
//! Of failures, those that may pass ask for a retry, and the others forbid it. `wharf` is
//! started without Dagster Pipes, which demands all outputs of an op.

mod text;

use std::fmt::Write as _;

use wharf_model::pipeline::{Every, Partition};

use crate::feature::{Support, host, native, no};
use crate::names::{self, Rule};
use crate::python::{prose, string};
use crate::script::{self, call, function, list, own, seconds};
use crate::{Feature, File, Items, Parameter, ParameterKind, Refusal, Target, Task, Workflow};

pub(crate) const fn support(feature: Feature) -> Support {
    match feature {
        Feature::Parameters => native("config of a resource, with types"),
        Feature::ArtifactParameters => native("config: artifact:NAME, or a path"),
        Feature::When => host("decided in the op"),
        Feature::SkippedState => native("its asset is not materialized"),
        Feature::StaticForeach => native("an asset for each item"),
        Feature::Mapping => native("dynamic outputs"),
        Feature::Retries => native("RetryRequested"),
        Feature::RetryTransientOnly => native("Failure(allow_retries=False)"),
        Feature::Backoff => native("seconds_to_wait"),
        Feature::Timeout => host("the host's own; ops have none"),
        Feature::Memory => host("the host's limit"),
        Feature::PartitionByTime => native("Daily- and MonthlyPartitionsDefinition, from 2000 on"),
        Feature::PartitionByValue => native("StaticPartitionsDefinition"),
        Feature::Schedule => native("ScheduleDefinition"),
        Feature::ScheduledPartition => native("build_schedule_from_partitioned_job"),
        Feature::Parallelism => native("multiprocess_executor"),
        Feature::Processes => native("processes of ops"),
        Feature::Containers => no("its pods need Dagster, too: add `wharf` to their image"),
        Feature::Settings => native("variables of the process"),
        Feature::Secrets => native("variables of the process"),
        Feature::Kubernetes => no("pods are those of its own executor"),
    }
}

/// Names have letters, digits and `_`, which `-` becomes.
const NAMES: Rule = Rule {
    most: 128,
    inside: "-",
    capitals: false,
};

/// Names that Dagster keeps for itself, or that the file needs inside the graph.
const TAKEN: [&str; 17] = [
    "arg_dict",
    "bool",
    "conf",
    "config",
    "context",
    "dict",
    "each",
    "float",
    "input",
    "input_arg_dict",
    "int",
    "meta",
    "output",
    "output_arg_dict",
    "step",
    "str",
    "type",
];

/// Names that resources have themselves.
const OF_RESOURCES: [&str; 18] = [
    "configure_at_launch",
    "create_resource",
    "from_resource_context",
    "from_resource_context_cm",
    "get_resource_context",
    "get_resource_definition",
    "nested_resources",
    "process_config_and_initialize",
    "process_config_and_initialize_cm",
    "self",
    "setup_for_execution",
    "teardown_after_execution",
    "to_config_schema",
    "to_fields_dict",
    "variables",
    "with_replaced_resource_context",
    "with_resource_context",
    "yield_for_execution",
];

pub(crate) fn compile(workflow: &Workflow) -> Result<Vec<File>, Vec<Refusal>> {
    let mut refusals = names::check(Target::Dagster, workflow, NAMES, NAMES);
    refusals.extend(script::alike(Target::Dagster, workflow, attribute));
    refusals.extend(script::collisions(Target::Dagster, workflow, |task| {
        let name = variable(task);
        match task.items {
            Items::Each => vec![format!("{name}_items"), format!("{name}_item"), name],
            Items::One | Items::At { .. } => vec![name],
        }
    }));
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let name = function(&workflow.name, &TAKEN);
    Ok(vec![File {
        path: format!("{}_assets.py", function(&workflow.name, &[])),
        text: Definitions { workflow, name }.text(),
    }])
}

struct Definitions<'a> {
    workflow: &'a Workflow,
    /// The name of the pipeline in Dagster.
    name: String,
}

impl Definitions<'_> {
    fn text(&self) -> String {
        let parts = [
            self.constants(),
            self.parameters(),
            text::wharf(self.workflow),
            text::step(self.workflow, &self.name),
            text::each(self.workflow, &self.name),
            self.graph(),
            self.assets(),
        ];
        let parts = parts.iter().map(|part| part.trim_matches('\n'));
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        format!(
            "{}\n{}\n\n{}\n",
            script::head(Target::Dagster, self.workflow, ""),
            self.imports(),
            parts.join("\n\n\n"),
        )
    }

    fn imports(&self) -> String {
        let mut text = String::from(
            "import json\nimport os\nimport subprocess\nimport tempfile\nfrom pathlib import Path\n",
        );
        if self.workflow.maps() {
            text.insert_str(0, "import hashlib\n");
        }
        let parameters = &self.workflow.parameters;
        if parameters.iter().any(|it| hint(it).contains("Any")) {
            text += "from typing import Any\n";
        }
        text += "\nimport dagster as dg\n";
        if parameters.iter().any(|it| script::about(it).is_some()) {
            text += "from pydantic import Field\n";
        }
        text
    }

    fn constants(&self) -> String {
        let mut text = script::constants(self.workflow);
        if let Some(partition) = &self.workflow.partition {
            let _ = write!(text, "\n{}", self.partitions(partition));
        }
        text
    }

    fn partitions(&self, partition: &Partition) -> String {
        let every = match partition {
            Partition::Values(values) => {
                let values: Vec<_> = values.iter().map(|value| string(value.as_str())).collect();
                let values = list(0, "", &values);
                return format!("PARTITIONS = dg.StaticPartitionsDefinition({values})\n");
            }
            Partition::Every(every) => every,
        };
        let (class, start, format) = match every {
            Every::Day => ("DailyPartitionsDefinition", "2000-01-01", "%Y-%m-%d"),
            Every::Month => ("MonthlyPartitionsDefinition", "2000-01", "%Y-%m"),
        };
        let mut arguments = vec![
            format!("start_date={}", string(start)),
            format!("fmt={}", string(format)),
        ];
        if let Some(schedule) = &self.workflow.deployment.schedule {
            arguments.push(format!("timezone={}", string(&schedule.timezone)));
        }
        let call = call(0, &format!("PARTITIONS = dg.{class}"), &arguments);
        format!("# An earlier start shows earlier ones.\n{call}\n")
    }

    /// What a run can choose.
    fn parameters(&self) -> String {
        let parameters = &self.workflow.parameters;
        if parameters.is_empty() {
            return String::new();
        }
        let mut text = String::from(
            "class Parameters(dg.ConfigurableResource):\n    \
             \"\"\"What can be chosen for each run.\"\"\"\n\n",
        );
        for parameter in parameters {
            let _ = writeln!(text, "{}", field(parameter));
        }
        let entries = parameters
            .iter()
            .map(|it| format!("{}: self.{}", string(&it.name), attribute(it)))
            .collect::<Vec<_>>();
        let object = script::enclosed(8, "chosen = ", &entries, ['{', '}']);
        let _ = write!(
            text,
            "\n    def variables(self) -> dict[str, str]:\n        {object}\n        \
             return {{\"WHARF_PARAMETERS\": json.dumps(chosen)}}\n",
        );
        text
    }

    /// The steps, and what each waits for.
    fn graph(&self) -> String {
        let tasks = &self.workflow.tasks;
        let steps: String = tasks.iter().map(|task| self.invocation(task)).collect();
        let made: Vec<_> = tasks
            .iter()
            .map(|task| format!("{}: {}.made", string(&variable(task)), variable(task)))
            .collect();
        let made = script::enclosed(4, "return ", &made, ['{', '}']);
        format!(
            "{}\n\n\n@dg.graph(\n    name={},\n    out={{asset: dg.GraphOut() for asset in \
             LINEAGE}},\n)\ndef pipeline():\n{steps}    {made}\n",
            self.lineage(),
            string(&format!("{}_assets", self.name)),
        )
    }

    fn lineage(&self) -> String {
        let tasks = &self.workflow.tasks;
        let mut text = String::from("# What each asset is made after.\nLINEAGE = {\n");
        for task in tasks {
            let needs: Vec<_> = self.needs(task).iter().map(|on| string(on)).collect();
            let name = string(&variable(task));
            let _ = writeln!(text, "    {},", list(4, &format!("{name}: "), &needs));
        }
        text + "}"
    }

    fn needs(&self, task: &Task) -> Vec<String> {
        let needs = task.needs.iter();
        needs
            .map(|on| variable(&self.workflow.tasks[*on]))
            .collect()
    }

    fn invocation(&self, task: &Task) -> String {
        let name = variable(task);
        let mut arguments = vec![string(&name), string(&task.step)];
        arguments.push(string(&prose(&match task.items {
            Items::Each => format!("{}, once for each item.", task.summary()),
            Items::One | Items::At { .. } => format!("{}.", task.summary()),
        })));
        if let Items::At { index, .. } = task.items {
            arguments.push(format!("item={index}"));
        }
        let needs = self.needs(task);
        if !needs.is_empty() {
            let ended: Vec<_> = needs.iter().map(|on| format!("{on}.ended")).collect();
            arguments.push(list(8, "needs=", &ended));
        }
        let retries = task.retries;
        if retries.count > 0 {
            arguments.push(format!("retries={}", retries.count));
            arguments.push(format!("backoff={}", seconds(retries.backoff.duration())));
            let most = retries.max_backoff.duration();
            arguments.push(format!("max_backoff={}", seconds(most)));
        }
        if let Some(deadline) = task.deadline() {
            arguments.push(format!("timeout={}", seconds(deadline)));
        }
        let function = match task.items {
            Items::Each => "each",
            Items::One | Items::At { .. } => "step",
        };
        format!(
            "    {}\n",
            call(4, &format!("{name} = {function}"), &arguments)
        )
    }

    fn assets(&self) -> String {
        let name = string(&self.name);
        let mut text = format!(
            "KEYS = {{asset: dg.AssetKey([{name}, asset]) for asset in LINEAGE}}\n\n\
             assets = dg.AssetsDefinition.from_graph(\n    pipeline,\n    group_name={name},\n    \
             keys_by_output_name=KEYS,\n    internal_asset_deps={{\n        \
             asset: {{KEYS[it] for it in needs}} for asset, needs in LINEAGE.items()\n    }},\n    \
             code_versions_by_output_name={{asset: COMMON[3] for asset in LINEAGE}},\n"
        );
        if self.workflow.partition.is_some() {
            text += "    partitions_def=PARTITIONS,\n";
        }
        text += ")\n\n";
        text += &self.job();
        text += &self.schedule();
        text += &self.definitions();
        text
    }

    fn job(&self) -> String {
        let workflow = self.workflow;
        let mut arguments = vec![string(&self.name), "selection=[assets]".to_owned()];
        if let Some(about) = &workflow.description {
            arguments.push(format!("description={}", string(&prose(about))));
        }
        if let Some(most) = workflow.deployment.parallelism {
            let config = format!("{{\"max_concurrent\": {most}}}");
            let executor = format!("dg.multiprocess_executor.configured({config})");
            arguments.push(format!("executor_def={executor}"));
        }
        format!("{}\n", call(0, "job = dg.define_asset_job", &arguments))
    }

    fn schedule(&self) -> String {
        let Some(schedule) = &self.workflow.deployment.schedule else {
            return String::new();
        };
        let mut arguments = vec!["job=job".to_owned()];
        let before = match &self.workflow.partition {
            None => {
                arguments.push(format!("cron_schedule={}", string(&schedule.cron)));
                let zone = string(&schedule.timezone);
                arguments.push(format!("execution_timezone={zone}"));
                "schedule = dg.ScheduleDefinition"
            }
            // In the time zone of the partitions; for the one that has ended.
            Some(partition) => {
                let fields: Vec<_> = schedule.cron.split_whitespace().collect();
                let field = |at: usize| fields.get(at).and_then(|it| it.parse::<u8>().ok());
                let number = |at: usize| field(at).unwrap_or_default();
                arguments.push(format!("minute_of_hour={}", number(0)));
                arguments.push(format!("hour_of_day={}", number(1)));
                if let Partition::Every(Every::Month) = partition {
                    arguments.push(format!("day_of_month={}", number(2)));
                }
                "# For the partition that has ended.\n\
                 schedule = dg.build_schedule_from_partitioned_job"
            }
        };
        arguments.push("default_status=dg.DefaultScheduleStatus.RUNNING".to_owned());
        format!("\n{}\n", call(0, before, &arguments))
    }

    fn definitions(&self) -> String {
        let mut arguments = vec!["assets=[assets]".to_owned(), "jobs=[job]".to_owned()];
        if self.workflow.deployment.schedule.is_some() {
            arguments.push("schedules=[schedule]".to_owned());
        }
        if !self.workflow.parameters.is_empty() {
            let parameters = "\"parameters\": Parameters.configure_at_launch()";
            arguments.push(format!("resources={{{parameters}}}"));
        }
        format!("\n{}\n", call(0, "defs = dg.Definitions", &arguments))
    }
}

/// The variable of a task, and the name of its asset.
fn variable(task: &Task) -> String {
    own(&task.slug(), &TAKEN)
}

fn attribute(parameter: &Parameter) -> String {
    script::field(&parameter.name, &OF_RESOURCES)
}

/// The type of a parameter.
const fn hint(parameter: &Parameter) -> &'static str {
    match parameter.kind {
        ParameterKind::Text => "str",
        ParameterKind::Integer => "int",
        ParameterKind::Number => "float",
        ParameterKind::Boolean => "bool",
        // One, or a list of them.
        ParameterKind::Json | ParameterKind::Artifact => "Any",
    }
}

/// A parameter as a field of the resource.
fn field(parameter: &Parameter) -> String {
    let before = format!("{}: {}", attribute(parameter), hint(parameter));
    let default = script::default(parameter);
    let Some(about) = script::about(parameter) else {
        return match default {
            Some(default) => format!("    {before} = {default}"),
            None => format!("    {before}"),
        };
    };
    let mut arguments: Vec<_> = default.iter().map(|it| format!("default={it}")).collect();
    arguments.push(format!("description={}", string(&about)));
    format!("    {}", call(4, &format!("{before} = Field"), &arguments))
}
