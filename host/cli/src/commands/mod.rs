//! One module for each command.

mod artifact;
mod doctor;
mod inspect;
mod pipeline;
mod replay;
mod report;
mod run;
mod runs;
mod show;
mod step;
mod upkeep;

use clap::CommandFactory;

use crate::args::{Cli, Command, Completions};
use crate::ending::Ending;

/// Carries a command out.
pub(crate) fn run(cli: Cli) -> Ending {
    match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Inspect(args) => inspect::inspect(&args).into(),
        Command::Runs(args) => runs::runs(&args).into(),
        Command::Show(args) => show::show(&args).into(),
        Command::Replay(args) => replay::replay(&args).into(),
        Command::Report(args) => report::report(&args).into(),
        Command::Pipeline(args) => pipeline::pipeline(args),
        Command::Step(args) => step::step(args),
        Command::Artifact(args) => artifact::artifact(&args).into(),
        Command::Gc(args) => upkeep::gc(&args).into(),
        Command::Verify(args) => upkeep::verify(&args).into(),
        Command::Doctor(args) => doctor::doctor(&args).into(),
        Command::Completions(args) => completions(&args),
    }
}

fn completions(args: &Completions) -> Ending {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "wharf", &mut script);
    crate::report::out(&String::from_utf8_lossy(&script)).into()
}
