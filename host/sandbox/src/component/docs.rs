//! Doc comments, which do not survive linking into a component.
//!
//! The build appends the world's WIT, comments included, as a custom section
//! named `wharf:wit`. The section is untrusted text: it documents the types
//! that the component really has and never changes them.

use wasmparser::{Parser, Payload};
use wharf_model::Signature;
use wharf_model::signature::{Function, ParameterType};
use wharf_model::value_type::ValueType;
use wit_parser::Resolve;

use super::Description;
use super::describe::documented_functions;

/// The name of the custom section.
const SECTION: &str = "wharf:wit";
/// Longest text that is read. The documentation of a world is some kilobytes.
const MAX_TEXT_BYTES: usize = 256 << 10;

/// The contract, which documented worlds include. The file that names the
/// package comes first.
const CONTRACT: &str = concat!(
    include_str!("../../../../wit/world.wit"),
    include_str!("../../../../wit/types.wit"),
    include_str!("../../../../wit/artifacts.wit"),
    include_str!("../../../../wit/context.wit"),
    include_str!("../../../../wit/telemetry.wit"),
);

/// The text of the section, where the component has one.
pub(super) fn section(component: &[u8]) -> Option<&str> {
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        match payload.ok()? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::CustomSection(section) if depth == 1 && section.name() == SECTION => {
                let text = std::str::from_utf8(section.data()).ok()?;
                return (text.len() <= MAX_TEXT_BYTES).then_some(text);
            }
            _ => {}
        }
    }
    None
}

/// Copies documentation onto the functions and types that it fits.
pub(super) fn attach(description: &mut Description, text: &str) {
    let Some(documented) = parse(text) else {
        tracing::debug!("the section {SECTION} is not WIT that can be read");
        return;
    };
    let Signature::Typed { functions } = &mut description.signature else {
        return;
    };
    for function in functions {
        let fits = |other: &&(Option<String>, Function)| same_shape(function, &other.1);
        if let Some((world, other)) = documented.iter().find(fits) {
            description.docs = description.docs.take().or_else(|| world.clone());
            *function = other.clone();
        }
    }
}

fn parse(text: &str) -> Option<Vec<(Option<String>, Function)>> {
    let mut resolve = Resolve::default();
    resolve.push_source("wharf-step.wit", CONTRACT).ok()?;
    resolve.push_source("component.wit", text).ok()?;
    Some(documented_functions(&resolve))
}

/// Whether two functions differ in nothing but documentation.
fn same_shape(a: &Function, b: &Function) -> bool {
    strip(a.clone()) == strip(b.clone())
}

fn strip(mut function: Function) -> Function {
    function.docs = None;
    for parameter in &mut function.parameters {
        if let ParameterType::Value { value } = &mut parameter.ty {
            strip_type(value);
        }
    }
    if let Some(results) = &mut function.returns.results {
        strip_type(results);
    }
    if let wharf_model::signature::FailureType::Other { value: Some(value) } =
        &mut function.returns.failure
    {
        strip_type(value);
    }
    function
}

fn strip_type(ty: &mut ValueType) {
    match ty {
        ValueType::List { item } => strip_type(item),
        ValueType::Option { some } => strip_type(some),
        ValueType::Result { ok, err } => ok.iter_mut().chain(err).for_each(|ty| strip_type(ty)),
        ValueType::Tuple { items } => items.iter_mut().for_each(strip_type),
        ValueType::Record { fields, .. } => fields.iter_mut().for_each(|field| {
            field.docs = None;
            strip_type(&mut field.ty);
        }),
        ValueType::Variant { cases, .. } => cases.iter_mut().for_each(|case| {
            case.docs = None;
            case.ty.iter_mut().for_each(strip_type);
        }),
        ValueType::Bool
        | ValueType::Integer { .. }
        | ValueType::F32
        | ValueType::F64
        | ValueType::Char
        | ValueType::String
        | ValueType::Enum { .. }
        | ValueType::Flags { .. } => {}
    }
}
