//! Fills the disk: in bytes, in files, and in bytes that are not there.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};

/// Larger than any disk that a test runs on, smaller than any limit of a file system.
const TIB: u64 = 1 << 40;

/// Writes to one file until that fails.
pub fn one_file() {
    let block = vec![b'x'; 1 << 20];
    let mut file = File::create("/out/data").expect("the output can be created");
    for count in 0_u64.. {
        if let Err(error) = file.write_all(&block) {
            eprintln!("after {count} MiB: {error}");
            std::process::exit(1);
        }
    }
}

/// Creates empty files until that fails: no bytes, yet room for each name.
pub fn many_files() {
    fs::create_dir_all("/out/data").expect("the output can be created");
    for count in 0_u64.. {
        if let Err(error) = File::create(format!("/out/data/{count}")) {
            eprintln!("after {count} files: {error}");
            std::process::exit(1);
        }
    }
}

/// Makes a file that is huge by its length alone, in two ways.
pub fn sparse() {
    let mut file = File::create("/out/data").expect("the output can be created");
    let outcome = file.set_len(TIB);
    println!("set length: {outcome:?}");
    let outcome = file
        .seek(SeekFrom::Start(TIB))
        .and_then(|_| file.write_all(b"end"));
    println!("write far away: {outcome:?}");
}
