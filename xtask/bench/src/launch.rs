//! Runs a program and tells how long it took and how much memory it held.
//!
//! A process counts the memory that its parent held when it was started as its
//! own peak, because it shares it until it becomes another program. So programs
//! are started by a fresh copy of this one that holds next to nothing.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

/// The first argument of the copy that starts a program.
const LAUNCH: &str = "__launch";

/// A program that ended well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    /// From before it was started until it was gone.
    pub(crate) seconds: f64,
    /// The most memory that it held at a time.
    pub(crate) peak_mib: f64,
}

/// Runs a program in a folder. What it prints is dropped, unless it fails.
pub(crate) fn run(folder: &Path, program: &Path, arguments: &[OsString]) -> Result<Finished> {
    let output = Command::new(env::current_exe()?)
        .current_dir(folder)
        .arg(LAUNCH)
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!(
            "{} {arguments:?} failed:\n{}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = String::from_utf8(output.stdout)?;
    let (seconds, peak_mib) = text.trim().split_once(' ').context("two numbers")?;
    Ok(Finished {
        seconds: seconds.parse()?,
        peak_mib: peak_mib.parse()?,
    })
}

/// The program and its arguments, in a process that shall only start it.
pub(crate) fn launched() -> Option<Vec<OsString>> {
    let mut arguments = env::args_os().skip(1);
    (arguments.next()? == LAUNCH).then(|| arguments.collect())
}

/// Starts the program, waits, and prints what it used.
#[expect(
    clippy::print_stdout,
    reason = "how the figures reach the process that asked"
)]
pub(crate) fn main(command: Vec<OsString>) -> Result<()> {
    let [program, arguments @ ..] = &command[..] else {
        bail!("no program to start");
    };
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null());
    let started = Instant::now();
    let status = command.status()?;
    let seconds = started.elapsed().as_secs_f64();
    if !status.success() {
        bail!("{} ended with {status}", Path::new(program).display());
    }
    println!("{seconds} {}", peak_of_children()?);
    Ok(())
}

/// The most memory in MiB that a child of this process held, of those that are
/// gone.
fn peak_of_children() -> Result<f64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the pointer is to memory of the right size, which `getrusage`
    // fills where it returns 0.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error().into());
        }
        usage.assume_init()
    };
    // Linux counts in KiB, macOS in bytes.
    let unit = if cfg!(target_os = "macos") {
        1.0
    } else {
        1024.0
    };
    Ok(usage.ru_maxrss as f64 * unit / f64::from(1 << 20))
}
