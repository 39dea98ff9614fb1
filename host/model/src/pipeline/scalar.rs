//! What YAML scalars mean: texts, numbers, booleans, nothing.

use serde_json::{Number, Value as Json};
use serde_saphyr::granit_parser::ScalarStyle;

use super::yaml::{Kind, Text};

/// A scalar by the core schema of YAML 1.2.
pub(super) fn scalar(value: &str, style: ScalarStyle) -> Kind {
    let literal = match style {
        ScalarStyle::Plain => literal(value),
        _ => None,
    };
    let text = || Text {
        value: value.to_owned(),
        style,
    };
    literal.map_or_else(|| Kind::Text(text()), Kind::Literal)
}

fn literal(value: &str) -> Option<Json> {
    match value {
        "" | "~" | "null" | "Null" | "NULL" => Some(Json::Null),
        "true" | "True" | "TRUE" => Some(Json::Bool(true)),
        "false" | "False" | "FALSE" => Some(Json::Bool(false)),
        _ => integer(value).or_else(|| float(value)).map(Json::Number),
    }
}

fn integer(value: &str) -> Option<Number> {
    let prefixed = |prefix, radix| {
        let digits: &str = value.strip_prefix(prefix)?;
        let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
        plain.then(|| i128::from_str_radix(digits, radix).ok())?
    };
    let whole = prefixed("0x", 16).or_else(|| prefixed("0o", 8));
    let whole = whole.or_else(|| value.parse().ok())?;
    Number::from_i128(whole)
}

/// A finite number; the others are no values of a pipeline, and stay texts.
fn float(value: &str) -> Option<Number> {
    let plain = |b: u8| b.is_ascii_digit() || b"+-.eE".contains(&b);
    let number = value.bytes().all(plain) && value.bytes().any(|b| b.is_ascii_digit());
    Number::from_f64(number.then(|| value.parse().ok())??)
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::Diagnostics;
    use super::super::yaml;
    use super::*;

    fn value(text: &str) -> Kind {
        let mut found = Diagnostics::default();
        let root = yaml::read(text, &mut found);
        found.finish(root).unwrap().kind
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let json = |text: &str| match value(text) {
            Kind::Literal(json) => json.to_string(),
            Kind::Text(text) => format!("text {}", text.value),
            _ => panic!("{text}"),
        };
        let cases = [
            ("~", "null"),
            ("true", "true"),
            ("yes", "text yes"),
            ("12", "12"),
            ("-3", "-3"),
            ("+3", "3"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("0x-1", "text 0x-1"),
            ("1.5e3", "1500.0"),
            ("18446744073709551615", "18446744073709551615"),
            (".inf", "text .inf"),
            ("1e999", "text 1e999"),
            ("e", "text e"),
            ("'12'", "text 12"),
            ("2013-01", "text 2013-01"),
        ];
        for (text, wanted) in cases {
            assert_eq!(json(text), wanted, "{text}");
        }
    }
}
