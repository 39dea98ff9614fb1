//! A program, not a typed step: it exports `wasi:cli/run` and finds its artifacts
//! as files, `/in/data` and `/out/data`. Its first argument names the attack.
//!
//! A library that exports the interface, rather than a `main`: so it links the
//! same way with every C library.

mod files;
mod flood;

use std::{env, hint, process};

struct Program;

impl wasip2::exports::cli::run::Guest for Program {
    fn run() -> Result<(), ()> {
        let attack = env::args().nth(1).unwrap_or_default();
        match attack.as_str() {
            "write-in" => files::write_in(),
            "escape" => files::escape(),
            "flood-out" => flood::one_file(),
            "many-files" => flood::many_files(),
            "sparse" => flood::sparse(),
            "exit3" => process::exit(3),
            "fail" => return Err(()),
            "spin" => spin(),
            _ => {
                eprintln!("unknown attack: {attack:?}");
                return Err(());
            }
        }
        Ok(())
    }
}

/// Computes forever.
fn spin() {
    let mut count = 0_u64;
    loop {
        count = hint::black_box(count.wrapping_add(1));
    }
}

wasip2::cli::command::export!(Program);
