//! Where compiled code lies until it is loaded.
//!
//! Code from the cache is copied once, while it is hashed, into memory that is
//! then sealed: a file without a name that nobody can change any more, this
//! process included. wasmtime maps it, so that only the parts that run are ever
//! touched.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// Compiled code, ready to be loaded.
#[derive(Debug)]
pub(crate) enum CompiledCode {
    /// In ordinary memory.
    Memory(Vec<u8>),
    /// In sealed memory.
    Sealed(Sealed),
}

/// A file in memory that cannot be changed.
#[derive(Debug)]
pub(crate) struct Sealed(File);

impl Sealed {
    /// Where this process can open it.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// Memory that is written once, then sealed.
#[derive(Debug)]
pub(crate) struct Unsealed(File);

impl Unsealed {
    /// Fails where the system has no such files, or no `/proc`.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let unsealed = Self(memfd_create("wharf-code", flags)?.into());
        // What cannot be opened by path cannot be mapped by wasmtime.
        std::fs::metadata(Sealed(unsealed.0.try_clone()?).path())?;
        Ok(unsealed)
    }

    pub(crate) fn seal(self) -> io::Result<Sealed> {
        let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&self.0, all)?;
        Ok(Sealed(self.0))
    }
}

impl Write for Unsealed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_cannot_be_changed() {
        let mut unsealed = Unsealed::new().unwrap();
        unsealed.write_all(b"code").unwrap();
        let sealed = unsealed.seal().unwrap();
        assert_eq!(std::fs::read(sealed.path()).unwrap(), b"code");
        let mut again = File::options().write(true).open(sealed.path()).unwrap();
        assert!(again.write_all(b"evil").is_err());
        assert!(again.set_len(0).is_err());
    }
}
