//! Apache Airflow: variables that its operators set, and the file of
//! `KubernetesPodOperator` that becomes an XCom.
//!
//! What `BashOperator` takes as the XCom is the last line of standard output, which every
//! task prints.

use wharf_model::Fault;

use super::{Ending, Environment, Surroundings, Telling, malformed, write};
use crate::args::step::Orchestrator;

/// Where the sidecar of `KubernetesPodOperator` finds what becomes the XCom.
const XCOM: &str = "/airflow/xcom";

pub(super) fn is_here(environment: Environment<'_>) -> bool {
    environment.has("AIRFLOW_CTX_DAG_ID")
}

pub(super) fn read(environment: Environment<'_>, found: &mut Surroundings) -> Result<(), Fault> {
    found.orchestrator = Some(Orchestrator::Airflow);
    found.run = environment.get("AIRFLOW_CTX_DAG_RUN_ID")?;
    if found.run.is_none() {
        return Err(malformed(
            "AIRFLOW_CTX_DAG_RUN_ID",
            "it is missing beside AIRFLOW_CTX_DAG_ID",
        ));
    }
    found.attempt = environment.count("AIRFLOW_CTX_TRY_NUMBER", 1)?;
    found.logical_date = environment.time("AIRFLOW_CTX_LOGICAL_DATE")?;
    let folder = environment.path(XCOM);
    if folder.is_dir() {
        found
            .telling
            .push(Box::new(Xcom(folder.join("return.json"))));
    }
    Ok(())
}

#[derive(Debug)]
struct Xcom(std::path::PathBuf);

impl Telling for Xcom {
    fn ends(&mut self, ending: &Ending) -> Result<(), Fault> {
        write(&self.0, &ending.results())
    }

    fn counts(&mut self, list: &str) -> Result<(), Fault> {
        write(&self.0, list)
    }
}
