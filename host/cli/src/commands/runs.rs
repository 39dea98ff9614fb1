//! `wharf runs`.

use wharf_model::{Fault, Record};

use crate::args;
use crate::report::table::Table;
use crate::report::{duration, file_name, inert, out};
use crate::surroundings;

pub(crate) fn runs(args: &args::Runs) -> Result<(), Fault> {
    let store = surroundings::existing_store(args.store.as_deref(), None)?;
    let (records, all) = surroundings::runtime()?.block_on(async {
        let ids = store.runs().await?;
        let mut records = Vec::new();
        for id in &ids {
            if records.len() as u64 >= args.limit {
                break;
            }
            // One record that cannot be read must not hide the others.
            match store.run(id).await {
                Ok(record) => records.push(record),
                Err(fault) => tracing::warn!(%fault),
            }
        }
        Ok::<_, Fault>((records, ids.len()))
    })?;
    match args.json {
        true => {
            for record in &records {
                out(&(inert(serde_json::to_string(record).map_err(Fault::internal)?) + "\n"))?;
            }
        }
        false if all == 0 => out("no runs yet\n")?,
        false => out(&table(&records))?,
    }
    Ok(())
}

fn table(records: &[Record]) -> String {
    let mut table = Table::new(["RUN", "STARTED", "STEP", "TOOK", "OUTCOME"]);
    records.iter().for_each(|record| table.row(row(record)));
    table.to_string()
}

fn row(record: &Record) -> [String; 5] {
    let timings = &record.timings;
    let micros = timings.prepare_us + timings.stage_us + timings.invoke_us + timings.publish_us;
    let id = record.id.as_str();
    // The end of an id tells runs apart; the beginning is the time.
    let short = id
        .char_indices()
        .rev()
        .nth(11)
        .map_or(id, |(at, _)| &id[at..]);
    [
        short.to_owned(),
        timings.started.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        file_name(&record.step.reference),
        duration(micros),
        record.outcome.word(),
    ]
}
