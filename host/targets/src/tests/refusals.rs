//! What targets refuse that is no feature: limits and names of their own.

use super::examples::{Example, Stack};
use super::refused;
use crate::Target;

/// What a target refuses, as `KEY: WHY`.
fn why(target: Target, example: &Example, change: fn(&mut crate::Workflow)) -> Vec<String> {
    let workflow = example.workflow(target).map(|mut workflow| {
        change(&mut workflow);
        workflow
    });
    let refusals = refused(target, workflow);
    let lines = refusals.iter();
    lines
        .map(|refusal| format!("{}: {}", refusal.key, refusal.why))
        .collect()
}

fn step(extra: &str) -> Example {
    let text = format!(
        "name: one\n{extra}\n    uses: steps/count.wasm\n    inputs: {{ text: book.txt }}\n    \
         outputs: [counts]\n"
    );
    Example::new("one", &text)
}

#[test]
fn a_folder_is_no_store_for_what_cannot_reach_it() {
    let in_containers = Example {
        stack: Stack::Containers,
        ..step("steps:\n  one:")
    };
    for (target, why_not) in [
        (
            Target::Cwl,
            "the store `/srv/wharf` is a folder, which a container cannot reach",
        ),
        (
            Target::GithubActions,
            "the store `/srv/wharf` is a folder, which GitHub's machines have not",
        ),
    ] {
        let refused = why(target, &in_containers, |workflow| {
            workflow.deployment.store = "/srv/wharf".to_owned();
        });
        assert_eq!(refused, [format!("stacks.prod.store: {why_not}")]);
    }
}

#[test]
fn a_step_called_like_a_task_of_another_is_refused() {
    let lists = "steps:\n  list:\n    uses: steps/list.wasm\n    with: { data: book.txt }\n  \
                 count-items:\n    uses: steps/list.wasm\n    with: { data: book.txt }\n  \
                 count:\n    foreach: ${{ steps.list.results.names }}";
    for (target, task) in [
        (Target::Airflow, "count-items"),
        (Target::Snakemake, "count_items"),
        (Target::GithubActions, "count-items"),
    ] {
        let wanted =
            format!("steps.count-items: its task `{task}` has the name of a task of `count`");
        assert_eq!(why(target, &step(lists), |_| {}), [wanted], "{target}");
    }
    // Its list is called otherwise.
    assert_eq!(why(Target::Cwl, &step(lists), |_| {}), [] as [String; 0]);
}

#[test]
fn what_github_has_no_more_of_is_refused() {
    let parameters: String = (0..26)
        .map(|n| format!("  p{n}: {{ type: u32, default: 1 }}\n"))
        .collect();
    let many = step(&format!("parameters:\n{parameters}steps:\n  one:"));
    assert_eq!(
        why(Target::GithubActions, &many, |_| {}),
        ["parameters: a form has at most 25 fields, and it needs 26"]
    );
    let items = vec!["a"; 257].join(", ");
    let items = step(&format!("steps:\n  one:\n    foreach: [{items}]"));
    assert_eq!(
        why(Target::GithubActions, &items, |_| {}),
        ["steps.one.foreach: it has 257 items; a matrix has at most 256 jobs"]
    );
    let long = Example {
        stack: Stack::Containers,
        ..step("steps:\n  one:\n    timeout: 7h")
    };
    assert_eq!(
        why(Target::GithubActions, &long, |_| {}),
        ["steps.one.timeout: GitHub's own machines run a job for at most 6 hours"]
    );
}

#[test]
fn paths_that_airflow_would_fill_in_are_refused() {
    let refused = why(Target::Airflow, &step("steps:\n  one:"), |workflow| {
        workflow.deployment.store = "/srv/{{ x }}".to_owned();
    });
    assert_eq!(
        refused,
        ["stacks.local.store: `/srv/{{ x }}` is a template for Airflow"]
    );
}

/// Where an own name of a workflow is that of a parameter, one of them must go.
#[test]
fn a_parameter_called_partition_is_refused_beside_partitions() {
    let both = step(
        "partition: { every: day }\nparameters: { partition: { type: u32, default: 1 } }\n\
         steps:\n  one:",
    );
    for target in [Target::Airflow, Target::Snakemake, Target::GithubActions] {
        let refused = why(target, &both, |_| {});
        assert_eq!(refused.len(), 1, "{target}");
        assert!(refused[0].starts_with("parameters.partition: "), "{target}");
    }
    assert_eq!(why(Target::Cwl, &both, |_| {}), [] as [String; 0]);
}
