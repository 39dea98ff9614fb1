//! The contract of a store: one suite, which every kind of store passes.
#![expect(clippy::unwrap_used, reason = "a test that fails says why")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use support::{Kind, record};
use wharf_model::artifact::Origin;
use wharf_model::name::{Name, TreePath};
use wharf_model::tree::Listed;
use wharf_model::{ArtifactReference, Content, Digest, ErrorKind, Outcome};
use wharf_store::{Author, Committed, NewTag, NewVersion, Store};

/// Runs each test on each kind of store.
macro_rules! contract {
    ($($test:ident,)*) => {
        contract!(@kind memory Memory: $($test,)*);
        contract!(@kind file File: $($test,)*);
        contract!(@kind s3 S3: $($test,)*);
        contract!(@kind azure Azure: $($test,)*);
    };
    (@kind $module:ident $kind:ident: $($test:ident,)*) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::Kind::$kind).await;
            })*
        }
    };
}

contract!(
    blobs_come_back,
    a_blob_is_written_once,
    parts_of_a_large_blob_are_read,
    a_missing_blob_is_a_typed_fault,
    files_become_blobs,
    trees_come_back,
    one_commit_counts,
    versions_are_numbered_and_never_change,
    the_same_version_is_added_once,
    tags_are_moved_by_compare_and_set,
    racing_writers_lose_nothing,
    removed_versions_are_gone_and_their_numbers_too,
    garbage_is_what_nothing_names,
    damage_is_found,
    an_artifact_is_copied_to_another_store,
    a_store_is_prepared_twice,
);

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n * 31 % 251) as u8).collect()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn author() -> Author {
    Author {
        by: "tester".to_owned(),
        now: "2026-01-01T00:00:00Z".parse().unwrap(),
    }
}

fn new_version(artifact: &str, content: Content) -> NewVersion {
    NewVersion {
        name: name(artifact),
        content,
        media_type: Some("text/plain".to_owned()),
        metadata: Default::default(),
        origin: Origin::Put {
            path: "here".to_owned(),
        },
    }
}

fn new_tag(artifact: &str, tag: &str, version: Option<u64>) -> NewTag {
    NewTag {
        name: name(artifact),
        tag: name(tag),
        version,
        expected: None,
        run: None,
        partition: None,
    }
}

async fn put(store: &Store, bytes: &[u8]) -> Content {
    store
        .put_bytes(Bytes::copy_from_slice(bytes))
        .await
        .unwrap()
}

async fn read(store: &Store, content: &Content) -> Bytes {
    store
        .open_blob(content)
        .await
        .unwrap()
        .read()
        .await
        .unwrap()
}

async fn blobs_come_back(kind: Kind) {
    let (_keep, store) = kind.store();
    for size in [0, 1, 1000, 4 << 20, (4 << 20) + 1, 21 << 20] {
        let bytes = pattern(size);
        let content = put(&store, &bytes).await;
        assert_eq!(content.digest, Digest::of(&bytes));
        assert_eq!(content.size, size as u64);
        assert!(read(&store, &content).await == bytes, "{size}");
    }
}

async fn a_blob_is_written_once(kind: Kind) {
    let (_keep, store) = kind.store();
    let bytes = pattern(100_000);
    let writes = (0..8).map(|_| put(&store, &bytes));
    let contents = futures::future::join_all(writes).await;
    assert!(contents.iter().all(|content| *content == contents[0]));
    assert_eq!(read(&store, &contents[0]).await, bytes);
}

async fn parts_of_a_large_blob_are_read(kind: Kind) {
    let (_keep, store) = kind.store();
    let bytes = pattern(40 << 20);
    let content = put(&store, &bytes).await;
    let blob = store.open_blob(&content).await.unwrap();
    let size = bytes.len() as u64;
    for (offset, length) in [
        (size - 8, 8),
        (0, 5),
        (17 << 20, 3 << 20),
        (size - 2, 100),
        (size + 9, 1),
    ] {
        blob.fetch(offset, length).await.unwrap();
        assert!(blob.is_here(offset, length));
        let mut buffer = vec![0; length as usize];
        let read = blob.read_at(offset, &mut buffer).unwrap();
        let start = offset.min(size) as usize;
        let end = (offset + length).min(size) as usize;
        assert!(buffer[..read] == bytes[start..end.max(start)], "{offset}");
    }
}

async fn a_missing_blob_is_a_typed_fault(kind: Kind) {
    let (_keep, store) = kind.store();
    let small = Content::of(b"never written");
    let fault = store.open_blob(&small).await.unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::Corrupt);
    assert!(
        fault.to_string().contains("is missing in the store"),
        "{fault}"
    );
    let large = Content {
        size: 9 << 20,
        chunks: Some(small.digest),
        ..small
    };
    assert!(store.open_blob(&large).await.is_err());
}

async fn files_become_blobs(kind: Kind) {
    let (keep, store) = kind.store();
    let path = keep.path().join("file");
    for size in [0, 77, 20 << 20] {
        let bytes = pattern(size);
        std::fs::write(&path, &bytes).unwrap();
        let content = store.put_file(&path).await.unwrap();
        assert!(read(&store, &content).await == bytes);
        assert_eq!(store.put_file(&path).await.unwrap(), content);
    }
    assert!(store.put_file(&keep.path().join("none")).await.is_err());
}

async fn trees_come_back(kind: Kind) {
    let (_keep, store) = kind.store();
    let mut files = Vec::new();
    for path in ["b", "a/x"] {
        let content = put(&store, path.as_bytes()).await;
        files.push(Listed {
            path: TreePath::new(path).unwrap(),
            digest: content.digest,
            size: content.size,
        });
    }
    let tree = store.put_tree(files.clone()).await.unwrap();
    assert_eq!((tree.files, tree.size), (Some(2), 4));
    files.sort();
    assert_eq!(store.tree(&tree).await.unwrap(), files);
    let file = put(&store, b"no listing").await;
    assert_eq!(
        store.tree(&file).await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
}

async fn one_commit_counts(kind: Kind) {
    let (_keep, store) = kind.store();
    let key = Digest::of(b"key");
    assert_eq!(store.commit_of(&key).await.unwrap(), None);
    let first = record("run-1", &key);
    let commit = |record| {
        let store = store.clone();
        async move { store.commit(&key, &record, &support::events()).await }
    };
    assert_eq!(commit(first.clone()).await.unwrap(), Committed::New);
    // As after a lost acknowledgement.
    assert_eq!(commit(first.clone()).await.unwrap(), Committed::New);
    let same = commit(record("run-2", &key)).await.unwrap();
    assert_eq!(same, Committed::Before(Box::new(first.clone())));
    let mut other = record("run-3", &key);
    other.outcome = Outcome::Succeeded { results: 7.into() };
    let fault = commit(other).await.unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::Conflict);
    assert!(fault.to_string().contains("run-1"), "{fault}");
    assert_eq!(store.commit_of(&key).await.unwrap(), Some(first.clone()));
    assert_eq!(store.events(&first.id).await.unwrap(), support::events());
    assert_eq!(store.events(&"run-3".parse().unwrap()).await.unwrap(), []);
}

async fn versions_are_numbered_and_never_change(kind: Kind) {
    let (_keep, store) = kind.store();
    let get = |text: &str| {
        let (store, reference) = (store.clone(), text.parse::<ArtifactReference>().unwrap());
        async move { store.version(&reference).await }
    };
    let fault = get("model").await.unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::UnknownArtifact);
    for (number, bytes) in [(1, "one"), (2, "two"), (3, "three")] {
        let content = put(&store, bytes.as_bytes()).await;
        let version = store
            .add_version(&new_version("model", content), &author())
            .await
            .unwrap();
        assert_eq!(version.number, number);
    }
    assert_eq!(get("model").await.unwrap().number, 3);
    assert_eq!(get("model@1").await.unwrap().content, Content::of(b"one"));
    let by_digest = format!("model@{}", Digest::of(b"two"));
    assert_eq!(get(&by_digest).await.unwrap().number, 2);
    let unknown = get("model@9").await.unwrap_err().to_string();
    assert!(unknown.contains("there is no `model@9`"), "{unknown}");
    let unknown = get("modle").await.unwrap_err();
    assert_eq!(unknown.advice(), Some("did you mean `model`?"));
    assert_eq!(store.artifacts().await.unwrap(), [name("model")]);
    assert_eq!(
        store.version_numbers(&name("model")).await.unwrap(),
        [1, 2, 3]
    );
}

async fn the_same_version_is_added_once(kind: Kind) {
    let (_keep, store) = kind.store();
    let content = put(&store, b"model").await;
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let version = new_version("model", content);
        numbers.push(store.add_version(&version, &author()).await.unwrap().number);
    }
    let mut other = new_version("model", content);
    other.metadata.insert("note".into(), "another".into());
    numbers.push(store.add_version(&other, &author()).await.unwrap().number);
    assert_eq!(numbers, [1, 1, 2]);
}

/// The runs of partitions move a tag forwards alone, in whatever order they come.
async fn of_partitions(store: &Store) {
    let moved = async |version, partition: &str, expected| {
        let tag = NewTag {
            partition: Some(partition.to_owned()),
            expected,
            ..new_tag("model", "newest", Some(version))
        };
        let moved = store.move_tag(&tag, &author()).await.unwrap();
        (moved.version.unwrap(), moved.partition.unwrap())
    };
    assert_eq!(moved(1, "2013-02", None).await, (1, "2013-02".to_owned()));
    assert_eq!(moved(2, "2013-01", None).await, (1, "2013-02".to_owned()));
    assert_eq!(moved(2, "2013-03", None).await, (2, "2013-03".to_owned()));
    // Who has looked knows what it does.
    let looked = moved(1, "2013-01", Some(Some(2))).await;
    assert_eq!(looked, (1, "2013-01".to_owned()));
    // Somebody goes back by hand: to a version of no partition, so that any may move it.
    store
        .move_tag(&new_tag("model", "newest", Some(2)), &author())
        .await
        .unwrap();
    assert_eq!(moved(1, "2013-05", None).await, (1, "2013-05".to_owned()));
    // The same version of a later partition.
    assert_eq!(moved(1, "2013-07", None).await, (1, "2013-07".to_owned()));
    assert_eq!(moved(2, "2013-06", None).await, (1, "2013-07".to_owned()));
    assert_eq!(moved(1, "2013-06", None).await, (1, "2013-07".to_owned()));
    assert_eq!(moved(2, "north", None).await, (2, "north".to_owned()));
    assert_eq!(moved(1, "east", None).await, (1, "east".to_owned()));
}

async fn tags_are_moved_by_compare_and_set(kind: Kind) {
    let (_keep, store) = kind.store();
    for bytes in [b"1", b"2"] {
        let content = put(&store, bytes).await;
        store
            .add_version(&new_version("model", content), &author())
            .await
            .unwrap();
    }
    let reference: ArtifactReference = "model:prod".parse().unwrap();
    assert_eq!(
        store.version(&reference).await.unwrap_err().kind(),
        ErrorKind::UnknownArtifact
    );
    let tag = |version, expected| NewTag {
        expected,
        ..new_tag("model", "prod", version)
    };
    store
        .move_tag(&tag(Some(1), Some(None)), &author())
        .await
        .unwrap();
    assert_eq!(store.version(&reference).await.unwrap().number, 1);
    let fault = store
        .move_tag(&tag(Some(2), Some(None)), &author())
        .await
        .unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::Conflict);
    assert!(
        fault
            .to_string()
            .contains("means version 1, not no version"),
        "{fault}"
    );
    let moved = store
        .move_tag(&tag(Some(2), Some(Some(1))), &author())
        .await
        .unwrap();
    assert_eq!((moved.sequence, moved.before), (2, Some(1)));
    // To where it is: nothing happens.
    assert_eq!(
        store
            .move_tag(&tag(Some(2), None), &author())
            .await
            .unwrap(),
        moved
    );
    assert!(
        store
            .move_tag(&tag(Some(3), None), &author())
            .await
            .is_err()
    );
    store.move_tag(&tag(None, None), &author()).await.unwrap();
    assert!(store.version(&reference).await.is_err());
    assert!(store.tags(&name("model")).await.unwrap().is_empty());
    let history = store
        .tag_history(&name("model"), &name("prod"))
        .await
        .unwrap();
    let versions: Vec<_> = history.iter().map(|moved| moved.version).collect();
    assert_eq!(versions, [Some(1), Some(2), None]);
    of_partitions(&store).await;
}

async fn racing_writers_lose_nothing(kind: Kind) {
    const WRITERS: u64 = 12;
    let (_keep, store) = kind.store();
    let write = |n: u64| {
        let store = store.clone();
        tokio::spawn(async move {
            let content = put(&store, &n.to_le_bytes()).await;
            let version = store
                .add_version(&new_version("model", content), &author())
                .await;
            let number = version.unwrap().number;
            store
                .move_tag(&new_tag("model", "latest", Some(number)), &author())
                .await
                .unwrap();
            number
        })
    };
    let numbers = futures::future::join_all((0..WRITERS).map(write)).await;
    let mut numbers: Vec<_> = numbers.into_iter().map(Result::unwrap).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=WRITERS).collect::<Vec<_>>());
    let history = store
        .tag_history(&name("model"), &name("latest"))
        .await
        .unwrap();
    assert_eq!(history.len() as u64, WRITERS);
    for (before, after) in history.iter().zip(&history[1..]) {
        assert_eq!(before.version, after.before);
    }
}

async fn removed_versions_are_gone_and_their_numbers_too(kind: Kind) {
    let (_keep, store) = kind.store();
    let add = |bytes: &'static [u8]| {
        let store = store.clone();
        async move {
            let content = put(&store, bytes).await;
            store
                .add_version(&new_version("model", content), &author())
                .await
                .unwrap()
                .number
        }
    };
    assert_eq!((add(b"1").await, add(b"2").await), (1, 2));
    store
        .move_tag(&new_tag("model", "prod", Some(2)), &author())
        .await
        .unwrap();
    let fault = store
        .remove_version(&name("model"), 2, &author())
        .await
        .unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::Conflict);
    store
        .move_tag(&new_tag("model", "prod", Some(1)), &author())
        .await
        .unwrap();
    store
        .remove_version(&name("model"), 2, &author())
        .await
        .unwrap();
    assert_eq!(store.version_numbers(&name("model")).await.unwrap(), [1]);
    assert!(store.version(&"model@2".parse().unwrap()).await.is_err());
    assert!(
        store
            .remove_version(&name("model"), 2, &author())
            .await
            .is_err()
    );
    assert_eq!(add(b"3").await, 3);
}

async fn garbage_is_what_nothing_names(kind: Kind) {
    let (_keep, store) = kind.store();
    let named = put(&store, &pattern(5 << 20)).await;
    store
        .add_version(&new_version("model", named), &author())
        .await
        .unwrap();
    let removed = put(&store, b"of a version that was removed").await;
    store
        .add_version(&new_version("model", removed), &author())
        .await
        .unwrap();
    store
        .remove_version(&name("model"), 2, &author())
        .await
        .unwrap();
    let made = put(&store, b"made by a step").await;
    let key = Digest::of(b"key");
    let mut commit = record("run-1", &key);
    commit.outputs = vec![support::artifact("out", &made)];
    store.commit(&key, &commit, &[]).await.unwrap();
    let garbage = put(&store, b"garbage").await;

    let patient = store
        .collect_garbage(Duration::from_secs(3600), false)
        .await
        .unwrap();
    assert_eq!((patient.removed, patient.young), (0, 2));
    let dry = store.collect_garbage(Duration::ZERO, true).await.unwrap();
    assert_eq!((dry.removed, dry.kept), (2, 3));
    assert_eq!(read(&store, &garbage).await, "garbage");
    let wet = store.collect_garbage(Duration::ZERO, false).await.unwrap();
    assert_eq!(wet, dry);
    let elsewhere = kind.reopen(&store);
    assert!(elsewhere.open_blob(&garbage).await.is_err());
    for kept in [named, made] {
        read(&elsewhere, &kept).await;
    }
    // What was removed can be written again.
    put(&store, b"garbage").await;
    assert_eq!(read(&elsewhere, &garbage).await, "garbage");
}

async fn damage_is_found(kind: Kind) {
    let (keep, store) = kind.store();
    let good = put(&store, &pattern(9 << 20)).await;
    let tree = {
        let content = put(&store, b"file of a tree").await;
        let (path, digest, size) = (TreePath::new("f").unwrap(), content.digest, content.size);
        store
            .put_tree(vec![Listed { path, digest, size }])
            .await
            .unwrap()
    };
    let lost = Content::of(b"never written");
    for (artifact, content) in [("good", good), ("tree", tree), ("lost", lost)] {
        store
            .add_version(&new_version(artifact, content), &author())
            .await
            .unwrap();
    }
    let verified = store.verify(|_| {}).await.unwrap();
    assert_eq!(verified.good, 4);
    assert_eq!(verified.bad.len(), 1);
    assert_eq!(verified.bad[0].digest, lost.digest);
    assert!(
        verified.bad[0].named_by.contains("artifacts/lost"),
        "{verified:?}"
    );
    if kind == Kind::File {
        let hex = good.digest.hex();
        let file = keep
            .path()
            .join(format!("store/blobs/sha256/{}/{hex}", &hex[..2]));
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[7 << 20] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let verified = store.verify(|_| {}).await.unwrap();
        assert_eq!(verified.bad.len(), 2);
        let blob = store.open_blob(&good).await.unwrap();
        let mut buffer = [0; 10];
        assert_eq!(blob.read_at(0, &mut buffer).unwrap(), 10);
        let error = blob.read_at(7 << 20, &mut buffer).unwrap_err();
        assert_eq!(wharf_store::fault_of(&error).kind(), ErrorKind::Corrupt);
    }
}

async fn an_artifact_is_copied_to_another_store(kind: Kind) {
    let (_keep, store) = kind.store();
    let (_other_keep, other) = Kind::File.store();
    let large = put(&store, &pattern(9 << 20)).await;
    let version = store
        .add_version(&new_version("model", large), &author())
        .await
        .unwrap();
    for (from, to) in [(&store, &other), (&other, &store)] {
        let (copy, copied) = to
            .copy_version(from, &version, &author(), |_| {})
            .await
            .unwrap();
        let is_there = std::ptr::eq(to, &store);
        assert_eq!(
            (copied.blobs, copied.skipped),
            (u64::from(!is_there), u64::from(is_there))
        );
        assert_eq!(copy.content, large);
        assert!(matches!(copy.origin, Origin::Copy { .. }));
        assert!(read(to, &copy.content).await == pattern(9 << 20));
    }
    let (_, again) = other
        .copy_version(&store, &version, &author(), |_| {})
        .await
        .unwrap();
    assert_eq!((again.blobs, again.skipped), (0, 1));
}

async fn a_store_is_prepared_twice(kind: Kind) {
    let (_keep, store) = kind.store();
    store.prepare().await.unwrap();
    store.prepare().await.unwrap();
    kind.reopen(&store).prepare().await.unwrap();
}
