//! The language of `pipeline.yaml`: steps, and what goes from one to another.
//!
//! ```text
//! text --parse()--> Pipeline --check(signatures)--> Checked --(runner, Scope)--> values
//! ```
//!
//! [`parse`] needs the text alone: it says which components the pipeline uses.
//! [`check()`] needs their signatures, and finds everything that can be wrong before
//! anything runs: names, types, circles. What is checked is evaluated with the
//! values of a run, which a [`Scope`] gives.
//!
//! Every mistake has its place in the file, and all are told at once. Nothing here
//! knows where artifacts are kept, or how steps are run.
//!
//! ```
//! use std::collections::BTreeMap;
//! use wharf_model::Signature;
//! use wharf_model::pipeline::{check, parse};
//!
//! let text = "\
//! steps:
//!   count:
//!     uses: steps/wordcount.wasm
//!     inputs: { text: book.txt }
//!     outputs: [counts]
//!   keep:
//!     publish: { counts: \"${{ steps.count.outputs.counts }}\" }
//! ";
//! let pipeline = parse(text).unwrap();
//! let programs = pipeline.references().map(|it| (it.to_string(), Signature::Program));
//! let checked = check(&pipeline, &programs.collect()).unwrap();
//! assert_eq!(checked.steps[1].depends_on, [0]);
//!
//! let mistyped = text.replace("steps.count", "steps.cuont");
//! let mistakes = check(&parse(&mistyped).unwrap(), &BTreeMap::new()).unwrap_err();
//! assert_eq!(mistakes[1].message, "there is no step `cuont`");
//! assert_eq!(mistakes[1].line_column(&mistyped), (7, 35));
//! ```

mod check;
mod checked;
mod diagnostic;
mod evaluate;
mod expression;
mod file;
mod given;
pub mod graph;
mod partition;
mod publish;
mod read;
mod scalar;
mod schema;
mod source_map;
mod syntax_error;
#[cfg(test)]
mod tests;
mod type_syntax;
mod types;
mod yaml;

pub use checked::{
    Checked, CheckedOutput, CheckedParameter, CheckedStep, ItemsFrom, ParameterDefault,
};
pub use diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Span};
pub use evaluate::{
    BoundParameter, BoundValue, EvaluationError, KnownArtifacts, MAX_EACH, Scope, Value,
};
pub use expression::{MAX_EXPRESSION_BYTES, MAX_EXPRESSION_DEPTH};
pub use file::{Pipeline, Retries, StepLimits};
pub use partition::{DatePart, Every, MAX_PARTITIONS, Partition, PartitionError, Slice, is_later};
pub use publish::{ParsePublishTargetError, PublishTarget};
pub use read::{MAX_NAME_LENGTH, MAX_PARAMETERS, MAX_STEPS};
pub use schema::schema;
pub use yaml::{MAX_FILE_BYTES, MAX_NESTING};

use std::collections::BTreeMap;

use crate::signature::Signature;

/// Reads the text of a pipeline file.
///
/// # Errors
/// All mistakes of syntax and form, in the order of the file.
pub fn parse(text: &str) -> Result<Pipeline, Vec<Diagnostic>> {
    read::read(text)
}

/// Checks a pipeline against the signatures of the components that it uses, by
/// reference as [`Pipeline::references`] shows it.
///
/// # Errors
/// All mistakes, in the order of the file.
pub fn check(
    pipeline: &Pipeline,
    signatures: &BTreeMap<String, Signature>,
) -> Result<Checked, Vec<Diagnostic>> {
    check::check(pipeline, signatures, Vec::new())
}

/// Reads as much as can be read of the text of a pipeline file, and says what is wrong
/// with it: all mistakes of syntax and form, in the order of the file. What was read can
/// be checked with [`check_partly`], so that all mistakes are told at once.
#[must_use]
pub fn parse_partly(text: &str) -> (Option<Pipeline>, Vec<Diagnostic>) {
    read::read_partly(text)
}

/// Checks a pipeline of which some mistakes are known: those of its form, and those of
/// components that could not be opened. Where there are any, the steps of components
/// without a signature are taken for what was told; what is only a consequence of the
/// known mistakes is not told.
///
/// # Errors
/// All mistakes, also those that are known, in the order of the file.
pub fn check_partly(
    pipeline: &Pipeline,
    signatures: &BTreeMap<String, Signature>,
    mistakes: Vec<Diagnostic>,
) -> Result<Checked, Vec<Diagnostic>> {
    match mistakes.len() > MAX_DIAGNOSTICS {
        // The last says how many there are.
        true => Err(mistakes),
        false => check::check(pipeline, signatures, mistakes),
    }
}
