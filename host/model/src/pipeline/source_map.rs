//! Finds where the parts of a YAML scalar are in the file.
//!
//! What a scalar says and how it is written differ by quotes, escapes, line breaks
//! and indentation. The two are walked side by side; where they part, places become
//! rough, never wrong by more than the scalar.

use serde_saphyr::granit_parser::ScalarStyle;

use super::diagnostic::Span;
use super::yaml::Text;

/// Where each byte of a scalar's value is in the file.
#[derive(Debug)]
pub(super) struct SourceMap<'a> {
    file: &'a str,
    places: Vec<usize>,
}

impl<'a> SourceMap<'a> {
    /// Walks along a scalar that is written at a place of the file.
    pub(super) fn new(file: &'a str, written: &Span, text: &Text) -> Self {
        let source = &file[written.clone()];
        let places = Walk::along(source, text.style, &text.value);
        Self {
            file,
            places: places
                .into_iter()
                .map(|place| written.start + place)
                .collect(),
        }
    }

    /// The place of a part of the value.
    pub(super) fn span(&self, part: Span) -> Span {
        let place = |at: usize| self.places.get(at).copied().unwrap_or(self.file.len());
        let start = self.boundary(place(part.start));
        if part.is_empty() {
            return start..start;
        }
        let last = self.boundary(place(part.end - 1));
        let width = self.file[last..].chars().next().map_or(0, char::len_utf8);
        start..(last + width).max(start)
    }

    fn boundary(&self, at: usize) -> usize {
        let mut at = at.min(self.file.len());
        while !self.file.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// A walk along the source of a scalar.
struct Walk<'a> {
    source: &'a str,
    style: ScalarStyle,
    at: usize,
}

impl<'a> Walk<'a> {
    /// For each byte of the value, and for its end, the byte of the source.
    fn along(source: &'a str, style: ScalarStyle, value: &str) -> Vec<usize> {
        let at = match (style, source.as_bytes().first()) {
            (ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted, _) => 1,
            (ScalarStyle::Literal | ScalarStyle::Folded, Some(b'|' | b'>')) => source
                .find(['\n', '\r'])
                .map_or(source.len(), |newline| newline + 1),
            _ => 0,
        };
        let mut walk = Self { source, style, at };
        let mut places = Vec::with_capacity(value.len() + 1);
        for c in value.chars() {
            let place = walk.step(c);
            places.extend(std::iter::repeat_n(place, c.len_utf8()));
        }
        places.push(walk.at.min(source.len()));
        places
    }

    /// Passes one character of the value, and says where it was.
    fn step(&mut self, c: char) -> usize {
        if c.is_whitespace() {
            let place = self.at;
            self.at += self.escape().unwrap_or(0);
            return place.min(self.source.len());
        }
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        let place = self.at;
        self.at += match self.rest().chars().next() {
            Some(next) if next == c && c == '\'' && self.style == ScalarStyle::SingleQuoted => 2,
            Some(next) if next == c => c.len_utf8(),
            _ => self.escape().unwrap_or(0),
        };
        place.min(self.source.len())
    }

    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// The length of the escape here, if there is one.
    fn escape(&self) -> Option<usize> {
        let rest = self.rest().as_bytes();
        if self.style != ScalarStyle::DoubleQuoted || rest.first() != Some(&b'\\') {
            return None;
        }
        Some(match rest.get(1) {
            Some(b'x') => 4,
            Some(b'u') => 6,
            Some(b'U') => 10,
            _ => 2,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::Diagnostics;
    use super::super::yaml::{self, Kind};
    use super::*;

    /// What the file has where the value has `part`.
    fn found<'a>(file: &'a str, part: &str) -> &'a str {
        let mut found = Diagnostics::default();
        let root = yaml::read(file, &mut found).unwrap();
        let Kind::Map(entries) = root.kind else {
            panic!("not a map")
        };
        let node = &entries[0].1;
        let Kind::Text(text) = &node.kind else {
            panic!("not a text")
        };
        let at = text.value.find(part).unwrap();
        let map = SourceMap::new(file, &node.span, text);
        &file[map.span(at..at + part.len())]
    }

    #[test]
    fn parts_are_found_in_every_style() {
        for file in [
            "k: a b item.x c\n",
            "k: 'it''s item.x'\n",
            "k: \"\\u00e4\\t item.x\"\n",
            "k: \"ä\\n item.x\"\n",
            "k: |\n  first\n  then item.x\n",
            "k: >-\n   first\n\n   then\n   item.x\n",
            "k: first\n  second item.x\n",
            "k: \"first\n  second item.x\"\n",
        ] {
            assert_eq!(found(file, "item.x"), "item.x", "{file}");
        }
        assert_eq!(found("k: 'a ''b'' c'\n", "b' c"), "b'' c");
    }
}
