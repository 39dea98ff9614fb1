//! One figure, what it is compared with, and what was promised.

use serde::Serialize;

use crate::samples::Samples;

/// What a figure has to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bar {
    /// The figure itself is at most this.
    ValueAtMost(f64),
    /// The figure itself is at least this.
    ValueAtLeast(f64),
    /// Its ratio to the yardstick is at most this.
    RatioAtMost(f64),
    /// Its ratio to the yardstick is at least this.
    RatioAtLeast(f64),
    /// Nothing was promised: for information.
    Open,
}

/// What a figure is compared with.
#[derive(Clone, Debug)]
pub(crate) struct Yardstick {
    /// What was measured.
    pub(crate) what: &'static str,
    /// In the figure's unit, one for each of its readings.
    pub(crate) readings: Vec<f64>,
}

/// A figure with all that belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct Measurement {
    pub(crate) name: String,
    /// What exactly was measured.
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) readings: Vec<f64>,
    pub(crate) yardstick: Option<Yardstick>,
    pub(crate) bar: Bar,
}

/// A measurement as it is reported.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) yardstick: Option<f64>,
    pub(crate) ratio: Option<f64>,
    pub(crate) bar: Option<String>,
    pub(crate) holds: Option<bool>,
    pub(crate) what: String,
    pub(crate) against: Option<&'static str>,
    pub(crate) repetitions: usize,
    /// Whether spreads are quartiles, and not lowest and highest.
    pub(crate) quartiles: bool,
    pub(crate) value_spread: [f64; 2],
    pub(crate) yardstick_spread: Option<[f64; 2]>,
    pub(crate) ratio_spread: Option<[f64; 2]>,
}

impl Measurement {
    /// Computes what is reported. Ratios are taken pair by pair: what slowed
    /// down one side of a pair slowed down the other.
    pub(crate) fn row(self) -> Row {
        let ratios = self.yardstick.as_ref().map(|yardstick| {
            let pairs = self.readings.iter().zip(&yardstick.readings);
            Samples::new(pairs.map(|(value, yardstick)| value / yardstick).collect())
        });
        let against = self.yardstick.as_ref().map(|yardstick| yardstick.what);
        let yardstick = self
            .yardstick
            .map(|yardstick| Samples::new(yardstick.readings));
        let values = Samples::new(self.readings);
        let (value, ratio) = (values.median(), ratios.as_ref().map(Samples::median));
        Row {
            name: self.name,
            value,
            unit: self.unit,
            yardstick: yardstick.as_ref().map(Samples::median),
            ratio,
            bar: self.bar.shown(self.unit),
            holds: self.bar.holds(value, ratio),
            what: self.what,
            against,
            repetitions: values.count(),
            quartiles: values.has_quartiles(),
            value_spread: values.spread(),
            yardstick_spread: yardstick.as_ref().map(Samples::spread),
            ratio_spread: ratios.as_ref().map(Samples::spread),
        }
    }
}

impl Bar {
    /// Whether it is kept; nothing where it is open or cannot be told.
    fn holds(self, value: f64, ratio: Option<f64>) -> Option<bool> {
        match self {
            Self::ValueAtMost(most) => Some(value <= most),
            Self::ValueAtLeast(least) => Some(value >= least),
            Self::RatioAtMost(most) => ratio.map(|ratio| ratio <= most),
            Self::RatioAtLeast(least) => ratio.map(|ratio| ratio >= least),
            Self::Open => None,
        }
    }

    fn shown(self, unit: &str) -> Option<String> {
        match self {
            Self::ValueAtMost(most) => Some(format!("value <= {most} {unit}")),
            Self::ValueAtLeast(least) => Some(format!("value >= {least} {unit}")),
            Self::RatioAtMost(most) => Some(format!("ratio <= {most}")),
            Self::RatioAtLeast(least) => Some(format!("ratio >= {least}")),
            Self::Open => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(bar: Bar) -> Measurement {
        Measurement {
            name: "name".to_owned(),
            what: "what".to_owned(),
            unit: "ms",
            readings: vec![2.0, 4.0, 30.0],
            yardstick: Some(Yardstick {
                what: "other",
                readings: vec![1.0, 2.0, 10.0],
            }),
            bar,
        }
    }

    #[test]
    fn ratios_are_of_pairs() {
        let row = measurement(Bar::RatioAtMost(2.0)).row();
        assert_eq!(
            (row.ratio, row.ratio_spread, row.holds),
            (Some(2.0), Some([2.0, 3.0]), Some(true))
        );
    }

    #[test]
    fn bars_are_kept_or_missed() {
        for (bar, holds) in [
            (Bar::ValueAtMost(4.0), Some(true)),
            (Bar::ValueAtMost(3.9), Some(false)),
            (Bar::ValueAtLeast(4.1), Some(false)),
            (Bar::RatioAtLeast(2.0), Some(true)),
            (Bar::RatioAtMost(1.9), Some(false)),
            (Bar::Open, None),
        ] {
            assert_eq!(measurement(bar).row().holds, holds, "{bar:?}");
        }
    }

    #[test]
    fn json_has_what_readers_expect() {
        let json = serde_json::to_value(measurement(Bar::RatioAtMost(2.0)).row()).unwrap();
        for key in [
            "name",
            "value",
            "unit",
            "yardstick",
            "ratio",
            "bar",
            "holds",
        ] {
            assert!(!json[key].is_null(), "{key}");
        }
    }
}
