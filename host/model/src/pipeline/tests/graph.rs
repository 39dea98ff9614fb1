//! What graphs look like.

use super::*;
use crate::pipeline::graph::svg::{Mark, STYLE};
use crate::pipeline::graph::{Edge, EdgeKind, Graph, Node};
use crate::pipeline_run::StepStatus;

fn graph(text: &str) -> Graph {
    Graph::of(&parse(text).unwrap())
}

#[test]
fn the_example_as_mermaid() {
    assert_eq!(
        graph(EXAMPLE).mermaid(),
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
        graph(EXAMPLE).dot(),
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

/// A graph whose texts want to be something else.
fn hostile() -> Graph {
    Graph {
        nodes: vec![Node {
            name: "a\"]; evil".into(),
            uses: Some("<script>\\\"&#quot;\n\u{202e}".into()),
            publishes: vec!["'><img onerror=alert(1)>\u{1b}[31m\u{ffff}".into()],
            each: false,
            conditional: false,
        }],
        edges: vec![Edge {
            from: 0,
            to: 0,
            uses: vec!["x\"| s1".into()],
            kind: EdgeKind::Data,
        }],
    }
}

#[test]
fn labels_are_escaped() {
    let graph = Graph {
        nodes: vec![Node {
            publishes: vec![],
            ..hostile().nodes[0].clone()
        }],
        ..hostile()
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

#[test]
fn the_example_as_svg() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/pipeline/tests/example.svg"
    );
    let drawn = graph(EXAMPLE).svg();
    if std::env::var_os("WHARF_BLESS").is_some() {
        std::fs::write(path, &drawn).unwrap();
    }
    let wanted = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        drawn == wanted,
        "example.svg is not what is drawn: run the tests with WHARF_BLESS=1, and look at it"
    );
}

#[test]
fn a_picture_is_inert() {
    let mark = Mark {
        status: Some(StepStatus::Failed),
        note: "]]></style><script>alert(1)</script>".into(),
        link: Some("#\" onclick=\"alert(1)".into()),
    };
    for drawn in [hostile().svg(), hostile().svg_of_run(&[mark])] {
        let drawn = drawn.replace(STYLE, "");
        for sign in [
            "<script",
            "<img",
            "onclick=\"",
            "\u{202e}",
            "\u{1b}",
            "\u{ffff}",
        ] {
            assert!(!drawn.contains(sign), "{sign:?} in {drawn}");
        }
        assert!(!drawn.contains("http://") || drawn.matches("http://").count() == 1);
    }
}

#[test]
fn a_picture_of_a_run_shows_how_steps_ended() {
    let graph = graph(EXAMPLE);
    let statuses = StepStatus::ALL.map(Some).into_iter().chain([None]);
    let marks: Vec<Mark> = statuses
        .map(|status| Mark {
            status,
            note: format!("so {status:?}"),
            link: Some("#there".into()),
        })
        .collect();
    let drawn = graph.svg_of_run(&marks);
    assert!(!drawn.contains("<style>"), "the page has it");
    for class in [
        "succeeded",
        "cached",
        "skipped",
        "failed",
        "cancelled",
        "not-run",
        "open",
    ] {
        assert!(drawn.contains(&format!("wg-step wg-{class}")), "{class}");
        assert!(drawn.contains(&format!("wg-sign wg-{class}")), "{class}");
    }
    assert_eq!(drawn.matches("<a href=\"#there\">").count(), 7);
}

#[test]
fn edges_say_what_they_are_for() {
    let kinds = |to: &str| {
        let graph = graph(EXAMPLE);
        let to = graph.nodes.iter().position(|node| node.name == to).unwrap();
        let edges = graph.edges.iter().filter(|edge| edge.to == to);
        edges.map(|edge| edge.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds("train"), [EdgeKind::Order]);
    assert_eq!(kinds("compare"), [EdgeKind::Data]);
    // The model of one, and whether the other says so.
    assert_eq!(kinds("promote"), [EdgeKind::Data, EdgeKind::Condition]);
}

/// Records of a store may be anything: a graph is drawn, or not, but always ends.
#[test]
fn circles_and_unknown_names_are_drawn_somehow() {
    let text = "steps:\n  a: {uses: a.wasm, needs: [b, c]}\n  b: {uses: b.wasm, needs: [a]}\n";
    let drawn = graph(text).svg();
    assert!(drawn.contains(">a</text>") && drawn.contains(">b</text>"));
}
