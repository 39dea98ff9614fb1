//! YAML text as a tree whose every part knows its place.
//!
//! The YAML is the part of it that means what it shows: anchors, aliases, merge
//! keys, tags, directives and several documents are refused. Scalars are read by
//! the core schema of YAML 1.2, so `yes` is a text.

use std::collections::HashMap;

use serde_json::Value as Json;
use serde_saphyr::granit_parser::{
    self, Event, Options, Parser, ScalarStyle, Span as ParserSpan, StructureStyle,
};

use super::diagnostic::{Diagnostic, Diagnostics, Span};
use super::scalar::scalar;
use super::syntax_error;
use crate::name::is_active;

/// Largest file, in bytes: thousands of steps. It bounds all work on the file.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// Most collections in each other. A file needs five, and values some more; it
/// bounds how deep the code recurses that walks the tree.
pub const MAX_NESTING: usize = 32;

/// A part of the file.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Where it is. Of a collection that spans lines, the first of them.
    pub(super) span: Span,
}

/// What a part of the file is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Nothing, a boolean or a number.
    Literal(Json),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) span: Span,
}

/// A text, and how it was written.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) value: String,
    pub(super) style: ScalarStyle,
}

impl Node {
    /// What it is, for messages.
    pub(super) fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Literal(Json::Null) => "nothing",
            Kind::Literal(Json::Bool(_)) => "a boolean",
            Kind::Literal(_) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

/// Reads the text of a file. `None` where it is not a tree at all.
pub(super) fn read(text: &str, found: &mut Diagnostics) -> Option<Node> {
    if text.len() > MAX_FILE_BYTES {
        let message = format!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20);
        found.push(Diagnostic::new(0..0, message).hint("make several pipelines of it"));
        return None;
    }
    refuse_active(text, found);
    let mut builder = Builder::new(text, found);
    for event in Parser::new_from_str_with_options(text, options()) {
        let event = event.map_err(|error| syntax_error::describe(text, &error));
        match event.and_then(|(event, span)| builder.take(event, &span)) {
            Ok(()) => {}
            Err(error) => {
                found.push(error);
                return None;
            }
        }
    }
    let root = builder.root;
    if root.is_none() {
        found.push(Diagnostic::new(0..0, "the file is empty").hint("it needs `steps`"));
    }
    root
}

fn options() -> Options {
    granit_parser::options! {
        disallow_directives: true,
        emit_anchor_events: true,
        emit_comments: false,
        emit_unresolved_aliases: true,
        block_nesting_limit: MAX_NESTING,
        flow_nesting_limit: MAX_NESTING,
    }
}

/// Refuses characters that make the file look like what it is not.
fn refuse_active(text: &str, found: &mut Diagnostics) {
    let hidden = text
        .char_indices()
        .find(|(_, c)| is_active(*c) && !matches!(c, '\n' | '\r' | '\t'));
    if let Some((at, c)) = hidden {
        let message = format!(
            "the file has a hidden character (U+{:04X}) here",
            u32::from(c)
        );
        let hint = "remove it; in a value, write it as \"\\u....\"";
        found.push(Diagnostic::new(at..at + c.len_utf8(), message).hint(hint));
    }
}

/// A collection that is not complete yet.
enum Open {
    List(Span, Vec<Node>),
    Map(Span, Map),
}

#[derive(Default)]
struct Map {
    entries: Vec<(Key, Node)>,
    /// Where each key is.
    places: HashMap<String, Span>,
    /// The key whose value comes next.
    key: Option<Key>,
}

/// Makes a tree of events.
struct Builder<'a, 'input> {
    text: &'input str,
    found: &'a mut Diagnostics,
    open: Vec<Open>,
    root: Option<Node>,
}

impl<'a, 'input> Builder<'a, 'input> {
    fn new(text: &'input str, found: &'a mut Diagnostics) -> Self {
        Self {
            text,
            found,
            open: Vec::new(),
            root: None,
        }
    }

    /// Takes one event; an error ends the reading.
    fn take(&mut self, event: Event<'input>, at: &ParserSpan) -> Result<(), Diagnostic> {
        self.refuse_tag(&event, at);
        let span = self.span(at);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let message = "the file has several documents";
                let hint = "a pipeline is one document; remove `---` and what follows";
                return Err(Diagnostic::new(span, message).hint(hint));
            }
            Event::Anchor(..) => self.refuse(span, "anchors (`&name`)"),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.refuse(span.clone(), "aliases (`*name`)");
                self.add(Kind::Literal(Json::Null), span)?;
            }
            Event::Scalar(value, style, ..) => self.add(scalar(&value, style), span)?,
            Event::SequenceStart(style, ..) => {
                let open = Open::List(self.head(style, span), Vec::new());
                self.enter(open)?;
            }
            Event::MappingStart(style, ..) => {
                let open = Open::Map(self.head(style, span), Map::default());
                self.enter(open)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(&span)?,
            _ => {}
        }
        Ok(())
    }

    fn span(&self, at: &ParserSpan) -> Span {
        let span = at.byte_range().unwrap_or(0..0);
        span.start.min(self.text.len())..span.end.min(self.text.len())
    }

    /// What a collection that begins here shows as its place: a bracket, or the
    /// rest of the line.
    fn head(&self, style: StructureStyle, span: Span) -> Span {
        match style {
            StructureStyle::Flow => span,
            StructureStyle::Block => {
                let rest = &self.text[span.start..];
                let line = rest
                    .split(['\n', '\r'])
                    .next()
                    .unwrap_or_default()
                    .trim_end();
                span.start..span.start + line.len()
            }
        }
    }

    fn refuse(&mut self, span: Span, what: &str) {
        let message = format!("{what} are not supported here");
        let hint = "write the value out, so that the file means what it shows";
        self.found.push(Diagnostic::new(span, message).hint(hint));
    }

    fn refuse_tag(&mut self, event: &Event<'_>, at: &ParserSpan) {
        if event.tag().is_some() {
            let span = self.span(&at.tag_span().unwrap_or(*at));
            self.refuse(span, "tags (`!name`)");
        }
    }

    fn enter(&mut self, open: Open) -> Result<(), Diagnostic> {
        if self.open.len() == MAX_NESTING {
            let (Open::List(span, _) | Open::Map(span, _)) = open;
            return Err(syntax_error::too_deep(span));
        }
        self.open.push(open);
        Ok(())
    }

    fn leave(&mut self, end: &Span) -> Result<(), Diagnostic> {
        match self.open.pop() {
            Some(Open::List(span, items)) => {
                let span = self.closed(span, end);
                self.add(Kind::List(items), span)
            }
            Some(Open::Map(span, map)) => {
                let span = self.closed(span, end);
                self.add(Kind::Map(map.entries), span)
            }
            None => Ok(()),
        }
    }

    /// The place of a collection, now that its end is known. One in brackets that
    /// ends on the line where it began is shown whole.
    fn closed(&self, start: Span, end: &Span) -> Span {
        let bracketed = self.text[start.clone()].len() == 1 && end.len() == 1;
        match bracketed && !self.text[start.start..end.end].contains(['\n', '\r']) {
            true => start.start..end.end,
            false => start,
        }
    }

    /// Adds a complete part to the collection around it.
    fn add(&mut self, kind: Kind, span: Span) -> Result<(), Diagnostic> {
        let node = Node { kind, span };
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, map)) => match map.key.take() {
                Some(key) => map.entries.push((key, node)),
                None => {
                    let key = key(self.text, node)?;
                    self.add_key(key);
                }
            },
        }
        Ok(())
    }

    fn add_key(&mut self, key: Key) {
        if key.text == "<<" {
            self.refuse(key.span.clone(), "merge keys (`<<`)");
        }
        let Some(Open::Map(_, map)) = self.open.last_mut() else {
            return;
        };
        if let Some(first) = map.places.get(&key.text) {
            let message = format!("`{}` is given twice", key.text);
            let again = Diagnostic::new(key.span.clone(), message).hint("remove one of them");
            self.found.push(again.also(first.clone(), "the first one"));
        }
        map.places
            .entry(key.text.clone())
            .or_insert_with(|| key.span.clone());
        map.key = Some(key);
    }
}

/// A key: what is written, whatever it would be as a value.
fn key(text: &str, node: Node) -> Result<Key, Diagnostic> {
    match node.kind {
        Kind::Text(key) => Ok(Key {
            text: key.value,
            span: node.span,
        }),
        Kind::Literal(_) => Ok(Key {
            text: text[node.span.clone()].to_owned(),
            span: node.span,
        }),
        Kind::List(_) | Kind::Map(_) => {
            let message = format!("{} cannot be a key", node.what());
            let hint = "keys are names; put `${{ ... }}` in quotes inside `{ }` and `[ ]`";
            Err(Diagnostic::new(node.span, message).hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::shown;
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        let mut found = Diagnostics::default();
        let root = read(text, &mut found);
        let found = found.finish(root).unwrap_err();
        shown(text, &found)
    }

    #[test]
    fn what_hides_its_meaning_is_refused() {
        let hint = "(write the value out, so that the file means what it shows)";
        assert_eq!(
            mistakes("a: &x 1\nb: *x\nc: *y\nd: !!str 1\n<<: {}\n"),
            [
                format!("1:4: anchors (`&name`) are not supported here {hint}"),
                format!("2:4: aliases (`*name`) are not supported here {hint}"),
                format!("3:4: aliases (`*name`) are not supported here {hint}"),
                format!("4:4: tags (`!name`) are not supported here {hint}"),
                format!("5:1: merge keys (`<<`) are not supported here {hint}"),
            ]
        );
        assert_eq!(
            mistakes("a: b\u{202e}c\n"),
            [
                "1:5: the file has a hidden character (U+202E) here (remove it; in a value, \
              write it as \"\\u....\")"
            ]
        );
    }

    #[test]
    fn keys_given_twice_are_refused() {
        let text = "a: 1\nb: {c: 1, c: 2}\na: 2\n";
        let mut found = Diagnostics::default();
        let root = read(text, &mut found);
        let found = found.finish(root).unwrap_err();
        assert_eq!(
            shown(text, &found),
            [
                "2:11: `c` is given twice (remove one of them)",
                "3:1: `a` is given twice (remove one of them)"
            ]
        );
        assert_eq!(found[1].also, [(0..1, "the first one".to_owned())]);
    }

    #[test]
    fn there_is_one_document_of_a_bounded_size() {
        assert_eq!(
            mistakes("a: 1\n---\nb: 2\n"),
            [
                "2:1: the file has several documents (a pipeline is one document; remove `---` and what follows)"
            ]
        );
        assert_eq!(
            mistakes("# nothing\n"),
            ["1:1: the file is empty (it needs `steps`)"]
        );
        let large = " ".repeat(MAX_FILE_BYTES + 1);
        assert_eq!(
            mistakes(&large),
            ["1:1: the file is larger than 1 MiB (make several pipelines of it)"]
        );
        for deep in ["[".repeat(99), "- ".repeat(99)] {
            assert!(
                mistakes(&deep)[0].contains("lists and maps are nested too deeply"),
                "{deep}"
            );
        }
    }

    #[test]
    fn keys_are_names() {
        assert_eq!(
            mistakes("? [a]\n: 1\n"),
            [
                "1:3: a list cannot be a key (keys are names; put `${{ ... }}` in quotes inside `{ }` and `[ ]`)"
            ]
        );
    }
}
