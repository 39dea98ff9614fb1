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
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(&word)).collect();
        for chunk in lines.join("\n").as_bytes().chunks(CHUNK as usize) {
            kept.write(chunk).map_err(|error| error.to_string())?;
        }
        Ok(lines.len() as u32)
    }
}

export!(Step);
