//! What targets have in common whose files are scripts of Python that start `wharf`
//! themselves: Dagster, Prefect, Metaflow, ZenML.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value as Json;
use wharf_model::pipeline::{Every, Partition};

use crate::names::identifier;
use crate::python::{WIDTH, literal, prose, string};
use crate::{Parameter, ParameterKind, Refusal, Target, Task, Workflow};

/// What a file says of itself, and how it is run, if there is more to say.
pub(crate) fn head(target: Target, workflow: &Workflow, run: &str) -> String {
    let Workflow {
        name,
        description,
        file,
        deployment,
        ..
    } = workflow;
    let about = description
        .as_deref()
        .map_or_else(String::new, |about| format!(": {}", ended(&prose(about))));
    let stack = match &*deployment.stack {
        "" => String::new(),
        stack => format!(" --stack {stack}"),
    };
    let run = match run {
        "" => String::new(),
        run => format!("\n{run}"),
    };
    format!(
        "\"\"\"{name}{about}\n\n\
         Made by `wharf pipeline compile {file} --target {target}{stack}`.\n\
         Change the pipeline, and make this anew. The pipeline itself is in the store: a task\n\
         needs that and `wharf`, and nothing else.\n{run}\
         \"\"\"\n",
        file = prose(file),
    )
}

/// A text that can stand before the end of a docstring.
pub(crate) fn ended(text: &str) -> String {
    match text.strip_suffix('"') {
        Some(rest) => format!("{rest}\\\""),
        None => text.to_owned(),
    }
}

/// What all tasks are told: the program, the store and the pipeline; and variables that
/// they have.
pub(crate) fn constants(workflow: &Workflow) -> String {
    let deployment = &workflow.deployment;
    let mut text = format!(
        "WHARF = {}\nCOMMON = [\n    \"--store\", {},\n    \"--pipeline\", {},\n",
        string(&deployment.command),
        string(&deployment.store),
        string(&workflow.pipeline.to_string()),
    );
    let secrets = workflow.secret_arguments();
    for secret in secrets.chunks(2) {
        let secret: Vec<_> = secret.iter().map(|text| string(text)).collect();
        let _ = writeln!(text, "    {},", secret.join(", "));
    }
    text += "]\n";
    if !deployment.environment.is_empty() {
        let variables = deployment.environment.iter();
        let variables = variables
            .map(|(name, value)| format!("    {}: {},\n", string(name), string(value)))
            .collect::<String>();
        let _ = write!(text, "ENVIRONMENT = {{\n{variables}}}\n");
    }
    text
}

/// A name as an identifier that is not one of the file's own.
pub(crate) fn own(name: &str, taken: &[&str]) -> String {
    let plain = identifier(name);
    match taken.contains(&&*plain) {
        true => format!("{plain}_"),
        false => plain,
    }
}

/// The same for a field of a model of Pydantic, which parameters become in many places.
pub(crate) fn field(name: &str, taken: &[&str]) -> String {
    let taken: Vec<_> = taken.iter().chain(&OF_PYDANTIC).copied().collect();
    own(name, &taken)
}

/// Names that models of Pydantic have themselves.
const OF_PYDANTIC: [&str; 28] = [
    "construct",
    "copy",
    "dict",
    "from_orm",
    "json",
    "model_computed_fields",
    "model_config",
    "model_construct",
    "model_copy",
    "model_dump",
    "model_dump_json",
    "model_extra",
    "model_fields",
    "model_fields_set",
    "model_json_schema",
    "model_parametrized_name",
    "model_post_init",
    "model_rebuild",
    "model_validate",
    "model_validate_json",
    "model_validate_strings",
    "parse_file",
    "parse_obj",
    "parse_raw",
    "schema",
    "schema_json",
    "update_forward_refs",
    "validate",
];

/// The name of a pipeline as an identifier: names of pipelines may begin with a digit.
pub(crate) fn function(name: &str, taken: &[&str]) -> String {
    let plain = own(name, taken);
    match plain.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("_{plain}"),
        false => plain,
    }
}

/// `BEFORE(A, B)`, in one line where it fits, after an indent of `indent` spaces.
pub(crate) fn call(indent: usize, before: &str, arguments: &[String]) -> String {
    enclosed(indent, before, arguments, ['(', ')'])
}

/// The same with other brackets.
pub(crate) fn enclosed(
    indent: usize,
    before: &str,
    items: &[String],
    [open, close]: [char; 2],
) -> String {
    let (above, last) = before.rsplit_once('\n').unwrap_or(("", before));
    let indented = if above.is_empty() { indent } else { 0 };
    let line = format!("{last}{open}{}{close}", items.join(", "));
    if indented + line.chars().count() <= WIDTH && !line.contains('\n') {
        return format!("{before}{}", &line[last.len()..]);
    }
    let (outer, inner) = (" ".repeat(indent), " ".repeat(indent + 4));
    let within = items.join(", ");
    if indent + 4 + within.chars().count() <= WIDTH && !within.contains('\n') {
        return format!("{before}{open}\n{inner}{within}\n{outer}{close}");
    }
    let lines: String = items
        .iter()
        .map(|item| format!("{inner}{item},\n"))
        .collect();
    format!("{before}{open}\n{lines}{outer}{close}")
}

/// A list of names, in one line where it fits.
pub(crate) fn list(indent: usize, before: &str, items: &[String]) -> String {
    enclosed(indent, before, items, ['[', ']'])
}

/// What a parameter means, for people.
pub(crate) fn about(parameter: &Parameter) -> Option<String> {
    let text = match (&parameter.description, parameter.kind, &parameter.default) {
        (Some(about), ..) => about.clone(),
        (None, ParameterKind::Artifact, Some(Json::String(path))) => {
            format!("An artifact (artifact:NAME); {path} by default")
        }
        (None, ParameterKind::Artifact, Some(paths)) => {
            format!("Artifacts (artifact:NAME); {paths} by default")
        }
        (None, ParameterKind::Artifact, None) => "An artifact (artifact:NAME)".to_owned(),
        (None, ..) => return None,
    };
    Some(prose(&text))
}

/// What a parameter is where a run does not say otherwise, as Python writes it. What the
/// file names is locked: to choose no artifact is to take that.
pub(crate) fn default(parameter: &Parameter) -> Option<String> {
    match (&parameter.default, parameter.kind) {
        (Some(_), ParameterKind::Artifact) => Some("None".to_owned()),
        (Some(value), _) => Some(literal(value)),
        (None, _) => None,
    }
}

/// What says which partition a run is for.
pub(crate) const fn about_partition(partition: &Partition) -> &'static str {
    match partition {
        Partition::Every(Every::Month) => "The month, such as 2013-01",
        Partition::Every(Every::Day) => "The day, such as 2013-01-31",
        Partition::Values(_) => "The partition",
    }
}

/// A run has a parameter `partition` of its own.
pub(crate) fn no_parameter_partition(target: Target, workflow: &Workflow) -> Vec<Refusal> {
    let is_own = |parameter: &&Parameter| parameter.name == "partition";
    let own = workflow.parameters.iter().find(is_own);
    let own = own.filter(|_| workflow.partition.is_some());
    let refusal = own.map(|_| {
        let why = "a parameter `partition` says which partition a run is for";
        Refusal::new(target, "parameters.partition", why).hint("give the parameter another name")
    });
    refusal.into_iter().collect()
}

/// Two tasks cannot have one name: the third item of `a` is `a-2`, which may be a step, too.
pub(crate) fn collisions(
    target: Target,
    workflow: &Workflow,
    names: impl Fn(&Task) -> Vec<String>,
) -> Vec<Refusal> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut refusals = Vec::new();
    for task in &workflow.tasks {
        for name in names(task) {
            match seen.insert(name.clone(), &task.step) {
                Some(other) if other != task.step => refusals.push(
                    Refusal::new(
                        target,
                        format!("steps.{}", task.step),
                        format!("`{other}` needs the name `{name}`, too"),
                    )
                    .hint("give the step another name"),
                ),
                _ => {}
            }
        }
    }
    refusals
}

/// Two parameters cannot have one name: `a` may have got what `a-` has, too.
pub(crate) fn alike(
    target: Target,
    workflow: &Workflow,
    name: impl Fn(&Parameter) -> String,
) -> Vec<Refusal> {
    let mut seen = BTreeMap::new();
    let mut refusals = Vec::new();
    for parameter in &workflow.parameters {
        if let Some(other) = seen.insert(name(parameter), &parameter.name) {
            let key = format!("parameters.{}", parameter.name);
            let why = format!("`{other}` needs the same name there");
            refusals.push(Refusal::new(target, key, why).hint("give the parameter another name"));
        }
    }
    refusals
}

/// A length of time in seconds, as Python writes it.
pub(crate) fn seconds(time: Duration) -> String {
    match time.subsec_nanos() {
        0 => time.as_secs().to_string(),
        _ => time.as_secs_f64().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_hide_what_a_file_needs() {
        assert_eq!(own("import", &[]), "import_");
        assert_eq!(own("json", &["json"]), "json_");
        assert_eq!(function("2013-flights", &[]), "_2013_flights");
    }

    #[test]
    fn calls_are_broken_where_they_are_long() {
        let arguments = ["a".to_owned(), "b".repeat(85), "c".repeat(9)];
        assert_eq!(call(4, "f", &arguments[..1]), "f(a)");
        let [_, b, c] = &arguments;
        let broken = format!("a.function(\n        a, {b}\n    )");
        assert_eq!(call(4, "a.function", &arguments[..2]), broken);
        let long = format!("f(\n        a,\n        {b},\n        {c},\n    )");
        assert_eq!(call(4, "f", &arguments), long);
    }

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds(Duration::from_millis(90_000)), "90");
        assert_eq!(seconds(Duration::from_millis(500)), "0.5");
    }
}
