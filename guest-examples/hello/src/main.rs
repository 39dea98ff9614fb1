//! The smallest program: it runs in any host of `wasi:cli/run`.

fn main() {
    println!("Hello, world!");
}
