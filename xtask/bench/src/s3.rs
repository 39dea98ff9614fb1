//! A large file through a bucket, beside object_store alone with the same server: each
//! byte that Wharf sends or receives is hashed and checked as well.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::path::Path as ObjectPath;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;
use wharf_model::Content;
use wharf_model::limits::Bytes as Size;
use wharf_store::{CacheOptions, DEFAULT_CACHE, Location, Settings, Store};

use crate::Setup;
use crate::launch;
use crate::measurement::{Bar, Measurement, Yardstick};
use crate::random::random_file;
use crate::s3_server::{BUCKET, Server};

const MIB: u64 = 1 << 20;
/// At least this share of object_store's own speed.
const SPEED: f64 = 0.8;
/// Bytes that a guest, and a reader of a file, asks for at a time.
const READ: u64 = MIB;

/// Measures 1 GiB, or what `--quick` makes of it.
pub(crate) fn measure(setup: &Setup) -> Result<Vec<Measurement>> {
    let size = if setup.quick { 256 * MIB } else { 1024 * MIB };
    let folder = setup.work.join("s3");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let bench = Bench::prepare(setup, folder, size)?;
    bench.round()?; // Once without counting: compiles, and warms up all of them.
    let rounds = (0..setup.repetitions(5, 3)).map(|_| bench.round());
    let rounds: Vec<Round> = rounds.collect::<Result<_>>()?;
    let speeds = |seconds: fn(&Round) -> f64| {
        let speeds = rounds
            .iter()
            .map(|round| size as f64 / seconds(round) / 1e9);
        speeds.collect::<Vec<_>>()
    };
    let measurement = |name: &str, what: &str, readings, against, yardstick, bar| Measurement {
        name: format!("s3-1g{name}"),
        what: format!("{} MiB {what}", size / MIB),
        unit: "GB/s",
        readings,
        yardstick: Some(Yardstick {
            what: against,
            readings: yardstick,
        }),
        bar,
    };
    let (to, from) = (
        "object_store's BufWriter, with the same server",
        "object_store's stream of a get, from the same server",
    );
    Ok(vec![
        measurement(
            "/put",
            "from a file into a store in S3: hashed, and sent with checksums",
            speeds(|round| round.put),
            to,
            speeds(|round| round.plain_put),
            Bar::RatioAtLeast(SPEED),
        ),
        measurement(
            "/get",
            "out of a store in S3 as a guest reads it: in order, each byte checked",
            speeds(|round| round.get),
            from,
            speeds(|round| round.plain_get),
            Bar::RatioAtLeast(SPEED),
        ),
        measurement(
            "/put-command",
            "the same, by a process `wharf artifact put`",
            speeds(|round| round.put_command),
            to,
            speeds(|round| round.plain_put),
            Bar::Open,
        ),
        measurement(
            "/step",
            "out of S3 and through the step `copy`, by a process `wharf pipeline run`; what it writes is hashed, and there already",
            speeds(|round| round.step),
            from,
            speeds(|round| round.plain_get),
            Bar::Open,
        ),
    ])
}

/// Seconds that each took, in one turn.
struct Round {
    put: f64,
    plain_put: f64,
    get: f64,
    plain_get: f64,
    put_command: f64,
    step: f64,
}

struct Bench<'a> {
    setup: &'a Setup,
    folder: PathBuf,
    file: PathBuf,
    size: u64,
    server: Server,
    /// As the command has it.
    runtime: Runtime,
    /// As a program has it that uses object_store.
    plain_runtime: Runtime,
    plain: Arc<dyn ObjectStore>,
}

impl<'a> Bench<'a> {
    fn prepare(setup: &'a Setup, folder: PathBuf, size: u64) -> Result<Self> {
        let program = setup.s3_server.as_deref();
        let program = program.context("no S3 server was given: --s3-server")?;
        let server = Server::start(program, &folder.join("server"))?;
        fs::copy(setup.guest("copy"), folder.join("copy.wasm"))?;
        fs::write(
            folder.join("copy.yaml"),
            "steps:\n  copy:\n    uses: copy.wasm\n    with: { data: \"${{ artifact('data') }}\" }\n",
        )?;
        Ok(Self {
            file: random_file(&folder, size)?,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            plain_runtime: tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?,
            plain: plain(&server)?,
            setup,
            folder,
            size,
            server,
        })
    }

    /// The bucket is emptied before each that writes, so that what waits to be written
    /// by the server does not pile up.
    fn round(&self) -> Result<Round> {
        self.start_over()?;
        let plain_put = self.seconds(|| self.plain_put())?;
        let plain_get = self.seconds(|| self.plain_get())?;
        self.start_over()?;
        let mut content = None;
        let put = self.seconds(|| {
            content = Some(self.put()?);
            Ok(())
        })?;
        let content = content.context("a blob")?;
        self.empty_cache()?;
        let get = self.seconds(|| self.get(&content))?;
        self.start_over()?;
        let put_command = self.put_command()?;
        self.empty_cache()?;
        let step = self.step()?;
        Ok(Round {
            put,
            plain_put,
            get,
            plain_get,
            put_command,
            step,
        })
    }

    fn seconds(&self, work: impl FnOnce() -> Result<()>) -> Result<f64> {
        let started = Instant::now();
        work()?;
        Ok(started.elapsed().as_secs_f64())
    }

    fn start_over(&self) -> Result<()> {
        self.server.empty()?;
        self.empty_cache()?;
        crate::disk::settle();
        Ok(())
    }

    /// Compiled code, and the blobs that [`Self::blobs`] is for.
    fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    /// Where the command keeps blobs of stores that are elsewhere.
    fn blobs(&self) -> PathBuf {
        self.cache().join("artifacts")
    }

    fn empty_cache(&self) -> Result<()> {
        match fs::remove_dir_all(self.blobs()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// A store as the command opens it. A new one each time: it knows nothing.
    fn store(&self) -> Result<Store> {
        let location: Location = place().parse()?;
        let settings = self.server.settings().into_iter();
        let settings: Settings = settings.map(|(name, value)| (name, value.into())).collect();
        let cache = CacheOptions {
            folder: self.blobs(),
            most: Size(DEFAULT_CACHE.0),
        };
        Ok(Store::open(&location, &settings, Some(cache))?)
    }

    fn put(&self) -> Result<Content> {
        let store = self.store()?;
        Ok(self.runtime.block_on(store.put_file(&self.file))?)
    }

    fn get(&self, content: &Content) -> Result<()> {
        let store = self.store()?;
        self.runtime.block_on(async {
            let reader = store.open_blob(content).await?;
            let mut buffer = vec![0; READ as usize];
            for offset in (0..content.size).step_by(READ as usize) {
                if !reader.is_here(offset, READ) {
                    reader.fetch(offset, READ).await?;
                }
                let read = reader.read_at(offset, &mut buffer)?;
                ensure!(read as u64 == READ, "a part is missing");
            }
            Ok(())
        })
    }

    fn plain_put(&self) -> Result<()> {
        let mut writer = BufWriter::new(self.plain.clone(), plain_path());
        let mut file = File::open(&self.file)?;
        self.plain_runtime.block_on(async {
            loop {
                let mut bytes = Vec::with_capacity(READ as usize);
                let read = (&mut file).take(READ).read_to_end(&mut bytes)?;
                if read == 0 {
                    break;
                }
                writer.put(Bytes::from(bytes)).await?;
            }
            Ok(tokio::io::AsyncWriteExt::shutdown(&mut writer).await?)
        })
    }

    fn plain_get(&self) -> Result<()> {
        let read = self.plain_runtime.block_on(async {
            let found = self.plain.get(&plain_path()).await?;
            let parts = found.into_stream();
            let count = |sum: u64, part: Bytes| async move { Ok(sum + part.len() as u64) };
            parts.try_fold(0, count).await
        })?;
        ensure!(read == self.size, "the object is not complete");
        Ok(())
    }

    /// Keeps the file as an artifact.
    fn put_command(&self) -> Result<f64> {
        let path = self.file.to_str().context("a path in Unicode")?;
        self.command(&["artifact", "put", "data", path])
    }

    fn step(&self) -> Result<f64> {
        self.command(&["pipeline", "run", "copy.yaml", "--quiet"])
    }

    /// Seconds that a command takes with the store.
    fn command(&self, arguments: &[&str]) -> Result<f64> {
        let settings = self.server.settings();
        let mut all: Vec<std::ffi::OsString> = settings
            .iter()
            .map(|(name, value)| format!("{name}={value}").into())
            .collect();
        all.push(self.setup.wharf.clone().into());
        all.extend(arguments.iter().map(Into::into));
        all.extend(["--store".into(), place().into()]);
        all.extend(["--cache".into(), self.cache().into()]);
        let finished = launch::run(&self.folder, Path::new("env"), &all)?;
        Ok(finished.seconds)
    }
}

fn place() -> String {
    format!("s3://{BUCKET}/store")
}

fn plain_path() -> ObjectPath {
    ObjectPath::from("plain/object")
}

/// object_store as it is usually set up.
fn plain(server: &Server) -> Result<Arc<dyn ObjectStore>> {
    let builder = AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_client_options(ClientOptions::new().with_allow_http(true));
    let mut settings = server.settings().into_iter();
    let builder = settings.try_fold(builder, |builder, (name, value)| {
        let key = name.to_ascii_lowercase().parse();
        let key = key.map_err(|error| anyhow!("{name}: {error}"))?;
        Ok::<_, anyhow::Error>(builder.with_config(key, value))
    })?;
    Ok(Arc::new(builder.build()?))
}
