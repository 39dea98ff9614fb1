//! Calls a step, under its limits, and says how it ended.

use std::fmt;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cap_std::fs::Dir;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use wasmtime::component::{Instance, Resource, ResourceAny, ResourceTable, Val};
use wasmtime::{Store, Trap, WasmBacktrace};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};
use wharf_model::event::{Event, Stream};
use wharf_model::limits::{
    Bytes, CALL_BYTES, CHUNK_BYTES, LimitKind, Limits, Millis, RESULT_BYTES,
};
use wharf_model::outcome::{Cancellation, Retry};
use wharf_model::record::Usage;
use wharf_model::signature::{Arity, FailureType, Function};
use wharf_model::value_type::ValueType;
use wharf_model::{Fault, Grants, Outcome};

use crate::artifact::{Sink, SinkTree, Source, SourceTree};
use crate::convert::{to_json, to_val};
use crate::engine::Stopping;
use crate::gate::Gate;
use crate::host::clocks::{Clock, VirtualClock};
use crate::host::files::{Files, ProgramInput};
use crate::host::preview1::{Process, START};
use crate::host::random::Random;
use crate::host::telemetry::{Printer, Progress, Telemetry, clean};
use crate::host::{Cancelled, Context, Input, InputTree, Output, OutputTree, State};
use crate::limiter::{Budget, Exceeded, MemoryLimiter};
use crate::{Component, Loaded};

/// How long a step that looks at `is-cancelled` may take to return.
const GRACE: Duration = Duration::from_secs(5);

/// Most frames of a backtrace that are kept, and longest name of one, in bytes.
const MAX_FRAMES: usize = 32;
const MAX_NAME: usize = 256;

/// The seed of a run, which may still be being computed. Clones share it.
#[derive(Clone)]
pub struct Seed(Shared<BoxFuture<'static, Result<u64, Fault>>>);

impl Seed {
    /// A seed that a future gives.
    pub fn from_future(seed: impl Future<Output = Result<u64, Fault>> + Send + 'static) -> Self {
        Self(seed.boxed().shared())
    }

    /// A seed that is known.
    #[must_use]
    pub fn known(seed: u64) -> Self {
        Self::from_future(std::future::ready(Ok(seed)))
    }

    /// Waits for the seed.
    ///
    /// # Errors
    /// Where the inputs that it depends on cannot be hashed.
    pub async fn get(&self) -> Result<u64, Fault> {
        self.0.clone().await
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seed").field(&self.0.peek()).finish()
    }
}

/// A parameter of a typed call.
#[derive(Debug)]
pub enum Parameter {
    /// A value that fits its type.
    Value(ValueType, serde_json::Value),
    /// Files to read.
    Inputs(Arity, Vec<Arc<dyn Source>>),
    /// Trees to read.
    InputTrees(Arity, Vec<Arc<dyn SourceTree>>),
    /// A file to write.
    Output(Arc<dyn Sink>),
    /// A tree to write.
    OutputTree(Arc<dyn SinkTree>),
}

/// What to call.
#[derive(Debug)]
pub enum Entry {
    /// A function, with its parameters by name, in order.
    Function {
        /// Its signature.
        function: Box<Function>,
        /// Its parameters.
        parameters: Vec<(String, Parameter)>,
    },
    /// The program.
    Program {
        /// Its arguments, without its name.
        arguments: Vec<String>,
        /// What is under `/in`.
        inputs: Vec<(String, ProgramInput)>,
        /// What becomes `/out`.
        scratch: Option<Dir>,
    },
}

/// A call with all that surrounds it.
#[derive(Debug)]
pub struct Call {
    /// What to call.
    pub entry: Entry,
    /// The name that the step goes by.
    pub step_name: String,
    /// What bounds the call.
    pub limits: Limits,
    /// What the call is allowed.
    pub grants: Grants,
    /// Where the virtual clock starts.
    pub logical_time: Timestamp,
    /// The partition that the run is for.
    pub partition: Option<String>,
    /// The seed of all randomness.
    pub seed: Seed,
    /// Where events go.
    pub events: UnboundedSender<Event>,
    /// How far the step says that it has come.
    pub progress: Arc<Mutex<Progress>>,
    /// Becomes `Some` when somebody stops the run.
    pub cancel: watch::Receiver<Option<Cancellation>>,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub struct Called {
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
}

/// Calls a step.
///
/// # Errors
/// Where the host failed. However the guest ends is an [`Outcome`].
pub(crate) async fn call(
    component: &Component,
    call: Call,
    stopping: Stopping,
) -> Result<Called, Fault> {
    let limits = call.limits.clone();
    let cancelled: Arc<Cancelled> = Arc::default();
    let telemetry = Telemetry {
        events: call.events,
        progress: call.progress,
        budget: Budget::new(LimitKind::LogBytes, limits.log.0),
    };
    let printers = [Stream::Stdout, Stream::Stderr].map(|stream| Printer::new(stream, &telemetry));
    let output = Budget::new(LimitKind::OutputBytes, limits.output.0);
    let gate = Gate::default();
    let mut wasi = wasi_context(&call.grants, &printers);
    let mut program_arguments = Vec::new();
    let (target, files) = match call.entry {
        Entry::Function {
            function,
            parameters,
        } => (Target::Function(function, parameters), Files::default()),
        Entry::Program {
            arguments,
            inputs,
            scratch,
        } => {
            program_arguments.push(call.step_name.clone());
            program_arguments.extend(arguments);
            wasi.args(&program_arguments);
            let files = Files::of_program(inputs, scratch, &output, &gate, call.logical_time);
            (Target::Program, files)
        }
    };
    let process = Process::new(
        &program_arguments,
        &call.grants.env,
        &printers,
        &files,
        limits.handles,
    );
    let memory = MemoryLimiter::new(limits.memory.0);
    let peak = memory.peak();
    let mut table = ResourceTable::new();
    table.set_max_capacity(limits.handles as usize);
    let state = State {
        table,
        wasi: wasi.build(),
        memory,
        output: output.clone(),
        gate: gate.clone(),
        clock: match call.grants.clock {
            true => Clock::Real,
            false => Clock::Virtual(VirtualClock::starting_at(call.logical_time)),
        },
        random: Random::new(call.grants.entropy, &component.digest),
        context: Context {
            step_name: call.step_name,
            logical_time: call.logical_time,
            partition: call.partition,
            seed: call.seed,
            cancelled: cancelled.clone(),
        },
        telemetry: telemetry.clone(),
        files,
        process,
    };
    let mut store = store(component, state, &limits, stopping)?;
    let code = component.code.clone();
    let guest = async move {
        let returned = target.run(&code, &mut store).await;
        (returned, store.get_fuel().ok())
    };
    let stop = Stop {
        time: limits.time,
        cancel: call.cancel,
        cancelled: &cancelled,
    };
    let ended = match stopping {
        Stopping::Yielding => stop.or(async { Ok(guest.await) }).await,
        Stopping::LeavingBehind => stop.or(on_its_own(guest)?).await,
    };
    printers.iter().for_each(Printer::finish);
    let (outcome, fuel_left) = match ended {
        Ended::Stopped(outcome) => {
            gate.close();
            (outcome, None)
        }
        Ended::Returned(returned) => match returned? {
            (Ok(outcome), fuel_left) => (outcome, fuel_left),
            (Err(error), fuel_left) => (explain(&error, &limits)?, fuel_left),
        },
    };
    let fuel = limits.fuel.zip(fuel_left);
    let usage = Usage {
        memory_bytes: peak.load(Ordering::Relaxed),
        fuel: fuel.map(|(fuel, left)| fuel.saturating_sub(left)),
        output_bytes: output.spent(),
        log_bytes: telemetry.budget.spent(),
    };
    Ok(Called { outcome, usage })
}

/// Lets a guest run on a thread of its own, where nobody waits for it if the
/// future that this returns is dropped.
fn on_its_own<T: Send + 'static>(
    guest: impl Future<Output = T> + Send + 'static,
) -> Result<impl Future<Output = Result<T, Fault>>, Fault> {
    let (done, result) = tokio::sync::oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Fault::internal(format!("cannot start the runtime: {error}")))?;
    std::thread::Builder::new()
        .name("wharf-guest".to_owned())
        .spawn(move || drop(done.send(runtime.block_on(guest))))
        .map_err(|error| Fault::internal(format!("cannot start a thread: {error}")))?;
    let result = async {
        let result = result.await;
        result.map_err(|_| Fault::internal("the thread of the guest panicked"))
    };
    Ok(result)
}

fn wasi_context(grants: &Grants, printers: &[Printer; 2]) -> WasiCtxBuilder {
    let mut wasi = WasiCtxBuilder::new();
    // The builder grants nothing but leave to ask for sockets: not that either.
    wasi.allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    wasi.stdout(printers[0].clone()).stderr(printers[1].clone());
    for (name, value) in &grants.env {
        wasi.env(name, value);
    }
    wasi
}

fn store(
    component: &Component,
    state: State,
    limits: &Limits,
    stopping: Stopping,
) -> Result<Store<State>, Fault> {
    let mut store = Store::new(component.code.engine(), state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(CALL_BYTES);
    if stopping == Stopping::Yielding {
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
    }
    if let Some(fuel) = limits.fuel {
        store
            .set_fuel(fuel)
            .map_err(|error| Fault::internal(format!("{error:#}")))?;
    }
    Ok(store)
}

enum Ended<T> {
    Returned(T),
    Stopped(Outcome),
}

/// What stops a guest.
struct Stop<'a> {
    time: Millis,
    cancel: watch::Receiver<Option<Cancellation>>,
    cancelled: &'a Cancelled,
}

impl Stop<'_> {
    /// Runs the guest until it returns, its time is up, or somebody stops it. A
    /// guest that is stopped is dropped or left behind where it stands, and its
    /// store with it.
    async fn or<T>(mut self, guest: impl Future<Output = T>) -> Ended<T> {
        let cancelled = self.cancelled;
        let cancellation = async {
            let by = match self.cancel.wait_for(Option::is_some).await {
                Ok(by) => *by,
                Err(_) => None,
            };
            // Whoever could cancel is gone.
            let Some(by) = by else {
                return std::future::pending().await;
            };
            cancelled.requested.store(true, Ordering::Relaxed);
            if cancelled.asked.load(Ordering::Relaxed) {
                tokio::time::sleep(GRACE).await;
            }
            Outcome::Cancelled { by }
        };
        let time_up = async {
            tokio::time::sleep(self.time.duration()).await;
            Outcome::LimitExceeded {
                limit: LimitKind::Time,
                allowed: self.time.to_string(),
            }
        };
        let result = tokio::select! {
            biased;
            outcome = cancellation => return Ended::Stopped(outcome),
            outcome = time_up => return Ended::Stopped(outcome),
            result = guest => result,
        };
        // A step that returns because it was cancelled has not done its work.
        match *self.cancel.borrow() {
            Some(by) => Ended::Stopped(Outcome::Cancelled { by }),
            None => Ended::Returned(result),
        }
    }
}

enum Target {
    Function(Box<Function>, Vec<(String, Parameter)>),
    Program,
}

impl Target {
    async fn run(self, code: &Loaded, store: &mut Store<State>) -> wasmtime::Result<Outcome> {
        let pre = match code {
            Loaded::Component(pre) => pre,
            Loaded::Module(pre) => return run_module(pre, store).await,
        };
        let instance = pre.instantiate_async(&mut *store).await?;
        match self {
            Self::Function(function, parameters) => {
                call_function(&instance, store, &function, parameters).await
            }
            Self::Program => call_program(&instance, store).await,
        }
    }
}

async fn call_function(
    instance: &Instance,
    store: &mut Store<State>,
    function: &Function,
    parameters: Vec<(String, Parameter)>,
) -> wasmtime::Result<Outcome> {
    let parameters = parameters
        .into_iter()
        .map(|(name, parameter)| lower(store, &name, parameter));
    let parameters: Vec<Val> = parameters.collect::<wasmtime::Result<_>>()?;
    let export = instance
        .get_func(&mut *store, &function.name)
        .ok_or_else(|| Fault::internal(format!("the function `{}` is gone", function.name)))?;
    let returns = &function.returns;
    let has_result = returns.results.is_some() || returns.failure != FailureType::None;
    let mut results = vec![Val::Bool(false); usize::from(has_result)];
    export
        .call_async(&mut *store, &parameters, &mut results)
        .await?;
    outcome(&returns.failure, results.pop())
}

fn lower(store: &mut Store<State>, name: &str, parameter: Parameter) -> wasmtime::Result<Val> {
    let name = || name.to_owned();
    match parameter {
        Parameter::Value(ty, json) => Ok(to_val(&ty, &json)?),
        Parameter::Inputs(arity, sources) => {
            let inputs = sources.into_iter().map(|source| Input {
                name: name(),
                source,
            });
            lower_many(store, arity, inputs.collect())
        }
        Parameter::InputTrees(arity, trees) => {
            let trees = trees
                .into_iter()
                .map(|tree| InputTree { name: name(), tree });
            lower_many(store, arity, trees.collect())
        }
        Parameter::Output(sink) => handle(store, Output { name: name(), sink }),
        Parameter::OutputTree(tree) => handle(
            store,
            OutputTree {
                name: name(),
                tree,
                files: 0,
            },
        ),
    }
}

fn lower_many<T: Send + 'static>(
    store: &mut Store<State>,
    arity: Arity,
    items: Vec<T>,
) -> wasmtime::Result<Val> {
    let handles = items.into_iter().map(|item| handle(store, item));
    let mut handles: Vec<Val> = handles.collect::<wasmtime::Result<_>>()?;
    match arity {
        Arity::Many => Ok(Val::List(handles)),
        Arity::Optional => Ok(Val::Option(handles.pop().map(Box::new))),
        Arity::One => handles
            .pop()
            .ok_or_else(|| Fault::internal("an input is not bound").into()),
    }
}

fn handle<T: Send + 'static>(store: &mut Store<State>, item: T) -> wasmtime::Result<Val> {
    let resource: Resource<T> = store.data_mut().table.push(item)?;
    Ok(Val::Resource(ResourceAny::try_from_resource(
        resource, store,
    )?))
}

fn outcome(failure: &FailureType, result: Option<Val>) -> wasmtime::Result<Outcome> {
    let failed = |retry, message| Ok(Outcome::Failed { retry, message });
    match (failure, result) {
        (_, None) => succeeded(None),
        (FailureType::None, Some(results)) => succeeded(Some(results)),
        (_, Some(Val::Result(Ok(results)))) => succeeded(results.map(|results| *results)),
        (FailureType::Failure, Some(Val::Result(Err(Some(failure))))) => match *failure {
            Val::Variant(case, Some(message)) => {
                let retry = if case == "transient" {
                    Retry::Transient
                } else {
                    Retry::Permanent
                };
                failed(retry, message_of(Some(*message))?)
            }
            _ => Err(Fault::internal("`failure` is not what it was").into()),
        },
        (_, Some(Val::Result(Err(payload)))) => failed(
            Retry::Permanent,
            message_of(payload.map(|payload| *payload))?,
        ),
        _ => Err(Fault::internal("a function returned what its type does not allow").into()),
    }
}

fn succeeded(results: Option<Val>) -> wasmtime::Result<Outcome> {
    let results = results.map_or(Ok(serde_json::Value::Null), |results| to_json(&results))?;
    if results.to_string().len() > RESULT_BYTES {
        return Err(Exceeded::new(LimitKind::ResultBytes, Bytes(RESULT_BYTES as u64)).into());
    }
    Ok(Outcome::Succeeded { results })
}

/// What a step says of its failure, cut to a length that people read.
fn message_of(payload: Option<Val>) -> wasmtime::Result<String> {
    const MAX_MESSAGE: usize = 8 << 10;
    let text = match payload {
        Some(Val::String(text)) => text,
        Some(other) => to_json(&other)?.to_string(),
        None => "the step gave no reason".to_owned(),
    };
    Ok(clean(&text, MAX_MESSAGE))
}

async fn call_program(instance: &Instance, store: &mut Store<State>) -> wasmtime::Result<Outcome> {
    let run = find_run(instance, store)
        .ok_or_else(|| Fault::internal("the component does not export wasi:cli/run"))?;
    let (result,) = run.call_async(&mut *store, ()).await?;
    match result {
        Ok(()) => succeeded(None),
        Err(()) => Ok(exited(1)),
    }
}

/// Runs a core module. Most end with `proc_exit`, an error that tells the code.
async fn run_module(
    pre: &wasmtime::InstancePre<State>,
    store: &mut Store<State>,
) -> wasmtime::Result<Outcome> {
    let instance = pre.instantiate_async(&mut *store).await?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, START)?;
    start.call_async(&mut *store, ()).await?;
    succeeded(None)
}

type Run = wasmtime::component::TypedFunc<(), (Result<(), ()>,)>;

/// The function `run` of `wasi:cli/run`, in whatever version of WASI 0.2.
fn find_run(instance: &Instance, store: &mut Store<State>) -> Option<Run> {
    let interface = instance.get_export_index(&mut *store, None, "wasi:cli/run@0.2.0")?;
    let run = instance.get_export_index(&mut *store, Some(&interface), "run")?;
    instance.get_typed_func(store, run).ok()
}

fn exited(code: i32) -> Outcome {
    match code {
        0 => Outcome::Succeeded {
            results: serde_json::Value::Null,
        },
        // The code that Wharf itself uses for it (sysexits' EX_TEMPFAIL).
        75 => Outcome::Failed {
            retry: Retry::Transient,
            message: "the program ended with exit code 75 (try again)".to_owned(),
        },
        code => Outcome::Failed {
            retry: Retry::Permanent,
            message: format!("the program ended with exit code {code}"),
        },
    }
}

/// What an error from wasmtime means: how the guest ended, or a fault of the
/// host.
fn explain(error: &wasmtime::Error, limits: &Limits) -> Result<Outcome, Fault> {
    let exceeded = |limit, allowed: &dyn ToString| {
        Ok(Outcome::LimitExceeded {
            limit,
            allowed: allowed.to_string(),
        })
    };
    if let Some(Exceeded { limit, allowed }) = error.downcast_ref() {
        return exceeded(*limit, allowed);
    }
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return Err(fault.clone());
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Ok(exited(*code));
    }
    if let Some(wasmtime::component::ResourceTableError::Full) = error.downcast_ref() {
        return exceeded(LimitKind::Handles, &limits.handles);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => exceeded(LimitKind::Fuel, &limits.fuel.unwrap_or_default()),
        Some(Trap::StackOverflow) => exceeded(LimitKind::Stack, &"512 KiB"),
        _ if is_store_handles(error) => exceeded(LimitKind::Handles, &STORE_HANDLES),
        _ if is_call_bytes(error) => exceeded(LimitKind::CallBytes, &Bytes(CHUNK_BYTES as u64)),
        _ if is_instances(error) => exceeded(
            LimitKind::Instances,
            &"1000 instances, 100 memories, 1000 tables",
        ),
        trap => Ok(Outcome::Trapped {
            reason: trap.map_or_else(|| error.root_cause().to_string(), reason),
            backtrace: backtrace(error),
        }),
    }
}

/// What a trap was, without the words that wasmtime puts before each.
fn reason(trap: &Trap) -> String {
    let text = trap.to_string();
    text.strip_prefix("wasm trap: ")
        .map_or(text.clone(), str::to_owned)
}

/// Whether a call carried too much. wasmtime has a type for it, but keeps it to
/// itself, so that its text is all there is; a test holds it in place.
fn is_call_bytes(error: &wasmtime::Error) -> bool {
    error
        .root_cause()
        .to_string()
        .contains("fuel allocated for hostcalls has been exhausted")
}

/// Handles that wasmtime allows a store, whatever the run allows.
const STORE_HANDLES: u32 = 100_000;

/// Whether there were more than [`STORE_HANDLES`]. As above.
fn is_store_handles(error: &wasmtime::Error) -> bool {
    let text = error.root_cause().to_string();
    text.ends_with("store handle limit exceeded")
}

/// Whether there were too many instances, memories or tables. As above.
fn is_instances(error: &wasmtime::Error) -> bool {
    error
        .root_cause()
        .to_string()
        .starts_with("resource limit exceeded: ")
}

fn backtrace(error: &wasmtime::Error) -> Vec<String> {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else {
        return Vec::new();
    };
    let frames = trace.frames().iter().take(MAX_FRAMES);
    let names = frames.map(|frame| match frame.func_name() {
        // Without the hash that tells builds of one function apart.
        Some(name) => clean(&format!("{:#}", rustc_demangle::demangle(name)), MAX_NAME),
        None => format!("function {}", frame.func_index()),
    });
    names.collect()
}
