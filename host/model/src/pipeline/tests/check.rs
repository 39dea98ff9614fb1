//! What is wrong with a pipeline for its components.

use super::*;
use crate::pipeline::ParameterDefault;
use serde_json::json;

/// A pipeline of steps that are there, and one with a few lines of its own.
fn with_step(lines: &[&str]) -> String {
    let mut text = "\
parameters: { n: u32, x: f64, s: string, ns: list<u32>, o: option<f64>, in: input, all: list<input>, dir: input-tree }
partition: { every: month }
steps:
  train: { uses: steps/train.wasm#fit, with: { data: a.csv, epochs: 1 } }
  compare: { uses: steps/compare.wasm, with: { new: a.csv, kind: sgd } }
  each: { uses: steps/agg.wasm, foreach: [a, b], with: { month: x, data: a.csv } }
  words: { uses: steps/wordcount.wasm, outputs: [counts, pages/] }
  only: { publish: { x: \"${{ steps.train.outputs.model }}\" } }
  t:
"
    .to_owned();
    for line in lines {
        text += &format!("    {line}\n");
    }
    text
}

#[track_caller]
fn assert_step(cases: &[(&[&str], &str)]) {
    let mut wrong = Vec::new();
    for (lines, wanted) in cases {
        let found = mistakes(&with_step(lines)).join("\n");
        if found != *wanted {
            wrong.push(format!("{lines:?}\n  found  {found}\n  wanted {wanted}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_example_is_checked() {
    let pipeline = checked(EXAMPLE);
    let names: Vec<_> = pipeline.steps.iter().map(|step| &*step.name).collect();
    assert_eq!(
        names,
        [
            "prepare", "train", "each", "merge", "compare", "promote", "words"
        ]
    );
    let depends: Vec<_> = pipeline
        .steps
        .iter()
        .map(|step| &step.depends_on[..])
        .collect();
    assert_eq!(depends, [&[][..], &[0], &[], &[2], &[1], &[1, 4], &[]]);
    let defaults: Vec<_> = pipeline
        .parameters
        .iter()
        .map(|it| it.default.clone())
        .collect();
    let json = |json| Some(ParameterDefault::Json(json));
    assert_eq!(defaults, [json(json!(200)), json(json!(["2013-01"])), None]);
    let train = &pipeline.steps[1];
    assert_eq!(train.retries.count, 3);
    assert_eq!(train.timeout.unwrap().to_string(), "10 min");
    assert_eq!(train.limits.memory.unwrap().to_string(), "2 GiB");
    assert_eq!(train.seed, Some(7));
    assert_eq!(train.grants.len(), 3);
    assert_eq!(train.outputs[0].name, "model");
    assert_eq!(
        train.publishes().next().unwrap().to_string(),
        "cancer-model"
    );
    assert!(pipeline.steps[2].is_each() && pipeline.steps[5].is_conditional());
    assert!(pipeline.steps[6].is_program() && !pipeline.steps[5].is_program());
}

#[test]
fn names_are_looked_up() {
    assert_step(&[
        (
            &[
                "uses: steps/small.wasm",
                "with: { number: \"${{ parameters.m }}\" }",
            ],
            "11:37: there is no parameter `m` (known are `n`, `x`, `s`, `ns`, `o`, `in`, `all`, `dir`)",
        ),
        (
            &[
                "uses: steps/merge.wasm",
                "with: { parts: \"${{ steps.trian.outputs.model }}\" }",
            ],
            "11:31: there is no step `trian` (did you mean `train`?)",
        ),
        (
            &[
                "uses: steps/merge.wasm",
                "with: { parts: \"${{ steps.train.outputs.modle }}\" }",
            ],
            "11:45: step `train` has no output `modle` (did you mean `model`?)",
        ),
        (
            &[
                "uses: steps/merge.wasm",
                "with: { parts: \"${{ steps.words.outputs.count }}\" }",
            ],
            "11:45: step `words` has no output `count` (did you mean `counts`?)",
        ),
        (
            &[
                "uses: steps/merge.wasm",
                "with: { parts: \"${{ steps.only.outputs.x }}\" }",
            ],
            "11:44: step `only` only publishes; it has no outputs",
        ),
        (
            &[
                "uses: steps/small.wasm",
                "with: { number: \"${{ steps.only.results }}\" }",
            ],
            "11:32: step `only` only publishes; it has no results",
        ),
        (
            &[
                "uses: steps/small.wasm",
                "with: { number: \"${{ steps.words.results }}\" }",
            ],
            "11:32: step `words` is a program; it has no results (let it write an output)",
        ),
        (
            &[
                "uses: steps/small.wasm",
                "with: { number: 1 }",
                "needs: [trian]",
            ],
            "12:13: there is no step `trian` (did you mean `train`?)",
        ),
        (
            &["uses: steps/small.wasm", "with: { number: 1, ratoi: 2 }"],
            "11:24: `run` has no parameter `ratoi` (did you mean `ratio`?)",
        ),
        (
            &[
                "uses: steps/small.wasm",
                "with: { number: 1 }",
                "when: \"${{ steps.train.results.acuracy > 0.5 }}\"",
            ],
            "12:36: `scores` has no field `acuracy` (did you mean `accuracy`?)",
        ),
        (
            &["uses: steps/unknown.wasm"],
            "10:11: `steps/unknown.wasm` is not known",
        ),
        (
            &[
                "uses: steps/unknown.wasm",
                "with: { a: \"${{ steps.trian.results.a.b }}\", b: \"${{ true && parameters.q }}\" }",
            ],
            "10:11: `steps/unknown.wasm` is not known\n11:27: there is no step `trian` (did you mean `train`?)\n11:77: there is no parameter `q` (known are `n`, `x`, `s`, `ns`, `o`, `in`, `all`, `dir`)",
        ),
    ]);
    let text = "steps: { a: { uses: steps/agg.wasm, with: { month: \"${{ parameters.m }}\", data: a } } }\n";
    assert_mistakes(
        text,
        &["1:68: there is no parameter `m` (the pipeline has no `parameters`)"],
    );
}

#[test]
fn functions_are_found_in_components() {
    let mut signatures = signatures();
    let agg = signatures["steps/agg.wasm"].clone();
    signatures.insert("steps/agg.wasm#fit".into(), agg);
    signatures.insert("steps/wordcount.wasm#fit".into(), Signature::Program);
    let text =
        "steps:\n  a: { uses: steps/agg.wasm#fit }\n  b: { uses: steps/wordcount.wasm#fit }\n";
    let found = check_pipeline(&parse(text).unwrap(), &signatures).unwrap_err();
    assert_eq!(
        shown(text, &found),
        [
            "2:14: `steps/agg.wasm`: the component has no function `fit`; it has `run`",
            "3:14: `steps/wordcount.wasm`: the component is a program (it exports wasi:cli/run); remove `#fit`"
        ]
    );
}

#[test]
fn every_parameter_is_bound_and_no_output() {
    assert_step(&[
        (
            &["uses: steps/agg.wasm"],
            "9:3: step `t` needs parameter `month` (string) (add `month: ...` to its `with`)\n9:3: step `t` needs parameter `data` (input) (add `data: ...` to its `with`)",
        ),
        (
            &["uses: steps/agg.wasm", "with: { month: x }"],
            "11:5: step `t` needs parameter `data` (input) (add `data: ...` to its `with`)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: a, table: t.csv }",
            ],
            "11:32: `table` is an output; outputs are not bound (remove it: outputs are kept in the store, and other steps use `steps.t.outputs.table`)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: a }",
                "inputs: { a: b }",
                "outputs: [c]",
                "arguments: [-v]",
            ],
            "12:5: `inputs` is for programs; `run` is a function with types (bind them in `with`)\n13:5: `outputs` is for programs; `run` is a function with types (the signature says what it writes; remove this)\n14:5: `arguments` is for programs; `run` is a function with types (bind its parameters in `with`)",
        ),
        (&["uses: steps/small.wasm", "with: { number: 1 }"], ""),
        (
            &[
                "uses: steps/compare.wasm",
                "with: { new: a, kind: sgd, old: null }",
            ],
            "",
        ),
    ]);
}

#[test]
fn values_fit_their_types() {
    assert_step(&[
        (
            &["uses: steps/small.wasm", "with: { number: 256 }"],
            "11:21: parameter `number`: wanted u8 (0 to 255), got `256`",
        ),
        (
            &["uses: steps/small.wasm", "with: { number: \"5\" }"],
            "11:21: parameter `number`: wanted u8 (0 to 255), got `\"5\"` (remove the quotes)",
        ),
        (
            &["uses: steps/small.wasm", "with: { number: parameters.n }"],
            "11:21: parameter `number`: wanted u8 (0 to 255), got `\"parameters.n\"` (an expression is written \"${{ ... }}\")",
        ),
        (
            &[
                "uses: steps/small.wasm",
                "with: { number: \"${{ parameters.n }}\" }",
            ],
            "11:21: parameter `number`: wanted u8, got u32",
        ),
        (
            &["uses: steps/small.wasm", "with: { number: \"${{ 300 }}\" }"],
            "11:21: parameter `number`: wanted u8 (0 to 255), got `300`",
        ),
        (
            &[
                "uses: steps/small.wasm",
                "with: { number: \"${{ parameters.o }}\" }",
            ],
            "11:21: parameter `number`: wanted u8, got option<f64>",
        ),
        (
            &["uses: steps/small.wasm", "with: { number: \"n${{ 3 }}\" }"],
            "11:21: parameter `number`: wanted u8, got a text with expressions in it (write the expression alone, without anything around it)",
        ),
        (
            &["uses: steps/small.wasm", "with: { number: [\"${{ 3 }}\"] }"],
            "11:21: parameter `number`: wanted u8, got a list",
        ),
        (
            &[
                "uses: steps/small.wasm",
                "with: { number: { a: \"${{ 3 }}\" } }",
            ],
            "11:21: parameter `number`: wanted u8, got a map with expressions in it (only lists, tuples and records can have expressions in them)",
        ),
        (
            &[
                "uses: steps/small.wasm",
                "with: { number: \"${{ steps.train.outputs.model }}\" }",
            ],
            "11:21: parameter `number`: wanted u8, got an artifact (a file) (only a parameter of type `input` or `input-tree` takes one)",
        ),
        (
            &[
                "uses: steps/small.wasm",
                "with: { number: \"${{ item }}\" }",
                "foreach: [1, 2, 300]",
            ],
            "11:21: parameter `number`: wanted u8 (0 to 255), got `300`",
        ),
        (
            &[
                "uses: steps/small.wasm",
                "with: { number: \"${{ item }}\" }",
                "foreach: \"${{ parameters.ns }}\"",
            ],
            "11:21: parameter `number`: wanted u8, got u32",
        ),
        (
            &["uses: steps/agg.wasm", "with: { month: 1.10, data: a }"],
            "11:20: parameter `month`: wanted string, got `1.1` (put it in quotes to make it a text)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: \"${{ partition }}-${{ parameters.ns }}\", data: a }",
            ],
            "11:42: list<u32> cannot be a part of a text (only booleans, numbers, texts and cases of enumerations can)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: \"${{ partition.year }}-${{ parameters.n }}\", data: a }",
            ],
            "",
        ),
        (
            &[
                "uses: steps/small.wasm",
                "with: { number: \"${{ item }}\", ratio: 0.5 }",
                "foreach: [1, 2]",
            ],
            "",
        ),
    ]);
}

#[test]
fn records_lists_and_tuples_can_have_expressions() {
    let config = |layer: &str, pair: &str| {
        let with = format!(
            "with: {{ layer: {layer}, names: [\"${{{{ parameters.s }}}}\", x], pair: {pair}, letter: 'ß', flag: \"${{{{ parameters.n > 3 }}}}\" }}"
        );
        mistakes(&with_step(&["uses: steps/config.wasm", &with])).join("\n")
    };
    assert_eq!(
        config(
            "{ units: \"${{ parameters.n }}\" }",
            "[1, \"${{ parameters.s }}\"]"
        ),
        ""
    );
    assert_eq!(
        config("{ unit: \"${{ parameters.n }}\" }", "[\"${{ 1 }}\"]"),
        "11:20: parameter `layer`: the field `units` (u32) is missing\n\
         11:22: parameter `layer`: layer has no field `unit` (did you mean `units`?)\n\
         11:94: parameter `pair`: wanted tuple<u8, string>, got a list"
    );
    assert_eq!(
        config("{ units: \"${{ parameters.x }}\" }", "[1, 2]"),
        "11:29: parameter `layer`: wanted u32, got f64\n\
         11:95: parameter `pair`: at `[1]`: wanted string, got `2`"
    );
}

#[test]
fn artifacts_fit_by_shape_and_number() {
    assert_step(&[
        (
            &["uses: steps/agg.wasm", "with: { month: x, data: 3 }"],
            "11:29: parameter `data`: wanted input, got a number (write a path, or an expression for an artifact)",
        ),
        (
            &["uses: steps/agg.wasm", "with: { month: x, data: '' }"],
            "11:29: parameter `data`: this is not a path",
        ),
        (
            &["uses: steps/agg.wasm", "with: { month: x, data: [a, b] }"],
            "11:29: parameter `data`: wanted input, got a list (write a path, or an expression for an artifact)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: \"${{ steps.each.outputs.table }}\" }",
            ],
            "11:29: parameter `data`: wanted input, got a list of artifacts (take one of them: `[0]`, or run the step with `foreach`)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: \"${{ steps.words.outputs.pages }}\" }",
            ],
            "11:29: parameter `data`: wanted input, got an artifact (a folder) (one is a file, the other a folder of files)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: \"${{ parameters.dir }}\" }",
            ],
            "11:29: parameter `data`: wanted input, got an artifact (a folder) (one is a file, the other a folder of files)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: \"${{ parameters.s }}\" }",
            ],
            "11:29: parameter `data`: wanted input, got string (for a path that is chosen for each run, give the parameter the type `input`)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: \"${{ steps.train.results }}\" }",
            ],
            "11:29: parameter `data`: wanted input, got scores (results and parameters are values; outputs are artifacts)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: \"a/${{ steps.compare.results.path }}\" }",
            ],
            "11:36: parameter `data`: the results of a step cannot be part of a path (let the step write an output, and bind that)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: \"a/${{ item }}\" }",
                "foreach: [\"${{ steps.compare.results.path }}\"]",
            ],
            "11:36: parameter `data`: the results of a step cannot be part of a path (let the step write an output, and bind that)",
        ),
        (
            &[
                "uses: steps/tree.wasm",
                "with: { pages: \"${{ steps.train.outputs.model }}\" }",
            ],
            "11:20: parameter `pages`: wanted input-tree, got an artifact (a file) (one is a file, the other a folder of files)",
        ),
        (
            &[
                "uses: steps/merge.wasm",
                "with: { parts: [\"${{ parameters.all }}\"] }",
            ],
            "11:21: parameter `parts`: wanted input, got a list of artifacts (take one of them: `[0]`, or run the step with `foreach`)",
        ),
        (
            &[
                "uses: steps/tree.wasm",
                "with: { pages: \"${{ steps.words.outputs.pages }}\" }",
            ],
            "",
        ),
        (
            &[
                "uses: steps/tree.wasm",
                "with: { pages: \"${{ artifact('x:y') }}\" }",
            ],
            "",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: \"data/${{ partition }}/${{ parameters.n }}.csv\" }",
            ],
            "",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: \"${{ steps.each.outputs.table[1] }}\" }",
            ],
            "",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: \"${{ item }}\" }",
                "foreach: [a.csv, \"${{ steps.train.outputs.model }}\"]",
            ],
            "",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: \"${{ item }}\" }",
                "foreach: \"${{ steps.each.outputs.table }}\"",
            ],
            "",
        ),
        (
            &[
                "uses: steps/merge.wasm",
                "with: { parts: \"${{ steps.train.outputs.model }}\" }",
            ],
            "",
        ),
        (
            &[
                "uses: steps/merge.wasm",
                "with: { parts: [a.csv, \"${{ parameters.in }}\"] }",
            ],
            "",
        ),
        (
            &[
                "uses: steps/merge.wasm",
                "with: { parts: \"${{ parameters.all }}\" }",
            ],
            "",
        ),
        (
            &[
                "uses: steps/compare.wasm",
                "with: { kind: \"${{ steps.compare.results.best }}\", new: a, old: \"${{ steps.train.outputs.model }}\" }",
            ],
            "",
        ),
    ]);
}

#[test]
fn items_of_the_file_have_their_own_types() {
    let flag = |items: &str| {
        let text = with_step(&[
            "uses: steps/config.wasm",
            "with: { layer: { units: 1 }, names: [], pair: [1, a], letter: a, flag: \"${{ !item }}\" }",
            &format!("foreach: {items}"),
        ]);
        mistakes(&text).join("\n")
    };
    assert_eq!(flag("[true, false]"), "");
    assert_eq!(
        flag("[true, 1]"),
        "11:82: wanted true or false, got an item of several types (compare it with something)"
    );
}

#[test]
fn no_guest_chooses_a_path() {
    let guest = "the results of a step cannot be part of a path (let the step write an output, and bind that)";
    let agg = |data: &str, foreach: &str| {
        let text = with_step(&[
            "uses: steps/agg.wasm",
            &format!("with: {{ month: x, data: \"{data}\" }}"),
            &format!("foreach: {foreach}"),
        ]);
        mistakes(&text).join("\n")
    };
    let mixed = "[{ path: a }, \"${{ steps.compare.results }}\"]";
    assert_eq!(agg("${{ item.path }}", "[{ path: a.csv }]"), "");
    assert_eq!(
        agg("${{ item.path }}", mixed),
        format!("11:29: parameter `data`: {guest}")
    );
    assert_eq!(
        agg("d/${{ item.path }}", mixed),
        format!("11:36: parameter `data`: {guest}")
    );
    assert_eq!(
        agg("${{ item }}", "[a, \"${{ steps.compare.results.path }}\"]"),
        "11:29: parameter `data`: wanted input, got string (for a path that is chosen for each \
         run, give the parameter the type `input`)"
    );
}

#[test]
fn expressions_know_their_place() {
    let small = "uses: steps/small.wasm";
    let number = "with: { number: 1 }";
    assert_step(&[
        (
            &[small, "with: { number: \"${{ item }}\" }"],
            "11:26: there is no `item` here (only `with`, `inputs` and `arguments` of a step with `foreach` have it)",
        ),
        (
            &[small, number, "foreach: [1]", "when: \"${{ item == 1 }}\""],
            "13:16: `item` is not known in `when` (`when` decides whether the step runs at all)",
        ),
        (
            &[small, number, "foreach: \"${{ item }}\""],
            "12:19: there is no `item` here (only `with`, `inputs` and `arguments` of a step with `foreach` have it)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: a }",
                "foreach: [\"${{ parameters.in }}\"]",
                "publish: { p: \"${{ item }}\" }",
            ],
            "13:24: `item` is not known in `publish` (a step publishes once, after its last item)",
        ),
        (
            &[small, "with: { number: \"${{ outputs.x }}\" }"],
            "11:26: `outputs` is only known in `publish` (write `steps.STEP.outputs.x`)",
        ),
        (
            &[small, number, "when: \"${{ partition.day == 1 }}\""],
            "12:16: the partitions of this pipeline have no `day`",
        ),
        (
            &[small, number, "when: \"${{ artifact('x') == 1 }}\""],
            "12:16: a condition cannot look at artifacts (let a step look at it, and use its results)",
        ),
        (
            &[
                small,
                number,
                "when: \"${{ steps.train.outputs.model == 1 }}\"",
            ],
            "12:16: a condition cannot look at artifacts (let a step look at it, and use its results)",
        ),
        (
            &[small, number, "when: \"${{ parameters.in == 1 }}\""],
            "12:27: a condition cannot look at artifacts (let a step look at it, and use its results)",
        ),
        (
            &[small, number, "when: \"${{ parameters.n }}\""],
            "12:16: wanted true or false, got u32 (compare it with something)",
        ),
        (
            &[
                small,
                number,
                "when: \"${{ parameters.n > 1 && !parameters.s }}\"",
            ],
            "12:37: wanted true or false, got string (compare it with something)",
        ),
        (
            &[small, number, "foreach: \"${{ parameters.n }}\""],
            "12:14: `foreach`: wanted a list, got u32",
        ),
        (
            &[small, number, "foreach: [[\"${{ 1 }}\"]]"],
            "12:15: an item of `foreach` cannot have expressions inside a list or map (write one expression, or only values)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: a }",
                "publish: { p: \"${{ outputs.tabel }}\" }",
            ],
            "12:32: step `t` has no output `tabel` (did you mean `table`?)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: a }",
                "foreach: [1]",
                "publish: { p: \"${{ outputs.table }}\" }",
            ],
            "13:19: one artifact is published under a name, not a list of them (publish one of them: `[0]`)",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: a }",
                "publish: { p: \"${{ parameters.n }}\" }",
            ],
            "12:19: only artifacts are published, not u32 (results are kept in the record of the run)",
        ),
        (
            &["publish: { p: \"${{ outputs.table }}\" }"],
            "10:32: step `t` only publishes; it has no outputs",
        ),
        (
            &[
                "uses: steps/agg.wasm",
                "with: { month: x, data: a }",
                "foreach: [1]",
                "publish: { p: \"${{ outputs.table[0] }}\", q: \"${{ artifact('z@3') }}\" }",
            ],
            "",
        ),
    ]);
    assert_mistakes(
        "steps: { a: { uses: steps/agg.wasm, with: { month: \"${{ partition }}\", data: a } } }\n",
        &["1:57: the pipeline has no `partition` (add `partition: { every: month }`, for example)"],
    );
}

#[test]
fn values_are_compared_with_their_like() {
    let when = |expression: &str| {
        let when = format!("when: \"${{{{ {expression} }}}}\"");
        let text = with_step(&["uses: steps/small.wasm", "with: { number: 1 }", &when]);
        mistakes(&text).join("\n")
    };
    for good in [
        "parameters.n == 1.5",
        "parameters.x >= parameters.n",
        "parameters.s < 'b'",
        "steps.compare.results.best == 'adam'",
        "steps.compare.results.letter <= 'x'",
        "steps.compare.results.note == null",
        "steps.compare.results.note != 'x'",
        "parameters.o == 1",
        "steps.compare.results.better == true",
        "steps.each.results[0] > 3",
        "steps.compare.results.margins[1] > 0",
        "parameters.ns == parameters.ns",
        "partition.month == 1 || partition == '2013-01'",
        "1 == 2",
        "(true || false) && !false",
    ] {
        assert_eq!(when(good), "", "{good}");
    }
    for (bad, wanted) in [
        ("parameters.n == 'a'", "cannot compare u32 with a text"),
        ("parameters.s < 1", "cannot compare string with a number"),
        (
            "parameters.n == parameters.s",
            "cannot compare u32 with string",
        ),
        (
            "steps.compare.results.better < true",
            "`<` compares numbers, texts and characters, not bool",
        ),
        (
            "steps.compare.results.best > 'adam'",
            "`>` compares numbers, texts and characters, not optimizer",
        ),
        (
            "steps.compare.results.best == 'adan'",
            "\"adan\" is not a case of `optimizer` (`adan` is unknown; did you mean `adam`?)",
        ),
        (
            "steps.compare.results.letter == 'ab'",
            "cannot compare char with a text",
        ),
        (
            "parameters.o > 1",
            "`>` compares numbers, texts and characters, not option<f64>",
        ),
        ("'a' == 1", "cannot compare a text with a number"),
        (
            "steps.train.results == 1",
            "cannot compare scores with a number",
        ),
    ] {
        assert_eq!(when(bad), format!("12:16: {wanted}"), "{bad}");
    }
    for (bad, wanted) in [
        (
            "parameters.n.x == 1",
            "12:29: a value of type u32 has no field `x`",
        ),
        (
            "steps.each.results.x == 1",
            "12:35: a value of type list<u32> has no field `x` (take one of its items: `[0]`)",
        ),
        (
            "steps.compare.results.note.x == 1",
            "12:43: a value of type option<string> has no field `x` (it can be absent)",
        ),
        (
            "parameters.n[0] == 1",
            "12:16: a value of type u32 has no item [0]",
        ),
    ] {
        assert_eq!(when(bad), wanted, "{bad}");
    }
}

#[test]
fn programs_declare_their_artifacts() {
    let words = "uses: steps/wordcount.wasm";
    assert_step(&[
        (
            &[words, "inputs: { text: 3 }"],
            "11:21: input `text`: wanted input, got a number (write a path, or an expression for an artifact)",
        ),
        (
            &[words, "inputs: { Text: a }"],
            "11:15: `Text` cannot name an input: a name is 1 to 128 characters of a-z, 0-9, `.`, `_` and `-`, begins with a letter or digit, and has no `..`",
        ),
        (
            &[words, "with: { 'a=b': 1 }"],
            "11:13: `a=b` cannot name an argument (it becomes `--NAME=VALUE`; other arguments go to `arguments`)",
        ),
        (
            &[
                words,
                "with: { text: \"${{ steps.train.outputs.model }}\" }",
            ],
            "11:19: argument `text`: wanted a value, got an artifact (a file) (bind artifacts in `inputs`)",
        ),
        (
            &[words, "arguments: [\"${{ parameters.in }}\"]"],
            "11:17: an argument: wanted a value, got an artifact (a file) (bind artifacts in `inputs`)",
        ),
        (
            &[
                words,
                "inputs: { text: \"${{ steps.words.outputs.pages }}\", b: \"${{ parameters.in }}\" }",
                "with: { top: 3, list: [1, \"${{ parameters.s }}\"] }",
                "arguments: [-v, 1, \"x${{ parameters.n }}\"]",
            ],
            "",
        ),
    ]);
}

#[test]
fn defaults_fit_their_types() {
    assert_mistakes(
        "parameters:\n  a: { type: u8, default: 300 }\n  b: { type: input, default: 3 }\n  c: { type: list<input>, default: [a.csv, 3] }\n  d: { type: input, default: [a] }\n  e: { type: input, default: '' }\n  f: { type: list<input>, default: [a.csv] }\n  g: { type: char, default: ab }\nsteps: { a: { uses: steps/wordcount.wasm } }\n",
        &[
            "2:27: the default of `a`: wanted u8 (0 to 255), got `300`",
            "3:30: the default of `b`: wanted input, got a number (write a path, relative to this file)",
            "4:44: the default of `c`: wanted a path, got a number",
            "5:30: the default of `d`: wanted input, got a list (write a path, relative to this file)",
            "6:30: the default of `e`: this is not a path",
            "8:29: the default of `g`: wanted char (one character), got `\"ab\"`",
        ],
    );
}

#[test]
fn circles_are_shown() {
    let step = |name: &str, needs: &str| {
        format!("  {name}: {{ uses: steps/wordcount.wasm, needs: [{needs}] }}\n")
    };
    let text = format!(
        "steps:\n{}{}{}{}{}{}",
        step("after", "c"),
        step("a", "b"),
        step("b", "c"),
        step("c", "a, free"),
        step("self", "self"),
        step("free", ""),
    );
    let pipeline = parse(&text).unwrap();
    let found = check_pipeline(&pipeline, &signatures()).unwrap_err();
    assert_eq!(
        shown(&text, &found),
        [
            "3:44: the steps wait for each other: `a -> b -> c -> a` (take one of these references out)",
            "6:47: the steps wait for each other: `self -> self` (take one of these references out)",
        ]
    );
    let also: Vec<_> = found[0].also.iter().map(|(_, what)| &**what).collect();
    assert_eq!(also, ["`b` waits for `c` here", "`c` waits for `a` here"]);
}

#[test]
fn long_circles_are_cut() {
    let step = |at: usize| {
        format!(
            "  s{at}: {{ uses: steps/wordcount.wasm, needs: [s{}] }}\n",
            (at + 1) % 50
        )
    };
    let text = format!("steps:\n{}", (0..50).map(step).collect::<String>());
    assert_mistakes(
        &text,
        &[
            "2:45: the steps wait for each other: `s0 -> s1 -> s2 -> s3 -> s4 -> s5 -> s6 -> s7 -> ... -> s0` (take one of these references out)",
        ],
    );
}

#[test]
fn several_mistakes_are_told_at_once() {
    assert_mistakes(
        "parameters: { epochs: u16 }\nsteps:\n  train:\n    uses: steps/train.wasm#fit\n    with: { data: a.csv, epoch: \"${{ parameters.epochs }}\", model: m }\n    publish: { m: \"${{ outputs.modle }}\" }\n  promote:\n    when: ${{ steps.train.results.accuracy > '0.9' && steps.tarin.results.x }}\n    publish: { \"m:prod\": \"${{ steps.train.results }}\" }\n",
        &[
            "5:5: step `train` needs parameter `epochs` (u32) (add `epochs: ...` to its `with`)",
            "5:26: `fit` has no parameter `epoch` (did you mean `epochs`?)",
            "5:61: `model` is an output; outputs are not bound (remove it: outputs are kept in the store, and other steps use `steps.train.outputs.model`)",
            "6:32: step `train` has no output `modle` (did you mean `model`?)",
            "8:15: cannot compare f64 with a text",
            "8:61: there is no step `tarin` (did you mean `train`?)",
            "9:26: only artifacts are published, not scores (results are kept in the record of the run)",
        ],
    );
}

#[test]
fn a_tag_is_moved_by_one_step_after_the_other() {
    let steps = |more: &str| {
        format!(
            r#"
parameters: {{ fast: bool }}
steps:
  train: {{ uses: steps/wordcount.wasm, outputs: [model] }}
  a: {{ publish: {{ "m:prod": "${{{{ steps.train.outputs.model }}}}" }} }}
  z: {{ needs: [a] }}
  b: {{ publish: {{ "m:prod": "${{{{ steps.train.outputs.model }}}}" }}{more} }}
"#
        )
        .replace(
            "z: { needs: [a] }",
            "z: { needs: [a], uses: steps/wordcount.wasm }",
        )
    };
    let race = "7:29: `a` and `b` both publish `m:prod`, and neither waits for the other \
                (add `needs: [a]` to `b`, or publish under another tag)";
    assert_mistakes(&steps(""), &[race]);
    for more in [
        ", needs: [a]",
        ", needs: [z]",
        ", when: \"${{ parameters.fast }}\"",
    ] {
        assert_mistakes(&steps(more), &[]);
    }
    let two_tags = steps("").replacen("m:prod", "m:new", 1);
    assert_mistakes(&two_tags, &[]);
    // Versions are added, and nothing is moved.
    assert_mistakes(&steps("").replace("m:prod", "m"), &[]);
}

/// All mistakes, of form and of meaning; components that are not among the signatures
/// are told by the caller.
fn all_mistakes(text: &str) -> Vec<String> {
    let (pipeline, mut found) = crate::pipeline::parse_partly(text);
    let pipeline = pipeline.expect("a pipeline");
    for (reference, span) in pipeline.uses() {
        if !signatures().contains_key(&reference.to_string()) {
            let missing = format!("{reference} is not there");
            found.push(crate::pipeline::Diagnostic::new(span, missing));
        }
    }
    let checked = crate::pipeline::check_partly(&pipeline, &signatures(), found);
    shown(text, &checked.err().unwrap_or_default())
}

#[test]
fn mistakes_of_form_hide_none_of_meaning() {
    let text = r#"
naem: x
parameters: { n: u32, m: u3 }
partition: { every: fortnight }
steps:
  a: { uses: steps/none.wasm, with: { x: "${{ steps.nobody.results }}" }, needs: [nowhere] }
  b: { uses: steps/small.wasm, wiht: { number: 1 } }
  c: { uses: steps/small.wasm, with: { number: text } }
  d: 5
  e: { uses: steps/small.wasm, with: { number: 1 }, foreach: 5 }
  f: { uses: steps/wordcount.wasm, outputs: [ok, "a b"] }
"#;
    let wanted = [
        "2:1: a pipeline has no `naem` (did you mean `name`?)",
        "3:26: `u3` is not a type (did you mean `u32`?)",
        "4:21: there are no partitions for every `fortnight` (write `month` or `day`)",
        "6:14: steps/none.wasm is not there",
        "6:53: there is no step `nobody` (did you mean `b`?)",
        "6:83: there is no step `nowhere` (known are `a`, `b`, `c`, `d`, `e`, `f`)",
        "7:32: step `b` has no `wiht` (did you mean `with`?)",
        "8:48: parameter `number`: wanted u8 (0 to 255), got `\"text\"`",
        "9:6: step `d` must be a map, not a number",
        "10:62: `foreach` must be a list or an expression, not a number (write `foreach: [a, b]` or `foreach: ${{ ... }}`)",
        "11:50: `a b` cannot name an output",
    ];
    let found = all_mistakes(text);
    let begins = |(found, wanted): (&String, &&str)| found.starts_with(wanted);
    assert!(
        found.len() == wanted.len() && found.iter().zip(&wanted).all(begins),
        "{}",
        found.join("\n")
    );
}

/// What was not read, or cannot be known, is no mistake of those that refer to it.
#[test]
fn consequences_of_mistakes_are_not_told() {
    let text = r#"
naem: x
parameters: { m: u3 }
partition: { every: fortnight }
steps:
  none: { uses: steps/none.wasm }
  same: { uses: steps/none.wasm }
  d: 5
  f: { uses: steps/wordcount.wasm, outputs: ["a b"], foreach: 5, with: { t: "${{ item }}" } }
  g: { usse: steps/small.wasm, with: { number: "${{ parameters.m }}" } }
  h: { uses: steps/small.wasm, with: { number: "${{ x }" } }
  user:
    uses: steps/merge.wasm
    with: { parts: ["${{ steps.f.outputs.c }}", "${{ steps.none.outputs.c }}", "${{ steps.d.outputs.c }}"] }
    needs: [d, same]
  asks:
    uses: steps/config.wasm
    with:
      layer: { units: "${{ steps.h.results }}", rate: "${{ steps.g.results }}" }
      names: ["${{ partition }}"]
      pair: [1, "${{ partition }}"]
      letter: a
      flag: "${{ partition.year == 2013 }}"
"#;
    let found = all_mistakes(text);
    let lines: Vec<_> = found.iter().filter_map(|it| it.split(':').next()).collect();
    assert_eq!(
        lines,
        ["2", "3", "4", "6", "8", "9", "9", "10", "11"],
        "{}",
        found.join("\n")
    );
}
