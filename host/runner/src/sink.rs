//! Outputs that become files of this machine: written and hashed beside the
//! guest.
//!
//! Bytes of small outputs are kept until the end; those that become blobs never are
//! files of their own. Larger ones go through two threads, one that writes and one that
//! hashes; what waits for them is bounded over the whole run, and a guest that is faster waits. Where many
//! outputs are large at a time, the rest are written on the guest's thread.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value as Json};
use tokio::sync::Notify;
use wharf_model::digest::Hasher;
use wharf_model::{Digest, Fault};
use wharf_sandbox::artifact::Sink;
use wharf_store::{BlobHasher, Spooled, Store};

/// Bytes gathered before they are passed on: writes smaller than this cost more
/// in hand-over than in work.
const GATHER: usize = 256 << 10;
/// Bytes that may be gathered, over all outputs of a run; past this, an output
/// passes on what it has.
const MAX_GATHERED: usize = 8 << 20;
/// Bytes that may wait, over all outputs of a run; with this many waiting, the
/// guest waits too.
const MAX_WAITING: usize = 16 << 20;
/// Up to this size, an output that becomes a blob is kept in memory: to make a file
/// and remove it, where the store has the blob already, costs more than all the rest of
/// a small step.
const KEPT: usize = 64 << 10;
/// Bytes that are kept in memory, over all outputs of a run. Hundreds of runs may wait
/// for the store at a time.
const MAX_KEPT: usize = 256 << 10;
/// Outputs with threads of their own at a time.
const MAX_THREADED: usize = 4;
/// Most metadata entries of an artifact.
const MAX_METADATA: usize = 64;

/// How many bytes a run has read and written so far, for whoever shows it.
#[derive(Debug, Default)]
pub struct IoCounters {
    /// Bytes of all inputs.
    pub to_read: AtomicU64,
    /// Bytes read by the guest, those read twice counted twice.
    pub read: AtomicU64,
    /// Bytes written by the guest.
    pub written: AtomicU64,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What waits to be written, over all outputs of a run.
#[derive(Debug)]
pub(crate) struct Flow {
    waiting: AtomicUsize,
    /// Bytes gathered by outputs and not passed on yet.
    gathered: AtomicUsize,
    /// Bytes of outputs that are kept in memory.
    kept: AtomicUsize,
    threaded: AtomicUsize,
    less: Notify,
    counters: Arc<IoCounters>,
}

impl Flow {
    pub(crate) fn new(counters: &Arc<IoCounters>) -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            gathered: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            threaded: AtomicUsize::new(0),
            less: Notify::new(),
            counters: counters.clone(),
        }
    }

    fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > MAX_WAITING
    }

    /// Whether an output of this size may be kept in memory.
    fn keeps(&self, size: usize) -> bool {
        size <= KEPT && self.kept.fetch_add(size, Ordering::AcqRel) + size <= MAX_KEPT
    }
}

/// Bytes on their way; they count as waiting until both threads are done.
struct Chunk {
    bytes: Vec<u8>,
    flow: Arc<Flow>,
}

impl Chunk {
    fn new(bytes: Vec<u8>, flow: &Arc<Flow>) -> Arc<Self> {
        flow.waiting.fetch_add(bytes.len(), Ordering::AcqRel);
        Arc::new(Self {
            bytes,
            flow: flow.clone(),
        })
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.flow
            .waiting
            .fetch_sub(self.bytes.len(), Ordering::AcqRel);
        self.flow.less.notify_waiters();
    }
}

/// What was written to an output.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// The list of its chunks, where it becomes a blob that has one.
    pub(crate) chunks: Option<Bytes>,
    pub(crate) media_type: Option<String>,
    pub(crate) metadata: Map<String, Json>,
}

/// What a file that a guest writes becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Becomes {
    /// A file of this machine, by itself: synced when it is complete.
    Output,
    /// A file of a folder, which syncs all of them at once.
    InTree,
    /// A blob of the store, which syncs it.
    Blob,
    /// A blob of the store and a file of a tree there.
    BlobInTree,
}

impl Becomes {
    const fn is_synced(self) -> bool {
        matches!(self, Self::Output)
    }

    /// Whether it keeps a media type and metadata. A tree keeps none for its files:
    /// there may be 65,536 of them.
    const fn is_described(self) -> bool {
        matches!(self, Self::Output | Self::Blob)
    }

    fn hashing(self) -> Hashing {
        match self {
            Self::Output | Self::InTree => Hashing::Whole(Hasher::new()),
            Self::Blob | Self::BlobInTree => Hashing::Blob(Box::default()),
        }
    }
}

/// Hashes what is written: the whole, and the chunks where it becomes a blob.
#[derive(Debug)]
enum Hashing {
    Whole(Hasher),
    Blob(Box<BlobHasher>),
}

impl Hashing {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Whole(hasher) => hasher.update(bytes),
            Self::Blob(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Hash {
        match self {
            Self::Whole(hasher) => (hasher.finish(), None),
            Self::Blob(hasher) => {
                let hashed = hasher.finish();
                (hashed.content.digest, hashed.chunks)
            }
        }
    }
}

/// The digest, and the list of chunks where there is one.
type Hash = (Digest, Option<Bytes>);

/// Where a file is made, when there is something to write.
#[derive(Debug)]
enum Place {
    /// At a path.
    Path(PathBuf),
    /// Among what is not complete of a store, unless memory is enough.
    Spool(Store),
}

/// A file that a guest writes.
#[derive(Debug)]
pub(crate) struct FileSink {
    place: Place,
    /// What has the bytes of an output that becomes a blob.
    spooled: Mutex<Option<Spooled>>,
    flow: Arc<Flow>,
    becomes: Becomes,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Bytes not passed on yet.
    gathered: Vec<u8>,
    size: u64,
    target: Target,
    media_type: Option<String>,
    metadata: Map<String, Json>,
}

#[derive(Debug)]
enum Target {
    /// Nothing passed on yet.
    Untouched(Option<File>),
    /// Written on the thread that calls.
    Direct(File, Hashing),
    /// Written and hashed by threads.
    Threaded(Threads),
    /// Complete, or failed.
    Finished(Result<Hash, Fault>),
}

#[derive(Debug)]
struct Threads {
    chunks: [Sender<Arc<Chunk>>; 2],
    writer: JoinHandle<io::Result<()>>,
    hasher: JoinHandle<Hash>,
}

impl FileSink {
    /// A file that must not exist. It is opened when there is something to write, so
    /// that many outputs do not need many descriptors.
    pub(crate) fn create(path: &Path, becomes: Becomes, flow: &Arc<Flow>) -> Self {
        Self::with(Place::Path(path.to_owned()), None, becomes, flow)
    }

    /// What becomes a blob of a store by itself.
    pub(crate) fn to_blob(store: &Store, flow: &Arc<Flow>) -> Self {
        Self::with(Place::Spool(store.clone()), None, Becomes::Blob, flow)
    }

    /// Writes to a file that is open.
    pub(crate) fn to_file(file: File, path: &Path, becomes: Becomes, flow: &Arc<Flow>) -> Self {
        Self::with(Place::Path(path.to_owned()), Some(file), becomes, flow)
    }

    fn with(place: Place, file: Option<File>, becomes: Becomes, flow: &Arc<Flow>) -> Self {
        let state = State {
            gathered: Vec::new(),
            size: 0,
            target: Target::Untouched(file),
            media_type: None,
            metadata: Map::new(),
        };
        Self {
            place,
            spooled: Mutex::default(),
            flow: flow.clone(),
            becomes,
            state: Mutex::new(state),
        }
    }

    fn fault(&self, error: &io::Error) -> Fault {
        let spooled = lock(&self.spooled);
        let path = match (&self.place, &*spooled) {
            (Place::Path(path), _) => path,
            (Place::Spool(_), Some(Spooled::File(path))) => &**path,
            (Place::Spool(store), _) => Path::new(store.place()),
        };
        Fault::io("write the output", path, error)
    }

    fn open(&self, file: Option<File>) -> Result<File, Fault> {
        match (file, &self.place) {
            (Some(file), _) => Ok(file),
            (None, Place::Path(path)) => File::create_new(path).map_err(|error| self.fault(&error)),
            (None, Place::Spool(store)) => {
                let (file, path) = store.spool()?.into_parts();
                *lock(&self.spooled) = Some(Spooled::File(path));
                Ok(file)
            }
        }
    }

    /// Passes bytes on to where they go.
    fn pass(&self, target: &mut Target, bytes: Vec<u8>) -> Result<(), Fault> {
        if let Target::Untouched(file) = target {
            let file = self.open(file.take())?;
            *target = self.start(file)?;
        }
        match target {
            Target::Direct(file, hasher) => {
                hasher.update(&bytes);
                file.write_all(&bytes).map_err(|error| self.fault(&error))
            }
            Target::Threaded(threads) => {
                let chunk = Chunk::new(bytes, &self.flow);
                let sent = threads
                    .chunks
                    .iter()
                    .all(|queue| queue.send(chunk.clone()).is_ok());
                // A thread that has stopped has failed: find out why.
                if sent {
                    Ok(())
                } else {
                    self.complete(target).map(|_| ())
                }
            }
            Target::Untouched(_) | Target::Finished(_) => {
                Err(Fault::internal("an output was written to after its end"))
            }
        }
    }

    fn start(&self, file: File) -> Result<Target, Fault> {
        if self.flow.threaded.fetch_add(1, Ordering::AcqRel) >= MAX_THREADED {
            self.flow.threaded.fetch_sub(1, Ordering::AcqRel);
            return Ok(Target::Direct(file, self.becomes.hashing()));
        }
        let threads = self.threads(file);
        if threads.is_err() {
            self.flow.threaded.fetch_sub(1, Ordering::AcqRel);
        }
        threads.map(Target::Threaded)
    }

    fn threads(&self, file: File) -> Result<Threads, Fault> {
        let (to_writer, for_writer) = channel::<Arc<Chunk>>();
        let (to_hasher, for_hasher) = channel::<Arc<Chunk>>();
        let synced = self.becomes.is_synced();
        let mut hashing = self.becomes.hashing();
        let writer = spawn("wharf-write", move || write_all(file, &for_writer, synced))?;
        let hasher = spawn("wharf-hash", move || {
            for chunk in for_hasher {
                hashing.update(&chunk.bytes);
            }
            hashing.finish()
        })?;
        Ok(Threads {
            chunks: [to_writer, to_hasher],
            writer,
            hasher,
        })
    }

    /// Completes the file: everything written, hashed and on the disk.
    fn complete(&self, target: &mut Target) -> Result<Hash, Fault> {
        let unfinished = Target::Finished(Err(Fault::internal("an output was completed twice")));
        let result = match std::mem::replace(target, unfinished) {
            Target::Untouched(file) => self
                .open(file)
                .and_then(|file| self.sync(&file))
                .map(|()| (Digest::of(b""), None)),
            Target::Direct(file, hasher) => self.sync(&file).map(|()| hasher.finish()),
            Target::Threaded(Threads {
                chunks,
                writer,
                hasher,
            }) => {
                drop(chunks);
                self.flow.threaded.fetch_sub(1, Ordering::AcqRel);
                match (writer.join(), hasher.join()) {
                    (Ok(Ok(())), Ok(hash)) => Ok(hash),
                    (Ok(Err(error)), _) => Err(self.fault(&error)),
                    _ => Err(Fault::internal("a thread that wrote an output panicked")),
                }
            }
            Target::Finished(result) => result,
        };
        *target = Target::Finished(result.clone());
        result
    }

    fn sync(&self, file: &File) -> Result<(), Fault> {
        match self.becomes.is_synced() {
            true => file.sync_all().map_err(|error| self.fault(&error)),
            false => Ok(()),
        }
    }

    fn take_gathered(&self, state: &mut State) -> Vec<u8> {
        let gathered = std::mem::take(&mut state.gathered);
        self.flow
            .gathered
            .fetch_sub(gathered.len(), Ordering::AcqRel);
        gathered
    }

    fn flush(&self, state: &mut State) -> Result<(), Fault> {
        if let (Place::Spool(_), Target::Untouched(_)) = (&self.place, &state.target)
            && self.flow.keeps(state.gathered.len())
        {
            let bytes = self.take_gathered(state);
            let mut hashing = self.becomes.hashing();
            hashing.update(&bytes);
            *lock(&self.spooled) = Some(Spooled::Bytes(bytes.into()));
            state.target = Target::Finished(Ok(hashing.finish()));
            return Ok(());
        }
        if state.gathered.is_empty() {
            return Ok(());
        }
        let bytes = self.take_gathered(state);
        // A small output does not need threads.
        if let Target::Untouched(file) = &mut state.target
            && state.size < GATHER as u64
        {
            let file = self.open(file.take())?;
            state.target = Target::Direct(file, self.becomes.hashing());
        }
        self.pass(&mut state.target, bytes)
    }

    /// Completes the file and says what was written.
    pub(crate) fn finish(&self) -> Result<Written, Fault> {
        let mut state = lock(&self.state);
        let flushed = self.flush(&mut state);
        let hash = self.complete(&mut state.target);
        flushed?;
        let (digest, chunks) = hash?;
        Ok(Written {
            digest,
            size: state.size,
            chunks,
            media_type: state.media_type.clone(),
            metadata: state.metadata.clone(),
        })
    }

    /// What has the bytes of an output that becomes a blob, once it is complete.
    pub(crate) fn take_spooled(&self) -> Option<Spooled> {
        lock(&self.spooled).take()
    }
}

/// Threads of an output that nobody finishes end with their queues.
fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Fault> {
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work);
    thread.map_err(|error| Fault::internal(format!("cannot start a thread: {error}")))
}

fn write_all(mut file: File, chunks: &Receiver<Arc<Chunk>>, synced: bool) -> io::Result<()> {
    for chunk in chunks {
        file.write_all(&chunk.bytes)?;
    }
    if synced { file.sync_all() } else { Ok(()) }
}

#[async_trait]
impl Sink for FileSink {
    fn write(&self, bytes: Vec<u8>) -> Result<(), Fault> {
        self.flow
            .counters
            .written
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut state = lock(&self.state);
        state.size += bytes.len() as u64;
        if bytes.len() >= GATHER / 4 {
            let gathered = self.take_gathered(&mut state);
            if !gathered.is_empty() {
                self.pass(&mut state.target, gathered)?;
            }
            return self.pass(&mut state.target, bytes);
        }
        state.gathered.extend_from_slice(&bytes);
        let all = self.flow.gathered.fetch_add(bytes.len(), Ordering::AcqRel) + bytes.len();
        if state.gathered.len() >= GATHER || all > MAX_GATHERED {
            let gathered = self.take_gathered(&mut state);
            return self.pass(&mut state.target, gathered);
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.flow.is_full()
    }

    async fn drained(&self) {
        while self.flow.is_full() {
            let less = self.flow.less.notified();
            // Once more, now that a change in between wakes us.
            if self.flow.is_full() {
                less.await;
            }
        }
    }

    fn set_media_type(&self, media_type: String) {
        if self.becomes.is_described() {
            lock(&self.state).media_type = Some(media_type);
        }
    }

    fn set_metadata(&self, key: String, value: String) -> bool {
        if !self.becomes.is_described() {
            return true;
        }
        let metadata = &mut lock(&self.state).metadata;
        if metadata.len() >= MAX_METADATA && !metadata.contains_key(&key) {
            return false;
        }
        metadata.insert(key, value.into());
        true
    }

    fn close(&self) {
        let mut state = lock(&self.state);
        let state = &mut *state;
        // A large output goes on beside the guest; what fails is said at the
        // end.
        let flushed = self.flush(state);
        if let (Target::Direct(..) | Target::Untouched(_), Ok(())) = (&state.target, flushed) {
            let _ = self.complete(&mut state.target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(folder: &tempfile::TempDir) -> (FileSink, PathBuf, Arc<Flow>) {
        let flow = Arc::new(Flow::new(&Arc::default()));
        let path = folder.path().join("out");
        (FileSink::create(&path, Becomes::InTree, &flow), path, flow)
    }

    #[test]
    fn bytes_arrive_in_order_whatever_their_size() {
        for (chunk, total) in [
            (1, 1000),
            (1000, 1 << 20),
            (1 << 20, 8 << 20),
            (70_000, 3 << 20),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (sink, path, flow) = sink(&folder);
            let bytes: Vec<u8> = (0..total).map(|n: usize| (n % 251) as u8).collect();
            bytes
                .chunks(chunk)
                .for_each(|chunk| sink.write(chunk.to_vec()).unwrap());
            sink.close();
            let written = sink.finish().unwrap();
            assert_eq!(
                (written.digest, written.size),
                (Digest::of(&bytes), total as u64),
                "{chunk}"
            );
            assert_eq!(std::fs::read(path).unwrap(), bytes);
            assert_eq!(flow.waiting.load(Ordering::Relaxed), 0);
            assert_eq!(flow.gathered.load(Ordering::Relaxed), 0);
            assert_eq!(flow.threaded.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn many_outputs_gather_no_more_than_a_few() {
        let folder = tempfile::tempdir().unwrap();
        let flow = Arc::new(Flow::new(&Arc::default()));
        let sinks: Vec<_> = (0..100)
            .map(|n| FileSink::create(&folder.path().join(n.to_string()), Becomes::InTree, &flow))
            .collect();
        let bytes = vec![7; GATHER / 5];
        for _ in 0..4 {
            for sink in &sinks {
                sink.write(bytes.clone()).unwrap();
                assert!(flow.gathered.load(Ordering::Relaxed) <= MAX_GATHERED);
            }
        }
        for sink in sinks {
            assert_eq!(sink.finish().unwrap().size, 4 * bytes.len() as u64);
        }
        assert_eq!(flow.gathered.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_output_without_bytes_is_an_empty_file() {
        let folder = tempfile::tempdir().unwrap();
        let (sink, path, _) = sink(&folder);
        assert_eq!(sink.finish().unwrap().digest, Digest::of(b""));
        assert_eq!(std::fs::read(path).unwrap(), b"");
    }

    /// The sizes are those of outputs of one run, in turn.
    #[test]
    fn small_blobs_are_no_files_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path());
        let flow = Arc::new(Flow::new(&Arc::default()));
        let in_memory = |size: usize| {
            let sink = FileSink::to_blob(&store, &flow);
            let bytes = vec![7; size];
            bytes
                .chunks(1000)
                .for_each(|chunk| sink.write(chunk.to_vec()).unwrap());
            sink.close();
            assert_eq!(sink.finish().unwrap().digest, Digest::of(&bytes));
            match sink.take_spooled().unwrap() {
                Spooled::Bytes(kept) => {
                    assert_eq!(kept, bytes);
                    true
                }
                Spooled::File(path) => {
                    assert_eq!(std::fs::read(path).unwrap(), bytes);
                    false
                }
            }
        };
        assert!(in_memory(0));
        assert!(!in_memory(KEPT + 1));
        assert!((0..MAX_KEPT / KEPT).all(|_| in_memory(KEPT)));
        assert!(!in_memory(1));
        assert_eq!(flow.gathered.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn metadata_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let flow = Arc::new(Flow::new(&Arc::default()));
        let sink = FileSink::to_file(File::create(&path).unwrap(), &path, Becomes::Output, &flow);
        for n in 0..MAX_METADATA {
            assert!(sink.set_metadata(format!("key-{n}"), "1".into()));
        }
        assert!(!sink.set_metadata("one-more".into(), "1".into()));
        assert!(sink.set_metadata("key-0".into(), "2".into()));
        assert_eq!(sink.finish().unwrap().metadata["key-0"], "2");
    }

    #[tokio::test]
    async fn a_full_queue_drains() {
        let folder = tempfile::tempdir().unwrap();
        let (sink, ..) = sink(&folder);
        for _ in 0..40 {
            sink.write(vec![7; 1 << 20]).unwrap();
            if sink.is_full() {
                sink.drained().await;
                assert!(!sink.is_full());
            }
        }
        assert_eq!(sink.finish().unwrap().size, 40 << 20);
    }
}
