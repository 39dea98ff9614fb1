//! The folder of a local store: made when something is first written, and gone
//! again where nothing was.
//!
//! Whoever uses the folder holds a shared lock on it, and whoever removes it an
//! exclusive one: a run that came to nothing must not remove what another is about
//! to write into.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use rustix::fs::{Access, FlockOperation, flock};
use rustix::io::Errno;
use wharf_model::{ErrorKind, Fault};

/// Keeps the store out of version control: it is not source.
const IGNORED: &str = ".gitignore";

/// The folder in a store for files that are not complete.
pub(crate) const SCRATCH: &str = "tmp";

/// A folder that becomes a store.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// The lock, once the folder was opened.
    used: Arc<OnceLock<Used>>,
}

/// A folder that is in use, as long as this exists.
#[derive(Debug)]
struct Used {
    folder: File,
    /// Whether this process made it.
    made: bool,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            used: Arc::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where files are until they have their names.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.path.join(SCRATCH)
    }

    /// Makes the folder where it is missing, and opens the store in it.
    pub(crate) fn open(&self) -> Result<Arc<dyn ObjectStore>, Fault> {
        let path = &self.path;
        if std::fs::metadata(path).is_ok_and(|found| !found.is_dir()) {
            let message = format!("the store `{}` is not a folder", path.display());
            return Err(Fault::new(ErrorKind::CommandLine, message).hint("give a folder"));
        }
        let used = self.use_it().map_err(|error| cannot_create(path, &error))?;
        if used.made {
            self.ignore();
        }
        // Of two threads, the lock of one is enough.
        let _ = self.used.set(used);
        let objects = LocalFileSystem::new_with_prefix(path).map_err(|error| {
            Fault::new(ErrorKind::Store, format!("cannot open the store: {error}"))
        })?;
        // Without it, a record can be lost with the machine's power after the run
        // was reported.
        Ok(Arc::new(objects.with_fsync(true)))
    }

    /// Makes the folder where it is missing, and makes sure that nobody removes it.
    fn use_it(&self) -> io::Result<Used> {
        let mut made = false;
        loop {
            // Whoever makes it is told so, however many there are.
            match std::fs::create_dir(&self.path) {
                Ok(()) => {
                    made = true;
                    sync_around(&self.path)?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    create_around(&self.path)?;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            let folder = match File::open(&self.path) {
                // Removed in between.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                folder => folder?,
            };
            // Without locks, as on some network file systems, it is used all the same.
            let _ = flock(&folder, FlockOperation::LockShared);
            let opened = folder.metadata()?;
            let is_there = std::fs::metadata(&self.path)
                .is_ok_and(|now| (now.dev(), now.ino()) == (opened.dev(), opened.ino()));
            if is_there {
                return Ok(Used { folder, made });
            }
        }
    }

    /// Fails where this process may not write in the folder, or in these parts of
    /// it.
    pub(crate) fn check_writable(&self, parts: &[&str]) -> Result<(), Fault> {
        let parts = parts.iter().map(|part| self.path.join(part));
        for path in parts.chain([self.path.clone()]) {
            let access = Access::WRITE_OK | Access::EXEC_OK;
            match rustix::fs::access(&path, access) {
                // It is made when it is needed.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(cannot_create(&path, &error.into())),
            }
        }
        Ok(())
    }

    /// Removes the folder, where this process made it, nobody else uses it, and it
    /// holds nothing but these parts, empty. Not to be used afterwards.
    pub(crate) fn remove_if_empty(&self, parts: &[&str]) {
        let Some(used) = self.used.get() else {
            return;
        };
        let alone = flock(&used.folder, FlockOperation::NonBlockingLockExclusive).is_ok();
        if !alone {
            // Whoever is the last one removes it.
            let _ = flock(&used.folder, FlockOperation::Unlock);
        }
        if !alone || !used.made {
            return;
        }
        // Each fails where something is in it, as it should.
        for part in parts {
            let _ = std::fs::remove_dir(self.path.join(part));
        }
        let _ = std::fs::remove_file(self.path.join(IGNORED));
        if std::fs::remove_dir(&self.path).is_err() {
            self.ignore();
        }
    }

    fn ignore(&self) {
        // A store works without it.
        let _ = std::fs::write(self.path.join(IGNORED), "*\n");
    }
}

/// Makes the folders that a folder is in.
fn create_around(path: &Path) -> io::Result<()> {
    let Some(around) = path.parent() else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let mut made = std::fs::create_dir(around);
    if made
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    {
        create_around(around)?;
        made = std::fs::create_dir(around);
    }
    match made {
        Ok(()) => sync_around(around),
        Err(_) if around.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes sure that a folder is there after a power failure. One that may not be read
/// cannot be synced by whoever may write in it.
fn sync_around(path: &Path) -> io::Result<()> {
    let around = path
        .parent()
        .filter(|around| !around.as_os_str().is_empty());
    match File::open(around.unwrap_or(Path::new("."))) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        around => around?.sync_all(),
    }
}

fn cannot_create(folder: &Path, error: &io::Error) -> Fault {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match error.kind() {
        PermissionDenied | ReadOnlyFilesystem => {
            let message = format!(
                "the store `{}` may not be written by you: {error}",
                folder.display()
            );
            Fault::new(ErrorKind::CommandLine, message)
                .hint("say where it shall be with --store or WHARF_STORE, or leave it out with --no-record")
        }
        _ => Fault::io("create the store", folder, error),
    }
}
