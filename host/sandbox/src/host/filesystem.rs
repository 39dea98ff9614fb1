//! `wasi:filesystem` for programs: `/in` read-only, `/out` writable.
//!
//! Not the host's file system with permissions, but one of its own, so that a
//! program sees the same on every machine: entries are sorted, times are the
//! run's logical time, inodes are derived from paths. There are no links, so
//! nothing can lead outside, and a path can be resolved by its text alone.
//! Every byte and file that a program adds is counted.
//!
//! Calls block the guest's thread for as long as the page cache takes, which is
//! shorter than to hand them to another thread.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cap_std::fs::{Dir, OpenOptions};
use jiff::Timestamp;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsError, FsResult, InputStream, IoError, OutputStream,
    Pollable, StreamError, StreamResult,
};
use wharf_model::limits::{CHUNK_BYTES, LimitKind};
use wharf_model::name::{MAX_TREE_FILES, TreePath, TreePathError};
use wharf_model::{ErrorKind, Fault};

use super::State;
use crate::artifact::{Source, SourceTree};
use crate::limiter::{Budget, Exceeded};
use types::{DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, OpenFlags};

/// Most bytes of one read or write of a stream.
const STREAM_BYTES: usize = 1 << 20;

/// Most entries of listings that are open at a time, over all of them: a
/// listing is a copy, so that what happens meanwhile does not confuse it.
const MAX_LISTED: usize = 4 * MAX_TREE_FILES;

/// The file system of a run. Empty for typed steps.
#[derive(Debug, Default)]
pub(crate) struct Files {
    input: Option<Arc<InFolder>>,
    output: Option<Arc<Scratch>>,
    time: Timestamp,
    /// Entries of all open listings.
    listed: usize,
}

/// A folder of `/in`.
#[derive(Debug, Default)]
struct InFolder(BTreeMap<String, InEntry>);

#[derive(Debug, Clone)]
enum InEntry {
    Folder(Arc<InFolder>),
    File(Arc<dyn Source>),
    /// A file of a tree, opened when the program opens it.
    TreeFile {
        tree: Arc<dyn SourceTree>,
        index: usize,
    },
}

/// What `/out` is.
#[derive(Debug)]
struct Scratch {
    folder: Dir,
    bytes: Budget,
    files: Budget,
}

/// What a descriptor of the guest stands for.
#[derive(Debug, Clone)]
enum Node {
    InFolder {
        folder: Arc<InFolder>,
        path: String,
    },
    InFile {
        source: Arc<dyn Source>,
        path: String,
    },
    OutFolder {
        scratch: Arc<Scratch>,
        path: String,
    },
    OutFile(Arc<OutFile>),
}

/// An open file of `/out`.
#[derive(Debug)]
struct OutFile {
    scratch: Arc<Scratch>,
    file: File,
    flags: DescriptorFlags,
    path: String,
}

/// The entries of a folder that are still to be listed.
struct Listing {
    entries: std::vec::IntoIter<types::DirectoryEntry>,
    /// How many there were.
    listed: usize,
}

/// What a program finds under `/in/<name>`.
#[derive(Clone, Debug)]
pub enum ProgramInput {
    /// A file.
    File(Arc<dyn Source>),
    /// A folder.
    Tree(Arc<dyn SourceTree>),
}

impl Files {
    /// The file system of a program: `scratch` becomes `/out`.
    pub(crate) fn of_program(
        inputs: Vec<(String, ProgramInput)>,
        scratch: Option<Dir>,
        bytes: &Budget,
        time: Timestamp,
    ) -> Self {
        let entries = inputs
            .into_iter()
            .map(|(name, input)| (name, in_entry(input)));
        let scratch = scratch.map(|folder| {
            let files = Budget::new(LimitKind::TreeFiles, MAX_TREE_FILES as u64);
            Arc::new(Scratch {
                folder,
                bytes: bytes.clone(),
                files,
            })
        });
        Self {
            input: Some(Arc::new(InFolder(entries.collect()))),
            output: scratch,
            time,
            listed: 0,
        }
    }
}

fn in_entry(input: ProgramInput) -> InEntry {
    match input {
        ProgramInput::File(source) => InEntry::File(source),
        ProgramInput::Tree(tree) => {
            let files = tree.entries().iter().enumerate();
            let paths: Vec<_> = files
                .map(|(index, entry)| (entry.path.as_str(), index))
                .collect();
            InEntry::Folder(in_folder(&tree, &paths))
        }
    }
}

/// Nests a sorted list of paths into folders.
fn in_folder(tree: &Arc<dyn SourceTree>, paths: &[(&str, usize)]) -> Arc<InFolder> {
    let mut entries = BTreeMap::new();
    let mut folders: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
    for (path, index) in paths {
        match path.split_once('/') {
            Some((folder, rest)) => folders.entry(folder).or_default().push((rest, *index)),
            None => {
                let file = InEntry::TreeFile {
                    tree: tree.clone(),
                    index: *index,
                };
                entries.insert((*path).to_owned(), file);
            }
        }
    }
    for (name, paths) in folders {
        entries.insert(name.to_owned(), InEntry::Folder(in_folder(tree, &paths)));
    }
    Arc::new(InFolder(entries))
}

impl InFolder {
    fn find(self: &Arc<Self>, path: &str) -> Result<InEntry, ErrorCode> {
        let mut entry = InEntry::Folder(self.clone());
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let InEntry::Folder(folder) = entry else {
                return Err(ErrorCode::NotDirectory);
            };
            entry = folder.0.get(part).cloned().ok_or(ErrorCode::NoEntry)?;
        }
        Ok(entry)
    }

    fn listing(&self) -> Vec<types::DirectoryEntry> {
        let entry = |(name, entry): (&String, &InEntry)| types::DirectoryEntry {
            type_: entry.type_(),
            name: name.clone(),
        };
        self.0.iter().map(entry).collect()
    }
}

impl InEntry {
    fn type_(&self) -> DescriptorType {
        match self {
            Self::Folder(_) => DescriptorType::Directory,
            Self::File(_) | Self::TreeFile { .. } => DescriptorType::RegularFile,
        }
    }

    fn size(&self) -> u64 {
        match self {
            Self::Folder(_) => 0,
            Self::File(source) => source.size(),
            Self::TreeFile { tree, index } => tree.entries()[*index].size,
        }
    }

    fn open(self, path: String) -> FsResult<Node> {
        Ok(match self {
            Self::Folder(folder) => Node::InFolder { folder, path },
            Self::File(source) => Node::InFile { source, path },
            Self::TreeFile { tree, index } => {
                let source = tree.open(index).map_err(FsError::trap)?;
                Node::InFile { source, path }
            }
        })
    }
}

impl Scratch {
    fn type_and_size(&self, path: &str) -> FsResult<Option<(DescriptorType, u64)>> {
        if path.is_empty() {
            return Ok(Some((DescriptorType::Directory, 0)));
        }
        match self.folder.symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(Some((DescriptorType::Directory, 0))),
            Ok(metadata) => Ok(Some((DescriptorType::RegularFile, metadata.len()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fs_error(error)),
        }
    }

    fn existing(&self, path: &str) -> FsResult<(DescriptorType, u64)> {
        Ok(self.type_and_size(path)?.ok_or(ErrorCode::NoEntry)?)
    }

    /// Counts a file or folder that is about to be made.
    fn count_new(&self, path: &str) -> FsResult<()> {
        TreePath::new(path).map_err(|error| path_error(&error))?;
        self.files
            .spend(1)
            .map_err(|_| FsError::trap(Exceeded::new(LimitKind::TreeFiles, MAX_TREE_FILES)))
    }

    fn listing(&self, path: &str) -> FsResult<Vec<types::DirectoryEntry>> {
        let mut entries = Vec::new();
        let path = if path.is_empty() { "." } else { path };
        for entry in self.folder.read_dir(path).map_err(fs_error)? {
            let entry = entry.map_err(fs_error)?;
            let is_folder = entry.file_type().map_err(fs_error)?.is_dir();
            // Every name in the scratch folder was checked when it was made.
            let name = entry.file_name().to_string_lossy().into_owned();
            let type_ = if is_folder {
                DescriptorType::Directory
            } else {
                DescriptorType::RegularFile
            };
            entries.push(types::DirectoryEntry { type_, name });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn open(
        self: &Arc<Self>,
        path: String,
        oflags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Node> {
        let writes = flags.contains(DescriptorFlags::WRITE);
        match self.type_and_size(&path)? {
            Some(_) if oflags.contains(OpenFlags::CREATE | OpenFlags::EXCLUSIVE) => {
                return Err(ErrorCode::Exist.into());
            }
            Some((DescriptorType::Directory, _))
                if writes || oflags.contains(OpenFlags::TRUNCATE) =>
            {
                return Err(ErrorCode::IsDirectory.into());
            }
            Some((DescriptorType::Directory, _)) => {
                return Ok(Node::OutFolder {
                    scratch: self.clone(),
                    path,
                });
            }
            Some(_) if oflags.contains(OpenFlags::DIRECTORY) => {
                return Err(ErrorCode::NotDirectory.into());
            }
            Some(_) => {}
            None if !oflags.contains(OpenFlags::CREATE) => return Err(ErrorCode::NoEntry.into()),
            None => self.count_new(&path)?,
        }
        let truncate = oflags.contains(OpenFlags::TRUNCATE);
        if truncate && !writes {
            return Err(ErrorCode::Invalid.into());
        }
        let creates = oflags.contains(OpenFlags::CREATE);
        let mut options = OpenOptions::new();
        // Creating needs the right to write, whatever the program asks for.
        options
            .read(true)
            .write(writes || creates)
            .truncate(truncate)
            .create(creates);
        let file = self
            .folder
            .open_with(&path, &options)
            .map_err(fs_error)?
            .into_std();
        Ok(Node::OutFile(Arc::new(OutFile {
            scratch: self.clone(),
            file,
            flags,
            path,
        })))
    }
}

impl OutFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Counts what a write adds: its bytes, or the hole that it makes where
    /// that is more.
    fn count(&self, offset: u64, len: u64) -> wasmtime::Result<()> {
        let size = self.size().map_err(host_fault)?;
        let hole = offset.saturating_add(len).saturating_sub(size);
        Ok(self.scratch.bytes.spend(hole.max(len))?)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> wasmtime::Result<()> {
        self.count(offset, bytes.len() as u64)?;
        Ok(self.file.write_all_at(bytes, offset).map_err(host_fault)?)
    }

    fn set_size(&self, size: u64) -> wasmtime::Result<()> {
        let old = self.size().map_err(host_fault)?;
        self.scratch.bytes.spend(size.saturating_sub(old))?;
        Ok(self.file.set_len(size).map_err(host_fault)?)
    }

    fn writable(&self) -> FsResult<()> {
        match self.flags.contains(DescriptorFlags::WRITE) {
            true => Ok(()),
            false => Err(ErrorCode::NotPermitted.into()),
        }
    }
}

/// A fault of the disk under `/out`, which ends the run: a program must never
/// go on with half of its data.
fn host_fault(error: io::Error) -> Fault {
    let fault = Fault::new(
        ErrorKind::of_io(&error),
        format!("cannot write in `/out`: {error}"),
    );
    match fault.kind() {
        ErrorKind::DiskFull => {
            fault.hint("free some space, or choose another place for the outputs")
        }
        _ => fault,
    }
}

/// What a program did wrong, or a fault of the host.
fn fs_error(error: io::Error) -> FsError {
    use io::ErrorKind::{
        AlreadyExists, DirectoryNotEmpty, InvalidInput, IsADirectory, NotADirectory, NotFound,
        PermissionDenied,
    };
    match error.kind() {
        NotFound => ErrorCode::NoEntry.into(),
        AlreadyExists => ErrorCode::Exist.into(),
        NotADirectory => ErrorCode::NotDirectory.into(),
        IsADirectory => ErrorCode::IsDirectory.into(),
        DirectoryNotEmpty => ErrorCode::NotEmpty.into(),
        InvalidInput => ErrorCode::Invalid.into(),
        PermissionDenied => ErrorCode::NotPermitted.into(),
        _ => FsError::trap(host_fault(error)),
    }
}

fn path_error(error: &TreePathError) -> FsError {
    match error {
        TreePathError::Empty | TreePathError::EmptyPart => ErrorCode::NoEntry.into(),
        TreePathError::TooLong | TreePathError::PartTooLong | TreePathError::TooDeep => {
            ErrorCode::NameTooLong.into()
        }
        TreePathError::Absolute | TreePathError::Dots => ErrorCode::NotPermitted.into(),
        TreePathError::Character => ErrorCode::IllegalByteSequence.into(),
    }
}

/// Resolves `path` against a folder, both relative to the preopened folder.
/// Purely by text: there are no links.
fn resolve(folder: &str, path: &str) -> FsResult<String> {
    if path.is_empty() {
        return Err(ErrorCode::NoEntry.into());
    }
    if path.starts_with('/') {
        return Err(ErrorCode::NotPermitted.into());
    }
    if path.contains('\0') {
        return Err(ErrorCode::IllegalByteSequence.into());
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(ErrorCode::NotPermitted)?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

fn inode(path: &str) -> types::MetadataHashValue {
    let hash = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, path).hash(&mut hasher);
        hasher.finish()
    };
    types::MetadataHashValue {
        lower: hash(0),
        upper: hash(1),
    }
}

impl Node {
    fn type_(&self) -> DescriptorType {
        match self {
            Self::InFolder { .. } | Self::OutFolder { .. } => DescriptorType::Directory,
            Self::InFile { .. } | Self::OutFile(_) => DescriptorType::RegularFile,
        }
    }

    fn size(&self) -> FsResult<u64> {
        match self {
            Self::InFolder { .. } | Self::OutFolder { .. } => Ok(0),
            Self::InFile { source, .. } => Ok(source.size()),
            Self::OutFile(file) => file.size().map_err(fs_error),
        }
    }

    /// What tells one object from another: the preopened folder, and the path
    /// in it.
    fn identity(&self) -> String {
        match self {
            Self::InFolder { path, .. } | Self::InFile { path, .. } => format!("/in/{path}"),
            Self::OutFolder { path, .. } => format!("/out/{path}"),
            Self::OutFile(file) => format!("/out/{}", file.path),
        }
    }

    /// The writable folder that this is.
    fn scratch(&self) -> FsResult<(&Arc<Scratch>, &str)> {
        match self {
            Self::OutFolder { scratch, path } => Ok((scratch, path)),
            Self::InFolder { .. } => Err(ErrorCode::ReadOnly.into()),
            Self::InFile { .. } | Self::OutFile(_) => Err(ErrorCode::NotDirectory.into()),
        }
    }

    /// The writable file that this is.
    fn writable(&self) -> FsResult<&Arc<OutFile>> {
        match self {
            Self::OutFile(file) => file.writable().map(|()| file),
            Self::InFile { .. } => Err(ErrorCode::ReadOnly.into()),
            Self::InFolder { .. } | Self::OutFolder { .. } => Err(ErrorCode::IsDirectory.into()),
        }
    }

    fn read_at(&self, offset: u64, len: usize) -> FsResult<Vec<u8>> {
        let left = self.size()?.saturating_sub(offset);
        let mut bytes = vec![0; left.min(len as u64) as usize];
        let read = match self {
            Self::InFile { source, .. } => source.read_at(offset, &mut bytes),
            Self::OutFile(file) => read_full_at(&file.file, offset, &mut bytes),
            Self::InFolder { .. } | Self::OutFolder { .. } => {
                return Err(ErrorCode::IsDirectory.into());
            }
        };
        bytes.truncate(read.map_err(|error| {
            let message = format!("cannot read `{}`: {error}", self.identity());
            FsError::trap(Fault::new(ErrorKind::of_io(&error), message))
        })?);
        Ok(bytes)
    }
}

fn read_full_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64)? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

// wasmtime-wasi's bindings name their own types for descriptors and listings. A
// resource is an index into the table, so ours stand under the same indices.
type WitDescriptor = Resource<types::Descriptor>;
type WitListing = Resource<types::DirectoryEntryStream>;

impl State {
    fn node(&self, fd: &WitDescriptor) -> FsResult<&Node> {
        let node: Resource<Node> = Resource::new_borrow(fd.rep());
        Ok(self.table.get(&node)?)
    }

    fn push_node(&mut self, node: Node) -> FsResult<WitDescriptor> {
        Ok(Resource::new_own(self.table.push(node)?.rep()))
    }

    fn stat_of(&self, type_: DescriptorType, size: u64) -> DescriptorStat {
        let nanos = self.files.time.as_nanosecond().max(0);
        let time = wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime {
            seconds: u64::try_from(nanos / 1_000_000_000).unwrap_or(0),
            nanoseconds: u32::try_from(nanos % 1_000_000_000).unwrap_or(0),
        };
        DescriptorStat {
            type_,
            link_count: 1,
            size,
            data_access_timestamp: Some(time),
            data_modification_timestamp: Some(time),
            status_change_timestamp: Some(time),
        }
    }

    /// Type, size and identity of what is at a path.
    fn look_up(&self, fd: &WitDescriptor, path: &str) -> FsResult<(DescriptorType, u64, String)> {
        match self.node(fd)? {
            Node::InFolder { folder, path: base } => {
                let path_in_folder = resolve(base, path)?;
                let root = self.files.input.as_ref().unwrap_or(folder);
                let entry = root.find(&path_in_folder)?;
                Ok((entry.type_(), entry.size(), format!("/in/{path_in_folder}")))
            }
            Node::OutFolder {
                scratch,
                path: base,
            } => {
                let path = resolve(base, path)?;
                let (type_, size) = scratch.existing(&path)?;
                Ok((type_, size, format!("/out/{path}")))
            }
            Node::InFile { .. } | Node::OutFile(_) => Err(ErrorCode::NotDirectory.into()),
        }
    }
}

impl preopens::Host for State {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(WitDescriptor, String)>> {
        let mut folders = Vec::new();
        if let Some(folder) = self.files.input.clone() {
            let node = Node::InFolder {
                folder,
                path: String::new(),
            };
            folders.push((
                Resource::new_own(self.table.push(node)?.rep()),
                "/in".to_owned(),
            ));
        }
        if let Some(scratch) = self.files.output.clone() {
            let node = Node::OutFolder {
                scratch,
                path: String::new(),
            };
            folders.push((
                Resource::new_own(self.table.push(node)?.rep()),
                "/out".to_owned(),
            ));
        }
        Ok(folders)
    }
}

impl types::Host for State {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        _: Resource<IoError>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        // Streams never fail with an error that a program can handle.
        Ok(None)
    }
}

impl types::HostDescriptor for State {
    async fn advise(&mut self, _: WitDescriptor, _: u64, _: u64, _: types::Advice) -> FsResult<()> {
        Ok(())
    }

    async fn sync_data(&mut self, _: WitDescriptor) -> FsResult<()> {
        // What is published is synced then; the scratch need not survive.
        Ok(())
    }

    async fn sync(&mut self, _: WitDescriptor) -> FsResult<()> {
        Ok(())
    }

    async fn get_flags(&mut self, fd: WitDescriptor) -> FsResult<DescriptorFlags> {
        Ok(match self.node(&fd)? {
            Node::InFolder { .. } | Node::InFile { .. } => DescriptorFlags::READ,
            Node::OutFolder { .. } => DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY,
            Node::OutFile(file) => file.flags,
        })
    }

    async fn get_type(&mut self, fd: WitDescriptor) -> FsResult<DescriptorType> {
        Ok(self.node(&fd)?.type_())
    }

    async fn set_size(&mut self, fd: WitDescriptor, size: u64) -> FsResult<()> {
        let file = self.node(&fd)?.writable()?;
        file.set_size(size).map_err(FsError::trap)
    }

    async fn set_times(
        &mut self,
        fd: WitDescriptor,
        _: types::NewTimestamp,
        _: types::NewTimestamp,
    ) -> FsResult<()> {
        match self.node(&fd)? {
            // Times are not kept; programs that set them should not fail.
            Node::OutFolder { .. } | Node::OutFile(_) => Ok(()),
            Node::InFolder { .. } | Node::InFile { .. } => Err(ErrorCode::ReadOnly.into()),
        }
    }

    async fn read(
        &mut self,
        fd: WitDescriptor,
        len: u64,
        offset: u64,
    ) -> FsResult<(Vec<u8>, bool)> {
        let node = self.node(&fd)?;
        let bytes = node.read_at(offset, len.min(CHUNK_BYTES as u64) as usize)?;
        let end = offset.saturating_add(bytes.len() as u64) >= node.size()?;
        Ok((bytes, end))
    }

    async fn write(&mut self, fd: WitDescriptor, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        let file = self.node(&fd)?.writable()?;
        file.write_at(&bytes, offset).map_err(FsError::trap)?;
        Ok(bytes.len() as u64)
    }

    async fn read_directory(&mut self, fd: WitDescriptor) -> FsResult<WitListing> {
        let entries = match self.node(&fd)? {
            Node::InFolder { folder, .. } => folder.listing(),
            Node::OutFolder { scratch, path } => scratch.listing(path)?,
            Node::InFile { .. } | Node::OutFile(_) => return Err(ErrorCode::NotDirectory.into()),
        };
        let listed = entries.len();
        if self.files.listed + listed > MAX_LISTED {
            return Err(FsError::trap(Exceeded::new(LimitKind::Handles, MAX_LISTED)));
        }
        self.files.listed += listed;
        let listing = self.table.push(Listing {
            entries: entries.into_iter(),
            listed,
        })?;
        Ok(Resource::new_own(listing.rep()))
    }

    async fn create_directory_at(&mut self, fd: WitDescriptor, path: String) -> FsResult<()> {
        let (scratch, base) = self.node(&fd)?.scratch()?;
        let path = resolve(base, &path)?;
        if scratch.type_and_size(&path)?.is_some() {
            return Err(ErrorCode::Exist.into());
        }
        scratch.count_new(&path)?;
        scratch.folder.create_dir(path).map_err(fs_error)
    }

    async fn stat(&mut self, fd: WitDescriptor) -> FsResult<DescriptorStat> {
        let node = self.node(&fd)?;
        Ok(self.stat_of(node.type_(), node.size()?))
    }

    async fn stat_at(
        &mut self,
        fd: WitDescriptor,
        _: types::PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let (type_, size, _) = self.look_up(&fd, &path)?;
        Ok(self.stat_of(type_, size))
    }

    async fn set_times_at(
        &mut self,
        fd: WitDescriptor,
        _: types::PathFlags,
        path: String,
        _: types::NewTimestamp,
        _: types::NewTimestamp,
    ) -> FsResult<()> {
        let (scratch, base) = self.node(&fd)?.scratch()?;
        scratch.existing(&resolve(base, &path)?).map(|_| ())
    }

    async fn link_at(
        &mut self,
        _: WitDescriptor,
        _: types::PathFlags,
        _: String,
        _: WitDescriptor,
        _: String,
    ) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    async fn open_at(
        &mut self,
        fd: WitDescriptor,
        _: types::PathFlags,
        path: String,
        oflags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<WitDescriptor> {
        let must_be_folder = oflags.contains(OpenFlags::DIRECTORY) || path.ends_with('/');
        let node = match self.node(&fd)? {
            Node::InFolder { folder, path: base } => {
                let path = resolve(base, &path)?;
                let changes = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::EXCLUSIVE;
                if oflags.intersects(changes) || flags.contains(DescriptorFlags::WRITE) {
                    return Err(ErrorCode::ReadOnly.into());
                }
                let root = self.files.input.as_ref().unwrap_or(folder);
                root.find(&path)?.open(path)?
            }
            Node::OutFolder {
                scratch,
                path: base,
            } => scratch.open(resolve(base, &path)?, oflags, flags)?,
            Node::InFile { .. } | Node::OutFile(_) => return Err(ErrorCode::NotDirectory.into()),
        };
        if must_be_folder && node.type_() != DescriptorType::Directory {
            return Err(ErrorCode::NotDirectory.into());
        }
        self.push_node(node)
    }

    fn drop(&mut self, fd: WitDescriptor) -> wasmtime::Result<()> {
        let node: Resource<Node> = Resource::new_own(fd.rep());
        self.table.delete(node)?;
        Ok(())
    }

    async fn readlink_at(&mut self, _: WitDescriptor, _: String) -> FsResult<String> {
        Err(ErrorCode::Invalid.into())
    }

    async fn remove_directory_at(&mut self, fd: WitDescriptor, path: String) -> FsResult<()> {
        let (scratch, base) = self.node(&fd)?.scratch()?;
        let path = resolve(base, &path)?;
        match scratch.existing(&path)? {
            _ if path.is_empty() => Err(ErrorCode::NotPermitted.into()),
            (DescriptorType::Directory, _) => {
                scratch.folder.remove_dir(path).map_err(fs_error)?;
                scratch.files.refund(1);
                Ok(())
            }
            _ => Err(ErrorCode::NotDirectory.into()),
        }
    }

    async fn rename_at(
        &mut self,
        fd: WitDescriptor,
        old_path: String,
        new_fd: WitDescriptor,
        new_path: String,
    ) -> FsResult<()> {
        let (scratch, old_base) = self.node(&fd)?.scratch()?;
        let (_, new_base) = self.node(&new_fd)?.scratch()?;
        let (old, new) = (resolve(old_base, &old_path)?, resolve(new_base, &new_path)?);
        if old.is_empty() || new.is_empty() {
            return Err(ErrorCode::NotPermitted.into());
        }
        scratch.existing(&old)?;
        TreePath::new(&new).map_err(|error| path_error(&error))?;
        scratch
            .folder
            .rename(old, &scratch.folder, new)
            .map_err(fs_error)
    }

    async fn symlink_at(&mut self, _: WitDescriptor, _: String, _: String) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    async fn unlink_file_at(&mut self, fd: WitDescriptor, path: String) -> FsResult<()> {
        let (scratch, base) = self.node(&fd)?.scratch()?;
        let path = resolve(base, &path)?;
        match scratch.existing(&path)? {
            (DescriptorType::Directory, _) => Err(ErrorCode::IsDirectory.into()),
            _ => {
                scratch.folder.remove_file(path).map_err(fs_error)?;
                scratch.files.refund(1);
                Ok(())
            }
        }
    }

    fn read_via_stream(
        &mut self,
        fd: WitDescriptor,
        offset: u64,
    ) -> FsResult<Resource<DynInputStream>> {
        let node = self.node(&fd)?.clone();
        if node.type_() == DescriptorType::Directory {
            return Err(ErrorCode::IsDirectory.into());
        }
        let stream: DynInputStream = Box::new(Reader { node, offset });
        Ok(self.table.push(stream)?)
    }

    fn write_via_stream(
        &mut self,
        fd: WitDescriptor,
        offset: u64,
    ) -> FsResult<Resource<DynOutputStream>> {
        let file = self.node(&fd)?.writable()?.clone();
        let stream: DynOutputStream = Box::new(Writer {
            file,
            offset: Some(offset),
        });
        Ok(self.table.push(stream)?)
    }

    fn append_via_stream(&mut self, fd: WitDescriptor) -> FsResult<Resource<DynOutputStream>> {
        let file = self.node(&fd)?.writable()?.clone();
        let stream: DynOutputStream = Box::new(Writer { file, offset: None });
        Ok(self.table.push(stream)?)
    }

    async fn is_same_object(
        &mut self,
        a: WitDescriptor,
        b: WitDescriptor,
    ) -> wasmtime::Result<bool> {
        let a = self.node(&a).map_err(wasmtime::Error::from)?.identity();
        let b = self.node(&b).map_err(wasmtime::Error::from)?.identity();
        Ok(a == b)
    }

    async fn metadata_hash(&mut self, fd: WitDescriptor) -> FsResult<types::MetadataHashValue> {
        Ok(inode(&self.node(&fd)?.identity()))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: WitDescriptor,
        _: types::PathFlags,
        path: String,
    ) -> FsResult<types::MetadataHashValue> {
        let (_, _, identity) = self.look_up(&fd, &path)?;
        Ok(inode(&identity))
    }
}

impl types::HostDirectoryEntryStream for State {
    async fn read_directory_entry(
        &mut self,
        listing: WitListing,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        let listing: Resource<Listing> = Resource::new_borrow(listing.rep());
        Ok(self.table.get_mut(&listing)?.entries.next())
    }

    fn drop(&mut self, listing: WitListing) -> wasmtime::Result<()> {
        let listing: Resource<Listing> = Resource::new_own(listing.rep());
        self.files.listed -= self.table.delete(listing)?.listed;
        Ok(())
    }
}

/// A stream that reads a file from an offset on.
struct Reader {
    node: Node,
    offset: u64,
}

#[async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self.node.read_at(self.offset, size.min(STREAM_BYTES));
        let bytes = bytes.map_err(|error| StreamError::Trap(error.into()))?;
        if bytes.is_empty() {
            return Err(StreamError::Closed);
        }
        self.offset += bytes.len() as u64;
        Ok(bytes.into())
    }
}

#[async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {}
}

/// A stream that writes to a file: from an offset on, or at its end.
struct Writer {
    file: Arc<OutFile>,
    offset: Option<u64>,
}

#[async_trait]
impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let at = match self.offset {
            Some(offset) => offset,
            None => self
                .file
                .size()
                .map_err(|error| StreamError::Trap(host_fault(error).into()))?,
        };
        self.file.write_at(&bytes, at).map_err(StreamError::Trap)?;
        if let Some(offset) = &mut self.offset {
            *offset += bytes.len() as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(STREAM_BYTES)
    }
}

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {}
}

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    preopens::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(folder: &str, path: &str) -> Result<String, ErrorCode> {
        resolve(folder, path).map_err(|error| error.downcast().unwrap())
    }

    #[test]
    fn paths_stay_inside() {
        assert_eq!(resolved("", "a/./b//c").unwrap(), "a/b/c");
        assert_eq!(resolved("a/b", "../c").unwrap(), "a/c");
        assert_eq!(resolved("a", "..").unwrap(), "");
        assert_eq!(resolved("a", "../..").unwrap_err(), ErrorCode::NotPermitted);
        assert_eq!(
            resolved("", "a/../../b").unwrap_err(),
            ErrorCode::NotPermitted
        );
        assert_eq!(
            resolved("", "/etc/passwd").unwrap_err(),
            ErrorCode::NotPermitted
        );
        assert_eq!(resolved("", "").unwrap_err(), ErrorCode::NoEntry);
        assert_eq!(
            resolved("", "a\0b").unwrap_err(),
            ErrorCode::IllegalByteSequence
        );
    }

    #[test]
    fn inodes_follow_the_path() {
        assert_eq!(inode("/in/a").lower, inode("/in/a").lower);
        assert_ne!(inode("/in/a").lower, inode("/out/a").lower);
    }
}
