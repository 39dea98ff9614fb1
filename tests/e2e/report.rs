//! Pages about runs, looked at with a browser.

use std::fs;

use crate::harness::{Browser, Project, Window, example_table, guest, hostile};

/// Steps that end in every way, with metrics, logs, items and artifacts.
const ALL_WAYS: &str = r#"
name: all-ways
parameters:
  epochs: { type: u32, default: 40 }
  rates: { type: list<f64>, default: [0.05, 0.2, 0.6] }
  note: { type: string, default: "<b>plain</b>" }
  data: { type: input, default: data.csv }
steps:
  copy:
    uses: steps/copy.wasm
    with: { data: "${{ parameters.data }}" }
  train:
    uses: steps/train.wasm
    with: { data: "${{ steps.copy.outputs.copy }}", epochs: "${{ parameters.epochs }}" }
    publish: { cancer-model: "${{ outputs.model }}" }
  search:
    uses: steps/train.wasm
    foreach: ${{ parameters.rates }}
    with:
      data: ${{ parameters.data }}
      epochs: ${{ parameters.epochs }}
      rate: ${{ item }}
  evaluate:
    uses: steps/evaluate.wasm
    with: { data: "${{ parameters.data }}", model: "${{ steps.train.outputs.model }}" }
  promote:
    when: ${{ steps.evaluate.results.accuracy > 2 }}
    publish: { "cancer-model:prod": "${{ steps.train.outputs.model }}" }
  noise:
    uses: steps/hostile.wasm#log-injection
  broken:
    uses: steps/train.wasm
    with: { data: bad.csv, epochs: 1 }
  after:
    uses: steps/evaluate.wasm
    with: { data: "${{ parameters.data }}", model: "${{ steps.broken.outputs.model }}" }
"#;

/// What the page shows of statuses, and in which colours when it is light and dark.
const STATUSES: [(&str, &str, &str); 4] = [
    ("succeeded", "#1a7f37", "#4cc26a"),
    ("cached", "#0a69b8", "#58a6ff"),
    ("failed", "#c4314b", "#ff7b86"),
    ("skipped", "#6e7781", "#9198a1"),
];

/// A project in which a pipeline has run twice, so that some of it was cached.
fn project() -> Project {
    let guests = ["copy", "train", "evaluate", "hostile"];
    let project = Project::with(&[("pipeline.yaml", ALL_WAYS)]).with_guests("steps", &guests);
    fs::copy(example_table(), project.path("data.csv")).expect("the table is there");
    project.write(
        "bad.csv",
        "\"><img src=x onerror=alert(1)>,<script>alert(2)</script>\n",
    );
    let run = ["pipeline", "run", "pipeline.yaml", "--continue-on-error"];
    project
        .wharf([&run[..], &["--only", "copy"]].concat())
        .run()
        .exits(0);
    project.wharf(run).run().exits(1);
    project
}

fn page(project: &Project, run: &str) {
    let arguments = ["report", run, "--html", "-o", "page.html"];
    let ended = project.wharf(arguments).run().exits(0);
    assert!(ended.stderr.contains("wrote page.html"), "{ended}");
}

#[test]
fn a_page_shows_how_a_pipeline_went() {
    let project = project();
    page(&project, "last");
    let mut browser = Browser::start();
    for (width, dark) in [(1280, false), (1280, true), (400, false), (400, true)] {
        let seen = browser.look(&project.path("page.html"), Window { width, dark });
        assert_eq!(seen.complaints, [] as [serde_json::Value; 0]);
        assert_eq!(
            seen.requests.len(),
            1,
            "the page alone: {:?}",
            seen.requests
        );
        assert!(
            seen.width <= f64::from(width),
            "{} wide at {width}",
            seen.width
        );
        assert!(seen.picture.colours() > 50, "{}", seen.picture.colours());
        for (status, light_colour, dark_colour) in STATUSES {
            let colour = if dark { dark_colour } else { light_colour };
            let count = seen.picture.count(colour);
            assert!(count > 30, "{status}: {count} pixels of {colour}");
        }
        let parts = ["graph", "timeline", "parameters", "steps", "lineage"];
        for part in parts.map(|part| format!("<section id=\"{part}\">")) {
            assert!(seen.dom.contains(&part), "{part}");
        }
        for text in [
            "Run of a pipeline",
            "all-ways",
            "6 succeeded",
            "1 cached",
            "1 failed",
            "1 skipped",
            "1 not run",
            "`broken` did not succeed",
            "its condition is false",
            "<bdi>loss</bdi>",
            "model fitted",
            "cancer-model@1",
            "&lt;b&gt;plain&lt;/b&gt;",
        ] {
            assert!(seen.dom.contains(text), "{text} is not in {}", seen.dom);
        }
        // Nothing that a step or a file said became a part of the page.
        for part in ["<script", "<img", "<b>", "onerror=\"", "\u{202e}", "\u{1b}"] {
            assert!(!seen.dom.contains(part), "{part:?}");
        }
    }
}

#[test]
fn a_page_shows_how_a_step_went() {
    let project = Project::new();
    fs::copy(example_table(), project.path("data.csv")).expect("the table is there");
    let arguments = ["data=data.csv", "model=model.json", "epochs=50"];
    project.step(&guest("train"), &arguments).record(0);
    page(&project, "last");
    let mut browser = Browser::start();
    let window = Window {
        width: 400,
        dark: false,
    };
    let seen = browser.look(&project.path("page.html"), window);
    assert_eq!(seen.complaints, [] as [serde_json::Value; 0]);
    assert!(seen.width <= 400.0, "{}", seen.width);
    for text in [
        "Run of a step",
        "succeeded",
        "model.json",
        "<bdi>loss</bdi>",
        "epochs",
    ] {
        assert!(seen.dom.contains(text), "{text} is not in {}", seen.dom);
    }

    // What a guest says of itself is told, and does nothing.
    project.step(&hostile("log-injection"), &[]).record(0);
    page(&project, "last");
    let seen = browser.look(&project.path("page.html"), window);
    assert_eq!(seen.complaints, [] as [serde_json::Value; 0]);
    assert!(!seen.dom.contains("\u{202e}") && !seen.dom.contains('\u{1b}'));
}

#[test]
fn a_picture_of_a_pipeline_is_drawn_alone() {
    let project = project();
    let drawn = project
        .wharf(["pipeline", "graph", "pipeline.yaml", "--format", "svg"])
        .run()
        .exits(0);
    project.write("graph.svg", &drawn.stdout);
    for dark in [false, true] {
        let window = Window { width: 900, dark };
        let seen = Browser::start().look(&project.path("graph.svg"), window);
        assert_eq!(seen.complaints, [] as [serde_json::Value; 0]);
        assert_eq!(seen.requests.len(), 1);
        assert!(seen.dom.contains(">evaluate</text>"), "{}", seen.dom);
        let paper = if dark { "#0d1117" } else { "#ffffff" };
        assert!(seen.picture.count(paper) > 1000);
    }
}

#[test]
fn a_run_that_was_interrupted_has_a_page() {
    let project = project();
    let folder = fs::read_dir(project.path(".wharf/pipelines")).expect("runs");
    let runs = folder.map(|run| {
        run.expect("a run")
            .file_name()
            .into_string()
            .expect("an id")
    });
    let last = runs.max().expect("a run");
    fs::remove_file(project.path(&format!(".wharf/pipelines/{last}/ended.json"))).expect("its end");
    let shown = project
        .wharf(["report", &last[..], "--html", "-o", "-"])
        .run()
        .exits(0);
    assert!(shown.stdout.contains("has no end"), "{shown}");
    assert!(shown.stdout.contains("it was interrupted, or still runs"));
    project.wharf(["report", "last", "--html"]).run().exits(0);
    assert!(project.path(&format!("wharf-{last}.html")).is_file());
}

#[test]
fn ten_thousand_items_are_a_page_that_opens() {
    let items = (0..10_000)
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(",");
    let pipeline = format!(
        "steps:\n  noop:\n    uses: {}\n    foreach: [{items}]\n    with: {{ data: data.csv }}\n",
        guest("noop")
    );
    let project = Project::with(&[("pipeline.yaml", &pipeline), ("data.csv", "x")]);
    project
        .wharf(["pipeline", "run", "pipeline.yaml", "--quiet"])
        .run()
        .exits(0);
    page(&project, "last");
    let page = project.text("page.html");
    assert!(page.len() < 2 << 20, "{} bytes", page.len());
    assert!(
        page.contains("× 10000") && page.contains("9976 items more"),
        "{page}"
    );
}

#[test]
fn a_run_that_is_not_there_has_no_page() {
    let project = Project::with(&[("data.csv", "x")]);
    project
        .wharf(["report", "last", "--html"])
        .run()
        .says(&["there is no store"]);
    project
        .step(&guest("noop"), &["data=data.csv", "result=out"])
        .record(0);
    project
        .wharf(["report", "nothing", "--html"])
        .run()
        .says(&["there is no run `nothing`"]);
    project
        .wharf(["report", "last"])
        .run()
        .exits(2)
        .says(&["--html"]);
    project.holds(&["data.csv", "out"]);
}
