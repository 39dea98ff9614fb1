//! What the run of a pipeline has made, and what that comes from.

use std::collections::{BTreeMap, BTreeSet};

use wharf_model::artifact::{ArtifactReference, Version, Which};
use wharf_model::pipeline::PublishTarget;
use wharf_model::pipeline::graph::Graph;
use wharf_model::pipeline_run::{StepEnd, StepStatus};
use wharf_model::record::RunId;
use wharf_model::{Digest, Record};
use wharf_store::Store;

use super::super::data::Made;
use super::super::limits;
use super::Records;
use super::lineage::Lineage;
use super::pipeline::Group;

/// What was published, and what no other step was given, with what it comes from. The
/// second is left out where not all records were read: what a step was given that is
/// not among them would pass for a product.
pub(super) async fn made(
    records: &Records,
    store: &Store,
    run: &RunId,
    graph: &Graph,
    groups: &[Group<'_>],
    notes: &mut Vec<String>,
) -> Vec<Made> {
    let ends: Vec<&StepEnd> = groups.iter().flat_map(|group| group.ends.clone()).collect();
    let commits = ends.iter().filter_map(|end| end.commit);
    let commits: BTreeSet<_> = commits.collect();
    let known = commits.iter().filter_map(|commit| {
        let record = records.of_commit(commit)?;
        Some((*commit, record.clone()))
    });
    let known: BTreeMap<_, Record> = known.collect();
    let used = known.values().flat_map(|record| &record.inputs);
    let used: BTreeSet<_> = used.filter_map(|input| input.commit).collect();
    let mut lineage = Lineage::new(store, known.clone());
    let mut made = Vec::new();
    let good = groups
        .iter()
        .filter(|group| group.status().is_some_and(StepStatus::is_good));
    let good: BTreeSet<&str> = good.map(|group| group.name).collect();
    let targets = graph.nodes.iter().filter(|node| good.contains(&*node.name));
    let targets = targets.flat_map(|node| &node.publishes).take(limits::MADE);
    let mut published = BTreeSet::new();
    for target in targets.filter_map(|target| target.parse::<PublishTarget>().ok()) {
        let found = version(store, run, &target, &commits).await;
        let Some(version) = found else { continue };
        let tag = target.tag.as_ref().map(|tag| tag.as_str());
        published.extend(version.origin.commit());
        made.push(lineage.of_version(&version, tag).await);
    }
    if known.len() < commits.len() {
        let (read, all) = (known.len(), commits.len());
        notes.push(format!(
            "Of {all} records of steps, {read} were read: the lineage is that of what was \
             published, and leaves out what no other step was given."
        ));
        return made;
    }
    for end in ends {
        let Some(commit) = end.commit else { continue };
        let Some(record) = known.get(&commit) else {
            continue;
        };
        if used.contains(&commit) || published.contains(&commit) {
            continue;
        }
        for output in &record.outputs {
            if made.len() >= limits::MADE {
                return made;
            }
            let step = match end.item {
                Some(item) => format!("{}[{item}]", end.step),
                None => end.step.clone(),
            };
            made.push(lineage.of_output(&step, output, commit).await);
        }
    }
    made
}

/// Versions of an artifact that are looked at for the one that a run has published.
const LOOKED_AT: usize = 8;

/// The version that a run has published. What was published before is not published
/// again, so it may be another run's of the same step.
async fn version(
    store: &Store,
    run: &RunId,
    target: &PublishTarget,
    commits: &BTreeSet<Digest>,
) -> Option<Version> {
    let numbers = store.version_numbers(&target.name).await.ok()?;
    for number in numbers.into_iter().rev().take(LOOKED_AT) {
        let reference = ArtifactReference {
            name: target.name.clone(),
            which: Which::Number(number),
        };
        if let Ok(Some(version)) = store.find_version(&reference).await {
            let origin = &version.origin;
            let commit = origin.commit();
            if origin.run() == Some(run) || commit.is_some_and(|it| commits.contains(&it)) {
                return Some(version);
            }
        }
    }
    None
}
