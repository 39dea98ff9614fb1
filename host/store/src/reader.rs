//! Blobs as they are read: no byte leaves here that was not checked.
//!
//! A small blob is read whole and hashed. A large one is a file of which each chunk
//! is checked when it is first read; where the store is elsewhere, the file is filled
//! as parts of it are wanted, and becomes an entry of the cache when it is complete.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use tempfile::TempPath;
use tokio::runtime::Handle;
use wharf_model::digest::Hasher;
use wharf_model::{Content, Digest, ErrorKind, Fault};

use crate::Store;
use crate::blobs::{self, READINGS};
use crate::chunks::{CHUNK_BYTES, ChunkList, WHOLE_BYTES};
use crate::transfers;

/// Chunks that are fetched by one request: 8 MiB, which a request is worth.
const GROUP_CHUNKS: u64 = 8;
/// Groups that are fetched ahead of whoever reads one after the other.
const AHEAD: u64 = 3;
/// Groups that are on their way at a time for one fetch, however much it wants: each
/// is in memory as a whole, and all of them share the line.
const AT_A_TIME: usize = 4;

/// A blob that is open.
#[derive(Clone, Debug)]
pub struct BlobReader {
    held: Arc<Held>,
    /// Of a blob that is fetched: what is fetched ahead keeps the blob, and must not keep
    /// its file when nobody reads it any more.
    _file: Option<Arc<Unfinished>>,
}

/// The name of a file that is not complete; removed with it.
#[derive(Clone, Debug, Default)]
struct Name(Arc<Mutex<Option<TempPath>>>);

impl Name {
    fn take(&self) -> Option<TempPath> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Removes a file when its last reader is gone, unless it is an entry of the cache.
#[derive(Debug)]
struct Unfinished(Name);

impl Drop for Unfinished {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

enum Held {
    /// Checked.
    Memory(Bytes),
    File(Chunked),
    /// A file all of which was checked.
    Checked(File, u64),
    Fetched(Box<Fetched>),
}

impl BlobReader {
    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match &*self.held {
            Held::Memory(bytes) => bytes.len() as u64,
            Held::Checked(_, size) => *size,
            Held::File(chunked) => chunked.list.size(),
            Held::Fetched(fetched) => fetched.chunked.list.size(),
        }
    }

    /// Whether these bytes are on this machine: [`Self::read_at`] gives them at once.
    #[must_use]
    pub fn is_here(&self, offset: u64, length: u64) -> bool {
        match &*self.held {
            Held::Memory(_) | Held::File(_) | Held::Checked(..) => true,
            Held::Fetched(fetched) => fetched.is_here(offset, length),
        }
    }

    /// Fetches these bytes, where they are not here.
    ///
    /// # Errors
    /// Where the store cannot be read, or has other bytes.
    pub async fn fetch(&self, offset: u64, length: u64) -> Result<(), Fault> {
        match &*self.held {
            Held::Memory(_) | Held::File(_) | Held::Checked(..) => Ok(()),
            Held::Fetched(fetched) => fetched.fetch(&self.held, offset, length).await,
        }
    }

    /// Fills the buffer from an offset on, as far as the blob reaches; returns how
    /// many bytes it filled. The bytes must be here.
    ///
    /// # Errors
    /// Where the file cannot be read; a [`Fault`] of the kind [`ErrorKind::Corrupt`]
    /// inside where its bytes are not those of the blob.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size().saturating_sub(offset);
        let length = (buffer.len() as u64).min(left) as usize;
        if length == 0 {
            return Ok(0);
        }
        let buffer = &mut buffer[..length];
        match &*self.held {
            Held::Memory(bytes) => buffer.copy_from_slice(&bytes[offset as usize..][..length]),
            Held::Checked(file, _) => file.read_exact_at(buffer, offset)?,
            Held::File(chunked) => chunked.read_at(offset, buffer)?,
            Held::Fetched(fetched) => {
                fetched.chunked.read_at(offset, buffer)?;
                let groups = fetched.groups_of(offset, length as u64);
                fetched.fetch_ahead(&self.held, &groups);
            }
        }
        Ok(length)
    }

    /// All of it, for what is small.
    ///
    /// # Errors
    /// As [`Self::fetch`] and [`Self::read_at`].
    pub async fn read(&self) -> Result<Bytes, Fault> {
        if let Held::Memory(bytes) = &*self.held {
            return Ok(bytes.clone());
        }
        self.fetch(0, self.size()).await?;
        let mut bytes = vec![0; self.size() as usize];
        self.read_at(0, &mut bytes)
            .map_err(|error| fault_of(&error))?;
        Ok(bytes.into())
    }
}

/// What an error of reading is to the host.
#[must_use]
pub fn fault_of(error: &io::Error) -> Fault {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Fault>());
    inner.cloned().unwrap_or_else(|| {
        Fault::new(
            ErrorKind::of_io(error),
            format!("cannot read a blob: {error}"),
        )
    })
}

/// A file whose chunks are checked when they are first read.
struct Chunked {
    file: File,
    list: ChunkList,
    digest: Digest,
    place: String,
    /// A bit for each chunk that was checked.
    checked: Vec<AtomicU64>,
}

impl Chunked {
    fn new(file: File, list: ChunkList, digest: Digest, place: &str) -> Self {
        let words = list.count().div_ceil(64) as usize;
        Self {
            file,
            list,
            digest,
            place: place.to_owned(),
            checked: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn is_checked(&self, chunk: u64) -> bool {
        let word = self.checked[(chunk / 64) as usize].load(Ordering::Acquire);
        word & 1 << (chunk % 64) != 0
    }

    fn set_checked(&self, chunk: u64) {
        self.checked[(chunk / 64) as usize].fetch_or(1 << (chunk % 64), Ordering::AcqRel);
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut scratch = Vec::new();
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let chunk = at / CHUNK_BYTES;
            let range = self.list.range(chunk);
            let length = (buffer.len() - done).min((range.end - at) as usize);
            let part = &mut buffer[done..done + length];
            match self.is_checked(chunk) {
                true => self.file.read_exact_at(part, at)?,
                false => {
                    self.check(chunk, &mut scratch)?;
                    part.copy_from_slice(&scratch[(at - range.start) as usize..][..length]);
                }
            }
            done += length;
        }
        Ok(())
    }

    /// Reads a chunk and checks it.
    fn check(&self, chunk: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        let range = self.list.range(chunk);
        bytes.resize((range.end - range.start) as usize, 0);
        self.file.read_exact_at(bytes, range.start)?;
        match self.list.fits(chunk, bytes) {
            true => {
                self.set_checked(chunk);
                Ok(())
            }
            false => Err(io::Error::other(corrupt(&self.place, &self.digest))),
        }
    }
}

/// A file that is filled from a store elsewhere.
struct Fetched {
    chunked: Chunked,
    /// One for each group: whoever holds it fetches the group.
    groups: Vec<tokio::sync::Mutex<()>>,
    /// Whether a group was fetched ahead, or is about to be.
    ahead: Vec<AtomicBool>,
    missing: AtomicU64,
    /// Whether the file was an entry of the cache: it has bytes, which are checked
    /// before the store is asked for them.
    was_cached: bool,
    /// The file's name, until it is an entry of the cache, or nobody reads it.
    name: Name,
    store: Store,
    /// Where requests are made: whoever reads may have a runtime without sockets.
    runtime: Handle,
}

impl Fetched {
    fn groups_of(&self, offset: u64, length: u64) -> RangeInclusive<u64> {
        let last = offset
            .saturating_add(length.max(1) - 1)
            .min(self.chunked.list.size() - 1);
        let group = |byte: u64| byte / (CHUNK_BYTES * GROUP_CHUNKS);
        group(offset.min(last))..=group(last)
    }

    fn chunks_of(&self, group: u64) -> Range<u64> {
        let first = group * GROUP_CHUNKS;
        first..(first + GROUP_CHUNKS).min(self.chunked.list.count())
    }

    fn has(&self, group: u64) -> bool {
        self.chunks_of(group)
            .all(|chunk| self.chunked.is_checked(chunk))
    }

    fn is_here(&self, offset: u64, length: u64) -> bool {
        self.groups_of(offset, length).all(|group| self.has(group))
    }

    async fn fetch(&self, held: &Arc<Held>, offset: u64, length: u64) -> Result<(), Fault> {
        let wanted = self.groups_of(offset, length);
        let start = |group| {
            let started = self.start(held, group);
            if group == *wanted.end() {
                self.fetch_ahead(held, &wanted);
            }
            started
        };
        // Not more at a time than a few, whatever is wanted.
        let fetching = futures::stream::iter(wanted.clone()).map(start);
        let mut fetching = fetching.buffer_unordered(AT_A_TIME);
        while let Some(group) = fetching.next().await {
            group.map_err(Fault::internal)??;
        }
        Ok(())
    }

    /// Starts to fetch what comes after what is read. Who has read what comes before
    /// that is likely to go on.
    fn fetch_ahead(&self, held: &Arc<Held>, read: &RangeInclusive<u64>) {
        let (first, last) = (*read.start(), *read.end());
        if first > 0 && !self.has(first - 1) {
            return;
        }
        let end = (last + 1 + AHEAD).min(self.groups.len() as u64);
        for group in last + 1..end {
            if !self.ahead[group as usize].swap(true, Ordering::AcqRel) {
                drop(self.start(held, group));
            }
        }
    }

    /// Starts to fetch a group.
    fn start(&self, held: &Arc<Held>, group: u64) -> tokio::task::JoinHandle<Result<(), Fault>> {
        let held = held.clone();
        self.runtime.spawn(async move {
            match &*held {
                Held::Fetched(fetched) => fetched.fetch_group(&held, group).await,
                _ => Ok(()),
            }
        })
    }

    async fn fetch_group(&self, held: &Arc<Held>, group: u64) -> Result<(), Fault> {
        let _alone = self.groups[group as usize].lock().await;
        if self.has(group) || self.was_cached && self.is_cached(held, group).await? {
            return Ok(());
        }
        let chunks = self.chunks_of(group);
        let range = self.chunked.list.range(chunks.start).start
            ..self.chunked.list.range(chunks.end - 1).end;
        let mut readings = 0;
        loop {
            readings += 1;
            let digest = &self.chunked.digest;
            let pieces = self.store.read_part(digest, range.clone()).await?;
            // On another thread: meanwhile the next ones come in.
            let (held, chunks, start) = (held.clone(), chunks.clone(), range.start);
            let kept = self.runtime.spawn_blocking(move || match &*held {
                Held::Fetched(fetched) if fetched.chunked.list.fit(&chunks, &pieces) => {
                    fetched.keep(&chunks, start, &pieces).map(|()| true)
                }
                _ => Ok(false),
            });
            if kept.await.map_err(Fault::internal)?? {
                return Ok(());
            }
            if readings >= READINGS {
                return Err(corrupt(&self.chunked.place, digest));
            }
            tracing::warn!(%digest, "a blob was damaged on its way: reading it again");
        }
    }

    /// Checks a group of an entry of the cache. One that is damaged is removed; what
    /// is right of it is used all the same.
    async fn is_cached(&self, held: &Arc<Held>, group: u64) -> Result<bool, Fault> {
        let held = held.clone();
        let check = move || match &*held {
            Held::Fetched(fetched) => fetched.check_group(group),
            _ => true,
        };
        let checked = tokio::task::spawn_blocking(check).await;
        let is_good = checked.map_err(Fault::internal)?;
        if let (false, Some(cache)) = (is_good, &self.store.cache) {
            let digest = &self.chunked.digest;
            tracing::warn!(%digest, "a blob in the cache is damaged: reading it from the store");
            cache.remove(digest);
        }
        Ok(is_good)
    }

    fn check_group(&self, group: u64) -> bool {
        let mut bytes = Vec::new();
        let mut chunks = self.chunks_of(group);
        chunks.all(|chunk| self.chunked.check(chunk, &mut bytes).is_ok())
    }

    fn keep(&self, chunks: &Range<u64>, start: u64, pieces: &[Bytes]) -> Result<(), Fault> {
        let mut offset = start;
        let written = pieces.iter().try_for_each(|piece| {
            let written = self.chunked.file.write_all_at(piece, offset);
            offset += piece.len() as u64;
            written
        });
        written.map_err(|error| {
            Fault::new(
                ErrorKind::of_io(&error),
                format!("cannot write in the cache: {error}"),
            )
        })?;
        let count = chunks.end - chunks.start;
        chunks
            .clone()
            .for_each(|chunk| self.chunked.set_checked(chunk));
        if self.missing.fetch_sub(count, Ordering::AcqRel) == count {
            self.complete();
        }
        Ok(())
    }

    /// All of it is here: the next one need not fetch it.
    fn complete(&self) {
        if let (Some(cache), Some(file)) = (&self.store.cache, self.name.take()) {
            cache.add(file, &self.chunked.digest, self.chunked.list.size());
        }
    }
}

/// The fault of bytes that are not those of a blob.
fn corrupt(place: &str, digest: &Digest) -> Fault {
    Fault::new(
        ErrorKind::Corrupt,
        format!("the blob {digest} in the store {place} is damaged: its bytes have another digest"),
    )
    .hint(
        "`wharf verify` lists what is damaged; `wharf artifact copy` brings it from another store",
    )
}

impl Store {
    /// Opens a blob.
    ///
    /// # Errors
    /// Where it is missing, or cannot be read; [`ErrorKind::Corrupt`] where its
    /// bytes have another digest.
    pub async fn open_blob(&self, content: &Content) -> Result<BlobReader, Fault> {
        let held = match content.chunks {
            _ if content.size <= WHOLE_BYTES => Held::Memory(self.read_whole(content).await?),
            Some(chunks) => self.open_chunked(content, &chunks).await?,
            None => self.open_checked(content).await?,
        };
        let _file = match &held {
            Held::Fetched(fetched) => Some(Arc::new(Unfinished(fetched.name.clone()))),
            _ => None,
        };
        Ok(BlobReader {
            held: Arc::new(held),
            _file,
        })
    }

    /// Reads a small blob, and checks it.
    pub(crate) async fn read_whole(&self, content: &Content) -> Result<Bytes, Fault> {
        let digest = &content.digest;
        if let Some(bytes) = self.read_cached(content) {
            return Ok(bytes);
        }
        let path = blobs::path(digest);
        for reading in 1.. {
            let Some(bytes) = self.objects.read(&path).await? else {
                return Err(self.missing(digest));
            };
            if Digest::of(&bytes) == *digest {
                self.cache_bytes(&bytes, digest);
                return Ok(bytes);
            }
            if reading >= READINGS || self.is_local() {
                break;
            }
            tracing::warn!(%digest, "a blob was damaged on its way: reading it again");
        }
        Err(corrupt(self.place(), digest))
    }

    fn read_cached(&self, content: &Content) -> Option<Bytes> {
        use std::io::Read;
        let cache = self.cache.as_ref()?;
        let file = cache.open(&content.digest)?;
        let mut bytes = Vec::new();
        file.take(content.size + 1).read_to_end(&mut bytes).ok()?;
        if Digest::of(&bytes) != content.digest {
            cache.remove(&content.digest);
            return None;
        }
        Some(bytes.into())
    }

    pub(crate) fn cache_bytes(&self, bytes: &[u8], digest: &Digest) {
        use std::io::Write;
        let Some(cache) = &self.cache else { return };
        let spooled = cache.spool().and_then(|mut file| {
            let written = file.write_all(bytes);
            written.map_err(|error| Fault::io("write", file.path(), &error))?;
            Ok(file.into_temp_path())
        });
        match spooled {
            Ok(file) => cache.add(file, digest, bytes.len() as u64),
            Err(fault) => tracing::warn!(%fault, "a blob is not kept in the cache"),
        }
    }

    async fn open_chunked(&self, content: &Content, chunks: &Digest) -> Result<Held, Fault> {
        let list = self.read_list(content, chunks).await?;
        let (digest, place) = (content.digest, self.place());
        let here = self.open_here(content)?;
        let was_cached = here.is_some();
        let (file, temporary) = match here {
            Some(file) if self.is_local() => {
                return Ok(Held::File(Chunked::new(file, list, digest, place)));
            }
            Some(file) => (file, None),
            None => {
                let (file, temporary) = self.spool()?.into_parts();
                file.set_len(content.size).map_err(|error| {
                    Fault::new(
                        ErrorKind::of_io(&error),
                        format!("cannot write in the cache: {error}"),
                    )
                })?;
                (file, Some(temporary))
            }
        };
        let groups = list.count().div_ceil(GROUP_CHUNKS);
        Ok(Held::Fetched(Box::new(Fetched {
            missing: AtomicU64::new(list.count()),
            chunked: Chunked::new(file, list, digest, place),
            groups: (0..groups).map(|_| tokio::sync::Mutex::default()).collect(),
            ahead: (0..groups).map(|_| AtomicBool::default()).collect(),
            was_cached,
            name: Name(Arc::new(Mutex::new(temporary))),
            store: self.clone(),
            runtime: transfers::threads()?.clone(),
        })))
    }

    async fn read_list(&self, content: &Content, chunks: &Digest) -> Result<ChunkList, Fault> {
        let list = self.read_digest(chunks).await?;
        ChunkList::parse(list, content.size)
    }

    /// Reads a blob of which only the digest is known, and checks it.
    pub(crate) async fn read_digest(&self, digest: &Digest) -> Result<Bytes, Fault> {
        let size = u64::MAX - 1;
        let content = Content {
            digest: *digest,
            size,
            files: None,
            chunks: None,
        };
        self.read_whole(&content).await
    }

    /// Opens the file that a blob is on this machine; none where it is elsewhere.
    fn open_here(&self, content: &Content) -> Result<Option<File>, Fault> {
        let Some(path) = self.objects.file(&blobs::path(&content.digest)) else {
            let cached = self
                .cache
                .as_ref()
                .and_then(|cache| cache.open_to_mend(&content.digest));
            return Ok(cached.filter(|file| has_size(file, content.size)));
        };
        match File::open(&path) {
            Ok(file) if has_size(&file, content.size) => Ok(Some(file)),
            Ok(_) => Err(corrupt(self.place(), &content.digest)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(self.missing(&content.digest))
            }
            Err(error) => Err(Fault::io("read", &path, &error)),
        }
    }

    /// Opens a large blob whose chunks nobody has hashed: all of it is read first.
    async fn open_checked(&self, content: &Content) -> Result<Held, Fault> {
        let (digest, size) = (content.digest, content.size);
        if let Some(file) = self.open_here(content)? {
            let check = move || Ok((hash(&file, size)?, file));
            let checked = tokio::task::spawn_blocking(check)
                .await
                .map_err(Fault::internal)?;
            let (found, file) = checked.map_err(|error: io::Error| fault_of(&error))?;
            match (found == digest, &self.cache) {
                (true, _) => return Ok(Held::Checked(file, size)),
                (false, None) => return Err(corrupt(self.place(), &digest)),
                (false, Some(cache)) => cache.remove(&digest),
            }
        }
        let (file, temporary) = self.spool()?.into_parts();
        self.download(content, &file).await?;
        if let Some(cache) = &self.cache {
            cache.add(temporary, &digest, size);
        }
        Ok(Held::Checked(file, size))
    }

    async fn download(&self, content: &Content, file: &File) -> Result<(), Fault> {
        for _ in 0..READINGS {
            let mut hasher = Hasher::new();
            let mut offset = 0;
            while offset < content.size {
                let end = (offset + CHUNK_BYTES * GROUP_CHUNKS).min(content.size);
                for bytes in self.read_part(&content.digest, offset..end).await? {
                    hasher.update(&bytes);
                    file.write_all_at(&bytes, offset)
                        .map_err(|error| fault_of(&error))?;
                    offset += bytes.len() as u64;
                }
                if offset != end {
                    // It is shorter than it should be.
                    return Err(corrupt(self.place(), &content.digest));
                }
            }
            if hasher.finish() == content.digest {
                return Ok(());
            }
        }
        Err(corrupt(self.place(), &content.digest))
    }

    async fn read_part(&self, digest: &Digest, range: Range<u64>) -> Result<Vec<Bytes>, Fault> {
        let part = self.objects.read_range(&blobs::path(digest), range).await?;
        part.ok_or_else(|| self.missing(digest))
    }

    pub(crate) fn missing(&self, digest: &Digest) -> Fault {
        let message = format!("the blob {digest} is missing in the store {}", self.place());
        Fault::new(ErrorKind::Corrupt, message)
            .hint("`wharf verify` lists what is missing; run the step again with --no-cache")
    }
}

fn has_size(file: &File, size: u64) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.len() == size)
}

fn hash(file: &File, size: u64) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; CHUNK_BYTES as usize];
    let mut offset = 0;
    while offset < size {
        let length = CHUNK_BYTES.min(size - offset) as usize;
        file.read_exact_at(&mut buffer[..length], offset)?;
        hasher.update(&buffer[..length]);
        offset += length as u64;
    }
    Ok(hasher.finish())
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Memory(_) => "Memory",
            Self::File(_) => "File",
            Self::Checked(..) => "Checked",
            Self::Fetched(_) => "Fetched",
        };
        f.debug_tuple(kind).finish()
    }
}
