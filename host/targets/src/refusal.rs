//! What a target cannot do.

use std::fmt;

use crate::Target;

/// Something that a target cannot express, or that it needs and is not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The target.
    pub target: Target,
    /// The key of the pipeline or of the stack that it is about, such as
    /// `steps.train.foreach` or `stacks.prod.image`.
    pub key: String,
    /// Why.
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Refusal {
    pub(crate) fn new(target: Target, key: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            target,
            key: key.into(),
            why: why.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        let hint = Some(hint.into());
        Self { hint, ..self }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}`: {}", self.target, self.key, self.why)
    }
}
