//! Checks the parameters of a step against the signature that it has.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::super::checked::{CheckedBinding, Source, SourceKind, Wanted};
use super::super::expression::{Expression, ExpressionKind, Word};
use super::super::file::Step;
use super::super::given::Given;
use super::binding::Artifacts;
use super::expression::shape;
use super::{Checker, Place, StepKind};
use crate::name::Name;
use crate::plan::Shape;
use crate::signature::{Arity, Function, Parameter, ParameterType};
use crate::value_type::ValueType;

impl Checker<'_> {
    /// What the parameters of a step are bound to.
    pub(super) fn bindings(
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

    fn refuse_program_keys(&mut self, step: &Step, function: &Function) {
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
        let name = &parameter.name;
        let wanted = match &parameter.ty {
            ParameterType::Output { .. } => return self.refuse_bound_output(step, name, given),
            ParameterType::Input { tree, arity } => Wanted::Inputs {
                shape: shape(*tree),
                arity: *arity,
            },
            ParameterType::Value { value } => Wanted::Value(value.clone()),
        };
        let source = match given {
            Some(given) => self.given(&format!("parameter `{name}`"), &wanted, given, place)?,
            None if may_be_absent(&wanted) => Source {
                kind: SourceKind::Constant(Json::Null),
                span: step.name.span.clone(),
            },
            None => return self.refuse_absent(step, parameter),
        };
        Some(Some(CheckedBinding {
            name: name.clone(),
            wanted,
            source,
        }))
    }

    fn given(
        &mut self,
        what: &str,
        wanted: &Wanted,
        given: &Given,
        place: &Place,
    ) -> Option<Source> {
        match wanted {
            Wanted::Inputs { shape, arity } => {
                let (shape, arity) = (*shape, *arity);
                self.artifacts(Artifacts { what, shape, arity }, given, place)
            }
            Wanted::Value(ty) => self.value(what, ty, given, place),
            Wanted::Argument => self.argument(what, given, place),
        }
    }

    fn refuse_absent<T>(&mut self, step: &Step, parameter: &Parameter) -> Option<T> {
        let Parameter { name, ty } = parameter;
        if step.may_hide("with") {
            return None;
        }
        let message = format!("step `{}` needs parameter `{name}` ({ty})", step.name.text);
        let hint = format!("add `{name}: ...` to its `with`");
        self.refuse(&step.key("with"), message, Some(&hint))
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

    /// The arguments of a program.
    pub(super) fn arguments(
        &mut self,
        step: &Step,
        kind: &StepKind,
        place: &Place,
    ) -> Option<Vec<Source>> {
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
