//! What files say to people: how they were made, and what parameters mean.

use wharf_model::pipeline::{Every, Partition};

use crate::{Parameter, ParameterKind, Target, Workflow};

/// A text as one line, without what cannot be seen.
pub(crate) fn line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    line.chars()
        .filter(|c| !wharf_model::name::is_active(*c))
        .collect()
}

/// The lines of the head; an empty one parts what it is from how it was made.
pub(crate) fn head(workflow: &Workflow, target: Target) -> [String; 5] {
    let about = workflow.description.as_deref().map(line);
    let title = match about {
        Some(about) => format!("{}: {about}", workflow.name),
        None => workflow.name.clone(),
    };
    let stack = match &*workflow.deployment.stack {
        "" => String::new(),
        stack => format!(" --stack {stack}"),
    };
    [
        title,
        String::new(),
        format!(
            "Made by `wharf pipeline compile {} --target {target}{stack}`.",
            line(&workflow.file)
        ),
        "Change the pipeline, and make this anew. The pipeline itself is in the store: a task"
            .to_owned(),
        "needs that and `wharf`, and nothing else.".to_owned(),
    ]
}

/// The same as lines that begin with `#`.
pub(crate) fn comment(workflow: &Workflow, target: Target) -> String {
    let lines = head(workflow, target);
    let lines = lines.iter().map(|line| format!("# {line}"));
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}

/// What a parameter means, in one line.
pub(crate) fn about(parameter: &Parameter) -> Option<String> {
    let about = parameter.description.as_deref().map(line);
    if parameter.kind != ParameterKind::Artifact {
        return about;
    }
    let path = |path: &serde_json::Value| match path.as_str() {
        Some(path) => line(path),
        None => line(&path.to_string()),
    };
    let what = match &parameter.default {
        Some(default) => format!("artifact:NAME, or a path; by default {}", path(default)),
        None => "artifact:NAME, or a path".to_owned(),
    };
    Some(match about {
        Some(about) => format!("{about} ({what})"),
        None => format!("An artifact ({what})"),
    })
}

/// What a partition is, in one line.
pub(crate) fn about_partition(partition: &Partition) -> String {
    match partition {
        Partition::Every(Every::Month) => "The month, such as 2013-01".to_owned(),
        Partition::Every(Every::Day) => "The day, such as 2013-01-31".to_owned(),
        Partition::Values(values) => {
            let first = values.first().map_or("", String::as_str);
            format!("The partition, such as {first}")
        }
    }
}
