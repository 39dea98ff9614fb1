//! Says what is wrong with text that is not YAML, in words that help.

use serde_saphyr::granit_parser::{ErrorKind, ScanError};

use super::diagnostic::{Diagnostic, Span};
use super::yaml::MAX_NESTING;

/// Describes where the YAML parser gave up.
pub(super) fn describe(text: &str, error: &ScanError) -> Diagnostic {
    let at = place(text, error);
    let quotes = expression_in_brackets(text, at.start);
    let (message, hint) = match error.kind() {
        ErrorKind::TabInIndentation
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => {
            let tab = tab_of_line(text, at);
            return Diagnostic::new(tab, "a tab is used as indentation").hint("indent with spaces");
        }
        ErrorKind::RecursionLimitExceeded => return too_deep(at),
        ErrorKind::DirectiveDisallowed => (
            "directives (`%...`) are not supported here",
            "remove the line",
        ),
        _ if quotes => (
            "an expression inside `{ }` or `[ ]` is not in quotes",
            "write \"${{ ... }}\"",
        ),
        ErrorKind::UnclosedQuotedScalar => ("the text in quotes does not end", "add a quote"),
        kind => return unusual(at, kind),
    };
    Diagnostic::new(at, message).hint(hint)
}

/// Collections in each other beyond [`MAX_NESTING`].
pub(super) fn too_deep(span: Span) -> Diagnostic {
    let message = format!("lists and maps are nested too deeply, more than {MAX_NESTING}");
    Diagnostic::new(span, message)
}

/// A mistake for which the parser has the best words.
fn unusual(at: Span, kind: &ErrorKind) -> Diagnostic {
    let hint = match kind {
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::BlockSequenceEntryNotAllowed => {
            Some("look at the indentation of this line and the one before")
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::SimpleKeyExpected => {
            Some("look at the indentation, and put a text with `: ` in it in quotes")
        }
        _ => None,
    };
    let diagnostic = Diagnostic::new(at, format!("this is not YAML: {kind}"));
    diagnostic.maybe_hint(hint.map(str::to_owned))
}

/// The character at which the parser gave up.
fn place(text: &str, error: &ScanError) -> Span {
    let at = error.marker().byte_offset().unwrap_or(text.len());
    let at = at.min(text.len());
    let next = text.get(at..).and_then(|rest| rest.chars().next());
    match next {
        Some(c) if !matches!(c, '\n' | '\r') => at..at + c.len_utf8(),
        _ => at..at,
    }
}

/// The first tab of the line of a place, or the place where there is none.
fn tab_of_line(text: &str, at: Span) -> Span {
    let start = line_start(text, at.start);
    let line = text[start..].split(['\n', '\r']).next().unwrap_or_default();
    match line.find('\t') {
        Some(tab) => start + tab..start + tab + 1,
        None => at,
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at]
        .rfind(['\n', '\r'])
        .map_or(0, |newline| newline + 1)
}

/// Whether the line up to a place has an expression inside brackets that is not in
/// quotes: YAML takes its braces for a map.
fn expression_in_brackets(text: &str, at: usize) -> bool {
    let line = text[line_start(text, at)..]
        .lines()
        .next()
        .unwrap_or_default();
    let Some(expression) = line.find("${{") else {
        return false;
    };
    let before = &line[..expression];
    before.contains(['{', '[']) && !before.trim_end().ends_with(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::{Diagnostics, shown};
    use super::super::yaml;

    fn mistake(text: &str) -> String {
        let mut found = Diagnostics::default();
        let root = yaml::read(text, &mut found);
        let found = found.finish(root).unwrap_err();
        shown(text, &found).join("\n")
    }

    #[test]
    fn syntax_errors_say_what_to_do() {
        assert_eq!(
            mistake("steps:\n\ta: 1\n"),
            "2:1: a tab is used as indentation (indent with spaces)"
        );
        assert_eq!(
            mistake("%YAML 1.2\n---\na: 1\n"),
            "1:1: directives (`%...`) are not supported here (remove the line)"
        );
        assert_eq!(
            mistake("a: \"b\nc: 1\n"),
            "1:4: the text in quotes does not end (add a quote)"
        );
        assert_eq!(
            mistake("with: { a: ${{ parameters.b }}, c: 1 }\n"),
            "1:13: an expression inside `{ }` or `[ ]` is not in quotes (write \"${{ ... }}\")"
        );
        assert_eq!(
            mistake("a: 1\n  b: 2\n"),
            "2:4: this is not YAML: mapping values are not allowed in this context (look at the \
             indentation, and put a text with `: ` in it in quotes)"
        );
    }
}
