//! Months together.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use serde::Serialize;

use crate::{Month, Summary, Tally};

/// Months together, by carrier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Year {
    months: BTreeSet<Month>,
    carriers: BTreeMap<String, Tally>,
}

/// A row of the table.
#[derive(Serialize)]
struct Row<'a> {
    carrier: &'a str,
    flights: u64,
    cancelled: u64,
    mean_delay: Option<String>,
}

impl Year {
    /// Adds a month; each can be there once.
    pub fn add(&mut self, summary: Summary) -> Result<(), String> {
        if !self.months.insert(summary.month) {
            return Err(format!("{} is there twice", summary.month));
        }
        for (carrier, tally) in summary.carriers {
            self.carriers.entry(carrier).or_default().merge(&tally);
        }
        Ok(())
    }

    /// How many months there are.
    pub fn months(&self) -> usize {
        self.months.len()
    }

    /// All carriers together.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.carriers.values().for_each(|tally| total.merge(tally));
        total
    }

    /// Writes the table as CSV: a row for each carrier, in the order of their
    /// codes, with the mean delay in minutes.
    pub fn write(&self, writer: impl Write) -> Result<(), String> {
        let mut writer = csv::Writer::from_writer(writer);
        for (carrier, tally) in &self.carriers {
            let row = Row {
                carrier,
                flights: tally.flights,
                cancelled: tally.cancelled,
                mean_delay: tally.mean_delay().map(|mean| format!("{mean:.2}")),
            };
            writer.serialize(row).map_err(|error| error.to_string())?;
        }
        writer.flush().map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(month: &str, carrier: &str, delays: &[Option<i64>]) -> Summary {
        let mut tally = Tally::default();
        delays.iter().for_each(|delay| tally.add(*delay));
        Summary {
            month: month.parse().unwrap(),
            carriers: [(carrier.to_owned(), tally)].into(),
        }
    }

    #[test]
    fn the_order_of_the_months_does_not_matter() {
        let parts = [
            summary("2013-01", "UA", &[Some(1), Some(2)]),
            summary("2013-02", "UA", &[Some(2), None]),
            summary("2013-03", "AA", &[None]),
        ];
        let table = |order: [usize; 3]| {
            let mut year = Year::default();
            for part in order {
                year.add(parts[part].clone()).unwrap();
            }
            assert_eq!((year.months(), year.total().flights), (3, 5));
            let mut csv = Vec::new();
            year.write(&mut csv).unwrap();
            String::from_utf8(csv).unwrap()
        };
        let wanted = "carrier,flights,cancelled,mean_delay\nAA,1,1,\nUA,4,1,1.67\n";
        assert_eq!(table([0, 1, 2]), wanted);
        assert_eq!(table([2, 0, 1]), wanted);
    }

    #[test]
    fn a_month_counts_once() {
        let mut year = Year::default();
        year.add(summary("2013-01", "UA", &[Some(1)])).unwrap();
        let error = year.add(summary("2013-01", "AA", &[None])).unwrap_err();
        assert_eq!(error, "2013-01 is there twice");
    }
}
