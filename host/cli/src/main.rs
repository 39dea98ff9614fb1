//! The `wharf` command: arguments in, a report and an exit code out.
//!
//! Everything that knows the outside world (arguments, environment, clock,
//! terminal, signals) is in this package; the rest of Wharf is given what it
//! needs.

mod args;
mod commands;
#[cfg(test)]
mod docs;
mod ending;
mod found;
mod orchestrator;
mod parameters;
mod report;
mod stack;
mod surroundings;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind as ClapKind;
use wharf_model::{ErrorKind, Fault};

use args::Cli;
use ending::Ending;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    // Not parsed by clap: it is no command for people, and starts often.
    if arguments
        .get(1)
        .is_some_and(|first| first == surroundings::COMPILE_COMMAND)
    {
        return compile_child(&arguments[2..]);
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            return refuse(
                &error,
                arguments.iter().any(|argument| argument == "--json"),
            );
        }
    };
    let json = cli.json();
    surroundings::trace_to_stderr();
    let ending = commands::run(cli);
    report::errors::report(&ending, json);
    ending.exit_code()
}

/// Help and versions are no errors; everything else is a wrong command line.
fn refuse(error: &clap::Error, json: bool) -> ExitCode {
    let wrong = !matches!(
        error.kind(),
        ClapKind::DisplayHelp | ClapKind::DisplayVersion
    );
    let hint = parameter_hint(error);
    if !(wrong && json) && hint.is_none() {
        // A closed pipe is nothing to report to.
        let _ = error.print();
        return ExitCode::from(if wrong {
            wharf_model::exit::ExitCode::Usage as u8
        } else {
            0
        });
    }
    let message = one_line(&error.to_string());
    let hint = hint.unwrap_or_else(|| "see --help".to_owned());
    let ending = Ending::from(Fault::new(ErrorKind::CommandLine, message).hint(hint));
    report::errors::report(&ending, json);
    ending.exit_code()
}

/// What was probably meant by an option of `wharf run` that there is not: a
/// parameter of the step.
fn parameter_hint(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let usage = error.get(ContextKind::Usage)?.to_string();
    let is_run = error.kind() == ClapKind::UnknownArgument && usage.contains("wharf run");
    // An option that was misspelt is another mistake.
    if !is_run || error.get(ContextKind::SuggestedArg).is_some() {
        return None;
    }
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let name = argument.strip_prefix("--")?.split('=').next()?;
    Some(format!(
        "parameters of a step are written NAME=VALUE, without dashes: {name}=VALUE"
    ))
}

/// What clap says before it repeats the usage, on one line.
fn one_line(text: &str) -> String {
    let message = text.split("\n\nUsage:").next().unwrap_or(text);
    let message = message.split("\n\n  tip:").next().unwrap_or(message);
    let words: Vec<_> = message.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}

/// The compiling process; see `wharf_sandbox::child_main`.
fn compile_child(arguments: &[std::ffi::OsString]) -> ExitCode {
    let arguments: Vec<_> = arguments
        .iter()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    match wharf_sandbox::child_main(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            report::errors::line(&fault.to_string());
            ExitCode::FAILURE
        }
    }
}
