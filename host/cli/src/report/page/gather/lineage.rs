//! Where what was made comes from: step by step, down to what was there before.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;

use wharf_model::artifact::Version;
use wharf_model::{Digest, Record, record};
use wharf_store::Store;

use super::super::data::{From, Made, Maker};
use super::super::limits::{self, cut, few};
use super::values;

/// Follows artifacts to their makers. Each step is told about once.
pub(super) struct Lineage<'a> {
    store: &'a Store,
    known: BTreeMap<Digest, Record>,
    told: BTreeSet<Digest>,
    /// Steps that may still be read.
    left: usize,
}

impl<'a> Lineage<'a> {
    /// With the records that are known, by the key of their commit.
    pub(super) fn new(store: &'a Store, known: BTreeMap<Digest, Record>) -> Self {
        Self {
            store,
            known,
            told: BTreeSet::new(),
            left: limits::FOLLOWED,
        }
    }

    /// What the outputs of a run of one step come from.
    pub(super) async fn of_outputs(&mut self, record: &Record) -> Vec<Made> {
        let mut made = Vec::new();
        for output in record.outputs.iter().take(limits::MADE) {
            let from = match made.is_empty() {
                true => From::Step(Box::new(self.maker(record, 0).await)),
                false => From::Above(cut(&record.step.name, limits::NAME)),
            };
            made.push(Made {
                name: cut(&format!("{} = {}", output.name, output.path), limits::NAME),
                digest: digest(output),
                from,
            });
        }
        made
    }

    /// What an output of a step comes from.
    pub(super) async fn of_output(
        &mut self,
        step: &str,
        output: &record::Artifact,
        commit: Digest,
    ) -> Made {
        Made {
            name: cut(&format!("{} of {step}", output.name), limits::NAME),
            digest: digest(output),
            from: self.follow(Some(commit), 0).await,
        }
    }

    /// What a version of a named artifact comes from.
    pub(super) async fn of_version(&mut self, version: &Version, tag: Option<&str>) -> Made {
        let tag = tag.map(|tag| format!(", tagged {tag}")).unwrap_or_default();
        Made {
            name: format!("{}@{}{tag}", version.name, version.number),
            digest: version.content.digest.to_string(),
            from: self.follow(version.origin.commit(), 0).await,
        }
    }

    fn follow(
        &mut self,
        commit: Option<Digest>,
        depth: usize,
    ) -> Pin<Box<dyn Future<Output = From> + '_>> {
        Box::pin(async move {
            let Some(commit) = commit else {
                return From::Outside;
            };
            if depth >= limits::DEPTH {
                return From::Cut("more steps, which are not followed here");
            }
            if !self.known.contains_key(&commit) {
                if self.left == 0 {
                    return From::Cut("a step that is not followed here");
                }
                self.left -= 1;
                match self.store.commit_of(&commit).await {
                    Ok(Some(record)) => drop(self.known.insert(commit, record)),
                    Ok(None) => return From::Cut("a step whose record is gone"),
                    Err(fault) => {
                        tracing::warn!(%fault);
                        return From::Cut("a step whose record cannot be read");
                    }
                }
            }
            let Some(record) = self.known.get(&commit).cloned() else {
                return From::Outside;
            };
            match self.told.insert(commit) {
                true => From::Step(Box::new(self.maker(&record, depth).await)),
                false => From::Above(cut(&record.step.name, limits::NAME)),
            }
        })
    }

    async fn maker(&mut self, record: &Record, depth: usize) -> Maker {
        let (shown, left_out) = few(record.inputs.iter().collect(), limits::ARTIFACTS);
        let mut inputs = Vec::new();
        for input in shown {
            inputs.push(Made {
                name: cut(&format!("{} = {}", input.name, input.path), limits::NAME),
                digest: digest(input),
                from: self.follow(input.commit, depth + 1).await,
            });
        }
        let run = record.pipeline.as_ref().map_or(&record.id, |of| &of.run);
        Maker {
            step: cut(&record.step.name, limits::NAME),
            reference: cut(&record.step.reference, limits::NAME),
            run: run.to_string(),
            parameters: values(&record.parameters),
            inputs,
            left_out,
        }
    }
}

fn digest(artifact: &record::Artifact) -> String {
    let digest = artifact.digest.map(|digest| digest.to_string());
    digest.unwrap_or_default()
}
