//! A month, as partitions are named.

use std::fmt;
use std::str::FromStr;

/// A month: `2013-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    year: u16,
    month: u8,
}

impl Month {
    /// Whether a date is in this month.
    pub fn holds(self, year: u16, month: u8) -> bool {
        self == Self { year, month }
    }
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('-');
        let parts = parts.and_then(|(year, month)| Some((year.parse().ok()?, month.parse().ok()?)));
        match parts {
            Some((year, month @ 1..=12)) => Ok(Self { year, month }),
            _ => Err(format!("{text:?} is not a month such as 2013-01")),
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_survives_its_text() {
        let month: Month = "2013-09".parse().unwrap();
        assert_eq!(month.to_string(), "2013-09");
        assert!(month.holds(2013, 9) && !month.holds(2013, 10) && !month.holds(2014, 9));
    }

    #[test]
    fn what_is_no_month_is_said() {
        for text in ["", "2013", "2013-00", "2013-13", "2013-01-01", "x-1"] {
            let error = text.parse::<Month>().unwrap_err();
            assert_eq!(error, format!("{text:?} is not a month such as 2013-01"));
        }
    }
}
