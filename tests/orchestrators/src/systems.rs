//! The orchestrators.

mod airflow;
mod python;

use crate::System;
use python::Driven;

/// All of them.
pub const ALL: [&dyn System; 7] = [
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
];

/// The one with a name.
#[must_use]
pub fn named(target: &str) -> Option<&'static dyn System> {
    ALL.into_iter().find(|system| system.target() == target)
}
