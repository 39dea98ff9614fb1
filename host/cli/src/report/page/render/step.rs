//! A step, and what came of it.

use maud::{Markup, html};
use wharf_model::event::Level;
use wharf_model::pipeline_run::StepStatus;

use super::super::data::{Artifact, Details, Item, LogLine, Logs, Step};
use super::{badge, digest, facts, many, plot, symbol, values};
use crate::report::duration;

pub(super) fn step(step: &Step) -> Markup {
    let failed = matches!(
        step.status,
        Some(StepStatus::Failed | StepStatus::Cancelled)
    );
    let word = step
        .status
        .map_or("not known".to_owned(), |status| status.to_string());
    html! {
        details.card.step #(step.anchor) open[failed || !step.plots.is_empty()] {
            summary {
                (symbol(step.status))
                span.name { bdi { (step.name) } }
                (status_words(step, &word))
                @if let Some(took @ 1..) = step.took { span.took { (duration(took)) } }
            }
            @if !step.plots.is_empty() {
                div.plots { @for one in &step.plots { (plot::plot(one)) } }
            }
            @match &step.items[..] {
                [] => { p.empty { "Nothing is recorded about it." } }
                [one] if one.number.is_none() => { (item(one)) }
                several => { @for one in several { (numbered(one)) } }
            }
            @if step.left_out > 0 {
                p.note { "And " (many(step.left_out, "item")) " more, which are not shown." }
            }
        }
    }
}

fn status_words(step: &Step, word: &str) -> Markup {
    let class = |status| {
        format!(
            "word wg-{}",
            wharf_model::pipeline::graph::svg::class(status)
        )
    };
    html! {
        @if step.counts.is_empty() {
            span class=(class(step.status)) { (word) }
        } @else {
            @for (status, count) in &step.counts {
                span class=(class(Some(*status))) { (count) " " (status) }
            }
        }
    }
}

/// An item of a step.
fn numbered(one: &Item) -> Markup {
    let failed = matches!(one.status, Some(StepStatus::Failed));
    let number = one.number.map(|number| format!("[{number}]"));
    html! {
        details.item open[failed] {
            summary {
                (badge(one.status, &number.unwrap_or_default()))
                @if let Some(message) = &one.message { span.short { (message) } }
                span.took { (duration(one.took)) }
            }
            (item(one))
        }
    }
}

fn item(item: &Item) -> Markup {
    html! {
        @if let Some(message) = &item.message {
            @match item.status {
                Some(StepStatus::Failed) => { pre.message.failed { (message) } }
                _ => { pre.message { (message) } }
            }
        }
        @if item.attempts > 1 { p { (many(item.attempts as usize, "attempt")) } }
        @match &item.record {
            Some(details) => { (record(details)) }
            None if item.recorded => { p.soft { "Its record is not shown here." } }
            None => { p.soft { "There is no record of it: it did not run." } }
        }
        (logs(&item.logs))
    }
}

fn record(details: &Details) -> Markup {
    html! {
        @if !details.backtrace.is_empty() {
            pre.message { @for frame in &details.backtrace { "in " (frame) "\n" } }
        }
        @if let Some(results) = &details.results {
            h3 { "Results" }
            pre { (results) }
        }
        @if !details.parameters.is_empty() {
            h3 { "Parameters" }
            (values(&details.parameters))
        }
        (artifacts("Inputs", "from", &details.inputs))
        (artifacts("Outputs", "to", &details.outputs))
        @if details.left_out > 0 {
            p.note { "And " (many(details.left_out, "artifact")) " more, which are not shown." }
        }
        details.more {
            summary { "Record" }
            (facts(&details.facts))
            @if let Some(signature) = &details.signature { pre { (signature) } }
        }
    }
}

fn artifacts(title: &str, place: &str, all: &[Artifact]) -> Markup {
    let placed = all.iter().any(|artifact| !artifact.path.is_empty());
    html! {
        @if !all.is_empty() {
            h3 { (title) }
            div.scroll {
                table {
                    thead { tr {
                        th { "name" }
                        @if placed { th { (place) } }
                        th { "size" } th { "digest" }
                    } }
                    tbody { @for artifact in all { tr {
                        td { bdi { (artifact.name) } }
                        @if placed { td { bdi { (artifact.path) } } }
                        td { (artifact.size) }
                        td { (digest(&artifact.digest)) }
                    } } }
                }
            }
        }
    }
}

fn logs(logs: &Logs) -> Markup {
    let lines = logs.first.len() + logs.last.len();
    html! {
        @if lines + logs.left_out > 0 {
            h3 { "Log" }
            div.log tabindex="0" role="log" aria-label="Log" {
                @for one in &logs.first { (line(one)) }
                @if logs.left_out > 0 {
                    p.note { (many(logs.left_out, "line")) " not shown: `wharf show --logs` has all." }
                }
                @for one in &logs.last { (line(one)) }
            }
        }
    }
}

fn line(line: &LogLine) -> Markup {
    let (class, word) = match line.level {
        Some(Level::Error) => ("error", "error"),
        Some(Level::Warn) => ("warn", "warn"),
        Some(Level::Info) => ("info", "info"),
        Some(Level::Debug) => ("debug", "debug"),
        Some(Level::Trace) => ("debug", "trace"),
        None => ("print", ""),
    };
    html! {
        div class=(class) { span.level { (word) } span.text { (line.text) } }
    }
}
