//! Artifacts that a run has looked up: each once, so that all its steps see the same
//! version, and no file is read twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use wharf_model::artifact::{ArtifactReference, Origin, Which};
use wharf_model::name::Name;
use wharf_model::pipeline_run::{Found, PIN_FORMAT, Pin};
use wharf_model::plan::Shape;
use wharf_model::record::RunId;
use wharf_model::{Digest, ErrorKind, Fault};
use wharf_store::Store;

use super::scope::Handle;
use crate::source::cannot_read;
use crate::stored::StoredInput;
use crate::transfer;

type Cell<T> = Arc<OnceCell<T>>;

/// A version of a named artifact, with its number; or that there was none.
type Named = Result<(u64, Arc<StoredInput>), Fault>;

/// What was looked up.
#[derive(Debug)]
pub(super) struct Pinned {
    store: Store,
    run: RunId,
    /// Whether files are only looked at, and not kept.
    dry: bool,
    /// Whether the run has other processes, which must see the same.
    shared: bool,
    paths: Mutex<BTreeMap<PathBuf, Cell<Arc<StoredInput>>>>,
    named: Mutex<BTreeMap<String, Cell<Named>>>,
    /// Tags that this run has moved, and where to.
    moved: Mutex<BTreeMap<String, u64>>,
}

impl Pinned {
    pub(super) fn new(store: &Store, run: &RunId, dry: bool, shared: bool) -> Self {
        Self {
            store: store.clone(),
            run: run.clone(),
            dry,
            shared,
            paths: Mutex::default(),
            named: Mutex::default(),
            moved: Mutex::default(),
        }
    }

    /// Looks an artifact up.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] where a file is missing; [`ErrorKind::UnknownArtifact`].
    pub(super) async fn resolve(&self, handle: &Handle) -> Result<Arc<StoredInput>, Fault> {
        match handle {
            Handle::Stored(input) => Ok(input.clone()),
            Handle::Path(path, shape) => {
                let cell = cell(&self.paths, path.clone());
                let input = cell.get_or_try_init(|| self.put(path, *shape)).await?;
                Ok(input.clone())
            }
            Handle::Named(reference) => {
                let cell = cell(&self.named, reference.to_string());
                let found = cell.get_or_try_init(|| self.find(reference)).await?;
                found.clone().map(|(_, input)| input)
            }
        }
    }

    /// What a tag must still mean for this run to move it: what the run has seen it
    /// mean, where it looked. Somebody else may have moved it since.
    ///
    /// # Errors
    /// Where the store fails.
    pub(super) async fn expected(
        &self,
        name: &Name,
        tag: &Name,
    ) -> Result<Option<Option<u64>>, Fault> {
        if let Some(seen) = self.seen(name, tag) {
            return Ok(Some(seen));
        }
        if !self.shared {
            return Ok(None);
        }
        // Other tasks of the run may have looked, or moved it.
        if let Some(moved) = self.store.tag(name, tag).await?
            && moved.run.as_ref() == Some(&self.run)
        {
            return Ok(Some(moved.version));
        }
        let pin = self.store.pinned(&self.run, &tagged(name, tag)).await?;
        Ok(pin.map(|pin| pin.found.and_then(|found| found.number)))
    }

    fn seen(&self, name: &Name, tag: &Name) -> Option<Option<u64>> {
        let key = tagged(name, tag);
        let moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = moved.get(&key) {
            return Some(Some(*number));
        }
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = named.get(&key)?.get()?;
        Some(seen.as_ref().ok().map(|(number, _)| *number))
    }

    /// This run has moved a tag.
    pub(super) fn has_moved(&self, name: &Name, tag: &Name, number: u64) {
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.insert(tagged(name, tag), number);
    }

    async fn put(&self, path: &Path, shape: Shape) -> Result<Arc<StoredInput>, Fault> {
        let shown = path.display().to_string();
        let what = format!("file {shown}");
        if self.shared
            && let Some(found) = self.store.pinned(&self.run, &what).await?
            && let Some(found) = found.found
        {
            check_is_tree(&shown, found.content.is_tree(), tree_of(shape))?;
            return Ok(Arc::new(input_of(found)));
        }
        let input = self.read(path, shape).await?;
        match self.shared {
            false => Ok(Arc::new(input)),
            true => {
                let found = self.pin(what, Some(found_of(&input, None))).await?;
                Ok(Arc::new(found.map_or(input, input_of)))
            }
        }
    }

    /// A file that the run is given, by what it is given for.
    ///
    /// # Errors
    /// Where it is missing, or is not what another task of the run was given.
    pub(super) async fn given(
        &self,
        what: &str,
        path: &Path,
        shape: Shape,
    ) -> Result<Arc<StoredInput>, Fault> {
        let shown = path.display().to_string();
        let before = self.store.pinned(&self.run, what).await?;
        if let Some(found) = before.and_then(|pin| pin.found) {
            // At the same path, it is not read again.
            if found.from != shown {
                let now = transfer::content(path).await?;
                same_content(what, &found, now.digest)?;
            }
            return Ok(Arc::new(input_of(found)));
        }
        let input = self.read(path, shape).await?;
        let found = self
            .pin(what.to_owned(), Some(found_of(&input, None)))
            .await?;
        let found = found.unwrap_or_else(|| found_of(&input, None));
        same_content(what, &found, input.content.digest)?;
        Ok(Arc::new(input_of(found)))
    }

    async fn read(&self, path: &Path, shape: Shape) -> Result<StoredInput, Fault> {
        check_shape(path, shape)?;
        let shown = path.display().to_string();
        let content = match self.dry {
            true => transfer::content(path).await?,
            false => transfer::put(&self.store, path).await?,
        };
        Ok(StoredInput {
            content,
            from: shown.clone(),
            origin: Origin::Input {
                run: self.run.clone(),
                path: shown,
            },
            media_type: None,
            metadata: Default::default(),
        })
    }

    /// Records what was looked up, for the other tasks of the run; what counts then.
    async fn pin(&self, what: String, found: Option<Found>) -> Result<Option<Found>, Fault> {
        let pin = Pin {
            format: PIN_FORMAT.to_owned(),
            what,
            found,
        };
        Ok(self.store.pin(&self.run, &pin).await?.found)
    }

    /// A version, or that there is none; that is looked up once, too.
    async fn find(&self, reference: &ArtifactReference) -> Result<Named, Fault> {
        let may_change = matches!(reference.which, Which::Latest | Which::Tag(_));
        if !(self.shared && may_change) {
            return self.look_up(reference).await;
        }
        let what = reference.to_string();
        let found = match self.store.pinned(&self.run, &what).await? {
            Some(pin) => pin.found,
            None => {
                let found = self.look_up(reference).await?;
                let found = found.ok();
                let found = found.map(|(number, input)| found_of(&input, Some(number)));
                self.pin(what, found).await?
            }
        };
        let none = || {
            let message = format!("there was no `{reference}` when the run looked it up");
            Fault::new(ErrorKind::UnknownArtifact, message)
                .hint("start another run, which looks again")
        };
        Ok(found.ok_or_else(none).map(|found| {
            let number = found.number.unwrap_or_default();
            (number, Arc::new(input_of(found)))
        }))
    }

    async fn look_up(&self, reference: &ArtifactReference) -> Result<Named, Fault> {
        let version = match self.store.version(reference).await {
            Ok(version) => version,
            Err(fault) if fault.kind() == ErrorKind::UnknownArtifact => return Ok(Err(fault)),
            Err(fault) => return Err(fault),
        };
        let number = version.number;
        let input = StoredInput {
            content: version.content,
            from: format!("{}@{number}", version.name),
            origin: version.origin,
            media_type: version.media_type,
            metadata: version.metadata,
        };
        Ok(Ok((number, Arc::new(input))))
    }
}

fn same_content(what: &str, found: &Found, digest: Digest) -> Result<(), Fault> {
    if found.content.digest == digest {
        return Ok(());
    }
    let message = format!(
        "the {what} of the run is {} ({}), and is given as {} now",
        found.from,
        found.content.digest.short(),
        digest.short()
    );
    Err(Fault::new(ErrorKind::Parameter, message)
        .hint("give all tasks of a run the same, or another --run-id"))
}

fn found_of(input: &StoredInput, number: Option<u64>) -> Found {
    Found {
        content: input.content,
        from: input.from.clone(),
        origin: input.origin.clone(),
        number,
        media_type: input.media_type.clone(),
        metadata: input.metadata.clone(),
    }
}

fn input_of(found: Found) -> StoredInput {
    StoredInput {
        content: found.content,
        from: found.from,
        origin: found.origin,
        media_type: found.media_type,
        metadata: found.metadata,
    }
}

fn tagged(name: &Name, tag: &Name) -> String {
    let which = Which::Tag(tag.clone());
    let name = name.clone();
    ArtifactReference { name, which }.to_string()
}

/// A file must be there where one is wanted, and a folder where one is.
///
/// # Errors
/// [`ErrorKind::Input`].
pub(super) fn check_shape(path: &Path, shape: Shape) -> Result<(), Fault> {
    let found = path.metadata();
    let is_folder = found.map_err(|error| cannot_read(path, &error))?.is_dir();
    if !(is_folder || path.is_file()) {
        let message = format!("the input `{}` is no regular file", path.display());
        return Err(Fault::new(ErrorKind::Input, message));
    }
    check_is_tree(&path.display().to_string(), is_folder, tree_of(shape))
}

/// Whether a shape is that of a folder, where it says so.
pub(super) const fn tree_of(shape: Shape) -> Option<bool> {
    match shape {
        Shape::File => Some(false),
        Shape::Tree => Some(true),
        Shape::Either => None,
    }
}

/// What is at hand must be a folder where one is wanted, and a file where one is.
///
/// # Errors
/// [`ErrorKind::Input`].
pub(super) fn check_is_tree(what: &str, is_tree: bool, wanted: Option<bool>) -> Result<(), Fault> {
    let wrong = match (is_tree, wanted) {
        (true, Some(false)) => "is a folder; a file is wanted",
        (false, Some(true)) => "is a file; a folder is wanted",
        _ => return Ok(()),
    };
    let message = format!("the input `{what}` {wrong}");
    Err(Fault::new(ErrorKind::Input, message))
}

fn cell<K: Ord, T>(cells: &Mutex<BTreeMap<K, Cell<T>>>, key: K) -> Cell<T> {
    let mut cells = cells.lock().unwrap_or_else(PoisonError::into_inner);
    cells.entry(key).or_default().clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_store::{Author, NewTag, NewVersion};

    /// Two runs promote at a time: each has compared with what was there before, so
    /// that the second one must not move the tag that the first one has moved.
    #[tokio::test]
    async fn a_tag_is_moved_only_from_where_the_run_has_seen_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path());
        let name = Name::new("model").unwrap();
        let tag = Name::new("prod").unwrap();
        let author = Author {
            by: "test".to_owned(),
            now: jiff::Timestamp::UNIX_EPOCH,
        };
        let add = async |bytes: &'static [u8]| {
            let new = NewVersion {
                name: name.clone(),
                content: store.put_bytes(bytes.into()).await.unwrap(),
                media_type: None,
                metadata: Default::default(),
                origin: Origin::Put {
                    path: "model".to_owned(),
                },
            };
            store.add_version(&new, &author).await.unwrap().number
        };
        let promote = async |pinned: &Pinned, number: u64| {
            let new = NewTag {
                name: name.clone(),
                tag: tag.clone(),
                version: Some(number),
                expected: pinned.expected(&name, &tag).await.unwrap(),
                run: None,
                partition: None,
            };
            let moved = store.move_tag(&new, &author).await;
            moved.map(|_| pinned.has_moved(&name, &tag, number))
        };
        let run = |id: &str| Pinned::new(&store, &id.parse().unwrap(), false, false);
        let prod = Handle::Named("model:prod".parse().unwrap());
        let (one, other, blind) = (run("1"), run("2"), run("3"));
        for pinned in [&one, &other] {
            let fault = pinned.resolve(&prod).await.unwrap_err();
            assert_eq!(fault.kind(), ErrorKind::UnknownArtifact);
        }
        let (first, second) = (add(b"first").await, add(b"second").await);
        promote(&one, first).await.unwrap();
        let fault = promote(&other, second).await.unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::Conflict);
        // For this run there still is none, although there is one now.
        assert!(other.resolve(&prod).await.is_err());
        // A run may move it again, and one that has not looked may do what it likes.
        promote(&one, second).await.unwrap();
        promote(&blind, first).await.unwrap();
        assert_eq!(
            store
                .version(&"model:prod".parse().unwrap())
                .await
                .unwrap()
                .number,
            first
        );
    }
}
