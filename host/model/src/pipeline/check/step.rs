//! Checks steps.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::checked::{
    CheckedBinding, CheckedOutput, CheckedStep, Publication, Source, SourceKind, Wanted,
};
use super::super::expression::{Expression, ExpressionKind, Word};
use super::super::file::{Publish, Step};
use super::super::given::{Given, GivenKind};
use super::super::types::Type;
use super::binding::Artifacts;
use super::expression::shape;
use super::{Checker, Part, Place, StepKind};
use crate::name::Name;
use crate::plan::Shape;
use crate::signature::{Arity, Function, Parameter, ParameterType};
use crate::value_type::ValueType;

/// Most items of a list that the file gives to `foreach`: what people write by
/// hand. Longer ones are parameters or results.
const MAX_ITEMS: usize = 10_000;

impl Checker<'_> {
    /// Checks the step at a place in the file.
    pub(super) fn step(&mut self, at: usize) -> Option<CheckedStep> {
        let pipeline = self.pipeline;
        let step = &pipeline.steps[at];
        let mut place = Place {
            step: at,
            part: Part::Foreach,
            item: None,
            item_of_guest: false,
        };
        let foreach = step.foreach.as_ref().map(|given| {
            let (source, item) = self.foreach(given, &place).unzip();
            place.item = Some(item.unwrap_or(Type::Unknown));
            place.item_of_guest = is_of_guest(given);
            source
        });
        place.part = Part::When;
        let when = step.when.as_ref().map(|given| self.when(given, &place));
        place.part = Part::Publish;
        let publish = self.publish(&step.publish, &place);
        place.part = Part::Bindings;
        let kind = self.kinds[at].clone();
        let bindings = self.bindings(step, &kind, &place);
        let arguments = self.arguments(step, &kind, &place);
        Some(CheckedStep {
            name: step.name.text.clone(),
            span: step.name.span.clone(),
            uses: step.uses.as_ref().map(|uses| uses.reference.clone()),
            outputs: self.checked_outputs(at),
            depends_on: self.order.depends_on(at),
            retries: step.retries.unwrap_or_default(),
            timeout: step.timeout,
            limits: step.limits.clone(),
            grants: step.grants.clone(),
            seed: step.seed,
            when: transpose(when)?,
            foreach: transpose(foreach)?,
            bindings: bindings?,
            arguments: arguments?,
            publish: publish?,
            function: match kind {
                StepKind::Function(function) => Some(function),
                _ => None,
            },
        })
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

    fn bindings(
        &mut self,
        step: &Step,
        kind: &StepKind,
        place: &Place,
    ) -> Option<Vec<CheckedBinding>> {
        match kind {
            StepKind::Function(function) => {
                self.refuse_program_keys(step, function);
                self.function_bindings(step, function, place)
            }
            StepKind::Program => self.program_bindings(step, place),
            StepKind::Publishing => Some(Vec::new()),
            StepKind::Unknown => {
                self.look_up(step, place);
                Some(Vec::new())
            }
        }
    }

    /// Looks up the names in a step whose signature is not known.
    fn look_up(&mut self, step: &Step, place: &Place) {
        for (_, given) in step.with.iter().chain(&step.inputs) {
            let mut roots: Vec<&Expression> = Vec::new();
            given.walk(&mut |expression| {
                let is_name = matches!(
                    expression.kind,
                    ExpressionKind::Parameter(_)
                        | ExpressionKind::Results(_)
                        | ExpressionKind::Output { .. }
                        | ExpressionKind::OwnOutput(_)
                        | ExpressionKind::Item
                        | ExpressionKind::Partition
                        | ExpressionKind::PartitionPart(_)
                );
                roots.extend(is_name.then_some(expression));
            });
            for expression in roots {
                self.expression(expression, place);
            }
        }
    }

    fn refuse_program_keys(&mut self, step: &Step, function: &Arc<Function>) {
        for (key, hint) in [
            ("inputs", "bind them in `with`"),
            ("outputs", "the signature says what it writes; remove this"),
            ("arguments", "bind its parameters in `with`"),
        ] {
            if let Some(word) = step.keys.iter().find(|word| word.text == key) {
                let message = format!(
                    "`{key}` is for programs; `{}` is a function with types",
                    function.name
                );
                self.wrong(&word.span, message, Some(hint.to_owned()));
            }
        }
    }

    fn function_bindings(
        &mut self,
        step: &Step,
        function: &Function,
        place: &Place,
    ) -> Option<Vec<CheckedBinding>> {
        let given: HashMap<&str, &Given> = step
            .with
            .iter()
            .map(|(word, given)| (&*word.text, given))
            .collect();
        let mut known: HashMap<&str, ()> = HashMap::new();
        let mut bindings = Some(Vec::new());
        for parameter in &function.parameters {
            known.insert(&parameter.name, ());
            let given = given.get(&*parameter.name).copied();
            match self.bound(step, parameter, given, place) {
                Some(Some(binding)) => bindings
                    .iter_mut()
                    .for_each(|all| all.push(binding.clone())),
                Some(None) => {}
                None => bindings = None,
            }
        }
        for (word, _) in &step.with {
            if !known.contains_key(&*word.text) {
                self.unknown_parameter(function, word);
            }
        }
        bindings
    }

    fn unknown_parameter(&mut self, function: &Function, word: &Word) {
        let inputs = function
            .parameters
            .iter()
            .filter(|parameter| !matches!(parameter.ty, ParameterType::Output { .. }));
        let known = inputs.map(|parameter| &*parameter.name);
        let hint = self.found.unknown(&word.text, known);
        let message = format!("`{}` has no parameter `{}`", function.name, word.text);
        self.wrong(&word.span, message, hint);
    }

    /// What a parameter is bound to: nothing where it is an output, `None` where
    /// something is wrong.
    fn bound(
        &mut self,
        step: &Step,
        parameter: &Parameter,
        given: Option<&Given>,
        place: &Place,
    ) -> Option<Option<CheckedBinding>> {
        let (name, ty) = (&parameter.name, &parameter.ty);
        let what = format!("parameter `{name}`");
        let wanted = match ty {
            ParameterType::Output { .. } => return self.refuse_bound_output(step, name, given),
            ParameterType::Input { tree, arity } => Wanted::Inputs {
                shape: shape(*tree),
                arity: *arity,
            },
            ParameterType::Value { value } => Wanted::Value(value.clone()),
        };
        let source = match (given, &wanted) {
            (Some(given), Wanted::Inputs { shape, arity }) => {
                let (shape, arity) = (*shape, *arity);
                let what = &*what;
                self.artifacts(Artifacts { what, shape, arity }, given, place)?
            }
            (Some(given), Wanted::Value(ty)) => self.value(&what, ty, given, place)?,
            (Some(given), Wanted::Argument) => self.argument(&what, given, place)?,
            (None, wanted) if may_be_absent(wanted) => Source {
                kind: SourceKind::Constant(serde_json::Value::Null),
                span: step.name.span.clone(),
            },
            (None, _) => {
                let message = format!("step `{}` needs {what} ({ty})", step.name.text);
                let hint = format!("add `{name}: ...` to its `with`");
                return self.refuse(&step.key("with"), message, Some(&hint));
            }
        };
        Some(Some(CheckedBinding {
            name: name.clone(),
            wanted,
            source,
        }))
    }

    fn refuse_bound_output(
        &mut self,
        step: &Step,
        name: &str,
        given: Option<&Given>,
    ) -> Option<Option<CheckedBinding>> {
        if given.is_none() {
            return Some(None);
        }
        let key = step.with.iter().find(|(word, _)| word.text == name);
        let span = key.map_or(step.key("with"), |(word, _)| word.span.clone());
        let message = format!("`{name}` is an output; outputs are not bound");
        let hint = format!(
            "remove it: outputs are kept in the store, and other steps use \
             `steps.{}.outputs.{name}`",
            step.name.text
        );
        self.refuse(&span, message, Some(&hint))
    }

    fn program_bindings(&mut self, step: &Step, place: &Place) -> Option<Vec<CheckedBinding>> {
        let inputs: Vec<_> = step
            .inputs
            .iter()
            .map(|(word, given)| self.program_input(word, given, place))
            .collect();
        let values: Vec<_> = step
            .with
            .iter()
            .map(|(word, given)| self.program_value(word, given, place))
            .collect();
        inputs.into_iter().chain(values).collect()
    }

    fn program_input(
        &mut self,
        word: &Word,
        given: &Given,
        place: &Place,
    ) -> Option<CheckedBinding> {
        if let Err(error) = Name::new(&word.text) {
            let message = format!("`{}` cannot name an input: {error}", word.text);
            return self.refuse(&word.span, message, None);
        }
        let what = format!("input `{}`", word.text);
        let (shape, arity) = (Shape::Either, Arity::One);
        let wanted = Artifacts {
            what: &what,
            shape,
            arity,
        };
        Some(CheckedBinding {
            name: word.text.clone(),
            wanted: Wanted::Inputs { shape, arity },
            source: self.artifacts(wanted, given, place)?,
        })
    }

    fn program_value(
        &mut self,
        word: &Word,
        given: &Given,
        place: &Place,
    ) -> Option<CheckedBinding> {
        let belongs = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if word.text.is_empty() || word.text.starts_with('-') || !word.text.bytes().all(belongs) {
            let message = format!("`{}` cannot name an argument", word.text);
            let hint = "it becomes `--NAME=VALUE`; other arguments go to `arguments`";
            return self.refuse(&word.span, message, Some(hint));
        }
        let what = format!("argument `{}`", word.text);
        Some(CheckedBinding {
            name: word.text.clone(),
            wanted: Wanted::Argument,
            source: self.argument(&what, given, place)?,
        })
    }

    fn arguments(&mut self, step: &Step, kind: &StepKind, place: &Place) -> Option<Vec<Source>> {
        if !matches!(kind, StepKind::Program) {
            return Some(Vec::new());
        }
        let arguments: Vec<_> = step
            .arguments
            .iter()
            .map(|given| self.argument("an argument", given, place))
            .collect();
        arguments.into_iter().collect()
    }
}

/// Whether a parameter need not be bound.
const fn may_be_absent(wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Value(ValueType::Option { .. }) => true,
        Wanted::Inputs { arity, .. } => matches!(arity, Arity::Optional),
        Wanted::Value(_) | Wanted::Argument => false,
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
