//! How far to the right each vertex is: as close to those that it is connected with as
//! its neighbours let it be.

use super::layers::Layers;
use super::order::Neighbours;
use super::{Size, gap};

/// How often all layers are gone through.
const SWEEPS: usize = 10;

/// How much two vertices want to be above each other. A line that passes layers shall be
/// straight before all.
const BOTH_PASS: f64 = 8.0;
const ONE_PASSES: f64 = 2.0;
const NONE_PASSES: f64 = 1.0;

/// The middle of each vertex.
pub(super) fn place(layers: &Layers, rows: &[Vec<usize>], sizes: &[Size]) -> Vec<f64> {
    let neighbours = Neighbours::of(layers);
    let offsets: Vec<Vec<f64>> = rows.iter().map(|row| offsets(layers, row, sizes)).collect();
    let mut xs = vec![0.0; layers.len()];
    for (row, offsets) in rows.iter().zip(&offsets) {
        // Layers are centred to begin with.
        let middle = offsets.last().map_or(0.0, |last| last / 2.0);
        for (vertex, offset) in row.iter().zip(offsets) {
            xs[*vertex] = offset - middle;
        }
    }
    for sweep in 0..SWEEPS {
        let last = sweep + 2 >= SWEEPS;
        let down = sweep % 2 == 0;
        for at in 0..rows.len() {
            let at = if down { at } else { rows.len() - 1 - at };
            let near = |vertex: usize| {
                let (above, below) = (&neighbours.above[vertex], &neighbours.below[vertex]);
                let above = above.iter().filter(|_| last || down);
                above.chain(below.iter().filter(|_| last || !down))
            };
            settle(layers, &rows[at], &offsets[at], near, &mut xs);
        }
    }
    let left = rows.iter().filter_map(|row| row.first());
    let left = left.map(|vertex| xs[*vertex] - width(layers, *vertex, sizes) / 2.0);
    let left = left.fold(f64::INFINITY, f64::min);
    xs.iter().map(|x| x - left).collect()
}

fn width(layers: &Layers, vertex: usize, sizes: &[Size]) -> f64 {
    match layers.is_node(vertex) {
        true => sizes[vertex].width,
        false => 0.0,
    }
}

/// How far each vertex of a layer is from the first, at least.
fn offsets(layers: &Layers, row: &[usize], sizes: &[Size]) -> Vec<f64> {
    let mut offset = 0.0;
    let mut before: Option<usize> = None;
    let next = |vertex: &usize| {
        if let Some(left) = before {
            let widths = width(layers, left, sizes) + width(layers, *vertex, sizes);
            offset += widths / 2.0 + gap(layers, left, *vertex);
        }
        before = Some(*vertex);
        offset
    };
    row.iter().map(next).collect()
}

/// Moves the vertices of a layer to where they want to be, or as close as the order and
/// the space between them allow: the least sum of squares. Vertices that push each other
/// are a block that moves as one.
fn settle<'a, I: Iterator<Item = &'a usize>>(
    layers: &Layers,
    row: &[usize],
    offsets: &[f64],
    near: impl Fn(usize) -> I,
    xs: &mut [f64],
) {
    let mut blocks: Vec<Block> = Vec::with_capacity(row.len());
    for (vertex, offset) in row.iter().zip(offsets) {
        let mut block = Block {
            vertices: 1,
            weight: 0.0,
            wanted: 0.0,
        };
        for other in near(*vertex) {
            let weight = match (layers.is_node(*vertex), layers.is_node(*other)) {
                (false, false) => BOTH_PASS,
                (true, true) => NONE_PASSES,
                _ => ONE_PASSES,
            };
            block.weight += weight;
            block.wanted += weight * (xs[*other] - offset);
        }
        if block.weight == 0.0 {
            // It stays, if nobody pushes.
            block.weight = STAYS;
            block.wanted = STAYS * (xs[*vertex] - offset);
        }
        while let Some(left) = blocks.pop_if(|left| left.at() > block.at()) {
            block.vertices += left.vertices;
            block.weight += left.weight;
            block.wanted += left.wanted;
        }
        blocks.push(block);
    }
    let places = blocks
        .iter()
        .flat_map(|block| std::iter::repeat_n(block.at(), block.vertices));
    for ((vertex, offset), at) in row.iter().zip(offsets).zip(places) {
        xs[*vertex] = at + offset;
    }
}

/// How much a vertex without neighbours wants to stay.
const STAYS: f64 = 0.01;

/// Vertices beside each other that move as one.
struct Block {
    vertices: usize,
    weight: f64,
    /// Where each wants the block to be, weighted.
    wanted: f64,
}

impl Block {
    fn at(&self) -> f64 {
        self.wanted / self.weight
    }
}
