//! Where the nodes and lines of a graph go: drawn from top to bottom, in layers.
//!
//! ```text
//! edges -> layers (which layer) -> order (which place in it) -> place (where exactly)
//! ```
//!
//! The three steps of Sugiyama's way to draw graphs. A line that passes a layer has a
//! place in it, so that it goes around the nodes there. All lines from one node share
//! these places: they leave it as one line, and part where they must. What each step
//! costs grows with the number of nodes and lines, not with its square; the same graph
//! is drawn the same on every machine.
//!
//! Libraries were tried: `rust-sugiyama` takes half a minute for 10,000 steps.

mod layers;
mod order;
mod place;

use layers::Layers;

/// Space between two nodes of a layer, and between a node and a line that passes.
const BETWEEN_NODES: f64 = 28.0;
const BETWEEN_LINES: f64 = 18.0;
/// Space between two layers, in which lines go from one place to another.
const BETWEEN_LAYERS: f64 = 46.0;

/// The size of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A graph that is laid out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    /// The middle of the upper side of each node.
    pub(super) nodes: Vec<Point>,
    /// Lines, each from one layer to the next or farther.
    pub(super) lines: Vec<Line>,
    /// The size of it all.
    pub(super) size: Size,
}

/// A place in the drawing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// A line, or a part of lines that go the same way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) from: Point,
    /// How far down it goes straight, before it turns to its end.
    pub(super) bend: f64,
    pub(super) to: Point,
    /// The first of the edges that go this way.
    pub(super) edge: usize,
    /// Whether it ends at a node, where an arrow belongs.
    pub(super) arrives: bool,
}

/// Lays a graph out. An edge must go from a node to one with a higher index; others
/// are left out.
pub(super) fn layout(sizes: &[Size], edges: &[(usize, usize)]) -> Layout {
    let layers = Layers::of(sizes.len(), edges);
    let rows = order::order(&layers);
    let xs = place::place(&layers, &rows, sizes);
    assemble(&layers, &rows, &xs, sizes)
}

/// Space that two neighbours in a layer keep.
fn gap(layers: &Layers, left: usize, right: usize) -> f64 {
    match layers.is_node(left) && layers.is_node(right) {
        true => BETWEEN_NODES,
        false => BETWEEN_LINES,
    }
}

fn assemble(layers: &Layers, rows: &[Vec<usize>], xs: &[f64], sizes: &[Size]) -> Layout {
    let height = |row: &Vec<usize>| {
        let nodes = row.iter().filter(|vertex| layers.is_node(**vertex));
        nodes.fold(0.0, |most, node| sizes[*node].height.max(most))
    };
    let heights: Vec<f64> = rows.iter().map(height).collect();
    let mut tops = Vec::with_capacity(rows.len());
    let mut y = 0.0;
    for height in &heights {
        tops.push(y);
        y += height + BETWEEN_LAYERS;
    }
    let top = |vertex: usize| tops[layers.layer[vertex]];
    let bottom = |vertex: usize| top(vertex) + heights[layers.layer[vertex]];
    let line = |link: &layers::Link| {
        let from_y = match layers.is_node(link.from) {
            true => top(link.from) + sizes[link.from].height,
            // A line goes straight through the layer that it passes.
            false => top(link.from),
        };
        Line {
            from: Point {
                x: xs[link.from],
                y: from_y,
            },
            bend: bottom(link.from),
            to: Point {
                x: xs[link.to],
                y: top(link.to),
            },
            edge: link.edge,
            arrives: layers.is_node(link.to),
        }
    };
    let width = (0..sizes.len()).fold(0.0_f64, |most, node| {
        most.max(xs[node] + sizes[node].width / 2.0)
    });
    let width = xs.iter().fold(width, |most, x| most.max(*x));
    Layout {
        nodes: (0..sizes.len())
            .map(|node| Point {
                x: xs[node],
                y: top(node),
            })
            .collect(),
        lines: layers.links.iter().map(line).collect(),
        size: Size {
            width,
            height: (y - BETWEEN_LAYERS).max(0.0),
        },
    }
}

#[cfg(test)]
mod tests;
