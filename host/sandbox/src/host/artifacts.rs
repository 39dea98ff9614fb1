//! `wharf:step/artifacts`: handles on what a run was given to read and write.

use std::sync::Arc;

use wasmtime::component::Resource;
use wharf_model::Fault;
use wharf_model::limits::{CHUNK_BYTES, LimitKind};
use wharf_model::name::{MAX_TREE_FILES, TreePath};

use super::State;
use super::bindings::wharf::step::artifacts::{
    Entry, Error, Host, HostInput, HostInputTree, HostOutput, HostOutputTree,
};
use crate::artifact::{Sink, SinkTree, Source, SourceTree};
use crate::limiter::Exceeded;

type Result<T> = wasmtime::Result<T>;

/// Longest media type, in bytes.
const MAX_MEDIA_TYPE: usize = 255;
/// Longest key and value of a metadata entry, in bytes.
const MAX_METADATA: (usize, usize) = (128, 4096);

/// An `input` handle.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Input {
    pub(crate) name: String,
    pub(crate) source: Arc<dyn Source>,
}

/// An `output` handle.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Output {
    pub(crate) name: String,
    pub(crate) sink: Arc<dyn Sink>,
}

/// An `input-tree` handle.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct InputTree {
    pub(crate) name: String,
    pub(crate) tree: Arc<dyn SourceTree>,
}

/// An `output-tree` handle.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OutputTree {
    pub(crate) name: String,
    pub(crate) tree: Arc<dyn SinkTree>,
    /// Files created so far.
    pub(crate) files: usize,
}

impl Host for State {}

impl super::bindings::wharf::step::types::Host for State {}

impl HostInput for State {
    fn name(&mut self, this: Resource<Input>) -> Result<String> {
        Ok(self.table.get(&this)?.name.clone())
    }

    fn media_type(&mut self, this: Resource<Input>) -> Result<Option<String>> {
        Ok(self.table.get(&this)?.source.media_type())
    }

    fn size(&mut self, this: Resource<Input>) -> Result<u64> {
        Ok(self.table.get(&this)?.source.size())
    }

    async fn digest(&mut self, this: Resource<Input>) -> Result<String> {
        let source = self.table.get(&this)?.source.clone();
        Ok(source.digest().await?.to_string())
    }

    fn metadata(&mut self, this: Resource<Input>) -> Result<Vec<(String, String)>> {
        Ok(self.table.get(&this)?.source.metadata())
    }

    async fn read(
        &mut self,
        this: Resource<Input>,
        offset: u64,
        len: u32,
    ) -> Result<std::result::Result<Vec<u8>, Error>> {
        let input = self.table.get(&this)?;
        let left = input.source.size().saturating_sub(offset);
        let len = u64::from(len).min(CHUNK_BYTES as u64).min(left);
        if !input.source.is_here(offset, len) {
            input.source.clone().fetch(offset, len).await?;
        }
        let mut bytes = vec![0; len as usize];
        let read = input.source.read_at(offset, &mut bytes);
        let read = read.map_err(|error| unread(&input.name, &error))?;
        bytes.truncate(read);
        Ok(Ok(bytes))
    }

    fn drop(&mut self, this: Resource<Input>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

fn unread(name: &str, error: &std::io::Error) -> Fault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.cloned().unwrap_or_else(|| {
        let kind = wharf_model::ErrorKind::of_io(error);
        Fault::new(kind, format!("cannot read the input `{name}`: {error}"))
    })
}

impl HostOutput for State {
    fn name(&mut self, this: Resource<Output>) -> Result<String> {
        Ok(self.table.get(&this)?.name.clone())
    }

    fn set_media_type(
        &mut self,
        this: Resource<Output>,
        media_type: String,
    ) -> Result<std::result::Result<(), Error>> {
        let output = self.table.get(&this)?;
        if !is_media_type(&media_type) {
            let why = "a media type is `type/subtype` in visible ASCII of at most 255 bytes";
            return Ok(Err(Error::InvalidValue(why.to_owned())));
        }
        output.sink.set_media_type(media_type);
        Ok(Ok(()))
    }

    fn set_metadata(
        &mut self,
        this: Resource<Output>,
        key: String,
        value: String,
    ) -> Result<std::result::Result<(), Error>> {
        let output = self.table.get(&this)?;
        let why = match (is_metadata_key(&key), value.len() <= MAX_METADATA.1) {
            (false, _) => "a key is 1 to 128 bytes of a-z, 0-9, `.`, `_` and `-`",
            (_, false) => "a value has at most 4096 bytes",
            _ if output.sink.set_metadata(key, value) => return Ok(Ok(())),
            _ => "an artifact has at most 64 entries",
        };
        Ok(Err(Error::InvalidValue(why.to_owned())))
    }

    async fn write(
        &mut self,
        this: Resource<Output>,
        bytes: Vec<u8>,
    ) -> Result<std::result::Result<(), Error>> {
        let output = self.table.get(&this)?;
        if bytes.len() > CHUNK_BYTES {
            return Err(call_bytes().into());
        }
        self.output.spend(bytes.len() as u64)?;
        let passing = self.gate.pass()?;
        output.sink.write(bytes)?;
        drop(passing);
        if output.sink.is_full() {
            output.sink.clone().drained().await;
        }
        Ok(Ok(()))
    }

    fn drop(&mut self, this: Resource<Output>) -> Result<()> {
        let output = self.table.delete(this)?;
        let _passing = self.gate.pass()?;
        output.sink.close();
        Ok(())
    }
}

impl HostInputTree for State {
    fn name(&mut self, this: Resource<InputTree>) -> Result<String> {
        Ok(self.table.get(&this)?.name.clone())
    }

    fn entries(&mut self, this: Resource<InputTree>) -> Result<Vec<Entry>> {
        let tree = &self.table.get(&this)?.tree;
        let entry = |entry: &crate::artifact::TreeEntry| Entry {
            path: entry.path.to_string(),
            size: entry.size,
        };
        Ok(tree.entries().iter().map(entry).collect())
    }

    fn open(
        &mut self,
        this: Resource<InputTree>,
        path: String,
    ) -> Result<std::result::Result<Resource<Input>, Error>> {
        let tree = self.table.get(&this)?.tree.clone();
        let found = tree
            .entries()
            .binary_search_by(|entry| entry.path.as_str().cmp(&path));
        let Ok(index) = found else {
            return Ok(Err(Error::NotFound(path)));
        };
        let input = Input {
            name: path,
            source: tree.open(index)?,
        };
        Ok(Ok(self.table.push(input)?))
    }

    fn drop(&mut self, this: Resource<InputTree>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostOutputTree for State {
    fn name(&mut self, this: Resource<OutputTree>) -> Result<String> {
        Ok(self.table.get(&this)?.name.clone())
    }

    fn create(
        &mut self,
        this: Resource<OutputTree>,
        path: String,
    ) -> Result<std::result::Result<Resource<Output>, Error>> {
        let path = match TreePath::new(&path) {
            Ok(path) => path,
            Err(error) => return Ok(Err(Error::InvalidPath(error.to_string()))),
        };
        let tree = self.table.get_mut(&this)?;
        if tree.files >= MAX_TREE_FILES {
            return Err(Exceeded::new(LimitKind::TreeFiles, MAX_TREE_FILES).into());
        }
        let _passing = self.gate.pass()?;
        let Some(sink) = tree.tree.create(&path)? else {
            return Ok(Err(Error::AlreadyExists(path.into())));
        };
        tree.files += 1;
        Ok(Ok(self.table.push(Output {
            name: path.into(),
            sink,
        })?))
    }

    fn drop(&mut self, this: Resource<OutputTree>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

fn call_bytes() -> Exceeded {
    Exceeded::new(
        LimitKind::CallBytes,
        wharf_model::limits::Bytes(CHUNK_BYTES as u64),
    )
}

fn is_media_type(text: &str) -> bool {
    let parts: Vec<_> = text.splitn(2, '/').collect();
    text.len() <= MAX_MEDIA_TYPE
        && parts.len() == 2
        && parts.iter().all(|part| !part.is_empty())
        && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

fn is_metadata_key(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    (1..=MAX_METADATA.0).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        for good in ["text/csv", "application/json; charset=utf-8"] {
            assert!(is_media_type(good), "{good}");
        }
        for bad in [
            "",
            "text",
            "/csv",
            "text/",
            "text/c\nsv",
            &format!("a/{}", "b".repeat(255)),
        ] {
            assert!(!is_media_type(bad), "{bad:?}");
        }
    }

    #[test]
    fn metadata_keys() {
        assert!(is_metadata_key("rows.train-1_x"));
        for bad in ["", "Rows", "a b", &"k".repeat(129)] {
            assert!(!is_metadata_key(bad), "{bad:?}");
        }
    }
}
