//! Steps that never stop talking. Each needs a limit in the host that does not
//! depend on the guest's memory.

use crate::wharf::step::telemetry::{self, Level};
use crate::{Output, OutputTree};

/// What most floods repeat.
const LINE: &str =
    "the same line again, as long as a usual message of a program that logs too much";

/// Logs forever.
pub fn log() {
    loop {
        telemetry::log(Level::Info, LINE, &[]);
    }
}

/// Prints forever; errors of standard output do not stop it.
pub fn print() {
    use std::io::Write;
    let mut out = std::io::stdout();
    loop {
        let _ = writeln!(out, "{LINE}");
    }
}

/// Records metrics forever. New names, because a host may hold a series for each.
pub fn metric() {
    for count in 0_u64.. {
        telemetry::metric(&format!("flood.{count}"), count as f64, Some(count));
    }
}

/// Reports progress often: allowed, and has to stay cheap.
pub fn progress(count: u64) {
    for done in 0..count {
        telemetry::progress(done, Some(count), "calls");
    }
}

/// Writes forever.
pub fn output(sink: &Output) {
    let block = vec![b'x'; 1 << 20];
    loop {
        let _ = sink.write(&block);
    }
}

/// Writes everything in one call.
pub fn big_write(sink: &Output, mib: u32) -> Result<(), String> {
    let block = vec![b'x'; (mib as usize) << 20];
    sink.write(&block).map_err(|error| error.to_string())
}

/// Creates files forever. Each handle is dropped at once, so that the limit on
/// files is reached and not the one on handles.
pub fn tree(sink: &OutputTree) -> Result<(), String> {
    for count in 0_u64.. {
        drop(
            sink.create(&format!("file-{count}"))
                .map_err(|error| error.to_string())?,
        );
    }
    Ok(())
}
