//! Commits: the one record of the successful run of a step, by its cache key.
//!
//! ```text
//! commits/<2 digits>/<key>.json
//! ```
//!
//! A commit is written by one conditional create, and is the only truth: all that a
//! run wrote before it is garbage if it never lands. Of many that commit under a key,
//! one wins, and each of the others is told what the winner's record is.

use object_store::path::Path as ObjectPath;
use wharf_model::event::Event;
use wharf_model::{Digest, ErrorKind, Fault, Outcome, Record};

use crate::Store;
use crate::records::Written;

/// Where commits are.
pub(crate) const COMMITS: &str = "commits";

/// What came of committing a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Committed {
    /// The run is the one that counts for its key.
    New,
    /// Another run has committed before, with the same outputs and results. Its
    /// record counts.
    Before(Box<Record>),
}

impl Store {
    /// Commits a successful run under a key, with its events where it had some.
    /// Its outputs must be in the store.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where another run has committed under the key that
    /// made something else; otherwise where writing fails, and then nothing is known
    /// but that the same call again will tell.
    pub async fn commit(
        &self,
        key: &Digest,
        record: &Record,
        events: &[Event],
    ) -> Result<Committed, Fault> {
        self.put_log(&record.id, events).await?;
        let winner = match self.create_record(&path(key), record).await? {
            Written::Ours => return Ok(Committed::New),
            Written::Other(winner) => winner,
        };
        if !events.is_empty() {
            self.remove_log(&record.id).await;
        }
        match makes_same(&winner, record) {
            true => Ok(Committed::Before(Box::new(winner))),
            false => Err(conflict(key, &winner)),
        }
    }

    /// Where the commit of a key is, as a URL.
    #[must_use]
    pub fn uri_of_commit(&self, key: &Digest) -> String {
        self.uri_of(&path(key))
    }

    /// The commit of a key, where there is one.
    ///
    /// # Errors
    /// Where it cannot be read or understood.
    pub async fn commit_of(&self, key: &Digest) -> Result<Option<Record>, Fault> {
        self.read_record(&path(key)).await
    }
}

pub(crate) fn path(key: &Digest) -> ObjectPath {
    let hex = key.hex();
    ObjectPath::from(format!("{COMMITS}/{}/{hex}.json", &hex[..2]))
}

/// Whether two runs made the same.
fn makes_same(one: &Record, other: &Record) -> bool {
    let results = |record: &Record| match &record.outcome {
        Outcome::Succeeded { results } => Some(results.clone()),
        _ => None,
    };
    let made = |record: &Record| {
        let outputs = record.outputs.iter();
        let outputs = outputs.map(|output| {
            let attached = (output.media_type.clone(), output.metadata.clone());
            (output.name.clone(), output.digest, output.size, attached)
        });
        outputs.collect::<Vec<_>>()
    };
    results(one) == results(other) && made(one) == made(other)
}

fn conflict(key: &Digest, winner: &Record) -> Fault {
    let message = format!(
        "the run {} has committed the step `{}` under the key {} before, with other outputs or results",
        winner.id,
        winner.step.name,
        key.short()
    );
    Fault::new(ErrorKind::Conflict, message)
        .hint("the step does not give the same for the same inputs; what was committed counts")
}
