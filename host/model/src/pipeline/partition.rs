//! The partitions of a pipeline: the parts of its data that it runs for.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use super::diagnostic::suggestion;
use crate::request::DEFAULT_LOGICAL_TIME;

/// Most partitions of one range: 270 years of days. It bounds what a mistyped year
/// can start.
pub const MAX_PARTITIONS: usize = 100_000;

/// Longest name of a partition, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// How a pipeline's data is divided.
///
/// ```
/// use wharf_model::pipeline::{Every, Partition};
/// let months = Partition::Every(Every::Month);
/// let names: Vec<_> = months.range("2013-11", "2014-01").unwrap();
/// let names: Vec<_> = names.iter().map(|slice| slice.name.as_str()).collect();
/// assert_eq!(names, ["2013-11", "2013-12", "2014-01"]);
/// assert!(months.parse("2013-13").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partition {
    /// By time.
    Every(Every),
    /// By values, in the order given.
    Values(Vec<String>),
}

/// How long a partition by time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// A month of the calendar, such as `2013-01`.
    Month,
    /// A day of the calendar, such as `2013-01-31`.
    Day,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Its name: `2013-01`, `2013-01-31`, or a value.
    pub name: String,
    /// Its logical time: the start of the month or day in UTC, or the time that a
    /// run has by default.
    pub time: Timestamp,
    /// The first day of a partition by time.
    pub date: Option<Date>,
}

/// A part of the date of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the parts, by name")]
pub enum DatePart {
    Year,
    Month,
    Day,
}

impl DatePart {
    pub(super) const ALL: [Self; 3] = [Self::Year, Self::Month, Self::Day];

    /// The name in expressions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
        }
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    /// Its value in a date, from 1 for months and days.
    #[must_use]
    pub fn of(self, date: Date) -> u32 {
        let part = match self {
            Self::Year => i32::from(date.year()),
            Self::Month => i32::from(date.month()),
            Self::Day => i32::from(date.day()),
        };
        part.unsigned_abs()
    }
}

/// A partition that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PartitionError {
    message: String,
    hint: Option<String>,
}

impl PartitionError {
    fn new(message: String, hint: impl Into<Option<String>>) -> Self {
        Self {
            message,
            hint: hint.into(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl Every {
    /// What it is called in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Day => "day",
        }
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Month => "2013-01",
            Self::Day => "2013-01-31",
        }
    }

    fn parse(self, text: &str) -> Result<Date, PartitionError> {
        let whole = match self {
            Self::Month => format!("{text}-01"),
            Self::Day => text.to_owned(),
        };
        let error = || {
            let hint = format!("write a {}, such as {}", self.name(), self.example());
            PartitionError::new(format!("`{text}` is not a {}", self.name()), hint)
        };
        date(&whole).ok_or_else(error)
    }

    fn slice(self, date: Date) -> Result<Slice, PartitionError> {
        let name = match self {
            Self::Month => date.strftime("%Y-%m").to_string(),
            Self::Day => date.to_string(),
        };
        let midnight = date.at(0, 0, 0, 0);
        let time = Offset::UTC.to_timestamp(midnight).map_err(|_| {
            PartitionError::new(format!("`{name}` is later than times can be"), None)
        })?;
        Ok(Slice {
            time,
            date: Some(date),
            name,
        })
    }

    fn next(self, date: Date) -> Option<Date> {
        let next = match self {
            Self::Month => date
                .first_of_month()
                .checked_add(jiff::Span::new().months(1)),
            Self::Day => date.tomorrow(),
        };
        next.ok()
    }

    fn range(self, from: &str, to: &str) -> Result<Vec<Slice>, PartitionError> {
        let (first, last) = (self.parse(from)?, self.parse(to)?);
        if first > last {
            return Err(backwards(from, to));
        }
        let dates = std::iter::successors(Some(first), |date| self.next(*date));
        let dates: Vec<_> = dates
            .take_while(|date| *date <= last)
            .take(MAX_PARTITIONS + 1)
            .collect();
        bounded(dates.len())?;
        dates.into_iter().map(|date| self.slice(date)).collect()
    }
}

/// A date written with four, two and two digits.
fn date(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: &str, digits: usize| {
        let plain = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse::<i16>().ok())?
    };
    let [year, month, day] = parts[..] else {
        return None;
    };
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let small = |number: i16| i8::try_from(number).ok();
    Date::new(year, small(month)?, small(day)?).ok()
}

fn backwards(from: &str, to: &str) -> PartitionError {
    let message = format!("the range from `{from}` to `{to}` goes backwards");
    PartitionError::new(message, "give the earlier one first".to_owned())
}

fn bounded(count: usize) -> Result<(), PartitionError> {
    match count <= MAX_PARTITIONS {
        true => Ok(()),
        false => Err(PartitionError::new(
            format!("the range has more than {MAX_PARTITIONS} partitions"),
            "run it in parts".to_owned(),
        )),
    }
}

impl Partition {
    /// The partition that a text names.
    ///
    /// # Errors
    /// Where the text is not a month or day that exists, or none of the values.
    pub fn parse(&self, text: &str) -> Result<Slice, PartitionError> {
        match self {
            Self::Every(every) => every.slice(every.parse(text)?),
            Self::Values(values) => position(values, text).map(|at| slice_of(&values[at])),
        }
    }

    /// The partition that a date is in.
    ///
    /// # Errors
    /// Where partitions are values.
    pub fn at(&self, date: Date) -> Result<Slice, PartitionError> {
        match self {
            Self::Every(Every::Month) => Every::Month.slice(date.first_of_month()),
            Self::Every(Every::Day) => Every::Day.slice(date),
            Self::Values(values) => Err(PartitionError::new(
                "the partitions are values, which no time tells".to_owned(),
                format!("say which: {}", values.join(", ")),
            )),
        }
    }

    /// The last partition that had ended when a date began.
    ///
    /// ```
    /// use wharf_model::pipeline::{Every, Partition};
    /// let months = Partition::Every(Every::Month);
    /// let before = months.before(jiff::civil::date(2014, 1, 1)).unwrap();
    /// assert_eq!(before.name, "2013-12");
    /// ```
    ///
    /// # Errors
    /// Where partitions are values.
    pub fn before(&self, date: Date) -> Result<Slice, PartitionError> {
        let first = match self {
            Self::Every(Every::Month) => date.first_of_month(),
            Self::Every(Every::Day) | Self::Values(_) => date,
        };
        let last = first.yesterday().map_err(|_| {
            PartitionError::new(format!("there is no partition before {date}"), None)
        })?;
        self.at(last)
    }

    /// The partitions from one to another, both included, in order.
    ///
    /// # Errors
    /// Where one of them is not a partition, the range goes backwards, or has more
    /// than [`MAX_PARTITIONS`].
    pub fn range(&self, from: &str, to: &str) -> Result<Vec<Slice>, PartitionError> {
        match self {
            Self::Every(every) => every.range(from, to),
            Self::Values(values) => {
                let (first, last) = (position(values, from)?, position(values, to)?);
                if first > last {
                    return Err(backwards(from, to));
                }
                bounded(last - first + 1)?;
                Ok(values[first..=last]
                    .iter()
                    .map(|value| slice_of(value))
                    .collect())
            }
        }
    }

    /// Whether its partitions have a part of a date.
    #[must_use]
    pub const fn has(&self, part: DatePart) -> bool {
        match (self, part) {
            (Self::Values(_), _) | (Self::Every(Every::Month), DatePart::Day) => false,
            (Self::Every(_), _) => true,
        }
    }
}

fn position(values: &[String], text: &str) -> Result<usize, PartitionError> {
    /// Values that a message lists or compares; a pipeline can have thousands.
    const LISTED: usize = 100;
    values
        .iter()
        .position(|value| value == text)
        .ok_or_else(|| {
            let known: Vec<&str> = values.iter().take(LISTED).map(String::as_str).collect();
            let message = format!("`{text}` is not a partition");
            PartitionError::new(message, suggestion(text, &known))
        })
}

/// Whether a partition comes after another in time. Partitions that are not days or
/// months come in no order.
///
/// ```
/// use wharf_model::pipeline::is_later;
/// assert!(is_later("2013-12", "2013-02"));
/// assert!(!is_later("2013-02", "2013-02"));
/// assert!(!is_later("west", "east"));
/// ```
#[must_use]
pub fn is_later(partition: &str, than: &str) -> bool {
    let date = |text: &str| {
        let every = [Every::Day, Every::Month].into_iter();
        every.filter_map(|every| every.parse(text).ok()).next()
    };
    date(partition)
        .zip(date(than))
        .is_some_and(|(partition, than)| partition > than)
}

fn slice_of(value: &str) -> Slice {
    Slice {
        name: value.to_owned(),
        time: DEFAULT_LOGICAL_TIME,
        date: None,
    }
}

/// The rules of a value's name: it becomes part of paths.
pub(super) const VALUE_RULES: &str = "1 to 128 characters of letters, digits, `.`, `_` and `-`, \
     beginning with a letter or digit, without `..`";

/// Whether a text can name a partition.
pub(super) fn is_value(text: &str) -> bool {
    let first = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    let belongs = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    first && text.len() <= MAX_NAME_BYTES && text.bytes().all(belongs) && !text.contains("..")
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(error: &PartitionError) -> String {
        match error.advice() {
            Some(hint) => format!("{error} ({hint})"),
            None => error.to_string(),
        }
    }

    #[test]
    fn ranges_have_names_and_times_in_order() {
        let days = Partition::Every(Every::Day)
            .range("2012-02-28", "2012-03-01")
            .unwrap();
        let shown: Vec<_> = days
            .iter()
            .map(|day| format!("{} {}", day.name, day.time))
            .collect();
        assert_eq!(
            shown,
            [
                "2012-02-28 2012-02-28T00:00:00Z",
                "2012-02-29 2012-02-29T00:00:00Z",
                "2012-03-01 2012-03-01T00:00:00Z",
            ]
        );
        let january = Partition::Every(Every::Month).parse("0999-01").unwrap();
        assert_eq!(january.name, "0999-01");
        assert_eq!(DatePart::Year.of(january.date.unwrap()), 999);
        let values = Partition::Values(["ewr", "jfk", "lga"].map(String::from).to_vec());
        let airports = values.range("jfk", "lga").unwrap();
        assert_eq!(airports[0].name, "jfk");
        assert_eq!(airports[1].time, DEFAULT_LOGICAL_TIME);
    }

    #[test]
    fn bad_partitions_are_refused() {
        let months = Partition::Every(Every::Month);
        let days = Partition::Every(Every::Day);
        let values = Partition::Values(vec!["ewr".into(), "jfk".into()]);
        let range =
            |partition: &Partition, from, to| shown(&partition.range(from, to).unwrap_err());
        assert_eq!(
            range(&months, "2013-1", "2013-02"),
            "`2013-1` is not a month (write a month, such as 2013-01)"
        );
        assert_eq!(
            range(&days, "2013-02-28", "2013-02-29"),
            "`2013-02-29` is not a day (write a day, such as 2013-01-31)"
        );
        assert_eq!(
            range(&months, "2014-01", "2013-01"),
            "the range from `2014-01` to `2013-01` goes backwards (give the earlier one first)"
        );
        assert_eq!(
            range(&days, "0001-01-01", "9000-01-01"),
            "the range has more than 100000 partitions (run it in parts)"
        );
        assert_eq!(
            range(&values, "ewrr", "jfk"),
            "`ewrr` is not a partition (did you mean `ewr`?)"
        );
        assert_eq!(
            range(&values, "jfk", "ewr"),
            "the range from `jfk` to `ewr` goes backwards (give the earlier one first)"
        );
        assert_eq!(
            shown(&days.parse("9999-12-31").unwrap_err()),
            "`9999-12-31` is later than times can be"
        );
    }

    #[test]
    fn names_of_values_are_safe_in_paths() {
        assert!(["EWR", "a.b", "2013"].into_iter().all(is_value));
        let long = "a".repeat(129);
        assert!(
            !["", "../up", "a/b", "a..b", "-x", "ß", &long]
                .into_iter()
                .any(is_value)
        );
    }
}
