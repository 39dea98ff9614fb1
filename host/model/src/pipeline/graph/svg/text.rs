//! Texts and numbers of a picture.

use std::fmt::{self, Write as _};

use crate::name::is_active;

/// Most characters of a line of a node; the tooltip has all.
const LINE_CHARACTERS: usize = 32;
/// Most characters of a tooltip.
const TITLE_CHARACTERS: usize = 600;

/// About how wide a text is, in characters: those of some scripts take two.
pub(super) fn characters(text: &str) -> f64 {
    let wide = |c: char| {
        if c >= '\u{1100}' && !matches!(c, '\u{2000}'..='\u{2bff}') {
            2.0
        } else {
            1.0
        }
    };
    text.chars().map(wide).sum()
}

/// The beginning of a text.
pub(super) fn cut(text: &str) -> String {
    match text.chars().nth(LINE_CHARACTERS) {
        None => text.to_owned(),
        Some(_) => text
            .chars()
            .take(LINE_CHARACTERS - 1)
            .chain(['…'])
            .collect(),
    }
}

/// The end of a path, which tells more than its beginning.
pub(super) fn cut_front(text: &str) -> String {
    let count = text.chars().count();
    match count > LINE_CHARACTERS {
        false => text.to_owned(),
        true => ['…']
            .into_iter()
            .chain(text.chars().skip(count + 1 - LINE_CHARACTERS))
            .collect(),
    }
}

/// A text that does nothing in SVG or HTML, wherever it stands in quotes or between
/// tags.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars().take(TITLE_CHARACTERS) {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // XML has no way to write the last two.
                c if is_active(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                    f.write_char('\u{fffd}')?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A number with as many digits as one sees.
pub(super) struct Short(pub(super) f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() / 10.0;
        // There is no `-0`.
        write!(f, "{}", tenths + 0.0)
    }
}
