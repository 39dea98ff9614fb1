//! Kubeflow Pipelines 2: one file of Python, with a container component for each step.
//!
//! What a step is given besides its name comes in one piece: the executor input
//! (`{{$}}`), which has the parameters, typed, and where outputs go. From it the host
//! writes what its artifacts are, so that Kubeflow shows them; data itself stays in the
//! store. So the order of tasks is told by `after`.
//!
//! Kubeflow has a cache of its own, by names and not by content: it is turned off.

mod components;
mod names;
mod pipeline;

use crate::feature::{Support, host, native, no};
use crate::names::{Rule, check};
use crate::python::{prose, string};
use crate::{Feature, File, Items, Refusal, Target, Task, Workflow};
use crate::{names::identifier, pods};
use names::Names;

pub(crate) const fn support(feature: Feature) -> Support {
    match feature {
        Feature::Parameters => native("parameters of the pipeline, with types"),
        Feature::ArtifactParameters => native("parameters: artifact:NAME"),
        Feature::When => host("decided in the task, which then succeeds"),
        Feature::SkippedState => no("it succeeds, and its log says so"),
        Feature::StaticForeach => native("a task for each item"),
        Feature::Mapping => native("dsl.ParallelFor"),
        Feature::Retries => host("in the task: set_retry looks at no exit code"),
        Feature::RetryTransientOnly | Feature::Backoff => host("in the task"),
        Feature::Timeout => native("kubernetes.set_timeout, after the host's own"),
        Feature::Memory => native("set_memory_limit"),
        Feature::PartitionByTime | Feature::PartitionByValue => {
            native("a parameter of the pipeline")
        }
        Feature::Schedule | Feature::ScheduledPartition => {
            no("recurring runs are made in its cluster, and have no time zone")
        }
        Feature::Parallelism => native("of loops: dsl.ParallelFor(parallelism=..)"),
        Feature::Processes => no("its tasks are containers"),
        Feature::Containers => native("container components"),
        Feature::Settings => native("set_env_variable"),
        Feature::Secrets => native("kubernetes.use_secret_as_env"),
        Feature::Kubernetes => native("of tasks; namespace and service account of the run"),
    }
}

/// Names of pipelines.
const PIPELINE: Rule = Rule {
    most: 128,
    inside: "-",
    capitals: false,
};

/// Names of tasks.
const TASK: Rule = Rule {
    most: 128,
    ..PIPELINE
};

pub(crate) fn compile(workflow: &Workflow) -> Result<Vec<File>, Vec<Refusal>> {
    let target = Target::Kfp;
    let mut refusals = check(target, workflow, PIPELINE, TASK);
    refusals.extend(pods::own_parameter(target, workflow));
    refusals.extend(pods::marked(target, workflow, "{{$"));
    refusals.extend(pods::marked_defaults(target, workflow, "{{$"));
    refusals.extend(crate::names::alike(target, workflow));
    refusals.extend(names::alike(workflow));
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let module = Module {
        workflow,
        names: Names::of(workflow),
    };
    Ok(vec![File {
        path: format!("{}.py", identifier(&workflow.name)),
        text: module.text(),
    }])
}

struct Module<'a> {
    workflow: &'a Workflow,
    names: Names,
}

impl Module<'_> {
    fn text(&self) -> String {
        let mut parts = vec![self.constants()];
        for task in self.steps() {
            if task.items == Items::Each {
                parts.push(self.listing(task));
            }
            parts.push(self.component(task));
        }
        parts.push(self.configured());
        for task in self.steps() {
            if task.items == Items::Each {
                parts.push(self.each(task));
            }
        }
        parts.push(self.pipeline());
        parts.push(self.main());
        let parts: Vec<_> = parts.iter().map(|part| part.trim_matches('\n')).collect();
        format!("{}\n\n{}\n", self.head(), parts.join("\n\n\n"))
    }

    /// The first task of each step.
    fn steps(&self) -> impl Iterator<Item = &Task> {
        let tasks = self.workflow.tasks.iter();
        tasks.filter(|task| !matches!(task.items, Items::At { index: 1.., .. }))
    }

    fn head(&self) -> String {
        let workflow = self.workflow;
        let about = workflow.description.as_deref();
        let about = about.map_or_else(String::new, |about| format!(": {}", prose(about)));
        let stack = match &*workflow.deployment.stack {
            "" => String::new(),
            stack => format!(" --stack {stack}"),
        };
        format!(
            "\"\"\"{}{about}\n\n\
             Made by `wharf pipeline compile {} --target kfp{stack}`.\n\
             Change the pipeline, and make this anew. The pipeline itself is in the store: a task\n\
             needs that and `wharf`, and nothing else.\n\
             \"\"\"\n\n\
             from kfp import Client, dsl, kubernetes\n",
            workflow.name,
            prose(&workflow.file),
        )
    }

    fn constants(&self) -> String {
        let deployment = &self.workflow.deployment;
        let image = deployment.image.as_deref().unwrap_or_default();
        let mut text = format!(
            "IMAGE = {}\nCOMMAND = [{}]\n",
            string(image),
            string(&deployment.command)
        );
        text += &self.arguments("STEP", "exec");
        if self.workflow.maps() {
            text += &self.arguments("ITEMS", "items");
        }
        text
    }

    /// The beginning of what starts tasks.
    fn arguments(&self, name: &str, command: &str) -> String {
        let pair = |a: &str, b: &str| format!("    {}, {},\n", string(a), string(b));
        let mut text = format!("\n{name} = [\n");
        text += &pair("step", command);
        text += &pair("--store", &self.workflow.deployment.store);
        text += &pair("--pipeline", &self.workflow.pipeline.to_string());
        text += "    \"--run-id\", dsl.PIPELINE_JOB_ID_PLACEHOLDER,\n";
        // Parameters, and where outputs go.
        text += &pair("--executor-input", "{{$}}");
        if command == "exec" {
            // The host decides whether a step runs; Kubeflow knows success and failure.
            text += &pair("--skip-exit-code", "0");
            if self.workflow.tasks.iter().any(|it| it.retries.count > 0) {
                text += &pair("--retries", "step");
            }
        }
        text + "]\n"
    }
}
