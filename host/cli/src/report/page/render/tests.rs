//! What holds for every page.

use wharf_model::event::Level;

use super::super::data::{
    Artifact, Bar, Details, From, Item, LogLine, Logs, Made, Maker, Page, Plot, Row, Series, Step,
    Timeline,
};
use super::*;

/// A text that wants to be something else wherever it stands.
const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>\u{1b}[31m\u{202e}\u{2028}\0</style>&lt;";

/// A page in which every text is hostile.
fn hostile() -> Page {
    let text = || HOSTILE.to_owned();
    let pairs = || vec![(text(), text())];
    let artifact = || Artifact {
        name: text(),
        path: text(),
        size: text(),
        digest: text(),
    };
    let made = |from| Made {
        name: text(),
        digest: text(),
        from,
    };
    let line = |level| LogLine {
        level,
        text: text(),
    };
    let maker = Maker {
        step: text(),
        reference: text(),
        run: text(),
        parameters: pairs(),
        inputs: vec![made(From::Outside), made(From::Above(text()))],
        left_out: 1,
    };
    let item = |number| Item {
        number,
        status: Some(StepStatus::Failed),
        attempts: 3,
        took: u64::MAX,
        message: Some(text()),
        recorded: true,
        record: Some(Details {
            facts: vec![("run", text())],
            results: Some(text()),
            parameters: pairs(),
            inputs: vec![artifact()],
            outputs: vec![artifact()],
            left_out: 2,
            signature: Some(text()),
            backtrace: vec![text()],
        }),
        logs: Logs {
            first: vec![line(None), line(Some(Level::Error))],
            left_out: 5,
            last: vec![line(Some(Level::Warn))],
        },
    };
    let series = |points: &[(f64, f64)]| Series {
        name: text(),
        points: points.to_vec(),
    };
    Page {
        name: text(),
        what: "pipeline",
        status: None,
        outcome: text(),
        facts: vec![("by", text())],
        notes: vec![text()],
        counts: vec![(StepStatus::Failed, 2)],
        graph: None,
        timeline: Timeline {
            rows: vec![Row {
                name: text(),
                status: StepStatus::Failed,
                items: Some(3),
                bars: vec![Bar {
                    began: u64::MAX,
                    took: u64::MAX,
                    status: StepStatus::Failed,
                }],
            }],
            length: 0,
            left_out: 1,
        },
        parameters: pairs(),
        steps: vec![Step {
            anchor: "step-0".to_owned(),
            name: text(),
            status: Some(StepStatus::Failed),
            counts: vec![(StepStatus::Failed, 2)],
            took: Some(1),
            items: vec![item(Some(0)), item(None)],
            left_out: 7,
            plots: vec![Plot {
                name: text(),
                series: vec![
                    series(&[(0.0, 1.0), (1.0, 2.0)]),
                    series(&[(0.0, f64::NAN)]),
                ],
                left_out: 1,
            }],
        }],
        lineage: vec![made(From::Step(Box::new(maker)))],
    }
}

#[test]
fn every_text_is_inert_everywhere() {
    let page = render(&hostile());
    assert_eq!(page.matches("<script").count(), 0);
    assert_eq!(page.matches("<img").count(), 0);
    assert_eq!(page.matches("</style>").count(), 1);
    assert!(page.matches("&lt;script&gt;").count() > 30);
    for active in ['\u{1b}', '\u{202e}', '\u{2028}', '\0'] {
        assert!(!page.contains(active), "{active:?}");
    }
}

#[test]
fn the_policy_lets_nothing_in_but_the_own_style() {
    let page = render(&hostile());
    let style = page.split("<style>").nth(1).unwrap();
    let style = style.split("</style>").next().unwrap();
    let hash = STANDARD.encode(Digest::of(style.as_bytes()).as_bytes());
    let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'");
    assert!(page.contains(&policy), "{policy}");
    assert!(!page.contains(" style=\""), "the policy forbids it");
    for outside in ["src=\"", "url(", "@import", "http://"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn a_page_of_nothing_is_a_page() {
    let page = render(&Page {
        name: "empty".to_owned(),
        what: "pipeline",
        outcome: "has no end".to_owned(),
        ..Page::default()
    });
    assert!(page.contains("There are no steps to show."));
    assert!(page.contains("has no end"));
}

/// Only what has no record at all did not run: a record may be left out, or damaged.
#[test]
fn a_record_that_is_not_shown_is_no_record_that_is_not_there() {
    let page = |recorded| {
        let item = Item {
            recorded,
            ..Item::default()
        };
        let step = Step {
            items: vec![item],
            ..Step::default()
        };
        render(&Page {
            steps: vec![step],
            ..Page::default()
        })
    };
    assert!(page(false).contains("it did not run"));
    assert!(!page(true).contains("did not run"));
    assert!(page(true).contains("Its record is not shown here."));
}
