//! Mistakes in a file, shown where they are.

use std::io::IsTerminal;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value as Json, json};
use wharf_model::ErrorKind;
use wharf_model::pipeline::Diagnostic;

use super::{err, in_place, inert, out, plain};
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
    let text = in_place(&mistakes.text);
    let file = mistakes.file.display().to_string();
    let file = plain(&file);
    for diagnostic in mistakes.diagnostics.iter().take(MOST) {
        err(&renderer.render(&[group(&inactive(diagnostic), &text, &file)]));
    }
    let count = mistakes.diagnostics.len();
    if count > MOST {
        err(&format!("and {} more", count - MOST));
    }
}

/// A mistake in words that do nothing: they may repeat what the file says.
fn inactive(diagnostic: &Diagnostic) -> Diagnostic {
    let plain = |text: &String| plain(text).into_owned();
    Diagnostic {
        span: diagnostic.span.clone(),
        message: plain(&diagnostic.message),
        label: diagnostic.label.as_ref().map(plain),
        also: diagnostic
            .also
            .iter()
            .map(|(span, what)| (span.clone(), plain(what)))
            .collect(),
        hint: diagnostic.hint.as_ref().map(plain),
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
