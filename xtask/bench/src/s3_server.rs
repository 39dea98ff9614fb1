//! A server that speaks S3, over a folder of this machine: versitygw.
//!
//! Not the emulator that tests use: that reads the whole object for each part of it
//! that somebody wants, so that it would measure itself.
//!
//! With TLS, as the services that speak S3 are reached, or without. Its certificate is
//! made here; clients of this process and of those that it starts trust it by the
//! variable `SSL_CERT_FILE`, which `cargo xtask bench` sets.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// The bucket that it has.
pub(crate) const BUCKET: &str = "wharf";
/// The user and the password.
const CREDENTIAL: &str = "measured";
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How a server is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Https,
    Http,
}

impl Scheme {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }
}

/// A server; ended when dropped.
pub(crate) struct Server {
    child: Child,
    scheme: Scheme,
    address: SocketAddr,
    bucket: PathBuf,
}

impl Server {
    /// Starts one with an empty bucket, its files in a folder.
    ///
    /// # Errors
    /// Where it does not start; with TLS, where `SSL_CERT_FILE` is not `trusted`, which
    /// is written.
    pub(crate) fn start(
        program: &Path,
        folder: &Path,
        scheme: Scheme,
        trusted: &Path,
    ) -> Result<Self> {
        let bucket = folder.join(BUCKET);
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        empty(&bucket)?;
        let child = Command::new(program)
            .env("ROOT_ACCESS_KEY", CREDENTIAL)
            .env("ROOT_SECRET_KEY", CREDENTIAL)
            .args(["--port", &address.to_string(), "--quiet"])
            .args(match scheme {
                Scheme::Https => certificate(&address, trusted)?,
                Scheme::Http => Vec::new(),
            })
            .arg("posix")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let server = Self {
            child,
            scheme,
            address,
            bucket,
        };
        server.wait()?;
        Ok(server)
    }

    fn wait(&self) -> Result<()> {
        let started = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if started.elapsed() > READY_WITHIN {
                bail!("the S3 server does not answer at {}", self.address);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Removes all objects, and what was begun.
    pub(crate) fn empty(&self) -> Result<()> {
        empty(&self.bucket)
    }

    /// The settings of a client.
    pub(crate) fn settings(&self) -> [(String, String); 4] {
        [
            (
                "AWS_ENDPOINT_URL",
                format!("{}://{}", self.scheme.name(), self.address),
            ),
            ("AWS_ACCESS_KEY_ID", CREDENTIAL.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", CREDENTIAL.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a certificate that clients trust, and says with which options it is used.
fn certificate(address: &SocketAddr, file: &Path) -> Result<Vec<OsString>> {
    ensure!(
        std::env::var_os("SSL_CERT_FILE").as_deref() == Some(file.as_os_str()),
        "set SSL_CERT_FILE to {}, as `cargo xtask bench` does",
        file.display()
    );
    let made = rcgen::generate_simple_self_signed([address.ip().to_string()])?;
    let key = file.with_extension("key");
    fs::write(file, made.cert.pem()).with_context(|| format!("cannot write {}", file.display()))?;
    fs::write(&key, made.signing_key.serialize_pem())
        .with_context(|| format!("cannot write {}", key.display()))?;
    Ok(vec![
        "--cert".into(),
        file.into(),
        "--key".into(),
        key.into(),
    ])
}

fn empty(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => fs::remove_dir_all(path)?,
            false => fs::remove_file(path)?,
        }
    }
    Ok(())
}
