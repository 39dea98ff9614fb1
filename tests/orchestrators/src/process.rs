//! Processes of orchestrators: started in a group of their own, which ends with them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// Far longer than anything here takes: what hangs ends, with what it said.
const HANG: Duration = Duration::from_secs(300);

/// A command of an orchestrator, with an environment of its own.
#[derive(Debug)]
pub struct Process {
    command: Command,
    log: PathBuf,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// All that it printed.
    pub log: String,
}

/// A command that runs. Its whole group is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// A program that runs in a folder, and whose output goes to a file there. Of this
    /// process's environment it has what programs cannot do without.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>, folder: &Path) -> Self {
        let name = Path::new(program.as_ref()).file_name().unwrap_or_default();
        let number = std::fs::read_dir(folder).map_or(0, Iterator::count);
        let log = folder.join(format!("{}-{number}.log", name.to_string_lossy()));
        let mut command = Command::new(program);
        command.current_dir(folder).env_clear().process_group(0);
        for kept in ["PATH", "LANG", "TZ", "SSL_CERT_FILE"] {
            command.envs(std::env::var_os(kept).map(|value| (kept, value)));
        }
        command
            .env("HOME", folder)
            .env("TMPDIR", std::env::temp_dir());
        Self { command, log }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets variables.
    #[must_use]
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.command.envs(variables);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(mut self) -> Result<Running> {
        let log = File::create(&self.log).context("the folder is writable")?;
        self.command.stdin(Stdio::null());
        self.command.stdout(log.try_clone()?).stderr(log);
        let child = self.command.spawn();
        let child = child.with_context(|| format!("cannot start {:?}", self.command))?;
        let log = self.log;
        Ok(Running { child, log })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// Where it cannot be started, or does not end.
    pub fn run(self) -> Result<Ended> {
        self.start()?.wait()
    }

    /// Runs it to its end, which must be a good one.
    ///
    /// # Errors
    /// As above, and with what it said where it fails.
    pub fn succeed(self) -> Result<String> {
        let shown = format!("{:?}", self.command);
        let ended = self.run()?;
        match ended.status.success() {
            true => Ok(ended.log),
            false => bail!("{shown}: {}\n{}", ended.status, ended.log),
        }
    }
}

impl Running {
    /// What it has printed until now.
    #[must_use]
    pub fn said(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// Where that cannot be told.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// Where it hangs.
    pub fn wait(mut self) -> Result<Ended> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                let log = self.said();
                return Ok(Ended { status, log });
            }
            if started.elapsed() > HANG {
                bail!("it does not end:\n{}", self.said());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal to all of its group.
    pub fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Waits until something holds.
///
/// # Errors
/// Where it does not for long.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let started = Instant::now();
    while !holds() {
        if started.elapsed() > HANG {
            bail!("waited in vain until {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A port that nobody listens on.
///
/// # Errors
/// Where there is none.
pub fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

/// Variables, as [`Process::envs`] takes them.
pub type Variables = BTreeMap<String, String>;
