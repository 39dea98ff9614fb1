//! Functions on paths, and the listing of folders.

use super::super::files::{Entry, Kind, Node, Open, child, inode, parent};
use super::abi::{self, Errno, FileType, fdflags, fstflags, oflags, rights};
use super::descriptors::{Descriptor, Folder, OpenFile};
use super::{Answer, Guest};

impl Guest<'_> {
    fn folder(&self, fd: u32) -> Result<&Node, Errno> {
        self.state.process.descriptors.folder(fd)
    }
}

pub(super) fn path_create_directory(guest: &mut Guest<'_>, fd: u32, path: u32, len: u32) -> Answer {
    let path = guest.memory.path(path, len)?;
    Ok(guest.folder(fd)?.create_folder_at(path)?)
}

pub(super) fn path_filestat_get(
    guest: &mut Guest<'_>,
    fd: u32,
    _: u32,
    path: u32,
    len: u32,
    result: u32,
) -> Answer {
    let path = guest.memory.path(path, len)?;
    let stat = guest.folder(fd)?.stat_at(path)?;
    let stat = abi::filestat(&stat, guest.state.files.time());
    Ok(guest.memory.write(result, &stat)?)
}

#[expect(clippy::too_many_arguments, reason = "the specification says so")]
pub(super) fn path_filestat_set_times(
    guest: &mut Guest<'_>,
    fd: u32,
    _: u32,
    path: u32,
    len: u32,
    _: u64,
    _: u64,
    flags: u32,
) -> Answer {
    if !fstflags::is_valid(flags) {
        return Err(Errno::Invalid.into());
    }
    let path = guest.memory.path(path, len)?;
    Ok(guest.folder(fd)?.set_times_at(path)?)
}

#[expect(clippy::too_many_arguments, reason = "the specification says so")]
pub(super) fn path_link(
    guest: &mut Guest<'_>,
    fd: u32,
    _: u32,
    path: u32,
    len: u32,
    new_fd: u32,
    new_path: u32,
    new_len: u32,
) -> Answer {
    guest.memory.path(path, len)?;
    guest.memory.path(new_path, new_len)?;
    guest.folder(fd)?;
    guest.folder(new_fd)?;
    Err(Errno::NotPermitted.into())
}

#[expect(clippy::too_many_arguments, reason = "the specification says so")]
pub(super) fn path_open(
    guest: &mut Guest<'_>,
    fd: u32,
    _: u32,
    path: u32,
    len: u32,
    oflags: u32,
    rights: u64,
    _: u64,
    flags: u32,
    result: u32,
) -> Answer {
    let flags = u16::try_from(flags).map_err(|_| Errno::Invalid)?;
    if oflags & !oflags::ALL != 0 || flags & !fdflags::ALL != 0 {
        return Err(Errno::Invalid.into());
    }
    let how = Open {
        write: rights & rights::FD_WRITE != 0,
        create: oflags & oflags::CREATE != 0,
        exclusive: oflags & oflags::EXCLUSIVE != 0,
        truncate: oflags & oflags::TRUNCATE != 0,
        folder: oflags & oflags::DIRECTORY != 0,
    };
    let path = guest.memory.path(path, len)?;
    let node = guest.folder(fd)?.open_at(path, how)?;
    let descriptor = match node.kind() {
        Kind::Folder => Descriptor::Folder(Folder {
            node,
            preopened: None,
            listing: None,
        }),
        Kind::File => Descriptor::File(OpenFile {
            node,
            position: 0,
            flags,
            reads: rights & rights::FD_READ != 0,
            writes: how.write,
        }),
    };
    let opened = guest.state.process.descriptors.push(descriptor)?;
    guest.memory.write_u32(result, opened)
}

pub(super) fn path_readlink(
    guest: &mut Guest<'_>,
    fd: u32,
    path: u32,
    len: u32,
    buffer: u32,
    buffer_len: u32,
    _: u32,
) -> Answer {
    guest.memory.bytes(buffer, buffer_len)?;
    let path = guest.memory.path(path, len)?;
    guest.folder(fd)?.stat_at(path)?;
    // There are no links.
    Err(Errno::Invalid.into())
}

pub(super) fn path_remove_directory(guest: &mut Guest<'_>, fd: u32, path: u32, len: u32) -> Answer {
    let path = guest.memory.path(path, len)?;
    Ok(guest.folder(fd)?.remove_folder_at(path)?)
}

pub(super) fn path_rename(
    guest: &mut Guest<'_>,
    fd: u32,
    path: u32,
    len: u32,
    new_fd: u32,
    new_path: u32,
    new_len: u32,
) -> Answer {
    let old = guest.memory.path(path, len)?;
    let new = guest.memory.path(new_path, new_len)?;
    let (from, to) = (guest.folder(fd)?, guest.folder(new_fd)?);
    Ok(from.rename_at(old, to, new)?)
}

pub(super) fn path_symlink(
    guest: &mut Guest<'_>,
    path: u32,
    len: u32,
    fd: u32,
    new_path: u32,
    new_len: u32,
) -> Answer {
    guest.memory.path(path, len)?;
    guest.memory.path(new_path, new_len)?;
    guest.folder(fd)?;
    Err(Errno::NotPermitted.into())
}

pub(super) fn path_unlink_file(guest: &mut Guest<'_>, fd: u32, path: u32, len: u32) -> Answer {
    let path = guest.memory.path(path, len)?;
    Ok(guest.folder(fd)?.remove_file_at(path)?)
}

pub(super) fn fd_readdir(
    guest: &mut Guest<'_>,
    fd: u32,
    buffer: u32,
    len: u32,
    cookie: u64,
    result: u32,
) -> Answer {
    let Guest { memory, state } = guest;
    let buffer = memory.bytes_mut(buffer, len)?;
    let folder = match state.process.descriptors.get_mut(fd)? {
        Descriptor::Folder(folder) => folder,
        Descriptor::File(_) => return Err(Errno::NotDirectory.into()),
        Descriptor::Nothing | Descriptor::Printer(_) => return Err(Errno::BadDescriptor.into()),
    };
    let kept = match cookie {
        // The program starts anew.
        0 => {
            folder.listing = None;
            None
        }
        _ => folder.listing.take(),
    };
    let listing = match kept {
        Some(listing) => listing,
        None => state.files.list(&folder.node)?,
    };
    let used = pack(buffer, &folder.node.identity(), &listing.entries, cookie);
    folder.listing = Some(listing);
    memory.write_u32(result, used as u32)
}

/// Packs the entries from a cookie on: `.`, `..`, then what is there. The last
/// one is cut where the buffer ends, which tells the program that there may be
/// more; the number of bytes used is then all of them.
fn pack(buffer: &mut [u8], folder: &str, entries: &[Entry], cookie: u64) -> usize {
    let dots = [".", ".."].map(|name| (name, Kind::Folder));
    let named = entries.iter().map(|entry| (&*entry.name, entry.kind));
    let all = dots.into_iter().chain(named).enumerate();
    let mut used = 0;
    for (index, (name, kind)) in all.skip(usize::try_from(cookie).unwrap_or(usize::MAX)) {
        let identity = match index {
            0 => folder.to_owned(),
            1 => parent(folder),
            _ => child(folder, name),
        };
        let (next, name_len) = (index as u64 + 1, name.len() as u32);
        let entry = abi::dirent(next, inode(&identity).0, name_len, FileType::from(kind));
        for part in [&entry[..], name.as_bytes()] {
            let taken = part.len().min(buffer.len() - used);
            buffer[used..used + taken].copy_from_slice(&part[..taken]);
            used += taken;
        }
        if used == buffer.len() {
            break;
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let entry = |kind, name: &str| Entry {
            kind,
            name: name.to_owned(),
        };
        vec![entry(Kind::File, "a.txt"), entry(Kind::Folder, "b")]
    }

    /// Names, inodes and cookies in a full buffer.
    fn unpack(mut bytes: &[u8]) -> Vec<(String, u64, u64)> {
        let mut entries = Vec::new();
        while bytes.len() >= 24 {
            let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
            let end = 24 + (word(16) as u32) as usize;
            let name = bytes.get(24..end).unwrap_or_default();
            let name = String::from_utf8(name.to_vec()).unwrap();
            entries.push((name, word(8), word(0)));
            bytes = bytes.get(end..).unwrap_or_default();
        }
        entries
    }

    #[test]
    fn a_listing_begins_with_dots() {
        let mut buffer = [0; 200];
        let used = pack(&mut buffer, "/out/x", &entries(), 0);
        assert_eq!(used, 4 * 24 + 1 + 2 + 5 + 1);
        let entries = unpack(&buffer[..used]);
        let names: Vec<_> = entries.iter().map(|entry| &*entry.0).collect();
        assert_eq!(names, [".", "..", "a.txt", "b"]);
        let inodes = ["/out/x", "/out/", "/out/x/a.txt", "/out/x/b"];
        for (entry, path) in entries.iter().zip(inodes) {
            assert_eq!(entry.1, inode(path).0, "{path}");
        }
    }

    #[test]
    fn every_cookie_goes_on_where_it_was() {
        let mut buffer = [0; 200];
        let used = pack(&mut buffer, "/in/", &entries(), 0);
        let all = unpack(&buffer[..used]);
        for (index, (_, _, cookie)) in all.iter().enumerate() {
            let used = pack(&mut buffer, "/in/", &entries(), *cookie);
            assert_eq!(unpack(&buffer[..used]), all[index + 1..]);
        }
        for cookie in [5, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(pack(&mut buffer, "/in/", &entries(), cookie), 0);
        }
    }

    #[test]
    fn a_full_buffer_says_that_there_is_more() {
        for len in 0..140 {
            let mut buffer = vec![0; len];
            let used = pack(&mut buffer, "/in/", &entries(), 0);
            assert_eq!(used, len.min(105), "{len}");
        }
    }
}
