//! Records as they are kept: JSON that ends with a checksum of itself.
//!
//! A record decides what counts, and its values go on to other steps. One bit that is
//! damaged on the way would be believed; so the last member of each record,
//! `checksum`, is the SHA-256 of the record without it.

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wharf_model::artifact::{TAG_FORMAT, TagMove, VERSION_FORMAT, Version};
use wharf_model::{Digest, ErrorKind, Fault, Record, record};

use crate::Store;
use crate::blobs::READINGS;
use crate::objects::{Created, compare};

/// What stands before the digest of a record, and after it.
const BEFORE: &str = ",\n  \"checksum\": \"";
const AFTER: &str = "\"\n}\n";
/// How a record ends without it.
const END: &str = "\n}\n";

/// Something that is kept as a record.
pub(crate) trait Kept: Serialize + DeserializeOwned {
    /// The version of its format.
    const FORMAT: &'static str;

    /// The version that it says it has.
    fn format(&self) -> &str;
}

impl Kept for Record {
    const FORMAT: &'static str = record::FORMAT;
    fn format(&self) -> &str {
        &self.format
    }
}

impl Kept for Version {
    const FORMAT: &'static str = VERSION_FORMAT;
    fn format(&self) -> &str {
        &self.format
    }
}

impl Kept for TagMove {
    const FORMAT: &'static str = TAG_FORMAT;
    fn format(&self) -> &str {
        &self.format
    }
}

/// What came of writing a record.
#[derive(Debug)]
pub(crate) enum Written<T> {
    /// It is there.
    Ours,
    /// Another is.
    Other(T),
}

/// Why a record cannot be used.
enum Unusable {
    /// Its bytes are not those that were written.
    Damaged,
    /// It is not what is wanted.
    Wrong(String),
}

impl Store {
    /// Writes a record, unless there is another.
    pub(crate) async fn create_record<T: Kept>(
        &self,
        path: &ObjectPath,
        record: &T,
    ) -> Result<Written<T>, Fault> {
        let bytes = seal(record)?;
        let mut found = match self.objects.create(path, bytes.clone()).await? {
            Created::New | Created::Same => return Ok(Written::Ours),
            Created::Other(found) => found,
        };
        for _ in 0..READINGS {
            match unseal(&found) {
                Ok(other) => return Ok(Written::Other(other)),
                Err(Unusable::Wrong(why)) => return Err(self.not_understood(path, &why)),
                Err(Unusable::Damaged) => {}
            }
            // What was read back may be one's own, damaged on the way.
            found = self.objects.read(path).await?.unwrap_or_default();
            if found == bytes {
                return Ok(Written::Ours);
            }
        }
        Err(self.damaged(path))
    }

    /// Writes a record of which there must be no other.
    pub(crate) async fn create_only_record<T: Kept>(
        &self,
        path: &ObjectPath,
        record: &T,
    ) -> Result<(), Fault> {
        match self.create_record(path, record).await? {
            Written::Ours => Ok(()),
            Written::Other(_) => Err(self.taken(path)),
        }
    }

    /// Reads a record; nothing where there is none.
    pub(crate) async fn read_record<T: Kept>(&self, path: &ObjectPath) -> Result<Option<T>, Fault> {
        for _ in 0..READINGS {
            let Some(bytes) = self.objects.read(path).await? else {
                return Ok(None);
            };
            match unseal(&bytes) {
                Ok(record) => return Ok(Some(record)),
                Err(Unusable::Wrong(why)) => return Err(self.not_understood(path, &why)),
                Err(Unusable::Damaged) if self.is_local() => break,
                Err(Unusable::Damaged) => {
                    tracing::warn!(%path, "a record was damaged on its way: reading it again");
                }
            }
        }
        Err(self.damaged(path))
    }

    /// Creates an object of which there must be no other.
    pub(crate) async fn create_only(&self, path: &ObjectPath, bytes: Bytes) -> Result<(), Fault> {
        match self.create_surely(path, bytes).await? {
            Created::New | Created::Same => Ok(()),
            Created::Other(_) => Err(self.taken(path)),
        }
    }

    /// Creates an object that has no checksum. What is read back may be one's own,
    /// damaged on the way: that another is there is believed when each reading says so.
    pub(crate) async fn create_surely(
        &self,
        path: &ObjectPath,
        bytes: Bytes,
    ) -> Result<Created, Fault> {
        let mut created = self.objects.create(path, bytes.clone()).await?;
        for _ in 1..READINGS {
            let Created::Other(_) = created else { break };
            if let Some(found) = self.objects.read(path).await? {
                created = compare(found, &bytes);
            }
        }
        Ok(created)
    }

    fn taken(&self, path: &ObjectPath) -> Fault {
        let message = format!(
            "the store {} holds another object at `{path}`",
            self.place()
        );
        Fault::new(ErrorKind::Conflict, message)
    }

    pub(crate) fn damaged(&self, path: &ObjectPath) -> Fault {
        let message = format!("the record `{path}` in {} is damaged", self.place());
        Fault::new(ErrorKind::Corrupt, message).hint("restore it, or remove it")
    }

    pub(crate) fn not_understood(&self, path: &ObjectPath, why: &str) -> Fault {
        let place = self.place();
        let message = format!("the record `{path}` in {place} cannot be understood: {why}");
        Fault::new(ErrorKind::Store, message).hint("a newer version of Wharf may have written it")
    }
}

/// A record as it is kept.
pub(crate) fn seal<T: Serialize>(record: &T) -> Result<Bytes, Fault> {
    let mut text = serde_json::to_string_pretty(record).map_err(Fault::internal)?;
    text.push('\n');
    let digest = Digest::of(text.as_bytes());
    let Some(rest) = text.strip_suffix(END) else {
        return Err(Fault::internal("a record that is no object"));
    };
    Ok(format!("{rest}{BEFORE}{digest}{AFTER}").into())
}

fn unseal<T: Kept>(bytes: &[u8]) -> Result<T, Unusable> {
    let text = unsealed(bytes).ok_or(Unusable::Damaged)?;
    let record: T =
        serde_json::from_str(&text).map_err(|error| Unusable::Wrong(error.to_string()))?;
    match record.format() == T::FORMAT {
        true => Ok(record),
        false => {
            let why = format!("its format is {}, not {}", record.format(), T::FORMAT);
            Err(Unusable::Wrong(why))
        }
    }
}

/// A record whose bytes are known to be those that were written.
pub(crate) fn unsealed_as<T: Kept>(bytes: &[u8]) -> Result<T, String> {
    unseal(bytes).map_err(|why| match why {
        Unusable::Damaged => "it has no checksum".to_owned(),
        Unusable::Wrong(why) => why,
    })
}

/// A record without its checksum, where that fits.
fn unsealed(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (rest, checksum) = text.rsplit_once(BEFORE)?;
    let digest: Digest = checksum.strip_suffix(AFTER)?.parse().ok()?;
    let text = format!("{rest}{END}");
    (Digest::of(text.as_bytes()) == digest).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    #[test]
    fn a_record_is_json_and_every_bit_counts() {
        let sealed = seal(&json!({"a": 1, "b": ["x", {"checksum": "no"}]})).unwrap();
        let json: Json = serde_json::from_slice(&sealed).unwrap();
        assert!(json["checksum"].as_str().unwrap().starts_with("sha256:"));
        assert!(unsealed(&sealed).is_some());
        for at in 0..sealed.len() {
            let mut damaged = sealed.to_vec();
            damaged[at] ^= 1;
            assert_eq!(unsealed(&damaged), None, "{at}");
            assert_eq!(unsealed(&sealed[..at]), None, "{at}");
        }
    }
}
