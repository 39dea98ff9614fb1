//! In which order the vertices of a layer stand, so that few lines cross.

use super::layers::Layers;

/// How often all layers are gone through, down and up again. Most is gained by the
/// first.
const SWEEPS: usize = 12;
/// Vertices above which it is done less often.
const MANY: usize = 20_000;
const SWEEPS_OF_MANY: usize = 4;

/// The vertices of each layer, from left to right.
pub(super) fn order(layers: &Layers) -> Vec<Vec<usize>> {
    let neighbours = Neighbours::of(layers);
    let mut rows = first(layers, &neighbours);
    let mut best = (crossings(&rows, &neighbours), rows.clone());
    let sweeps = match layers.len() > MANY {
        true => SWEEPS_OF_MANY,
        false => SWEEPS,
    };
    for sweep in 0..sweeps {
        if best.0 == 0 {
            break;
        }
        let down = sweep % 2 == 0;
        let mut places = places(&rows, layers.len());
        for at in 0..rows.len() {
            let at = if down { at } else { rows.len() - 1 - at };
            let beside = if down {
                &neighbours.above
            } else {
                &neighbours.below
            };
            sort(&mut rows[at], beside, &places);
            for (place, vertex) in rows[at].iter().enumerate() {
                places[*vertex] = place;
            }
        }
        let found = crossings(&rows, &neighbours);
        if found < best.0 {
            best = (found, rows.clone());
        }
    }
    best.1
}

/// What each vertex is connected with in the layers above and below.
#[derive(Debug)]
pub(super) struct Neighbours {
    pub(super) above: Vec<Vec<usize>>,
    pub(super) below: Vec<Vec<usize>>,
}

impl Neighbours {
    /// The neighbours of all vertices.
    pub(super) fn of(layers: &Layers) -> Self {
        let mut above = vec![Vec::new(); layers.len()];
        let mut below = vec![Vec::new(); layers.len()];
        for link in layers.links.iter().filter(|link| layers.is_short(link)) {
            above[link.to].push(link.from);
            below[link.from].push(link.to);
        }
        // A line that goes farther leaves in the middle of those that end here: at their
        // side, each layer would be farther to the side than the one above it.
        for below in &mut below {
            if let Some(farther) = below.pop_if(|last| !layers.is_node(*last)) {
                below.insert(below.len() / 2, farther);
            }
        }
        Self { above, below }
    }
}

/// The order to begin with: what belongs together is found one after the other, from
/// the top on.
fn first(layers: &Layers, neighbours: &Neighbours) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); layers.count];
    let mut seen = vec![false; layers.len()];
    let mut by_layer: Vec<usize> = (0..layers.len()).collect();
    by_layer.sort_by_key(|vertex| (layers.layer[*vertex], *vertex));
    for start in by_layer {
        let mut next = vec![start];
        while let Some(vertex) = next.pop() {
            if std::mem::replace(&mut seen[vertex], true) {
                continue;
            }
            rows[layers.layer[vertex]].push(vertex);
            next.extend(neighbours.below[vertex].iter().rev());
        }
    }
    rows
}

/// The place of each vertex in its layer.
fn places(rows: &[Vec<usize>], vertices: usize) -> Vec<usize> {
    let mut places = vec![0; vertices];
    for row in rows {
        for (place, vertex) in row.iter().enumerate() {
            places[*vertex] = place;
        }
    }
    places
}

/// Sorts a layer by the middle of each vertex's neighbours. One without neighbours
/// stays about where it is.
fn sort(row: &mut [usize], beside: &[Vec<usize>], places: &[usize]) {
    let middle = |vertex: usize| match &beside[vertex][..] {
        [] => places[vertex] as f64,
        some => some.iter().map(|it| places[*it] as f64).sum::<f64>() / some.len() as f64,
    };
    let mut keyed: Vec<(f64, usize)> = row.iter().map(|it| (middle(*it), *it)).collect();
    keyed.sort_by(|(one, a), (other, b)| one.total_cmp(other).then(places[*a].cmp(&places[*b])));
    for (slot, (_, vertex)) in row.iter_mut().zip(keyed) {
        *slot = vertex;
    }
}

/// How many lines cross between neighbouring layers.
pub(super) fn crossings(rows: &[Vec<usize>], neighbours: &Neighbours) -> u64 {
    let places = places(rows, neighbours.below.len());
    let pairs = rows.windows(2);
    pairs
        .map(|pair| between(&pair[0], pair[1].len(), neighbours, &places))
        .sum()
}

/// The same between two: for each line, those to its left that end to its right,
/// counted in a tree of sums.
fn between(upper: &[usize], width: usize, neighbours: &Neighbours, places: &[usize]) -> u64 {
    let mut sums = vec![0_u64; width + 1];
    let mut lines = 0;
    let mut crossings = 0;
    for vertex in upper {
        let mut ends: Vec<usize> = neighbours.below[*vertex]
            .iter()
            .map(|below| places[*below])
            .collect();
        ends.sort_unstable();
        // Lines from one vertex do not cross each other.
        for end in &ends {
            crossings += lines - up_to(&sums, *end);
        }
        for end in &ends {
            add(&mut sums, *end);
            lines += 1;
        }
    }
    crossings
}

/// How many ends are at a place or to its left.
fn up_to(sums: &[u64], place: usize) -> u64 {
    let mut at = place + 1;
    let mut sum = 0;
    while at > 0 {
        sum += sums[at];
        at &= at - 1;
    }
    sum
}

fn add(sums: &mut [u64], place: usize) {
    let mut at = place + 1;
    while at < sums.len() {
        sums[at] += 1;
        at += at & at.wrapping_neg();
    }
}
