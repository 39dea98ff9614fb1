//! A graph as a picture: SVG that needs nothing from elsewhere.
//!
//! Alone, it brings its colours, for light and dark. In a page, which has [`STYLE`] once,
//! it can show how each step ended. Status is told by colour, by the shape of a symbol,
//! and by a word.

mod text;

use std::fmt::Write as _;

use super::layout::{Layout, Line, Size, layout};
use super::{EdgeKind, Graph, Node};
use crate::pipeline_run::StepStatus;
use text::{Escaped, Short, characters, cut, cut_front};

/// The colours and lines of pictures, for a page that has some.
pub const STYLE: &str = include_str!("style.css");

/// Space around the drawing.
const MARGIN: f64 = 14.0;
/// About how wide a character is: of a name, of what a step uses, of how it ended.
const NAME_WIDTH: f64 = 7.9;
const DETAIL_WIDTH: f64 = 6.65;
const NOTE_WIDTH: f64 = 7.3;
/// Space between the text of a node and its sides.
const PADDING: f64 = 14.0;
const LEAST_WIDTH: f64 = 92.0;
/// How far the cards of a step with items are behind each other.
const CARD: f64 = 4.0;
/// The width of a status symbol, with the space beside it.
const SYMBOL: f64 = 22.0;

/// How a step ended, for a picture of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// How it ended; nothing where it did not.
    pub status: Option<StepStatus>,
    /// A word or two about it.
    pub note: String,
    /// What of the page tells more, such as `#train`.
    pub link: Option<String>,
}

impl Graph {
    /// The graph as a picture that is a file.
    #[must_use]
    pub fn svg(&self) -> String {
        let drawn = Drawing::new(self, &[]);
        let mut text = drawn.open(" xmlns=\"http://www.w3.org/2000/svg\"");
        let _ = writeln!(text, "<style>\n{STYLE}</style>");
        text.push_str("<rect class=\"wg-paper\" width=\"100%\" height=\"100%\"/>\n");
        drawn.draw(&mut text);
        text + "</svg>\n"
    }

    /// The graph of a run, for a page: how each step ended, in the order of the nodes.
    #[must_use]
    pub fn svg_of_run(&self, marks: &[Mark]) -> String {
        let drawn = Drawing::new(self, marks);
        let mut text = drawn.open("");
        drawn.draw(&mut text);
        text + "</svg>\n"
    }
}

/// The symbol of a status, or of a step that has not ended: a picture of 16 by 16.
#[must_use]
pub fn symbol(status: Option<StepStatus>) -> String {
    let class = class(status);
    let (shape, sign) = match status {
        Some(StepStatus::Succeeded) => (CIRCLE, "M4.6 8.3 7 10.7 11.4 5.6"),
        Some(StepStatus::Cached) => (CIRCLE, "M5 6.4H11M5 9.6H11"),
        Some(StepStatus::Skipped) => (CIRCLE, "M5 5 8 8 5 11M8.6 5 11.6 8 8.6 11"),
        Some(StepStatus::Failed) => (
            "M5.1 1H10.9L15 5.1V10.9L10.9 15H5.1L1 10.9V5.1Z",
            "M5.4 5.4 10.6 10.6M10.6 5.4 5.4 10.6",
        ),
        Some(StepStatus::Cancelled) => ("M2 2H14V14H2Z", "M5.6 5.6H10.4V10.4H5.6Z"),
        Some(StepStatus::NotRun) => (CIRCLE, "M5 8H11"),
        None => ("M8 1 15.2 14.4H.8Z", "M8 5.6V9.8M8 11.6V12.4"),
    };
    format!("<g class=\"wg-sign wg-{class}\"><path d=\"{shape}\"/><path d=\"{sign}\"/></g>")
}

/// A circle of 16 by 16.
const CIRCLE: &str = "M8 1A7 7 0 1 1 8 15A7 7 0 1 1 8 1Z";

/// The class of a status in the style.
#[must_use]
pub const fn class(status: Option<StepStatus>) -> &'static str {
    match status {
        Some(status) => status.name(),
        None => "open",
    }
}

/// A graph that is about to be drawn. An artifact that a step publishes is a node, too,
/// after all steps.
struct Drawing<'a> {
    graph: &'a Graph,
    marks: &'a [Mark],
    /// For each artifact that is published, the step.
    published: Vec<(usize, &'a str)>,
    /// The edges that are drawn: those that give something come first.
    edges: Vec<Drawn>,
    sizes: Vec<Size>,
    layout: Layout,
}

/// An edge, or the way from a step to what it publishes.
#[derive(Clone, Copy)]
enum Drawn {
    Edge(usize),
    Published(usize),
}

impl<'a> Drawing<'a> {
    fn new(graph: &'a Graph, marks: &'a [Mark]) -> Self {
        let published: Vec<(usize, &str)> = graph
            .nodes
            .iter()
            .enumerate()
            .flat_map(|(at, node)| node.publishes.iter().map(move |it| (at, &**it)))
            .collect();
        let mut edges: Vec<Drawn> = (0..graph.edges.len()).map(Drawn::Edge).collect();
        edges.extend((0..published.len()).map(Drawn::Published));
        edges.sort_by_key(|drawn| match drawn {
            Drawn::Edge(edge) => graph.edges[*edge].kind,
            Drawn::Published(_) => EdgeKind::Condition,
        });
        let ends = edges.iter().map(|drawn| match drawn {
            Drawn::Edge(edge) => (graph.edges[*edge].from, graph.edges[*edge].to),
            Drawn::Published(at) => (published[*at].0, graph.nodes.len() + at),
        });
        let ends: Vec<(usize, usize)> = ends.collect();
        let steps = graph.nodes.iter().enumerate();
        let steps = steps.map(|(at, node)| step_size(node, marks.get(at)));
        let artifacts = published.iter().map(|(_, target)| artifact_size(target));
        let sizes: Vec<Size> = steps.chain(artifacts).collect();
        Self {
            layout: layout(&sizes, &ends),
            graph,
            marks,
            published,
            edges,
            sizes,
        }
    }

    /// The beginning of the picture. Its own size is that of its text, so that it is not
    /// blown up; narrower places shrink it.
    fn open(&self, attributes: &str) -> String {
        let width = self.layout.size.width + 2.0 * MARGIN + CARD * 2.0;
        let height = self.layout.size.height + 2.0 * MARGIN + CARD * 2.0;
        let (steps, width, height) = (self.graph.nodes.len(), Short(width), Short(height));
        format!(
            "<svg{attributes} class=\"wg\" role=\"img\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<title>A pipeline of {steps} steps</title>\n"
        )
    }

    fn draw(&self, text: &mut String) {
        let _ = writeln!(text, "<g transform=\"translate({MARGIN} {MARGIN})\">");
        for line in &self.layout.lines {
            self.line(line, text);
        }
        for (at, node) in self.graph.nodes.iter().enumerate() {
            self.step(at, node, text);
        }
        for (at, (step, target)) in self.published.iter().enumerate() {
            self.artifact(at, *step, target, text);
        }
        text.push_str("</g>\n");
    }

    fn line(&self, line: &Line, text: &mut String) {
        let (class, title) = match self.edges[line.edge] {
            Drawn::Published(at) => ("wg-publishes", self.published_title(at)),
            Drawn::Edge(edge) => {
                let edge = &self.graph.edges[edge];
                let class = match edge.kind {
                    EdgeKind::Data => "wg-data",
                    EdgeKind::Condition => "wg-condition",
                    EdgeKind::Order => "wg-order",
                };
                let name = |at: usize| &*self.graph.nodes[at].name;
                let what = match edge.uses.is_empty() {
                    true => "only the order".to_owned(),
                    false => edge.uses.join(", "),
                };
                let ends = (name(edge.from), name(edge.to));
                (class, format!("{} to {}: {what}", ends.0, ends.1))
            }
        };
        let (x, y) = (Short(line.from.x), Short(line.from.y));
        let end = line.to.y - if line.arrives { ARROW } else { 0.0 };
        let middle = Short((line.bend + end) / 2.0);
        let (bend, to, end) = (Short(line.bend), Short(line.to.x), Short(end));
        let straight = match line.bend > line.from.y {
            true => format!("V{bend}"),
            false => String::new(),
        };
        let path = format!("M{x} {y}{straight}C{x} {middle} {to} {middle} {to} {end}");
        if !line.arrives {
            let _ = writeln!(text, "<path class=\"wg-line {class}\" d=\"{path}\"/>");
            return;
        }
        let (tip, half) = (Short(line.to.y - 1.0), ARROW / 2.0);
        let arrow = format!("M{to} {tip}l-{half} -{ARROW}h{ARROW}z");
        let title = Escaped(&title);
        let _ = writeln!(
            text,
            "<g><title>{title}</title><path class=\"wg-line {class}\" d=\"{path}\"/>\
             <path class=\"wg-arrow {class}\" d=\"{arrow}\"/></g>"
        );
    }

    fn published_title(&self, at: usize) -> String {
        let (step, target) = self.published[at];
        format!("{} publishes {target}", self.graph.nodes[step].name)
    }

    fn step(&self, at: usize, node: &Node, text: &mut String) {
        let mark = self.marks.get(at);
        let class = mark.map_or("plain", |mark| class(mark.status));
        let when = if node.conditional { " wg-when" } else { "" };
        let link = mark.and_then(|mark| mark.link.as_deref());
        if let Some(link) = link {
            let _ = write!(text, "<a href=\"{}\">", Escaped(link));
        }
        let _ = writeln!(text, "<g class=\"wg-step wg-{class}{when}\">");
        let _ = writeln!(text, "<title>{}</title>", Escaped(&title(node, mark)));
        let (top, size) = (self.layout.nodes[at], self.sizes[at]);
        let (left, y) = (top.x - size.width / 2.0, top.y);
        if node.each {
            for card in [2.0, 1.0] {
                rectangle(left + card * CARD, y + card * CARD, size, 7.0, text);
            }
        }
        rectangle(left, y, size, 7.0, text);
        let name = format!("{}{}", cut(&node.name), if node.each { " ×" } else { "" });
        let mut lines = Lines::at(top.x, y, text);
        match mark {
            None => lines.add("wg-name", &name),
            Some(mark) => lines.add_with_symbol(&symbol(mark.status), &name),
        }
        if let Some(uses) = &node.uses {
            lines.add("wg-detail", &cut_front(uses));
        }
        if let Some(mark) = mark {
            lines.add("wg-note", &cut(&mark.note));
        }
        text.push_str("</g>");
        text.push_str(if link.is_some() { "</a>\n" } else { "\n" });
    }

    fn artifact(&self, at: usize, step: usize, target: &str, text: &mut String) {
        let index = self.graph.nodes.len() + at;
        let (top, size) = (self.layout.nodes[index], self.sizes[index]);
        let published = self.marks.get(step).is_none_or(|mark| {
            let good = mark.status.is_some_and(StepStatus::is_good);
            good || mark.status.is_none()
        });
        let class = if published { "" } else { " wg-absent" };
        let title = self.published_title(at);
        let _ = writeln!(text, "<g class=\"wg-artifact{class}\">");
        let _ = writeln!(text, "<title>{}</title>", Escaped(&title));
        rectangle(
            top.x - size.width / 2.0,
            top.y,
            size,
            size.height / 2.0,
            text,
        );
        Lines::at(top.x, top.y - 2.0, text).add("wg-detail", &cut(target));
        text.push_str("</g>\n");
    }
}

/// The size of an arrow.
const ARROW: f64 = 7.0;

/// Lines of text in a node, one below the other.
struct Lines<'a> {
    x: f64,
    y: f64,
    text: &'a mut String,
}

impl<'a> Lines<'a> {
    const HEIGHT: f64 = 16.0;

    fn at(x: f64, top: f64, text: &'a mut String) -> Self {
        let y = top + 21.0;
        Self { x, y, text }
    }

    fn add(&mut self, class: &str, line: &str) {
        let (x, y, line) = (Short(self.x), Short(self.y), Escaped(line));
        let _ = writeln!(
            self.text,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{line}</text>"
        );
        self.y += Self::HEIGHT;
    }

    /// Adds a name with a symbol before it. The name begins beside the symbol, however
    /// wide it turns out to be.
    fn add_with_symbol(&mut self, symbol: &str, name: &str) {
        let left = self.x - (characters(name) * NAME_WIDTH + SYMBOL) / 2.0;
        let (x, top) = (Short(left), Short(self.y - 12.5));
        let _ = writeln!(
            self.text,
            "<g transform=\"translate({x} {top})\">{symbol}</g>"
        );
        let (x, y, name) = (Short(left + SYMBOL), Short(self.y), Escaped(name));
        let _ = writeln!(
            self.text,
            "<text class=\"wg-name wg-begins\" x=\"{x}\" y=\"{y}\">{name}</text>"
        );
        self.y += Self::HEIGHT;
    }
}

fn rectangle(x: f64, y: f64, size: Size, round: f64, text: &mut String) {
    let (x, y, round) = (Short(x), Short(y), Short(round));
    let (width, height) = (Short(size.width), Short(size.height));
    let _ = writeln!(
        text,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{round}\"/>"
    );
}

fn step_size(node: &Node, mark: Option<&Mark>) -> Size {
    let each = if node.each { 2.0 } else { 0.0 };
    let name = (characters(&cut(&node.name)) + each) * NAME_WIDTH;
    let name = name + if mark.is_some() { SYMBOL } else { 0.0 };
    let uses = node.uses.as_deref().map(cut_front);
    let uses = uses.map(|uses| characters(&uses) * DETAIL_WIDTH);
    let note = mark.map(|mark| characters(&cut(&mark.note)) * NOTE_WIDTH);
    let lines = [uses, note];
    let width = lines.iter().flatten().copied().fold(name, f64::max) + 2.0 * PADDING;
    let lines = lines.iter().flatten().count();
    Size {
        width: width.max(LEAST_WIDTH).round(),
        height: 33.0 + lines as f64 * Lines::HEIGHT,
    }
}

fn artifact_size(target: &str) -> Size {
    let width = characters(&cut(target)) * DETAIL_WIDTH + 2.0 * PADDING;
    let height = 28.0;
    Size { width, height }
}

fn title(node: &Node, mark: Option<&Mark>) -> String {
    let mut lines = node.lines();
    if node.each {
        lines.push("runs for each item of a list".to_owned());
    }
    if node.conditional {
        lines.push("runs under a condition".to_owned());
    }
    lines.extend(mark.map(|mark| mark.note.clone()));
    lines.join("; ")
}
