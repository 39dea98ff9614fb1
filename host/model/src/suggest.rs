//! The nearest known name, for messages that name what was probably meant.

/// The candidate most like `given`, where one is like enough to be a typing
/// mistake rather than another word.
///
/// ```
/// use wharf_model::nearest;
/// assert_eq!(nearest("epocs", ["data", "epochs"]), Some("epochs"));
/// assert_eq!(nearest("zebra", ["data", "epochs"]), None);
/// ```
#[must_use]
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this similarity (0 to 1) a suggestion puzzles more than it helps.
    const LIKE_ENOUGH: f64 = 0.7;
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(given, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= LIKE_ENOUGH)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
