//! The components: what each takes, and what it starts.

use serde_json::Value as Json;

use super::{Module, names};
use crate::pods;
use crate::python::{WIDTH, literal, prose, string};
use crate::{Items, Parameter, ParameterKind, Task};

/// An input of a component or pipeline: its name, its type, its default.
pub(super) struct Input {
    pub(super) name: String,
    pub(super) ty: &'static str,
    pub(super) default: Option<String>,
}

impl Module<'_> {
    /// What a run chooses, as inputs of a component; where it may be left out, of the
    /// pipeline.
    pub(super) fn inputs(&self, with_defaults: bool) -> Vec<Input> {
        let workflow = self.workflow;
        let parameters = workflow.parameters.iter().map(|parameter| Input {
            name: names::input(&parameter.name),
            ty: annotation(parameter),
            default: default(parameter).filter(|_| with_defaults),
        });
        let partition = workflow.partition.iter().map(|_| Input {
            name: "partition".to_owned(),
            ty: "str",
            default: None,
        });
        let mut inputs: Vec<_> = parameters.chain(partition).collect();
        // As Python wants it.
        inputs.sort_by_key(|input| input.default.is_some());
        inputs
    }

    pub(super) fn item(&self) -> Input {
        Input {
            name: self.names.item.clone(),
            ty: "int",
            default: None,
        }
    }

    pub(super) fn component(&self, task: &Task) -> String {
        let mut inputs = self.inputs(false);
        let mut rest = vec![string("--step"), string(&task.step)];
        if task.items != Items::One {
            inputs.push(self.item());
            rest.extend([string("--item"), self.names.item.clone()]);
        }
        rest.extend(self.partition());
        rest.extend([string("--results-to"), self.names.results.clone()]);
        let mut signature: Vec<_> = inputs.iter().map(Input::text).collect();
        signature.extend(task.outputs.iter().map(|output| {
            let name = self.names.output(&output.name);
            format!("{name}: dsl.Output[dsl.Artifact]")
        }));
        signature.push(format!("{}: dsl.OutputPath(str)", self.names.results));
        component(
            &self.names.step(task).component,
            &signature,
            &task.summary(),
            "STEP",
            &rest,
        )
    }

    /// The component that lists the items of a step.
    pub(super) fn listing(&self, task: &Task) -> String {
        let mut signature: Vec<_> = self.inputs(false).iter().map(Input::text).collect();
        signature.push(format!("{}: dsl.OutputPath(list)", self.names.results));
        let mut rest = vec![string("--step"), string(&task.step)];
        rest.extend(self.partition());
        rest.extend([string("--results-to"), self.names.results.clone()]);
        let about = format!("Lists the items of {}", task.step);
        component(
            &self.names.step(task).listing,
            &signature,
            &about,
            "ITEMS",
            &rest,
        )
    }

    pub(super) fn partition(&self) -> Vec<String> {
        let partition = self.workflow.partition.as_ref();
        partition.map_or_else(Vec::new, |_| {
            vec![string("--partition"), "partition".to_owned()]
        })
    }
}

impl Input {
    pub(super) fn text(&self) -> String {
        let Self { name, ty, default } = self;
        match default {
            Some(default) => format!("{name}: {ty} = {default}"),
            None => format!("{name}: {ty}"),
        }
    }
}

/// The type of a parameter. What is neither a list nor a map is a text, as on the command
/// line.
fn annotation(parameter: &Parameter) -> &'static str {
    match (parameter.kind, &parameter.default) {
        (ParameterKind::Integer, _) => "int",
        (ParameterKind::Number, _) => "float",
        (ParameterKind::Boolean, _) => "bool",
        (ParameterKind::Json, Some(Json::Array(_))) => "list",
        (ParameterKind::Json, Some(Json::Object(_))) => "dict",
        (ParameterKind::Text | ParameterKind::Json | ParameterKind::Artifact, _) => "str",
    }
}

fn default(parameter: &Parameter) -> Option<String> {
    let default = parameter.default.as_ref()?;
    Some(match annotation(parameter) {
        "str" => string(&pods::default(parameter)?),
        _ => literal(default),
    })
}

fn component(
    name: &str,
    signature: &[String],
    about: &str,
    constant: &str,
    rest: &[String],
) -> String {
    let line = format!("        args={constant} + [{}],\n", rest.join(", "));
    let arguments = match line.len() <= WIDTH {
        true => line,
        false => {
            let pairs = rest.chunks(2).map(|pair| pair.join(", "));
            let pairs = pairs.map(|pair| format!("            {pair},\n"));
            format!(
                "        args={constant} + [\n{}        ],\n",
                pairs.collect::<String>()
            )
        }
    };
    format!(
        "@dsl.container_component\n{}    \"\"\"{}.\"\"\"\n    \
         return dsl.ContainerSpec(\n        image=IMAGE,\n        command=COMMAND,\n{arguments}    )\n",
        definition(name, signature),
        prose(about),
    )
}

/// The first lines of a function.
pub(super) fn definition(name: &str, signature: &[String]) -> String {
    let line = format!("def {name}({}):\n", signature.join(", "));
    match line.len() <= WIDTH {
        true => line,
        false => format!("def {name}(\n    {},\n):\n", signature.join(",\n    ")),
    }
}
