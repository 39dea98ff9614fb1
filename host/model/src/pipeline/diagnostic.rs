//! Mistakes in a file, each at its place.

use std::ops::Range;

use crate::suggest::nearest;

/// A place in the file, in bytes.
pub type Span = Range<usize>;

/// Most mistakes that are told at once: more than anybody reads. A file of
/// 1 MiB can hold some hundred thousand.
pub const MAX_DIAGNOSTICS: usize = 1_000;

/// Most names that are compared for suggestions, over one file. Each unknown name
/// is compared with every known one, which would take minutes where a large file
/// has many of both.
const MAX_COMPARISONS: usize = 500_000;

/// Most known names that a hint lists.
const MAX_LISTED: usize = 12;

/// One mistake in a pipeline file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in one line.
    pub message: String,
    /// Where, in bytes of the file.
    pub span: Span,
    /// What to write beside the place, where the message alone is too far away.
    pub label: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Other places that matter, with what they have to do with it.
    pub also: Vec<(Span, String)>,
}

impl Diagnostic {
    /// A mistake at a place.
    #[must_use]
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span,
            label: None,
            hint: None,
            also: Vec::new(),
        }
    }

    /// Adds what to write beside the place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do about it, where that is known.
    #[must_use]
    pub fn maybe_hint(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Adds another place that matters.
    #[must_use]
    pub fn also(mut self, span: Span, what: impl Into<String>) -> Self {
        self.also.push((span, what.into()));
        self
    }

    /// The line and the column where it begins, in the text that was parsed. Both
    /// count from 1, columns in characters.
    #[must_use]
    pub fn line_column(&self, text: &str) -> (usize, usize) {
        line_column(text, self.span.start)
    }
}

/// What to say of a name that is none of a few: the nearest, else all of them.
pub(super) fn suggestion(given: &str, known: &[&str]) -> String {
    match nearest(given, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", quoted(known.iter().copied())),
    }
}

/// Names in backticks, with commas.
pub(super) fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// The line and the column of a place, both from 1. A line ends as YAML has it: with
/// LF, CR, or both. A mark of the byte order is no column.
pub(super) fn line_column(text: &str, at: usize) -> (usize, usize) {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = text[..at].trim_start_matches('\u{feff}');
    let after = text[at..].bytes().next();
    let mut line = 1;
    let mut start = 0;
    for (end, byte) in before.bytes().enumerate() {
        let next = before.as_bytes().get(end + 1).copied();
        let next = next.or(after.filter(|_| end + 1 == before.len()));
        if byte == b'\n' || (byte == b'\r' && next != Some(b'\n')) {
            line += 1;
            start = end + 1;
        }
    }
    (line, before[start..].chars().count() + 1)
}

/// Collects mistakes, up to [`MAX_DIAGNOSTICS`].
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    found: Vec<Diagnostic>,
    dropped: usize,
    compared: usize,
    /// Whether something that is missing may be there, and was not read or is mistyped.
    may_hide: bool,
}

impl Diagnostics {
    /// Goes on after some mistakes.
    pub(super) fn after(found: Vec<Diagnostic>) -> Self {
        Self {
            may_hide: !found.is_empty(),
            found,
            ..Self::default()
        }
    }

    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.found.len() + self.dropped
    }

    /// Remembers that an order or name may only seem to be missing.
    pub(super) const fn hide(&mut self) {
        self.may_hide = true;
    }

    /// Whether an order or name may only seem to be missing.
    pub(super) const fn may_hide(&self) -> bool {
        self.may_hide
    }

    /// Adds a mistake.
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        match self.found.len() < MAX_DIAGNOSTICS {
            true => self.found.push(diagnostic),
            false => self.dropped += 1,
        }
    }

    /// Adds the mistake of a result, or gives its value.
    pub(super) fn keep<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        result.map_err(|diagnostic| self.push(diagnostic)).ok()
    }

    /// The value where nothing was found, else what was found, in the order of
    /// the file.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Diagnostic>> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(self.in_order()),
        }
    }

    /// What was found, in the order of the file.
    pub(super) fn in_order(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|found| found.span.start);
        if let (Some(last), 1..) = (self.found.last(), self.dropped) {
            let message = format!("there are {} more mistakes", self.dropped);
            let more = Diagnostic::new(last.span.clone(), message);
            self.found.push(more);
        }
        self.found
    }

    /// What to say of a name that is unknown: the nearest known one, else all that
    /// are known.
    pub(super) fn unknown<'a, I>(&mut self, given: &str, known: I) -> Option<String>
    where
        I: IntoIterator<Item = &'a str>,
        I::IntoIter: Clone,
    {
        let known = known.into_iter();
        let left = MAX_COMPARISONS.saturating_sub(self.compared);
        let compared = known.clone().take(left).inspect(|_| self.compared += 1);
        if let Some(near) = nearest(given, compared) {
            return Some(format!("did you mean `{near}`?"));
        }
        let listed: Vec<String> = known
            .take(MAX_LISTED + 1)
            .map(|name| format!("`{name}`"))
            .collect();
        (1..=MAX_LISTED)
            .contains(&listed.len())
            .then(|| format!("known are {}", listed.join(", ")))
    }
}

/// The mistakes as tests show them: `line:column: message (hint)`.
#[cfg(test)]
pub(super) fn shown(text: &str, diagnostics: &[Diagnostic]) -> Vec<String> {
    let show = |diagnostic: &Diagnostic| {
        let (line, column) = diagnostic.line_column(text);
        let hint = diagnostic.hint.as_ref().map(|hint| format!(" ({hint})"));
        let hint = hint.unwrap_or_default();
        format!("{line}:{column}: {}{hint}", diagnostic.message)
    };
    diagnostics.iter().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let text = "a: ß\nb: c\n";
        let at = |start| Diagnostic::new(start..start, "").line_column(text);
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(5), (1, 5));
        assert_eq!(at(6), (2, 1));
        assert_eq!(at(9), (2, 4));
        assert_eq!(at(4), (1, 4), "inside a character");
        assert_eq!(at(99), (3, 1), "after the end");
    }

    #[test]
    fn lines_end_with_cr_too_and_a_byte_order_mark_is_no_column() {
        let at = |text: &str, part: &str| line_column(text, text.find(part).unwrap());
        assert_eq!(at("\u{feff}steps: 1", "1"), (1, 8));
        assert_eq!(at("a: 1\rb: 2\r\rc: 3", "3"), (4, 4));
        assert_eq!(at("a: 1\r\nb: 2\r\n", "2"), (2, 4));
        assert_eq!(line_column("a\r\nb", 2), (1, 3), "between CR and LF");
    }

    #[test]
    fn mistakes_come_in_the_order_of_the_file_and_not_without_end() {
        let mut found = Diagnostics::default();
        for at in (0..MAX_DIAGNOSTICS + 2).rev() {
            found.push(Diagnostic::new(at..at, "wrong"));
        }
        let found = found.finish(Some(())).unwrap_err();
        assert_eq!(found.len(), MAX_DIAGNOSTICS + 1);
        assert!(found[0].span.start < found[1].span.start);
        assert_eq!(found[MAX_DIAGNOSTICS].message, "there are 2 more mistakes");
    }

    #[test]
    fn suggestions_end_where_they_would_take_too_long() {
        let names: Vec<String> = (0..1000).map(|at| format!("step-{at}")).collect();
        let mut found = Diagnostics::default();
        let mut hint = || found.unknown("step-x", names.iter().map(String::as_str));
        assert!(hint().unwrap().starts_with("did you mean"));
        let last = (0..MAX_COMPARISONS / names.len()).map(|_| hint()).last();
        assert_eq!(last, Some(None));
        assert!(found.compared <= MAX_COMPARISONS);
    }
}
