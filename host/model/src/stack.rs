//! Stacks: where pipelines run, and what they may do there.
//!
//! `stack.toml` has one or several; `--stack prod` changes all of it with the pipeline
//! untouched. Secrets are references, never values.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::grants::Grant;
use crate::limits::{Bytes, Limits, Millis};
use crate::pipeline::{Diagnostic, Span};
use crate::suggest::nearest;

/// Most bytes of a file of stacks.
pub const MAX_STACK_BYTES: usize = 1 << 20;

/// A file of stacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stacks {
    /// The stack that is used where none is named.
    pub default: Option<String>,
    /// The stacks, by name.
    pub stacks: BTreeMap<String, Stack>,
}

/// Where a pipeline runs, and what it may do there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// The store: a URL, or a folder relative to the file.
    pub store: String,
    /// The folder of the cache, relative to the file.
    pub cache_folder: Option<String>,
    /// Bytes of artifacts in the cache.
    pub cache_size: Option<Bytes>,
    /// Steps that run at a time.
    pub parallelism: Option<u16>,
    /// The memory limits of all steps that run at a time, together.
    pub memory: Option<Bytes>,
    /// The most that a step may ask for.
    pub most: Most,
    /// What steps may be granted.
    pub grants: Vec<Permit>,
    /// Whether results are used again that may differ each time.
    pub cache_nondeterministic: bool,
    /// Settings of the store, by the names of its service.
    pub settings: BTreeMap<String, String>,
    /// The same, by reference.
    pub secrets: BTreeMap<String, SecretReference>,
    /// How the tasks of orchestrators are started.
    pub tasks: Tasks,
}

/// How the tasks of orchestrators are started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tasks {
    /// The image that has `wharf`, where tasks are containers.
    pub image: Option<String>,
    /// The `wharf` program, where tasks are processes.
    pub command: Option<String>,
    /// When pipelines run by themselves: minute, hour, day of the month, month and day of
    /// the week, as cron has them.
    pub schedule: Option<String>,
    /// The time zone of the schedule.
    pub timezone: Option<String>,
    /// What pods are told.
    pub kubernetes: Kubernetes,
}

/// What pods are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Kubernetes {
    /// The namespace that they are in.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The account that they act as.
    #[serde(default)]
    pub service_account: Option<String>,
    /// The Secret that has an entry for each name under `secrets`.
    #[serde(default)]
    pub secret: Option<String>,
    /// Processors that a step asks for, as Kubernetes writes them: `1`, `500m`.
    #[serde(default)]
    pub cpu: Option<String>,
    /// Labels of the machines that they run on.
    #[serde(default)]
    pub node_selector: BTreeMap<String, String>,
}

/// The most that a step may ask for; what is absent is not bounded by the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Most {
    /// Bytes of memory.
    pub memory: Option<Bytes>,
    /// Wall time of one attempt.
    pub timeout: Option<Millis>,
    /// Bytes written to all outputs.
    pub output: Option<Bytes>,
    /// Bytes of log messages.
    pub log: Option<Bytes>,
    /// Handles open at a time.
    pub handles: Option<u32>,
    /// Units of fuel; where given, every step has that much or less.
    pub fuel: Option<u64>,
}

impl Most {
    /// The limits of a step that asks for nothing.
    #[must_use]
    pub fn default_limits(&self) -> Limits {
        let usual = Limits::default();
        let least = |most: Option<Bytes>, usual: Bytes| most.map_or(usual, |most| most.min(usual));
        Limits {
            memory: least(self.memory, usual.memory),
            time: self.timeout.map_or(usual.time, |most| most.min(usual.time)),
            output: least(self.output, usual.output),
            log: least(self.log, usual.log),
            handles: self
                .handles
                .map_or(usual.handles, |most| most.min(usual.handles)),
            fuel: self.fuel,
            ..usual
        }
    }

    /// What of these limits is more than the stack lets a step have: its name, what is
    /// wanted, and the most.
    #[must_use]
    pub fn exceeded(&self, wanted: &Limits) -> Option<(&'static str, String, String)> {
        let bytes = |name, wanted: Bytes, most: Option<Bytes>| {
            let most = most.filter(|most| wanted > *most)?;
            Some((name, wanted.exact(), most.exact()))
        };
        let time = || {
            let most = self.timeout.filter(|most| wanted.time > *most)?;
            Some(("timeout", wanted.time.to_string(), most.to_string()))
        };
        let handles = || {
            let most = self.handles.filter(|most| wanted.handles > *most)?;
            Some(("handles", wanted.handles.to_string(), most.to_string()))
        };
        let fuel = || {
            let most = self
                .fuel
                .filter(|most| wanted.fuel.is_none_or(|fuel| fuel > *most))?;
            let wanted = wanted
                .fuel
                .map_or("no limit".to_owned(), |fuel| fuel.to_string());
            Some(("fuel", wanted, most.to_string()))
        };
        bytes("memory", wanted.memory, self.memory)
            .or_else(time)
            .or_else(|| bytes("output", wanted.output, self.output))
            .or_else(|| bytes("log", wanted.log, self.log))
            .or_else(handles)
            .or_else(fuel)
    }
}

/// What steps may be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permit {
    /// One grant.
    One(Grant),
    /// Any environment variable: `env:*`.
    AnyVariable,
}

impl Permit {
    /// Whether it permits a grant.
    #[must_use]
    pub fn permits(&self, grant: &Grant) -> bool {
        match self {
            Self::One(one) => one == grant,
            Self::AnyVariable => matches!(grant, Grant::Env { .. }),
        }
    }
}

impl FromStr for Permit {
    type Err = crate::grants::ParseGrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "env:*" => Ok(Self::AnyVariable),
            other => other.parse().map(Self::One),
        }
    }
}

/// Where a secret is: `env:NAME` or `file:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretReference {
    /// An environment variable.
    Env(String),
    /// A file; what is at its end of white space does not count.
    File(String),
}

/// A text that does not say where a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret is a reference, never a value: write env:NAME or file:PATH")]
pub struct ParseSecretError;

impl FromStr for SecretReference {
    type Err = ParseSecretError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.to_owned())),
            _ => Err(ParseSecretError),
        }
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

/// Where pipelines run, and what they may do there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    /// The stack that is used where none is named.
    #[schemars(with = "Option<String>")]
    default: Option<Spanned<String>>,
    /// The stacks, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, RawStack>")]
    stacks: BTreeMap<String, Spanned<RawStack>>,
}

/// Where a pipeline runs, and what it may do there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawStack {
    /// The store: s3://, gs:// or az://BUCKET/PATH, or a folder relative to the file.
    #[schemars(with = "Option<String>")]
    store: Option<Spanned<String>>,
    /// The folder of the cache, relative to the file.
    cache_folder: Option<String>,
    /// Bytes of artifacts in the cache, such as `20GiB`.
    #[schemars(with = "Option<String>")]
    cache_size: Option<Spanned<String>>,
    /// Steps that run at a time.
    #[schemars(with = "Option<u16>")]
    parallelism: Option<Spanned<u16>>,
    /// The memory limits of all steps that run at a time, together, such as `8GiB`.
    #[schemars(with = "Option<String>")]
    memory: Option<Spanned<String>>,
    /// The most that a step may ask for.
    #[serde(default)]
    limits: RawLimits,
    /// What steps may be granted: clock, entropy, env:NAME, env:*.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    grants: Vec<Spanned<String>>,
    /// Whether results are used again that may differ each time.
    #[serde(default)]
    cache_nondeterministic: bool,
    /// Settings of the store, by the names of its service: `AWS_REGION`.
    #[serde(default)]
    settings: BTreeMap<String, String>,
    /// The same, by reference: env:NAME or file:PATH.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    secrets: BTreeMap<String, Spanned<String>>,
    /// For orchestrators whose tasks are containers: the image that has `wharf`.
    #[schemars(with = "Option<String>")]
    image: Option<Spanned<String>>,
    /// For orchestrators whose tasks are processes: the `wharf` program, where it is not
    /// on their PATH.
    #[schemars(with = "Option<String>")]
    command: Option<Spanned<String>>,
    /// When orchestrators start pipelines by themselves, as cron writes it: `0 6 * * *`.
    #[schemars(with = "Option<String>")]
    schedule: Option<Spanned<String>>,
    /// The time zone of the schedule, such as `Europe/Berlin`; else UTC.
    #[schemars(with = "Option<String>")]
    timezone: Option<Spanned<String>>,
    /// For orchestrators whose tasks are pods: what these are told.
    #[serde(default)]
    kubernetes: Kubernetes,
}

/// The most that a step may ask for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawLimits {
    /// Bytes of memory, such as `2GiB`.
    #[schemars(with = "Option<String>")]
    memory: Option<Spanned<String>>,
    /// Wall time of one attempt, such as `30m`.
    #[schemars(with = "Option<String>")]
    timeout: Option<Spanned<String>>,
    /// Bytes written to all outputs.
    #[schemars(with = "Option<String>")]
    output: Option<Spanned<String>>,
    /// Bytes of log messages.
    #[schemars(with = "Option<String>")]
    log: Option<Spanned<String>>,
    /// Handles open at a time.
    #[schemars(with = "Option<u32>")]
    handles: Option<Spanned<u32>>,
    /// Units of fuel.
    #[schemars(with = "Option<u64>")]
    fuel: Option<Spanned<u64>>,
}

/// The JSON Schema of a file of stacks.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}

/// Reads a file of stacks.
///
/// # Errors
/// All mistakes, in the order of the file; one alone where it is not TOML.
pub fn parse(text: &str) -> Result<Stacks, Vec<Diagnostic>> {
    let file: File = toml::from_str(text).map_err(|error| vec![not_read(&error)])?;
    let mut reader = Reader::default();
    let known: Vec<String> = file.stacks.keys().cloned().collect();
    let stacks = file.stacks.into_iter();
    let stacks = stacks.map(|(name, stack)| {
        let stack = reader.stack(&name, stack);
        (name, stack)
    });
    let stacks: BTreeMap<String, Stack> = stacks.collect();
    let default = file.default.map(|default| {
        if !stacks.contains_key(default.get_ref()) {
            let message = format!("there is no stack `{}`", default.get_ref());
            let near = nearest(default.get_ref(), known.iter().map(String::as_str));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            let mistake = Diagnostic::new(default.span(), message);
            reader.mistakes.push(mistake.maybe_hint(hint));
        }
        default.into_inner()
    });
    let mut mistakes = reader.mistakes;
    mistakes.sort_by_key(|mistake| mistake.span.start);
    match mistakes.is_empty() {
        true => Ok(Stacks { default, stacks }),
        false => Err(mistakes),
    }
}

/// Turns what was read into stacks, and gathers mistakes.
#[derive(Default)]
struct Reader {
    mistakes: Vec<Diagnostic>,
}

impl Reader {
    fn stack(&mut self, name: &str, raw: Spanned<RawStack>) -> Stack {
        let place = raw.span();
        let raw = raw.into_inner();
        let store = raw
            .store
            .map(Spanned::into_inner)
            .filter(|store| !store.is_empty());
        if store.is_none() {
            let mistake = Diagnostic::new(
                first_line(&place),
                format!("the stack `{name}` has no store"),
            );
            self.mistakes
                .push(mistake.hint("add `store = \"s3://BUCKET/PATH\"`, or a folder"));
        }
        if let Some(none) = raw
            .parallelism
            .as_ref()
            .filter(|count| *count.get_ref() == 0)
        {
            let message = "no step can run with a parallelism of 0";
            self.mistakes.push(Diagnostic::new(none.span(), message));
        }
        let tasks = Tasks {
            image: self.word("image", raw.image),
            command: self.word("command", raw.command),
            timezone: self.word("timezone", raw.timezone),
            schedule: self.cron(raw.schedule),
            kubernetes: raw.kubernetes,
        };
        Stack {
            tasks,
            store: store.unwrap_or_default(),
            cache_folder: raw.cache_folder,
            cache_size: self.read(raw.cache_size),
            parallelism: raw.parallelism.map(Spanned::into_inner),
            memory: self.read(raw.memory),
            most: self.most(raw.limits),
            grants: raw
                .grants
                .into_iter()
                .filter_map(|grant| self.read(Some(grant)))
                .collect(),
            cache_nondeterministic: raw.cache_nondeterministic,
            settings: raw.settings,
            secrets: raw
                .secrets
                .into_iter()
                .filter_map(|(name, secret)| Some((name, self.read(Some(secret))?)))
                .collect(),
        }
    }

    /// A text that is one word, and ends up in files of others.
    fn word(&mut self, name: &str, text: Option<Spanned<String>>) -> Option<String> {
        let text = text?;
        let is_word = !text.get_ref().is_empty()
            && !text
                .get_ref()
                .chars()
                .any(|c| c.is_whitespace() || c.is_control());
        if !is_word {
            let message = format!("`{name}` is empty, or has a space in it");
            self.mistakes.push(Diagnostic::new(text.span(), message));
        }
        Some(text.into_inner())
    }

    /// Five fields, of what cron has in them. Names of months and days are left to those
    /// who know them.
    fn cron(&mut self, text: Option<Spanned<String>>) -> Option<String> {
        let text = text?;
        let fields: Vec<&str> = text.get_ref().split_whitespace().collect();
        let known = |c: char| c.is_ascii_digit() || "*,-/".contains(c);
        if fields.len() != 5 || !fields.iter().all(|field| field.chars().all(known)) {
            let message = format!("`{}` is no schedule", text.get_ref());
            self.mistakes
                .push(Diagnostic::new(text.span(), message).hint(
                    "write minute, hour, day of the month, month and day of the week, in numbers: \
                 `0 6 * * *` is each day at 6:00",
                ));
            return None;
        }
        Some(fields.join(" "))
    }

    fn most(&mut self, raw: RawLimits) -> Most {
        Most {
            memory: self.positive("memory", raw.memory),
            timeout: self.positive("timeout", raw.timeout),
            output: self.positive("output", raw.output),
            log: self.positive("log", raw.log),
            handles: self.not_nothing("handles", raw.handles),
            fuel: self.not_nothing("fuel", raw.fuel),
        }
    }

    /// A limit that lets a step do something: nothing is no limit, but a step that
    /// always fails.
    fn positive<T: FromStr + Default + PartialEq>(
        &mut self,
        name: &str,
        text: Option<Spanned<String>>,
    ) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        let span = text.as_ref().map(Spanned::span)?;
        let limit = self.read(text)?;
        self.not_nothing(name, Some(Spanned::new(span, limit)))
    }

    fn not_nothing<T: Default + PartialEq>(
        &mut self,
        name: &str,
        limit: Option<Spanned<T>>,
    ) -> Option<T> {
        let limit = limit?;
        if *limit.get_ref() == T::default() {
            let message = format!("`{name}` cannot be nothing");
            self.mistakes.push(Diagnostic::new(limit.span(), message));
            return None;
        }
        Some(limit.into_inner())
    }

    fn read<T: FromStr>(&mut self, text: Option<Spanned<String>>) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        let text = text?;
        match text.get_ref().parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let mistake = Diagnostic::new(text.span(), error.to_string());
                self.mistakes.push(mistake);
                None
            }
        }
    }
}

/// The place of a table is all of it: its beginning is enough.
fn first_line(span: &Span) -> Span {
    span.start..span.start.saturating_add(1).min(span.end.max(span.start))
}

/// What the parser says, with the nearest key that there is.
fn not_read(error: &toml::de::Error) -> Diagnostic {
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    let span = error.span().unwrap_or(0..0);
    let Some((unknown, expected)) = message
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split_once('`'))
    else {
        return Diagnostic::new(span, message);
    };
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let hint = match nearest(unknown, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.join(", ")),
    };
    Diagnostic::new(span, format!("there is no key `{unknown}` here")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
default = "local"

[stacks.local]
store = ".wharf"

[stacks.prod]
store = "s3://bucket/wharf"
parallelism = 8
memory = "16GiB"
cache-size = "20GiB"
grants = ["clock", "env:*"]
limits = { memory = "4GiB", timeout = "2h" }
settings = { AWS_REGION = "eu-central-1" }
secrets = { AWS_SECRET_ACCESS_KEY = "file:/run/secrets/key" }
"#;

    fn mistakes(text: &str) -> Vec<String> {
        let mistakes = parse(text).unwrap_err();
        let shown = mistakes.iter().map(|mistake| {
            let (line, column) = mistake.line_column(text);
            let hint = mistake.hint.as_ref().map(|hint| format!(" ({hint})"));
            format!(
                "{line}:{column}: {}{}",
                mistake.message,
                hint.unwrap_or_default()
            )
        });
        shown.collect()
    }

    #[test]
    fn stacks_are_read() {
        let stacks = parse(GOOD).unwrap();
        assert_eq!(stacks.default.as_deref(), Some("local"));
        let prod = &stacks.stacks["prod"];
        assert_eq!(prod.memory, Some(Bytes(16 << 30)));
        assert_eq!(prod.most.default_limits().memory, Limits::default().memory);
        assert!(
            prod.grants
                .iter()
                .any(|permit| permit.permits(&"env:TZ".parse().unwrap()))
        );
        assert!(
            !prod
                .grants
                .iter()
                .any(|permit| permit.permits(&Grant::Entropy))
        );
        let wanted = Limits {
            memory: Bytes(5 << 30),
            ..Limits::default()
        };
        let exceeded = prod.most.exceeded(&wanted).unwrap();
        assert_eq!(exceeded, ("memory", "5 GiB".into(), "4 GiB".into()));
        assert_eq!(prod.most.exceeded(&prod.most.default_limits()), None);
        let key = &prod.secrets["AWS_SECRET_ACCESS_KEY"];
        assert_eq!(key.to_string(), "file:/run/secrets/key");
    }

    #[test]
    fn the_schema_of_the_documentation_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/stack.schema.json");
        let wanted = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("WHARF_BLESS").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        let hint = "docs/stack.schema.json is not current: run the tests with WHARF_BLESS=1";
        assert!(found == wanted, "{hint}");
    }

    #[test]
    fn no_limit_is_nothing() {
        let limits = "memory=\"0\", timeout=\"0s\", output=\"0\", log=\"0\", handles=0, fuel=0";
        let text = format!("[stacks.a]\nstore = \"x\"\nlimits = {{ {limits} }}\n");
        let wanted = ["memory", "timeout", "output", "log", "handles", "fuel"];
        let found = mistakes(&text);
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for (found, name) in found.iter().zip(wanted) {
            assert!(
                found.ends_with(&format!(": `{name}` cannot be nothing")),
                "{found}"
            );
        }
    }

    #[test]
    fn mistakes_are_told_where_they_are() {
        assert_eq!(
            mistakes("[stacks.a]\nstoer = \"x\"\n"),
            ["2:1: there is no key `stoer` here (did you mean `store`?)"]
        );
        assert_eq!(
            mistakes(
                "default = \"prd\"\n[stacks.prod]\nmemory = \"lots\"\n[stacks.prod.secrets]\nKEY = \"hunter2\"\n"
            ),
            [
                "1:11: there is no stack `prd` (did you mean `prod`?)",
                "2:1: the stack `prod` has no store (add `store = \"s3://BUCKET/PATH\"`, or a folder)",
                "3:10: not a size: write a number and a unit, such as 512MiB or 4GB",
                "5:7: a secret is a reference, never a value: write env:NAME or file:PATH",
            ]
        );
        assert_eq!(
            mistakes("[stacks.a]\nstore = \"x\"\nparallelism = 0\n").len(),
            1
        );
        assert_eq!(
            mistakes("[stacks.a]\nstore = \"x\"\nstore = \"y\"\n").len(),
            1
        );
        assert_eq!(mistakes("[stacks\n").len(), 1);
    }
}
