//! The sandbox alone: no store, no record, no hash, artifacts in memory.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value as Json;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use wharf_model::limits::Limits;
use wharf_model::signature::{Function, ParameterType};
use wharf_model::{Digest, Fault, Grants, Outcome};
use wharf_sandbox::artifact::{Sink, Source};
use wharf_sandbox::{Call, Compiler, Component, Entry, Parameter, Sandbox, Seed, Stopping};

/// A sandbox that compiles in this process and keeps nothing.
pub(crate) struct InProcess {
    runtime: Runtime,
    sandbox: Sandbox,
    limits: Limits,
}

/// A step that is compiled.
pub(crate) struct Step {
    component: Component,
    function: Function,
}

impl InProcess {
    /// On one thread, like the command.
    pub(crate) fn new(stopping: Stopping) -> Result<Self> {
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            sandbox: Sandbox::new(Compiler::InProcess, None, stopping),
            limits: Limits::default(),
        })
    }

    /// Compiles a function of a guest, else the one that is meant without a name.
    pub(crate) fn prepare(&self, wasm: &Path, function: Option<&str>) -> Result<Step> {
        let wasm = fs::read(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
        let digest = Digest::of(&wasm);
        self.runtime.block_on(async {
            let opened = self.sandbox.open(wasm, digest, &self.limits).await?;
            let signature = &opened.description().signature;
            let function = signature.resolve(function)?.context("not a step")?.clone();
            let component = self.sandbox.prepare(opened, &self.limits, |_| {}).await?;
            Ok(Step {
                component,
                function,
            })
        })
    }

    /// Calls the step and returns its results.
    pub(crate) fn call(&self, step: &Step, parameters: Vec<(String, Parameter)>) -> Result<Json> {
        let (events, _ignored) = mpsc::unbounded_channel();
        let (_nobody, cancel) = watch::channel(None);
        let call = Call {
            entry: Entry::Function {
                function: Box::new(step.function.clone()),
                parameters,
            },
            step_name: step.function.name.clone(),
            limits: self.limits.clone(),
            grants: Grants::default(),
            logical_time: Timestamp::UNIX_EPOCH,
            partition: None,
            seed: Seed::known(0),
            events,
            progress: Arc::default(),
            cancel,
        };
        let called = self
            .runtime
            .block_on(self.sandbox.call(&step.component, call))?;
        match called.outcome {
            Outcome::Succeeded { results } => Ok(results),
            other => bail!("the step ended otherwise than well: {other:?}"),
        }
    }
}

impl Step {
    /// A value for a parameter, of the type that the step wants.
    pub(crate) fn value(&self, name: &str, value: Json) -> Result<(String, Parameter)> {
        let mut parameters = self.function.parameters.iter();
        let parameter = parameters.find(|parameter| parameter.name == name);
        match parameter.map(|parameter| &parameter.ty) {
            Some(ParameterType::Value { value: ty }) => {
                Ok((name.to_owned(), Parameter::Value(ty.clone(), value)))
            }
            _ => bail!("the step has no value {name}"),
        }
    }
}

/// Bytes in memory that a step reads.
pub(crate) struct MemorySource(pub(crate) Vec<u8>);

#[async_trait]
impl Source for MemorySource {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).map_or(self.0.len(), |at| at.min(self.0.len()));
        let length = buffer.len().min(self.0.len() - start);
        buffer[..length].copy_from_slice(&self.0[start..start + length]);
        Ok(length)
    }

    async fn digest(&self) -> Result<Digest, Fault> {
        Err(Fault::internal("nothing is hashed here"))
    }
}

/// Memory that a step writes to: as much as was made ready, and no more.
pub(crate) struct MemorySink(Mutex<Written>);

struct Written {
    room: Vec<u8>,
    length: usize,
}

impl MemorySink {
    /// Room for so many bytes, each of them touched.
    pub(crate) fn with_room(bytes: usize) -> Self {
        let room = vec![1; bytes];
        Self(Mutex::new(Written { room, length: 0 }))
    }

    /// Forgets what was written, and returns how much that was.
    pub(crate) fn reset(&self) -> usize {
        std::mem::take(&mut self.lock().length)
    }

    /// Whether what was written is this.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        let written = self.lock();
        written.room[..written.length] == *bytes
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for MemorySink {
    fn write(&self, bytes: Vec<u8>) -> Result<(), Fault> {
        let mut written = self.lock();
        let (start, end) = (written.length, written.length + bytes.len());
        let room = written.room.get_mut(start..end);
        room.ok_or_else(|| Fault::internal("no room is left"))?
            .copy_from_slice(&bytes);
        written.length = end;
        Ok(())
    }

    fn set_media_type(&self, _: String) {}

    fn set_metadata(&self, _: String, _: String) -> bool {
        true
    }
}

/// Drops what a step writes.
#[derive(Debug)]
pub(crate) struct NoSink;

impl Sink for NoSink {
    fn write(&self, _: Vec<u8>) -> Result<(), Fault> {
        Ok(())
    }

    fn set_media_type(&self, _: String) {}

    fn set_metadata(&self, _: String, _: String) -> bool {
        true
    }
}

// Not derived: it would print all bytes.
impl fmt::Debug for MemorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemorySource({} bytes)", self.0.len())
    }
}

impl fmt::Debug for MemorySink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemorySink({} bytes)", self.lock().length)
    }
}
