//! Inputs that are blobs of the store.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use serde_json::Value as Json;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use wharf_model::{Content, Digest, Fault};
use wharf_sandbox::artifact::{Source, SourceTree, TreeEntry};
use wharf_store::{BlobReader, Store};

use super::StoredInput;
use crate::sink::IoCounters;

/// A blob as a guest reads it.
#[derive(Debug)]
pub(super) struct StoredFile {
    content: Content,
    store: Store,
    /// Opened when it is first read, where it is one of many.
    reader: OnceCell<BlobReader>,
    /// Where requests are made: the guest's runtime has no sockets.
    runtime: Handle,
    counters: Arc<IoCounters>,
    media_type: Option<String>,
    metadata: Vec<(String, String)>,
}

impl StoredFile {
    pub(super) fn new(store: &Store, content: Content, counters: &Arc<IoCounters>) -> Self {
        counters.to_read.fetch_add(content.size, Ordering::Relaxed);
        Self {
            content,
            store: store.clone(),
            reader: OnceCell::new(),
            runtime: Handle::current(),
            counters: counters.clone(),
            media_type: None,
            metadata: Vec::new(),
        }
    }

    /// An input, open.
    pub(super) async fn open(
        store: &Store,
        input: &StoredInput,
        counters: &Arc<IoCounters>,
    ) -> Result<Self, Fault> {
        let metadata = input
            .metadata
            .iter()
            .map(|(key, value)| (key.clone(), text(value)));
        let file = Self {
            media_type: input.media_type.clone(),
            metadata: metadata.collect(),
            ..Self::new(store, input.content, counters)
        };
        file.reader().await?;
        Ok(file)
    }

    async fn reader(&self) -> Result<&BlobReader, Fault> {
        let open = || async {
            let (store, content) = (self.store.clone(), self.content);
            let opening = self
                .runtime
                .spawn(async move { store.open_blob(&content).await });
            opening.await.map_err(Fault::internal)?
        };
        self.reader.get_or_try_init(open).await
    }

    /// Brings all of it here, for a program, which reads files.
    pub(super) async fn fetch_all(&self) -> Result<(), Fault> {
        self.reader().await?.fetch(0, self.content.size).await
    }
}

/// What is attached as text is told as it is.
fn text(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[async_trait]
impl Source for StoredFile {
    fn size(&self) -> u64 {
        self.content.size
    }

    fn is_here(&self, offset: u64, length: u64) -> bool {
        let reader = self.reader.get();
        reader.is_some_and(|reader| reader.is_here(offset, length))
    }

    async fn fetch(&self, offset: u64, length: u64) -> Result<(), Fault> {
        self.reader().await?.fetch(offset, length).await
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let reader = self.reader.get();
        let reader =
            reader.ok_or_else(|| io::Error::other(Fault::internal("a blob is not open")))?;
        let read = reader.read_at(offset, buffer)?;
        self.counters.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }

    async fn digest(&self) -> Result<Digest, Fault> {
        Ok(self.content.digest)
    }

    fn media_type(&self) -> Option<String> {
        self.media_type.clone()
    }

    fn metadata(&self) -> Vec<(String, String)> {
        self.metadata.clone()
    }
}

/// A tree of the store as a guest reads it.
#[derive(Debug)]
pub(super) struct StoredTree {
    entries: Vec<TreeEntry>,
    files: Vec<Arc<StoredFile>>,
}

impl StoredTree {
    pub(super) async fn open(
        store: &Store,
        input: &StoredInput,
        counters: &Arc<IoCounters>,
    ) -> Result<Self, Fault> {
        let listed = store.tree(&input.content).await?;
        let entries = listed.iter().map(|file| TreeEntry {
            path: file.path.clone(),
            size: file.size,
        });
        let files = listed.iter();
        let files = files.map(|file| Arc::new(StoredFile::new(store, file.content(), counters)));
        Ok(Self {
            entries: entries.collect(),
            files: files.collect(),
        })
    }

    /// Brings all of it here, for a program.
    pub(super) async fn fetch_all(&self) -> Result<(), Fault> {
        for file in &self.files {
            file.fetch_all().await?;
        }
        Ok(())
    }
}

impl SourceTree for StoredTree {
    fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    fn open(&self, index: usize) -> Result<Arc<dyn Source>, Fault> {
        match self.files.get(index) {
            Some(file) => Ok(file.clone()),
            None => Err(Fault::internal("a tree has fewer files")),
        }
    }
}
