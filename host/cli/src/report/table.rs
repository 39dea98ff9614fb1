//! Tables of text: columns as wide as what is in them.

use std::fmt;

use super::plain;

/// A table with a header.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(header: [&str; N]) -> Self {
        Self {
            rows: vec![header.map(str::to_owned)],
        }
    }

    /// Adds a row. Its cells may be anybody's text.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| plain(&cell).into_owned()));
    }

    fn width(&self, column: usize) -> usize {
        let widths = self.rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: [usize; N] = std::array::from_fn(|column| self.width(column));
        for row in &self.rows {
            let cells = row.iter().zip(widths);
            let cells = cells.map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must() {
        let mut table = Table::new(["A", "LONG"]);
        table.row(["more".into(), "x".into()]);
        assert_eq!(table.to_string(), "A     LONG\nmore  x\n");
    }

    #[test]
    fn a_cell_does_nothing_and_is_one_line() {
        let mut table = Table::new(["A", "B"]);
        table.row(["e\x1b[31m\nx".into(), "y".into()]);
        assert_eq!(
            table.to_string(),
            "A               B\ne\\u{1b}[31m\\nx  y\n"
        );
    }
}
