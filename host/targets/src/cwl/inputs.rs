//! Inputs: of the workflow, and of its tools, which are given the same. Those that are not
//! parameters of the pipeline have a `_` in their name, which parameters have not.

use wharf_model::pipeline::Partition;
use wharf_model::stack::SecretReference;

use super::Document;
use crate::made;
use crate::yaml::Yaml;
use crate::{Parameter, ParameterKind};

/// The input that says which run it is.
pub(super) const RUN: &str = "run_id";

/// The input that says which partition it is for.
pub(super) const PARTITION: &str = "run_partition";

impl Document<'_> {
    /// The names of all inputs that every task is given.
    pub(super) fn common(&self) -> Vec<String> {
        let partition = self.workflow.partition.as_ref();
        let partition = partition.map(|_| PARTITION.to_owned());
        let parameters = self.workflow.parameters.iter().map(|it| it.name.clone());
        let secrets = self.secrets().into_iter().map(|(_, input)| input);
        let run = std::iter::once(RUN.to_owned());
        run.chain(partition)
            .chain(parameters)
            .chain(secrets)
            .collect()
    }

    /// Secrets that are staged as files, and the inputs that they are: containers see
    /// neither variables nor files of their machine.
    pub(super) fn secrets(&self) -> Vec<(&str, String)> {
        let secrets = self.workflow.deployment.secrets.keys();
        let secrets = secrets.filter(|_| self.in_containers);
        secrets
            .map(|name| (name.as_str(), format!("secret_{name}")))
            .collect()
    }

    /// The inputs of the workflow.
    pub(super) fn inputs(&self) -> Yaml {
        let run = Yaml::map([
            (
                "doc",
                Some("Another one for each run; with the same again, it goes on.".into()),
            ),
            ("type", Some("string".into())),
        ]);
        let mut inputs = vec![(RUN.to_owned(), run)];
        if let Some(partition) = &self.workflow.partition {
            let about = made::about_partition(partition);
            let ty = Some(ty_of_partition(partition));
            let input = Yaml::map([("doc", Some(about.into())), ("type", ty)]);
            inputs.push((PARTITION.to_owned(), input));
        }
        for parameter in &self.workflow.parameters {
            let is_artifact = parameter.kind == ParameterKind::Artifact;
            let default = parameter.default.as_ref().filter(|_| !is_artifact);
            let input = Yaml::map([
                ("doc", made::about(parameter).map(Yaml::from)),
                ("type", Some(ty(parameter))),
                ("default", default.map(Yaml::from)),
            ]);
            inputs.push((parameter.name.clone(), input));
        }
        for (name, input) in self.secrets() {
            let path = match self.workflow.deployment.secrets.get(name) {
                Some(SecretReference::File(path)) => Some(path),
                Some(SecretReference::Env(_)) | None => None,
            };
            let default = path.map(|path| {
                Yaml::map([
                    ("class", Some("File".into())),
                    ("location", Some(location(path).into())),
                ])
            });
            let secret = Yaml::map([
                ("doc", Some(format!("The file with {name}").into())),
                ("type", Some("File".into())),
                ("default", default),
            ]);
            inputs.push((input, secret));
        }
        Yaml::Map(inputs)
    }

    /// The same of a tool.
    pub(super) fn inputs_of_tool(&self) -> Vec<(String, Yaml)> {
        let option = |prefix: &str, ty: Yaml| {
            let binding = Yaml::map([("prefix", Some(prefix.into()))]);
            Yaml::map([("type", Some(ty)), ("inputBinding", Some(binding))])
        };
        let mut inputs = vec![(RUN.to_owned(), option("--run-id", "string".into()))];
        if let Some(partition) = &self.workflow.partition {
            let partition = option("--partition", ty_of_partition(partition));
            inputs.push((PARTITION.to_owned(), partition));
        }
        for parameter in &self.workflow.parameters {
            let input = match parameter.kind {
                // It is not given where it is nothing.
                ParameterKind::Artifact => {
                    let binding = Yaml::map([
                        ("prefix", Some(format!("{}=", parameter.name).into())),
                        ("separate", Some(Yaml::Boolean(false))),
                    ]);
                    let ty = Some(ty(parameter));
                    Yaml::map([("type", ty), ("inputBinding", Some(binding))])
                }
                _ => ty(parameter),
            };
            inputs.push((parameter.name.clone(), input));
        }
        for (_, input) in self.secrets() {
            inputs.push((input, "File".into()));
        }
        inputs
    }

    /// A file of inputs, to be filled in.
    pub(super) fn inputs_to_begin_with(&self) -> String {
        let must = "Each run must be given it.";
        let mut text = format!(
            "\n# Another one for each run; with the same again, it goes on. {must}\n{RUN}: null\n"
        );
        if let Some(partition) = &self.workflow.partition {
            let about = made::about_partition(partition);
            text += &format!("\n# {about}. {must}\n{PARTITION}: null\n");
        }
        for parameter in &self.workflow.parameters {
            let must = parameter.default.is_none().then(|| must.to_owned());
            let about: Vec<_> = made::about(parameter).into_iter().chain(must).collect();
            text.push('\n');
            if !about.is_empty() {
                text += &format!("# {}\n", about.join(". "));
            }
            let value = match (&parameter.default, parameter.kind) {
                (None, _) | (_, ParameterKind::Artifact) => Yaml::Null,
                (Some(default), _) => default.into(),
            };
            text += &Yaml::Map(vec![(parameter.name.clone(), value)]).document();
        }
        for (name, input) in self.secrets() {
            if let Some(SecretReference::Env(_)) = self.workflow.deployment.secrets.get(name) {
                text += &format!("\n# The file with {name}. {must}\n{input}: null\n");
            }
        }
        text
    }
}

/// What CWL calls the type of a parameter.
fn ty(parameter: &Parameter) -> Yaml {
    match parameter.kind {
        ParameterKind::Text => "string".into(),
        ParameterKind::Integer => "long".into(),
        ParameterKind::Number => "double".into(),
        ParameterKind::Boolean => "boolean".into(),
        // `Any` is anything but nothing.
        ParameterKind::Json => match &parameter.default {
            Some(serde_json::Value::Null) => "Any?".into(),
            _ => "Any".into(),
        },
        ParameterKind::Artifact if parameter.default.is_some() => {
            Yaml::list(["null", "string", "File", "Directory"])
        }
        ParameterKind::Artifact => Yaml::list(["string", "File", "Directory"]),
    }
}

/// What CWL calls the type of a partition.
fn ty_of_partition(partition: &Partition) -> Yaml {
    let Partition::Values(values) = partition else {
        return "string".into();
    };
    let values = values.iter().map(String::as_str);
    Yaml::map([
        ("type", Some("enum".into())),
        ("symbols", Some(Yaml::list(values))),
    ])
}

/// The path of a file as a URI.
fn location(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b);
    let path = path.bytes().map(|b| match plain(b) {
        true => char::from(b).to_string(),
        false => format!("%{b:02X}"),
    });
    format!("file://{}", path.collect::<String>())
}
