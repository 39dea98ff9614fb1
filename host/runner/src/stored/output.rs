//! Outputs that become blobs of the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use serde_json::{Map, Value as Json};
use tempfile::{TempDir, TempPath};
use wharf_model::name::TreePath;
use wharf_model::outcome::Retry;
use wharf_model::record::Artifact;
use wharf_model::tree::Listed;
use wharf_model::{Content, Fault, Outcome};
use wharf_sandbox::Parameter;
use wharf_store::{Hashed, Spooled, Store};

use crate::sink::{Becomes, FileSink, Flow, Written};
use crate::tree::{FolderSink, list};

/// Where a guest writes an output.
#[derive(Debug)]
pub(super) enum Output {
    File(String, Arc<FileSink>),
    Tree(String, Arc<FolderSink>, TempDir),
}

/// An output that is complete, and not in the store yet.
#[derive(Debug)]
pub(super) struct Complete {
    name: String,
    what: What,
    media_type: Option<String>,
    metadata: Map<String, Json>,
    /// Removed when all of it is in the store.
    _folder: Option<Arc<TempDir>>,
}

#[derive(Debug)]
enum What {
    File(Spooled, Hashed),
    Tree(Vec<(TreePath, TempPath, Hashed)>),
}

impl Output {
    /// A place for an output, and what the guest writes to.
    pub(super) fn place(
        store: &Store,
        name: &str,
        tree: bool,
        flow: &Arc<Flow>,
    ) -> Result<(Self, Parameter), Fault> {
        if tree {
            let folder = scratch_folder(store)?;
            let path = folder.path().to_owned();
            let sink = Arc::new(FolderSink::new(path, Becomes::BlobInTree, flow));
            let parameter = Parameter::OutputTree(sink.clone());
            return Ok((Self::Tree(name.to_owned(), sink, folder), parameter));
        }
        let sink = Arc::new(FileSink::to_blob(store, flow));
        let parameter = Parameter::Output(sink.clone());
        Ok((Self::File(name.to_owned(), sink), parameter))
    }

    /// Completes it: all bytes written and hashed.
    pub(super) fn complete(self) -> Result<Complete, Fault> {
        match self {
            Self::File(name, sink) => {
                let written = sink.finish()?;
                let spooled = sink.take_spooled();
                let spooled =
                    spooled.ok_or_else(|| Fault::internal("an output without its bytes"))?;
                let (media_type, metadata) = (written.media_type.clone(), written.metadata.clone());
                Ok(Complete {
                    name,
                    what: What::File(spooled, hashed(written)),
                    media_type,
                    metadata,
                    _folder: None,
                })
            }
            Self::Tree(name, sink, folder) => {
                let files = sink.finish_files()?.into_iter();
                let files = files
                    .map(|(path, file, written)| Ok((path, temporary(file)?, hashed(written))));
                Ok(Complete {
                    name,
                    what: What::Tree(files.collect::<Result<_, Fault>>()?),
                    media_type: None,
                    metadata: Map::new(),
                    _folder: Some(Arc::new(folder)),
                })
            }
        }
    }
}

fn hashed(written: Written) -> Hashed {
    Hashed::new(written.digest, written.size, written.chunks)
}

fn temporary(path: PathBuf) -> Result<TempPath, Fault> {
    TempPath::try_from_path(&path).map_err(|error| Fault::io("use", &path, &error))
}

/// A folder beside where the store's unfinished files are.
pub(super) fn scratch_folder(store: &Store) -> Result<TempDir, Fault> {
    let spool = store.spool()?;
    let beside = spool.path().parent().unwrap_or(Path::new("."));
    crate::local::temporary_folder(beside)
}

impl Complete {
    /// Puts it into the store.
    pub(super) async fn keep(self, store: &Store) -> Result<Artifact, Fault> {
        let content = match self.what {
            What::File(spooled, hashed) => store.put_spooled(spooled, &hashed).await?,
            What::Tree(files) => {
                let mut listed = Vec::new();
                for (path, file, hashed) in files {
                    let kept = store.put_spooled(Spooled::File(file), &hashed).await?;
                    let Content { digest, size, .. } = kept;
                    listed.push(Listed { path, digest, size });
                }
                store.put_tree(listed).await?
            }
        };
        Ok(Artifact {
            name: self.name,
            path: String::new(),
            digest: Some(content.digest),
            size: content.size,
            files: content.files,
            commit: None,
            chunks: content.chunks,
            media_type: self.media_type,
            metadata: self.metadata,
        })
    }
}

/// What a program finds at `/out`.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: Arc<TempDir>,
    /// The outputs that it has to write, and whether each must be a tree.
    wanted: Vec<(String, bool)>,
}

impl Scratch {
    pub(super) fn create(store: &Store, wanted: Vec<(String, bool)>) -> Result<Self, Fault> {
        let folder = scratch_folder(store)?;
        for (name, _) in wanted.iter().filter(|(_, tree)| *tree) {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).map_err(|error| Fault::io("create", &path, &error))?;
        }
        Ok(Self {
            folder: Arc::new(folder),
            wanted,
        })
    }

    pub(super) fn open(&self) -> Result<Dir, Fault> {
        Dir::open_ambient_dir(self.folder.path(), ambient_authority())
            .map_err(|error| Fault::io("open", self.folder.path(), &error))
    }

    /// The outputs that the program has left, or how it failed to.
    pub(super) fn complete(self) -> Result<Result<Vec<Complete>, Outcome>, Fault> {
        let mut complete = Vec::new();
        for (name, tree) in &self.wanted {
            let path = self.folder.path().join(name);
            let found = std::fs::symlink_metadata(&path).ok();
            let what = match (found.map(|found| found.is_dir()), tree) {
                (None, _) => return Ok(Err(failed("did not write", name))),
                (Some(false), true) => {
                    return Ok(Err(failed("wrote a file, and not a folder, at", name)));
                }
                (Some(true), _) => self.tree(&path)?,
                (Some(false), false) => {
                    let hashed = hash(&path)?;
                    What::File(Spooled::File(temporary(path)?), hashed)
                }
            };
            complete.push(Complete {
                name: name.clone(),
                what,
                media_type: None,
                metadata: Map::new(),
                _folder: Some(self.folder.clone()),
            });
        }
        Ok(Ok(complete))
    }

    fn tree(&self, path: &Path) -> Result<What, Fault> {
        let folder = Dir::open_ambient_dir(path, ambient_authority());
        let folder = folder.map_err(|error| Fault::io("read", path, &error))?;
        let files = list(&folder, path)?.into_iter().map(|(entry, _)| {
            let file = path.join(entry.path.as_str());
            let hashed = hash(&file)?;
            Ok((entry.path, temporary(file)?, hashed))
        });
        Ok(What::Tree(files.collect::<Result<_, Fault>>()?))
    }
}

fn failed(what: &str, name: &str) -> Outcome {
    Outcome::Failed {
        retry: Retry::Permanent,
        message: format!("the program {what} `/out/{name}`"),
    }
}

fn hash(path: &Path) -> Result<Hashed, Fault> {
    Hashed::of_file(path).map_err(|error| Fault::io("read", path, &error))
}
