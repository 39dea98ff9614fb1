//! Named artifacts, through the command, in stores of every kind.

use serde_json::{Value as Json, json};
use wharf_services::Service;

use crate::harness::{Ended, Project, Refusal, Wharf};

/// A store that commands are pointed at.
struct At {
    url: String,
    settings: Vec<(String, String)>,
}

impl At {
    fn service(service: Service, test: &str) -> Self {
        let url = service.url(&format!("e2e-{test}-{}", std::process::id()));
        let settings = service.settings();
        Self { url, settings }
    }

    fn apply(&self, wharf: Wharf) -> Wharf {
        wharf.env("WHARF_STORE", &*self.url).envs(&self.settings)
    }

    /// `wharf artifact` with these arguments, split at spaces.
    fn artifact(&self, project: &Project, arguments: &str) -> Ended {
        let arguments = arguments.split(' ');
        let all = ["artifact"].into_iter().chain(arguments);
        self.apply(project.wharf(all)).run()
    }
}

fn stores(project: &Project, test: &str) -> Vec<At> {
    let folder = project.path(".wharf").display().to_string();
    let local = At {
        url: folder,
        settings: Vec::new(),
    };
    let elsewhere = Service::ALL.map(|service| At::service(service, test));
    std::iter::once(local).chain(elsewhere).collect()
}

/// What a model registry is for: promote, look, roll back.
#[test]
fn a_model_is_promoted_and_rolled_back() {
    let project = Project::with(&[("v1", "one"), ("v2", "two")]);
    for store in stores(&project, "promote") {
        let artifact = |arguments: &str| store.artifact(&project, arguments);
        artifact("put model v1 --tag prod --meta accuracy=0.9").exits(0);
        artifact("put model v2 --tag candidate").exits(0);
        let listed = artifact("ls model").exits(0).stdout;
        assert!(listed.contains("candidate"), "{listed}");

        artifact("tag model:candidate prod --expect 1").exits(0);
        let late = artifact("tag model@1 prod --expect 1").exits(1);
        late.says(&[
            "means version 2, not version 1",
            "somebody has moved the tag",
        ]);
        artifact("get model:prod now --force").exits(0);
        assert_eq!(project.text("now"), "two");

        artifact("tag model@1 prod").exits(0);
        artifact("get model:prod now --force").exits(0);
        assert_eq!(project.text("now"), "one");
        let shown = artifact("show model:prod --json").exits(0).json();
        assert_eq!(shown["version"]["metadata"], json!({"accuracy": "0.9"}));
        let prod = |moved: &&Json| moved["tag"] == "prod";
        let moves = shown["tags"].as_array().unwrap().iter().filter(prod);
        let moves: Vec<_> = moves.map(|moved| moved["version"].clone()).collect();
        assert_eq!(moves, [1, 2, 1]);
        assert!(shown["tags"][0]["by"].is_string());
    }
}

#[test]
fn folders_are_artifacts_too() {
    let project = Project::with(&[("a/x", "1"), ("a/y/z", "2"), ("b/x", "1"), ("b/new", "3")]);
    for (index, store) in stores(&project, "folders").into_iter().enumerate() {
        let artifact = |arguments: &str| store.artifact(&project, arguments);
        artifact("put tree a").exits(0);
        artifact("put tree b").exits(0);
        let out = format!("out-{index}");
        artifact(&format!("get tree@1 {out}")).exits(0);
        assert_eq!(project.text(&format!("{out}/y/z")), "2");
        let changes = artifact("diff tree@1 tree@2").exits(0).stdout;
        assert!(changes.contains("- y/z: 1 B"), "{changes}");
        assert!(changes.contains("+ new: 1 B"), "{changes}");
        artifact(&format!("get tree {out}"))
            .exits(2)
            .says(&["exists already", "--force"]);
    }
}

#[test]
fn artifacts_are_copied_from_store_to_store() {
    let project = Project::new();
    let bytes: Vec<u8> = (0..30 << 20).map(|n: u32| (n % 249) as u8).collect();
    project.write("large", &bytes);
    let stores = stores(&project, "copy");
    let (local, s3) = (&stores[0], &stores[1]);
    local
        .artifact(&project, "put large large --tag prod")
        .exits(0);
    let command = format!("copy large:prod --to {} --tag prod --json", s3.url);
    let copy = |from: &At| {
        let words = ["artifact"].into_iter().chain(command.split(' '));
        let wharf = s3
            .apply(project.wharf(words))
            .env("WHARF_STORE", &*from.url);
        wharf.run().exits(0).json()
    };
    assert_eq!(copy(local)["copied"]["blobs"], 1);
    let again = copy(local);
    assert_eq!(again["copied"]["blobs"], 0);
    assert_eq!(again["copied"]["skipped-bytes"], bytes.len());
    assert_eq!(again["version"]["number"], 1);
    s3.artifact(&project, "get large:prod back").exits(0);
    assert!(project.read("back") == bytes);
    let lineage = s3.artifact(&project, "lineage large").exits(0).stdout;
    assert!(lineage.contains("put from large"), "{lineage}");
}

#[test]
fn garbage_is_collected_and_damage_is_found() {
    let project = Project::with(&[("v1", "one"), ("v2", "two")]);
    let store = &stores(&project, "upkeep")[0];
    for version in ["v1", "v2"] {
        store
            .artifact(&project, &format!("put model {version}"))
            .exits(0);
    }
    store.artifact(&project, "rm model@1").exits(0);
    let wharf = |arguments: &[&str]| project.wharf(arguments).run();
    wharf(&["gc", "--older-than", "0"])
        .exits(2)
        .says(&["--alone"]);
    let young = wharf(&["gc", "--json"]).exits(0).json();
    assert_eq!((&young["removed"], &young["young"]), (&json!(0), &json!(1)));
    let dry = wharf(&["gc", "--older-than", "0", "--dry-run"]).exits(0);
    assert!(dry.stdout.contains("would remove 1 blob, 3 B"), "{dry}");
    let removed = wharf(&["gc", "--older-than", "0", "--alone", "--json"]);
    assert_eq!(removed.exits(0).json()["removed"], 1);
    let good = wharf(&["verify"]).exits(0);
    assert!(good.stdout.contains("good: 1 blob, 3 B"), "{good}");

    let digest = wharf_model::Digest::of(b"two");
    let hex = digest.hex();
    project.write(&format!(".wharf/blobs/sha256/{}/{hex}", &hex[..2]), "tow");
    let bad = wharf(&["verify"]).exits(1).says(&["1 are corrupt"]);
    assert!(bad.stdout.contains(&format!("corrupt  {digest}")), "{bad}");
    let got = store.artifact(&project, "get model out").exits(1);
    got.says(&["is damaged", "wharf verify"]);
    assert!(!project.path("out").exists());
}

#[test]
fn what_is_unknown_or_wrong_is_said() {
    let project = Project::with(&[("v1", "one")]);
    let put = project.wharf(["artifact", "put", "model", "v1"]);
    put.run().exits(0);
    let refuses = |arguments: &str, code, kind, says: &[&str]| {
        let arguments: Vec<_> = arguments.split(' ').collect();
        project.refuses(&arguments, &Refusal { code, kind, says });
    };
    refuses(
        "artifact show modle",
        1,
        "unknown-artifact",
        &["no artifact `modle`", "did you mean `model`?"],
    );
    refuses(
        "artifact get model:prod out",
        1,
        "unknown-artifact",
        &["no `model:prod`", "wharf artifact ls model"],
    );
    refuses(
        "artifact get model@7 out",
        1,
        "unknown-artifact",
        &["no `model@7`"],
    );
    refuses(
        "artifact get Model out",
        2,
        "command-line",
        &["`Model` cannot name an artifact"],
    );
    refuses(
        "artifact rm model",
        2,
        "command-line",
        &["does not say what to remove", "model@NUMBER"],
    );
    refuses(
        "artifact put model none",
        2,
        "input",
        &["`none` does not exist"],
    );
    refuses(
        "artifact get model missing/out",
        2,
        "output",
        &["does not exist"],
    );
    refuses(
        "artifact ls --store s4://bucket",
        2,
        "command-line",
        &["`s4://` is no kind of store"],
    );
    refuses(
        "artifact ls --store s3://",
        2,
        "command-line",
        &["names no bucket"],
    );
}

#[test]
fn a_bucket_that_cannot_be_used_is_said() {
    let project = Project::with(&[("v1", "one")]);
    let mut missing = At::service(Service::S3, "missing");
    missing.url = "s3://no-such-bucket/x".to_owned();
    for arguments in ["ls", "put model v1", "show model"] {
        let ended = missing.artifact(&project, arguments).exits(1);
        ended.says(&[
            "s3://no-such-bucket/x",
            "create the bucket, or check its name",
        ]);
    }
    let mut other = At::service(Service::Azure, "missing");
    other.url = "az://no-such-container".to_owned();
    let ended = other.artifact(&project, "put model v1").exits(1);
    ended.says(&["az://no-such-container", "create the bucket"]);
}
