//! What the parameters of a pipeline are: as they are given, or by default.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value as Json;
use wharf_model::artifact::ArtifactReference;
use wharf_model::pipeline::{CheckedParameter, ParameterDefault, Value};
use wharf_model::plan::{BadRequest, Problem, Shape};
use wharf_model::request::Binding;
use wharf_model::signature::{Arity, ParameterType};
use wharf_model::{ErrorKind, nearest, value};
use wharf_runner::pipeline::{Handle, Loaded};

use crate::ending::Ending;

/// What is given for parameters.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// As texts, in order; several for a list of artifacts.
    texts: Vec<Binding>,
    /// As JSON.
    json: BTreeMap<String, Json>,
    /// Whether an artifact that is given as nothing is the default: orchestrators have
    /// no other way to say it.
    nothing_is_default: bool,
    /// Whether some may be missing: a run gives them.
    some: bool,
}

impl Given {
    /// What people give.
    pub(crate) fn of(texts: &[Binding], json: BTreeMap<String, Json>) -> Self {
        Self {
            texts: texts.to_vec(),
            json,
            nothing_is_default: false,
            some: false,
        }
    }

    /// The same, where a run gives what is missing.
    pub(crate) fn of_some(self) -> Self {
        Self { some: true, ..self }
    }

    /// What an orchestrator gives.
    pub(crate) fn by_orchestrator(texts: &[Binding], json: BTreeMap<String, Json>) -> Self {
        Self {
            nothing_is_default: true,
            ..Self::of(texts, json)
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let texts = self.texts.iter().map(|binding| &*binding.name);
        texts.chain(self.json.keys().map(String::as_str))
    }

    fn texts_of(&self, parameter: &CheckedParameter) -> Vec<&str> {
        let is_artifact = matches!(parameter.ty, ParameterType::Input { .. });
        let texts = self.texts.iter().filter(|it| it.name == parameter.name);
        let texts = texts.map(|it| &*it.text);
        texts
            .filter(|text| !(self.nothing_is_default && is_artifact && text.is_empty()))
            .collect()
    }
}

/// What the parameters are; all mistakes together.
pub(crate) fn parameters(
    loaded: &Loaded,
    given: &Given,
) -> Result<BTreeMap<String, Value<Handle>>, Ending> {
    let declared = &loaded.checked.parameters;
    let mut problems = Vec::new();
    let mut problem = |message: String, hint: Option<String>| {
        problems.push(Problem {
            kind: ErrorKind::Parameter,
            message,
            hint,
        });
    };
    let fixed = loaded.lock.as_ref().map(|(_, lock)| &lock.fixed);
    for name in given.names() {
        if fixed.is_some_and(|fixed| fixed.contains_key(name)) {
            let hint = "it was given when the pipeline was compiled: leave it out".to_owned();
            problem(format!("the parameter `{name}` is fixed"), Some(hint));
        } else if !declared.iter().any(|parameter| parameter.name == name) {
            let near = nearest(name, declared.iter().map(|parameter| &*parameter.name));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            problem(format!("the pipeline has no parameter `{name}`"), hint);
        }
    }
    let mut values = BTreeMap::new();
    for parameter in declared {
        let fixed = fixed.and_then(|fixed| fixed.get(&parameter.name));
        if given.some && !given.names().any(|name| name == parameter.name) {
            continue;
        }
        let value = match (fixed, given.json.get(&parameter.name)) {
            (Some(json), _) | (None, Some(json)) => from_json(parameter, json, loaded),
            (None, None) => from_texts(parameter, &given.texts_of(parameter), loaded),
        };
        match value {
            Ok(value) => drop(values.insert(parameter.name.clone(), value)),
            Err((message, hint)) => problem(message, hint),
        }
    }
    match problems.is_empty() {
        true => Ok(values),
        false => Err(Ending::BadRequest(BadRequest { problems })),
    }
}

type Refused = (String, Option<String>);

fn default(parameter: &CheckedParameter, loaded: &Loaded) -> Result<Value<Handle>, Refused> {
    let name = &parameter.name;
    match &parameter.default {
        Some(ParameterDefault::Json(json)) => Ok(Value::Json(json.clone())),
        Some(ParameterDefault::Paths(paths)) => {
            let handles = paths
                .iter()
                .map(|path| loaded.files.handle(path, shape(parameter)));
            let handles: Result<Vec<_>, _> = handles.collect();
            let handles = handles.map_err(|fault| {
                let message = format!("the parameter `{name}`: {fault}");
                (message, fault.advice().map(str::to_owned))
            })?;
            Ok(artifacts(&parameter.ty, handles))
        }
        None => Err((
            format!("the parameter `{name}` ({}) is missing", parameter.ty),
            Some(format!("add {name}=VALUE")),
        )),
    }
}

fn from_texts(
    parameter: &CheckedParameter,
    given: &[&str],
    loaded: &Loaded,
) -> Result<Value<Handle>, Refused> {
    let name = &parameter.name;
    match (&parameter.ty, given) {
        (_, []) => default(parameter, loaded),
        (ParameterType::Value { value }, [one]) => match value::parse_text(value, one) {
            Ok(json) => Ok(Value::Json(json)),
            Err(error) => Err((format!("parameter `{name}`: {error}"), None)),
        },
        (ParameterType::Input { arity, .. }, given)
            if given.len() == 1 || *arity == Arity::Many =>
        {
            // Orchestrators write a list of artifacts as JSON.
            if let [list] = given
                && *arity == Arity::Many
                && list.starts_with('[')
                && let Ok(json) = serde_json::from_str(list)
            {
                return from_json(parameter, &json, loaded);
            }
            let handles = given.iter().map(|one| handle(parameter, one));
            Ok(artifacts(&parameter.ty, handles.collect::<Result<_, _>>()?))
        }
        _ => Err((
            format!(
                "the parameter `{name}` ({}) is given {} times",
                parameter.ty,
                given.len()
            ),
            Some(format!("give {name}=VALUE once")),
        )),
    }
}

fn from_json(
    parameter: &CheckedParameter,
    given: &Json,
    loaded: &Loaded,
) -> Result<Value<Handle>, Refused> {
    let wrong = |wanted: &str| {
        let name = &parameter.name;
        Err((
            format!("parameter `{name}`: wanted {wanted}, got {given}"),
            None,
        ))
    };
    match (&parameter.ty, given) {
        (ParameterType::Value { value }, given) => {
            let checked = value::check_json(value, given);
            // Some orchestrators have texts alone.
            let text = given.as_str().filter(|_| checked.is_err());
            let checked = match text.map(|text| value::parse_text(value, text)) {
                Some(Ok(json)) => Ok(json),
                Some(Err(_)) | None => checked,
            };
            match checked {
                Ok(json) => Ok(Value::Json(json)),
                Err(error) => Err((format!("parameter `{}`: {error}", parameter.name), None)),
            }
        }
        (_, Json::Null) => default(parameter, loaded),
        (_, Json::String(text)) if text.is_empty() => default(parameter, loaded),
        (_, Json::String(text)) => from_texts(parameter, &[text], loaded),
        (ty, Json::Array(texts)) if is_many(ty) => {
            let handles = texts.iter().map(|text| match text.as_str() {
                Some(text) => handle(parameter, text),
                None => Err((
                    format!("parameter `{}`: {text} is no artifact", parameter.name),
                    None,
                )),
            });
            Ok(artifacts(ty, handles.collect::<Result<_, _>>()?))
        }
        (ty, _) if is_many(ty) => wrong("a list of artifacts, as texts"),
        _ => wrong("an artifact, as a text"),
    }
}

/// What a text means for an artifact.
fn handle(parameter: &CheckedParameter, text: &str) -> Result<Handle, Refused> {
    let Some(reference) = text.strip_prefix("artifact:") else {
        return Ok(Handle::Path(PathBuf::from(text), shape(parameter)));
    };
    let reference: Result<ArtifactReference, _> = reference.parse();
    let reference =
        reference.map_err(|error| (format!("parameter `{}`: {error}", parameter.name), None));
    reference.map(Handle::Named)
}

const fn shape(parameter: &CheckedParameter) -> Shape {
    match &parameter.ty {
        ParameterType::Input { tree: true, .. } => Shape::Tree,
        _ => Shape::File,
    }
}

const fn is_many(ty: &ParameterType) -> bool {
    matches!(
        ty,
        ParameterType::Input {
            arity: Arity::Many,
            ..
        }
    )
}

fn artifacts(ty: &ParameterType, mut handles: Vec<Handle>) -> Value<Handle> {
    match (is_many(ty), handles.len()) {
        (false, 1) => handles.pop().map_or(Value::Absent, Value::Artifact),
        _ => Value::Artifacts(handles),
    }
}
