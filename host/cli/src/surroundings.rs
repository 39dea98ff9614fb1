//! What the command takes from the machine that it runs on: folders, the clock,
//! ids, signals, diagnostics.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::ending::Ending;
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use wharf_model::exit::{self, exit_code};
use wharf_model::name::is_active;
use wharf_model::outcome::Cancellation;
use wharf_model::record::{Host, RunId};
use wharf_model::{ErrorKind, Fault, Outcome};
use wharf_runner::{Clock, Committing, cancelled};
use wharf_sandbox::{CompileCache, Compiler, Sandbox, Stopping, WASMTIME_VERSION};
use wharf_store::{
    Author, CacheOptions, DEFAULT_CACHE, Location, ParseLocationError, Settings, Store,
};

/// The hidden command that compiles a component; see `wharf_sandbox::Compiler`.
pub(crate) const COMPILE_COMMAND: &str = "__compile";

/// Most characters of who somebody is.
const MAX_AUTHOR: usize = 128;

/// The name of the folder that the embedded store is in.
const STORE_FOLDER: &str = ".wharf";

/// The machine's clock.
#[derive(Debug)]
pub(crate) struct SystemClock(Instant);

impl SystemClock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// This host, for records.
pub(crate) fn host() -> Host {
    Host {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        wasmtime: WASMTIME_VERSION.to_owned(),
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
    }
}

/// Who is at work, for the history of artifacts: the user and the machine.
pub(crate) fn author() -> Author {
    let named = |name| {
        std::env::var(name)
            .ok()
            .filter(|value: &String| !value.is_empty())
    };
    let user = named("WHARF_USER")
        .or_else(|| named("USER"))
        .or_else(|| named("LOGNAME"));
    let user = user.unwrap_or_else(|| format!("uid {}", rustix::process::geteuid().as_raw()));
    let machine = rustix::system::uname();
    let by = format!("{user}@{}", machine.nodename().to_string_lossy());
    Author {
        by: by
            .chars()
            .filter(|c| !is_active(*c))
            .take(MAX_AUTHOR)
            .collect(),
        now: Timestamp::now(),
    }
}

/// A new id: sorts by time, and differs from every other.
pub(crate) fn new_run_id() -> Result<RunId, Fault> {
    RunId::from_str(&uuid::Uuid::now_v7().to_string()).map_err(Fault::internal)
}

/// A folder that somebody named: an empty variable is as good as none.
fn named(folder: Option<&Path>) -> Option<PathBuf> {
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    folder.map(Path::to_owned)
}

/// Where compiled code is kept: in the folder given, else in the user's cache.
pub(crate) fn cache_folder(given: Option<&Path>) -> Option<PathBuf> {
    named(given).or_else(default_cache_folder)
}

fn default_cache_folder() -> Option<PathBuf> {
    let folder = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache =
        folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("wharf").join("compiled"))
}

/// The compile cache. Without one, runs are slower and nothing else: a folder
/// that cannot be used is said, and done without.
pub(crate) fn compile_cache(given: Option<&Path>) -> Option<CompileCache> {
    let Some(folder) = cache_folder(given) else {
        tracing::warn!("running without a compile cache: set HOME, XDG_CACHE_HOME or WHARF_CACHE");
        return None;
    };
    match CompileCache::open(&folder) {
        Ok(cache) => Some(cache),
        Err(fault) => {
            tracing::warn!(%fault, "running without a compile cache");
            None
        }
    }
}

/// A sandbox that compiles in a child of this program, for a command that ends when
/// the one step that it runs does.
pub(crate) fn sandbox(cache: Option<CompileCache>) -> Result<Sandbox, Fault> {
    sandbox_with(cache, Stopping::LeavingBehind)
}

/// The same, for a command that goes on.
pub(crate) fn yielding_sandbox(cache: Option<CompileCache>) -> Result<Sandbox, Fault> {
    sandbox_with(cache, Stopping::Yielding)
}

fn sandbox_with(cache: Option<CompileCache>, stopping: Stopping) -> Result<Sandbox, Fault> {
    let program = std::env::current_exe().map_err(|error| {
        Fault::new(
            ErrorKind::Io,
            format!("cannot find the running program: {error}"),
        )
    })?;
    let compiler = Compiler::Child {
        program,
        arguments: vec![COMPILE_COMMAND.to_owned()],
    };
    Ok(Sandbox::new(compiler, cache, stopping))
}

/// The cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The machine's memory in bytes.
pub(crate) fn memory() -> u64 {
    let system = rustix::system::sysinfo();
    system.totalram.saturating_mul(u64::from(system.mem_unit))
}

/// The folder of the store: the one given, else the nearest `.wharf` of this
/// user in this folder or one above it, else `.wharf` here. One that somebody else
/// has put above, in a folder that all may write to, is not taken: it would get
/// the records of this user's runs.
pub(crate) fn store_folder(given: Option<&Path>) -> PathBuf {
    if let Some(given) = named(given) {
        return given;
    }
    let here = std::env::current_dir().unwrap_or_default();
    let found = here
        .ancestors()
        .map(|folder| folder.join(STORE_FOLDER))
        .find(|folder| is_own_folder(folder));
    found.unwrap_or_else(|| here.join(STORE_FOLDER))
}

fn is_own_folder(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    // A link would say that what it leads to is one's own.
    let metadata = std::fs::symlink_metadata(folder);
    metadata.is_ok_and(|metadata| {
        metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw()
    })
}

/// The store that the environment names.
pub(crate) fn store_variable() -> Option<PathBuf> {
    let named = std::env::var_os("WHARF_STORE").filter(|value| !value.is_empty());
    named.map(PathBuf::from)
}

/// Where the store is: a URL, or a folder; the one given, or the one that the environment
/// names, else the nearest.
pub(crate) fn store_location(given: Option<&Path>) -> Result<Location, Fault> {
    let given = named(given).or_else(store_variable);
    let url = given.as_deref().and_then(Path::to_str);
    match url.filter(|text| text.contains("://")) {
        Some(url) => url.parse().map_err(|error: ParseLocationError| {
            Fault::new(ErrorKind::CommandLine, error.to_string())
        }),
        None => Ok(Location::Folder(store_folder(given.as_deref()))),
    }
}

/// The store at a place.
pub(crate) fn open_store(location: &Location, cache: Option<&Path>) -> Result<Store, Fault> {
    Store::open(location, &store_settings(), blob_cache(cache))
}

/// The variables whose names begin so, without that.
///
/// # Errors
/// Where one is not UTF-8.
pub(crate) fn variables(prefix: &str) -> Result<Vec<(String, String)>, Fault> {
    let mut found = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(prefix)) else {
            continue;
        };
        let value = value.into_string().map_err(|_| {
            let message = format!("the variable `{prefix}{rest}` is not UTF-8");
            Fault::new(ErrorKind::Parameter, message)
        })?;
        found.push((rest.to_owned(), value));
    }
    found.sort();
    Ok(found)
}

/// What services need to know, from the environment, as for their own tools.
pub(crate) fn store_settings() -> Settings {
    let prefixes = ["AWS_", "AZURE_", "GOOGLE_"];
    let settings = std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        let is_setting = prefixes.iter().any(|prefix| name.starts_with(prefix));
        is_setting.then(|| (name, value.into()))
    });
    settings.collect()
}

/// The cache of blobs of stores elsewhere.
pub(crate) fn blob_cache(given: Option<&Path>) -> Option<CacheOptions> {
    let folder = blob_cache_folder(given)?;
    let most = DEFAULT_CACHE;
    Some(CacheOptions { folder, most })
}

/// Where blobs of stores elsewhere are kept: beside the compiled code.
fn blob_cache_folder(given: Option<&Path>) -> Option<PathBuf> {
    match named(given) {
        Some(folder) => Some(folder.join("artifacts")),
        None => default_cache_folder().map(|compiled| compiled.with_file_name("artifacts")),
    }
}

/// A store that is read from must be there.
pub(crate) fn check_exists(location: &Location) -> Result<(), Fault> {
    match location {
        Location::Folder(folder) if !folder.is_dir() => Err(Fault::new(
            ErrorKind::UnknownRun,
            format!("there is no store at `{}`", folder.display()),
        )
        .hint("run a step first, or say where the store is with --store or --stack")),
        _ => Ok(()),
    }
}

/// Takes as many open files as the system allows: a step may have a thousand,
/// and the usual limit counts Wharf's own, too.
pub(crate) fn allow_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Where it may not, it goes on with fewer.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

/// The runtime that a command's asynchronous part runs on. One thread: hashing
/// and writing have threads of their own.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Fault> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::internal(format!("cannot start the runtime: {error}")))
}

/// Does something, unless somebody stops it: then it is dropped where it is.
pub(crate) async fn unless_stopped<T>(
    work: impl Future<Output = Result<T, Ending>>,
    cancel: watch::Receiver<Option<Cancellation>>,
) -> Result<T, Ending> {
    tokio::select! {
        done = work => done,
        by = cancelled(cancel) => Err(Ending::Stopped(by)),
    }
}

/// Does the asynchronous part of a command, which somebody may stop.
pub(crate) fn run<T>(work: impl Future<Output = Result<T, Ending>>) -> Result<T, Ending> {
    let cancel = cancellation(&Committing::default())?;
    let runtime = runtime()?;
    let done = runtime.block_on(unless_stopped(work, cancel));
    // What still reads or writes for it is not waited for.
    runtime.shutdown_background();
    done
}

/// How long a run may take to end once it was told to. Kubernetes kills after 30
/// seconds; what kills must not come first.
const LEAVE_WITHIN: Duration = Duration::from_secs(20);

/// How much longer it may take where it is just being committed.
const COMMIT_WITHIN: Duration = Duration::from_secs(4);

/// Signals within this time are one.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// Becomes `Some` at the first SIGINT, SIGTERM or SIGHUP. The second one, or a run that
/// does not end in time, ends the process.
///
/// On a thread of its own: the run's may be held up by a disk that does not
/// answer.
///
/// A run that is being committed is given a little more time: outputs without a
/// record would be worse than to be killed.
pub(crate) fn cancellation(
    committing: &Committing,
) -> Result<watch::Receiver<Option<Cancellation>>, Fault> {
    let (stop, stopped) = watch::channel(None);
    let (started, starts) = std::sync::mpsc::channel();
    let committing = committing.clone();
    let watch = move || match Signals::listen() {
        Ok((runtime, signals)) => {
            let _ = started.send(Ok(()));
            runtime.block_on(signals.watch(&stop, &committing));
        }
        Err(fault) => drop(started.send(Err(fault))),
    };
    std::thread::Builder::new()
        .name("wharf-signals".to_owned())
        .spawn(watch)
        .map_err(|error| Fault::internal(format!("cannot start a thread: {error}")))?;
    starts.recv().map_err(Fault::internal)??;
    Ok(stopped)
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// The terminal was closed.
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<(tokio::runtime::Runtime, Self), Fault> {
        let runtime = runtime()?;
        let entered = runtime.enter();
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Fault::internal(format!("cannot listen for signals: {error}")))
        };
        let signals = Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        };
        drop(entered);
        Ok((runtime, signals))
    }

    async fn next(&mut self) -> Cancellation {
        tokio::select! {
            _ = self.interrupt.recv() => Cancellation::Interrupt,
            _ = self.terminate.recv() => Cancellation::Terminate,
            _ = self.hangup.recv() => Cancellation::Terminate,
        }
    }

    /// A signal that somebody sends once more, because the first was not enough.
    /// Some senders signal a process and its group at once.
    async fn once_more(&mut self) {
        let first = Instant::now();
        loop {
            self.next().await;
            if first.elapsed() >= SAME_SIGNAL {
                return;
            }
        }
    }

    async fn watch(mut self, stop: &watch::Sender<Option<Cancellation>>, committing: &Committing) {
        let by = self.next().await;
        let _ = stop.send(Some(by));
        let why = match tokio::time::timeout(LEAVE_WITHIN, self.once_more()).await {
            Ok(_) => "at the second signal",
            Err(_) => "since the run did not end",
        };
        let waited = Instant::now();
        while committing.load(Ordering::SeqCst) && waited.elapsed() < COMMIT_WITHIN {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        crate::report::errors::line(&format!(
            "left {why}; files named .wharf-*.partial may be left beside the outputs"
        ));
        let code = exit_code(exit::Ending::Outcome(&Outcome::Cancelled { by }));
        std::process::exit(code as i32);
    }
}

/// Sends Wharf's own diagnostics to the error output: warnings, or what
/// `WHARF_LOG` says (`error`, `warn`, `info`, `debug`, `trace`).
pub(crate) fn trace_to_stderr() {
    let wanted = std::env::var("WHARF_LOG").unwrap_or_default();
    let level = match &*wanted {
        "" => LevelFilter::WARN,
        wanted => wanted.parse().unwrap_or(LevelFilter::WARN),
    };
    let wharf = [
        "wharf",
        "wharf_model",
        "wharf_store",
        "wharf_sandbox",
        "wharf_runner",
    ];
    let targets = Targets::new().with_targets(wharf.map(|target| (target, level)));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time();
    tracing_subscriber::registry()
        .with(targets)
        .with(lines)
        .init();
    if !wanted.is_empty() && wanted.parse::<LevelFilter>().is_err() {
        tracing::warn!("WHARF_LOG is `{wanted}`; it knows error, warn, info, debug and trace");
    }
}
