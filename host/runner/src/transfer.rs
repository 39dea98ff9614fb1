//! Files and folders of this machine go into a store, and come out of it.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use wharf_model::name::TreePath;
use wharf_model::tree::Listed;
use wharf_model::{Content, Fault};
use wharf_store::{BlobReader, Store, fault_of};

use crate::local::{Place, sync_tree};
use crate::source::{OpenFile, cannot_read};
use crate::tree::{list, tree_digest};

/// Bytes that are copied at a time.
const PART_BYTES: u64 = 8 << 20;

/// Keeps a file or a folder as an artifact.
///
/// # Errors
/// Where it is missing, is neither, or changes meanwhile; where the store fails.
pub async fn put(store: &Store, path: &Path) -> Result<Content, Fault> {
    match path.is_dir() {
        true => put_folder(store, path).await,
        false => {
            // For the messages that inputs have.
            drop(OpenFile::open(path)?);
            store.put_file(path).await
        }
    }
}

/// What a file or a folder would be as an artifact. Keeps nothing.
///
/// # Errors
/// Where it is missing, or cannot be read.
pub async fn content(path: &Path) -> Result<Content, Fault> {
    if !path.is_dir() {
        drop(OpenFile::open(path)?);
        return Store::content_of_file(path).await;
    }
    let files = each_file(path, None).await?;
    let (count, size) = (files.len() as u64, files.iter().map(|file| file.size).sum());
    Ok(Content {
        digest: tree_digest(files),
        size,
        files: Some(count),
        chunks: None,
    })
}

async fn put_folder(store: &Store, path: &Path) -> Result<Content, Fault> {
    let files = each_file(path, Some(store)).await?;
    store.put_tree(files).await
}

/// The files of a folder; each is kept where a store is given.
async fn each_file(path: &Path, store: Option<&Store>) -> Result<Vec<Listed>, Fault> {
    let folder = Dir::open_ambient_dir(path, ambient_authority());
    let folder = folder.map_err(|error| cannot_read(path, &error))?;
    let mut files = Vec::new();
    for (entry, _) in list(&folder, path)? {
        let path = path.join(entry.path.as_str());
        let content = match store {
            Some(store) => store.put_file(&path).await?,
            None => Store::content_of_file(&path).await?,
        };
        files.push(Listed {
            path: entry.path,
            digest: content.digest,
            size: content.size,
        });
    }
    Ok(files)
}

/// Makes a file or a folder of an artifact, whole or not at all. `told` is called
/// with the bytes that are done.
///
/// # Errors
/// Where the path is taken and may not be replaced; where the store fails, or its
/// bytes are damaged.
pub async fn get(
    store: &Store,
    content: &Content,
    path: &Path,
    overwrite: bool,
    told: &impl Fn(u64),
) -> Result<(), Fault> {
    let place = match content.is_tree() {
        true => {
            let place = Place::for_folder(path, overwrite)?;
            get_files(store, content, place.temporary(), told).await?;
            place
        }
        false => {
            let (place, mut file) = Place::for_file(path, overwrite)?;
            copy(&store.open_blob(content).await?, &mut file, path, told).await?;
            file.sync_all()
                .map_err(|error| Fault::io("write", path, &error))?;
            place
        }
    };
    place.publish()?.sync()
}

async fn get_files(
    store: &Store,
    content: &Content,
    folder: &Path,
    told: &impl Fn(u64),
) -> Result<(), Fault> {
    let files = store.tree(content).await?;
    for listed in &files {
        let path = folder.join(listed.path.as_str());
        let created = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let file = created.and_then(|()| File::create_new(&path));
        let mut file = file.map_err(|error| Fault::io("create", &path, &error))?;
        copy(
            &store.open_blob(&listed.content()).await?,
            &mut file,
            &path,
            told,
        )
        .await?;
    }
    let folders = files.iter().flat_map(|file| TreePath::parents(&file.path));
    let names = files.iter().map(|file| file.path.as_str());
    sync_tree(folder, names.chain(folders).chain([""]))
}

async fn copy(
    blob: &BlobReader,
    file: &mut File,
    path: &Path,
    told: &impl Fn(u64),
) -> Result<(), Fault> {
    let mut buffer = vec![0; PART_BYTES.min(blob.size()) as usize];
    let mut offset = 0;
    while offset < blob.size() {
        blob.fetch(offset, buffer.len() as u64).await?;
        let read = blob.read_at(offset, &mut buffer);
        let read = read.map_err(|error| fault_of(&error))?;
        let written = file.write_all(&buffer[..read]);
        written.map_err(|error| Fault::io("write", path, &error))?;
        offset += read as u64;
        told(read as u64);
    }
    Ok(())
}
