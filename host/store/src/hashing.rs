//! Files of this machine, hashed. The SHA-256 of a whole file is one long chain: it has
//! a thread for itself where the file is large, and all else is done beside it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

use wharf_model::Digest;
use wharf_model::digest::Hasher;

use crate::chunks::{BlobHasher, ChunkHasher, Hashed};

/// Bytes that are read at a time.
const READ_BYTES: usize = 1 << 20;
/// How many times that may wait to be hashed.
const WAITING: usize = 4;

/// Hashes a file as a blob, from where it is to its end, and does something with its
/// bytes as well.
pub(crate) fn hash(
    from: &mut File,
    mut also: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Hashed> {
    let mut bytes = Vec::new();
    fill(from, &mut bytes)?;
    if bytes.len() < READ_BYTES {
        let mut hasher = BlobHasher::default();
        hasher.update(&bytes);
        also(&bytes)?;
        return Ok(hasher.finish());
    }
    thread::scope(|scope| {
        let whole = Beside::start(scope);
        let mut chunks = ChunkHasher::default();
        while !bytes.is_empty() {
            let now = Arc::new(bytes);
            whole.hash(&now);
            chunks.update(&now);
            also(&now)?;
            drop(now);
            bytes = whole.idle();
            fill(from, &mut bytes)?;
        }
        let size = chunks.size();
        Ok(Hashed::new(whole.finish(), size, chunks.finish()))
    })
}

impl Hashed {
    /// What a file of this machine is as a blob.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        hash(&mut File::open(path)?, |_| Ok(()))
    }
}

/// The digest of a file.
pub(crate) fn digest(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new();
    let mut bytes = Vec::new();
    loop {
        fill(&mut file, &mut bytes)?;
        match bytes.is_empty() {
            true => return Ok(hasher.finish()),
            false => hasher.update(&bytes),
        };
    }
}

/// Reads what comes next instead of what is in the buffer, less than [`READ_BYTES`]
/// only at the end.
fn fill(from: &mut File, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    buffer.reserve_exact(READ_BYTES);
    from.take(READ_BYTES as u64).read_to_end(buffer).map(drop)
}

/// A thread that computes the SHA-256 of what it is given.
struct Beside<'scope> {
    bytes: SyncSender<Arc<Vec<u8>>>,
    /// What was hashed.
    hashed: Receiver<Arc<Vec<u8>>>,
    thread: ScopedJoinHandle<'scope, Digest>,
}

impl<'scope> Beside<'scope> {
    fn start(scope: &'scope Scope<'scope, '_>) -> Self {
        let (bytes, incoming) = sync_channel::<Arc<Vec<u8>>>(WAITING);
        let (outgoing, hashed) = channel();
        let thread = scope.spawn(move || {
            let mut hasher = Hasher::new();
            for bytes in incoming {
                hasher.update(&bytes);
                // Nobody waits for the last ones.
                let _ = outgoing.send(bytes);
            }
            hasher.finish()
        });
        Self {
            bytes,
            hashed,
            thread,
        }
    }

    /// Has bytes hashed, after those before.
    fn hash(&self, bytes: &Arc<Vec<u8>>) {
        // It is there until its sender is dropped.
        let _ = self.bytes.send(bytes.clone());
    }

    /// Memory that is not needed any more: new memory is cleared by the kernel, which
    /// takes as long as to read into it.
    fn idle(&self) -> Vec<u8> {
        let idle = self.hashed.try_recv().ok().and_then(Arc::into_inner);
        idle.unwrap_or_default()
    }

    fn finish(self) -> Digest {
        drop(self.bytes);
        match self.thread.join() {
            Ok(digest) => digest,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    #[test]
    fn a_file_is_hashed_as_its_bytes_are() {
        for size in [
            0,
            1,
            READ_BYTES - 1,
            READ_BYTES,
            READ_BYTES + 1,
            9 * READ_BYTES + 7,
        ] {
            let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            file.rewind().unwrap();
            let mut seen = Vec::new();
            let hashed = hash(file.as_file_mut(), |part| {
                seen.extend_from_slice(part);
                Ok(())
            });
            let mut wanted = BlobHasher::default();
            wanted.update(&bytes);
            assert_eq!(hashed.unwrap(), wanted.finish());
            assert!(seen == bytes);
            assert_eq!(digest(file.path()).unwrap(), Digest::of(&bytes));
        }
    }

    #[test]
    fn what_goes_wrong_beside_is_told() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![1; 3 * READ_BYTES]).unwrap();
        file.rewind().unwrap();
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let error = hash(&mut file, |_| Err(full())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
