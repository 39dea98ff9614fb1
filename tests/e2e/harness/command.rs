//! Runs the binary, watches it, and checks how it ends.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

use super::{HANG, MIB, WHARF, wait_until};

/// A command that is about to be run.
pub(crate) struct Wharf {
    program: &'static str,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: PathBuf,
    input: Vec<u8>,
    shell: Option<String>,
    terminal: bool,
}

impl Wharf {
    /// A command in a folder, in an empty environment.
    pub(crate) fn new(folder: &Path, arguments: Vec<OsString>) -> Self {
        Self {
            program: WHARF,
            arguments,
            environment: Vec::new(),
            folder: folder.to_owned(),
            input: Vec::new(),
            shell: None,
            terminal: false,
        }
    }

    /// Commands of a shell, up to the first that fails, in an empty environment. All
    /// that they print is on standard output, in the order that they print it.
    pub(crate) fn shell(folder: &Path, script: &str) -> Self {
        let script = format!("exec 2>&1\n{script}");
        Self {
            program: "/bin/sh",
            ..Self::new(folder, vec!["-euc".into(), script.into()])
        }
    }

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

    /// Sets variables.
    pub(crate) fn envs(self, variables: &[(String, String)]) -> Self {
        let set = |command: Self, (name, value): &(String, String)| command.env(name, value);
        variables.iter().fold(self, set)
    }

    /// Removes a variable.
    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// Runs it in another folder.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.folder);
        self
    }

    /// What is on standard input.
    pub(crate) fn input(mut self, bytes: &[u8]) -> Self {
        bytes.clone_into(&mut self.input);
        self
    }

    /// Has a shell do this first, such as to set a limit of the system's.
    pub(crate) fn under(mut self, command: &str) -> Self {
        self.shell = Some(format!("{command} && exec \"$0\" \"$@\""));
        self
    }

    /// Lets standard error be a terminal of 100 columns.
    pub(crate) fn on_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// Starts it.
    pub(crate) fn start(self) -> Running {
        let mut command = match &self.shell {
            Some(script) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", script, self.program]);
                shell
            }
            None => Command::new(self.program),
        };
        let terminal = self.terminal.then(Terminal::open);
        let stderr = match &terminal {
            Some(terminal) => terminal.command.try_clone().expect("a descriptor").into(),
            None => Stdio::piped(),
        };
        let mut child = command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment)
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the binary starts");
        // It has its end of a terminal to itself, so that the other one ends.
        drop(command);
        let mut stdin = child.stdin.take().expect("a pipe");
        // A command that does not read its input may close it.
        let _ = stdin.write_all(&self.input);
        drop(stdin);
        let stdout = Printed::read(child.stdout.take().expect("a pipe"));
        let stderr = match terminal {
            Some(terminal) => Printed::read(terminal.other),
            None => Printed::read(child.stderr.take().expect("a pipe")),
        };
        Running {
            line: format!(
                "{} {}",
                self.program,
                self.arguments.join(OsStr::new(" ")).display()
            ),
            started: Instant::now(),
            peak: 0,
            child: Guarded(child),
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
    pub(super) fn args_before_programs(mut self, option: &str) -> Self {
        let end = self.arguments.iter().position(|argument| argument == "--");
        let end = end.unwrap_or(self.arguments.len());
        self.arguments.insert(end, option.into());
        self
    }
}

/// Both ends of a terminal that is none.
struct Terminal {
    command: File,
    other: File,
}

impl Terminal {
    fn open() -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let other = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&other).expect("a terminal");
        unlockpt(&other).expect("a terminal");
        let name = ptsname(&other, Vec::new()).expect("a terminal");
        let name = Path::new(name.to_str().expect("its path"));
        let command = File::options().read(true).write(true).open(name);
        let command = command.expect("a terminal");
        let size = rustix::termios::Winsize {
            ws_row: 40,
            ws_col: 100,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&command, size).expect("a terminal");
        Self {
            command,
            other: other.into(),
        }
    }
}

/// What a command prints, as it comes.
struct Printed {
    so_far: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Printed {
    fn read(mut from: impl Read + Send + 'static) -> Self {
        let so_far = Arc::<Mutex<Vec<u8>>>::default();
        let shared = so_far.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                let mut shared = shared.lock().expect("no reader panics");
                shared.extend_from_slice(&buffer[..read]);
            }
        });
        Self { so_far, reader }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.so_far.lock().expect("no reader panics")).into_owned()
    }

    fn into_text(self) -> String {
        self.reader.join().expect("no reader panics");
        String::from_utf8_lossy(&self.so_far.lock().expect("no reader panics")).into_owned()
    }
}

/// A process that does not outlive its test, however that ends.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A command that runs.
pub(crate) struct Running {
    line: String,
    started: Instant,
    peak: u64,
    child: Guarded,
    stdout: Printed,
    stderr: Printed,
}

impl Running {
    /// Waits for the command to end, and watches how much memory it takes.
    pub(crate) fn wait(mut self) -> Ended {
        let mut pause = Duration::from_millis(1);
        loop {
            // The kernel keeps the peak itself, until the process ends: only
            // what was taken within the last pause can be missed.
            self.peak = self.peak.max(self.peak_now());
            if let Some(status) = self.child.0.try_wait().expect("the child is ours") {
                return self.ended(status);
            }
            if self.started.elapsed() > HANG {
                let _ = self.child.0.kill();
                let status = self.child.0.wait().expect("the child is ours");
                panic!("it hung: {}", self.ended(status));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }

    fn ended(self, status: ExitStatus) -> Ended {
        Ended {
            line: self.line,
            status,
            took: self.started.elapsed(),
            peak: self.peak,
            stdout: self.stdout.into_text(),
            stderr: self.stderr.into_text(),
        }
    }

    /// A field of what the kernel says of the process; `None` where it is gone.
    fn status(&self, field: &str) -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.0.id())).ok()?;
        let value = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.map(|value| value.trim().to_owned())
    }

    /// The most memory resident so far, in bytes; 0 where the process is gone.
    fn peak_now(&self) -> u64 {
        let kib = self
            .status("VmHWM")
            .and_then(|kib| kib.strip_suffix(" kB")?.parse().ok());
        kib.unwrap_or(0_u64) * 1024
    }

    /// Whether the process has a handler for a signal.
    pub(crate) fn listens_to(&self, signal: Signal) -> bool {
        let caught = self
            .status("SigCgt")
            .and_then(|mask| u64::from_str_radix(&mask, 16).ok());
        caught.unwrap_or(0) & (1 << (signal.as_raw() - 1)) != 0
    }

    /// Waits until an event was printed. For commands with `--json`.
    pub(crate) fn wait_for_event(&self, event: &str) {
        let wanted = format!("{{\"event\":\"{event}\"");
        wait_until(event, || self.stderr.so_far().contains(&wanted));
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.0.id())
            .ok()
            .and_then(Pid::from_raw);
        kill_process(id.expect("a process id"), signal).expect("the child is ours");
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
    /// Whether a signal ended it that nobody can listen to.
    pub(crate) fn was_killed(&self) -> bool {
        self.status.signal() == Some(Signal::KILL.as_raw())
    }

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
