//! Returns what a step can see of the world around it.

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "example:facts/facts",
    generate_all,
});

use std::time::{Duration, Instant as Monotonic, SystemTime, UNIX_EPOCH};
use std::{env, fs, io, thread};

use wasip2::random::{insecure, insecure_seed, random};
use wharf::step::context;

/// Long enough that nobody waits for it by mistake without noticing.
const DEFAULT_NAP_SECONDS: u64 = 3600;

struct Component;

impl Guest for Component {
    fn run(nap_seconds: Option<u64>) -> Facts {
        let wall_clock = time_of_day();
        let first = Monotonic::now();
        let second = Monotonic::now();
        thread::sleep(Duration::from_secs(
            nap_seconds.unwrap_or(DEFAULT_NAP_SECONDS),
        ));
        let slept = second.elapsed();
        let (high, low) = insecure_seed::insecure_seed();
        Facts {
            wall_clock,
            wall_clock_after: time_of_day(),
            tick: second.duration_since(first).as_nanos() as u64,
            slept: slept.as_nanos() as u64,
            random: hexadecimal(&random::get_random_bytes(16)),
            insecure_random: hexadecimal(&insecure::get_insecure_random_bytes(16)),
            insecure_seed: format!("{high:016x}{low:016x}"),
            environment: env::vars().collect(),
            arguments: env::args().collect(),
            root: root().map_err(|error| error.to_string()),
            step_name: context::step_name(),
            logical_time: context::logical_time(),
            partition: context::partition(),
            seed: context::seed(),
        }
    }
}

fn time_of_day() -> Instant {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Instant {
        seconds: since.as_secs() as i64,
        nanoseconds: since.subsec_nanos(),
    }
}

fn root() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir("/")? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

export!(Component);
