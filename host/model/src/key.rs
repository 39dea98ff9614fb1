//! What identifies the result of a run: the cache key, and the seed derived
//! from it.
//!
//! Two runs with the same key give the same output bytes, as long as they are
//! deterministic. What a guest can observe is in the key; what it cannot (the
//! run's id, the attempt, the machine, limits) is not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::digest::{Digest, Hasher};

/// Names what the host does that a guest can observe. Changes whenever a new
/// version could give other bytes for the same request, so that old cache
/// entries are not used.
pub const HOST_ABI: &str = "wharf-host-abi/1";

/// Everything that the result of a run depends on, but for the seed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KeyParts {
    /// The component.
    pub step: Digest,
    /// The function; `None` for a program.
    pub function: Option<String>,
    /// The name that the step goes by.
    pub step_name: String,
    /// The values of the parameters, in canonical form.
    pub parameters: Map<String, Json>,
    /// The arguments of a program.
    pub arguments: Vec<String>,
    /// The inputs, by parameter.
    pub inputs: BTreeMap<String, Vec<KeyInput>>,
    /// What a program finds in `/out`: by name, whether it is a folder. Typed
    /// steps have their outputs in their signature.
    pub outputs: BTreeMap<String, bool>,
    /// Where the virtual clock starts.
    pub logical_time: Timestamp,
    /// The partition.
    pub partition: Option<String>,
    /// Whether a real clock is granted.
    pub clock: bool,
    /// Whether true entropy is granted.
    pub entropy: bool,
    /// Environment variables granted, with their values.
    pub env: BTreeMap<String, String>,
}

/// An input, as the key has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyInput {
    /// The digest of a file.
    File(Digest),
    /// A file with what is attached to it, which a step can read, too.
    #[serde(rename_all = "kebab-case")]
    Described {
        /// Its digest.
        file: Digest,
        /// Its media type.
        media_type: Option<String>,
        /// Its metadata.
        metadata: Map<String, Json>,
    },
    /// The digest of a tree's listing, which could be that of a file.
    Tree(Digest),
}

impl KeyParts {
    /// The seed of a run that was not given one.
    #[must_use]
    pub fn derive_seed(&self) -> u64 {
        let bytes = *self.hash("seed", None).as_bytes();
        let mut seed = [0; 8];
        seed.copy_from_slice(&bytes[..8]);
        u64::from_le_bytes(seed)
    }

    /// The cache key of a run with a seed.
    #[must_use]
    pub fn key(&self, seed: u64) -> Digest {
        self.hash("key", Some(seed))
    }

    fn hash(&self, purpose: &str, seed: Option<u64>) -> Digest {
        // Cannot fail: every part is a string, a number or a map with string keys.
        let parts = serde_json::to_value(self).unwrap_or_default();
        let mut text = String::new();
        write_canonical(&parts, &mut text);
        let mut hasher = Hasher::new();
        hasher.update(format!("{HOST_ABI}\n{purpose}\n{seed:?}\n").as_bytes());
        hasher.update(text.as_bytes());
        hasher.finish()
    }
}

/// Writes JSON with sorted keys and no spaces, whatever order its maps keep.
fn write_canonical(json: &Json, into: &mut String) {
    match json {
        Json::Object(object) => {
            let sorted: BTreeMap<_, _> = object.iter().collect();
            into.push('{');
            for (index, (name, value)) in sorted.into_iter().enumerate() {
                into.push_str(if index > 0 { "," } else { "" });
                into.push_str(&Json::String(name.clone()).to_string());
                into.push(':');
                write_canonical(value, into);
            }
            into.push('}');
        }
        Json::Array(items) => {
            into.push('[');
            for (index, item) in items.iter().enumerate() {
                into.push_str(if index > 0 { "," } else { "" });
                write_canonical(item, into);
            }
            into.push(']');
        }
        scalar => into.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::DEFAULT_LOGICAL_TIME;
    use serde_json::json;

    fn parts() -> KeyParts {
        KeyParts {
            step: Digest::of(b"step"),
            function: Some("run".into()),
            step_name: "train".into(),
            parameters: Map::from_iter([("epochs".to_owned(), json!(5))]),
            arguments: vec![],
            inputs: BTreeMap::from([(
                "data".to_owned(),
                vec![KeyInput::File(Digest::of(b"data"))],
            )]),
            outputs: BTreeMap::new(),
            logical_time: DEFAULT_LOGICAL_TIME,
            partition: None,
            clock: false,
            entropy: false,
            env: BTreeMap::new(),
        }
    }

    /// The key is a promise across versions: a change here needs a new
    /// `HOST_ABI`.
    #[test]
    fn key_and_seed_are_pinned() {
        let pinned = "sha256:aa2cd7babd2462fe45626e5bd6dd2ede557c4e8004d4fa6088734b67f07744ea";
        assert_eq!(parts().key(1).to_string(), pinned);
        assert_eq!(parts().derive_seed(), 11_664_915_298_243_487_409);
    }

    #[test]
    fn every_part_changes_the_key() {
        let base = parts();
        let key = base.key(1);
        let changed = [
            KeyParts {
                step: Digest::of(b"other"),
                ..parts()
            },
            KeyParts {
                function: Some("fit".into()),
                ..parts()
            },
            KeyParts {
                step_name: "fit".into(),
                ..parts()
            },
            KeyParts {
                parameters: Map::new(),
                ..parts()
            },
            KeyParts {
                arguments: vec!["-v".into()],
                ..parts()
            },
            KeyParts {
                inputs: BTreeMap::new(),
                ..parts()
            },
            KeyParts {
                inputs: BTreeMap::from([(
                    "data".to_owned(),
                    vec![KeyInput::Tree(Digest::of(b"data"))],
                )]),
                ..parts()
            },
            KeyParts {
                inputs: BTreeMap::from([(
                    "data".to_owned(),
                    vec![KeyInput::Described {
                        file: Digest::of(b"data"),
                        media_type: Some("text/csv".to_owned()),
                        metadata: Map::new(),
                    }],
                )]),
                ..parts()
            },
            KeyParts {
                outputs: BTreeMap::from([("model".to_owned(), false)]),
                ..parts()
            },
            KeyParts {
                logical_time: Timestamp::UNIX_EPOCH,
                ..parts()
            },
            KeyParts {
                partition: Some("2013-01".into()),
                ..parts()
            },
            KeyParts {
                clock: true,
                ..parts()
            },
            KeyParts {
                entropy: true,
                ..parts()
            },
            KeyParts {
                env: BTreeMap::from([("TZ".into(), "UTC".into())]),
                ..parts()
            },
        ];
        for other in changed {
            assert_ne!(other.key(1), key);
            assert_ne!(other.derive_seed(), base.derive_seed());
        }
        assert_ne!(base.key(2), key);
    }

    #[test]
    fn order_of_maps_does_not_matter() {
        let mut text = String::new();
        write_canonical(
            &json!({"b": [1, {"z": null, "a": "x\"y"}], "a": true}),
            &mut text,
        );
        assert_eq!(text, r#"{"a":true,"b":[1,{"a":"x\"y","z":null}]}"#);
    }
}
