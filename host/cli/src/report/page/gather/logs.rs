//! What steps logged, printed and measured.

use std::collections::BTreeMap;

use wharf_model::event::Event;

use super::super::data::{LogLine, Logs, Plot, Series};
use super::super::limits::{self, cut, few};

/// What was logged and printed, without what is in the middle of much. `left` is how
/// many characters the page has room for.
pub(super) fn logs(events: &[Event], left: &mut usize) -> Logs {
    let mut lines: Vec<LogLine> = Vec::new();
    let all = events.iter().filter(|event| is_line(event)).count();
    let shown = events.iter().filter(|event| is_line(event)).enumerate();
    let is_shown = |at: usize| at < limits::FIRST_LINES || at + limits::LAST_LINES >= all;
    for (at, event) in shown {
        if !is_shown(at) {
            continue;
        }
        let line = line(event);
        if line.text.len() > *left {
            break;
        }
        *left -= line.text.len();
        lines.push(line);
    }
    let left_out = all - lines.len();
    let last = match left_out {
        0 => Vec::new(),
        _ => lines.split_off(lines.len().min(limits::FIRST_LINES)),
    };
    Logs {
        first: lines,
        left_out,
        last,
    }
}

const fn is_line(event: &Event) -> bool {
    matches!(event, Event::Log { .. } | Event::Print { .. })
}

fn line(event: &Event) -> LogLine {
    match event {
        Event::Log {
            level,
            message,
            fields,
        } => {
            let fields: String = fields
                .iter()
                .map(|(name, value)| format!("  {name}={value}"))
                .collect();
            LogLine {
                level: Some(*level),
                text: cut(&format!("{message}{fields}"), limits::LINE),
            }
        }
        Event::Print { line, .. } => LogLine {
            level: None,
            text: cut(line, limits::LINE),
        },
        _ => LogLine {
            level: None,
            text: String::new(),
        },
    }
}

/// What was measured by the runs of one step, each metric on its own.
#[derive(Debug, Default)]
pub(super) struct Metrics(BTreeMap<String, Vec<Series>>);

impl Metrics {
    /// Adds what one run has measured; `run` is what its lines are called.
    pub(super) fn add(&mut self, run: &str, events: &[Event]) {
        let mut of_run: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
        for event in events {
            if let Event::Metric { name, value, step } = event {
                let points = of_run.entry(name).or_default();
                let at = step.map_or(points.len() as f64, |step| step as f64);
                points.push((at, *value));
            }
        }
        for (name, mut points) in of_run {
            points.sort_by(|one, other| one.0.total_cmp(&other.0));
            let series = Series {
                name: run.to_owned(),
                points: thinned(points),
            };
            let known = self.0.len() <= limits::PLOTS || self.0.contains_key(name);
            if known {
                self.0.entry(name.to_owned()).or_default().push(series);
            }
        }
    }

    /// As many plots as a page shows, and whether there are more.
    pub(super) fn plots(self) -> (Vec<Plot>, bool) {
        let plots = self.0.into_iter().map(|(name, series)| {
            let (series, left_out) = few(series, limits::SERIES);
            Plot {
                name: cut(&name, limits::NAME),
                series,
                left_out,
            }
        });
        let (plots, more) = few(plots.collect(), limits::PLOTS);
        (plots, more > 0)
    }
}

/// Fewer points that look the same: of each part, the least and the most, in order.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= limits::POINTS {
        return points;
    }
    let part = points.len().div_ceil(limits::POINTS / 2);
    let ends = |part: &[(f64, f64)]| {
        let by_value = |one: &&(f64, f64), other: &&(f64, f64)| one.1.total_cmp(&other.1);
        let least = part.iter().min_by(by_value).copied();
        let most = part.iter().max_by(by_value).copied();
        let mut ends: Vec<_> = least.into_iter().chain(most).collect();
        ends.sort_by(|one, other| one.0.total_cmp(&other.0));
        ends
    };
    points.chunks(part).flat_map(ends).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::event::Level;

    fn metric(name: &str, value: f64, step: Option<u64>) -> Event {
        Event::Metric {
            name: name.to_owned(),
            value,
            step,
        }
    }

    #[test]
    fn long_logs_lose_their_middle() {
        let message = |at: usize| Event::Log {
            level: Level::Info,
            message: format!("line {at}"),
            fields: vec![("a".into(), "b".into())],
        };
        let events: Vec<_> = (0..1000).map(message).collect();
        let found = logs(&events, &mut usize::MAX.clone());
        assert_eq!(found.first[0].text, "line 0  a=b");
        assert_eq!(found.last.last().unwrap().text, "line 999  a=b");
        let shown = found.first.len() + found.last.len();
        assert_eq!(shown, limits::FIRST_LINES + limits::LAST_LINES);
        assert_eq!(found.left_out, 1000 - shown);
        // All pages together have room for so much.
        let few = logs(&events, &mut 30);
        assert_eq!((few.first.len(), few.left_out), (2, 998));
        assert_eq!(logs(&events[..3], &mut 1000).left_out, 0);
    }

    #[test]
    fn metrics_are_lines_of_plots() {
        let mut metrics = Metrics::default();
        metrics.add(
            "0",
            &[metric("loss", 2.0, Some(1)), metric("loss", 1.0, Some(0))],
        );
        metrics.add(
            "1",
            &[metric("loss", f64::NAN, None), metric("other", 1.0, None)],
        );
        let (plots, more) = metrics.plots();
        assert!(!more);
        assert_eq!(plots[0].series[0].points, [(0.0, 1.0), (1.0, 2.0)]);
        assert_eq!((plots[0].series.len(), plots[1].series.len()), (2, 1));
    }

    #[test]
    fn many_points_and_metrics_are_thinned() {
        let mut metrics = Metrics::default();
        let wave = |at: u64| metric("wave", (at as f64 / 1000.0).sin(), Some(at));
        let mut events: Vec<_> = (0..100_000).map(wave).collect();
        events.push(metric("wave", 99.0, Some(50_000)));
        metrics.add("", &events);
        let (plots, _) = metrics.plots();
        let points = &plots[0].series[0].points;
        assert!(points.len() <= limits::POINTS);
        let outlier = points.iter().any(|point| point.1 == 99.0);
        assert!(outlier, "what stands out stays");

        let mut metrics = Metrics::default();
        let many = (0..1000).map(|at| metric(&format!("m{at}"), 0.0, None));
        metrics.add("", &many.collect::<Vec<_>>());
        let (plots, more) = metrics.plots();
        assert!(more);
        assert_eq!(plots.len(), limits::PLOTS);
    }
}
