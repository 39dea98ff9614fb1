//! `wharf artifact lineage`.

use serde_json::json;
use wharf_model::record::Artifact;
use wharf_store::Ancestor;

use super::{named, shown};
use crate::args::artifact::Show;
use crate::ending::Ending;
use crate::report::plain;

pub(super) async fn lineage(args: &Show) -> Result<(), Ending> {
    let store = args.common.existing_store()?;
    let version = store.version(&args.reference).await?;
    let ancestors = store.lineage(&version).await?;
    let mut lines = vec![
        format!("{}  {}", named(&version), shown(&version.content)),
        format!("  {}", version.origin),
    ];
    ancestors
        .iter()
        .for_each(|ancestor| step(ancestor, &mut lines));
    let text: Vec<_> = lines.iter().map(|line| plain(line)).collect();
    args.common.print(
        &json!({"version": version, "steps": ancestors}),
        &text.join("\n"),
    )
}

fn step(ancestor: &Ancestor, lines: &mut Vec<String>) {
    let record = &ancestor.record;
    let indent = "  ".repeat(ancestor.distance as usize + 1);
    let digest = record.step.digest.map(|digest| digest.short());
    lines.push(format!(
        "{indent}step {} ({}, sha256:{}…) in run {}",
        record.step.name,
        record.step.reference,
        digest.unwrap_or_default(),
        record.id
    ));
    let parameters = record.parameters.iter();
    lines.extend(parameters.map(|(name, value)| format!("{indent}  {name} = {value}")));
    lines.extend(
        record
            .inputs
            .iter()
            .map(|input| format!("{indent}  {}", source(input))),
    );
}

fn source(input: &Artifact) -> String {
    let digest = input
        .digest
        .map(|digest| digest.short())
        .unwrap_or_default();
    let by = match input.commit {
        Some(_) => " (made by the step below)",
        None => "",
    };
    format!("{} <- {}  sha256:{digest}…{by}", input.name, input.path)
}
