//! What somebody asks to be run, before it is checked against the component.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::grants::Grants;
use crate::limits::Limits;

/// Where the virtual clock of a run starts that does not say otherwise:
/// 2000-01-01T00:00:00Z. Not the time of day, which would make every run its
/// own cache entry; not 1970, which archives and certificates cannot hold.
pub const DEFAULT_LOGICAL_TIME: Timestamp = Timestamp::constant(946_684_800, 0);

/// A run that somebody asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to run.
    pub step: StepReference,
    /// What the parameters are, in the order given.
    pub bindings: Vec<Binding>,
    /// Parameters given together as one JSON object; a binding wins over them.
    pub parameters: BTreeMap<String, Json>,
    /// Arguments for a program, passed as they are.
    pub arguments: Vec<String>,
    /// What bounds the run.
    pub limits: Limits,
    /// What the run is allowed.
    pub grants: Grants,
    /// Where the virtual clock starts.
    pub logical_time: Timestamp,
    /// The partition that the run is for.
    pub partition: Option<String>,
    /// The seed; derived from everything else where absent.
    pub seed: Option<u64>,
    /// The name of the step in its pipeline; the function's where absent.
    pub step_name: Option<String>,
    /// Whether outputs replace what is at their path.
    pub overwrite: bool,
}

impl Request {
    /// A request with defaults for everything but the step.
    #[must_use]
    pub fn new(step: StepReference) -> Self {
        Self {
            step,
            bindings: Vec::new(),
            parameters: BTreeMap::new(),
            arguments: Vec::new(),
            limits: Limits::default(),
            grants: Grants::default(),
            logical_time: DEFAULT_LOGICAL_TIME,
            partition: None,
            seed: None,
            step_name: None,
            overwrite: false,
        }
    }
}

/// The file of a component and, after `#`, a function in it.
///
/// ```
/// use wharf_model::request::StepReference;
/// let step: StepReference = "steps/train.wasm#fit".parse().unwrap();
/// assert_eq!(step.path, std::path::Path::new("steps/train.wasm"));
/// assert_eq!(step.function.as_deref(), Some("fit"));
/// let step: StepReference = "issue#7/train.wasm".parse().unwrap();
/// assert_eq!(step.function, None);
/// assert!("#fit".parse::<StepReference>().is_err());
/// assert!("a.wasm#".parse::<StepReference>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepReference {
    /// The file.
    pub path: PathBuf,
    /// The function, where one is named.
    pub function: Option<String>,
}

/// A text that is not a reference to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a step: write the path of a component, as in `step.wasm` or `step.wasm#function`")]
pub struct ParseStepReferenceError;

impl FromStr for StepReference {
    type Err = ParseStepReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, function) = match text.rsplit_once('#') {
            // No name of a function has them; a folder's may have a `#`.
            Some((_, rest)) if rest.contains(['/', '.']) => (text, None),
            Some((path, function)) => (path, Some(function)),
            None => (text, None),
        };
        if path.is_empty() || function.is_some_and(str::is_empty) {
            return Err(ParseStepReferenceError);
        }
        Ok(Self {
            path: PathBuf::from(path),
            function: function.map(str::to_owned),
        })
    }
}

impl fmt::Display for StepReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(function) => write!(f, "{}#{function}", self.path.display()),
            None => write!(f, "{}", self.path.display()),
        }
    }
}

/// What one parameter is.
///
/// ```
/// use wharf_model::request::{Binding, BindingKind};
/// let binding = Binding::parse("epochs=50", BindingKind::BySignature).unwrap();
/// assert_eq!((&*binding.name, &*binding.text), ("epochs", "50"));
/// assert!(Binding::parse("epochs", BindingKind::BySignature).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The name of the parameter.
    pub name: String,
    /// A value, or the path of an artifact.
    pub text: String,
    /// What the text is.
    pub kind: BindingKind,
}

/// What the text of a binding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingKind {
    /// What the signature says: a value, or a path.
    BySignature,
    /// The path of an input.
    Input,
    /// The path of an output.
    Output,
}

/// A text that is not a binding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a binding: write NAME=VALUE")]
pub struct ParseBindingError(String);

impl Binding {
    /// Parses `NAME=TEXT`.
    ///
    /// # Errors
    /// Where there is no name or no `=`.
    pub fn parse(text: &str, kind: BindingKind) -> Result<Self, ParseBindingError> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                text: value.to_owned(),
                kind,
            }),
            _ => Err(ParseBindingError(text.to_owned())),
        }
    }
}
