//! Trees: folders of this machine as one artifact. See [`wharf_model::tree`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use wharf_model::name::{MAX_TREE_FILES, MAX_TREE_PARTS, TreePath};
use wharf_model::tree::{Listed, listing};
use wharf_model::{Digest, ErrorKind, Fault};
use wharf_sandbox::artifact::{Sink, SinkTree, Source, SourceTree, TreeEntry};

use crate::digester::{Digestible, Stop};
use crate::local::sync_tree;
use crate::sink::{Becomes, FileSink, Flow, IoCounters, Written, lock};
use crate::source::{OpenFile, cannot_read, has_changed};

/// The digest of a tree with these files, in any order.
pub(crate) fn tree_digest(files: Vec<Listed>) -> Digest {
    Digest::of(listing(files).as_bytes())
}

/// A folder of this machine that a guest reads.
#[derive(Debug)]
pub(crate) struct FolderSource {
    folder: Dir,
    path: PathBuf,
    entries: Vec<TreeEntry>,
    /// What each file was, in the order of the entries.
    versions: Vec<Version>,
    /// Files that a guest has open, by the index of their entry.
    open: Mutex<BTreeMap<usize, Weak<OpenFile>>>,
    counters: Arc<IoCounters>,
}

impl FolderSource {
    /// Lists a folder. Everything in it must be a file or folder: a link could
    /// lead anywhere.
    pub(crate) fn open(path: &Path, counters: &Arc<IoCounters>) -> Result<Self, Fault> {
        let folder = Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| {
            let hint = "give a folder, or use a step that takes an input";
            cannot_read(path, &error).hint(hint)
        })?;
        let (entries, versions): (Vec<_>, _) = list(&folder, path)?.into_iter().unzip();
        let bytes = entries.iter().map(|entry| entry.size).sum();
        counters.to_read.fetch_add(bytes, Ordering::Relaxed);
        Ok(Self {
            folder,
            path: path.to_owned(),
            entries,
            versions,
            open: Mutex::default(),
            counters: counters.clone(),
        })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size).sum()
    }

    pub(crate) fn files(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Fails where the tree is not what it was when it was opened.
    pub(crate) fn check_unchanged(&self) -> Result<(), Fault> {
        let now = list(&self.folder, &self.path)?;
        let was = self.entries.iter().zip(&self.versions);
        match now.iter().map(|(entry, version)| (entry, version)).eq(was) {
            true => Ok(()),
            false => Err(has_changed(&self.path)),
        }
    }

    fn open_file(&self, index: usize) -> Result<OpenFile, Fault> {
        let entry = &self.entries[index];
        let path = self.path.join(entry.path.as_str());
        let mut options = OpenOptions::new();
        // Does not wait, should there be a pipe now.
        options
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32);
        let file = self
            .folder
            .open_with(entry.path.as_str(), &options)
            .map_err(|error| cannot_read(&path, &error))?;
        let metadata = file
            .metadata()
            .map_err(|error| cannot_read(&path, &error))?;
        let file = OpenFile::from_file(file.into_std(), &path)?;
        let is_same = file.size() == entry.size && Version::of(&metadata) == self.versions[index];
        match is_same {
            true => Ok(file),
            false => Err(has_changed(&path)),
        }
    }
}

/// Which file is at a path, and in what state. Files of a tree are opened when
/// they are wanted: the one that is hashed and the one that a guest reads must
/// not be two. The time is that of the last change to the file or what is known
/// of it, which no program can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// All files in a folder and those below it, sorted by path.
pub(crate) fn list(root: &Dir, path: &Path) -> Result<Vec<(TreeEntry, Version)>, Fault> {
    let mut entries = Vec::new();
    add(root, path, "", &mut entries)?;
    entries.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    Ok(entries)
}

/// Adds what is in a folder of `root` to a listing.
fn add(
    root: &Dir,
    path: &Path,
    base: &str,
    entries: &mut Vec<(TreeEntry, Version)>,
) -> Result<(), Fault> {
    let refuse = |name: &str, why: &str| {
        let message = format!("the input `{}` has `{name}`, which {why}", path.display());
        Fault::new(ErrorKind::Input, message)
            .hint("an input tree holds regular files and folders only")
    };
    if base.split('/').count() > MAX_TREE_PARTS {
        return Err(refuse(base, "is nested too deeply"));
    }
    let here = if base.is_empty() { "." } else { base };
    for entry in root
        .read_dir(here)
        .map_err(|error| cannot_read(&path.join(base), &error))?
    {
        let entry = entry.map_err(|error| cannot_read(&path.join(base), &error))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(refuse(&name.to_string_lossy(), "is not valid UTF-8"));
        };
        let name = if base.is_empty() {
            name.to_owned()
        } else {
            format!("{base}/{name}")
        };
        let metadata = entry
            .metadata()
            .map_err(|error| cannot_read(&path.join(&name), &error))?;
        if metadata.is_dir() {
            add(root, path, &name, entries)?;
        } else if metadata.is_file() {
            let tree_path = TreePath::new(&name)
                .map_err(|error| refuse(&name, &format!("cannot be used: {error}")))?;
            let entry = TreeEntry {
                path: tree_path,
                size: metadata.len(),
            };
            entries.push((entry, Version::of(&metadata)));
        } else {
            return Err(refuse(&name, "is neither a file nor a folder"));
        }
        if entries.len() > MAX_TREE_FILES {
            return Err(refuse(
                &name,
                &format!("is one file more than {MAX_TREE_FILES}, the most in a tree"),
            ));
        }
    }
    Ok(())
}

impl Digestible for FolderSource {
    fn bytes(&self) -> u64 {
        Self::bytes(self)
    }

    fn digest(&self, stop: &Stop) -> Result<Digest, Fault> {
        let mut files = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let file = self.open_file(index)?;
            files.push(Listed {
                path: entry.path.clone(),
                digest: file.digest(stop)?,
                size: entry.size,
            });
            file.check_unchanged()?;
        }
        Ok(tree_digest(files))
    }
}

impl SourceTree for FolderSource {
    fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    fn open(&self, index: usize) -> Result<Arc<dyn Source>, Fault> {
        // One descriptor for a file, however many handles a guest has on it.
        let mut open = lock(&self.open);
        let file = match open.get(&index).and_then(Weak::upgrade) {
            Some(file) => file,
            None => {
                let file = Arc::new(self.open_file(index)?);
                open.insert(index, Arc::downgrade(&file));
                file
            }
        };
        Ok(Arc::new(TreeFile {
            file,
            counters: self.counters.clone(),
        }))
    }
}

/// A file of a tree as a guest reads it.
#[derive(Debug)]
struct TreeFile {
    file: Arc<OpenFile>,
    counters: Arc<IoCounters>,
}

#[async_trait]
impl Source for TreeFile {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read_at(offset, buffer)?;
        self.counters.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }

    async fn digest(&self) -> Result<Digest, Fault> {
        // Asked for rarely, and for one file: hashed when asked for.
        let file = self.file.clone();
        let digest = tokio::task::spawn_blocking(move || file.digest(&Stop::default()));
        digest.await.map_err(Fault::internal)?
    }
}

/// A folder that a guest fills; it becomes visible when it is published.
#[derive(Debug)]
pub(crate) struct FolderSink {
    folder: PathBuf,
    /// What each file becomes.
    becomes: Becomes,
    flow: Arc<Flow>,
    state: Mutex<FolderState>,
}

#[derive(Debug, Default)]
struct FolderState {
    files: BTreeMap<TreePath, Arc<FileSink>>,
    folders: BTreeSet<String>,
}

impl FolderSink {
    /// Fills an empty folder.
    pub(crate) fn new(folder: PathBuf, becomes: Becomes, flow: &Arc<Flow>) -> Self {
        Self {
            folder,
            becomes,
            flow: flow.clone(),
            state: Mutex::default(),
        }
    }

    /// Completes all files; gives each with where it is.
    pub(crate) fn finish_files(&self) -> Result<Vec<(TreePath, PathBuf, Written)>, Fault> {
        let files = std::mem::take(&mut lock(&self.state).files);
        let finish = |(path, sink): (TreePath, Arc<FileSink>)| {
            let file = self.folder.join(path.as_str());
            Ok((path, file, sink.finish()?))
        };
        files.into_iter().map(finish).collect()
    }

    /// Completes all files and says what was written.
    pub(crate) fn finish(&self) -> Result<(Digest, u64, u64), Fault> {
        let mut state = lock(&self.state);
        let mut listed = Vec::new();
        for (path, sink) in std::mem::take(&mut state.files) {
            let Written { digest, size, .. } = sink.finish()?;
            listed.push(Listed { path, digest, size });
        }
        let files = listed.iter().map(|file| file.path.as_str());
        let folders = state.folders.iter().map(String::as_str);
        sync_tree(&self.folder, files.chain(folders).chain([""]))?;
        let bytes = listed.iter().map(|file| file.size).sum();
        let files = listed.len() as u64;
        Ok((tree_digest(listed), bytes, files))
    }
}

impl SinkTree for FolderSink {
    fn create(&self, path: &TreePath) -> Result<Option<Arc<dyn Sink>>, Fault> {
        let mut state = lock(&self.state);
        let is_file =
            |path: &str| TreePath::new(path).is_ok_and(|path| state.files.contains_key(&path));
        let taken = state.files.contains_key(path)
            || state.folders.contains(path.as_str())
            || path.parents().any(is_file);
        if taken {
            return Ok(None);
        }
        for parent in path.parents() {
            if !state.folders.contains(parent) {
                let folder = self.folder.join(parent);
                std::fs::create_dir(&folder)
                    .map_err(|error| Fault::io("create", &folder, &error))?;
                state.folders.insert(parent.to_owned());
            }
        }
        let file = self.folder.join(path.as_str());
        let sink = Arc::new(FileSink::create(&file, self.becomes, &self.flow));
        state.files.insert(path.clone(), sink.clone());
        Ok(Some(sink))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn listed(text: &str, bytes: &[u8]) -> Listed {
        Listed {
            path: path(text),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
        }
    }

    #[test]
    fn links_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("good"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("bad")).unwrap();
        let fault = FolderSource::open(folder.path(), &Arc::default()).unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::Input);
        assert!(fault.to_string().contains("`bad`"), "{fault}");
    }

    #[test]
    fn files_are_listed_in_order() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for name in ["z", "a/b/1", "a-0"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let tree = FolderSource::open(folder.path(), &Arc::default()).unwrap();
        let paths: Vec<_> = tree
            .entries()
            .iter()
            .map(|entry| entry.path.as_str())
            .collect();
        assert_eq!(paths, ["a-0", "a/b/1", "z"]);
        assert_eq!(tree.bytes(), 9);
    }

    #[test]
    fn a_path_is_created_once() {
        let folder = tempfile::tempdir().unwrap();
        let flow = Arc::new(Flow::new(&Arc::default()));
        let sink = FolderSink::new(folder.path().to_owned(), Becomes::InTree, &flow);
        assert!(sink.create(&path("a/b")).unwrap().is_some());
        for taken in ["a/b", "a", "a/b/c"] {
            assert!(sink.create(&path(taken)).unwrap().is_none(), "{taken}");
        }
        sink.create(&path("a/c"))
            .unwrap()
            .unwrap()
            .write(b"22".to_vec())
            .unwrap();
        let (digest, bytes, files) = sink.finish().unwrap();
        let wanted = vec![listed("a/b", b""), listed("a/c", b"22")];
        assert_eq!((digest, bytes, files), (tree_digest(wanted), 2, 2));
    }
}
