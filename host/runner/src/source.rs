//! Inputs that are files of this machine.
//!
//! A file is opened once; the guest's reads and the hash go through the same
//! descriptor, so that replacing the file changes nothing. A file that is
//! changed in place is noticed when the run ends, which then fails.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use wharf_model::{Digest, ErrorKind, Fault};
use wharf_sandbox::artifact::Source;

use crate::digester::{Digestible, Pending, Stop};
use crate::sink::IoCounters;

/// An open file, and what it was like when it was opened.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    path: PathBuf,
    size: u64,
    changed: Changed,
}

impl OpenFile {
    /// Opens a regular file.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let file = open_at_once(path).map_err(|error| cannot_read(path, &error))?;
        Self::from_file(file, path)
    }

    pub(crate) fn from_file(file: File, path: &Path) -> Result<Self, Fault> {
        let metadata = file.metadata().map_err(|error| cannot_read(path, &error))?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() {
                "is a folder"
            } else {
                "is not a regular file"
            };
            let message = format!("the input `{}` {what}; a file is wanted", path.display());
            return Err(
                Fault::new(ErrorKind::Input, message).hint(match metadata.is_dir() {
                    true => "give a file, or use a step that takes an input-tree",
                    false => "copy it to a file first",
                }),
            );
        }
        let (size, changed) = (metadata.len(), changed(&metadata));
        Ok(Self {
            file,
            path: path.to_owned(),
            size,
            changed,
        })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Fills the buffer as far as the file reaches.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Fails where the file is not what it was when it was opened.
    pub(crate) fn check_unchanged(&self) -> Result<(), Fault> {
        let metadata = self
            .file
            .metadata()
            .map_err(|error| cannot_read(&self.path, &error))?;
        match metadata.len() == self.size && changed(&metadata) == self.changed {
            true => Ok(()),
            false => Err(has_changed(&self.path)),
        }
    }
}

impl Digestible for OpenFile {
    fn bytes(&self) -> u64 {
        self.size
    }

    fn digest(&self, stop: &Stop) -> Result<Digest, Fault> {
        let read = |offset, buffer: &mut [u8]| self.read_at(offset, buffer);
        let (digest, _) = stop
            .hash(read)
            .map_err(|error| cannot_read(&self.path, &error))?;
        Ok(digest)
    }
}

/// When the content of a file last changed: seconds and nanoseconds.
type Changed = (i64, i64);

pub(crate) fn has_changed(path: &Path) -> Fault {
    let message = format!("the input `{}` changed while the step ran", path.display());
    Fault::new(ErrorKind::InputChanged, message)
        .hint("run the step again when nothing writes to the input")
}

fn changed(metadata: &Metadata) -> Changed {
    (metadata.mtime(), metadata.mtime_nsec())
}

/// Opens a file to read. Does not wait, as opening a pipe would, until somebody
/// writes to it.
pub(crate) fn open_at_once(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    File::options()
        .read(true)
        .custom_flags(flags as i32)
        .open(path)
}

/// A missing or unreadable input is a mistake in the request; a disk that fails
/// is not.
pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> Fault {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let artifact = name.strip_prefix("artifact:");
    let path = path.display();
    let is_url = path.to_string().contains("://");
    match error.kind() {
        io::ErrorKind::NotFound => Fault::new(
            ErrorKind::Input,
            format!("the input `{path}` does not exist"),
        )
        .hint(match (artifact, is_url) {
            (Some(artifact), _) => format!(
                "in a pipeline's file, write ${{{{ artifact('{artifact}') }}}}; \
                 `wharf artifact get {artifact} FILE` brings it here"
            ),
            (None, true) => "inputs are files of this machine; download it first".to_owned(),
            (None, false) => "check the path; it is relative to the current folder".to_owned(),
        }),
        io::ErrorKind::PermissionDenied => Fault::new(
            ErrorKind::Input,
            format!("the input `{path}` may not be read by you"),
        )
        .hint("check its permissions"),
        io::ErrorKind::NotADirectory => Fault::new(
            ErrorKind::Input,
            format!("the input `{path}` is not a folder"),
        ),
        _ => Fault::new(
            ErrorKind::of_io(error),
            format!("cannot read the input `{path}`: {error}"),
        ),
    }
}

/// A file as a guest reads it.
#[derive(Debug)]
pub(crate) struct FileSource {
    file: Arc<OpenFile>,
    digest: Pending,
    counters: Arc<IoCounters>,
}

impl FileSource {
    pub(crate) fn new(file: Arc<OpenFile>, digest: Pending, counters: &Arc<IoCounters>) -> Self {
        counters.to_read.fetch_add(file.size(), Ordering::Relaxed);
        Self {
            file,
            digest,
            counters: counters.clone(),
        }
    }
}

#[async_trait]
impl Source for FileSource {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(offset, buffer)?;
        self.counters.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }

    async fn digest(&self) -> Result<Digest, Fault> {
        self.digest.get().await
    }
}
