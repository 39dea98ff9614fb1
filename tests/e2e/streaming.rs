//! Artifacts larger than memory flow through, and are hashed on their way.

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::harness::{Ended, MIB, Project, guest};

/// A sparse file with some bytes in it, so that no part is like another.
fn make(project: &Project, bytes: u64) {
    let file = File::create(project.path("data")).expect("the project is usable");
    file.set_len(bytes).expect("the project is usable");
    for (count, at) in (0..bytes).step_by(64 << 20).enumerate() {
        file.write_all_at(&[count as u8 + 1; 4096], at + 12_345)
            .expect("the project is usable");
    }
}

fn copy(project: &Project) -> (Json, Ended) {
    let arguments = ["data=data", "copy=copy", "--force"];
    project.step(&guest("copy"), &arguments).measured(0)
}

fn digest(project: &Project, name: &str) -> String {
    let mut file = File::open(project.path(name)).expect("the project is usable");
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut HashWriter(&mut hasher)).expect("the project is usable");
    let hex: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn memory_is_flat_however_large_an_artifact_is() {
    let project = Project::new();
    let mut peaks = Vec::new();
    for size in [128 * MIB, 1024 * MIB] {
        make(&project, size);
        let (record, ended) = copy(&project);
        let (input, output) = (&record["inputs"][0], &record["outputs"][0]);
        assert_eq!(
            (&input["size"], &output["size"]),
            (&Json::from(size), &Json::from(size))
        );
        let wanted = digest(&project, "data");
        assert_eq!(input["digest"], wanted.as_str());
        assert_eq!(output["digest"], wanted.as_str());
        peaks.push(ended.peak);
    }
    assert_eq!(digest(&project, "copy"), digest(&project, "data"));
    let mib: Vec<u64> = peaks.iter().map(|peak| peak / MIB).collect();
    // 48 MiB in a release build, of which 16 wait to be written.
    assert!(mib[1] < 80, "{mib:?} MiB");
    assert!(mib[1].abs_diff(mib[0]) < 16, "{mib:?} MiB");
}

/// Many files, so that what is kept for each would show.
#[test]
fn memory_is_flat_however_many_files_a_tree_has() {
    let project = Project::new();
    for count in 0..2000 {
        project.write(&format!("source/{}/{count}", count % 10), "some text");
    }
    let run = project.step(&guest("tree"), &["source=source", "target=target"]);
    let (record, ended) = run.measured(0);
    assert_eq!(record["inputs"][0]["files"], 2000);
    assert_eq!(record["outputs"][0]["files"], 2001);
    ended.stays_below(crate::harness::HOST_BYTES);
}
