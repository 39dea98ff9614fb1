//! Wharf's sandbox: runs one component, or a core module for WASI preview 1,
//! under limits, with what it was granted.
//!
//! ```text
//! bytes -> open -> Opened -> prepare -> Component -> call -> Called
//! ```
//!
//! The sandbox knows bytes, traits ([`artifact`]) and limits. It does not read
//! artifacts from disk, publish outputs or write records; that is
//! `wharf-runner`. It never prints.
#![deny(missing_docs)]

pub mod artifact;
mod component;
mod convert;
mod engine;
mod gate;
mod host;
mod invoke;
mod limiter;

use std::fmt;

use tokio::sync::OnceCell;
use wasmtime::{Engine, component as wasm};
use wharf_model::limits::{LimitKind, Limits};
use wharf_model::{Digest, ErrorKind, Fault};

pub use component::cache::CompileCache;
pub use component::compile::{Compiler, child_main};
pub use component::{Description, Import, Kind};
pub use engine::{Stopping, WASMTIME_VERSION};
pub use host::files::ProgramInput;
pub use host::telemetry::Progress;
pub use invoke::{Call, Called, Entry, Parameter, Seed};

use component::cache::EntryKey;
use component::code::CompiledCode;
use component::compile::{Compiled, Job, missing_imports};
use engine::Settings;
use host::State;

/// Runs components.
pub struct Sandbox {
    compiler: Compiler,
    cache: Option<CompileCache>,
    stopping: Stopping,
    /// One engine for code without fuel, one for code with it; made when first
    /// needed.
    engines: [OnceCell<EngineParts>; 2],
}

/// An engine with what belongs to it.
struct EngineParts {
    engine: Engine,
    /// For components; made when first needed.
    components: OnceCell<wasm::Linker<State>>,
    /// For core modules; made when first needed.
    modules: OnceCell<wasmtime::Linker<State>>,
    /// Makes guests give way where they do that; stops when the sandbox goes.
    _ticker: Option<engine::Ticker>,
}

/// A component that is known, and maybe compiled.
pub struct Opened {
    digest: Digest,
    size: u64,
    description: Description,
    key: EntryKey,
    code: Code,
}

/// A component as far as it has come.
enum Code {
    Wasm(Vec<u8>),
    Compiled(CompiledCode),
}

/// A component that is ready to run.
pub struct Component {
    digest: Digest,
    size: u64,
    description: Description,
    from_cache: bool,
    code: Loaded,
}

/// Code that is linked, and becomes an instance for each run.
#[derive(Clone)]
pub(crate) enum Loaded {
    Component(wasm::InstancePre<State>),
    Module(wasmtime::InstancePre<State>),
}

/// Why a component cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// It is not fit to run, or the host failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Its size, or what it takes to compile it, is over a limit.
    #[error("exceeded the limit `{limit}` of {allowed}")]
    LimitExceeded {
        /// Which one.
        limit: LimitKind,
        /// Its value.
        allowed: String,
    },
}

impl Sandbox {
    /// A sandbox that compiles with `compiler` and keeps compiled code in
    /// `cache`.
    #[must_use]
    pub fn new(compiler: Compiler, cache: Option<CompileCache>, stopping: Stopping) -> Self {
        Self {
            compiler,
            cache,
            stopping,
            engines: [const { OnceCell::const_new() }; 2],
        }
    }

    /// Tells what a component is; `digest` is that of its bytes. Looks into the
    /// cache first: what was compiled before need not be looked at again.
    ///
    /// # Errors
    /// Where the bytes are not a component that Wharf can run, or looking at
    /// them takes more than the limits allow.
    pub async fn open(
        &self,
        wasm: Vec<u8>,
        digest: Digest,
        limits: &Limits,
    ) -> Result<Opened, PrepareError> {
        let size = wasm.len() as u64;
        self.open_with(digest, size, limits, || Ok(wasm)).await
    }

    /// What is in the cache of a component, so that its bytes are not needed; nothing
    /// where it has to be compiled.
    ///
    /// # Errors
    /// Where the engine cannot be made.
    pub async fn open_compiled(
        &self,
        digest: Digest,
        size: u64,
        limits: &Limits,
    ) -> Result<Option<Opened>, PrepareError> {
        let parts = self.parts(limits).await?;
        let key = EntryKey {
            component: digest,
            compatibility: engine::compatibility(&parts.engine),
        };
        let found = self.cache.as_ref().and_then(|cache| cache.get(&key));
        Ok(found.map(|(description, code)| Opened {
            digest,
            size,
            description,
            key,
            code: Code::Compiled(code),
        }))
    }

    /// The same, for bytes that are read only where they are needed: where
    /// compiled code is in the cache, they are not. `read` gives the bytes that
    /// have the digest, or fails.
    ///
    /// # Errors
    /// As [`Self::open`], and where `read` fails.
    pub async fn open_with(
        &self,
        digest: Digest,
        size: u64,
        limits: &Limits,
        read: impl FnOnce() -> Result<Vec<u8>, Fault>,
    ) -> Result<Opened, PrepareError> {
        let parts = self.parts(limits).await?;
        let key = EntryKey {
            component: digest,
            compatibility: engine::compatibility(&parts.engine),
        };
        let (description, code) = match self.cache.as_ref().and_then(|cache| cache.get(&key)) {
            Some((description, code)) => (description, Code::Compiled(code)),
            None => {
                let wasm = read()?;
                let described = self.compiler.run(&wasm, Job::Describe, limits).await?;
                (described.description, Code::Wasm(wasm))
            }
        };
        Ok(Opened {
            digest,
            size,
            description,
            key,
            code,
        })
    }

    /// Makes a component ready to run. `compiling` is called before it is
    /// compiled, with whether the code is kept; and not where it was in the cache.
    ///
    /// # Errors
    /// Where the component needs what nobody provides, or compiling it takes
    /// more than the limits allow.
    pub async fn prepare(
        &self,
        opened: Opened,
        limits: &Limits,
        compiling: impl FnOnce(bool),
    ) -> Result<Component, PrepareError> {
        let Opened {
            digest,
            size,
            description,
            key,
            code,
        } = opened;
        if let Some(fault) = missing_imports(&description) {
            return Err(fault.into());
        }
        let parts = self.parts(limits).await?;
        let (code, from_cache) = match code {
            Code::Compiled(code) => (code, true),
            Code::Wasm(wasm) => {
                compiling(self.cache.is_some());
                let job = Job::Compile(self.settings(limits));
                let compiled = self.compiler.run(&wasm, job, limits).await?;
                self.keep(&key, &compiled);
                (CompiledCode::Memory(compiled.code), false)
            }
        };
        let code = load(parts, &code, description.kind).await?;
        Ok(Component {
            digest,
            size,
            description,
            from_cache,
            code,
        })
    }

    async fn parts(&self, limits: &Limits) -> Result<&EngineParts, Fault> {
        let settings = self.settings(limits);
        self.engines[usize::from(settings.fuel)]
            .get_or_try_init(|| async { parts(settings) })
            .await
    }

    fn settings(&self, limits: &Limits) -> Settings {
        Settings {
            fuel: limits.fuel.is_some(),
            stopping: self.stopping,
        }
    }

    /// A cache that cannot be written makes the next run slower, not this one
    /// wrong.
    fn keep(&self, key: &EntryKey, compiled: &Compiled) {
        let kept = self.cache.as_ref().map(|cache| cache.put(key, compiled));
        if let Some(Err(fault)) = kept {
            tracing::warn!(%fault, "compiled code is not kept");
        }
    }

    /// Calls a component.
    ///
    /// # Errors
    /// Where the host failed. However the guest ends is an outcome.
    pub async fn call(&self, component: &Component, call: Call) -> Result<Called, Fault> {
        invoke::call(component, call, self.stopping).await
    }
}

fn parts(settings: Settings) -> Result<EngineParts, Fault> {
    let engine = engine::engine(settings)?;
    let yields = settings.stopping == Stopping::Yielding;
    let _ticker = yields.then(|| engine::Ticker::start(&engine)).transpose()?;
    Ok(EngineParts {
        engine,
        components: OnceCell::new(),
        modules: OnceCell::new(),
        _ticker,
    })
}

impl EngineParts {
    async fn components(&self) -> Result<&wasm::Linker<State>, Fault> {
        let linker = || async {
            let mut linker = wasm::Linker::new(&self.engine);
            host::link(&mut linker).map(|()| linker).map_err(unlinked)
        };
        self.components.get_or_try_init(linker).await
    }

    async fn modules(&self) -> Result<&wasmtime::Linker<State>, Fault> {
        let linker = || async {
            let mut linker = wasmtime::Linker::new(&self.engine);
            let linked = host::preview1::link(&mut linker);
            linked.map(|()| linker).map_err(unlinked)
        };
        self.modules.get_or_try_init(linker).await
    }
}

async fn load(parts: &EngineParts, code: &CompiledCode, kind: Kind) -> Result<Loaded, Fault> {
    let engine = &parts.engine;
    match kind {
        Kind::Component => {
            // SAFETY: the code was made by wasmtime from this very component: by
            // the compiling process just now, or earlier, and then it carries a
            // keyed hash that only this user's Wharf can have written (see
            // `component::cache`), and lies where nobody can change it.
            let component = unsafe {
                match code {
                    CompiledCode::Memory(bytes) => wasm::Component::deserialize(engine, bytes),
                    CompiledCode::Sealed(sealed) => {
                        wasm::Component::deserialize_file(engine, sealed.path())
                    }
                }
            };
            let component = component.map_err(not_loaded)?;
            let linker = parts.components().await?;
            let pre = linker.instantiate_pre(&component).map_err(unfit)?;
            Ok(Loaded::Component(pre))
        }
        Kind::CoreModule => {
            // SAFETY: as above; the kind is part of what is hashed.
            let module = unsafe {
                match code {
                    CompiledCode::Memory(bytes) => wasmtime::Module::deserialize(engine, bytes),
                    CompiledCode::Sealed(sealed) => {
                        wasmtime::Module::deserialize_file(engine, sealed.path())
                    }
                }
            };
            let module = module.map_err(not_loaded)?;
            let linker = parts.modules().await?;
            let pre = linker.instantiate_pre(&module).map_err(unfit)?;
            Ok(Loaded::Module(pre))
        }
    }
}

fn unlinked(error: wasmtime::Error) -> Fault {
    Fault::internal(format!("cannot link: {error:#}"))
}

fn not_loaded(error: wasmtime::Error) -> Fault {
    Fault::internal(format!("compiled code cannot be loaded: {error:#}"))
}

fn unfit(error: wasmtime::Error) -> Fault {
    let message = format!("the component does not fit what Wharf provides: {error:#}");
    Fault::new(ErrorKind::MissingImport, message)
        .hint("build it against the interfaces that `wharf inspect` lists as provided")
}

impl Loaded {
    fn engine(&self) -> &Engine {
        match self {
            Self::Component(pre) => pre.engine(),
            Self::Module(pre) => pre.module().engine(),
        }
    }
}

impl Opened {
    /// The digest of the component.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The size of the component in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What the component is and needs.
    #[must_use]
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// Whether compiled code was in the cache.
    #[must_use]
    pub const fn is_compiled(&self) -> bool {
        matches!(self.code, Code::Compiled(_))
    }
}

impl Component {
    /// The digest of the bytes that it was made from.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The size in bytes of what it was made from.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What it is and needs.
    #[must_use]
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// Whether its code was in the cache.
    #[must_use]
    pub const fn from_cache(&self) -> bool {
        self.from_cache
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("compiler", &self.compiler)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
