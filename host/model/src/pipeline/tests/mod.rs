//! Tests of the whole language: from text to values.

mod check;
mod evaluate;
mod form;
mod graph;
mod hostile;
mod large;

use std::collections::BTreeMap;

use super::diagnostic::shown;
use super::{Checked, check as check_pipeline, parse, type_syntax};
use crate::signature::{
    Arity, FailureType, Function, Parameter, ParameterType, Returns, Signature,
};
use crate::value_type::{Field, ValueType};

/// The example of the documentation.
const EXAMPLE: &str = r#"name: cancer
description: Trains and promotes.
parameters:
  epochs: { type: u32, default: 200, description: how long }
  months: { type: list<string>, default: ["2013-01"] }
  data: input
partition: { every: month }
steps:
  promote:
    when: ${{ steps.compare.results.better && steps.train.results.accuracy > 0.9 }}
    publish: { "cancer-model:prod": "${{ steps.train.outputs.model }}" }
  prepare:
    uses: steps/agg.wasm
    with: { month: "${{ partition }}", data: "${{ parameters.data }}" }
  train:
    uses: steps/train.wasm#fit
    with: { data: "${{ parameters.data }}", epochs: "${{ parameters.epochs }}" }
    publish: { cancer-model: "${{ outputs.model }}" }
    retries: 3
    timeout: 10m
    limits: { memory: 2GiB, fuel: 1000000, output: 1GiB, log: 1MiB, handles: 100 }
    grants: [clock, entropy, "env:TZ"]
    seed: 7
    needs: [prepare]
  each:
    uses: steps/agg.wasm
    foreach: ${{ parameters.months }}
    with: { month: "${{ item }}", data: data/flights.csv }
  merge:
    uses: steps/merge.wasm
    with: { parts: "${{ steps.each.outputs.table }}" }
  compare:
    uses: steps/compare.wasm
    with:
      old: ${{ artifact('cancer-model:prod') }}
      new: ${{ steps.train.outputs.model }}
      kind: adam
  words:
    uses: steps/wordcount.wasm
    inputs: { text: book.txt }
    outputs: [counts, pages/]
    with: { top: 3 }
    arguments: [-v]
"#;

pub(super) fn value_type(text: &str) -> ValueType {
    match text {
        "scores" => record(
            "scores",
            &[("accuracy", "f64"), ("loss", "f64"), ("rows", "u32")],
        ),
        "layer" => record("layer", &[("units", "u32"), ("rate", "option<f64>")]),
        "verdict" => record(
            "verdict",
            &[
                ("better", "bool"),
                ("best", "optimizer"),
                ("note", "option<string>"),
                ("margins", "list<f64>"),
                ("path", "string"),
                ("letter", "char"),
            ],
        ),
        "optimizer" => ValueType::Enum {
            name: "optimizer".into(),
            cases: vec!["sgd".into(), "adam".into()],
        },
        _ => match type_syntax::parse(text).unwrap() {
            ParameterType::Value { value } => value,
            other => panic!("{other}"),
        },
    }
}

fn record(name: &str, fields: &[(&str, &str)]) -> ValueType {
    let field = |(name, ty): &(&str, &str)| Field {
        name: (*name).into(),
        ty: value_type(ty),
        docs: None,
    };
    ValueType::Record {
        name: name.into(),
        fields: fields.iter().map(field).collect(),
    }
}

fn parameter_type(text: &str) -> ParameterType {
    match text {
        "output" => ParameterType::Output { tree: false },
        "output-tree" => ParameterType::Output { tree: true },
        "option<input>" => ParameterType::Input {
            tree: false,
            arity: Arity::Optional,
        },
        "input" | "input-tree" | "list<input>" => type_syntax::parse(text).unwrap(),
        value => ParameterType::Value {
            value: value_type(value),
        },
    }
}

/// A component with one function.
fn typed(name: &str, parameters: &[(&str, &str)], results: Option<&str>) -> Signature {
    let parameter = |(name, ty): &(&str, &str)| Parameter {
        name: (*name).into(),
        ty: parameter_type(ty),
    };
    Signature::Typed {
        functions: vec![Function {
            name: name.into(),
            docs: None,
            parameters: parameters.iter().map(parameter).collect(),
            returns: Returns {
                results: results.map(value_type),
                failure: FailureType::Failure,
            },
        }],
    }
}

/// The components of the tests.
fn signatures() -> BTreeMap<String, Signature> {
    let train = [
        ("data", "input"),
        ("model", "output"),
        ("epochs", "u32"),
        ("rate", "option<f64>"),
    ];
    let agg = [("month", "string"), ("data", "input"), ("table", "output")];
    let merge = [("parts", "list<input>"), ("whole", "output")];
    let compare = [
        ("old", "option<input>"),
        ("new", "input"),
        ("kind", "optimizer"),
    ];
    let tree = [("pages", "input-tree"), ("site", "output-tree")];
    let config = [
        ("layer", "layer"),
        ("names", "list<string>"),
        ("pair", "tuple<u8, string>"),
        ("letter", "char"),
        ("flag", "bool"),
    ];
    let small = [("number", "u8"), ("ratio", "option<f32>")];
    [
        ("steps/train.wasm#fit", typed("fit", &train, Some("scores"))),
        ("steps/agg.wasm", typed("run", &agg, Some("u32"))),
        ("steps/merge.wasm", typed("run", &merge, None)),
        (
            "steps/compare.wasm",
            typed("run", &compare, Some("verdict")),
        ),
        ("steps/tree.wasm", typed("run", &tree, None)),
        ("steps/config.wasm", typed("run", &config, None)),
        ("steps/small.wasm", typed("run", &small, Some("u8"))),
        ("steps/wordcount.wasm", Signature::Program),
    ]
    .map(|(reference, signature)| (reference.to_owned(), signature))
    .into()
}

/// A checked pipeline.
fn checked(text: &str) -> Checked {
    let pipeline = parse(text).unwrap_or_else(|found| panic!("{:#?}", shown(text, &found)));
    check_pipeline(&pipeline, &signatures())
        .unwrap_or_else(|found| panic!("{:#?}", shown(text, &found)))
}

/// All mistakes of a pipeline: of its form, else of its meaning.
fn mistakes(text: &str) -> Vec<String> {
    let found = match parse(text) {
        Err(found) => found,
        Ok(pipeline) => check_pipeline(&pipeline, &signatures())
            .err()
            .unwrap_or_default(),
    };
    shown(text, &found)
}

/// Asserts the mistakes of a pipeline, each in a line.
#[track_caller]
fn assert_mistakes(text: &str, wanted: &[&str]) {
    let found = mistakes(text);
    assert!(
        found == wanted,
        "for\n{text}\nfound\n{}\nbut wanted\n{}",
        found.join("\n"),
        wanted.join("\n")
    );
}
