//! `wharf show`.

mod pipeline;
mod step;

use crate::args;
use crate::ending::Ending;
use crate::found::Found;
use crate::report::{inert, out, plain};
use crate::{stack, surroundings};

pub(crate) fn show(args: &args::Show) -> Result<(), Ending> {
    let store = stack::existing_store(&args.within)?;
    let text = surroundings::runtime()?.block_on(async {
        match args.run.find(&store).await? {
            Found::Step(record) => {
                let events = match args.logs {
                    true => store.events(&record.id).await?,
                    false => Vec::new(),
                };
                match args.json {
                    true => step::as_json(&record, &events).map(inert),
                    false => Ok(step::as_text(&record, &events)),
                }
            }
            Found::Pipeline(run) => {
                let told = pipeline::told(&store, &run, args).await?;
                match args.json {
                    true => pipeline::as_json(&run, &told).map(inert),
                    false => Ok(pipeline::as_text(&run, &told)),
                }
            }
        }
    })?;
    Ok(out(&text)?)
}

/// Lines of a name and a value, which may have several lines, and be anybody's.
#[derive(Debug, Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: &str) {
        let mut lines = value.lines().map(plain);
        let first = lines.next().unwrap_or_default();
        self.0.push_str(&format!("{name:12} {first}\n"));
        lines.for_each(|line| self.0.push_str(&format!("{:12} {line}\n", "")));
    }

    fn text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_lines_and_do_nothing() {
        let mut lines = Lines::default();
        lines.add("input", "data = e\x1b[31m\u{202e}\n5 B");
        assert_eq!(
            lines.text(),
            "input        data = e\\u{1b}[31m\\u{202e}\n             5 B\n"
        );
    }
}
