//! The run of a pipeline.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use wharf_model::Fault;
use wharf_model::pipeline::graph::Graph;
use wharf_model::pipeline::graph::svg::Mark;
use wharf_model::pipeline::{MAX_FILE_BYTES, parse};
use wharf_model::pipeline_run::{Ended, PipelineOutcome, Started, StepEnd, StepStatus};
use wharf_model::record::RunId;
use wharf_store::Store;

use super::super::data::{Item, Page, Step};
use super::super::limits::{self, cut, few};
use super::logs::{Metrics, logs};
use super::made::made;
use super::timeline::{timeline, worse};
use super::{REQUESTS, Records, details, events, time, values};
use crate::report::duration;

/// How the items of a step ended, or it itself.
pub(super) struct Group<'a> {
    pub(super) name: &'a str,
    pub(super) ends: Vec<&'a StepEnd>,
}

impl Group<'_> {
    /// When the first of them began.
    pub(super) fn began(&self) -> u64 {
        let began = self.ends.iter().map(|end| end.began_us);
        began.min().unwrap_or_default()
    }

    /// How it ended: the worst of them.
    pub(super) fn status(&self) -> Option<StepStatus> {
        self.ends.iter().map(|end| end.status).reduce(worse)
    }

    fn took(&self) -> Option<u64> {
        let ends = self.ends.iter();
        let end = ends
            .map(|end| end.began_us.saturating_add(end.took_us))
            .max()?;
        Some(end.saturating_sub(self.began()))
    }

    fn is_each(&self) -> bool {
        self.ends.iter().any(|end| end.item.is_some())
    }

    /// The items that are shown, those that failed first.
    fn shown(&self) -> Vec<&StepEnd> {
        let mut shown: Vec<&StepEnd> = self.ends.clone();
        let good = |end: &StepEnd| end.status.is_good();
        shown.sort_by_key(|end| (good(end), end.item));
        shown.truncate(limits::ITEMS);
        shown
    }
}

pub(super) async fn gather(store: &Store, id: &RunId) -> Result<Page, Fault> {
    let (started, ended) = store.pipeline_run(id).await?;
    let mut notes = Vec::new();
    if ended.is_none() {
        notes.push(
            "The run has no end: it was interrupted, or still runs. How its steps ended is \
             recorded at the end, so it is not known here; what was committed is not run again."
                .to_owned(),
        );
    }
    let ends = ended.as_ref().map_or(&[][..], |ended| &ended.steps);
    let graph = graph(store, &started).await.unwrap_or_else(|why| {
        notes.push(format!(
            "The pipeline is not drawn: {}",
            cut(&why, limits::LINE)
        ));
        Graph {
            nodes: Vec::new(),
            edges: Vec::new(),
        }
    });
    let groups = groups(&graph, ends);
    let gathered = Gathering::of(store, &groups, &mut notes).await;
    let timeline = timeline(&groups);
    let lineage = made(&gathered.records, store, id, &graph, &groups, &mut notes).await;
    if groups.len() > limits::STEPS {
        notes.push(format!(
            "Of {} steps, {} are told about: those that failed, then the first.",
            groups.len(),
            limits::STEPS
        ));
    }
    Ok(Page {
        name: cut(&started.name, limits::NAME),
        what: "pipeline",
        status: ended.as_ref().map(|ended| status(ended.outcome)),
        outcome: ended
            .as_ref()
            .map_or("has no end", |it| words(it.outcome))
            .to_owned(),
        facts: facts(&started, ended.as_ref()),
        counts: counts(ends.iter()),
        graph: picture(
            &graph,
            &groups,
            &gathered.steps,
            ended.is_some(),
            &mut notes,
        ),
        notes,
        timeline,
        parameters: values(&started.parameters),
        steps: gathered.steps,
        lineage,
    })
}

const fn status(outcome: PipelineOutcome) -> StepStatus {
    match outcome {
        PipelineOutcome::Succeeded => StepStatus::Succeeded,
        PipelineOutcome::Failed { .. } => StepStatus::Failed,
        PipelineOutcome::Cancelled { .. } => StepStatus::Cancelled,
        PipelineOutcome::Unfinished => StepStatus::NotRun,
    }
}

const fn words(outcome: PipelineOutcome) -> &'static str {
    match outcome {
        PipelineOutcome::Succeeded => "succeeded",
        PipelineOutcome::Failed { retryable: true } => "failed, trying again may help",
        PipelineOutcome::Failed { retryable: false } => "failed",
        PipelineOutcome::Cancelled { .. } => "cancelled",
        PipelineOutcome::Unfinished => "unfinished",
    }
}

fn facts(started: &Started, ended: Option<&Ended>) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("run", started.id.to_string()),
        ("started", time(started.started)),
    ];
    if let Some(ended) = ended {
        let took = ended.ended.duration_since(started.started);
        let took = u64::try_from(took.as_micros()).unwrap_or_default();
        facts.push(("took", duration(took)));
    }
    let text = |text: &String| cut(text, limits::NAME);
    facts.push(("by", text(&started.by)));
    facts.push(("host", text(&started.host.to_string())));
    facts.extend(started.stack.as_ref().map(|stack| ("stack", text(stack))));
    facts.extend(started.partition.as_ref().map(|it| ("partition", text(it))));
    facts.push(("logical time", started.logical_time.to_string()));
    facts.push(("file", text(&started.file)));
    facts
}

/// The graph of the pipeline as it was, from its text in the store.
async fn graph(store: &Store, started: &Started) -> Result<Graph, String> {
    if started.definition.size > MAX_FILE_BYTES as u64 {
        return Err("its file is too large".to_owned());
    }
    let text = async { store.open_blob(&started.definition).await?.read().await };
    let text = text.await.map_err(|fault| fault.to_string())?;
    let text = str::from_utf8(&text).map_err(|error| error.to_string())?;
    let pipeline = parse(text).map_err(|mistakes| {
        let first = mistakes.first().map(|mistake| mistake.message.clone());
        first.unwrap_or_default()
    })?;
    Ok(Graph::of(&pipeline))
}

/// How steps ended, in the order of the graph; those that are not in it come last.
fn groups<'a>(graph: &'a Graph, ends: &'a [StepEnd]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut place: BTreeMap<&str, usize> = BTreeMap::new();
    let names = graph.nodes.iter().map(|node| &*node.name);
    for name in names.chain(ends.iter().map(|end| &*end.step)) {
        place.entry(name).or_insert_with(|| {
            groups.push(Group {
                name,
                ends: Vec::new(),
            });
            groups.len() - 1
        });
    }
    for end in ends {
        if let Some(at) = place.get(&*end.step) {
            groups[*at].ends.push(end);
        }
    }
    for group in &mut groups {
        group.ends.sort_by_key(|end| end.item);
    }
    groups
}

fn counts<'a>(ends: impl Iterator<Item = &'a StepEnd> + Clone) -> Vec<(StepStatus, usize)> {
    let count = |status| {
        (
            status,
            ends.clone().filter(|end| end.status == status).count(),
        )
    };
    let counts = StepStatus::ALL.map(count);
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// The graph with how each step ended, and a link to each that the page tells about.
fn picture(
    graph: &Graph,
    groups: &[Group<'_>],
    told: &[Step],
    has_ended: bool,
    notes: &mut Vec<String>,
) -> Option<String> {
    let steps = graph.nodes.len();
    if steps > limits::DRAWN {
        notes.push(format!(
            "A pipeline of {steps} steps is not drawn here: see `wharf pipeline graph --format svg`."
        ));
        return None;
    }
    let told: BTreeSet<&str> = told.iter().map(|step| &*step.anchor).collect();
    let mark = |(at, group): (usize, &Group<'_>)| Mark {
        status: group.status(),
        note: note(group, has_ended),
        link: Some(anchor(at))
            .filter(|anchor| told.contains(&**anchor))
            .map(|anchor| format!("#{anchor}")),
    };
    let marks: Vec<Mark> = groups.iter().enumerate().map(mark).collect();
    (steps > 0).then(|| graph.svg_of_run(&marks))
}

fn note(group: &Group<'_>, has_ended: bool) -> String {
    let Some(status) = group.status() else {
        let unknown = if has_ended { "no items" } else { "not known" };
        return unknown.to_owned();
    };
    let good = status == StepStatus::Succeeded;
    match (group.is_each(), group.took().filter(|_| good)) {
        (true, _) => {
            let counts = counts(group.ends.iter().copied());
            let counts = counts
                .iter()
                .map(|(status, count)| format!("{count} {status}"));
            counts.collect::<Vec<_>>().join(", ")
        }
        (false, Some(took)) => format!("{status}, {}", duration(took)),
        (false, None) => status.to_string(),
    }
}

fn anchor(at: usize) -> String {
    format!("step-{at}")
}

/// What the page tells about steps, and the records that it is from.
struct Gathering {
    steps: Vec<Step>,
    records: Records,
}

impl Gathering {
    async fn of(store: &Store, groups: &[Group<'_>], notes: &mut Vec<String>) -> Self {
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by_key(|at| groups[*at].status() != Some(StepStatus::Failed));
        let (mut shown, _) = few(order, limits::STEPS);
        let ends = shown.iter().flat_map(|at| groups[*at].shown());
        let ends: Vec<&StepEnd> = ends.take(limits::RECORDS).collect();
        let records = Records::read(store, &ends).await;
        shown.sort_unstable();
        let mut left = limits::LOGS;
        let mut more_plots = false;
        let mut steps = Vec::new();
        for at in shown {
            let (step, more) = step(store, at, &groups[at], &records, &mut left).await;
            more_plots |= more;
            steps.push(step);
        }
        if more_plots {
            notes.push(format!(
                "Of each step, {} metrics are drawn.",
                limits::PLOTS
            ));
        }
        Self { steps, records }
    }
}

async fn step(
    store: &Store,
    at: usize,
    group: &Group<'_>,
    records: &Records,
    left: &mut usize,
) -> (Step, bool) {
    let shown = group.shown();
    let mut metrics = Metrics::default();
    let mut items = Vec::new();
    let logged = shown.iter().map(|end| events(store, records.of(end)));
    let logged: Vec<_> = futures::stream::iter(logged)
        .buffered(REQUESTS)
        .collect()
        .await;
    for (end, events) in shown.iter().zip(logged) {
        let record = records.of(end);
        let name = end.item.map(|item| format!("[{item}]"));
        metrics.add(&name.unwrap_or_default(), &events);
        items.push(Item {
            number: end.item,
            status: Some(end.status),
            attempts: end.attempts,
            took: end.took_us,
            message: end.message.as_ref().map(|text| cut(text, limits::TEXT)),
            recorded: end.commit.is_some() || end.attempt.is_some(),
            record: record.map(details::details),
            logs: logs(&events, left),
        });
    }
    let (plots, more) = metrics.plots();
    let step = Step {
        anchor: anchor(at),
        name: cut(group.name, limits::NAME),
        status: group.status(),
        counts: match group.is_each() {
            true => counts(group.ends.iter().copied()),
            false => Vec::new(),
        },
        took: group.took(),
        left_out: group.ends.len() - items.len(),
        items,
        plots,
    };
    (step, more)
}

#[cfg(test)]
mod tests {
    use wharf_model::Digest;

    use super::*;

    fn succeeded(step: &str, commit: Option<Digest>) -> StepEnd {
        StepEnd {
            step: step.to_owned(),
            item: None,
            status: StepStatus::Succeeded,
            commit,
            attempt: None,
            attempts: 1,
            began_us: 0,
            took_us: 1,
            message: None,
        }
    }

    fn graph_of(steps: usize) -> Graph {
        let step = |at| format!("  s{at}: {{ uses: a.wasm }}\n");
        let steps: String = (0..steps).map(step).collect();
        Graph::of(&parse(&format!("steps:\n{steps}")).unwrap())
    }

    #[tokio::test]
    async fn only_steps_that_are_told_about_have_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path());
        let graph = graph_of(limits::STEPS + 5);
        let ends: Vec<_> = (0..limits::STEPS + 5)
            .map(|at| succeeded(&format!("s{at}"), None))
            .collect();
        let groups = groups(&graph, &ends);
        let mut notes = Vec::new();
        let told = Gathering::of(&store, &groups, &mut notes).await.steps;
        assert_eq!(told.len(), limits::STEPS);
        let svg = picture(&graph, &groups, &told, true, &mut notes).unwrap();
        assert_eq!(svg.matches("href=\"#step-").count(), limits::STEPS);
        for step in &told {
            assert!(svg.contains(&format!("href=\"#{}\"", step.anchor)));
        }
    }

    /// Records that are not there, as one that is damaged or was not read.
    #[tokio::test]
    async fn a_record_that_was_not_read_makes_nothing_a_product() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path());
        let graph = graph_of(2);
        let ends = [
            succeeded("s0", Some(Digest::of(b"commit"))),
            succeeded("s1", None),
        ];
        let groups = groups(&graph, &ends);
        let mut notes = Vec::new();
        let gathered = Gathering::of(&store, &groups, &mut notes).await;
        let recorded: Vec<bool> = gathered
            .steps
            .iter()
            .map(|step| step.items[0].recorded)
            .collect();
        assert_eq!(recorded, [true, false]);
        assert!(gathered.steps[0].items[0].record.is_none());
        let run = "019b-1".parse().unwrap();
        let made = made(&gathered.records, &store, &run, &graph, &groups, &mut notes);
        assert_eq!(made.await, []);
        assert!(
            notes
                .iter()
                .any(|note| note.starts_with("Of 1 records of steps, 0 were read")),
            "{notes:?}"
        );
    }
}
