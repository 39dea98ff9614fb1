//! A server that speaks S3, over a folder of this machine: versitygw.
//!
//! Not the emulator that tests use: that reads the whole object for each part of it
//! that somebody wants, so that it would measure itself.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// The bucket that it has.
pub(crate) const BUCKET: &str = "wharf";
/// The user and the password.
const CREDENTIAL: &str = "measured";
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A server; ended when dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    bucket: PathBuf,
}

impl Server {
    /// Starts one with an empty bucket, its files in a folder.
    pub(crate) fn start(program: &Path, folder: &Path) -> Result<Self> {
        let bucket = folder.join(BUCKET);
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        empty(&bucket)?;
        let child = Command::new(program)
            .env("ROOT_ACCESS_KEY", CREDENTIAL)
            .env("ROOT_SECRET_KEY", CREDENTIAL)
            .args(["--port", &address.to_string(), "--quiet", "posix"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let server = Self {
            child,
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
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
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
