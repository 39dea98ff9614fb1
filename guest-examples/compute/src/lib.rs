//! The kernel as a step. The same source runs natively, to compare.

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "example:compute/compute",
    generate_all,
});

mod kernel;

struct Component;

impl Guest for Component {
    fn run(rounds: u32) -> u64 {
        kernel::run(rounds)
    }
}

export!(Component);
