//! The table of a module's open files and folders.

use std::collections::BTreeSet;

use wharf_model::limits::LimitKind;

use super::super::files::{Files, Listing, Node};
use super::super::telemetry::Printer;
use super::Answer;
use super::abi::Errno;
use crate::limiter::Exceeded;

/// What a number stands for.
#[derive(Debug)]
pub(super) enum Descriptor {
    /// Standard input, which is empty.
    Nothing,
    /// Standard output or error.
    Printer(Printer),
    Folder(Folder),
    File(OpenFile),
}

#[derive(Debug)]
pub(super) struct Folder {
    pub(super) node: Node,
    /// Its path, where the program started with it.
    pub(super) preopened: Option<&'static str>,
    /// The entries, from when reading them began.
    pub(super) listing: Option<Listing>,
}

#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) node: Node,
    pub(super) position: u64,
    /// See [`super::abi::fdflags`].
    pub(super) flags: u16,
    pub(super) reads: bool,
    pub(super) writes: bool,
}

/// All descriptors; the lowest free number is given next, as in POSIX.
#[derive(Debug)]
pub(super) struct Descriptors {
    slots: Vec<Option<Descriptor>>,
    free: BTreeSet<u32>,
    most: u32,
}

impl Descriptors {
    /// The standard streams, and the folders that the program starts with.
    pub(super) fn new(files: &Files, printers: &[Printer; 2], most: u32) -> Self {
        let printers = printers.iter().cloned().map(Descriptor::Printer);
        let folders = files.preopened().into_iter().map(|(node, path)| {
            Descriptor::Folder(Folder {
                node,
                preopened: Some(path),
                listing: None,
            })
        });
        let all = std::iter::once(Descriptor::Nothing)
            .chain(printers)
            .chain(folders);
        Self {
            slots: all.map(Some).collect(),
            free: BTreeSet::new(),
            most,
        }
    }

    pub(super) fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        let slot = self.slots.get(fd as usize).and_then(Option::as_ref);
        slot.ok_or(Errno::BadDescriptor)
    }

    pub(super) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        let slot = self.slots.get_mut(fd as usize).and_then(Option::as_mut);
        slot.ok_or(Errno::BadDescriptor)
    }

    /// The folder that a path is looked up in.
    pub(super) fn folder(&self, fd: u32) -> Result<&Node, Errno> {
        match self.get(fd)? {
            Descriptor::Folder(folder) => Ok(&folder.node),
            Descriptor::File(_) => Err(Errno::NotDirectory),
            Descriptor::Nothing | Descriptor::Printer(_) => Err(Errno::BadDescriptor),
        }
    }

    pub(super) fn file(&self, fd: u32) -> Result<&OpenFile, Errno> {
        match self.get(fd)? {
            Descriptor::File(file) => Ok(file),
            Descriptor::Folder(_) => Err(Errno::IsDirectory),
            Descriptor::Nothing | Descriptor::Printer(_) => Err(Errno::BadDescriptor),
        }
    }

    pub(super) fn push(&mut self, descriptor: Descriptor) -> Answer<u32> {
        if let Some(fd) = self.free.pop_first() {
            self.slots[fd as usize] = Some(descriptor);
            return Ok(fd);
        }
        let fd = self.slots.len() as u32;
        if fd >= self.most {
            return Err(Exceeded::new(LimitKind::Handles, self.most).into());
        }
        self.slots.push(Some(descriptor));
        Ok(fd)
    }

    pub(super) fn close(&mut self, fd: u32) -> Answer {
        self.get(fd)?;
        self.slots[fd as usize] = None;
        self.free.insert(fd);
        Ok(())
    }

    /// Moves a descriptor to the number of another, which is closed.
    pub(super) fn renumber(&mut self, from: u32, to: u32) -> Answer {
        self.get(from)?;
        self.get(to)?;
        if from != to {
            self.slots[to as usize] = self.slots[from as usize].take();
            self.free.insert(from);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Refusal;
    use super::*;

    fn descriptors(most: u32) -> Descriptors {
        Descriptors {
            slots: vec![],
            free: BTreeSet::new(),
            most,
        }
    }

    #[test]
    fn the_lowest_free_number_is_next() {
        let mut all = descriptors(10);
        for wanted in 0..4 {
            assert_eq!(all.push(Descriptor::Nothing).unwrap(), wanted);
        }
        all.close(2).unwrap();
        all.close(1).unwrap();
        assert!(all.close(1).is_err());
        assert_eq!(all.push(Descriptor::Nothing).unwrap(), 1);
        all.renumber(3, 0).unwrap();
        assert!(all.get(3).is_err());
        assert!(all.renumber(3, 0).is_err());
        all.renumber(0, 0).unwrap();
        assert!(all.get(0).is_ok());
        assert!(all.get(u32::MAX).is_err());
    }

    #[test]
    fn too_many_end_the_run() {
        let mut all = descriptors(2);
        all.push(Descriptor::Nothing).unwrap();
        all.push(Descriptor::Nothing).unwrap();
        let Err(Refusal::End(error)) = all.push(Descriptor::Nothing) else {
            panic!("there is no limit")
        };
        let exceeded: &Exceeded = error.downcast_ref().unwrap();
        assert_eq!(exceeded.limit, LimitKind::Handles);
        all.close(0).unwrap();
        all.push(Descriptor::Nothing).unwrap();
    }
}
