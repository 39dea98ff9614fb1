//! Names that leave a folder, collide, or mislead whoever reads them.

use crate::wharf::step::telemetry::{self, Level};
use crate::{Attempt, InputTree, OutputTree, attempt};

/// Names and what is wrong with them; the last ones depend on the ones before.
fn hostile_names() -> Vec<(&'static str, String)> {
    let long = |part: &str, count: usize| part.repeat(count);
    let fixed = [
        ("parent", "../x"),
        ("parent only", ".."),
        ("absolute", "/etc/x"),
        ("root", "/"),
        ("parent inside", "a/../../x"),
        ("NUL", "a\0b"),
        ("empty", ""),
        ("current folder", "."),
        ("current folder inside", "a/./b"),
        ("empty part", "a//b"),
        ("backslash", "a\\b"),
        ("drive", "C:\\x"),
        ("line end", "a\nb"),
        ("escape sequence", "a\u{1b}[31mb"),
        ("trailing slash", "a/"),
        ("direction", "invoice\u{202e}fdp.exe"),
        ("plain", "plain"),
        ("duplicate", "plain"),
        ("file as folder", "plain/x"),
        ("nested", "folder/file"),
        ("folder as file", "folder"),
    ];
    let mut names: Vec<_> = fixed.map(|(what, name)| (what, name.to_owned())).into();
    names.push(("part of 256 bytes", long("n", 256)));
    names.push(("5000 bytes", long("n", 5000)));
    names.push(("5000 bytes in parts", long("nnnn/", 1000) + "n"));
    names.push(("depth 100", long("d/", 99) + "d"));
    names
}

/// Creates a file under each name.
pub fn create(sink: &OutputTree) -> Vec<Attempt> {
    let names = hostile_names().into_iter();
    names
        .map(|(what, name)| attempt(what, sink.create(&name).map(drop)))
        .collect()
}

/// Opens the file under each name.
pub fn open(data: &InputTree) -> Vec<Attempt> {
    let names = hostile_names().into_iter();
    names
        .map(|(what, name)| attempt(what, data.open(&name).map(drop)))
        .collect()
}

/// Texts that forge lines, change a terminal's state, or read differently from
/// what they are.
const INJECTIONS: [(&str, &str); 8] = [
    ("escape", "\u{1b}[2J\u{1b}[31mred\u{1b}[0m"),
    ("title", "\u{1b}]0;title\u{7}"),
    ("new line", "first\nERROR forged second line"),
    ("carriage return", "real\rfake"),
    ("direction", "user \u{202e}nimda\u{202c} logged in"),
    ("isolate", "\u{2066}isolated\u{2069}"),
    ("NUL", "before\0after"),
    ("C1", "\u{9b}31mred"),
];

/// Logs each text as a message and as the value of a field, and prints it.
pub fn log_injection() {
    for (what, text) in INJECTIONS {
        telemetry::log(Level::Warn, text, &[(what.to_owned(), text.to_owned())]);
        println!("{text}");
    }
    telemetry::metric("forged\nname", 1.0, None);
    telemetry::progress(1, Some(2), "rows\u{1b}[31m\nforged");
}
