//! Guests in WebAssembly text: what no compiler would make.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use wasmparser::Validator;

use crate::guests::{Guest, Language};

/// One guest for each `.wat` file in the folder.
pub(crate) fn list(folder: &Path) -> Result<Vec<Guest>> {
    let mut guests = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        guests.extend(guest(entry?.path()));
    }
    guests.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(guests)
}

fn guest(file: PathBuf) -> Option<Guest> {
    let is_text = file.extension().is_some_and(|extension| extension == "wat");
    let stem = file.file_stem()?.to_str()?.to_owned();
    is_text.then(|| Guest {
        name: format!("hostile-{stem}"),
        language: Language::Text,
        source: file,
        wit: None,
    })
}

/// Encodes a text. What it holds may be hostile; it has to be valid all the
/// same, or the host would refuse it for the wrong reason.
pub(crate) fn build(file: &Path) -> Result<Vec<u8>> {
    let wasm = wat::parse_file(file)?;
    Validator::new()
        .validate_all(&wasm)
        .with_context(|| format!("{} is not valid", file.display()))?;
    Ok(wasm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_texts_are_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/hostile");
        let guests = list(&folder).unwrap();
        assert!(!guests.is_empty());
        for guest in guests {
            build(&guest.source).unwrap();
        }
    }

    #[test]
    fn an_invalid_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wrong.wat");
        fs::write(&file, "(module (func (result i32)))").unwrap();
        assert!(
            build(&file)
                .unwrap_err()
                .to_string()
                .contains("is not valid")
        );
    }
}
