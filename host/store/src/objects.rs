//! The objects of a store: the only place that talks to object_store.
//!
//! An object, once written, is the truth. It is written by one conditional create;
//! where the answer to that is lost or says that the object exists, the object is
//! read back: the same bytes mean success, others are a conflict.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use wharf_model::{ErrorKind, Fault};

use crate::folder::Folder;

/// Most bytes of an object that is read whole. A record is some kilobytes, and
/// a log at most what the run's limit allows.
const MAX_OBJECT_BYTES: u64 = 256 << 20;

/// All objects under one place.
#[derive(Clone)]
pub(crate) struct Objects {
    backend: Arc<OnceLock<Arc<dyn ObjectStore>>>,
    /// Where they are files: opened when they are first needed.
    folder: Option<Folder>,
    place: String,
}

impl Objects {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            backend: Arc::default(),
            folder: Some(Folder::new(folder)),
            place: folder.display().to_string(),
        }
    }

    pub(crate) fn in_memory() -> Self {
        let backend: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        Self {
            backend: Arc::new(backend.into()),
            folder: None,
            place: "memory".to_owned(),
        }
    }

    /// Where they are, for people to read.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    fn backend(&self) -> Result<&dyn ObjectStore, Fault> {
        if let Some(backend) = self.backend.get() {
            return Ok(&**backend);
        }
        let Some(folder) = &self.folder else {
            return Err(Fault::internal("a store without a place"));
        };
        let backend = folder.open()?;
        Ok(&**self.backend.get_or_init(|| backend))
    }

    /// Makes sure that objects can be written whose paths begin with these parts.
    pub(crate) fn prepare(&self, parts: &[&str]) -> Result<(), Fault> {
        self.backend()?;
        self.folder
            .iter()
            .try_for_each(|folder| folder.check_writable(parts))
    }

    /// Undoes [`Self::prepare`] where nothing was written since.
    pub(crate) fn remove_if_empty(&self, parts: &[&str]) {
        if let Some(folder) = &self.folder {
            folder.remove_if_empty(parts);
        }
    }

    /// Writes an object that must not exist, durably.
    pub(crate) async fn create(&self, path: &ObjectPath, bytes: Bytes) -> Result<(), Fault> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let payload = bytes.clone().into();
        let Err(error) = self.backend()?.put_opts(path, payload, options).await else {
            return Ok(());
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

    /// An object, whole; nothing where there is none.
    pub(crate) async fn read(&self, path: &ObjectPath) -> Result<Option<Bytes>, Fault> {
        let found = match self.backend()?.get(path).await {
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

    /// The names of all objects right under a prefix, in no order.
    pub(crate) async fn names(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        let prefix = ObjectPath::from(prefix);
        let listed = self.backend()?.list(Some(&prefix));
        let listed = listed.try_collect::<Vec<_>>().await;
        let listed = listed.map_err(|error| self.fault(&format!("list `{prefix}`"), &error))?;
        let names = listed
            .iter()
            .filter_map(|object| object.location.filename());
        Ok(names.map(str::to_owned).collect())
    }

    /// Removes an object. Where that fails, the store is as it is.
    pub(crate) async fn remove(&self, path: &ObjectPath) {
        if let Ok(backend) = self.backend() {
            let _ = backend.delete(path).await;
        }
    }

    /// What object_store says, in the words of this store.
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

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
