//! The wasmtime engine: what code is generated, and the clock that interrupts
//! it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, Engine};
use wharf_model::Fault;

/// The version of wasmtime, for records and cache keys. A test compares it with
/// the lock file.
pub const WASMTIME_VERSION: &str = "48.0.8";

/// How often a running guest gives way, so that its deadline and a cancellation
/// are noticed. Short beside what people notice, long beside the switch (1 us).
const TICK: Duration = Duration::from_millis(10);

/// The guest's stack. wasmtime's default; stated because running into it is an
/// outcome, so its size is part of what a run means.
const STACK_BYTES: usize = 512 << 10;

/// How a guest is stopped that does not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopping {
    /// It gives way to the host again and again, which costs a tenth of its speed,
    /// and is dropped then. For a process that goes on.
    Yielding,
    /// It is left behind on a thread of its own, which goes on until the process
    /// ends. For a process that ends soon.
    LeavingBehind,
}

/// What code is generated for, beside the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whether it counts the instructions that it runs, which makes it slower.
    pub(crate) fuel: bool,
    pub(crate) stopping: Stopping,
}

/// Makes an engine. Each settings give another code.
pub(crate) fn engine(settings: Settings) -> Result<Engine, Fault> {
    let mut config = Config::new();
    config
        .consume_fuel(settings.fuel)
        .epoch_interruption(settings.stopping == Stopping::Yielding)
        .max_wasm_stack(STACK_BYTES)
        // The same bits on every machine: WebAssembly leaves relaxed SIMD to the
        // processor, and NaNs, which `component::nan` takes care of.
        .relaxed_simd_deterministic(true)
        // Says which instruction of the module is at fault; backtraces name
        // functions, which takes less.
        .generate_address_map(false)
        // Not needed by any guest toolchain, each a piece of attack surface.
        .wasm_memory64(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .concurrency_support(false);
    Engine::new(&config).map_err(|error| Fault::internal(format!("no engine: {error:#}")))
}

/// A number that differs wherever compiled code cannot be shared: wasmtime's
/// version, its settings and the processor's features.
pub(crate) fn compatibility(engine: &Engine) -> u64 {
    // Cache keys must not depend on a per-process seed; `DefaultHasher::new`
    // has a fixed one.
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

/// Ticks an engine's epoch while it exists.
#[derive(Debug)]
pub(crate) struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> Result<Self, Fault> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, engine) = (stop.clone(), engine.clone());
        let tick = move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::park_timeout(TICK);
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new()
            .name("wharf-epoch".to_owned())
            .spawn(tick)
            .map_err(|error| Fault::internal(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A thread that only ticks cannot panic; nothing to report.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn version_is_the_locked_one() {
        let lock = include_str!("../../../Cargo.lock");
        let wanted = format!(
            "name = \"wasmtime\"\nversion = \"{}\"",
            super::WASMTIME_VERSION
        );
        assert!(
            lock.contains(&wanted),
            "update WASMTIME_VERSION to what Cargo.lock has"
        );
    }
}
