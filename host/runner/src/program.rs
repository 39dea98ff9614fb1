//! Outputs of programs: what they leave in `/out`.
//!
//! A program may write anywhere in a file, rename and remove, so its outputs are
//! hashed when it has ended. They are read back through a handle on the scratch
//! folder that follows no links, and regular files only are taken.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use tempfile::TempDir;
use wharf_model::digest::Hasher;
use wharf_model::outcome::Retry;
use wharf_model::plan::Shape;
use wharf_model::tree::Listed;
use wharf_model::{Digest, ErrorKind, Fault, Outcome};

use crate::local::{Place, parent, sync, sync_tree, temporary_folder};
use crate::stage::Stop;
use crate::tree::{list, tree_digest};

/// An output that a program shall write.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) shape: Shape,
    pub(crate) overwrite: bool,
}

/// The folder behind `/out`, and what is expected in it.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: TempDir,
    wanted: Vec<Wanted>,
}

/// What was found of an output, ready to be published.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) files: Option<u64>,
}

/// What a program has left of an output.
enum Left {
    File,
    Folder,
    /// Not what is wanted; says what it did instead.
    Wrong(&'static str),
}

impl Scratch {
    /// A scratch folder beside the first output, so that publishing is a
    /// rename. Checks all places, so that mistakes show before anything runs.
    pub(crate) fn create(wanted: Vec<Wanted>) -> Result<Option<Self>, Fault> {
        let Some(first) = wanted.first() else {
            return Ok(None);
        };
        let beside = parent(&first.path).to_owned();
        for wanted in &wanted {
            check(wanted)?;
        }
        let folder = temporary_folder(&beside)?;
        for wanted in wanted.iter().filter(|wanted| wanted.shape == Shape::Tree) {
            let path = folder.path().join(&wanted.name);
            std::fs::create_dir(&path).map_err(|error| Fault::io("create", &path, &error))?;
        }
        Ok(Some(Self { folder, wanted }))
    }

    /// The folder as the sandbox gets it.
    pub(crate) fn open(&self) -> Result<Dir, Fault> {
        Dir::open_ambient_dir(self.folder.path(), ambient_authority())
            .map_err(|error| Fault::io("open", self.folder.path(), &error))
    }

    pub(crate) fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// The outputs that the program has left, or how it failed to.
    pub(crate) fn collect(&self, stop: &Stop) -> Result<Result<Vec<Found>, Outcome>, Fault> {
        let folder = self.open()?;
        let mut found = Vec::new();
        for wanted in &self.wanted {
            if let Some(outcome) = stop.now() {
                return Ok(Err(outcome));
            }
            match self.left(&folder, wanted)? {
                Left::Folder => found.push(self.collect_tree(&folder, wanted)?),
                Left::File => found.push(self.collect_file(&folder, wanted)?),
                Left::Wrong(what) => {
                    let message = format!("the program {what} `/out/{}`", wanted.name);
                    return Ok(Err(Outcome::Failed {
                        retry: Retry::Permanent,
                        message,
                    }));
                }
            }
        }
        Ok(Ok(found))
    }

    /// What the program has left of an output.
    fn left(&self, folder: &Dir, wanted: &Wanted) -> Result<Left, Fault> {
        let is_folder = match folder.symlink_metadata(&wanted.name) {
            Ok(metadata) => metadata.is_dir(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Left::Wrong("did not write"));
            }
            Err(error) => {
                let path = self.folder.path().join(&wanted.name);
                return Err(Fault::io("read", &path, &error));
            }
        };
        let replaced = match std::fs::symlink_metadata(&wanted.path) {
            Ok(metadata) if wanted.overwrite => Some(metadata.is_dir()),
            Ok(_) | Err(_) => None,
        };
        Ok(match (is_folder, wanted.shape, replaced) {
            (false, Shape::Tree, _) | (false, _, Some(true)) => {
                Left::Wrong("wrote a file, and not a folder, at")
            }
            (true, Shape::File, _) | (true, _, Some(false)) => {
                Left::Wrong("made a folder, and not a file, at")
            }
            (true, ..) => Left::Folder,
            (false, ..) => Left::File,
        })
    }

    fn collect_file(&self, folder: &Dir, wanted: &Wanted) -> Result<Found, Fault> {
        let (place, _) = Place::for_file(&wanted.path, wanted.overwrite)?;
        let (digest, size) = self.take(folder, &wanted.name, place.temporary())?;
        sync(place.temporary())?;
        Ok(Found {
            place,
            digest,
            size,
            files: None,
        })
    }

    fn collect_tree(&self, folder: &Dir, wanted: &Wanted) -> Result<Found, Fault> {
        let place = Place::for_folder(&wanted.path, wanted.overwrite)?;
        let from = self.folder.path().join(&wanted.name);
        let tree = folder
            .open_dir(&wanted.name)
            .map_err(|error| Fault::io("read", &from, &error))?;
        let mut folders = BTreeSet::new();
        let mut listed: Vec<Listed> = Vec::new();
        for (entry, _) in list(&tree, &from)? {
            for parent in entry.path.parents() {
                if folders.insert(parent.to_owned()) {
                    let path = place.temporary().join(parent);
                    std::fs::create_dir(&path)
                        .map_err(|error| Fault::io("create", &path, &error))?;
                }
            }
            let name = format!("{}/{}", wanted.name, entry.path);
            let target = place.temporary().join(entry.path.as_str());
            let (digest, size) = self.take(folder, &name, &target)?;
            let path = entry.path;
            listed.push(Listed { path, digest, size });
        }
        let files = listed.iter().map(|file| file.path.as_str());
        let folders = folders.iter().map(String::as_str);
        sync_tree(place.temporary(), files.chain(folders).chain([""]))?;
        let size = listed.iter().map(|file| file.size).sum();
        let files = Some(listed.len() as u64);
        let digest = tree_digest(listed);
        Ok(Found {
            place,
            digest,
            size,
            files,
        })
    }

    /// Takes a file to its place and hashes it: by renaming it, or where that is
    /// on another disk, by copying it. The caller syncs it.
    fn take(&self, folder: &Dir, name: &str, to: &Path) -> Result<(Digest, u64), Fault> {
        let from = self.folder.path().join(name);
        let file = folder
            .open(name)
            .map_err(|error| Fault::io("read", &from, &error))?
            .into_std();
        let kind = file
            .metadata()
            .map_err(|error| Fault::io("read", &from, &error))?;
        if !kind.is_file() {
            // No program can make one: somebody else did.
            let message = format!("`/out/{name}` is not a regular file any more");
            return Err(Fault::new(ErrorKind::Conflict, message));
        }
        let file = match std::fs::rename(&from, to) {
            Ok(()) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy(file, to),
            Err(error) => Err(error),
        };
        file.and_then(hash)
            .map_err(|error| Fault::io("write", to, &error))
    }
}

fn copy(mut from: File, to: &Path) -> io::Result<File> {
    let mut options = File::options();
    let mut copy = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(to)?;
    io::copy(&mut from, &mut copy)?;
    copy.rewind()?;
    Ok(copy)
}

fn check(wanted: &Wanted) -> Result<(), Fault> {
    let is_folder = match wanted.shape {
        Shape::Tree => true,
        Shape::File => false,
        // Whichever is replaced decides; where nothing is, both will do.
        Shape::Either => wanted.overwrite && wanted.path.is_dir(),
    };
    match is_folder {
        true => Place::for_folder(&wanted.path, wanted.overwrite).map(drop),
        false => Place::for_file(&wanted.path, wanted.overwrite).map(drop),
    }
}

fn hash(mut file: File) -> io::Result<(Digest, u64)> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 512 << 10];
    let mut size = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
    Ok((hasher.finish(), size))
}
