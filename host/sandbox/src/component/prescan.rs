//! A first look at untrusted bytes: what they are, and whether their shape
//! makes compiling them expensive.
//!
//! Compile time is not linear in the size of a function body: one body of 1.2
//! MB took 51 s and 705 MB (measured with wasmtime 48). The caps here refuse
//! such shapes in milliseconds; the limits of the compiling process catch what
//! they do not.

use wasmparser::{Encoding, Parser, Payload};
use wharf_model::{ErrorKind, Fault};

use super::Kind;

/// Largest body of one function, in bytes. The largest seen in a runtime that
/// people use is the interpreter loop of CPython, with 426,843 bytes.
const MAX_FUNCTION_BYTES: usize = 768 << 10;
/// Most functions over all core modules. CPython has 13,394.
const MAX_FUNCTIONS: u64 = 300_000;
/// Deepest nesting of components and modules. Toolchains use two or three.
const MAX_DEPTH: usize = 16;
/// Most core modules and nested components. componentize-py makes 14.
const MAX_PARTS: usize = 1000;

/// Tells what the bytes are, and refuses shapes that are expensive to compile.
pub(super) fn prescan(bytes: &[u8]) -> Result<Kind, Fault> {
    let kind = kind(bytes)?;
    let mut depth = 0;
    let mut parts = 0;
    let mut functions: u64 = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| damaged(&error))? {
            Payload::Version { .. } => {
                depth += 1;
                parts += 1;
            }
            Payload::End(_) => depth -= 1,
            Payload::FunctionSection(section) => functions += u64::from(section.count()),
            Payload::CodeSectionEntry(body) => check_body(body.range().len())?,
            _ => {}
        }
        check(
            depth <= MAX_DEPTH,
            "components nested in each other",
            MAX_DEPTH as u64,
        )?;
        check(
            parts <= MAX_PARTS,
            "modules and components",
            MAX_PARTS as u64,
        )?;
        check(functions <= MAX_FUNCTIONS, "functions", MAX_FUNCTIONS)?;
    }
    Ok(kind)
}

fn kind(bytes: &[u8]) -> Result<Kind, Fault> {
    let header = Parser::new(0).parse_all(bytes).next();
    match header {
        Some(Ok(Payload::Version {
            encoding: Encoding::Component,
            ..
        })) => Ok(Kind::Component),
        Some(Ok(Payload::Version {
            encoding: Encoding::Module,
            ..
        })) => Ok(Kind::CoreModule),
        _ => Err(not_wasm(bytes)),
    }
}

fn not_wasm(bytes: &[u8]) -> Fault {
    let what = match bytes {
        [] => "the file is empty",
        [b'(', ..] => "the file is WebAssembly text, not binary",
        [0x7f, b'E', b'L', b'F', ..] => "the file is a native program or precompiled code",
        [0, b'a', b's', b'm', ..] => "the file is WebAssembly of an unknown version",
        _ => "the file is not WebAssembly",
    };
    let hint = match bytes {
        [b'(', ..] => "turn it into a binary first, with `wasm-tools parse`",
        _ => "give the path of a component, as built for the target wasm32-wasip2",
    };
    Fault::new(ErrorKind::NotAComponent, what).hint(hint)
}

pub(super) fn damaged(error: &dyn std::fmt::Display) -> Fault {
    Fault::new(
        ErrorKind::InvalidComponent,
        format!("the component is damaged: {error}"),
    )
    .hint("build or download it again")
}

fn check_body(bytes: usize) -> Result<(), Fault> {
    if bytes <= MAX_FUNCTION_BYTES {
        return Ok(());
    }
    Err(Fault::new(
        ErrorKind::InvalidComponent,
        format!(
            "one of the component's functions has a body of {bytes} bytes; \
             the most is {MAX_FUNCTION_BYTES}, since compile time grows faster than size"
        ),
    )
    .hint("split the function, or build with less inlining"))
}

fn check(holds: bool, what: &str, most: u64) -> Result<(), Fault> {
    match holds {
        true => Ok(()),
        false => Err(Fault::new(
            ErrorKind::InvalidComponent,
            format!("the component has more than {most} {what}, the most that Wharf takes"),
        )),
    }
}
