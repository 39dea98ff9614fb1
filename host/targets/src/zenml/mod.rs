//! ZenML 0.98: one file with a pipeline.
//!
//! A step is a step, and each of its outputs an artifact of ZenML that says where it is in
//! the store. The other way, a parameter that is an artifact may be one of ZenML: a first
//! step brings it into the store. A pipeline with a list that only a run knows is a
//! dynamic one.
//!
//! ZenML tries all failures again or none, so that the host tries again what may pass.

mod naming;
mod text;

use std::fmt::Write as _;
use std::time::Duration;

use wharf_model::pipeline::Partition;

use crate::feature::{Support, host, native, no};
use crate::names;
use crate::python::{prose, string};
use crate::script::{self, call, function, list, seconds};
use crate::{Feature, File, Items, Parameter, ParameterKind, Refusal, Target, Task, Workflow};
use naming::{NAMES, OF_STEPS, TAKEN, listing, local, step};

pub(crate) const fn support(feature: Feature) -> Support {
    match feature {
        Feature::Parameters => native("parameters of the pipeline, with types"),
        Feature::ArtifactParameters => native("parameters: zenml:NAME, artifact:NAME, or a path"),
        Feature::When => host("decided in the step"),
        Feature::SkippedState => no("its metadata says so: its own are of replays"),
        Feature::StaticForeach => native("a step for each item"),
        Feature::Mapping => native("a dynamic pipeline: map"),
        Feature::Retries => host("in the step: ZenML does not look at why it failed"),
        Feature::RetryTransientOnly => host("in the step"),
        Feature::Backoff => host("in the step"),
        Feature::Timeout => host("the host's own; steps have none"),
        Feature::Memory => native("ResourceSettings; the host's limit in processes"),
        Feature::PartitionByTime => native("a parameter"),
        Feature::PartitionByValue => native("a parameter with choices"),
        Feature::Schedule | Feature::ScheduledPartition => no("its schedules have no time zone"),
        Feature::Parallelism => no("a matter of its orchestrator"),
        Feature::Processes => native("processes of steps"),
        Feature::Containers => no("they need ZenML, too: add `wharf` to their image"),
        Feature::Settings => native("variables of the process"),
        Feature::Secrets => native("variables of the process"),
        Feature::Kubernetes => no("pods are those of its own stack"),
    }
}

pub(crate) fn compile(workflow: &Workflow) -> Result<Vec<File>, Vec<Refusal>> {
    let target = Target::Zenml;
    let mut refusals = names::check(target, workflow, NAMES, NAMES);
    refusals.extend(script::no_parameter_partition(target, workflow));
    refusals.extend(script::collisions(target, workflow, |task| {
        match task.items {
            Items::Each => vec![listing(task), task.slug()],
            Items::One | Items::At { .. } => vec![task.slug()],
        }
    }));
    let steps: Vec<_> = workflow.tasks.iter().map(step).collect();
    let mut name = function(&workflow.name, &TAKEN);
    while steps.contains(&name) {
        name.push('_');
    }
    let pipeline = Pipeline { workflow, name };
    refusals.extend(script::alike(target, workflow, |it| pipeline.argument(it)));
    if !refusals.is_empty() {
        return Err(refusals);
    }
    Ok(vec![File {
        path: format!("{}_pipeline.py", function(&workflow.name, &[])),
        text: pipeline.text(),
    }])
}

struct Pipeline<'a> {
    workflow: &'a Workflow,
    /// The name of the pipeline as an identifier, unlike those of the steps.
    name: String,
}

impl Pipeline<'_> {
    fn text(&self) -> String {
        let workflow = self.workflow;
        let nothing = match workflow.maps() {
            true => "# The one item of a list that has none.\nNOTHING = -1\n",
            false => "",
        };
        let mut parts = vec![
            format!(
                "{}{nothing}\n# Where an output is, and what it is.\n\
                 Output = Optional[Dict[str, Any]]\n",
                script::constants(workflow)
            ),
            text::execute(workflow, self.has_chosen()),
        ];
        if self.takes_artifacts() {
            parts.push(text::artifacts(&workflow.name));
        }
        if self.has_chosen() {
            parts.push(self.chosen());
        }
        if workflow.maps() {
            parts.push(text::items(self.has_chosen()));
        }
        parts.extend(self.steps());
        parts.push(self.pipeline());
        if self
            .parameters()
            .iter()
            .all(|(_, default)| default.is_some())
        {
            parts.push(format!(
                "if __name__ == \"__main__\":\n    {}()\n",
                self.name
            ));
        }
        let parts = parts.iter().map(|part| part.trim_matches('\n'));
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        format!(
            "{}\n{}\n\n{}\n",
            script::head(Target::Zenml, workflow, ""),
            self.imports(),
            parts.join("\n\n\n"),
        )
    }

    /// Whether there is anything that a run chooses.
    fn has_chosen(&self) -> bool {
        !self.workflow.parameters.is_empty() || self.workflow.partition.is_some()
    }

    fn takes_artifacts(&self) -> bool {
        let mut parameters = self.workflow.parameters.iter();
        parameters.any(|it| it.kind == ParameterKind::Artifact)
    }

    fn imports(&self) -> String {
        let workflow = self.workflow;
        let mut typing = vec!["Annotated", "Any", "Dict", "Optional"];
        if workflow.maps() || self.takes_artifacts() {
            typing.push("List");
        }
        if let Some(Partition::Values(_)) = workflow.partition {
            typing.push("Literal");
        }
        if workflow.tasks.iter().any(|task| !task.outputs.is_empty()) {
            typing.push("Tuple");
        }
        if self.takes_artifacts() {
            typing.push("Union");
        }
        typing.sort_unstable();
        let mut zenml = vec!["get_step_context", "log_metadata", "pipeline", "step"];
        if workflow.maps() {
            zenml.push("unmapped");
        }
        let client = match self.takes_artifacts() {
            true => "from zenml.client import Client\n",
            false => "",
        };
        format!(
            "import json\nimport os\nimport subprocess\nimport tempfile\nfrom pathlib import Path\n\
             from typing import {}\n\nfrom zenml import {}\n{client}\
             from zenml.config import ResourceSettings\n\
             from zenml.metadata.metadata_types import StorageSize, Uri\n",
            typing.join(", "),
            zenml.join(", "),
        )
    }

    /// The step that has what a run chose.
    fn chosen(&self) -> String {
        let artifacts: Vec<_> = self.artifacts().map(|it| self.argument(it)).collect();
        let mut arguments = vec!["chosen: Dict[str, Any]".to_owned()];
        arguments.extend(artifacts.iter().map(|name| format!("{name}: Any = None")));
        let signature = call(0, "def run_parameters", &arguments);
        let mut text = format!(
            "@step\n{signature} -> Annotated[\n    Dict[str, Any], {}\n]:\n    \
             \"\"\"What was chosen, for all steps.\"\"\"\n",
            string(&format!("{}.parameters", self.workflow.name))
        );
        for parameter in self.artifacts() {
            let (name, argument) = (string(&parameter.name), self.argument(parameter));
            let _ = writeln!(text, "    chosen[{name}] = bring({name}, {argument})");
        }
        text + "    return chosen\n"
    }

    fn artifacts(&self) -> impl Iterator<Item = &Parameter> {
        let parameters = self.workflow.parameters.iter();
        parameters.filter(|it| it.kind == ParameterKind::Artifact)
    }

    /// A step for each step, whichever items it runs for.
    fn steps(&self) -> Vec<String> {
        let tasks = self.workflow.tasks.iter();
        let tasks = tasks.filter(|task| !matches!(task.items, Items::At { index: 1.., .. }));
        tasks.map(|task| self.step(task)).collect()
    }

    fn step(&self, task: &Task) -> String {
        let name = format!("{}.{}", self.workflow.name, task.step);
        let mut arguments = Vec::new();
        if self.has_chosen() {
            arguments.push("chosen: Dict[str, Any]".to_owned());
        }
        let is_item = task.items != Items::One;
        if is_item {
            arguments.push("item: int".to_owned());
        }
        let outputs = task.outputs.iter();
        let mut returns: Vec<_> = outputs
            .map(|output| {
                let name = string(&format!("{name}.{}", output.name));
                format!("Annotated[Output, {name}]")
            })
            .collect();
        returns.push(format!("Annotated[Any, {}]", string(&name)));
        let signature = call(0, &format!("def {}", step(task)), &arguments);
        let signature = match &returns[..] {
            [results] => format!("{signature} -> {results}"),
            several => {
                // One bracket more comes after it.
                let before = format!("{signature} -> Tuple");
                script::enclosed(1, &before, several, ['[', ']']).replace("\n ", "\n")
            }
        };
        let memory = task.memory.0.div_ceil(1 << 20);
        let settings = format!("{{\"resources\": ResourceSettings(memory=\"{memory}MiB\")}}");
        let once = if is_item { ", once for each item" } else { "" };
        format!(
            "@step(settings={settings})\n{signature}:\n    \"\"\"{}{once}.\"\"\"\n{}",
            task.summary(),
            self.execution(task),
        )
    }

    /// What a step does: ZenML sees several outputs where a tuple is returned as such.
    fn execution(&self, task: &Task) -> String {
        let mut names: Vec<_> = task.outputs.iter().map(|it| local(&it.name)).collect();
        if names.is_empty() {
            let executed = call(4, "return execute", &self.execution_arguments(task));
            return format!("    {executed}\n");
        }
        names.push("results".to_owned());
        let names = names.join(", ");
        let before = format!("{names} = execute");
        let executed = call(4, &before, &self.execution_arguments(task));
        format!("    {executed}\n    return {names}\n")
    }

    fn execution_arguments(&self, task: &Task) -> Vec<String> {
        let mut arguments = vec![string(&task.step)];
        if self.has_chosen() {
            arguments.push("chosen".to_owned());
        }
        if !task.outputs.is_empty() {
            let names: Vec<_> = task.outputs.iter().map(|it| string(&it.name)).collect();
            arguments.push(list(8, "outputs=", &names));
        }
        if task.items != Items::One {
            arguments.push("item=item".to_owned());
        }
        if task.retries.count > 0 {
            arguments.push("retries=\"step\"".to_owned());
        }
        if let Some(timeout) = longest(task) {
            arguments.push(format!("timeout={}", seconds(timeout)));
        }
        arguments
    }

    /// Parameters of the pipeline with their defaults; those without come first.
    fn parameters(&self) -> Vec<(String, Option<String>)> {
        let partition = self.workflow.partition.as_ref().map(|partition| {
            let ty = match partition {
                Partition::Every(_) => "str".to_owned(),
                Partition::Values(values) => {
                    let values = values.iter().map(|value| string(value.as_str()));
                    format!("Literal[{}]", values.collect::<Vec<_>>().join(", "))
                }
            };
            (format!("partition: {ty}"), None)
        });
        let parameters = self.workflow.parameters.iter().map(|it| {
            let name = format!("{}: {}", self.argument(it), hint(it));
            (name, script::default(it))
        });
        let all = partition.into_iter().chain(parameters);
        let (given, chosen): (Vec<_>, Vec<_>) = all.partition(|(_, default)| default.is_none());
        given.into_iter().chain(chosen).collect()
    }

    fn pipeline(&self) -> String {
        let workflow = self.workflow;
        let parameters: Vec<_> = self
            .parameters()
            .into_iter()
            .map(|(name, default)| match default {
                Some(default) => format!("{name} = {default}"),
                None => name,
            })
            .collect();
        // The host knows what need not run again.
        let mut options = vec![
            format!("name={}", string(&workflow.name)),
            "enable_cache=False".to_owned(),
        ];
        if workflow.maps() {
            options.push("dynamic=True".to_owned());
        }
        options.push("tags=[\"wharf\"]".to_owned());
        let mut text = format!(
            "{}\n{}:\n{}",
            call(0, "@pipeline", &options),
            call(0, &format!("def {}", self.name), &parameters),
            self.docstring(),
        );
        if self.has_chosen() {
            text += &self.choice();
        }
        if workflow.maps() {
            text += "    done = {}\n";
        }
        for task in &workflow.tasks {
            text += &match workflow.maps() {
                true => self.submitted(task),
                false => self.called(task),
            };
        }
        text
    }

    fn docstring(&self) -> String {
        let workflow = self.workflow;
        let about = workflow.description.as_deref();
        let about = about.map_or_else(|| format!("Runs {}.", workflow.name), prose);
        let about = script::ended(&about);
        let mut lines: Vec<_> = workflow
            .partition
            .iter()
            .map(|it| format!("partition: {}", script::about_partition(it)))
            .collect();
        lines.extend(workflow.parameters.iter().filter_map(|it| {
            let about = script::about(it)?;
            Some(format!("{}: {about}", self.argument(it)))
        }));
        if lines.is_empty() {
            return format!("    \"\"\"{about}\"\"\"\n");
        }
        let lines: String = lines
            .iter()
            .map(|line| format!("        {line}\n"))
            .collect();
        format!("    \"\"\"{about}\n\n    Args:\n{lines}    \"\"\"\n")
    }

    /// Hands what was chosen to the step that has it for all.
    fn choice(&self) -> String {
        let workflow = self.workflow;
        let mut entries: Vec<_> = workflow
            .partition
            .iter()
            .map(|_| "\"partition\": partition".to_owned())
            .collect();
        let values = workflow.parameters.iter();
        let values = values.filter(|it| it.kind != ParameterKind::Artifact);
        entries.extend(values.map(|it| format!("{}: {}", string(&it.name), self.argument(it))));
        let object = script::enclosed(4, "values = ", &entries, ['{', '}']);
        let mut arguments = vec!["values".to_owned()];
        arguments.extend(self.artifacts().map(|it| {
            let name = self.argument(it);
            format!("{name}=artifact({name})")
        }));
        let chosen = call(4, "chosen = run_parameters", &arguments);
        format!("    {object}\n    {chosen}\n")
    }

    /// What a step is given.
    fn arguments(&self, task: &Task) -> Vec<String> {
        let mut arguments = Vec::new();
        if self.has_chosen() {
            arguments.push("chosen".to_owned());
        }
        if let Items::At { index, .. } = task.items {
            arguments.push(format!("item={index}"));
        }
        arguments
    }

    /// A step of a pipeline that is known before it runs.
    fn called(&self, task: &Task) -> String {
        let tasks = &self.workflow.tasks;
        let mut arguments = self.arguments(task);
        arguments.push(format!("id={}", string(&task.slug())));
        if !task.needs.is_empty() {
            let needs = task.needs.iter().map(|on| string(&tasks[*on].slug()));
            arguments.push(list(8, "after=", &needs.collect::<Vec<_>>()));
        }
        format!("    {}\n", call(4, &step(task), &arguments))
    }

    /// A step of a dynamic pipeline.
    fn submitted(&self, task: &Task) -> String {
        let done = |name: &str| format!("done[{}]", string(name));
        let tasks = &self.workflow.tasks;
        let needs = task.needs.iter().map(|on| done(&tasks[*on].slug()));
        let needs: Vec<_> = needs.collect();
        let after = (!needs.is_empty()).then(|| list(8, "after=", &needs));
        let variable = done(&task.slug());
        if task.items != Items::Each {
            let mut arguments = self.arguments(task);
            arguments.push(format!("id={}", string(&task.slug())));
            arguments.extend(after);
            let before = format!("{variable} = {}.submit", step(task));
            return format!("    {}\n", call(4, &before, &arguments));
        }
        let mut arguments = self.arguments(task);
        arguments.push(format!("name={}", string(&task.step)));
        arguments.push(format!("id={}", string(&listing(task))));
        arguments.extend(after);
        let listed = call(4, "listed = items.submit", &arguments);
        let mut arguments = Vec::new();
        if self.has_chosen() {
            arguments.push("chosen=unmapped(chosen)".to_owned());
        }
        arguments.push("item=listed".to_owned());
        let before = format!("{variable} = {}.map", step(task));
        format!("    {listed}\n    {}\n", call(4, &before, &arguments))
    }

    /// A parameter as an argument, which must not hide a step.
    fn argument(&self, parameter: &Parameter) -> String {
        let plain = script::field(&parameter.name, &OF_STEPS);
        let mut tasks = self.workflow.tasks.iter();
        match TAKEN.contains(&&*plain) || tasks.any(|it| step(it) == plain) {
            true => format!("{plain}_parameter"),
            false => plain,
        }
    }
}

/// How long all attempts of the host may take.
fn longest(task: &Task) -> Option<Duration> {
    let deadline = task.deadline()?;
    let retries = task.retries;
    let waits = retries.max_backoff.duration().saturating_mul(retries.count);
    Some(
        deadline
            .saturating_mul(retries.count.saturating_add(1))
            .saturating_add(waits),
    )
}

/// The type of a parameter.
const fn hint(parameter: &Parameter) -> &'static str {
    match (parameter.kind, &parameter.default) {
        (ParameterKind::Text, _) => "str",
        (ParameterKind::Integer, _) => "int",
        (ParameterKind::Number, _) => "float",
        (ParameterKind::Boolean, _) => "bool",
        (ParameterKind::Json, _) => "Any",
        (ParameterKind::Artifact, Some(_)) => "Optional[Union[str, List[str]]]",
        (ParameterKind::Artifact, None) => "Union[str, List[str]]",
    }
}
