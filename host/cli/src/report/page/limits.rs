//! How much of a run a page shows. A page is looked at by people, and must open at once.

/// Steps that have a part of their own.
pub(crate) const STEPS: usize = 300;
/// Items of a step that are told one by one, those that failed first.
pub(crate) const ITEMS: usize = 24;
/// Records that are read for the parts of steps.
pub(crate) const RECORDS: usize = 600;
/// Steps of a pipeline that is drawn.
pub(crate) const DRAWN: usize = 600;
/// Rows of the timeline; items of a step that have rows of their own.
pub(crate) const ROWS: usize = 240;
pub(crate) const ITEM_ROWS: usize = 12;
/// Bars of one row.
pub(crate) const BARS: usize = 160;
/// Lines of one log, at its beginning and its end.
pub(crate) const FIRST_LINES: usize = 60;
pub(crate) const LAST_LINES: usize = 140;
/// Characters of one line of a log, of a name or path, and of a longer text.
pub(crate) const LINE: usize = 1_000;
pub(crate) const NAME: usize = 300;
pub(crate) const TEXT: usize = 4_000;
/// Characters of all logs together.
pub(crate) const LOGS: usize = 1_000_000;
/// Plots of a step, lines of a plot, points of a line.
pub(crate) const PLOTS: usize = 12;
pub(crate) const SERIES: usize = 8;
pub(crate) const POINTS: usize = 400;
/// Artifacts of a record, and entries of a list of names and values.
pub(crate) const ARTIFACTS: usize = 40;
pub(crate) const VALUES: usize = 60;
/// Things whose lineage is told, steps that are followed for all of it, and how deep.
pub(crate) const MADE: usize = 24;
pub(crate) const FOLLOWED: usize = 300;
pub(crate) const DEPTH: usize = 24;

/// The beginning of a text, with a mark where something is left out.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes in all)", &text[..end], text.len()),
    }
}

/// A few of many, and how many are left out.
pub(crate) fn few<T>(mut all: Vec<T>, most: usize) -> (Vec<T>, usize) {
    let left_out = all.len().saturating_sub(most);
    all.truncate(most);
    (all, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöü", 2), "äö… (6 bytes in all)");
        assert_eq!(few(vec![1, 2, 3], 2), (vec![1, 2], 1));
        assert_eq!(few(vec![1], 2), (vec![1], 0));
    }
}
