//! Artifacts that a run has looked up: each once, so that all its steps see the same
//! version, and no file is read twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use wharf_model::artifact::{ArtifactReference, Origin, Version};
use wharf_model::plan::Shape;
use wharf_model::record::RunId;
use wharf_model::{ErrorKind, Fault};
use wharf_store::Store;

use super::scope::Handle;
use crate::source::cannot_read;
use crate::stored::StoredInput;
use crate::transfer;

type Cell = Arc<OnceCell<Arc<StoredInput>>>;

/// What was looked up.
#[derive(Debug)]
pub(super) struct Pinned {
    store: Store,
    run: RunId,
    /// Whether files are only looked at, and not kept.
    dry: bool,
    paths: Mutex<BTreeMap<PathBuf, Cell>>,
    named: Mutex<BTreeMap<String, Cell>>,
}

impl Pinned {
    pub(super) fn new(store: &Store, run: &RunId, dry: bool) -> Self {
        Self {
            store: store.clone(),
            run: run.clone(),
            dry,
            paths: Mutex::default(),
            named: Mutex::default(),
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
                let input = cell.get_or_try_init(|| self.find(reference)).await?;
                Ok(input.clone())
            }
        }
    }

    async fn put(&self, path: &Path, shape: Shape) -> Result<Arc<StoredInput>, Fault> {
        check_shape(path, shape)?;
        let shown = path.display().to_string();
        let content = match self.dry {
            true => transfer::content(path).await?,
            false => transfer::put(&self.store, path).await?,
        };
        Ok(Arc::new(StoredInput {
            content,
            from: shown.clone(),
            origin: Origin::Input {
                run: self.run.clone(),
                path: shown,
            },
            media_type: None,
            metadata: Default::default(),
        }))
    }

    async fn find(&self, reference: &ArtifactReference) -> Result<Arc<StoredInput>, Fault> {
        let Version {
            name,
            number,
            content,
            media_type,
            metadata,
            origin,
            ..
        } = self.store.version(reference).await?;
        Ok(Arc::new(StoredInput {
            content,
            from: format!("{name}@{number}"),
            origin,
            media_type,
            metadata,
        }))
    }
}

/// A file must be there where one is wanted, and a folder where one is.
///
/// # Errors
/// [`ErrorKind::Input`].
pub(super) fn check_shape(path: &Path, shape: Shape) -> Result<(), Fault> {
    let found = path.metadata();
    let is_folder = found.map_err(|error| cannot_read(path, &error))?.is_dir();
    let wrong = match (shape, is_folder) {
        (Shape::File, true) => "is a folder; a file is wanted",
        (Shape::Tree, false) => "is a file; a folder is wanted",
        (Shape::File | Shape::Tree | Shape::Either, _) => return Ok(()),
    };
    let message = format!("the input `{}` {wrong}", path.display());
    Err(Fault::new(ErrorKind::Input, message))
}

fn cell<K: Ord>(cells: &Mutex<BTreeMap<K, Cell>>, key: K) -> Cell {
    let mut cells = cells.lock().unwrap_or_else(PoisonError::into_inner);
    cells.entry(key).or_default().clone()
}
