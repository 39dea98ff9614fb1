//! Folders that tests work in, and what lies in them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use tempfile::TempDir;

use super::command::Wharf;
use super::guest;

/// A cache of compiled code that all tests share, so that each guest is
/// compiled once; the owner's alone, as Wharf demands.
fn shared_cache() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .expect("the target folder is writable");
    folder
}
/// A folder that a test works in. Gone when the test is.
pub(crate) struct Project(TempDir);

impl Project {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("project-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        Self(folder.expect("the target folder is writable"))
    }

    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let project = Self::new();
        for (name, content) in files {
            project.write(name, content);
        }
        project
    }

    /// Adds guests, each at `FOLDER/NAME.wasm`.
    pub(crate) fn with_guests(self, folder: &str, guests: &[&str]) -> Self {
        fs::create_dir_all(self.path(folder)).expect("a new folder");
        for name in guests {
            let step = self.path(folder).join(format!("{name}.wasm"));
            fs::copy(guest(name), step).expect("the guest is there");
        }
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in the project")).expect("a new folder");
        fs::write(path, content).expect("the project is writable");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Everything in the folder, with `/` after folders, apart from the store.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = names_in(self.folder());
        names.retain(|name| !name.starts_with(".wharf/"));
        names
    }

    /// Asserts that the folder holds these, and nothing else but the store.
    pub(crate) fn holds(&self, wanted: &[&str]) {
        assert_eq!(self.names(), wanted);
    }

    /// A command in this folder: `wharf` with these arguments.
    pub(crate) fn wharf<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Wharf {
        let arguments = arguments.into_iter().map(|a| a.as_ref().to_owned());
        Wharf::new(self.folder(), arguments.collect())
            .env("WHARF_CACHE", shared_cache())
            .env("WHARF_STORE", self.path(".wharf"))
    }

    /// `wharf run`, with these arguments after the step.
    pub(crate) fn step(&self, step: &str, arguments: &[&str]) -> Wharf {
        self.wharf([&["run", step], arguments].concat())
    }

    /// The record of the newest run in the store.
    pub(crate) fn last_record(&self) -> Json {
        self.wharf(["show", "last", "--json"]).run().exits(0).json()
    }

    /// How many records the store has.
    pub(crate) fn records(&self) -> usize {
        fs::read_dir(self.path(".wharf/runs")).map_or(0, Iterator::count)
    }
}

/// Everything under a folder, sorted; folders end with `/`.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    fn list(root: &Path, base: &str, names: &mut Vec<String>) {
        for entry in fs::read_dir(root.join(base)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            match entry.file_type().expect("a type").is_dir() {
                true => {
                    names.push(format!("{base}{name}/"));
                    list(root, &format!("{base}{name}/"), names);
                }
                false => names.push(format!("{base}{name}")),
            }
        }
    }
    let mut names = Vec::new();
    list(folder, "", &mut names);
    names.sort();
    names
}

/// How a request is refused.
pub(crate) struct Refusal<'a> {
    pub(crate) code: i32,
    pub(crate) kind: &'a str,
    /// Parts of the message and the hint: what, where, and what to do.
    pub(crate) says: &'a [&'a str],
}

impl Project {
    /// Asserts that a command is refused: with this exit code and message for
    /// people, with the same kind and message for programs, and with nothing
    /// left behind that was not there before, not even in the store.
    #[track_caller]
    pub(crate) fn refuses(&self, arguments: &[&str], refusal: &Refusal<'_>) {
        let before = names_in(self.folder());
        let ended = self.wharf(arguments).run().exits(refusal.code);
        let ended = ended.says(refusal.says);
        assert_eq!(ended.stdout, "", "{ended}");
        assert!(!ended.stderr.contains("panicked"), "{ended}");
        assert_eq!(names_in(self.folder()), before, "left behind: {ended}");

        let json = self.wharf(arguments).args_before_programs("--json").run();
        let json = json.exits(refusal.code);
        let error = json.json()["error"].clone();
        assert_eq!(error["kind"], refusal.kind, "{json}");
        let said = error.to_string();
        for part in refusal.says {
            let part = Json::from(*part).to_string();
            assert!(said.contains(part.trim_matches('"')), "no {part}: {json}");
        }
        assert_eq!(names_in(self.folder()), before, "left behind: {json}");
    }

    /// Asserts that `wharf run` is refused.
    #[track_caller]
    pub(crate) fn refuses_step(&self, step: &str, arguments: &[&str], refusal: &Refusal<'_>) {
        self.refuses(&[&["run", step], arguments].concat(), refusal);
    }
}
