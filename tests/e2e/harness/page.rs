//! Pages of the documentation, followed as by somebody who reads them.
//!
//! A block marked `sh` is run. A block right after it that is marked otherwise is what
//! it prints. Of `text`, what differs each time is not compared: ids, digests, times; and
//! a line `...` stands for any lines. Of `text unordered`, the lines are in any order.
//!
//! `WHARF_BLESS=1` writes what is printed into the page, but into blocks with `...` only
//! where they are wrong; look at the difference.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{Project, WHARF, Wharf, guest, source_folder, target_folder};

/// Who the reader is.
const READER: &str = "ada";
/// The machine that the reader has.
const MACHINE: &str = "laptop";
/// The units of lengths of time.
const UNITS_OF_TIME: [&str; 4] = ["us", "ms", "s", "min"];
/// The characters that a digest or an id is shown with, at the least.
const SHORT_DIGEST: usize = 12;
/// A line that stands for any lines.
const ANYTHING: &str = "...";

/// A page, and a reader's empty folder.
pub(crate) struct Page {
    path: PathBuf,
    text: String,
    project: Project,
}

/// A block of a page.
#[derive(Clone, Copy)]
struct Block<'a> {
    /// What it is marked as.
    kind: &'a str,
    text: &'a str,
    /// Where the text begins in the page.
    start: usize,
    /// Whether nothing is between it and the block before.
    is_next: bool,
}

impl Page {
    /// A page of `docs`. Beside the reader's folder is the repository, as `wharf`.
    pub(crate) fn open(name: &str) -> Self {
        let path = source_folder().join("docs").join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let project = Project::new();
        for folder in ["reader", "bin", "wharf/target"] {
            fs::create_dir_all(project.path(folder)).expect("a new folder");
        }
        let links = [
            ("wharf/docs", source_folder().join("docs")),
            (
                "wharf/guest-examples",
                source_folder().join("guest-examples"),
            ),
            ("wharf/target/guests", guests()),
            ("wharf/target/data", target_folder().join("data")),
            ("bin/wharf", PathBuf::from(WHARF)),
            // What `cargo xtask` makes was made before the tests.
            ("bin/cargo", PathBuf::from("/bin/true")),
        ];
        for (link, to) in links {
            let to = std::path::absolute(to).expect("a path");
            symlink(to, project.path(link)).expect("a new link");
        }
        Self {
            path,
            text,
            project,
        }
    }

    /// A file in the reader's folder.
    pub(crate) fn read(&self, name: &str) -> String {
        self.project.text(&format!("reader/{name}"))
    }

    /// `wharf` in the reader's folder.
    pub(crate) fn wharf(&self, arguments: &[&str]) -> Wharf {
        self.as_reader(self.project.wharf(arguments))
    }

    /// Runs all that the page says to run, and compares what is printed.
    #[track_caller]
    pub(crate) fn follow(&self) {
        let (mut page, mut copied) = (String::new(), 0);
        let mut differences = Vec::new();
        let mut printed = None;
        for block in blocks(&self.text) {
            if block.kind == "sh" {
                printed = Some(self.run(block.text));
                continue;
            }
            let Some(printed) = printed.take().filter(|_| block.is_next) else {
                continue;
            };
            let is_right = block.says(&printed);
            if !is_right {
                differences.push(format!(
                    "--- the page\n{}--- printed\n{printed}",
                    block.text
                ));
            }
            if !is_right || !block.is_shortened() {
                page += &self.text[copied..block.start];
                page += &printed;
                copied = block.start + block.text.len();
            }
        }
        page += &self.text[copied..];
        if std::env::var_os("WHARF_BLESS").is_some() {
            fs::write(&self.path, page).expect("the source tree is writable");
            return;
        }
        let (path, differences) = (self.path.display(), differences.join("\n"));
        assert!(
            differences.is_empty(),
            "{path} is not what happens; WHARF_BLESS=1 accepts it\n{differences}"
        );
    }

    /// Runs a block; returns what it prints, as the reader would see it.
    fn run(&self, script: &str) -> String {
        let shell = Wharf::shell(&self.project.path("reader"), script);
        let ended = self.as_reader(shell).run().exits(0);
        let machine = rustix::system::uname();
        let here = format!("{READER}@{}", machine.nodename().to_string_lossy());
        ended.stdout.replace(&here, &format!("{READER}@{MACHINE}"))
    }

    fn as_reader(&self, wharf: Wharf) -> Wharf {
        let path = format!("{}:/usr/bin:/bin", self.project.path("bin").display());
        wharf
            .folder(&self.project.path("reader"))
            .env("PATH", path)
            .env("WHARF_USER", READER)
            .env("WHARF_CACHE", self.project.path("cache"))
            .env("WHARF_STORE", self.project.path("reader/.wharf"))
    }
}

/// The folder of the guests.
fn guests() -> PathBuf {
    let folder = Path::new(&guest("noop")).parent().map(Path::to_owned);
    folder.expect("a guest is in a folder")
}

/// The blocks of a page.
fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((before, block)) = rest.split_once("\n```") {
        let (kind, body) = block.split_once('\n').expect("a block has lines");
        let end = body.find("```\n").expect("a block has an end");
        blocks.push(Block {
            kind,
            text: &body[..end],
            start: page.len() - body.len(),
            is_next: before.trim().is_empty(),
        });
        rest = &body[end + "```".len()..];
    }
    blocks
}

impl Block<'_> {
    fn is_shortened(&self) -> bool {
        self.text.lines().any(|line| line == ANYTHING)
    }

    /// Whether this is what was printed.
    fn says(&self, printed: &str) -> bool {
        let mut printed_lines = redacted(printed);
        let mut said = redacted(self.text);
        match self.kind {
            "text" => matches(&said, &printed_lines),
            "text unordered" => {
                let is_all = !self.is_shortened();
                said.retain(|line| line != ANYTHING);
                let are_there = said.iter().all(|line| take(&mut printed_lines, line));
                are_there && (printed_lines.is_empty() || !is_all)
            }
            _ => self.text == printed,
        }
    }
}

/// Takes a line out of others; false where it is not there.
fn take(lines: &mut Vec<String>, line: &str) -> bool {
    let at = lines.iter().position(|other| other == line);
    at.map(|at| lines.remove(at)).is_some()
}

/// Whether lines are those that are wanted, where [`ANYTHING`] stands for any.
fn matches(wanted: &[String], lines: &[String]) -> bool {
    match wanted.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == ANYTHING => {
            (0..=lines.len()).any(|skipped| matches(rest, &lines[skipped..]))
        }
        Some((first, rest)) => lines.first() == Some(first) && matches(rest, &lines[1..]),
    }
}

/// Lines without what differs each time: ids, digests, times, and the width of columns
/// that hold them.
fn redacted(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let next = words.iter().skip(1).copied().chain([""]);
        let words = words.iter().zip(next);
        let words = words.map(|(word, next)| redacted_word(word, next));
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect()
}

fn redacted_word(word: &str, next: &str) -> String {
    let bare = |word: &str| word.trim_end_matches([',', ';', ':']).to_owned();
    let shape = bare(word).replace(|c: char| c.is_ascii_digit(), "0");
    let is_unit = |word: &str| UNITS_OF_TIME.contains(&&*bare(word));
    let is_length = is_unit(next) && word.parse::<f64>().is_ok();
    let is_moment = shape == "0000-00-00" || shape == "00:00:00";
    match is_length || is_moment || is_unit(word) {
        true => word.replace(&bare(word), "<time>"),
        false => without_hex(word),
    }
}

/// A word without the ids and digests in it.
fn without_hex(word: &str) -> String {
    let is_hex = |c: char| c.is_ascii_hexdigit() || c == '-';
    let mut rest = word;
    let mut redacted = String::new();
    while !rest.is_empty() {
        let other = rest.find(is_hex).unwrap_or(rest.len());
        redacted += &rest[..other];
        rest = &rest[other..];
        let hex = rest.find(|c| !is_hex(c)).unwrap_or(rest.len());
        let is_id = hex >= SHORT_DIGEST;
        redacted += if is_id { "<id>" } else { &rest[..hex] };
        rest = &rest[hex..];
    }
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a page with one block of output says of what was printed.
    fn says(kind: &str, text: &str, printed: &str) -> bool {
        let page = format!("# Page\n\n```sh\nls\n```\n\n```{kind}\n{text}```\n");
        let blocks = blocks(&page);
        assert_eq!((blocks.len(), blocks[0].text), (2, "ls\n"));
        assert!(!blocks[0].is_next && blocks[1].is_next);
        assert_eq!(&page[blocks[1].start..][..text.len()], text);
        blocks[1].says(printed)
    }

    #[test]
    fn what_differs_each_time_is_not_compared() {
        let run = "run 01a2090e-2cdc-75b4-ad6f-82ebacdb68ec-1  on 2026-11-24 12:35:27, 3.0 ms\n";
        let other = "run 01a20d90-e7aa-7780-b1a9-fb1c2dfd6e0f-2 on 2025-01-02 02:03:04, 3.0 ms\n";
        assert!(says("text", run, other));
        assert!(says("text", run, &other.replace("3.0 ms", "2 s")));
        assert!(!says("text", run, &other.replace("3.0 ms", "3.0 MiB")));
        assert!(!says("text", run, &other.replace("run", "ran")));
        assert!(says(
            "text",
            "(sha256:b55a341bbd99…)\n",
            "(sha256:f3d97ee167a0…)\n"
        ));
    }

    #[test]
    fn lines_are_compared_all_of_them() {
        assert!(!says("text", "a\nb\n", "a\n"));
        assert!(!says("text", "a\n", "a\nb\n"));
        assert!(says("text", "a\n...\nd\n", "a\nb\nc\nd\n"));
        assert!(!says("text", "a\n...\nd\n", "a\nb\nc\n"));
        assert!(!says("text", "a\nb\n", "b\na\n"));
        assert!(says("text unordered", "a\nb\n", "b\na\n"));
        assert!(!says("text unordered", "a\nb\n", "b\na\nc\n"));
        assert!(says("text unordered", "a\n...\n", "b\na\n"));
        assert!(!says("text unordered", "a\na\n", "a\n"));
        assert!(says("yaml", "a:\n  b\n", "a:\n  b\n"));
        assert!(!says("yaml", "a:\n  b\n", "a:\n b\n"));
    }
}
