wit_bindgen::generate!({ path: ["../../wit", "wit"], world: "example:lines/lines", generate_all });

/// The most that one call reads or writes.
const CHUNK: u32 = 4 << 20;

struct Step;

impl Guest for Step {
    fn run(text: Input, kept: Output, word: String) -> Result<u32, String> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < text.size() {
            let chunk = text
                .read(bytes.len() as u64, CHUNK)
                .map_err(|error| error.to_string())?;
            bytes.extend(chunk);
        }
        let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
        let mut lines = String::new();
        let mut count = 0;
        for line in text.lines().filter(|line| line.contains(&word)) {
            lines += &format!("{line}\n");
            count += 1;
        }
        for chunk in lines.as_bytes().chunks(CHUNK as usize) {
            kept.write(chunk).map_err(|error| error.to_string())?;
        }
        Ok(count)
    }
}

export!(Step);
