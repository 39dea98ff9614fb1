//! Prints measurements: as a table row by row, or as JSON at the end.

use anyhow::Result;

use crate::machine;
use crate::measurement::{Measurement, Row};

/// What was measured so far.
pub(crate) struct Report {
    json: bool,
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn start(json: bool) -> Self {
        if !json {
            out(&machine::describe());
            out(&format!(
                "\n{:<28} {:>23} {:>23} {:>23}  {:<18} holds",
                "", "value", "yardstick", "ratio", "bar"
            ));
        }
        Self {
            json,
            rows: Vec::new(),
        }
    }

    /// Says what is being measured.
    #[expect(clippy::print_stderr, reason = "what a person who waits wants to read")]
    pub(crate) fn doing(&self, name: &str) {
        eprintln!("measuring {name}");
    }

    pub(crate) fn add(&mut self, measurements: Vec<Measurement>) {
        for row in measurements.into_iter().map(Measurement::row) {
            if !self.json {
                out(&table_row(&row));
            }
            self.rows.push(row);
        }
    }

    pub(crate) fn finish(self) -> Result<()> {
        if self.json {
            out(&serde_json::to_string_pretty(&self.rows)?);
            return Ok(());
        }
        out(
            "\nMedians; in brackets the quartiles (q) or the lowest and highest (m) of n readings.",
        );
        for row in &self.rows {
            let against = row.against.map(|against| format!("; yardstick: {against}"));
            out(&format!(
                "  {}: {}{} (n = {})",
                row.name,
                row.what,
                against.unwrap_or_default(),
                row.repetitions
            ));
        }
        let missed = self.rows.iter().filter(|row| row.holds == Some(false));
        let names: Vec<&str> = missed.map(|row| row.name.as_str()).collect();
        out(&match names.is_empty() {
            true => "\nEvery bar holds.".to_owned(),
            false => format!("\nDoes not hold: {}.", names.join(", ")),
        });
        out(&format!("Load at the end: {}.", machine::load()));
        Ok(())
    }
}

fn table_row(row: &Row) -> String {
    let spread = |of: [f64; 2]| {
        let kind = if row.quartiles { "q" } else { "m" };
        format!("[{kind} {}..{}]", figure(of[0]), figure(of[1]))
    };
    let cell = |value: Option<f64>, of: Option<[f64; 2]>| match (value, of) {
        (Some(value), Some(of)) => format!("{} {}", figure(value), spread(of)),
        _ => "-".to_owned(),
    };
    format!(
        "{:<28} {:>23} {:>23} {:>23}  {:<18} {}",
        format!("{} ({})", row.name, row.unit),
        cell(Some(row.value), Some(row.value_spread)),
        cell(row.yardstick, row.yardstick_spread),
        cell(row.ratio, row.ratio_spread),
        row.bar.as_deref().unwrap_or("-"),
        match row.holds {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        }
    )
}

/// Three digits that count.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[expect(clippy::print_stdout, reason = "the report is what is printed")]
fn out(line: &str) {
    println!("{line}");
}
