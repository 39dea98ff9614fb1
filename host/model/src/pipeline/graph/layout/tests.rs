//! What holds for every drawing.

use proptest::prelude::*;

use super::order::{Neighbours, crossings};
use super::*;

const SIZE: Size = Size {
    width: 120.0,
    height: 40.0,
};

/// A graph of some nodes, and edges that go forward.
fn graphs() -> impl Strategy<Value = (usize, Vec<(usize, usize)>)> {
    (1_usize..60).prop_flat_map(|nodes| {
        let edges = prop::collection::vec((0..nodes, 0..nodes), 0..120);
        edges.prop_map(move |edges| {
            let forward = edges.iter().map(|(a, b)| (*a.min(b), *a.max(b)));
            let mut forward: Vec<_> = forward.filter(|(a, b)| a < b).collect();
            forward.sort_unstable();
            forward.dedup();
            (nodes, forward)
        })
    })
}

fn sizes(nodes: usize) -> Vec<Size> {
    (0..nodes)
        .map(|node| Size {
            width: 60.0 + (node % 7) as f64 * 20.0,
            height: 30.0 + (node % 3) as f64 * 10.0,
        })
        .collect()
}

/// Asserts that no two nodes overlap, and that nothing is outside.
fn nodes_are_apart(sizes: &[Size], layout: &Layout) {
    let mut boxes: Vec<(f64, f64, f64, f64)> = Vec::new();
    for (at, size) in layout.nodes.iter().zip(sizes) {
        let left = at.x - size.width / 2.0;
        boxes.push((at.y, left, at.y + size.height, left + size.width));
    }
    boxes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    for pair in boxes.windows(2) {
        let (one, other) = (pair[0], pair[1]);
        // In one layer, beside each other; else below.
        let apart = match one.0 == other.0 {
            true => other.1 >= one.3 + BETWEEN_NODES - 1e-6,
            false => other.0 > one.0,
        };
        assert!(apart, "{one:?} {other:?}");
    }
    for (top, left, bottom, right) in boxes {
        assert!(top >= 0.0 && left >= -1e-6, "{top} {left}");
        assert!(bottom <= layout.size.height + 1e-6);
        assert!(right <= layout.size.width + 1e-6);
    }
}

proptest! {
    #[test]
    fn nodes_do_not_overlap_and_lines_go_down((nodes, edges) in graphs()) {
        let sizes = sizes(nodes);
        let layout = layout(&sizes, &edges);
        nodes_are_apart(&sizes, &layout);
        for (from, to) in &edges {
            prop_assert!(layout.nodes[*from].y < layout.nodes[*to].y);
        }
        let arrived = layout.lines.iter().filter(|line| line.arrives).count();
        prop_assert_eq!(arrived, edges.len());
        for line in &layout.lines {
            prop_assert!(line.from.y <= line.bend && line.bend < line.to.y);
            prop_assert!(line.to.x.is_finite() && line.from.x.is_finite());
        }
        prop_assert_eq!(&layout, &super::layout(&sizes, &edges));
    }

    /// Counted again in the way that nobody can get wrong.
    #[test]
    fn crossings_are_counted((nodes, edges) in graphs()) {
        let layers = Layers::of(nodes, &edges);
        let rows = order::order(&layers);
        let places: std::collections::BTreeMap<usize, usize> = rows
            .iter()
            .flat_map(|row| row.iter().enumerate().map(|(place, vertex)| (*vertex, place)))
            .collect();
        let mut count = 0;
        let links: Vec<_> = layers.links.iter().filter(|link| layers.is_short(link)).collect();
        for (at, one) in links.iter().enumerate() {
            for other in &links[at + 1..] {
                let same = layers.layer[one.from] == layers.layer[other.from];
                let (a, b) = (places[&one.from], places[&other.from]);
                let (c, d) = (places[&one.to], places[&other.to]);
                count += u64::from(same && ((a < b && c > d) || (a > b && c < d)));
            }
        }
        prop_assert_eq!(crossings(&rows, &Neighbours::of(&layers)), count);
    }
}

#[test]
fn nothing_is_laid_out() {
    let layout = layout(&[], &[]);
    assert_eq!((layout.size.width, layout.size.height), (0.0, 0.0));
}

#[test]
fn a_chain_is_straight() {
    let edges: Vec<_> = (1..5).map(|at| (at - 1, at)).collect();
    let layout = layout(&[SIZE; 5], &edges);
    assert!(
        layout.nodes.iter().all(|at| (at.x - 60.0).abs() < 1e-6),
        "{layout:?}"
    );
}

#[test]
fn lines_that_could_cross_do_not() {
    let edges = [(0, 5), (1, 4), (2, 3)];
    let layers = Layers::of(6, &edges);
    let rows = order::order(&layers);
    assert_eq!(crossings(&rows, &Neighbours::of(&layers)), 0);
}

#[test]
fn a_long_line_goes_around_nodes() {
    // 0 -> 1 -> 2 -> 3, and 0 -> 3 beside it.
    let layout = layout(&[SIZE; 4], &[(0, 1), (1, 2), (2, 3), (0, 3)]);
    let passing = layout.lines.iter().filter(|line| !line.arrives);
    for line in passing {
        let beside = &layout.nodes[1..3];
        let clear = beside
            .iter()
            .all(|node| (line.to.x - node.x).abs() > SIZE.width / 2.0);
        assert!(clear, "{line:?}");
    }
}

#[test]
fn edges_that_go_nowhere_are_left_out() {
    let layout = layout(&[SIZE; 2], &[(1, 0), (0, 0), (0, 9), (0, 1)]);
    assert_eq!(layout.lines.len(), 1);
}

/// Work or space that grew with the square of these would not end here.
#[test]
fn large_graphs_of_all_shapes() {
    const NODES: usize = 10_000;
    let chain = (1..NODES).map(|at| (at - 1, at));
    let to_all = (1..NODES).map(|at| (0, at));
    let from_all = (0..NODES - 1).map(|at| (at, NODES - 1));
    let long = (0..NODES / 2).map(|at| (at, NODES - 1 - at));
    let shapes: [Vec<(usize, usize)>; 6] = [
        vec![],
        to_all.clone().collect(),
        from_all.clone().collect(),
        chain.clone().chain(long).collect(),
        chain.chain(to_all).chain(from_all).collect(),
        (1..NODES)
            .flat_map(|at| [(at / 2, at), (at * 7 % at.max(2), at)])
            .collect(),
    ];
    for edges in shapes {
        let layout = layout(&vec![SIZE; NODES], &edges);
        assert!(layout.lines.len() <= 3 * NODES + edges.len());
        nodes_are_apart(&vec![SIZE; NODES], &layout);
        // Beside each other, they would be twice as wide.
        let most = NODES as f64 * SIZE.width / 2.0;
        assert!(layout.size.width < most, "{:?}", layout.size);
    }
}
