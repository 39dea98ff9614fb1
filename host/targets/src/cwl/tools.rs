//! The tools.

use super::{Document, escaped, reference};
use crate::ParameterKind;
use crate::yaml::Yaml;

impl Document<'_> {
    /// What runs a step.
    pub(super) fn step(&self) -> Yaml {
        let file = "$(inputs.file_name).json";
        let mut inputs = self.inputs_of_tool();
        let mut option = |name: &str, ty: &str, prefix: Option<&str>| {
            let input = match prefix {
                None => ty.into(),
                Some(prefix) => {
                    let binding = Yaml::map([("prefix", Some(prefix.into()))]);
                    Yaml::map([("type", Some(ty.into())), ("inputBinding", Some(binding))])
                }
            };
            inputs.push((name.to_owned(), input));
        };
        option("step_name", "string", Some("--step"));
        if self.has_items {
            option("item_index", "int?", Some("--item"));
        }
        if self.retries {
            option("retried_by", "string?", Some("--retries"));
        }
        option("file_name", "string", None);
        option("comes_after", "File[]?", None);
        let mut arguments: Vec<Yaml> = vec!["--ending-to".into(), file.into()];
        arguments.extend(self.arguments());
        let binding = Yaml::map([("glob", Some(file.into()))]);
        let ending = Yaml::map([
            (
                "doc",
                Some("How it ended, and what it returned, as JSON.".into()),
            ),
            ("type", Some("File".into())),
            ("outputBinding", Some(binding)),
        ]);
        let codes = |codes: &[i64]| Some(Yaml::list(codes.iter().copied()));
        Yaml::map([
            ("id", Some("step".into())),
            ("class", Some("CommandLineTool".into())),
            ("doc", Some("Runs a step of the pipeline.".into())),
            ("requirements", self.of_all_tools(Vec::new()).unless_empty()),
            ("hints", self.container()),
            ("baseCommand", Some(self.command("exec"))),
            ("inputs", Some(Yaml::Map(inputs))),
            ("arguments", Some(Yaml::List(arguments))),
            ("outputs", Some(Yaml::map([("ending", Some(ending))]))),
            // 99 is skipped: what comes after it finds out by itself what that means.
            ("successCodes", codes(&[0, 99])),
            ("temporaryFailCodes", codes(&[75])),
            ("permanentFailCodes", codes(&[1, 2])),
        ])
    }

    /// What lists the items of a step.
    pub(super) fn items(&self) -> Yaml {
        let mut inputs = self.inputs_of_tool();
        let binding = Yaml::map([("prefix", Some("--step".into()))]);
        let step = Yaml::map([
            ("type", Some("string".into())),
            ("inputBinding", Some(binding)),
        ]);
        inputs.push(("step_name".to_owned(), step));
        inputs.push(("comes_after".to_owned(), "File[]?".into()));
        let mut arguments: Vec<Yaml> = vec!["--results-to".into(), "items.json".into()];
        arguments.extend(self.arguments());
        let binding = Yaml::map([
            ("glob", Some("items.json".into())),
            ("loadContents", Some(Yaml::Boolean(true))),
            ("outputEval", Some("$(JSON.parse(self[0].contents))".into())),
        ]);
        let indices = Yaml::map([
            ("type", Some("int[]".into())),
            ("outputBinding", Some(binding)),
        ]);
        let script = (
            "InlineJavascriptRequirement".to_owned(),
            Yaml::Map(Vec::new()),
        );
        Yaml::map([
            ("id", Some("items".into())),
            ("class", Some("CommandLineTool".into())),
            ("doc", Some("Lists the items of a step.".into())),
            ("requirements", Some(self.of_all_tools(vec![script]))),
            ("hints", self.container()),
            ("baseCommand", Some(self.command("items"))),
            ("inputs", Some(Yaml::Map(inputs))),
            ("arguments", Some(Yaml::List(arguments))),
            ("outputs", Some(Yaml::map([("indices", Some(indices))]))),
        ])
    }

    /// The beginning of what a tool runs, into which CWL fills nothing.
    fn command(&self, command: &str) -> Yaml {
        let deployment = &self.workflow.deployment;
        let pipeline = self.workflow.pipeline.to_string();
        let mut words: Vec<String> = vec![deployment.command.clone()];
        words.extend(["step", command].map(str::to_owned));
        words.extend(["--store", &deployment.store, "--pipeline", &pipeline].map(str::to_owned));
        if !self.in_containers {
            words.extend(self.workflow.secret_arguments());
        }
        Yaml::list(words)
    }

    /// Parameters, and where secrets are staged.
    fn arguments(&self) -> Vec<Yaml> {
        let mut arguments = Vec::new();
        for (name, input) in self.secrets() {
            arguments.push("--secret".into());
            arguments.push(format!("{name}=file:$(inputs.{input}.path)").into());
        }
        for parameter in &self.workflow.parameters {
            if parameter.kind != ParameterKind::Artifact {
                let name = &parameter.name;
                arguments.push(format!("{name}={}", reference(name)).into());
            }
        }
        arguments
    }

    fn of_all_tools(&self, first: Vec<(String, Yaml)>) -> Yaml {
        let deployment = &self.workflow.deployment;
        let mut requirements = first;
        if !deployment.environment.is_empty() {
            let variables = deployment.environment.iter();
            let variables = variables.map(|(name, value)| (name.clone(), escaped(value).into()));
            let variables = Yaml::Map(variables.collect());
            let variables = Yaml::map([("envDef", Some(variables))]);
            requirements.push(("EnvVarRequirement".to_owned(), variables));
        }
        if deployment.store.contains("://") {
            let access = Yaml::map([("networkAccess", Some(Yaml::Boolean(true)))]);
            requirements.push(("NetworkAccess".to_owned(), access));
        }
        Yaml::Map(requirements)
    }

    fn container(&self) -> Option<Yaml> {
        let image = self.workflow.deployment.image.as_deref();
        let image = image.filter(|_| self.in_containers)?;
        let pull = Yaml::map([("dockerPull", Some(image.into()))]);
        Some(Yaml::map([("DockerRequirement", Some(pull))]))
    }
}
