//! What starts a run, what it is given, and what all of its jobs find in their
//! environment.

use serde_json::Value as Json;
use wharf_model::pipeline::Partition;

use super::{Actions, escaped};
use crate::made;
use crate::yaml::Yaml;
use crate::{Parameter, ParameterKind};

impl Actions<'_> {
    pub(super) fn triggers(&self) -> Yaml {
        let schedule = self.workflow.deployment.schedule.as_ref().map(|schedule| {
            Yaml::List(vec![Yaml::map([
                ("cron", Some((&*schedule.cron).into())),
                ("timezone", Some((&*schedule.timezone).into())),
            ])])
        });
        let inputs = self.inputs();
        let form = match inputs.is_empty() {
            true => Yaml::Null,
            false => Yaml::map([("inputs", Some(inputs))]),
        };
        Yaml::map([("workflow_dispatch", Some(form)), ("schedule", schedule)])
    }

    fn inputs(&self) -> Yaml {
        let mut inputs = Vec::new();
        if let Some(partition) = &self.workflow.partition {
            let about = made::about_partition(partition);
            let values = match partition {
                Partition::Every(_) => None,
                Partition::Values(values) => Some(Yaml::list(values.iter().map(String::as_str))),
            };
            let ty = match values {
                None => "string",
                Some(_) => "choice",
            };
            let input = Yaml::map([
                ("description", Some(about.into())),
                ("type", Some(ty.into())),
                ("options", values),
                ("required", Some(Yaml::Boolean(true))),
            ]);
            inputs.push(("partition".to_owned(), input));
        }
        let parameters = self.workflow.parameters.iter();
        inputs.extend(parameters.map(|parameter| (parameter.name.clone(), input(parameter))));
        Yaml::Map(inputs)
    }

    /// What all jobs find in their environment.
    pub(super) fn environment(&self) -> Yaml {
        let settings = self.workflow.deployment.environment.iter();
        let mut variables: Vec<(String, Yaml)> = settings
            .map(|(name, value)| (name.clone(), escaped(value).into()))
            .collect();
        for (name, secret) in self.secrets() {
            let value = format!("${{{{ secrets.{secret} }}}}");
            variables.push((name.to_owned(), value.into()));
        }
        let mut own = |name: &str, value: String| variables.push((name.to_owned(), value.into()));
        own("WHARF_RUN_ID", "${{ github.run_id }}".to_owned());
        if self.workflow.partition.is_some() {
            own("WHARF_PARTITION", "${{ inputs.partition }}".to_owned());
        }
        if !self.workflow.parameters.is_empty() {
            own("WHARF_PARAMETERS", self.parameters());
        }
        Yaml::Map(variables)
    }

    /// The parameters as JSON; values are texts, as they were typed.
    fn parameters(&self) -> String {
        let lines = self.workflow.parameters.iter().map(|parameter| {
            let value = match self.workflow.deployment.schedule {
                Some(_) => by_schedule(parameter),
                None => format!("inputs.{}", parameter.name),
            };
            format!("  \"{}\": ${{{{ toJSON({value}) }}}}", parameter.name)
        });
        format!("{{\n{}\n}}\n", lines.collect::<Vec<_>>().join(",\n"))
    }
}

/// A field of the form.
fn input(parameter: &Parameter) -> Yaml {
    let ty = match parameter.kind {
        ParameterKind::Integer | ParameterKind::Number => "number",
        ParameterKind::Boolean => "boolean",
        ParameterKind::Text | ParameterKind::Json | ParameterKind::Artifact => "string",
    };
    let default = parameter.default.as_ref();
    let value = default.and_then(|default| match parameter.kind {
        // What the file names is locked: to choose nothing is to take that.
        ParameterKind::Artifact => None,
        ParameterKind::Json => Some(default.to_string().into()),
        _ => Some(default.into()),
    });
    let required = default.is_none().then_some(Yaml::Boolean(true));
    Yaml::map([
        ("description", made::about(parameter).map(Yaml::from)),
        ("type", Some(ty.into())),
        ("default", value),
        ("required", required),
    ])
}

/// A value where a run may be one by schedule, which has no form.
fn by_schedule(parameter: &Parameter) -> String {
    let input = format!("inputs.{}", parameter.name);
    let default = match (&parameter.default, parameter.kind) {
        (None, _) | (_, ParameterKind::Artifact) => return input,
        (Some(Json::String(text)), ParameterKind::Text) => text.clone(),
        (Some(default), _) => default.to_string(),
    };
    match &*default {
        // An empty text does not count as a value in conditions.
        "" => format!("format('{{0}}', {input})"),
        default => {
            let default = default.replace('\'', "''");
            format!("github.event_name == 'schedule' && '{default}' || {input}")
        }
    }
}
