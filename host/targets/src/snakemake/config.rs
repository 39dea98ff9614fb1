//! What a run can be given, what it may be, and how Snakemake itself runs.

use wharf_model::pipeline::Partition;

use super::pattern;
use crate::yaml::Yaml;
use crate::{Parameter, ParameterKind, Target, Workflow, made};

/// `config.yaml`: defaults, and what they mean.
pub(super) fn values(workflow: &Workflow) -> String {
    let mut text = made::comment(workflow, Target::Snakemake);
    if let Some(partition) = &workflow.partition {
        text += &format!(
            "\n# {}, or a list of them. Each run must be given it.\npartition: null\n",
            made::about_partition(partition),
        );
    }
    for parameter in &workflow.parameters {
        text.push('\n');
        let about = made::about(parameter);
        let must = match parameter.default {
            Some(_) => None,
            None => Some("Each run must be given it.".to_owned()),
        };
        let about: Vec<_> = about.into_iter().chain(must).collect();
        if !about.is_empty() {
            text += &format!("# {}\n", about.join(". "));
        }
        let value = match (&parameter.default, parameter.kind) {
            // What the file names is locked: to choose nothing is to take that.
            (None, _) | (_, ParameterKind::Artifact) => Yaml::Null,
            (Some(default), _) => default.into(),
        };
        text += &Yaml::Map(vec![(parameter.name.clone(), value)]).document();
    }
    text
}

/// The schema of the same.
pub(super) fn schema(workflow: &Workflow) -> String {
    let mut properties = Vec::new();
    let mut required: Vec<&str> = Vec::new();
    if let Some(partition) = &workflow.partition {
        let one = match partition {
            Partition::Every(_) => Yaml::map([
                ("type", Some("string".into())),
                ("pattern", Some(format!("^{}$", pattern(partition)).into())),
            ]),
            Partition::Values(values) => {
                Yaml::map([("enum", Some(Yaml::list(values.iter().map(String::as_str))))])
            }
        };
        let several = Yaml::map([
            ("type", Some("array".into())),
            ("items", Some(one.clone())),
            ("minItems", Some(Yaml::Integer(1))),
        ]);
        let either = Yaml::map([("oneOf", Some(Yaml::List(vec![one, several])))]);
        properties.push(("partition".to_owned(), either));
        required.push("partition");
    }
    for parameter in &workflow.parameters {
        let description = made::about(parameter).map(Yaml::from);
        let ty = ty(parameter);
        let property = Yaml::map([("description", description), ("type", ty)]);
        properties.push((parameter.name.clone(), property));
        if parameter.default.is_none() {
            required.push(&parameter.name);
        }
    }
    let schema = "https://json-schema.org/draft/2020-12/schema";
    let schema = Yaml::map([
        ("$schema", Some(schema.into())),
        ("type", Some("object".into())),
        ("properties", Some(Yaml::Map(properties))),
        ("required", Yaml::list(required).unless_empty()),
        ("additionalProperties", Some(Yaml::Boolean(false))),
    ]);
    schema.document()
}

/// What JSON Schema calls it; of what is written as JSON, nothing is said.
fn ty(parameter: &Parameter) -> Option<Yaml> {
    Some(match parameter.kind {
        ParameterKind::Text => "string".into(),
        ParameterKind::Integer => "integer".into(),
        ParameterKind::Number => "number".into(),
        ParameterKind::Boolean => "boolean".into(),
        ParameterKind::Artifact if parameter.default.is_some() => {
            Yaml::list(["string", "array", "null"])
        }
        ParameterKind::Artifact => Yaml::list(["string", "array"]),
        ParameterKind::Json => return None,
    })
}

/// The profile that Snakemake finds beside the Snakefile.
pub(super) fn profile(workflow: &Workflow) -> String {
    let mut text = "# What an interruption left half made is made again.\n\
                    rerun-incomplete: true\n\
                    # Of a job that fails, what `wharf` says.\n\
                    show-failed-logs: true\n"
        .to_owned();
    if let Some(most) = workflow.deployment.parallelism {
        text += &format!("jobs: {most}\n");
    }
    text
}
