//! Whether something is up to date: a digest of all that it is made from, kept
//! beside it.
//!
//! Contents count, times do not, so that a fresh checkout does not rebuild what
//! a cache brought along.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest, Sha256};

/// Collects what something is made from.
#[derive(Default)]
pub(crate) struct Recipe {
    hasher: Sha256,
}

impl Recipe {
    /// Adds a text, such as a tool's version.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.part(text.as_bytes());
        self
    }

    /// Adds a file, or all files of a folder, with their paths in it.
    pub(crate) fn path(mut self, path: &Path) -> Result<Self> {
        for file in files(path)? {
            let name = file.strip_prefix(path).unwrap_or(&file);
            self.part(name.as_os_str().as_encoded_bytes());
            self.part(&fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
        }
        Ok(self)
    }

    /// The digest, in hexadecimal.
    pub(crate) fn digest(self) -> String {
        self.hasher
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The length goes first, so that moving a byte between two parts counts.
    fn part(&mut self, bytes: &[u8]) {
        self.hasher.update((bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }
}

/// A digest that is kept in a file.
pub(crate) struct Stamp {
    file: PathBuf,
    digest: String,
}

impl Stamp {
    /// The stamp in `file` that says what `recipe` says.
    pub(crate) fn new(file: PathBuf, recipe: Recipe) -> Self {
        Self {
            file,
            digest: recipe.digest(),
        }
    }

    /// Where it is kept.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Whether the product is there and made from the same things.
    pub(crate) fn is_current(&self, product: &Path) -> bool {
        product.exists() && fs::read_to_string(&self.file).is_ok_and(|kept| kept == self.digest)
    }

    /// Says that the product is made.
    pub(crate) fn keep(&self) -> Result<()> {
        write(&self.file, self.digest.as_bytes())
    }

    /// Says that the product is about to be made anew.
    pub(crate) fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.file.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Writes a file, and makes its folder. The file appears whole or not at all.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let folder = file.parent().context("a file needs a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    fs::write(&partial, bytes)
        .and_then(|()| fs::rename(&partial, file))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// The file, or all files below the folder, sorted.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))? {
        found.extend(files(&entry?.path())?);
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(folder: &Path) -> String {
        Recipe::default().path(folder).unwrap().digest()
    }

    #[test]
    fn names_and_contents_count() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("a/one"), b"1").unwrap();
        let before = digest_of(folder.path());
        assert_eq!(before, digest_of(folder.path()));
        fs::rename(folder.path().join("a/one"), folder.path().join("a/two")).unwrap();
        let renamed = digest_of(folder.path());
        assert_ne!(before, renamed);
        write(&folder.path().join("a/two"), b"2").unwrap();
        assert_ne!(renamed, digest_of(folder.path()));
    }

    #[test]
    fn the_border_between_parts_counts() {
        let left = Recipe::default().text("ab").text("c").digest();
        let right = Recipe::default().text("a").text("bc").digest();
        assert_ne!(left, right);
    }

    #[test]
    fn a_stamp_is_current_only_with_its_product() {
        let folder = tempfile::tempdir().unwrap();
        let product = folder.path().join("product");
        let stamp = Stamp::new(folder.path().join("stamp"), Recipe::default().text("v1"));
        stamp.keep().unwrap();
        assert!(!stamp.is_current(&product));
        write(&product, b"x").unwrap();
        assert!(stamp.is_current(&product));
        assert!(
            !Stamp::new(folder.path().join("stamp"), Recipe::default().text("v2"))
                .is_current(&product)
        );
        stamp.remove().unwrap();
        stamp.remove().unwrap();
        assert!(!stamp.is_current(&product));
    }
}
