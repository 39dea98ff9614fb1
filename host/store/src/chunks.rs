//! Lists of chunks, by which a part of a large blob is checked without the rest.
//!
//! A list is the line `wharf chunks/1` and the BLAKE3 hash of each chunk of 1 MiB,
//! 32 bytes each, in order. It is a blob itself, named by its SHA-256, and whoever
//! names a large blob names its list, too. BLAKE3, because it is computed for every
//! byte that is read, and is several times faster.

use std::ops::Range;

use bytes::Bytes;
use wharf_model::digest::Hasher;
use wharf_model::{Content, Digest, ErrorKind, Fault};

/// Bytes of a chunk: large beside its hash, small beside a request.
pub(crate) const CHUNK_BYTES: u64 = 1 << 20;
/// Blobs up to this size are read whole, and have no list.
pub(crate) const WHOLE_BYTES: u64 = 4 << 20;

const HEADER: &[u8] = b"wharf chunks/1\n";
const HASH_BYTES: usize = blake3::OUT_LEN;

/// Hashes the chunks of a blob as its bytes come.
#[derive(Clone, Debug)]
pub struct ChunkHasher {
    list: Vec<u8>,
    chunk: blake3::Hasher,
    size: u64,
}

impl Default for ChunkHasher {
    fn default() -> Self {
        Self {
            list: HEADER.to_vec(),
            chunk: blake3::Hasher::new(),
            size: 0,
        }
    }
}

impl ChunkHasher {
    /// Adds bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = CHUNK_BYTES - self.size % CHUNK_BYTES;
            let (now, later) = bytes.split_at(bytes.len().min(room as usize));
            self.chunk.update(now);
            self.size += now.len() as u64;
            if self.size.is_multiple_of(CHUNK_BYTES) {
                self.end_chunk();
            }
            bytes = later;
        }
    }

    fn end_chunk(&mut self) {
        self.list
            .extend_from_slice(self.chunk.finalize().as_bytes());
        self.chunk.reset();
    }

    /// Bytes so far.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of the chunks so far, and of what there is of the last one.
    fn hashes(mut self) -> Vec<u8> {
        if !self.size.is_multiple_of(CHUNK_BYTES) {
            self.end_chunk();
        }
        self.list.split_off(HEADER.len())
    }

    /// The list, where the blob is so large that it has one.
    #[must_use]
    pub fn finish(mut self) -> Option<Bytes> {
        if self.size <= WHOLE_BYTES {
            return None;
        }
        if !self.size.is_multiple_of(CHUNK_BYTES) {
            self.end_chunk();
        }
        Some(self.list.into())
    }
}

/// Hashes a blob and its chunks as its bytes come.
#[derive(Clone, Debug, Default)]
pub struct BlobHasher {
    whole: Hasher,
    chunks: ChunkHasher,
}

impl BlobHasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.whole.update(bytes);
        self.chunks.update(bytes);
    }

    /// What all that was added is.
    #[must_use]
    pub fn finish(self) -> Hashed {
        let size = self.chunks.size;
        Hashed::new(self.whole.finish(), size, self.chunks.finish())
    }
}

/// What a blob is, and the list of its chunks where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// What it is.
    pub content: Content,
    /// The list, as a blob of its own.
    pub chunks: Option<Bytes>,
}

impl Hashed {
    /// A blob with a digest, a size, and the list of its chunks where it has one.
    #[must_use]
    pub fn new(digest: Digest, size: u64, chunks: Option<Bytes>) -> Self {
        let content = Content {
            digest,
            size,
            files: None,
            chunks: chunks.as_deref().map(Digest::of),
        };
        Self { content, chunks }
    }
}

/// The hashes of all chunks of a blob.
#[derive(Clone, Debug)]
pub(crate) struct ChunkList {
    list: Bytes,
    size: u64,
}

impl ChunkList {
    /// Reads the list of a blob of a size.
    pub(crate) fn parse(list: Bytes, size: u64) -> Result<Self, Fault> {
        let wanted = HEADER.len() + size.div_ceil(CHUNK_BYTES) as usize * HASH_BYTES;
        match list.starts_with(HEADER) && list.len() == wanted {
            true => Ok(Self { list, size }),
            false => Err(Fault::new(
                ErrorKind::Corrupt,
                format!("a list of chunks does not belong to a blob of {size} bytes"),
            )),
        }
    }

    /// Bytes of the blob.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// How many chunks it has.
    pub(crate) fn count(&self) -> u64 {
        self.size.div_ceil(CHUNK_BYTES)
    }

    /// The bytes that a chunk has.
    pub(crate) fn range(&self, chunk: u64) -> Range<u64> {
        let start = chunk * CHUNK_BYTES;
        start..(start + CHUNK_BYTES).min(self.size)
    }

    /// Whether these are the bytes of chunks, one after the other.
    pub(crate) fn fit(&self, chunks: &Range<u64>, pieces: &[Bytes]) -> bool {
        let mut found = ChunkHasher::default();
        pieces.iter().for_each(|piece| found.update(piece));
        let wanted_size = chunks.clone().map(|chunk| self.range(chunk));
        let wanted_size: u64 = wanted_size.map(|range| range.end - range.start).sum();
        let hash_at = |chunk: u64| HEADER.len() + chunk as usize * HASH_BYTES;
        let wanted = self.list.get(hash_at(chunks.start)..hash_at(chunks.end));
        found.size == wanted_size && wanted == Some(&found.hashes())
    }

    /// Whether these are the bytes of a chunk.
    pub(crate) fn fits(&self, chunk: u64, bytes: &[u8]) -> bool {
        let start = HEADER.len() + chunk as usize * HASH_BYTES;
        let wanted = self.list.get(start..start + HASH_BYTES);
        wanted == Some(blake3::hash(bytes).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(count: u64) -> Vec<u8> {
        (0..count).map(|n| (n % 251) as u8).collect()
    }

    fn hashed(bytes: &[u8], step: usize) -> Hashed {
        let mut hasher = BlobHasher::default();
        bytes.chunks(step).for_each(|part| hasher.update(part));
        hasher.finish()
    }

    #[test]
    fn small_blobs_have_no_list() {
        assert_eq!(
            hashed(b"abc", 1),
            Hashed {
                content: Content::of(b"abc"),
                chunks: None
            }
        );
        assert_eq!(hashed(&bytes(WHOLE_BYTES), 1 << 16).chunks, None);
    }

    #[test]
    fn every_chunk_is_checked_alone() {
        for extra in [1, CHUNK_BYTES - 1, CHUNK_BYTES] {
            let blob = bytes(WHOLE_BYTES + extra);
            let hashed = hashed(&blob, 777_777);
            assert_eq!(hashed.content.digest, Digest::of(&blob));
            let list = ChunkList::parse(hashed.chunks.unwrap(), blob.len() as u64).unwrap();
            assert_eq!(list.count(), 5);
            for chunk in 0..list.count() {
                let range = list.range(chunk);
                let mut part = blob[range.start as usize..range.end as usize].to_vec();
                assert!(list.fits(chunk, &part));
                assert!(!list.fits((chunk + 1) % 5, &part));
                part[0] ^= 1;
                assert!(!list.fits(chunk, &part));
            }
        }
    }

    #[test]
    fn chunks_are_checked_together() {
        let blob = bytes(WHOLE_BYTES + 3);
        let list = hashed(&blob, 1 << 20).chunks.unwrap();
        let list = ChunkList::parse(list, blob.len() as u64).unwrap();
        let pieces = |from: u64, to: u64, size: usize| -> Vec<Bytes> {
            let part = blob[(from * CHUNK_BYTES) as usize..].iter().copied();
            let part: Vec<u8> = part.take(((to - from) * CHUNK_BYTES) as usize).collect();
            part.chunks(size).map(Bytes::copy_from_slice).collect()
        };
        for (from, to) in [(0, 5), (1, 3), (4, 5)] {
            let mut good = pieces(from, to, 70_000);
            assert!(list.fit(&(from..to), &good));
            let last = good.pop().unwrap();
            assert!(!list.fit(&(from..to), &good));
            good.extend([last, Bytes::from_static(b"x")]);
            assert!(!list.fit(&(from..to), &good));
        }
        assert!(!list.fit(&(0..2), &pieces(1, 3, 70_000)));
    }

    #[test]
    fn a_list_of_another_size_is_refused() {
        let list = hashed(&bytes(WHOLE_BYTES + 1), 1 << 20).chunks.unwrap();
        let fault = ChunkList::parse(list.clone(), WHOLE_BYTES).unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::Corrupt);
        assert!(ChunkList::parse(list.slice(1..), WHOLE_BYTES + 1).is_err());
    }

    /// The format is a promise: records name lists by their digest.
    #[test]
    fn the_format_is_pinned() {
        let list = hashed(&bytes(WHOLE_BYTES + 1), 1 << 20).chunks.unwrap();
        assert_eq!(list.len(), 15 + 5 * 32);
        assert_eq!(
            Digest::of(&list).to_string(),
            "sha256:8886e04d5ea9c5eaa95b9cfec4052fc3335c73d1970f5fbadaf548dde6bece18"
        );
    }
}
