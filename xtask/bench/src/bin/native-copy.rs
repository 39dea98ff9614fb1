//! The yardstick of `copy`: copies a file, hashes what it read and what it
//! wrote, and makes the copy durable, as one would write it by hand.
//!
//! One thread reads and writes, one hashes the input, one the output. Buffers go
//! round, so that memory is bounded and warm. Both hashes are of the same bytes
//! here; they are computed twice because a host that runs somebody else's code
//! cannot know that.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest, Sha256};

const CHUNK: usize = 1 << 20;
/// Chunks on their way at a time.
const CHUNKS: usize = 16;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [from, to] = &arguments[..] else {
        bail!("native-copy FROM TO");
    };
    let (read, written) = copy(from, to)?;
    print(&format!("{read}\n{written}\n"))
}

/// Copies and returns both hashes.
fn copy(from: &Path, to: &Path) -> Result<(String, String)> {
    let mut input = File::open(from)?;
    let partial = to.with_extension("partial");
    let mut output = File::create_new(&partial)?;
    let (input_hasher, input_hash) = hasher();
    let (output_hasher, output_hash) = hasher();
    let mut pool = Pool::default();
    loop {
        let mut chunk = pool.take();
        let buffer = Arc::get_mut(&mut chunk).context("a chunk is in use")?;
        let length = fill(&mut input, buffer)?;
        if length == 0 {
            break;
        }
        input_hasher.send((chunk.clone(), length))?;
        output.write_all(&chunk[..length])?;
        output_hasher.send((chunk.clone(), length))?;
        pool.give(chunk);
    }
    drop((input_hasher, output_hasher));
    output.sync_all()?;
    let hashes = (join(input_hash)?, join(output_hash)?);
    fs::rename(&partial, to)?;
    File::open(to.parent().context("no folder")?)?.sync_all()?;
    Ok(hashes)
}

type Chunk = (Arc<[u8]>, usize);

/// A thread that hashes what it is sent.
fn hasher() -> (SyncSender<Chunk>, JoinHandle<String>) {
    let (sender, receiver): (_, Receiver<Chunk>) = sync_channel(CHUNKS / 2);
    let thread = thread::spawn(move || {
        let mut hasher = Sha256::new();
        for (chunk, length) in receiver {
            hasher.update(&chunk[..length]);
        }
        let digest = hasher.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    });
    (sender, thread)
}

fn join(thread: JoinHandle<String>) -> Result<String> {
    thread.join().ok().context("a hashing thread panicked")
}

/// Chunks that are used again once nobody hashes them.
#[derive(Default)]
struct Pool {
    chunks: Vec<Arc<[u8]>>,
}

impl Pool {
    /// A chunk that is free; a new one where none is. The queues bound how many
    /// there can be.
    fn take(&mut self) -> Arc<[u8]> {
        let free = self
            .chunks
            .iter()
            .position(|chunk| Arc::strong_count(chunk) == 1);
        match free {
            Some(at) => self.chunks.swap_remove(at),
            None => Arc::from(vec![0; CHUNK]),
        }
    }

    fn give(&mut self, chunk: Arc<[u8]>) {
        self.chunks.push(chunk);
    }
}

fn fill(input: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match input.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

fn print(text: &str) -> Result<()> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}
