//! `wasi:filesystem` 0.2 over the file system of `files`: each function fetches
//! a descriptor from the table, calls the core, and converts.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsError, FsResult, InputStream, IoError, OutputStream,
    Pollable, StreamError, StreamResult,
};
use wharf_model::limits::CHUNK_BYTES;

use super::State;
use super::files::{Entry, FilesError, Kind, Listing, Mistake, Node, Open, OutFile, Stat, inode};
use types::{DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, OpenFlags};

/// Most bytes of one read or write of a stream.
const STREAM_BYTES: usize = 1 << 20;

/// A descriptor of the guest, with the flags that it was opened with.
struct Descriptor {
    node: Node,
    flags: DescriptorFlags,
}

/// The entries of a folder, and how many of them were read.
struct Reading {
    listing: Listing,
    next: usize,
}

impl From<FilesError> for FsError {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Mistake(mistake) => mistake.into(),
            FilesError::Fault(fault) => Self::trap(fault),
            FilesError::Exceeded(exceeded) => Self::trap(exceeded),
        }
    }
}

impl From<Mistake> for FsError {
    fn from(mistake: Mistake) -> Self {
        ErrorCode::from(mistake).into()
    }
}

impl From<Mistake> for ErrorCode {
    fn from(mistake: Mistake) -> Self {
        match mistake {
            Mistake::NoEntry => Self::NoEntry,
            Mistake::Exist => Self::Exist,
            Mistake::IsDirectory => Self::IsDirectory,
            Mistake::NotDirectory => Self::NotDirectory,
            Mistake::NotEmpty => Self::NotEmpty,
            Mistake::ReadOnly => Self::ReadOnly,
            Mistake::NotPermitted => Self::NotPermitted,
            Mistake::Invalid => Self::Invalid,
            Mistake::NameTooLong => Self::NameTooLong,
            Mistake::IllegalByteSequence => Self::IllegalByteSequence,
        }
    }
}

impl From<Kind> for DescriptorType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Folder => Self::Directory,
            Kind::File => Self::RegularFile,
        }
    }
}

impl From<Entry> for types::DirectoryEntry {
    fn from(entry: Entry) -> Self {
        Self {
            type_: entry.kind.into(),
            name: entry.name,
        }
    }
}

/// The flags of a descriptor that is opened with `wanted`.
fn flags_of(node: &Node, wanted: DescriptorFlags) -> DescriptorFlags {
    match node {
        Node::InFolder { .. } | Node::InFile { .. } => DescriptorFlags::READ,
        Node::OutFolder { .. } => DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY,
        Node::OutFile(_) => wanted,
    }
}

fn hash_of(identity: &str) -> types::MetadataHashValue {
    let (lower, upper) = inode(identity);
    types::MetadataHashValue { lower, upper }
}

// wasmtime-wasi's bindings name their own types for descriptors and listings. A
// resource is an index into the table, so ours stand under the same indices.
type WitDescriptor = Resource<types::Descriptor>;
type WitListing = Resource<types::DirectoryEntryStream>;

impl State {
    fn descriptor(&self, fd: &WitDescriptor) -> FsResult<&Descriptor> {
        let descriptor: Resource<Descriptor> = Resource::new_borrow(fd.rep());
        Ok(self.table.get(&descriptor)?)
    }

    fn node(&self, fd: &WitDescriptor) -> FsResult<&Node> {
        Ok(&self.descriptor(fd)?.node)
    }

    fn push_node(
        &mut self,
        node: Node,
        wanted: DescriptorFlags,
    ) -> wasmtime::Result<WitDescriptor> {
        let flags = flags_of(&node, wanted);
        let descriptor = self.table.push(Descriptor { node, flags })?;
        Ok(Resource::new_own(descriptor.rep()))
    }

    fn stat_of(&self, stat: &Stat) -> DescriptorStat {
        let time = self.files.time();
        let time = Datetime {
            seconds: time.as_secs(),
            nanoseconds: time.subsec_nanos(),
        };
        DescriptorStat {
            type_: stat.kind.into(),
            link_count: 1,
            size: stat.size,
            data_access_timestamp: Some(time),
            data_modification_timestamp: Some(time),
            status_change_timestamp: Some(time),
        }
    }
}

impl preopens::Host for State {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(WitDescriptor, String)>> {
        let folders = self.files.preopened().into_iter();
        let folders = folders.map(|(node, path)| {
            let descriptor = self.push_node(node, DescriptorFlags::empty())?;
            Ok((descriptor, path.to_owned()))
        });
        folders.collect()
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
        Ok(self.descriptor(&fd)?.flags)
    }

    async fn get_type(&mut self, fd: WitDescriptor) -> FsResult<DescriptorType> {
        Ok(self.node(&fd)?.kind().into())
    }

    async fn set_size(&mut self, fd: WitDescriptor, size: u64) -> FsResult<()> {
        Ok(self.node(&fd)?.writable()?.set_size(size)?)
    }

    async fn set_times(
        &mut self,
        fd: WitDescriptor,
        _: types::NewTimestamp,
        _: types::NewTimestamp,
    ) -> FsResult<()> {
        Ok(self.node(&fd)?.set_times()?)
    }

    async fn read(
        &mut self,
        fd: WitDescriptor,
        len: u64,
        offset: u64,
    ) -> FsResult<(Vec<u8>, bool)> {
        let node = self.node(&fd)?;
        let bytes = read_at(node, offset, len.min(CHUNK_BYTES as u64) as usize)?;
        let end = offset.saturating_add(bytes.len() as u64) >= node.size()?;
        Ok((bytes, end))
    }

    async fn write(&mut self, fd: WitDescriptor, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        self.node(&fd)?.writable()?.write_at(&bytes, offset)?;
        Ok(bytes.len() as u64)
    }

    async fn read_directory(&mut self, fd: WitDescriptor) -> FsResult<WitListing> {
        let listing = self.files.list(self.node(&fd)?)?;
        let reading = self.table.push(Reading { listing, next: 0 })?;
        Ok(Resource::new_own(reading.rep()))
    }

    async fn create_directory_at(&mut self, fd: WitDescriptor, path: String) -> FsResult<()> {
        Ok(self.node(&fd)?.create_folder_at(&path)?)
    }

    async fn stat(&mut self, fd: WitDescriptor) -> FsResult<DescriptorStat> {
        Ok(self.stat_of(&self.node(&fd)?.stat()?))
    }

    async fn stat_at(
        &mut self,
        fd: WitDescriptor,
        _: types::PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        Ok(self.stat_of(&self.node(&fd)?.stat_at(&path)?))
    }

    async fn set_times_at(
        &mut self,
        fd: WitDescriptor,
        _: types::PathFlags,
        path: String,
        _: types::NewTimestamp,
        _: types::NewTimestamp,
    ) -> FsResult<()> {
        Ok(self.node(&fd)?.set_times_at(&path)?)
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
        let how = Open {
            write: flags.contains(DescriptorFlags::WRITE),
            create: oflags.contains(OpenFlags::CREATE),
            exclusive: oflags.contains(OpenFlags::EXCLUSIVE),
            truncate: oflags.contains(OpenFlags::TRUNCATE),
            folder: oflags.contains(OpenFlags::DIRECTORY),
        };
        let node = self.node(&fd)?.open_at(&path, how)?;
        self.push_node(node, flags).map_err(FsError::trap)
    }

    fn drop(&mut self, fd: WitDescriptor) -> wasmtime::Result<()> {
        let descriptor: Resource<Descriptor> = Resource::new_own(fd.rep());
        self.table.delete(descriptor)?;
        Ok(())
    }

    async fn readlink_at(&mut self, _: WitDescriptor, _: String) -> FsResult<String> {
        Err(ErrorCode::Invalid.into())
    }

    async fn remove_directory_at(&mut self, fd: WitDescriptor, path: String) -> FsResult<()> {
        Ok(self.node(&fd)?.remove_folder_at(&path)?)
    }

    async fn rename_at(
        &mut self,
        fd: WitDescriptor,
        old_path: String,
        new_fd: WitDescriptor,
        new_path: String,
    ) -> FsResult<()> {
        let (from, to) = (self.node(&fd)?, self.node(&new_fd)?);
        Ok(from.rename_at(&old_path, to, &new_path)?)
    }

    async fn symlink_at(&mut self, _: WitDescriptor, _: String, _: String) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    async fn unlink_file_at(&mut self, fd: WitDescriptor, path: String) -> FsResult<()> {
        Ok(self.node(&fd)?.remove_file_at(&path)?)
    }

    fn read_via_stream(
        &mut self,
        fd: WitDescriptor,
        offset: u64,
    ) -> FsResult<Resource<DynInputStream>> {
        let node = self.node(&fd)?.clone();
        if node.kind() == Kind::Folder {
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
        Ok(hash_of(&self.node(&fd)?.identity()))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: WitDescriptor,
        _: types::PathFlags,
        path: String,
    ) -> FsResult<types::MetadataHashValue> {
        Ok(hash_of(&self.node(&fd)?.stat_at(&path)?.identity))
    }
}

impl types::HostDirectoryEntryStream for State {
    async fn read_directory_entry(
        &mut self,
        listing: WitListing,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        let reading: Resource<Reading> = Resource::new_borrow(listing.rep());
        let reading = self.table.get_mut(&reading)?;
        let entry = reading.listing.entries.get(reading.next).cloned();
        reading.next += 1;
        Ok(entry.map(types::DirectoryEntry::from))
    }

    fn drop(&mut self, listing: WitListing) -> wasmtime::Result<()> {
        let reading: Resource<Reading> = Resource::new_own(listing.rep());
        self.table.delete(reading)?;
        Ok(())
    }
}

/// Reads at most `len` bytes; no more memory is taken than the file has bytes.
fn read_at(node: &Node, offset: u64, len: usize) -> Result<Vec<u8>, FilesError> {
    let left = node.size()?.saturating_sub(offset);
    let mut bytes = vec![0; left.min(len as u64) as usize];
    let read = node.read_at(offset, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
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
        let bytes = read_at(&self.node, self.offset, size.min(STREAM_BYTES));
        let bytes = bytes.map_err(|error| StreamError::Trap(error.into_end()))?;
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
        let written = match &mut self.offset {
            None => self.file.append(&bytes).map(drop),
            Some(offset) => {
                let at = *offset;
                *offset = at.saturating_add(bytes.len() as u64);
                self.file.write_at(&bytes, at)
            }
        };
        written.map_err(|error| StreamError::Trap(error.into_end()))
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
