//! `wharf artifact ls`.

use std::collections::BTreeMap;

use serde_json::json;
use wharf_model::ArtifactReference;
use wharf_model::artifact::{TagMove, Version, Which};
use wharf_model::name::Name;
use wharf_store::Store;

use crate::args::artifact::Ls;
use crate::ending::Ending;
use crate::report::table::Table;
use crate::report::{bytes, inert, out};

pub(super) async fn ls(args: &Ls) -> Result<(), Ending> {
    let store = args.common.existing_store()?;
    match &args.name {
        Some(name) => versions(args, &store, name).await,
        None => artifacts(args, &store).await,
    }
}

async fn artifacts(args: &Ls, store: &Store) -> Result<(), Ending> {
    let mut table = Table::new(["ARTIFACT", "VERSIONS", "NEWEST", "SIZE", "TAGS"]);
    let names = store.artifacts().await?;
    for name in &names {
        let (numbers, tags) = (store.version_numbers(name).await?, store.tags(name).await?);
        let latest = ArtifactReference {
            name: name.clone(),
            which: Which::Latest,
        };
        let latest = store.find_version(&latest).await?;
        if args.common.json {
            out(&line(
                &json!({"name": name, "versions": numbers, "tags": tags_json(&tags), "latest": latest}),
            ))?;
            continue;
        }
        let Some(latest) = latest else { continue };
        table.row([
            name.to_string(),
            numbers.len().to_string(),
            when(&latest),
            bytes(latest.content.size),
            tags_of(&tags, None),
        ]);
    }
    match (args.common.json, names.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => Ok(out("no artifacts yet\n")?),
        (false, false) => Ok(out(&table.to_string())?),
    }
}

async fn versions(args: &Ls, store: &Store, name: &Name) -> Result<(), Ending> {
    let numbers = store.version_numbers(name).await?;
    let tags = store.tags(name).await?;
    let mut table = Table::new(["VERSION", "MADE", "BY", "SIZE", "DIGEST", "TAGS", "FROM"]);
    let reference = |which| ArtifactReference {
        name: name.clone(),
        which,
    };
    if numbers.is_empty() {
        // Says what there is instead.
        store.version(&reference(Which::Latest)).await?;
    }
    for number in numbers.into_iter().rev() {
        let Some(version) = store
            .find_version(&reference(Which::Number(number)))
            .await?
        else {
            continue;
        };
        let tags = tags_of(&tags, Some(number));
        if args.common.json {
            let tags: Vec<_> = tags.split_whitespace().collect();
            out(&line(&json!({"version": version, "tags": tags})))?;
            continue;
        }
        table.row([
            number.to_string(),
            when(&version),
            version.by.clone(),
            bytes(version.content.size),
            version.content.digest.short(),
            tags,
            version.origin.to_string(),
        ]);
    }
    match args.common.json {
        true => Ok(()),
        false => Ok(out(&table.to_string())?),
    }
}

fn line(json: &serde_json::Value) -> String {
    inert(json.to_string()) + "\n"
}

pub(super) fn when(version: &Version) -> String {
    version.created.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn tags_json(tags: &BTreeMap<Name, TagMove>) -> serde_json::Value {
    let tags = tags.iter();
    let tags = tags.map(|(tag, moved)| (tag.to_string(), json!(moved.version)));
    serde_json::Value::Object(tags.collect())
}

/// All tags, or those that mean a version.
fn tags_of(tags: &BTreeMap<Name, TagMove>, version: Option<u64>) -> String {
    let tags = tags.iter().filter_map(|(tag, moved)| match version {
        None => Some(format!("{tag}={}", moved.version?)),
        wanted => (moved.version == wanted).then(|| tag.to_string()),
    });
    tags.collect::<Vec<_>>().join(" ")
}
