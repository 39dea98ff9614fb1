//! `wharf artifact diff`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use wharf_model::artifact::Version;
use wharf_model::{Content, Fault};
use wharf_store::Store;

use super::{named, shown};
use crate::args::artifact::Diff;
use crate::ending::Ending;
use crate::report::{bytes, plain};

/// One difference.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Change {
    /// What differs.
    what: String,
    /// What it was; absent where it is new.
    before: Option<String>,
    /// What it is; absent where it is gone.
    after: Option<String>,
}

pub(super) async fn diff(args: &Diff) -> Result<(), Ending> {
    let store = args.common.existing_store()?;
    let before = store.version(&args.before).await?;
    let after = store.version(&args.after).await?;
    let same = before.content.digest == after.content.digest;
    let mut changes = compare(
        &facts(&store, &before).await?,
        &facts(&store, &after).await?,
    );
    changes.extend(files(&store, &before.content, &after.content).await?);
    let mut lines = vec![
        format!("--- {}  {}", named(&before), shown(&before.content)),
        format!("+++ {}  {}", named(&after), shown(&after.content)),
    ];
    if same {
        lines.push("the content is the same".to_owned());
    }
    lines.extend(changes.iter().map(Change::line));
    let text: Vec<_> = lines.iter().map(|line| plain(line)).collect();
    let json = json!({"before": before, "after": after, "same-content": same, "changes": changes});
    args.common.print(&json, &text.join("\n"))
}

impl Change {
    fn line(&self) -> String {
        match (&self.before, &self.after) {
            (None, Some(after)) => format!("+ {}: {after}", self.what),
            (Some(before), None) => format!("- {}: {before}", self.what),
            (before, after) => format!(
                "~ {}: {} -> {}",
                self.what,
                before.as_deref().unwrap_or_default(),
                after.as_deref().unwrap_or_default()
            ),
        }
    }
}

type Facts = BTreeMap<String, String>;

/// What is known of a version, and of the step that made it.
async fn facts(store: &Store, version: &Version) -> Result<Facts, Fault> {
    let mut facts = Facts::new();
    facts.extend(
        version
            .media_type
            .clone()
            .map(|it| ("media type".to_owned(), it)),
    );
    add(&mut facts, "metadata", &version.metadata);
    let lineage = store.lineage(version).await?;
    if let Some(maker) = lineage.first() {
        let record = &maker.record;
        let digest = record.step.digest.map(|digest| digest.to_string());
        facts.insert("step".to_owned(), record.step.name.clone());
        facts.insert("component".to_owned(), digest.unwrap_or_default());
        facts.extend(
            record
                .seed
                .map(|seed| ("seed".to_owned(), seed.to_string())),
        );
        add(&mut facts, "parameter", &record.parameters);
        for (index, input) in record.inputs.iter().enumerate() {
            let digest = input.digest.map(|digest| digest.to_string());
            let what = format!("input {} ({index})", input.name);
            facts.insert(what, digest.unwrap_or_default());
        }
        if let wharf_model::Outcome::Succeeded { results } = &record.outcome {
            match results {
                Json::Object(results) => add(&mut facts, "result", results),
                Json::Null => {}
                value => drop(facts.insert("result".to_owned(), value.to_string())),
            }
        }
    }
    Ok(facts)
}

fn add(facts: &mut Facts, kind: &str, values: &Map<String, Json>) {
    let values = values.iter();
    facts.extend(values.map(|(name, value)| (format!("{kind} {name}"), value.to_string())));
}

fn compare(before: &Facts, after: &Facts) -> Vec<Change> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name));
    let changes = changed.map(|name| Change {
        what: name.clone(),
        before: before.get(name).cloned(),
        after: after.get(name).cloned(),
    });
    changes.collect()
}

/// The differences between two trees, file by file.
async fn files(store: &Store, before: &Content, after: &Content) -> Result<Vec<Change>, Fault> {
    if !(before.is_tree() && after.is_tree()) {
        return Ok(Vec::new());
    }
    Ok(compare(
        &listed(store, before).await?,
        &listed(store, after).await?,
    ))
}

async fn listed(store: &Store, tree: &Content) -> Result<Facts, Fault> {
    let files = store.tree(tree).await?;
    let files = files.into_iter().map(|file| {
        let shown = format!("{} sha256:{}…", bytes(file.size), file.digest.short());
        (file.path.to_string(), shown)
    });
    Ok(files.collect())
}
