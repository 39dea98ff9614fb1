//! Text of Python: values, and blocks that are indented.

use serde_json::Value as Json;

/// How long lines are, where they can be broken.
pub(crate) const WIDTH: usize = 100;

/// A text as Python writes it.
pub(crate) fn string(text: &str) -> String {
    // What JSON escapes, Python reads the same.
    Json::from(text).to_string()
}

/// A value as Python writes it.
pub(crate) fn literal(json: &Json) -> String {
    match json {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => string(text),
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(literal).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(entries) => {
            let entries = entries.iter();
            let entries =
                entries.map(|(name, value)| format!("{}: {}", string(name), literal(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A text for a comment or a docstring: one line, and nothing that could end it.
pub(crate) fn prose(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words
        .join(" ")
        .replace('\\', "\\\\")
        .replace("\"\"\"", "'''");
    line.chars()
        .filter(|c| !wharf_model::name::is_active(*c))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_those_of_python() {
        let json = json!({"a": [true, null, 1.5], "b": "it's \"x\"\n"});
        assert_eq!(
            literal(&json),
            r#"{"a": [True, None, 1.5], "b": "it's \"x\"\n"}"#
        );
    }

    #[test]
    fn prose_ends_nothing() {
        assert_eq!(prose("a \"\"\"b\n c\\"), "a '''b c\\\\");
    }
}
