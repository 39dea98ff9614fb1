//! A machine whose clock is wrong by ten years: pipelines run, nothing runs twice, and
//! nothing that is needed is taken for old.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value as Json;
use wharf_services::Service;

use crate::harness::{Project, Wharf};

/// Loaded into the command, it changes the time of day and nothing else.
const SKEW: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(clock, time);
    const char *skew = getenv("SKEW_SECONDS");
    if (answer == 0 && clock == CLOCK_REALTIME && skew)
        time->tv_sec += atoll(skew);
    return answer;
}
"#;

const TEN_YEARS: i64 = 10 * 365 * 24 * 3600;

/// The library, built once with the compiler that links Rust programs.
fn library() -> PathBuf {
    static BUILT: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let (source, library) = (folder.path().join("skew.c"), folder.path().join("skew.so"));
        std::fs::write(&source, SKEW).expect("a file");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status();
        assert!(built.expect("a C compiler").success(), "it is built");
        (folder, library)
    });
    library.clone()
}

/// Lets a command believe that it is another time.
fn skewed(command: Wharf, seconds: i64) -> Wharf {
    command
        .env("LD_PRELOAD", library())
        .env("SKEW_SECONDS", seconds.to_string())
}

const PIPELINE: &str = "
steps:
  a:
    uses: noop.wasm
    with: { data: data.csv }
    publish: { made: '${{ outputs.result }}' }
";

fn check(store: &str, settings: &[(String, String)]) {
    let files = [("pipeline.yaml", PIPELINE), ("data.csv", "a,b\n1,2\n")];
    let project = Project::with(&files).with_guests("", &["noop"]);
    let wharf = |arguments: &[&str]| {
        let command = project.wharf(arguments).env("WHARF_STORE", store);
        command.envs(settings)
    };
    let run = ["pipeline", "run", "pipeline.yaml", "--json"];
    let status = |ended: &Json| ended["steps"][0]["status"].clone();
    let first = skewed(wharf(&run), TEN_YEARS).run().exits(0).json();
    assert_eq!(status(&first), "succeeded");
    let year = first["ended"].as_str().expect("a time");
    let real = jiff::Timestamp::now().strftime("%Y");
    assert!(
        !year.starts_with(&real.to_string()),
        "the clock is another: {year}"
    );
    for skew in [0, -TEN_YEARS, TEN_YEARS] {
        let again = skewed(wharf(&run), skew).run().exits(0).json();
        assert_eq!(status(&again), "cached", "{skew}");
    }
    // A blob that nothing names any more, and that somebody may be about to name.
    project.write("young", "just put");
    wharf(&["artifact", "put", "young", "young"]).run().exits(0);
    wharf(&["artifact", "rm", "young@1"]).run().exits(0);
    for skew in [TEN_YEARS, -TEN_YEARS] {
        let collected = skewed(wharf(&["gc", "--json"]), skew).run().exits(0).json();
        assert_eq!(collected["removed"], 0, "{collected}");
    }
    wharf(&["verify"]).run().exits(0);
    wharf(&["artifact", "get", "made", "back"]).run().exits(0);
}

#[test]
fn on_a_disk() {
    check("store", &[]);
}

#[test]
fn over_s3() {
    let store = Service::S3.url(&format!("skew-{}", std::process::id()));
    check(&store, &Service::S3.settings());
}
