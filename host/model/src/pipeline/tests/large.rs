//! Large pipelines: work that grows with the square of their size would take these
//! tests from seconds to minutes.

use super::*;
use crate::pipeline::MAX_FILE_BYTES;

/// Most steps of a chain in 1 MiB.
const STEPS: usize = 10_000;

#[test]
fn a_chain_of_ten_thousand_steps() {
    let step = |at: usize| {
        let before = at.saturating_sub(1);
        match at {
            0 => "  s0: {uses: steps/small.wasm, with: {number: 1}}\n".to_owned(),
            _ => format!(
                "  s{at}: {{uses: steps/small.wasm, with: {{number: \"${{{{steps.s{before}.results}}}}\"}}}}\n"
            ),
        }
    };
    // Backwards, so that the order of the file is no help.
    let steps: String = (0..STEPS).rev().map(step).collect();
    let text = format!("steps:\n{steps}");
    let pipeline = checked(&text);
    assert_eq!(pipeline.steps.len(), STEPS);
    assert_eq!(pipeline.steps[9_999].name, "s9999");
    assert_eq!(pipeline.steps[9_999].depends_on, [9_998]);
    let graph = crate::pipeline::graph::Graph::of(&parse(&text).unwrap());
    assert!(graph.dot().contains("s9999"));
    assert!(graph.svg().contains(">s9999<"));
}

#[test]
fn a_circle_of_ten_thousand_steps() {
    let step = |at: usize| {
        let next = (at + 1) % STEPS;
        format!("  s{at}: {{uses: steps/wordcount.wasm, needs: [s{next}]}}\n")
    };
    let text = format!("steps:\n{}", (0..STEPS).map(step).collect::<String>());
    assert_eq!(mistakes(&text).len(), 1);
}

#[test]
fn ten_thousand_unknown_names() {
    let step = |at: usize| format!("  s{at}: {{uses: steps/wordcount.wasm, needs: [t{at}]}}\n");
    let text = format!("steps:\n{}", (0..STEPS).map(step).collect::<String>());
    let found = mistakes(&text);
    assert_eq!(found.len(), crate::pipeline::MAX_DIAGNOSTICS + 1);
    assert!(
        found
            .last()
            .unwrap()
            .ends_with("there are 9000 more mistakes")
    );
}

#[test]
fn a_list_of_many_items_that_is_used_in_many_places() {
    let items = "1,".repeat(9_999) + "1";
    let with: String = (0..9_000)
        .map(|at| format!("      a{at}: \"n${{{{ item }}}}\"\n"))
        .collect();
    let text = format!(
        "steps:\n  a:\n    uses: steps/wordcount.wasm\n    foreach: [{items}]\n    with:\n{with}"
    );
    checked(&text);
}

#[test]
fn lists_in_the_file_are_bounded() {
    let items = "1,".repeat(10_001);
    let text = format!("steps:\n  a:\n    uses: steps/wordcount.wasm\n    foreach: [{items}]\n");
    assert_mistakes(
        &text,
        &[
            "4:14: `foreach` has 10001 items, more than 10000 (make a parameter of it, or let a step return it)",
        ],
    );
}

#[test]
fn the_largest_files_are_read() {
    let fill = |head: &str, piece: &str, tail: &str| {
        let room = MAX_FILE_BYTES - head.len() - tail.len();
        format!("{head}{}{tail}", piece.repeat(room / piece.len()))
    };
    let with = "steps:\n  a:\n    uses: steps/wordcount.wasm\n    with:\n      a: ";
    for text in [
        fill("steps: {", "a,", "}"),
        fill("steps: [", "[],", "]"),
        fill("steps: ", "[", ""),
        fill("steps:\n", "- ", ""),
        fill("steps:\n", "  a: 1\n", ""),
        fill("steps:\n", "  a: &a *a\n", ""),
        fill("steps: \"", "\\u00e4", "\"\n"),
        fill(with, "${{ item }}", "\n"),
        fill(with, "${{ '", "\n"),
        fill(with, "$${{ ' ", "\n"),
        fill(&format!("{with}\""), "\\u0024{{ item }} ", "\"\n"),
        fill(&format!("{with}${{{{ "), "true && ", "true }}\n"),
        fill(&format!("{with}["), "\"${{ item }}\",", "]\n"),
        fill(&format!("{with}\n"), "        ${{ item }}\n", ""),
        fill("", "#", ""),
        fill("", "\t", ""),
        fill("", "\u{202e}", ""),
    ] {
        mistakes(&text).len();
    }
}

/// As many uses of `item` as fit into a file, for as many items as there may be.
#[test]
fn many_items_are_looked_at_once_for_each_question() {
    let items = vec!["a"; 9_999].join(",");
    let each = |uses: &str, given: String| {
        let text = format!("steps:\n  a: {{uses: {uses}, foreach: [{items}], {given}}}\n");
        assert!(text.len() <= MAX_FILE_BYTES && text.len() > MAX_FILE_BYTES / 2);
        checked(&text);
    };
    let inputs = vec!["\"${{item}}\""; 70_000].join(",");
    each("steps/merge.wasm", format!("with: {{parts: [{inputs}]}}"));
    let text = "${{item}}".repeat(70_000);
    each("steps/wordcount.wasm", format!("with: {{t: \"{text} \"}}"));
}
