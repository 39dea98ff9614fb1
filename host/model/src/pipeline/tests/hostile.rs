//! Whatever the text, there is an answer.

use proptest::prelude::*;

use super::*;
use crate::pipeline::graph::Graph;

/// Reads, checks and draws a text, and looks at every mistake.
fn use_all(text: &str) {
    let found = match parse(text) {
        Err(found) => match crate::pipeline::parse_partly(text) {
            (Some(pipeline), found) => {
                let checked =
                    crate::pipeline::check_partly(&pipeline, &BTreeMap::new(), found.clone());
                let all = checked.expect_err("nothing with mistakes is checked");
                assert!(found.iter().all(|it| all.contains(it)), "{all:?}");
                all
            }
            (None, _) => found,
        },
        Ok(pipeline) => {
            let graph = Graph::of(&pipeline);
            assert!(graph.mermaid().len() + graph.dot().len() + graph.svg().len() > 0);
            match check_pipeline(&pipeline, &signatures()) {
                Err(found) => found,
                Ok(_) => return,
            }
        }
    };
    assert!(!found.is_empty());
    for diagnostic in found {
        assert!(
            text.get(diagnostic.span.clone()).is_some(),
            "{diagnostic:?}"
        );
        for (span, _) in &diagnostic.also {
            assert!(text.get(span.clone()).is_some(), "{diagnostic:?}");
        }
        let (line, column) = diagnostic.line_column(text);
        assert!(line >= 1 && column >= 1);
    }
}

/// Pieces that mean something, to put anywhere.
const PIECES: [&str; 22] = [
    "${{",
    "}}",
    "'",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "\n",
    "\t",
    "steps",
    "item",
    "&a",
    "*a",
    "!!x",
    "|\n",
    "ß",
    "\u{0}",
    "9999999999999999999999",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        use_all(&text);
    }

    #[test]
    fn arbitrary_expressions_never_panic(expression in "[-a-z0-9.'()\\[\\]!=<>&|{}$ ßé]{0,60}") {
        for quote in ["", "'", "\""] {
            use_all(&format!("steps:\n  a:\n    uses: steps/agg.wasm\n    with:\n      month: {quote}x ${{{{ {expression} }}}}{quote}\n"));
            use_all(&format!("steps:\n  a:\n    uses: steps/agg.wasm\n    when: {quote}${{{{ {expression} }}}}{quote}\n"));
        }
    }

    #[test]
    fn mutated_files_never_panic(
        cuts in prop::collection::vec((0.0..1.0_f64, 0..12_usize, 0..PIECES.len()), 1..6)
    ) {
        let mut text = EXAMPLE.to_owned();
        for (place, length, piece) in cuts {
            let boundary = |mut at: usize, text: &str| {
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                at
            };
            let at = boundary((place * text.len() as f64) as usize, &text);
            let end = boundary((at + length).min(text.len()), &text);
            text.replace_range(at..end.max(at), PIECES[piece]);
        }
        use_all(&text);
    }
}
