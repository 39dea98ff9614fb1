//! Metrics, drawn.

use maud::{Markup, html};

use super::super::data::{Plot, Series};
use super::many;

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 190.0;
/// Space for the numbers beside and below, and at the other sides.
const LEFT: f64 = 52.0;
const BELOW: f64 = 24.0;
const OTHER: f64 = 10.0;

/// A metric: a value, or lines.
pub(super) fn plot(plot: &Plot) -> Markup {
    let single = plot.series.iter().all(|series| series.points.len() <= 1);
    html! {
        figure.plot {
            figcaption { bdi { (plot.name) } }
            @if single { (single_values(plot)) } @else { (lines(plot)) }
            @if plot.left_out > 0 {
                p.soft { "And " (many(plot.left_out, "line")) " more, which are not drawn." }
            }
        }
    }
}

fn single_values(plot: &Plot) -> Markup {
    html! {
        @match &plot.series[..] {
            [one] => { p.value { (last(one)) } }
            several => {
                dl.values {
                    @for one in several { div { dt { (one.name) } dd { (last(one)) } } }
                }
            }
        }
    }
}

/// The last value of a line, as people write it.
fn last(series: &Series) -> String {
    let last = series.points.last().map(|point| number(point.1));
    last.unwrap_or_default()
}

fn lines(plot: &Plot) -> Markup {
    let points = || plot.series.iter().flat_map(|series| &series.points);
    let steps = Range::of(points().map(|point| point.0));
    let values = Range::of(points().map(|point| point.1));
    let unseen = points().filter(|point| !point.1.is_finite()).count();
    let several = plot.series.len() > 1;
    let y = |value: f64| OTHER + (1.0 - values.share(value)) * (HEIGHT - OTHER - BELOW);
    let x = |step: f64| LEFT + steps.share(step) * (WIDTH - LEFT - OTHER);
    let bottom = HEIGHT - BELOW;
    let label = format!(
        "{}: from {} to {}",
        plot.name,
        number(values.least),
        number(values.most)
    );
    html! {
        svg.lines viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" {
            title { (label) }
            @for (at, value) in values.marks() {
                @let at = format!("{:.1}", OTHER + (1.0 - at) * (bottom - OTHER));
                path.grid d=(format!("M{LEFT} {at}H{}", WIDTH - OTHER)) {}
                text.right x=(LEFT - 6.0) y=(at) dy="3.5" { (number(value)) }
            }
            text.left x=(LEFT) y=(HEIGHT - 7.0) { (number(steps.least)) }
            text.right x=(WIDTH - OTHER) y=(HEIGHT - 7.0) { (number(steps.most)) }
            @for (at, series) in plot.series.iter().enumerate() {
                path class=(format!("line s{at}")) d=(path(series, x, y)) {}
                @for (step, value) in alone(series) {
                    circle class=(format!("dot s{at}")) r="2.6"
                        cx=(format!("{:.1}", x(step))) cy=(format!("{:.1}", y(value))) {}
                }
            }
        }
        @if several {
            ul.legend {
                @for (at, series) in plot.series.iter().enumerate() {
                    li {
                        svg.lines.key viewBox="0 0 28 10" width="28" height="10" aria-hidden="true" {
                            path class=(format!("line s{at}")) d="M1 5H27" {}
                        }
                        bdi { (series.name) } " " span.soft { (last(series)) }
                    }
                }
            }
        } @else {
            @for series in &plot.series { p.soft { "last: " strong { (last(series)) } } }
        }
        @if unseen > 0 {
            p.soft { (many(unseen, "value")) " cannot be drawn: not a number, or infinite." }
        }
    }
}

/// A line, with a gap where a value is none.
fn path(series: &Series, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut pen = 'M';
    for (step, value) in &series.points {
        match value.is_finite() {
            true => {
                path += &format!("{pen}{:.1} {:.1}", x(*step), y(*value));
                pen = 'L';
            }
            false => pen = 'M',
        }
    }
    path
}

/// Points without others beside them, which make no line.
fn alone(series: &Series) -> Vec<(f64, f64)> {
    let points = &series.points;
    let drawn = |at: Option<usize>| {
        at.and_then(|at| points.get(at))
            .is_some_and(|point| point.1.is_finite())
    };
    let is_alone =
        |at: &usize| drawn(Some(*at)) && !drawn(at.checked_sub(1)) && !drawn(Some(at + 1));
    (0..points.len())
        .filter(is_alone)
        .map(|at| points[at])
        .collect()
}

/// From where to where numbers are.
struct Range {
    least: f64,
    most: f64,
}

impl Range {
    fn of(numbers: impl Iterator<Item = f64>) -> Self {
        let finite = numbers.filter(|number| number.is_finite());
        let (least, most) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), number| {
            (a.min(number), b.max(number))
        });
        match least <= most {
            true => Self { least, most },
            false => Self {
                least: 0.0,
                most: 0.0,
            },
        }
    }

    /// How far a number is on the way from the least to the most. Halves, since the
    /// difference of two numbers may be too large for one.
    fn share(&self, number: f64) -> f64 {
        let whole = self.most / 2.0 - self.least / 2.0;
        let part = number / 2.0 - self.least / 2.0;
        match whole > 0.0 {
            true => (part / whole).clamp(0.0, 1.0),
            false => 0.5,
        }
    }

    /// Numbers to write beside the lines, and how far they are.
    fn marks(&self) -> Vec<(f64, f64)> {
        match self.least < self.most {
            true => {
                let middle = self.least / 2.0 + self.most / 2.0;
                vec![(0.0, self.least), (0.5, middle), (1.0, self.most)]
            }
            false => vec![(0.5, self.least)],
        }
    }
}

/// A number with as many digits as people look at.
fn number(number: f64) -> String {
    let size = number.abs();
    match size {
        _ if number.is_nan() => "not a number".to_owned(),
        _ if number.is_infinite() => if number > 0.0 { "∞" } else { "−∞" }.to_owned(),
        0.0 => "0".to_owned(),
        _ if number.fract() == 0.0 && size < 1e9 => format!("{number}"),
        0.001..1e6 => {
            let digits = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
            let text = format!("{number:.digits$}");
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
        _ => format!("{number:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(points: &[(f64, f64)]) -> String {
        plot(&Plot {
            name: "loss".to_owned(),
            series: vec![Series {
                name: String::new(),
                points: points.to_vec(),
            }],
            left_out: 0,
        })
        .into_string()
    }

    #[test]
    fn numbers_are_short() {
        let all = [
            (0.0, "0"),
            (-3.0, "-3"),
            (0.123_456_7, "0.1235"),
            (99.5, "99.5"),
            (123_456.789, "123457"),
            (1e12, "1.000e12"),
            (f64::NAN, "not a number"),
            (f64::NEG_INFINITY, "−∞"),
        ];
        for (value, text) in all {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn nothing_and_one_value_are_no_lines() {
        assert!(!drawn(&[]).contains("<svg"));
        let one = drawn(&[(3.0, 0.25)]);
        assert!(one.contains(">0.25<") && !one.contains("<svg"), "{one}");
    }

    #[test]
    fn a_line_is_within_its_frame() {
        let drawn = drawn(&[(0.0, 1.0), (1.0, 3.0), (2.0, 2.0)]);
        assert!(
            drawn.contains("d=\"M52.0 166.0L201.0 10.0L350.0 88.0\""),
            "{drawn}"
        );
    }

    #[test]
    fn values_that_are_none_leave_gaps() {
        let drawn = drawn(&[
            (0.0, 1.0),
            (1.0, f64::NAN),
            (2.0, 2.0),
            (3.0, f64::INFINITY),
        ]);
        assert!(drawn.contains("2 values cannot be drawn"), "{drawn}");
        // What stands alone is a dot.
        assert_eq!(drawn.matches("<circle").count(), 2, "{drawn}");
        assert!(!drawn.contains("NaN"), "{drawn}");
    }

    #[test]
    fn huge_and_equal_values_are_drawn() {
        for points in [
            [(0.0, f64::MIN), (1.0, f64::MAX)],
            [(0.0, 5.0), (1.0, 5.0)],
            [(7.0, f64::NAN), (7.0, f64::NAN)],
            [(0.0, 5e-324), (1.8e19, 1e-300)],
        ] {
            let drawn = drawn(&points);
            assert!(drawn.contains("<svg"), "{drawn}");
            assert!(
                !drawn.contains("NaN") && !drawn.contains("inf\""),
                "{drawn}"
            );
        }
    }
}
