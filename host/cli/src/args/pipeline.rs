//! The command line of `wharf pipeline`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use wharf_model::grants::Grant;
use wharf_model::limits::Bytes;
use wharf_model::request::Binding;
use wharf_targets::Target;

use super::{Places, at_least_one, folder, parse_binding, parse_time};

/// Check, run and draw pipelines
///
/// A pipeline is a file that says which steps there are, what each is given, and
/// nothing about where it runs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wharf pipeline check pipeline.yaml
  wharf pipeline run pipeline.yaml epochs=50 data=cancer.csv
  wharf pipeline run monthly.yaml --from 2013-01 --to 2013-12")]
pub(crate) struct Pipeline {
    #[command(subcommand)]
    pub(crate) command: PipelineCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PipelineCommand {
    /// Check a pipeline against the signatures of its steps, and run nothing
    Check(Check),
    /// Say what a run would do, and why, and do nothing
    Plan(Box<RunPipeline>),
    /// Run a pipeline: what is committed already is not run again
    Run(Box<RunPipeline>),
    /// Draw a pipeline
    Graph(Graph),
    /// Keep a pipeline in the store, with all that it needs, and print its digest
    Lock(Lock),
    /// Write a pipeline in the language of an orchestrator
    Compile(Compile),
    /// Show what each orchestrator expresses of pipelines and stacks
    Targets(Targets),
    /// Say what changes for a pipeline that moves from one orchestrator to another
    Diff(Diff),
}

#[derive(Debug, Args)]
#[command(after_help = "Example: wharf pipeline check pipeline.yaml")]
pub(crate) struct Check {
    /// The pipeline
    #[arg(value_name = "PIPELINE.yaml")]
    pub(crate) file: PathBuf,

    /// The folder of compiled code [default: wharf/compiled in the user's cache]
    #[arg(long, value_name = "FOLDER", env = "WHARF_CACHE", value_parser = folder())]
    pub(crate) cache: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Keep a pipeline in the store, with all that it needs, and print its digest
///
/// That is what the tasks of orchestrators are given (`wharf step exec`): the pipeline, its
/// components, the files that it names, and what the stack permits, all as they are now.
/// The same has the same digest.
#[derive(Debug, Args)]
#[command(after_help = "Example: wharf pipeline lock pipeline.yaml --stack prod")]
pub(crate) struct Lock {
    /// The pipeline
    #[arg(value_name = "PIPELINE.yaml")]
    pub(crate) file: PathBuf,

    /// Parameters that no run can choose any more
    #[arg(value_name = "NAME=VALUE", value_parser = parse_binding)]
    pub(crate) bindings: Vec<Binding>,

    #[command(flatten)]
    pub(crate) on: OnStack,
}

/// Write a pipeline in the language of an orchestrator
///
/// The pipeline is kept in the store, as by `wharf pipeline lock`. Each task runs
/// `wharf step exec`, and needs that program and the store. What the orchestrator cannot
/// express is refused, by the key that asks for it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wharf pipeline compile pipeline.yaml --target airflow -o dags
  wharf pipeline compile pipeline.yaml --target argo --stack prod -o deploy epochs=50")]
pub(crate) struct Compile {
    /// The pipeline
    #[arg(value_name = "PIPELINE.yaml")]
    pub(crate) file: PathBuf,

    /// Parameters that no run can choose any more
    #[arg(value_name = "NAME=VALUE", value_parser = parse_binding)]
    pub(crate) bindings: Vec<Binding>,

    /// The orchestrator; `wharf pipeline targets` lists them
    #[arg(long, value_name = "TARGET")]
    pub(crate) target: Target,

    /// The folder that files are written to; `-` prints them
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) output: PathBuf,

    /// Replace files that were not made by this
    #[arg(long)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) on: OnStack,

    /// Print JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wharf pipeline targets
  wharf pipeline targets airflow")]
pub(crate) struct Targets {
    /// Only this one, and how it expresses each thing
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<Target>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example: wharf pipeline diff pipeline.yaml --from airflow --to argo --stack prod"
)]
pub(crate) struct Diff {
    /// The pipeline
    #[arg(value_name = "PIPELINE.yaml")]
    pub(crate) file: PathBuf,

    /// Parameters that no run can choose
    #[arg(value_name = "NAME=VALUE", value_parser = parse_binding)]
    pub(crate) bindings: Vec<Binding>,

    /// The orchestrator that it runs in
    #[arg(long, value_name = "TARGET")]
    pub(crate) from: Target,

    /// The orchestrator that it moves to
    #[arg(long, value_name = "TARGET")]
    pub(crate) to: Target,

    #[command(flatten)]
    pub(crate) on: OnStack,

    /// Print JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wharf pipeline graph pipeline.yaml --format svg > pipeline.svg
  wharf pipeline graph pipeline.yaml --format dot | dot -Tpdf > pipeline.pdf")]
pub(crate) struct Graph {
    /// The pipeline
    #[arg(value_name = "PIPELINE.yaml")]
    pub(crate) file: PathBuf,

    /// How it is drawn
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    pub(crate) format: Format,

    /// The folder of compiled code [default: wharf/compiled in the user's cache]
    #[arg(long, value_name = "FOLDER", env = "WHARF_CACHE", value_parser = folder())]
    pub(crate) cache: Option<PathBuf>,
}

/// A way to draw a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For Markdown
    Mermaid,
    /// For Graphviz
    Dot,
    /// A picture, for browsers and whatever shows pictures
    Svg,
}

/// Run a pipeline
///
/// A step that was committed with the same component, parameters, inputs, seed and
/// grants is not run again: a run that was interrupted goes on where it was.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wharf pipeline run pipeline.yaml epochs=50 data=cancer.csv
  wharf pipeline run pipeline.yaml --from train
  wharf pipeline run monthly.yaml --from 2013-01 --to 2013-12")]
pub(crate) struct RunPipeline {
    /// The pipeline
    #[arg(value_name = "PIPELINE.yaml")]
    pub(crate) file: PathBuf,

    /// What its parameters are: a value, the path of an artifact, or artifact:REF
    #[arg(value_name = "NAME=VALUE", value_parser = parse_binding)]
    pub(crate) bindings: Vec<Binding>,

    /// Run only this step; what it needs must be committed
    #[arg(long, value_name = "STEP", help_heading = "Steps")]
    pub(crate) only: Vec<String>,

    /// Run this step anew, and all that depend on it; with --to, the first partition
    #[arg(long, value_name = "STEP|PARTITION", help_heading = "Steps")]
    pub(crate) from: Vec<String>,

    /// Run all steps anew
    #[arg(long, help_heading = "Steps")]
    pub(crate) no_cache: bool,

    /// Go on with steps that do not depend on one that failed
    #[arg(long, help_heading = "Steps")]
    pub(crate) continue_on_error: bool,

    /// Run for one partition
    #[arg(
        long,
        value_name = "PARTITION",
        help_heading = "Partitions",
        conflicts_with = "to"
    )]
    pub(crate) partition: Option<String>,

    /// Run for all partitions from --from to this one
    #[arg(
        long,
        value_name = "PARTITION",
        help_heading = "Partitions",
        requires = "from"
    )]
    pub(crate) to: Option<String>,

    /// Where the virtual clocks start [default: the partition's date, else 2000-01-01T00:00:00Z]
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = "Partitions")]
    pub(crate) logical_time: Option<Timestamp>,

    #[command(flatten)]
    pub(crate) on: OnStack,

    /// Print how each step ended as JSON, and events as JSON lines to standard error
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,

    /// Print nothing but errors
    #[arg(long, short, help_heading = "Output", conflicts_with = "json")]
    pub(crate) quiet: bool,
}

/// Where the pipeline runs, and what it may do there.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where it runs")]
pub(crate) struct OnStack {
    /// The stack in stack.toml that says all this [default: what the file says]
    #[arg(long, value_name = "NAME", env = "WHARF_STACK")]
    pub(crate) stack: Option<String>,

    /// The file of stacks [default: stack.toml beside the pipeline]
    #[arg(long, value_name = "FILE")]
    pub(crate) stack_file: Option<PathBuf>,

    /// Steps that run at a time [default: one for each core]
    #[arg(long, value_name = "COUNT", value_parser = at_least_one())]
    pub(crate) parallelism: Option<u16>,

    /// The memory limits of all steps that run at a time, together [default: the machine's]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<Bytes>,

    /// Without a stack: permit what steps ask for (clock, entropy, env:NAME)
    #[arg(long = "allow", value_name = "GRANT")]
    pub(crate) grants: Vec<Grant>,

    #[command(flatten)]
    pub(crate) places: Places,
}

impl Pipeline {
    pub(crate) fn json(&self) -> bool {
        match &self.command {
            PipelineCommand::Check(args) => args.json,
            PipelineCommand::Run(args) | PipelineCommand::Plan(args) => args.json,
            PipelineCommand::Graph(_) | PipelineCommand::Lock(_) => false,
            PipelineCommand::Compile(args) => args.json,
            PipelineCommand::Targets(args) => args.json,
            PipelineCommand::Diff(args) => args.json,
        }
    }
}
