//! What people and programs get to read.

pub(crate) mod errors;
pub(crate) mod events;
pub(crate) mod run;

use std::io::Write;

/// Writes to standard output. Whoever reads it may have gone: that ends
/// nothing.
pub(crate) fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

/// Writes a line to standard error.
pub(crate) fn err(line: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(format!("{line}\n").as_bytes());
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
