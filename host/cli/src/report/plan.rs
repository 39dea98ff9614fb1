//! What a run of a pipeline would do.

use serde_json::json;
use wharf_model::Fault;
use wharf_model::pipeline_run::{StepEnd, StepStatus};

use super::table::Table;
use super::{inert, out};

/// Shows a plan: of each step, whether it runs, and why.
pub(crate) fn report(partition: Option<&str>, steps: &[StepEnd], json: bool) -> Result<(), Fault> {
    if json {
        let steps: Vec<_> = steps
            .iter()
            .map(|end| {
                let (plan, why) = decision(end);
                json!({"step": end.step, "item": end.item, "plan": plan, "why": why})
            })
            .collect();
        let plan = json!({"partition": partition, "steps": steps});
        return out(&(inert(plan.to_string()) + "\n"));
    }
    let mut table = Table::new(["STEP", "PLAN", "WHY"]);
    for end in steps {
        let (plan, why) = decision(end);
        let item = end.item.map(|item| format!("[{item}]")).unwrap_or_default();
        table.row([format!("{}{item}", end.step), plan.to_owned(), why]);
    }
    let partition = partition.map(|name| format!("partition {name}\n"));
    out(&format!("{}{table}", partition.unwrap_or_default()))
}

/// What a step would do, and why.
fn decision(end: &StepEnd) -> (&'static str, String) {
    let why = end.message.clone().unwrap_or_default();
    match end.status {
        StepStatus::Cached => ("cached", "it is committed".to_owned()),
        StepStatus::NotRun => ("will run", why),
        StepStatus::Succeeded => ("publishes", why),
        StepStatus::Skipped => ("skipped", why),
        StepStatus::Failed | StepStatus::Cancelled => ("fails", why),
    }
}
