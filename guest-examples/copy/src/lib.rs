//! Streams an input to an output in chunks, and says how far it has come.

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "example:copy/copy",
    generate_all,
});

use wharf::step::telemetry;

/// The chunk where the caller does not choose one.
const DEFAULT_CHUNK_KIB: u32 = 1024;
/// One call moves at most 4 MiB: see `input.read` and `output.write`.
const MAX_CHUNK_KIB: u32 = 4096;

struct Component;

impl Guest for Component {
    fn run(data: Input, copy: Output, chunk_kib: Option<u32>) -> Result<u64, String> {
        let chunk = chunk_bytes(chunk_kib)?;
        let size = data.size();
        let mut done = 0;
        while done < size {
            let bytes = data.read(done, chunk).map_err(|error| error.to_string())?;
            if bytes.is_empty() {
                return Err(format!("the input ends after {done} of {size} bytes"));
            }
            copy.write(&bytes).map_err(|error| error.to_string())?;
            done += bytes.len() as u64;
            telemetry::progress(done, Some(size), "bytes");
        }
        Ok(done)
    }
}

/// The bytes that one read takes.
fn chunk_bytes(chunk_kib: Option<u32>) -> Result<u32, String> {
    match chunk_kib.unwrap_or(DEFAULT_CHUNK_KIB) {
        kib @ 1..=MAX_CHUNK_KIB => Ok(kib * 1024),
        kib => Err(format!(
            "chunk-kib is {kib}; it must be 1 to {MAX_CHUNK_KIB}"
        )),
    }
}

export!(Component);
