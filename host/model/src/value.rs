//! Checks the values that people give against WIT types.
//!
//! A value is given as JSON or as plain text. Either way it becomes JSON in one
//! canonical form, which is what the record keeps and the cache key hashes:
//!
//! | WIT | JSON |
//! |---|---|
//! | `bool` | `true`, `false` |
//! | integers | a whole number |
//! | `f32`, `f64` | a finite number |
//! | `char`, `string`, `enum` | a string |
//! | `list`, `tuple` | an array |
//! | `option` | `null`, or the value |
//! | `record` | an object |
//! | `variant` | `"case"`, or `{"case": value}` where the case carries one |
//! | `result` | `{"ok": value}` or `{"err": value}`; `null` where it carries none |
//! | `flags` | an array of strings, in the order of the type |

use std::fmt;

use serde_json::{Map, Value as Json};

use crate::suggest::nearest;
use crate::value_type::{Case, Field, IntegerType, ValueType};

/// Longest excerpt of a given value in a message, in characters.
const EXCERPT: usize = 60;

/// A value that does not fit its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueError {
    /// Where inside the value, such as `.layers[2].units`; empty for the value
    /// itself.
    pub path: String,
    /// The type wanted, and its range where it has one.
    pub wanted: String,
    /// An excerpt of what was given.
    pub given: String,
    /// What is wrong, where the type alone does not say it.
    pub detail: Option<String>,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "at `{}`: ", self.path)?;
        }
        write!(f, "wanted {}, got {}", self.wanted, self.given)?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ValueError {}

/// Checks a JSON value and returns it in canonical form.
///
/// # Errors
/// The first part of the value that does not fit.
pub fn check_json(ty: &ValueType, json: &Json) -> Result<Json, ValueError> {
    Checker::default().check(ty, json)
}

/// Reads a value from the text that somebody typed.
///
/// Scalars, `char`, `string` and `enum` are taken as they are, `flags` also as a
/// list with commas; everything else is JSON.
///
/// # Errors
/// Where the text is not JSON although it must be, or does not fit.
pub fn parse_text(ty: &ValueType, text: &str) -> Result<Json, ValueError> {
    let checker = Checker::default();
    let quoted = || Json::String(text.to_owned());
    match ty {
        ValueType::Bool => match text {
            "true" => Ok(Json::Bool(true)),
            "false" => Ok(Json::Bool(false)),
            _ => Err(checker.error(&wanted(ty), excerpt(text))),
        },
        ValueType::Integer { integer } => match text.parse::<i128>() {
            Ok(number) => checker.integer(*integer, number, text),
            Err(_) => Err(checker.error(&wanted(ty), excerpt(text))),
        },
        ValueType::F32 | ValueType::F64 => match text.parse::<f64>() {
            Ok(number) => checker.float(ty, number, text),
            Err(_) => Err(checker.error(&wanted(ty), excerpt(text))),
        },
        ValueType::Char | ValueType::String | ValueType::Enum { .. } => {
            checker.check(ty, &quoted())
        }
        ValueType::Flags { .. } if !text.trim_start().starts_with('[') => {
            let names = text
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty());
            let names = names.map(|name| Json::String(name.to_owned())).collect();
            checker.check(ty, &Json::Array(names))
        }
        ValueType::Option { some } if text != "null" => parse_text(some, text),
        ValueType::Variant { cases, .. } if cases.iter().any(|case| case.name == text) => {
            checker.check(ty, &quoted())
        }
        _ => match serde_json::from_str(text) {
            Ok(json) => checker.check(ty, &json),
            Err(error) => Err(ValueError {
                detail: Some(format!(
                    "not JSON: {error}; lists are written [1, 2], records {{\"a\": 1}}"
                )),
                ..checker.error(&wanted(ty), excerpt(text))
            }),
        },
    }
}

/// Where in a value the check is.
#[derive(Default, Clone)]
struct Checker {
    path: String,
}

impl Checker {
    fn field(&self, name: &str) -> Self {
        Self {
            path: format!("{}.{name}", self.path),
        }
    }

    fn item(&self, index: usize) -> Self {
        Self {
            path: format!("{}[{index}]", self.path),
        }
    }

    fn error(&self, wanted: &str, given: String) -> ValueError {
        ValueError {
            path: self.path.clone(),
            wanted: wanted.to_owned(),
            given,
            detail: None,
        }
    }

    fn mismatch(&self, ty: &ValueType, json: &Json) -> ValueError {
        self.error(&wanted(ty), excerpt(&json.to_string()))
    }

    fn detailed(&self, ty: &ValueType, json: &Json, detail: String) -> ValueError {
        ValueError {
            detail: Some(detail),
            ..self.mismatch(ty, json)
        }
    }

    fn check(&self, ty: &ValueType, json: &Json) -> Result<Json, ValueError> {
        match (ty, json) {
            (ValueType::Bool, Json::Bool(_)) | (ValueType::String, Json::String(_)) => {
                Ok(json.clone())
            }
            (ValueType::Integer { integer }, Json::Number(number)) => {
                let text = number.to_string();
                match number.as_i128() {
                    Some(number) => self.integer(*integer, number, &text),
                    None => Err(self.mismatch(ty, json)),
                }
            }
            (ValueType::F32 | ValueType::F64, Json::Number(number)) => {
                // serde_json has refused what is out of range already.
                self.float(
                    ty,
                    number.as_f64().unwrap_or(f64::INFINITY),
                    &number.to_string(),
                )
            }
            (ValueType::Char, Json::String(text)) if text.chars().count() == 1 => Ok(json.clone()),
            (ValueType::List { item }, Json::Array(items)) => {
                let items = items
                    .iter()
                    .enumerate()
                    .map(|(at, given)| self.item(at).check(item, given));
                Ok(Json::Array(items.collect::<Result<_, _>>()?))
            }
            (ValueType::Option { .. }, Json::Null) => Ok(Json::Null),
            (ValueType::Option { some }, given) => self.check(some, given),
            (ValueType::Tuple { items }, Json::Array(given)) if items.len() == given.len() => {
                let pairs = items.iter().zip(given).enumerate();
                let items = pairs.map(|(at, (ty, given))| self.item(at).check(ty, given));
                Ok(Json::Array(items.collect::<Result<_, _>>()?))
            }
            (ValueType::Record { fields, .. }, Json::Object(given)) => {
                self.record(ty, fields, json, given)
            }
            (ValueType::Variant { cases, .. }, given) => self.variant(ty, cases, given),
            (ValueType::Enum { cases, .. }, Json::String(given)) => {
                self.known(ty, json, given, cases.iter().map(String::as_str))?;
                Ok(json.clone())
            }
            (ValueType::Flags { flags, .. }, Json::Array(given)) => {
                self.flags(ty, flags, json, given)
            }
            (ValueType::Result { ok, err }, Json::Object(given)) => {
                self.result(ty, ok.as_deref(), err.as_deref(), json, given)
            }
            _ => Err(self.mismatch(ty, json)),
        }
    }

    fn integer(&self, ty: IntegerType, number: i128, given: &str) -> Result<Json, ValueError> {
        let (least, most) = ty.range();
        let out_of_range =
            || self.error(&wanted(&ValueType::Integer { integer: ty }), excerpt(given));
        if number < least || number > most {
            return Err(out_of_range());
        }
        serde_json::Number::from_i128(number)
            .map(Json::Number)
            .ok_or_else(out_of_range)
    }

    fn float(&self, ty: &ValueType, number: f64, given: &str) -> Result<Json, ValueError> {
        let fits = match ty {
            // Rounding to the nearest f32 is what every language does here;
            // becoming infinite is not.
            ValueType::F32 => (number as f32).is_finite(),
            _ => number.is_finite(),
        };
        let number = fits.then(|| serde_json::Number::from_f64(number)).flatten();
        number
            .map(Json::Number)
            .ok_or_else(|| self.error(&wanted(ty), excerpt(given)))
    }

    fn record(
        &self,
        ty: &ValueType,
        fields: &[Field],
        json: &Json,
        given: &Map<String, Json>,
    ) -> Result<Json, ValueError> {
        for name in given.keys() {
            self.known(ty, json, name, fields.iter().map(|field| &*field.name))?;
        }
        let mut object = Map::new();
        for field in fields {
            let value = match (given.get(&field.name), &field.ty) {
                (Some(value), ty) => self.field(&field.name).check(ty, value)?,
                (None, ValueType::Option { .. }) => Json::Null,
                (None, _) => {
                    let detail = format!("the field `{}` ({}) is missing", field.name, field.ty);
                    return Err(self.detailed(ty, json, detail));
                }
            };
            object.insert(field.name.clone(), value);
        }
        Ok(Json::Object(object))
    }

    fn variant(&self, ty: &ValueType, cases: &[Case], json: &Json) -> Result<Json, ValueError> {
        let (name, payload) = match json {
            Json::String(name) => (name, None),
            Json::Object(object) if object.len() == 1 => match object.iter().next() {
                Some((name, payload)) => (name, Some(payload)),
                None => return Err(self.mismatch(ty, json)),
            },
            _ => return Err(self.mismatch(ty, json)),
        };
        self.known(ty, json, name, cases.iter().map(|case| &*case.name))?;
        let case = cases.iter().find(|case| case.name == *name);
        match (case.and_then(|case| case.ty.as_ref()), payload) {
            (None, None) => Ok(Json::String(name.clone())),
            (Some(ty), Some(payload)) => {
                let payload = self.field(name).check(ty, payload)?;
                Ok(Json::Object(Map::from_iter([(name.clone(), payload)])))
            }
            (Some(carried), None) => {
                let detail =
                    format!("the case `{name}` carries a value: write {{\"{name}\": {carried}}}");
                Err(self.detailed(ty, json, detail))
            }
            (None, Some(_)) => {
                let detail = format!("the case `{name}` carries no value: write \"{name}\"");
                Err(self.detailed(ty, json, detail))
            }
        }
    }

    fn flags(
        &self,
        ty: &ValueType,
        flags: &[String],
        json: &Json,
        given: &[Json],
    ) -> Result<Json, ValueError> {
        let mut names = Vec::new();
        for name in given {
            let name = name.as_str().ok_or_else(|| self.mismatch(ty, json))?;
            self.known(ty, json, name, flags.iter().map(String::as_str))?;
            names.push(name);
        }
        let in_order = flags.iter().filter(|flag| names.contains(&flag.as_str()));
        Ok(Json::Array(in_order.cloned().map(Json::String).collect()))
    }

    fn result(
        &self,
        ty: &ValueType,
        ok: Option<&ValueType>,
        err: Option<&ValueType>,
        json: &Json,
        given: &Map<String, Json>,
    ) -> Result<Json, ValueError> {
        let (name, carried, payload) = match (given.len(), given.get("ok"), given.get("err")) {
            (1, Some(payload), _) => ("ok", ok, payload),
            (1, _, Some(payload)) => ("err", err, payload),
            _ => return Err(self.mismatch(ty, json)),
        };
        let payload = match (carried, payload) {
            (Some(carried), payload) => self.field(name).check(carried, payload)?,
            (None, Json::Null) => Json::Null,
            (None, _) => {
                return Err(self.detailed(
                    ty,
                    json,
                    format!("`{name}` carries no value: write null"),
                ));
            }
        };
        Ok(Json::Object(Map::from_iter([(name.to_owned(), payload)])))
    }

    /// Refuses a name that the type does not know.
    fn known<'a>(
        &self,
        ty: &ValueType,
        json: &Json,
        name: &str,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), ValueError> {
        if names.clone().any(|known| known == name) {
            return Ok(());
        }
        let detail = match nearest(name, names.clone()) {
            Some(near) => format!("`{name}` is unknown; did you mean `{near}`?"),
            None => {
                let known: Vec<_> = names.map(|name| format!("`{name}`")).collect();
                format!("`{name}` is unknown; known are {}", known.join(", "))
            }
        };
        Err(self.detailed(ty, json, detail))
    }
}

/// The type, and its range where that is what people get wrong.
fn wanted(ty: &ValueType) -> String {
    match ty {
        ValueType::Integer { integer } => {
            let (least, most) = integer.range();
            format!("{} ({least} to {most})", integer.name())
        }
        ValueType::F32 | ValueType::F64 => format!("{ty} (a finite number)"),
        ValueType::Bool => "bool (true or false)".to_owned(),
        ValueType::Char => "char (one character)".to_owned(),
        ValueType::Enum { name, cases } => format!("{name} ({})", cases.join(", ")),
        ValueType::Option { some } => format!("{} or null", wanted(some)),
        ty => ty.to_string(),
    }
}

/// The beginning of a given value, quoted, without control characters.
fn excerpt(given: &str) -> String {
    let clean = given.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut text: String = clean.take(EXCERPT).collect();
    if given.chars().nth(EXCERPT).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const U32: ValueType = ValueType::Integer {
        integer: IntegerType::U32,
    };

    fn optimizer() -> ValueType {
        ValueType::Enum {
            name: "optimizer".into(),
            cases: vec!["sgd".into(), "adam".into()],
        }
    }

    fn layer() -> ValueType {
        let field = |name: &str, ty| Field {
            name: name.into(),
            ty,
            docs: None,
        };
        ValueType::Record {
            name: "layer".into(),
            fields: vec![
                field("units", U32),
                field(
                    "rate",
                    ValueType::Option {
                        some: Box::new(ValueType::F64),
                    },
                ),
            ],
        }
    }

    fn shape() -> ValueType {
        let case = |name: &str, ty| Case {
            name: name.into(),
            ty,
            docs: None,
        };
        ValueType::Variant {
            name: "shape".into(),
            cases: vec![case("dot", None), case("circle", Some(ValueType::F64))],
        }
    }

    #[test]
    fn text_of_scalars() {
        assert_eq!(parse_text(&U32, "50"), Ok(json!(50)));
        assert_eq!(parse_text(&ValueType::F64, "1e-3"), Ok(json!(0.001)));
        assert_eq!(parse_text(&ValueType::String, "42"), Ok(json!("42")));
        assert_eq!(parse_text(&ValueType::Bool, "true"), Ok(json!(true)));
        assert_eq!(parse_text(&ValueType::Char, "ß"), Ok(json!("ß")));
        let option = ValueType::Option {
            some: Box::new(U32),
        };
        assert_eq!(parse_text(&option, "null"), Ok(Json::Null));
        assert_eq!(parse_text(&option, "7"), Ok(json!(7)));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let message = |ty: &ValueType, text| parse_text(ty, text).unwrap_err().to_string();
        assert_eq!(
            message(&U32, "-1"),
            "wanted u32 (0 to 4294967295), got `-1`"
        );
        assert_eq!(
            message(&U32, "1.5"),
            "wanted u32 (0 to 4294967295), got `1.5`"
        );
        let u64 = ValueType::Integer {
            integer: IntegerType::U64,
        };
        assert_eq!(
            parse_text(&u64, "18446744073709551615"),
            Ok(json!(u64::MAX))
        );
        assert!(message(&u64, "18446744073709551616").contains("got `18446744073709551616`"));
        for text in ["NaN", "inf", "-inf", "1e999"] {
            assert!(
                message(&ValueType::F64, text).starts_with("wanted f64 (a finite number)"),
                "{text}"
            );
        }
        assert!(parse_text(&ValueType::F32, "1e300").is_err());
        assert!(parse_text(&ValueType::F32, "1e30").is_ok());
    }

    #[test]
    fn json_must_fit_too() {
        assert!(check_json(&U32, &json!("5")).is_err());
        assert!(check_json(&U32, &json!(5.0)).is_err());
        assert_eq!(check_json(&ValueType::F64, &json!(5)), Ok(json!(5.0)));
        assert!(check_json(&ValueType::Char, &json!("ab")).is_err());
    }

    #[test]
    fn enum_names_the_nearest_case() {
        let error = parse_text(&optimizer(), "adan").unwrap_err().to_string();
        assert!(error.ends_with("did you mean `adam`?"), "{error}");
    }

    #[test]
    fn record_errors_name_the_place() {
        let list = ValueType::List {
            item: Box::new(layer()),
        };
        assert_eq!(
            parse_text(&list, r#"[{"units": 3}]"#),
            Ok(json!([{"units": 3, "rate": null}]))
        );
        let error = |text| parse_text(&list, text).unwrap_err().to_string();
        assert!(error(r#"[{"units": -3}]"#).starts_with("at `[0].units`: wanted u32"));
        assert!(error(r#"[{"unit": 3}]"#).contains("did you mean `units`?"));
        assert!(error(r#"[{}]"#).contains("the field `units` (u32) is missing"));
        assert!(error("[{").contains("not JSON"));
    }

    #[test]
    fn variants_and_results() {
        assert_eq!(parse_text(&shape(), "dot"), Ok(json!("dot")));
        assert_eq!(
            parse_text(&shape(), r#"{"circle": 2}"#),
            Ok(json!({"circle": 2.0}))
        );
        assert!(
            parse_text(&shape(), r#""circle""#)
                .unwrap_err()
                .to_string()
                .contains("carries a value")
        );
        assert!(
            parse_text(&shape(), r#"{"dot": 1}"#)
                .unwrap_err()
                .to_string()
                .contains("carries no value")
        );
        let result = ValueType::Result {
            ok: Some(Box::new(U32)),
            err: None,
        };
        assert_eq!(parse_text(&result, r#"{"ok": 1}"#), Ok(json!({"ok": 1})));
        assert_eq!(
            parse_text(&result, r#"{"err": null}"#),
            Ok(json!({"err": null}))
        );
        assert!(parse_text(&result, r#"{"err": 1}"#).is_err());
    }

    #[test]
    fn flags_come_in_the_order_of_the_type() {
        let flags = ValueType::Flags {
            name: "mode".into(),
            flags: vec!["read".into(), "write".into()],
        };
        assert_eq!(
            parse_text(&flags, "write, read"),
            Ok(json!(["read", "write"]))
        );
        assert_eq!(parse_text(&flags, ""), Ok(json!([])));
        assert_eq!(parse_text(&flags, r#"["write"]"#), Ok(json!(["write"])));
        assert!(parse_text(&flags, "wriet").is_err());
    }

    proptest::proptest! {
        #[test]
        fn text_never_panics(text in ".{0,80}") {
            for ty in [U32, ValueType::F32, ValueType::Char, optimizer(), layer(), shape()] {
                let _ = parse_text(&ty, &text);
            }
        }

        #[test]
        fn canonical_form_is_stable(number: u32, rate: f64) {
            let given = json!({"units": number, "rate": rate});
            let once = check_json(&layer(), &given);
            if let Ok(once) = once {
                proptest::prop_assert_eq!(check_json(&layer(), &once), Ok(once.clone()));
            }
        }
    }
}
