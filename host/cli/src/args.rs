//! The command line.

pub(crate) mod artifact;
pub(crate) mod pipeline;
pub(crate) mod step;

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use jiff::Timestamp;
use wharf_model::grants::Grant;
use wharf_model::limits::{Bytes, Limits, Millis};
use wharf_model::request::{Binding, BindingKind, StepReference};

use crate::found::RunReference;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Runs a pipeline step that is one WebAssembly component: with the artifacts
/// and permissions that it is given, and nothing else.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, styles = STYLES, max_term_width = 100)]
#[command(after_help = "Example: wharf run train.wasm data=cancer.csv model=model.json epochs=200")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Whether the output is for programs.
    pub(crate) fn json(&self) -> bool {
        match &self.command {
            Command::Run(args) => args.json,
            Command::Inspect(args) => args.json,
            Command::Runs(args) => args.json,
            Command::Show(args) => args.json,
            Command::Replay(args) => args.json,
            Command::Report(_) => false,
            Command::Pipeline(args) => args.json(),
            Command::Artifact(args) => args.json(),
            Command::Gc(args) => args.common.json,
            Command::Verify(args) => args.common.json,
            Command::Doctor(args) => args.json,
            Command::Step(_) | Command::Completions(_) => false,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a step
    Run(Box<Run>),
    /// Show what a component offers to run, and what it needs
    Inspect(Inspect),
    /// List the runs in the store, newest first
    Runs(Runs),
    /// Show the record of a run
    Show(Show),
    /// Run what a record says again, and compare what comes of it
    Replay(Replay),
    /// Write a page about a run, for a browser
    Report(Report),
    /// Check, run and draw pipelines
    Pipeline(pipeline::Pipeline),
    /// Run one step of a pipeline that is in a store, as the task of an orchestrator
    Step(step::Step),
    /// Keep, find and move named artifacts
    Artifact(Box<artifact::Artifact>),
    /// Remove blobs that nothing names
    Gc(artifact::Gc),
    /// Read every blob that something names, and report what is missing or damaged
    Verify(artifact::Verify),
    /// Show what this machine offers to Wharf
    Doctor(Doctor),
    /// Print completions for a shell
    Completions(Completions),
}

/// Run a step
///
/// The signature of the step says which NAME is a value, an input or an output:
/// values are given as text or JSON, inputs and outputs as paths. Outputs appear
/// when the step has succeeded, each by one atomic rename; otherwise nothing
/// does.
///
/// The results go to standard output as JSON, everything else to standard error.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wharf run train.wasm data=cancer.csv model=model.json epochs=200
  wharf run steps.wasm#evaluate data=cancer.csv model=model.json --json
  wharf run wordcount.wasm --in text=book.txt --out counts=counts.tsv -- --top=10")]
pub(crate) struct Run {
    /// The component, and after `#` the function where it has several
    #[arg(value_name = "STEP.wasm[#FUNCTION]")]
    pub(crate) step: StepReference,

    /// What the parameters are; for a program, NAME=VALUE becomes the argument --NAME=VALUE
    #[arg(value_name = "NAME=VALUE", value_parser = parse_binding)]
    pub(crate) bindings: Vec<Binding>,

    /// Arguments for a program (wasi:cli/run), after `--`
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<String>,

    /// An input of a program: it finds it at /in/NAME
    #[arg(long = "in", value_name = "NAME=PATH", value_parser = parse_input)]
    pub(crate) inputs: Vec<Binding>,

    /// An output of a program, written at /out/NAME; a path that ends with `/` is a folder
    #[arg(long = "out", value_name = "NAME=PATH", value_parser = parse_output)]
    pub(crate) outputs: Vec<Binding>,

    /// Take values of parameters from a file with one JSON object (`-` for standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) params: Option<PathBuf>,

    /// Replace outputs that exist: files, and folders with all that is in them
    #[arg(long)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) world: World,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    #[command(flatten)]
    pub(crate) places: Places,

    /// Keep no record of the run
    #[arg(long, help_heading = "Output")]
    pub(crate) no_record: bool,

    /// Print the record as JSON, and events as JSON lines to standard error
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,

    /// Print nothing but results and errors
    #[arg(long, short, help_heading = "Output", conflicts_with = "json")]
    pub(crate) quiet: bool,
}

/// What the step sees beyond its parameters.
#[derive(Debug, Args)]
#[command(next_help_heading = "What the step sees")]
pub(crate) struct World {
    /// Grant something: clock (the time of day, real sleep), entropy (true randomness), env:NAME
    #[arg(long = "allow", value_name = "GRANT")]
    pub(crate) grants: Vec<Grant>,

    /// The seed of all randomness [default: derived from step, parameters and inputs]
    #[arg(long, value_name = "NUMBER", value_parser = parse_count)]
    pub(crate) seed: Option<u64>,

    /// Where the virtual clock starts [default: 2000-01-01T00:00:00Z]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) logical_time: Option<Timestamp>,

    /// The partition that the run is for
    #[arg(long, value_name = "NAME")]
    pub(crate) partition: Option<String>,
}

/// What bounds the run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Memory, over all linear memories and tables [default: 1GiB]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Bytes>,

    /// Wall time [default: 1h]
    #[arg(long, value_name = "TIME")]
    timeout: Option<Millis>,

    /// Fuel, about one unit an instruction: the same on every machine [default: none]
    #[arg(long, value_name = "UNITS", value_parser = parse_count)]
    fuel: Option<u64>,

    /// Bytes written to outputs [default: 16GiB]
    #[arg(long, value_name = "SIZE")]
    max_output: Option<Bytes>,

    /// Bytes logged and printed [default: 4MiB]
    #[arg(long, value_name = "SIZE")]
    max_log: Option<Bytes>,

    /// Handles open at a time [default: 1024]
    #[arg(long, value_name = "COUNT")]
    max_handles: Option<u32>,

    /// Size of the component [default: 128MiB]
    #[arg(long, value_name = "SIZE")]
    max_component: Option<Bytes>,

    /// Wall time to compile the component [default: 2m]
    #[arg(long, value_name = "TIME")]
    compile_timeout: Option<Millis>,

    /// Address space to compile the component [default: 4GiB]
    #[arg(long, value_name = "SIZE")]
    compile_memory: Option<Bytes>,
}

impl LimitArgs {
    pub(crate) fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            memory: self.memory.unwrap_or(default.memory),
            time: self.timeout.unwrap_or(default.time),
            fuel: self.fuel.or(default.fuel),
            output: self.max_output.unwrap_or(default.output),
            log: self.max_log.unwrap_or(default.log),
            handles: self.max_handles.unwrap_or(default.handles),
            component: self.max_component.unwrap_or(default.component),
            compile_time: self.compile_timeout.unwrap_or(default.compile_time),
            compile_memory: self.compile_memory.unwrap_or(default.compile_memory),
        }
    }
}

/// Where Wharf keeps things.
#[derive(Debug, Args)]
#[command(next_help_heading = "Places")]
pub(crate) struct Places {
    /// The store: a folder, or s3://, gs:// or az://BUCKET/PATH [default: the nearest .wharf, else one here]
    /// [env: WHARF_STORE]
    // Not clap's `env`: a stack that was named comes before the variable, and what was
    // typed before both.
    #[arg(long, value_name = "STORE", value_parser = folder(), verbatim_doc_comment)]
    pub(crate) store: Option<PathBuf>,

    /// The folder of compiled code [default: wharf/compiled in the user's cache]
    #[arg(long, value_name = "FOLDER", env = "WHARF_CACHE", value_parser = folder())]
    pub(crate) cache: Option<PathBuf>,
}

/// The store of runs and artifacts that exist.
#[derive(Debug, Args)]
pub(crate) struct InStore {
    /// The stack in stack.toml whose store is meant [default: what the file says]
    #[arg(long, value_name = "NAME", env = "WHARF_STACK")]
    pub(crate) stack: Option<String>,

    /// The file of stacks [default: stack.toml here]
    #[arg(long, value_name = "FILE")]
    pub(crate) stack_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) places: Places,
}

/// Show what a component offers to run, and what it needs
#[derive(Debug, Args)]
#[command(after_help = "Example: wharf inspect train.wasm")]
pub(crate) struct Inspect {
    /// The component
    #[arg(value_name = "STEP.wasm[#FUNCTION]")]
    pub(crate) step: StepReference,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    /// The folder of compiled code [default: wharf/compiled in the user's cache]
    #[arg(long, value_name = "FOLDER", env = "WHARF_CACHE", value_parser = folder())]
    pub(crate) cache: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// List the runs in the store, newest first
#[derive(Debug, Args)]
#[command(after_help = "Example: wharf runs --limit 5")]
pub(crate) struct Runs {
    /// How many to list
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20, value_parser = parse_count)]
    pub(crate) limit: u64,

    #[command(flatten)]
    pub(crate) within: InStore,

    /// Print the records as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show the record of a run
///
/// Of a pipeline, how its steps ended; RUN/STEP shows the record of one of them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wharf show last
  wharf show 3f9c2a --logs
  wharf show last/train
  wharf show last/score[3]")]
pub(crate) struct Show {
    /// The id of the run, its beginning or end, or `last`; and a step, where it is a pipeline's
    #[arg(value_name = "RUN[/STEP]")]
    pub(crate) run: RunReference,

    /// Show what the step logged and printed, too
    #[arg(long)]
    pub(crate) logs: bool,

    #[command(flatten)]
    pub(crate) within: InStore,

    /// Print the record as JSON (with --logs, then the events as JSON lines)
    #[arg(long)]
    pub(crate) json: bool,
}

/// Run what a record says again, and compare what comes of it
///
/// Each step is given the component, parameters, inputs, seed and logical time that its
/// record names, in a store that is new and goes away. What it makes must have the same
/// digests. The exit code is 0 where all of it has.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wharf replay last
  wharf replay 3f9c2a/train")]
pub(crate) struct Replay {
    /// The id of the run, its beginning or end, or `last`; and a step, where it is a pipeline's
    #[arg(value_name = "RUN[/STEP]")]
    pub(crate) run: RunReference,

    /// Permit again what a step was granted (clock, entropy, env:NAME)
    #[arg(long = "allow", value_name = "GRANT")]
    pub(crate) grants: Vec<Grant>,

    /// Steps that run at a time [default: one for each core]
    #[arg(long, value_name = "COUNT", value_parser = at_least_one())]
    pub(crate) parallelism: Option<u16>,

    #[command(flatten)]
    pub(crate) within: InStore,

    /// Print the verdicts as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write a page about a run, for a browser
///
/// The page is one HTML file that needs nothing from elsewhere: how a pipeline went, or
/// a single run of a step, with its graph, times, results, metrics, logs and lineage.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  wharf report last --html
  wharf report 3f9c2a --html -o report.html")]
pub(crate) struct Report {
    /// The id of the run of a pipeline or a step, its beginning or end, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,

    /// As a page of HTML
    #[arg(long, required = true)]
    pub(crate) html: bool,

    /// Where it is written, `-` for standard output [default: wharf-RUN.html here]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) within: InStore,
}

/// Show what this machine offers to Wharf
#[derive(Debug, Args)]
#[command(after_help = "Example: wharf doctor")]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) places: Places,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example: wharf completions bash > ~/.local/share/bash-completion/completions/wharf"
)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

/// A folder, which may be empty: an empty variable is as good as none.
fn folder() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// A count that is not nothing.
fn at_least_one() -> impl TypedValueParser<Value = u16> {
    clap::value_parser!(u16).range(1..)
}

fn parse_count(text: &str) -> Result<u64, String> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    digits
        .parse()
        .map_err(|_| "write a whole number from 0 on, such as 1000000 or 1_000_000".to_owned())
}

fn parse_binding(text: &str) -> Result<Binding, String> {
    Binding::parse(text, BindingKind::BySignature).map_err(|error| error.to_string())
}

fn parse_input(text: &str) -> Result<Binding, String> {
    Binding::parse(text, BindingKind::Input).map_err(|error| artifact(&error.to_string()))
}

fn parse_output(text: &str) -> Result<Binding, String> {
    Binding::parse(text, BindingKind::Output).map_err(|error| artifact(&error.to_string()))
}

fn artifact(message: &str) -> String {
    message.replace("NAME=VALUE", "NAME=PATH")
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let day = format!("{text}T00:00:00Z");
    let time = text.parse().or_else(|_| day.parse());
    time.map_err(|_| {
        "write a time in UTC such as 2013-01-31T00:00:00Z, or a day such as 2013-01-31".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(help.contains("Example"), "{}", command.get_name());
        }
    }

    #[test]
    fn the_help_states_the_real_default_limits() {
        let command = Cli::command();
        let run = command.find_subcommand("run").unwrap();
        let stated = |id: &str| {
            let help = run
                .get_arguments()
                .find(|arg| arg.get_id() == id)
                .unwrap()
                .get_help()
                .unwrap()
                .to_string();
            let default = help.split("[default: ").nth(1).unwrap();
            default.trim_end_matches(']').to_owned()
        };
        let limits = Limits::default();
        for (id, bytes) in [
            ("memory", limits.memory),
            ("max_output", limits.output),
            ("max_log", limits.log),
            ("max_component", limits.component),
            ("compile_memory", limits.compile_memory),
        ] {
            assert_eq!(stated(id).parse(), Ok(bytes), "{id}");
        }
        for (id, millis) in [
            ("timeout", limits.time),
            ("compile_timeout", limits.compile_time),
        ] {
            assert_eq!(stated(id).parse(), Ok(millis), "{id}");
        }
        assert_eq!(stated("max_handles"), limits.handles.to_string());
    }

    #[test]
    fn days_are_times() {
        assert_eq!(parse_time("2013-01-31"), parse_time("2013-01-31T00:00:00Z"));
        assert!(parse_time("yesterday").is_err());
    }
}
