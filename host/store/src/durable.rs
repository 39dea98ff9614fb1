//! Objects that are files, made durable many at a time.
//!
//! To sync one file takes as long as to sync fifty at a time. Whoever creates objects
//! hands them to one thread, which takes all that wait, writes and syncs them together,
//! gives each its name, and syncs the names.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tempfile::TempPath;
use tokio::sync::oneshot;

use crate::syncing::Syncing;

/// Most objects that are made durable together, so that the first does not wait
/// for thousands. Their files are open at a time.
const BATCH: usize = 256;

/// Creates files durably. Clones share a thread, which ends with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    root: PathBuf,
    /// Where files are until they have their names; on the same file system.
    scratch: PathBuf,
    thread: Arc<Mutex<Option<Sender<Job>>>>,
}

/// A file that somebody wants created.
struct Job {
    path: PathBuf,
    what: What,
    done: oneshot::Sender<io::Result<bool>>,
}

/// What becomes a file.
enum What {
    Bytes(Bytes),
    /// A file that is written, on the same file system.
    File(TempPath),
}

impl Durable {
    pub(crate) fn new(root: &Path, scratch: &Path) -> Self {
        Self {
            root: root.to_owned(),
            scratch: scratch.to_owned(),
            thread: Arc::default(),
        }
    }

    /// Creates a file at a path under the root. Gives `false`, and does nothing,
    /// where there is one.
    pub(crate) async fn create(&self, path: &str, bytes: Bytes) -> io::Result<bool> {
        self.make(path, What::Bytes(bytes)).await
    }

    /// The same, of a file that is written already, somewhere on the file system of
    /// the root. It is moved, or removed.
    pub(crate) async fn adopt(&self, path: &str, file: TempPath) -> io::Result<bool> {
        self.make(path, What::File(file)).await
    }

    async fn make(&self, path: &str, what: What) -> io::Result<bool> {
        let (done, created) = oneshot::channel();
        let path = self.root.join(path);
        self.hand_over(Job { path, what, done })?;
        created.await.map_err(|_| gone())?
    }

    fn hand_over(&self, job: Job) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = match &mut *thread {
            Some(jobs) => jobs,
            none => none.insert(self.start()?),
        };
        jobs.send(job).map_err(|_| gone())
    }

    fn start(&self) -> io::Result<Sender<Job>> {
        let (jobs, waiting) = channel();
        let (root, scratch) = (self.root.clone(), self.scratch.clone());
        std::thread::Builder::new()
            .name("wharf-commit".to_owned())
            .spawn(move || work(&root, &scratch, &waiting))?;
        Ok(jobs)
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that writes the store is gone")
}

fn work(root: &Path, scratch: &Path, waiting: &Receiver<Job>) {
    let mut writer = None;
    while let Ok(first) = waiting.recv() {
        let more = waiting.try_iter().take(BATCH - 1);
        let (mut batch, mut waiters) = (Vec::new(), Vec::new());
        for Job { path, what, done } in std::iter::once(first).chain(more) {
            batch.push((path, what));
            waiters.push(done);
        }
        let started = match &mut writer {
            Some(writer) => Ok(writer),
            none => Writer::new(root, scratch).map(|new| none.insert(new)),
        };
        let results = match started {
            Ok(writer) => writer.create_all(batch),
            Err(error) => batch.iter().map(|_| Err(copy(&error))).collect(),
        };
        for (done, result) in waiters.into_iter().zip(results) {
            // Whoever waited may have given up.
            let _ = done.send(result);
        }
    }
}

/// What writes the files.
struct Writer<'a> {
    scratch: &'a Path,
    syncing: Syncing,
    folders: Folders<'a>,
}

impl<'a> Writer<'a> {
    fn new(root: &'a Path, scratch: &'a Path) -> io::Result<Self> {
        Ok(Self {
            scratch,
            syncing: Syncing::new(root)?,
            folders: Folders::new(root),
        })
    }

    /// Creates the files of a batch; says of each whether it was created.
    fn create_all(&mut self, batch: Vec<(PathBuf, What)>) -> Vec<io::Result<bool>> {
        let written = batch.into_iter().map(|(path, what)| {
            let unnamed = Unnamed::write(self.scratch, what);
            (path, unnamed)
        });
        let written: Vec<_> = written.collect();
        let files = written.iter().flat_map(|(_, unnamed)| unnamed);
        let files: Vec<&File> = files.map(|unnamed| &unnamed.file).collect();
        let synced = self.syncing.sync(&files, |file| file.sync_all());
        let folders = &mut self.folders;
        let named = written.into_iter().map(|(path, unnamed)| {
            synced.as_ref().map_err(copy)?;
            let named = unnamed?.name(&path, || folders.make(&path));
            // Also where somebody else was faster, who may not have come to that yet.
            folders.note(&path);
            named
        });
        let named: Vec<io::Result<bool>> = named.collect();
        match folders.sync(&mut self.syncing) {
            Ok(()) => named,
            // They are there, and may be gone after a power failure: nobody is told
            // that they are safe.
            Err(error) => named.into_iter().map(|_| Err(copy(&error))).collect(),
        }
    }
}

fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// The folders that files get their names in.
struct Folders<'a> {
    root: &'a Path,
    /// Those whose own names are safe, from the root on.
    safe: BTreeSet<PathBuf>,
    waiting: BTreeSet<PathBuf>,
}

impl<'a> Folders<'a> {
    fn new(root: &'a Path) -> Self {
        Self {
            root,
            safe: BTreeSet::new(),
            waiting: BTreeSet::new(),
        }
    }

    /// Makes the folder of a file that has none.
    fn make(&mut self, file: &Path) -> io::Result<()> {
        let folder = file.parent().unwrap_or(file);
        fs::create_dir_all(folder)?;
        self.safe.remove(folder);
        Ok(())
    }

    /// The folder of a file is to be synced; before that is done for the first time,
    /// those that it is in, too.
    fn note(&mut self, file: &Path) {
        for folder in file.ancestors().skip(1) {
            self.waiting.insert(folder.to_owned());
            if self.safe.contains(folder) || folder == self.root {
                return;
            }
        }
    }

    fn sync(&mut self, syncing: &mut Syncing) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let folders: Vec<&PathBuf> = waiting.iter().collect();
        let synced = syncing.sync(&folders, |folder| match File::open(folder) {
            // It could not be made, as whoever wanted that was told.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            folder => folder?.sync_all(),
        });
        if synced.is_ok() {
            self.safe.extend(waiting);
        }
        synced
    }
}

/// A file that is written and has no name of its own yet; removed when dropped.
struct Unnamed {
    file: File,
    path: TempPath,
}

impl Unnamed {
    fn write(scratch: &Path, what: What) -> io::Result<Self> {
        let bytes = match what {
            What::Bytes(bytes) => bytes,
            What::File(path) => {
                let file = File::open(&path)?;
                return Ok(Self { file, path });
            }
        };
        let mut file = temporary(scratch)?;
        file.write_all(&bytes)?;
        let (file, path) = file.into_parts();
        Ok(Self { file, path })
    }

    /// Gives it its name, unless somebody has it.
    fn name(self, to: &Path, make_folder: impl FnOnce() -> io::Result<()>) -> io::Result<bool> {
        let mut named = rename_new(&self.path, to);
        if named
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        {
            make_folder()?;
            named = rename_new(&self.path, to);
        }
        match named {
            Ok(()) => {
                // It is no longer under the temporary name.
                drop(self.path.keep());
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A temporary file in a folder, which is made where it is missing.
pub(crate) fn temporary(scratch: &Path) -> io::Result<tempfile::NamedTempFile> {
    let create = || {
        tempfile::Builder::new()
            .prefix("")
            .suffix(".partial")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(scratch)
    };
    create().or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            fs::create_dir_all(scratch)?;
            create()
        }
        _ => Err(error),
    })
}

/// Renames a file to a name that nobody has.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not on every file system; links are made for new names only, too.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    }

    #[test]
    fn a_name_is_given_once() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("tmp");
        let durable = Durable::new(folder.path(), &scratch);
        let created = runtime().block_on(async {
            let one = durable.create("a/b/c", Bytes::from_static(b"first"));
            let other = durable.create("a/b/c", Bytes::from_static(b"second"));
            let (one, other) = tokio::join!(one, other);
            (one.unwrap(), other.unwrap())
        });
        assert_eq!(created, (true, false));
        assert_eq!(fs::read(folder.path().join("a/b/c")).unwrap(), b"first");
        assert_eq!(fs::read_dir(scratch).unwrap().count(), 0);
    }

    #[test]
    fn many_are_created_together() {
        let folder = tempfile::tempdir().unwrap();
        let durable = Durable::new(folder.path(), &folder.path().join("tmp"));
        let create = |n: usize| {
            let durable = durable.clone();
            async move {
                durable
                    .create(&format!("{}/{n}", n % 20), Bytes::new())
                    .await
            }
        };
        let created = runtime().block_on(futures::future::join_all((0..2 * BATCH).map(create)));
        assert!(created.into_iter().all(Result::unwrap));
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let durable = Durable::new(folder.path(), &folder.path().join("tmp"));
        let under_a_file = durable.create("file/x", Bytes::new());
        assert!(runtime().block_on(under_a_file).is_err());
    }
}
