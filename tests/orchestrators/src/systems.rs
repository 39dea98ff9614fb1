//! The orchestrators.

mod airflow;
mod containers;
mod github_actions;
mod python;

use crate::System;
use containers::{Contained, Driver};
use python::Driven;

/// All of them.
pub const ALL: [&dyn System; 11] = [
    &airflow::Airflow,
    &Driven {
        target: "dagster",
        installed_as: "dagster",
        variables: &[("DAGSTER_HOME", "HOME")],
        files: &[("dagster.yaml", "telemetry: { enabled: false }\n")],
    },
    &Driven {
        target: "prefect",
        installed_as: "prefect",
        variables: &[("PREFECT_HOME", "HOME"), ("PREFECT_LOGGING_LEVEL", "ERROR")],
        files: &[],
    },
    &Driven {
        target: "metaflow",
        installed_as: "metaflow",
        variables: &[
            ("USERNAME", "wharf"),
            ("METAFLOW_HOME", "HOME"),
            ("METAFLOW_DATASTORE_SYSROOT_LOCAL", "HOME/store"),
            ("METAFLOW_DEFAULT_METADATA", "local"),
        ],
        files: &[],
    },
    &Driven {
        target: "snakemake",
        installed_as: "snakemake",
        variables: &[("XDG_CACHE_HOME", "HOME")],
        files: &[],
    },
    &Driven {
        target: "cwl",
        installed_as: "cwltool",
        variables: &[],
        files: &[],
    },
    &Driven {
        target: "zenml",
        installed_as: "zenml",
        variables: &[
            ("ZENML_CONFIG_PATH", "HOME/config"),
            ("ZENML_LOCAL_STORES_PATH", "HOME/stores"),
            ("ZENML_ENABLE_RICH_TRACEBACK", "false"),
            ("ZENML_LOGGING_COLORS_DISABLED", "true"),
        ],
        files: &[],
    },
    &github_actions::GithubActions,
    &Contained {
        target: "kfp",
        installed_as: "kfp",
        needs: &["podman"],
        driver: Driver::Python,
    },
    &Contained {
        target: "kubernetes",
        installed_as: "podman",
        needs: &["checkers"],
        driver: Driver::Python,
    },
    &Contained {
        target: "argo",
        installed_as: "argo",
        needs: &["podman"],
        driver: Driver::Program("argo-controller", &["-test.run", "^TestWharf$"]),
    },
];

/// The one with a name.
#[must_use]
pub fn named(target: &str) -> Option<&'static dyn System> {
    ALL.into_iter().find(|system| system.target() == target)
}
