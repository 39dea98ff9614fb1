//! The files that a pipeline names: on this machine, or as its lock has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wharf_model::artifact::Origin;
use wharf_model::plan::Shape;
use wharf_model::{Content, ErrorKind, Fault};

use super::pinned::{check_is_tree, tree_of};
use super::scope::Handle;
use crate::stored::StoredInput;

/// Where the files are that a pipeline names.
#[derive(Clone, Debug)]
pub enum Files {
    /// Relative to a folder; an empty path is the current one.
    Beside(PathBuf),
    /// In the store, by the path that the pipeline gives.
    Locked(BTreeMap<PathBuf, Content>),
}

impl Files {
    /// What a path of the pipeline means.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] where the lock does not have it, or something of another
    /// shape.
    pub fn handle(&self, path: &Path, shape: Shape) -> Result<Handle, Fault> {
        let files = match self {
            Self::Beside(folder) => return Ok(Handle::Path(folder.join(path), shape)),
            Self::Locked(files) => files,
        };
        let shown = path.display().to_string();
        let Some(content) = files.get(path).copied() else {
            let message = format!("the lock of the pipeline has no file `{shown}`");
            return Err(Fault::new(ErrorKind::Input, message).hint(
                "it has those that the pipeline names without a run: give this one as a \
                 parameter, as in data=artifact:NAME",
            ));
        };
        check_is_tree(&shown, content.is_tree(), tree_of(shape))?;
        Ok(Handle::Stored(Arc::new(StoredInput {
            content,
            from: shown.clone(),
            origin: Origin::Put { path: shown },
            media_type: None,
            metadata: Default::default(),
        })))
    }
}
