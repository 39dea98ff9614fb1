//! The machine that is measured on, for whoever compares figures.

use std::fs;
use std::thread;

/// Cores, processor, memory, kernel and load. What this system does not tell is
/// left out.
pub(crate) fn describe() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .map_or_else(String::new, |kib| {
            format!(", {:.1} GiB of memory", kib as f64 / (1 << 20) as f64)
        });
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "machine: {cores} cores of {model}{memory}; {} {kernel} {}; load {}",
        std::env::consts::OS,
        std::env::consts::ARCH,
        load()
    )
}

/// How many processes wanted a core over the last 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let text = read("/proc/loadavg");
    let words: Vec<&str> = text.split(' ').take(3).collect();
    words.join(" ")
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// The value after `name ...:` in a file of such lines.
fn field(path: &str, name: &str) -> Option<String> {
    let text = read(path);
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
