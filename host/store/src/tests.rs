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

use super::*;

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
