//! What is reachable: the blobs that records name.
//!
//! Records are commits, versions of artifacts, runs of pipelines and locks. A blob that
//! none of them names, in any way, is garbage.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use wharf_model::artifact::Version;
use wharf_model::lock::Lock;
use wharf_model::pipeline_run::Started;
use wharf_model::record::Artifact;
use wharf_model::tree::Listed;
use wharf_model::{Content, Digest, ErrorKind, Fault, Record};

use crate::Store;
use crate::artifacts::ARTIFACTS;
use crate::commits::COMMITS;
use crate::objects::Meta;
use crate::pipelines::started_path;
use crate::tasks::LOCKS;

/// The blobs that something names, and what names them.
#[derive(Debug, Default)]
pub(crate) struct Reachable {
    blobs: BTreeMap<Digest, Named>,
    /// Trees whose listings were not read yet.
    trees: Vec<(Digest, String)>,
}

/// A blob that something names.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// What it is, where that is known beyond its digest.
    pub(crate) content: Option<Content>,
    /// The first record that names it, for people to read.
    pub(crate) by: String,
}

impl Reachable {
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.blobs.contains_key(digest)
    }

    pub(crate) fn blobs(&self) -> impl Iterator<Item = (&Digest, &Named)> {
        self.blobs.iter()
    }

    pub(crate) fn add_blob(&mut self, digest: Digest, content: Option<Content>, by: &str) {
        let named = self.blobs.entry(digest).or_insert_with(|| Named {
            content: None,
            by: by.to_owned(),
        });
        named.content = named.content.or(content);
    }

    pub(crate) fn add(&mut self, content: &Content, by: &str) {
        if let Some(chunks) = content.chunks {
            self.add_blob(chunks, None, by);
        }
        if content.is_tree() {
            if !self.has(&content.digest) {
                self.trees.push((content.digest, by.to_owned()));
            }
            self.add_blob(content.digest, None, by);
        } else {
            self.add_blob(content.digest, Some(*content), by);
        }
    }

    fn add_record(&mut self, record: &Record, by: &str) {
        if let Some(step) = record.step.digest {
            self.add_blob(step, None, by);
        }
        let artifacts = record.inputs.iter().chain(&record.outputs);
        for content in artifacts.filter_map(Artifact::content) {
            self.add(&content, by);
        }
    }
}

impl Store {
    /// Reads all records, and gathers what they name. A record that is damaged is given
    /// to `damaged`, which says whether to go on: nobody knows what that one names. A
    /// tree whose listing is missing is among the blobs all the same.
    pub(crate) async fn reachable(
        &self,
        mut damaged: impl FnMut(&ObjectPath, Fault) -> Result<(), Fault>,
    ) -> Result<Reachable, Fault> {
        let mut reachable = Reachable::default();
        let mut commits = self.objects.list(COMMITS)?;
        while let Some(Meta { path, .. }) = commits.try_next().await? {
            let record = self.read_record::<Record>(&path).await;
            if let Some(record) = unless_damaged(&path, record, &mut damaged)? {
                reachable.add_record(&record, path.as_ref());
            }
        }
        for id in self.pipeline_runs().await? {
            let path = started_path(&id);
            // It may have been removed meanwhile.
            let started = self.read_record::<Started>(&path).await;
            if let Some(started) = unless_damaged(&path, started, &mut damaged)? {
                reachable.add(&started.definition, path.as_ref());
                let components = started.components.iter();
                components.for_each(|used| reachable.add(&used.content, path.as_ref()));
            }
        }
        let mut locks = self.objects.list(LOCKS)?;
        while let Some(Meta { path, .. }) = locks.try_next().await? {
            let lock = self.read_record::<Lock>(&path).await;
            if let Some(lock) = unless_damaged(&path, lock, &mut damaged)? {
                reachable.add(&lock.definition, path.as_ref());
                let components = lock.components.iter().map(|used| &used.content);
                let files = lock.files.iter().map(|file| &file.content);
                components
                    .chain(files)
                    .for_each(|content| reachable.add(content, path.as_ref()));
            }
        }
        let mut artifacts = self.objects.list(ARTIFACTS)?;
        while let Some(Meta { path, .. }) = artifacts.try_next().await? {
            if !self.is_version(&path).await? {
                continue;
            }
            let version = self.read_record::<Version>(&path).await;
            if let Some(version) = unless_damaged(&path, version, &mut damaged)? {
                reachable.add(&version.content, path.as_ref());
            }
        }
        self.add_trees(&mut reachable).await?;
        Ok(reachable)
    }

    /// Whether a path is that of a version that was not removed.
    async fn is_version(&self, path: &ObjectPath) -> Result<bool, Fault> {
        let parts: Vec<_> = path.parts().collect();
        let [_, name, kind, number] = &parts[..] else {
            return Ok(false);
        };
        if kind.as_ref() != "versions" {
            return Ok(false);
        }
        let removed = format!("{ARTIFACTS}/{}/removed/{}", name.as_ref(), number.as_ref());
        let removed = self.objects.head(&ObjectPath::from(removed)).await?;
        Ok(removed.is_none())
    }

    /// Adds the files of trees. One whose listing is damaged has none that anybody could
    /// find.
    async fn add_trees(&self, reachable: &mut Reachable) -> Result<(), Fault> {
        while let Some((digest, by)) = reachable.trees.pop() {
            let content = Content {
                digest,
                size: 0,
                files: Some(0),
                chunks: None,
            };
            match self.tree(&content).await {
                Ok(files) => {
                    let files = files.iter().map(Listed::content);
                    files.for_each(|file| reachable.add(&file, &by));
                }
                Err(fault) if fault.kind() == ErrorKind::Corrupt => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}

fn unless_damaged<T>(
    path: &ObjectPath,
    read: Result<Option<T>, Fault>,
    damaged: &mut impl FnMut(&ObjectPath, Fault) -> Result<(), Fault>,
) -> Result<Option<T>, Fault> {
    match read {
        Err(fault) if fault.kind() == ErrorKind::Corrupt => damaged(path, fault).map(|()| None),
        read => read,
    }
}
