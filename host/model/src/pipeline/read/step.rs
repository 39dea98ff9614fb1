//! Steps.

use std::collections::{HashMap, HashSet};

use super::super::diagnostic::{Diagnostic, Span};
use super::super::expression::Word;
use super::super::file::{DeclaredOutput, Publish, Retries, Step, StepLimits, Uses};
use super::super::given::{Given, GivenKind};
use super::super::publish::PublishTarget;
use super::super::yaml::{Key, Kind, Node};
use super::{Fields, MAX_STEPS, Reader, word};
use crate::grants::Grant;
use crate::name::Name;

/// The keys of a step.
pub(crate) const STEP_KEYS: [&str; 14] = [
    "uses",
    "with",
    "inputs",
    "outputs",
    "arguments",
    "publish",
    "when",
    "foreach",
    "needs",
    "retries",
    "timeout",
    "limits",
    "grants",
    "seed",
];

/// The keys that mean something without `uses`, too.
const PUBLISHING_KEYS: [&str; 3] = ["publish", "when", "needs"];

/// The keys that say what other parts of the file can refer to, or what is bound.
const HIDING_KEYS: [&str; 4] = ["uses", "with", "outputs", "foreach"];

/// The keys of `retries`.
pub(crate) const RETRY_KEYS: [&str; 3] = ["count", "backoff", "max-backoff"];

/// The keys of `limits`.
pub(crate) const LIMIT_KEYS: [&str; 5] = ["memory", "fuel", "output", "log", "handles"];

/// Most retries: what fails a hundred times in a row is not transient.
const MAX_RETRIES: u64 = 100;

impl Reader<'_> {
    pub(super) fn steps(&mut self, node: &Node) -> Option<Vec<Step>> {
        let entries = self.map("`steps`", node)?;
        if !self.at_most(MAX_STEPS, "steps", entries, &node.span) {
            return None;
        }
        if entries.is_empty() {
            self.wrong(&node.span, "the pipeline has no steps", None);
        }
        let steps = entries.iter().map(|(key, value)| self.step(key, value));
        Some(steps.collect())
    }

    /// Reads a step. One that cannot be read is a step nevertheless, of which nothing
    /// is known but its name.
    fn step(&mut self, key: &Key, node: &Node) -> Step {
        let name = self.name("step", key);
        let what = format!("step `{}`", name.text);
        let fields = self.fields(&what, node, &STEP_KEYS);
        let fields = fields.unwrap_or_else(|| Fields {
            span: node.span.clone(),
            mistyped: true,
            known: HashMap::new(),
        });
        self.refuse_without_uses(&what, &name.span, &fields);
        let mut unread = match fields.mistyped {
            true => HIDING_KEYS.to_vec(),
            false => Vec::new(),
        };
        let mut before = self.found.count();
        let uses = fields.get("uses").and_then(|node| self.uses(node));
        self.note_unread("uses", &mut before, &mut unread);
        let with = self.values_of("`with`", fields.get("with"));
        self.note_unread("with", &mut before, &mut unread);
        let outputs = self.outputs(fields.get("outputs"));
        self.note_unread("outputs", &mut before, &mut unread);
        let foreach = fields.get("foreach").and_then(|node| self.foreach(node));
        self.note_unread("foreach", &mut before, &mut unread);
        let keys = fields.known.values().map(|(key, _)| word(key)).collect();
        Step {
            uses,
            with,
            inputs: self.values_of("`inputs`", fields.get("inputs")),
            outputs,
            arguments: self.arguments(fields.get("arguments")),
            publish: self.publish(fields.get("publish")),
            when: fields.get("when").and_then(|node| self.when(node)),
            foreach,
            needs: self.needs(fields.get("needs")),
            retries: fields.get("retries").and_then(|node| self.retries(node)),
            timeout: fields
                .get("timeout")
                .and_then(|node| self.positive_time("`timeout`", node)),
            limits: self.limits(fields.get("limits")),
            grants: self.grants(fields.get("grants")),
            seed: fields
                .get("seed")
                .and_then(|node| self.whole("`seed`", node, 0, u64::MAX)),
            name,
            keys,
            unread,
        }
    }

    /// Notes that there were mistakes in the value of a key.
    fn note_unread(&self, key: &'static str, before: &mut usize, unread: &mut Vec<&'static str>) {
        let count = self.found.count();
        if count > *before {
            unread.push(key);
        }
        *before = count;
    }

    /// Refuses what makes no sense in a step that runs nothing.
    fn refuse_without_uses(&mut self, what: &str, span: &Span, fields: &Fields<'_>) {
        let has = |key: &str| fields.known.contains_key(key);
        if has("uses") || fields.mistyped {
            return;
        }
        if !has("publish") {
            let message = format!("{what} does nothing");
            self.wrong(span, message, Some("add `uses` or `publish`"));
            return;
        }
        let keys = STEP_KEYS.iter().filter_map(|key| fields.known.get(key));
        let useless = keys.filter(|(key, _)| !PUBLISHING_KEYS.contains(&&*key.text));
        for (key, _) in useless {
            let message = format!("{what} only publishes; it cannot have `{}`", key.text);
            self.wrong(&key.span, message, Some("remove it, or add `uses`"));
        }
    }

    fn uses(&mut self, node: &Node) -> Option<Uses> {
        let text = self.fixed_text("`uses`", node)?;
        if let Some((scheme, _)) = text.split_once("://") {
            let message = format!("components cannot be taken from `{scheme}://` yet");
            let hint = "write the path of a file, relative to this one";
            self.wrong(&node.span, message, Some(hint));
            return None;
        }
        Some(Uses {
            reference: self.parsed("`uses`", node)?,
            span: node.span.clone(),
        })
    }

    fn given(&mut self, node: &Node) -> Option<Given> {
        Given::read(self.text, node, self.found)
    }

    fn values_of(&mut self, what: &str, node: Option<&Node>) -> Vec<(Word, Given)> {
        let entries = node.and_then(|node| self.map(what, node));
        let entries = entries.unwrap_or_default().iter();
        entries
            .filter_map(|(key, value)| Some((word(key), self.given(value)?)))
            .collect()
    }

    fn items<'n>(&mut self, what: &str, node: Option<&'n Node>) -> &'n [Node] {
        node.and_then(|node| self.list(what, node))
            .unwrap_or_default()
    }

    fn outputs(&mut self, node: Option<&Node>) -> Vec<DeclaredOutput> {
        let mut seen = HashSet::new();
        let items = self.items("`outputs`", node).iter();
        items
            .filter_map(|item| self.output(item, &mut seen))
            .collect()
    }

    fn output(&mut self, node: &Node, seen: &mut HashSet<String>) -> Option<DeclaredOutput> {
        let text = self.fixed_text("the name of an output", node)?;
        let (name, tree) = match text.strip_suffix('/') {
            Some(name) => (name, true),
            None => (&*text, false),
        };
        if let Err(error) = Name::new(name) {
            let message = format!("`{text}` cannot name an output: {error}");
            self.wrong(&node.span, message, None);
            return None;
        }
        if !seen.insert(name.to_owned()) {
            let message = format!("the output `{name}` is given twice");
            self.wrong(&node.span, message, Some("remove one of them"));
        }
        let name = Word {
            text: name.to_owned(),
            span: node.span.clone(),
        };
        Some(DeclaredOutput { name, tree })
    }

    fn arguments(&mut self, node: Option<&Node>) -> Vec<Given> {
        let items = self.items("`arguments`", node).iter();
        let scalar = |node: &Node| match &node.kind {
            Kind::List(_) | Kind::Map(_) => false,
            Kind::Literal(json) => !json.is_null(),
            Kind::Text(_) => true,
        };
        items
            .filter_map(|item| match scalar(item) {
                true => self.given(item),
                false => {
                    self.mismatch("an argument", "a text", item, None);
                    None
                }
            })
            .collect()
    }

    fn publish(&mut self, node: Option<&Node>) -> Vec<Publish> {
        let entries = node.and_then(|node| self.map("`publish`", node));
        let entries = entries.unwrap_or_default().iter();
        entries
            .filter_map(|(key, value)| {
                let target = self.target(key);
                let value = self.published(value);
                Some(Publish {
                    target: target?,
                    value: value?,
                })
            })
            .collect()
    }

    fn target(&mut self, key: &Key) -> Option<PublishTarget> {
        match key.text.parse() {
            Ok(target) => Some(target),
            Err(error) => {
                let error: super::super::publish::ParsePublishTargetError = error;
                let message = format!("`{}` is no name to publish under", key.text);
                self.wrong(&key.span, message, Some(&error.to_string()));
                None
            }
        }
    }

    fn published(&mut self, node: &Node) -> Option<Given> {
        let given = self.given(node)?;
        if matches!(given.kind, GivenKind::Expression(_)) {
            return Some(given);
        }
        let message = format!("what is published is an expression, not {}", given.what());
        let hint = "write \"${{ outputs.NAME }}\" or \"${{ steps.STEP.outputs.NAME }}\"";
        self.wrong(&node.span, message, Some(hint));
        None
    }

    fn when(&mut self, node: &Node) -> Option<Given> {
        let given = self.given(node)?;
        let fits = match &given.kind {
            GivenKind::Expression(_) => true,
            GivenKind::Literal(json) => json.is_boolean(),
            _ => false,
        };
        if !fits {
            let message = format!("`when` must be one expression, not {}", given.what());
            let hint = "write `when: ${{ ... }}`, with the whole condition inside";
            self.wrong(&node.span, message, Some(hint));
        }
        fits.then_some(given)
    }

    fn foreach(&mut self, node: &Node) -> Option<Given> {
        let given = self.given(node)?;
        let fits = matches!(given.kind, GivenKind::Expression(_) | GivenKind::List(_));
        if !fits {
            let message = format!(
                "`foreach` must be a list or an expression, not {}",
                given.what()
            );
            let hint = "write `foreach: [a, b]` or `foreach: ${{ ... }}`";
            self.wrong(&node.span, message, Some(hint));
        }
        fits.then_some(given)
    }

    fn needs(&mut self, node: Option<&Node>) -> Vec<Word> {
        let items = self.items("`needs`", node).iter();
        items
            .filter_map(|item| {
                let text = self.fixed_text("the name of a step", item)?;
                let span = item.span.clone();
                Some(Word { text, span })
            })
            .collect()
    }

    fn retries(&mut self, node: &Node) -> Option<Retries> {
        let what = "the number of retries";
        if let Kind::Literal(_) | Kind::Text(_) = node.kind {
            let count = self.whole(what, node, 0, MAX_RETRIES)? as u32;
            return Some(Retries {
                count,
                ..Retries::default()
            });
        }
        let fields = self.fields("`retries`", node, &RETRY_KEYS)?;
        let Some(count) = fields.get("count") else {
            self.missing(&fields, &node.span, "`retries` needs a `count`", None);
            return None;
        };
        let mut time = |key: &str, default| {
            let given = fields.get(key);
            given.map_or(Some(default), |node| self.time(&format!("`{key}`"), node))
        };
        let default = Retries::default();
        let backoff = time("backoff", default.backoff);
        let longest = default.max_backoff.max(backoff.unwrap_or(default.backoff));
        let max_backoff = time("max-backoff", longest);
        if max_backoff.is_some() && backoff > max_backoff {
            self.wrong(&node.span, "`max-backoff` is shorter than `backoff`", None);
        }
        Some(Retries {
            count: self.whole(what, count, 0, MAX_RETRIES)? as u32,
            backoff: backoff?,
            max_backoff: max_backoff?,
        })
    }

    fn limits(&mut self, node: Option<&Node>) -> StepLimits {
        let fields = node.and_then(|node| self.fields("`limits`", node, &LIMIT_KEYS));
        let Some(fields) = fields else {
            return StepLimits::default();
        };
        let mut size = |key: &str| {
            let node = fields.get(key)?;
            self.size(&format!("`{key}`"), node)
        };
        let (memory, output, log) = (size("memory"), size("output"), size("log"));
        let mut whole = |key: &str, most| {
            let node = fields.get(key)?;
            self.whole(&format!("`{key}`"), node, 1, most)
        };
        StepLimits {
            memory,
            fuel: whole("fuel", u64::MAX),
            output,
            log,
            handles: whole("handles", u64::from(u32::MAX)).map(|handles| handles as u32),
        }
    }

    fn grants(&mut self, node: Option<&Node>) -> Vec<Grant> {
        let items = self.items("`grants`", node);
        let mut grants = Vec::new();
        let mut seen = HashSet::new();
        for item in items {
            let Some(text) = self.fixed_text("a grant", item) else {
                continue;
            };
            match text.parse::<Grant>() {
                Ok(_) if !seen.insert(text.clone()) => {
                    let again = format!("the grant `{text}` is given twice");
                    self.wrong(&item.span, again, Some("remove one of them"));
                }
                Ok(grant) => grants.push(grant),
                Err(error) => self
                    .found
                    .push(Diagnostic::new(item.span.clone(), error.to_string())),
            }
        }
        grants
    }
}
