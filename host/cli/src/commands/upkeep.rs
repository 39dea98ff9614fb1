//! `wharf gc` and `wharf verify`.

use wharf_store::{DamageKind, check_patience};

use crate::args::artifact::{Gc, Verify};
use crate::ending::Ending;
use crate::report::bytes;
use crate::report::transfer::Meter;
use crate::surroundings;

pub(crate) fn gc(args: &Gc) -> Result<(), Ending> {
    let patience = args.older_than.duration();
    if !(args.alone || args.dry_run) {
        check_patience(patience)?;
    }
    let store = args.common.existing_store()?;
    let collecting = async { Ok(store.collect_garbage(patience, args.dry_run).await?) };
    let collected = surroundings::run(collecting)?;
    let text = format!(
        "{} {}, {}\ntoo young: {}, {}\nin use: {}, {}",
        if args.dry_run {
            "would remove"
        } else {
            "removed"
        },
        blobs(collected.removed),
        bytes(collected.removed_bytes),
        blobs(collected.young),
        bytes(collected.young_bytes),
        blobs(collected.kept),
        bytes(collected.kept_bytes)
    );
    args.common.print(&collected, &text)
}

fn blobs(count: u64) -> String {
    match count {
        1 => "1 blob".to_owned(),
        count => format!("{count} blobs"),
    }
}

pub(crate) fn verify(args: &Verify) -> Result<(), Ending> {
    let store = args.common.existing_store()?;
    let meter = Meter::start("verify", 0);
    let verifying = async { Ok(store.verify(|bytes| meter.add(bytes)).await?) };
    let verified = surroundings::run(verifying)?;
    drop(meter);
    let mut lines = vec![format!(
        "good: {}, {}",
        blobs(verified.good),
        bytes(verified.good_bytes)
    )];
    lines.extend(verified.bad.iter().map(|damage| {
        let kind = match damage.kind {
            DamageKind::Missing => "missing",
            DamageKind::Corrupt => "corrupt",
        };
        format!("{kind}  {}  named by {}", damage.digest, damage.named_by)
    }));
    lines.extend(
        verified
            .bad_records
            .iter()
            .map(|bad| format!("corrupt  {bad}")),
    );
    args.common.print(&verified, &lines.join("\n"))?;
    verified.fault().map_or(Ok(()), |fault| Err(fault.into()))
}
