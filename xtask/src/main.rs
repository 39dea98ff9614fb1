//! Build automation for this repository: `cargo xtask <command>`.
//!
//! Only what cargo cannot do by itself is here: guests in several languages, the
//! tools that build them, and the tasks that need both guests and host. The host
//! is built by cargo alone.

mod bench;
mod browser;
mod c;
mod cargo;
mod conformance;
mod context;
mod data;
mod debian;
mod demo;
mod go;
mod guests;
mod image;
mod javascript;
mod npm;
mod orchestrators;
mod process;
mod python;
mod rust;
mod services;
mod stamp;
mod test;
mod toolchain;
mod venv;
mod wat_text;
mod wit_section;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::context::Context;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Build automation for Wharf"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sets up, trains a classifier on real data and evaluates it.
    Demo,
    /// Sets up and runs every test.
    Test {
        /// Runs also what takes too long for each change.
        #[arg(long)]
        all: bool,
    },
    /// Sets up and measures, each beside its yardstick.
    Bench(bench::Bench),
    /// Builds the guests, and installs what that needs.
    Guests {
        /// Builds only these guests.
        #[arg(long, value_name = "NAME", num_args = 1..)]
        only: Vec<String>,
    },
    /// Fetches the data sets of examples and tests into `target/data`.
    Data,
    /// Installs the storage services that tests run against.
    Services,
    /// Installs the browser that tests look at pages with, where there is none.
    Browser,
    /// Installs other orchestrators that tests run steps under, where they can be had.
    Orchestrators(orchestrators::Orchestrators),
    /// Makes the image whose containers run the tasks of orchestrators.
    Image(image::Image),
    /// Runs the same pipelines under every orchestrator, and prints what came of it.
    Conformance {
        /// Only these orchestrators.
        #[arg(value_name = "TARGET")]
        only: Vec<String>,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Makes a Python environment with pinned packages, and prints its folder.
    Venv {
        /// Which one.
        #[arg(value_enum)]
        environment: venv::Environment,
    },
}

#[expect(clippy::print_stdout, reason = "the folder is the command's result")]
fn main() -> Result<()> {
    let context = Context::from_environment()?;
    match Arguments::parse().command {
        Command::Demo => demo::run(&context),
        Command::Test { all } => test::run(&context, all),
        Command::Bench(bench) => bench::run(&context, &bench),
        Command::Guests { only } if only.is_empty() => guests::build_all(&context),
        Command::Guests { only } => guests::build_only(&context, &only),
        Command::Data => data::ensure(&context),
        Command::Services => services::ensure(&context),
        Command::Browser => browser::ensure(&context),
        Command::Orchestrators(options) => orchestrators::run(&context, &options),
        Command::Image(image) => image::run(&context, &image),
        Command::Conformance { only, json } => conformance::run(&context, &only, json),
        Command::Venv { environment } => {
            println!(
                "{}",
                venv::ensure(&context, environment)?.folder().display()
            );
            Ok(())
        }
    }
}
