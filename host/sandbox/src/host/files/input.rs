//! `/in`: the inputs, nested into folders, read-only.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{FilesResult, Mistake};
use super::{Entry, Kind, Node};
use crate::artifact::{Source, SourceTree};

/// What a program finds under `/in/<name>`.
#[derive(Clone, Debug)]
pub enum ProgramInput {
    /// A file.
    File(Arc<dyn Source>),
    /// A folder.
    Tree(Arc<dyn SourceTree>),
}

/// A folder of `/in`.
#[derive(Debug, Default)]
pub(crate) struct InFolder(BTreeMap<String, InEntry>);

#[derive(Debug, Clone)]
pub(super) enum InEntry {
    Folder(Arc<InFolder>),
    File(Arc<dyn Source>),
    /// A file of a tree, opened when the program opens it.
    TreeFile {
        tree: Arc<dyn SourceTree>,
        index: usize,
    },
}

impl InFolder {
    /// `/in` itself.
    pub(super) fn of(inputs: Vec<(String, ProgramInput)>) -> Self {
        let entry = |(name, input)| (name, in_entry(input));
        Self(inputs.into_iter().map(entry).collect())
    }

    /// What is at a resolved path.
    pub(super) fn find(self: &Arc<Self>, path: &str) -> Result<InEntry, Mistake> {
        let mut entry = InEntry::Folder(self.clone());
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let InEntry::Folder(folder) = entry else {
                return Err(Mistake::NotDirectory);
            };
            entry = folder.0.get(part).cloned().ok_or(Mistake::NoEntry)?;
        }
        Ok(entry)
    }

    /// The entries, sorted.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let entry = |(name, entry): (&String, &InEntry)| Entry {
            kind: entry.kind(),
            name: name.clone(),
        };
        self.0.iter().map(entry).collect()
    }
}

impl InEntry {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Folder(_) => Kind::Folder,
            Self::File(_) | Self::TreeFile { .. } => Kind::File,
        }
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Folder(_) => 0,
            Self::File(source) => source.size(),
            Self::TreeFile { tree, index } => tree.entries()[*index].size,
        }
    }

    pub(super) fn open(self, root: Arc<InFolder>, path: String) -> FilesResult<Node> {
        Ok(match self {
            Self::Folder(folder) => Node::InFolder { root, folder, path },
            Self::File(source) => Node::InFile { source, path },
            Self::TreeFile { tree, index } => {
                let source = tree.open(index)?;
                Node::InFile { source, path }
            }
        })
    }
}

fn in_entry(input: ProgramInput) -> InEntry {
    match input {
        ProgramInput::File(source) => InEntry::File(source),
        ProgramInput::Tree(tree) => {
            let files = tree.entries().iter().enumerate();
            let paths: Vec<_> = files
                .map(|(index, entry)| (entry.path.as_str(), index))
                .collect();
            InEntry::Folder(in_folder(&tree, &paths))
        }
    }
}

/// Nests a sorted list of paths into folders.
fn in_folder(tree: &Arc<dyn SourceTree>, paths: &[(&str, usize)]) -> Arc<InFolder> {
    let mut entries = BTreeMap::new();
    let mut folders: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
    for (path, index) in paths {
        match path.split_once('/') {
            Some((folder, rest)) => folders.entry(folder).or_default().push((rest, *index)),
            None => {
                let file = InEntry::TreeFile {
                    tree: tree.clone(),
                    index: *index,
                };
                entries.insert((*path).to_owned(), file);
            }
        }
    }
    for (name, paths) in folders {
        entries.insert(name.to_owned(), InEntry::Folder(in_folder(tree, &paths)));
    }
    Arc::new(InFolder(entries))
}
