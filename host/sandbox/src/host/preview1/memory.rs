//! The guest's memory: everything that is read or written there is checked
//! against its bounds here.

use wasmtime::Trap;

use super::abi::Errno;
use super::{Answer, Refusal};

/// Longest path in bytes, as on Linux.
const MAX_PATH_BYTES: u32 = 4096;

/// Most buffers of one read or write, as on Linux.
const MAX_VECTORS: u32 = 1024;

/// Bytes of a `ciovec` or `iovec`.
const VECTOR_BYTES: u32 = 8;

/// The linear memory of a module, which is at most 4 GiB.
#[derive(Debug)]
pub(super) struct GuestMemory<'a>(pub(super) &'a mut [u8]);

/// A list of buffers in the guest's memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vectors {
    at: u32,
    pub(super) count: u32,
}

impl Vectors {
    pub(super) fn new(at: u32, count: u32) -> Answer<Self> {
        match count <= MAX_VECTORS {
            true => Ok(Self { at, count }),
            false => Err(Errno::Invalid.into()),
        }
    }
}

impl GuestMemory<'_> {
    /// Bytes to read.
    pub(super) fn bytes(&self, at: u32, len: u32) -> Result<&[u8], Trap> {
        let from = at as usize;
        let to = from.checked_add(len as usize);
        let bytes = to.and_then(|to| self.0.get(from..to));
        bytes.ok_or(Trap::MemoryOutOfBounds)
    }

    /// Bytes to write.
    pub(super) fn bytes_mut(&mut self, at: u32, len: u32) -> Result<&mut [u8], Trap> {
        let from = at as usize;
        let to = from.checked_add(len as usize);
        let bytes = to.and_then(|to| self.0.get_mut(from..to));
        bytes.ok_or(Trap::MemoryOutOfBounds)
    }

    pub(super) fn read<const N: usize>(&self, at: u32) -> Result<[u8; N], Trap> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.bytes(at, N as u32)?);
        Ok(bytes)
    }

    pub(super) fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Trap> {
        let len = u32::try_from(bytes.len()).map_err(|_| Trap::MemoryOutOfBounds)?;
        self.bytes_mut(at, len)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn write_u32(&mut self, at: u32, value: u32) -> Answer {
        Ok(self.write(at, &value.to_le_bytes())?)
    }

    pub(super) fn write_u64(&mut self, at: u32, value: u64) -> Answer {
        Ok(self.write(at, &value.to_le_bytes())?)
    }

    /// A path, which is text.
    pub(super) fn path(&self, at: u32, len: u32) -> Answer<&str> {
        let bytes = self.bytes(at, len)?;
        if len > MAX_PATH_BYTES {
            return Err(Errno::NameTooLong.into());
        }
        std::str::from_utf8(bytes).map_err(|_| Errno::IllegalByteSequence.into())
    }

    /// Address and length of a buffer.
    pub(super) fn vector(&self, vectors: Vectors, index: u32) -> Answer<(u32, u32)> {
        let at = index
            .checked_mul(VECTOR_BYTES)
            .and_then(|offset| vectors.at.checked_add(offset))
            .ok_or(Refusal::from(Trap::MemoryOutOfBounds))?;
        let [a, b, c, d, e, f, g, h] = self.read(at)?;
        let at = u32::from_le_bytes([a, b, c, d]);
        let len = u32::from_le_bytes([e, f, g, h]);
        Ok((at, len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_reached_beyond_the_end() {
        let mut bytes = [1, 2, 3, 4];
        let mut memory = GuestMemory(&mut bytes);
        assert_eq!(memory.bytes(1, 3).unwrap(), [2, 3, 4]);
        assert!(memory.bytes(4, 0).unwrap().is_empty());
        for (at, len) in [(0, 5), (4, 1), (5, 0), (1, u32::MAX), (u32::MAX, u32::MAX)] {
            assert!(memory.bytes(at, len).is_err(), "{at} {len}");
            assert!(memory.bytes_mut(at, len).is_err(), "{at} {len}");
        }
        assert!(memory.write(2, &[0; 3]).is_err());
        assert_eq!(bytes, [1, 2, 3, 4]);
    }

    #[test]
    fn paths_are_short_text() {
        let mut bytes = [b'a'; 5000];
        bytes[4999] = 0xff;
        let memory = GuestMemory(&mut bytes);
        assert_eq!(memory.path(0, 2).unwrap(), "aa");
        let errno = |at, len| match memory.path(at, len) {
            Err(Refusal::Errno(errno)) => Some(errno),
            _ => None,
        };
        assert_eq!(errno(0, 4097), Some(Errno::NameTooLong));
        assert_eq!(errno(4998, 2), Some(Errno::IllegalByteSequence));
        assert_eq!(errno(4999, 2), None);
        assert!(Vectors::new(0, 1025).is_err());
    }
}
