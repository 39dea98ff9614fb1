//! Logistic regression from scratch, on tables of numbers whose last column is
//! 0 or 1.
//!
//! Knows nothing of artifacts: it reads from any reader, so that it is tested
//! where it is built.

mod model;
mod table;

pub use model::{Epoch, Model, Outcomes};
pub use table::Table;
