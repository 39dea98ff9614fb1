//! A pipeline that is checked: every name is looked up, every type fits.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value as Json;

use super::diagnostic::Span;
use super::expression::Comparison;
use super::file::{Retries, StepLimits};
use super::partition::{DatePart, Partition};
use super::publish::PublishTarget;
use crate::artifact::ArtifactReference;
use crate::grants::Grant;
use crate::limits::Millis;
use crate::name::Name;
use crate::plan::Shape;
use crate::request::StepReference;
use crate::signature::{Arity, Function, ParameterType};
use crate::value_type::ValueType;

/// A checked pipeline.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its name, where the file gives one.
    pub name: Option<Name>,
    /// What it is for.
    pub description: Option<String>,
    /// What can be chosen for each run, in the order of the file.
    pub parameters: Vec<CheckedParameter>,
    /// How the data is divided.
    pub partition: Option<Partition>,
    /// The steps; each comes after those that it depends on, and otherwise in the
    /// order of the file. An index of a step means a place in this list.
    pub steps: Vec<CheckedStep>,
}

/// A parameter of a pipeline.
#[derive(Clone, Debug)]
pub struct CheckedParameter {
    /// Its name.
    pub name: String,
    /// Its type: a value or an input, never an output.
    pub ty: ParameterType,
    /// What it is where a run does not say otherwise. A parameter without a default
    /// must be given.
    pub default: Option<ParameterDefault>,
    /// What it means.
    pub description: Option<String>,
    /// Where it is declared.
    pub span: Span,
}

/// What a parameter is where a run does not say otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterDefault {
    /// A value in canonical form.
    Json(Json),
    /// Paths of artifacts, relative to the file: one, or any number where the
    /// parameter is a list.
    Paths(Vec<PathBuf>),
}

/// A step.
#[derive(Clone, Debug)]
pub struct CheckedStep {
    /// Its name.
    pub name: String,
    /// Where its name is in the file.
    pub span: Span,
    /// The component that it uses; a step without one only publishes.
    pub uses: Option<StepReference>,
    /// The function that it calls; none for a program, and for a step that only
    /// publishes.
    pub function: Option<Arc<Function>>,
    /// What it writes, in the order of the signature or the file.
    pub outputs: Vec<CheckedOutput>,
    /// The steps that must end before it begins, by index, in order, each once:
    /// those that its expressions refer to, and those that it `needs`. Where one of
    /// them is skipped, evaluation says whether this step is, too; `needs` alone is
    /// about the order.
    pub depends_on: Vec<usize>,
    /// How often it is tried again.
    pub retries: Retries,
    /// The wall time of one attempt.
    pub timeout: Option<Millis>,
    /// What bounds it, where it differs from the defaults.
    pub limits: StepLimits,
    /// What it is allowed.
    pub grants: Vec<Grant>,
    /// The seed, where one is given.
    pub seed: Option<u64>,
    pub(super) when: Option<Source>,
    pub(super) foreach: Option<Source>,
    pub(super) bindings: Vec<CheckedBinding>,
    pub(super) arguments: Vec<Source>,
    pub(super) publish: Vec<Publication>,
}

/// An artifact that a step writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedOutput {
    /// Its name.
    pub name: String,
    /// Whether it is a file or a folder.
    pub shape: Shape,
}

impl CheckedStep {
    /// Whether it runs once for each item of a list.
    #[must_use]
    pub const fn is_each(&self) -> bool {
        self.foreach.is_some()
    }

    /// Whether it runs only under a condition.
    #[must_use]
    pub const fn is_conditional(&self) -> bool {
        self.when.is_some()
    }

    /// Whether it is a program, not a function with types.
    #[must_use]
    pub const fn is_program(&self) -> bool {
        self.uses.is_some() && self.function.is_none()
    }

    /// Where it publishes artifacts, in the order of the file.
    pub fn publishes(&self) -> impl Iterator<Item = &PublishTarget> {
        self.publish.iter().map(|publication| &publication.target)
    }
}

/// Where the list of a step with `foreach` comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemsFrom {
    /// The file: it is the same in every run.
    File {
        /// How many items it has.
        count: usize,
    },
    /// Parameters of the pipeline, by name.
    Parameters(BTreeSet<String>),
    /// Steps: it is known when they have ended.
    Steps,
}

impl CheckedStep {
    /// The parameters that take artifacts whose paths depend on the partition.
    #[must_use]
    pub fn paths_of_partition(&self) -> Vec<&str> {
        let inputs = self
            .bindings
            .iter()
            .filter(|binding| matches!(binding.wanted, Wanted::Inputs { .. }));
        let depends = |binding: &&CheckedBinding| {
            let mut found = false;
            binding.source.walk(&mut |formula| {
                found |= matches!(
                    formula.kind,
                    FormulaKind::Partition | FormulaKind::PartitionPart(_)
                );
            });
            found
        };
        inputs
            .filter(depends)
            .map(|binding| &*binding.name)
            .collect()
    }

    /// Where its list comes from; nothing without `foreach`.
    #[must_use]
    pub fn items_from(&self) -> Option<ItemsFrom> {
        let foreach = self.foreach.as_ref()?;
        if let SourceKind::List(items) = &foreach.kind {
            return Some(ItemsFrom::File { count: items.len() });
        }
        if let SourceKind::Constant(Json::Array(items)) = &foreach.kind {
            return Some(ItemsFrom::File { count: items.len() });
        }
        let (mut parameters, mut of_run) = (BTreeSet::new(), false);
        foreach.walk(&mut |formula| match &formula.kind {
            FormulaKind::Parameter(name) => drop(parameters.insert(name.clone())),
            FormulaKind::Results(_)
            | FormulaKind::Output { .. }
            | FormulaKind::OwnOutput { .. }
            | FormulaKind::Artifact(_)
            | FormulaKind::Partition
            | FormulaKind::PartitionPart(_) => of_run = true,
            _ => {}
        });
        Some(match of_run {
            true => ItemsFrom::Steps,
            false => ItemsFrom::Parameters(parameters),
        })
    }
}

impl Source {
    /// Calls `visit` with every expression in it, and in those.
    fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Formula)) {
        match &self.kind {
            SourceKind::Constant(_) => {}
            SourceKind::Formula(formula) => formula.walk(visit),
            SourceKind::Text(pieces) => {
                for piece in pieces {
                    if let TextPiece::Formula(formula) = piece {
                        formula.walk(visit);
                    }
                }
            }
            SourceKind::List(items) => items.iter().for_each(|item| item.walk(visit)),
            SourceKind::Map(entries) => entries.iter().for_each(|(_, value)| value.walk(visit)),
        }
    }
}

impl Formula {
    fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        match &self.kind {
            FormulaKind::Field(of, _) | FormulaKind::Index(of, _) | FormulaKind::Not(of) => {
                of.walk(visit);
            }
            FormulaKind::Compare(_, one, other) => {
                one.walk(visit);
                other.walk(visit);
            }
            FormulaKind::All(parts) | FormulaKind::Any(parts) => {
                parts.iter().for_each(|part| part.walk(visit));
            }
            FormulaKind::Literal(_)
            | FormulaKind::Parameter(_)
            | FormulaKind::Results(_)
            | FormulaKind::Output { .. }
            | FormulaKind::OwnOutput { .. }
            | FormulaKind::Item
            | FormulaKind::Partition
            | FormulaKind::PartitionPart(_)
            | FormulaKind::Artifact(_) => {}
        }
    }
}

/// A parameter of a function or program, and what it is bound to.
#[derive(Clone, Debug)]
pub(super) struct CheckedBinding {
    pub(super) name: String,
    pub(super) wanted: Wanted,
    pub(super) source: Source,
}

/// What a parameter takes.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    Value(ValueType),
    Inputs {
        shape: Shape,
        arity: Arity,
    },
    /// An argument of a program: any value.
    Argument,
}

/// An artifact to publish.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    pub(super) target: PublishTarget,
    pub(super) formula: Formula,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) kind: SourceKind,
    pub(super) span: Span,
}

#[derive(Clone, Debug)]
pub(super) enum SourceKind {
    /// The file: a value in canonical form, or a path.
    Constant(Json),
    Formula(Formula),
    /// A text of pieces.
    Text(Vec<TextPiece>),
    List(Vec<Source>),
    Map(Vec<(String, Source)>),
}

#[derive(Clone, Debug)]
pub(super) enum TextPiece {
    Text(String),
    Formula(Formula),
}

/// An expression whose names are looked up.
#[derive(Clone, Debug)]
pub(super) struct Formula {
    pub(super) kind: FormulaKind,
    pub(super) span: Span,
}

#[derive(Clone, Debug)]
pub(super) enum FormulaKind {
    Literal(Json),
    Parameter(String),
    Results(usize),
    Output {
        step: usize,
        output: String,
        /// Whether the step runs for each item of a list, and has as many outputs.
        many: bool,
    },
    OwnOutput {
        output: String,
        many: bool,
    },
    Item,
    Partition,
    PartitionPart(DatePart),
    Artifact(ArtifactReference),
    Field(Box<Formula>, String),
    Index(Box<Formula>, usize),
    Not(Box<Formula>),
    Compare(Comparison, Box<Formula>, Box<Formula>),
    All(Vec<Formula>),
    Any(Vec<Formula>),
}
