//! What graphs look like.

use super::*;
use crate::pipeline::graph::{Edge, Graph, Node};

#[test]
fn the_example_as_mermaid() {
    assert_eq!(
        Graph::of(&checked(EXAMPLE)).mermaid(),
        r##"flowchart TD
  s0["prepare<br>steps/agg.wasm"]
  s1["train<br>steps/train.wasm#35;fit<br>publishes cancer-model"]
  s2[["each<br>steps/agg.wasm"]]
  s3["merge<br>steps/merge.wasm"]
  s4["compare<br>steps/compare.wasm"]
  s5{{"promote<br>publishes cancer-model:prod"}}
  s6["words<br>steps/wordcount.wasm"]
  s0 -.-> s1
  s2 -->|"table"| s3
  s1 -->|"model"| s4
  s1 -->|"model, results"| s5
  s4 -->|"results"| s5
"##
    );
}

#[test]
fn the_example_as_dot() {
    assert_eq!(
        Graph::of(&checked(EXAMPLE)).dot(),
        r#"digraph pipeline {
  node [shape=box];
  s0 [label="prepare\nsteps/agg.wasm"];
  s1 [label="train\nsteps/train.wasm#fit\npublishes cancer-model"];
  s2 [label="each\nsteps/agg.wasm", peripheries=2];
  s3 [label="merge\nsteps/merge.wasm"];
  s4 [label="compare\nsteps/compare.wasm"];
  s5 [label="promote\npublishes cancer-model:prod", shape=hexagon];
  s6 [label="words\nsteps/wordcount.wasm"];
  s0 -> s1 [style=dashed];
  s2 -> s3 [label="table"];
  s1 -> s4 [label="model"];
  s1 -> s5 [label="model, results"];
  s4 -> s5 [label="results"];
}
"#
    );
}

#[test]
fn labels_are_escaped() {
    let graph = Graph {
        nodes: vec![Node {
            name: "a\"]; evil".into(),
            details: vec!["<script>\\\"&#quot;\n\u{202e}".into()],
            each: false,
            conditional: false,
        }],
        edges: vec![Edge {
            from: 0,
            to: 0,
            uses: vec!["x\"| s1".into()],
        }],
    };
    assert_eq!(
        graph.mermaid(),
        "flowchart TD\n  s0[\"a#34;#93;#59; evil<br>#60;script#62;#92;#34;#38;#35;quot#59;#65533;#65533;\"]\n  s0 -->|\"x#34;#124; s1\"| s0\n"
    );
    assert_eq!(
        graph.dot(),
        "digraph pipeline {\n  node [shape=box];\n  s0 [label=\"a\\\"]; evil\\n<script>\\\\\\\"&#quot;\u{fffd}\u{fffd}\"];\n  s0 -> s0 [label=\"x\\\"| s1\"];\n}\n"
    );
}
