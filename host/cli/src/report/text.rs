//! Text from elsewhere, made such that it is seen and does nothing: names of files,
//! messages, values, and what records say. A record may be anybody's.

use std::borrow::Cow;

use wharf_model::name::is_active;

/// A text for one line of a terminal: every character that would do something is
/// written as an escape, line breaks too. A tab stays: it moves nothing but what
/// follows it.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let acts = |c: char| c != '\t' && is_active(c);
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut seen = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match acts(c) {
            true => seen.extend(c.escape_default()),
            false => seen.push(c),
        }
    }
    Cow::Owned(seen)
}

/// A text in which everything stays at its place, byte for byte: what would do
/// something is replaced by something as long. Lines stay lines; one that ends with CR
/// alone ends with LF.
pub(crate) fn in_place(text: &str) -> String {
    let mut chars = text.chars().peekable();
    let mut seen = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        seen.push(match c {
            '\n' | '\t' => c,
            '\r' if chars.peek() == Some(&'\n') => c,
            '\r' => '\n',
            c if !is_active(c) => c,
            c if c.len_utf8() == 1 => ' ',
            c if c.len_utf8() == 2 => '\u{b7}',
            _ => '\u{fffd}',
        });
    }
    seen
}

/// JSON in which every character is escaped that would do something to a
/// terminal; it means the same. JSON itself demands that of few.
pub(crate) fn inert(json: String) -> String {
    let acts = |c: char| c != '\n' && is_active(c);
    if !json.contains(acts) {
        return json;
    }
    let escape = |c: char| match acts(c) {
        // None of them needs more than 16 bits.
        true => format!("\\u{:04x}", u32::from(c)),
        false => c.to_string(),
    };
    json.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_one_line_that_does_nothing() {
        let hostile = "q\u{1b}[31mred\nb  succeeded\r\u{9b}\u{202e}\u{2028}\t\u{df}";
        assert_eq!(
            plain(hostile),
            "q\\u{1b}[31mred\\nb  succeeded\\r\\u{9b}\\u{202e}\\u{2028}\t\u{df}"
        );
        assert!(matches!(plain("a\tb"), Cow::Borrowed("a\tb")));
    }

    #[test]
    fn everything_stays_at_its_place() {
        let text = "a\u{1b}\u{9b}\u{202e}\r\n\tb\rc\u{df}";
        let seen = in_place(text);
        assert_eq!(seen, "a \u{b7}\u{fffd}\r\n\tb\nc\u{df}");
        assert_eq!(seen.len(), text.len());
    }

    #[test]
    fn inert_json_means_the_same() {
        let value = serde_json::json!({"a": "\u{9b}31m\u{7f}\u{202e}\u{2028}\n\u{1b}ß", "b": [1]});
        let text = inert(format!("{value:#}"));
        assert!(text.is_ascii() || text.contains('ß'), "{text}");
        assert!(!text.contains(['\u{9b}', '\u{7f}', '\u{202e}', '\u{2028}']));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
