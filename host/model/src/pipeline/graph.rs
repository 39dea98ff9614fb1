//! A checked pipeline as a graph: its steps, and what goes from one to another.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::checked::{Checked, CheckedStep, Formula, FormulaKind, Source, SourceKind, TextPiece};
use crate::name::is_active;

/// The graph of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// The nodes: steps, in the order of [`Checked::steps`].
    pub nodes: Vec<Node>,
    /// The edges, in the order of the steps that depend on others.
    pub edges: Vec<Edge>,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What it does: the component that it uses, and where it publishes.
    pub details: Vec<String>,
    /// Whether it runs once for each item of a list.
    pub each: bool,
    /// Whether it runs only under a condition.
    pub conditional: bool,
}

/// What one step has of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The index of the step that is needed.
    pub from: usize,
    /// The index of the step that needs it.
    pub to: usize,
    /// What is used: names of outputs, `results`; nothing where only the order
    /// matters.
    pub uses: Vec<String>,
}

impl Graph {
    /// The graph of a pipeline.
    #[must_use]
    pub fn of(pipeline: &Checked) -> Self {
        let steps = pipeline.steps.iter().enumerate();
        Self {
            nodes: pipeline.steps.iter().map(Node::of).collect(),
            edges: steps.flat_map(|(to, step)| edges(to, step)).collect(),
        }
    }

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

impl Node {
    fn of(step: &CheckedStep) -> Self {
        let uses = step.uses.iter().map(ToString::to_string);
        let publishes = step.publishes().map(|target| format!("publishes {target}"));
        Self {
            name: step.name.clone(),
            details: uses.chain(publishes).collect(),
            each: step.is_each(),
            conditional: step.is_conditional(),
        }
    }

    fn lines(&self) -> Vec<&str> {
        let details = self.details.iter().map(String::as_str);
        std::iter::once(&*self.name).chain(details).collect()
    }
}

/// The edges to a step.
fn edges(to: usize, step: &CheckedStep) -> Vec<Edge> {
    let mut used = BTreeSet::new();
    let mut visit = |formula: &Formula| match &formula.kind {
        FormulaKind::Results(step) => {
            used.insert((*step, "results".to_owned()));
        }
        FormulaKind::Output { step, output, .. } => {
            used.insert((*step, output.clone()));
        }
        _ => {}
    };
    let bindings = step.bindings.iter().map(|binding| &binding.source);
    let sources = bindings.chain(&step.arguments).chain(&step.when);
    for source in sources.chain(&step.foreach) {
        walk_source(source, &mut visit);
    }
    for publication in &step.publish {
        walk(&publication.formula, &mut visit);
    }
    let edge = |from: &usize| {
        let of_step = (*from, String::new())..(*from + 1, String::new());
        let uses = used.range(of_step).map(|(_, name)| name.clone());
        Edge {
            from: *from,
            to,
            uses: uses.collect(),
        }
    };
    step.depends_on.iter().map(edge).collect()
}

fn walk_source(source: &Source, visit: &mut dyn FnMut(&Formula)) {
    match &source.kind {
        SourceKind::Constant(_) => {}
        SourceKind::Formula(formula) => walk(formula, visit),
        SourceKind::Text(pieces) => {
            for piece in pieces {
                if let TextPiece::Formula(formula) = piece {
                    walk(formula, visit);
                }
            }
        }
        SourceKind::List(items) => items.iter().for_each(|item| walk_source(item, visit)),
        SourceKind::Map(entries) => {
            entries
                .iter()
                .for_each(|(_, item)| walk_source(item, visit));
        }
    }
}

fn walk(formula: &Formula, visit: &mut dyn FnMut(&Formula)) {
    visit(formula);
    match &formula.kind {
        FormulaKind::Field(of, _) | FormulaKind::Index(of, _) | FormulaKind::Not(of) => {
            walk(of, visit);
        }
        FormulaKind::Compare(_, left, right) => {
            walk(left, visit);
            walk(right, visit);
        }
        FormulaKind::All(parts) | FormulaKind::Any(parts) => {
            parts.iter().for_each(|part| walk(part, visit));
        }
        _ => {}
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

/// A text inside quotes of Graphviz.
fn dot_text(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if is_active(c) => '\u{fffd}'.to_string(),
        c => c.to_string(),
    });
    escaped.collect()
}
