//! GitHub Actions: one workflow, with a job for each step.
//!
//! Where the stack has an image, jobs run on GitHub's own machines, in a container of it;
//! else on machines of yours that have `wharf`, which have the label `wharf`, too. No action
//! of anybody is used. Nothing that a run is given becomes text of a shell: it is in the
//! environment.

mod inputs;
mod jobs;

use crate::feature::{Support, host, native, no};
use crate::names;
use crate::yaml::Yaml;
use crate::{Feature, File, Items, Parameter, Refusal, Target, Workflow, made};
use wharf_model::stack::SecretReference;

pub(crate) const fn support(feature: Feature) -> Support {
    match feature {
        Feature::Parameters => native("inputs, with a form and types"),
        Feature::ArtifactParameters => native("inputs: artifact:NAME"),
        Feature::When => host("decided in the job; its summary says so"),
        Feature::SkippedState => no("a job that skips its step is green; its summary says so"),
        Feature::StaticForeach => native("matrix, up to 256 items"),
        Feature::Mapping => native("matrix of what a job lists, up to 256 items"),
        Feature::Retries => host("in the job: GitHub has none"),
        Feature::RetryTransientOnly => host("exit code 75, in the job"),
        Feature::Backoff => host("between the attempts"),
        Feature::Timeout => native("timeout-minutes, after the host's own"),
        Feature::Memory => native("docker run --memory; the host's limit in processes"),
        Feature::PartitionByTime => native("an input"),
        Feature::PartitionByValue => native("an input, with its values"),
        Feature::Schedule => native("schedule, with its time zone"),
        Feature::ScheduledPartition => native("schedule; the time is told by the first job"),
        Feature::Parallelism => no("as many jobs as machines; max-parallel within a step"),
        Feature::Processes => native("run, on a machine with the label wharf"),
        Feature::Containers => native("docker run, on GitHub's machines"),
        Feature::Settings => native("env"),
        Feature::Secrets => native("secrets of the repository; files of your machines"),
        Feature::Kubernetes => no("jobs are no pods"),
    }
}

/// Most fields of a form.
const MOST_INPUTS: usize = 25;

/// Most jobs of a matrix.
const MOST_JOBS: usize = 256;

/// The longest that GitHub's own machines run a job, in minutes.
const HOSTED_MINUTES: u64 = 360;

pub(crate) fn compile(workflow: &Workflow) -> Result<Vec<File>, Vec<Refusal>> {
    let actions = Actions {
        workflow,
        hosted: workflow.runs_in_containers(Target::GithubActions),
    };
    let refusals = actions.refusals();
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let head = made::comment(workflow, Target::GithubActions);
    Ok(vec![File {
        path: format!(".github/workflows/{}.yaml", workflow.name),
        // YAML once took `on` for a value, hence the quotes, which nobody writes here.
        text: format!("{head}\n{}", actions.document().document()).replacen(
            "\n\"on\":",
            "\non:",
            1,
        ),
    }])
}

struct Actions<'a> {
    workflow: &'a Workflow,
    /// Whether jobs run on machines of GitHub.
    hosted: bool,
}

impl Actions<'_> {
    fn document(&self) -> Yaml {
        let workflow = self.workflow;
        let partition = workflow.partition.as_ref();
        let title = partition.map(|_| "${{ github.workflow }} ${{ inputs.partition }}".into());
        Yaml::map([
            ("name", Some((&*workflow.name).into())),
            ("run-name", title),
            ("on", Some(self.triggers())),
            ("permissions", Some(Yaml::Map(Vec::new()))),
            ("env", Some(self.environment())),
            ("jobs", Some(self.jobs())),
        ])
    }

    fn refusals(&self) -> Vec<Refusal> {
        let mut refusals = self.clashes();
        refusals.extend(self.too_many());
        refusals.extend(self.unreachable());
        refusals
    }

    fn clashes(&self) -> Vec<Refusal> {
        let workflow = self.workflow;
        let listed = workflow.tasks.iter().filter(|it| it.items == Items::Each);
        let listed = listed.map(|task| (jobs::listing(&task.step), &*task.step));
        let steps = workflow.steps();
        let steps = steps
            .iter()
            .map(|step| (step.task.step.clone(), &*step.task.step));
        let mut refusals = names::distinct(Target::GithubActions, listed.chain(steps));
        let is_own = |parameter: &&Parameter| parameter.name == "partition";
        if workflow.partition.is_some() && workflow.parameters.iter().any(|it| is_own(&it)) {
            let why = "the form has a field `partition` that says which partition a run is for";
            refusals.push(
                Refusal::new(Target::GithubActions, "parameters.partition", why)
                    .hint("give the parameter another name"),
            );
        }
        refusals
    }

    fn too_many(&self) -> Vec<Refusal> {
        let workflow = self.workflow;
        let mut refusals = Vec::new();
        let fields = workflow.parameters.len() + usize::from(workflow.partition.is_some());
        if fields > MOST_INPUTS {
            let why = format!("a form has at most {MOST_INPUTS} fields, and it needs {fields}");
            refusals.push(
                Refusal::new(Target::GithubActions, "parameters", why)
                    .hint("fix some of them when compiling"),
            );
        }
        for step in workflow.steps() {
            let task = step.task;
            if let Items::At { of, .. } = task.items
                && of > MOST_JOBS
            {
                let key = format!("steps.{}.foreach", task.step);
                let why = format!("it has {of} items; a matrix has at most {MOST_JOBS} jobs");
                let refusal = Refusal::new(Target::GithubActions, key, why);
                refusals.push(refusal.hint("make several pipelines of it"));
            }
            let minutes = task.deadline().map(jobs::minutes);
            if self.hosted && minutes.is_some_and(|minutes| minutes > HOSTED_MINUTES) {
                let key = format!("steps.{}.timeout", task.step);
                let why = "GitHub's own machines run a job for at most 6 hours";
                refusals.push(
                    Refusal::new(Target::GithubActions, key, why)
                        .hint("take `image` from the stack, and run it on a machine of yours"),
                );
            }
        }
        refusals
    }

    /// What machines of GitHub cannot have.
    fn unreachable(&self) -> Vec<Refusal> {
        let deployment = &self.workflow.deployment;
        let key = |key: &str| format!("stacks.{}.{key}", deployment.stack);
        let mut refusals = Vec::new();
        let store = &deployment.store;
        if self.hosted && (!store.contains("://") || store.starts_with("file://")) {
            let why = format!("the store `{store}` is a folder, which GitHub's machines have not");
            refusals.push(
                Refusal::new(Target::GithubActions, key("store"), why)
                    .hint("use a bucket: s3://, gs:// or az://; or take `image` from the stack"),
            );
        }
        for (_, secret) in self.secrets() {
            let first = secret.chars().next();
            let letters = first.is_some_and(|c| !c.is_ascii_digit())
                && secret
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !letters || secret.to_ascii_uppercase().starts_with("GITHUB_") {
                let why = format!("GitHub has no secret that is called `{secret}`");
                let refusal = Refusal::new(Target::GithubActions, key("secrets"), why);
                refusals.push(refusal.hint("use letters, digits and `_`"));
            }
        }
        refusals
    }

    /// Variables that are secrets of the repository: their name, and that of the secret.
    fn secrets(&self) -> Vec<(&str, &str)> {
        let secrets = self.workflow.deployment.secrets.iter();
        let secrets = secrets.filter_map(|(name, reference)| match reference {
            SecretReference::Env(secret) => Some((name.as_str(), secret.as_str())),
            // A file is where somebody has put it: on a machine of yours.
            SecretReference::File(_) if self.hosted => Some((name.as_str(), name.as_str())),
            SecretReference::File(_) => None,
        });
        secrets.collect()
    }
}

/// A text that GitHub fills nothing into.
fn escaped(text: &str) -> String {
    text.replace("${{", "${{ '${{' }}")
}
