//! The runs that a command line names: `RUN`, or `RUN/STEP` and `RUN/STEP[ITEM]` for a
//! step of a pipeline.

use std::fmt;
use std::str::FromStr;

use wharf_model::pipeline_run::{Ended, Started, StepEnd, StepOf};
use wharf_model::{ErrorKind, Fault, Record, nearest};
use wharf_store::{FoundRun, Store};

/// What somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunReference {
    /// The id, its beginning or end, or `last`.
    run: String,
    step: Option<StepOf>,
}

/// What it leads to.
#[derive(Debug)]
pub(crate) enum Found {
    /// The run of one step, or of one of a pipeline.
    Step(Box<Record>),
    /// The run of a pipeline.
    Pipeline(Box<PipelineRun>),
}

/// The run of a pipeline; the end is absent where it was interrupted, or still runs.
#[derive(Debug)]
pub(crate) struct PipelineRun {
    pub(crate) started: Started,
    pub(crate) ended: Option<Ended>,
}

impl Found {
    /// Reads what is kept of a run.
    ///
    /// # Errors
    /// Where it cannot be read or understood.
    pub(crate) async fn read(store: &Store, run: &FoundRun) -> Result<Self, Fault> {
        match run {
            FoundRun::Step(id) => Ok(Self::Step(Box::new(store.run(id).await?))),
            FoundRun::Pipeline(id) => {
                let (started, ended) = store.pipeline_run(id).await?;
                Ok(Self::Pipeline(Box::new(PipelineRun { started, ended })))
            }
        }
    }
}

impl FromStr for RunReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((run, step)) = text.split_once('/') else {
            let run = text.to_owned();
            return Ok(Self { run, step: None });
        };
        let (step, item) = match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
            None => (step, None),
            Some((name, item)) => {
                let item = item.parse();
                let item = item.map_err(|_| format!("`{step}`: write an item as STEP[3]"))?;
                (name, Some(item))
            }
        };
        match run.is_empty() || step.is_empty() {
            true => Err("write RUN, or RUN/STEP for a step of a pipeline".to_owned()),
            false => Ok(Self {
                run: run.to_owned(),
                step: Some(StepOf {
                    step: step.to_owned(),
                    item,
                }),
            }),
        }
    }
}

impl fmt::Display for RunReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.run)?;
        match &self.step {
            None => Ok(()),
            Some(of) => write!(f, "/{of}"),
        }
    }
}

impl RunReference {
    /// The run that it names, whatever step of it.
    ///
    /// # Errors
    /// Where there is no such run, or a step of one is meant that has none; where the
    /// store cannot be read.
    pub(crate) async fn find_run(&self, store: &Store) -> Result<Found, Fault> {
        let found = store.find_run(&self.run).await?;
        if let (FoundRun::Step(id), Some(_)) = (&found, &self.step) {
            let message = format!("the run `{id}` is not that of a pipeline: it has no steps");
            return Err(Fault::new(ErrorKind::UnknownRun, message));
        }
        Found::read(store, &found).await
    }

    /// What it names: a run, or a step of one.
    ///
    /// # Errors
    /// As [`Self::find_run`]; where there is no such step, or it has several items.
    pub(crate) async fn find(&self, store: &Store) -> Result<Found, Fault> {
        let found = self.find_run(store).await?;
        let (Found::Pipeline(run), Some(_)) = (&found, &self.step) else {
            return Ok(found);
        };
        match &self.ends(run)?[..] {
            [end] => Ok(Found::Step(Box::new(record(store, end).await?))),
            several => {
                let message = format!("`{self}` has {} items", several.len());
                let fault = Fault::new(ErrorKind::UnknownRun, message);
                Err(fault.hint(format!("say which, as in `{self}[0]`")))
            }
        }
    }

    /// The ends of the step that is named, or of all steps, in the run of a pipeline.
    ///
    /// # Errors
    /// Where the run has not ended, or has no such step.
    pub(crate) fn ends<'a>(&self, run: &'a PipelineRun) -> Result<Vec<&'a StepEnd>, Fault> {
        let id = &run.started.id;
        let unknown = |message: String| Fault::new(ErrorKind::UnknownRun, message);
        let ended = run.ended.as_ref().ok_or_else(|| {
            unknown(format!("the run `{id}` was interrupted, or still goes on"))
                .hint("run the pipeline again: what is committed is not run twice")
        })?;
        let Some(of) = &self.step else {
            return Ok(ended.steps.iter().collect());
        };
        let StepOf { step, item } = of;
        let of_step = |end: &&StepEnd| end.step == *step && (item.is_none() || end.item == *item);
        let ends: Vec<_> = ended.steps.iter().filter(of_step).collect();
        if !ends.is_empty() {
            return Ok(ends);
        }
        let fault = unknown(format!("the run `{id}` has no step `{of}`"));
        let names = ended.steps.iter().map(|end| &*end.step);
        Err(match nearest(step, names).filter(|near| near != step) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault.hint(format!("`wharf show {id}` lists its steps")),
        })
    }
}

/// The record of how a step ended.
async fn record(store: &Store, end: &StepEnd) -> Result<Record, Fault> {
    let found = store.record_of(end).await?;
    found.ok_or_else(|| {
        let why = end.message.as_ref().map(|message| format!(": {message}"));
        let why = why.unwrap_or_default();
        let has_none = end.commit.is_none() && end.attempt.is_none();
        let message = match end.status.is_good() && has_none {
            true => format!(
                "the step `{}` has no record of its own: it only publishes",
                end.step
            ),
            false => format!(
                "the step `{}` has no record: it is {}{why}",
                end.step, end.status
            ),
        };
        Fault::new(ErrorKind::UnknownRun, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_parsed_and_shown() {
        for text in ["last", "019b-22", "last/train", "019b/train[12]"] {
            assert_eq!(text.parse::<RunReference>().unwrap().to_string(), text);
        }
        for wrong in [
            "/train",
            "last/",
            "last/train[]",
            "last/train[x]",
            "last/[1]",
        ] {
            assert!(wrong.parse::<RunReference>().is_err(), "{wrong}");
        }
    }
}
