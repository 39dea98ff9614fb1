//! What steps of pipelines compute, without their data: text is parsed and
//! hashed, rows are grouped, matched and ranked, models are fitted and asked.
//! About 10 ms of native time a round.
//!
//! No input, no output, no dependency: this file is also included by what
//! measures the same work natively. All results are exact, so that both can be
//! compared.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A kind of work: takes a number, and gives one that depends on all of it.
pub type Work = fn(u64) -> u64;

/// All kinds, with what they are called.
pub const ALL: [(&str, Work); 11] = [
    ("parsing", parse),
    ("hashing", hash),
    ("grouping", group),
    ("matching", compare),
    ("ranking", rank),
    ("clustering", cluster),
    ("fitting", fit),
    ("scoring", score),
    ("binning", bin),
    ("deciding", decide),
    ("multiplying", multiply),
];

/// Rows of the table.
const ROWS: usize = 4096;
/// Numbers of a row.
const COLUMNS: usize = 32;
/// Times that a model sees all rows, or all rows a model.
const EPOCHS: usize = 12;
/// Centres that rows are assigned to.
const CENTRES: usize = 16;
/// Keys that rows are grouped by.
const GROUPS: u64 = 1000;
/// Rows that are grouped.
const GROUPED: usize = 1 << 17;
/// Numbers that are ranked.
const RANKED: usize = 1 << 16;
/// Bytes that are hashed.
const HASHED: usize = 1 << 19;
/// Letters of the two texts that are matched.
const LETTERS: usize = 1000;
/// Decision trees, and nodes of each: six levels.
const TREES: usize = 50;
const NODES: usize = 63;

/// Does one kind of work, or all of them, `rounds` times. Each round depends on
/// the one before.
///
/// # Panics
/// Where there is no work of that name.
pub fn run(work: Option<&str>, rounds: u32) -> u64 {
    let chosen: Vec<Work> = ALL
        .iter()
        .filter(|(name, _)| work.is_none_or(|work| work == *name))
        .map(|(_, work)| *work)
        .collect();
    assert!(!chosen.is_empty(), "no work is called {work:?}");
    let round = |state| chosen.iter().fold(state, |state, work| work(state));
    (0..rounds).fold(0x9e37_79b9_7f4a_7c15, |state, _| round(state))
}

/// Writes numbers as text and reads them back.
fn parse(seed: u64) -> u64 {
    let mut random = seed;
    let mut text = String::new();
    for _ in 0..ROWS * 4 {
        let number = next(&mut random);
        text.push_str(&(number >> 40).to_string());
        text.push('.');
        text.push_str(&(number & 0xfff).to_string());
        text.push(',');
    }
    let numbers = text.split_terminator(',').map(str::parse::<f64>);
    numbers.fold(seed, |sum, number| {
        mix(sum, number.unwrap_or(f64::NAN).to_bits())
    })
}

/// Sums and counts by key, in a hash map.
fn group(seed: u64) -> u64 {
    let mut random = seed;
    let mut groups: HashMap<u64, (u64, f64), BuildHasherDefault<Fnv>> = HashMap::default();
    for _ in 0..GROUPED {
        let number = next(&mut random);
        let (count, sum) = groups.entry(number % GROUPS).or_default();
        *count += 1;
        *sum += unit(number);
    }
    // The order of a map is not part of what it means.
    let mixed = groups
        .iter()
        .map(|(key, (count, sum))| mix(mix(*key, *count), sum.to_bits()));
    mixed.fold(seed, u64::wrapping_add)
}

/// The hash FNV-1a.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Gradient descent for a linear model, one step after each pass over the rows.
fn fit(seed: u64) -> u64 {
    let (rows, mut random) = table(seed);
    let targets: Vec<f64> = (0..ROWS).map(|_| unit(next(&mut random))).collect();
    let mut weights = [0.0; COLUMNS];
    for _ in 0..EPOCHS {
        let mut gradient = [0.0; COLUMNS];
        for (row, target) in rows.iter().zip(&targets) {
            let predicted: f64 = row.iter().zip(&weights).map(|(x, w)| x * w).sum();
            let error = predicted - target;
            for (gradient, x) in gradient.iter_mut().zip(row) {
                *gradient += error * x;
            }
        }
        for (weight, gradient) in weights.iter_mut().zip(gradient) {
            *weight -= 0.05 / ROWS as f64 * gradient;
        }
    }
    weights
        .iter()
        .fold(seed, |sum, weight| mix(sum, weight.to_bits()))
}

/// One turn of k-means: the nearest centre of each row, then their means.
fn cluster(seed: u64) -> u64 {
    let (rows, _) = table(seed);
    let centres = &rows[..CENTRES];
    let mut sums = [[0.0; COLUMNS]; CENTRES];
    let mut counts = [0_u32; CENTRES];
    for row in &rows {
        let mut nearest = (f64::INFINITY, 0);
        for (index, centre) in centres.iter().enumerate() {
            let differences = row.iter().zip(centre).map(|(x, c)| (x - c) * (x - c));
            let distance: f64 = differences.sum();
            if distance < nearest.0 {
                nearest = (distance, index);
            }
        }
        counts[nearest.1] += 1;
        for (sum, x) in sums[nearest.1].iter_mut().zip(row) {
            *sum += x;
        }
    }
    let means = sums
        .iter()
        .zip(counts)
        .flat_map(|(sum, count)| sum.iter().map(move |sum| sum / f64::from(count.max(1))));
    means.fold(seed, |sum, mean| mix(sum, mean.to_bits()))
}

/// Sorts numbers and hashes them in their new order.
fn rank(seed: u64) -> u64 {
    let mut random = seed;
    let mut list: Vec<u64> = (0..RANKED).map(|_| next(&mut random)).collect();
    list.sort_unstable();
    list.into_iter().fold(seed, mix)
}

/// The largest of the predictions of a linear model for all rows, for several
/// models.
fn score(seed: u64) -> u64 {
    let (rows, mut random) = table(seed);
    (0..EPOCHS).fold(seed, |sum, _| {
        let weights = [(); COLUMNS].map(|()| unit(next(&mut random)));
        let predict =
            |row: &[f64; COLUMNS]| -> f64 { row.iter().zip(&weights).map(|(x, w)| x * w).sum() };
        let best = rows.iter().map(predict).fold(0.0, f64::max);
        mix(sum, best.to_bits())
    })
}

/// Sums by column and bin, as the training of trees does.
fn bin(seed: u64) -> u64 {
    let mut random = seed;
    let mut sums = vec![[(0.0, 0_u32); 256]; COLUMNS];
    for _ in 0..ROWS * 4 {
        let gradient = unit(next(&mut random));
        for columns in sums.chunks_exact_mut(8) {
            let bins = next(&mut random).to_le_bytes();
            for (column, bin) in columns.iter_mut().zip(bins) {
                let (sum, count) = &mut column[usize::from(bin)];
                *sum += gradient;
                *count += 1;
            }
        }
    }
    let all = sums.iter().flatten();
    all.fold(seed, |mixed, (sum, count)| {
        mix(mix(mixed, f64::to_bits(*sum)), u64::from(*count))
    })
}

/// Asks decision trees about rows.
fn decide(seed: u64) -> u64 {
    let (rows, mut random) = table(seed);
    let mut node = || {
        let number = next(&mut random);
        (number as usize % COLUMNS, unit(number))
    };
    let trees: Vec<[(usize, f64); NODES]> =
        (0..TREES).map(|_| [(); NODES].map(|()| node())).collect();
    rows[..ROWS / 2].iter().fold(seed, |sum, row| {
        let scores = trees.iter().map(|tree| {
            let mut at = 0;
            while 2 * at + 2 < NODES {
                let (column, limit) = tree[at];
                at = 2 * at + if row[column] < limit { 1 } else { 2 };
            }
            tree[at].1
        });
        mix(sum, scores.sum::<f64>().to_bits())
    })
}

/// The edit distance (Levenshtein) of two texts.
fn compare(seed: u64) -> u64 {
    let mut random = seed;
    let mut text = || -> Vec<u8> {
        let letter = |_| (next(&mut random) % 8) as u8;
        (0..LETTERS).map(letter).collect()
    };
    let (a, b) = (text(), text());
    let mut row: Vec<u32> = (0..).take(b.len() + 1).collect();
    for (rows, x) in (1..).zip(&a) {
        let mut before = std::mem::replace(&mut row[0], rows);
        for (at, y) in b.iter().enumerate() {
            let replaced = before + u32::from(x != y);
            before = row[at + 1];
            row[at + 1] = replaced.min(before + 1).min(row[at] + 1);
        }
    }
    mix(seed, u64::from(row[b.len()]))
}

/// Hashes bytes, one after another.
fn hash(seed: u64) -> u64 {
    let mut random = seed;
    let words = (0..HASHED / 8).map(|_| next(&mut random));
    let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    let mut hasher = Fnv::default();
    hasher.write(&bytes);
    mix(seed, hasher.finish())
}

fn table(seed: u64) -> (Vec<[f64; COLUMNS]>, u64) {
    let mut random = seed;
    let rows = (0..ROWS)
        .map(|_| [(); COLUMNS].map(|()| unit(next(&mut random))))
        .collect();
    (rows, random)
}

/// Rows and columns of the matrices.
const SIZE: usize = 256;
/// Rows of one block of the product: what stays in the first-level cache.
const BLOCK: usize = 32;
/// Numbers of a row that are worked on in one turn; divides the size.
const LANES: usize = 16;

fn multiply(seed: u64) -> u64 {
    let mut random = seed;
    let mut matrix = || -> Vec<f64> {
        let value = |_| unit(next(&mut random)) / SIZE as f64;
        (0..SIZE * SIZE).map(value).collect()
    };
    let (left, right) = (matrix(), matrix());
    let product = product(&left, &right);
    product
        .iter()
        .fold(seed, |sum, value| mix(sum, value.to_bits()))
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

/// Adds multiples of one row to another, several lanes at a time.
fn add_scaled(target: &mut [f64], factor: f64, values: &[f64]) {
    let (targets, _) = target.as_chunks_mut::<LANES>();
    let (values, _) = values.as_chunks::<LANES>();
    for (target, value) in targets.iter_mut().zip(values) {
        for lane in 0..LANES {
            target[lane] += factor * value[lane];
        }
    }
}

/// A number from 0 up to 1, of 53 random bits.
fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

fn mix(sum: u64, value: u64) -> u64 {
    (sum ^ value)
        .wrapping_mul(0x0000_0100_0000_01b3)
        .rotate_left(23)
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
