//! Makes a pipeline of a file: which keys there are, and what form their values
//! have.

mod parameter;
mod scalar;
mod step;

use std::collections::HashMap;

use super::diagnostic::{Diagnostic, Diagnostics, Span, suggestion};
use super::expression::Word;
use super::file::{Pipeline, Unread};
use super::yaml::{self, Key, Kind, Node};

#[cfg(test)]
pub(super) use parameter::{DECLARATION_KEYS, PARTITION_KEYS};
#[cfg(test)]
pub(super) use step::{LIMIT_KEYS, RETRY_KEYS, STEP_KEYS};

/// The keys of a pipeline.
pub(super) const PIPELINE_KEYS: [&str; 5] =
    ["name", "description", "parameters", "partition", "steps"];

/// Most steps of a pipeline: ten times what is known to be used. It bounds what a
/// scheduler holds.
pub const MAX_STEPS: usize = 100_000;

/// Most parameters of a pipeline: more than anybody can fill in.
pub const MAX_PARAMETERS: usize = 1_000;

/// Longest name of a step or parameter, in characters: what orchestrators take.
pub const MAX_NAME_LENGTH: usize = 64;

/// Reads the text of a file.
pub(super) fn read(text: &str) -> Result<Pipeline, Vec<Diagnostic>> {
    match read_partly(text) {
        (Some(pipeline), mistakes) if mistakes.is_empty() => Ok(pipeline),
        (_, mistakes) => Err(mistakes),
    }
}

/// Reads what can be read of the text of a file.
pub(super) fn read_partly(text: &str) -> (Option<Pipeline>, Vec<Diagnostic>) {
    let mut found = Diagnostics::default();
    let root = yaml::read(text, &mut found);
    // What an alias or a tag would have meant is not known.
    let is_yaml = found.count() == 0;
    let pipeline = root.and_then(|root| {
        let mut reader = Reader {
            text,
            found: &mut found,
            unread: Unread::default(),
        };
        reader.pipeline(&root)
    });
    (pipeline.filter(|_| is_yaml), found.in_order())
}

/// Reads the parts of a file, and collects what is wrong.
struct Reader<'a> {
    text: &'a str,
    found: &'a mut Diagnostics,
    unread: Unread,
}

/// The keys of a map that is known to have only known ones.
struct Fields<'a> {
    /// Where the map is.
    span: Span,
    /// Whether it has unknown keys: one of them may stand for a known one that is
    /// missing.
    mistyped: bool,
    known: HashMap<&'a str, (&'a Key, &'a Node)>,
}

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a Node> {
        self.known.get(key).map(|(_, node)| *node)
    }
}

impl Reader<'_> {
    fn wrong(&mut self, span: &Span, message: impl Into<String>, hint: Option<&str>) {
        let diagnostic = Diagnostic::new(span.clone(), message);
        self.found
            .push(diagnostic.maybe_hint(hint.map(str::to_owned)));
    }

    /// Says that a key is missing, unless it may be there and mistyped.
    fn missing(&mut self, of: &Fields<'_>, span: &Span, message: &str, hint: Option<&str>) {
        if !of.mistyped {
            self.wrong(span, message, hint);
        }
    }

    /// Says that a part has the wrong form.
    fn mismatch(&mut self, what: &str, wanted: &str, node: &Node, hint: Option<&str>) {
        let message = match node.what() {
            "nothing" => format!("{what} is empty; it must be {wanted}"),
            given => format!("{what} must be {wanted}, not {given}"),
        };
        self.wrong(&node.span, message, hint);
    }

    /// The entries of a map.
    fn map<'n>(&mut self, what: &str, node: &'n Node) -> Option<&'n [(Key, Node)]> {
        match &node.kind {
            Kind::Map(entries) => Some(entries),
            _ => {
                self.mismatch(what, "a map", node, None);
                None
            }
        }
    }

    /// The items of a list.
    fn list<'n>(&mut self, what: &str, node: &'n Node) -> Option<&'n [Node]> {
        match &node.kind {
            Kind::List(items) => Some(items),
            _ => {
                let hint = "a list is written [a, b], or as lines that begin with `- `";
                self.mismatch(what, "a list", node, Some(hint));
                None
            }
        }
    }

    /// A map with keys that are known; others are told.
    fn fields<'n>(&mut self, what: &str, node: &'n Node, known: &[&str]) -> Option<Fields<'n>> {
        let entries = self.map(what, node)?;
        let mut fields = HashMap::new();
        for (key, value) in entries {
            match known.contains(&&*key.text) {
                true => {
                    fields.entry(&*key.text).or_insert((key, value));
                }
                false => self.unknown_key(what, key, known),
            }
        }
        Some(Fields {
            span: node.span.clone(),
            mistyped: fields.len() < entries.len(),
            known: fields,
        })
    }

    fn unknown_key(&mut self, what: &str, key: &Key, known: &[&str]) {
        if key.text == "<<" {
            // Refused when the YAML was read.
            return;
        }
        let message = format!("{what} has no `{}`", key.text);
        let hint = suggestion(&key.text, known);
        self.wrong(&key.span, message, Some(&hint));
    }

    /// The name of a step or parameter.
    fn name(&mut self, what: &str, key: &Key) -> Word {
        if !is_kebab(&key.text) {
            let message = format!("`{}` cannot name a {what}", shortened(&key.text));
            let hint = format!(
                "names have a-z, 0-9 and `-`, begin with a letter, and are at most \
                 {MAX_NAME_LENGTH} characters long"
            );
            self.wrong(&key.span, message, Some(&hint));
        }
        word(key)
    }

    /// Whether there are not too many of something.
    fn at_most<T>(&mut self, most: usize, what: &str, of: &[T], span: &Span) -> bool {
        if of.len() <= most {
            return true;
        }
        let message = format!("there are {} {what}, more than {most}", of.len());
        self.wrong(span, message, Some("make several pipelines of it"));
        false
    }

    fn pipeline(&mut self, root: &Node) -> Option<Pipeline> {
        let fields = self.fields("a pipeline", root, &PIPELINE_KEYS)?;
        let name = fields.get("name").and_then(|node| self.artifact_name(node));
        let description = fields
            .get("description")
            .and_then(|node| self.text("`description`", node));
        let parameters = fields.get("parameters").map(|node| self.parameters(node));
        let partition = fields
            .get("partition")
            .and_then(|node| self.partition(node));
        let Some(steps) = fields.get("steps") else {
            self.missing(&fields, &fields.span, "a pipeline needs `steps`", None);
            return None;
        };
        let may_be_there = |key: &str| fields.mistyped || fields.known.contains_key(key);
        self.unread.partition = partition.is_none() && may_be_there("partition");
        self.unread.any_parameter |= parameters.is_none() && may_be_there("parameters");
        let steps = self.steps(steps)?;
        Some(Pipeline {
            name,
            description,
            parameters: parameters.unwrap_or_default(),
            partition,
            steps,
            unread: std::mem::take(&mut self.unread),
        })
    }
}

fn word(key: &Key) -> Word {
    Word {
        text: key.text.clone(),
        span: key.span.clone(),
    }
}

/// Whether a text is a name as WIT has them.
fn is_kebab(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let belongs = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    first && text.len() <= MAX_NAME_LENGTH && text.bytes().all(belongs)
}

/// The beginning of a text, for a message.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_NAME_LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
