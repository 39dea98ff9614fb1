//! Compiles untrusted components in a process of their own.
//!
//! Compiling is where hostile bytes cost most: wasmtime does not count denial
//! of service at compile time as a vulnerability. The child has an empty
//! environment, limits on address space and processor time, and talks through
//! two pipes: the component goes in, [`Compiled`] comes out. It is this very
//! program, started again with a hidden command.
//!
//! Output of the child: the length of a JSON text (4 bytes, little endian), the
//! JSON of a [`Reply`], then the compiled code where there is some.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use wharf_model::limits::{LimitKind, Limits};
use wharf_model::{ErrorKind, Fault};

use super::describe::describe;
use super::{Description, Kind};
use crate::PrepareError;
use crate::engine::{self, Settings, Stopping};

/// Most bytes of the child's error output that are kept for a message.
const MAX_STDERR: usize = 4096;

/// How components are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In a child process: this program and the arguments that make it call
    /// [`child_main`].
    Child {
        /// The program.
        program: PathBuf,
        /// Its first arguments; more are added.
        arguments: Vec<String>,
    },
    /// In this process, without limits: for components that are trusted.
    InProcess,
}

/// What the child is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// Describe the component only.
    Describe,
    /// Describe it and compile it.
    Compile(Settings),
}

/// A described component and, where asked for, its compiled code.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) description: Description,
    pub(crate) code: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case", deny_unknown_fields)]
enum Reply {
    Done {
        description: Box<Description>,
    },
    Failed {
        kind: ErrorKind,
        message: String,
        hint: Option<String>,
    },
}

impl Compiler {
    /// Does a job on a component.
    pub(crate) async fn run(
        &self,
        wasm: &[u8],
        job: Job,
        limits: &Limits,
    ) -> Result<Compiled, PrepareError> {
        match self {
            Self::InProcess => Ok(work(wasm, job)?),
            Self::Child { program, arguments } => {
                let mut command = tokio::process::Command::new(program);
                command.args(arguments).args(child_arguments(job, limits));
                let deadline = limits.compile_time.duration();
                let child = talk(&mut command, wasm, limits.compile_memory.0);
                match tokio::time::timeout(deadline, child).await {
                    Ok(result) => read_output(result?, limits),
                    Err(_) => Err(exceeded(LimitKind::CompileTime, limits)),
                }
            }
        }
    }
}

fn exceeded(limit: LimitKind, limits: &Limits) -> PrepareError {
    let allowed = match limit {
        LimitKind::CompileTime => limits.compile_time.to_string(),
        _ => limits.compile_memory.to_string(),
    };
    PrepareError::LimitExceeded { limit, allowed }
}

/// The names of the jobs, as the child is told them.
const NAMED: [(&str, Job); 5] = {
    const fn compile(fuel: bool, stopping: Stopping) -> Job {
        Job::Compile(Settings { fuel, stopping })
    }
    use Stopping::{LeavingBehind, Yielding};
    [
        ("describe", Job::Describe),
        ("compile", compile(false, LeavingBehind)),
        ("compile-fuel", compile(true, LeavingBehind)),
        ("compile-yielding", compile(false, Yielding)),
        ("compile-fuel-yielding", compile(true, Yielding)),
    ]
};

fn child_arguments(job: Job, limits: &Limits) -> Vec<String> {
    let job = NAMED.iter().find(|(_, named)| *named == job);
    let job = job.map_or("", |(name, _)| name);
    let cpu = cpu_seconds(limits.compile_time.duration());
    vec![
        job.to_owned(),
        limits.compile_memory.0.to_string(),
        cpu.to_string(),
    ]
}

/// Processor time allowed: all cores for the wall time, so that it is reached
/// only where the wall clock does not stop the child (it was orphaned, say).
fn cpu_seconds(wall: Duration) -> u64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    (wall.as_secs() + 1).saturating_mul(cores)
}

/// What a child left behind.
struct Output {
    status: std::process::ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Passes a component to a child and reads what it says, up to `most` bytes: what
/// it makes was in its memory once.
async fn talk(
    command: &mut tokio::process::Command,
    wasm: &[u8],
    most: u64,
) -> Result<Output, Fault> {
    let failed = |what: &str, error: &std::io::Error| {
        Fault::new(
            ErrorKind::of_io(error),
            format!("cannot {what} the compiling process: {error}"),
        )
    };
    let mut child = command
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed("start", &error))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(Fault::internal("the compiling process has no pipes"));
    };
    let send = async move {
        // A child that refuses the component early closes the pipe; what it
        // says matters, not this error.
        let _ = stdin.write_all(wasm).await;
    };
    let (_, stdout, stderr, status) = tokio::join!(
        send,
        read_all(stdout, most),
        read_all(stderr, MAX_STDERR as u64),
        child.wait()
    );
    Ok(Output {
        status: status.map_err(|error| failed("wait for", &error))?,
        stdout: stdout.map_err(|error| failed("read from", &error))?,
        stderr: stderr.map_err(|error| failed("read from", &error))?,
    })
}

async fn read_all(from: impl tokio::io::AsyncRead + Unpin, most: u64) -> std::io::Result<Vec<u8>> {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    from.take(most).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

fn read_output(output: Output, limits: &Limits) -> Result<Compiled, PrepareError> {
    if let Some(limit) = killed_by_limit(&output) {
        return Err(exceeded(limit, limits));
    }
    match parse_output(output.stdout) {
        Some((Reply::Done { description }, code)) => Ok(Compiled {
            description: *description,
            code,
        }),
        Some((
            Reply::Failed {
                kind,
                message,
                hint,
            },
            _,
        )) => {
            let fault = Fault::new(kind, message);
            Err(hint.into_iter().fold(fault, Fault::hint).into())
        }
        None => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or("it said nothing");
            let message = format!("the compiling process ended with {}: {said}", output.status);
            Err(Fault::internal(message).into())
        }
    }
}

fn parse_output(mut output: Vec<u8>) -> Option<(Reply, Vec<u8>)> {
    let length = output
        .first_chunk::<4>()
        .map(|bytes| u32::from_le_bytes(*bytes))? as usize;
    let json = output.get(4..4 + length)?;
    let reply = serde_json::from_slice(json).ok()?;
    output.drain(..4 + length);
    Some((reply, output))
}

/// Which limit ended the child, if one did. Out of address space, Rust aborts;
/// the kernel's own killer sends SIGKILL.
#[cfg(unix)]
fn killed_by_limit(output: &Output) -> Option<LimitKind> {
    use std::os::unix::process::ExitStatusExt;
    let said = String::from_utf8_lossy(&output.stderr);
    let out_of_memory = || said.contains("memory allocation");
    // It did not even have room for the component.
    if output.status.code() == Some(1) && said.contains("out of memory") {
        return Some(LimitKind::CompileMemory);
    }
    let signal = output
        .status
        .signal()
        .map(rustix::process::Signal::from_named_raw)??;
    match signal {
        rustix::process::Signal::XCPU => Some(LimitKind::CompileTime),
        rustix::process::Signal::KILL => Some(LimitKind::CompileMemory),
        rustix::process::Signal::ABORT if out_of_memory() => Some(LimitKind::CompileMemory),
        _ => None,
    }
}

#[cfg(not(unix))]
fn killed_by_limit(_: &Output) -> Option<LimitKind> {
    None
}

fn work(wasm: &[u8], job: Job) -> Result<Compiled, Fault> {
    let description = describe(wasm)?;
    if let Some(fault) = missing_imports(&description) {
        // To describe a component is useful all the same.
        if job != Job::Describe {
            return Err(fault);
        }
    }
    let code = match job {
        Job::Describe => Vec::new(),
        Job::Compile(settings) => compile(wasm, description.kind, settings)?,
    };
    Ok(Compiled { description, code })
}

fn compile(wasm: &[u8], kind: Kind, settings: Settings) -> Result<Vec<u8>, Fault> {
    let engine = engine::engine(settings)?;
    let wasm = super::nan::canonicalize(wasm, kind)?;
    let code = match kind {
        Kind::Component => engine.precompile_component(&wasm),
        Kind::CoreModule => engine.precompile_module(&wasm),
    };
    code.map_err(|error| super::prescan::damaged(&format!("{error:#}")))
}

/// The fault for imports that nobody provides, where there are some.
pub(crate) fn missing_imports(description: &Description) -> Option<Fault> {
    let missing: Vec<_> = description
        .missing_imports()
        .map(|name| format!("`{name}`"))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let message = format!(
        "the component imports {}, which nobody provides",
        missing.join(", ")
    );
    let hint = "Wharf provides wharf:step@0.1 and wasi 0.2 (cli, clocks, filesystem, io, random, sockets); \
                build the component without the others";
    Some(Fault::new(ErrorKind::MissingImport, message).hint(hint))
}

/// The whole life of the compiling process: sets its own limits, reads the
/// component from standard input, does the job, writes the reply to standard
/// output. `arguments` are the ones that [`Compiler::Child`] adds.
///
/// # Errors
/// Where the arguments are not those, a limit cannot be set, or a pipe breaks.
pub fn child_main(arguments: &[String]) -> Result<(), Fault> {
    let usage = || Fault::internal("the compiling process was started with the wrong arguments");
    let [job, memory, cpu] = arguments else {
        return Err(usage());
    };
    let job = NAMED.iter().find(|(name, _)| name == job);
    let (_, job) = *job.ok_or_else(usage)?;
    limit_self(
        memory.parse().map_err(|_| usage())?,
        cpu.parse().map_err(|_| usage())?,
    )?;
    let pipe = |error: std::io::Error| Fault::internal(format!("a pipe broke: {error}"));
    let mut wasm = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut wasm)
        .map_err(pipe)?;
    let (reply, code) = match work(&wasm, job) {
        Ok(compiled) => {
            let description = Box::new(compiled.description);
            (Reply::Done { description }, compiled.code)
        }
        Err(fault) => {
            let hint = fault.advice().map(str::to_owned);
            (
                Reply::Failed {
                    kind: fault.kind(),
                    message: fault.to_string(),
                    hint,
                },
                Vec::new(),
            )
        }
    };
    let json = serde_json::to_vec(&reply).map_err(Fault::internal)?;
    let length = u32::try_from(json.len()).map_err(Fault::internal)?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&length.to_le_bytes()).map_err(pipe)?;
    stdout.write_all(&json).map_err(pipe)?;
    stdout.write_all(&code).map_err(pipe)?;
    stdout.flush().map_err(pipe)
}

#[cfg(target_os = "linux")]
fn limit_self(memory_bytes: u64, cpu_seconds: u64) -> Result<(), Fault> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limits = [
        (Resource::As, memory_bytes),
        (Resource::Cpu, cpu_seconds),
        (Resource::Core, 0),
        // It writes to pipes only.
        (Resource::Fsize, 0),
    ];
    for (resource, most) in limits {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit).map_err(|error| {
            Fault::internal(format!("cannot limit the compiling process: {error}"))
        })?;
    }
    Ok(())
}

/// Elsewhere the wall clock alone bounds the child.
#[cfg(not(target_os = "linux"))]
fn limit_self(_: u64, _: u64) -> Result<(), Fault> {
    Ok(())
}
