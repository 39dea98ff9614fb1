//! Tasks that are pods, for targets that are written in YAML: what the fields of a
//! container of Kubernetes are.

use std::time::Duration;

use serde_json::Value as Json;
use wharf_model::limits::Bytes;
use wharf_model::pipeline::{Every, Partition};

use crate::yaml::Yaml;
use crate::{Parameter, ParameterKind, Refusal, Target, Task, Workflow};

/// Where a container has room for files: it has no other place that it can write to.
pub(crate) const TMP: &str = "/tmp";

/// The user that a container runs as is that of the image, but never root.
pub(crate) fn security_context() -> Yaml {
    Yaml::map([
        ("allowPrivilegeEscalation", Some(false.into())),
        (
            "capabilities",
            Some(Yaml::map([("drop", Some(Yaml::list(["ALL"])))])),
        ),
        ("readOnlyRootFilesystem", Some(true.into())),
        ("runAsNonRoot", Some(true.into())),
        (
            "seccompProfile",
            Some(Yaml::map([("type", Some("RuntimeDefault".into()))])),
        ),
    ])
}

/// The volume for [`TMP`].
pub(crate) fn volumes() -> Yaml {
    Yaml::List(vec![Yaml::map([
        ("name", Some("tmp".into())),
        ("emptyDir", Some(Yaml::Map(Vec::new()))),
    ])])
}

/// Where a container has it.
pub(crate) fn volume_mounts() -> Yaml {
    Yaml::List(vec![Yaml::map([
        ("name", Some("tmp".into())),
        ("mountPath", Some(TMP.into())),
    ])])
}

/// What a task is given: memory is what its step was promised, asked for and never
/// exceeded.
pub(crate) fn resources(workflow: &Workflow, memory: Bytes) -> Yaml {
    let memory = quantity(memory);
    let cpu = workflow.deployment.kubernetes.cpu.clone();
    Yaml::map([
        (
            "requests",
            Some(Yaml::map([
                ("cpu", cpu.map(Yaml::from)),
                ("memory", Some(memory.clone().into())),
            ])),
        ),
        ("limits", Some(Yaml::map([("memory", Some(memory.into()))]))),
    ])
}

/// Bytes as Kubernetes writes them, rounded up to a MiB.
pub(crate) fn quantity(bytes: Bytes) -> String {
    format!("{}Mi", bytes.0.div_ceil(1 << 20))
}

/// A variable, and its value.
pub(crate) fn variable(name: &str, value: impl Into<Yaml>) -> Yaml {
    Yaml::map([("name", Some(name.into())), ("value", Some(value.into()))])
}

/// A variable whose value is a field of the pod.
pub(crate) fn field(name: &str, path: &str) -> Yaml {
    let from = Yaml::map([("fieldPath", Some(path.into()))]);
    let from = Yaml::map([("fieldRef", Some(from))]);
    Yaml::map([("name", Some(name.into())), ("valueFrom", Some(from))])
}

/// The settings and the secrets of the stack. They come after what a run gives, since
/// Kubernetes fills in what was said before: no value of a run can name a secret.
pub(crate) fn settings(workflow: &Workflow) -> Vec<Yaml> {
    let deployment = &workflow.deployment;
    let settings = deployment.environment.iter();
    let settings = settings.map(|(name, value)| variable(name, literal(value)));
    let secret = deployment.kubernetes.secret.as_deref().unwrap_or_default();
    let secrets = deployment.secrets.keys().map(|name| {
        let key = Yaml::map([
            ("name", Some(secret.into())),
            ("key", Some(name.as_str().into())),
        ]);
        let from = Yaml::map([("secretKeyRef", Some(key))]);
        Yaml::map([
            ("name", Some(name.as_str().into())),
            ("valueFrom", Some(from)),
        ])
    });
    settings.chain(secrets).collect()
}

/// A text that Kubernetes takes as it is: in arguments and values of variables, `$(NAME)`
/// is the value of a variable, and `$$` is `$`.
pub(crate) fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// The labels of machines that pods run on.
pub(crate) fn node_selector(workflow: &Workflow) -> Option<Yaml> {
    let labels = workflow.deployment.kubernetes.node_selector.iter();
    let labels = labels.map(|(name, value)| (name.clone(), value.as_str().into()));
    Yaml::Map(labels.collect()).unless_empty()
}

/// A name, and the namespace that the stack says.
pub(crate) fn metadata(workflow: &Workflow, key: &str, name: String) -> Yaml {
    let namespace = workflow.deployment.kubernetes.namespace.clone();
    Yaml::map([
        (key, Some(name.into())),
        ("namespace", namespace.map(Yaml::from)),
    ])
}

/// Seconds, rounded up.
pub(crate) fn seconds(time: Duration) -> i64 {
    let seconds = time.as_millis().div_ceil(1_000);
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// A length of time as Go writes it.
pub(crate) fn duration(time: Duration) -> String {
    let (all, millis) = (time.as_secs(), time.subsec_millis());
    let (hours, minutes, seconds) = (all / 3_600, all / 60 % 60, all % 60);
    match (millis, hours, minutes) {
        (1.., ..) => format!("{}ms", time.as_millis()),
        (_, 1.., _) => format!("{hours}h{minutes}m{seconds}s"),
        (_, _, 1..) => format!("{minutes}m{seconds}s"),
        _ => format!("{seconds}s"),
    }
}

/// A value of a parameter as text: what the command line would be given. No text is the
/// default of an artifact.
pub(crate) fn default(parameter: &Parameter) -> Option<String> {
    let default = parameter.default.as_ref()?;
    Some(match (parameter.kind, default) {
        (ParameterKind::Artifact, _) => String::new(),
        (_, Json::String(text)) => text.clone(),
        (_, other) => other.to_string(),
    })
}

/// What a parameter is, for people who choose it.
pub(crate) fn description(parameter: &Parameter) -> Option<String> {
    let artifact = match (parameter.kind, &parameter.default) {
        (ParameterKind::Artifact, Some(Json::String(path))) => {
            Some(format!("an artifact (artifact:NAME); {path} by default"))
        }
        (ParameterKind::Artifact, Some(paths)) => {
            Some(format!("an artifact (artifact:NAME); {paths} by default"))
        }
        (ParameterKind::Artifact, None) => Some("an artifact (artifact:NAME)".to_owned()),
        (ParameterKind::Json, _) => Some("as JSON".to_owned()),
        _ => None,
    };
    match (&parameter.description, artifact) {
        (Some(about), Some(what)) => Some(format!("{} ({what})", line(about))),
        (Some(about), None) => Some(line(about)),
        (None, what) => what,
    }
}

/// What the parameter says that tells which partition a run is for.
pub(crate) fn partition_description(partition: &Partition) -> String {
    match partition {
        Partition::Every(Every::Month) => "the month, such as 2013-01".to_owned(),
        Partition::Every(Every::Day) => "the day, such as 2013-01-31".to_owned(),
        Partition::Values(values) => {
            let values: Vec<_> = values.iter().map(|value| value.as_str()).collect();
            format!("one of {}", values.join(", "))
        }
    }
}

/// A target has a parameter `partition` of its own, where the pipeline has partitions.
pub(crate) fn own_parameter(target: Target, workflow: &Workflow) -> Option<Refusal> {
    workflow.partition.as_ref()?;
    let mut parameters = workflow.parameters.iter();
    parameters.find(|parameter| parameter.name == "partition")?;
    let why = "a parameter `partition` says which partition a run is for";
    Some(Refusal::new(target, "parameters.partition", why).hint("give the parameter another name"))
}

/// The texts of the deployment that a target would fill something into: it has no way to
/// write `mark` as it is.
pub(crate) fn marked(target: Target, workflow: &Workflow, mark: &str) -> Vec<Refusal> {
    let deployment = &workflow.deployment;
    let stack = |key: &str| format!("stacks.{}.{key}", deployment.stack);
    let settings = deployment.environment.iter();
    let settings = settings.map(|(name, value)| (stack(&format!("settings.{name}")), value));
    let texts = settings
        .chain([(stack("store"), &deployment.store)])
        .chain([(stack("command"), &deployment.command)]);
    let marked = texts.filter(|(_, text)| text.contains(mark));
    marked
        .map(|(key, _)| {
            let why = format!("it has `{mark}`, which would be filled in");
            Refusal::new(target, key, why)
        })
        .collect()
}

/// The parameters by whose default a target would fill something in.
pub(crate) fn marked_defaults(target: Target, workflow: &Workflow, mark: &str) -> Vec<Refusal> {
    let marked = workflow.parameters.iter().filter(|parameter| {
        let default = default(parameter);
        default.is_some_and(|default| default.contains(mark))
    });
    marked
        .map(|parameter| {
            let key = format!("parameters.{}", parameter.name);
            let why = format!("its default has `{mark}`, which would be filled in");
            Refusal::new(target, key, why).hint("fix it when compiling")
        })
        .collect()
}

/// What starts a task: the arguments of the program, none of which a run can change.
pub(crate) fn arguments(workflow: &Workflow, task: &Task, more: &[&str]) -> Vec<String> {
    let mut arguments = workflow.arguments(task);
    // A pod has succeeded or failed; that a step was skipped is said by its ending.
    arguments.extend(["--skip-exit-code", "0"].map(str::to_owned));
    arguments.extend(more.iter().map(|it| (*it).to_owned()));
    arguments.iter().map(|argument| literal(argument)).collect()
}

/// The comment that begins a file.
pub(crate) fn head(target: Target, workflow: &Workflow, more: &[String]) -> String {
    let Workflow {
        name,
        description,
        file,
        deployment,
        ..
    } = workflow;
    let about = description
        .as_deref()
        .map_or_else(String::new, |about| format!(": {}", line(about)));
    let stack = match &*deployment.stack {
        "" => String::new(),
        stack => format!(" --stack {stack}"),
    };
    let file = line(file);
    let made = format!("Made by `wharf pipeline compile {file} --target {target}{stack}`.");
    let first = format!("{name}{about}");
    let mut lines = vec![
        first.as_str(),
        "",
        &made,
        "Change the pipeline, and make this anew. The pipeline itself is in the store: a task",
        "needs that and `wharf`, and nothing else.",
    ];
    if !more.is_empty() {
        lines.push("");
        lines.extend(more.iter().map(String::as_str));
    }
    lines
        .into_iter()
        .map(|line| match line {
            "" => "#\n".to_owned(),
            line => format!("# {line}\n"),
        })
        .collect()
}

/// A text in one line, without what could end it.
pub(crate) fn line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    line.chars()
        .filter(|c| !wharf_model::name::is_active(*c))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_fills_nothing_in() {
        assert_eq!(literal("$(HOME) $$ $x"), "$$(HOME) $$$$ $$x");
    }

    #[test]
    fn comments_are_one_line() {
        assert_eq!(line("a\n# b\u{202e}\t c"), "a # b c");
    }

    #[test]
    fn quantities_are_whole() {
        assert_eq!(quantity(Bytes((1 << 20) + 1)), "2Mi");
        assert_eq!(seconds(Duration::from_millis(1_001)), 2);
    }

    #[test]
    fn times_are_those_of_go() {
        for (millis, text) in [
            (1_500, "1500ms"),
            (10_000, "10s"),
            (150_000, "2m30s"),
            (7_260_000, "2h1m0s"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }
}
