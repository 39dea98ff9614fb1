//! When what ran, as bars.

use maud::{Markup, html};
use wharf_model::pipeline::graph::svg;

use super::super::data::{Bar, Row, Timeline};
use super::{many, symbol};
use crate::report::duration;

/// The width of all bars together, in their own unit.
const WIDTH: f64 = 1000.0;
/// The least width of a bar, so that it is seen.
const LEAST: f64 = 2.5;
/// Times that are written above the bars.
const TIMES: u64 = 4;

pub(super) fn timeline(timeline: &Timeline) -> Markup {
    html! {
        @if !timeline.rows.is_empty() {
            section #timeline {
                h2 { "Timeline" }
                div.timeline {
                    div.row.times aria-hidden="true" {
                        span {}
                        span.axis {
                            @for part in 0..=TIMES {
                                span { (duration(at(timeline.length, part))) }
                            }
                        }
                        span {}
                    }
                    @for row in &timeline.rows { (line(row, timeline.length)) }
                }
                @if timeline.left_out > 0 {
                    p.note { "And " (many(timeline.left_out, "row")) " more, which are not shown." }
                }
            }
        }
    }
}

fn at(length: u64, part: u64) -> u64 {
    (u128::from(length) * u128::from(part) / u128::from(TIMES)) as u64
}

fn line(row: &Row, length: u64) -> Markup {
    let took = row.bars.iter().fold((u64::MAX, 0), |(first, last), bar| {
        let end = bar.began.saturating_add(bar.took);
        (bar.began.min(first), end.max(last))
    });
    let took = match took.1.saturating_sub(took.0) {
        // What did not run takes no time.
        0 => row.status.to_string(),
        took => duration(took),
    };
    html! {
        div.row {
            span.name {
                (symbol(Some(row.status))) " " bdi { (row.name) }
                @if let Some(items) = row.items { " " span.soft { "× " (items) } }
            }
            svg.bars viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" {
                title { (row.name) ": " (took) }
                @for one in &row.bars { (bar(one, length)) }
            }
            span.took { (took) }
        }
    }
}

fn bar(bar: &Bar, length: u64) -> Markup {
    let scale = WIDTH / length.max(1) as f64;
    let width = (bar.took as f64 * scale).clamp(LEAST, WIDTH);
    let x = (bar.began as f64 * scale).min(WIDTH - width);
    let class = format!("bar wg-{}", svg::class(Some(bar.status)));
    html! {
        rect class=(class) x=(format!("{x:.1}")) y="2" width=(format!("{width:.1}")) height="12" {}
    }
}
