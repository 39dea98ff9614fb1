//! Wharf's store: what is kept of runs, as objects under one URL.
//!
//! There is no server and no database: an object, once written, is the truth.
//! A record is written by one conditional create. Where the answer to it is
//! lost or says that the object exists, the object is read back: the same bytes
//! mean success, others are a conflict.
//!
//! ```text
//! runs/<id>.json     the record of a run
//! logs/<id>.jsonl    the events of a run, one JSON text a line, where it had some
//! ```
#![deny(missing_docs)]

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use rustix::fs::Access;
use rustix::io::Errno;
use wharf_model::event::Event;
use wharf_model::record::{FORMAT, RunId};
use wharf_model::{ErrorKind, Fault, Record};

/// Most bytes of an object that is read whole. A record is some kilobytes, and
/// a log at most what the run's limit allows.
const MAX_OBJECT_BYTES: u64 = 256 << 20;

/// How often a folder may go while something is written into it.
const GONE: usize = 100;

/// Where records and logs are.
const RUNS: &str = "runs";
const LOGS: &str = "logs";

/// A place where runs are kept.
#[derive(Clone)]
pub struct Store {
    objects: Arc<OnceLock<Arc<dyn ObjectStore>>>,
    /// The folder of a local store, which is made when it is first written to.
    folder: Option<PathBuf>,
    /// Whether this process made the folder.
    made: Arc<AtomicBool>,
    place: String,
}

impl Store {
    /// The store in a folder, which is made when something is written.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            objects: Arc::default(),
            folder: Some(folder.to_owned()),
            made: Arc::default(),
            place: folder.display().to_string(),
        }
    }

    /// A store in memory, gone with the last clone.
    #[must_use]
    pub fn in_memory() -> Self {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        Self {
            objects: Arc::new(objects.into()),
            folder: None,
            made: Arc::default(),
            place: "memory".to_owned(),
        }
    }

    /// Makes sure that the store can be used, so that a run does not find out
    /// at its end that it cannot be recorded.
    ///
    /// # Errors
    /// Where a folder cannot be made or used.
    pub fn prepare(&self) -> Result<(), Fault> {
        self.objects()?;
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let parts = [RUNS, LOGS].map(|part| folder.join(part));
        let all = parts.iter().chain([folder]).filter(|path| path.exists());
        for path in all {
            let access = Access::WRITE_OK | Access::EXEC_OK;
            match rustix::fs::access(path, access) {
                // Another run has just left nothing behind.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(cannot_create(path, &error.into())),
            }
        }
        Ok(())
    }

    /// Removes the folder of a local store, where this process made it and it
    /// holds nothing, so that a run that came to nothing leaves nothing.
    pub fn remove_if_empty(&self) {
        if let Some(folder) = &self.folder
            && self.made.load(Ordering::Relaxed)
        {
            // Each fails where something is in it, as it should.
            for part in [RUNS, LOGS] {
                let _ = std::fs::remove_dir(folder.join(part));
            }
            let _ = std::fs::remove_file(folder.join(IGNORED));
            if std::fs::remove_dir(folder).is_err() {
                ignore(folder);
            }
        }
    }

    fn objects(&self) -> Result<&dyn ObjectStore, Fault> {
        if let Some(objects) = self.objects.get() {
            return Ok(&**objects);
        }
        let Some(folder) = &self.folder else {
            return Err(Fault::internal("a store without a place"));
        };
        if !folder.exists() {
            self.made.store(true, Ordering::Relaxed);
        }
        let objects = open_folder(folder)?;
        if self.made.load(Ordering::Relaxed) {
            ignore(folder);
        }
        Ok(&**self.objects.get_or_init(|| objects))
    }

    /// Where the store is, for people to read.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Keeps the record of a run, and its events where it had some. The record
    /// is written last: a run that has one is complete. A log whose record cannot
    /// be written is removed, unless the store has the record of another run
    /// under the same id.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where the store has another record of that id;
    /// otherwise where writing fails.
    pub async fn put_run(&self, record: &Record, events: &[Event]) -> Result<(), Fault> {
        let log = log_path(&record.id);
        if !events.is_empty() {
            self.create(&log, json_lines(events)?).await?;
        }
        let mut json = serde_json::to_vec_pretty(record).map_err(Fault::internal)?;
        json.push(b'\n');
        let created = self.create(&record_path(&record.id), json.into()).await;
        if let Err(fault) = &created
            && fault.kind() != ErrorKind::Conflict
            && !events.is_empty()
        {
            // Where that fails too, the store is as it is.
            let _ = self.objects()?.delete(&log).await;
        }
        created
    }

    /// The record of a run.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownRun`] where there is none; [`ErrorKind::Store`] where
    /// it cannot be read or understood.
    pub async fn run(&self, id: &RunId) -> Result<Record, Fault> {
        let path = record_path(id);
        let Some(bytes) = self.read(&path).await? else {
            return Err(self.unknown(id.as_str()));
        };
        let record: Record = serde_json::from_slice(&bytes).map_err(|error| {
            Fault::new(
                ErrorKind::Store,
                format!(
                    "the record `{path}` in {} cannot be understood: {error}",
                    self.place
                ),
            )
            .hint(match error.is_data() {
                true => "a newer version of Wharf may have written it",
                false => "the file is damaged: restore it, or remove it",
            })
        })?;
        match record.format == FORMAT {
            true => Ok(record),
            false => Err(Fault::new(
                ErrorKind::Store,
                format!(
                    "the record `{path}` has the format {}, not {FORMAT}",
                    record.format
                ),
            )),
        }
    }

    /// The events of a run, in order.
    ///
    /// # Errors
    /// Where they cannot be read or understood.
    pub async fn events(&self, id: &RunId) -> Result<Vec<Event>, Fault> {
        let path = log_path(id);
        let bytes = self.read(&path).await?.unwrap_or_default();
        let lines = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let events = lines.map(serde_json::from_slice).collect::<Result<_, _>>();
        events.map_err(|error| {
            Fault::new(
                ErrorKind::Store,
                format!("the log `{path}` in {} is damaged: {error}", self.place),
            )
        })
    }

    /// The ids of all runs, newest first.
    ///
    /// # Errors
    /// Where listing fails.
    pub async fn runs(&self) -> Result<Vec<RunId>, Fault> {
        let prefix = ObjectPath::from(RUNS);
        let listed = self
            .objects()?
            .list(Some(&prefix))
            .try_collect::<Vec<_>>()
            .await;
        let listed = listed.map_err(|error| self.fault("list the runs", &error))?;
        let ids = listed
            .iter()
            .filter_map(|object| object.location.filename());
        let ids = ids.filter_map(|name| name.strip_suffix(".json")?.parse().ok());
        let mut ids: Vec<RunId> = ids.collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids)
    }

    /// The run whose id is, begins or ends with a text; `last` is the newest.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownRun`] where none or several fit.
    pub async fn find_run(&self, text: &str) -> Result<RunId, Fault> {
        let ids = self.runs().await?;
        if text == "last" {
            return ids.into_iter().next().ok_or_else(|| self.unknown(text));
        }
        if text.is_empty() {
            return Err(self.unknown(text));
        }
        let fits = |id: &&RunId| id.as_str().starts_with(text) || id.as_str().ends_with(text);
        let fitting: Vec<_> = ids.iter().filter(fits).collect();
        match &fitting[..] {
            [id] => Ok((*id).clone()),
            [] => Err(self.unknown(text)),
            several => Err(Fault::new(
                ErrorKind::UnknownRun,
                format!("{} runs begin or end with `{text}`", several.len()),
            )
            .hint("give more of the id")),
        }
    }

    fn unknown(&self, text: &str) -> Fault {
        Fault::new(
            ErrorKind::UnknownRun,
            format!("there is no run `{text}` in the store {}", self.place),
        )
        .hint("`wharf runs` lists the runs; `--store` says where they are")
    }

    /// Writes an object that must not exist, durably.
    async fn create(&self, path: &ObjectPath, bytes: Bytes) -> Result<(), Fault> {
        let mut tries = 0;
        let error = loop {
            let options = PutOptions {
                mode: PutMode::Create,
                ..PutOptions::default()
            };
            let payload = bytes.clone().into();
            match self.objects()?.put_opts(path, payload, options).await {
                Ok(_) => return Ok(()),
                Err(error) if tries < GONE && self.has_gone(&error) => tries += 1,
                Err(error) => break error,
            }
        };
        // The answer may be about this very write: its acknowledgement was
        // lost, and a retry met its own object.
        match self.read(path).await {
            Ok(Some(found)) if found == bytes => Ok(()),
            Ok(Some(_)) => Err(Fault::new(
                ErrorKind::Conflict,
                format!("the store {} holds another object at `{path}`", self.place),
            )),
            Ok(None) | Err(_) => Err(self.fault(&format!("write `{path}`"), &error)),
        }
    }

    /// Whether the folder was removed meanwhile, by a run that came to nothing and
    /// found it empty; it is there again then.
    fn has_gone(&self, error: &object_store::Error) -> bool {
        let is_gone = io_cause(error).is_some_and(|io| io.kind() == std::io::ErrorKind::NotFound);
        let folder = self.folder.as_ref().filter(|_| is_gone);
        folder.is_some_and(|folder| {
            let made = std::fs::create_dir_all(folder).is_ok();
            ignore(folder);
            made
        })
    }

    async fn read(&self, path: &ObjectPath) -> Result<Option<Bytes>, Fault> {
        let found = match self.objects()?.get(path).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.fault(&format!("read `{path}`"), &error)),
        };
        if found.meta.size > MAX_OBJECT_BYTES {
            let message = format!(
                "`{path}` in the store {} has {} bytes",
                self.place, found.meta.size
            );
            return Err(Fault::new(ErrorKind::Store, message));
        }
        let bytes = found
            .bytes()
            .await
            .map_err(|error| self.fault(&format!("read `{path}`"), &error))?;
        Ok(Some(bytes))
    }

    fn fault(&self, doing: &str, error: &object_store::Error) -> Fault {
        let kind = match io_cause(error).map(ErrorKind::of_io) {
            Some(ErrorKind::DiskFull) => ErrorKind::DiskFull,
            _ => ErrorKind::Store,
        };
        Fault::new(
            kind,
            format!("cannot {doing} in the store {}: {error}", self.place),
        )
    }
}

/// Keeps the store out of version control: it is not source.
const IGNORED: &str = ".gitignore";

fn ignore(folder: &Path) {
    // A store works without it.
    let _ = std::fs::write(folder.join(IGNORED), "*\n");
}

fn cannot_create(folder: &Path, error: &std::io::Error) -> Fault {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
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

fn open_folder(folder: &Path) -> Result<Arc<dyn ObjectStore>, Fault> {
    if folder.exists() && !folder.is_dir() {
        let message = format!("the store `{}` is not a folder", folder.display());
        return Err(Fault::new(ErrorKind::CommandLine, message).hint("give a folder"));
    }
    std::fs::create_dir_all(folder).map_err(|error| cannot_create(folder, &error))?;
    let objects = LocalFileSystem::new_with_prefix(folder)
        .map_err(|error| Fault::new(ErrorKind::Store, format!("cannot open the store: {error}")))?;
    // Without it, a record can be lost with the machine's power after the run
    // was reported.
    Ok(Arc::new(objects.with_fsync(true)))
}

/// The I/O error at the bottom of an error of object_store.
fn io_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        cause = error.source();
    }
    None
}

fn json_lines(events: &[Event]) -> Result<Bytes, Fault> {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, event).map_err(Fault::internal)?;
        lines.push(b'\n');
    }
    Ok(lines.into())
}

fn record_path(id: &RunId) -> ObjectPath {
    ObjectPath::from(format!("{RUNS}/{id}.json"))
}

fn log_path(id: &RunId) -> ObjectPath {
    ObjectPath::from(format!("{LOGS}/{id}.jsonl"))
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
