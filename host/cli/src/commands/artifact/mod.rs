//! `wharf artifact`.

mod diff;
mod lineage;
mod list;
mod show;

use std::path::Path;

use serde::Serialize;
use serde_json::json;
use wharf_model::artifact::{Origin, TagMove, Version, Which};
use wharf_model::name::Name;
use wharf_model::{Content, ErrorKind, Fault};
use wharf_runner::transfer;
use wharf_store::{NewTag, NewVersion, Store};

use crate::args::artifact::{Artifact, ArtifactCommand, Common, Copy, Get, Put, Rm, Tag};
use crate::ending::Ending;
use crate::report::transfer::Meter;
use crate::report::{bytes, inert, out, plain};
use crate::{stack, surroundings};

pub(crate) fn artifact(args: &Artifact) -> Result<(), Ending> {
    let work = async {
        match &args.command {
            ArtifactCommand::Put(args) => put(args).await,
            ArtifactCommand::Get(args) => get(args).await,
            ArtifactCommand::Ls(args) => list::ls(args).await,
            ArtifactCommand::Show(args) => show::show(args).await,
            ArtifactCommand::Tag(args) => tag(args).await,
            ArtifactCommand::Diff(args) => diff::diff(args).await,
            ArtifactCommand::Lineage(args) => lineage::lineage(args).await,
            ArtifactCommand::Rm(args) => rm(args).await,
            ArtifactCommand::Copy(args) => copy(args).await,
        }
    };
    surroundings::run(work)
}

impl Common {
    /// The store, to read from.
    pub(crate) fn existing_store(&self) -> Result<Store, Ending> {
        stack::existing_store(&self.within)
    }

    /// The store, to write to.
    async fn store(&self) -> Result<Store, Ending> {
        let store = stack::store(&self.within)?;
        store.prepare().await?;
        Ok(store)
    }

    /// Another store.
    fn other_store(&self, place: &Path) -> Result<Store, Ending> {
        let location = surroundings::store_location(Some(place))?;
        let cache = self.within.places.cache.as_deref();
        Ok(surroundings::open_store(&location, cache)?)
    }

    /// Prints what was done: as JSON, or as a sentence.
    pub(crate) fn print(&self, json: &impl Serialize, text: &str) -> Result<(), Ending> {
        match self.json {
            true => {
                let json = serde_json::to_string(json).map_err(Fault::internal)?;
                out(&(inert(json) + "\n"))?;
            }
            false => {
                let lines: Vec<_> = text.lines().map(plain).collect();
                out(&format!("{}\n", lines.join("\n")))?;
            }
        }
        Ok(())
    }
}

async fn put(args: &Put) -> Result<(), Ending> {
    let store = args.common.store().await?.mending();
    let content = transfer::put(&store, &args.path).await?;
    let new = NewVersion {
        name: args.name.clone(),
        content,
        media_type: args.media_type.clone(),
        metadata: args
            .metadata
            .iter()
            .map(|(key, value)| (key.clone(), value.clone().into()))
            .collect(),
        origin: Origin::Put {
            path: args.path.display().to_string(),
        },
    };
    let author = surroundings::author();
    let version = store.add_version(&new, &author).await?;
    let mut text = format!("{}  {}", named(&version), shown(&version.content));
    if let Some(tag) = &args.tag {
        let moved = move_tag(&store, &version, tag, None).await?;
        text.push_str(&format!("\n{}", told(&moved)));
    }
    args.common.print(&version, &text)
}

async fn get(args: &Get) -> Result<(), Ending> {
    let store = args.common.existing_store()?;
    let version = store.version(&args.reference).await?;
    let meter = Meter::start(&version.name.to_string(), version.content.size);
    let told = |bytes| meter.add(bytes);
    transfer::get(&store, &version.content, &args.path, args.force, &told).await?;
    drop(meter);
    let text = format!(
        "{}  {}  {}",
        args.path.display(),
        named(&version),
        shown(&version.content)
    );
    args.common.print(&version, &text)
}

async fn tag(args: &Tag) -> Result<(), Ending> {
    let store = args.common.existing_store()?;
    let version = store.version(&args.reference).await?;
    let expected = args.expect.map(|expected| expected.0);
    let moved = move_tag(&store, &version, &args.tag, expected).await?;
    args.common.print(&moved, &told(&moved))
}

async fn move_tag(
    store: &Store,
    version: &Version,
    tag: &Name,
    expected: Option<Option<u64>>,
) -> Result<TagMove, Fault> {
    let new = NewTag {
        name: version.name.clone(),
        tag: tag.clone(),
        version: Some(version.number),
        expected,
        run: None,
        partition: None,
    };
    store.move_tag(&new, &surroundings::author()).await
}

async fn rm(args: &Rm) -> Result<(), Ending> {
    let store = args.common.existing_store()?;
    let (name, author) = (&args.reference.name, surroundings::author());
    match &args.reference.which {
        Which::Number(number) => store.remove_version(name, *number, &author).await?,
        Which::Tag(tag) => {
            let new = NewTag {
                name: name.clone(),
                tag: tag.clone(),
                version: None,
                expected: None,
                run: None,
                partition: None,
            };
            store.move_tag(&new, &author).await?;
        }
        Which::Latest | Which::Digest(_) => {
            let message = format!("`{}` does not say what to remove", args.reference);
            return Err(Fault::new(ErrorKind::CommandLine, message)
                .hint(format!(
                    "write {name}@NUMBER for a version, or {name}:TAG for a tag"
                ))
                .into());
        }
    }
    let removed = args.reference.to_string();
    args.common
        .print(&json!({"removed": removed}), &format!("removed {removed}"))
}

async fn copy(args: &Copy) -> Result<(), Ending> {
    let from = args.common.existing_store()?;
    let version = from.version(&args.reference).await?;
    let to = match (&args.to, &args.to_stack) {
        (_, Some(stack)) => stack::store_of(&args.common.within, stack)?,
        (Some(place), None) => args.common.other_store(place)?,
        (None, None) => return Err(Fault::internal("no store to copy to").into()),
    };
    if to.place() == from.place() {
        let message = format!("{} is the store that it is copied from", to.place());
        return Err(Fault::new(ErrorKind::CommandLine, message)
            .hint("say another with --to")
            .into());
    }
    to.prepare().await?;
    let meter = Meter::start(&version.name.to_string(), version.content.size);
    let author = surroundings::author();
    let copied = to.copy_version(&from, &version, &author, |bytes| meter.add(bytes));
    let (copy, copied) = copied.await?;
    drop(meter);
    let mut text = format!(
        "{} in {}  {} copied, {} there already",
        named(&copy),
        to.place(),
        bytes(copied.bytes),
        bytes(copied.skipped_bytes)
    );
    if let Some(tag) = &args.tag {
        text.push_str(&format!(
            "\n{}",
            told(&move_tag(&to, &copy, tag, None).await?)
        ));
    }
    args.common
        .print(&json!({"version": copy, "copied": copied}), &text)
}

fn named(version: &Version) -> String {
    format!("{}@{}", version.name, version.number)
}

/// What content is, for people.
fn shown(content: &Content) -> String {
    let files = match content.files {
        Some(1) => "1 file, ".to_owned(),
        Some(files) => format!("{files} files, "),
        None => String::new(),
    };
    format!(
        "{files}{}  sha256:{}…",
        bytes(content.size),
        content.digest.short()
    )
}

/// What became of a tag, for people.
fn told(moved: &TagMove) -> String {
    let (name, tag) = (&moved.name, &moved.tag);
    let before = match moved.before {
        Some(before) => format!(" (was version {before})"),
        None => String::new(),
    };
    match moved.version {
        Some(version) => format!("{name}:{tag} is version {version}{before}"),
        None => format!("{name}:{tag} is removed{before}"),
    }
}
