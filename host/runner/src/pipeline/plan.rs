//! Why a step would run: what is not as it was when it was last committed.

use std::collections::{BTreeMap, BTreeSet};

use wharf_model::record::Artifact;
use wharf_model::{Digest, Fault, Record};
use wharf_store::Store;

use super::PipelineRequest;
use super::execute::Item;
use crate::stored::StoredStep;

/// Runs that are looked at for one of the same pipeline.
const LOOKED_AT: usize = 50;

/// What the steps of a pipeline were committed as, in its last run.
#[derive(Debug, Default)]
pub(super) struct Before(BTreeMap<(String, Option<u64>), Digest>);

impl Before {
    /// The last run of the same pipeline, for the same partition, that has ended.
    pub(super) async fn of(store: &Store, request: &PipelineRequest) -> Result<Self, Fault> {
        let partition = request.slice.as_ref().map(|slice| &slice.name);
        for id in store.pipeline_runs().await?.iter().take(LOOKED_AT) {
            let (started, ended) = store.pipeline_run(id).await?;
            let is_same = started.name == request.name && started.partition.as_ref() == partition;
            if let Some(ended) = ended.filter(|_| is_same) {
                let steps = ended.steps.into_iter();
                let commits = steps.filter_map(|end| Some(((end.step, end.item), end.commit?)));
                return Ok(Self(commits.collect()));
            }
        }
        Ok(Self::default())
    }

    /// Why a step would run.
    pub(super) async fn why(
        &self,
        store: &Store,
        step: &StoredStep,
        item: &Item,
    ) -> Result<String, Fault> {
        let of = (item.of.step.clone(), item.of.item);
        let before = match self.0.get(&of) {
            Some(commit) => store.commit_of(commit).await?,
            None => None,
        };
        let Some(before) = before else {
            return Ok("it was not run before".to_owned());
        };
        let changes = changes(&before, step);
        Ok(match (item.anew, changes.is_empty()) {
            (true, _) => "it is to run anew".to_owned(),
            (false, true) => "its result may differ each time".to_owned(),
            (false, false) => changes.join(", "),
        })
    }
}

/// What of a step is not as a record has it.
fn changes(before: &Record, step: &StoredStep) -> Vec<String> {
    let now = step.inputs();
    let mut changes = Vec::new();
    if before.step.digest != Some(step.code.digest) {
        changes.push("the component changed".to_owned());
    }
    let values = step.values();
    let names: BTreeSet<&String> = before.parameters.keys().chain(values.keys()).collect();
    let changed = names
        .into_iter()
        .filter(|name| before.parameters.get(*name) != values.get(*name));
    changes.extend(changed.map(|name| format!("the parameter `{name}` changed")));
    if before.arguments != step.program_arguments {
        changes.push("its arguments changed".to_owned());
    }
    let digests = |inputs: &[Artifact]| {
        let mut digests: BTreeMap<String, Vec<Option<Digest>>> = BTreeMap::new();
        for input in inputs {
            digests
                .entry(input.name.clone())
                .or_default()
                .push(input.digest);
        }
        digests
    };
    let (was, is) = (digests(&before.inputs), digests(&now));
    let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let changed = names
        .into_iter()
        .filter(|name| was.get(*name) != is.get(*name));
    changes.extend(changed.map(|name| format!("the input `{name}` changed")));
    if before.grants != step.grants.shown() {
        changes.push("what it is granted changed".to_owned());
    }
    if before.logical_time != step.logical_time {
        changes.push("its logical time changed".to_owned());
    }
    if step.seed.is_some() && before.seed != step.seed {
        changes.push("its seed changed".to_owned());
    }
    changes
}
