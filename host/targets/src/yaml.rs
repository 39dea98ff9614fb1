//! YAML as people write it: maps in the order given, and no more quotes than needed.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use serde_saphyr::{LitStr, SerializerOptions};

/// A piece of YAML.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Yaml {
    /// A text. Of several lines, it is a block.
    Text(String),
    /// A number without a fraction.
    Integer(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Nothing.
    Null,
    /// A list.
    List(Vec<Yaml>),
    /// A map, in the order given.
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    /// A map of what there is; nothing where there is nothing.
    pub(crate) fn map<const N: usize>(entries: [(&str, Option<Yaml>); N]) -> Self {
        let entries = entries.into_iter();
        let entries = entries.filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Self::Map(entries.collect())
    }

    /// A list.
    pub(crate) fn list(items: impl IntoIterator<Item = impl Into<Self>>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }

    /// Whether it is a list or map without anything.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }

    /// The same, where there is something.
    pub(crate) fn unless_empty(self) -> Option<Self> {
        (!self.is_empty()).then_some(self)
    }

    /// The text of a document.
    pub(crate) fn document(&self) -> String {
        let mut text = String::new();
        let mut options = SerializerOptions::default();
        options.indent_step = 2;
        options.compact_list_indent = true;
        options.prefer_block_scalars = false;
        // Writing to memory does not fail, and all keys are texts.
        let written = serde_saphyr::to_fmt_writer_with_options(&mut text, self, options);
        debug_assert!(written.is_ok(), "{written:?}");
        text
    }
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Yaml {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Yaml {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<&Json> for Yaml {
    fn from(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Boolean(*value),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Self::Integer(number),
                (None, Some(number)) => Self::Float(number),
                // It is the number for all that reads it.
                (None, None) => Self::Text(number.to_string()),
            },
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(items) => Self::list(items),
            Json::Object(entries) => {
                let entries = entries.iter();
                Self::Map(
                    entries
                        .map(|(name, value)| (name.clone(), value.into()))
                        .collect(),
                )
            }
        }
    }
}

/// Whether a text is one of several lines that a block can hold as it is.
fn is_block(text: &str) -> bool {
    let is_plain = |c: char| c == '\n' || !(c.is_control() || wharf_model::name::is_active(c));
    let at_edge = text.starts_with([' ', '\n']) || text.ends_with("\n\n");
    text.contains('\n') && text.chars().all(is_plain) && !at_edge
}

impl Serialize for Yaml {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) if is_block(text) => LitStr(text).serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Null => serializer.serialize_unit(),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items
                    .iter()
                    .try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries
                    .iter()
                    .try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_what_they_are() {
        let json = serde_json::json!({"a": [null, true, 1e30, 2.0], "b": "2013-01-31", "c": {}});
        assert_eq!(
            Yaml::from(&json).document(),
            "a:\n- null\n- true\n- 1.0e+30\n- 2.0\nb: \"2013-01-31\"\nc: {}\n"
        );
    }

    #[test]
    fn texts_of_several_lines_are_blocks_where_those_can_hold_them() {
        let text = |text: &str| Yaml::map([("a", Some(text.into()))]).document();
        assert_eq!(text("b\n c\n"), "a: |\n  b\n   c\n");
        assert_eq!(text("b\r\nc"), "a: \"b\\r\\nc\"\n");
        assert_eq!(text(" b\nc"), "a: \" b\\nc\"\n");
    }

    #[test]
    fn it_is_written_as_people_write_it() {
        let yaml = Yaml::map([
            ("apiVersion", Some("v1".into())),
            ("absent", None),
            (
                "args",
                Some(Yaml::list([
                    "--x", "{{a}}", "yes", "3", "no: way", "", "a\nb\n",
                ])),
            ),
            (
                "spec",
                Some(Yaml::map([
                    ("n", Some(Yaml::Integer(3))),
                    ("on", Some(Yaml::Boolean(true))),
                    (
                        "list",
                        Some(Yaml::List(vec![Yaml::map([
                            ("a", Some("b".into())),
                            ("c", Some("d".into())),
                        ])])),
                    ),
                    ("none", Some(Yaml::Map(Vec::new()))),
                ])),
            ),
        ]);
        let written = "apiVersion: v1\nargs:\n- --x\n- \"{{a}}\"\n- \"yes\"\n- \"3\"\n- \"no: way\"\n\
                       - \"\"\n- |\n  a\n  b\nspec:\n  \"n\": 3\n  \"on\": true\n  list:\n  - a: b\n    c: d\n\
                       \x20 none: {}\n";
        assert_eq!(yaml.document(), written);
    }
}
