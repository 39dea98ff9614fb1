//! Many processes commit the same keys: one wins each, and the others are told who.
#![expect(clippy::unwrap_used, reason = "a test that fails says why")]

#[expect(dead_code, reason = "the contract uses all of it")]
mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::{Child, Command};

use futures::StreamExt;
use support::{Kind, record, unique};
use wharf_model::{Digest, ErrorKind, Outcome};
use wharf_store::{Committed, Location, Store};

const PROCESSES: usize = 16;
const KEYS: usize = 1000;
/// Commits on their way at a time, in each process.
const AT_A_TIME: usize = 8;

/// Tells a child what to do: the place of the store, its settings, the number of the
/// child, and where its report goes.
const TASK: &str = "WHARF_TEST_RACE";

/// What a process knows of its commit of a key.
const WON: &str = "won";

fn key(index: usize) -> Digest {
    Digest::of(format!("key {index}").as_bytes())
}

/// Not a test, but the other processes of one.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    let [place, settings, number, report] = task.split('\n').collect::<Vec<_>>()[..] else {
        panic!("{task}");
    };
    let settings = settings
        .split('\t')
        .filter_map(|setting| setting.split_once('='));
    let settings = settings.map(|(name, value)| (name.to_owned(), value.into()));
    let location: Location = place.parse().unwrap();
    let store = Store::open(&location, &settings.collect(), None).unwrap();
    let number: usize = number.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let said = runtime.unwrap().block_on(commit_all(&store, number));
    std::fs::write(report, said).unwrap();
}

/// Commits all keys, in an order of its own; says of each who has won.
async fn commit_all(store: &Store, number: usize) -> String {
    // Has no factor of 1,000, so that no key is left out.
    let step = [1, 3, 7, 9][number % 4] + 10 * (number / 4);
    let commits = (0..KEYS).map(|n| (n * step + number * 61) % KEYS);
    let commits = commits.map(|index| async move { (index, commit(store, number, index).await) });
    let mut commits = futures::stream::iter(commits).buffer_unordered(AT_A_TIME);
    let mut said = String::new();
    while let Some((index, who)) = commits.next().await {
        writeln!(said, "{index} {who}").unwrap();
    }
    said
}

async fn commit(store: &Store, number: usize, index: usize) -> String {
    let key = key(index);
    let mut record = record(&format!("run-{number}"), &key);
    record.outcome = Outcome::Succeeded {
        results: number.into(),
    };
    match store.commit(&key, &record, &[]).await {
        Ok(Committed::New) => WON.to_owned(),
        Ok(Committed::Before(_)) => panic!("nobody else has the same results"),
        Err(fault) if fault.kind() == ErrorKind::Conflict => {
            let text = fault.to_string();
            let winner = text.split("the run ").nth(1).unwrap();
            winner.split(' ').next().unwrap().to_owned()
        }
        Err(fault) => panic!("{fault}"),
    }
}

fn start(place: &str, kind: Kind, number: usize, report: &Path) -> Child {
    let settings = kind
        .service()
        .map(|service| service.settings())
        .unwrap_or_default();
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let task = [
        place,
        &settings.join("\t"),
        &number.to_string(),
        report.to_str().unwrap(),
    ]
    .join("\n");
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--quiet"])
        .env(TASK, task)
        .spawn()
        .unwrap()
}

fn race(kind: Kind) {
    let folder = tempfile::tempdir().unwrap();
    let place = match kind.service() {
        Some(service) => service.url(&unique()),
        None => folder.path().join("store").display().to_string(),
    };
    let report = |number: usize| folder.path().join(number.to_string());
    let children: Vec<_> = (0..PROCESSES)
        .map(|number| start(&place, kind, number, &report(number)))
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let mut winners = BTreeMap::new();
    let mut losers = Vec::new();
    for number in 0..PROCESSES {
        let said = std::fs::read_to_string(report(number)).unwrap();
        assert_eq!(said.lines().count(), KEYS);
        for line in said.lines() {
            let (index, who) = line.split_once(' ').unwrap();
            match who {
                WON => {
                    let other = winners.insert(index.to_owned(), format!("run-{number}"));
                    assert_eq!(other, None, "two have won {index}");
                }
                winner => losers.push((index.to_owned(), winner.to_owned())),
            }
        }
    }
    assert_eq!(winners.len(), KEYS);
    assert_eq!(losers.len(), KEYS * (PROCESSES - 1));
    for (index, winner) in losers {
        assert_eq!(
            winners[&index], winner,
            "the loser of {index} was told a lie"
        );
    }
    let settings = kind.settings();
    let store = Store::open(&place.parse().unwrap(), &settings, None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        for (index, winner) in &winners {
            let commit = store.commit_of(&key(index.parse().unwrap())).await.unwrap();
            assert_eq!(commit.unwrap().id.as_str(), winner);
        }
    });
}

#[test]
fn sixteen_processes_on_the_local_disk() {
    race(Kind::File);
}

#[test]
fn sixteen_processes_on_s3() {
    race(Kind::S3);
}

#[test]
fn sixteen_processes_on_azure() {
    race(Kind::Azure);
}
