//! A month of flights, by carrier.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use serde::{Deserialize, Serialize};

use crate::{Month, Tally};

/// What stands where a flight has no value.
const MISSING: &str = "NA";

/// A month of flights, by carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The month.
    pub month: Month,
    /// What was counted for each carrier.
    pub carriers: BTreeMap<String, Tally>,
}

/// What matters of a row of flights.
#[derive(Deserialize)]
struct Flight<'a> {
    year: u16,
    month: u8,
    carrier: &'a str,
    dep_delay: &'a str,
}

/// A row of a summary.
#[derive(Serialize, Deserialize)]
struct Row {
    month: String,
    carrier: String,
    flights: u64,
    cancelled: u64,
    delay_minutes: i64,
}

impl Summary {
    /// Counts the flights of a month in a table of flights of any size. One row at
    /// a time is in memory.
    pub fn of(flights: impl Read, month: Month) -> Result<Self, String> {
        let mut reader = csv::Reader::from_reader(flights);
        let names = reader.headers().map_err(text)?.clone();
        let mut carriers = BTreeMap::<String, Tally>::new();
        let mut row = csv::StringRecord::new();
        while reader.read_record(&mut row).map_err(text)? {
            let flight: Flight<'_> = row.deserialize(Some(&names)).map_err(text)?;
            if !month.holds(flight.year, flight.month) {
                continue;
            }
            let delay = flight.delay().map_err(|error| at(&row, &error))?;
            match carriers.get_mut(flight.carrier) {
                Some(tally) => tally.add(delay),
                None => carriers
                    .entry(flight.carrier.to_owned())
                    .or_default()
                    .add(delay),
            }
        }
        if carriers.is_empty() {
            return Err(format!("the table has no flights of {month}"));
        }
        Ok(Self { month, carriers })
    }

    /// Reads what [`Self::write`] has written.
    pub fn read(reader: impl Read) -> Result<Self, String> {
        let mut reader = csv::Reader::from_reader(reader);
        let mut month = None;
        let mut carriers = BTreeMap::new();
        for row in reader.deserialize() {
            let row: Row = row.map_err(text)?;
            let of: Month = row.month.parse()?;
            if *month.get_or_insert(of) != of {
                return Err(format!("a summary is of one month, not of {of}, too"));
            }
            let tally = Tally {
                flights: row.flights,
                cancelled: row.cancelled,
                delay_minutes: row.delay_minutes,
            };
            carriers.insert(row.carrier, tally);
        }
        let month = month.ok_or("the summary has no rows")?;
        Ok(Self { month, carriers })
    }

    /// Writes the summary as CSV: a row for each carrier.
    pub fn write(&self, writer: impl Write) -> Result<(), String> {
        let mut writer = csv::Writer::from_writer(writer);
        for (carrier, tally) in &self.carriers {
            let row = Row {
                month: self.month.to_string(),
                carrier: carrier.clone(),
                flights: tally.flights,
                cancelled: tally.cancelled,
                delay_minutes: tally.delay_minutes,
            };
            writer.serialize(row).map_err(text)?;
        }
        writer.flush().map_err(text)
    }

    /// All carriers together.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.carriers.values().for_each(|tally| total.merge(tally));
        total
    }
}

impl Flight<'_> {
    /// The delay of its departure; nothing where it was cancelled.
    fn delay(&self) -> Result<Option<i64>, String> {
        match self.dep_delay {
            MISSING => Ok(None),
            minutes => minutes
                .parse()
                .map(Some)
                .map_err(|_| format!("dep_delay: {minutes:?} is not a number of minutes")),
        }
    }
}

/// An error with the line that it is in.
fn at(row: &csv::StringRecord, error: &str) -> String {
    let line = row.position().map_or(0, csv::Position::line);
    format!("line {line}: {error}")
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLIGHTS: &str = "\
year,month,day,dep_delay,carrier
2013,1,1,2,UA
2013,1,1,-6,AA
2013,10,3,60,UA
2013,1,31,NA,UA
2012,1,31,5,UA
2013,1,2,10,UA
";

    fn january() -> Summary {
        Summary::of(FLIGHTS.as_bytes(), "2013-01".parse().unwrap()).unwrap()
    }

    #[test]
    fn one_month_is_counted() {
        let summary = january();
        assert_eq!(summary.carriers.len(), 2);
        let united = Tally {
            flights: 3,
            cancelled: 1,
            delay_minutes: 12,
        };
        assert_eq!(summary.carriers["UA"], united);
        assert_eq!(summary.total().mean_delay(), Some(2.0));
    }

    #[test]
    fn a_summary_survives_its_text() {
        let mut csv = Vec::new();
        january().write(&mut csv).unwrap();
        let text =
            "month,carrier,flights,cancelled,delay_minutes\n2013-01,AA,1,0,-6\n2013-01,UA,3,1,12\n";
        assert_eq!(String::from_utf8(csv).unwrap(), text);
        assert_eq!(Summary::read(text.as_bytes()).unwrap(), january());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let of = |flights: &str| {
            let month = "2013-01".parse().unwrap();
            Summary::of(flights.as_bytes(), month).unwrap_err()
        };
        assert_eq!(
            of("year,month,dep_delay,carrier\n2013,2,1,UA\n"),
            "the table has no flights of 2013-01"
        );
        assert_eq!(
            of("year,month,dep_delay,carrier\n2013,1,1,UA\n2013,1,soon,UA\n"),
            "line 3: dep_delay: \"soon\" is not a number of minutes"
        );
        assert!(of("year,month,carrier\n2013,1,UA\n").contains("`dep_delay`"));
        assert!(of("year,month,dep_delay,carrier\nlast,1,1,UA\n").contains("line: 2"));

        let read = |summary: &str| Summary::read(summary.as_bytes()).unwrap_err();
        let names = "month,carrier,flights,cancelled,delay_minutes\n";
        assert_eq!(read(names), "the summary has no rows");
        assert_eq!(
            read(&format!("{names}2013-01,AA,1,0,1\n2013-02,AA,1,0,1\n")),
            "a summary is of one month, not of 2013-02, too"
        );
    }
}
