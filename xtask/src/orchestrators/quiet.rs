//! What keeps the systems from reporting to those that make them.

/// Variables for everything that runs a system; the inventory has them for tests.
pub(super) fn environment() -> std::collections::BTreeMap<&'static str, &'static str> {
    [
        // Not a standard, and heeded by several: Prefect among them.
        ("DO_NOT_TRACK", "1"),
        ("ANONYMIZED_TELEMETRY", "false"),
        // Airflow up to 3.2 and some providers.
        ("SCARF_ANALYTICS", "false"),
        ("AIRFLOW__USAGE_DATA_COLLECTION__ENABLED", "False"),
        ("DAGSTER_DISABLE_TELEMETRY", "yes"),
        ("PREFECT_SERVER_ANALYTICS_ENABLED", "false"),
        ("PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY", "false"),
        ("PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS", "false"),
        ("ZENML_ANALYTICS_OPT_IN", "false"),
        // Asks whether there is a newer version.
        ("ACT_DISABLE_VERSION_CHECK", "1"),
        ("NO_UPDATE_NOTIFIER", "1"),
        // Traces go nowhere, whatever the machine is set up for.
        ("OTEL_SDK_DISABLED", "true"),
    ]
    .into()
}
