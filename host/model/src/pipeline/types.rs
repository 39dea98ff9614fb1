//! The types of expressions, and which of them fit which.

use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::plan::Shape;
use crate::value_type::{Case, Field, ValueType};

/// The type of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    /// Something is wrong with it, which was told.
    Unknown,
    /// A part of an item of a list in the file: a value whose type shows in a run.
    Open,
    /// A value of a type.
    Value(ValueType),
    /// A value that the file gives: it has every type that it fits.
    Literal(Json),
    /// One of several; the item of a list in the file.
    OneOf(Arc<[Type]>),
    /// One artifact.
    Artifact(Shape),
    /// Several artifacts.
    Artifacts(Shape),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown | Self::Open => f.write_str("unknown"),
            Self::Value(ty) => ty.fmt(f),
            Self::Literal(json) => write!(f, "{}", kind_of(json)),
            Self::OneOf(_) => f.write_str("an item of several types"),
            Self::Artifact(Shape::Tree) => f.write_str("an artifact (a folder)"),
            Self::Artifact(Shape::File) => f.write_str("an artifact (a file)"),
            Self::Artifact(Shape::Either) => f.write_str("an artifact"),
            Self::Artifacts(Shape::Tree) => f.write_str("a list of artifacts (folders)"),
            Self::Artifacts(Shape::File | Shape::Either) => f.write_str("a list of artifacts"),
        }
    }
}

const fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "bool",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a map",
    }
}

/// Whether what has one shape can be taken for another.
pub(super) fn shape_fits(from: Shape, to: Shape) -> bool {
    from == to || from == Shape::Either || to == Shape::Either
}

/// Whether every value of one type is one of another, in JSON.
pub(super) fn fits(from: &ValueType, to: &ValueType) -> bool {
    match (from, to) {
        (ValueType::Integer { integer: from }, ValueType::Integer { integer: to }) => {
            let ((least, most), (lowest, highest)) = (from.range(), to.range());
            lowest <= least && most <= highest
        }
        (ValueType::F32, ValueType::F64) => true,
        (ValueType::Option { some: from }, ValueType::Option { some: to })
        | (ValueType::List { item: from }, ValueType::List { item: to }) => fits(from, to),
        (from, ValueType::Option { some }) => fits(from, some),
        (ValueType::Tuple { items: from }, ValueType::Tuple { items: to }) => {
            from.len() == to.len() && from.iter().zip(to).all(|(from, to)| fits(from, to))
        }
        (from, to) => same(from, to),
    }
}

/// Whether two types are the same, whatever their documentation.
pub(super) fn same(left: &ValueType, right: &ValueType) -> bool {
    match (left, right) {
        (ValueType::List { item: a }, ValueType::List { item: b })
        | (ValueType::Option { some: a }, ValueType::Option { some: b }) => same(a, b),
        (ValueType::Tuple { items: a }, ValueType::Tuple { items: b }) => all(a, b, same),
        (
            ValueType::Record {
                name: a,
                fields: in_a,
            },
            ValueType::Record {
                name: b,
                fields: in_b,
            },
        ) => {
            let field = |a: &Field, b: &Field| a.name == b.name && same(&a.ty, &b.ty);
            a == b && all(in_a, in_b, field)
        }
        (
            ValueType::Variant {
                name: a,
                cases: in_a,
            },
            ValueType::Variant {
                name: b,
                cases: in_b,
            },
        ) => {
            let case = |a: &Case, b: &Case| a.name == b.name && same_maybe(&a.ty, &b.ty);
            a == b && all(in_a, in_b, case)
        }
        (ValueType::Result { ok: a, err: in_a }, ValueType::Result { ok: b, err: in_b }) => {
            same_maybe(a, b) && same_maybe(in_a, in_b)
        }
        (left, right) => left == right,
    }
}

fn all<T>(left: &[T], right: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(left, right)| same(left, right))
}

fn same_maybe<T: std::borrow::Borrow<ValueType>>(left: &Option<T>, right: &Option<T>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => same(left.borrow(), right.borrow()),
        (None, None) => true,
        _ => false,
    }
}

/// Whether values of a type can stand in a text.
pub(super) fn is_scalar(ty: &Type) -> bool {
    match ty {
        Type::Unknown | Type::Open => true,
        Type::Value(ty) => matches!(
            ty,
            ValueType::Bool
                | ValueType::Integer { .. }
                | ValueType::F32
                | ValueType::F64
                | ValueType::Char
                | ValueType::String
                | ValueType::Enum { .. }
        ),
        Type::Literal(json) => json.is_boolean() || json.is_number() || json.is_string(),
        Type::OneOf(types) => types.iter().all(is_scalar),
        Type::Artifact(_) | Type::Artifacts(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value_type::IntegerType;

    fn ty(text: &str) -> ValueType {
        match super::super::type_syntax::parse(text).unwrap() {
            crate::signature::ParameterType::Value { value } => value,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn types_fit_where_every_value_does() {
        for (from, to) in [
            ("u32", "u32"),
            ("u8", "u32"),
            ("u8", "s16"),
            ("s32", "s64"),
            ("f32", "f64"),
            ("u32", "option<u32>"),
            ("u8", "option<u64>"),
            ("option<u8>", "option<u64>"),
            ("list<u8>", "list<u32>"),
            ("tuple<u8, string>", "tuple<u16, option<string>>"),
        ] {
            assert!(fits(&ty(from), &ty(to)), "{from} -> {to}");
        }
        for (from, to) in [
            ("u32", "u8"),
            ("u32", "s32"),
            ("s8", "u64"),
            ("f64", "f32"),
            ("u32", "f64"),
            ("option<u32>", "u32"),
            ("list<u32>", "u32"),
            ("string", "char"),
            ("tuple<u8>", "tuple<u8, u8>"),
        ] {
            assert!(!fits(&ty(from), &ty(to)), "{from} -> {to}");
        }
    }

    #[test]
    fn records_fit_by_name_and_structure_whatever_their_documentation() {
        let record = |name: &str, integer, docs: Option<&str>| ValueType::Record {
            name: name.into(),
            fields: vec![Field {
                name: "rows".into(),
                ty: ValueType::Integer { integer },
                docs: docs.map(str::to_owned),
            }],
        };
        let scores = record("scores", IntegerType::U32, None);
        assert!(fits(
            &scores,
            &record("scores", IntegerType::U32, Some("how many"))
        ));
        assert!(!fits(&scores, &record("other", IntegerType::U32, None)));
        assert!(!fits(&scores, &record("scores", IntegerType::U64, None)));
    }
}
