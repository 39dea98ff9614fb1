//! A pipeline that is killed again and again, at any moment, while somebody reads.
//!
//! `WHARF_KILLS` says how often; the usual number takes some seconds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rustix::process::Signal;
use serde_json::Value as Json;
use wharf_model::ArtifactReference;
use wharf_model::artifact::Which;
use wharf_services::Service;
use wharf_store::{Location, Settings, Store};

use crate::harness::{Project, Wharf, guest};

/// Kills in each kind of store, where nobody says how many.
const KILLS: u64 = 60;

/// Runs that are killed before one is let through.
const IN_A_ROW: u64 = 5;

const PIPELINE: &str = r#"
parameters:
  texts: { type: list<input>, default: [a, b, c] }
steps:
  first:
    uses: copy.wasm
    foreach: ${{ parameters.texts }}
    with: { data: "${{ item }}" }
    publish: { first: "${{ outputs.copy[0] }}" }
  second:
    uses: copy.wasm
    foreach: ${{ steps.first.outputs.copy }}
    with: { data: "${{ item }}", chunk-kib: 4 }
    publish: { "second:latest": "${{ outputs.copy[2] }}" }
"#;

/// A store, and how commands reach it.
struct At {
    place: String,
    settings: Vec<(String, String)>,
}

impl At {
    fn store(&self) -> Store {
        let settings = self.settings.iter();
        let settings: Settings = settings
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        let location: Location = self.place.parse().expect("a place");
        Store::open(&location, &settings, None).expect("a store")
    }

    fn run(&self, project: &Project) -> Wharf {
        let wharf = project.wharf(["pipeline", "run", "pipeline.yaml", "--json"]);
        wharf.env("WHARF_STORE", &*self.place).envs(&self.settings)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime")
}

/// Reads all that can be seen, again and again: what is named is there, and whole.
/// Returns how much it has read.
fn poll(store: &Store, stop: &AtomicBool, read: &AtomicU64) {
    runtime().block_on(async {
        while !stop.load(Ordering::Relaxed) {
            for name in store.artifacts().await.expect("a list") {
                let Some(number) = store.version_numbers(&name).await.expect("a list").pop() else {
                    continue;
                };
                let which = Which::Number(number);
                let reference = ArtifactReference { name, which };
                let version = store.version(&reference).await.expect("a version");
                let blob = store
                    .open_blob(&version.content)
                    .await
                    .expect("its content");
                let bytes = blob.read().await.expect("its bytes");
                assert_eq!(bytes.len() as u64, version.content.size);
                read.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
}

/// The keys of all commits.
fn commits(ended: &Json) -> BTreeSet<String> {
    let steps = ended["steps"].as_array().expect("a list").iter();
    let keys = steps.filter_map(|step| step["commit"].as_str());
    keys.map(str::to_owned).collect()
}

/// What this run ran, no run before had committed.
async fn nothing_ran_twice(store: &Store, ended: &Json) {
    for step in ended["steps"].as_array().expect("a list") {
        let key = step["commit"]
            .as_str()
            .expect("a commit")
            .parse()
            .expect("a digest");
        let commit = store
            .commit_of(&key)
            .await
            .expect("it can be read")
            .expect("it is there");
        let run = commit.pipeline.expect("a pipeline").run;
        let is_own = ended["id"] == run.as_str();
        assert_eq!(is_own, step["status"] == "succeeded", "{step}");
    }
}

fn kill_again_and_again(at: &At, seed: u64) {
    let kills: u64 =
        std::env::var("WHARF_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number"));
    let project = Project::with(&[("pipeline.yaml", PIPELINE)]);
    let step = std::fs::read(guest("copy")).expect("the guest is there");
    project.write("copy.wasm", step);
    let write_inputs = |round: u64| {
        for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
            let bytes: Vec<u8> = (0..300_000 + index as u64)
                .map(|n| (n * 7 + round) as u8)
                .collect();
            project.write(name, bytes);
        }
    };
    write_inputs(0);
    let began = Instant::now();
    at.run(&project).run().exits(0);
    let whole = began.elapsed();

    let (stop, read) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let reader = {
        let (store, stop, read) = (at.store(), stop.clone(), read.clone());
        std::thread::spawn(move || poll(&store, &stop, &read))
    };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut killed, mut round) = (0, 0);
    while killed < kills {
        round += 1;
        write_inputs(round);
        for _ in 0..IN_A_ROW {
            let running = at.run(&project).start();
            let moment = whole.mul_f64(f64::from(random.next_u32()) / f64::from(u32::MAX));
            std::thread::sleep(moment);
            running.signal(Signal::KILL);
            if !running.wait().was_killed() {
                // It was faster: there is nothing left to be killed in.
                break;
            }
            killed += 1;
        }
        // The next one completes, and does not run what is committed; the one after
        // that runs nothing.
        let ended = at.run(&project).run().exits(0).json();
        let again = at.run(&project).run().exits(0).json();
        assert_eq!(commits(&ended), commits(&again));
        runtime().block_on(nothing_ran_twice(&at.store(), &ended));
        assert_eq!(commits(&again).len(), 6);
        let steps = again["steps"].as_array().expect("a list");
        assert!(
            steps.iter().all(|step| step["status"] == "cached"),
            "{again}"
        );
    }
    stop.store(true, Ordering::Relaxed);
    reader.join().expect("the reader saw nothing half-made");
    assert!(read.load(Ordering::Relaxed) > 10);
    let verified = runtime()
        .block_on(at.store().verify(|_| {}))
        .expect("it can be read");
    assert_eq!(verified.bad, []);
}

#[test]
fn killed_on_the_local_disk() {
    let folder = Project::new();
    let at = At {
        place: folder.path("store").display().to_string(),
        settings: Vec::new(),
    };
    kill_again_and_again(&at, 1);
}

#[test]
fn killed_over_s3() {
    let at = At {
        place: Service::S3.url(&format!("kills-{}", std::process::id())),
        settings: Service::S3.settings(),
    };
    kill_again_and_again(&at, 2);
}
