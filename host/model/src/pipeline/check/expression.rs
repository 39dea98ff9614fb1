//! Looks up the names of expressions, and finds their types.

use serde_json::Value as Json;

use super::super::checked::{Formula, FormulaKind};
use super::super::diagnostic::Span;
use super::super::expression::{Expression, ExpressionKind, Word};
use super::super::partition::DatePart;
use super::super::types::Type;
use super::{Checker, Part, Place, StepKind, unknown_step};
use crate::plan::Shape;
use crate::signature::{Arity, ParameterType};
use crate::value_type::{IntegerType, ValueType};

/// A kind of formula with its type.
type Typed = Option<(FormulaKind, Type)>;

impl Checker<'_> {
    /// Checks an expression. `None` where something is wrong, which was told.
    pub(super) fn expression(
        &mut self,
        expression: &Expression,
        place: &Place,
    ) -> Option<(Formula, Type)> {
        let (kind, ty) = self.kind(expression, place)?;
        let span = expression.span.clone();
        Some((Formula { kind, span }, ty))
    }

    fn kind(&mut self, expression: &Expression, place: &Place) -> Typed {
        let span = &expression.span;
        match &expression.kind {
            ExpressionKind::Literal(json) => {
                let kind = FormulaKind::Literal(json.clone());
                Some((kind, Type::Literal(json.clone())))
            }
            ExpressionKind::Parameter(name) => self.parameter(name, place),
            ExpressionKind::Results(step) => self.results(step),
            ExpressionKind::Output { step, output } => self.output(step, output, span, place),
            ExpressionKind::OwnOutput(output) => self.own_output(output, span, place),
            ExpressionKind::Item => self.item(span, place),
            ExpressionKind::Partition => self.partition(span),
            ExpressionKind::PartitionPart(part) => self.partition_part(*part, span),
            ExpressionKind::Artifact(reference) => {
                self.refuse_artifact(span, place)?;
                let kind = FormulaKind::Artifact(reference.clone());
                Some((kind, Type::Artifact(Shape::Either)))
            }
            ExpressionKind::Field(of, name) => self.field(of, name, place),
            ExpressionKind::Index(of, index) => self.index(of, *index, span, place),
            ExpressionKind::Not(of) => {
                let of = self.condition(of, place)?;
                Some((FormulaKind::Not(Box::new(of)), Type::Value(ValueType::Bool)))
            }
            ExpressionKind::Compare(how, left, right) => {
                let left = self.expression(left, place);
                let right = self.expression(right, place);
                let (left, left_type) = left?;
                let (right, right_type) = right?;
                self.compare(*how, span, &left_type, &right_type)?;
                let kind = FormulaKind::Compare(*how, Box::new(left), Box::new(right));
                Some((kind, Type::Value(ValueType::Bool)))
            }
            ExpressionKind::All(parts) => self.conditions(parts, place, FormulaKind::All),
            ExpressionKind::Any(parts) => self.conditions(parts, place, FormulaKind::Any),
        }
    }

    fn conditions(
        &mut self,
        parts: &[Expression],
        place: &Place,
        make: fn(Vec<Formula>) -> FormulaKind,
    ) -> Typed {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| self.condition(part, place))
            .collect();
        let parts = parts.into_iter().collect::<Option<_>>()?;
        Some((make(parts), Type::Value(ValueType::Bool)))
    }

    /// An expression that is true or false.
    pub(super) fn condition(&mut self, part: &Expression, place: &Place) -> Option<Formula> {
        let (formula, ty) = self.expression(part, place)?;
        let fits = match ty {
            Type::OneOf(_) => *self.items.bool.get_or_insert_with(|| is_bool(&ty)),
            _ => is_bool(&ty),
        };
        if fits {
            return Some(formula);
        }
        let message = format!("wanted true or false, got {ty}");
        self.refuse(&part.span, message, Some("compare it with something"))
    }

    fn parameter(&mut self, name: &Word, place: &Place) -> Typed {
        let Some(at) = self.parameters.get(&*name.text) else {
            let unread = &self.pipeline.unread;
            if unread.any_parameter || unread.parameters.contains(&name.text) {
                let kind = FormulaKind::Parameter(name.text.clone());
                return Some((kind, Type::Unknown));
            }
            let known = self.pipeline.parameters.iter().map(|it| &*it.name.text);
            let known = known.chain(unread.parameters.iter().map(String::as_str));
            let hint = self.found.unknown(&name.text, known);
            let hint = hint.unwrap_or_else(|| "the pipeline has no `parameters`".to_owned());
            let message = format!("there is no parameter `{}`", name.text);
            return self.refuse(&name.span, message, Some(&hint));
        };
        let ty = match &self.pipeline.parameters[*at].ty {
            ParameterType::Value { value } => Type::Value(value.clone()),
            ParameterType::Input { tree, arity } => {
                let (tree, arity) = (*tree, *arity);
                self.refuse_artifact(&name.span, place)?;
                artifacts(shape(tree), arity == Arity::Many)
            }
            ParameterType::Output { .. } => Type::Unknown,
        };
        Some((FormulaKind::Parameter(name.text.clone()), ty))
    }

    fn step_of(&mut self, word: &Word) -> Option<usize> {
        let step = self.steps.get(&*word.text).copied();
        if step.is_none() {
            unknown_step(self.pipeline, word, self.found);
        }
        step
    }

    /// Whether a step runs for each item of a list.
    fn is_each(&self, step: usize) -> bool {
        self.pipeline.steps[step].foreach.is_some()
    }

    /// Whether a step may run for each item of a list that was not read.
    fn may_be_each(&self, step: usize) -> bool {
        let step = &self.pipeline.steps[step];
        step.foreach.is_none() && step.may_hide("foreach")
    }

    fn results(&mut self, word: &Word) -> Typed {
        let step = self.step_of(word)?;
        let name = &word.text;
        let ty = match &self.kinds[step] {
            StepKind::Unknown => Type::Unknown,
            _ if self.may_be_each(step) => Type::Unknown,
            StepKind::Publishing => {
                let message = format!("step `{name}` only publishes; it has no results");
                return self.refuse(&word.span, message, None);
            }
            StepKind::Program => {
                let message = format!("step `{name}` is a program; it has no results");
                let hint = "let it write an output";
                return self.refuse(&word.span, message, Some(hint));
            }
            StepKind::Function(function) => match function.returns.results.clone() {
                Some(results) => Type::Value(results),
                None => {
                    let message = format!("step `{name}` has no results");
                    return self.refuse(&word.span, message, None);
                }
            },
        };
        let ty = match (ty, self.is_each(step)) {
            (Type::Value(item), true) => Type::Value(ValueType::List {
                item: Box::new(item),
            }),
            (ty, _) => ty,
        };
        Some((FormulaKind::Results(self.order.position[step]), ty))
    }

    fn output(&mut self, word: &Word, output: &Word, span: &Span, place: &Place) -> Typed {
        self.refuse_artifact(span, place)?;
        let step = self.step_of(word)?;
        let many = self.is_each(step);
        let ty = self.output_type(step, output, many)?;
        let kind = FormulaKind::Output {
            step: self.order.position[step],
            output: output.text.clone(),
            many,
        };
        Some((kind, ty))
    }

    fn own_output(&mut self, output: &Word, span: &Span, place: &Place) -> Typed {
        if place.part != Part::Publish {
            let message = "`outputs` is only known in `publish`";
            let hint = format!("write `steps.STEP.outputs.{}`", output.text);
            return self.refuse(span, message, Some(&hint));
        }
        let many = self.is_each(place.step);
        let ty = self.output_type(place.step, output, many)?;
        let output = output.text.clone();
        Some((FormulaKind::OwnOutput { output, many }, ty))
    }

    fn output_type(&mut self, step: usize, output: &Word, many: bool) -> Option<Type> {
        let name = &self.pipeline.steps[step].name.text;
        if let StepKind::Unknown = self.kinds[step] {
            return Some(Type::Unknown);
        }
        if let StepKind::Publishing = self.kinds[step] {
            let message = format!("step `{name}` only publishes; it has no outputs");
            return self.refuse(&output.span, message, None);
        }
        let outputs = self.outputs_of(step);
        let may_be_each = self.may_be_each(step);
        let is_program = matches!(self.kinds[step], StepKind::Program);
        let known = outputs.iter().find(|(name, _)| *name == output.text);
        let step = &self.pipeline.steps[step];
        match known {
            Some(_) if may_be_each => Some(Type::Unknown),
            Some((_, shape)) => Some(artifacts(*shape, many)),
            None if is_program && step.may_hide("outputs") => Some(Type::Unknown),
            None => {
                let names: Vec<String> = outputs.into_iter().map(|(name, _)| name).collect();
                let hint = self
                    .found
                    .unknown(&output.text, names.iter().map(String::as_str));
                let message = format!("step `{name}` has no output `{}`", output.text);
                self.refuse(&output.span, message, hint.as_deref())
            }
        }
    }

    /// The outputs of a step, by name.
    pub(super) fn outputs_of(&self, step: usize) -> Vec<(String, Shape)> {
        match &self.kinds[step] {
            StepKind::Function(function) => {
                let parameters = function.parameters.iter();
                let outputs = parameters.filter_map(|parameter| match parameter.ty {
                    ParameterType::Output { tree } => Some((parameter.name.clone(), shape(tree))),
                    _ => None,
                });
                outputs.collect()
            }
            StepKind::Program => {
                let outputs = self.pipeline.steps[step].outputs.iter();
                let outputs = outputs.map(|it| (it.name.text.clone(), shape(it.tree)));
                outputs.collect()
            }
            StepKind::Publishing | StepKind::Unknown => Vec::new(),
        }
    }

    fn item(&mut self, span: &Span, place: &Place) -> Typed {
        match (&place.item, place.part) {
            (Some(ty), Part::Bindings) => Some((FormulaKind::Item, ty.clone())),
            (Some(_), Part::When) => {
                let hint = "`when` decides whether the step runs at all";
                self.refuse(span, "`item` is not known in `when`", Some(hint))
            }
            (Some(_), Part::Publish) => {
                let hint = "a step publishes once, after its last item";
                self.refuse(span, "`item` is not known in `publish`", Some(hint))
            }
            (Some(_), Part::Foreach) | (None, _) => {
                let hint = "only `with`, `inputs` and `arguments` of a step with `foreach` have it";
                self.refuse(span, "there is no `item` here", Some(hint))
            }
        }
    }

    fn partition(&mut self, span: &Span) -> Typed {
        self.has_partition(span)?;
        Some((FormulaKind::Partition, Type::Value(ValueType::String)))
    }

    fn has_partition(&mut self, span: &Span) -> Option<()> {
        match self.pipeline.partition {
            Some(_) => Some(()),
            None if self.pipeline.unread.partition => Some(()),
            None => {
                let hint = "add `partition: { every: month }`, for example";
                self.refuse(span, "the pipeline has no `partition`", Some(hint))
            }
        }
    }

    fn partition_part(&mut self, part: DatePart, span: &Span) -> Typed {
        self.has_partition(span)?;
        if self.pipeline.partition.is_none() {
            return Some((FormulaKind::PartitionPart(part), Type::Unknown));
        }
        let has = |partition: &super::super::partition::Partition| partition.has(part);
        if !self.pipeline.partition.as_ref().is_some_and(has) {
            let message = format!("the partitions of this pipeline have no `{}`", part.name());
            return self.refuse(span, message, None);
        }
        let integer = IntegerType::U32;
        let ty = Type::Value(ValueType::Integer { integer });
        Some((FormulaKind::PartitionPart(part), ty))
    }

    fn field(&mut self, of: &Expression, name: &Word, place: &Place) -> Typed {
        let (formula, ty) = self.expression(of, place)?;
        let ty = match &ty {
            Type::Unknown => Type::Unknown,
            Type::Open | Type::OneOf(_) => Type::Open,
            Type::Value(ValueType::Record { name: of, fields }) => {
                match fields.iter().find(|field| field.name == name.text) {
                    Some(field) => Type::Value(field.ty.clone()),
                    None => {
                        let known = fields.iter().map(|field| &*field.name);
                        let hint = self.found.unknown(&name.text, known);
                        let message = format!("`{of}` has no field `{}`", name.text);
                        return self.refuse(&name.span, message, hint.as_deref());
                    }
                }
            }
            Type::Literal(Json::Object(object)) if object.contains_key(&name.text) => {
                Type::Literal(object[&name.text].clone())
            }
            ty => {
                let message = format!("{} has no field `{}`", described(ty), name.text);
                let hint = match ty {
                    Type::Value(ValueType::List { .. }) => Some("take one of its items: `[0]`"),
                    Type::Value(ValueType::Option { .. }) => Some("it can be absent"),
                    _ => None,
                };
                return self.refuse(&name.span, message, hint);
            }
        };
        let kind = FormulaKind::Field(Box::new(formula), name.text.clone());
        Some((kind, ty))
    }

    fn index(&mut self, of: &Expression, index: usize, span: &Span, place: &Place) -> Typed {
        let (formula, ty) = self.expression(of, place)?;
        let ty = match &ty {
            Type::Unknown => Type::Unknown,
            Type::Open | Type::OneOf(_) => Type::Open,
            Type::Value(ValueType::List { item }) => Type::Value((**item).clone()),
            Type::Artifacts(shape) => Type::Artifact(*shape),
            Type::Value(ValueType::Tuple { items }) if index < items.len() => {
                Type::Value(items[index].clone())
            }
            Type::Literal(Json::Array(items)) if index < items.len() => {
                Type::Literal(items[index].clone())
            }
            ty => {
                let message = format!("{} has no item [{index}]", described(ty));
                return self.refuse(span, message, None);
            }
        };
        Some((FormulaKind::Index(Box::new(formula), index), ty))
    }

    /// Refuses an artifact in a condition.
    fn refuse_artifact(&mut self, span: &Span, place: &Place) -> Option<()> {
        if place.part != Part::When {
            return Some(());
        }
        let hint = "let a step look at it, and use its results";
        self.refuse(span, "a condition cannot look at artifacts", Some(hint))
    }
}

fn is_bool(ty: &Type) -> bool {
    match ty {
        Type::Unknown | Type::Open => true,
        Type::Value(ValueType::Bool) | Type::Literal(Json::Bool(_)) => true,
        Type::OneOf(types) => types.iter().all(is_bool),
        _ => false,
    }
}

/// A type as the subject of a message.
fn described(ty: &Type) -> String {
    match ty {
        Type::Value(ty) => format!("a value of type {ty}"),
        ty => ty.to_string(),
    }
}

pub(super) const fn shape(tree: bool) -> Shape {
    if tree { Shape::Tree } else { Shape::File }
}

const fn artifacts(shape: Shape, many: bool) -> Type {
    match many {
        true => Type::Artifacts(shape),
        false => Type::Artifact(shape),
    }
}
