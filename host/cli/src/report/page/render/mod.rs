//! A page as HTML.

mod lineage;
mod plot;
mod step;
mod timeline;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use wharf_model::Digest;
use wharf_model::name::is_active;
use wharf_model::pipeline::graph::svg;
use wharf_model::pipeline_run::StepStatus;

use super::data::Page;

/// The page's own style; that of the graph comes after it.
const STYLE: &str = include_str!("style.css");

/// A page as HTML.
pub(crate) fn render(page: &Page) -> String {
    let style = format!("{STYLE}{}", svg::STYLE);
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        STANDARD.encode(Digest::of(style.as_bytes()).as_bytes())
    );
    let title = format!("{} {}: {}", page.what, page.name, page.outcome);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(&style)) }
            }
            body {
                (header(page))
                main { (sections(page)) }
                footer { "Written by wharf " (env!("CARGO_PKG_VERSION")) "." }
            }
        }
    };
    inert(&page.into_string())
}

/// A page in which no character does anything but to be seen: none that changes the
/// direction of text, or means something to a terminal that shows the file.
fn inert(page: &str) -> String {
    let seen = |c: char| match c {
        '\n' => c,
        c if is_active(c) => '\u{fffd}',
        c => c,
    };
    page.chars().map(seen).collect()
}

fn header(page: &Page) -> Markup {
    html! {
        header {
            p.kicker { "Run of a " (page.what) }
            h1 { bdi { (page.name) } }
            p.outcome { (badge(page.status, &page.outcome)) }
            (facts(&page.facts))
            @if !page.counts.is_empty() {
                ul.counts {
                    @for (status, count) in &page.counts {
                        li { (badge(Some(*status), &format!("{count} {status}"))) }
                    }
                }
            }
            @for note in &page.notes {
                p.note { (note) }
            }
        }
    }
}

fn sections(page: &Page) -> Markup {
    html! {
        @if let Some(graph) = &page.graph {
            section #graph {
                h2 { "Graph" }
                div.graph tabindex="0" role="group" aria-label="Graph" { (PreEscaped(graph)) }
            }
        }
        (timeline::timeline(&page.timeline))
        @if !page.parameters.is_empty() {
            section #parameters {
                h2 { "Parameters" }
                (values(&page.parameters))
            }
        }
        section #steps {
            h2 { @if page.what == "step" { "The step" } @else { "Steps" } }
            @if page.steps.is_empty() { p.empty { "There are no steps to show." } }
            @for step in &page.steps { (step::step(step)) }
        }
        (lineage::lineage(&page.lineage))
    }
}

/// A symbol and a word: how something ended.
fn badge(status: Option<StepStatus>, words: &str) -> Markup {
    html! {
        span class=(format!("badge wg-{}", svg::class(status))) {
            (symbol(status)) (words)
        }
    }
}

/// The symbol of a status.
fn symbol(status: Option<StepStatus>) -> Markup {
    html! {
        svg.wg.symbol viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" {
            (PreEscaped(svg::symbol(status)))
        }
    }
}

/// What is known, each under its name.
fn facts(facts: &[(&'static str, String)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in facts {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// Values by name.
fn values(values: &[(String, String)]) -> Markup {
    html! {
        dl.values {
            @for (name, value) in values {
                div { dt { (name) } dd { code { (value) } } }
            }
        }
    }
}

/// A digest, as much of it as people look at; all of it where the mouse rests.
fn digest(digest: &str) -> Markup {
    let end = digest.char_indices().nth("sha256:".len() + 12);
    html! {
        @match end {
            Some((end, _)) => { code.digest title=(digest) { (digest[..end]) "…" } }
            None => { code.digest { (digest) } }
        }
    }
}

/// So many things, by their name.
fn many(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

#[cfg(test)]
mod tests;
