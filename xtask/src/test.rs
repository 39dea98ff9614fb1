//! `cargo xtask test`: sets up what the tests need and runs all of them.
//!
//! Test runners print for themselves; this says what is run and how long it
//! took. It formats and lints nothing: that is `.ci/run`.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::bench::{self, Bench};
use crate::context::Context;
use crate::orchestrators::{self, Orchestrators};
use crate::venv::{self, Environment};
use crate::{browser, cargo, data, guests, process, services};

/// Guests' libraries with tests of their own, which run natively.
const GUEST_LIBRARIES: [&str; 3] = ["artifact-io", "flights", "logistic"];

/// How often pipelines are killed in each kind of store, where there is time for it.
const MANY_KILLS: &str = "1000";

/// Runs every test; with `all`, also what takes too long for each change.
pub(crate) fn run(context: &Context, all: bool) -> Result<()> {
    let mut phases = Phases {
        context,
        done: Vec::new(),
    };
    phases.run("guests", || guests::build_all(context))?;
    phases.run("Python packages that tests compare with", || {
        venv::ensure(context, Environment::Test).map(drop)
    })?;
    phases.run("data sets", || data::ensure(context))?;
    phases.run("storage services", || services::ensure(context))?;
    phases.run("browser", || browser::ensure(context))?;
    phases.run("orchestrators", || {
        orchestrators::run(context, &Orchestrators::default())
    })?;
    phases.run("build", || {
        process::show(cargo::cargo(context).args(["test", "--workspace", "--locked", "--no-run"]))
    })?;
    phases.run("tests of the host", || {
        let mut tests = cargo::cargo(context);
        tests.args(["test", "--workspace", "--locked"]);
        if all {
            tests.env("WHARF_KILLS", MANY_KILLS).env("WHARF_ALL", "1");
        }
        process::show(&mut tests)
    })?;
    phases.run("tests of the guests' libraries", || {
        guest_libraries(context)
    })?;
    if all {
        phases.run("every measurement, once and small", || {
            bench::run(context, &Bench::smallest())
        })?;
    }
    context.say(format!("all tests passed\n{phases}"));
    Ok(())
}

fn guest_libraries(context: &Context) -> Result<()> {
    let mut cargo = cargo::cargo(context);
    cargo
        .current_dir(context.source("guest-examples"))
        .env("CARGO_TARGET_DIR", context.build().join("native"))
        .args(["test", "--locked"]);
    for library in GUEST_LIBRARIES {
        cargo.args(["--package", library]);
    }
    process::show(&mut cargo)
}

/// What was done, and how long it took.
struct Phases<'a> {
    context: &'a Context,
    done: Vec<(&'static str, Duration)>,
}

impl Phases<'_> {
    fn run(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        self.context.say(format!("--- {name}"));
        let started = Instant::now();
        work().with_context(|| format!("failed: {name}"))?;
        let took = started.elapsed();
        self.context
            .say(format!("--- {name}: {:.1} s", took.as_secs_f64()));
        self.done.push((name, took));
        Ok(())
    }
}

impl fmt::Display for Phases<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: Duration = self.done.iter().map(|(_, took)| took).sum();
        for (name, took) in self.done.iter().copied().chain([("in all", total)]) {
            writeln!(f, "{:>8.1} s  {name}", took.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp;
    use std::collections::BTreeSet;
    use std::fs;

    #[test]
    fn no_library_with_tests_is_left_out() {
        let context = Context::from_environment().unwrap();
        let examples = context.source("guest-examples");
        let mut found = BTreeSet::new();
        for file in stamp::files(&examples).unwrap() {
            let is_rust = file.extension().is_some_and(|extension| extension == "rs");
            if is_rust && fs::read_to_string(&file).unwrap().contains("#[test]") {
                let path = file.strip_prefix(&examples).unwrap();
                let package = path.components().next().unwrap();
                found.insert(package.as_os_str().to_str().unwrap().to_owned());
            }
        }
        let listed: BTreeSet<String> = GUEST_LIBRARIES.map(str::to_owned).into();
        assert_eq!(found, listed);
    }
}
