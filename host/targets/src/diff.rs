//! What changes for a pipeline that moves from one target to another.

use crate::feature::{self, Feature, Support};
use crate::{Refusal, Target, Workflow};

/// Something that a pipeline uses, and that is not the same in two targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is.
    pub feature: Feature,
    /// The keys of the pipeline and of the stack that ask for it.
    pub keys: Vec<String>,
    /// How the target expresses it that the pipeline leaves.
    pub from: Support,
    /// How the other one does.
    pub to: Support,
}

/// What changes, in the order of [`Feature::ALL`].
#[must_use]
pub fn changes(from: Target, to: Target, workflow: &Workflow) -> Vec<Change> {
    let used = used(workflow);
    let changes = used.into_iter().map(|(feature, keys)| Change {
        feature,
        keys,
        from: from.support(feature),
        to: to.support(feature),
    });
    changes.filter(|change| change.from != change.to).collect()
}

/// What a target refuses of a workflow that was made for it.
#[must_use]
pub fn refused(to: Target, workflow: &Workflow) -> Vec<Refusal> {
    crate::compile(to, workflow).err().unwrap_or_default()
}

/// What a workflow uses, with all keys that ask for it, and what follows from that.
fn used(workflow: &Workflow) -> Vec<(Feature, Vec<String>)> {
    let mut asked = feature::used(workflow);
    let keys_of = |asked: &[(Feature, String)], of: Feature| -> Vec<String> {
        let of = asked.iter().filter(|(feature, _)| *feature == of);
        of.map(|(_, key)| key.clone()).collect()
    };
    // What no key asks for, and what asks for it all the same.
    for (follows, of) in [
        (Feature::SkippedState, Feature::When),
        (Feature::RetryTransientOnly, Feature::Retries),
        (Feature::Backoff, Feature::Retries),
    ] {
        let keys = keys_of(&asked, of);
        asked.extend(keys.into_iter().map(|key| (follows, key)));
    }
    let deployment = &workflow.deployment;
    let stack = |key: &str| format!("stacks.{}.{key}", deployment.stack);
    asked.push((Feature::Memory, "limits.memory".to_owned()));
    if deployment.parallelism.is_some() {
        asked.push((Feature::Parallelism, stack("parallelism")));
    }
    match &deployment.image {
        Some(_) => asked.push((Feature::Containers, stack("image"))),
        None => asked.push((Feature::Processes, stack("command"))),
    }
    if deployment.kubernetes != crate::Kubernetes::default() {
        asked.push((Feature::Kubernetes, stack("kubernetes")));
    }
    let all = Feature::ALL.into_iter();
    all.map(|feature| (feature, keys_of(&asked, feature)))
        .filter(|(_, keys)| !keys.is_empty())
        .collect()
}
