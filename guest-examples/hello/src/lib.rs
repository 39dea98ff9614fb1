//! The smallest program: it runs in any host of `wasi:cli/run`.

use wasip2::exports::cli::run::Guest;

struct Hello;

impl Guest for Hello {
    fn run() -> Result<(), ()> {
        println!("Hello, world!");
        Ok(())
    }
}

wasip2::cli::command::export!(Hello);
