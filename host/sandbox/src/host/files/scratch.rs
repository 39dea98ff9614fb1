//! `/out`: a scratch folder of the host, in which every byte and file counts.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use cap_std::fs::{Dir, OpenOptions};
use wharf_model::limits::LimitKind;
use wharf_model::name::{MAX_TREE_FILES, TreePath};

use super::error::{FilesError, FilesResult, Mistake, of_disk, of_path};
use super::{Entry, Kind, Node, Open};
use crate::gate::Gate;
use crate::limiter::{Budget, Exceeded};

/// What `/out` is.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: Dir,
    bytes: Budget,
    files: Budget,
    gate: Gate,
}

/// An open file of `/out`.
#[derive(Debug)]
pub(crate) struct OutFile {
    scratch: Arc<Scratch>,
    file: File,
    /// Whether it was opened for writing.
    writes: bool,
    pub(super) path: String,
}

impl Scratch {
    pub(super) fn new(folder: Dir, bytes: &Budget, gate: &Gate) -> Self {
        Self {
            folder,
            gate: gate.clone(),
            bytes: bytes.clone(),
            files: Budget::new(LimitKind::TreeFiles, MAX_TREE_FILES as u64),
        }
    }

    #[cfg(test)]
    pub(super) fn close(&self) {
        self.gate.close();
    }

    #[cfg(test)]
    pub(super) fn files_spent(&self) -> u64 {
        self.files.spent()
    }

    fn find(&self, path: &str) -> FilesResult<Option<(Kind, u64)>> {
        if path.is_empty() {
            return Ok(Some((Kind::Folder, 0)));
        }
        match self.folder.symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(Some((Kind::Folder, 0))),
            Ok(metadata) => Ok(Some((Kind::File, metadata.len()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(of_path(error)),
        }
    }

    /// What is at a resolved path, and its size.
    pub(super) fn existing(&self, path: &str) -> FilesResult<(Kind, u64)> {
        Ok(self.find(path)?.ok_or(Mistake::NoEntry)?)
    }

    /// Counts a file or folder that is about to be made.
    fn count_new(&self, path: &str) -> FilesResult<()> {
        TreePath::new(path).map_err(|error| Mistake::from(&error))?;
        self.files
            .spend(1)
            .map_err(|_| Exceeded::new(LimitKind::TreeFiles, MAX_TREE_FILES).into())
    }

    /// What was counted and could not be made does not count.
    fn not_made(&self, counted: bool, error: io::Error) -> FilesError {
        if counted {
            self.files.refund(1);
        }
        of_path(error)
    }

    /// The entries of a folder, sorted.
    pub(super) fn entries(&self, path: &str) -> FilesResult<Vec<Entry>> {
        let mut entries = Vec::new();
        let path = if path.is_empty() { "." } else { path };
        for entry in self.folder.read_dir(path).map_err(of_path)? {
            let entry = entry.map_err(of_path)?;
            let is_folder = entry.file_type().map_err(of_path)?.is_dir();
            // Every name in the scratch folder was checked when it was made.
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = if is_folder { Kind::Folder } else { Kind::File };
            entries.push(Entry { kind, name });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Opens what is at a resolved path, and makes it where that is wanted.
    pub(super) fn open(self: &Arc<Self>, path: String, how: Open) -> FilesResult<Node> {
        match self.find(&path)? {
            Some(_) if how.create && how.exclusive => return Err(Mistake::Exist.into()),
            Some((Kind::Folder, _)) if how.write || how.truncate => {
                return Err(Mistake::IsDirectory.into());
            }
            Some((Kind::Folder, _)) => {
                let scratch = self.clone();
                return Ok(Node::OutFolder { scratch, path });
            }
            Some(_) if how.folder => return Err(Mistake::NotDirectory.into()),
            Some(_) => {}
            None if !how.create => return Err(Mistake::NoEntry.into()),
            None if how.folder => return Err(Mistake::NotDirectory.into()),
            None => {}
        }
        if how.truncate && !how.write {
            return Err(Mistake::Invalid.into());
        }
        let _passing = self.gate.pass()?;
        let is_new = self.find(&path)?.is_none();
        if is_new {
            self.count_new(&path)?;
        }
        let mut options = OpenOptions::new();
        // Creating needs the right to write, whatever the program asks for.
        options
            .read(true)
            .write(how.write || how.create)
            .truncate(how.truncate)
            .create(how.create);
        let opened = self.folder.open_with(&path, &options);
        let file = opened.map_err(|error| self.not_made(is_new, error))?;
        Ok(Node::OutFile(Arc::new(OutFile {
            scratch: self.clone(),
            file: file.into_std(),
            writes: how.write,
            path,
        })))
    }

    pub(super) fn create_folder(&self, path: &str) -> FilesResult<()> {
        if self.find(path)?.is_some() {
            return Err(Mistake::Exist.into());
        }
        let _passing = self.gate.pass()?;
        self.count_new(path)?;
        let made = self.folder.create_dir(path);
        made.map_err(|error| self.not_made(true, error))
    }

    pub(super) fn remove_folder(&self, path: &str) -> FilesResult<()> {
        match self.existing(path)? {
            _ if path.is_empty() => Err(Mistake::NotPermitted.into()),
            (Kind::File, _) => Err(Mistake::NotDirectory.into()),
            (Kind::Folder, _) => {
                let _passing = self.gate.pass()?;
                self.folder.remove_dir(path).map_err(of_path)?;
                self.files.refund(1);
                Ok(())
            }
        }
    }

    pub(super) fn remove_file(&self, path: &str) -> FilesResult<()> {
        match self.existing(path)? {
            (Kind::Folder, _) => Err(Mistake::IsDirectory.into()),
            (Kind::File, _) => {
                let _passing = self.gate.pass()?;
                self.folder.remove_file(path).map_err(of_path)?;
                self.files.refund(1);
                Ok(())
            }
        }
    }

    /// Checks that everything below a folder has a path that is allowed once the
    /// folder has moved: else moving folders into each other would nest them
    /// without end.
    fn check_moved(&self, old: &str, new: &str) -> FilesResult<()> {
        for entry in self.entries(old)? {
            let (from, to) = (
                format!("{old}/{}", entry.name),
                format!("{new}/{}", entry.name),
            );
            TreePath::new(&to).map_err(|error| Mistake::from(&error))?;
            if entry.kind == Kind::Folder {
                self.check_moved(&from, &to)?;
            }
        }
        Ok(())
    }

    pub(super) fn rename(&self, old: &str, new: &str) -> FilesResult<()> {
        if old.is_empty() || new.is_empty() {
            return Err(Mistake::NotPermitted.into());
        }
        let (kind, _) = self.existing(old)?;
        TreePath::new(new).map_err(|error| Mistake::from(&error))?;
        if kind == Kind::Folder {
            self.check_moved(old, new)?;
        }
        let _passing = self.gate.pass()?;
        let replaces = old != new && self.find(new)?.is_some();
        self.folder
            .rename(old, &self.folder, new)
            .map_err(of_path)?;
        if replaces {
            self.files.refund(1);
        }
        Ok(())
    }
}

impl OutFile {
    pub(super) fn size(&self) -> FilesResult<u64> {
        Ok(self.file.metadata().map_err(of_disk)?.len())
    }

    /// Counts what a write adds: its bytes, or the hole that it makes where
    /// that is more.
    fn count(&self, offset: u64, len: u64) -> FilesResult<()> {
        let hole = offset.saturating_add(len).saturating_sub(self.size()?);
        Ok(self.scratch.bytes.spend(hole.max(len))?)
    }

    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self
                .file
                .read_at(&mut buffer[done..], offset + done as u64)?
            {
                0 => break,
                read => done += read,
            }
        }
        Ok(done)
    }

    /// Writes all bytes.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> FilesResult<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let _passing = self.scratch.gate.pass()?;
        self.count(offset, bytes.len() as u64)?;
        Ok(self.file.write_all_at(bytes, offset).map_err(of_disk)?)
    }

    /// Writes all bytes at the end, and tells where that is then.
    pub(crate) fn append(&self, bytes: &[u8]) -> FilesResult<u64> {
        let end = self.size()?;
        self.write_at(bytes, end)?;
        Ok(end + bytes.len() as u64)
    }

    pub(crate) fn set_size(&self, size: u64) -> FilesResult<()> {
        let _passing = self.scratch.gate.pass()?;
        let added = size.saturating_sub(self.size()?);
        self.scratch.bytes.spend(added)?;
        Ok(self.file.set_len(size).map_err(of_disk)?)
    }

    pub(super) fn check_writable(&self) -> Result<(), Mistake> {
        match self.writes {
            true => Ok(()),
            false => Err(Mistake::NotPermitted),
        }
    }
}
