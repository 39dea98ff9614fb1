//! Keeps `docs/` true: tables against the code, the command reference against
//! the command line.

use clap::{Command, CommandFactory};
use wharf_model::ErrorKind;
use wharf_model::exit::{Ending, exit_code};
use wharf_model::limits::LimitKind;

use crate::args::Cli;

const REFERENCE: &str = include_str!("../../../docs/reference.md");

/// The cells of the table row that begins with `first` in backticks.
fn row(first: &str) -> Vec<&'static str> {
    let start = format!("| `{first}` |");
    let line = REFERENCE.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("docs/reference.md has no row for `{first}`"));
    line.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn every_error_is_documented_with_its_exit_code() {
    for kind in ErrorKind::ALL {
        let code = exit_code(Ending::Error(kind)) as u8;
        assert_eq!(
            row(kind.name()).last(),
            Some(&code.to_string().as_str()),
            "{kind}"
        );
    }
}

#[test]
fn every_limit_is_documented_with_an_option_that_exists() {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    for limit in LimitKind::ALL {
        let option = row(limit.name())[3]
            .trim_matches('`')
            .trim_start_matches('-');
        let exists = run
            .get_arguments()
            .any(|argument| argument.get_long() == Some(option));
        assert!(option.is_empty() || exists, "{limit}: {option}");
        assert_eq!(limit.hint().contains("--"), !option.is_empty(), "{limit}");
    }
}

/// The command reference, as Markdown.
fn reference(command: &mut Command) -> String {
    command.build();
    let mut text = "# Commands\n\nWritten by a test from the command line's own help.\n".to_owned();
    add_help(command, "wharf", &mut text);
    text
}

/// Adds the help of a command and of all below it, each with its whole name.
fn add_help(command: &Command, name: &str, text: &mut String) {
    let help = command.clone().term_width(90).render_long_help();
    let help = lines(&help.to_string());
    text.push_str(&format!("\n## {name}\n\n```text\n{help}\n```\n"));
    let below = command.get_subcommands();
    for sub in below.filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
        add_help(sub, &format!("{name} {}", sub.get_name()), text);
    }
}

fn lines(text: &str) -> String {
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
        .trim_end()
        .to_owned()
}

#[test]
fn the_command_reference_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let wanted = reference(&mut Cli::command());
    if std::env::var_os("WHARF_BLESS").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/cli.md is not current: run the tests with WHARF_BLESS=1"
    );
}
