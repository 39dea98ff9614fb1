//! A graph as Mermaid draws it.

use std::fmt::Write as _;

use super::Graph;
use crate::name::is_active;

impl Graph {
    /// The graph as Mermaid draws it.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart TD\n".to_owned();
        for (at, node) in self.nodes.iter().enumerate() {
            let lines = node.lines();
            let label = lines.iter().map(|line| mermaid_text(line));
            let label = label.collect::<Vec<_>>().join("<br>");
            let (open, close) = match (node.each, node.conditional) {
                (true, _) => ("[[", "]]"),
                (false, true) => ("{{", "}}"),
                (false, false) => ("[", "]"),
            };
            let _ = writeln!(text, "  s{at}{open}\"{label}\"{close}");
        }
        for edge in &self.edges {
            let (from, to) = (edge.from, edge.to);
            let _ = match edge.uses.is_empty() {
                true => writeln!(text, "  s{from} -.-> s{to}"),
                false => {
                    let label = mermaid_text(&edge.uses.join(", "));
                    writeln!(text, "  s{from} -->|\"{label}\"| s{to}")
                }
            };
        }
        text
    }
}

/// A text inside quotes of Mermaid, which has no escapes but HTML's. Everything that
/// Mermaid or HTML could take for something else is written as its number.
fn mermaid_text(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || " ._-/:,".contains(c);
    let escaped = text.chars().map(|c| match c {
        c if plain(c) => c.to_string(),
        c if is_active(c) => "#65533;".to_owned(),
        c => format!("#{};", u32::from(c)),
    });
    escaped.collect()
}
