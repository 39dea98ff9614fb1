//! Reads the types of parameters: WIT as it is written where a type is used.

use super::diagnostic::suggestion;
use crate::signature::{Arity, ParameterType};
use crate::value_type::{IntegerType, ValueType};

/// Deepest type. It bounds how deep the code recurses that walks it.
const MAX_TYPE_DEPTH: usize = 16;

/// Longest type, in bytes: a long line.
const MAX_TYPE_BYTES: usize = 512;

/// The names that a type can begin with.
const NAMES: [&str; 19] = [
    "bool",
    "u8",
    "u16",
    "u32",
    "u64",
    "s8",
    "s16",
    "s32",
    "s64",
    "f32",
    "f64",
    "char",
    "string",
    "list",
    "option",
    "tuple",
    "result",
    "input",
    "input-tree",
];

/// What is wrong with a type: a message, and what to do about it.
pub(super) type TypeMistake = (String, Option<String>);

/// Reads the type of a parameter.
pub(super) fn parse(text: &str) -> Result<ParameterType, TypeMistake> {
    let input = |tree, arity| Ok(ParameterType::Input { tree, arity });
    let compact: String = text.split_whitespace().collect();
    match &*compact {
        "input" => input(false, Arity::One),
        "input-tree" => input(true, Arity::One),
        "list<input>" => input(false, Arity::Many),
        "list<input-tree>" => input(true, Arity::Many),
        _ => value(text).map(|value| ParameterType::Value { value }),
    }
}

fn value(text: &str) -> Result<ValueType, TypeMistake> {
    if text.len() > MAX_TYPE_BYTES {
        return Err((
            format!("the type is longer than {MAX_TYPE_BYTES} bytes"),
            None,
        ));
    }
    let mut reader = Reader { text, depth: 0 };
    let ty = reader.ty()?;
    match reader.text.trim() {
        "" => Ok(ty),
        rest => Err((format!("`{rest}` does not belong to a type"), None)),
    }
}

struct Reader<'a> {
    /// What is not read yet.
    text: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn ty(&mut self) -> Result<ValueType, TypeMistake> {
        self.depth += 1;
        if self.depth > MAX_TYPE_DEPTH {
            let message = format!("the type is nested deeper than {MAX_TYPE_DEPTH}");
            return Err((message, None));
        }
        let name = self.name();
        let ty = match scalar(&name) {
            Some(ty) => ty,
            None => self.compound(&name)?,
        };
        self.depth -= 1;
        Ok(ty)
    }

    fn compound(&mut self, name: &str) -> Result<ValueType, TypeMistake> {
        match name {
            "list" => {
                let item = self.one("list")?;
                Ok(ValueType::List { item })
            }
            "option" => {
                let some = self.one("option")?;
                Ok(ValueType::Option { some })
            }
            "tuple" => Ok(ValueType::Tuple {
                items: self.items("tuple")?,
            }),
            "result" => {
                let message = "a parameter cannot be a `result`".to_owned();
                Err((message, None))
            }
            "input" | "input-tree" => {
                let message = "an input can only be alone or in a list".to_owned();
                let hint = "write `input`, `input-tree`, `list<input>` or `list<input-tree>`";
                Err((message, Some(hint.to_owned())))
            }
            "" => Err(("a type is missing".to_owned(), Some(known("")))),
            _ => Err((format!("`{name}` is not a type"), Some(known(name)))),
        }
    }

    /// The next name, empty where there is none.
    fn name(&mut self) -> String {
        let text = self.text.trim_start();
        let belongs = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
        self.text = &text[end..];
        text[..end].to_owned()
    }

    fn sign(&mut self, sign: char) -> bool {
        let text = self.text.trim_start();
        match text.strip_prefix(sign) {
            Some(rest) => {
                self.text = rest;
                true
            }
            None => false,
        }
    }

    fn one(&mut self, name: &str) -> Result<Box<ValueType>, TypeMistake> {
        let mut items = self.items(name)?;
        match (items.len(), items.pop()) {
            (1, Some(only)) => Ok(Box::new(only)),
            _ => Err((
                format!("`{name}` takes one type, as in `{name}<u32>`"),
                None,
            )),
        }
    }

    fn items(&mut self, name: &str) -> Result<Vec<ValueType>, TypeMistake> {
        if !self.sign('<') {
            let message = format!("`{name}` says of what");
            return Err((
                message,
                Some(format!("write `{name}<string>`, for example")),
            ));
        }
        let mut items = vec![self.ty()?];
        while self.sign(',') {
            items.push(self.ty()?);
        }
        match self.sign('>') {
            true => Ok(items),
            false => Err((format!("the `>` of `{name}` is missing"), None)),
        }
    }
}

fn known(name: &str) -> String {
    match name {
        "int" | "integer" | "number" | "i32" | "i64" | "usize" => {
            "integers are `u8` to `u64` and `s8` to `s64`".to_owned()
        }
        "float" | "double" | "f16" => "write `f64`".to_owned(),
        "str" | "text" => "write `string`".to_owned(),
        "boolean" => "write `bool`".to_owned(),
        "output" | "output-tree" => {
            "outputs are not parameters; they are kept in the store".to_owned()
        }
        _ => suggestion(name, &NAMES),
    }
}

fn scalar(name: &str) -> Option<ValueType> {
    let integers = [
        IntegerType::S8,
        IntegerType::U8,
        IntegerType::S16,
        IntegerType::U16,
        IntegerType::S32,
        IntegerType::U32,
        IntegerType::S64,
        IntegerType::U64,
    ];
    let integer = integers.into_iter().find(|ty| ty.name() == name);
    match (name, integer) {
        (_, Some(integer)) => Some(ValueType::Integer { integer }),
        ("bool", _) => Some(ValueType::Bool),
        ("f32", _) => Some(ValueType::F32),
        ("f64", _) => Some(ValueType::F64),
        ("char", _) => Some(ValueType::Char),
        ("string", _) => Some(ValueType::String),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_as_they_are_shown() {
        for text in [
            "bool",
            "u32",
            "s64",
            "f64",
            "char",
            "string",
            "list<string>",
            "option<list<u8>>",
            "tuple<string, f32, list<bool>>",
            "input",
            "input-tree",
            "list<input>",
            "list<input-tree>",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
            let spaced = text.replace('<', " < ").replace(", ", " ,");
            assert_eq!(parse(&spaced).unwrap().to_string(), text);
        }
    }

    #[test]
    fn mistakes_in_types_say_what_to_write() {
        let mistake = |text: &str| match parse(text).unwrap_err() {
            (message, Some(hint)) => format!("{message} ({hint})"),
            (message, None) => message,
        };
        let deep = "list<".repeat(40);
        let long = "u8 ".repeat(400);
        let cases = [
            ("strin", "`strin` is not a type (did you mean `string`?)"),
            (
                "i32",
                "`i32` is not a type (integers are `u8` to `u64` and `s8` to `s64`)",
            ),
            ("float", "`float` is not a type (write `f64`)"),
            (
                "output",
                "`output` is not a type (outputs are not parameters; they are kept in the store)",
            ),
            (
                "list",
                "`list` says of what (write `list<string>`, for example)",
            ),
            ("list<u8, u8>", "`list` takes one type, as in `list<u32>`"),
            ("list<u8", "the `>` of `list` is missing"),
            ("u8 u8", "`u8` does not belong to a type"),
            ("result<u8>", "a parameter cannot be a `result`"),
            (
                "option<input>",
                "an input can only be alone or in a list (write `input`, `input-tree`, `list<input>` or `list<input-tree>`)",
            ),
            (&deep, "the type is nested deeper than 16"),
            (&long, "the type is longer than 512 bytes"),
        ];
        for (text, wanted) in cases {
            assert_eq!(mistake(text), wanted);
        }
        assert!(mistake("").starts_with("a type is missing (known are `bool`,"));
    }
}
