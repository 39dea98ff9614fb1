//! Pipelines that targets are tried with.

use std::collections::{BTreeMap, BTreeSet};

use wharf_model::Digest;
use wharf_model::limits::Bytes;
use wharf_model::pipeline::{check, parse};
use wharf_model::signature::{
    Arity, FailureType, Function, Parameter, ParameterType, Returns, Signature,
};
use wharf_model::stack::SecretReference;
use wharf_model::value_type::{Field, IntegerType, ValueType};

use crate::{Deployment, Feature, Kubernetes, Refusal, Schedule, Source, Target, Workflow};

/// Where an example runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stack {
    /// On one machine.
    Local,
    /// In containers of a cluster.
    Containers,
}

/// A pipeline, and where it runs.
#[derive(Clone, Debug)]
pub(super) struct Example {
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) stack: Stack,
    pub(super) schedule: Option<&'static str>,
}

/// All that is kept.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::promote(),
        Example {
            name: "promote-in-containers",
            stack: Stack::Containers,
            schedule: Some("30 5 * * 1"),
            ..Example::promote()
        },
        Example::new("flights", FLIGHTS),
        Example {
            schedule: Some("0 6 1 * *"),
            stack: Stack::Containers,
            ..Example::new("flights-by-schedule", FLIGHTS)
        },
        Example::new(
            "flights-year",
            include_str!("../../../../docs/examples/flights-year.yaml"),
        ),
        Example {
            stack: Stack::Containers,
            ..Example::new(
                "flights-year-in-containers",
                include_str!("../../../../docs/examples/flights-year.yaml"),
            )
        },
        Example::new("all", ALL),
        Example {
            stack: Stack::Containers,
            ..Example::new("all-in-containers", ALL)
        },
        Example::new("regions", REGIONS),
        Example {
            stack: Stack::Containers,
            ..Example::new("shards-in-containers", SHARDS)
        },
    ]
}

const FLIGHTS: &str = include_str!("../../../../docs/examples/flights.yaml");

/// Steps with all that a step can have, of lists that the file and a step give.
const ALL: &str = r#"
name: all
description: Has "all" that a pipeline can have.
parameters:
  text: { type: input, default: book.txt, description: What is read }
  top: { type: u32, default: 10, description: 'How many words: the "top" ones' }
  rate: { type: f64, default: 0.5 }
  title: { type: string, default: "It's {{ a }} $TITLE" }
  strict: { type: bool, default: false }
  weights: { type: list<f64>, default: [0.5, 1] }
steps:
  list-files:
    uses: steps/list.wasm
    with: { data: "${{ parameters.text }}" }
    retries: 2
  count:
    uses: steps/count.wasm
    foreach: ${{ steps.list-files.results.names }}
    inputs: { text: "${{ parameters.text }}" }
    outputs: [counts]
    with: { name: "${{ item }}", top: "${{ parameters.top }}", title: "${{ parameters.title }}" }
    retries: { count: 3, backoff: 10s, max-backoff: 5m }
    timeout: 90s
  import:
    uses: steps/count.wasm
    foreach: [a, b, c]
    inputs: { text: "${{ parameters.text }}" }
    outputs: [counts]
    with: { name: "${{ item }}", rate: "${{ parameters.rate }}", strict: "${{ parameters.strict }}" }
    timeout: 2h
  merge-all:
    uses: steps/merge.wasm
    needs: [import]
    with: { months: "${{ steps.count.outputs.counts }}" }
    limits: { memory: 3GiB }
    publish: { all-counts: "${{ outputs.table }}" }
  last:
    when: ${{ parameters.strict }}
    publish: { all-counts:prod: "${{ steps.merge-all.outputs.table }}" }
"#;

/// All that targets can have which make no tasks while they run, and start none by
/// themselves.
const SHARDS: &str = r#"
name: shards
description: Counts "shards" of a region.
partition: { values: [north, south] }
parameters:
  text: { type: input, description: What is read }
  top: { type: u32, default: 10, description: 'How many words: the "top" ones' }
  title: { type: string, default: "It's {{ a }} $TITLE" }
  strict: { type: bool, default: false }
  weights: { type: list<f64>, default: [0.5, 1] }
steps:
  split:
    uses: steps/split.wasm
    with: { data: "${{ parameters.text }}", every: "${{ parameters.top }}" }
    retries: 2
    timeout: 1m
  count:
    uses: steps/count.wasm
    foreach: [a, b]
    inputs: { text: "${{ steps.split.outputs.train }}" }
    outputs: [counts]
    with: { name: "${{ item }}", title: "${{ parameters.title }}", region: "${{ partition }}" }
    retries: { count: 3, backoff: 10s, max-backoff: 5m }
    timeout: 90s
  merge:
    uses: steps/merge.wasm
    with: { months: "${{ steps.count.outputs.counts }}" }
    limits: { memory: 3GiB }
    publish: { all-shards: "${{ outputs.table }}" }
    timeout: 2h
  last:
    when: ${{ parameters.strict }}
    publish: { all-shards:prod: "${{ steps.merge.outputs.table }}" }
"#;

/// Partitions that are values.
const REGIONS: &str = "
name: regions
partition: { values: [north, south] }
steps:
  count:
    uses: steps/count.wasm
    inputs: { text: book.txt }
    outputs: [counts]
    with: { region: '${{ partition }}' }
";

impl Example {
    pub(super) fn new(name: &'static str, text: &str) -> Self {
        Self {
            name,
            text: text.to_owned(),
            stack: Stack::Local,
            schedule: None,
        }
    }

    pub(super) fn promote() -> Self {
        Self::new(
            "promote",
            include_str!("../../../../docs/examples/promote.yaml"),
        )
    }

    /// What a target is given of it.
    pub(super) fn workflow(&self, target: Target) -> Result<Workflow, Vec<Refusal>> {
        let pipeline = parse(&self.text).unwrap();
        let references = pipeline.references();
        let signatures: BTreeMap<_, _> = references
            .map(|reference| (reference.to_string(), signature(&reference.to_string())))
            .collect();
        let checked = check(&pipeline, &signatures).unwrap_or_else(|mistakes| {
            panic!("{}: {mistakes:?}", self.name);
        });
        let memory = checked.steps.iter().map(|step| {
            let memory = step.limits.memory.unwrap_or(Bytes(1 << 30));
            (step.name.clone(), memory)
        });
        let name = checked
            .name
            .as_ref()
            .map_or(self.name, |name| name.as_str());
        let source = Source {
            checked: &checked,
            name,
            file: &format!("{}.yaml", self.name),
            lock: Digest::of(self.text.as_bytes()),
            fixed: &BTreeSet::new(),
            counts: &[("summarise".to_owned(), 12)].into(),
            memory: &memory.collect(),
        };
        Workflow::of(target, &source, self.deployment())
    }

    fn deployment(&self) -> Deployment {
        let schedule = self.schedule.map(|cron| Schedule {
            cron: cron.to_owned(),
            timezone: "Europe/Berlin".to_owned(),
        });
        match self.stack {
            Stack::Local => Deployment {
                stack: "local".to_owned(),
                store: "/srv/wharf store".to_owned(),
                command: "wharf".to_owned(),
                schedule,
                ..Deployment::default()
            },
            Stack::Containers => Deployment {
                stack: "prod".to_owned(),
                store: "s3://bucket/wharf".to_owned(),
                image: Some("registry.example.com/wharf:0.1.0".to_owned()),
                command: "wharf".to_owned(),
                environment: [("AWS_REGION".to_owned(), "eu-central-1".to_owned())].into(),
                secrets: [(
                    "AWS_SECRET_ACCESS_KEY".to_owned(),
                    SecretReference::File("/run/secrets/key".to_owned()),
                )]
                .into(),
                schedule,
                parallelism: Some(8),
                kubernetes: Kubernetes {
                    namespace: Some("ml".to_owned()),
                    service_account: Some("wharf".to_owned()),
                    secret: Some("wharf-store".to_owned()),
                    cpu: Some("500m".to_owned()),
                    node_selector: [("pool".to_owned(), "batch".to_owned())].into(),
                },
            },
        }
    }
}

/// A pipeline that uses one feature, and the key that asks for it; nothing for a feature
/// that no key asks for.
pub(super) fn using(feature: Feature, target: Target) -> Option<(Example, &'static str)> {
    let program = |extra: &str| {
        let text = format!(
            "name: one\n{extra}\n    uses: steps/count.wasm\n    inputs: {{ text: book.txt }}\n    \
             outputs: [counts]\n"
        );
        // It runs where the target can have it run.
        let stack = match target.support(Feature::Processes).level.is_expressed() {
            true => Stack::Local,
            false => Stack::Containers,
        };
        let example = Example {
            stack,
            ..Example::new("one", &text)
        };
        match stack {
            Stack::Local => example,
            Stack::Containers => example,
        }
    };
    let local = "stacks.local.schedule";
    let prod = "stacks.prod.schedule";
    Some(match feature {
        Feature::Parameters => (
            program("parameters: { top: { type: u32, default: 3 } }\nsteps:\n  one:"),
            "parameters.top",
        ),
        Feature::ArtifactParameters => (
            program("parameters: { text: { type: input, default: a } }\nsteps:\n  one:"),
            "parameters.text",
        ),
        Feature::When => (
            program(
                "parameters: { top: { type: u32, default: 3 } }\nsteps:\n  one:\n    \
                 when: ${{ parameters.top > 2 }}",
            ),
            "steps.one.when",
        ),
        Feature::StaticForeach => (
            program("steps:\n  one:\n    foreach: [a, b]"),
            "steps.one.foreach",
        ),
        Feature::Mapping => (
            program(
                "steps:\n  list:\n    uses: steps/list.wasm\n    with: { data: book.txt }\n  \
                 one:\n    foreach: ${{ steps.list.results.names }}",
            ),
            "steps.one.foreach",
        ),
        Feature::Retries => (
            program("steps:\n  one:\n    retries: 2"),
            "steps.one.retries",
        ),
        Feature::Timeout => (
            program("steps:\n  one:\n    timeout: 5m"),
            "steps.one.timeout",
        ),
        Feature::PartitionByTime => (
            program("partition: { every: day }\nsteps:\n  one:"),
            "partition",
        ),
        Feature::PartitionByValue => (
            program("partition: { values: [a, b] }\nsteps:\n  one:"),
            "partition",
        ),
        Feature::Schedule | Feature::ScheduledPartition => {
            let partition = match feature {
                Feature::Schedule => "",
                _ => "partition: { every: day }\n",
            };
            let example = program(&format!("{partition}steps:\n  one:"));
            let key = match example.stack {
                Stack::Local => local,
                Stack::Containers => prod,
            };
            let schedule = Some("0 6 * * *");
            (
                Example {
                    schedule,
                    ..example
                },
                key,
            )
        }
        // What the stack of containers has, beside much else.
        Feature::Settings | Feature::Secrets => {
            let example = Example {
                stack: Stack::Containers,
                ..program("steps:\n  one:")
            };
            let key = match feature {
                Feature::Settings => "stacks.prod.settings",
                _ => "stacks.prod.secrets",
            };
            (example, key)
        }
        Feature::SkippedState
        | Feature::RetryTransientOnly
        | Feature::Backoff
        | Feature::Memory
        | Feature::Parallelism
        | Feature::Processes
        | Feature::Containers
        | Feature::Kubernetes => return None,
    })
}

/// What the components of the examples take and return.
fn signature(reference: &str) -> Signature {
    let input = |name: &str| artifact(name, Arity::One);
    let output = |name: &str| Parameter {
        name: name.to_owned(),
        ty: ParameterType::Output { tree: false },
    };
    let value = |name: &str, value: ValueType| Parameter {
        name: name.to_owned(),
        ty: ParameterType::Value { value },
    };
    let u32 = || ValueType::Integer {
        integer: IntegerType::U32,
    };
    let (parameters, results) = match reference {
        "steps/split.wasm" => (
            vec![
                input("data"),
                output("train"),
                output("test"),
                value("every", u32()),
            ],
            None,
        ),
        "steps/train.wasm" => (
            vec![input("data"), output("model"), value("epochs", u32())],
            None,
        ),
        "steps/compare.wasm" => (
            vec![
                input("data"),
                input("challenger"),
                artifact("champion", Arity::Optional),
            ],
            Some(record("verdict", "better", ValueType::Bool)),
        ),
        "steps/summarise.wasm" => (
            vec![
                input("flights"),
                value("month", ValueType::String),
                output("summary"),
            ],
            None,
        ),
        "steps/merge.wasm" => (vec![artifact("months", Arity::Many), output("table")], None),
        "steps/list.wasm" => {
            let item = Box::new(ValueType::String);
            let names = ValueType::List { item };
            (vec![input("data")], Some(record("listing", "names", names)))
        }
        _ => return Signature::Program,
    };
    Signature::Typed {
        functions: vec![Function {
            name: "run".to_owned(),
            docs: None,
            parameters,
            returns: Returns {
                results,
                failure: FailureType::Failure,
            },
        }],
    }
}

fn artifact(name: &str, arity: Arity) -> Parameter {
    Parameter {
        name: name.to_owned(),
        ty: ParameterType::Input { tree: false, arity },
    }
}

fn record(name: &str, field: &str, ty: ValueType) -> ValueType {
    ValueType::Record {
        name: name.to_owned(),
        fields: vec![Field {
            name: field.to_owned(),
            ty,
            docs: None,
        }],
    }
}
