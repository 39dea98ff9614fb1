//! A test for each orchestrator.

/// Makes a test for each orchestrator, by name. One that this machine does not have is
/// told, and left out.
macro_rules! orchestrator {
    (|$system:ident, $installed:ident| $check:block) => {
        fn check(name: &str) -> anyhow::Result<()> {
            use anyhow::Context;
            use wharf_orchestrators::{Installed, Inventory, System, systems};
            let $system: &dyn System = systems::named(name).context("there is no such system")?;
            let installed = Inventory::read()?.of($system);
            let installed: Installed = match installed {
                Ok(installed) => installed,
                Err(reason) => {
                    println!("SKIPPED {name}: {reason}");
                    return Ok(());
                }
            };
            let $installed = &installed;
            $check
        }

        $crate::each::tests!(
            airflow: "airflow",
            dagster: "dagster",
            prefect: "prefect",
            metaflow: "metaflow",
            snakemake: "snakemake",
            cwl: "cwl",
            zenml: "zenml",
            github_actions: "github-actions",
            kfp: "kfp",
            kubernetes: "kubernetes",
            argo: "argo"
        );
    };
}

macro_rules! tests {
    ($($test:ident: $name:literal),+) => {
        $(
            #[test]
            fn $test() -> anyhow::Result<()> {
                check($name)
            }
        )+

        /// Nobody is forgotten above.
        #[test]
        fn all_of_them() {
            let all = wharf_orchestrators::systems::ALL.map(|system| system.target());
            assert_eq!(all, [$($name),+]);
        }
    };
}

pub(crate) use orchestrator;
pub(crate) use tests;
