//! A graph as Graphviz draws it.

use std::fmt::Write as _;

use super::Graph;
use crate::name::is_active;

impl Graph {
    /// The graph as Graphviz draws it.
    #[must_use]
    pub fn dot(&self) -> String {
        let mut text = "digraph pipeline {\n  node [shape=box];\n".to_owned();
        for (at, node) in self.nodes.iter().enumerate() {
            let lines = node.lines();
            let label: String = lines
                .iter()
                .map(|line| dot_text(line))
                .collect::<Vec<_>>()
                .join("\\n");
            let style = match (node.each, node.conditional) {
                (true, _) => ", peripheries=2",
                (false, true) => ", shape=hexagon",
                (false, false) => "",
            };
            let _ = writeln!(text, "  s{at} [label=\"{label}\"{style}];");
        }
        for edge in &self.edges {
            let (from, to) = (edge.from, edge.to);
            let _ = match edge.uses.is_empty() {
                true => writeln!(text, "  s{from} -> s{to} [style=dashed];"),
                false => {
                    let label = dot_text(&edge.uses.join(", "));
                    writeln!(text, "  s{from} -> s{to} [label=\"{label}\"];")
                }
            };
        }
        text + "}\n"
    }
}

/// A text inside quotes of Graphviz.
fn dot_text(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if is_active(c) => '\u{fffd}'.to_string(),
        c => c.to_string(),
    });
    escaped.collect()
}
