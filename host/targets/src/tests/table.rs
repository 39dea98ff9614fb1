//! The table of what targets express says what compiling does.

use super::examples::{Example, Stack, examples, using};
use super::refused;
use crate::{Feature, Level, Target};

/// A pipeline that uses a feature compiles where the table says that it is expressed, and
/// is refused by its key where it is not.
#[test]
fn the_table_says_what_compiling_does() {
    for target in Target::ALL {
        for feature in Feature::ALL {
            let support = target.support(feature);
            assert!(!support.how.is_empty(), "{target}: {feature}");
            let Some((example, key)) = using(feature, target) else {
                continue;
            };
            let refusals = refused(target, example.workflow(target));
            let is_refused = refusals.iter().any(|refusal| refusal.key == key);
            let wanted = support.level == Level::No;
            assert_eq!(is_refused, wanted, "{target}: {feature}: {refusals:?}");
            if !wanted {
                assert_eq!(refusals, [], "{target}: {feature}");
            }
        }
    }
}

/// Every feature that a key asks for is used by some example, so that the texts that are
/// kept show it.
#[test]
fn every_feature_is_shown_by_an_example() {
    for target in Target::ALL {
        let used: Vec<Feature> = examples()
            .iter()
            .filter_map(|example| example.workflow(target).ok())
            .flat_map(|workflow| crate::feature::used(&workflow))
            .map(|(feature, _)| feature)
            .collect();
        let has = |feature| target.support(feature).level.is_expressed();
        for feature in Feature::ALL {
            if using(feature, target).is_some() && has(feature) {
                assert!(used.contains(&feature), "{target}: {feature}");
            }
        }
    }
}

/// A folder is no store for pods, and secrets must come from somewhere.
#[test]
fn what_pods_need_is_asked_for() {
    for target in Target::ALL {
        if !target.support(Feature::Kubernetes).level.is_expressed() {
            continue;
        }
        let example = Example {
            stack: Stack::Containers,
            ..Example::promote()
        };
        let Ok(mut workflow) = example.workflow(target) else {
            continue;
        };
        workflow.deployment.store = "/srv/wharf".to_owned();
        workflow.deployment.kubernetes.secret = None;
        let keys: Vec<_> = refused(target, Ok(workflow))
            .into_iter()
            .map(|refusal| refusal.key)
            .collect();
        assert_eq!(
            keys,
            ["stacks.prod.store", "stacks.prod.kubernetes.secret"],
            "{target}"
        );
    }
}
