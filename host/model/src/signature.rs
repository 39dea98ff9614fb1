//! What a component offers to run, read from its WIT.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::suggest::nearest;
use crate::value_type::ValueType;

/// Most named, nested types in one signature: a component can describe a type
/// that doubles with each level, which would fill memory when it is spelt out.
pub const MAX_TYPE_NODES: usize = 10_000;

/// All that a component offers to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Signature {
    /// Functions with types of their own; each is a step.
    Typed {
        /// The functions, in the order of the component's exports.
        functions: Vec<Function>,
    },
    /// A program: it exports `wasi:cli/run`, reads `/in`, writes `/out`.
    Program,
}

impl Signature {
    /// The function that a reference means: the named one, else `run`, else the
    /// only one. `None` for a program.
    ///
    /// # Errors
    /// Where the name is unknown, or is missing and there are several.
    pub fn resolve(&self, name: Option<&str>) -> Result<Option<&Function>, UnknownFunction> {
        match (self, name) {
            (Self::Program, None | Some("run")) => Ok(None),
            (Self::Program, Some(name)) => Err(UnknownFunction::Program {
                name: name.to_owned(),
            }),
            (Self::Typed { functions }, name) => resolve_function(functions, name).map(Some),
        }
    }
}

fn resolve_function<'a>(
    functions: &'a [Function],
    name: Option<&str>,
) -> Result<&'a Function, UnknownFunction> {
    let find = |name: &str| functions.iter().find(|function| function.name == name);
    let names = || {
        functions
            .iter()
            .map(|function| function.name.clone())
            .collect::<Vec<_>>()
    };
    match name {
        Some(name) => find(name).ok_or_else(|| UnknownFunction::Named {
            name: name.to_owned(),
            nearest: nearest(name, functions.iter().map(|f| &*f.name)).map(str::to_owned),
            known: names(),
        }),
        None => match functions {
            [only] => Ok(only),
            _ => find("run").ok_or_else(|| UnknownFunction::Several { known: names() }),
        },
    }
}

/// A reference that means no function of the component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownFunction {
    /// The component has no function with that name.
    #[error("the component has no function `{name}`{}; it has {}",
        .nearest.as_ref().map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default(),
        quoted(.known))]
    Named {
        /// The name given.
        name: String,
        /// The function probably meant.
        nearest: Option<String>,
        /// All functions.
        known: Vec<String>,
    },
    /// The component has several functions, and none is `run`.
    #[error("the component has several functions: add one to the path, as in `step.wasm#{}`; it has {}",
        .known[0], quoted(.known))]
    Several {
        /// All functions.
        known: Vec<String>,
    },
    /// The component is a program, which has no other functions.
    #[error("the component is a program (it exports wasi:cli/run); remove `#{name}`")]
    Program {
        /// The name given.
        name: String,
    },
}

fn quoted(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A step: an exported function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its doc comment, where the component carries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
    /// What it returns.
    pub returns: Returns,
}

/// A parameter of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: ParameterType,
}

/// The type of a parameter: an artifact or a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ParameterType {
    /// Artifacts that the step reads.
    Input {
        /// Whether it is a folder of files.
        tree: bool,
        /// How many are taken.
        arity: Arity,
    },
    /// An artifact that the step writes.
    Output {
        /// Whether it is a folder of files.
        tree: bool,
    },
    /// A value.
    Value {
        /// Its type.
        value: ValueType,
    },
}

/// How many artifacts a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arity {
    /// Exactly one.
    One,
    /// One or none: `option<...>`.
    Optional,
    /// Any number: `list<...>`.
    Many,
}

/// What a function returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Returns {
    /// The type of the results, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<ValueType>,
    /// How the function can fail.
    pub failure: FailureType,
}

/// How a function says that it failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FailureType {
    /// It cannot: its type is not a `result`.
    None,
    /// `failure` of `wharf:step/types`: permanent or transient.
    Failure,
    /// Any other type; the failure is permanent.
    Other {
        /// The type, absent where the failure carries nothing.
        value: Option<ValueType>,
    },
}

impl Function {
    /// The named types that the function uses, each once and before its use.
    #[must_use]
    pub fn definitions(&self) -> Vec<&ValueType> {
        let mut found = Vec::new();
        for parameter in &self.parameters {
            if let ParameterType::Value { value } = &parameter.ty {
                value.collect_definitions(&mut found);
            }
        }
        if let Some(results) = &self.returns.results {
            results.collect_definitions(&mut found);
        }
        if let FailureType::Other { value: Some(value) } = &self.returns.failure {
            value.collect_definitions(&mut found);
        }
        found
    }

    /// The parameter with a name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters: Vec<String> = self
            .parameters
            .iter()
            .map(|parameter| format!("{}: {}", parameter.name, parameter.ty))
            .collect();
        write!(
            f,
            "{}: func({}){}",
            self.name,
            parameters.join(", "),
            self.returns
        )
    }
}

impl fmt::Display for ParameterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input { tree, arity } => {
                let name = if *tree { "input-tree" } else { "input" };
                match arity {
                    Arity::One => f.write_str(name),
                    Arity::Optional => write!(f, "option<{name}>"),
                    Arity::Many => write!(f, "list<{name}>"),
                }
            }
            Self::Output { tree: false } => f.write_str("output"),
            Self::Output { tree: true } => f.write_str("output-tree"),
            Self::Value { value } => value.fmt(f),
        }
    }
}

impl fmt::Display for Returns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let results = self.results.as_ref().map(ToString::to_string);
        let err = match &self.failure {
            FailureType::None => {
                return results.map_or(Ok(()), |results| write!(f, " -> {results}"));
            }
            FailureType::Failure => Some("failure".to_owned()),
            FailureType::Other { value } => value.as_ref().map(ToString::to_string),
        };
        match (results, err) {
            (None, None) => f.write_str(" -> result"),
            (Some(ok), None) => write!(f, " -> result<{ok}>"),
            (None, Some(err)) => write!(f, " -> result<_, {err}>"),
            (Some(ok), Some(err)) => write!(f, " -> result<{ok}, {err}>"),
        }
    }
}
