//! Runs a stored step once, and commits what it made.

use std::sync::{Arc, Mutex};

use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use wharf_model::event::Event;
use wharf_model::outcome::Cancellation;
use wharf_model::record::{self, Host, RunId, Timings, Usage};
use wharf_model::signature::Function;
use wharf_model::{Digest, Fault, Outcome, Record};
use wharf_sandbox::{Call, Called, Entry, Parameter, ProgramInput, Progress, Sandbox, Seed};
use wharf_store::{Committed, Store};

use super::output::{Complete, Output, Scratch};
use super::source::{StoredFile, StoredTree};
use super::{StoredArgument, StoredInput, StoredStep};
use crate::run::{Clock, keep_events};
use crate::sink::{Flow, IoCounters};

/// The threads that guests run on.
#[derive(Debug)]
pub struct Guests(Option<Runtime>);

impl Guests {
    /// Starts so many threads.
    ///
    /// # Errors
    /// Where they cannot be started.
    pub fn start(threads: usize) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("wharf-guest")
            .enable_time()
            .build();
        let runtime = runtime.map_err(|error| {
            Fault::internal(format!("cannot start the threads of guests: {error}"))
        })?;
        Ok(Self(Some(runtime)))
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        // A guest that is in the middle of something is not waited for.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs stored steps.
pub struct StepRunner {
    /// Where they run; its guests must yield.
    pub sandbox: Arc<Sandbox>,
    /// The threads that they run on.
    pub guests: Guests,
    /// Where their artifacts are.
    pub store: Store,
    /// This host, for the records.
    pub host: Host,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for StepRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StepRunner")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// One attempt at a step.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its id.
    pub id: RunId,
    /// The seed.
    pub seed: u64,
    /// What identifies the result.
    pub key: Digest,
    /// What the commit goes by: the key, or where results are not shared, something
    /// that no other run has.
    pub commit: Digest,
}

/// Whom an attempt tells how it goes.
#[derive(Clone, Debug)]
pub struct Told {
    /// Where events go.
    pub events: UnboundedSender<Event>,
    /// How far the step says that it has come.
    pub progress: Arc<Mutex<Progress>>,
    /// How many bytes the step has read and written.
    pub counters: Arc<IoCounters>,
    /// Becomes `Some` when somebody stops the run.
    pub cancel: watch::Receiver<Option<Cancellation>>,
}

/// How a guest has ended, with what it left.
struct Left {
    called: Called,
    outputs: Vec<Complete>,
}

impl StepRunner {
    /// Runs a step once. Where it succeeds, what it made is committed, and the record
    /// that counts is returned: its own, or that of another run which was faster.
    /// Otherwise the record of the attempt is kept. The permit is dropped as soon as
    /// the guest has ended.
    ///
    /// # Errors
    /// Where the host failed, or another run has committed something else.
    pub async fn attempt(
        &self,
        step: &StoredStep,
        attempt: Attempt,
        told: Told,
        permit: impl Send,
    ) -> Result<Record, Fault> {
        let started = (self.clock.now(), self.clock.elapsed());
        let (events, kept) = keep_events(told.events.clone());
        let mut record = self.draft(step, &attempt, started.0);
        let lap = |since: std::time::Duration| {
            let took = self.clock.elapsed().saturating_sub(since).as_micros();
            u64::try_from(took).unwrap_or(u64::MAX)
        };
        let (entry, outputs) = self.stage(step, &told.counters).await?;
        record.timings.stage_us = lap(started.1);
        let invoked = self.clock.elapsed();
        let call = self.call(step, &attempt, entry, events, &told);
        let Left { called, outputs } = self.invoke(step, call, outputs).await?;
        drop(permit);
        record.usage = called.usage;
        record.outcome = called.outcome;
        record.timings.invoke_us = lap(invoked);
        let events = kept.end().await?;
        if !record.outcome.is_success() {
            self.store.put_run(&record, &events).await?;
            return Ok(record);
        }
        let published = self.clock.elapsed();
        for output in outputs {
            record.outputs.push(output.keep(&self.store).await?);
        }
        record.timings.publish_us = lap(published);
        match self.store.commit(&attempt.commit, &record, &events).await? {
            Committed::New => Ok(record),
            Committed::Before(winner) => Ok(*winner),
        }
    }

    fn draft(&self, step: &StoredStep, attempt: &Attempt, started: jiff::Timestamp) -> Record {
        Record {
            format: record::FORMAT.to_owned(),
            id: attempt.id.clone(),
            host: self.host.clone(),
            step: record::Step {
                reference: step.reference.clone(),
                name: step.name.clone(),
                digest: Some(step.code.digest),
                size: step.code.size,
                signature: step.function.as_ref().map(ToString::to_string),
            },
            pipeline: step.pipeline.clone(),
            parameters: step.values(),
            arguments: step.program_arguments.clone(),
            inputs: step.inputs(),
            outputs: Vec::new(),
            grants: step.grants.shown(),
            deterministic: step.grants.deterministic(),
            limits: step.limits.clone(),
            logical_time: step.logical_time,
            partition: step.partition.clone(),
            seed: Some(attempt.seed),
            key: Some(attempt.key),
            outcome: Outcome::Succeeded {
                results: serde_json::Value::Null,
            },
            usage: Usage::default(),
            timings: Timings {
                started,
                compiled_before: step.code.component().is_ok_and(|code| code.from_cache()),
                prepare_us: 0,
                stage_us: 0,
                invoke_us: 0,
                publish_us: 0,
            },
        }
    }

    fn call(
        &self,
        step: &StoredStep,
        attempt: &Attempt,
        entry: Entry,
        events: UnboundedSender<Event>,
        told: &Told,
    ) -> Call {
        let program = step.function.is_none();
        let _ = events.send(Event::Started { program });
        Call {
            entry,
            step_name: step.name.clone(),
            limits: step.limits.clone(),
            grants: step.grants.clone(),
            logical_time: step.logical_time,
            partition: step.partition.clone(),
            seed: Seed::known(attempt.seed),
            events,
            progress: told.progress.clone(),
            cancel: told.cancel.clone(),
        }
    }

    /// Calls the guest, on one of its threads, and completes what it wrote there.
    async fn invoke(&self, step: &StoredStep, call: Call, outputs: Outputs) -> Result<Left, Fault> {
        let Some(guests) = &self.guests.0 else {
            return Err(Fault::internal("the threads of guests are gone"));
        };
        let (sandbox, component) = (self.sandbox.clone(), step.code.component()?.clone());
        let guest = guests.spawn(async move {
            let mut called = sandbox.call(&component, call).await?;
            let outputs = match called.outcome.is_success() {
                false => Vec::new(),
                true => match outputs.complete()? {
                    Ok(outputs) => outputs,
                    Err(failed) => {
                        called.outcome = failed;
                        Vec::new()
                    }
                },
            };
            Ok::<_, Fault>(Left { called, outputs })
        });
        guest.await.map_err(Fault::internal)?
    }

    /// Opens the inputs, and makes places for the outputs.
    async fn stage(
        &self,
        step: &StoredStep,
        counters: &Arc<IoCounters>,
    ) -> Result<(Entry, Outputs), Fault> {
        match &step.function {
            Some(function) => {
                let flow = Arc::new(Flow::new(counters));
                let (mut parameters, mut outputs) = (Vec::new(), Vec::new());
                for (name, argument) in &step.arguments {
                    let parameter = match argument {
                        StoredArgument::Output { tree } => {
                            let (output, parameter) =
                                Output::place(&self.store, name, *tree, &flow)?;
                            outputs.push(output);
                            parameter
                        }
                        given => self.parameter(given, counters).await?,
                    };
                    parameters.push((name.clone(), parameter));
                }
                let function = Box::new(Function::clone(function));
                let entry = Entry::Function {
                    function,
                    parameters,
                };
                Ok((entry, Outputs::Typed(outputs)))
            }
            None => self.stage_program(step, counters).await,
        }
    }

    async fn parameter(
        &self,
        argument: &StoredArgument,
        counters: &Arc<IoCounters>,
    ) -> Result<Parameter, Fault> {
        match argument {
            StoredArgument::Value(ty, json) => Ok(Parameter::Value(ty.clone(), json.clone())),
            StoredArgument::Inputs(arity, given) => {
                let mut files: Vec<Arc<dyn wharf_sandbox::artifact::Source>> = Vec::new();
                for input in given {
                    files.push(Arc::new(
                        StoredFile::open(&self.store, input, counters).await?,
                    ));
                }
                Ok(Parameter::Inputs(*arity, files))
            }
            StoredArgument::InputTrees(arity, given) => {
                let mut trees: Vec<Arc<dyn wharf_sandbox::artifact::SourceTree>> = Vec::new();
                for input in given {
                    trees.push(Arc::new(
                        StoredTree::open(&self.store, input, counters).await?,
                    ));
                }
                Ok(Parameter::InputTrees(*arity, trees))
            }
            StoredArgument::Output { .. } => Err(Fault::internal("an output is no parameter")),
        }
    }

    async fn stage_program(
        &self,
        step: &StoredStep,
        counters: &Arc<IoCounters>,
    ) -> Result<(Entry, Outputs), Fault> {
        let (mut inputs, mut wanted) = (Vec::new(), Vec::new());
        for (name, argument) in &step.arguments {
            match argument {
                StoredArgument::Value(..) => {}
                StoredArgument::Inputs(_, given) | StoredArgument::InputTrees(_, given) => {
                    for input in given {
                        inputs.push((name.clone(), self.program_input(input, counters).await?));
                    }
                }
                StoredArgument::Output { tree } => wanted.push((name.clone(), *tree)),
            }
        }
        let scratch = match wanted.is_empty() {
            true => None,
            false => Some(Scratch::create(&self.store, wanted)?),
        };
        let folder = scratch.as_ref().map(Scratch::open).transpose()?;
        let entry = Entry::Program {
            arguments: step.program_arguments.clone(),
            inputs,
            scratch: folder,
        };
        Ok((entry, Outputs::Program(scratch)))
    }

    async fn program_input(
        &self,
        input: &StoredInput,
        counters: &Arc<IoCounters>,
    ) -> Result<ProgramInput, Fault> {
        match input.content.is_tree() {
            true => {
                let tree = StoredTree::open(&self.store, input, counters).await?;
                tree.fetch_all().await?;
                Ok(ProgramInput::Tree(Arc::new(tree)))
            }
            false => {
                let file = StoredFile::open(&self.store, input, counters).await?;
                file.fetch_all().await?;
                Ok(ProgramInput::File(Arc::new(file)))
            }
        }
    }
}

/// The outputs of a typed step, or of a program.
enum Outputs {
    Typed(Vec<Output>),
    Program(Option<Scratch>),
}

impl Outputs {
    fn complete(self) -> Result<Result<Vec<Complete>, Outcome>, Fault> {
        match self {
            Self::Typed(outputs) => {
                let complete = outputs.into_iter().map(Output::complete);
                complete.collect::<Result<_, _>>().map(Ok)
            }
            Self::Program(None) => Ok(Ok(Vec::new())),
            Self::Program(Some(scratch)) => scratch.complete(),
        }
    }
}
