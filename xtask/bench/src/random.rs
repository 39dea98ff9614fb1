//! Files of random bytes: no file system can leave any of one out.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;

/// A file of so many bytes in a folder, made once.
pub(crate) fn random_file(folder: &Path, bytes: u64) -> Result<PathBuf> {
    let path = folder.join(format!("random-{bytes}"));
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() == bytes) {
        return Ok(path);
    }
    let partial = path.with_extension("partial");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&partial)?);
    let mut state = bytes;
    for _ in 0..bytes / 8 {
        file.write_all(&next(&mut state).to_le_bytes())?;
    }
    file.into_inner()?.sync_all()?;
    fs::rename(&partial, &path)?;
    Ok(path)
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
