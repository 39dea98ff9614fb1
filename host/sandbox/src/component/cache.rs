//! Compiled code, kept between runs.
//!
//! Loading compiled code runs it: whoever can write an entry can run anything
//! as the user. So the folder is the owner's alone, and every entry carries a
//! keyed hash (BLAKE3) over all that it depends on and contains; the key lives
//! beside the entries. An entry that does not verify is not used, and replaced.
//!
//! An entry: magic (8 bytes), keyed hash of the rest (32), length of the
//! description (4, little endian), the description as JSON, the code.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use wharf_model::{Digest, Fault};

use super::Description;
use super::code::{CompiledCode, Unsealed};
use super::compile::Compiled;

const MAGIC: &[u8; 8] = b"wharfcc3";
const KEY_FILE: &str = "key";
const HEADER: usize = MAGIC.len() + 32 + 4;

/// Most bytes of all entries together. The oldest are removed first.
const MAX_BYTES: u64 = 4 << 30;

/// A folder of compiled components.
#[derive(Clone, Debug)]
pub struct CompileCache {
    folder: PathBuf,
    key: [u8; 32],
}

/// What identifies an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryKey {
    /// The component.
    pub(crate) component: Digest,
    /// See [`crate::engine::compatibility`].
    pub(crate) compatibility: u64,
}

impl CompileCache {
    /// Opens the cache in a folder, and makes both where they are missing.
    ///
    /// # Errors
    /// Where the folder cannot be made, belongs to somebody else, or is open to
    /// others.
    pub fn open(folder: &Path) -> Result<Self, Fault> {
        create_private(folder).map_err(|error| Fault::io("create the folder", folder, &error))?;
        check_private(folder)?;
        let key = read_or_make_key(&folder.join(KEY_FILE))?;
        Ok(Self {
            folder: folder.to_owned(),
            key,
        })
    }

    /// Where the cache is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many components are in the cache, and how many bytes they take.
    #[must_use]
    pub fn usage(&self) -> (usize, u64) {
        let entries = self.entries();
        (entries.len(), entries.iter().map(|entry| entry.bytes).sum())
    }

    fn path(&self, key: &EntryKey) -> PathBuf {
        let name = format!("{}-{:016x}.cwasm", key.component.hex(), key.compatibility);
        self.folder.join(name)
    }

    /// A hasher that has seen what an entry is for.
    fn authenticator(&self, key: &EntryKey) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // What is known of a component is kept beside its code, as this version
        // of Wharf knows it.
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
        hasher.update(key.component.as_bytes());
        hasher.update(&key.compatibility.to_le_bytes());
        hasher
    }

    /// The entry, where it is there and verifies.
    pub(crate) fn get(&self, key: &EntryKey) -> Option<(Description, CompiledCode)> {
        let path = self.path(key);
        let file = fs::File::open(&path).ok()?;
        let found = self.read(key, file).ok().flatten();
        if found.is_none() {
            tracing::warn!(path = %path.display(), "compiled code does not verify; compiling again");
        }
        found
    }

    /// Reads an entry once, from its beginning to its end: what is hashed is
    /// what is kept.
    fn read(
        &self,
        key: &EntryKey,
        mut file: fs::File,
    ) -> io::Result<Option<(Description, CompiledCode)>> {
        let size = file.metadata()?.len();
        let mut header = [0; HEADER];
        file.read_exact(&mut header)?;
        let Some(rest) = header.strip_prefix(MAGIC) else {
            return Ok(None);
        };
        let (hash, length) = rest.split_at(32);
        let mut hasher = self.authenticator(key);
        hasher.update(length);
        let length = length
            .iter()
            .rev()
            .fold(0, |all, byte| all << 8 | u64::from(*byte));
        // Not verified yet: no more is read than there is.
        let mut json = Vec::new();
        (&mut file).take(length).read_to_end(&mut json)?;
        hasher.update(&json);
        let code = copy_code(&mut file, size, &mut hasher)?;
        // `blake3::Hash` compares in constant time.
        let verifies = hash
            .try_into()
            .is_ok_and(|hash: [u8; 32]| hasher.finalize() == hash);
        if !verifies {
            return Ok(None);
        }
        let description = serde_json::from_slice(&json)?;
        let code = match code {
            Copied::Memory(bytes) => CompiledCode::Memory(bytes),
            Copied::Unsealed(file) => CompiledCode::Sealed(file.seal()?),
        };
        Ok(Some((description, code)))
    }

    /// Adds an entry. Two processes that add the same one do no harm.
    pub(crate) fn put(&self, key: &EntryKey, compiled: &Compiled) -> Result<(), Fault> {
        let json = serde_json::to_vec(&compiled.description).map_err(Fault::internal)?;
        let length = u32::try_from(json.len()).map_err(Fault::internal)?;
        let mut content = Vec::with_capacity(4 + json.len() + compiled.code.len());
        content.extend_from_slice(&length.to_le_bytes());
        content.extend_from_slice(&json);
        content.extend_from_slice(&compiled.code);
        let mut hasher = self.authenticator(key);
        hasher.update(&content);
        let hash = hasher.finalize();
        let path = self.path(key);
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(MAGIC)?;
            file.write_all(hash.as_bytes())?;
            file.write_all(&content)?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|error| Fault::io("write", &path, &error))?;
        self.prune(MAX_BYTES);
        Ok(())
    }

    /// Removes the oldest entries until the rest fit. Best effort: another
    /// process may do the same.
    fn prune(&self, most: u64) {
        let mut entries = self.entries();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.written));
        let mut total = 0;
        for entry in entries {
            total += entry.bytes;
            if total > most {
                let _ = fs::remove_file(entry.path);
            }
        }
    }

    fn entries(&self) -> Vec<Entry> {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let entries = files.filter_map(|file| {
            let path = file.path();
            let metadata = file.metadata().ok()?;
            let is_entry = path
                .extension()
                .is_some_and(|extension| extension == "cwasm");
            let written = metadata.modified().ok()?;
            is_entry.then_some(Entry {
                path,
                bytes: metadata.len(),
                written,
            })
        });
        entries.collect()
    }
}

/// Code that was copied from an entry and is not verified yet.
enum Copied {
    Memory(Vec<u8>),
    Unsealed(Unsealed),
}

/// Copies the rest of an entry, and hashes it on the way.
fn copy_code(file: &mut fs::File, size: u64, hasher: &mut blake3::Hasher) -> io::Result<Copied> {
    /// Entries up to this size are loaded faster from ordinary memory.
    const SMALL: u64 = 4 << 20;
    /// Bytes copied at a time: they stay in the processor's cache.
    const CHUNK: usize = 256 << 10;
    let unsealed = (size > SMALL).then(Unsealed::new).and_then(Result::ok);
    let mut copied = match unsealed {
        Some(unsealed) => Copied::Unsealed(unsealed),
        None => Copied::Memory(Vec::new()),
    };
    let mut chunk = vec![0; CHUNK.min(size as usize + 1)];
    loop {
        let bytes = match file.read(&mut chunk)? {
            0 => return Ok(copied),
            read => &chunk[..read],
        };
        hasher.update(bytes);
        match &mut copied {
            Copied::Memory(memory) => memory.extend_from_slice(bytes),
            Copied::Unsealed(unsealed) => unsealed.write_all(bytes)?,
        }
    }
}

struct Entry {
    path: PathBuf,
    bytes: u64,
    written: SystemTime,
}

#[cfg(unix)]
fn create_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(unix)]
fn check_private(folder: &Path) -> Result<(), Fault> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(folder).map_err(|error| Fault::io("read", folder, &error))?;
    let mine = metadata.uid() == rustix::process::geteuid().as_raw();
    match mine && metadata.mode() & 0o077 == 0 {
        true => Ok(()),
        false => Err(Fault::new(
            wharf_model::ErrorKind::Io,
            format!(
                "the compile cache `{}` is open to other users",
                folder.display()
            ),
        )
        .hint(format!(
            "make it yours alone: chmod 700 {}",
            folder.display()
        ))),
    }
}

#[cfg(not(unix))]
fn create_private(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(not(unix))]
fn check_private(_: &Path) -> Result<(), Fault> {
    Ok(())
}

/// Reads the key, or makes one. Of several processes that make one at a time,
/// the first wins and the others read its key.
fn read_or_make_key(path: &Path) -> Result<[u8; 32], Fault> {
    if let Some(key) = read_key(path)? {
        return Ok(key);
    }
    let failed = |error: &io::Error| Fault::io("write", path, error);
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| Fault::internal(format!("no randomness: {error}")))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    // Complete before it has its name, and readable by the owner alone.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    file.write_all(&key).map_err(|error| failed(&error))?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(key),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            read_key(path)?.ok_or_else(|| failed(&error.error))
        }
        Err(error) => Err(failed(&error.error)),
    }
}

fn read_key(path: &Path) -> Result<Option<[u8; 32]>, Fault> {
    match fs::read(path) {
        Ok(bytes) => match bytes.try_into() {
            Ok(key) => Ok(Some(key)),
            Err(_) => Err(Fault::new(
                wharf_model::ErrorKind::Io,
                format!("`{}` is not a key of 32 bytes", path.display()),
            )
            .hint("remove it: a new one is made, and components are compiled again")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::io("read", path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::Kind;
    use wharf_model::Signature;

    fn compiled() -> Compiled {
        let description = Description {
            signature: Signature::Program,
            imports: vec![],
            kind: Kind::Component,
            docs: None,
        };
        Compiled {
            description,
            code: b"code".to_vec(),
        }
    }

    fn bytes(code: &CompiledCode) -> Vec<u8> {
        match code {
            CompiledCode::Memory(bytes) => bytes.clone(),
            CompiledCode::Sealed(sealed) => fs::read(sealed.path()).unwrap(),
        }
    }

    #[test]
    fn large_code_lies_in_sealed_memory() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompileCache::open(&folder.path().join("cache")).unwrap();
        let code: Vec<u8> = (0..5_000_000_u32).map(|n| n as u8).collect();
        let large = Compiled {
            code: code.clone(),
            ..compiled()
        };
        cache.put(&key(), &large).unwrap();
        let (_, found) = cache.get(&key()).unwrap();
        assert!(matches!(found, CompiledCode::Sealed(_)));
        assert!(bytes(&found) == code);
        let path = entry(cache.folder());
        let mut bad = fs::read(&path).unwrap();
        *bad.last_mut().unwrap() ^= 1;
        fs::write(path, bad).unwrap();
        assert!(cache.get(&key()).is_none());
    }

    fn key() -> EntryKey {
        EntryKey {
            component: Digest::of(b"component"),
            compatibility: 7,
        }
    }

    fn entry(folder: &Path) -> PathBuf {
        CompileCache::open(folder).unwrap().path(&key())
    }

    #[test]
    fn keeps_what_is_put() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompileCache::open(&folder.path().join("cache")).unwrap();
        assert!(cache.get(&key()).is_none());
        cache.put(&key(), &compiled()).unwrap();
        let found = CompileCache::open(cache.folder())
            .unwrap()
            .get(&key())
            .unwrap();
        assert_eq!(
            (bytes(&found.1), found.0),
            (b"code".to_vec(), compiled().description)
        );
        assert_eq!(cache.usage().0, 1);
    }

    #[test]
    fn any_flipped_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = &folder.path().join("cache");
        let cache = CompileCache::open(folder).unwrap();
        cache.put(&key(), &compiled()).unwrap();
        let good = fs::read(entry(folder)).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(entry(folder), bad).unwrap();
            assert!(cache.get(&key()).is_none(), "byte {at}");
        }
        for length in 0..good.len() {
            fs::write(entry(folder), &good[..length]).unwrap();
            assert!(cache.get(&key()).is_none(), "cut to {length}");
        }
    }

    #[test]
    fn an_entry_of_another_key_component_or_machine_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompileCache::open(&folder.path().join("a")).unwrap();
        cache.put(&key(), &compiled()).unwrap();
        let other_key = CompileCache::open(&folder.path().join("b")).unwrap();
        fs::copy(cache.path(&key()), other_key.path(&key())).unwrap();
        assert!(other_key.get(&key()).is_none());
        let elsewhere = EntryKey {
            compatibility: 8,
            ..key()
        };
        fs::copy(cache.path(&key()), cache.path(&elsewhere)).unwrap();
        assert!(cache.get(&elsewhere).is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_open_to_others_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let fault = CompileCache::open(folder.path()).unwrap_err();
        assert!(fault.to_string().contains("open to other users"), "{fault}");
    }

    #[test]
    fn the_oldest_entries_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompileCache::open(&folder.path().join("cache")).unwrap();
        let old = EntryKey {
            component: Digest::of(b"old"),
            ..key()
        };
        cache.put(&old, &compiled()).unwrap();
        let past = SystemTime::now() - std::time::Duration::from_secs(60);
        let file = fs::File::options()
            .write(true)
            .open(cache.path(&old))
            .unwrap();
        file.set_modified(past).unwrap();
        cache.put(&key(), &compiled()).unwrap();
        cache.prune(cache.usage().1 - 1);
        assert!(cache.get(&old).is_none());
        assert!(cache.get(&key()).is_some());
    }
}
