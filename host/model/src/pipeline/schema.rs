//! The JSON Schema of `pipeline.yaml`, for editors.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value as Json};

use super::file::{Declaration, Pipeline, Retries};

/// The JSON Schema of the file, draft 2020-12.
///
/// It cannot say everything: the types of values, and what expressions refer to, are
/// checked by [`parse`](super::parse) and [`check`](super::check()) alone.
#[must_use]
pub fn schema() -> Json {
    let mut schema = schemars::schema_for!(Pipeline).to_value();
    if let Json::Object(object) = &mut schema {
        object.insert("title".to_owned(), "Wharf pipeline".into());
    }
    tidy(&mut schema);
    schema
}

/// Takes out that optional keys may be null: who has nothing to say leaves the key
/// away. And lets each paragraph of a description be one line.
fn tidy(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            object.values_mut().for_each(tidy);
            remove_null(object);
            flatten_single_choice(object);
            if let Some(Json::String(text)) = object.get_mut("description") {
                let paragraphs = text.split("\n\n").map(|part| part.replace('\n', " "));
                *text = paragraphs.collect::<Vec<_>>().join("\n\n");
            }
        }
        Json::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn remove_null(object: &mut Map<String, Json>) {
    if let Some(Json::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Json::Array(types)) = object.get_mut("type") {
        types.retain(|ty| ty != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
}

/// A choice of one thing and null is that thing.
fn flatten_single_choice(object: &mut Map<String, Json>) {
    let Some(Json::Array(choices)) = object.get_mut("anyOf") else {
        return;
    };
    choices.retain(|choice| choice.get("type").is_none_or(|ty| ty != "null"));
    let single = match &mut choices[..] {
        [Json::Object(only)] => std::mem::take(only),
        _ => return,
    };
    object.remove("anyOf");
    for (key, value) in single {
        object.entry(key).or_insert(value);
    }
}

/// Declares a type that stands for a form of the file.
macro_rules! form {
    ($(#[$docs:meta])* $name:ident, $schema:tt) => {
        $(#[$docs])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

form!(
    /// A [`crate::name::Name`].
    NameText,
    { "type": "string", "pattern": "^[a-z0-9][a-z0-9._-]*$", "maxLength": 128 }
);
form!(
    /// The type of a parameter.
    TypeText,
    { "type": "string", "examples": ["u32", "f64", "string", "list<string>", "input"] }
);
form!(
    /// A value without expressions.
    Constant,
    {}
);
form!(
    /// A length of time.
    TimeText,
    { "type": ["string", "integer"], "examples": ["90s", "5m", "1h 30m"] }
);
form!(
    /// A number of bytes.
    SizeText,
    { "type": ["string", "integer"], "examples": ["512MiB", "4GB"] }
);
form!(
    /// A grant.
    GrantText,
    { "type": "string", "pattern": "^(clock|entropy|env:.+)$" }
);
form!(
    /// The unit of a partition by time.
    EveryText,
    { "enum": ["month", "day"] }
);
form!(
    /// Values and expressions, by name.
    Values,
    { "type": "object" }
);
form!(
    /// A text, a number or a boolean.
    Scalar,
    { "type": ["string", "number", "boolean"] }
);
form!(
    /// Expressions by target.
    Publish,
    {
        "type": "object",
        "propertyNames": { "pattern": "^[a-z0-9][a-z0-9._-]*(:[a-z0-9][a-z0-9._-]*)?$" },
        "additionalProperties": { "type": "string", "pattern": "^\\s*\\$\\{\\{" }
    }
);
form!(
    /// An expression, or a boolean.
    Condition,
    { "type": ["string", "boolean"] }
);
form!(
    /// A list, or an expression that gives one.
    List,
    { "type": ["array", "string"] }
);

/// Things by name.
pub(super) struct Named<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Named{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[a-z][a-z0-9-]*$", "maxLength": 64 },
            "additionalProperties": generator.subschema_for::<T>(),
        })
    }
}

/// Declares a form that is short or long.
macro_rules! short_or_long {
    ($(#[$docs:meta])* $name:ident, $short:ty, $long:ty) => {
        $(#[$docs])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "anyOf": [
                        generator.subschema_for::<$short>(),
                        generator.subschema_for::<$long>(),
                    ]
                })
            }
        }
    };
}

short_or_long!(
    /// A parameter: its type alone, or more about it.
    DeclarationForms,
    TypeText,
    Declaration
);
short_or_long!(
    /// Retries: their number, or more about them.
    RetriesForms,
    u32,
    Retries
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_of_the_documentation_is_current() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/pipeline.schema.json"
        );
        let wanted = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("WHARF_BLESS").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            found == wanted,
            "docs/pipeline.schema.json is not current: run the tests with WHARF_BLESS=1"
        );
    }

    /// The keys that the schema has where a pointer points.
    fn keys(pointer: &str) -> Vec<String> {
        let schema = schema();
        let object = schema.pointer(pointer).and_then(Json::as_object);
        let mut keys: Vec<_> = object.unwrap().keys().cloned().collect();
        keys.sort();
        keys
    }

    #[test]
    fn the_schema_has_the_keys_that_are_read() {
        let sorted = |keys: &[&str]| {
            let mut keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
            keys.sort();
            keys
        };
        use super::super::read;
        for (pointer, known) in [
            ("/properties", &read::PIPELINE_KEYS[..]),
            ("/$defs/Parameter/properties", &read::DECLARATION_KEYS),
            ("/$defs/Partition/properties", &read::PARTITION_KEYS),
            ("/$defs/Step/properties", &read::STEP_KEYS),
            ("/$defs/StepLimits/properties", &read::LIMIT_KEYS),
            ("/$defs/Retries/properties", &read::RETRY_KEYS),
        ] {
            assert_eq!(keys(pointer), sorted(known), "{pointer}");
        }
    }

    #[test]
    fn nothing_may_be_null() {
        let text = schema().to_string();
        assert!(!text.contains("\"null\"") && !text.contains("null,") && !text.contains("null]"));
    }
}
