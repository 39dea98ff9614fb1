//! Names and shapes in the targets that write scripts of Python.

use super::examples::Example;
use super::refused;
use crate::{Target, compile};

const SCRIPTS: [Target; 4] = [
    Target::Dagster,
    Target::Prefect,
    Target::Metaflow,
    Target::Zenml,
];

const STEP: &str = "uses: steps/count.wasm, inputs: { text: book.txt }, outputs: [counts]";

/// The keys that a target refuses in a pipeline.
fn keys(target: Target, text: &str) -> Vec<String> {
    let refusals = refused(target, Example::new("one", text).workflow(target));
    refusals.into_iter().map(|refusal| refusal.key).collect()
}

/// The one file that a target makes of a pipeline.
fn script(target: Target, text: &str) -> String {
    let workflow = Example::new("one", text).workflow(target).unwrap();
    compile(target, &workflow).unwrap().remove(0).text
}

#[test]
fn an_item_and_a_step_of_one_name_are_refused() {
    let text =
        format!("name: one\nsteps:\n  a: {{ {STEP}, foreach: [x, y] }}\n  a-0: {{ {STEP} }}\n");
    for target in [Target::Dagster, Target::Prefect, Target::Zenml] {
        assert_eq!(keys(target, &text), ["steps.a-0"], "{target}");
    }
    let text =
        format!("name: one\nsteps:\n  a: {{ {STEP}, foreach: [x, y] }}\n  a-items: {{ {STEP} }}\n");
    assert_eq!(keys(Target::Metaflow, &text), ["steps.a-items"]);
}

#[test]
fn words_of_python_and_of_a_file_itself_can_be_names() {
    let text = format!(
        "name: json\nparameters: {{ step: {{ type: u32, default: 1 }}, \
         json: {{ type: string, default: '{{{{ x }}}} $X \"q\"' }} }}\nsteps:\n  step: {{ {STEP} }}\n  \
         import: {{ {STEP}, needs: [step] }}\n"
    );
    for target in SCRIPTS {
        assert_eq!(keys(target, &text), [""; 0], "{target}");
        let script = script(target, &text);
        assert!(script.contains("\"step\""), "{target}: {script}");
        assert!(
            script.contains("{{ x }} $X \\\"q\\\""),
            "{target}: {script}"
        );
    }
}

#[test]
fn a_parameter_that_is_the_partition_is_refused() {
    let text = format!(
        "name: one\npartition: {{ every: day }}\nparameters: {{ partition: {{ type: u32, \
         default: 1 }} }}\nsteps:\n  a: {{ {STEP} }}\n"
    );
    for target in [Target::Prefect, Target::Metaflow, Target::Zenml] {
        assert_eq!(keys(target, &text), ["parameters.partition"], "{target}");
    }
    // Its partitions are not among the parameters.
    assert_eq!(keys(Target::Dagster, &text), [""; 0]);
}

#[test]
fn options_of_metaflow_are_no_parameters() {
    let text = format!(
        "name: one\nparameters: {{ max-workers: {{ type: u32, default: 1 }} }}\nsteps:\n  \
         a: {{ {STEP} }}\n"
    );
    assert_eq!(keys(Target::Metaflow, &text), ["parameters.max-workers"]);
}

#[test]
fn a_flow_of_metaflow_does_not_branch_where_it_joins() {
    let text = format!(
        "name: one\nsteps:\n  a: {{ {STEP} }}\n  b: {{ {STEP} }}\n  \
         c: {{ {STEP}, needs: [a, b] }}\n  d: {{ {STEP}, needs: [a] }}\n"
    );
    let script = script(Target::Metaflow, &text);
    let nexts: Vec<_> = script
        .lines()
        .filter_map(|line| line.trim().strip_prefix("self.next(")?.strip_suffix(')'))
        .collect();
    let wanted = [
        "self.a, self.b",
        "self.join_1",
        "self.join_1",
        "self.fork_2",
        "self.c, self.d",
        "self.join_2",
        "self.join_2",
        "self.end",
    ];
    assert_eq!(nexts, wanted, "{script}");
}

/// What Metaflow cannot do itself, the host does.
#[test]
fn metaflow_leaves_many_retries_to_the_host() {
    let of = |retries: u32| {
        let text = format!("name: one\nsteps:\n  a: {{ {STEP}, retries: {retries} }}\n");
        let script = script(Target::Metaflow, &text);
        (
            script.contains("@retry"),
            script.contains("retries=\"step\""),
        )
    };
    assert_eq!(of(4), (true, false));
    assert_eq!(of(5), (false, true));
}
