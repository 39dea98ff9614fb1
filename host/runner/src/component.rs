//! The file that a component is in.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wharf_model::{Digest, ErrorKind, Fault};

use crate::digester::{Digester, Digestible, Stop};
use crate::source::open_at_once;

/// A component's file, open.
#[derive(Debug)]
pub struct ComponentFile {
    file: File,
    path: PathBuf,
    size: u64,
}

impl ComponentFile {
    /// Opens a component, and reads nothing yet: it may be of any size.
    ///
    /// # Errors
    /// Where the file is missing, cannot be read or is no regular file.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let failed = |error: &io::Error| cannot_read(path, error);
        let file = open_at_once(path).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() {
                "a folder"
            } else {
                "no regular file"
            };
            let message = format!("`{}` is {what}, not a component", path.display());
            return Err(
                Fault::new(ErrorKind::ComponentFile, message).hint("give the path of a .wasm file")
            );
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            size: metadata.len(),
        })
    }

    /// The size in bytes when it was opened.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Hashes the component, beside the caller's thread where it is large. A
    /// future that is dropped stops that.
    ///
    /// # Errors
    /// Where reading fails, or the size is no longer what it was.
    pub async fn digest(self: &Arc<Self>) -> Result<Digest, Fault> {
        let mut digester = Digester::default();
        let pending = digester.add(self.clone());
        digester.start()?;
        pending.get().await
    }

    /// Reads the component whole. What is returned has the digest.
    ///
    /// # Errors
    /// Where reading fails, or the file was changed since it was hashed.
    pub fn read(&self, digest: Digest) -> Result<Vec<u8>, Fault> {
        let mut wasm = vec![0; self.size as usize];
        let read = self.file.read_exact_at(&mut wasm, 0);
        read.map_err(|error| cannot_read(&self.path, &error))?;
        match Digest::of(&wasm) == digest {
            true => Ok(wasm),
            false => Err(self.has_changed()),
        }
    }

    fn has_changed(&self) -> Fault {
        let message = format!(
            "the component `{}` changed while it was read",
            self.path.display()
        );
        Fault::new(ErrorKind::InputChanged, message).hint("run it again")
    }
}

impl Digestible for ComponentFile {
    fn bytes(&self) -> u64 {
        self.size
    }

    fn digest(&self, stop: &Stop) -> Result<Digest, Fault> {
        let hashed = stop.hash(|offset, buffer| self.file.read_at(buffer, offset));
        match hashed.map_err(|error| cannot_read(&self.path, &error))? {
            (digest, size) if size == self.size => Ok(digest),
            _ => Err(self.has_changed()),
        }
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> Fault {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => Fault::new(
            ErrorKind::ComponentFile,
            format!("the component `{path}` does not exist"),
        )
        .hint("check the path; it is relative to the current folder"),
        _ => Fault::new(
            ErrorKind::ComponentFile,
            format!("cannot read the component `{path}`: {error}"),
        ),
    }
}
