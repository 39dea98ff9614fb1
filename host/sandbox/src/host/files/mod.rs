//! The file system of a program: `/in` read-only, `/out` writable.
//!
//! Not the host's file system with permissions, but one of its own, so that a
//! program sees the same on every machine: entries are sorted, times are the
//! run's logical time, inodes are derived from paths. There are no links, so
//! nothing can lead outside, and a path can be resolved by its text alone.
//! Every byte and file that a program adds is counted.
//!
//! This is the core, which knows no interface of WASI: `filesystem` and
//! `preview1` translate between it and theirs.
//!
//! Calls block the guest's thread for as long as the page cache takes, which is
//! shorter than to hand them to another thread.

mod error;
mod input;
mod path;
mod scratch;

use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use jiff::Timestamp;
use wharf_model::limits::LimitKind;
use wharf_model::name::MAX_TREE_FILES;
use wharf_model::{ErrorKind, Fault};

use crate::artifact::Source;
use crate::gate::Gate;
use crate::limiter::{Budget, Exceeded};

pub(crate) use error::{FilesError, FilesResult, Mistake};
use input::InFolder;
pub use input::ProgramInput;
use path::resolve;
pub(crate) use path::{child, inode, parent};
pub(crate) use scratch::OutFile;
use scratch::Scratch;

/// Most entries of listings that are open at a time, over all of them: a
/// listing is a copy, so that what happens meanwhile does not confuse it.
const MAX_LISTED: usize = 4 * MAX_TREE_FILES;

/// The file system of a run. Empty for typed steps.
#[derive(Debug)]
pub(crate) struct Files {
    input: Option<Arc<InFolder>>,
    output: Option<Arc<Scratch>>,
    time: Timestamp,
    /// Entries of all open listings.
    listed: Budget,
}

/// What a descriptor of the guest stands for. A path is resolved, and relative
/// to the preopened folder.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    InFolder {
        root: Arc<InFolder>,
        folder: Arc<InFolder>,
        path: String,
    },
    InFile {
        source: Arc<dyn Source>,
        path: String,
    },
    OutFolder {
        scratch: Arc<Scratch>,
        path: String,
    },
    OutFile(Arc<OutFile>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
}

/// How to open something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Open {
    pub(crate) write: bool,
    pub(crate) create: bool,
    /// With `create`: nothing may be there.
    pub(crate) exclusive: bool,
    pub(crate) truncate: bool,
    /// It must be a folder.
    pub(crate) folder: bool,
}

/// What is known of a file or folder.
#[derive(Debug)]
pub(crate) struct Stat {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    /// What tells one object from another: its absolute path.
    pub(crate) identity: String,
}

/// An entry of a folder.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

/// The entries of a folder at one moment, counted while it exists.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) entries: Vec<Entry>,
    listed: Budget,
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.listed.refund(self.entries.len() as u64);
    }
}

impl Default for Files {
    fn default() -> Self {
        Self {
            input: None,
            output: None,
            time: Timestamp::UNIX_EPOCH,
            listed: Budget::new(LimitKind::Handles, MAX_LISTED as u64),
        }
    }
}

impl Files {
    /// The file system of a program: `scratch` becomes `/out`.
    pub(crate) fn of_program(
        inputs: Vec<(String, ProgramInput)>,
        scratch: Option<Dir>,
        bytes: &Budget,
        gate: &Gate,
        time: Timestamp,
    ) -> Self {
        Self {
            input: Some(Arc::new(InFolder::of(inputs))),
            output: scratch.map(|folder| Arc::new(Scratch::new(folder, bytes, gate))),
            time,
            ..Self::default()
        }
    }

    /// The folders that a program starts with, and their paths.
    pub(crate) fn preopened(&self) -> Vec<(Node, &'static str)> {
        let input = self.input.iter().map(|root| {
            let node = Node::InFolder {
                root: root.clone(),
                folder: root.clone(),
                path: String::new(),
            };
            (node, "/in")
        });
        let output = self.output.iter().map(|scratch| {
            let node = Node::OutFolder {
                scratch: scratch.clone(),
                path: String::new(),
            };
            (node, "/out")
        });
        input.chain(output).collect()
    }

    /// The time of everything, since 1970.
    pub(crate) fn time(&self) -> Duration {
        let nanos = self.time.as_nanosecond().max(0);
        Duration::from_nanos_u128(nanos.unsigned_abs())
    }

    /// The entries of a folder, sorted.
    pub(crate) fn list(&self, node: &Node) -> FilesResult<Listing> {
        let entries = match node {
            Node::InFolder { folder, .. } => folder.entries(),
            Node::OutFolder { scratch, path } => scratch.entries(path)?,
            Node::InFile { .. } | Node::OutFile(_) => return Err(Mistake::NotDirectory.into()),
        };
        self.listed
            .spend(entries.len() as u64)
            .map_err(|_| Exceeded::new(LimitKind::Handles, MAX_LISTED))?;
        Ok(Listing {
            entries,
            listed: self.listed.clone(),
        })
    }
}

impl Node {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::InFolder { .. } | Self::OutFolder { .. } => Kind::Folder,
            Self::InFile { .. } | Self::OutFile(_) => Kind::File,
        }
    }

    pub(crate) fn size(&self) -> FilesResult<u64> {
        match self {
            Self::InFolder { .. } | Self::OutFolder { .. } => Ok(0),
            Self::InFile { source, .. } => Ok(source.size()),
            Self::OutFile(file) => file.size(),
        }
    }

    /// What tells one object from another: its absolute path.
    pub(crate) fn identity(&self) -> String {
        match self {
            Self::InFolder { path, .. } | Self::InFile { path, .. } => format!("/in/{path}"),
            Self::OutFolder { path, .. } => format!("/out/{path}"),
            Self::OutFile(file) => format!("/out/{}", file.path),
        }
    }

    pub(crate) fn stat(&self) -> FilesResult<Stat> {
        Ok(Stat {
            kind: self.kind(),
            size: self.size()?,
            identity: self.identity(),
        })
    }

    /// The writable folder that this is.
    fn scratch(&self) -> Result<(&Arc<Scratch>, &str), Mistake> {
        match self {
            Self::OutFolder { scratch, path } => Ok((scratch, path)),
            Self::InFolder { .. } => Err(Mistake::ReadOnly),
            Self::InFile { .. } | Self::OutFile(_) => Err(Mistake::NotDirectory),
        }
    }

    /// The writable file that this is.
    pub(crate) fn writable(&self) -> Result<&Arc<OutFile>, Mistake> {
        match self {
            Self::OutFile(file) => file.check_writable().map(|()| file),
            Self::InFile { .. } => Err(Mistake::ReadOnly),
            Self::InFolder { .. } | Self::OutFolder { .. } => Err(Mistake::IsDirectory),
        }
    }

    /// Accepts new times, which are not kept: programs that set them should not
    /// fail.
    pub(crate) fn set_times(&self) -> Result<(), Mistake> {
        match self {
            Self::OutFolder { .. } | Self::OutFile(_) => Ok(()),
            Self::InFolder { .. } | Self::InFile { .. } => Err(Mistake::ReadOnly),
        }
    }

    /// Fills the buffer from the byte at `offset` on, as far as the file
    /// reaches; returns how many bytes it filled.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> FilesResult<usize> {
        let left = self.size()?.saturating_sub(offset);
        let len = left.min(buffer.len() as u64) as usize;
        let buffer = &mut buffer[..len];
        let read = match self {
            Self::InFile { source, .. } => source.read_at(offset, buffer),
            Self::OutFile(file) => file.read_at(offset, buffer),
            Self::InFolder { .. } | Self::OutFolder { .. } => {
                return Err(Mistake::IsDirectory.into());
            }
        };
        let read = read.map_err(|error| {
            let message = format!("cannot read `{}`: {error}", self.identity());
            Fault::new(ErrorKind::of_io(&error), message)
        })?;
        Ok(read.min(len))
    }

    /// What is at a path in this folder.
    pub(crate) fn stat_at(&self, path: &str) -> FilesResult<Stat> {
        let (kind, size, identity) = match self {
            Self::InFolder {
                root, path: base, ..
            } => {
                let path = resolve(base, path)?;
                let entry = root.find(&path)?;
                (entry.kind(), entry.size(), format!("/in/{path}"))
            }
            Self::OutFolder {
                scratch,
                path: base,
            } => {
                let path = resolve(base, path)?;
                let (kind, size) = scratch.existing(&path)?;
                (kind, size, format!("/out/{path}"))
            }
            Self::InFile { .. } | Self::OutFile(_) => return Err(Mistake::NotDirectory.into()),
        };
        Ok(Stat {
            kind,
            size,
            identity,
        })
    }

    /// Opens what is at a path in this folder.
    pub(crate) fn open_at(&self, path: &str, mut how: Open) -> FilesResult<Self> {
        how.folder |= path.ends_with('/');
        let node = match self {
            Self::InFolder {
                root, path: base, ..
            } => {
                let path = resolve(base, path)?;
                if how.create || how.truncate || how.exclusive || how.write {
                    return Err(Mistake::ReadOnly.into());
                }
                root.find(&path)?.open(root.clone(), path)?
            }
            Self::OutFolder {
                scratch,
                path: base,
            } => scratch.open(resolve(base, path)?, how)?,
            Self::InFile { .. } | Self::OutFile(_) => return Err(Mistake::NotDirectory.into()),
        };
        if how.folder && node.kind() != Kind::Folder {
            return Err(Mistake::NotDirectory.into());
        }
        Ok(node)
    }

    pub(crate) fn set_times_at(&self, path: &str) -> FilesResult<()> {
        let (scratch, base) = self.scratch()?;
        scratch.existing(&resolve(base, path)?).map(drop)
    }

    pub(crate) fn create_folder_at(&self, path: &str) -> FilesResult<()> {
        let (scratch, base) = self.scratch()?;
        scratch.create_folder(&resolve(base, path)?)
    }

    pub(crate) fn remove_folder_at(&self, path: &str) -> FilesResult<()> {
        let (scratch, base) = self.scratch()?;
        scratch.remove_folder(&resolve(base, path)?)
    }

    pub(crate) fn remove_file_at(&self, path: &str) -> FilesResult<()> {
        let (scratch, base) = self.scratch()?;
        scratch.remove_file(&resolve(base, path)?)
    }

    /// Renames within `/out`, the one writable folder.
    pub(crate) fn rename_at(&self, old: &str, to: &Self, new: &str) -> FilesResult<()> {
        let (scratch, old_base) = self.scratch()?;
        let (_, new_base) = to.scratch()?;
        scratch.rename(&resolve(old_base, old)?, &resolve(new_base, new)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(bytes: u64) -> (tempfile::TempDir, Files, Node) {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
        let bytes = Budget::new(LimitKind::OutputBytes, bytes);
        let gate = Gate::default();
        let files = Files::of_program(vec![], Some(dir), &bytes, &gate, Timestamp::UNIX_EPOCH);
        let node = files.preopened().remove(1).0;
        (folder, files, node)
    }

    const CREATE: Open = Open {
        write: true,
        create: true,
        exclusive: false,
        truncate: false,
        folder: false,
    };

    fn mistake<T: std::fmt::Debug>(result: FilesResult<T>) -> Mistake {
        match result.unwrap_err() {
            FilesError::Mistake(mistake) => mistake,
            other => panic!("{other:?}"),
        }
    }

    /// Moving folders into each other must not nest them deeper than a path may
    /// be: whoever removes them afterwards would run out of stack.
    #[test]
    fn folders_do_not_nest_without_end() {
        let (_folder, _files, out) = out(10);
        out.create_folder_at("a").unwrap();
        let mut nested = 0;
        let refused = loop {
            out.create_folder_at("b").unwrap();
            if let Err(error) = out.rename_at("a", &out, "b/a") {
                break mistake::<()>(Err(error));
            }
            out.rename_at("b", &out, "a").unwrap();
            nested += 1;
            assert!(nested < 100);
        };
        assert_eq!(refused, Mistake::NameTooLong);
        assert_eq!(nested, wharf_model::name::MAX_TREE_PARTS - 1);
    }

    /// What could not be made does not use up what may be made.
    #[test]
    fn failures_are_not_counted() {
        let (_folder, files, out) = out(10);
        for _ in 0..10 {
            assert!(out.create_folder_at("missing/a").is_err());
            assert!(out.open_at("missing/a", CREATE).is_err());
        }
        assert_eq!(files.output.unwrap().files_spent(), 0);
    }

    #[test]
    fn nothing_changes_once_the_run_has_ended() {
        let (folder, files, out) = out(10);
        let file = out.open_at("a", CREATE).unwrap();
        let Node::OutFolder { scratch, .. } = &out else {
            panic!("/out is not a folder")
        };
        scratch.close();
        let is_fault = |result: FilesResult<()>| matches!(result, Err(FilesError::Fault(_)));
        let written = file.writable().unwrap();
        assert!(is_fault(written.write_at(b"x", 0)));
        assert!(is_fault(written.set_size(1)));
        assert!(is_fault(out.open_at("b", CREATE).map(drop)));
        assert!(is_fault(out.create_folder_at("b")));
        assert!(is_fault(out.rename_at("a", &out, "b")));
        assert!(is_fault(out.remove_file_at("a")));
        assert_eq!(files.list(&out).unwrap().entries.len(), 1);
        assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), b"");
    }

    #[test]
    fn holes_are_counted() {
        let (_folder, _files, out) = out(10);
        let node = out.open_at("a", CREATE).unwrap();
        let file = node.writable().unwrap();
        file.write_at(b"x", 8).unwrap();
        assert_eq!(node.size().unwrap(), 9);
        assert!(matches!(file.append(b"yz"), Err(FilesError::Exceeded(_))));
        assert_eq!(file.append(b"y").unwrap(), 10);
        assert!(matches!(file.set_size(11), Err(FilesError::Exceeded(_))));
        let mut bytes = [7; 16];
        assert_eq!(node.read_at(7, &mut bytes).unwrap(), 3);
        assert_eq!(bytes[..4], [0, b'x', b'y', 7]);
        assert_eq!(node.read_at(u64::MAX, &mut bytes).unwrap(), 0);
    }

    #[test]
    fn a_rename_that_replaces_frees_what_it_replaces() {
        let (_folder, _files, out) = out(10);
        for _ in 0..MAX_TREE_FILES / 1000 {
            out.open_at("temporary", CREATE).unwrap();
            out.rename_at("temporary", &out, "final").unwrap();
        }
        let Node::OutFolder { scratch, .. } = &out else {
            panic!("/out is not a folder")
        };
        assert_eq!(scratch.files_spent(), 1);
        out.rename_at("final", &out, "final").unwrap();
        assert_eq!(scratch.files_spent(), 1);
    }

    #[test]
    fn a_file_is_not_made_where_a_folder_is_wanted() {
        let (_folder, files, out) = out(10);
        assert_eq!(mistake(out.open_at("a/", CREATE)), Mistake::NotDirectory);
        assert_eq!(files.list(&out).unwrap().entries.len(), 0);
        let long = "n".repeat(300);
        assert_eq!(mistake(out.stat_at(&long)), Mistake::NameTooLong);
        assert_eq!(mistake(out.open_at(&long, CREATE)), Mistake::NameTooLong);
    }

    #[test]
    fn listings_are_sorted_and_counted() {
        let (_folder, files, out) = out(10);
        for name in ["b", "a", "c"] {
            out.create_folder_at(name).unwrap();
        }
        let listing = files.list(&out).unwrap();
        let names: Vec<_> = listing.entries.iter().map(|e| &*e.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(files.listed.spent(), 3);
        drop(listing);
        assert_eq!(files.listed.spent(), 0);
    }
}
