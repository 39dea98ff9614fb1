//! Stores of every kind, and records to put into them.

use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use wharf_model::event::{Event, Level};
use wharf_model::limits::Limits;
use wharf_model::record::{Artifact, FORMAT, Host, Step, Timings, Usage};
use wharf_model::request::DEFAULT_LOGICAL_TIME;
use wharf_model::{Content, Digest, Outcome, Record};
use wharf_services::Service;
use wharf_store::{CacheOptions, DEFAULT_CACHE, Location, Settings, Store};

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    File,
    S3,
    Azure,
}

impl Kind {
    pub(crate) fn service(self) -> Option<Service> {
        match self {
            Self::Memory | Self::File => None,
            Self::S3 => Some(Service::S3),
            Self::Azure => Some(Service::Azure),
        }
    }

    /// A new store, and a folder that lives as long as it is needed.
    pub(crate) fn store(self) -> (TempDir, Store) {
        let keep = tempfile::tempdir().unwrap();
        let location = match (self, self.service()) {
            (_, Some(service)) => service.url(&unique()).parse().unwrap(),
            (Self::Memory, _) => Location::Memory,
            (_, None) => Location::Folder(keep.path().join("store")),
        };
        let cache = CacheOptions {
            folder: keep.path().join("cache"),
            most: DEFAULT_CACHE,
        };
        // Memory is one's own, and shared with nobody who could change it.
        let cache = self.service().map(|_| cache);
        let store = Store::open(&location, &self.settings(), cache).unwrap();
        (keep, store)
    }

    /// The same store, as another process sees it.
    pub(crate) fn reopen(self, store: &Store) -> Store {
        if self == Self::Memory {
            return store.clone();
        }
        let location = store.place().parse().unwrap();
        Store::open(&location, &self.settings(), None).unwrap()
    }

    pub(crate) fn settings(self) -> Settings {
        let settings = self.service().map(Service::settings).unwrap_or_default();
        settings
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect()
    }
}

/// A path that nobody else uses.
pub(crate) fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{count}", std::process::id())
}

pub(crate) fn record(id: &str, key: &Digest) -> Record {
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
            name: "train".into(),
            digest: None,
            size: 4,
            signature: Some("run: func()".into()),
        },
        pipeline: None,
        parameters: Default::default(),
        arguments: vec![],
        inputs: vec![],
        outputs: vec![],
        grants: vec![],
        deterministic: true,
        limits: Limits::default(),
        logical_time: DEFAULT_LOGICAL_TIME,
        partition: None,
        seed: Some(7),
        key: Some(*key),
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

pub(crate) fn artifact(name: &str, content: &Content) -> Artifact {
    Artifact {
        name: name.to_owned(),
        path: String::new(),
        digest: Some(content.digest),
        size: content.size,
        files: content.files,
        commit: None,
        chunks: content.chunks,
        media_type: None,
        metadata: Default::default(),
    }
}

pub(crate) fn events() -> Vec<Event> {
    vec![Event::Log {
        level: Level::Info,
        message: "hello".into(),
        fields: vec![],
    }]
}
