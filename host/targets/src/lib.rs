//! Writes a pipeline in the language of an orchestrator.
//!
//! ```text
//! Checked + Deployment -> Workflow -> refusals | files
//!           model         workflow    feature    airflow, kfp, argo, ...
//! ```
//!
//! A [`Workflow`] is what all orchestrators have in common: tasks, what each waits for,
//! and how the task is started. Each target writes it as somebody would who knows that
//! system, in a module of its own. Every task runs `wharf step exec`; the pipeline itself
//! is in the store, so that a task needs the `wharf` binary and the store, and nothing
//! else.
//!
//! What a target cannot express is refused by name ([`Refusal`]), never left out.
//!
//! Nothing here reads a file, opens a store or knows wasmtime: text is made of data.
#![deny(missing_docs)]

mod airflow;
mod argo;
mod cwl;
mod dagster;
pub mod diff;
pub mod feature;
mod github_actions;
mod kfp;
mod kubernetes;
mod made;
mod metaflow;
mod names;
mod pods;
mod prefect;
mod python;
mod refusal;
mod script;
mod shell;
mod snakemake;
mod tekton;
#[cfg(test)]
mod tests;
mod workflow;
mod yaml;
mod zenml;

use std::fmt;
use std::str::FromStr;

pub use feature::{Feature, Level, Support};
pub use refusal::Refusal;
pub use workflow::{
    Deployment, Items, Kubernetes, Output, Parameter, ParameterKind, Schedule, Source, Task,
    Workflow,
};

/// An orchestrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Apache Airflow 3.
    Airflow,
    /// Kubeflow Pipelines.
    Kfp,
    /// Argo Workflows.
    Argo,
    /// Kubernetes.
    Kubernetes,
    /// Dagster.
    Dagster,
    /// Prefect.
    Prefect,
    /// Metaflow.
    Metaflow,
    /// Snakemake.
    Snakemake,
    /// Common Workflow Language.
    Cwl,
    /// GitHub Actions.
    GithubActions,
    /// Tekton.
    Tekton,
    /// ZenML.
    Zenml,
}

impl Target {
    /// All of them, by name.
    pub const ALL: [Self; 12] = [
        Self::Airflow,
        Self::Kfp,
        Self::Argo,
        Self::Kubernetes,
        Self::Dagster,
        Self::Prefect,
        Self::Metaflow,
        Self::Snakemake,
        Self::Cwl,
        Self::GithubActions,
        Self::Tekton,
        Self::Zenml,
    ];

    /// What the command line calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Airflow => "airflow",
            Self::Kfp => "kfp",
            Self::Argo => "argo",
            Self::Kubernetes => "kubernetes",
            Self::Dagster => "dagster",
            Self::Prefect => "prefect",
            Self::Metaflow => "metaflow",
            Self::Snakemake => "snakemake",
            Self::Cwl => "cwl",
            Self::GithubActions => "github-actions",
            Self::Tekton => "tekton",
            Self::Zenml => "zenml",
        }
    }

    /// What it calls itself.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Airflow => "Apache Airflow",
            Self::Kfp => "Kubeflow Pipelines",
            Self::Argo => "Argo Workflows",
            Self::Kubernetes => "Kubernetes",
            Self::Dagster => "Dagster",
            Self::Prefect => "Prefect",
            Self::Metaflow => "Metaflow",
            Self::Snakemake => "Snakemake",
            Self::Cwl => "Common Workflow Language",
            Self::GithubActions => "GitHub Actions",
            Self::Tekton => "Tekton",
            Self::Zenml => "ZenML",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownTarget {
    name: String,
}

impl fmt::Display for UnknownTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Target::ALL.map(Target::name);
        write!(f, "there is no target `{}`", self.name)?;
        match wharf_model::nearest(&self.name, names) {
            Some(near) => write!(f, "; did you mean `{near}`?"),
            None => write!(f, "; there are {}", names.join(", ")),
        }
    }
}

impl std::error::Error for UnknownTarget {}

impl FromStr for Target {
    type Err = UnknownTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|target| target.name() == text);
        found.ok_or_else(|| UnknownTarget {
            name: text.to_owned(),
        })
    }
}

/// A file that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path, relative to the folder of all of them.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// Writes a workflow in the language of a target. The same workflow gives the same bytes.
///
/// # Errors
/// All that the target cannot express, or needs and is not given.
pub fn compile(target: Target, workflow: &Workflow) -> Result<Vec<File>, Vec<Refusal>> {
    let refusals = feature::refusals(target, workflow);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    match target {
        Target::Airflow => airflow::compile(workflow),
        Target::Kfp => kfp::compile(workflow),
        Target::Argo => argo::compile(workflow),
        Target::Kubernetes => kubernetes::compile(workflow),
        Target::Dagster => dagster::compile(workflow),
        Target::Prefect => prefect::compile(workflow),
        Target::Metaflow => metaflow::compile(workflow),
        Target::Snakemake => snakemake::compile(workflow),
        Target::Cwl => cwl::compile(workflow),
        Target::GithubActions => github_actions::compile(workflow),
        Target::Tekton => tekton::compile(workflow),
        Target::Zenml => zenml::compile(workflow),
    }
}
