//! Functions on open files and folders.

use wharf_model::limits::CHUNK_BYTES;

use super::super::files::{FilesError, FilesResult, Node, OutFile};
use super::abi::{self, Errno, FileType, fdflags, fstflags, rights};
use super::descriptors::{Descriptor, OpenFile};
use super::memory::{GuestMemory, Vectors};
use super::{Answer, Guest};

/// The last position in a file: offsets are signed for operating systems.
const MAX_POSITION: u64 = i64::MAX as u64;

impl Guest<'_> {
    fn descriptor(&self, fd: u32) -> Result<&Descriptor, Errno> {
        self.state.process.descriptors.get(fd)
    }

    /// The file or folder behind a descriptor.
    fn node(&self, fd: u32) -> Result<&Node, Errno> {
        match self.descriptor(fd)? {
            Descriptor::File(file) => Ok(&file.node),
            Descriptor::Folder(folder) => Ok(&folder.node),
            Descriptor::Nothing | Descriptor::Printer(_) => Err(Errno::BadDescriptor),
        }
    }

    /// The file behind a descriptor that has a position.
    fn seekable(&mut self, fd: u32) -> Result<&mut OpenFile, Errno> {
        match self.state.process.descriptors.get_mut(fd)? {
            Descriptor::File(file) => Ok(file),
            Descriptor::Folder(_) => Err(Errno::BadDescriptor),
            Descriptor::Nothing | Descriptor::Printer(_) => Err(Errno::InvalidSeek),
        }
    }
}

impl OpenFile {
    fn readable(&self) -> Result<&Node, Errno> {
        match self.reads {
            true => Ok(&self.node),
            false => Err(Errno::BadDescriptor),
        }
    }

    fn writable(&self) -> Answer<&OutFile> {
        match self.writes {
            true => Ok(self.node.writable()?),
            false => Err(Errno::BadDescriptor.into()),
        }
    }

    const fn appends(&self) -> bool {
        self.flags & fdflags::APPEND != 0
    }
}

pub(super) fn fd_advise(guest: &mut Guest<'_>, fd: u32, _: u64, _: u64, _: u32) -> Answer {
    guest.node(fd)?;
    Ok(())
}

pub(super) fn fd_allocate(guest: &mut Guest<'_>, fd: u32, offset: u64, len: u64) -> Answer {
    let end = offset.checked_add(len).filter(|end| *end <= MAX_POSITION);
    let end = end.filter(|_| len > 0).ok_or(Errno::Invalid)?;
    let file = guest.state.process.descriptors.file(fd)?;
    let out = file.writable()?;
    match end > file.node.size()? {
        true => Ok(out.set_size(end)?),
        false => Ok(()),
    }
}

pub(super) fn fd_close(guest: &mut Guest<'_>, fd: u32) -> Answer {
    guest.state.process.descriptors.close(fd)
}

pub(super) fn fd_datasync(guest: &mut Guest<'_>, fd: u32) -> Answer {
    fd_sync(guest, fd)
}

pub(super) fn fd_sync(guest: &mut Guest<'_>, fd: u32) -> Answer {
    // What is published is synced then; the scratch need not survive.
    guest.node(fd)?;
    Ok(())
}

pub(super) fn fd_fdstat_get(guest: &mut Guest<'_>, fd: u32, result: u32) -> Answer {
    let stat = match guest.descriptor(fd)? {
        Descriptor::Nothing => abi::fdstat(FileType::Unknown, 0, rights::FD_READ, rights::FD_READ),
        Descriptor::Printer(_) => {
            abi::fdstat(FileType::Unknown, 0, rights::FD_WRITE, rights::FD_WRITE)
        }
        Descriptor::Folder(_) => {
            abi::fdstat(FileType::Directory, 0, rights::FOLDER, rights::IN_FOLDER)
        }
        Descriptor::File(file) => {
            let rights = rights::of_file(file.reads, file.writes);
            abi::fdstat(FileType::RegularFile, file.flags, rights, rights)
        }
    };
    Ok(guest.memory.write(result, &stat)?)
}

pub(super) fn fd_fdstat_set_flags(guest: &mut Guest<'_>, fd: u32, flags: u32) -> Answer {
    const SETTABLE: u16 = fdflags::APPEND | fdflags::NONBLOCK;
    let flags = u16::try_from(flags).map_err(|_| Errno::Invalid)?;
    match guest.state.process.descriptors.get_mut(fd)? {
        Descriptor::File(_) if flags & !SETTABLE != 0 => Err(Errno::Invalid.into()),
        Descriptor::File(file) => {
            file.flags = file.flags & !SETTABLE | flags;
            Ok(())
        }
        _ => Err(Errno::BadDescriptor.into()),
    }
}

pub(super) fn fd_fdstat_set_rights(guest: &mut Guest<'_>, fd: u32, _: u64, _: u64) -> Answer {
    guest.descriptor(fd)?;
    Err(Errno::NotSupported.into())
}

pub(super) fn fd_filestat_get(guest: &mut Guest<'_>, fd: u32, result: u32) -> Answer {
    let stat = match guest.descriptor(fd)? {
        Descriptor::Nothing | Descriptor::Printer(_) => abi::STREAM_FILESTAT,
        Descriptor::Folder(_) | Descriptor::File(_) => {
            abi::filestat(&guest.node(fd)?.stat()?, guest.state.files.time())
        }
    };
    Ok(guest.memory.write(result, &stat)?)
}

pub(super) fn fd_filestat_set_size(guest: &mut Guest<'_>, fd: u32, size: u64) -> Answer {
    if size > MAX_POSITION {
        return Err(Errno::Invalid.into());
    }
    let file = guest.state.process.descriptors.file(fd)?;
    Ok(file.writable()?.set_size(size)?)
}

pub(super) fn fd_filestat_set_times(
    guest: &mut Guest<'_>,
    fd: u32,
    _: u64,
    _: u64,
    flags: u32,
) -> Answer {
    if !fstflags::is_valid(flags) {
        return Err(Errno::Invalid.into());
    }
    Ok(guest.node(fd)?.set_times()?)
}

pub(super) fn fd_prestat_get(guest: &mut Guest<'_>, fd: u32, result: u32) -> Answer {
    let path = preopened(guest, fd)?;
    Ok(guest
        .memory
        .write(result, &abi::prestat(path.len() as u32))?)
}

pub(super) fn fd_prestat_dir_name(guest: &mut Guest<'_>, fd: u32, path: u32, len: u32) -> Answer {
    let name = preopened(guest, fd)?;
    if (len as usize) < name.len() {
        return Err(Errno::NameTooLong.into());
    }
    Ok(guest.memory.write(path, name.as_bytes())?)
}

/// C libraries go through the numbers until this says that there are no more.
fn preopened(guest: &Guest<'_>, fd: u32) -> Result<&'static str, Errno> {
    match guest.descriptor(fd)? {
        Descriptor::Folder(folder) => folder.preopened.ok_or(Errno::BadDescriptor),
        _ => Err(Errno::BadDescriptor),
    }
}

pub(super) fn fd_renumber(guest: &mut Guest<'_>, fd: u32, to: u32) -> Answer {
    guest.state.process.descriptors.renumber(fd, to)
}

pub(super) fn fd_seek(
    guest: &mut Guest<'_>,
    fd: u32,
    offset: i64,
    whence: u32,
    result: u32,
) -> Answer {
    let file = guest.seekable(fd)?;
    let base = match whence {
        0 => 0,
        1 => file.position,
        2 => file.node.size()?,
        _ => return Err(Errno::Invalid.into()),
    };
    let position = seek(base, offset)?;
    file.position = position;
    guest.memory.write_u64(result, position)
}

fn seek(base: u64, offset: i64) -> Result<u64, Errno> {
    let position = base.checked_add_signed(offset);
    position
        .filter(|position| *position <= MAX_POSITION)
        .ok_or(Errno::Invalid)
}

pub(super) fn fd_tell(guest: &mut Guest<'_>, fd: u32, result: u32) -> Answer {
    let position = guest.seekable(fd)?.position;
    guest.memory.write_u64(result, position)
}

pub(super) fn fd_read(
    guest: &mut Guest<'_>,
    fd: u32,
    vectors: u32,
    count: u32,
    result: u32,
) -> Answer {
    let Guest { memory, state } = guest;
    let vectors = Vectors::new(vectors, count)?;
    let read = match state.process.descriptors.get_mut(fd)? {
        Descriptor::Nothing => 0,
        Descriptor::Printer(_) => return Err(Errno::BadDescriptor.into()),
        Descriptor::Folder(_) => return Err(Errno::IsDirectory.into()),
        Descriptor::File(file) => {
            let read = read(memory, vectors, file.readable()?, file.position)?;
            file.position += u64::from(read);
            read
        }
    };
    memory.write_u32(result, read)
}

pub(super) fn fd_pread(
    guest: &mut Guest<'_>,
    fd: u32,
    vectors: u32,
    count: u32,
    offset: u64,
    result: u32,
) -> Answer {
    let Guest { memory, state } = guest;
    let vectors = Vectors::new(vectors, count)?;
    let read = match state.process.descriptors.get(fd)? {
        Descriptor::Nothing => return Err(Errno::InvalidSeek.into()),
        Descriptor::Printer(_) => return Err(Errno::BadDescriptor.into()),
        Descriptor::Folder(_) => return Err(Errno::IsDirectory.into()),
        Descriptor::File(file) => read(memory, vectors, file.readable()?, offset)?,
    };
    memory.write_u32(result, read)
}

/// Reads straight into the guest's buffers, [`CHUNK_BYTES`] at most: a call
/// must end before anybody wants the run to.
fn read(memory: &mut GuestMemory<'_>, vectors: Vectors, node: &Node, from: u64) -> Answer<u32> {
    let mut done = 0;
    for index in 0..vectors.count {
        let (at, len) = memory.vector(vectors, index)?;
        let buffer = memory.bytes_mut(at, len)?;
        let wanted = buffer.len().min(CHUNK_BYTES - done);
        let read = node.read_at(from.saturating_add(done as u64), &mut buffer[..wanted])?;
        done += read;
        if read < len as usize {
            break;
        }
    }
    Ok(done as u32)
}

pub(super) fn fd_write(
    guest: &mut Guest<'_>,
    fd: u32,
    vectors: u32,
    count: u32,
    result: u32,
) -> Answer {
    let Guest { memory, state } = guest;
    let vectors = Vectors::new(vectors, count)?;
    let written = match state.process.descriptors.get_mut(fd)? {
        Descriptor::Nothing => return Err(Errno::BadDescriptor.into()),
        Descriptor::Folder(_) => return Err(Errno::BadDescriptor.into()),
        Descriptor::Printer(printer) => write(memory, vectors, |bytes| Ok(printer.print(bytes)?))?,
        Descriptor::File(file) => {
            let (out, mut position) = (file.writable()?, file.position);
            let written = match file.appends() {
                true => write(memory, vectors, |bytes| {
                    position = out.append(bytes)?;
                    Ok(())
                })?,
                false => write(memory, vectors, |bytes| put(out, &mut position, bytes))?,
            };
            file.position = position;
            written
        }
    };
    memory.write_u32(result, written)
}

pub(super) fn fd_pwrite(
    guest: &mut Guest<'_>,
    fd: u32,
    vectors: u32,
    count: u32,
    offset: u64,
    result: u32,
) -> Answer {
    let Guest { memory, state } = guest;
    let vectors = Vectors::new(vectors, count)?;
    let file = match state.process.descriptors.get(fd)? {
        Descriptor::Printer(_) => return Err(Errno::InvalidSeek.into()),
        Descriptor::Nothing | Descriptor::Folder(_) => return Err(Errno::BadDescriptor.into()),
        Descriptor::File(file) => file,
    };
    if offset > MAX_POSITION {
        return Err(Errno::Invalid.into());
    }
    let (out, mut position) = (file.writable()?, offset);
    let written = match file.appends() {
        // As on Linux.
        true => write(memory, vectors, |bytes| out.append(bytes).map(drop))?,
        false => write(memory, vectors, |bytes| put(out, &mut position, bytes))?,
    };
    memory.write_u32(result, written)
}

fn put(file: &OutFile, position: &mut u64, bytes: &[u8]) -> FilesResult<()> {
    file.write_at(bytes, *position)?;
    *position = position.saturating_add(bytes.len() as u64);
    Ok(())
}

/// Writes straight from the guest's buffers, [`CHUNK_BYTES`] at most.
fn write(
    memory: &GuestMemory<'_>,
    vectors: Vectors,
    mut put: impl FnMut(&[u8]) -> Result<(), FilesError>,
) -> Answer<u32> {
    let mut done = 0;
    for index in 0..vectors.count {
        let (at, len) = memory.vector(vectors, index)?;
        let buffer = memory.bytes(at, len)?;
        let taken = buffer.len().min(CHUNK_BYTES - done);
        put(&buffer[..taken])?;
        done += taken;
    }
    Ok(done as u32)
}

pub(super) fn sock_accept(guest: &mut Guest<'_>, fd: u32, _: u32, _: u32) -> Answer {
    no_socket(guest, fd)
}

pub(super) fn sock_recv(
    guest: &mut Guest<'_>,
    fd: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
) -> Answer {
    no_socket(guest, fd)
}

pub(super) fn sock_send(guest: &mut Guest<'_>, fd: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
    no_socket(guest, fd)
}

pub(super) fn sock_shutdown(guest: &mut Guest<'_>, fd: u32, _: u32) -> Answer {
    no_socket(guest, fd)
}

fn no_socket(guest: &Guest<'_>, fd: u32) -> Answer {
    guest.descriptor(fd)?;
    Err(Errno::NotSocket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeking_stays_between_the_ends() {
        assert_eq!(seek(0, 5), Ok(5));
        assert_eq!(seek(5, -5), Ok(0));
        assert_eq!(seek(MAX_POSITION, 0), Ok(MAX_POSITION));
        for (base, offset) in [(4, -5), (0, i64::MIN), (1, i64::MAX), (MAX_POSITION, 1)] {
            assert_eq!(seek(base, offset), Err(Errno::Invalid), "{base} {offset}");
        }
    }

    #[test]
    fn a_write_is_cut_at_a_chunk() {
        let mut bytes = vec![0; 2 * CHUNK_BYTES + 16];
        let half = (CHUNK_BYTES / 2) as u32 + 1;
        for (at, word) in [16, half, 16, half].into_iter().enumerate() {
            bytes[4 * at..4 * at + 4].copy_from_slice(&u32::to_le_bytes(word));
        }
        let memory = GuestMemory(&mut bytes);
        let mut lengths = Vec::new();
        let written = write(&memory, Vectors::new(0, 2).unwrap(), |bytes| {
            lengths.push(bytes.len());
            Ok(())
        });
        assert_eq!(written.unwrap(), CHUNK_BYTES as u32);
        assert_eq!(lengths, [CHUNK_BYTES / 2 + 1, CHUNK_BYTES / 2 - 1]);
    }
}
