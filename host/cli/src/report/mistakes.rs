//! Mistakes in a file, shown where they are.

use std::io::IsTerminal;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value as Json, json};
use wharf_model::ErrorKind;
use wharf_model::name::is_active;
use wharf_model::pipeline::Diagnostic;

use super::{err, inert, out};
use crate::ending::Mistakes;

/// Mistakes that are shown; of the others, the number is.
const MOST: usize = 50;

pub(crate) fn report(mistakes: &Mistakes, json: bool) {
    if json {
        let all: Vec<Json> = mistakes
            .diagnostics
            .iter()
            .map(|it| as_json(it, mistakes))
            .collect();
        let error = json!({"error": {"kind": ErrorKind::Pipeline.name(), "problems": all}});
        // Whoever cannot be told has the exit code.
        let _ = out(&inert(format!("{error}\n")));
        return;
    }
    let renderer = match std::io::stderr().is_terminal() {
        true => Renderer::styled(),
        false => Renderer::plain(),
    };
    // What acts on a terminal is shown as a space, which keeps every place.
    let text: String = mistakes.text.chars().map(inactive).collect();
    let file = mistakes.file.display().to_string();
    for diagnostic in mistakes.diagnostics.iter().take(MOST) {
        err(&renderer.render(&[group(diagnostic, &text, &file)]));
    }
    let count = mistakes.diagnostics.len();
    if count > MOST {
        err(&format!("and {} more", count - MOST));
    }
}

/// A character, or one as long that does nothing.
fn inactive(c: char) -> char {
    match is_active(c) && !matches!(c, '\n' | '\t' | '\r') {
        true if c.len_utf8() == 1 => ' ',
        true if c.len_utf8() == 2 => '\u{b7}',
        true => '\u{fffd}',
        false => c,
    }
}

fn group<'a>(diagnostic: &'a Diagnostic, text: &'a str, file: &'a str) -> Group<'a> {
    let primary = AnnotationKind::Primary.span(diagnostic.span.clone());
    let primary = primary.label(diagnostic.label.as_deref());
    let also = diagnostic.also.iter();
    let also = also.map(|(span, what)| AnnotationKind::Context.span(span.clone()).label(what));
    let snippet = Snippet::source(text)
        .path(file)
        .annotation(primary)
        .annotations(also);
    let group = Level::ERROR
        .primary_title(&diagnostic.message)
        .element(snippet);
    match &diagnostic.hint {
        Some(hint) => group.element(Level::HELP.message(hint)),
        None => group,
    }
}

fn as_json(diagnostic: &Diagnostic, mistakes: &Mistakes) -> Json {
    let (line, column) = diagnostic.line_column(&mistakes.text);
    json!({
        "kind": ErrorKind::Pipeline.name(),
        "message": diagnostic.message,
        "hint": diagnostic.hint,
        "file": mistakes.file.display().to_string(),
        "line": line,
        "column": column,
    })
}
