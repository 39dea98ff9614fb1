//! Trees: folders of files as one artifact.
//!
//! The digest of a tree is the SHA-256 of its listing: a line `wharf tree/1`,
//! then a line for each file, sorted by path, with its digest in hexadecimal,
//! its size and its path, separated by single spaces.

use crate::artifact::Content;
use crate::digest::Digest;
use crate::name::TreePath;

/// The first line of a listing.
const HEADER: &str = "wharf tree/1\n";

/// A file in a tree. Sorts by path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its path in the tree.
    pub path: TreePath,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl Listed {
    /// What it is.
    #[must_use]
    pub const fn content(&self) -> Content {
        Content {
            digest: self.digest,
            size: self.size,
            files: None,
            chunks: None,
        }
    }
}

/// The listing of a tree with these files, in any order.
#[must_use]
pub fn listing(mut files: Vec<Listed>) -> String {
    files.sort();
    let mut text = HEADER.to_owned();
    for Listed { path, digest, size } in files {
        text.push_str(&format!("{} {size} {path}\n", digest.hex()));
    }
    text
}

/// A text that is not the listing of a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the listing of a tree: line {line} is wrong")]
pub struct ParseListingError {
    /// Counted from 1 on.
    pub line: usize,
}

/// Reads a listing.
///
/// # Errors
/// Where the text is not what [`listing`] gives.
pub fn parse_listing(text: &str) -> Result<Vec<Listed>, ParseListingError> {
    let files = text
        .strip_prefix(HEADER)
        .ok_or(ParseListingError { line: 1 })?;
    let mut listed: Vec<Listed> = Vec::new();
    for (index, line) in files.lines().enumerate() {
        let refused = ParseListingError { line: index + 2 };
        let file = parse_line(line).ok_or_else(|| refused.clone())?;
        // Sorted, so that there is one text for a tree.
        if listed.last().is_some_and(|last| last.path >= file.path) {
            return Err(refused);
        }
        listed.push(file);
    }
    Ok(listed)
}

fn parse_line(line: &str) -> Option<Listed> {
    let (digest, rest) = line.split_once(' ')?;
    let (size, path) = rest.split_once(' ')?;
    Some(Listed {
        path: TreePath::new(path).ok()?,
        digest: format!("sha256:{digest}").parse().ok()?,
        size: size.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(path: &str, bytes: &[u8]) -> Listed {
        Listed {
            path: TreePath::new(path).unwrap(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
        }
    }

    #[test]
    fn the_listing_of_a_tree_is_pinned() {
        let text = format!(
            "wharf tree/1\n{} 1 a/x\n{} 1 b\n",
            Digest::of(b"1").hex(),
            Digest::of(b"2").hex()
        );
        let files = vec![listed("b", b"2"), listed("a/x", b"1")];
        assert_eq!(listing(files), text);
        assert_eq!(
            parse_listing(&text),
            Ok(vec![listed("a/x", b"1"), listed("b", b"2")])
        );
        assert_eq!(parse_listing(HEADER), Ok(vec![]));
    }

    #[test]
    fn other_texts_are_refused() {
        let hex = Digest::of(b"").hex();
        for (text, line) in [
            (String::new(), 1),
            (format!("{HEADER}{hex} 1\n"), 2),
            (format!("{HEADER}{hex} 1 ../up\n"), 2),
            (format!("{HEADER}{hex} x a\n"), 2),
            (format!("{HEADER}{hex} 1 b\n{hex} 1 a\n"), 3),
            (format!("{HEADER}{hex} 1 a\n{hex} 1 a\n"), 3),
        ] {
            assert_eq!(
                parse_listing(&text),
                Err(ParseListingError { line }),
                "{text}"
            );
        }
    }
}
