//! Paths as text: there are no links, so text is all that a path is.

use wharf_model::Digest;

use super::error::Mistake;

/// Resolves `path` against a folder, both relative to the preopened folder.
pub(super) fn resolve(folder: &str, path: &str) -> Result<String, Mistake> {
    if path.is_empty() {
        return Err(Mistake::NoEntry);
    }
    if path.starts_with('/') {
        return Err(Mistake::NotPermitted);
    }
    if path.contains('\0') {
        return Err(Mistake::IllegalByteSequence);
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(Mistake::NotPermitted)?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// The inode of what is at an absolute path, 128 bits in two halves: the same
/// wherever the program runs.
pub(crate) fn inode(identity: &str) -> (u64, u64) {
    let bytes = *Digest::of(identity.as_bytes()).as_bytes();
    let half = |at: usize| {
        let mut half = [0; 8];
        half.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(half)
    };
    (half(0), half(8))
}

/// The absolute path of an entry of a folder.
pub(crate) fn child(folder: &str, name: &str) -> String {
    match folder.ends_with('/') {
        true => format!("{folder}{name}"),
        false => format!("{folder}/{name}"),
    }
}

/// The absolute path of the folder above; that of a preopened folder is itself.
pub(crate) fn parent(folder: &str) -> String {
    match folder.rsplit_once('/') {
        // A preopened folder has a slash at its end.
        Some((parent, name)) if !name.is_empty() => match parent.rfind('/') {
            Some(0) => format!("{parent}/"),
            _ => parent.to_owned(),
        },
        _ => folder.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        assert_eq!(resolve("", "a/./b//c").unwrap(), "a/b/c");
        assert_eq!(resolve("a/b", "../c").unwrap(), "a/c");
        assert_eq!(resolve("a", "..").unwrap(), "");
        assert_eq!(resolve("a", "../..").unwrap_err(), Mistake::NotPermitted);
        assert_eq!(resolve("", "a/../../b").unwrap_err(), Mistake::NotPermitted);
        assert_eq!(
            resolve("", "/etc/passwd").unwrap_err(),
            Mistake::NotPermitted
        );
        assert_eq!(resolve("", "").unwrap_err(), Mistake::NoEntry);
        assert_eq!(
            resolve("", "a\0b").unwrap_err(),
            Mistake::IllegalByteSequence
        );
    }

    #[test]
    fn children_and_parents_are_each_others() {
        for folder in ["/in/", "/out/a", "/out/a/b"] {
            assert_eq!(parent(&child(folder, "c")), folder);
        }
        assert_eq!(parent("/in/"), "/in/");
    }

    #[test]
    fn inodes_follow_the_path() {
        assert_eq!(inode("/in/a"), inode("/in/a"));
        assert_ne!(inode("/in/a").0, inode("/out/a").0);
        assert_ne!(inode("/in/a").0, inode("/in/a").1);
    }
}
