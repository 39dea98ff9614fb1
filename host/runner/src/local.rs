//! Places for outputs on this machine: invisible until they are published.
//!
//! A place is a file or folder with a temporary name beside where it goes, so
//! that one atomic rename publishes it. Dropped unpublished, it is removed; a
//! process that is killed leaves it behind under a name that begins with
//! `.wharf-` and ends with `.partial`.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tempfile::{TempDir, TempPath};
use wharf_model::{ErrorKind, Fault};

/// Where an output goes, and what it is until then.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    temporary: Temporary,
    overwrite: bool,
}

#[derive(Debug)]
enum Temporary {
    File(TempPath),
    Folder(TempDir),
}

/// An output that was published and may have to be taken back.
#[derive(Debug)]
pub(crate) struct Published {
    path: PathBuf,
    is_folder: bool,
    before: Before,
}

/// What was at the path of an output before.
#[derive(Debug)]
enum Before {
    Nothing,
    /// It lies under a temporary name now, and is removed when this is dropped.
    Kept(Temporary),
    /// The file system cannot exchange names: it is gone.
    Gone,
}

impl Place {
    /// A place for a file, and the file to write to.
    pub(crate) fn for_file(path: &Path, overwrite: bool) -> Result<(Self, File), Fault> {
        let folder = check(path, overwrite, false)?;
        let file = builder(&mut tempfile::Builder::new())
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(&folder)
            .map_err(|error| cannot_create(&folder, &error))?;
        let (file, temporary) = file.into_parts();
        Ok((
            Self {
                path: path.to_owned(),
                temporary: Temporary::File(temporary),
                overwrite,
            },
            file,
        ))
    }

    /// A place for a folder.
    pub(crate) fn for_folder(path: &Path, overwrite: bool) -> Result<Self, Fault> {
        let folder = check(path, overwrite, true)?;
        let temporary = temporary_folder(&folder)?;
        Ok(Self {
            path: path.to_owned(),
            temporary: Temporary::Folder(temporary),
            overwrite,
        })
    }

    /// What the output is until it is published.
    pub(crate) fn temporary(&self) -> &Path {
        match &self.temporary {
            Temporary::File(path) => path,
            Temporary::Folder(folder) => folder.path(),
        }
    }

    /// Makes the output visible at its path, at once and as a whole. The caller
    /// has synced its content, and syncs the name with [`Published::sync`].
    pub(crate) fn publish(self) -> Result<Published, Fault> {
        let Self {
            path,
            temporary,
            overwrite,
        } = self;
        let is_folder = matches!(temporary, Temporary::Folder(_));
        let replaces = overwrite && fs::symlink_metadata(&path).is_ok();
        let published = match replaces {
            true => replace(temporary, &path),
            false => appear(temporary, &path).map(|()| Before::Nothing),
        };
        match published {
            Ok(before) => Ok(Published {
                path,
                is_folder,
                before,
            }),
            Err(error) => Err(cannot_publish(&path, &error)),
        }
    }
}

/// Gives a path to what has a temporary name; nothing may be there.
fn appear(temporary: Temporary, path: &Path) -> io::Result<()> {
    match temporary {
        Temporary::File(file) => file.persist_noclobber(path).map_err(|error| error.error),
        Temporary::Folder(folder) => {
            renameat_with(CWD, folder.path(), CWD, path, RenameFlags::NOREPLACE)?;
            // It has moved away: nothing is left to remove.
            let _ = folder.keep();
            Ok(())
        }
    }
}

/// Exchanges what has a temporary name for what is at a path. Where the file
/// system cannot do that, a file replaces the other for good; a folder cannot.
fn replace(temporary: Temporary, path: &Path) -> io::Result<Before> {
    let from = match &temporary {
        Temporary::File(file) => file.to_path_buf(),
        Temporary::Folder(folder) => folder.path().to_owned(),
    };
    match renameat_with(CWD, &from, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(Before::Kept(temporary)),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => match temporary {
            Temporary::File(file) => {
                file.persist(path).map_err(|error| error.error)?;
                Ok(Before::Gone)
            }
            Temporary::Folder(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this file system cannot replace a folder at once",
            )),
        },
        Err(error) => Err(error.into()),
    }
}

impl Published {
    /// Makes the new name durable.
    pub(crate) fn sync(&self) -> Result<(), Fault> {
        sync(parent(&self.path))
    }

    /// Takes an output back, because the run came to nothing after all: what was
    /// there before is there again.
    pub(crate) fn take_back(self) {
        let taken = match self.before {
            Before::Nothing if self.is_folder => fs::remove_dir_all(&self.path),
            Before::Nothing => fs::remove_file(&self.path),
            // Whatever was exchanged can be exchanged again; what is under the
            // temporary name then is removed with it.
            Before::Kept(temporary) => replace(temporary, &self.path).map(drop),
            Before::Gone => Err(io::Error::other("what it replaced is gone")),
        };
        if let Err(error) = taken {
            tracing::warn!(path = %self.path.display(), %error, "an output could not be taken back");
        }
    }
}

/// A folder with a temporary name, removed when it is dropped.
pub(crate) fn temporary_folder(beside: &Path) -> Result<TempDir, Fault> {
    builder(&mut tempfile::Builder::new())
        .permissions(Permissions::from_mode(0o777))
        .tempdir_in(beside)
        .map_err(|error| cannot_create(beside, &error))
}

fn builder<'a, 'b>(
    builder: &'a mut tempfile::Builder<'b, 'static>,
) -> &'a mut tempfile::Builder<'b, 'static> {
    builder.prefix(".wharf-").suffix(".partial")
}

/// The folder that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Checks that an output can be published at a path; returns its folder.
fn check(path: &Path, overwrite: bool, is_folder: bool) -> Result<PathBuf, Fault> {
    let shown = path.display();
    let fault =
        |message: String, hint: &str| Err(Fault::new(ErrorKind::Output, message).hint(hint));
    if path.file_name().is_none() {
        return fault(
            format!("the output `{shown}` has no name"),
            "give the path that it shall have",
        );
    }
    if !is_folder && path.as_os_str().as_bytes().ends_with(b"/") {
        return fault(
            format!("the output `{shown}` ends with `/`, but the step writes a file"),
            "leave out the `/`",
        );
    }
    let folder = parent(path);
    if !folder.is_dir() {
        let message = format!("the folder of the output `{shown}` does not exist");
        return fault(
            message,
            &format!("create it: mkdir -p {}", folder.display()),
        );
    }
    match fs::symlink_metadata(path) {
        Err(_) => {}
        Ok(_) if !overwrite => {
            return fault(
                format!("the output `{shown}` exists already"),
                "--force replaces it",
            );
        }
        Ok(metadata) if metadata.is_dir() != is_folder => {
            let (is, wanted) = if is_folder {
                ("a file", "a folder")
            } else {
                ("a folder", "a file")
            };
            let message = format!("the output `{shown}` is {is}; the step writes {wanted}");
            return fault(message, "choose another path");
        }
        Ok(_) => {}
    }
    Ok(folder.to_owned())
}

fn cannot_create(folder: &Path, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            let message = format!(
                "outputs may not be written in `{}`: {error}",
                folder.display()
            );
            Fault::new(ErrorKind::Output, message).hint("choose another folder")
        }
        _ => Fault::io("write in", folder, error),
    }
}

fn cannot_publish(path: &Path, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
            let message = format!(
                "something appeared at the output `{}` while the step ran",
                path.display()
            );
            Fault::new(ErrorKind::Conflict, message)
                .hint("it was left as it is; choose another path, or replace it with --force")
        }
        _ => Fault::io("publish the output", path, error),
    }
}

/// Makes a file, or the names in a folder, durable.
pub(crate) fn sync(path: &Path) -> Result<(), Fault> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| Fault::io("sync", path, &error))
}

/// Makes files and folders of a tree durable.
pub(crate) fn sync_tree<'a>(
    root: &Path,
    paths: impl Iterator<Item = &'a str>,
) -> Result<(), Fault> {
    /// With more files than this, to sync them one by one takes longer than to
    /// sync all that the file system has.
    const ONE_BY_ONE: usize = 64;
    let paths: Vec<_> = paths.collect();
    if paths.len() > ONE_BY_ONE {
        let folder = File::open(root).map_err(|error| Fault::io("sync", root, &error))?;
        return rustix::fs::syncfs(folder).map_err(|error| Fault::io("sync", root, &error.into()));
    }
    paths.iter().try_for_each(|path| sync(&root.join(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_visible_before_it_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let (place, mut file) = Place::for_file(&path, false).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(place);
        assert!(names(folder.path()).is_empty());
        let (place, mut file) = Place::for_file(&path, false).unwrap();
        file.write_all(b"whole").unwrap();
        place.publish().unwrap();
        assert_eq!(names(folder.path()), ["model"]);
    }

    #[test]
    fn what_appears_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        for is_folder in [false, true] {
            let path = folder.path().join(format!("out-{is_folder}"));
            let place = match is_folder {
                true => Place::for_folder(&path, false).unwrap(),
                false => Place::for_file(&path, false).unwrap().0,
            };
            fs::write(&path, "theirs").unwrap();
            assert_eq!(place.publish().unwrap_err().kind(), ErrorKind::Conflict);
            assert_eq!(fs::read(&path).unwrap(), b"theirs");
        }
    }

    #[test]
    fn force_replaces_a_folder_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tree");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("old"), "old").unwrap();
        assert_eq!(
            Place::for_folder(&path, false).unwrap_err().kind(),
            ErrorKind::Output
        );
        let place = Place::for_folder(&path, true).unwrap();
        fs::write(place.temporary().join("new"), "new").unwrap();
        let published = place.publish().unwrap();
        assert_eq!(names(&path), ["new"]);
        drop(published);
        assert_eq!(names(folder.path()), ["tree"]);
        assert_eq!(names(&path), ["new"]);
    }

    #[test]
    fn what_is_taken_back_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let (file, tree) = (folder.path().join("file"), folder.path().join("tree"));
        let publish_and_take_back = |overwrite| {
            let (file, _) = Place::for_file(&file, overwrite).unwrap();
            let tree = Place::for_folder(&tree, overwrite).unwrap();
            for place in [file, tree] {
                place.publish().unwrap().take_back();
            }
        };
        publish_and_take_back(false);
        assert!(names(folder.path()).is_empty());
        fs::write(&file, "old").unwrap();
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("old"), "old").unwrap();
        publish_and_take_back(true);
        assert_eq!(names(folder.path()), ["file", "tree"]);
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(names(&tree), ["old"]);
    }

    #[test]
    fn bad_places_are_refused_before_anything_runs() {
        let folder = tempfile::tempdir().unwrap();
        let fault = |path: &Path| Place::for_file(path, false).unwrap_err();
        assert!(
            fault(&folder.path().join("no/such/out"))
                .to_string()
                .contains("does not exist")
        );
        assert!(fault(folder.path()).to_string().contains("exists already"));
        let forced = Place::for_file(folder.path(), true).unwrap_err();
        assert!(forced.to_string().contains("is a folder"), "{forced}");
        assert!(fault(Path::new("/")).to_string().contains("has no name"));
    }
}
