//! The order of steps: each after those that it depends on.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use super::super::diagnostic::{Diagnostic, Diagnostics, Span};
use super::super::file::Pipeline;

/// Most steps of a circle that a message names.
const MAX_SHOWN: usize = 8;

/// The order of the steps of a pipeline.
#[derive(Debug)]
pub(super) struct Order {
    /// The steps by place in the file, in their order.
    pub(super) steps: Vec<usize>,
    /// For each step by place in the file, its place in the order.
    pub(super) position: Vec<usize>,
    /// For each step by place in the file, those that it depends on.
    pub(super) dependencies: Vec<Vec<usize>>,
    /// Whether some steps wait for each other, so that there is no order.
    pub(super) is_circular: bool,
}

/// For each step, the steps that it depends on, and where the file says so.
type Dependencies = Vec<HashMap<usize, Span>>;

impl Order {
    /// Finds the order. Unknown names are told where they are looked up; circles
    /// are told here.
    pub(super) fn of(
        pipeline: &Pipeline,
        by_name: &HashMap<&str, usize>,
        found: &mut Diagnostics,
    ) -> Self {
        let dependencies = dependencies(pipeline, by_name, found);
        let mut steps = sorted(&dependencies);
        let is_circular = steps.len() < dependencies.len();
        if is_circular {
            let sorted: BTreeSet<usize> = steps.iter().copied().collect();
            let rest: BTreeSet<usize> = (0..dependencies.len())
                .filter(|step| !sorted.contains(step))
                .collect();
            report_circles(pipeline, &dependencies, &rest, found);
            steps.extend(rest);
        }
        let mut position = vec![0; steps.len()];
        for (place, step) in steps.iter().enumerate() {
            position[*step] = place;
        }
        let keys = |on: &HashMap<usize, Span>| on.keys().copied().collect();
        Self {
            dependencies: dependencies.iter().map(keys).collect(),
            steps,
            position,
            is_circular,
        }
    }

    /// The steps that a step depends on, by their places in the order.
    pub(super) fn depends_on(&self, step: usize) -> Vec<usize> {
        let on = self.dependencies[step].iter();
        let mut on: Vec<usize> = on.map(|step| self.position[*step]).collect();
        on.sort_unstable();
        on
    }
}

fn dependencies(
    pipeline: &Pipeline,
    by_name: &HashMap<&str, usize>,
    found: &mut Diagnostics,
) -> Dependencies {
    let of = |step: &super::super::file::Step| {
        let mut on = HashMap::new();
        step.walk(&mut |expression| {
            let known = expression.step().and_then(|word| {
                let step = by_name.get(&*word.text)?;
                Some((*step, word.span.clone()))
            });
            if let Some((step, span)) = known {
                on.entry(step).or_insert(span);
            }
        });
        for word in &step.needs {
            match by_name.get(&*word.text) {
                Some(step) => {
                    on.entry(*step).or_insert_with(|| word.span.clone());
                }
                None => super::unknown_step(pipeline, word, found),
            }
        }
        on
    };
    pipeline.steps.iter().map(of).collect()
}

/// The steps in order, without those that are in a circle or after one. Of those
/// that could be next, the first in the file is.
fn sorted(dependencies: &Dependencies) -> Vec<usize> {
    let mut waiting: Vec<usize> = dependencies.iter().map(HashMap::len).collect();
    let mut after = vec![Vec::new(); dependencies.len()];
    for (step, on) in dependencies.iter().enumerate() {
        on.keys().for_each(|on| after[*on].push(step));
    }
    let ready = (0..waiting.len()).filter(|step| waiting[*step] == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = ready.map(Reverse).collect();
    let mut sorted = Vec::with_capacity(waiting.len());
    while let Some(Reverse(step)) = ready.pop() {
        sorted.push(step);
        for next in &after[step] {
            waiting[*next] -= 1;
            if waiting[*next] == 0 {
                ready.push(Reverse(*next));
            }
        }
    }
    sorted
}

/// Tells the circles among steps that have no order. Each of those depends on
/// another, so going from one to the next ends in a circle. Each is visited once.
fn report_circles(
    pipeline: &Pipeline,
    dependencies: &Dependencies,
    rest: &BTreeSet<usize>,
    found: &mut Diagnostics,
) {
    let mut visited = HashMap::new();
    for start in rest {
        let mut path = Vec::new();
        let mut step = *start;
        while let std::collections::hash_map::Entry::Vacant(entry) = visited.entry(step) {
            entry.insert(*start);
            path.push(step);
            let on = dependencies[step].keys().filter(|on| rest.contains(on));
            match on.min() {
                Some(next) => step = *next,
                None => break,
            }
        }
        let circle = path.iter().position(|on_path| *on_path == step);
        if let (Some(begin), Some(by)) = (circle, visited.get(&step))
            && by == start
        {
            found.push(circle_of(pipeline, dependencies, &path[begin..]));
        }
    }
}

/// Describes a circle, from its first step in the file on.
fn circle_of(pipeline: &Pipeline, dependencies: &Dependencies, circle: &[usize]) -> Diagnostic {
    let first = circle.iter().enumerate().min_by_key(|(_, step)| **step);
    let first = first.map_or(0, |(at, _)| at);
    let at = |index: usize| circle[(first + index) % circle.len()];
    let name = |index: usize| &*pipeline.steps[at(index)].name.text;
    let edge = |index: usize| dependencies[at(index)].get(&at(index + 1)).cloned();
    let shown = circle.len().min(MAX_SHOWN);
    let mut names: Vec<&str> = (0..shown).map(name).collect();
    if circle.len() > MAX_SHOWN {
        names.push("...");
    }
    names.push(name(0));
    let message = format!("the steps wait for each other: `{}`", names.join(" -> "));
    let span = edge(0).unwrap_or_else(|| pipeline.steps[at(0)].name.span.clone());
    let mut diagnostic = Diagnostic::new(span, message).hint("take one of these references out");
    for index in 1..shown {
        if let Some(span) = edge(index) {
            let what = format!("`{}` waits for `{}` here", name(index), name(index + 1));
            diagnostic = diagnostic.also(span, what);
        }
    }
    diagnostic
}
