//! How failures are told.

use std::io::IsTerminal;

use serde_json::{Value as Json, json};
use wharf_model::plan::Problem;
use wharf_model::{ErrorKind, Fault};

use super::{err, inert, mistakes, out, painted, plain};
use crate::ending::Ending;

/// Tells an ending that no report of a run has told.
pub(crate) fn report(ending: &Ending, json: bool) {
    let problems = match ending {
        Ending::Done | Ending::Ran(_) | Ending::RanPipeline(_) | Ending::RanTask { .. } => return,
        Ending::Mistakes(mistakes) => return mistakes::report(mistakes, json),
        Ending::BadRequest(bad) => bad.problems.clone(),
        Ending::Stopped(by) => {
            return line(&wharf_model::Outcome::Cancelled { by: *by }.to_string());
        }
        Ending::Failed(fault) => vec![problem(fault)],
    };
    match json {
        true => {
            // Whoever cannot be told has the exit code.
            let _ = out(&inert(format!("{}\n", as_json(&problems))));
        }
        false => problems.iter().for_each(tell),
    }
}

fn problem(fault: &Fault) -> Problem {
    Problem {
        kind: fault.kind(),
        message: fault.to_string(),
        hint: fault.advice().map(str::to_owned),
    }
}

fn as_json(problems: &[Problem]) -> Json {
    let one = |problem: &Problem| json!({"kind": problem.kind.name(), "message": problem.message, "hint": problem.hint});
    let all: Vec<Json> = problems.iter().map(one).collect();
    let kind = problems
        .first()
        .map_or(ErrorKind::Internal, |problem| problem.kind);
    json!({"error": {"kind": kind.name(), "problems": all}})
}

fn tell(problem: &Problem) {
    line(&problem.message);
    if let Some(hint) = &problem.hint {
        err(&format!("  hint: {}", plain(hint)));
    }
}

/// Writes an error line.
pub(crate) fn line(message: &str) {
    let error = painted("error", "1;31", std::io::stderr().is_terminal());
    err(&format!("{error}: {}", plain(message)));
}
