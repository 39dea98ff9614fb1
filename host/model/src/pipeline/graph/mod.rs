//! A pipeline as a graph: its steps, and what goes from one to another.
//!
//! ```text
//! Pipeline -> Graph -> mermaid() | dot()           drawn by others
//!                      layout -> svg()             drawn here
//! ```
//!
//! A graph is made from what the file says alone: no component has to be there. Names
//! of steps that do not exist lead nowhere; [`super::check()`] tells about them.

mod dot;
mod layout;
mod mermaid;
pub mod svg;

use std::collections::{BTreeMap, BTreeSet};

use super::Pipeline;
use super::check::step_order;
use super::expression::{Expression, ExpressionKind};
use super::file::Step;

/// The graph of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// The nodes: steps, in the order of [`super::Checked::steps`].
    pub nodes: Vec<Node>,
    /// The edges, in the order of the steps that depend on others.
    pub edges: Vec<Edge>,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The component that it uses, and its function.
    pub uses: Option<String>,
    /// Where it publishes.
    pub publishes: Vec<String>,
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
    /// What for.
    pub kind: EdgeKind,
}

/// What a step needs another for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EdgeKind {
    /// It is given something of it.
    Data,
    /// Its condition alone depends on it.
    Condition,
    /// It only comes after it.
    Order,
}

impl Graph {
    /// The graph of a pipeline.
    #[must_use]
    pub fn of(pipeline: &Pipeline) -> Self {
        let order = step_order(pipeline);
        let steps: Vec<&Step> = order.iter().map(|at| &pipeline.steps[*at]).collect();
        let names = steps.iter().enumerate();
        let by_name = names
            .map(|(at, step)| (&*step.name.text, at))
            .collect::<BTreeMap<_, _>>();
        let edges_to = |(to, step): (usize, &&Step)| edges(to, step, &by_name);
        Self {
            nodes: steps.iter().map(|step| Node::of(step)).collect(),
            edges: steps.iter().enumerate().flat_map(edges_to).collect(),
        }
    }
}

impl Node {
    fn of(step: &Step) -> Self {
        let uses = step.uses.as_ref();
        let publish = step.publish.iter();
        Self {
            name: step.name.text.clone(),
            uses: uses.map(|uses| uses.reference.to_string()),
            publishes: publish.map(|publish| publish.target.to_string()).collect(),
            each: step.foreach.is_some(),
            conditional: step.when.is_some(),
        }
    }

    /// Its name, and what it does.
    fn lines(&self) -> Vec<String> {
        let publishes = self.publishes.iter();
        let publishes = publishes.map(|target| format!("publishes {target}"));
        std::iter::once(self.name.clone())
            .chain(self.uses.clone())
            .chain(publishes)
            .collect()
    }
}

/// The edges to a step.
fn edges(to: usize, step: &Step, by_name: &BTreeMap<&str, usize>) -> Vec<Edge> {
    let mut found: BTreeMap<usize, (EdgeKind, BTreeSet<String>)> = BTreeMap::new();
    let mut add = |from: &str, used: Option<String>, kind| {
        let Some(from) = by_name.get(from) else {
            return;
        };
        let (known, uses) = found.entry(*from).or_insert((kind, BTreeSet::new()));
        *known = kind.min(*known);
        uses.extend(used);
    };
    let used = |expression: &Expression| match &expression.kind {
        ExpressionKind::Results(step) => Some((step.text.clone(), "results".to_owned())),
        ExpressionKind::Output { step, output } => Some((step.text.clone(), output.text.clone())),
        _ => None,
    };
    step.walk_given(&mut |expression| {
        if let Some((from, what)) = used(expression) {
            add(&from, Some(what), EdgeKind::Data);
        }
    });
    if let Some(when) = &step.when {
        when.walk(&mut |expression| {
            if let Some((from, what)) = used(expression) {
                add(&from, Some(what), EdgeKind::Condition);
            }
        });
    }
    for word in &step.needs {
        add(&word.text, None, EdgeKind::Order);
    }
    let edge = |(from, (kind, uses)): (usize, (EdgeKind, BTreeSet<String>))| Edge {
        from,
        to,
        uses: uses.into_iter().collect(),
        kind,
    };
    found.into_iter().map(edge).collect()
}
