//! Runs the same pipelines under every orchestrator that is installed, and prints what came
//! of it: `cargo xtask conformance`.

use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value as Json, json};
use wharf_orchestrators::checks::{self, ENDS, MONTHS, Same};
use wharf_orchestrators::{Example, Installed, Inventory, System, systems};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let as_json = arguments.iter().any(|argument| argument == "--json");
    let only: Vec<&String> = arguments
        .iter()
        .filter(|it| !it.starts_with("--"))
        .collect();
    let inventory = match Inventory::read() {
        Ok(inventory) => inventory,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    let chosen = systems::ALL.into_iter();
    let chosen =
        chosen.filter(|it| only.is_empty() || only.iter().any(|name| *name == it.target()));
    let mut rows = Vec::new();
    for system in chosen {
        eprintln!("{} ...", system.target());
        rows.push(row(system, &inventory));
    }
    match as_json {
        true => println!("{:#}", json!({"systems": rows})),
        false => println!("{}", table(&rows)),
    }
    let count = |of: &str| rows.iter().filter(|row| row[of].is_string()).count();
    let failed = rows.iter().filter(|row| row["failed"].is_array()).count();
    eprintln!(
        "{} systems: {failed} failed, {} skipped",
        rows.len(),
        count("skipped")
    );
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// What came of one orchestrator.
fn row(system: &dyn System, inventory: &Inventory) -> Json {
    let installed = match inventory.of(system) {
        Ok(installed) => installed,
        Err(reason) => return json!({"system": system.target(), "skipped": format!("{reason:#}")}),
    };
    let started = Instant::now();
    let mut failed: Vec<String> = Vec::new();
    let mut said = |what: &str, result: anyhow::Result<Same>| match result {
        Ok(same) => json!({"steps": same.steps, "outputs": same.outputs}),
        Err(error) => {
            failed.push(format!("{what}: {error:#}"));
            json!("differs")
        }
    };
    let promote = said("promote", checks::promote(system, &installed));
    let flights = said("flights", checks::flights(system, &installed, &MONTHS));
    let list = said("list", checks::list(system, &installed));
    let ends = ends(system, &installed, &mut failed);
    let mut row = json!({
        "system": system.target(),
        "version": installed.version,
        "promote": promote,
        "flights": flights,
        "list": list,
        "ends": ends,
        "seconds": started.elapsed().as_secs(),
    });
    if !failed.is_empty() {
        row["failed"] = failed.into();
    }
    row
}

fn ends(system: &dyn System, installed: &Installed, failed: &mut Vec<String>) -> Json {
    let project = match system.project(Example::Ends) {
        Ok(project) => project,
        Err(error) => {
            failed.push(format!("ends: {error:#}"));
            return Json::Null;
        }
    };
    let ends = ENDS.iter().map(|end| {
        let shown = checks::end(system, installed, &project, end);
        let is_shown = shown.is_ok();
        failed.extend(shown.err().map(|error| format!("{}: {error:#}", end.kind)));
        (end.kind.to_owned(), Json::from(is_shown))
    });
    Json::Object(ends.collect())
}

/// The table of the documentation.
fn table(rows: &[Json]) -> String {
    let same = |what: &Json| match what["steps"].as_u64() {
        Some(steps) => format!("{steps} of {steps} the same"),
        None => "differs".to_owned(),
    };
    let mut text = String::from(
        "| system | version | promote | flights, 12 months | a list of 12 | how steps end |\n\
         |---|---|---|---|---|---|\n",
    );
    for row in rows {
        let system = row["system"].as_str().unwrap_or_default();
        if let Some(reason) = row["skipped"].as_str() {
            text += &format!("| {system} | skipped: {reason} | | | | |\n");
            continue;
        }
        let ends = row["ends"].as_object();
        let shown = ends.map_or(0, |ends| ends.values().filter(|it| **it == true).count());
        text += &format!(
            "| {system} | {} | {} | {} | {} | {shown} of {} shown |\n",
            row["version"].as_str().unwrap_or_default(),
            same(&row["promote"]),
            same(&row["flights"]),
            same(&row["list"]),
            ENDS.len(),
        );
        for failed in row["failed"].as_array().into_iter().flatten() {
            text += &format!("  {system}: {}\n", failed.as_str().unwrap_or_default());
        }
    }
    text
}
