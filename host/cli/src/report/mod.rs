//! What people and programs get to read.

mod board;
pub(crate) mod errors;
pub(crate) mod events;
pub(crate) mod mistakes;
pub(crate) mod page;
pub(crate) mod pipeline;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod run;
pub(crate) mod table;
mod text;
pub(crate) mod transfer;

use std::io::{self, Write};

use wharf_model::{ErrorKind, Fault};

pub(crate) use text::{in_place, inert, plain};

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
