//! A pipeline as its file gives it: read, but not checked against signatures.
//!
//! The JSON Schema of the file is made from these types; their documentation is
//! what an editor shows.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;

use super::diagnostic::Span;
use super::expression::Word;
use super::given::Given;
use super::partition::Partition;
use super::publish::PublishTarget;
use super::schema as shape;
use crate::grants::Grant;
use crate::limits::{Bytes, Limits, Millis};
use crate::name::Name;
use crate::request::StepReference;
use crate::signature::ParameterType;

/// A pipeline: steps, and what goes from one to another.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pipeline {
    /// The name of the pipeline. Where it is absent, the name of the file or folder
    /// is taken.
    #[schemars(with = "Option<shape::NameText>")]
    pub(super) name: Option<Name>,
    /// What the pipeline is for.
    pub(super) description: Option<String>,
    /// What can be chosen for each run, by name.
    #[schemars(with = "Option<shape::Named<shape::DeclarationForms>>")]
    pub(super) parameters: Vec<Declaration>,
    /// How the data is divided: each run is for one partition.
    #[schemars(with = "Option<PartitionForms>")]
    pub(super) partition: Option<Partition>,
    /// The steps, by name. Their order in the file does not matter.
    #[schemars(with = "shape::Named<Step>")]
    pub(super) steps: Vec<Step>,
    /// What could not be read.
    #[schemars(skip)]
    pub(super) unread: Unread,
}

/// What a file has that could not be read. That something else refers to it is no
/// further mistake.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread {
    /// Parameters, by name.
    pub(super) parameters: BTreeSet<String>,
    /// Whether there may be any other parameters, too.
    pub(super) any_parameter: bool,
    /// The partition.
    pub(super) partition: bool,
}

/// A parameter of a pipeline.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename = "Parameter", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Declaration {
    #[schemars(skip)]
    pub(super) name: Word,
    /// The type: a type of WIT such as `u32` or `list<string>`, or `input`,
    /// `input-tree`, `list<input>` or `list<input-tree>` for artifacts.
    #[schemars(rename = "type", with = "shape::TypeText")]
    pub(super) ty: ParameterType,
    /// What it is where a run does not say otherwise: a value of the type; for an
    /// artifact, a path relative to this file.
    #[schemars(with = "Option<shape::Constant>")]
    pub(super) default: Option<Given>,
    /// What the parameter means.
    pub(super) description: Option<String>,
}

/// How the data of a pipeline is divided: by time, or by values.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename = "Partition", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "describes the file; it is read as a `Partition`")]
pub(super) struct PartitionForms {
    /// One partition for every month, such as `2013-01`, or every day, such as
    /// `2013-01-31`.
    #[schemars(with = "Option<shape::EveryText>")]
    every: Option<String>,
    /// The names of the partitions, in order.
    values: Option<Vec<String>>,
}

/// A step: a function of a component, or a program. One without `uses` only
/// publishes.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Step {
    #[schemars(skip)]
    pub(super) name: Word,
    /// The component, relative to this file, and after `#` a function in it:
    /// `steps/train.wasm#fit`.
    #[schemars(with = "Option<String>")]
    pub(super) uses: Option<Uses>,
    /// The parameters of the function, by name. An artifact is a path relative to
    /// this file, or an expression. For a program, each becomes an argument
    /// `--NAME=VALUE`.
    #[schemars(with = "Option<shape::Values>")]
    pub(super) with: Vec<(Word, Given)>,
    /// For a program: the artifacts that it reads, by the name that they have in
    /// `/in`.
    #[schemars(with = "Option<shape::Values>")]
    pub(super) inputs: Vec<(Word, Given)>,
    /// For a program: the names of what it writes in `/out`. A slash at the end makes
    /// it a folder of files.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) outputs: Vec<DeclaredOutput>,
    /// For a program: arguments as they are, after those of `with`.
    #[schemars(with = "Option<Vec<shape::Scalar>>")]
    pub(super) arguments: Vec<Given>,
    /// Which artifacts are kept under a name once the step has succeeded: `NAME` or
    /// `NAME:TAG`, with an expression that says which.
    #[schemars(with = "Option<shape::Publish>")]
    pub(super) publish: Vec<Publish>,
    /// Whether the step runs: a condition over parameters, the partition and results
    /// of other steps. A step that does not run is skipped.
    #[schemars(with = "Option<shape::Condition>")]
    pub(super) when: Option<Given>,
    /// The step runs once for each item of a list; `item` is the item in its
    /// expressions. Its outputs and results are lists.
    #[schemars(with = "Option<shape::List>")]
    pub(super) foreach: Option<Given>,
    /// Steps that must end first, beyond those that expressions refer to.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) needs: Vec<Word>,
    /// How often the step is tried again when it fails for a transient reason: a
    /// number, or a number and how long to wait.
    #[schemars(with = "Option<shape::RetriesForms>")]
    pub(super) retries: Option<Retries>,
    /// The wall time of one attempt, such as `10m`.
    #[schemars(with = "Option<shape::TimeText>")]
    pub(super) timeout: Option<Millis>,
    /// What bounds the step, where it differs from the defaults.
    #[schemars(with = "Option<StepLimits>")]
    pub(super) limits: StepLimits,
    /// What the step is allowed: `clock`, `entropy`, `env:NAME`.
    #[schemars(with = "Option<Vec<shape::GrantText>>")]
    pub(super) grants: Vec<Grant>,
    /// The seed of its randomness; derived from everything else where absent.
    pub(super) seed: Option<u64>,
    /// Where each key that the step gives is.
    #[schemars(skip)]
    pub(super) keys: Vec<Word>,
    /// Keys whose values could not be read, or not all of them; all that matter where
    /// one is mistyped.
    #[schemars(skip)]
    pub(super) unread: Vec<&'static str>,
}

/// The component of a step, and where the file names it.
#[derive(Clone, Debug)]
pub(super) struct Uses {
    pub(super) reference: StepReference,
    pub(super) span: Span,
}

/// An output that a program declares.
#[derive(Clone, Debug)]
pub(super) struct DeclaredOutput {
    pub(super) name: Word,
    pub(super) tree: bool,
}

/// An artifact to publish.
#[derive(Clone, Debug)]
pub(super) struct Publish {
    pub(super) target: PublishTarget,
    pub(super) value: Given,
}

/// How often a step is tried again, and how long to wait before: the wait doubles
/// with each attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Retries {
    /// How often the step is tried again.
    pub count: u32,
    /// How long to wait before the first retry; doubled for each one after it.
    /// 1 second, where absent.
    #[schemars(with = "Option<shape::TimeText>")]
    pub backoff: Millis,
    /// The longest wait. Where absent, 1 minute, or the first wait if that is longer.
    #[schemars(with = "Option<shape::TimeText>")]
    pub max_backoff: Millis,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            count: 0,
            backoff: Millis::of(Duration::from_secs(1)),
            max_backoff: Millis::of(Duration::from_secs(60)),
        }
    }
}

impl Retries {
    /// How long to wait before a retry; the first is 0.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wharf_model::pipeline::Retries;
    /// let retries = Retries { count: 3, ..Retries::default() };
    /// assert_eq!(retries.wait(0), Duration::from_secs(1));
    /// assert_eq!(retries.wait(2), Duration::from_secs(4));
    /// assert_eq!(retries.wait(99), Duration::from_secs(60));
    /// ```
    #[must_use]
    pub fn wait(&self, retry: u32) -> Duration {
        let factor = 2_u32.saturating_pow(retry);
        let wait = self.backoff.duration().saturating_mul(factor);
        wait.min(self.max_backoff.duration())
    }
}

/// The limits that a step asks for; those that are absent are the run's.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StepLimits {
    /// Bytes of memory, such as `2GiB`.
    #[schemars(with = "Option<shape::SizeText>")]
    pub memory: Option<Bytes>,
    /// Units of fuel, about one an instruction.
    pub fuel: Option<u64>,
    /// Bytes written to all outputs.
    #[schemars(with = "Option<shape::SizeText>")]
    pub output: Option<Bytes>,
    /// Bytes of log messages.
    #[schemars(with = "Option<shape::SizeText>")]
    pub log: Option<Bytes>,
    /// Handles open at a time.
    pub handles: Option<u32>,
}

impl StepLimits {
    /// Limits with those of the step in place of the general ones.
    #[must_use]
    pub fn over(&self, general: &Limits) -> Limits {
        Limits {
            memory: self.memory.unwrap_or(general.memory),
            fuel: self.fuel.or(general.fuel),
            output: self.output.unwrap_or(general.output),
            log: self.log.unwrap_or(general.log),
            handles: self.handles.unwrap_or(general.handles),
            ..general.clone()
        }
    }
}

impl Pipeline {
    /// Its name, where the file gives one.
    #[must_use]
    pub const fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// The components that its steps use, each once, in the order of the file.
    pub fn references(&self) -> impl Iterator<Item = &StepReference> {
        self.uses().map(|(reference, _)| reference)
    }

    /// The components that its steps use, each once, with where the file names it
    /// first, in bytes.
    pub fn uses(&self) -> impl Iterator<Item = (&StepReference, Span)> {
        let mut seen = BTreeSet::new();
        let uses = self.steps.iter().filter_map(|step| step.uses.as_ref());
        uses.filter(move |uses| seen.insert(uses.reference.to_string()))
            .map(|uses| (&uses.reference, uses.span.clone()))
    }
}

impl Step {
    /// Calls `visit` with every expression of the step.
    pub(super) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a super::expression::Expression)) {
        self.walk_given(visit);
        if let Some(when) = &self.when {
            when.walk(visit);
        }
    }

    /// The same without those of its condition.
    pub(super) fn walk_given<'a>(
        &'a self,
        visit: &mut dyn FnMut(&'a super::expression::Expression),
    ) {
        let named = self.with.iter().chain(&self.inputs).map(|(_, given)| given);
        let publish = self.publish.iter().map(|publish| &publish.value);
        let given = named.chain(publish).chain(&self.arguments);
        for given in given.chain(&self.foreach) {
            given.walk(visit);
        }
    }

    /// Whether a key may have more than what was read.
    pub(super) fn may_hide(&self, key: &str) -> bool {
        self.unread.contains(&key)
    }

    /// Where a key of the step is; the step's name where it is absent.
    pub(super) fn key(&self, key: &str) -> Span {
        let found = self.keys.iter().find(|word| word.text == key);
        found.unwrap_or(&self.name).span.clone()
    }
}
