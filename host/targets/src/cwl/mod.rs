//! Common Workflow Language 1.2: a packed document, and a file of inputs to begin with.
//!
//! There are few tools: one runs a step, and where lists are known only by running, one
//! lists items. What differs from step to step is said where the workflow uses a tool. A
//! tool writes how its step ended to a file, which the next ones are staged: so one comes
//! after the other.

mod inputs;
mod process;
mod tools;

use crate::feature::{Support, host, native, no};
use crate::made;
use crate::yaml::Yaml;
use crate::{Feature, File, Items, Refusal, Target, Workflow};

pub(crate) const fn support(feature: Feature) -> Support {
    match feature {
        Feature::Parameters => native("inputs, with types and defaults"),
        Feature::ArtifactParameters => native("inputs: artifact:NAME, or a File or Directory"),
        Feature::When => host("decided in the task, with exit code 99"),
        Feature::SkippedState => no("successCodes: a task has ended well; its file says skipped"),
        Feature::StaticForeach => native("scatter"),
        Feature::Mapping => native("scatter over what a task lists"),
        Feature::Retries => host("in the task: CWL leaves them to those who run it"),
        Feature::RetryTransientOnly => host("exit code 75; temporaryFailCodes"),
        Feature::Backoff => host("between the attempts"),
        Feature::Timeout => native("ToolTimeLimit, after the host's own"),
        Feature::Memory => native("ResourceRequirement"),
        Feature::PartitionByTime => native("an input"),
        Feature::PartitionByValue => native("an input, with its values"),
        Feature::Schedule | Feature::ScheduledPartition => no("CWL starts nothing by itself"),
        Feature::Parallelism => no("whoever runs it says how many tasks there are at a time"),
        Feature::Processes => native("CommandLineTool"),
        Feature::Containers => native("DockerRequirement"),
        Feature::Settings => native("EnvVarRequirement"),
        Feature::Secrets => native("files that are staged; variables of the machine"),
        Feature::Kubernetes => no("CWL knows no pods"),
    }
}

pub(crate) fn compile(workflow: &Workflow) -> Result<Vec<File>, Vec<Refusal>> {
    let document = Document::new(workflow);
    if let Some(refusal) = document.unreachable_store() {
        return Err(vec![refusal]);
    }
    let mut graph = vec![document.workflow(), document.step()];
    if workflow.maps() {
        graph.push(document.items());
    }
    let packed = Yaml::map([
        ("cwlVersion", Some("v1.2".into())),
        ("$graph", Some(Yaml::List(graph))),
    ]);
    let head = made::comment(workflow, Target::Cwl);
    Ok(vec![
        File {
            path: format!("{}.cwl", workflow.name),
            text: format!("{head}\n{}", packed.document()),
        },
        File {
            path: format!("{}.inputs.yml", workflow.name),
            text: format!("{head}{}", document.inputs_to_begin_with()),
        },
    ])
}

/// What is written, and what is looked up often.
struct Document<'a> {
    workflow: &'a Workflow,
    in_containers: bool,
    has_items: bool,
    retries: bool,
}

impl<'a> Document<'a> {
    fn new(workflow: &'a Workflow) -> Self {
        let any = |has: &dyn Fn(&crate::Task) -> bool| workflow.tasks.iter().any(has);
        Self {
            workflow,
            in_containers: workflow.runs_in_containers(Target::Cwl),
            has_items: any(&|task| task.items != Items::One),
            retries: any(&|task| task.retries.count > 0),
        }
    }

    /// A container sees what is staged, and nothing else.
    fn unreachable_store(&self) -> Option<Refusal> {
        let store = &self.workflow.deployment.store;
        let is_folder = !store.contains("://") || store.starts_with("file://");
        (self.in_containers && is_folder).then(|| {
            let key = format!("stacks.{}.store", self.workflow.deployment.stack);
            let why = format!("the store `{store}` is a folder, which a container cannot reach");
            Refusal::new(Target::Cwl, key, why)
                .hint("use a bucket: s3://, gs:// or az://; or take `image` from the stack")
        })
    }
}

/// A text into which CWL fills nothing, where it would.
fn escaped(text: &str) -> String {
    match text.contains("$(") || text.contains("${") {
        true => text
            .replace('\\', "\\\\")
            .replace("$(", "\\$(")
            .replace("${", "\\${"),
        false => text.to_owned(),
    }
}

/// What refers to an input.
fn reference(name: &str) -> String {
    match name.contains('-') {
        true => format!("$(inputs['{name}'])"),
        false => format!("$(inputs.{name})"),
    }
}
