//! Places for outputs on this machine: invisible until they are published.
//!
//! A place is a file or folder with a temporary name beside where it goes, so
//! that one atomic rename publishes it. Dropped unpublished, it is removed; a
//! process that is killed leaves it behind under a name that begins with
//! `.wharf-` and ends with `.partial`; and what an output was about to replace for
//! good, with `.replaced` after that.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
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

/// An output that was published and may have to be taken back. What it replaced is
/// removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Published {
    path: PathBuf,
    /// What was published: somebody else may have put something there since.
    identity: Identity,
    before: Before,
}

/// What was at the path of an output before.
#[derive(Debug)]
enum Before {
    Nothing,
    Kept(Replaced),
    /// The file system cannot exchange names: it is gone.
    Gone,
}

/// What tells a file or folder from every other: device and inode.
type Identity = (u64, u64);

fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// What an output replaced, under a name of its own; removed when dropped.
#[derive(Debug)]
struct Replaced(PathBuf);

impl Replaced {
    /// Names what was exchanged for an output, so that nobody takes it for
    /// something half-made.
    fn named(exchanged: PathBuf) -> Self {
        let mut name = exchanged.as_os_str().to_owned();
        name.push(".replaced");
        match renameat_with(CWD, &exchanged, CWD, &name, RenameFlags::NOREPLACE) {
            Ok(()) => Self(name.into()),
            // It keeps the name that it has.
            Err(_) => Self(exchanged),
        }
    }

    /// Leaves it where it is.
    fn keep(self) -> PathBuf {
        std::mem::take(&mut std::mem::ManuallyDrop::new(self).0)
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            let path = self.0.display();
            tracing::warn!(%path, %error, "what an output replaced could not be removed");
        }
    }
}

/// Removes a file, or a folder with all that is in it.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
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
        self.temporary.path()
    }

    /// Makes the output visible at its path, at once and as a whole. The caller
    /// has synced its content, and syncs the name with [`Published::sync`].
    pub(crate) fn publish(self) -> Result<Published, Fault> {
        let identity = identity(self.temporary());
        let published = identity
            .and_then(|identity| Ok((identity, self.temporary.go_to(&self.path, self.overwrite)?)));
        match published {
            Ok((identity, before)) => Ok(Published {
                path: self.path,
                identity,
                before,
            }),
            Err(error) => Err(cannot_publish(&self.path, &error)),
        }
    }
}

/// How often somebody else may come between a look at a path and a rename to it.
const RACES: usize = 16;

impl Temporary {
    fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Folder(folder) => folder.path(),
        }
    }

    /// It has moved away: nothing is left to remove.
    fn forget(self) {
        match self {
            Self::File(path) => drop(path.keep()),
            Self::Folder(folder) => drop(folder.keep()),
        }
    }

    /// Takes a path, at once: in the place of what is there, where that is wanted.
    fn go_to(self, path: &Path, overwrite: bool) -> io::Result<Before> {
        for _ in 0..RACES {
            match renameat_with(CWD, self.path(), CWD, path, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    self.forget();
                    return Ok(Before::Nothing);
                }
                Err(Errno::EXIST) if overwrite => {}
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    return self.go_without_exchange(path, overwrite);
                }
                Err(error) => return Err(error.into()),
            }
            match renameat_with(CWD, self.path(), CWD, path, RenameFlags::EXCHANGE) {
                Ok(()) => return self.exchanged(path),
                Err(Errno::NOENT) => {}
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    return self.go_without_exchange(path, overwrite);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other(
            "something comes and goes there all the time",
        ))
    }

    /// What now has the temporary name must be of the same kind: a file does not
    /// replace a folder that appeared meanwhile.
    fn exchanged(self, path: &Path) -> io::Result<Before> {
        let is_folder = fs::symlink_metadata(self.path())?.is_dir();
        if is_folder == matches!(self, Self::Folder(_)) {
            let replaced = Replaced::named(self.path().to_owned());
            self.forget();
            return Ok(Before::Kept(replaced));
        }
        renameat_with(CWD, self.path(), CWD, path, RenameFlags::EXCHANGE)?;
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// On file systems that cannot exchange names. A file replaces the other for
    /// good there, and a folder cannot.
    fn go_without_exchange(self, path: &Path, overwrite: bool) -> io::Result<Before> {
        match self {
            Self::File(file) if overwrite => {
                let replaces = fs::symlink_metadata(path).is_ok();
                file.persist(path).map_err(|error| error.error)?;
                Ok(if replaces {
                    Before::Gone
                } else {
                    Before::Nothing
                })
            }
            Self::File(file) => {
                let persisted = file.persist_noclobber(path);
                persisted.map_err(|error| error.error)?;
                Ok(Before::Nothing)
            }
            Self::Folder(folder) => {
                match (fs::symlink_metadata(path), overwrite) {
                    (Err(_), _) => {}
                    (Ok(_), false) => return Err(io::ErrorKind::AlreadyExists.into()),
                    (Ok(_), true) => {
                        let why = "this file system cannot replace a folder at once";
                        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
                    }
                }
                fs::rename(folder.path(), path)?;
                drop(folder.keep());
                Ok(Before::Nothing)
            }
        }
    }
}

impl Published {
    /// Makes the new name durable.
    pub(crate) fn sync(&self) -> Result<(), Fault> {
        sync(parent(&self.path))
    }

    /// Takes an output back, because the run came to nothing after all: what was
    /// there before is there again. Where somebody has put something else there,
    /// nothing is touched, and what was there before is kept.
    pub(crate) fn take_back(self) {
        let path = self.path.display().to_string();
        match identity(&self.path) {
            Ok(now) if now == self.identity => {}
            _ => {
                tracing::warn!(path, "an output was changed before it could be taken back");
                self.before.keep();
                return;
            }
        }
        let taken = match self.before {
            Before::Nothing => remove(&self.path),
            Before::Gone => Err(io::Error::other("what it replaced is gone")),
            Before::Kept(replaced) => {
                let exchange =
                    renameat_with(CWD, &replaced.0, CWD, &self.path, RenameFlags::EXCHANGE);
                if exchange.is_err() {
                    Before::Kept(replaced).keep();
                }
                // What is under the other name now is what was published, and goes.
                exchange.map_err(io::Error::from)
            }
        };
        if let Err(error) = taken {
            tracing::warn!(path, %error, "an output could not be taken back");
        }
    }
}

impl Before {
    fn keep(self) {
        if let Self::Kept(replaced) = self {
            let path = replaced.keep();
            tracing::warn!(path = %path.display(), "what an output replaced is kept there");
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
                "outputs may not be written in `{}`: {}",
                folder.display(),
                error.kind()
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
        assert_eq!(names(folder.path()).len(), 2, "the old one is kept");
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
    fn what_somebody_else_has_put_there_is_not_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "old").unwrap();
        let publish = |content: &str| {
            let (place, mut file) = Place::for_file(&path, true).unwrap();
            file.write_all(content.as_bytes()).unwrap();
            place.publish().unwrap()
        };
        let (first, second) = (publish("first"), publish("second"));
        first.take_back();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        let kept = names(folder.path());
        let kept = kept.iter().filter(|name| name.ends_with(".replaced"));
        assert_eq!(kept.count(), 2);
        drop(second);
        fs::remove_file(&path).unwrap();
        let third = publish("third");
        fs::remove_file(&path).unwrap();
        third.take_back();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_forced_appears_where_nothing_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let places = [1, 2, 3].map(|_| Place::for_file(&path, true).unwrap().0);
        for place in places {
            place.publish().unwrap();
        }
        assert_eq!(names(folder.path()), ["out"]);
        let (place, _) = Place::for_file(&path, true).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(place.publish().unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(names(folder.path()), ["out"]);
    }

    /// As on a file system that cannot exchange names.
    #[test]
    fn without_exchange_files_are_replaced_and_folders_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let (file, tree) = (folder.path().join("file"), folder.path().join("tree"));
        let go = |path: &Path, is_folder: bool, overwrite: bool| {
            let place = match is_folder {
                true => Place::for_folder(path, true).unwrap(),
                false => Place::for_file(path, true).unwrap().0,
            };
            place.temporary.go_without_exchange(path, overwrite)
        };
        assert!(matches!(go(&file, false, false), Ok(Before::Nothing)));
        assert!(matches!(go(&tree, true, false), Ok(Before::Nothing)));
        assert!(matches!(go(&file, false, true), Ok(Before::Gone)));
        let error = |result: io::Result<Before>| result.unwrap_err().kind();
        let exists = io::ErrorKind::AlreadyExists;
        assert_eq!(error(go(&file, false, false)), exists);
        assert_eq!(error(go(&tree, true, false)), exists);
        assert_eq!(error(go(&tree, true, true)), io::ErrorKind::Unsupported);
        assert_eq!(names(folder.path()), ["file", "tree"]);
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
