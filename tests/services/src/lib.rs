//! Real storage services for tests and measurements: emulators that speak the
//! protocols of S3 and Azure, each started when it is first needed, on a free port,
//! and ended with the process.
//!
//! There is none for Google Cloud Storage that could be installed from a package
//! registry and knows conditional writes in the XML protocol, which object_store
//! speaks: fake-gcs-server 1.56 and gcp-storage-emulator 2026.7 do not.
//!
//! `cargo xtask services` installs them into the target folder.
#![deny(missing_docs)]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;

/// The bucket that every service has.
pub const BUCKET: &str = "wharf";

/// The Azure emulator's well-known key, the same everywhere.
const AZURE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// S3, by moto.
    S3,
    /// Azure Blob Storage, by Azurite.
    Azure,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::S3, Self::Azure];

    /// What the URLs of its buckets begin with.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Azure => "az",
        }
    }

    /// A URL of a store in the bucket, under a path of its own.
    #[must_use]
    pub fn url(self, path: &str) -> String {
        format!("{}://{BUCKET}/{path}", self.scheme())
    }

    /// Where it listens; starts it where it was not started.
    ///
    /// # Panics
    /// Where it is not installed, or does not start.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        static STARTED: [OnceLock<SocketAddr>; 2] = [const { OnceLock::new() }; 2];
        *STARTED[self as usize].get_or_init(|| start(self))
    }

    /// The settings of a client that talks to the service at its own address.
    #[must_use]
    pub fn settings(self) -> Vec<(String, String)> {
        self.settings_at(self.address())
    }

    /// The settings of a client that talks to it at another address, such as that of
    /// a proxy.
    #[must_use]
    pub fn settings_at(self, address: SocketAddr) -> Vec<(String, String)> {
        let settings = match self {
            Self::S3 => return s3_settings("http", address),
            Self::Azure => [
                (
                    "AZURE_STORAGE_ENDPOINT",
                    format!("http://{address}/devstoreaccount1"),
                ),
                ("AZURE_STORAGE_ACCOUNT_NAME", "devstoreaccount1".to_owned()),
                ("AZURE_STORAGE_ACCOUNT_KEY", AZURE_KEY.to_owned()),
            ],
        };
        named(settings)
    }

    fn command(self, port: u16) -> Command {
        let mut command = match self {
            Self::S3 => moto(port),
            Self::Azure => {
                let target = target_folder();
                let script = target.join("node/azurite/node_modules/azurite/dist/src/blob/main.js");
                assert_installed(&script);
                let mut command = Command::new("node");
                command.arg(script).args(["--blobPort", &port.to_string()]);
                command.args(["--inMemoryPersistence", "--skipApiVersionCheck", "--silent"]);
                command.arg("--disableTelemetry");
                command
            }
        };
        silence(&mut command);
        command
    }

    const fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Azure => "azure",
        }
    }
}

/// The folder that cargo builds into: this program is somewhere in it.
fn target_folder() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    let found = program
        .ancestors()
        .find(|folder| folder.join("venvs").is_dir());
    let found = found.map(Path::to_owned);
    found.unwrap_or_else(|| panic!("no services: install them with `cargo xtask services`"))
}

fn program(path: &Path) -> Command {
    assert_installed(path);
    Command::new(path)
}

fn assert_installed(path: &Path) {
    assert!(
        path.exists(),
        "{} is missing; install it: cargo xtask services",
        path.display()
    );
}

fn moto(port: u16) -> Command {
    let mut command = program(&target_folder().join("venvs/services/bin/moto_server"));
    command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    command
}

fn silence(command: &mut Command) {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
}

fn s3_settings(scheme: &str, address: SocketAddr) -> Vec<(String, String)> {
    named([
        ("AWS_ENDPOINT_URL", format!("{scheme}://{address}")),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
    ])
}

fn named<const N: usize>(settings: [(&str, String); N]) -> Vec<(String, String)> {
    let settings = settings.into_iter();
    settings
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// S3 with TLS, by moto, and with a certificate that no machine knows.
#[derive(Debug)]
pub struct SecureS3 {
    address: SocketAddr,
    /// What a client has to trust, as a PEM file.
    pub certificate: PathBuf,
    _folder: tempfile::TempDir,
}

impl SecureS3 {
    /// The one that tests share.
    ///
    /// # Panics
    /// Where it is not installed, or does not start.
    #[must_use]
    pub fn shared() -> &'static Self {
        static STARTED: OnceLock<SecureS3> = OnceLock::new();
        STARTED.get_or_init(Self::start)
    }

    /// The settings of a client.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, String)> {
        s3_settings("https", self.address)
    }

    fn start() -> Self {
        // It is never dropped, and so not removed by this process.
        let tmp = target_folder().join("tmp");
        std::fs::create_dir_all(&tmp).expect("a folder");
        let folder = tempfile::tempdir_in(tmp).expect("a temporary folder");
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key"));
        let address = free_address();
        let made = rcgen::generate_simple_self_signed([address.ip().to_string()]);
        let made = made.expect("a certificate");
        std::fs::write(&certificate, made.cert.pem()).expect("a file");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
        let mut command = moto(address.port());
        command.arg("--ssl-cert").arg(&certificate);
        command.arg("--ssl-key").arg(&key);
        silence(&mut command);
        run_beside(command, "S3 with TLS");
        make_bucket(Service::S3, address.port(), Some(&certificate));
        std::fs::remove_file(&key).expect("it was read");
        Self {
            address,
            certificate,
            _folder: folder,
        }
    }
}

/// Starts a service, and waits until it answers.
fn start(service: Service) -> SocketAddr {
    let address = free_address();
    run_beside(service.command(address.port()), service.name());
    make_bucket(service, address.port(), None);
    address
}

fn run_beside(mut command: Command, what: &str) {
    let (started, child) = channel();
    // A child is ended with the thread that has started it: one that never ends.
    std::thread::spawn(move || {
        let child = spawn_bound(&mut command);
        let (child, result) = match child {
            Ok(child) => (Some(child), Ok(())),
            Err(error) => (None, Err(error)),
        };
        started.send(result).expect("somebody waits");
        let _ended = child.map(|mut child| child.wait());
    });
    let result = child.recv().expect("the thread is there");
    result.unwrap_or_else(|error| panic!("{what} does not start: {error}"));
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it has an address")
}

/// Starts a process that is ended when this one is.
fn spawn_bound(command: &mut Command) -> std::io::Result<Child> {
    let die = || {
        let signal = Some(rustix::process::Signal::KILL);
        Ok(rustix::process::set_parent_process_death_signal(signal)?)
    };
    // SAFETY: one system call, which allocates nothing and takes no lock.
    unsafe { command.pre_exec(die) };
    command.spawn()
}

fn make_bucket(service: Service, port: u16, certificate: Option<&Path>) {
    let python = target_folder().join("venvs/services/bin/python");
    assert_installed(&python);
    let made = Command::new(python)
        .args(["-c", include_str!("buckets.py")])
        .args([service.name(), &port.to_string(), BUCKET])
        .args(certificate)
        .output()
        .expect("Python runs");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{service:?} has no bucket: {said}");
}
