//! Guests in C: an ordinary program becomes a preview1 core module. The compiler
//! is Zig's, which brings its own C library and comes as a Python package.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::context::Context;
use crate::guests::{self, Guest};
use crate::process;
use crate::stamp::Recipe;
use crate::venv::{self, Environment};

/// Names stay, for backtraces; the rest of what a debugger wants is 40 times the code.
const FLAGS: [&str; 7] = [
    "-target",
    "wasm32-wasi",
    "-O2",
    "-Wl,--strip-debug",
    "-Wall",
    "-Wextra",
    "-Werror",
];

/// Adds the compiler's version and flags.
pub(crate) fn add_to(recipe: Recipe) -> Recipe {
    recipe
        .text(&Environment::GuestC.packages().join(" "))
        .text(&FLAGS.join(" "))
}

/// Builds the module from `main.c`.
pub(crate) fn build(context: &Context, guest: &Guest) -> Result<Vec<u8>> {
    let venv = venv::ensure(context, Environment::GuestC)?;
    let module = guests::scratch(context, guest)?.join("module.wasm");
    let mut command = Command::new(venv.program("python"));
    let cache = context.build().join("zig-cache");
    command
        .current_dir(&guest.source)
        .env("ZIG_GLOBAL_CACHE_DIR", &cache)
        .env("ZIG_LOCAL_CACHE_DIR", &cache);
    command.args(["-m", "ziglang", "cc"]).args(FLAGS);
    process::run(command.args(["main.c", "-o"]).arg(&module))?;
    Ok(fs::read(&module)?)
}
