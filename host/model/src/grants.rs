//! What a run is allowed beyond its artifacts and parameters.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::suggest::nearest;

/// What a run is allowed. `Default` grants nothing, which makes the run
/// deterministic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// The time of day and real sleep, instead of the virtual clock.
    pub clock: bool,
    /// True randomness, instead of the seeded source.
    pub entropy: bool,
    /// Environment variables: names with the values that the step sees.
    pub env: BTreeMap<String, String>,
}

impl Grants {
    /// Whether the same request gives the same bytes every time. Environment
    /// variables do not spoil that: their values are part of the key.
    #[must_use]
    pub const fn deterministic(&self) -> bool {
        !self.clock && !self.entropy
    }

    /// Whether this is among what is allowed.
    #[must_use]
    pub fn has(&self, grant: &Grant) -> bool {
        match grant {
            Grant::Clock => self.clock,
            Grant::Entropy => self.entropy,
            Grant::Env { name } => self.env.contains_key(name),
        }
    }

    /// Of what is allowed, what is asked for, with the values of variables.
    #[must_use]
    pub fn only(&self, asked: &[Grant]) -> Self {
        let mut grants = Self::default();
        for grant in asked.iter().filter(|grant| self.has(grant)) {
            match grant {
                Grant::Clock => grants.clock = true,
                Grant::Entropy => grants.entropy = true,
                Grant::Env { name } => {
                    let value = self.env.get(name).cloned();
                    grants.env.insert(name.clone(), value.unwrap_or_default());
                }
            }
        }
        grants
    }

    /// The grants as the record shows them: without values of variables, which
    /// may be secret.
    #[must_use]
    pub fn shown(&self) -> Vec<Grant> {
        let flag = |granted: bool, grant: Grant| granted.then_some(grant);
        let env = self
            .env
            .keys()
            .map(|name| Grant::Env { name: name.clone() });
        [
            flag(self.clock, Grant::Clock),
            flag(self.entropy, Grant::Entropy),
        ]
        .into_iter()
        .flatten()
        .chain(env)
        .collect()
    }
}

/// One grant, as it is asked for: `clock`, `entropy`, or `env:NAME`.
///
/// ```
/// use wharf_model::grants::Grant;
/// assert_eq!("clock".parse(), Ok(Grant::Clock));
/// assert_eq!("env:TZ".parse(), Ok(Grant::Env { name: "TZ".into() }));
/// let error = "entrpy".parse::<Grant>().unwrap_err();
/// assert_eq!(error.to_string(), "`entrpy` is not a grant; did you mean `entropy`?");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Grant {
    /// See [`Grants::clock`].
    Clock,
    /// See [`Grants::entropy`].
    Entropy,
    /// See [`Grants::env`].
    Env {
        /// The name of the variable.
        name: String,
    },
}

/// A text that is not a grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseGrantError(String);

impl FromStr for Grant {
    type Err = ParseGrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("env:")) {
            ("clock", _) => Ok(Self::Clock),
            ("entropy", _) => Ok(Self::Entropy),
            (_, Some(name)) if is_variable_name(name) => Ok(Self::Env {
                name: name.to_owned(),
            }),
            (_, Some(name)) => Err(ParseGrantError(format!(
                "`{name}` is not the name of an environment variable: write env:NAME"
            ))),
            _ => Err(ParseGrantError(
                match nearest(text, ["clock", "entropy", "env:NAME"]) {
                    Some(near) => format!("`{text}` is not a grant; did you mean `{near}`?"),
                    None => {
                        format!("`{text}` is not a grant: known are clock, entropy and env:NAME")
                    }
                },
            )),
        }
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('=') && !name.chars().any(char::is_control)
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock => f.write_str("clock"),
            Self::Entropy => f.write_str("entropy"),
            Self::Env { name } => write!(f, "env:{name}"),
        }
    }
}

impl TryFrom<String> for Grant {
    type Error = ParseGrantError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Grant> for String {
    fn from(grant: Grant) -> Self {
        grant.to_string()
    }
}
