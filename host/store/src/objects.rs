//! The objects of a store: the only place that talks to object_store.
//!
//! An object, once written, is the truth. It is written by one conditional create;
//! where the answer to that is lost or says that the object exists, the object is
//! read back: the same bytes mean success, others are somebody else's.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tempfile::TempPath;
use wharf_model::{Content, ErrorKind, Fault};

use crate::durable::Durable;
use crate::folder::Folder;
use crate::location::{Location, Settings, connect};
use crate::upload::{self, UploadError};

/// Most bytes of an object that is read whole. A record is some kilobytes, and
/// a log at most what the run's limit allows.
const MAX_OBJECT_BYTES: u64 = 256 << 20;

/// How often an object is created anew whose creation came to nothing, and how long
/// from one time to the next. object_store itself does not repeat a create whose
/// answer was lost.
const CREATIONS: u32 = 5;
const BETWEEN_CREATIONS: Duration = Duration::from_millis(200);

/// All objects under one place.
#[derive(Clone)]
pub(crate) struct Objects {
    backend: Arc<OnceLock<Arc<dyn ObjectStore>>>,
    /// Where they are files: opened when they are first needed.
    local: Option<Local>,
    place: String,
}

/// Objects that are files of this machine.
#[derive(Clone)]
struct Local {
    folder: Folder,
    durable: Durable,
}

/// What came of creating an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It was created.
    New,
    /// It is there with the same bytes: created before, or just now by a request
    /// whose answer was lost.
    Same,
    /// Another is there.
    Other(Bytes),
}

/// What a listing says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) path: ObjectPath,
    pub(crate) size: u64,
    /// When it was written, by the clock of the store, in whole seconds.
    pub(crate) modified: Timestamp,
    /// Changes when it is written anew.
    pub(crate) tag: Option<String>,
}

impl From<ObjectMeta> for Meta {
    fn from(meta: ObjectMeta) -> Self {
        // Services tell more of the time in a listing than of one object, and put
        // their tags in quotes in one of the two.
        let modified = Timestamp::from_second(meta.last_modified.timestamp());
        let tag = meta.e_tag.map(|tag| tag.trim_matches('"').to_owned());
        Self {
            path: meta.location,
            size: meta.size,
            modified: modified.unwrap_or_default(),
            tag,
        }
    }
}

impl Objects {
    pub(crate) fn open(location: &Location, settings: &Settings) -> Result<Self, Fault> {
        match location {
            Location::Folder(folder) => Ok(Self::in_folder(folder)),
            Location::Memory => Ok(Self::with(Arc::new(InMemory::new()), location)),
            Location::Bucket {
                service,
                bucket,
                prefix,
            } => {
                let bucket = connect(*service, bucket, settings)?;
                let backend = match prefix.is_empty() {
                    true => bucket,
                    false => Arc::new(PrefixStore::new(bucket, ObjectPath::from(&**prefix))),
                };
                Ok(Self::with(backend, location))
            }
        }
    }

    pub(crate) fn in_folder(folder: &Path) -> Self {
        let place = folder.display().to_string();
        let folder = Folder::new(folder);
        let durable = Durable::new(folder.path(), &folder.scratch());
        Self {
            backend: Arc::default(),
            local: Some(Local { folder, durable }),
            place,
        }
    }

    fn with(backend: Arc<dyn ObjectStore>, location: &Location) -> Self {
        Self {
            backend: Arc::new(backend.into()),
            local: None,
            place: location.to_string(),
        }
    }

    /// Where they are, for people to read.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Their folder, where they are files of this machine.
    pub(crate) fn folder(&self) -> Option<&Folder> {
        self.local.as_ref().map(|local| &local.folder)
    }

    /// The file that an object is, where objects are files.
    pub(crate) fn file(&self, path: &ObjectPath) -> Option<PathBuf> {
        let folder = self.folder()?;
        Some(folder.path().join(path.as_ref()))
    }

    fn backend(&self) -> Result<&dyn ObjectStore, Fault> {
        if let Some(backend) = self.backend.get() {
            return Ok(&**backend);
        }
        let Some(local) = &self.local else {
            return Err(Fault::internal("a store without a place"));
        };
        let backend = local.folder.open()?;
        Ok(&**self.backend.get_or_init(|| backend))
    }

    /// Makes sure that objects can be written whose paths begin with these parts.
    pub(crate) fn prepare(&self, parts: &[&str]) -> Result<(), Fault> {
        self.backend()?;
        self.folder()
            .into_iter()
            .try_for_each(|folder| folder.check_writable(parts))
    }

    /// Undoes [`Self::prepare`] where nothing was written since.
    pub(crate) fn remove_if_empty(&self, parts: &[&str]) {
        if let Some(folder) = self.folder() {
            folder.remove_if_empty(parts);
        }
    }

    /// Creates an object durably, unless there is one.
    pub(crate) async fn create(&self, path: &ObjectPath, bytes: Bytes) -> Result<Created, Fault> {
        if let Some(local) = &self.local {
            return self.create_file(local, path, bytes).await;
        }
        let mut pause = BETWEEN_CREATIONS;
        for _ in 1..CREATIONS {
            match self.try_create(path, &bytes).await? {
                Ok(created) => return Ok(created),
                Err(error) if may_pass(&error) => {}
                Err(error) => return Err(self.fault(&format!("write `{path}`"), &error)),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        let created = self.try_create(path, &bytes).await?;
        created.map_err(|error| self.fault(&format!("write `{path}`"), &error))
    }

    async fn create_file(
        &self,
        local: &Local,
        path: &ObjectPath,
        bytes: Bytes,
    ) -> Result<Created, Fault> {
        self.backend()?;
        let created = local.durable.create(path.as_ref(), bytes.clone()).await;
        match created.map_err(|error| self.not_written(path, &error))? {
            true => Ok(Created::New),
            false => match self.read(path).await? {
                Some(found) => Ok(compare(found, &bytes)),
                None => Err(Fault::new(
                    ErrorKind::Store,
                    format!("`{path}` comes and goes in the store {}", self.place),
                )),
            },
        }
    }

    /// Moves a file of this machine to where an object is that is missing, durably.
    /// Only where objects are files, and the file is one of theirs.
    pub(crate) async fn adopt(&self, path: &ObjectPath, file: TempPath) -> Result<(), Fault> {
        self.backend()?;
        let Some(local) = &self.local else {
            return Err(Fault::internal("an object that is no file"));
        };
        let adopted = local.durable.adopt(path.as_ref(), file).await;
        adopted.map_err(|error| self.not_written(path, &error))?;
        Ok(())
    }

    fn not_written(&self, path: &ObjectPath, error: &std::io::Error) -> Fault {
        let kind = ErrorKind::of_io(error);
        let message = format!("cannot write `{path}` in the store {}: {error}", self.place);
        let fault = Fault::new(kind, message);
        match kind {
            ErrorKind::DiskFull => fault.hint("free some space, or choose another place"),
            _ => fault,
        }
    }

    /// Creates an object once. The inner error says that there is none, and why.
    async fn try_create(
        &self,
        path: &ObjectPath,
        bytes: &Bytes,
    ) -> Result<Result<Created, Error>, Fault> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let payload = bytes.clone().into();
        let Err(error) = self.backend()?.put_opts(path, payload, options).await else {
            return Ok(Ok(Created::New));
        };
        tracing::debug!(%path, %error, "an object was not created; looking whether it is there");
        // The answer may be about this very write: its acknowledgement was
        // lost, and a retry met its own object.
        match self.read(path).await? {
            Some(found) => Ok(Ok(compare(found, bytes))),
            None => Ok(Err(error)),
        }
    }

    /// Writes an object that has the same bytes whoever writes it.
    pub(crate) async fn overwrite(&self, path: &ObjectPath, bytes: Bytes) -> Result<(), Fault> {
        let written = self.backend()?.put(path, bytes.into()).await;
        written.map_err(|error| self.fault(&format!("write `{path}`"), &error))?;
        Ok(())
    }

    /// Writes a file of this machine as an object, in parts where it is large. The
    /// object appears only if the bytes that were sent are those that are meant.
    pub(crate) async fn upload(
        &self,
        path: &ObjectPath,
        file: File,
        content: &Content,
    ) -> Result<(), Fault> {
        let uploaded = upload::upload(self.backend()?, path, file, content).await;
        uploaded.map_err(|error| match error {
            UploadError::Changed => {
                let message = format!("what becomes `{path}` changed while it was read");
                Fault::new(ErrorKind::InputChanged, message).hint("try again")
            }
            UploadError::Store(error) => self.fault(&format!("write `{path}`"), &error),
        })
    }

    /// An object, whole; nothing where there is none.
    pub(crate) async fn read(&self, path: &ObjectPath) -> Result<Option<Bytes>, Fault> {
        if let Some(file) = self.file(path) {
            return self.read_file(path, &file);
        }
        let found = match self.backend()?.get(path).await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(self.fault(&format!("read `{path}`"), &error)),
        };
        self.check_size(path, found.meta.size)?;
        let bytes = found
            .bytes()
            .await
            .map_err(|error| self.fault(&format!("read `{path}`"), &error))?;
        Ok(Some(bytes))
    }

    /// Small, and read by the thousand: a thread for each would take longer.
    fn read_file(&self, path: &ObjectPath, file: &Path) -> Result<Option<Bytes>, Fault> {
        use std::io::{ErrorKind as Io, Read};
        let failed = |error: std::io::Error| {
            let message = format!("cannot read `{path}` in the store {}: {error}", self.place);
            Fault::new(ErrorKind::Store, message)
        };
        let mut file = match File::open(file) {
            Err(error) if matches!(error.kind(), Io::NotFound | Io::NotADirectory) => {
                return Ok(None);
            }
            file => file.map_err(failed)?,
        };
        let size = file.metadata().map_err(failed)?.len();
        self.check_size(path, size)?;
        let mut bytes = Vec::with_capacity(size as usize);
        file.read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(bytes.into()))
    }

    fn check_size(&self, path: &ObjectPath, size: u64) -> Result<(), Fault> {
        match size <= MAX_OBJECT_BYTES {
            true => Ok(()),
            false => Err(Fault::new(
                ErrorKind::Store,
                format!("`{path}` in the store {} has {size} bytes", self.place),
            )),
        }
    }

    /// A part of an object; nothing where there is no object.
    pub(crate) async fn read_range(
        &self,
        path: &ObjectPath,
        range: Range<u64>,
    ) -> Result<Option<Bytes>, Fault> {
        match self.backend()?.get_range(path, range).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.fault(&format!("read `{path}`"), &error)),
        }
    }

    /// What is known of an object; nothing where there is none.
    pub(crate) async fn head(&self, path: &ObjectPath) -> Result<Option<Meta>, Fault> {
        match self.backend()?.head(path).await {
            Ok(meta) => Ok(Some(meta.into())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.fault(&format!("read `{path}`"), &error)),
        }
    }

    /// All objects under a prefix, in no order.
    pub(crate) fn list(&self, prefix: &str) -> Result<BoxStream<'_, Result<Meta, Fault>>, Fault> {
        let prefix = ObjectPath::from(prefix);
        let listed = self.backend()?.list(Some(&prefix));
        let listed = listed.map(move |meta| match meta {
            Ok(meta) => Ok(meta.into()),
            Err(error) => Err(self.fault(&format!("list `{prefix}`"), &error)),
        });
        Ok(listed.boxed())
    }

    /// The names of all objects right under a prefix, in no order.
    pub(crate) async fn names(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        let listed: Vec<Meta> = self.list(prefix)?.try_collect().await?;
        let names = listed.iter().filter_map(|object| object.path.filename());
        Ok(names.map(str::to_owned).collect())
    }

    /// The names of what is right under a prefix and has objects under it.
    pub(crate) async fn folders(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        let prefix = ObjectPath::from(prefix);
        let listed = self.backend()?.list_with_delimiter(Some(&prefix)).await;
        let listed = listed.map_err(|error| self.fault(&format!("list `{prefix}`"), &error))?;
        let names = listed
            .common_prefixes
            .iter()
            .filter_map(ObjectPath::filename);
        Ok(names.map(str::to_owned).collect())
    }

    /// Removes an object, if it is there.
    pub(crate) async fn remove(&self, path: &ObjectPath) -> Result<(), Fault> {
        match self.backend()?.delete(path).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.fault(&format!("remove `{path}`"), &error)),
        }
    }

    /// What object_store says, in the words of this store.
    fn fault(&self, doing: &str, error: &Error) -> Fault {
        let fault = |kind| {
            let message = format!(
                "cannot {doing} in the store {}: {}",
                self.place,
                said(error)
            );
            Fault::new(kind, message)
        };
        let text = error.to_string();
        match error {
            _ if io_cause(error).map(ErrorKind::of_io) == Some(ErrorKind::DiskFull) => {
                fault(ErrorKind::DiskFull).hint("free some space, or choose another place")
            }
            _ if text.contains("RequestTimeTooSkewed") => fault(ErrorKind::Denied)
                .hint("the clock of this machine differs from the store's: set it"),
            _ if is_no_bucket(&text) => {
                fault(ErrorKind::Denied).hint("create the bucket, or check its name")
            }
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                fault(ErrorKind::Denied)
                    .hint("check the credentials, and what they are allowed in this bucket")
            }
            _ => fault(ErrorKind::Store),
        }
    }
}

/// Whether an object is not there; it cannot be where the bucket is not.
fn is_absent(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) && !is_no_bucket(&error.to_string())
}

/// What the services say of a bucket that does not exist.
fn is_no_bucket(text: &str) -> bool {
    let said = ["NoSuchBucket", "ContainerNotFound", "bucket does not exist"];
    said.iter().any(|said| text.contains(said))
}

fn compare(found: Bytes, wanted: &Bytes) -> Created {
    match found == wanted {
        true => Created::Same,
        false => Created::Other(found),
    }
}

/// Whether what failed may succeed when it is tried again.
fn may_pass(error: &Error) -> bool {
    matches!(
        error,
        Error::Generic { .. }
            | Error::AlreadyExists { .. }
            | Error::Precondition { .. }
            | Error::JoinError { .. }
    )
}

/// An error in one line, and not longer than people read: services answer with
/// pages of XML.
fn said(error: &Error) -> String {
    const MOST: usize = 400;
    let text = error.to_string();
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
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
