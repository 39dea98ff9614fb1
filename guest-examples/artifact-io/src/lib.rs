//! Artifacts as `std::io` readers and writers.
//!
//! Each guest has its own generated `Input` and `Output` types, so these take
//! closures over the two calls that matter.

use std::io::{self, BufReader, BufWriter, Read, Write};

/// Large enough to make the cost of a call into the host disappear.
const BUFFER: usize = 1 << 20;

/// Reads an artifact from its start, through a buffer. `read_at` takes an offset
/// and a length, as `input.read` does.
pub fn reader<F, E>(read_at: F) -> BufReader<impl Read>
where
    F: FnMut(u64, u32) -> Result<Vec<u8>, E>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    BufReader::with_capacity(BUFFER, ArtifactReader { read_at, offset: 0 })
}

/// Writes an artifact through a buffer; flush it at the end. `append` takes
/// bytes, as `output.write` does.
pub fn writer<F, E>(append: F) -> BufWriter<impl Write>
where
    F: FnMut(&[u8]) -> Result<(), E>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    BufWriter::with_capacity(BUFFER, ArtifactWriter { append })
}

struct ArtifactReader<F> {
    read_at: F,
    offset: u64,
}

impl<F, E> Read for ArtifactReader<F>
where
    F: FnMut(u64, u32) -> Result<Vec<u8>, E>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(BUFFER) as u32;
        let bytes = (self.read_at)(self.offset, length).map_err(io::Error::other)?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }
}

struct ArtifactWriter<F> {
    append: F,
}

impl<F, E> Write for ArtifactWriter<F>
where
    F: FnMut(&[u8]) -> Result<(), E>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(BUFFER)];
        (self.append)(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// An artifact in memory that gives at most 3 bytes a call.
    fn read_at(data: &[u8], offset: u64, len: u32) -> Result<Vec<u8>, io::Error> {
        let start = (offset as usize).min(data.len());
        let end = (start + len.min(3) as usize).min(data.len());
        Ok(data[start..end].to_vec())
    }

    #[test]
    fn reads_everything_in_order() {
        let data: Vec<u8> = (0..=255).collect();
        let mut read = Vec::new();
        reader(|offset, len| read_at(&data, offset, len))
            .read_to_end(&mut read)
            .unwrap();
        assert_eq!(read, data);
    }

    #[test]
    fn writes_no_more_than_a_buffer_at_a_time() {
        let mut calls = Vec::new();
        let mut sink = writer(|bytes| {
            calls.push(bytes.len());
            Ok::<(), Infallible>(())
        });
        sink.write_all(&vec![0; BUFFER * 2 + 5]).unwrap();
        sink.flush().unwrap();
        drop(sink);
        assert!(calls.iter().all(|length| *length <= BUFFER));
        assert_eq!(calls.iter().sum::<usize>(), BUFFER * 2 + 5);
    }

    #[test]
    fn an_error_keeps_its_text() {
        let error = reader(|_, _| Err::<Vec<u8>, _>("gone"))
            .read_to_end(&mut Vec::new())
            .unwrap_err();
        assert_eq!(error.to_string(), "gone");
    }
}
