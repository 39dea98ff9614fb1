//! Checks a pipeline against the signatures of its components.

mod binding;
mod bound;
mod compare;
mod expression;
mod order;
mod parameter;
mod publish;
mod step;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::checked::Checked;
use super::diagnostic::{Diagnostic, Diagnostics, Span};
use super::expression::Word;
use super::file::{Pipeline, Step};
use super::types::Type;
use crate::plan::Shape;
use crate::signature::{Arity, Function, Signature};
use order::Order;

/// Most comparisons of an item of a list in the file with a type. A list of many
/// items can be used in many places; what is not compared here is when it runs.
const MAX_ITEM_CHECKS: usize = 1_000_000;

/// Checks a pipeline. `signatures` has those of its components, by reference as the
/// file writes it; `mistakes` are those that are known already. Where there are some,
/// they say why a component is not among the signatures.
pub(super) fn check(
    pipeline: &Pipeline,
    signatures: &BTreeMap<String, Signature>,
    mistakes: Vec<Diagnostic>,
) -> Result<Checked, Vec<Diagnostic>> {
    let mut found = Diagnostics::after(mistakes);
    let steps: HashMap<&str, usize> = names(pipeline).zip(0..).collect();
    // Before all that is found here.
    let kinds = kinds(pipeline, signatures, &mut found);
    let order = Order::of(pipeline, &steps, &mut found);
    let mut checker = Checker {
        pipeline,
        parameters: parameters(pipeline),
        steps,
        order: &order,
        kinds,
        found: &mut found,
        item_checks: 0,
        items: Items::default(),
    };
    let parameters = checker.declarations();
    let steps: Vec<_> = (0..pipeline.steps.len())
        .map(|at| checker.step(at))
        .collect();
    checker.tags();
    let steps = in_order(steps, &order);
    let checked = steps.zip(parameters).map(|(steps, parameters)| Checked {
        name: pipeline.name.clone(),
        description: pipeline.description.clone(),
        parameters,
        partition: pipeline.partition.clone(),
        steps,
    });
    found.finish(checked)
}

/// The steps by place in the file, each after those that it depends on, where that can
/// be.
pub(super) fn step_order(pipeline: &Pipeline) -> Vec<usize> {
    let steps = names(pipeline).zip(0..).collect();
    Order::of(pipeline, &steps, &mut Diagnostics::default()).steps
}

fn names(pipeline: &Pipeline) -> impl Iterator<Item = &str> + Clone {
    pipeline.steps.iter().map(|step| &*step.name.text)
}

fn parameters(pipeline: &Pipeline) -> HashMap<&str, usize> {
    let names = pipeline.parameters.iter().map(|it| &*it.name.text);
    names.zip(0..).collect()
}

/// Puts what was made in the order of the file in the order of the steps. `None`
/// where a part is missing.
fn in_order<T>(steps: Vec<Option<T>>, order: &Order) -> Option<Vec<T>> {
    let mut steps = steps;
    let steps = order.steps.iter().map(|step| steps[*step].take());
    steps.collect()
}

/// Says that there is no step with a name.
fn unknown_step(pipeline: &Pipeline, word: &Word, found: &mut Diagnostics) {
    found.hide();
    let hint = found.unknown(&word.text, names(pipeline));
    let message = format!("there is no step `{}`", word.text);
    found.push(Diagnostic::new(word.span.clone(), message).maybe_hint(hint));
}

/// What a step runs.
#[derive(Clone, Debug)]
enum StepKind {
    /// Nothing: it only publishes.
    Publishing,
    Function(Arc<Function>),
    Program,
    /// Something that is wrong, which was told.
    Unknown,
}

/// What each step runs; each component is looked up once.
fn kinds(
    pipeline: &Pipeline,
    signatures: &BTreeMap<String, Signature>,
    found: &mut Diagnostics,
) -> Vec<StepKind> {
    let mut known: HashMap<String, StepKind> = HashMap::new();
    let is_told = found.count() > 0;
    let mut of = |step: &Step| {
        let Some(uses) = &step.uses else {
            return match step.may_hide("uses") {
                true => StepKind::Unknown,
                false => StepKind::Publishing,
            };
        };
        let reference = uses.reference.to_string();
        if let Some(kind) = known.get(&reference) {
            return kind.clone();
        }
        let kind = match signatures.get(&reference) {
            None if is_told => StepKind::Unknown,
            signature => found
                .keep(kind(uses, signature))
                .unwrap_or(StepKind::Unknown),
        };
        known.insert(reference, kind.clone());
        kind
    };
    pipeline.steps.iter().map(&mut of).collect()
}

fn kind(uses: &super::file::Uses, signature: Option<&Signature>) -> Result<StepKind, Diagnostic> {
    let wrong = |message: String| Diagnostic::new(uses.span.clone(), message);
    let Some(signature) = signature else {
        return Err(wrong(format!("`{}` is not known", uses.reference)));
    };
    match signature.resolve(uses.reference.function.as_deref()) {
        Ok(Some(function)) => Ok(StepKind::Function(Arc::new(function.clone()))),
        Ok(None) => Ok(StepKind::Program),
        Err(error) => Err(wrong(format!(
            "`{}`: {error}",
            uses.reference.path.display()
        ))),
    }
}

/// Checks the parts of a pipeline, and collects what is wrong.
struct Checker<'a> {
    pipeline: &'a Pipeline,
    parameters: HashMap<&'a str, usize>,
    /// The steps by name, as places in the file.
    steps: HashMap<&'a str, usize>,
    order: &'a Order,
    /// What each step runs, by place in the file.
    kinds: Vec<StepKind>,
    found: &'a mut Diagnostics,
    item_checks: usize,
    items: Items,
}

/// What is known of the items of the step that is checked. There may be thousands, in a
/// list that the file gives, and as many uses of `item`: they are looked at once for
/// each question.
#[derive(Debug, Default)]
struct Items {
    /// Whether all are scalars.
    scalar: Option<bool>,
    /// Whether all are booleans.
    bool: Option<bool>,
    /// The first that fits no parameter for artifacts of a shape and arity.
    unfit: Vec<(Shape, Arity, Option<usize>)>,
}

/// What the expressions of a part of a step can use.
#[derive(Clone, Debug)]
struct Place {
    /// The step, as a place in the file.
    step: usize,
    part: Part,
    /// The type of `item`, where there is one.
    item: Option<Type>,
    /// Whether `item` comes from a step, and so from a guest.
    item_of_guest: bool,
}

/// A part of a step that has rules of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    When,
    Foreach,
    Publish,
    Bindings,
}

impl Checker<'_> {
    fn wrong(&mut self, span: &Span, message: impl Into<String>, hint: Option<String>) {
        let diagnostic = Diagnostic::new(span.clone(), message);
        self.found.push(diagnostic.maybe_hint(hint));
    }

    /// Says what is wrong, and that there is no value.
    fn refuse<T>(
        &mut self,
        span: &Span,
        message: impl Into<String>,
        hint: Option<&str>,
    ) -> Option<T> {
        self.wrong(span, message, hint.map(str::to_owned));
        None
    }
}
