//! Splits a CSV table by row number: the same rows on every run.

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "example:split/split",
    generate_all,
});

use std::io::{BufRead, Write};

struct Component;

impl Guest for Component {
    fn run(data: Input, train: Output, test: Output, every: u32) -> Result<Counts, String> {
        if every < 2 {
            return Err(format!("every is {every}; it must be 2 or more"));
        }
        for part in [&train, &test] {
            part.set_media_type("text/csv").map_err(text)?;
        }
        let reader = artifact_io::reader(|offset, len| data.read(offset, len));
        let train = artifact_io::writer(|bytes| train.write(bytes));
        let test = artifact_io::writer(|bytes| test.write(bytes));
        split(reader, train, test, u64::from(every))
    }
}

fn split(
    mut data: impl BufRead,
    mut train: impl Write,
    mut test: impl Write,
    every: u64,
) -> Result<Counts, String> {
    let mut counts = Counts {
        train_rows: 0,
        test_rows: 0,
    };
    let mut line = Vec::new();
    if data.read_until(b'\n', &mut line).map_err(text)? == 0 {
        return Err("the table is empty: it has no header".to_owned());
    }
    train
        .write_all(&line)
        .and_then(|()| test.write_all(&line))
        .map_err(text)?;
    line.clear();
    while data.read_until(b'\n', &mut line).map_err(text)? > 0 {
        if (counts.train_rows + counts.test_rows + 1).is_multiple_of(every) {
            counts.test_rows += 1;
            test.write_all(&line).map_err(text)?;
        } else {
            counts.train_rows += 1;
            train.write_all(&line).map_err(text)?;
        }
        line.clear();
    }
    train.flush().and_then(|()| test.flush()).map_err(text)?;
    Ok(counts)
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

export!(Component);
