//! What was made, and what it comes from.

use maud::{Markup, html};

use super::super::data::{From, Made, Maker};
use super::{digest, many};

pub(super) fn lineage(all: &[Made]) -> Markup {
    html! {
        @if !all.is_empty() {
            section #lineage {
                h2 { "Lineage" }
                p.soft { "What was made, the steps that it comes from, and what they were given." }
                @for made in all {
                    details.card open[all.len() <= 4] {
                        summary { (name(made)) }
                        (from(&made.from))
                    }
                }
            }
        }
    }
}

fn name(made: &Made) -> Markup {
    html! {
        bdi.artifact { (made.name) } " " (digest(&made.digest))
    }
}

fn from(from: &From) -> Markup {
    html! {
        @match from {
            From::Outside => { p.soft { "was there before all steps" } }
            From::Above(step) => { p.soft { "made by " bdi { (step) } ", see above" } }
            From::Cut(why) => { p.soft { "made by " (why) } }
            From::Step(maker) => { (step(maker)) }
        }
    }
}

fn step(maker: &Maker) -> Markup {
    html! {
        div.maker {
            p { "made by " strong { bdi { (maker.step) } } " "
                code { (maker.reference) } " "
                span.soft { "in run " code { (maker.run) } } }
            @if !maker.parameters.is_empty() {
                p.soft {
                    @for (name, value) in &maker.parameters {
                        code.pair { (name) " = " (value) } " "
                    }
                }
            }
            @if !maker.inputs.is_empty() {
                ul {
                    @for input in &maker.inputs { li { (input_of(input)) } }
                    @if maker.left_out > 0 {
                        li.soft { "and " (many(maker.left_out, "input")) " more" }
                    }
                }
            }
        }
    }
}

fn input_of(input: &Made) -> Markup {
    html! {
        (name(input))
        @match &input.from {
            From::Outside => { " " span.soft { "an input" } }
            other => { (from(other)) }
        }
    }
}
