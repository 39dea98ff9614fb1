//! Checks steps.

use super::super::checked::{CheckedOutput, CheckedStep, Publication, Source, SourceKind};
use super::super::expression::ExpressionKind;
use super::super::file::{Publish, Step};
use super::super::given::{Given, GivenKind};
use super::super::types::Type;
use super::{Checker, Items, Part, Place, StepKind};
use crate::value_type::ValueType;

/// Most items of a list that the file gives to `foreach`: what people write by
/// hand. Longer ones are parameters or results.
const MAX_ITEMS: usize = 10_000;

impl Checker<'_> {
    /// Checks the step at a place in the file. Every part is looked at, whatever is
    /// wrong with the others.
    pub(super) fn step(&mut self, at: usize) -> Option<CheckedStep> {
        let pipeline = self.pipeline;
        let step = &pipeline.steps[at];
        let kind = self.kinds[at].clone();
        self.items = Items::default();
        let mut place = Place {
            step: at,
            part: Part::Foreach,
            item: None,
            item_of_guest: false,
        };
        let foreach = self.each(step, &mut place);
        place.part = Part::When;
        let when = step.when.as_ref().map(|given| self.when(given, &place));
        place.part = Part::Publish;
        let publish = self.publish(&step.publish, &place);
        place.part = Part::Bindings;
        let bindings = self.bindings(step, &kind, &place);
        let arguments = self.arguments(step, &kind, &place);
        Some(CheckedStep {
            outputs: self.checked_outputs(at),
            depends_on: self.order.depends_on(at),
            when: transpose(when)?,
            foreach: transpose(foreach)?,
            bindings: bindings?,
            arguments: arguments?,
            publish: publish?,
            function: match kind {
                StepKind::Function(function) => Some(function),
                _ => None,
            },
            ..unchecked(step)
        })
    }

    /// The list that a step runs for, and in its place the type of an item.
    fn each(&mut self, step: &Step, place: &mut Place) -> Option<Option<Source>> {
        let Some(given) = &step.foreach else {
            if step.may_hide("foreach") {
                place.item = Some(Type::Unknown);
            }
            return None;
        };
        let (source, item) = self.foreach(given, place).unzip();
        place.item = Some(item.unwrap_or(Type::Unknown));
        place.item_of_guest = is_of_guest(given);
        Some(source)
    }

    fn checked_outputs(&self, step: usize) -> Vec<CheckedOutput> {
        let outputs = self.outputs_of(step).into_iter();
        outputs
            .map(|(name, shape)| CheckedOutput { name, shape })
            .collect()
    }

    fn when(&mut self, given: &Given, place: &Place) -> Option<Source> {
        let span = given.span.clone();
        let kind = match &given.kind {
            GivenKind::Expression(expression) => {
                SourceKind::Formula(self.condition(expression, place)?)
            }
            _ => SourceKind::Constant(given.constant()?),
        };
        Some(Source { kind, span })
    }

    /// The list of a `foreach`, and the type of its items.
    fn foreach(&mut self, given: &Given, place: &Place) -> Option<(Source, Type)> {
        let span = given.span.clone();
        let (kind, item) = match &given.kind {
            GivenKind::List(items) => self.listed(items, given, place)?,
            GivenKind::Expression(expression) => {
                let (formula, ty) = self.expression(expression, place)?;
                let item = match ty {
                    Type::Unknown => Type::Unknown,
                    Type::Artifacts(shape) => Type::Artifact(shape),
                    Type::Value(ValueType::List { item }) => Type::Value(*item),
                    ty => {
                        let message = format!("`foreach`: wanted a list, got {ty}");
                        return self.refuse(&span, message, None);
                    }
                };
                (SourceKind::Formula(formula), item)
            }
            _ => return None,
        };
        Some((Source { kind, span }, item))
    }

    fn listed(
        &mut self,
        items: &[Given],
        given: &Given,
        place: &Place,
    ) -> Option<(SourceKind, Type)> {
        if items.len() > MAX_ITEMS {
            let message = format!("`foreach` has {} items, more than {MAX_ITEMS}", items.len());
            let hint = "make a parameter of it, or let a step return it";
            return self.refuse(&given.span, message, Some(hint));
        }
        let items: Vec<_> = items
            .iter()
            .map(|item| self.listed_item(item, place))
            .collect();
        let items: Option<Vec<_>> = items.into_iter().collect();
        let (sources, types): (Vec<Source>, Vec<Type>) = items?.into_iter().unzip();
        Some((SourceKind::List(sources), Type::OneOf(types.into())))
    }

    fn listed_item(&mut self, given: &Given, place: &Place) -> Option<(Source, Type)> {
        let span = given.span.clone();
        if let Some(json) = given.constant() {
            let kind = SourceKind::Constant(json.clone());
            return Some((Source { kind, span }, Type::Literal(json)));
        }
        let (kind, ty) = match &given.kind {
            GivenKind::Expression(expression) => {
                let (formula, ty) = self.expression(expression, place)?;
                (SourceKind::Formula(formula), ty)
            }
            GivenKind::Mixed(_) => {
                let source =
                    self.value("an item of `foreach`", &ValueType::String, given, place)?;
                (source.kind, Type::Value(ValueType::String))
            }
            _ => {
                let message = "an item of `foreach` cannot have expressions inside a list or map";
                let hint = "write one expression, or only values";
                return self.refuse(&span, message, Some(hint));
            }
        };
        Some((Source { kind, span }, ty))
    }

    fn publish(&mut self, publish: &[Publish], place: &Place) -> Option<Vec<Publication>> {
        let checked: Vec<_> = publish.iter().map(|it| self.published(it, place)).collect();
        checked.into_iter().collect()
    }

    fn published(&mut self, publish: &Publish, place: &Place) -> Option<Publication> {
        let GivenKind::Expression(expression) = &publish.value.kind else {
            return None;
        };
        let (formula, ty) = self.expression(expression, place)?;
        let (message, hint) = match ty {
            Type::Unknown | Type::Artifact(_) => {
                let target = publish.target.clone();
                return Some(Publication { target, formula });
            }
            Type::Artifacts(_) => (
                "one artifact is published under a name, not a list of them".to_owned(),
                "publish one of them: `[0]`",
            ),
            ty => (
                format!("only artifacts are published, not {ty}"),
                "results are kept in the record of the run",
            ),
        };
        self.refuse(&publish.value.span, message, Some(hint))
    }
}

/// What a step has that needs no check.
fn unchecked(step: &Step) -> CheckedStep {
    CheckedStep {
        name: step.name.text.clone(),
        span: step.name.span.clone(),
        uses: step.uses.as_ref().map(|uses| uses.reference.clone()),
        retries: step.retries.unwrap_or_default(),
        timeout: step.timeout,
        limits: step.limits.clone(),
        grants: step.grants.clone(),
        seed: step.seed,
        function: None,
        outputs: Vec::new(),
        depends_on: Vec::new(),
        when: None,
        foreach: None,
        bindings: Vec::new(),
        arguments: Vec::new(),
        publish: Vec::new(),
    }
}

/// Whether the items of a list come from a step.
fn is_of_guest(given: &Given) -> bool {
    let mut found = false;
    given.walk(&mut |expression| {
        found |= matches!(expression.kind, ExpressionKind::Results(_));
    });
    found
}

/// What is there must be right: `None` where it is there, and wrong.
fn transpose<T>(checked: Option<Option<T>>) -> Option<Option<T>> {
    match checked {
        Some(None) => None,
        Some(there) => Some(there),
        None => Some(None),
    }
}
