//! The graph of a flow: levels that branch and join, one after the other.

use crate::{Items, Task, Workflow};

/// A step of the flow.
#[derive(Debug)]
pub(super) struct Node<'a> {
    /// Its name.
    pub(super) name: String,
    /// What it is.
    pub(super) role: Role<'a>,
    /// The steps that come next.
    pub(super) next: Vec<String>,
}

/// What a step of the flow is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role<'a> {
    /// The first.
    Start,
    /// Runs a task.
    One(&'a Task),
    /// Lists the items of a step.
    List(&'a Task),
    /// Runs for an item.
    Item(&'a Task),
    /// Waits for items, or for branches.
    Join,
    /// Branches after one that joins.
    Fork,
    /// The last.
    End,
}

impl Role<'_> {
    /// Whether it has several inputs.
    pub(super) const fn joins(self) -> bool {
        matches!(self, Self::Join)
    }
}

/// The steps of the flow of a workflow, in order.
pub(super) fn nodes<'a>(workflow: &'a Workflow, name: &dyn Fn(&Task) -> String) -> Vec<Node<'a>> {
    let levels = levels(workflow);
    let mut nodes = vec![node("start", Role::Start)];
    // Those whose next is what the following level begins with.
    let mut ends = vec![0];
    for (at, level) in levels.iter().enumerate() {
        let first = nodes.len();
        let mut begins = Vec::new();
        let mut done = Vec::new();
        for task in level {
            let name = name(task);
            match task.items {
                Items::One => {
                    begins.push(name.clone());
                    nodes.push(node(&name, Role::One(task)));
                }
                Items::Each | Items::At { .. } => {
                    let (listing, join) = (format!("{name}_items"), format!("{name}_join"));
                    begins.push(listing.clone());
                    nodes.push(with(&listing, Role::List(task), &name));
                    nodes.push(with(&name, Role::Item(task), &join));
                    nodes.push(node(&join, Role::Join));
                }
            }
            done.push(nodes.len() - 1);
        }
        if let ([end], [_, _, ..]) = (&ends[..], &begins[..])
            && nodes[*end].role.joins()
        {
            // What joins cannot branch, too.
            let fork = format!("fork_{}", at + 1);
            nodes[*end].next = vec![fork.clone()];
            nodes.insert(first, node(&fork, Role::Fork));
            ends = vec![first];
            done.iter_mut().for_each(|at| *at += 1);
        }
        for end in ends {
            nodes[end].next.clone_from(&begins);
        }
        ends = match &done[..] {
            [_] => done,
            several => {
                let join = format!("join_{}", at + 1);
                for end in several {
                    nodes[*end].next = vec![join.clone()];
                }
                nodes.push(node(&join, Role::Join));
                vec![nodes.len() - 1]
            }
        };
    }
    for end in ends {
        nodes[end].next = vec!["end".to_owned()];
    }
    nodes.push(node("end", Role::End));
    nodes
}

fn node<'a>(name: &str, role: Role<'a>) -> Node<'a> {
    Node {
        name: name.to_owned(),
        role,
        next: Vec::new(),
    }
}

fn with<'a>(name: &str, role: Role<'a>, next: &str) -> Node<'a> {
    Node {
        next: vec![next.to_owned()],
        ..node(name, role)
    }
}

/// Tasks by how many others they wait for one after the other; of the items of a step,
/// the first, for all.
fn levels(workflow: &Workflow) -> Vec<Vec<&Task>> {
    let mut level_of: Vec<usize> = Vec::new();
    let mut levels: Vec<Vec<&Task>> = Vec::new();
    for task in &workflow.tasks {
        let level = task.needs.iter().map(|on| level_of[*on] + 1).max();
        let level = level.unwrap_or_default();
        level_of.push(level);
        if levels.len() <= level {
            levels.push(Vec::new());
        }
        if !matches!(task.items, Items::At { index: 1.., .. }) {
            levels[level].push(task);
        }
    }
    levels
}
