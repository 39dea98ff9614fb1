//! What a checked pipeline gives in a run.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value as Json, json};

use super::*;
use crate::ArtifactReference;
use crate::pipeline::{
    BoundParameter, BoundValue, CheckedStep, EvaluationError, Every, Partition, Scope, Slice, Value,
};
use crate::plan::Shape;
use crate::{ErrorKind, Fault};

/// A run of the tests: artifacts are texts that say what they are.
#[derive(Default)]
struct Run {
    parameters: HashMap<String, Value<String>>,
    results: HashMap<usize, Json>,
    outputs: HashMap<(usize, String), Vec<String>>,
    own: HashMap<String, Vec<String>>,
    item: Option<Value<String>>,
    partition: Option<Slice>,
}

impl Scope for Run {
    type Artifact = String;

    fn parameter(&self, name: &str) -> Option<&Value<String>> {
        self.parameters.get(name)
    }

    fn results(&self, step: usize) -> Option<&Json> {
        self.results.get(&step)
    }

    fn outputs(&self, step: usize, output: &str) -> Option<&[String]> {
        let found = self.outputs.get(&(step, output.to_owned()));
        found.map(Vec::as_slice)
    }

    fn own_outputs(&self, output: &str) -> Option<&[String]> {
        self.own.get(output).map(Vec::as_slice)
    }

    fn item(&self) -> Option<&Value<String>> {
        self.item.as_ref()
    }

    fn partition(&self) -> Option<&Slice> {
        self.partition.as_ref()
    }

    fn artifact(&self, reference: &ArtifactReference) -> Result<String, Fault> {
        match reference.name.as_str() {
            "missing" => Err(Fault::new(ErrorKind::Input, "there is no `missing`")),
            _ => Ok(format!("stored {reference}")),
        }
    }

    fn path(&self, path: &Path, shape: Shape) -> Result<String, Fault> {
        Ok(format!("{shape:?} {}", path.display()))
    }
}

/// The head of the pipelines here: two steps that others refer to.
const HEAD: &str = "\
parameters: { n: u32, s: string, o: option<f64>, in: input, all: list<input>, ms: list<string> }
partition: { every: month }
steps:
  compare: { uses: steps/compare.wasm, with: { new: a.csv, kind: sgd } }
  train: { uses: steps/train.wasm#fit, with: { data: a.csv, epochs: 1 } }
  each: { uses: steps/agg.wasm, foreach: [a, b], with: { month: x, data: a.csv } }
";

const COMPARE: usize = 0;
const TRAIN: usize = 1;
const EACH: usize = 2;

/// The last step of a pipeline.
fn step(lines: &[&str]) -> CheckedStep {
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    let pipeline = checked(&format!("{HEAD}  t:\n{lines}"));
    let step = pipeline.steps.into_iter().find(|step| step.name == "t");
    step.unwrap()
}

fn run() -> Run {
    let parameters = [
        ("n", Value::Json(json!(7))),
        ("s", Value::Json(json!("text"))),
        ("o", Value::Json(Json::Null)),
        ("in", Value::Artifact("given in".into())),
        ("all", Value::Artifacts(vec!["one".into(), "two".into()])),
        ("ms", Value::Json(json!(["jan", "feb"]))),
    ];
    let verdict = json!({"better": true, "best": "adam", "note": null, "margins": [0.5], "path": "p", "letter": "x"});
    Run {
        parameters: parameters
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        results: [(COMPARE, verdict), (EACH, json!([3, 4]))].into(),
        outputs: [((EACH, "table".to_owned()), vec!["t0".into(), "t1".into()])].into(),
        own: [("table".to_owned(), vec!["made".into()])].into(),
        item: None,
        partition: Some(Partition::Every(Every::Month).parse("2013-02").unwrap()),
    }
}

/// What the parameters of a step are bound to, as texts.
fn bound(step: &CheckedStep, run: &Run) -> Vec<String> {
    let show = |parameter: BoundParameter<String>| match parameter.value {
        BoundValue::Json(json) => format!("{}={json}", parameter.name),
        BoundValue::Artifacts { artifacts, .. } => {
            format!("{}={}", parameter.name, artifacts.join(","))
        }
    };
    step.bind(run).unwrap().into_iter().map(show).collect()
}

/// Why something has no value, and where: in the last part of the text.
fn why<T: std::fmt::Debug>(result: Result<T, EvaluationError>) -> String {
    match result.unwrap_err() {
        EvaluationError::Skipped { step } => format!("skipped {step}"),
        EvaluationError::Wrong(diagnostic) => diagnostic.message,
        EvaluationError::Fault(fault) => fault.to_string(),
    }
}

#[test]
fn parameters_are_bound_in_the_order_of_the_signature() {
    let small = step(&[
        "uses: steps/small.wasm",
        "with: { ratio: 1, number: \"${{ item }}\" }",
        "foreach: [1, 2]",
    ]);
    let mut scope = run();
    assert_eq!(
        small.items(&scope).unwrap().unwrap(),
        [Value::Json(json!(1)), Value::Json(json!(2))]
    );
    scope.item = Some(Value::Json(json!(2)));
    assert_eq!(bound(&small, &scope), ["number=2", "ratio=1.0"]);
    let agg = step(&[
        "uses: steps/agg.wasm",
        "with: { month: \"${{ partition }} ${{ partition.month }} ${{ parameters.n }} $${{ x }}\", data: \"d/${{ partition }}.csv\" }",
    ]);
    assert_eq!(
        bound(&agg, &scope),
        ["month=\"2013-02 2 7 ${{ x }}\"", "data=File d/2013-02.csv"]
    );
    let config = step(&[
        "uses: steps/config.wasm",
        "with:",
        "  layer: { units: \"${{ parameters.n }}\" }",
        "  names: [\"${{ parameters.s }}\", b]",
        "  pair: [1, \"${{ steps.compare.results.path }}\"]",
        "  letter: \"${{ steps.compare.results.letter }}\"",
        "  flag: ${{ parameters.n > 3 && steps.compare.results.best == 'adam' }}",
    ]);
    assert_eq!(
        bound(&config, &scope),
        [
            "layer={\"rate\":null,\"units\":7}",
            "names=[\"text\",\"b\"]",
            "pair=[1,\"p\"]",
            "letter=\"x\"",
            "flag=true"
        ]
    );
}

#[test]
fn artifacts_come_from_everywhere() {
    let merge = |parts: &str| {
        let step = step(&[
            "uses: steps/merge.wasm",
            &format!("with: {{ parts: {parts} }}"),
        ]);
        bound(&step, &run())
    };
    assert_eq!(
        merge("\"${{ steps.each.outputs.table }}\""),
        ["parts=t0,t1"]
    );
    assert_eq!(merge("\"${{ parameters.all }}\""), ["parts=one,two"]);
    assert_eq!(merge("\"${{ parameters.in }}\""), ["parts=given in"]);
    assert_eq!(
        merge("[a.csv, \"${{ artifact('x:y') }}\", \"${{ steps.each.outputs.table[1] }}\"]"),
        ["parts=File a.csv,stored x:y,t1"]
    );
    assert_eq!(merge("a.csv"), ["parts=File a.csv"]);
    let each = step(&[
        "uses: steps/agg.wasm",
        "foreach: [a.csv, \"${{ parameters.in }}\", \"${{ parameters.s }}-x\"]",
        "with: { month: m, data: \"d/${{ partition.year }}\" }",
    ]);
    assert_eq!(
        each.items(&run()).unwrap().unwrap(),
        [
            Value::Json(json!("a.csv")),
            Value::Artifact("given in".into()),
            Value::Json(json!("text-x"))
        ]
    );
    let item = step(&[
        "uses: steps/agg.wasm",
        "foreach: [a.csv, \"${{ parameters.in }}\"]",
        "with: { month: m, data: \"${{ item }}\" }",
    ]);
    let with = |item| Run {
        item: Some(item),
        ..run()
    };
    assert_eq!(
        bound(&item, &with(Value::Json(json!("a.csv"))))[1],
        "data=File a.csv"
    );
    assert_eq!(
        bound(&item, &with(Value::Artifact("x".into())))[1],
        "data=x"
    );
}

#[test]
fn items_come_from_lists_of_values_and_artifacts() {
    let items = |foreach: &str| {
        let step = step(&[
            "uses: steps/small.wasm",
            "with: { number: 1 }",
            &format!("foreach: {foreach}"),
        ]);
        step.items(&run()).unwrap().unwrap().len()
    };
    assert_eq!(items("\"${{ parameters.ms }}\""), 2);
    assert_eq!(items("\"${{ steps.each.outputs.table }}\""), 2);
    assert_eq!(items("\"${{ steps.compare.results.margins }}\""), 1);
    assert_eq!(items("[]"), 0);
}

#[test]
fn a_step_that_needs_a_skipped_one_is_skipped() {
    let skipped = |lines: &[&str]| why(step(lines).bind(&run()));
    let small = "uses: steps/small.wasm";
    assert_eq!(
        skipped(&[
            "uses: steps/merge.wasm",
            "with: { parts: \"${{ steps.train.outputs.model }}\" }"
        ]),
        format!("skipped {TRAIN}")
    );
    let when = step(&[
        small,
        "with: { number: 1 }",
        "when: \"${{ steps.train.results.rows > 1 }}\"",
    ]);
    assert_eq!(why(when.is_wanted(&run())), format!("skipped {TRAIN}"));
    let short = step(&[
        small,
        "with: { number: 1 }",
        "when: \"${{ parameters.n == 7 || steps.train.results.rows > 1 }}\"",
    ]);
    assert!(short.is_wanted(&run()).unwrap());
    let compare = step(&[
        "uses: steps/compare.wasm",
        "with: { new: a, kind: sgd, old: \"${{ steps.train.outputs.model }}\" }",
    ]);
    assert_eq!(
        bound(&compare, &run()),
        ["old=", "new=File a", "kind=\"sgd\""]
    );
    let train = step(&[
        "uses: steps/train.wasm#fit",
        "with: { data: a, epochs: 1, rate: \"${{ steps.train.results.loss }}\" }",
    ]);
    assert_eq!(
        bound(&train, &run()),
        ["data=File a", "epochs=1", "rate=null"]
    );
}

#[test]
fn conditions_decide() {
    let wanted = |when: &str| {
        let when = format!("when: {when}");
        let step = step(&["uses: steps/small.wasm", "with: { number: 1 }", &when]);
        step.is_wanted(&run()).unwrap()
    };
    assert!(!wanted("false"));
    assert!(wanted(
        "${{ steps.compare.results.better && steps.each.results[1] >= 4 }}"
    ));
    assert!(wanted(
        "${{ steps.compare.results.note == null && parameters.o != 0.5 }}"
    ));
    assert!(!wanted(
        "${{ !(partition == '2013-02') || partition.year < 2013 }}"
    ));
    assert!(
        step(&["uses: steps/small.wasm", "with: { number: 1 }"])
            .is_wanted(&run())
            .unwrap()
    );
}

#[test]
fn values_of_a_run_are_checked_again() {
    let number = |expression: &str| {
        let with = format!("with: {{ number: \"${{{{ {expression} }}}}\" }}");
        step(&["uses: steps/small.wasm", "foreach: [1, 2]", &with])
    };
    let rows = number("item");
    let with = |item| Run {
        item: Some(item),
        ..run()
    };
    assert_eq!(
        why(rows.bind(&with(Value::Json(json!(999))))),
        "wanted u8 (0 to 255), got `999`"
    );
    assert_eq!(
        why(rows.bind(&with(Value::Artifact("x".into())))),
        "wanted a value, got an artifact"
    );
    assert_eq!(why(rows.bind(&run())), "this has no value in this run");
    let flag = step(&[
        "uses: steps/small.wasm",
        "with: { number: 1 }",
        "when: \"${{ steps.compare.results.margins[3] > 1 }}\"",
    ]);
    assert_eq!(
        why(flag.is_wanted(&run())),
        "there is no item [3]: the list has 1"
    );
    let mut odd = run();
    odd.results.insert(COMPARE, json!({"better": "yes"}));
    let when = |expression: &str| {
        let when = format!("when: \"${{{{ {expression} }}}}\"");
        step(&["uses: steps/small.wasm", "with: { number: 1 }", &when])
    };
    assert_eq!(
        why(when("steps.compare.results.better").is_wanted(&odd)),
        "`when` is \"yes\", not true or false"
    );
    assert_eq!(
        why(when("!steps.compare.results.better").is_wanted(&odd)),
        "wanted true or false, got \"yes\""
    );
    assert_eq!(
        why(when("steps.compare.results.best == 'sgd'").is_wanted(&odd)),
        "there is no field `best` here"
    );
    let missing = step(&[
        "uses: steps/merge.wasm",
        "with: { parts: \"${{ artifact('missing') }}\" }",
    ]);
    assert_eq!(why(missing.bind(&run())), "there is no `missing`");
    let agg = step(&[
        "uses: steps/agg.wasm",
        "with: { month: x, data: \"${{ parameters.in }}\" }",
    ]);
    let mut absent = run();
    absent.parameters.insert("in".into(), Value::Absent);
    assert_eq!(why(agg.bind(&absent)), "`data` takes one artifact, got 0");
}

#[test]
fn a_list_of_a_guest_cannot_start_without_end() {
    let step = step(&[
        "uses: steps/small.wasm",
        "with: { number: 1 }",
        "foreach: \"${{ steps.compare.results.margins }}\"",
    ]);
    let mut large = run();
    large.results.insert(
        COMPARE,
        json!({"margins": vec![0; crate::pipeline::MAX_EACH + 1]}),
    );
    assert_eq!(
        why(step.items(&large)),
        "`foreach` has 100001 items, more than 100000"
    );
    large.results.insert(COMPARE, json!({"margins": 3}));
    assert_eq!(why(step.items(&large)), "`foreach` is 3, not a list");
}

#[test]
fn programs_get_values_and_arguments() {
    let words = step(&[
        "uses: steps/wordcount.wasm",
        "inputs: { text: book.txt }",
        "with: { top: 3, name: \"n${{ parameters.n }}\", list: [\"${{ parameters.n }}\"], map: { a: \"${{ parameters.s }}\" } }",
        "arguments: [-v, 3, \"${{ parameters.n }}\", \"x${{ parameters.s }}\"]",
    ]);
    assert_eq!(
        bound(&words, &run()),
        [
            "text=Either book.txt",
            "top=3",
            "name=\"n7\"",
            "list=[7]",
            "map={\"a\":\"text\"}"
        ]
    );
    assert_eq!(
        words.program_arguments(&run()).unwrap(),
        ["-v", "3", "7", "xtext"]
    );
    let odd = step(&[
        "uses: steps/wordcount.wasm",
        "arguments: [\"${{ parameters.ms }}\"]",
    ]);
    assert_eq!(
        why(odd.program_arguments(&run())),
        "[\"jan\",\"feb\"] cannot be a part of a text"
    );
}

#[test]
fn artifacts_are_published_under_names() {
    let agg = step(&[
        "uses: steps/agg.wasm",
        "with: { month: m, data: a }",
        "publish: { own: \"${{ outputs.table }}\", \"old:prod\": \"${{ artifact('old@3') }}\" }",
    ]);
    let published: Vec<_> = agg.publications(&run()).unwrap();
    let published: Vec<_> = published
        .iter()
        .map(|(to, what)| format!("{to} {what}"))
        .collect();
    assert_eq!(published, ["own made", "old:prod stored old@3"]);
}
