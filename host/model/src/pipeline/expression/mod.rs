//! Expressions: what stands between `${{` and `}}`.
//!
//! ```text
//! any      = all { "||" all }
//! all      = compared { "&&" compared }
//! compared = part [ ("==" | "!=" | "<" | "<=" | ">" | ">=") part ]
//! part     = "!" part | primary { "." name | "[" integer "]" }
//! primary  = literal | "(" any ")" | "item" | "parameters" "." name
//!          | "partition" [ "." ("year" | "month" | "day") ]
//!          | "steps" "." name "." ("results" | "outputs" "." name)
//!          | "outputs" "." name | "artifact" "(" text ")"
//! ```
//!
//! There is no arithmetic: logic belongs in steps.

mod parse;
mod token;

use serde_json::Value as Json;

use super::diagnostic::Span;
use super::partition::DatePart;
use crate::artifact::ArtifactReference;

pub(super) use parse::parse;

/// Longest expression, in bytes: a screenful. It bounds the work on one.
pub const MAX_EXPRESSION_BYTES: usize = 4_096;

/// Most parts of an expression in each other. It bounds how deep the code recurses
/// that walks it.
pub const MAX_EXPRESSION_DEPTH: usize = 32;

/// A name in an expression or a file, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) span: Span,
}

/// An expression as it is written, with names that are not looked up yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expression {
    pub(super) kind: ExpressionKind,
    /// Where it is in the file.
    pub(super) span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ExpressionKind {
    Literal(Json),
    Parameter(Word),
    Results(Word),
    Output { step: Word, output: Word },
    OwnOutput(Word),
    Item,
    Partition,
    PartitionPart(DatePart),
    Artifact(ArtifactReference),
    Field(Box<Expression>, Word),
    Index(Box<Expression>, usize),
    Not(Box<Expression>),
    Compare(Comparison, Box<Expression>, Box<Expression>),
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// The operator in the file.
    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    fn of_symbol(symbol: &str) -> Option<Self> {
        [
            Self::Equal,
            Self::NotEqual,
            Self::Less,
            Self::LessOrEqual,
            Self::Greater,
            Self::GreaterOrEqual,
        ]
        .into_iter()
        .find(|comparison| comparison.symbol() == symbol)
    }
}

impl Expression {
    /// Calls `visit` with this expression and all in it.
    pub(super) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        match &self.kind {
            ExpressionKind::Field(of, _)
            | ExpressionKind::Index(of, _)
            | ExpressionKind::Not(of) => of.walk(visit),
            ExpressionKind::Compare(_, left, right) => {
                left.walk(visit);
                right.walk(visit);
            }
            ExpressionKind::All(parts) | ExpressionKind::Any(parts) => {
                parts.iter().for_each(|part| part.walk(visit));
            }
            _ => {}
        }
    }

    /// The step that it refers to itself, not through its parts.
    pub(super) const fn step(&self) -> Option<&Word> {
        match &self.kind {
            ExpressionKind::Results(step) | ExpressionKind::Output { step, .. } => Some(step),
            _ => None,
        }
    }
}
