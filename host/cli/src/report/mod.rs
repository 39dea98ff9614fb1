//! What people and programs get to read.

mod board;
pub(crate) mod errors;
pub(crate) mod events;
pub(crate) mod mistakes;
pub(crate) mod page;
pub(crate) mod pipeline;
pub(crate) mod plan;
mod progress;
pub(crate) mod run;
pub(crate) mod table;
pub(crate) mod transfer;

use std::io::{self, Write};

use wharf_model::name::is_active;
use wharf_model::{ErrorKind, Fault};

/// Writes to standard output. Whoever reads it may have gone, which is no
/// failure.
///
/// # Errors
/// Where it cannot be written otherwise, such as on a full disk: what was asked
/// for is not there.
pub(crate) fn out(text: &str) -> Result<(), Fault> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Fault::new(
            ErrorKind::of_io(&error),
            format!("cannot write to standard output: {error}"),
        )),
        _ => Ok(()),
    }
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

/// Writes a line to standard error.
pub(crate) fn err(line: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(format!("{line}\n").as_bytes());
}

/// A text in a colour of the terminal, where it has some; `code` is that of ANSI.
pub(crate) fn painted(text: &str, code: &str, colour: bool) -> String {
    match colour {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

/// The end of a path, which tells more than its beginning, and fits.
pub(crate) fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

/// A size, for people.
pub(crate) fn bytes(bytes: u64) -> String {
    wharf_model::limits::Bytes(bytes).to_string()
}

/// A length of time, for people.
pub(crate) fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        1_000_000..60_000_000 => format!("{:.1} s", micros as f64 / 1e6),
        _ => format!("{} min {} s", micros / 60_000_000, micros / 1_000_000 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
