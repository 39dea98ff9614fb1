//! Attacks on the host, one exported function each, grouped as the world groups
//! them. None of them is clever: each does one forbidden or immoderate thing in
//! the most direct way, so that a test fails for one reason only.

mod ambient;
mod flood;
mod memory;
mod names;
mod time;

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "example:hostile/hostile",
    generate_all,
});

struct Component;

impl Guest for Component {
    fn spin() {
        time::spin()
    }
    fn fill() {
        time::fill()
    }
    fn nap(seconds: u64) {
        time::nap(seconds)
    }
    fn stubborn() {
        time::stubborn()
    }

    fn cooperative() -> Result<(), String> {
        time::cooperative()
    }

    fn grow() {
        memory::grow()
    }
    fn recurse() {
        memory::recurse()
    }
    fn random_flood(mib: u32) -> u64 {
        memory::random_flood(mib)
    }
    fn huge_string(mib: u32) {
        memory::huge_string(mib)
    }
    fn big_result(mib: u32) -> String {
        memory::text(mib)
    }
    fn big_error(mib: u32) -> Result<(), String> {
        Err(memory::text(mib))
    }
    fn many_handles(data: InputTree) -> Result<u64, String> {
        memory::many_handles(&data)
    }
    fn many_pollables() {
        memory::many_pollables()
    }

    fn log_flood() {
        flood::log()
    }
    fn print_flood() {
        flood::print()
    }
    fn metric_flood() {
        flood::metric()
    }
    fn progress_flood(count: u64) {
        flood::progress(count)
    }
    fn output_flood(sink: Output) {
        flood::output(&sink)
    }
    fn big_write(sink: Output, mib: u32) -> Result<(), String> {
        flood::big_write(&sink, mib)
    }
    fn tree_flood(sink: OutputTree) -> Result<(), String> {
        flood::tree(&sink)
    }

    fn tree_names(sink: OutputTree) -> Vec<Attempt> {
        names::create(&sink)
    }
    fn open_names(data: InputTree) -> Vec<Attempt> {
        names::open(&data)
    }
    fn log_injection() {
        names::log_injection()
    }

    fn environment() -> Vec<Attempt> {
        ambient::environment()
    }
    fn connect(address: String) -> Vec<Attempt> {
        ambient::connect(&address)
    }
    fn resolve(name: String) -> Vec<Attempt> {
        ambient::resolve(&name)
    }
    fn files() -> Vec<Attempt> {
        ambient::files()
    }

    fn write_then_trap(sink: Output) -> Result<(), String> {
        write_something(&sink)?;
        panic!("after a write")
    }
    fn write_then_fail(sink: Output) -> Result<(), String> {
        write_something(&sink)?;
        Err("after a write".to_owned())
    }
}

/// Bytes that must never be published.
fn write_something(sink: &Output) -> Result<(), String> {
    sink.write(b"this must not be published")
        .map_err(|error| error.to_string())
}

/// One line of a report: what was tried, and `ok` or the error.
fn attempt<E: ToString>(what: impl Into<String>, outcome: Result<(), E>) -> Attempt {
    let text = outcome.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
    (what.into(), text)
}

export!(Component);
