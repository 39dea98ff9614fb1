//! Names as targets take them.
//!
//! Names of steps and parameters have `a-z`, `0-9` and `-` ([`wharf_model::pipeline`]), so
//! that to write `_` for `-` loses nothing: two names stay two. Names of pipelines may
//! have more; what a target does not take in them is refused.

use std::collections::BTreeMap;

use crate::{Items, Refusal, Target, Task, Workflow};

/// What a name may have in a target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Most characters.
    pub(crate) most: usize,
    /// The characters beside letters and digits that are allowed inside.
    pub(crate) inside: &'static str,
    /// Whether capital letters are allowed.
    pub(crate) capitals: bool,
}

impl Rule {
    /// Whether it is kept. Names begin and end with a letter or digit.
    fn broken(self, name: &str) -> Option<String> {
        if name.chars().count() > self.most {
            return Some(format!("`{name}` is longer than {} characters", self.most));
        }
        let plain = |c: char| {
            c.is_ascii_lowercase()
                || c.is_ascii_digit()
                || (self.capitals && c.is_ascii_uppercase())
        };
        let wrong = name
            .chars()
            .find(|c| !plain(*c) && !self.inside.contains(*c));
        if let Some(wrong) = wrong {
            return Some(format!("`{name}` has `{wrong}`"));
        }
        let edge = name
            .chars()
            .next()
            .into_iter()
            .chain(name.chars().next_back());
        let edge = edge.into_iter().find(|c| !plain(*c));
        edge.map(|edge| format!("`{name}` begins or ends with `{edge}`"))
    }
}

/// The names of the pipeline and its tasks must keep a target's rules.
pub(crate) fn check(
    target: Target,
    workflow: &Workflow,
    pipeline: Rule,
    task: Rule,
) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if let Some(why) = pipeline.broken(&workflow.name) {
        refusals.push(
            Refusal::new(target, "name", format!("{why}, which its names cannot"))
                .hint("give the pipeline another `name`"),
        );
    }
    for item in &workflow.tasks {
        if let Some(why) = task.broken(&item.slug()) {
            let key = format!("steps.{}", item.step);
            refusals.push(
                Refusal::new(target, key, format!("{why}, which its names cannot"))
                    .hint("give the step another name"),
            );
        }
    }
    refusals
}

/// Two tasks of one name: an item of a step is called as another step is, or the task that
/// lists the items of one.
pub(crate) fn alike(target: Target, workflow: &Workflow) -> Vec<Refusal> {
    let names = workflow.tasks.iter().flat_map(|task| {
        let lists = matches!(task.items, Items::Each).then(|| listing(task));
        let names = [Some(task.slug()), lists].into_iter().flatten();
        names.map(|name| (name, task.step.as_str()))
    });
    distinct(target, names)
}

/// The name of the task that lists the items of a step.
pub(crate) fn listing(task: &Task) -> String {
    format!("{}-items", task.step)
}

/// No two tasks may have one name: a step can be called as a target calls an item of
/// another step, or the task that lists its items. Given are names, and the step of each.
pub(crate) fn distinct<'a>(
    target: Target,
    names: impl IntoIterator<Item = (String, &'a str)>,
) -> Vec<Refusal> {
    let mut steps = BTreeMap::new();
    let names = names.into_iter();
    let clashes = names.filter_map(|(name, step)| {
        let other = steps.insert(name.clone(), step)?;
        let why = format!("its task `{name}` has the name of a task of `{other}`");
        let refusal = Refusal::new(target, format!("steps.{step}"), why);
        Some(refusal.hint("give one of the steps another name"))
    });
    clashes.collect()
}

/// A name as an identifier of a programming language: `train-model` is `train_model`.
/// Words that languages keep for themselves get a `_` at their end, which no name has.
pub(crate) fn identifier(name: &str) -> String {
    let plain = name.replace(['-', '.'], "_");
    match RESERVED.contains(&&*plain) {
        true => format!("{plain}_"),
        false => plain,
    }
}

/// Words that cannot name a variable of Python.
const RESERVED: [&str; 35] = [
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif",
    "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda",
    "match", "nonlocal", "not", "or", "pass", "raise", "return", "self", "try", "type", "while",
    "with", "yield",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_say_what_breaks_them() {
        let rule = Rule {
            most: 8,
            inside: "-",
            capitals: false,
        };
        assert_eq!(rule.broken("train-2"), None);
        for (name, why) in [
            ("train-model", "`train-model` is longer than 8 characters"),
            ("a_b", "`a_b` has `_`"),
            ("Train", "`Train` has `T`"),
            ("train-", "`train-` begins or ends with `-`"),
        ] {
            assert_eq!(rule.broken(name).as_deref(), Some(why));
        }
    }

    #[test]
    fn names_of_tasks_are_told_apart() {
        let names = [
            ("count-0", "count"),
            ("last", "last"),
            ("count-0", "count-0"),
        ];
        let names = names.map(|(name, step)| (name.to_owned(), step));
        let refusals = distinct(Target::Airflow, names);
        assert_eq!(
            refusals.first().map(ToString::to_string).as_deref(),
            Some("airflow: `steps.count-0`: its task `count-0` has the name of a task of `count`")
        );
        assert_eq!(refusals.len(), 1);
    }

    #[test]
    fn names_become_identifiers_of_their_own() {
        assert_eq!(identifier("train-model"), "train_model");
        assert_eq!(identifier("import"), "import_");
    }
}
