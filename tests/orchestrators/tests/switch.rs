//! The switch: one pipeline file makes the same under every orchestrator as under the local
//! runner: the same keys, results and digests of outputs.

mod each;

use wharf_orchestrators::checks::{self, MONTHS};

each::orchestrator!(|system, installed| {
    checks::promote(system, installed)?;
    // All of the year is for `cargo xtask conformance`.
    checks::flights(system, installed, &MONTHS[..2])?;
    checks::list(system, installed)?;
    Ok(())
});
