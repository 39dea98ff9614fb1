//! End to end: the real binary against real parts.
//!
//! Each test has a project folder of its own and runs `wharf` in it, in an
//! empty environment. The guests are the ones that `cargo xtask guests` builds.

mod artifacts;
mod bad_components;
mod bad_input;
mod bad_pipelines;
mod cancel;
mod clock_skew;
mod compile;
mod compile_cache;
mod concurrency;
mod determinism;
mod examples;
mod fixtures;
mod harness;
mod hostile;
mod hostile_programs;
mod inspect;
mod kills;
mod limits;
mod outputs;
mod pages;
mod pipelines;
mod preview1;
mod programs;
mod records;
mod replay;
mod report;
mod stacks;
mod streaming;
mod tasks;
mod tls;
mod typed;
