//! When what ran: a row for each step, and for few items of one.

use wharf_model::pipeline_run::{StepEnd, StepStatus};

use super::super::data::{Bar, Row, Timeline};
use super::super::limits::{self, cut, few};
use super::pipeline::Group;

/// The timeline of steps, in the order in which they began.
pub(super) fn timeline(groups: &[Group<'_>]) -> Timeline {
    let mut groups: Vec<&Group<'_>> = groups
        .iter()
        .filter(|group| !group.ends.is_empty())
        .collect();
    groups.sort_by_key(|group| group.began());
    let ends = groups.iter().flat_map(|group| &group.ends);
    let length = ends
        .map(|end| end.began_us.saturating_add(end.took_us))
        .max();
    let (rows, left_out) = few(groups.into_iter().flat_map(rows).collect(), limits::ROWS);
    Timeline {
        rows,
        length: length.unwrap_or_default(),
        left_out,
    }
}

fn rows(group: &Group<'_>) -> Vec<Row> {
    let name = cut(group.name, limits::NAME);
    let each = group.ends.iter().any(|end| end.item.is_some());
    if group.ends.len() > limits::ITEM_ROWS {
        return vec![Row {
            name,
            status: group.status().unwrap_or(StepStatus::NotRun),
            items: Some(group.ends.len()),
            bars: merged(&group.ends),
        }];
    }
    let row = |end: &&StepEnd| Row {
        name: match end.item.filter(|_| each) {
            Some(item) => format!("{name}[{item}]"),
            None => name.clone(),
        },
        status: end.status,
        items: None,
        bars: vec![bar(end)],
    };
    group.ends.iter().map(row).collect()
}

fn bar(end: &StepEnd) -> Bar {
    Bar {
        began: end.began_us,
        took: end.took_us,
        status: end.status,
    }
}

/// The times in which items ran, as few bars: those that touch are one, and where there
/// are still many, those that are closest. What went wrong keeps its colour.
fn merged(ends: &[&StepEnd]) -> Vec<Bar> {
    let mut all: Vec<Bar> = ends.iter().map(|end| bar(end)).collect();
    all.sort_by_key(|bar| (bar.began, bar.took));
    let mut close = 0;
    loop {
        let bars = joined(&all, close);
        if bars.len() <= limits::BARS {
            return bars;
        }
        close = close.saturating_mul(2).max(64);
    }
}

fn joined(all: &[Bar], close: u64) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    for bar in all {
        let end = bar.began.saturating_add(bar.took);
        match bars.last_mut() {
            Some(last)
                if last.began.saturating_add(last.took).saturating_add(close) >= bar.began =>
            {
                last.took = end.saturating_sub(last.began).max(last.took);
                last.status = worse(last.status, bar.status);
            }
            _ => bars.push(*bar),
        }
    }
    bars
}

/// Of two ways to end, the one that people must see.
pub(super) fn worse(one: StepStatus, other: StepStatus) -> StepStatus {
    let weight = |status| match status {
        StepStatus::Cached => 0,
        StepStatus::Succeeded => 1,
        StepStatus::Skipped => 2,
        StepStatus::NotRun => 3,
        StepStatus::Cancelled => 4,
        StepStatus::Failed => 5,
    };
    match weight(other) > weight(one) {
        true => other,
        false => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(item: u64, began_us: u64, took_us: u64, status: StepStatus) -> StepEnd {
        StepEnd {
            step: "each".into(),
            item: Some(item),
            status,
            commit: None,
            attempt: None,
            attempts: 1,
            began_us,
            took_us,
            message: None,
        }
    }

    #[test]
    fn few_items_have_rows_and_many_share_one() {
        let ends: Vec<_> = (0..10_000)
            .map(|item| end(item, item * 1000, 10, StepStatus::Succeeded))
            .collect();
        let rows_of = |ends: &[StepEnd]| {
            timeline(&[Group {
                name: "each",
                ends: ends.iter().collect(),
            }])
        };
        let few = rows_of(&ends[..3]);
        assert_eq!(few.rows.len(), 3);
        assert_eq!(few.rows[2].name, "each[2]");
        let many = rows_of(&ends);
        assert_eq!(many.rows[0].items, Some(10_000));
        assert!(many.rows[0].bars.len() <= limits::BARS);
        assert_eq!(many.length, 9_999_010);
    }

    #[test]
    fn one_failure_among_many_is_seen() {
        let mut ends: Vec<_> = (0..100)
            .map(|item| end(item, item, u64::MAX, StepStatus::Succeeded))
            .collect();
        ends[50].status = StepStatus::Failed;
        let bars = merged(&ends.iter().collect::<Vec<_>>());
        assert_eq!((bars.len(), bars[0].status), (1, StepStatus::Failed));
    }
}
