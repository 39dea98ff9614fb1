//! A large file through a bucket, beside object_store alone with the same server: each
//! byte that Wharf sends or receives is hashed and checked as well.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
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
use crate::s3_server::{BUCKET, Scheme, Server};

const MIB: u64 = 1 << 20;
/// At least this share of object_store's own speed.
const SPEED: f64 = 0.8;
/// Bytes that a guest, and a reader of a file, asks for at a time.
const READ: u64 = MIB;
/// What Wharf asks a store for, and how often at a time.
const RANGE: u64 = 8 * MIB;
const AT_A_TIME: usize = 4;

/// Measures 1 GiB, or what `--quick` makes of it: with TLS, as S3 is reached, and the
/// two main ones without. There, each byte that object_store alone passes on and drops
/// is still in the processor's cache, and to check it takes as long as to move it, so
/// that those bars can only hold with TLS.
pub(crate) fn measure(setup: &Setup) -> Result<Vec<Measurement>> {
    let mut measured = measure_by(setup, Scheme::Https)?;
    measured.extend(measure_by(setup, Scheme::Http)?);
    Ok(measured)
}

fn measure_by(setup: &Setup, scheme: Scheme) -> Result<Vec<Measurement>> {
    let size = if setup.quick { 256 * MIB } else { 1024 * MIB };
    let folder = setup.work.join("s3");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let bench = Bench::prepare(setup, folder, size, scheme)?;
    let repetitions = setup.repetitions(5, 3);
    let speed = |seconds: f64| size as f64 / seconds / 1e9;
    let puts = bench.rounds(repetitions, Bench::puts)?;
    let put = |seconds: fn(&Puts) -> f64| puts.iter().map(|put| speed(seconds(put))).collect();
    let content = bench.fill()?;
    let gets = bench.rounds(repetitions, |bench| bench.gets(&content))?;
    let get = |seconds: fn(&Gets) -> f64| gets.iter().map(|get| speed(seconds(get))).collect();
    let (suffix, bar) = match scheme {
        Scheme::Https => ("", Bar::RatioAtLeast(SPEED)),
        Scheme::Http => ("-without-tls", Bar::Open),
    };
    let measurement = |name: &str, what: &str, readings, against, yardstick, bar| Measurement {
        name: format!("s3-1g{name}{suffix}"),
        what: format!("{} MiB {what}, over {}", size / MIB, scheme.name()),
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
    let mut measured = vec![
        measurement(
            "/put",
            "from a file into a store in S3: hashed, and sent with checksums",
            put(|round| round.store),
            to,
            put(|round| round.plain),
            bar,
        ),
        measurement(
            "/get",
            "out of a store in S3 as a guest reads it: in order, each byte checked",
            get(|round| round.store),
            from,
            get(|round| round.plain),
            bar,
        ),
    ];
    if scheme == Scheme::Https {
        measured.push(measurement(
            "/get-ranges",
            "the same as get",
            get(|round| round.store),
            "object_store asked for as many ranges at a time as Wharf asks it for",
            get(|round| round.ranges),
            Bar::Open,
        ));
        measured.push(measurement(
            "/put-command",
            "the same, by a process `wharf artifact put`",
            put(|round| round.command),
            to,
            put(|round| round.plain),
            Bar::Open,
        ));
        measured.push(measurement(
            "/step",
            "out of S3 and through the step `copy`, by a process `wharf pipeline run`; what it writes is hashed, and there already",
            get(|round| round.step),
            from,
            get(|round| round.plain),
            Bar::Open,
        ));
    }
    Ok(measured)
}

/// Seconds that each took, in one turn.
struct Puts {
    plain: f64,
    store: f64,
    command: f64,
}

/// The same of what reads.
struct Gets {
    plain: f64,
    ranges: f64,
    store: f64,
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
    fn prepare(setup: &'a Setup, folder: PathBuf, size: u64, scheme: Scheme) -> Result<Self> {
        let program = setup.s3_server.as_deref();
        let program = program.context("no S3 server was given: --s3-server")?;
        let server = Server::start(
            program,
            &folder.join("server"),
            scheme,
            &setup.work.join("certificate.pem"),
        )?;
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

    /// Does something so often, and once before without counting: that compiles, and
    /// warms up all of it.
    fn rounds<T>(&self, count: usize, round: impl Fn(&Self) -> Result<T>) -> Result<Vec<T>> {
        round(self)?;
        (0..count).map(|_| round(self)).collect()
    }

    /// The bucket is emptied before each, so that what waits to be written by the
    /// server does not pile up. Nothing else is between them: one that comes after more
    /// was removed than before another has its memory for less.
    fn puts(&self) -> Result<Puts> {
        self.start_over()?;
        let plain = self.seconds(|| self.plain_put())?;
        self.start_over()?;
        let store = self.seconds(|| self.put().map(drop))?;
        self.start_over()?;
        let command = self.put_command()?;
        Ok(Puts {
            plain,
            store,
            command,
        })
    }

    /// Puts what is to be read.
    fn fill(&self) -> Result<Content> {
        self.start_over()?;
        self.plain_put()?;
        self.put_command()?;
        let content = self.put()?;
        crate::disk::settle();
        Ok(content)
    }

    fn gets(&self, content: &Content) -> Result<Gets> {
        let plain = self.seconds(|| self.plain_get())?;
        let ranges = self.seconds(|| self.plain_ranges())?;
        self.empty_cache()?;
        let store = self.seconds(|| self.get(content))?;
        self.empty_cache()?;
        let step = self.step()?;
        self.empty_cache()?;
        Ok(Gets {
            plain,
            ranges,
            store,
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

    /// The same, as many requests at a time as Wharf makes.
    fn plain_ranges(&self) -> Result<()> {
        let read = self.plain_runtime.block_on(async {
            let parts = (0..self.size).step_by(RANGE as usize);
            let parts = futures::stream::iter(parts).map(|start| {
                let plain = self.plain.clone();
                let range = start..(start + RANGE).min(self.size);
                self.plain_runtime
                    .spawn(async move { plain.get_range(&plain_path(), range).await })
            });
            let mut parts = parts.buffered(AT_A_TIME);
            let mut read = 0;
            while let Some(part) = parts.next().await {
                read += part??.len() as u64;
            }
            Ok::<_, anyhow::Error>(read)
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
        self.command(&["pipeline", "run", "copy.yaml", "--quiet", "--from", "copy"])
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
