//! What is wrong with a file whatever its components are.

use super::*;

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    assert_mistakes(
        "nmae: x\nsteps:\n  a:\n    use: a.wasm\n    publish: {}\n    retires: 3\n",
        &[
            "1:1: a pipeline has no `nmae` (did you mean `name`?)",
            "4:5: step `a` has no `use` (did you mean `uses`?)",
            "6:5: step `a` has no `retires` (did you mean `retries`?)",
        ],
    );
    assert_mistakes(
        "zzz: 1\nsteps: { a: { uses: a.wasm } }\n",
        &[
            "1:1: a pipeline has no `zzz` (known are `name`, `description`, `parameters`, `partition`, `steps`)",
        ],
    );
}

#[test]
fn a_pipeline_has_steps() {
    assert_mistakes("name: x\n", &["1:1: a pipeline needs `steps`"]);
    assert_mistakes("steps: {}\n", &["1:8: the pipeline has no steps"]);
    assert_mistakes("steps:\n", &["1:6: `steps` is empty; it must be a map"]);
    assert_mistakes("- a\n", &["1:1: a pipeline must be a map, not a list"]);
}

#[test]
fn names_are_checked() {
    let hint =
        "(names have a-z, 0-9 and `-`, begin with a letter, and are at most 64 characters long)";
    let long = "a".repeat(65);
    let text = format!(
        "name: My Name\nparameters:\n  1st: u32\nsteps:\n  Train: {{ uses: a.wasm }}\n  {long}: {{ uses: a.wasm }}\n"
    );
    let shortened = "a".repeat(64);
    assert_mistakes(
        &text,
        &[
            "1:7: `name`: a name is 1 to 128 characters of a-z, 0-9, `.`, `_` and `-`, begins with a letter or digit, and has no `..`",
            &format!("3:3: `1st` cannot name a parameter {hint}"),
            &format!("5:3: `Train` cannot name a step {hint}"),
            &format!("6:3: `{shortened}…` cannot name a step {hint}"),
        ],
    );
}

#[test]
fn parameters_have_types() {
    assert_mistakes(
        "parameters:\n  a: { default: 1 }\n  b: strng\n  c: { type: u32, default: \"${{ item }}\" }\n  d: [x]\n  e: 5\nsteps: { s: { uses: a.wasm } }\n",
        &[
            "2:3: parameter `a` needs a `type` (write `type: string`, for example)",
            "3:6: `strng` is not a type (did you mean `string`?)",
            "4:28: a default cannot have expressions",
            "5:6: parameter `d` must be a map, not a list",
            "6:6: parameter `e` must be a map, not a number",
        ],
    );
}

#[test]
fn partitions_are_by_time_or_values() {
    let steps = "steps: { s: { uses: a.wasm } }\n";
    for (partition, wanted) in [
        (
            "{}",
            "1:12: `partition` needs one of `every` and `values` (write `{ every: month }`, for example)",
        ),
        (
            "{ every: week }",
            "1:21: there are no partitions for every `week` (write `month` or `day`)",
        ),
        (
            "{ evry: day }",
            "1:14: `partition` has no `evry` (did you mean `every`?)",
        ),
        ("{ values: [] }", "1:22: `values` has no partition"),
        (
            "{ values: [a, a] }",
            "1:26: the partition `a` is given twice (remove one of them)",
        ),
        (
            "{ values: [../up] }",
            "1:23: `../up` cannot name a partition (names are 1 to 128 characters of letters, digits, `.`, `_` and `-`, beginning with a letter or digit, without `..`)",
        ),
    ] {
        assert_mistakes(&format!("partition: {partition}\n{steps}"), &[wanted]);
    }
    let values = parse(&format!("partition: {{ values: [2013, EWR] }}\n{steps}")).unwrap();
    let wanted = super::super::Partition::Values(vec!["2013".into(), "EWR".into()]);
    assert_eq!(values.partition, Some(wanted));
}

#[test]
fn a_step_does_something() {
    assert_mistakes(
        "steps:\n  a: {}\n  b: { needs: [a] }\n  c:\n    publish: { x: \"${{ artifact('y') }}\" }\n    seed: 1\n    with: { a: 1 }\n",
        &[
            "2:3: step `a` does nothing (add `uses` or `publish`)",
            "3:3: step `b` does nothing (add `uses` or `publish`)",
            "6:5: step `c` only publishes; it cannot have `seed` (remove it, or add `uses`)",
            "7:5: step `c` only publishes; it cannot have `with` (remove it, or add `uses`)",
        ],
    );
}

/// The mistakes of a step with a few lines of its own.
fn of_step(lines: &str) -> Vec<String> {
    mistakes(&format!("steps:\n  a:\n    uses: a.wasm\n    {lines}\n"))
}

#[test]
fn the_parts_of_a_step_have_their_forms() {
    for (line, wanted) in [
        (
            "needs: b",
            "4:12: `needs` must be a list, not a text (a list is written [a, b], or as lines that begin with `- `)",
        ),
        (
            "needs: [[b]]",
            "4:13: the name of a step must be a text, not a list",
        ),
        (
            "retries: many",
            "4:14: the number of retries must be a whole number from 0 to 100",
        ),
        (
            "retries: 101",
            "4:14: the number of retries must be a whole number from 0 to 100",
        ),
        ("retries: {}", "4:14: `retries` needs a `count`"),
        (
            "retries: { count: 1, backof: 1s }",
            "4:26: `retries` has no `backof` (did you mean `backoff`?)",
        ),
        (
            "timeout: soon",
            "4:14: `timeout`: not a length of time: write a number and a unit (h, m, s, ms), such as 90s, 5m or 1h 30m",
        ),
        ("timeout: 0", "4:14: `timeout` cannot be nothing"),
        (
            "timeout: 1.5",
            "4:14: `timeout` must be a whole number from 0 to 31536000",
        ),
        ("timeout:", "4:12: `timeout` is empty; it must be a text"),
        ("timeout: 0s", "4:14: `timeout` cannot be nothing"),
        (
            "limits: { memory: 0MiB }",
            "4:23: `memory` cannot be nothing",
        ),
        (
            "retries: { count: 1, backoff: 5s, max-backoff: 2s }",
            "4:14: `max-backoff` is shorter than `backoff`",
        ),
        (
            "limits: { memory: much }",
            "4:23: `memory`: not a size: write a number and a unit, such as 512MiB or 4GB",
        ),
        (
            "limits: { handles: 0 }",
            "4:24: `handles` must be a whole number from 1 to 4294967295",
        ),
        (
            "limits: { memroy: 1 }",
            "4:15: `limits` has no `memroy` (did you mean `memory`?)",
        ),
        (
            "grants: [entrpy]",
            "4:14: `entrpy` is not a grant; did you mean `entropy`?",
        ),
        (
            "grants: [clock, clock]",
            "4:21: the grant `clock` is given twice (remove one of them)",
        ),
        (
            "seed: -1",
            "4:11: `seed` must be a whole number from 0 to 18446744073709551615",
        ),
        ("with: [a]", "4:11: `with` must be a map, not a list"),
        (
            "outputs: [A]",
            "4:15: `A` cannot name an output: a name is 1 to 128 characters of a-z, 0-9, `.`, `_` and `-`, begins with a letter or digit, and has no `..`",
        ),
        (
            "outputs: [a, a/]",
            "4:18: the output `a` is given twice (remove one of them)",
        ),
        (
            "arguments: [{ a: 1 }]",
            "4:17: an argument must be a text, not a map",
        ),
        (
            "when: yes",
            "4:11: `when` must be one expression, not a text (write `when: ${{ ... }}`, with the whole condition inside)",
        ),
        (
            "when: a ${{ true }}",
            "4:11: `when` must be one expression, not a text (write `when: ${{ ... }}`, with the whole condition inside)",
        ),
        (
            "foreach: 3",
            "4:14: `foreach` must be a list or an expression, not a number (write `foreach: [a, b]` or `foreach: ${{ ... }}`)",
        ),
        (
            "publish: { X: \"${{ outputs.a }}\" }",
            "4:16: `X` is no name to publish under (write NAME or NAME:TAG; a name is 1 to 128 characters of a-z, 0-9, `.`, `_` and `-`, begins with a letter or digit, and has no `..`)",
        ),
        (
            "publish: { x: outputs.a }",
            "4:19: what is published is an expression, not a text (write \"${{ outputs.NAME }}\" or \"${{ steps.STEP.outputs.NAME }}\")",
        ),
    ] {
        assert_eq!(of_step(line).join("\n"), wanted, "{line}");
    }
}

#[test]
fn components_are_files() {
    for (uses, wanted) in [
        (
            "oci://registry/steps@sha256:00",
            "1:21: components cannot be taken from `oci://` yet (write the path of a file, relative to this one)",
        ),
        (
            "'#fit'",
            "1:21: `uses`: not a step: write the path of a component, as in `step.wasm` or `step.wasm#function`",
        ),
        ("\"${{ item }}\"", "1:21: `uses` cannot have expressions"),
        (
            "12",
            "1:21: `uses` must be a text, not a number (put it in quotes)",
        ),
    ] {
        assert_mistakes(&format!("steps: {{ a: {{ uses: {uses} }} }}\n"), &[wanted]);
    }
}

#[test]
fn expressions_have_a_grammar() {
    let long = format!("a{}", "a".repeat(5000));
    let deep = format!("{}true", "!".repeat(40));
    let nested = format!("{}true{}", "(".repeat(40), ")".repeat(40));
    let mut wrong = Vec::new();
    for (expression, wanted) in [
        ("", "4:14: the expression is empty"),
        (
            "foo.b",
            "4:15: `foo` is not known in an expression (known are `parameters`, `steps`, `item`, `partition`, `outputs`, `artifact`)",
        ),
        (
            "stps.a.results",
            "4:15: `stps` is not known in an expression (did you mean `steps`?)",
        ),
        ("steps.a", "4:22: `.` and `results` or `outputs` is missing"),
        (
            "steps.a.result",
            "4:23: a step has no `result` (did you mean `results`?)",
        ),
        (
            "steps.a.outputs",
            "4:30: `.` and the name of an output is missing",
        ),
        (
            "parameters",
            "4:25: `.` and the name of a parameter is missing",
        ),
        (
            "partition.yaer",
            "4:25: a partition has no `yaer` (did you mean `year`?)",
        ),
        ("artifact(x)", "4:24: `x` does not belong here"),
        (
            "artifact('X')",
            "4:24: `X` does not name a stored artifact (`X` cannot name an artifact or a tag: a name is 1 to 128 characters of a-z, 0-9, `.`, `_` and `-`, begins with a letter or digit, and has no `..`)",
        ),
        (
            "1 + 2",
            "4:17: `+` has no meaning in an expression (there is no arithmetic: logic belongs in steps)",
        ),
        (
            "1 = 2",
            "4:17: `=` has no meaning in an expression (equality is written `==`)",
        ),
        (
            "true & true",
            "4:20: `&` has no meaning in an expression (write `&&`)",
        ),
        (
            "true and true",
            "4:20: `and` does not belong here (write `&&`)",
        ),
        (
            "not true",
            "4:15: `not` is not known in an expression (write `!`)",
        ),
        (
            "1 < 2 < 3",
            "4:21: comparisons cannot follow each other (write `a < b && b < c`)",
        ),
        ("(true", "4:20: `)` is missing"),
        ("item[x]", "4:20: `x` does not belong here"),
        ("item[-1]", "4:20: `-1` does not belong here"),
        ("item.", "4:20: the name of a field is missing"),
        (
            "'a",
            "4:11: the expression does not end (end it with `}}`; write `$${{` for the text `${{`)",
        ),
        ("'a}} ' b", "4:22: `b` does not belong here"),
        (
            "\"a\"",
            "4:15: `\"` has no meaning in an expression (texts are written in single quotes: 'text')",
        ),
        (
            &long,
            "4:14: the expression is longer than 4096 bytes (let a step decide)",
        ),
        (
            &deep,
            "4:48: the expression is nested deeper than 32 (let a step decide)",
        ),
        (
            &nested,
            "4:47: the expression is nested deeper than 32 (let a step decide)",
        ),
    ] {
        let found = of_step(&format!("when: ${{{{ {expression} }}}}")).join("\n");
        if found != wanted {
            wrong.push((expression.to_owned(), found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn places_inside_texts_are_exact() {
    assert_mistakes(
        "steps:\n  a:\n    uses: a.wasm\n    with:\n      a: >-\n        first\n        ${{ stps }}\n      b: 'it''s ${{ stps }}'\n      c: \"\\u00e4 ${{ stps }}\"\n",
        &[
            "7:13: `stps` is not known in an expression (did you mean `steps`?)",
            "8:21: `stps` is not known in an expression (did you mean `steps`?)",
            "9:22: `stps` is not known in an expression (did you mean `steps`?)",
        ],
    );
}

#[test]
fn several_mistakes_are_told_at_once() {
    assert_mistakes(
        "name: Cancer\nparamters: {}\npartition: { every: year }\nsteps:\n  train:\n    uses: oci://x/y\n    retries: lots\n    when: ${{ 1 + }}\n    with: { a: 1, a: 2 }\n  Evaluate:\n    uses: e.wasm\n    needs: train\n",
        &[
            "1:7: `name`: a name is 1 to 128 characters of a-z, 0-9, `.`, `_` and `-`, begins with a letter or digit, and has no `..`",
            "2:1: a pipeline has no `paramters` (did you mean `parameters`?)",
            "3:21: there are no partitions for every `year` (write `month` or `day`)",
            "6:11: components cannot be taken from `oci://` yet (write the path of a file, relative to this one)",
            "7:14: the number of retries must be a whole number from 0 to 100",
            "8:17: `+` has no meaning in an expression (there is no arithmetic: logic belongs in steps)",
            "9:19: `a` is given twice (remove one of them)",
            "10:3: `Evaluate` cannot name a step (names have a-z, 0-9 and `-`, begin with a letter, and are at most 64 characters long)",
            "12:12: `needs` must be a list, not a text (a list is written [a, b], or as lines that begin with `- `)",
        ],
    );
}

#[test]
fn there_are_not_too_many_steps_and_parameters() {
    let parameters: String = (0..=1000).map(|at| format!("  p{at}: u8\n")).collect();
    assert_mistakes(
        &format!("parameters:\n{parameters}steps: {{ a: {{ uses: a.wasm }} }}\n"),
        &["2:3: there are 1001 parameters, more than 1000 (make several pipelines of it)"],
    );
    let steps: Vec<_> = (0..=100_000).map(|at| format!("{at:x}")).collect();
    assert_mistakes(
        &format!("steps: {{{}}}\n", steps.join(",")),
        &["1:8: there are 100001 steps, more than 100000 (make several pipelines of it)"],
    );
}

#[test]
fn components_are_listed_once() {
    let pipeline = parse(EXAMPLE).unwrap();
    let references: Vec<_> = pipeline.references().map(ToString::to_string).collect();
    assert_eq!(
        references,
        [
            "steps/agg.wasm",
            "steps/train.wasm#fit",
            "steps/merge.wasm",
            "steps/compare.wasm",
            "steps/wordcount.wasm"
        ]
    );
    let (_, span) = pipeline.uses().nth(1).unwrap();
    assert_eq!(&EXAMPLE[span], "steps/train.wasm#fit");
    assert_eq!(pipeline.name().map(|name| name.as_str()), Some("cancer"));
}
