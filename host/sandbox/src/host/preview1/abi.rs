//! Numbers and layouts of the interface, as its specification
//! (`wasi_snapshot_preview1.witx`) gives them. Everything is little-endian.

use std::time::Duration;

use super::super::files::{Kind, Mistake, Stat, inode};

/// The errors that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Errno {
    BadDescriptor = 8,
    Exist = 20,
    IllegalByteSequence = 25,
    Invalid = 28,
    IsDirectory = 31,
    NameTooLong = 37,
    NoEntry = 44,
    NotDirectory = 54,
    NotEmpty = 55,
    NotSocket = 57,
    NotSupported = 58,
    Overflow = 61,
    NotPermitted = 63,
    ReadOnly = 69,
    InvalidSeek = 70,
}

impl From<Mistake> for Errno {
    fn from(mistake: Mistake) -> Self {
        match mistake {
            Mistake::NoEntry => Self::NoEntry,
            Mistake::Exist => Self::Exist,
            Mistake::IsDirectory => Self::IsDirectory,
            Mistake::NotDirectory => Self::NotDirectory,
            Mistake::NotEmpty => Self::NotEmpty,
            Mistake::ReadOnly => Self::ReadOnly,
            Mistake::NotPermitted => Self::NotPermitted,
            Mistake::Invalid => Self::Invalid,
            Mistake::NameTooLong => Self::NameTooLong,
            Mistake::IllegalByteSequence => Self::IllegalByteSequence,
        }
    }
}

/// Clocks; the two of processor time are not provided.
pub(super) mod clock {
    pub(in super::super) const REALTIME: u32 = 0;
    pub(in super::super) const MONOTONIC: u32 = 1;
}

/// Flags of an open file.
pub(super) mod fdflags {
    pub(in super::super) const APPEND: u16 = 1;
    pub(in super::super) const NONBLOCK: u16 = 1 << 2;
    pub(in super::super) const ALL: u16 = (1 << 5) - 1;
}

/// How to open a path.
pub(super) mod oflags {
    pub(in super::super) const CREATE: u32 = 1;
    pub(in super::super) const DIRECTORY: u32 = 1 << 1;
    pub(in super::super) const EXCLUSIVE: u32 = 1 << 2;
    pub(in super::super) const TRUNCATE: u32 = 1 << 3;
    pub(in super::super) const ALL: u32 = (1 << 4) - 1;
}

/// Which times to set.
pub(super) mod fstflags {
    const ACCESSED: u32 = 1;
    const ACCESSED_NOW: u32 = 1 << 1;
    const MODIFIED: u32 = 1 << 2;
    const MODIFIED_NOW: u32 = 1 << 3;
    const ALL: u32 = (1 << 4) - 1;

    /// Whether the flags do not contradict each other.
    pub(in super::super) const fn is_valid(flags: u32) -> bool {
        const A: u32 = ACCESSED | ACCESSED_NOW;
        const M: u32 = MODIFIED | MODIFIED_NOW;
        flags & !ALL == 0 && flags & A != A && flags & M != M
    }
}

/// What a descriptor may be used for. Rights are not enforced; they are what
/// C libraries derive the mode of a descriptor from.
pub(super) mod rights {
    pub(in super::super) const FD_READ: u64 = 1 << 1;
    pub(in super::super) const FD_WRITE: u64 = 1 << 6;
    const FD_DATASYNC: u64 = 1;
    const FD_SEEK: u64 = 1 << 2;
    const FD_SET_FLAGS: u64 = 1 << 3;
    const FD_SYNC: u64 = 1 << 4;
    const FD_TELL: u64 = 1 << 5;
    const FD_ADVISE: u64 = 1 << 7;
    const FD_ALLOCATE: u64 = 1 << 8;
    const PATH_CREATE_FOLDER: u64 = 1 << 9;
    const PATH_CREATE_FILE: u64 = 1 << 10;
    const PATH_OPEN: u64 = 1 << 13;
    const FD_READDIR: u64 = 1 << 14;
    const PATH_READLINK: u64 = 1 << 15;
    const PATH_RENAME: u64 = 1 << 16 | 1 << 17;
    const PATH_STAT: u64 = 1 << 18;
    const PATH_SET_TIMES: u64 = 1 << 20;
    const FD_STAT: u64 = 1 << 21;
    const FD_SET_SIZE: u64 = 1 << 22;
    const FD_SET_TIMES: u64 = 1 << 23;
    const PATH_REMOVE: u64 = 1 << 25 | 1 << 26;
    const POLL: u64 = 1 << 27;

    /// For folders.
    pub(in super::super) const FOLDER: u64 = PATH_CREATE_FOLDER
        | PATH_CREATE_FILE
        | PATH_OPEN
        | FD_READDIR
        | PATH_READLINK
        | PATH_RENAME
        | PATH_STAT
        | PATH_SET_TIMES
        | FD_STAT
        | FD_SET_TIMES
        | PATH_REMOVE;

    const OF_ANY_FILE: u64 =
        FD_SEEK | FD_SET_FLAGS | FD_SYNC | FD_TELL | FD_ADVISE | FD_STAT | FD_SET_TIMES | POLL;

    const OF_WRITTEN_FILE: u64 = FD_WRITE | FD_DATASYNC | FD_ALLOCATE | FD_SET_SIZE;

    /// For what is opened in a folder. Also in `/in`: a C library asks for no
    /// more than this, and a file opened for writing must be refused rather
    /// than opened for reading.
    pub(in super::super) const IN_FOLDER: u64 = FOLDER | OF_ANY_FILE | FD_READ | OF_WRITTEN_FILE;

    /// For an open file.
    pub(in super::super) const fn of_file(reads: bool, writes: bool) -> u64 {
        OF_ANY_FILE | if reads { FD_READ } else { 0 } | if writes { OF_WRITTEN_FILE } else { 0 }
    }
}

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum FileType {
    Unknown = 0,
    Directory = 3,
    RegularFile = 4,
}

impl From<Kind> for FileType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Folder => Self::Directory,
            Kind::File => Self::RegularFile,
        }
    }
}

/// A record of `N` bytes, filled field by field.
struct Record<const N: usize>([u8; N]);

impl<const N: usize> Record<N> {
    const fn new() -> Self {
        Self([0; N])
    }

    fn with<const M: usize>(mut self, at: usize, bytes: [u8; M]) -> Self {
        self.0[at..at + M].copy_from_slice(&bytes);
        self
    }
}

/// `fdstat`
pub(super) fn fdstat(kind: FileType, flags: u16, base: u64, inheriting: u64) -> [u8; 24] {
    Record::new()
        .with(0, [kind as u8])
        .with(2, flags.to_le_bytes())
        .with(8, base.to_le_bytes())
        .with(16, inheriting.to_le_bytes())
        .0
}

/// `filestat` of a file or folder; all three times are the same.
pub(super) fn filestat(stat: &Stat, time: Duration) -> [u8; 64] {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let (device, links): (u64, u64) = (1, 1);
    Record::new()
        .with(0, device.to_le_bytes())
        .with(8, inode(&stat.identity).0.to_le_bytes())
        .with(16, [FileType::from(stat.kind) as u8])
        .with(24, links.to_le_bytes())
        .with(32, stat.size.to_le_bytes())
        .with(40, nanos.to_le_bytes())
        .with(48, nanos.to_le_bytes())
        .with(56, nanos.to_le_bytes())
        .0
}

/// `filestat` of a standard stream.
pub(super) const STREAM_FILESTAT: [u8; 64] = [0; 64];

/// `prestat` of a folder.
pub(super) fn prestat(name_len: u32) -> [u8; 8] {
    Record::new().with(4, name_len.to_le_bytes()).0
}

/// The part of a `dirent` before the name.
pub(super) fn dirent(next: u64, inode: u64, name_len: u32, kind: FileType) -> [u8; 24] {
    Record::new()
        .with(0, next.to_le_bytes())
        .with(8, inode.to_le_bytes())
        .with(16, name_len.to_le_bytes())
        .with(20, [kind as u8])
        .0
}

/// Bytes of a `subscription`.
pub(super) const SUBSCRIPTION_BYTES: u32 = 48;
/// Bytes of an `event`.
pub(super) const EVENT_BYTES: u32 = 32;

/// What a guest waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Clock {
        clock: u32,
        timeout: u64,
        /// Whether the timeout is an instant, not a duration.
        absolute: bool,
    },
    Read {
        fd: u32,
    },
    Write {
        fd: u32,
    },
}

/// `subscription`: what it is for, and the guest's own mark. `None` where it is
/// for nothing known.
pub(super) fn subscription(bytes: &[u8; SUBSCRIPTION_BYTES as usize]) -> Option<(Wanted, u64)> {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let fd = word(16) as u32;
    let wanted = match bytes[8] {
        0 => Wanted::Clock {
            clock: word(16) as u32,
            timeout: word(24),
            absolute: word(40) & 1 != 0,
        },
        1 => Wanted::Read { fd },
        2 => Wanted::Write { fd },
        _ => return None,
    };
    Some((wanted, word(0)))
}

/// `event`: the subscription's mark, its type, and how it ended.
pub(super) fn event(
    mark: u64,
    wanted: &Wanted,
    error: Option<Errno>,
    bytes: u64,
    at_end: bool,
) -> [u8; EVENT_BYTES as usize] {
    let kind = match wanted {
        Wanted::Clock { .. } => 0,
        Wanted::Read { .. } => 1,
        Wanted::Write { .. } => 2,
    };
    let error = error.map_or(0, |errno| errno as u16);
    Record::new()
        .with(0, mark.to_le_bytes())
        .with(8, error.to_le_bytes())
        .with(10, [kind])
        .with(16, bytes.to_le_bytes())
        .with(24, u16::from(at_end).to_le_bytes())
        .0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_layout_of_the_specification() {
        let fdstat = fdstat(FileType::RegularFile, fdflags::APPEND, 2, 3);
        assert_eq!((fdstat[0], fdstat[2], fdstat[8], fdstat[16]), (4, 1, 2, 3));
        let stat = Stat {
            kind: Kind::Folder,
            size: 5,
            identity: "/in/".to_owned(),
        };
        let filestat = filestat(&stat, Duration::from_nanos(7));
        assert_eq!((filestat[0], filestat[16], filestat[24]), (1, 3, 1));
        assert_eq!((filestat[32], filestat[40], filestat[56]), (5, 7, 7));
        let dirent = dirent(1, 2, 3, FileType::Directory);
        assert_eq!((dirent[0], dirent[8], dirent[16], dirent[20]), (1, 2, 3, 3));
        assert_eq!(prestat(4), [0, 0, 0, 0, 4, 0, 0, 0]);
    }

    #[test]
    fn subscriptions_are_read_and_answered() {
        let mut bytes = [0; 48];
        (bytes[0], bytes[16], bytes[24], bytes[40]) = (9, 1, 50, 1);
        let clock = Wanted::Clock {
            clock: clock::MONOTONIC,
            timeout: 50,
            absolute: true,
        };
        assert_eq!(subscription(&bytes), Some((clock, 9)));
        bytes[8] = 2;
        assert_eq!(subscription(&bytes), Some((Wanted::Write { fd: 1 }, 9)));
        bytes[8] = 3;
        assert_eq!(subscription(&bytes), None);
        let event = event(
            9,
            &Wanted::Read { fd: 0 },
            Some(Errno::BadDescriptor),
            6,
            true,
        );
        assert_eq!((event[0], event[8], event[10]), (9, 8, 1));
        assert_eq!((event[16], event[24]), (6, 1));
    }

    #[test]
    fn times_may_not_be_given_and_now() {
        assert!(fstflags::is_valid(0b0101));
        assert!(fstflags::is_valid(0b1010));
        assert!(!fstflags::is_valid(0b0011));
        assert!(!fstflags::is_valid(0b1100));
        assert!(!fstflags::is_valid(0b10000));
    }
}
