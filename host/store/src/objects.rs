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
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{
    Error, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
};
use tempfile::TempPath;
use wharf_model::{ErrorKind, Fault};

use crate::chunks::Hashed;
use crate::durable::Durable;
use crate::folder::Folder;
use crate::location::{Location, RETRY_WITHIN, Settings, connect};
use crate::upload::{self, UploadError};

/// Most bytes of an object that is read whole. A record is some kilobytes, and
/// a log at most what the run's limit allows.
const MAX_OBJECT_BYTES: u64 = 256 << 20;

/// How often an object is created anew whose creation came to nothing, and how long
/// from one time to the next. object_store itself does not repeat a create whose
/// answer was lost.
const CREATIONS: u32 = 5;
const BETWEEN_CREATIONS: Duration = Duration::from_millis(200);

/// The same for what can be done twice.
const TRIES: u32 = 3;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

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

    /// The same, in a service that a test has.
    #[cfg(test)]
    pub(crate) fn on(&self, backend: Arc<dyn ObjectStore>) -> Self {
        Self {
            backend: Arc::new(backend.into()),
            ..self.clone()
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

    /// Whether there is nothing, since nothing was written yet: to read makes no folder.
    fn is_unmade(&self) -> bool {
        let folder = self.folder().filter(|_| self.backend.get().is_none());
        folder.is_some_and(|folder| !folder.path().exists())
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

    /// Moves a file of this machine to where an object is that is damaged, durably. The
    /// same as [`Self::adopt`] but for that.
    pub(crate) async fn replace(&self, path: &ObjectPath, file: TempPath) -> Result<(), Fault> {
        let Some(to) = self.file(path) else {
            return Err(Fault::internal("an object that is no file"));
        };
        let replace = move || -> std::io::Result<()> {
            File::open(&file)?.sync_all()?;
            file.persist(&to)?;
            File::open(to.parent().unwrap_or(&to))?.sync_all()
        };
        let replaced = tokio::task::spawn_blocking(replace).await;
        let replaced = replaced.map_err(Fault::internal)?;
        replaced.map_err(|error| self.not_written(path, &error))
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
        let backend = self.backend()?;
        let written = again(|| backend.put(path, bytes.clone().into())).await;
        written.map_err(|error| self.fault(&format!("write `{path}`"), &error))?;
        Ok(())
    }

    /// Writes a file of this machine as an object, in parts where it is large. The
    /// object appears only if the bytes that were sent are those that are meant.
    pub(crate) async fn upload(
        &self,
        path: &ObjectPath,
        file: File,
        hashed: &Hashed,
    ) -> Result<(), Fault> {
        let backend = self.backend()?;
        let content = &hashed.content;
        // What is sent in one request is sent again where that fails.
        let is_large = content.size > upload::WHOLE_BYTES;
        let before = match is_large {
            true => self.head(path).await?,
            false => None,
        };
        let is_new = |found: &Meta| found.size == content.size && before.as_ref() != Some(found);
        let uploaded = again(|| async {
            match upload::upload(backend, path, &file, hashed).await {
                Err(UploadError::Store(error)) if is_large => {
                    match backend.head(path).await.map(Meta::from) {
                        // It was completed, and the answer was lost. What was there
                        // before is not it: who dates an object anew relies on its new
                        // date.
                        Ok(found) if is_new(&found) => Ok(Ok(())),
                        _ => Err(error),
                    }
                }
                Err(UploadError::Store(error)) => Err(error),
                uploaded => Ok(uploaded),
            }
        });
        let uploaded = uploaded.await;
        match uploaded.map_err(|error| self.fault(&format!("write `{path}`"), &error))? {
            Ok(()) => Ok(()),
            Err(UploadError::Host(fault)) => Err(fault),
            Err(_) => {
                let message = format!("what becomes `{path}` changed while it was read");
                Err(Fault::new(ErrorKind::InputChanged, message).hint("try again"))
            }
        }
    }

    /// An object, whole; nothing where there is none.
    pub(crate) async fn read(&self, path: &ObjectPath) -> Result<Option<Bytes>, Fault> {
        if let Some(file) = self.file(path) {
            return self.read_file(path, &file);
        }
        let backend = self.backend()?;
        let read = again(|| async {
            let found = match backend.get(path).await {
                Err(error) if is_absent(&error) => return Ok(Ok(None)),
                found => found?,
            };
            if let Err(fault) = self.check_size(path, found.meta.size) {
                return Ok(Err(fault));
            }
            Ok(Ok(Some(found.bytes().await?)))
        });
        let read = read.await;
        read.map_err(|error| self.fault(&format!("read `{path}`"), &error))?
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

    /// A part of an object; nothing where there is no object. In pieces as they came:
    /// to make one of them would copy them once more.
    pub(crate) async fn read_range(
        &self,
        path: &ObjectPath,
        range: Range<u64>,
    ) -> Result<Option<Vec<Bytes>>, Fault> {
        let backend = self.backend()?;
        let read = || async {
            let options = GetOptions {
                range: Some(range.clone().into()),
                ..GetOptions::default()
            };
            let found = backend.get_opts(path, options).await?;
            found.into_stream().try_collect().await
        };
        match again(read).await {
            Ok(pieces) => Ok(Some(pieces)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.fault(&format!("read `{path}`"), &error)),
        }
    }

    /// What is known of an object; nothing where there is none.
    pub(crate) async fn head(&self, path: &ObjectPath) -> Result<Option<Meta>, Fault> {
        if self.is_unmade() {
            return Ok(None);
        }
        let backend = self.backend()?;
        match again(|| backend.head(path)).await {
            Ok(meta) => Ok(Some(meta.into())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.fault(&format!("read `{path}`"), &error)),
        }
    }

    /// All objects under a prefix, in no order. Where a listing of a service breaks off,
    /// it goes on after the last object that it gave; services list in order. Folders do
    /// not, so there it fails.
    pub(crate) fn list(&self, prefix: &str) -> Result<BoxStream<'_, Result<Meta, Fault>>, Fault> {
        if self.is_unmade() {
            return Ok(futures::stream::empty().boxed());
        }
        let prefix = ObjectPath::from(prefix);
        let backend = self.backend()?;
        let is_sorted = self.local.is_none();
        let listing = Listing {
            rest: backend.list(Some(&prefix)),
            last: None,
            failures: 0,
        };
        let next = move |mut listing: Listing| {
            let prefix = prefix.clone();
            async move {
                loop {
                    match listing.rest.next().await {
                        None => return Ok(None),
                        Some(Ok(meta)) => {
                            listing.last = Some(meta.location.clone());
                            return Ok(Some((Meta::from(meta), listing)));
                        }
                        Some(Err(error))
                            if is_sorted && listing.failures < TRIES && may_pass(&error) =>
                        {
                            listing.failures += 1;
                            tokio::time::sleep(BETWEEN_TRIES).await;
                            listing.rest = match &listing.last {
                                Some(last) => backend.list_with_offset(Some(&prefix), last),
                                None => backend.list(Some(&prefix)),
                            };
                        }
                        Some(Err(error)) => {
                            return Err(self.fault(&format!("list `{prefix}`"), &error));
                        }
                    }
                }
            }
        };
        Ok(futures::stream::try_unfold(listing, next).boxed())
    }

    /// The names of all objects right under a prefix, in no order.
    pub(crate) async fn names(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        let listed: Vec<Meta> = self.list(prefix)?.try_collect().await?;
        let names = listed.iter().filter_map(|object| object.path.filename());
        Ok(names.map(str::to_owned).collect())
    }

    /// The names of what is right under a prefix and has objects under it.
    pub(crate) async fn folders(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        if self.is_unmade() {
            return Ok(Vec::new());
        }
        let prefix = ObjectPath::from(prefix);
        let backend = self.backend()?;
        let listed = again(|| backend.list_with_delimiter(Some(&prefix))).await;
        let listed = listed.map_err(|error| self.fault(&format!("list `{prefix}`"), &error))?;
        let names = listed.common_prefixes.iter();
        let names = names.filter_map(ObjectPath::filename);
        Ok(names.map(str::to_owned).collect())
    }

    /// Removes an object, if it is there.
    pub(crate) async fn remove(&self, path: &ObjectPath) -> Result<(), Fault> {
        let backend = self.backend()?;
        match again(|| backend.delete(path)).await {
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
            _ if is_untrusted(error) => fault(ErrorKind::Denied).hint(
                "if you trust who made the certificate, set SSL_CERT_FILE to a file with theirs",
            ),
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

/// A listing that is being read.
struct Listing {
    rest: BoxStream<'static, object_store::Result<ObjectMeta>>,
    last: Option<ObjectPath>,
    failures: u32,
}

/// Does what can be done twice, and again where that fails in a way that may pass.
/// object_store does so by itself for most failures, and not for an answer that breaks
/// off; so no time is added to what it takes.
async fn again<T, F>(work: impl Fn() -> F) -> object_store::Result<T>
where
    F: Future<Output = object_store::Result<T>>,
{
    let started = Instant::now();
    for _ in 0..TRIES {
        match work().await {
            Err(error) if may_pass(&error) && started.elapsed() < RETRY_WITHIN => {
                tracing::debug!(%error, "a request failed: trying it again");
            }
            done => return done,
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    work().await
}

pub(crate) fn compare(found: Bytes, wanted: &Bytes) -> Created {
    match found == wanted {
        true => Created::Same,
        false => Created::Other(found),
    }
}

/// Whether what failed may succeed when it is tried again.
fn may_pass(error: &Error) -> bool {
    !is_untrusted(error)
        && matches!(
            error,
            Error::Generic { .. }
                | Error::AlreadyExists { .. }
                | Error::Precondition { .. }
                | Error::JoinError { .. }
        )
}

/// Whether the service has a certificate that is not to be trusted, in the words of
/// rustls.
fn is_untrusted(error: &Error) -> bool {
    let root = root(error).to_string();
    root.starts_with("invalid peer certificate")
}

/// What is at the bottom of an error.
fn root<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root
}

/// An error in one line, and not longer than people read: services answer with
/// pages of XML. What object_store leaves out is why a request could not be sent.
fn said(error: &Error) -> String {
    const MOST: usize = 400;
    let mut text = error.to_string();
    let root = root(error).to_string();
    if !text.contains(&root) {
        text = format!("{text}: {root}");
    }
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
