//! Trees in the store: a listing, and a blob for each file. See
//! [`wharf_model::tree`].

use futures::{StreamExt, TryStreamExt};
use wharf_model::tree::{Listed, listing, parse_listing};
use wharf_model::{Content, ErrorKind, Fault};

use crate::Store;

/// Files of a tree that are read or written at a time.
pub(crate) const FILES_AT_A_TIME: usize = 16;

impl Store {
    /// Keeps the listing of a tree whose files are kept already.
    ///
    /// # Errors
    /// Where writing fails.
    pub async fn put_tree(&self, files: Vec<Listed>) -> Result<Content, Fault> {
        let (count, size) = (files.len() as u64, files.iter().map(|file| file.size).sum());
        let kept = self.put_bytes(listing(files).into()).await?;
        Ok(Content {
            digest: kept.digest,
            size,
            files: Some(count),
            chunks: None,
        })
    }

    /// The files of a tree, sorted by path.
    ///
    /// # Errors
    /// Where its listing is missing or damaged.
    pub async fn tree(&self, content: &Content) -> Result<Vec<Listed>, Fault> {
        let bytes = self.read_digest(&content.digest).await?;
        let listed = std::str::from_utf8(&bytes).ok().map(parse_listing);
        match listed {
            Some(Ok(files)) => Ok(files),
            Some(Err(_)) | None => {
                let message = format!("{} is not the listing of a tree", content.digest);
                Err(Fault::new(ErrorKind::Corrupt, message))
            }
        }
    }
}

/// Does something for each, some at a time, until the first failure.
pub(crate) async fn for_each<T, F: Future<Output = Result<(), Fault>>>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> F,
) -> Result<(), Fault> {
    futures::stream::iter(items)
        .map(work)
        .buffer_unordered(FILES_AT_A_TIME)
        .try_collect()
        .await
}
