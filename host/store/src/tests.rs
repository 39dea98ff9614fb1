//! One suite that every kind of store passes.

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use wharf_model::event::{Event, Level};
use wharf_model::limits::Limits;
use wharf_model::outcome::Outcome;
use wharf_model::pipeline_run::{STARTED_FORMAT, Started};
use wharf_model::record::{FORMAT, Host, RunId, Step, Timings, Usage};
use wharf_model::request::DEFAULT_LOGICAL_TIME;
use wharf_model::{Content, Digest, ErrorKind, Record};

use std::sync::atomic::Ordering;

use std::time::Duration;

use super::*;
use crate::blobs::READINGS;

fn record(id: &str) -> Record {
    Record {
        format: FORMAT.to_owned(),
        id: id.parse().unwrap(),
        host: Host {
            version: "0".into(),
            wasmtime: "0".into(),
            platform: "test".into(),
        },
        step: Step {
            reference: "train.wasm".into(),
            name: "run".into(),
            digest: Some(Digest::of(b"step")),
            size: 4,
            signature: Some("run: func()".into()),
        },
        pipeline: None,
        parameters: serde_json::Map::from_iter([("epochs".to_owned(), 5.into())]),
        arguments: vec![],
        inputs: vec![],
        outputs: vec![],
        grants: vec![],
        deterministic: true,
        limits: Limits::default(),
        logical_time: DEFAULT_LOGICAL_TIME,
        partition: None,
        seed: Some(7),
        key: Some(Digest::of(b"key")),
        outcome: Outcome::Succeeded {
            results: serde_json::json!({"accuracy": 0.5}),
        },
        usage: Usage::default(),
        timings: Timings {
            started: DEFAULT_LOGICAL_TIME,
            compiled_before: true,
            prepare_us: 1,
            stage_us: 2,
            invoke_us: 3,
            publish_us: 4,
        },
    }
}

fn started(id: &str) -> Started {
    Started {
        format: STARTED_FORMAT.to_owned(),
        id: id.parse().unwrap(),
        name: "monthly".into(),
        file: "monthly.yaml".into(),
        lock: None,
        external: None,
        steps: None,
        definition: Content::of(b"steps: {}"),
        components: vec![],
        parameters: serde_json::Map::new(),
        partition: None,
        logical_time: DEFAULT_LOGICAL_TIME,
        stack: None,
        host: record(id).host,
        by: "test".into(),
        started: DEFAULT_LOGICAL_TIME,
    }
}

fn events() -> Vec<Event> {
    let log = Event::Log {
        level: Level::Info,
        message: "hello".into(),
        fields: vec![("a".into(), "b".into())],
    };
    let metric = |value| Event::Metric {
        name: "loss".into(),
        value,
        step: Some(1),
    };
    vec![log, metric(0.25), metric(f64::INFINITY)]
}

fn stores() -> (tempfile::TempDir, Vec<Store>) {
    let folder = tempfile::tempdir().unwrap();
    let local = Store::in_folder(&folder.path().join("store"));
    let memory = Store::open(&Location::Memory, &Settings::new(), None).unwrap();
    (folder, vec![memory, local])
}

#[tokio::test]
async fn what_is_put_comes_back() {
    let (_folder, stores) = stores();
    for store in stores {
        let first = record("run-1");
        store.put_run(&first, &events()).await.unwrap();
        assert_eq!(store.run(&first.id).await.unwrap(), first);
        assert_eq!(store.events(&first.id).await.unwrap(), events());
        let other = record("run-2");
        store.put_run(&other, &[]).await.unwrap();
        assert_eq!(store.events(&other.id).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_record_is_written_once() {
    let (_folder, stores) = stores();
    for store in stores {
        let first = record("run-1");
        store.put_run(&first, &[]).await.unwrap();
        // The same again is what a lost acknowledgement looks like.
        store.put_run(&first, &[]).await.unwrap();
        let other = Record {
            seed: Some(8),
            ..first.clone()
        };
        let fault = store.put_run(&other, &[]).await.unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::Conflict);
        assert_eq!(store.run(&first.id).await.unwrap(), first);
    }
}

#[tokio::test]
async fn runs_are_found_newest_first() {
    let (_folder, stores) = stores();
    for store in stores {
        assert_eq!(store.runs().await.unwrap(), []);
        assert_eq!(
            store.find_run("last").await.unwrap_err().kind(),
            ErrorKind::UnknownRun
        );
        for id in ["019a-11", "019c-33", "019b-22"] {
            store.put_run(&record(id), &[]).await.unwrap();
        }
        let ids = store.runs().await.unwrap();
        assert_eq!(
            ids.iter().map(RunId::as_str).collect::<Vec<_>>(),
            ["019c-33", "019b-22", "019a-11"]
        );
        for (text, found) in [("last", "019c-33"), ("019b", "019b-22"), ("11", "019a-11")] {
            assert_eq!(store.find_run(text).await.unwrap().id().as_str(), found);
        }
        assert!(
            store
                .find_run("019")
                .await
                .unwrap_err()
                .to_string()
                .contains("3 runs begin")
        );
        assert_eq!(
            store.find_run("zz").await.unwrap_err().kind(),
            ErrorKind::UnknownRun
        );
    }
}

/// A pipeline is what was started; the attempts at its steps are found all the same.
#[tokio::test]
async fn pipelines_are_found_before_their_attempts() {
    let (_folder, stores) = stores();
    for store in stores {
        store.put_run(&record("019a-11"), &[]).await.unwrap();
        store.put_started(&started("019b-22")).await.unwrap();
        for attempt in ["019b-22-1", "019b-22-2", "019b-22-20"] {
            store.put_run(&record(attempt), &[]).await.unwrap();
        }
        let pipeline = FoundRun::Pipeline("019b-22".parse().unwrap());
        let single = FoundRun::Step("019a-11".parse().unwrap());
        assert_eq!(
            store.all_runs().await.unwrap(),
            [pipeline.clone(), single.clone()]
        );
        for text in ["last", "019b", "22", "019b-22"] {
            assert_eq!(store.find_run(text).await.unwrap(), pipeline, "{text}");
        }
        assert_eq!(store.find_run("019a").await.unwrap(), single);
        let attempt = store.find_run("019b-22-2").await.unwrap();
        assert_eq!(attempt, FoundRun::Step("019b-22-2".parse().unwrap()));
    }
}

#[tokio::test]
async fn a_record_that_is_not_understood_is_a_typed_fault() {
    let (_folder, stores) = stores();
    for store in stores {
        let newer = records::seal(&serde_json::json!({"format": "wharf.run/9"})).unwrap();
        let damaged = Bytes::from_static(b"{\"format\": \"wharf.run/9\"}");
        for (name, bytes, kind) in [
            ("newer", newer, ErrorKind::Store),
            ("bad", damaged, ErrorKind::Corrupt),
        ] {
            let path = ObjectPath::from(format!("runs/{name}.json"));
            store.objects.create(&path, bytes).await.unwrap();
            let fault = store.run(&name.parse().unwrap()).await.unwrap_err();
            assert_eq!(fault.kind(), kind);
            assert!(fault.to_string().contains(path.as_ref()), "{fault}");
        }
    }
}

/// Some runs begin and come to nothing, which removes the folder where it is empty,
/// while others are recorded.
#[test]
fn runs_that_come_to_nothing_are_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    };
    for round in 0..100 {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let store = Store::in_folder(&path);
                    runtime().block_on(store.prepare()).unwrap();
                    store.remove_if_empty();
                });
            }
            scope.spawn(|| {
                let store = Store::in_folder(&path);
                let record = record(&format!("run-{round}"));
                runtime()
                    .block_on(store.put_run(&record, &events()))
                    .unwrap();
            });
        });
        assert!(path.join(".gitignore").exists());
        let store = Store::in_folder(&path);
        assert_eq!(runtime().block_on(store.runs()).unwrap().len(), 1);
        std::fs::remove_dir_all(&path).unwrap();
    }
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n * 31 % 251) as u8).collect()
}

/// However much is wanted, little of it is in memory at a time.
#[tokio::test]
async fn a_large_blob_is_fetched_a_few_groups_at_a_time() {
    let (odd, store) = odd::store();
    let bytes = pattern(100 << 20);
    let content = store.put_bytes(bytes.clone().into()).await.unwrap();
    let blob = store.open_blob(&content).await.unwrap();
    odd.most_reading.store(0, Ordering::SeqCst);
    assert!(blob.read().await.unwrap() == bytes);
    let most = odd.most_reading.load(Ordering::SeqCst);
    assert!((2..=7).contains(&most), "{most}");
}

/// Something is fetched ahead all the time; who stops to read leaves nothing.
#[tokio::test]
async fn what_nobody_reads_any_more_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let (_odd, mut store) = odd::store();
    let bytes = pattern(100 << 20);
    let content = store.put_bytes(bytes.into()).await.unwrap();
    store.cache = Some(Cache::new(CacheOptions {
        folder: folder.path().to_owned(),
        most: DEFAULT_CACHE,
    }));
    let files = || {
        std::fs::read_dir(folder.path().join("tmp"))
            .unwrap()
            .count()
    };
    let blob = store.open_blob(&content).await.unwrap();
    let other = blob.clone();
    blob.fetch(0, 10).await.unwrap();
    drop(blob);
    assert_eq!(files(), 1);
    other.fetch(50 << 20, 10).await.unwrap();
    drop(other);
    assert_eq!(files(), 0);
}

#[tokio::test]
async fn past_the_end_there_is_nothing() {
    let (_odd, store) = odd::store();
    let content = store.put_bytes(pattern(5 << 20).into()).await.unwrap();
    let blob = store.open_blob(&content).await.unwrap();
    blob.fetch(u64::MAX, 10).await.unwrap();
    assert_eq!(blob.read_at(u64::MAX, &mut [0; 10]).unwrap(), 0);
}

/// The cache is damaged, not the store.
#[tokio::test]
async fn a_damaged_entry_of_the_cache_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let (_odd, mut store) = odd::store();
    store.cache = Some(Cache::new(CacheOptions {
        folder: folder.path().to_owned(),
        most: DEFAULT_CACHE,
    }));
    let bytes = pattern(20 << 20);
    let chunked = store.put_bytes(bytes.clone().into()).await.unwrap();
    let unchunked = Content {
        chunks: None,
        ..chunked
    };
    let hex = chunked.digest.hex();
    let entry = folder.path().join(format!("blobs/{}/{hex}", &hex[..2]));
    let mut flipped = bytes.clone();
    flipped[9 << 20] ^= 1;
    for content in [chunked, unchunked] {
        for damaged in [&flipped[..], &vec![0; bytes.len()], b"short"] {
            let read = async || store.open_blob(&content).await.unwrap().read().await;
            assert!(read().await.unwrap() == bytes);
            std::fs::write(&entry, damaged).unwrap();
            assert!(read().await.unwrap() == bytes);
            assert!(read().await.unwrap() == bytes);
            assert!(std::fs::read(&entry).unwrap() == bytes);
        }
    }
}

#[tokio::test]
async fn a_listing_goes_on_where_it_broke_off() {
    let (odd, store) = odd::store();
    let (_folder, local) = {
        let folder = tempfile::tempdir().unwrap();
        let local = Store::in_folder(folder.path());
        (folder, local)
    };
    for name in ["a", "b", "c", "d"] {
        let path = ObjectPath::from(format!("x/{name}"));
        let bytes = Bytes::from_static(b"x");
        store.objects.create(&path, bytes).await.unwrap();
    }
    odd.breaks_after.store(2, Ordering::SeqCst);
    let mut names = store.objects.names("x").await.unwrap();
    names.sort_unstable();
    assert_eq!(names, ["a", "b", "c", "d"]);
    // Folders are listed in no order: nobody knows what comes after the last.
    odd.breaks_after.store(2, Ordering::SeqCst);
    let files = local.objects.on(odd.clone());
    assert!(files.names("x").await.is_err());
}

/// One reading that is damaged is not the truth.
#[tokio::test]
async fn what_is_read_back_is_read_again_before_it_is_another() {
    let (odd, store) = odd::store();
    store.mark().await.unwrap();
    let path = ObjectPath::from("x");
    let put = || store.create_only(&path, Bytes::from_static(b"x"));
    put().await.unwrap();
    for damaged in 1..READINGS as usize {
        odd.flips.store(damaged, Ordering::SeqCst);
        store.mark().await.unwrap();
        odd.flips.store(damaged, Ordering::SeqCst);
        put().await.unwrap();
        assert_eq!(odd.flips.load(Ordering::SeqCst), 0);
    }
    let other = store.create_only(&path, Bytes::from_static(b"y")).await;
    assert_eq!(other.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn what_was_there_before_is_not_what_was_uploaded() {
    let (odd, store) = odd::store();
    for size in [10, 17 << 20] {
        let bytes = pattern(size);
        let mut hasher = BlobHasher::default();
        hasher.update(&bytes);
        let hashed = hasher.finish();
        let content = store.put_bytes(bytes.clone().into()).await.unwrap();
        assert_eq!(content, hashed.content);
        let path = blobs::path(&content.digest);
        let before = store.objects.head(&path).await.unwrap();
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
        odd.lost_writes.store(1, Ordering::SeqCst);
        store.objects.upload(&path, file, &hashed).await.unwrap();
        assert_eq!(odd.lost_writes.load(Ordering::SeqCst), 0);
        assert_ne!(before, store.objects.head(&path).await.unwrap());
    }
}

#[tokio::test]
async fn what_was_left_behind_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path());
    let content = store.put_bytes(Bytes::from_static(b"x")).await.unwrap();
    let cache = folder.path().join("cache");
    let past = std::time::SystemTime::now() - Duration::from_secs(48 * 3600);
    let leave = |tmp: &Path| {
        let old = tmp.join("old");
        std::fs::create_dir_all(old.join("deep")).unwrap();
        std::fs::write(old.join("deep/file"), "x").unwrap();
        std::fs::create_dir(tmp.join("new")).unwrap();
        let times = std::fs::FileTimes::new().set_modified(past);
        let old = std::fs::File::open(old).unwrap();
        old.set_times(times).unwrap();
    };
    let is_left = |tmp: &Path| {
        let left = ["old", "new"].map(|name| tmp.join(name).exists());
        assert_eq!(left, [false, true]);
    };
    leave(&folder.path().join("tmp"));
    store.collect_garbage(Duration::ZERO, false).await.unwrap();
    is_left(&folder.path().join("tmp"));
    leave(&cache.join("tmp"));
    let cache = Cache::new(CacheOptions {
        folder: cache,
        most: DEFAULT_CACHE,
    });
    let file = cache.spool().unwrap().into_temp_path();
    cache.add(file, &content.digest, 0);
    is_left(&folder.path().join("cache/tmp"));
}

/// Who is told that a blob is kept can read it, whatever was there before.
#[tokio::test]
async fn what_is_damaged_is_mended_by_who_writes_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let (odd, remote) = odd::store();
    let (_kept, mut stores) = stores();
    stores.push(remote);
    let good = Store::in_folder(&folder.path().join("good"));
    for store in stores {
        for size in [10, 3 << 20, 21 << 20] {
            let bytes = Bytes::from(pattern(size));
            let file = folder.path().join("file");
            std::fs::write(&file, &bytes).unwrap();
            let content = good.put_file(&file).await.unwrap();
            let mut flipped = bytes.to_vec();
            flipped[size - 1] ^= 1;
            for damaged in [&flipped[..], &bytes[..size / 2], b""] {
                let path = blobs::path(&content.digest);
                let damage = async || {
                    let damaged = Bytes::copy_from_slice(damaged);
                    store.objects.overwrite(&path, damaged).await.unwrap();
                };
                let check = async || {
                    let read = store.objects.read(&path).await.unwrap();
                    assert!(read.unwrap() == bytes, "{size} {}", store.place());
                };
                let mending = store.clone().mending();
                damage().await;
                mending.put_file(&file).await.unwrap();
                check().await;
                damage().await;
                mending.put_bytes(bytes.clone()).await.unwrap();
                check().await;
                damage().await;
                store.copy_content(&good, &content, &|_| {}).await.unwrap();
                check().await;
            }
        }
    }
    drop(odd);
}

/// As on a disk that machines share, of which one has a wrong clock.
#[tokio::test]
async fn an_old_file_is_dated_by_the_file_system() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path());
    let content = store.put_bytes(Bytes::from_static(b"x")).await.unwrap();
    let path = blobs::path(&content.digest);
    assert!(store.is_young(&path).await.unwrap());
    let file = store.objects.file(&path).unwrap();
    date_back(&file);
    assert!(!store.is_young(&path).await.unwrap());
    store.put_bytes(Bytes::from_static(b"x")).await.unwrap();
    assert!(store.is_young(&path).await.unwrap());
    // What this machine thinks is now does not matter.
    let ahead = Timestamp::now() + jiff::SignedDuration::from_hours(3);
    let ahead_store = Store {
        time: Arc::new(OnceCell::new_with(Some((ahead, Instant::now())))),
        ..store
    };
    assert!(!ahead_store.is_young(&path).await.unwrap());
}

fn date_back(file: &Path) {
    let past = std::time::SystemTime::now() - Duration::from_secs(48 * 3600);
    let times = std::fs::FileTimes::new().set_modified(past);
    let file = std::fs::File::open(file).unwrap();
    file.set_times(times).unwrap();
}

/// One that is damaged hides no other damage; but nothing is removed, since nobody knows
/// what it names.
#[tokio::test]
async fn a_damaged_record_is_found_and_stops_only_the_collector() {
    let (_folder, stores) = stores();
    for store in stores {
        let key = Digest::of(b"key");
        let good = record("run-1");
        store.commit(&key, &good, &[]).await.unwrap();
        let garbage = store.put_bytes(Bytes::from_static(b"x")).await.unwrap();
        for path in ["commits/sha256/00/bad.json", "artifacts/a/versions/1.json"] {
            let bytes = Bytes::from_static(b"{}");
            store.objects.create(&path.into(), bytes).await.unwrap();
        }
        let verified = store.verify(|_| {}).await.unwrap();
        assert_eq!(
            verified.bad_records,
            ["artifacts/a/versions/1.json", "commits/sha256/00/bad.json"]
        );
        // The step of the good record was never kept.
        assert_eq!(verified.bad.len(), 1);
        let said = verified.fault().unwrap().to_string();
        assert!(said.contains("artifacts/a/versions/1.json"), "{said}");
        let fault = store.collect_garbage(Duration::ZERO, false).await;
        assert_eq!(fault.unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(store.has_blob(&garbage).await.unwrap());
    }
}

/// Writes a list as a collector does that condemns a blob.
async fn condemn(store: &Store, digest: Digest) -> ObjectPath {
    let list = ObjectPath::from("gc/test.json");
    let condemned = gc::condemned([digest]);
    store.create_only_record(&list, &condemned).await.unwrap();
    list
}

/// Each part of a collector happens at the worst moment. Whoever is told that a blob is
/// kept has it in the end.
#[tokio::test]
async fn a_condemned_blob_is_kept_by_who_needs_it() {
    let (_odd, remote) = odd::store();
    let (_folder, mut stores) = stores();
    stores.push(remote);
    for store in stores {
        let bytes = Bytes::from_static(b"needed");
        let content = Content::of(&bytes);
        let path = blobs::path(&content.digest);
        // It was removed, and whoever needs it comes before the removal is repeated.
        let list = condemn(&store, content.digest).await;
        let collect = async {
            let is_seen = async || {
                let is_seen = store.collectors.seen(&list).is_some();
                is_seen || store.has(&path, content.size).await.unwrap()
            };
            while !is_seen().await {
                tokio::task::yield_now().await;
            }
            store.objects.remove(&path).await.unwrap();
            store.objects.remove(&list).await.unwrap();
        };
        let (put, ()) = tokio::join!(store.put_bytes(bytes.clone()), collect);
        put.unwrap();
        assert!(store.has(&path, content.size).await.unwrap());
        // It was looked at before it was dated anew, and is removed after that.
        let Some(file) = store.objects.file(&path) else {
            continue;
        };
        date_back(&file);
        let other = Store::in_folder(store.objects.folder().unwrap().path());
        let list = condemn(&other, content.digest).await;
        let collect = async {
            while !other.is_young(&path).await.unwrap() {
                tokio::task::yield_now().await;
            }
            other.objects.remove(&path).await.unwrap();
            other.objects.remove(&list).await.unwrap();
        };
        let (put, ()) = tokio::join!(other.put_bytes(bytes.clone()), collect);
        put.unwrap();
        assert!(other.has(&path, content.size).await.unwrap());
    }
}

/// Several writers need blobs that are old and that nothing names, while they are
/// collected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_and_needed_outlives_the_collector() {
    const BLOBS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let store = || Store::in_folder(folder.path());
    let bytes = |number: usize| Bytes::from(format!("blob {number}"));
    let seeded = store();
    for number in 0..BLOBS {
        let content = seeded.put_bytes(bytes(number)).await.unwrap();
        let path = blobs::path(&content.digest);
        date_back(&seeded.objects.file(&path).unwrap());
    }
    let collector = store();
    let collect = async { collector.collect_garbage(LEAST_PATIENCE, false).await };
    // They go on for as long as the collector does, so that some write at each moment.
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let write = |writer: usize| {
        let (store, is_done) = (store(), &is_done);
        async move {
            let mut number = writer;
            while !is_done.load(Ordering::SeqCst) && number < BLOBS {
                let content = store.put_bytes(bytes(number)).await.unwrap();
                let path = blobs::path(&content.digest);
                assert!(store.has(&path, content.size).await.unwrap());
                number += 3;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            number
        }
    };
    let collect = async {
        let collected = collect.await.unwrap();
        is_done.store(true, Ordering::SeqCst);
        collected
    };
    let (collected, a, b, c) = tokio::join!(collect, write(0), write(1), write(2));
    assert!(collected.removed > 0);
    for (writer, end) in [a, b, c].into_iter().enumerate() {
        for number in (writer..end).step_by(3) {
            let path = blobs::path(&Digest::of(&bytes(number)));
            let found = store().objects.read(&path).await.unwrap();
            assert_eq!(found, Some(bytes(number)), "{number}");
        }
    }
}

#[tokio::test]
async fn a_collector_that_was_killed_is_cleared_up_after() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path());
    let needed = Digest::of(b"needed");
    let list = condemn(&store, needed).await;
    let clock = ObjectPath::from("clock/left");
    store.create_only(&clock, Bytes::new()).await.unwrap();
    let now = std::time::SystemTime::now();
    let hours = Duration::from_secs(3 * 3600);
    let date = |at| {
        for path in [&list, &clock] {
            let file = store.objects.file(path).unwrap();
            let times = std::fs::FileTimes::new().set_modified(at);
            let file = std::fs::File::open(file).unwrap();
            file.set_times(times).unwrap();
        }
    };
    let collect = async || {
        let collected = store.collect_garbage(LEAST_PATIENCE, false).await;
        collected.unwrap();
        let list = store.objects.head(&list).await.unwrap();
        let clock = store.objects.head(&clock).await.unwrap();
        (list.is_some(), clock.is_some())
    };
    date(now);
    assert_eq!(collect().await, (true, true));
    date(now - hours);
    // Nobody waits for it, either.
    assert!(!store.waits_for_collectors(&needed).await.unwrap());
    assert_eq!(collect().await, (false, false));
    condemn(&store, needed).await;
    store.create_only(&clock, Bytes::new()).await.unwrap();
    date(now + hours);
    assert_eq!(collect().await, (false, false));
}
