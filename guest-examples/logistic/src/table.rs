//! A table of numbers in CSV text without quotes.

use std::io::{self, BufRead};

/// Features and labels, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The names of the features: all columns but the last.
    pub features: Vec<String>,
    /// One row of features after the other.
    values: Vec<f64>,
    /// The last column: 0 or 1.
    pub labels: Vec<f64>,
}

impl Table {
    /// Reads a table. An error names the line and the column.
    pub fn read(mut reader: impl BufRead) -> Result<Self, String> {
        let mut header = String::new();
        reader.read_line(&mut header).map_err(text)?;
        let mut names: Vec<String> = header.trim_end().split(',').map(str::to_owned).collect();
        let label = names.pop().unwrap_or_default();
        if names.is_empty() {
            return Err("line 1: the header needs two columns or more".to_owned());
        }
        let mut table = Self {
            features: names,
            values: Vec::new(),
            labels: Vec::new(),
        };
        for (index, line) in reader.lines().enumerate() {
            // Lines count from 1, and the first is the header.
            table.push(&line.map_err(text)?, index + 2, &label)?;
        }
        if table.labels.is_empty() {
            return Err("the table has no rows".to_owned());
        }
        Ok(table)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Always false: `read` refuses tables without rows.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Rows of features with their labels.
    pub fn rows(&self) -> impl Iterator<Item = (&[f64], f64)> {
        self.values
            .chunks_exact(self.features.len())
            .zip(self.labels.iter().copied())
    }

    fn push(&mut self, line: &str, number: usize, label: &str) -> Result<(), String> {
        let cells: Vec<&str> = line.trim_end().split(',').collect();
        let expected = self.features.len() + 1;
        if cells.len() != expected {
            return Err(format!(
                "line {number}: {} columns where the header has {expected}",
                cells.len()
            ));
        }
        for (cell, name) in cells.iter().zip(&self.features) {
            self.values.push(number_in(cell, number, name)?);
        }
        let value = number_in(cells[expected - 1], number, label)?;
        if value != 0.0 && value != 1.0 {
            return Err(format!(
                "line {number}, column {label}: {value} is neither 0 nor 1"
            ));
        }
        self.labels.push(value);
        Ok(())
    }
}

fn number_in(cell: &str, line: usize, column: &str) -> Result<f64, String> {
    match cell.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(format!(
            "line {line}, column {column}: {cell:?} is not a number"
        )),
    }
}

fn text(error: io::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_features_and_labels() {
        let table = Table::read("a,b,y\n1,2.5,0\r\n-3,4e2,1\n".as_bytes()).unwrap();
        assert_eq!(table.features, ["a", "b"]);
        let rows: Vec<_> = table.rows().collect();
        assert_eq!(rows, [(&[1.0, 2.5][..], 0.0), (&[-3.0, 400.0][..], 1.0)]);
    }

    #[test]
    fn says_where_a_table_is_wrong() {
        let cases = [
            ("a,y\n1,0\nx,1\n", "line 3, column a: \"x\" is not a number"),
            ("a,y\nNaN,1\n", "line 2, column a: \"NaN\" is not a number"),
            ("a,y\n1,2\n", "line 2, column y: 2 is neither 0 nor 1"),
            ("a,y\n1\n", "line 2: 1 columns where the header has 2"),
            ("y\n1\n", "line 1: the header needs two columns or more"),
            ("a,y\n", "the table has no rows"),
            ("", "line 1: the header needs two columns or more"),
        ];
        for (csv, error) in cases {
            assert_eq!(Table::read(csv.as_bytes()).unwrap_err(), error, "{csv:?}");
        }
    }
}
