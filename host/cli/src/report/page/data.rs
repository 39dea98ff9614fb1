//! What a page shows, as plain data: cut to size, and not escaped yet.

use wharf_model::event::Level;
use wharf_model::pipeline_run::StepStatus;

/// A page about a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Page {
    /// The name of the pipeline, or of the step.
    pub(crate) name: String,
    /// What it is about: `pipeline` or `step`.
    pub(crate) what: &'static str,
    /// How it ended; nothing where it did not.
    pub(crate) status: Option<StepStatus>,
    /// The same in words.
    pub(crate) outcome: String,
    /// Facts about it: what, and its value.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// What cannot be shown, and why.
    pub(crate) notes: Vec<String>,
    /// How many steps and items ended how.
    pub(crate) counts: Vec<(StepStatus, usize)>,
    /// The graph, as SVG that is safe.
    pub(crate) graph: Option<String>,
    /// When what ran.
    pub(crate) timeline: Timeline,
    /// The parameters, as JSON.
    pub(crate) parameters: Vec<(String, String)>,
    /// The steps.
    pub(crate) steps: Vec<Step>,
    /// Where what was made comes from.
    pub(crate) lineage: Vec<Made>,
}

/// When what ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Timeline {
    pub(crate) rows: Vec<Row>,
    /// How long it is, in microseconds.
    pub(crate) length: u64,
    /// Rows that are not shown.
    pub(crate) left_out: usize,
}

/// A row of the timeline: one step or item, or many items of a step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// How it ended: the worst of its items.
    pub(crate) status: StepStatus,
    /// How many items it stands for, where it stands for many.
    pub(crate) items: Option<usize>,
    pub(crate) bars: Vec<Bar>,
}

/// A time in which something ran, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bar {
    pub(crate) began: u64,
    pub(crate) took: u64,
    pub(crate) status: StepStatus,
}

/// A step.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Step {
    /// Where the page tells about it; unique.
    pub(crate) anchor: String,
    pub(crate) name: String,
    /// How it ended: the worst of its items.
    pub(crate) status: Option<StepStatus>,
    /// How many of its items ended how, where it has items.
    pub(crate) counts: Vec<(StepStatus, usize)>,
    /// How long it took from its beginning to its end, in microseconds.
    pub(crate) took: Option<u64>,
    /// The runs of it that are shown: one, or some of its items.
    pub(crate) items: Vec<Item>,
    /// Items that are not shown.
    pub(crate) left_out: usize,
    pub(crate) plots: Vec<Plot>,
}

/// A step that ran once, or an item of one that ran many times.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Item {
    pub(crate) number: Option<u64>,
    pub(crate) status: Option<StepStatus>,
    pub(crate) attempts: u32,
    /// In microseconds.
    pub(crate) took: u64,
    /// Why it failed or was skipped.
    pub(crate) message: Option<String>,
    /// Whether the store has a record of it.
    pub(crate) recorded: bool,
    /// What its record says, where that was read.
    pub(crate) record: Option<Details>,
    pub(crate) logs: Logs,
}

/// What a record says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Details {
    pub(crate) facts: Vec<(&'static str, String)>,
    /// As JSON, where there are any.
    pub(crate) results: Option<String>,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) inputs: Vec<Artifact>,
    pub(crate) outputs: Vec<Artifact>,
    /// Artifacts that are not shown.
    pub(crate) left_out: usize,
    /// The signature, as WIT.
    pub(crate) signature: Option<String>,
    /// Where a trap happened, innermost function first.
    pub(crate) backtrace: Vec<String>,
}

/// An artifact.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Artifact {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) size: String,
    pub(crate) digest: String,
}

/// What a step logged and printed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Logs {
    pub(crate) first: Vec<LogLine>,
    /// Lines between the two that are not shown.
    pub(crate) left_out: usize,
    pub(crate) last: Vec<LogLine>,
}

/// A line of a log; one without a level was printed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogLine {
    pub(crate) level: Option<Level>,
    pub(crate) text: String,
}

/// A metric over its steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plot {
    pub(crate) name: String,
    pub(crate) series: Vec<Series>,
    /// Series that are not shown.
    pub(crate) left_out: usize,
}

/// A line of a plot.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Series {
    /// Which item it is of.
    pub(crate) name: String,
    /// Steps and values, in order; values may be no numbers.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Something that was made, and what it comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) from: From,
}

/// Where an artifact comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum From {
    /// It was there before all steps.
    Outside,
    /// A step made it.
    Step(Box<Maker>),
    /// A step made it that is told about above.
    Above(String),
    /// That is not followed.
    Cut(&'static str),
}

/// A step that made something.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Maker {
    pub(crate) step: String,
    pub(crate) reference: String,
    pub(crate) run: String,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) inputs: Vec<Made>,
    /// Inputs that are not shown.
    pub(crate) left_out: usize,
}
