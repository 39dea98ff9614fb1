//! Flights by carrier: a month of them, and months together.
//!
//! Knows nothing of artifacts: it reads from any reader, so that it is tested
//! where it is built.

mod month;
mod summary;
mod tally;
mod year;

pub use month::Month;
pub use summary::Summary;
pub use tally::Tally;
pub use year::Year;
