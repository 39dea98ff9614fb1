//! What happens to which request.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status, and the service does not see it.
    Status(u16),
    /// The answer comes late.
    Delay(Duration),
    /// The answer comes in pieces, with pauses.
    Slow(Duration),
    /// The body of the answer ends early.
    Truncate,
    /// One bit of the body of the answer is another. Only where it is an object.
    FlipBit,
    /// The connection breaks, and the service does not see it.
    Reset,
    /// The service does what it is asked for, and the connection breaks before the
    /// answer.
    AppliedThenReset,
    /// The service does not see under which condition it is asked.
    IgnoreCondition,
}

impl Fault {
    /// What it is called in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status(409) => "409 conflict",
            Self::Status(412) => "412 precondition failed",
            Self::Status(429) => "429 too many requests",
            Self::Status(_) => "5xx",
            Self::Delay(_) => "delayed",
            Self::Slow(_) => "slow",
            Self::Truncate => "truncated",
            Self::FlipBit => "flipped bit",
            Self::Reset => "reset",
            Self::AppliedThenReset => "applied then reset",
            Self::IgnoreCondition => "condition ignored",
        }
    }
}

/// A fault, and how often it comes.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What happens.
    pub fault: Fault,
    /// Of how many requests that could have it, from 0 to 1.
    pub share: f64,
    /// To which requests: of this method, or any.
    pub method: Option<&'static str>,
}

/// All that can happen.
#[derive(Clone, Debug)]
pub struct Script {
    seed: u64,
    rules: Vec<Rule>,
    /// After so many faults of one method and path in a row, one passes.
    most_in_a_row: u64,
}

impl Script {
    /// A script in which nothing happens yet.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            rules: Vec::new(),
            most_in_a_row: 3,
        }
    }

    /// Adds a fault to a share of all requests of a method, or of any.
    #[must_use]
    pub fn with(mut self, fault: Fault, share: f64, method: Option<&'static str>) -> Self {
        self.rules.push(Rule {
            fault,
            share,
            method,
        });
        self
    }

    /// Lets faults come in a row without end.
    #[must_use]
    pub const fn without_mercy(mut self) -> Self {
        self.most_in_a_row = u64::MAX;
        self
    }

    /// What happens to the request of this method and path that comes after `before`
    /// others, of which the last `in_a_row` had a fault.
    pub(crate) fn fault(
        &self,
        method: &str,
        path: &str,
        before: u64,
        in_a_row: u64,
    ) -> Option<Fault> {
        if in_a_row >= self.most_in_a_row {
            return None;
        }
        let text = format!("{} {method} {path} {before}", self.seed);
        let mut random = ChaCha8Rng::from_seed(Sha256::digest(text).into());
        let fits = |rule: &&Rule| rule.method.is_none_or(|wanted| wanted == method);
        let mut rules = self.rules.iter().filter(fits);
        let rule = rules.find(|rule| (random.next_u32() as f64) < rule.share * f64::from(u32::MAX));
        rule.map(|rule| rule.fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let script = |seed| Script::new(seed).with(Fault::Reset, 0.3, None);
        let faults = |seed| {
            let script = script(seed);
            let faults = (0..1000).map(|n| script.fault("GET", "/a", n, 0).is_some());
            faults.collect::<Vec<_>>()
        };
        assert_eq!(faults(1), faults(1));
        assert_ne!(faults(1), faults(2));
        let share = faults(1).iter().filter(|fault| **fault).count();
        assert!((200..400).contains(&share), "{share}");
    }

    #[test]
    fn one_passes_in_the_end() {
        let script = Script::new(1).with(Fault::Reset, 1.0, Some("PUT"));
        assert_eq!(script.fault("PUT", "/a", 0, 0), Some(Fault::Reset));
        assert_eq!(script.fault("PUT", "/a", 3, 3), None);
        assert_eq!(script.fault("GET", "/a", 0, 0), None);
    }
}
