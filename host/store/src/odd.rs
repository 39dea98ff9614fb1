//! A service, in memory, that does what a test tells it to.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::Store;

/// What it does, and what it has seen.
#[derive(Debug, Default)]
pub(crate) struct Odd {
    objects: InMemory,
    /// So many reads flip a bit of what they give.
    pub(crate) flips: AtomicUsize,
    /// So many writes fail, and nothing is written.
    pub(crate) lost_writes: AtomicUsize,
    /// Listings that fail after so many objects; none where it is 0.
    pub(crate) breaks_after: AtomicUsize,
    /// Reads of parts on their way, and the most of them at a time.
    reading: AtomicUsize,
    pub(crate) most_reading: AtomicUsize,
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("odd")
    }
}

/// A store in it.
pub(crate) fn store() -> (Arc<Odd>, Store) {
    let odd = Arc::new(Odd::default());
    let store = Store::open(&crate::Location::Memory, &crate::Settings::new(), None);
    let mut store = store.unwrap();
    store.objects = store.objects.on(odd.clone());
    (odd, store)
}

/// Whether one is left, which is taken.
fn takes(left: &AtomicUsize) -> bool {
    let take = |left: usize| left.checked_sub(1);
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
        .is_ok()
}

fn failed() -> Error {
    Error::Generic {
        store: "odd",
        source: "as the test says".into(),
    }
}

#[async_trait::async_trait]
impl ObjectStore for Odd {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        match takes(&self.lost_writes) {
            true => Err(failed()),
            false => self.objects.put_opts(path, payload, options).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        match takes(&self.lost_writes) {
            true => Err(failed()),
            false => self.objects.put_multipart_opts(path, options).await,
        }
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let is_part = options.range.is_some();
        if is_part {
            let reading = self.reading.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_reading.fetch_max(reading, Ordering::SeqCst);
            // Lets all others begin who would.
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            self.reading.fetch_sub(1, Ordering::SeqCst);
        }
        let is_head = options.head;
        let found = self.objects.get_opts(path, options).await?;
        if is_head || !takes(&self.flips) {
            return Ok(found);
        }
        let flipped = InMemory::new();
        let mut bytes = found.bytes().await?.to_vec();
        bytes[0] ^= 1;
        flipped.put(path, bytes.into()).await?;
        flipped.get_opts(path, GetOptions::default()).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.objects.get_ranges(path, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.objects.list(prefix);
        match self.breaks_after.swap(0, Ordering::SeqCst) {
            0 => listed,
            some => {
                let failure = futures::stream::iter([Err(failed())]);
                listed.take(some).chain(failure).boxed()
            }
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}
