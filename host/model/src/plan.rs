//! Decides what a request means for a component: pure, all mistakes at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use crate::error_kind::ErrorKind;
use crate::grants::Grants;
use crate::limits::Limits;
use crate::name::Name;
use crate::request::{Binding, BindingKind, Request, StepReference};
use crate::signature::{Arity, Function, ParameterType};
use crate::suggest::nearest;
use crate::value;
use crate::value_type::ValueType;

/// A run whose every parameter is bound and checked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The component and function, as they were asked for.
    pub step: StepReference,
    /// The function to call; `None` for a program.
    pub function: Option<Function>,
    /// What the parameters are, in the order of the signature.
    pub arguments: Vec<Argument>,
    /// Arguments for a program, after its name.
    pub program_arguments: Vec<String>,
    /// What bounds the run.
    pub limits: Limits,
    /// What the run is allowed.
    pub grants: Grants,
    /// Where the virtual clock starts.
    pub logical_time: Timestamp,
    /// The partition that the run is for.
    pub partition: Option<String>,
    /// The seed, where one was given.
    pub seed: Option<u64>,
    /// The name that the step goes by.
    pub step_name: String,
    /// Whether outputs replace what is at their path.
    pub overwrite: bool,
}

/// A parameter with what it is bound to.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    /// The name of the parameter.
    pub name: String,
    /// What it is bound to.
    pub bound: Bound,
}

/// What a parameter is bound to.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// A value that fits its type, in canonical form.
    Value {
        /// The type.
        ty: ValueType,
        /// The value.
        json: Json,
    },
    /// Artifacts to read.
    Inputs {
        /// What must be at the paths.
        shape: Shape,
        /// How the artifacts are passed.
        arity: Arity,
        /// Where they are.
        paths: Vec<PathBuf>,
    },
    /// An artifact to write.
    Output {
        /// What it becomes.
        shape: Shape,
        /// Where it goes.
        path: PathBuf,
    },
}

/// Whether an artifact is one file or a folder of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A sequence of bytes.
    File,
    /// A folder of files.
    Tree,
    /// Whichever is there; programs do not say.
    Either,
}

impl Plan {
    /// The values of the parameters, by name.
    #[must_use]
    pub fn values(&self) -> Map<String, Json> {
        let values = self
            .arguments
            .iter()
            .filter_map(|argument| match &argument.bound {
                Bound::Value { json, .. } => Some((argument.name.clone(), json.clone())),
                Bound::Inputs { .. } | Bound::Output { .. } => None,
            });
        values.collect()
    }
}

/// One mistake in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its category.
    pub kind: ErrorKind,
    /// What is wrong, and where.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A request that does not fit the component: all mistakes, never none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BadRequest {
    /// The mistakes, in the order of the parameters.
    pub problems: Vec<Problem>,
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<_> = self
            .problems
            .iter()
            .map(|problem| &*problem.message)
            .collect();
        f.write_str(&messages.join("\n"))
    }
}

/// Checks a request against the function that it means, or against what every
/// program takes where `function` is `None`.
///
/// # Errors
/// All mistakes together: parameters that are missing, unknown, given twice or
/// do not fit their types.
pub fn plan(request: Request, function: Option<&Function>) -> Result<Plan, BadRequest> {
    let mut problems = Vec::new();
    let mut program_arguments = request.arguments;
    let arguments = match function {
        Some(function) => {
            if !program_arguments.is_empty() {
                problems.push(arguments_for_function(function));
            }
            let bindings = by_parameter(function, &request.bindings, &mut problems);
            unknown_parameters(function, &request.parameters, &mut problems);
            let bind = |parameter: &crate::signature::Parameter| {
                let given = bindings
                    .get(&*parameter.name)
                    .map_or(&[][..], Vec::as_slice);
                let json = request.parameters.get(&parameter.name);
                let bound = bind(&parameter.name, &parameter.ty, given, json);
                bound.map(|bound| Argument {
                    name: parameter.name.clone(),
                    bound,
                })
            };
            let results: Vec<_> = function.parameters.iter().map(bind).collect();
            results
                .into_iter()
                .filter_map(|result| keep(result, &mut problems))
                .collect()
        }
        None => {
            let (arguments, mut flags) =
                bind_program(&request.bindings, &request.parameters, &mut problems);
            flags.append(&mut program_arguments);
            program_arguments = flags;
            arguments
        }
    };
    if !problems.is_empty() {
        return Err(BadRequest { problems });
    }
    let default_name = function.map_or("run", |function| &function.name);
    Ok(Plan {
        step_name: request.step_name.unwrap_or_else(|| default_name.to_owned()),
        step: request.step,
        function: function.cloned(),
        arguments,
        program_arguments,
        limits: request.limits,
        grants: request.grants,
        logical_time: request.logical_time,
        partition: request.partition,
        seed: request.seed,
        overwrite: request.overwrite,
    })
}

fn keep<T>(result: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

fn problem(kind: ErrorKind, message: String, hint: impl Into<Option<String>>) -> Problem {
    Problem {
        kind,
        message,
        hint: hint.into(),
    }
}

fn arguments_for_function(function: &Function) -> Problem {
    problem(
        ErrorKind::CommandLine,
        format!(
            "arguments after `--` are for programs; `{}` is a typed function",
            function.name
        ),
        "bind its parameters as NAME=VALUE".to_owned(),
    )
}

/// Groups bindings by the parameter they name, and reports unknown names.
fn by_parameter<'a>(
    function: &Function,
    bindings: &'a [Binding],
    problems: &mut Vec<Problem>,
) -> BTreeMap<&'a str, Vec<&'a Binding>> {
    let mut grouped: BTreeMap<&str, Vec<&Binding>> = BTreeMap::new();
    for binding in bindings {
        grouped.entry(&binding.name).or_default().push(binding);
    }
    for name in grouped
        .keys()
        .filter(|name| function.parameter(name).is_none())
    {
        problems.push(unknown_parameter(function, name));
    }
    grouped
}

fn unknown_parameters(
    function: &Function,
    parameters: &BTreeMap<String, Json>,
    problems: &mut Vec<Problem>,
) {
    let unknown = parameters
        .keys()
        .filter(|name| function.parameter(name).is_none());
    problems.extend(unknown.map(|name| unknown_parameter(function, name)));
}

fn unknown_parameter(function: &Function, name: &str) -> Problem {
    let names = || function.parameters.iter().map(|parameter| &*parameter.name);
    let hint = match nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if function.parameters.is_empty() => "it has no parameters".to_owned(),
        None => {
            let known: Vec<_> = names().map(|name| format!("`{name}`")).collect();
            format!("it has {}", known.join(", "))
        }
    };
    problem(
        ErrorKind::Parameter,
        format!("`{}` has no parameter `{name}`", function.name),
        hint,
    )
}

fn bind(
    name: &str,
    ty: &ParameterType,
    given: &[&Binding],
    json: Option<&Json>,
) -> Result<Bound, Problem> {
    match ty {
        ParameterType::Value { value } => bind_value(name, value, given, json),
        ParameterType::Input { tree, arity } => {
            refuse_json(name, json)?;
            refuse_kind(name, "an input", BindingKind::Output, given)?;
            bind_inputs(name, ty, shape(*tree), *arity, given)
        }
        ParameterType::Output { tree } => {
            refuse_json(name, json)?;
            refuse_kind(name, "an output", BindingKind::Input, given)?;
            let path = path(once(name, ty, given)?)?;
            Ok(Bound::Output {
                shape: shape(*tree),
                path,
            })
        }
    }
}

const fn shape(tree: bool) -> Shape {
    if tree { Shape::Tree } else { Shape::File }
}

fn bind_value(
    name: &str,
    ty: &ValueType,
    given: &[&Binding],
    json: Option<&Json>,
) -> Result<Bound, Problem> {
    let checked = match (given, json) {
        ([], Some(json)) => value::check_json(ty, json),
        ([], None) if matches!(ty, ValueType::Option { .. }) => Ok(Json::Null),
        _ => {
            let binding = once(name, &ParameterType::Value { value: ty.clone() }, given)?;
            if binding.kind != BindingKind::BySignature {
                return Err(problem(
                    ErrorKind::Parameter,
                    format!("parameter `{name}` is a value of type {ty}, not an artifact"),
                    format!("write {name}=VALUE, without --in or --out"),
                ));
            }
            value::parse_text(ty, &binding.text)
        }
    };
    let json = checked.map_err(|error| {
        problem(
            ErrorKind::Parameter,
            format!("parameter `{name}`: {error}"),
            None,
        )
    })?;
    Ok(Bound::Value {
        ty: ty.clone(),
        json,
    })
}

fn bind_inputs(
    name: &str,
    ty: &ParameterType,
    shape: Shape,
    arity: Arity,
    given: &[&Binding],
) -> Result<Bound, Problem> {
    let given = match (arity, given) {
        (Arity::Optional, []) => Vec::new(),
        (Arity::Many, [_, ..]) => given.to_vec(),
        (Arity::One | Arity::Optional | Arity::Many, _) => vec![once(name, ty, given)?],
    };
    let paths = given.iter().map(|binding| path(binding));
    let paths = paths.collect::<Result<_, _>>()?;
    Ok(Bound::Inputs {
        shape,
        arity,
        paths,
    })
}

fn path(binding: &Binding) -> Result<PathBuf, Problem> {
    match binding.text.is_empty() {
        false => Ok(PathBuf::from(&binding.text)),
        true => Err(problem(
            ErrorKind::Parameter,
            format!("parameter `{}` has no path", binding.name),
            format!("write {}=PATH", binding.name),
        )),
    }
}

fn once<'a>(name: &str, ty: &ParameterType, given: &[&'a Binding]) -> Result<&'a Binding, Problem> {
    let wanted = match ty {
        ParameterType::Value { .. } => "VALUE",
        ParameterType::Input { .. } | ParameterType::Output { .. } => "PATH",
    };
    match given {
        [binding] => Ok(binding),
        [] => Err(problem(
            ErrorKind::Parameter,
            format!("parameter `{name}` ({ty}) is missing"),
            format!("add {name}={wanted}"),
        )),
        _ => Err(problem(
            ErrorKind::Parameter,
            format!("parameter `{name}` ({ty}) is given {} times", given.len()),
            format!("give {name}={wanted} once"),
        )),
    }
}

fn refuse_json(name: &str, json: Option<&Json>) -> Result<(), Problem> {
    match json {
        None => Ok(()),
        Some(_) => Err(problem(
            ErrorKind::Parameter,
            format!("parameter `{name}` is an artifact, not a value"),
            format!("bind it on the command line: {name}=PATH"),
        )),
    }
}

fn refuse_kind(
    name: &str,
    what: &str,
    wrong: BindingKind,
    given: &[&Binding],
) -> Result<(), Problem> {
    match given.iter().any(|binding| binding.kind == wrong) {
        false => Ok(()),
        true => Err(problem(
            ErrorKind::Parameter,
            format!("parameter `{name}` is {what} of the step"),
            format!("write {name}=PATH; the signature says which way it goes"),
        )),
    }
}

/// A program's bindings: artifacts by `--in` and `--out`; values become
/// arguments `--NAME=VALUE`.
fn bind_program(
    bindings: &[Binding],
    parameters: &BTreeMap<String, Json>,
    problems: &mut Vec<Problem>,
) -> (Vec<Argument>, Vec<String>) {
    let mut arguments: Vec<Argument> = Vec::new();
    let mut flags: Vec<String> = Vec::new();
    for (name, json) in parameters {
        let text = json
            .as_str()
            .map_or_else(|| json.to_string(), str::to_owned);
        flags.push(format!("--{name}={text}"));
    }
    for binding in bindings {
        let bound = match binding.kind {
            BindingKind::BySignature => {
                flags.push(format!("--{}={}", binding.name, binding.text));
                continue;
            }
            BindingKind::Input => Bound::Inputs {
                shape: Shape::Either,
                arity: Arity::One,
                paths: vec![PathBuf::from(&binding.text)],
            },
            BindingKind::Output => {
                let shape = if binding.text.ends_with('/') {
                    Shape::Tree
                } else {
                    Shape::Either
                };
                Bound::Output {
                    shape,
                    path: PathBuf::from(&binding.text),
                }
            }
        };
        if let Err(error) = Name::new(&binding.name) {
            let message = format!("`{}` cannot name an artifact: {error}", binding.name);
            problems.push(problem(ErrorKind::Parameter, message, None));
        } else if is_taken(&arguments, binding) {
            let message = format!("`{}` is given twice", binding.name);
            problems.push(problem(
                ErrorKind::Parameter,
                message,
                "give it once".to_owned(),
            ));
        } else {
            arguments.push(Argument {
                name: binding.name.clone(),
                bound,
            });
        }
    }
    (arguments, flags)
}

fn is_taken(arguments: &[Argument], binding: &Binding) -> bool {
    arguments.iter().any(|argument| {
        let is_output = matches!(argument.bound, Bound::Output { .. });
        argument.name == binding.name && is_output == (binding.kind == BindingKind::Output)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{FailureType, Parameter, Returns};
    use crate::value_type::IntegerType;
    use serde_json::json;

    fn train() -> Function {
        let parameter = |name: &str, ty| Parameter {
            name: name.into(),
            ty,
        };
        let value = |value| ParameterType::Value { value };
        Function {
            name: "run".into(),
            docs: None,
            parameters: vec![
                parameter(
                    "data",
                    ParameterType::Input {
                        tree: false,
                        arity: Arity::One,
                    },
                ),
                parameter("model", ParameterType::Output { tree: false }),
                parameter(
                    "epochs",
                    value(ValueType::Integer {
                        integer: IntegerType::U32,
                    }),
                ),
                parameter(
                    "rate",
                    value(ValueType::Option {
                        some: Box::new(ValueType::F64),
                    }),
                ),
            ],
            returns: Returns {
                results: None,
                failure: FailureType::None,
            },
        }
    }

    fn request(bindings: &[&str]) -> Request {
        let parse = |text: &&str| Binding::parse(text, BindingKind::BySignature).unwrap();
        Request {
            bindings: bindings.iter().map(parse).collect(),
            ..Request::new("train.wasm".parse().unwrap())
        }
    }

    fn problems(request: Request) -> Vec<String> {
        let bad = plan(request, Some(&train())).unwrap_err();
        let show = |problem: &Problem| match &problem.hint {
            Some(hint) => format!("{} ({hint})", problem.message),
            None => problem.message.clone(),
        };
        bad.problems.iter().map(show).collect()
    }

    #[test]
    fn binds_in_the_order_of_the_signature() {
        let plan = plan(
            request(&["epochs=5", "model=m.json", "data=d.csv"]),
            Some(&train()),
        )
        .unwrap();
        let names: Vec<_> = plan
            .arguments
            .iter()
            .map(|argument| &*argument.name)
            .collect();
        assert_eq!(names, ["data", "model", "epochs", "rate"]);
        assert_eq!(
            Json::Object(plan.values()),
            json!({"epochs": 5, "rate": null})
        );
        assert_eq!(plan.step_name, "run");
    }

    #[test]
    fn reports_all_mistakes_at_once() {
        assert_eq!(
            problems(request(&["epocs=5", "model=a", "model=b", "epochs=-1"])),
            [
                "`run` has no parameter `epocs` (did you mean `epochs`?)",
                "parameter `data` (input) is missing (add data=PATH)",
                "parameter `model` (output) is given 2 times (give model=PATH once)",
                "parameter `epochs`: wanted u32 (0 to 4294967295), got `-1`",
            ]
        );
    }

    #[test]
    fn json_parameters_are_checked_and_overridden() {
        let mut request = request(&["data=d", "model=m", "epochs=7"]);
        request.parameters.insert("epochs".into(), json!("many"));
        request.parameters.insert("rate".into(), json!(0.5));
        let planned = plan(request.clone(), Some(&train())).unwrap();
        assert_eq!(
            Json::Object(planned.values()),
            json!({"epochs": 7, "rate": 0.5})
        );
        request.parameters.insert("data".into(), json!("d.csv"));
        assert!(problems(request)[0].contains("is an artifact, not a value"));
    }

    #[test]
    fn programs_get_values_as_arguments() {
        let mut request = request(&["top=3"]);
        request.arguments = vec!["-v".into()];
        request
            .bindings
            .push(Binding::parse("text=a.txt", BindingKind::Input).unwrap());
        request
            .bindings
            .push(Binding::parse("counts=out/", BindingKind::Output).unwrap());
        let plan = plan(request, None).unwrap();
        assert_eq!(plan.program_arguments, ["--top=3", "-v"]);
        assert!(matches!(
            plan.arguments[1].bound,
            Bound::Output {
                shape: Shape::Tree,
                ..
            }
        ));
    }
}
