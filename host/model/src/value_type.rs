//! The WIT types that a parameter or a result can have.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A WIT value type: everything but handles, streams and futures.
///
/// Its `Display` is the type as WIT writes it where it is used: the name of a
/// named type, else its structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ValueType {
    /// `bool`
    Bool,
    /// An integer type.
    Integer {
        /// Which one.
        integer: IntegerType,
    },
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `char`: one Unicode scalar value.
    Char,
    /// `string`
    String,
    /// `list<T>`
    List {
        /// The type of each item.
        item: Box<ValueType>,
    },
    /// `option<T>`
    Option {
        /// The type of the value, where there is one.
        some: Box<ValueType>,
    },
    /// `result<T, E>`, each side absent where it carries nothing.
    Result {
        /// The type of a success.
        ok: Option<Box<ValueType>>,
        /// The type of a failure.
        err: Option<Box<ValueType>>,
    },
    /// `tuple<A, B, ...>`
    Tuple {
        /// The type of each item.
        items: Vec<ValueType>,
    },
    /// A record.
    Record {
        /// Its name in WIT.
        name: String,
        /// Its fields, in order.
        fields: Vec<Field>,
    },
    /// A variant.
    Variant {
        /// Its name in WIT.
        name: String,
        /// Its cases, in order.
        cases: Vec<Case>,
    },
    /// An enumeration.
    Enum {
        /// Its name in WIT.
        name: String,
        /// Its cases, in order.
        cases: Vec<String>,
    },
    /// A set of flags.
    Flags {
        /// Its name in WIT.
        name: String,
        /// The flags, in order.
        flags: Vec<String>,
    },
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: ValueType,
    /// Its doc comment, where the component carries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
}

/// A case of a variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The type of what it carries, where it carries something.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub ty: Option<ValueType>,
    /// Its doc comment, where the component carries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
}

/// The integer types of WIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "named as in WIT: sign and bits")]
pub enum IntegerType {
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
}

impl IntegerType {
    /// The least and the greatest value.
    #[must_use]
    pub const fn range(self) -> (i128, i128) {
        match self {
            Self::S8 => (i8::MIN as i128, i8::MAX as i128),
            Self::U8 => (0, u8::MAX as i128),
            Self::S16 => (i16::MIN as i128, i16::MAX as i128),
            Self::U16 => (0, u16::MAX as i128),
            Self::S32 => (i32::MIN as i128, i32::MAX as i128),
            Self::U32 => (0, u32::MAX as i128),
            Self::S64 => (i64::MIN as i128, i64::MAX as i128),
            Self::U64 => (0, u64::MAX as i128),
        }
    }

    /// The name in WIT.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::S8 => "s8",
            Self::U8 => "u8",
            Self::S16 => "s16",
            Self::U16 => "u16",
            Self::S32 => "s32",
            Self::U32 => "u32",
            Self::S64 => "s64",
            Self::U64 => "u64",
        }
    }
}

impl ValueType {
    /// Writes the definitions of the named types that this type uses, as WIT,
    /// each once and before its use.
    pub(crate) fn collect_definitions<'a>(&'a self, into: &mut Vec<&'a ValueType>) {
        for part in self.parts() {
            part.collect_definitions(into);
        }
        if self.type_name().is_some() && !into.contains(&self) {
            into.push(self);
        }
    }

    fn parts(&self) -> Vec<&ValueType> {
        match self {
            Self::List { item } => vec![item],
            Self::Option { some } => vec![some],
            Self::Result { ok, err } => ok.iter().chain(err).map(|ty| &**ty).collect(),
            Self::Tuple { items } => items.iter().collect(),
            Self::Record { fields, .. } => fields.iter().map(|field| &field.ty).collect(),
            Self::Variant { cases, .. } => {
                cases.iter().filter_map(|case| case.ty.as_ref()).collect()
            }
            Self::Bool
            | Self::Integer { .. }
            | Self::F32
            | Self::F64
            | Self::Char
            | Self::String
            | Self::Enum { .. }
            | Self::Flags { .. } => Vec::new(),
        }
    }

    fn type_name(&self) -> Option<&str> {
        match self {
            Self::Record { name, .. }
            | Self::Variant { name, .. }
            | Self::Enum { name, .. }
            | Self::Flags { name, .. } => Some(name),
            _ => None,
        }
    }

    /// The definition of a named type, as WIT; `None` for other types.
    #[must_use]
    pub fn definition(&self) -> Option<String> {
        let (keyword, name, lines) = match self {
            Self::Record { name, fields } => {
                let line = |field: &Field| {
                    documented(&field.docs, &format!("{}: {}", field.name, field.ty))
                };
                ("record", name, fields.iter().map(line).collect::<String>())
            }
            Self::Variant { name, cases } => {
                let text = |case: &Case| match &case.ty {
                    Some(ty) => format!("{}({ty})", case.name),
                    None => case.name.clone(),
                };
                let line = |case: &Case| documented(&case.docs, &text(case));
                ("variant", name, cases.iter().map(line).collect())
            }
            Self::Enum { name, cases } => (
                "enum",
                name,
                cases.iter().map(|case| documented(&None, case)).collect(),
            ),
            Self::Flags { name, flags } => (
                "flags",
                name,
                flags.iter().map(|flag| documented(&None, flag)).collect(),
            ),
            _ => return None,
        };
        Some(format!("{keyword} {name} {{\n{lines}}}"))
    }
}

fn documented(docs: &Option<String>, line: &str) -> String {
    let docs = docs.iter().flat_map(|docs| docs.lines());
    let mut text: String = docs.map(|doc| format!("  /// {doc}\n")).collect();
    text.push_str(&format!("  {line},\n"));
    text
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Integer { integer } => f.write_str(integer.name()),
            Self::F32 => f.write_str("f32"),
            Self::F64 => f.write_str("f64"),
            Self::Char => f.write_str("char"),
            Self::String => f.write_str("string"),
            Self::List { item } => write!(f, "list<{item}>"),
            Self::Option { some } => write!(f, "option<{some}>"),
            Self::Result { ok, err } => match (ok, err) {
                (None, None) => f.write_str("result"),
                (Some(ok), None) => write!(f, "result<{ok}>"),
                (None, Some(err)) => write!(f, "result<_, {err}>"),
                (Some(ok), Some(err)) => write!(f, "result<{ok}, {err}>"),
            },
            Self::Tuple { items } => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                write!(f, "tuple<{}>", items.join(", "))
            }
            Self::Record { name, .. }
            | Self::Variant { name, .. }
            | Self::Enum { name, .. }
            | Self::Flags { name, .. } => f.write_str(name),
        }
    }
}
