//! The clock of a store.
//!
//! Whether a blob is old is decided by the clock that dated it, never by this
//! machine's, which may be wrong by years.

use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use object_store::path::Path as ObjectPath;
use wharf_model::{ErrorKind, Fault};

use crate::Store;

/// Objects that are written to be dated, and removed.
pub(crate) const CLOCK: &str = "clock";

impl Store {
    /// The time, by the store's clock.
    pub(crate) async fn now(&self) -> Result<Timestamp, Fault> {
        let read = || async { Ok((self.ask_for_time().await?, Instant::now())) };
        let (then, asked) = self.time.get_or_try_init(read).await?;
        Ok(later(*then, asked.elapsed()))
    }

    async fn ask_for_time(&self) -> Result<Timestamp, Fault> {
        let path = ObjectPath::from(format!("{CLOCK}/{:032x}", rand_name()));
        self.objects.overwrite(&path, Bytes::new()).await?;
        let meta = self.objects.head(&path).await?;
        self.objects.remove(&path).await?;
        let meta = meta.ok_or_else(|| {
            let message = format!("the store {} does not keep what is written", self.place());
            Fault::new(ErrorKind::Store, message)
        })?;
        Ok(meta.modified)
    }

    /// How long ago a time was, by the store's clock; nothing for one that is to
    /// come.
    pub(crate) async fn age(&self, time: Timestamp) -> Result<Option<Duration>, Fault> {
        let age = self.now().await?.duration_since(time);
        Ok(Duration::try_from(age).ok())
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(time)
}

/// A name that nobody else uses.
fn rand_name() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}
