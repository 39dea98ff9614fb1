//! Runs the binary in folders of its own, and looks at what it leaves.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use tempfile::TempDir;

/// The binary under test.
pub(crate) const WHARF: &str = env!("CARGO_BIN_EXE_wharf");

/// Far longer than anything here takes, on a slow machine too: a test that
/// hangs ends, with what the command said.
const HANG: Duration = Duration::from_secs(180);

pub(crate) const MIB: u64 = 1 << 20;

/// What the host itself may hold beside the guest's memory in a debug build.
/// A run of `noop` peaks at 30 MiB there, and a run queues at most 16 MiB of
/// output and 5 MiB of one call, each copied once.
pub(crate) const HOST_BYTES: u64 = 80 * MIB;

/// The folder that cargo builds into.
pub(crate) fn target_folder() -> &'static Path {
    let folder = Path::new(WHARF).parent().and_then(Path::parent);
    folder.expect("the binary is in a profile's folder of the target folder")
}

/// The source tree.
pub(crate) fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The file of a guest.
pub(crate) fn guest(name: &str) -> String {
    let folder = std::env::var_os("WHARF_GUESTS")
        .map_or_else(|| target_folder().join("guests"), PathBuf::from);
    let path = folder.join(format!("{name}.wasm"));
    assert!(
        path.is_file(),
        "{} is missing; build the guests first: cargo xtask guests",
        path.display()
    );
    text(path)
}

/// A function of the guest `hostile`.
pub(crate) fn hostile(function: &str) -> String {
    format!("{}#{function}", guest("hostile"))
}

/// A function of the guest `values`.
pub(crate) fn values(function: &str) -> String {
    format!("{}#{function}", guest("values"))
}

/// The table that the examples learn from.
pub(crate) fn example_table() -> PathBuf {
    source_folder().join("guest-examples/data/breast-cancer.csv")
}

fn text(path: PathBuf) -> String {
    path.into_os_string()
        .into_string()
        .expect("paths here are UTF-8")
}

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
        Wharf {
            arguments: arguments.collect(),
            environment: vec![
                ("WHARF_CACHE".into(), shared_cache().into()),
                ("WHARF_STORE".into(), self.path(".wharf").into()),
            ],
            folder: self.folder().to_owned(),
            input: Vec::new(),
        }
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

/// A command that is about to be run.
pub(crate) struct Wharf {
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: PathBuf,
    input: Vec<u8>,
}

impl Wharf {
    /// Adds arguments.
    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(OsString::from));
        self
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Removes a variable.
    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// What is on standard input.
    pub(crate) fn input(mut self, bytes: &[u8]) -> Self {
        bytes.clone_into(&mut self.input);
        self
    }

    /// Starts it.
    pub(crate) fn start(self) -> Running {
        let mut child = Command::new(WHARF)
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment)
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // A command that does not read its input may close it.
        let _ = stdin.write_all(&self.input);
        drop(stdin);
        let stdout = read_beside(child.stdout.take().expect("a pipe"));
        let stderr = read_beside(child.stderr.take().expect("a pipe"));
        Running {
            line: format!("wharf {}", self.arguments.join(OsStr::new(" ")).display()),
            started: Instant::now(),
            peak: 0,
            child,
            stdout,
            stderr,
        }
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Ended {
        self.start().wait()
    }

    /// Runs it with `--json`; returns the record of a run that ended with this
    /// exit code.
    pub(crate) fn record(self, code: i32) -> Json {
        self.measured(code).0
    }

    /// As [`Self::record`], with how the command ended beside it.
    pub(crate) fn measured(self, code: i32) -> (Json, Ended) {
        let ended = self.args_before_programs("--json").run().exits(code);
        let record = ended.json();
        assert_eq!(record["format"], "wharf.run/1", "{ended}");
        (record, ended)
    }

    /// The results of a run that has to succeed.
    pub(crate) fn results(self) -> Json {
        let record = self.record(0);
        assert_eq!(record["outcome"]["status"], "succeeded", "{record:#}");
        record["outcome"]["results"].clone()
    }

    /// Adds an option before `--`, where the arguments of a program begin.
    fn args_before_programs(mut self, option: &str) -> Self {
        let end = self.arguments.iter().position(|argument| argument == "--");
        let end = end.unwrap_or(self.arguments.len());
        self.arguments.insert(end, option.into());
        self
    }
}

fn read_beside(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is worth showing.
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// A command that runs.
pub(crate) struct Running {
    line: String,
    started: Instant,
    peak: u64,
    child: Child,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
}

impl Running {
    /// Waits for the command to end, and watches how much memory it takes.
    pub(crate) fn wait(mut self) -> Ended {
        let mut pause = Duration::from_millis(1);
        loop {
            // The kernel keeps the peak itself, until the process ends: only
            // what was taken within the last pause can be missed.
            self.peak = self.peak.max(self.peak_now());
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                return self.ended(status);
            }
            if self.started.elapsed() > HANG {
                let _ = self.child.kill();
                let status = self.child.wait().expect("the child is ours");
                panic!("it hung: {}", self.ended(status));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }

    fn ended(self, status: ExitStatus) -> Ended {
        let text = |bytes: JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&bytes.join().expect("reading does not panic")).into_owned()
        };
        Ended {
            line: self.line,
            status,
            took: self.started.elapsed(),
            peak: self.peak,
            stdout: text(self.stdout),
            stderr: text(self.stderr),
        }
    }

    /// The most memory resident so far, in bytes; 0 where the process is gone.
    fn peak_now(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process id"), signal).expect("the child is ours");
    }
}

/// Waits until something holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < HANG, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A command that has ended.
pub(crate) struct Ended {
    line: String,
    pub(crate) status: ExitStatus,
    pub(crate) took: Duration,
    /// The most memory that was resident, in bytes.
    pub(crate) peak: u64,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cut = |text: &str| text.chars().take(4000).collect::<String>();
        let Self { line, status, .. } = self;
        let (out, err) = (cut(&self.stdout), cut(&self.stderr));
        write!(f, "{line}\n{status}\n--- out\n{out}\n--- err\n{err}")
    }
}

impl Ended {
    /// Asserts that the command ended by itself, with this exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.signal(), None, "{self}");
        assert_eq!(self.status.code(), Some(code), "{self}");
        self
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The lines of its error output that are JSON: the events of a run.
    pub(crate) fn events(&self) -> Vec<Json> {
        let lines = self.stderr.lines();
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Asserts that the host stayed within a bound. An upper bound on noise:
    /// see [`HOST_BYTES`].
    #[track_caller]
    pub(crate) fn stays_below(&self, bytes: u64) {
        let (peak, bound) = (self.peak / MIB, bytes / MIB);
        assert!(peak < bound, "took {peak} MiB, not {bound}: {self}");
    }

    /// Asserts that each of these is in the error output.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?}: {self}");
        }
        self
    }
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
