//! Takes and returns every kind of value: what a host has to convert.

#![expect(clippy::too_many_arguments, reason = "one for each kind of value")]

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "example:values/values",
    generate_all,
});

struct Component;

impl Guest for Component {
    fn echo(
        truth: bool,
        small_signed: i8,
        small_unsigned: u8,
        medium_signed: i16,
        medium_unsigned: u16,
        signed: i32,
        unsigned: u32,
        large_signed: i64,
        large_unsigned: u64,
        single: f32,
        double: f64,
        letter: char,
        text: String,
        numbers: Vec<i32>,
        maybe: Option<String>,
        maybe_maybe: Option<Option<u8>>,
        outcome: Result<u32, String>,
        pair: (String, f64),
        size: Size,
        shape: Shape,
        color: Color,
        permissions: Permissions,
        named_sizes: Vec<(String, Option<Size>)>,
    ) -> Result<Everything, String> {
        Ok(Everything {
            truth,
            small_signed,
            small_unsigned,
            medium_signed,
            medium_unsigned,
            signed,
            unsigned,
            large_signed,
            large_unsigned,
            single,
            double,
            letter,
            text,
            numbers,
            maybe,
            maybe_maybe,
            outcome,
            pair,
            size,
            shape,
            color,
            permissions,
            named_sizes,
        })
    }

    fn repeat(value: Everything) -> Everything {
        value
    }

    fn nothing() {}

    fn names(one: Input, maybe: Option<Input>, many: Vec<Input>) -> Vec<String> {
        [one]
            .iter()
            .chain(&maybe)
            .chain(&many)
            .map(Input::name)
            .collect()
    }

    fn save(text: String, to: Output) -> Result<(), String> {
        to.write(text.as_bytes()).map_err(|error| error.to_string())
    }

    fn fail(kind: Failing, message: String) -> Result<(), Failure> {
        Err(match kind {
            Failing::Permanent => Failure::Permanent(message),
            Failing::Transient => Failure::Transient(message),
        })
    }

    fn panic(message: String) {
        panic!("{message}")
    }
}

export!(Component);
