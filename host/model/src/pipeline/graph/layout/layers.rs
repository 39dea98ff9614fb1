//! Which layer each node is in, and which lines pass it.

/// Fewest nodes that a layer has room for. A layer is wider in large graphs, so that
/// the drawing is not.
const LEAST_ROOM: usize = 10;
/// Places of lines that pass a layer, for each node, and some more for small graphs.
/// Where there would be more, the longest lines have no places of their own, and pass
/// behind the nodes.
const PASSING_FOR_EACH: usize = 2;
const PASSING: usize = 1000;

/// A graph in layers. Its vertices are its nodes, and then the places where a line
/// passes a layer.
#[derive(Debug)]
pub(super) struct Layers {
    /// How many nodes there are.
    nodes: usize,
    /// The layer of each vertex.
    pub(super) layer: Vec<usize>,
    /// How many layers there are.
    pub(super) count: usize,
    /// What connects vertices: one layer and the next, but for the longest lines.
    pub(super) links: Vec<Link>,
}

/// What connects two vertices.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Link {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The first of the edges that go this way.
    pub(super) edge: usize,
}

impl Layers {
    /// Puts nodes into layers.
    pub(super) fn of(nodes: usize, edges: &[(usize, usize)]) -> Self {
        let mut targets = vec![Vec::new(); nodes];
        for (edge, (from, to)) in edges.iter().enumerate() {
            if from < to && *to < nodes {
                targets[*from].push((*to, edge));
            }
        }
        let layer = assign(&targets);
        let count = layer.iter().max().map_or(0, |last| last + 1);
        let mut layers = Self {
            nodes,
            layer,
            count,
            links: Vec::new(),
        };
        layers.connect(&targets);
        layers
    }

    /// Whether a vertex is a node, not a place where a line passes.
    pub(super) const fn is_node(&self, vertex: usize) -> bool {
        vertex < self.nodes
    }

    /// How many vertices there are.
    pub(super) fn len(&self) -> usize {
        self.layer.len()
    }

    /// Whether a link goes from one layer to the next.
    pub(super) fn is_short(&self, link: &Link) -> bool {
        self.layer[link.to] == self.layer[link.from] + 1
    }

    fn connect(&mut self, targets: &[Vec<(usize, usize)>]) {
        let longest = self.longest(targets);
        for (from, targets) in targets.iter().enumerate() {
            self.connect_one(from, targets, longest);
        }
    }

    /// Connects a node with those below it. The lines share a trunk, which they leave
    /// one layer above their ends.
    fn connect_one(&mut self, from: usize, targets: &[(usize, usize)], longest: usize) {
        let own = self.layer[from];
        let span = |to: usize| self.layer[to] - own;
        let mut targets = targets.to_vec();
        targets.sort_by_key(|(to, edge)| (span(*to), *to, *edge));
        let far = targets.partition_point(|(to, _)| span(*to) <= longest);
        let spans: Vec<usize> = targets.iter().map(|(to, _)| span(*to)).collect();
        let (near, direct) = targets.split_at(far);
        // For each line, the first of it and all that go farther.
        let mut first: Vec<usize> = near.iter().map(|(_, edge)| *edge).collect();
        for at in (1..first.len()).rev() {
            first[at - 1] = first[at - 1].min(first[at]);
        }
        let mut vertex = from;
        let mut next = 0;
        while next < near.len() {
            let passed = self.layer[vertex] - own + 1;
            while next < near.len() && spans[next] == passed {
                let (to, edge) = near[next];
                self.link(vertex, to, edge);
                next += 1;
            }
            if next < near.len() {
                let place = self.layer.len();
                self.layer.push(own + passed);
                self.link(vertex, place, first[next]);
                vertex = place;
            }
        }
        for (to, edge) in direct {
            self.link(from, *to, *edge);
        }
    }

    fn link(&mut self, from: usize, to: usize, edge: usize) {
        self.links.push(Link { from, to, edge });
    }

    /// The longest lines that have places where they pass layers.
    fn longest(&self, targets: &[Vec<(usize, usize)>]) -> usize {
        let most = PASSING_FOR_EACH * self.nodes + PASSING;
        let mut longest = self.count;
        let places = |longest: usize| -> usize {
            let trunks = targets.iter().enumerate().map(|(from, targets)| {
                let spans = targets
                    .iter()
                    .map(|(to, _)| self.layer[*to] - self.layer[from]);
                spans.filter(|span| *span <= longest).max().unwrap_or(1) - 1
            });
            trunks.sum()
        };
        while longest > 1 && places(longest) > most {
            longest /= 2;
        }
        longest
    }
}

/// The layer of each node: the first below all that it depends on that has room.
fn assign(targets: &[Vec<(usize, usize)>]) -> Vec<usize> {
    let nodes = targets.len();
    let room = LEAST_ROOM.max(nodes.isqrt() * 3 / 2);
    let mut least = vec![0; nodes];
    let mut layer = vec![0; nodes];
    let mut filled = vec![0_usize; nodes + 1];
    // For each layer, one at or below it that may have room.
    let mut free: Vec<usize> = (0..=nodes).collect();
    for node in 0..nodes {
        let mut at = least[node];
        while filled[at] >= room {
            free[at] = free[at].max(at + 1);
            let next = free[at];
            // Whoever comes here again goes farther at once.
            free[at] = free[next.min(nodes)].max(next);
            at = next;
        }
        layer[node] = at;
        filled[at] += 1;
        for (to, _) in &targets[node] {
            least[*to] = least[*to].max(at + 1);
        }
    }
    pull_down(targets, &least, &mut layer, &mut filled, room);
    layer
}

/// Moves what nothing comes before to the one that needs it first.
fn pull_down(
    targets: &[Vec<(usize, usize)>],
    least: &[usize],
    layer: &mut [usize],
    filled: &mut [usize],
    room: usize,
) {
    for node in (0..targets.len()).filter(|node| least[*node] == 0) {
        let needed = targets[node].iter().map(|(to, _)| layer[*to]).min();
        let Some(wanted) = needed.map(|needed| needed - 1) else {
            continue;
        };
        if wanted > layer[node] && filled[wanted] < room && filled[layer[node]] > 1 {
            filled[layer[node]] -= 1;
            filled[wanted] += 1;
            layer[node] = wanted;
        }
    }
}
