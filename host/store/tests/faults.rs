//! A store behind a proxy that does what networks and services do on bad days.
#![expect(clippy::unwrap_used, reason = "a test that fails says why")]

#[expect(dead_code, reason = "the contract uses all of it")]
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use support::{record, unique};
use wharf_faults::{Fault, Proxy, Script};
use wharf_model::artifact::Origin;
use wharf_model::name::Name;
use wharf_model::{Digest, ErrorKind, Outcome};
use wharf_services::Service;
use wharf_store::{Author, CacheOptions, Committed, NewTag, NewVersion, Settings, Store};

/// Many faults of every kind, of which none lasts.
fn bad_day(seed: u64) -> Script {
    Script::new(seed)
        .with(Fault::Status(500), 0.03, None)
        .with(Fault::Status(503), 0.03, None)
        .with(Fault::Status(429), 0.02, None)
        .with(Fault::Status(409), 0.04, Some("PUT"))
        .with(Fault::AppliedThenReset, 0.06, Some("PUT"))
        .with(Fault::AppliedThenReset, 0.03, Some("POST"))
        .with(Fault::Reset, 0.04, None)
        .with(Fault::FlipBit, 0.06, Some("GET"))
        .with(Fault::Truncate, 0.05, Some("GET"))
        .with(Fault::Slow(Duration::from_millis(2)), 0.03, Some("GET"))
        .with(Fault::Delay(Duration::from_millis(5)), 0.03, None)
}

fn store(service: Service, proxy: &Proxy, path: &str, cache: Option<CacheOptions>) -> Store {
    let settings = service.settings_at(proxy.address()).into_iter();
    let settings: Settings = settings.map(|(name, value)| (name, value.into())).collect();
    Store::open(&service.url(path).parse().unwrap(), &settings, cache).unwrap()
}

fn pattern(size: usize, salt: usize) -> Vec<u8> {
    (0..size).map(|n| (n * 31 % 251 + salt) as u8).collect()
}

async fn blobs_survive(service: Service, seed: u64) {
    let proxy = Proxy::start(service.address(), bad_day(seed)).unwrap();
    // Faults depend on paths: the same each time, in a service that is this process's.
    let path = format!("blobs-{seed}");
    let folder = tempfile::tempdir().unwrap();
    let writer = store(service, &proxy, &path, None);
    writer.prepare().await.unwrap();
    for (index, size) in [0, 10, 5_000, 1 << 20, 5 << 20, 34 << 20]
        .into_iter()
        .enumerate()
    {
        let bytes = pattern(size, index);
        let content = writer.put_bytes(Bytes::from(bytes.clone())).await.unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(writer.put_file(&file).await.unwrap(), content);
        let cache = CacheOptions {
            folder: folder.path().join(format!("cache-{index}")),
            most: wharf_store::DEFAULT_CACHE,
        };
        let reader = store(service, &proxy, &path, Some(cache));
        for _ in 0..4 {
            let blob = reader.open_blob(&content).await.unwrap();
            assert!(blob.read().await.unwrap() == bytes, "wrong bytes");
        }
    }
    assert!(proxy.faults().len() > 3, "{:?}", proxy.counts());
}

/// Several commit the same keys; whatever they are told, one has won each, and each of
/// the others learns whose commit counts.
async fn one_commit_each(service: Service, seed: u64) {
    const KEYS: usize = 40;
    const WRITERS: usize = 4;
    let proxy = Proxy::start(service.address(), bad_day(seed)).unwrap();
    let path = format!("commits-{seed}");
    let write = |number: usize| {
        let store = store(service, &proxy, &path, None);
        tokio::spawn(async move {
            let mut won = Vec::new();
            for n in 0..KEYS {
                let index = (n * 3 + number * 10) % KEYS;
                let key = Digest::of(format!("key {index}").as_bytes());
                let mut mine = record(&format!("run-{number}"), &key);
                mine.outcome = Outcome::Succeeded {
                    results: number.into(),
                };
                match store.commit(&key, &mine, &[]).await {
                    Ok(Committed::New) => won.push(index),
                    Ok(Committed::Before(_)) => panic!("nobody else has the same"),
                    Err(fault) => assert_eq!(fault.kind(), ErrorKind::Conflict, "{fault}"),
                }
            }
            won
        })
    };
    let writers: Vec<_> = (0..WRITERS).map(write).collect();
    let mut winners = BTreeMap::new();
    for (number, writer) in writers.into_iter().enumerate() {
        for index in writer.await.unwrap() {
            assert_eq!(winners.insert(index, number), None, "two have won {index}");
        }
    }
    assert_eq!(winners.len(), KEYS, "{:?}", proxy.counts());
    let reader = store(service, &proxy, &path, None);
    for (index, number) in winners {
        let key = Digest::of(format!("key {index}").as_bytes());
        let commit = reader.commit_of(&key).await.unwrap().unwrap();
        assert_eq!(
            commit.outcome,
            Outcome::Succeeded {
                results: number.into()
            }
        );
    }
}

async fn tags_lose_nothing(service: Service, seed: u64) {
    let proxy = Proxy::start(service.address(), bad_day(seed)).unwrap();
    let store = store(service, &proxy, &format!("tags-{seed}"), None);
    let name = Name::new("model").unwrap();
    let author = Author {
        by: "tester".into(),
        now: "2026-01-01T00:00:00Z".parse().unwrap(),
    };
    for number in 1..=12u64 {
        let content = store.put_bytes(number.to_string().into()).await.unwrap();
        let new = NewVersion {
            name: name.clone(),
            content,
            media_type: None,
            metadata: Default::default(),
            origin: Origin::Put { path: "x".into() },
        };
        assert_eq!(
            store.add_version(&new, &author).await.unwrap().number,
            number
        );
        let tag = NewTag {
            name: name.clone(),
            tag: Name::new("prod").unwrap(),
            version: Some(number),
            expected: Some((number > 1).then(|| number - 1)),
            run: None,
            partition: None,
        };
        let moved = store.move_tag(&tag, &author).await.unwrap();
        assert_eq!(moved.sequence, number);
    }
}

macro_rules! on_bad_days {
    ($($module:ident: $service:ident;)*) => {$(
        mod $module {
            const SERVICE: wharf_services::Service = wharf_services::Service::$service;

            #[tokio::test]
            async fn blobs_survive() {
                for seed in 1..=3 {
                    super::blobs_survive(SERVICE, seed).await;
                }
            }

            #[tokio::test]
            async fn one_commit_each() {
                for seed in 1..=3 {
                    super::one_commit_each(SERVICE, seed).await;
                }
            }

            #[tokio::test]
            async fn tags_lose_nothing() {
                for seed in 1..=3 {
                    super::tags_lose_nothing(SERVICE, seed).await;
                }
            }
        }
    )*};
}

on_bad_days! {
    s3: S3;
    azure: Azure;
}

#[tokio::test]
async fn bytes_that_are_always_damaged_reach_nobody() {
    let script = Script::new(1)
        .with(Fault::FlipBit, 1.0, Some("GET"))
        .without_mercy();
    let proxy = Proxy::start(Service::S3.address(), script).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cache = CacheOptions {
        folder: folder.path().to_owned(),
        most: wharf_store::DEFAULT_CACHE,
    };
    let store = store(Service::S3, &proxy, &unique(), Some(cache));
    for size in [100, 20 << 20] {
        let content = store.put_bytes(pattern(size, 0).into()).await.unwrap();
        let opened = store.open_blob(&content).await;
        let fault = match opened {
            Ok(blob) => blob.fetch(0, 10).await.unwrap_err(),
            Err(fault) => fault,
        };
        assert_eq!(fault.kind(), ErrorKind::Corrupt);
    }
    let key = Digest::of(b"key");
    assert_eq!(
        store
            .commit(&key, &record("run-1", &key), &[])
            .await
            .unwrap(),
        Committed::New
    );
    let fault = store.commit_of(&key).await.unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::Corrupt);
}

/// As some services that imitate others do.
#[tokio::test]
async fn a_service_that_ignores_conditions_is_refused() {
    let script = Script::new(1)
        .with(Fault::IgnoreCondition, 1.0, Some("PUT"))
        .without_mercy();
    let proxy = Proxy::start(Service::S3.address(), script).unwrap();
    let store = store(Service::S3, &proxy, &unique(), None);
    for _ in 0..2 {
        let fault = store.prepare().await.unwrap_err();
        assert!(
            fault
                .to_string()
                .contains("creates objects that exist already"),
            "{fault}"
        );
        assert!(fault.advice().unwrap().contains("conditional writes"));
    }
}

#[tokio::test]
async fn a_service_that_is_gone_is_said_within_the_budget() {
    let proxy = Proxy::start(Service::S3.address(), Script::new(1)).unwrap();
    let gone = store(Service::S3, &proxy, &unique(), None);
    drop(proxy);
    let fault = gone.put_bytes(Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::Store);
    assert!(fault.to_string().contains("s3://wharf/"), "{fault}");
}
