//! Gives every NaN one form, where its bits can be seen.
//!
//! WebAssembly leaves sign and payload of a NaN that arithmetic makes to the
//! processor. A step must give the same bytes on every machine, so each is
//! replaced by the canonical one: positive, quiet, without payload. Cranelift can
//! do that after every instruction, which makes arithmetic take twice as long.
//! But nothing can tell one NaN from another until its bits are looked at: stored,
//! reinterpreted, passed on. Sums, products and comparisons come to the same
//! whatever NaN goes in.
//!
//! So code is rewritten before it is compiled: a *loose* value, one that
//! arithmetic has made and whose NaN may be any, stays loose from one arithmetic
//! instruction to the next, through instructions that only choose or move, and in
//! locals that hold nothing but loose values; it is made canonical where anything
//! else takes it. What comes out is what making
//! every result canonical would give, bit for bit; a test compares the two on
//! random code.
//!
//! [`operators`] knows the instructions, [`locals`] what a local holds where, and
//! [`analysis`] puts together what is made, passed on and seen.

mod analysis;
mod locals;
mod operators;
#[cfg(test)]
mod tests;

use wasm_encoder::{Encode, Instruction, ValType as EncodedType};
use wasmparser::{
    BinaryReader, FuncToValidate, FuncValidatorAllocations, FunctionBody, Parser, ValidPayload,
    Validator, ValidatorResources, WasmFeatures,
};
use wharf_model::{ErrorKind, Fault};

use super::Kind;
use super::prescan::damaged;
use analysis::{BUDGET, points};
use operators::{Lanes, effect};

/// Bytes of magic and version, with which modules and components begin.
const HEADER: usize = 8;
/// Section of a module that holds code.
const CODE: u8 = 10;
/// Sections of a component that hold a module and a component.
const MODULE: u8 = 1;
const COMPONENT: u8 = 4;

/// Most bytes of a function once it is rewritten: what is more takes too long to
/// compile, as in `prescan`. Rewriting adds some 20 bytes for a value.
const MAX_BODY_BYTES: usize = 2 << 20;
/// Most locals of a function, as WebAssembly's own tools have it.
const MAX_LOCALS: u32 = 50_000;

/// Why code cannot be rewritten.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Damaged(#[from] wasmparser::BinaryReaderError),
    #[error(
        "one of the component's functions has {0} bytes once its NaNs are made canonical; \
         the most is {MAX_BODY_BYTES}"
    )]
    TooLarge(usize),
    #[error(
        "one of the component's functions has {0} locals, more than {MAX_LOCALS} with those \
         that its NaNs need"
    )]
    TooManyLocals(u32),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Damaged(error) => damaged(&error),
            error => Self::new(ErrorKind::InvalidComponent, error.to_string())
                .hint("split the function, or build with less inlining"),
        }
    }
}

type Result<T> = std::result::Result<T, Error>;

/// Rewrites all code of a component or module. Its depth is bounded before.
///
/// # Errors
/// Where the bytes are not valid WebAssembly.
pub(super) fn canonicalize(wasm: &[u8], kind: Kind) -> std::result::Result<Vec<u8>, Fault> {
    Ok(canonicalize_within(wasm, kind, BUDGET)?)
}

/// The same, with a budget for the analysis of each function.
fn canonicalize_within(wasm: &[u8], kind: Kind, budget: usize) -> Result<Vec<u8>> {
    match kind {
        Kind::Component => component(wasm, budget),
        Kind::CoreModule => module(wasm, budget),
    }
}

fn component(bytes: &[u8], budget: usize) -> Result<Vec<u8>> {
    sections(bytes, |id, content| match id {
        MODULE => module(content, budget).map(Some),
        COMPONENT => component(content, budget).map(Some),
        _ => Ok(None),
    })
}

fn module(bytes: &[u8], budget: usize) -> Result<Vec<u8>> {
    let mut code = code_section(bytes, budget)?;
    sections(bytes, |id, _| {
        Ok((id == CODE).then(|| code.take()).flatten())
    })
}

/// Copies sections, with other content where `rewrite` gives some.
fn sections(
    bytes: &[u8],
    mut rewrite: impl FnMut(u8, &[u8]) -> Result<Option<Vec<u8>>>,
) -> Result<Vec<u8>> {
    let mut reader = BinaryReader::new(bytes, 0);
    let mut copy = reader.read_bytes(HEADER)?.to_vec();
    while !reader.eof() {
        let id = reader.read_u8()?;
        let size = reader.read_var_u32()?;
        let content = reader.read_bytes(size as usize)?;
        copy.push(id);
        match rewrite(id, content)? {
            Some(rewritten) => rewritten.encode(&mut copy),
            None => content.encode(&mut copy),
        }
    }
    Ok(copy)
}

/// The content of a module's code section, rewritten; none where it has no code,
/// or none that needs it.
fn code_section(bytes: &[u8], budget: usize) -> Result<Option<Vec<u8>>> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut allocations = FuncValidatorAllocations::default();
    let mut bodies = Vec::new();
    let mut count: u32 = 0;
    let mut changed = false;
    for payload in Parser::new(0).parse_all(bytes) {
        let ValidPayload::Func(function, body) = validator.payload(&payload?)? else {
            continue;
        };
        count += 1;
        match has_arithmetic(&body)? {
            false => body.as_bytes().encode(&mut bodies),
            true => {
                let rewritten;
                (rewritten, allocations) = rewrite(function, &body, allocations, budget)?;
                rewritten.encode(&mut bodies);
                changed = true;
            }
        }
    }
    Ok(changed.then(|| {
        let mut section = Vec::with_capacity(bodies.len() + 5);
        count.encode(&mut section);
        section.append(&mut bodies);
        section
    }))
}

/// Whether a function has an instruction that can make a NaN. Most have none.
fn has_arithmetic(body: &FunctionBody<'_>) -> Result<bool> {
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        if effect(&operators.read()?).makes.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Lanes {
    /// The local that a value is held in while it is looked at.
    const fn ty(self) -> EncodedType {
        match self {
            Self::F32 => EncodedType::F32,
            Self::F64 => EncodedType::F64,
            Self::F32x4 | Self::F64x2 => EncodedType::V128,
        }
    }

    /// Replaces the NaNs of the value on top of the stack; `local` is free to use.
    fn make_canonical(self, local: u32) -> [Instruction<'static>; 6] {
        let held = Instruction::LocalGet(local);
        // A number is as large as itself, and a NaN is not. Of all comparisons
        // that say so, this one needs one jump on x86-64.
        let (canonical, is_number, choose) = match self {
            Self::F32 => (
                Instruction::F32Const(F32_NAN.into()),
                Instruction::F32Ge,
                Instruction::Select,
            ),
            Self::F64 => (
                Instruction::F64Const(F64_NAN.into()),
                Instruction::F64Ge,
                Instruction::Select,
            ),
            Self::F32x4 => (
                Instruction::V128Const(splat(F32_NAN.to_bits().into(), 32)),
                Instruction::F32x4Eq,
                Instruction::V128Bitselect,
            ),
            Self::F64x2 => (
                Instruction::V128Const(splat(F64_NAN.to_bits().into(), 64)),
                Instruction::F64x2Eq,
                Instruction::V128Bitselect,
            ),
        };
        let tee = Instruction::LocalTee(local);
        [tee, canonical, held.clone(), held, is_number, choose]
    }
}

const F32_NAN: f32 = f32::from_bits(0x7fc0_0000);
const F64_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

const fn splat(lane: u128, bits: u32) -> i128 {
    let mut all = 0;
    let mut at = 0;
    while at < 128 {
        all |= lane << at;
        at += bits;
    }
    all as i128
}

/// Rewrites the body of a function, which is validated on the way.
fn rewrite(
    function: FuncToValidate<ValidatorResources>,
    body: &FunctionBody<'_>,
    allocations: FuncValidatorAllocations,
    budget: usize,
) -> Result<(Vec<u8>, FuncValidatorAllocations)> {
    let (points, locals, allocations) = points(function, body, allocations, budget)?;
    Ok((insert(body, locals, &points)?, allocations))
}

/// Copies a body, with values made canonical at some points. New locals come after
/// those that are there.
fn insert(body: &FunctionBody<'_>, locals: u32, points: &[(usize, Lanes)]) -> Result<Vec<u8>> {
    let (bytes, start) = (body.as_bytes(), body.range().start);
    let operators = body.get_binary_reader_for_operators()?.original_position() - start;
    let mut types: Vec<EncodedType> = Vec::new();
    for (_, lanes) in points {
        if !types.contains(&lanes.ty()) {
            types.push(lanes.ty());
        }
    }
    if locals + types.len() as u32 > MAX_LOCALS {
        return Err(Error::TooManyLocals(locals));
    }
    let local = |lanes: Lanes| {
        let at = types.iter().position(|ty| *ty == lanes.ty());
        locals + at.unwrap_or_default() as u32
    };
    let mut groups = body.get_binary_reader();
    let count = groups.read_var_u32()?;
    let groups = groups.original_position() - start;
    let mut copy = Vec::with_capacity(bytes.len() + 32 * points.len() + 8);
    (count + types.len() as u32).encode(&mut copy);
    copy.extend_from_slice(&bytes[groups..operators]);
    for ty in &types {
        1_u32.encode(&mut copy);
        ty.encode(&mut copy);
    }
    let mut copied = operators;
    for (end, lanes) in points {
        copy.extend_from_slice(&bytes[copied..end - start]);
        copied = end - start;
        for instruction in lanes.make_canonical(local(*lanes)) {
            instruction.encode(&mut copy);
        }
    }
    copy.extend_from_slice(&bytes[copied..]);
    match copy.len() <= MAX_BODY_BYTES {
        true => Ok(copy),
        false => Err(Error::TooLarge(copy.len())),
    }
}
