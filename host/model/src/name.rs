//! Names and tree paths whose rules hold by construction.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest tree path, in bytes: what POSIX promises at least for a path.
pub const MAX_TREE_PATH_BYTES: usize = 1024;
/// Longest part of a tree path, in bytes: the limit of the usual file systems.
pub const MAX_TREE_PART_BYTES: usize = 255;
/// Most parts of a tree path, which bounds how deep folders nest.
pub const MAX_TREE_PARTS: usize = 32;
/// Most files in one tree, which bounds what the host holds for it.
pub const MAX_TREE_FILES: usize = 65_536;

/// The path of a file in a tree.
///
/// - Relative, parts separated by `/`, at most 1024 bytes and 32 parts.
/// - No part is empty, `.`, `..`, longer than 255 bytes, or holds a backslash,
///   a control character or one that changes the direction of text.
///
/// ```
/// use wharf_model::name::TreePath;
/// assert!(TreePath::new("part-0/data.parquet").is_ok());
/// for refused in ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/", "a\\b", "a\0b", "."] {
///     assert!(TreePath::new(refused).is_err(), "{refused:?}");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TreePath(String);

impl TreePath {
    /// Checks a path.
    ///
    /// # Errors
    /// Says which rule the path breaks.
    pub fn new(path: &str) -> Result<Self, TreePathError> {
        check_tree_path(path).map(|()| Self(path.to_owned()))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folders above the file, from the outermost on: `a/b/c` has `a` and
    /// `a/b`.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }
}

fn check_tree_path(path: &str) -> Result<(), TreePathError> {
    if path.is_empty() {
        return Err(TreePathError::Empty);
    }
    if path.len() > MAX_TREE_PATH_BYTES {
        return Err(TreePathError::TooLong);
    }
    if path.starts_with('/') {
        return Err(TreePathError::Absolute);
    }
    if path.split('/').count() > MAX_TREE_PARTS {
        return Err(TreePathError::TooDeep);
    }
    path.split('/').try_for_each(check_tree_part)
}

fn check_tree_part(part: &str) -> Result<(), TreePathError> {
    match part {
        "" => Err(TreePathError::EmptyPart),
        "." | ".." => Err(TreePathError::Dots),
        _ if part.len() > MAX_TREE_PART_BYTES => Err(TreePathError::PartTooLong),
        _ if part.chars().any(is_unsafe_in_name) => Err(TreePathError::Character),
        _ => Ok(()),
    }
}

/// Whether a character can mislead whoever reads a name, or a file system.
fn is_unsafe_in_name(c: char) -> bool {
    c == '\\' || is_active(c)
}

/// Whether a character does something where it is shown, rather than being seen: a
/// control character, or one that changes the direction of text, or ends a line.
#[must_use]
pub fn is_active(c: char) -> bool {
    c.is_control() || is_bidi_control(c) || is_line_separator(c)
}

/// Whether a character changes the direction of the text around it.
///
/// Source: Unicode UAX #9, the explicit formatting characters.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character ends a line where a line feed does, too.
const fn is_line_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Which rule a tree path breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreePathError {
    /// It has no characters.
    #[error("the path is empty")]
    Empty,
    /// It is longer than [`MAX_TREE_PATH_BYTES`].
    #[error("the path is longer than {MAX_TREE_PATH_BYTES} bytes")]
    TooLong,
    /// It begins with `/`.
    #[error("the path is absolute; paths are relative to the tree")]
    Absolute,
    /// It has more than [`MAX_TREE_PARTS`] parts.
    #[error("the path has more than {MAX_TREE_PARTS} parts")]
    TooDeep,
    /// It has two slashes in a row, or one at its end.
    #[error("the path has an empty part")]
    EmptyPart,
    /// It has `.` or `..` for a part.
    #[error("the path has `.` or `..` for a part")]
    Dots,
    /// A part is longer than [`MAX_TREE_PART_BYTES`].
    #[error("a part of the path is longer than {MAX_TREE_PART_BYTES} bytes")]
    PartTooLong,
    /// A part has a character that is not allowed.
    #[error("the path has a backslash, a control character or one that changes text direction")]
    Character,
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TreePath {
    type Err = TreePathError;
    fn from_str(path: &str) -> Result<Self, Self::Err> {
        Self::new(path)
    }
}

impl TryFrom<String> for TreePath {
    type Error = TreePathError;
    fn try_from(path: String) -> Result<Self, Self::Error> {
        check_tree_path(&path).map(|()| Self(path))
    }
}

impl From<TreePath> for String {
    fn from(path: TreePath) -> Self {
        path.0
    }
}

/// The name of an artifact binding: `[a-z0-9][a-z0-9._-]{0,127}`, without `..`.
///
/// It becomes a folder entry (`/in/<name>`) for programs, so it must be safe as
/// one.
///
/// ```
/// use wharf_model::name::Name;
/// assert!(Name::new("training-data.v2").is_ok());
/// for refused in ["", ".hidden", "a/b", "Data", "a..b", "-x"] {
///     assert!(Name::new(refused).is_err(), "{refused:?}");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A text that is not a [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name is 1 to 128 characters of a-z, 0-9, `.`, `_` and `-`, \
     begins with a letter or digit, and has no `..`"
)]
pub struct NameError;

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// Where the text breaks a rule.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let first_ok = name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest_ok = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        if first_ok && rest_ok && name.len() <= 128 && !name.contains("..") {
            Ok(Self(name.to_owned()))
        } else {
            Err(NameError)
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}
