//! Which values can be compared.

use serde_json::Value as Json;

use super::super::diagnostic::Span;
use super::super::expression::Comparison;
use super::super::types::{Type, fits};
use super::Checker;
use crate::value;
use crate::value_type::ValueType;

impl Checker<'_> {
    /// Checks that two types can be compared.
    pub(super) fn compare(
        &mut self,
        how: Comparison,
        span: &Span,
        left: &Type,
        right: &Type,
    ) -> Option<()> {
        let orders = !matches!(how, Comparison::Equal | Comparison::NotEqual);
        let wrong = match orders {
            true => ordered(how, left, right),
            false => equal(left, right),
        };
        match wrong {
            Ok(()) => Some(()),
            Err((message, hint)) => self.refuse(span, message, hint.as_deref()),
        }
    }
}

/// What is wrong with a comparison, and what to do about it.
type Mistake = (String, Option<String>);

/// A kind of values that have an order among themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Char,
}

fn kind(ty: &Type) -> Option<Kind> {
    match ty {
        Type::Value(ValueType::Integer { .. } | ValueType::F32 | ValueType::F64)
        | Type::Literal(Json::Number(_)) => Some(Kind::Number),
        Type::Value(ValueType::String) | Type::Literal(Json::String(_)) => Some(Kind::Text),
        Type::Value(ValueType::Char) => Some(Kind::Char),
        _ => None,
    }
}

fn is_open(ty: &Type) -> bool {
    matches!(ty, Type::Unknown | Type::Open | Type::OneOf(_))
}

fn ordered(how: Comparison, left: &Type, right: &Type) -> Result<(), Mistake> {
    if is_open(left) || is_open(right) {
        return Ok(());
    }
    let symbol = how.symbol();
    for ty in [left, right] {
        if kind(ty).is_none() {
            let message = format!("`{symbol}` compares numbers, texts and characters, not {ty}");
            return Err((message, None));
        }
    }
    let literal_char = |ty: &Type, literal: &Type| match (ty, literal) {
        (Type::Value(ty @ ValueType::Char), Type::Literal(json)) => {
            value::check_json(ty, json).is_ok()
        }
        _ => false,
    };
    let fits = kind(left) == kind(right) || literal_char(left, right) || literal_char(right, left);
    fits.then_some(()).ok_or_else(|| different(left, right))
}

fn different(left: &Type, right: &Type) -> Mistake {
    (format!("cannot compare {left} with {right}"), None)
}

fn equal(left: &Type, right: &Type) -> Result<(), Mistake> {
    let numbers = kind(left) == Some(Kind::Number) && kind(right) == Some(Kind::Number);
    if is_open(left) || is_open(right) || numbers {
        return Ok(());
    }
    match (left, right) {
        (Type::Artifact(_) | Type::Artifacts(_), _)
        | (_, Type::Artifact(_) | Type::Artifacts(_)) => {
            let message = "artifacts cannot be compared".to_owned();
            Err((message, Some("let a step compare them".to_owned())))
        }
        (Type::Value(ty), Type::Literal(json)) | (Type::Literal(json), Type::Value(ty)) => {
            literal(ty, json)
        }
        (Type::Literal(a), Type::Literal(b)) => {
            let same = std::mem::discriminant(a) == std::mem::discriminant(b);
            same.then_some(()).ok_or_else(|| different(left, right))
        }
        (Type::Value(a), Type::Value(b)) => {
            let same = fits(a, b) || fits(b, a);
            same.then_some(()).ok_or_else(|| different(left, right))
        }
        _ => Ok(()),
    }
}

/// Whether a value can be what a literal is: the cases of an enumeration are known.
fn literal(ty: &ValueType, json: &Json) -> Result<(), Mistake> {
    let inner = match ty {
        ValueType::Option { some } if !json.is_null() => some,
        ty => ty,
    };
    let number = kind(&Type::Value(inner.clone())) == Some(Kind::Number);
    if number && json.is_number() {
        return Ok(());
    }
    let ty = Type::Value(ty.clone());
    let literal = Type::Literal(json.clone());
    value::check_json(inner, json).map(|_| ()).map_err(|error| {
        let hint = error.detail.clone();
        match inner {
            ValueType::Enum { name, .. } if json.is_string() => {
                (format!("{json} is not a case of `{name}`"), hint)
            }
            _ => different(&ty, &literal),
        }
    })
}
