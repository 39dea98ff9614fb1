//! Evaluates the parts of a checked step with the values of a run.
//!
//! Types were checked; values that come from a run are checked again, since a list
//! can be shorter than an expression takes it for, and results are what a guest
//! makes them.

mod formula;

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value as Json};

use super::checked::{CheckedBinding, CheckedStep, Source, SourceKind, TextPiece, Wanted};
use super::diagnostic::{Diagnostic, Span};
use super::partition::Slice;
use super::publish::PublishTarget;
use crate::Fault;
use crate::artifact::ArtifactReference;
use crate::plan::Shape;
use crate::signature::Arity;
use crate::value;
use crate::value_type::ValueType;
use formula::{View, text_of};

/// Most items that a step runs for. It bounds what a list that a guest returns can
/// start.
pub const MAX_EACH: usize = 100_000;

/// A value of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<A> {
    /// A value.
    Json(Json),
    /// One artifact.
    Artifact(A),
    /// Several artifacts.
    Artifacts(Vec<A>),
    /// Nothing.
    Absent,
}

/// What the expressions of a step can refer to in a run.
///
/// Steps are given by index in [`Checked::steps`](super::Checked::steps). What is
/// asked for is what the pipeline declares: a parameter that is unknown is a bug.
pub trait Scope {
    /// What stands for an artifact.
    type Artifact: Clone;

    /// The value of a parameter of the pipeline. Paths that were given for artifacts
    /// are artifacts already.
    fn parameter(&self, name: &str) -> Option<&Value<Self::Artifact>>;

    /// The results of a step, those of a step with `foreach` as a list. `None` where
    /// it was skipped.
    fn results(&self, step: usize) -> Option<&Json>;

    /// An output of a step: one artifact, or one for each item of a step with
    /// `foreach`. `None` where it was skipped.
    fn outputs(&self, step: usize, output: &str) -> Option<&[Self::Artifact]>;

    /// An output of the step itself, once it has succeeded, as in
    /// [`Self::outputs`].
    fn own_outputs(&self, output: &str) -> Option<&[Self::Artifact]>;

    /// The item that the step runs for.
    fn item(&self) -> Option<&Value<Self::Artifact>>;

    /// The partition that the run is for.
    fn partition(&self) -> Option<&Slice>;

    /// A stored artifact.
    ///
    /// # Errors
    /// Where there is none, or the store fails.
    fn artifact(&self, reference: &ArtifactReference) -> Result<Self::Artifact, Fault>;

    /// What is at a path, which is relative to the pipeline's file.
    ///
    /// # Errors
    /// Where nothing is there, or something of another shape.
    fn path(&self, path: &Path, shape: Shape) -> Result<Self::Artifact, Fault>;
}

/// Why something has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvaluationError {
    /// It needs something of a step that was skipped, so the step is skipped, too.
    Skipped {
        /// The step that was skipped.
        step: usize,
    },
    /// The values of the run are not what the pipeline takes them for.
    Wrong(Diagnostic),
    /// An artifact cannot be had.
    Fault(Fault),
}

impl From<Fault> for EvaluationError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

type Evaluated<T> = Result<T, EvaluationError>;

fn wrong<T>(span: &Span, message: impl Into<String>) -> Evaluated<T> {
    Err(EvaluationError::Wrong(Diagnostic::new(
        span.clone(),
        message,
    )))
}

/// A parameter of a step, with what it is bound to.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundParameter<A> {
    /// The name of the parameter.
    pub name: String,
    /// What it is bound to.
    pub value: BoundValue<A>,
}

/// Artifacts of a parameter that are known before anything runs.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownArtifacts<'a, A> {
    /// The name of the parameter.
    pub parameter: &'a str,
    /// Whether it takes files or folders.
    pub shape: Shape,
    /// How many it takes.
    pub arity: Arity,
    /// The artifacts.
    pub artifacts: Vec<A>,
}

/// What a parameter of a step is bound to.
#[derive(Clone, Debug, PartialEq)]
pub enum BoundValue<A> {
    /// A value that fits the type of the parameter, in canonical form. Of a program,
    /// any value.
    Json(Json),
    /// Artifacts, as many as the parameter takes.
    Artifacts {
        /// How they are passed.
        arity: Arity,
        /// The artifacts.
        artifacts: Vec<A>,
    },
}

impl CheckedStep {
    /// Whether the step runs: what its `when` says.
    ///
    /// # Errors
    /// Where the condition needs a step that was skipped, and what
    /// [`EvaluationError`] says.
    pub fn is_wanted<S: Scope>(&self, scope: &S) -> Evaluated<bool> {
        let Some(when) = &self.when else {
            return Ok(true);
        };
        match json(when, scope)? {
            Json::Bool(wanted) => Ok(wanted),
            other => wrong(&when.span, format!("`when` is {other}, not true or false")),
        }
    }

    /// The items that the step runs for, in order; `None` without `foreach`.
    ///
    /// # Errors
    /// What [`EvaluationError`] says, and more than [`MAX_EACH`] items.
    pub fn items<S: Scope>(&self, scope: &S) -> Evaluated<Option<Vec<Value<S::Artifact>>>> {
        let Some(foreach) = &self.foreach else {
            return Ok(None);
        };
        let items = items(foreach, scope)?;
        match items.len() <= MAX_EACH {
            true => Ok(Some(items)),
            false => {
                let message = format!("`foreach` has {} items, more than {MAX_EACH}", items.len());
                wrong(&foreach.span, message)
            }
        }
    }

    /// What the parameters of the step are bound to, in the order of its signature,
    /// without outputs. Of a program: its inputs, then its values. A parameter that
    /// is an option gets nothing where it needs a step that was skipped.
    ///
    /// # Errors
    /// What [`EvaluationError`] says.
    pub fn bind<S: Scope>(&self, scope: &S) -> Evaluated<Vec<BoundParameter<S::Artifact>>> {
        self.bindings
            .iter()
            .map(|binding| bind(binding, scope))
            .collect()
    }

    /// The artifacts that are known already, by parameter: where nothing in `scope` is
    /// missing yet. What cannot be told is left out.
    pub fn known_artifacts<S: Scope>(&self, scope: &S) -> Vec<KnownArtifacts<'_, S::Artifact>> {
        let known = self.bindings.iter().filter_map(|binding| {
            let Wanted::Inputs { shape, arity } = binding.wanted else {
                return None;
            };
            Some(KnownArtifacts {
                parameter: &binding.name,
                shape,
                arity,
                artifacts: artifacts(&binding.source, shape, scope).ok()?,
            })
        });
        known.collect()
    }

    /// The arguments of a program that follow its values.
    ///
    /// # Errors
    /// What [`EvaluationError`] says.
    pub fn program_arguments<S: Scope>(&self, scope: &S) -> Evaluated<Vec<String>> {
        let text = |source: &Source| text_of(&json(source, scope)?, &source.span);
        self.arguments.iter().map(text).collect()
    }

    /// What the step publishes, in the order of the file, once it has succeeded.
    ///
    /// # Errors
    /// What [`EvaluationError`] says.
    pub fn publications<S: Scope>(
        &self,
        scope: &S,
    ) -> Evaluated<Vec<(PublishTarget, S::Artifact)>> {
        let publish = self.publish.iter().map(|publication| {
            let span = &publication.formula.span;
            match publication.formula.evaluate(scope)? {
                View::Artifact(artifact) => Ok((publication.target.clone(), artifact)),
                _ => wrong(span, "there is no artifact to publish"),
            }
        });
        publish.collect()
    }
}

fn bind<S: Scope>(binding: &CheckedBinding, scope: &S) -> Evaluated<BoundParameter<S::Artifact>> {
    let value = match &binding.wanted {
        Wanted::Argument => BoundValue::Json(json(&binding.source, scope)?),
        Wanted::Value(ty) => BoundValue::Json(bind_value(&binding.source, ty, scope)?),
        Wanted::Inputs { shape, arity } => BoundValue::Artifacts {
            artifacts: bind_inputs(binding, *shape, *arity, scope)?,
            arity: *arity,
        },
    };
    let name = binding.name.clone();
    Ok(BoundParameter { name, value })
}

fn bind_value<S: Scope>(source: &Source, ty: &ValueType, scope: &S) -> Evaluated<Json> {
    if let SourceKind::Constant(json) = &source.kind {
        // It was checked, and is in canonical form.
        return Ok(json.clone());
    }
    let given = match json(source, scope) {
        Err(EvaluationError::Skipped { .. }) if matches!(ty, ValueType::Option { .. }) => {
            Json::Null
        }
        given => given?,
    };
    match value::check_json(ty, &given) {
        Ok(json) => Ok(json),
        Err(error) => wrong(&source.span, error.to_string()),
    }
}

fn bind_inputs<S: Scope>(
    binding: &CheckedBinding,
    shape: Shape,
    arity: Arity,
    scope: &S,
) -> Evaluated<Vec<S::Artifact>> {
    let artifacts = match artifacts(&binding.source, shape, scope) {
        Err(EvaluationError::Skipped { .. }) if arity == Arity::Optional => Vec::new(),
        artifacts => artifacts?,
    };
    let fits = match arity {
        Arity::One => artifacts.len() == 1,
        Arity::Optional => artifacts.len() <= 1,
        Arity::Many => true,
    };
    match fits {
        true => Ok(artifacts),
        false => {
            let count = artifacts.len();
            let message = format!("`{}` takes one artifact, got {count}", binding.name);
            wrong(&binding.source.span, message)
        }
    }
}

/// The artifacts that a source gives.
fn artifacts<S: Scope>(source: &Source, shape: Shape, scope: &S) -> Evaluated<Vec<S::Artifact>> {
    let at_path = |path: &str| match path.is_empty() || path.contains('\0') {
        true => wrong(&source.span, format!("`{path}` is not a path")),
        false => Ok(vec![scope.path(Path::new(path), shape)?]),
    };
    let view = match &source.kind {
        SourceKind::List(items) => {
            let items = items.iter().map(|item| artifacts(item, shape, scope));
            let items: Vec<_> = items.collect::<Evaluated<_>>()?;
            return Ok(items.into_iter().flatten().collect());
        }
        SourceKind::Formula(formula) => formula.evaluate(scope)?,
        _ => View::Json(Cow::Owned(json(source, scope)?)),
    };
    match view {
        View::Artifact(artifact) => Ok(vec![artifact]),
        View::Artifacts(artifacts) => Ok(artifacts.into_owned()),
        View::Absent => Ok(Vec::new()),
        View::Json(json) => match &*json {
            Json::Null => Ok(Vec::new()),
            Json::String(path) => at_path(path),
            json => wrong(&source.span, format!("wanted an artifact, got {json}")),
        },
    }
}

/// The value that a source gives.
fn json<S: Scope>(source: &Source, scope: &S) -> Evaluated<Json> {
    match &source.kind {
        SourceKind::Constant(json) => Ok(json.clone()),
        SourceKind::Formula(formula) => Ok(formula.json(scope)?.into_owned()),
        SourceKind::Text(pieces) => text(pieces, scope).map(Json::String),
        SourceKind::List(items) => {
            let items = items.iter().map(|item| json(item, scope));
            Ok(Json::Array(items.collect::<Evaluated<_>>()?))
        }
        SourceKind::Map(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| Ok((key.clone(), json(value, scope)?)));
            Ok(Json::Object(entries.collect::<Evaluated<Map<_, _>>>()?))
        }
    }
}

fn text<S: Scope>(pieces: &[TextPiece], scope: &S) -> Evaluated<String> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            TextPiece::Text(plain) => text += plain,
            TextPiece::Formula(formula) => {
                text += &text_of(&*formula.json(scope)?, &formula.span)?;
            }
        }
    }
    Ok(text)
}

fn items<S: Scope>(foreach: &Source, scope: &S) -> Evaluated<Vec<Value<S::Artifact>>> {
    match &foreach.kind {
        SourceKind::List(items) => items.iter().map(|item| listed(item, scope)).collect(),
        SourceKind::Formula(formula) => match formula.evaluate(scope)? {
            View::Artifacts(artifacts) => {
                Ok(artifacts.iter().cloned().map(Value::Artifact).collect())
            }
            View::Json(json) => match json.into_owned() {
                Json::Array(items) => Ok(items.into_iter().map(Value::Json).collect()),
                other => wrong(&foreach.span, format!("`foreach` is {other}, not a list")),
            },
            View::Artifact(_) | View::Absent => wrong(&foreach.span, "`foreach` is not a list"),
        },
        _ => wrong(&foreach.span, "`foreach` is not a list"),
    }
}

/// An item of a list in the file.
fn listed<S: Scope>(item: &Source, scope: &S) -> Evaluated<Value<S::Artifact>> {
    match &item.kind {
        SourceKind::Formula(formula) => Ok(formula.evaluate(scope)?.into_value()),
        _ => json(item, scope).map(Value::Json),
    }
}
