//! Reads an expression.

use serde_json::Value as Json;

use super::super::diagnostic::{Diagnostic, Span, suggestion};
use super::super::partition::DatePart;
use super::super::source_map::SourceMap;
use super::token::{Token, TokenKind, tokens};
use super::{
    Comparison, Expression, ExpressionKind, MAX_EXPRESSION_BYTES, MAX_EXPRESSION_DEPTH, Word,
};

/// What an expression can begin with.
const ROOTS: [&str; 6] = [
    "parameters",
    "steps",
    "item",
    "partition",
    "outputs",
    "artifact",
];

/// Reads the text between `${{` and `}}`, which begins at a byte of the scalar that
/// `map` is for.
///
/// # Errors
/// The first mistake.
pub(crate) fn parse(
    text: &str,
    from: usize,
    map: &SourceMap<'_>,
) -> Result<Expression, Diagnostic> {
    let whole = map.span(from..from + text.len());
    if text.len() > MAX_EXPRESSION_BYTES {
        let message = format!("the expression is longer than {MAX_EXPRESSION_BYTES} bytes");
        return Err(Diagnostic::new(whole, message).hint("let a step decide"));
    }
    let tokens = tokens(text, from, map)?;
    if tokens.is_empty() {
        return Err(Diagnostic::new(whole, "the expression is empty"));
    }
    let end = tokens
        .last()
        .map_or(0, |token| token.span.end)
        .max(whole.start);
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        depth: 0,
        end: end..end,
    };
    let expression = parser.any()?;
    match parser.peek() {
        None => Ok(expression),
        Some(token) => Err(unexpected(token)),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    /// Where the expression ends.
    end: Span,
}

type Parsed = Result<Expression, Diagnostic>;

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<&'a Token> {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// Takes a sign, if it is next.
    fn sign(&mut self, sign: &str) -> Option<&'a Token> {
        let next = self.peek()?;
        matches!(next.kind, TokenKind::Sign(found) if found == sign).then(|| self.next())?
    }

    fn wanted(&self, what: &str) -> Diagnostic {
        match self.peek() {
            Some(token) => unexpected(token).label(format!("{what} is wanted here")),
            None => Diagnostic::new(self.end.clone(), format!("{what} is missing")),
        }
    }

    fn expect(&mut self, sign: &'static str) -> Result<&'a Token, Diagnostic> {
        self.sign(sign)
            .ok_or_else(|| self.wanted(&format!("`{sign}`")))
    }

    fn word(&mut self, what: &str) -> Result<Word, Diagnostic> {
        match self.peek() {
            Some(Token {
                kind: TokenKind::Word(text),
                span,
            }) => {
                self.at += 1;
                Ok(Word {
                    text: text.clone(),
                    span: span.clone(),
                })
            }
            _ => Err(self.wanted(what)),
        }
    }

    fn enter(&mut self) -> Result<(), Diagnostic> {
        self.depth += 1;
        match self.depth <= MAX_EXPRESSION_DEPTH {
            true => Ok(()),
            false => {
                let message =
                    format!("the expression is nested deeper than {MAX_EXPRESSION_DEPTH}");
                let span = self
                    .peek()
                    .map_or(self.end.clone(), |token| token.span.clone());
                Err(Diagnostic::new(span, message).hint("let a step decide"))
            }
        }
    }

    fn any(&mut self) -> Parsed {
        self.chain("||", Self::all, ExpressionKind::Any)
    }

    fn all(&mut self) -> Parsed {
        self.chain("&&", Self::compared, ExpressionKind::All)
    }

    /// Parts with a sign between them. However many they are, they are not in each
    /// other.
    fn chain(
        &mut self,
        sign: &str,
        part: fn(&mut Self) -> Parsed,
        make: fn(Vec<Expression>) -> ExpressionKind,
    ) -> Parsed {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.sign(sign).is_some() {
            parts.push(part(self)?);
        }
        let span = parts[0].span.start..parts[parts.len() - 1].span.end;
        match (parts.len(), parts.pop()) {
            (1, Some(only)) => Ok(only),
            (_, last) => {
                parts.extend(last);
                let kind = make(parts);
                Ok(Expression { kind, span })
            }
        }
    }

    fn comparison(&self) -> Option<Comparison> {
        match &self.peek()?.kind {
            TokenKind::Sign(sign) => Comparison::of_symbol(sign),
            _ => None,
        }
    }

    fn compared(&mut self) -> Parsed {
        let left = self.part()?;
        let Some(comparison) = self.comparison() else {
            return Ok(left);
        };
        self.at += 1;
        let right = self.part()?;
        if let (Some(_), Some(next)) = (self.comparison(), self.peek()) {
            let message = "comparisons cannot follow each other";
            let hint = "write `a < b && b < c`";
            return Err(Diagnostic::new(next.span.clone(), message).hint(hint));
        }
        let span = left.span.start..right.span.end;
        let kind = ExpressionKind::Compare(comparison, Box::new(left), Box::new(right));
        Ok(Expression { kind, span })
    }

    fn part(&mut self) -> Parsed {
        let Some(not) = self.sign("!") else {
            return self.accessed();
        };
        self.enter()?;
        let part = self.part()?;
        self.depth -= 1;
        let span = not.span.start..part.span.end;
        let kind = ExpressionKind::Not(Box::new(part));
        Ok(Expression { kind, span })
    }

    fn accessed(&mut self) -> Parsed {
        let depth = self.depth;
        let mut of = self.primary()?;
        loop {
            let kind = if self.sign(".").is_some() {
                let field = self.word("the name of a field")?;
                ExpressionKind::Field(Box::new(of), field)
            } else if self.sign("[").is_some() {
                let index = self.index()?;
                self.expect("]")?;
                ExpressionKind::Index(Box::new(of), index)
            } else {
                self.depth = depth;
                return Ok(of);
            };
            self.enter()?;
            let start = kind_start(&kind);
            let span = start..self.tokens[self.at - 1].span.end;
            of = Expression { kind, span };
        }
    }

    fn index(&mut self) -> Result<usize, Diagnostic> {
        let index = match self.peek().map(|token| &token.kind) {
            Some(TokenKind::Number(Json::Number(number))) => {
                number.as_u64().and_then(|n| n.try_into().ok())
            }
            _ => None,
        };
        let index = index.ok_or_else(|| self.wanted("a whole number, as in `[0]`,"))?;
        self.at += 1;
        Ok(index)
    }

    fn primary(&mut self) -> Parsed {
        let Some(token) = self.peek() else {
            return Err(self.wanted("a value"));
        };
        let kind = match &token.kind {
            TokenKind::Number(number) => ExpressionKind::Literal(number.clone()),
            TokenKind::Text(text) => ExpressionKind::Literal(Json::String(text.clone())),
            TokenKind::Sign("(") => return self.parentheses(),
            TokenKind::Sign(_) => return Err(self.wanted("a value")),
            TokenKind::Word(word) => {
                self.at += 1;
                return self.named(word, token);
            }
        };
        self.at += 1;
        let span = token.span.clone();
        Ok(Expression { kind, span })
    }

    fn parentheses(&mut self) -> Parsed {
        self.enter()?;
        self.expect("(")?;
        let inner = self.any()?;
        self.expect(")")?;
        self.depth -= 1;
        Ok(inner)
    }

    /// What begins with a word.
    fn named(&mut self, word: &str, token: &Token) -> Parsed {
        let kind = match word {
            "true" => ExpressionKind::Literal(Json::Bool(true)),
            "false" => ExpressionKind::Literal(Json::Bool(false)),
            "null" => ExpressionKind::Literal(Json::Null),
            "item" => ExpressionKind::Item,
            "partition" => self.partition()?,
            "parameters" => ExpressionKind::Parameter(self.after_dot("the name of a parameter")?),
            "outputs" => ExpressionKind::OwnOutput(self.after_dot("the name of an output")?),
            "steps" => self.step()?,
            "artifact" => self.artifact()?,
            _ => return Err(unknown_word(word, token)),
        };
        let span = token.span.start..self.tokens[self.at - 1].span.end;
        Ok(Expression { kind, span })
    }

    fn after_dot(&mut self, what: &str) -> Result<Word, Diagnostic> {
        self.sign(".")
            .ok_or_else(|| self.wanted(&format!("`.` and {what}")))?;
        self.word(what)
    }

    fn partition(&mut self) -> Result<ExpressionKind, Diagnostic> {
        if self.sign(".").is_none() {
            return Ok(ExpressionKind::Partition);
        }
        let part = self.word("`year`, `month` or `day`")?;
        let known = DatePart::ALL.map(DatePart::name);
        match DatePart::of_name(&part.text) {
            Some(part) => Ok(ExpressionKind::PartitionPart(part)),
            None => {
                let message = format!("a partition has no `{}`", part.text);
                Err(Diagnostic::new(part.span, message).hint(suggestion(&part.text, &known)))
            }
        }
    }

    fn step(&mut self) -> Result<ExpressionKind, Diagnostic> {
        let step = self.after_dot("the name of a step")?;
        let part = self.after_dot("`results` or `outputs`")?;
        match &*part.text {
            "results" => Ok(ExpressionKind::Results(step)),
            "outputs" => {
                let output = self.after_dot("the name of an output")?;
                Ok(ExpressionKind::Output { step, output })
            }
            other => {
                let message = format!("a step has no `{other}`");
                let hint = suggestion(other, &["results", "outputs"]);
                Err(Diagnostic::new(part.span, message).hint(hint))
            }
        }
    }

    fn artifact(&mut self) -> Result<ExpressionKind, Diagnostic> {
        self.expect("(")?;
        let Some(Token {
            kind: TokenKind::Text(text),
            span,
        }) = self.peek()
        else {
            return Err(self.wanted("a text in single quotes, as in `artifact('NAME:TAG')`,"));
        };
        self.at += 1;
        let reference = text.parse().map_err(|error| {
            let message = format!("`{text}` does not name a stored artifact");
            let error: crate::artifact::ParseArtifactReferenceError = error;
            Diagnostic::new(span.clone(), message).hint(error.to_string())
        })?;
        self.expect(")")?;
        Ok(ExpressionKind::Artifact(reference))
    }
}

fn kind_start(kind: &ExpressionKind) -> usize {
    match kind {
        ExpressionKind::Field(of, _) | ExpressionKind::Index(of, _) => of.span.start,
        _ => 0,
    }
}

fn unexpected(token: &Token) -> Diagnostic {
    let (shown, hint) = match &token.kind {
        TokenKind::Word(word) => {
            let hint = match &**word {
                "and" => Some("write `&&`"),
                "or" => Some("write `||`"),
                _ => None,
            };
            (word.clone(), hint)
        }
        TokenKind::Number(number) => (number.to_string(), None),
        TokenKind::Text(text) => (format!("'{text}'"), None),
        TokenKind::Sign(sign) => ((*sign).to_owned(), None),
    };
    let message = format!("`{shown}` does not belong here");
    Diagnostic::new(token.span.clone(), message).maybe_hint(hint.map(str::to_owned))
}

fn unknown_word(word: &str, token: &Token) -> Diagnostic {
    let hint = match word {
        "not" => "write `!`".to_owned(),
        _ => suggestion(word, &ROOTS),
    };
    let message = format!("`{word}` is not known in an expression");
    Diagnostic::new(token.span.clone(), message).hint(hint)
}
