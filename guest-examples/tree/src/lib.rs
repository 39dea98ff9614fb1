//! Reads a folder of files and writes another, one file at a time.

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "example:tree/tree",
    generate_all,
});

use std::io::{self, BufRead, Write};

use serde::Serialize;
use wharf::step::artifacts::Entry;
use wharf::step::telemetry;

/// One line of the index.
#[derive(Serialize)]
struct Indexed {
    path: String,
    size: u64,
}

struct Component;

impl Guest for Component {
    fn run(source: InputTree, target: OutputTree) -> Result<Totals, String> {
        let entries = source.entries();
        let count = entries.len() as u64;
        let mut index = Vec::new();
        for (done, entry) in (1..).zip(entries) {
            let size = convert(&source, &target, &entry)?;
            index.push(Indexed {
                path: entry.path,
                size,
            });
            telemetry::progress(done, Some(count), "files");
        }
        write_index(&target, &index)?;
        Ok(Totals {
            files: index.len() as u32,
            bytes: index.iter().map(|file| file.size).sum(),
        })
    }
}

/// Converts one file. Both handles are dropped at its end, so that the number of
/// files does not matter.
fn convert(source: &InputTree, target: &OutputTree, entry: &Entry) -> Result<u64, String> {
    let input = source.open(&entry.path).map_err(text)?;
    let output = target.create(&entry.path).map_err(text)?;
    let reader = artifact_io::reader(|offset, len| input.read(offset, len));
    let writer = artifact_io::writer(|bytes| output.write(bytes));
    capitals(reader, writer).map_err(text)
}

fn capitals(mut reader: impl BufRead, mut writer: impl Write) -> io::Result<u64> {
    let mut size = 0;
    loop {
        let bytes = reader.fill_buf()?.to_ascii_uppercase();
        if bytes.is_empty() {
            return writer.flush().map(|()| size);
        }
        writer.write_all(&bytes)?;
        size += bytes.len() as u64;
        reader.consume(bytes.len());
    }
}

fn write_index(target: &OutputTree, index: &[Indexed]) -> Result<(), String> {
    let mut json = serde_json::to_string_pretty(index).map_err(text)?;
    json.push('\n');
    let output = target.create("index.json").map_err(text)?;
    output.set_media_type("application/json").map_err(text)?;
    output.write(json.as_bytes()).map_err(text)
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

export!(Component);
