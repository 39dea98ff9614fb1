//! A run that one orchestrator has begun goes on in another, and nothing runs twice.

use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;
use wharf_orchestrators::{Example, Inventory, Project, Request, State, systems};

/// So many that training takes some seconds.
const EPOCHS: &str = "150000";

#[test]
fn what_airflow_began_dagster_finishes() -> Result<()> {
    let inventory = Inventory::read()?;
    let mut both = Vec::new();
    for name in ["airflow", "dagster"] {
        let system = systems::named(name).context("there is no such system")?;
        match inventory.system(system.installed_as()) {
            Ok(installed) => both.push((system, installed)),
            Err(reason) => {
                println!("SKIPPED {name}: {reason}");
                return Ok(());
            }
        }
    }
    let [(airflow, by_airflow), (dagster, by_dagster)] = &both[..] else {
        return Ok(());
    };
    let project = Project::new(Example::Promote)?;
    let request = Request {
        parameters: vec![("epochs", EPOCHS)],
        cancel_during: Some("train"),
        ..Request::default()
    };
    let ran = airflow.run(by_airflow, &project, &request)?;
    let state = |step: &str| ran.tasks.get(step).copied();
    ensure!(state("split") == Some(State::Succeeded), "{ran:#?}");
    ensure!(state("train") == Some(State::Failed), "{ran:#?}");
    ensure!(state("promote") == Some(State::NotRun), "{ran:#?}");
    let begun = project.json(&["show", "last", "--json"])?["started"]["id"].clone();

    let request = Request {
        cancel_during: None,
        ..request
    };
    let ran = dagster.run(by_dagster, &project, &request)?;
    let all = ran.tasks.values().all(|state| *state == State::Succeeded);
    ensure!(all && ran.tasks.len() == 4, "{ran:#?}");
    let finished = project.json(&["show", "last", "--json"])?["started"]["id"].clone();
    ensure!(begun != finished, "it is one run: {begun}");
    // Each step was run by the one that came to it first.
    for (step, run) in [
        ("split", &begun),
        ("train", &finished),
        ("compare", &finished),
    ] {
        let record = project.json(&["show", &format!("last/{step}"), "--json"])?;
        ensure!(record["pipeline"]["run"] == *run, "{step}: {record:#}");
    }
    ensure!(statuses(&project, "last")?["split"] == "cached");

    // And here, nothing is left to do but to compare with what is in use now.
    let epochs = format!("epochs={EPOCHS}");
    project.print(&["pipeline", "run", "promote.yaml", &epochs])?;
    let here = statuses(&project, "last")?;
    ensure!(
        here["split"] == "cached" && here["train"] == "cached",
        "{here:#}"
    );
    Ok(())
}

/// How each step of a run ended.
fn statuses(project: &Project, run: &str) -> Result<Json> {
    let shown = project.json(&["show", run, "--json"])?;
    let steps = shown["ended"]["steps"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let status = |end: &Json| {
        let step = end["step"].as_str().unwrap_or_default().to_owned();
        (step, end["status"].clone())
    };
    Ok(Json::Object(steps.iter().map(status).collect()))
}
