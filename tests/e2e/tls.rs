//! Stores that are reached with TLS, by a certificate that a company made itself.

use wharf_services::{SecureS3, Service};

use crate::harness::{Project, Wharf};

/// More than one part.
const SIZE: usize = 20 << 20;

fn secure(project: &Project, arguments: &[&str], store: &str) -> Wharf {
    project
        .wharf([arguments, &["--store", &Service::S3.url(store)]].concat())
        .envs(&SecureS3::shared().settings())
}

#[test]
fn what_goes_by_tls_comes_back() {
    let bytes: Vec<u8> = (0..SIZE).map(|n| (n % 251) as u8).collect();
    let project = Project::with(&[]);
    project.write("data.bin", &bytes);
    let trusted = &SecureS3::shared().certificate;
    let run = |arguments: &[&str]| {
        let command = secure(&project, arguments, "tls-there-and-back");
        command.env("SSL_CERT_FILE", trusted).run().exits(0)
    };
    run(&["artifact", "put", "data", "data.bin"]);
    run(&["artifact", "get", "data", "back.bin"]);
    assert!(project.read("back.bin") == bytes);
    run(&["verify"]);
}

/// It is told why, and what to do.
#[test]
fn a_service_that_nobody_vouches_for_is_refused() {
    let project = Project::with(&[("data.csv", "x")]);
    let put = ["artifact", "put", "data", "data.csv"];
    let ended = secure(&project, &put, "tls-untrusted").run();
    ended
        .exits(1)
        .says(&["s3://wharf/tls-untrusted", "certificate", "SSL_CERT_FILE"]);
}
