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
        kernel::run(None, rounds)
    }

    fn one(work: Work, rounds: u32) -> u64 {
        // The cases are in the order of the list.
        let (name, _) = kernel::ALL[work as usize];
        kernel::run(Some(name), rounds)
    }
}

export!(Component);
