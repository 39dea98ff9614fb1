//! Work for a processor: a dense product of floating-point matrices, then hashes
//! and a sort of integers. About 25 ms of native time a round.
//!
//! No input, no output, no allocation that grows, no dependency: this file is
//! also included by what measures the same work natively. The checksum is exact,
//! so that both can be compared.

/// Rows and columns of the matrices.
const SIZE: usize = 256;
/// Rows of one block of the product: what stays in the first-level cache.
const BLOCK: usize = 32;
/// Numbers of a row that are worked on in one turn; divides the size.
const LANES: usize = 16;
/// Products a round.
const PRODUCTS: usize = 6;
/// Integers that are hashed and sorted: 4 MiB.
const INTEGERS: usize = 1 << 19;

/// Runs the kernel; each round depends on the one before.
pub fn run(rounds: u32) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..rounds {
        state = integers(state ^ matrices(state));
    }
    state
}

/// Multiplies matrices again and again; returns a checksum of the bits.
fn matrices(seed: u64) -> u64 {
    let mut random = seed;
    let left = matrix(&mut random);
    let mut right = matrix(&mut random);
    for _ in 0..PRODUCTS {
        right = product(&left, &right);
    }
    right
        .iter()
        .fold(seed, |sum, value| sum.rotate_left(5) ^ value.to_bits())
}

/// Values from 0 up to 2/SIZE, so that products keep their size.
fn matrix(random: &mut u64) -> Vec<f64> {
    (0..SIZE * SIZE)
        .map(|_| (next(random) >> 11) as f64 / (1_u64 << 52) as f64 / SIZE as f64)
        .collect()
}

fn product(left: &[f64], right: &[f64]) -> Vec<f64> {
    let mut target = vec![0.0; SIZE * SIZE];
    for block in (0..SIZE).step_by(BLOCK) {
        for (row, target_row) in target.chunks_exact_mut(SIZE).enumerate() {
            for inner in block..block + BLOCK {
                let factor = left[row * SIZE + inner];
                let right_row = &right[inner * SIZE..(inner + 1) * SIZE];
                add_scaled(target_row, factor, right_row);
            }
        }
    }
    target
}

/// Adds multiples of one row to another, several lanes at a time: a loop has a
/// price for each turn where it can be interrupted.
fn add_scaled(target: &mut [f64], factor: f64, values: &[f64]) {
    let (targets, _) = target.as_chunks_mut::<LANES>();
    let (values, _) = values.as_chunks::<LANES>();
    for (target, value) in targets.iter_mut().zip(values) {
        for lane in 0..LANES {
            target[lane] += factor * value[lane];
        }
    }
}

/// Fills a list with random integers, sorts it, and hashes it in its new order.
fn integers(seed: u64) -> u64 {
    let mut random = seed;
    let mut list: Vec<u64> = (0..INTEGERS).map(|_| next(&mut random)).collect();
    list.sort_unstable();
    list.iter().fold(seed, |hash, value| {
        (hash ^ value)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(23)
    })
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
