//! One partition of a table that is larger than memory: read row by row.

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "example:summarise/summarise",
    generate_all,
});

use flights::Summary;

struct Component;

impl Guest for Component {
    fn run(month: String, flights: Input, summary: Output) -> Result<Counts, String> {
        let reader = artifact_io::reader(|offset, len| flights.read(offset, len));
        let counted = Summary::of(reader, month.parse()?)?;
        summary
            .set_media_type("text/csv")
            .map_err(|error| error.to_string())?;
        counted.write(artifact_io::writer(|bytes| summary.write(bytes)))?;
        let total = counted.total();
        Ok(Counts {
            flights: total.flights,
            cancelled: total.cancelled,
            mean_delay: total.mean_delay(),
        })
    }
}

export!(Component);
