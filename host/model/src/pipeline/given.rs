//! Values as a file gives them: literals, texts, expressions, and lists and maps of
//! all that.

use serde_json::{Map, Value as Json};

use super::diagnostic::{Diagnostic, Diagnostics, Span};
use super::expression::{self, Expression, Word};
use super::source_map::SourceMap;
use super::yaml::{Kind, Node, Text};

/// A value that the file gives, and where.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) kind: GivenKind,
    pub(super) span: Span,
}

#[derive(Clone, Debug)]
pub(super) enum GivenKind {
    /// Nothing, a boolean or a number.
    Literal(Json),
    /// A text without expressions.
    Text(String),
    /// A text that is one expression, and has its type.
    Expression(Expression),
    /// A text with expressions in it.
    Mixed(Vec<Piece>),
    List(Vec<Given>),
    Map(Vec<(Word, Given)>),
}

/// A piece of a text with expressions in it.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Text(String),
    Expression(Expression),
}

impl Given {
    /// Reads a part of the file. Expressions that are wrong are told, and the value
    /// that has one is `None`.
    pub(super) fn read(file: &str, node: &Node, found: &mut Diagnostics) -> Option<Self> {
        let kind = match &node.kind {
            Kind::Literal(json) => GivenKind::Literal(json.clone()),
            Kind::Text(text) => read_text(file, text, &node.span, found)?,
            Kind::List(items) => {
                let items: Vec<_> = items
                    .iter()
                    .map(|item| Self::read(file, item, found))
                    .collect();
                GivenKind::List(items.into_iter().collect::<Option<_>>()?)
            }
            Kind::Map(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| {
                        let word = Word {
                            text: key.text.clone(),
                            span: key.span.clone(),
                        };
                        Self::read(file, value, found).map(|value| (word, value))
                    })
                    .collect();
                GivenKind::Map(entries.into_iter().collect::<Option<_>>()?)
            }
        };
        let span = node.span.clone();
        Some(Self { kind, span })
    }

    /// The value as JSON, where it has no expression.
    pub(super) fn constant(&self) -> Option<Json> {
        match &self.kind {
            GivenKind::Literal(json) => Some(json.clone()),
            GivenKind::Text(text) => Some(Json::String(text.clone())),
            GivenKind::Expression(_) | GivenKind::Mixed(_) => None,
            GivenKind::List(items) => {
                let items = items.iter().map(Self::constant);
                Some(Json::Array(items.collect::<Option<_>>()?))
            }
            GivenKind::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| Some((key.text.clone(), value.constant()?)));
                Some(Json::Object(entries.collect::<Option<Map<_, _>>>()?))
            }
        }
    }

    /// Calls `visit` with every expression in it.
    pub(super) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Expression)) {
        match &self.kind {
            GivenKind::Literal(_) | GivenKind::Text(_) => {}
            GivenKind::Expression(expression) => expression.walk(visit),
            GivenKind::Mixed(pieces) => {
                for piece in pieces {
                    if let Piece::Expression(expression) = piece {
                        expression.walk(visit);
                    }
                }
            }
            GivenKind::List(items) => items.iter().for_each(|item| item.walk(visit)),
            GivenKind::Map(entries) => entries.iter().for_each(|(_, value)| value.walk(visit)),
        }
    }

    /// What it is, for messages.
    pub(super) const fn what(&self) -> &'static str {
        match &self.kind {
            GivenKind::Literal(Json::Null) => "nothing",
            GivenKind::Literal(Json::Bool(_)) => "a boolean",
            GivenKind::Literal(_) => "a number",
            GivenKind::Text(_) | GivenKind::Mixed(_) => "a text",
            GivenKind::Expression(_) => "an expression",
            GivenKind::List(_) => "a list",
            GivenKind::Map(_) => "a map",
        }
    }
}

/// Whether a text has something that begins like an expression.
pub(super) fn has_expression(text: &str) -> bool {
    text.contains("${{")
}

fn read_text(file: &str, text: &Text, span: &Span, found: &mut Diagnostics) -> Option<GivenKind> {
    if !has_expression(&text.value) {
        return Some(GivenKind::Text(text.value.clone()));
    }
    let map = SourceMap::new(file, span, text);
    let pieces = found.keep(pieces(&text.value, &map))?;
    let mut pieces: Vec<Piece> = pieces
        .into_iter()
        .map(|piece| found.keep(piece.parse(&text.value, &map)))
        .collect::<Vec<_>>()
        .into_iter()
        .collect::<Option<_>>()?;
    Some(match (pieces.len(), pieces.pop()) {
        (1, Some(Piece::Expression(only))) => GivenKind::Expression(only),
        (1, Some(Piece::Text(only))) => GivenKind::Text(only),
        (_, last) => {
            pieces.extend(last);
            GivenKind::Mixed(pieces)
        }
    })
}

/// A piece of a text, before its expression is read.
enum RawPiece {
    Text(String),
    /// The bytes between `${{` and `}}`.
    Expression(Span),
}

impl RawPiece {
    fn parse(self, text: &str, map: &SourceMap<'_>) -> Result<Piece, Diagnostic> {
        match self {
            Self::Text(text) => Ok(Piece::Text(text)),
            Self::Expression(at) => {
                let inner = &text[at.clone()];
                expression::parse(inner, at.start, map).map(Piece::Expression)
            }
        }
    }
}

/// Splits a text at its expressions. `$${{` stands for `${{` itself; a line break
/// at the end, as block texts have, does not make a text of one expression.
fn pieces(text: &str, map: &SourceMap<'_>) -> Result<Vec<RawPiece>, Diagnostic> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while let Some(dollar) = text[at..].find("${{").map(|found| at + found) {
        if text[..dollar].ends_with('$') && dollar > at {
            plain += &text[at..dollar - 1];
            plain += "${{";
            at = dollar + 3;
            continue;
        }
        plain += &text[at..dollar];
        let start = dollar + 3;
        let Some(length) = length_of_expression(&text[start..]) else {
            let message = "the expression does not end";
            let hint = "end it with `}}`; write `$${{` for the text `${{`";
            return Err(Diagnostic::new(map.span(dollar..start), message).hint(hint));
        };
        if !plain.is_empty() {
            pieces.push(RawPiece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(RawPiece::Expression(start..start + length));
        at = start + length + 2;
    }
    plain += &text[at..];
    let line_break = pieces.len() == 1 && plain == "\n";
    if !plain.is_empty() && !line_break {
        pieces.push(RawPiece::Text(plain));
    }
    Ok(pieces)
}

/// How many bytes there are before `}}`, which means nothing inside quotes.
fn length_of_expression(text: &str) -> Option<usize> {
    let mut quoted = false;
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|at| {
        quoted ^= bytes[*at] == b'\'';
        !quoted && bytes[*at..].starts_with(b"}}")
    })
}
