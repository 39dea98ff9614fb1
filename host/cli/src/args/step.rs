//! The command line of `wharf step`: what the tasks of orchestrators run.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use wharf_model::Digest;
use wharf_model::request::Binding;
use wharf_model::stack::SecretReference;

use super::{Places, parse_binding};

/// Run one step of a pipeline that is in a store, as the task of an orchestrator
///
/// `wharf pipeline compile` writes files whose tasks do this; nobody needs to type it,
/// but who wants to try a task.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  wharf step exec --store s3://bucket/wharf --pipeline sha256:4f6e... --step train --run-id 42")]
pub(crate) struct Step {
    #[command(subcommand)]
    pub(crate) command: StepCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StepCommand {
    /// Run a step, or an item of it; what it needs must have been run
    ///
    /// What the step returns goes to standard output, as one line of JSON; all else to
    /// standard error. Exit codes: 0 it succeeded, or was committed before; 1 and 2 it
    /// failed for good; 75 trying again may help; 99 it was skipped.
    Exec(Box<Exec>),
    /// Print the items that a step with `foreach` runs for, as a JSON list of numbers
    Items(Box<Items>),
}

/// Which task of which run.
#[derive(Debug, Args)]
pub(crate) struct OfRun {
    /// The pipeline: the digest of its lock in the store
    #[arg(long, value_name = "DIGEST")]
    pub(crate) pipeline: Digest,

    /// The step
    #[arg(long, value_name = "STEP")]
    pub(crate) step: String,

    /// What the orchestrator calls the run; the same for all of its tasks
    #[arg(long, value_name = "ID", env = "WHARF_RUN_ID")]
    pub(crate) run_id: Option<String>,

    /// What the parameters of the pipeline are; an artifact that is given as nothing is the default
    #[arg(value_name = "NAME=VALUE", value_parser = parse_binding)]
    pub(crate) bindings: Vec<Binding>,

    /// The same, as a JSON object
    #[arg(long, value_name = "JSON", env = "WHARF_PARAMETERS")]
    pub(crate) parameters: Option<String>,

    /// The same, as a JSON object of texts that are read as NAME=VALUE are; WHARF_PARAMETER_NAME is one
    #[arg(long, value_name = "JSON", env = "WHARF_ARGUMENTS")]
    pub(crate) arguments: Option<String>,

    /// What Kubeflow Pipelines hands to its tasks: {{$}}
    #[arg(long, value_name = "JSON")]
    pub(crate) executor_input: Option<String>,

    /// The partition that the run is for
    #[arg(long, value_name = "PARTITION", env = "WHARF_PARTITION")]
    pub(crate) partition: Option<String>,

    /// Without one: the last month or day that had ended at this time, when a schedule fired
    ///
    /// 2013-02-01T05:00:00Z[Europe/Berlin] says whose days are meant. The name of a Job that
    /// a CronJob has made will do, too: it ends with the time.
    #[arg(long, value_name = "TIME", env = "WHARF_PARTITION_BEFORE")]
    pub(crate) partition_before: Option<String>,

    /// The time zone whose days and months are meant, where the time does not say it
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) timezone: String,

    /// The exit code of a step that is skipped; its list of items is empty
    #[arg(long, value_name = "CODE", default_value_t = wharf_model::exit::ExitCode::Skipped as u8)]
    pub(crate) skip_exit_code: u8,

    /// Write what the step returns, or the list of items, to this file, too
    #[arg(long, value_name = "FILE")]
    pub(crate) results_to: Option<PathBuf>,

    /// A setting of the store that is secret, by reference: env:NAME or file:PATH
    #[arg(long = "secret", value_name = "NAME=REFERENCE", value_parser = parse_secret)]
    pub(crate) secrets: Vec<(String, SecretReference)>,

    /// The orchestrator that it runs in [default: what the environment says]
    #[arg(long, value_name = "NAME", env = "WHARF_ORCHESTRATOR")]
    pub(crate) orchestrator: Option<Orchestrator>,

    #[command(flatten)]
    pub(crate) places: Places,
}

#[derive(Debug, Args)]
pub(crate) struct Exec {
    #[command(flatten)]
    pub(crate) of: OfRun,

    /// The item of a step with `foreach`, counted from 0 on [default: all of them]
    #[arg(long, value_name = "NUMBER", env = "WHARF_ITEM")]
    pub(crate) item: Option<String>,

    /// Which attempt at the task this is, from 1 on [default: what the orchestrator says]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) attempt: Option<u32>,

    /// Who tries again where that may help
    #[arg(long, value_enum, default_value_t = WhoRetries::Orchestrator)]
    pub(crate) retries: WhoRetries,

    /// Write how the task ended to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) ending_to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Items {
    #[command(flatten)]
    pub(crate) of: OfRun,
}

/// Who tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhoRetries {
    /// The orchestrator: the task ends with 75
    Orchestrator,
    /// The host, in the task, as often as the step says
    Step,
}

/// Where a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Orchestrator {
    /// Nowhere that needs to be told anything
    None,
    /// Apache Airflow
    Airflow,
    /// Argo Workflows
    Argo,
    /// Dagster, through Pipes
    Dagster,
    /// GitHub Actions
    GithubActions,
    /// Kubeflow Pipelines
    Kfp,
    /// A pod of Kubernetes
    Kubernetes,
    /// Tekton
    Tekton,
}

fn parse_secret(text: &str) -> Result<(String, SecretReference), String> {
    let (name, reference) = text
        .split_once('=')
        .ok_or("write NAME=env:VARIABLE or NAME=file:PATH")?;
    // Whatever it is, it is not shown: it may be the secret itself.
    let reference = reference.parse().map_err(|error| format!("{error}"))?;
    Ok((name.to_owned(), reference))
}
