//! Limits over everything that a guest has together.
//!
//! wasmtime's own `StoreLimits::memory_size` counts each memory alone: 40
//! memories under a limit of 64 MiB took 2.6 GB. Here one sum covers all
//! memories and tables of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::ResourceLimiter;
use wharf_model::limits::LimitKind;
use wharf_model::{ErrorKind, Fault};

/// Bytes that one element of a table takes in the host; an upper bound.
const TABLE_ELEMENT_BYTES: u64 = 16;
/// Most core instances of one run. componentize-py makes about 60.
const MAX_INSTANCES: usize = 1000;
/// Most linear memories, each of which reserves 4 GiB of address space.
const MAX_MEMORIES: usize = 100;
/// Most tables.
const MAX_TABLES: usize = 1000;
/// What wasmtime says of a memory that may never be as large as a guest wants it;
/// a test holds the text in place.
const BEYOND_TYPE: &str = "memory growth exceeds memory type's limits";

/// A limit that a guest exceeded. Travels through wasmtime as the cause of a
/// trap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("exceeded the limit `{limit}` of {allowed}")]
pub(crate) struct Exceeded {
    pub(crate) limit: LimitKind,
    pub(crate) allowed: String,
}

impl Exceeded {
    pub(crate) fn new(limit: LimitKind, allowed: impl ToString) -> Self {
        Self {
            limit,
            allowed: allowed.to_string(),
        }
    }
}

/// The sum of all memories and tables of a run, and its limit.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    limit: u64,
    used: u64,
    /// Shared with whoever reports it, who may have left the guest behind.
    peak: Arc<AtomicU64>,
}

impl MemoryLimiter {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            used: 0,
            peak: Arc::default(),
        }
    }

    /// The most bytes at a time, which goes on to be counted.
    pub(crate) fn peak(&self) -> Arc<AtomicU64> {
        self.peak.clone()
    }

    fn grow(&mut self, bytes: u64) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_add(bytes);
        if wanted > self.limit {
            let allowed = wharf_model::limits::Bytes(self.limit).exact();
            return Err(Exceeded::new(LimitKind::Memory, allowed).into());
        }
        self.used = wanted;
        self.peak.fetch_max(wanted, Ordering::Relaxed);
        Ok(true)
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow((desired - current) as u64)
    }

    /// A guest that asks for more than its kind of memory can have is told so,
    /// everywhere. Growth that fails otherwise is the machine's doing: a guest
    /// that were told so could go on, and do other things than elsewhere.
    ///
    /// Nothing is taken back in either case. wasmtime calls this for growth that
    /// it never asked about, too.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if error.to_string() == BEYOND_TYPE {
            return Ok(());
        }
        let message = format!("this machine has no memory left for the step: {error:#}");
        Err(Fault::new(ErrorKind::Io, message)
            .hint("free some memory, or run fewer steps at a time")
            .into())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(((desired - current) as u64).saturating_mul(TABLE_ELEMENT_BYTES))
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

/// Bytes that may still be spent on something, shared by all that spend them.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    limit: LimitKind,
    allowed: u64,
    spent: Arc<AtomicU64>,
}

impl Budget {
    pub(crate) fn new(limit: LimitKind, allowed: u64) -> Self {
        Self {
            limit,
            allowed,
            spent: Arc::default(),
        }
    }

    /// Spends bytes, unless they are more than is left.
    pub(crate) fn spend(&self, bytes: u64) -> Result<(), Exceeded> {
        let before = self.spent.fetch_add(bytes, Ordering::Relaxed);
        match before.saturating_add(bytes) <= self.allowed {
            true => Ok(()),
            false => {
                self.spent.fetch_sub(bytes, Ordering::Relaxed);
                let allowed = wharf_model::limits::Bytes(self.allowed).exact();
                Err(Exceeded::new(self.limit, allowed))
            }
        }
    }

    /// Gives bytes back.
    pub(crate) fn refund(&self, bytes: u64) {
        self.spent.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 65_536;

    #[test]
    fn memories_and_tables_share_one_limit() {
        let mut limiter = MemoryLimiter::new(3 * PAGE as u64);
        assert!(limiter.memory_growing(0, PAGE, None).unwrap());
        assert!(limiter.memory_growing(0, PAGE, None).unwrap());
        assert!(limiter.table_growing(0, 1000, None).unwrap());
        let error = limiter.memory_growing(0, PAGE, None).unwrap_err();
        assert_eq!(
            error.downcast_ref::<Exceeded>().unwrap().limit,
            LimitKind::Memory
        );
        let peak = limiter.peak().load(Ordering::Relaxed);
        assert_eq!(peak, 2 * PAGE as u64 + 16_000);
    }

    #[test]
    fn growth_past_the_maximum_is_refused_and_not_counted() {
        let mut limiter = MemoryLimiter::new(4 * PAGE as u64);
        let grown = limiter.memory_growing(PAGE, 3 * PAGE, Some(2 * PAGE));
        assert!(!grown.unwrap());
        assert_eq!(limiter.used, 0);
    }

    #[test]
    fn a_machine_without_memory_is_a_fault() {
        let mut limiter = MemoryLimiter::new(PAGE as u64);
        let error = limiter.memory_grow_failed(wasmtime::Error::msg("mmap failed"));
        let error = error.unwrap_err();
        assert_eq!(error.downcast_ref::<Fault>().unwrap().kind(), ErrorKind::Io);
    }

    /// What cannot be is refused without a call before; it must not give back
    /// what other growth took.
    #[test]
    fn growth_that_cannot_be_gives_nothing_back() {
        let engine = wasmtime::Engine::default();
        let text = r#"(module (memory (export "m") 1)
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;
        let module = wasmtime::Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let mut store = wasmtime::Store::new(&engine, MemoryLimiter::new(3 * PAGE as u64));
        store.limiter(|limiter| limiter);
        let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
        let grow = instance.get_typed_func::<i32, i32>(&mut store, "grow");
        let grow = grow.unwrap();
        assert_eq!(grow.call(&mut store, 1).unwrap(), 1);
        assert_eq!(grow.call(&mut store, 65_536).unwrap(), -1);
        assert_eq!(store.data().used, 2 * PAGE as u64);
        assert_eq!(grow.call(&mut store, 1).unwrap(), 2);
        assert!(grow.call(&mut store, 1).is_err());
    }

    #[test]
    fn a_budget_is_spent_once() {
        let budget = Budget::new(LimitKind::LogBytes, 10);
        let other = budget.clone();
        budget.spend(6).unwrap();
        assert!(other.spend(5).is_err());
        other.spend(4).unwrap();
        assert_eq!(budget.spent(), 10);
        budget.refund(10);
        other.spend(10).unwrap();
    }
}
