//! What targets of pods refuse, and how they keep texts as they are.

use super::examples::{Example, Stack};
use crate::{Refusal, Target, Workflow, compile};

const PODS: [Target; 4] = [
    Target::Kfp,
    Target::Argo,
    Target::Kubernetes,
    Target::Tekton,
];

fn example(text: &str) -> Example {
    Example {
        stack: Stack::Containers,
        ..Example::new("one", text)
    }
}

fn workflow(target: Target, text: &str) -> Workflow {
    example(text).workflow(target).unwrap()
}

/// The keys of what is refused.
fn keys(target: Target, workflow: &Workflow) -> Vec<String> {
    let refusals = compile(target, workflow).err().unwrap_or_default();
    refusals
        .into_iter()
        .map(|Refusal { key, .. }| key)
        .collect()
}

fn text(target: Target, workflow: &Workflow) -> String {
    let files = compile(target, workflow).unwrap();
    files.into_iter().map(|file| file.text).collect()
}

fn one(name: &str, extra: &str) -> String {
    format!(
        "name: {name}\n{extra}\nsteps:\n  one:\n    uses: steps/count.wasm\n    \
         inputs: {{ text: book.txt }}\n    outputs: [counts]\n"
    )
}

#[test]
fn names_of_pipelines_are_those_of_objects() {
    let long = "a".repeat(53);
    for target in PODS {
        for (name, wanted) in [("a.b", &["name"][..]), ("a-b", &[])] {
            let workflow = workflow(target, &one(name, ""));
            assert_eq!(keys(target, &workflow), wanted, "{target}: {name}");
        }
        // What is started by schedule has the time at the end of its name.
        let scheduled = Example {
            schedule: Some("0 6 * * *"),
            ..example(&one(&long, ""))
        };
        let wanted = match target {
            Target::Kubernetes | Target::Argo => "name",
            _ => "stacks.prod.schedule",
        };
        assert_eq!(keys(target, &scheduled.workflow(target).unwrap()), [wanted]);
    }
}

#[test]
fn a_parameter_of_the_target_is_not_one_of_the_pipeline() {
    let extra =
        "partition: { every: day }\nparameters: { partition: { type: string, default: a } }";
    for target in PODS {
        let wanted: &[&str] = match target {
            // Annotations are apart.
            Target::Kubernetes => &[],
            _ => &["parameters.partition"],
        };
        assert_eq!(keys(target, &workflow(target, &one("a", extra))), wanted);
    }
}

#[test]
fn no_two_tasks_have_one_name() {
    let steps = "name: a\nsteps:\n  \
         count: { uses: steps/count.wasm, inputs: { text: a }, outputs: [b], foreach: [x, y] }\n  \
         count-0: { uses: steps/count.wasm, inputs: { text: a }, outputs: [b] }\n";
    for target in PODS {
        assert_eq!(keys(target, &workflow(target, steps)), ["steps.count-0"]);
    }
}

#[test]
fn words_of_argo_name_no_step() {
    let text = one("a", "").replace("  one:", "  true:");
    assert_eq!(
        keys(Target::Argo, &workflow(Target::Argo, &text)),
        ["steps.true"]
    );
}

/// What the target fills in, and what is in a stack or a default.
#[test]
fn what_would_be_filled_in_is_refused() {
    for (target, mark, default) in [
        (Target::Argo, "{{workflow.name}}", false),
        (Target::Tekton, "$(context.pipelineRun.name)", true),
        (Target::Kfp, "{{$.pipeline_job_name}}", true),
    ] {
        let extra = format!("parameters: {{ title: {{ type: string, default: '{mark}' }} }}");
        let mut workflow = workflow(target, &one("a", &extra));
        let wanted: &[&str] = if default { &["parameters.title"] } else { &[] };
        assert_eq!(keys(target, &workflow), wanted, "{target}");
        workflow.parameters.clear();
        workflow
            .deployment
            .environment
            .insert("A".to_owned(), mark.to_owned());
        assert_eq!(keys(target, &workflow), ["stacks.prod.settings.A"]);
    }
}

#[test]
fn kubernetes_takes_settings_as_they_are() {
    for target in PODS {
        let mut workflow = workflow(target, &one("a", ""));
        let value = "a$b".to_owned();
        workflow.deployment.environment = [("A".to_owned(), value)].into();
        assert!(text(target, &workflow).contains("a$$b"), "{target}");
    }
}

/// What a run gives comes before the secrets, so that no value can name one of them.
#[test]
fn variables_of_a_run_come_before_secrets() {
    let extra = "parameters: { title: { type: string, default: a } }";
    for target in [Target::Argo, Target::Kubernetes, Target::Tekton] {
        let text = text(target, &workflow(target, &one("a", extra)));
        let run = [
            "WHARF_ARGUMENTS",
            "WHARF_PARAMETERS",
            "WHARF_PARAMETER_title",
        ];
        let run = run.iter().find_map(|name| text.find(name)).unwrap();
        assert!(run < text.find("secretKeyRef").unwrap(), "{target}");
    }
}

#[test]
fn a_pod_has_not_too_many_containers() {
    let items: Vec<_> = (0..251).map(|it| it.to_string()).collect();
    let steps = format!(
        "name: a\nsteps:\n  count:\n    uses: steps/count.wasm\n    inputs: {{ text: a }}\n    \
         outputs: [b]\n    foreach: [{}]\n",
        items.join(", ")
    );
    let workflow = workflow(Target::Kubernetes, &steps);
    assert_eq!(keys(Target::Kubernetes, &workflow), ["steps.count"]);
}

/// Names of a pipeline that the module of Kubeflow needs itself, or that are used twice.
#[test]
fn names_in_python_are_used_once() {
    let text = text(
        Target::Kfp,
        &workflow(
            Target::Kfp,
            r#"
name: pipeline
parameters:
  item: { type: string, default: a }
  count: { type: u32, default: 3 }
  from: { type: string, default: b }
  dict: { type: bool, default: true }
steps:
  list: { uses: steps/list.wasm, with: { data: a } }
  count:
    uses: steps/count.wasm
    foreach: ${{ steps.list.results.names }}
    inputs: { text: a }
    outputs: [count, results, item]
  pipeline: { uses: steps/count.wasm, inputs: { text: a }, outputs: [b] }
  list-task: { uses: steps/count.wasm, inputs: { text: a }, outputs: [b] }
"#,
        ),
    );
    for line in [
        "def list_(item: str, count: int, from_: str, dict_: bool, results_: dsl.OutputPath(str)):",
        "    count_: dsl.Output[dsl.Artifact],",
        "    item_: dsl.Output[dsl.Artifact],",
        "    results: dsl.Output[dsl.Artifact],",
        "def pipeline(item: str = \"a\", count: int = 3, from_: str = \"b\", dict_: bool = True):",
        "    parameters = dict(item=item, count=count, from_=from_, dict_=dict_)",
        "    with dsl.ParallelFor(items, parallelism=8) as item__:",
        "    list_task_ = configured(list_(**parameters), memory=\"1280Mi\")",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n\n{text}");
    }
}

#[test]
fn outputs_of_one_name_in_python_are_refused() {
    let text = "name: a\nsteps:\n  one:\n    uses: steps/count.wasm\n    \
         inputs: { text: a }\n    outputs: [a-b, a_b]\n";
    let workflow = workflow(Target::Kfp, text);
    assert_eq!(keys(Target::Kfp, &workflow), ["steps.one.outputs"]);
}
