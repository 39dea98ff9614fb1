//! `wharf artifact show`.

use serde_json::json;
use wharf_model::artifact::TagMove;

use super::list::when;
use super::{named, shown};
use crate::args::artifact::Show;
use crate::ending::Ending;
use crate::report::plain;

pub(super) async fn show(args: &Show) -> Result<(), Ending> {
    let store = args.common.existing_store()?;
    let version = store.version(&args.reference).await?;
    let mut history = Vec::new();
    for tag in store.tag_names(&version.name).await? {
        history.extend(store.tag_history(&version.name, &tag).await?);
    }
    history.sort_by_key(|moved| (moved.moved, moved.sequence));
    let mut lines = vec![
        format!("{}  {}", named(&version), shown(&version.content)),
        format!("digest    {}", version.content.digest),
        format!("made      {} by {}", when(&version), version.by),
        format!("from      {}", version.origin),
    ];
    lines.extend(
        version
            .media_type
            .iter()
            .map(|media_type| format!("type      {media_type}")),
    );
    lines.extend(version.metadata.iter().map(|(key, value)| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        format!("meta      {key}={value}")
    }));
    if !history.is_empty() {
        lines.push("tags".to_owned());
        lines.extend(history.iter().map(history_line));
    }
    let text: Vec<_> = lines.iter().map(|line| plain(line)).collect();
    args.common.print(
        &json!({"version": version, "tags": history}),
        &text.join("\n"),
    )
}

fn history_line(moved: &TagMove) -> String {
    let shown = |version: Option<u64>| match version {
        Some(version) => version.to_string(),
        None => "none".to_owned(),
    };
    let run = moved.run.as_ref().map(|run| format!(" in run {run}"));
    let partition = moved.partition.as_ref();
    let partition = partition.map(|partition| format!(" for {partition}"));
    format!(
        "  {}  {}: {} -> {} by {}{}{}",
        moved.moved.strftime("%Y-%m-%d %H:%M:%S"),
        moved.tag,
        shown(moved.before),
        shown(moved.version),
        moved.by,
        run.unwrap_or_default(),
        partition.unwrap_or_default()
    )
}
