//! Lineage: what an artifact was made from, and what that was made from.

use std::collections::BTreeSet;

use serde::Serialize;
use wharf_model::artifact::Version;
use wharf_model::record::Artifact;
use wharf_model::{Digest, Fault, Record};

use crate::Store;

/// Most steps that are followed: a lineage that is longer is cut there.
const MAX_STEPS: usize = 10_000;

/// A step that an artifact comes from, or through.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ancestor {
    /// How many steps it is away from the artifact; 0 for the step that made it.
    pub distance: u64,
    /// The key of its commit.
    pub commit: Digest,
    /// Its record.
    pub record: Box<Record>,
}

impl Store {
    /// The steps that a version comes from, the one that made it first, each once.
    /// Empty for what somebody put into the store.
    ///
    /// # Errors
    /// Where a commit cannot be read.
    pub async fn lineage(&self, version: &Version) -> Result<Vec<Ancestor>, Fault> {
        match version.origin.commit() {
            Some(commit) => self.ancestors(commit).await,
            None => Ok(Vec::new()),
        }
    }

    async fn ancestors(&self, first: Digest) -> Result<Vec<Ancestor>, Fault> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([first]);
        let mut next = std::collections::VecDeque::from([(0, first)]);
        while let Some((distance, commit)) = next.pop_front() {
            // One that is gone has no ancestors that anybody knows.
            let Some(record) = self.commit_of(&commit).await? else {
                continue;
            };
            for before in record.inputs.iter().filter_map(made_by) {
                if seen.insert(before) && seen.len() <= MAX_STEPS {
                    next.push_back((distance + 1, before));
                }
            }
            found.push(Ancestor {
                distance,
                commit,
                record: Box::new(record),
            });
        }
        Ok(found)
    }
}

fn made_by(input: &Artifact) -> Option<Digest> {
    input.commit
}
