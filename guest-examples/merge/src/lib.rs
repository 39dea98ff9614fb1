//! Makes one output of any number of inputs: a `list<input>`.

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "example:merge/merge",
    generate_all,
});

use flights::{Summary, Year};

struct Component;

impl Guest for Component {
    fn run(months: Vec<Input>, table: Output) -> Result<Totals, String> {
        let mut year = Year::default();
        for month in &months {
            let reader = artifact_io::reader(|offset, len| month.read(offset, len));
            year.add(Summary::read(reader)?)?;
        }
        table
            .set_media_type("text/csv")
            .map_err(|error| error.to_string())?;
        year.write(artifact_io::writer(|bytes| table.write(bytes)))?;
        let total = year.total();
        Ok(Totals {
            months: months.len() as u32,
            flights: total.flights,
            cancelled: total.cancelled,
            mean_delay: total.mean_delay(),
        })
    }
}

export!(Component);
