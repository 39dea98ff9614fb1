//! The words and signs of an expression.

use serde_json::{Number, Value as Json};

use super::super::diagnostic::{Diagnostic, Span};
use super::super::source_map::SourceMap;

/// A word or sign, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Where it is in the file.
    pub(super) span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    Word(String),
    Number(Json),
    Text(String),
    Sign(&'static str),
}

/// The signs; longer ones first.
const SIGNS: [&str; 14] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ".",
];

/// Splits the text of an expression.
pub(super) fn tokens(
    text: &str,
    from: usize,
    map: &SourceMap<'_>,
) -> Result<Vec<Token>, Diagnostic> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let place = |length: usize| map.span(from + at..from + at + length);
        let (kind, length) = token(&text[at..], place)?;
        let span = place(length);
        tokens.push(Token { kind, span });
        at += length;
    }
    Ok(tokens)
}

/// The first word or sign of a text, and its length in bytes.
fn token(text: &str, place: impl Fn(usize) -> Span) -> Result<(TokenKind, usize), Diagnostic> {
    let first = text.as_bytes().first().copied().unwrap_or(b' ');
    let negative = first == b'-' && text.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    if first.is_ascii_alphabetic() || first == b'_' {
        let length = length_of(text, |b| {
            b.is_ascii_alphanumeric() || b == b'_' || b == b'-'
        });
        return Ok((TokenKind::Word(text[..length].to_owned()), length));
    }
    if first.is_ascii_digit() || negative {
        return number(text, place);
    }
    if first == b'\'' {
        return quoted(text, place);
    }
    match SIGNS.iter().find(|sign| text.starts_with(**sign)) {
        Some(sign) => Ok((TokenKind::Sign(sign), sign.len())),
        None => Err(stranger(text, place)),
    }
}

fn length_of(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|b| belongs(*b)).count()
}

fn number(text: &str, place: impl Fn(usize) -> Span) -> Result<(TokenKind, usize), Diagnostic> {
    let length = number_length(text);
    let written = &text[..length];
    let whole = written.parse().ok().and_then(Number::from_i128);
    let float = || written.parse().ok().and_then(Number::from_f64);
    let number = whole.or_else(float).map(Json::Number);
    match number {
        Some(number) => Ok((TokenKind::Number(number), length)),
        None => Err(Diagnostic::new(
            place(length),
            format!("`{written}` is not a number"),
        )),
    }
}

/// The length of a number: `-1`, `1.5`, `1e-3`.
fn number_length(text: &str) -> usize {
    let digits = |from: usize| length_of(&text[from..], |b| b.is_ascii_digit());
    let sign = usize::from(text.starts_with('-'));
    let mut length = sign + digits(sign);
    if text[length..].starts_with('.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if text[length..].starts_with(['e', 'E']) {
        let sign = usize::from(text[length + 1..].starts_with(['+', '-']));
        if digits(length + 1 + sign) > 0 {
            length += 1 + sign + digits(length + 1 + sign);
        }
    }
    length
}

/// A text in single quotes; two of them mean one inside.
fn quoted(text: &str, place: impl Fn(usize) -> Span) -> Result<(TokenKind, usize), Diagnostic> {
    let mut value = String::new();
    let mut rest = &text[1..];
    while let Some((before, after)) = rest.split_once('\'') {
        value += before;
        match after.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Ok((TokenKind::Text(value), text.len() - after.len())),
        }
    }
    let message = "the text in single quotes does not end";
    Err(Diagnostic::new(place(text.len()), message))
}

/// A character that no expression has.
fn stranger(text: &str, place: impl Fn(usize) -> Span) -> Diagnostic {
    let c = text.chars().next().unwrap_or(' ');
    let hint = match c {
        '"' => "texts are written in single quotes: 'text'",
        '=' => "equality is written `==`",
        '&' => "write `&&`",
        '|' => "write `||`",
        '+' | '-' | '*' | '/' | '%' | '?' => "there is no arithmetic: logic belongs in steps",
        '$' | '{' | '}' => "one expression cannot be inside another",
        _ => "see the manual for what an expression can have",
    };
    let message = format!("`{c}` has no meaning in an expression");
    Diagnostic::new(place(c.len_utf8()), message).hint(hint)
}
