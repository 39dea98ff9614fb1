//! What is reachable: the blobs that records name.
//!
//! Records are commits, versions of artifacts, and runs of pipelines. A blob that
//! none of them names, in any way, is garbage.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use wharf_model::artifact::Version;
use wharf_model::pipeline_run::Started;
use wharf_model::record::Artifact;
use wharf_model::tree::Listed;
use wharf_model::{Content, Digest, Fault, Record};

use crate::Store;
use crate::artifacts::ARTIFACTS;
use crate::commits::COMMITS;
use crate::objects::Meta;
use crate::pipelines::started_path;

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
    /// Reads all records, and gathers what they name. A record that cannot be read
    /// fails it, since nobody knows what that one names; a tree whose listing is
    /// missing does not, and is given to `damaged`.
    pub(crate) async fn reachable(
        &self,
        mut damaged: impl FnMut(Fault),
    ) -> Result<Reachable, Fault> {
        let mut reachable = Reachable::default();
        let mut commits = self.objects.list(COMMITS)?;
        while let Some(Meta { path, .. }) = commits.try_next().await? {
            if let Some(record) = self.read_record(&path).await? {
                reachable.add_record(&record, path.as_ref());
            }
        }
        for id in self.pipeline_runs().await? {
            let path = started_path(&id);
            // It may have been removed meanwhile.
            if let Some(started) = self.read_record::<Started>(&path).await? {
                reachable.add(&started.definition, path.as_ref());
                let components = started.components.iter();
                components.for_each(|used| reachable.add(&used.content, path.as_ref()));
            }
        }
        let mut artifacts = self.objects.list(ARTIFACTS)?;
        while let Some(Meta { path, .. }) = artifacts.try_next().await? {
            if self.is_version(&path).await?
                && let Some(version) = self.read_record::<Version>(&path).await?
            {
                reachable.add(&version.content, path.as_ref());
            }
        }
        self.add_trees(&mut reachable, &mut damaged).await?;
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

    async fn add_trees(
        &self,
        reachable: &mut Reachable,
        damaged: &mut impl FnMut(Fault),
    ) -> Result<(), Fault> {
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
                Err(fault) if fault.kind() == wharf_model::ErrorKind::Corrupt => damaged(fault),
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}
