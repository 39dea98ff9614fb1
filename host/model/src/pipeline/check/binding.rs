//! Checks what parameters are bound to.

use serde_json::Value as Json;

use super::super::checked::{Source, SourceKind, TextPiece};
use super::super::diagnostic::Span;
use super::super::expression::{Expression, ExpressionKind, Word};
use super::super::given::{Given, GivenKind, Piece};
use super::super::types::{Type, fits, is_scalar, shape_fits};
use super::{Checker, MAX_ITEM_CHECKS, Place};
use crate::plan::Shape;
use crate::signature::{Arity, ParameterType};
use crate::value;
use crate::value_type::{Field, ValueType};

/// A parameter that takes artifacts.
#[derive(Clone, Copy)]
pub(super) struct Artifacts<'a> {
    /// How messages call it.
    pub(super) what: &'a str,
    pub(super) shape: Shape,
    pub(super) arity: Arity,
}

impl Artifacts<'_> {
    /// The type, as WIT has it.
    fn ty(&self) -> ParameterType {
        ParameterType::Input {
            tree: self.shape == Shape::Tree,
            arity: self.arity,
        }
    }

    /// Why what an expression gives does not fit, and what to do.
    fn mistake(self, found: &Type, place: &Place) -> Option<(String, Option<&'static str>)> {
        let (what, ty) = (self.what, self.ty());
        let hint = match found {
            Type::Open if place.item_of_guest => return Some(of_guest(what)),
            Type::Unknown | Type::Open => return None,
            Type::Artifact(shape) if shape_fits(*shape, self.shape) => return None,
            Type::Artifacts(shape) if shape_fits(*shape, self.shape) => {
                if self.arity == Arity::Many {
                    return None;
                }
                "take one of them: `[0]`, or run the step with `foreach`"
            }
            Type::Literal(Json::String(path)) if is_path(path) => return None,
            Type::Literal(Json::String(_)) => return Some((no_path(what), None)),
            Type::Literal(Json::Null) if self.arity == Arity::Optional => return None,
            Type::Artifact(_) | Type::Artifacts(_) => "one is a file, the other a folder of files",
            Type::Value(ValueType::String) => {
                "for a path that is chosen for each run, give the parameter the type `input`"
            }
            Type::Value(_) | Type::Literal(_) | Type::OneOf(_) => {
                "results and parameters are values; outputs are artifacts"
            }
        };
        Some((format!("{what}: wanted {ty}, got {found}"), Some(hint)))
    }
}

impl Checker<'_> {
    /// Checks a value for a type.
    pub(super) fn value(
        &mut self,
        what: &str,
        ty: &ValueType,
        given: &Given,
        place: &Place,
    ) -> Option<Source> {
        let span = given.span.clone();
        if let Some(json) = given.constant() {
            let kind = SourceKind::Constant(self.constant(what, ty, &json, given)?);
            return Some(Source { kind, span });
        }
        let kind = match &given.kind {
            GivenKind::Expression(expression) => {
                let (formula, found) = self.expression(expression, place)?;
                self.value_fits(what, ty, &found, &span)?;
                SourceKind::Formula(formula)
            }
            GivenKind::Mixed(pieces) => {
                let pieces = self.pieces(pieces, place);
                if !takes_text(ty) {
                    let message = format!("{what}: wanted {ty}, got a text with expressions in it");
                    let hint = "write the expression alone, without anything around it";
                    return self.refuse(&span, message, Some(hint));
                }
                SourceKind::Text(pieces?)
            }
            GivenKind::List(items) => self.list(what, ty, items, &span, place)?,
            GivenKind::Map(entries) => self.record(what, ty, entries, &span, place)?,
            GivenKind::Literal(_) | GivenKind::Text(_) => return None,
        };
        Some(Source { kind, span })
    }

    /// A value without expressions, in canonical form.
    fn constant(&mut self, what: &str, ty: &ValueType, json: &Json, given: &Given) -> Option<Json> {
        match value::check_json(ty, json) {
            Ok(json) => Some(json),
            Err(error) => {
                let hint = quotes_hint(ty, given);
                self.refuse(&given.span, format!("{what}: {error}"), hint)
            }
        }
    }

    /// Whether what an expression gives fits a type.
    fn value_fits(&mut self, what: &str, ty: &ValueType, found: &Type, span: &Span) -> Option<()> {
        let (message, hint) = match found {
            Type::Unknown | Type::Open => return Some(()),
            Type::Value(from) if fits(from, ty) => return Some(()),
            Type::Value(from) => (format!("{what}: wanted {ty}, got {from}"), None),
            Type::Literal(json) => match value::check_json(ty, json) {
                Ok(_) => return Some(()),
                Err(error) => (format!("{what}: {error}"), None),
            },
            Type::OneOf(types) => {
                for found in types.iter() {
                    self.item_checks += 1;
                    if self.item_checks > MAX_ITEM_CHECKS {
                        break;
                    }
                    self.value_fits(what, ty, found, span)?;
                }
                return Some(());
            }
            Type::Artifact(_) | Type::Artifacts(_) => {
                let hint = "only a parameter of type `input` or `input-tree` takes one";
                (format!("{what}: wanted {ty}, got {found}"), Some(hint))
            }
        };
        self.refuse(span, message, hint)
    }

    fn list(
        &mut self,
        what: &str,
        ty: &ValueType,
        items: &[Given],
        span: &Span,
        place: &Place,
    ) -> Option<SourceKind> {
        let items: Vec<_> = match ty {
            ValueType::Option { some } => return self.list(what, some, items, span, place),
            ValueType::List { item } => items
                .iter()
                .map(|given| self.value(what, item, given, place))
                .collect(),
            ValueType::Tuple { items: types } if types.len() == items.len() => items
                .iter()
                .zip(types)
                .map(|(given, ty)| self.value(what, ty, given, place))
                .collect(),
            _ => return self.refuse(span, format!("{what}: wanted {ty}, got a list"), None),
        };
        Some(SourceKind::List(items.into_iter().collect::<Option<_>>()?))
    }

    fn record(
        &mut self,
        what: &str,
        ty: &ValueType,
        entries: &[(Word, Given)],
        span: &Span,
        place: &Place,
    ) -> Option<SourceKind> {
        let fields = match ty {
            ValueType::Option { some } => return self.record(what, some, entries, span, place),
            ValueType::Record { fields, .. } => fields,
            _ => {
                let message = format!("{what}: wanted {ty}, got a map with expressions in it");
                let hint = "only lists, tuples and records can have expressions in them";
                return self.refuse(span, message, Some(hint));
            }
        };
        let missing = |field: &&Field| {
            let given = entries.iter().any(|(key, _)| key.text == field.name);
            !given && !matches!(field.ty, ValueType::Option { .. })
        };
        if let Some(field) = fields.iter().find(missing) {
            let message = format!(
                "{what}: the field `{}` ({}) is missing",
                field.name, field.ty
            );
            self.wrong(span, message, None);
        }
        let entries: Vec<_> = entries
            .iter()
            .map(|(key, given)| self.record_field(what, ty, fields, key, given, place))
            .collect();
        Some(SourceKind::Map(entries.into_iter().collect::<Option<_>>()?))
    }

    fn record_field(
        &mut self,
        what: &str,
        ty: &ValueType,
        fields: &[Field],
        key: &Word,
        given: &Given,
        place: &Place,
    ) -> Option<(String, Source)> {
        let Some(field) = fields.iter().find(|field| field.name == key.text) else {
            let known = fields.iter().map(|field| &*field.name);
            let hint = self.found.unknown(&key.text, known);
            let message = format!("{what}: {ty} has no field `{}`", key.text);
            return self.refuse(&key.span, message, hint.as_deref());
        };
        let source = self.value(what, &field.ty, given, place)?;
        Some((key.text.clone(), source))
    }

    /// The pieces of a text, whose expressions must be scalars.
    fn pieces(&mut self, pieces: &[Piece], place: &Place) -> Option<Vec<TextPiece>> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => Some(TextPiece::Text(text.clone())),
                Piece::Expression(expression) => {
                    let (formula, ty) = self.expression(expression, place)?;
                    let fits = match ty {
                        Type::OneOf(_) => *self.items.scalar.get_or_insert_with(|| is_scalar(&ty)),
                        _ => is_scalar(&ty),
                    };
                    if fits {
                        return Some(TextPiece::Formula(formula));
                    }
                    let message = format!("{ty} cannot be a part of a text");
                    let hint = "only booleans, numbers, texts and cases of enumerations can";
                    self.refuse(&expression.span, message, Some(hint))
                }
            })
            .collect();
        pieces.into_iter().collect()
    }

    /// Checks artifacts for a parameter.
    pub(super) fn artifacts(
        &mut self,
        wanted: Artifacts<'_>,
        given: &Given,
        place: &Place,
    ) -> Option<Source> {
        let span = given.span.clone();
        let kind = match &given.kind {
            GivenKind::Text(path) => SourceKind::Constant(self.path(wanted.what, path, &span)?),
            GivenKind::Literal(Json::Null) if wanted.arity == Arity::Optional => {
                SourceKind::Constant(Json::Null)
            }
            GivenKind::Expression(expression) => {
                let (formula, ty) = self.expression(expression, place)?;
                self.artifact_fits(wanted, &ty, &span, place)?;
                SourceKind::Formula(formula)
            }
            GivenKind::Mixed(pieces) => {
                let checked = self.pieces(pieces, place);
                self.refuse_path_of_guest(wanted.what, pieces, place)?;
                SourceKind::Text(checked?)
            }
            GivenKind::List(items) if wanted.arity == Arity::Many => {
                self.artifact_list(wanted, items, place)?
            }
            _ => {
                let (what, ty) = (wanted.what, wanted.ty());
                let message = format!("{what}: wanted {ty}, got {}", given.what());
                let hint = "write a path, or an expression for an artifact";
                return self.refuse(&span, message, Some(hint));
            }
        };
        Some(Source { kind, span })
    }

    fn artifact_list(
        &mut self,
        wanted: Artifacts<'_>,
        items: &[Given],
        place: &Place,
    ) -> Option<SourceKind> {
        let one = Artifacts {
            arity: Arity::One,
            ..wanted
        };
        let items: Vec<_> = items
            .iter()
            .map(|item| self.artifacts(one, item, place))
            .collect();
        Some(SourceKind::List(items.into_iter().collect::<Option<_>>()?))
    }

    /// The path of an artifact.
    pub(super) fn path(&mut self, what: &str, path: &str, span: &Span) -> Option<Json> {
        if !is_path(path) {
            return self.refuse(span, no_path(what), None);
        }
        Some(Json::String(path.to_owned()))
    }

    /// Whether what an expression gives fits a parameter for artifacts.
    fn artifact_fits(
        &mut self,
        wanted: Artifacts<'_>,
        found: &Type,
        span: &Span,
        place: &Place,
    ) -> Option<()> {
        let found = match found {
            Type::OneOf(types) => match self.first_unfit(wanted, types, place) {
                Some(unfit) => &types[unfit],
                None => return Some(()),
            },
            found => found,
        };
        match wanted.mistake(found, place) {
            None => Some(()),
            Some((message, hint)) => self.refuse(span, message, hint),
        }
    }

    /// The first item that does not fit. However many they are, all are looked at: what
    /// is not could be a path.
    fn first_unfit(
        &mut self,
        wanted: Artifacts<'_>,
        types: &[Type],
        place: &Place,
    ) -> Option<usize> {
        let (shape, arity) = (wanted.shape, wanted.arity);
        let mut known = self.items.unfit.iter();
        if let Some((.., unfit)) = known.find(|(s, a, _)| (*s, *a) == (shape, arity)) {
            return *unfit;
        }
        let unfit = types
            .iter()
            .position(|found| wanted.mistake(found, place).is_some());
        self.items.unfit.push((shape, arity, unfit));
        unfit
    }

    /// Refuses a path that a step decides: a guest must not choose what another
    /// step reads.
    fn refuse_path_of_guest(&mut self, what: &str, pieces: &[Piece], place: &Place) -> Option<()> {
        let mut guest = None;
        let mut visit = |expression: &Expression| match expression.kind {
            ExpressionKind::Results(_) => guest = Some(expression.span.clone()),
            ExpressionKind::Item if place.item_of_guest => guest = Some(expression.span.clone()),
            _ => {}
        };
        for piece in pieces {
            if let Piece::Expression(expression) = piece {
                expression.walk(&mut visit);
            }
        }
        match guest {
            None => Some(()),
            Some(span) => self.refuse_guest(what, &span),
        }
    }

    fn refuse_guest(&mut self, what: &str, span: &Span) -> Option<()> {
        let (message, hint) = of_guest(what);
        self.refuse(span, message, hint)
    }

    /// Checks an argument of a program: any value.
    pub(super) fn argument(&mut self, what: &str, given: &Given, place: &Place) -> Option<Source> {
        let span = given.span.clone();
        let kind = match &given.kind {
            GivenKind::Literal(json) => SourceKind::Constant(json.clone()),
            GivenKind::Text(text) => SourceKind::Constant(Json::String(text.clone())),
            GivenKind::Expression(expression) => {
                let (formula, ty) = self.expression(expression, place)?;
                if matches!(ty, Type::Artifact(_) | Type::Artifacts(_)) {
                    let message = format!("{what}: wanted a value, got {ty}");
                    return self.refuse(&span, message, Some("bind artifacts in `inputs`"));
                }
                SourceKind::Formula(formula)
            }
            GivenKind::Mixed(pieces) => SourceKind::Text(self.pieces(pieces, place)?),
            GivenKind::List(items) => {
                let items: Vec<_> = items
                    .iter()
                    .map(|item| self.argument(what, item, place))
                    .collect();
                SourceKind::List(items.into_iter().collect::<Option<_>>()?)
            }
            GivenKind::Map(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(key, given)| {
                        let source = self.argument(what, given, place)?;
                        Some((key.text.clone(), source))
                    })
                    .collect();
                SourceKind::Map(entries.into_iter().collect::<Option<_>>()?)
            }
        };
        Some(Source { kind, span })
    }
}

fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0')
}

fn no_path(what: &str) -> String {
    format!("{what}: this is not a path")
}

/// What is wrong with a path that a guest chooses.
fn of_guest(what: &str) -> (String, Option<&'static str>) {
    let message = format!("{what}: the results of a step cannot be part of a path");
    let hint = "let the step write an output, and bind that";
    (message, Some(hint))
}

/// Whether a type can be what a text with expressions says.
fn takes_text(ty: &ValueType) -> bool {
    match ty {
        ValueType::String | ValueType::Char | ValueType::Enum { .. } => true,
        ValueType::Option { some } => takes_text(some),
        _ => false,
    }
}

/// Where quotes make the difference between a text and what looks like a number.
fn quotes_hint(ty: &ValueType, given: &Given) -> Option<&'static str> {
    match &given.kind {
        GivenKind::Literal(json) if takes_text(ty) && !json.is_null() => {
            Some("put it in quotes to make it a text")
        }
        GivenKind::Text(text) if !takes_text(ty) && value::parse_text(ty, text).is_ok() => {
            Some("remove the quotes")
        }
        GivenKind::Text(text)
            if text.starts_with("parameters.") || text.starts_with("steps.") || text == "item" =>
        {
            Some("an expression is written \"${{ ... }}\"")
        }
        _ => None,
    }
}
