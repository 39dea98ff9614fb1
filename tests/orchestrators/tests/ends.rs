//! How tasks end shows in each orchestrator as what it is, with the step's own message.

mod each;

use wharf_orchestrators::Example;
use wharf_orchestrators::checks::{self, ENDS};

each::orchestrator!(|system, installed| {
    let project = system.project(Example::Ends)?;
    for end in &ENDS {
        checks::end(system, installed, &project, end)?;
    }
    Ok(())
});
