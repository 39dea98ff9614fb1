//! What the pass makes of random code gives the same memory, bit for bit, as
//! Cranelift's way of making every result canonical.

use std::fmt::Write as _;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use wasmparser::Operator;
use wasmtime::{Config, Engine, Instance, Module, Store};

use super::*;
use crate::engine;

fn ours() -> Engine {
    let settings = engine::Settings {
        fuel: false,
        stopping: engine::Stopping::Yielding,
    };
    engine::engine(settings).unwrap()
}

/// An engine that makes every result canonical, one instruction after another.
fn reference() -> Engine {
    let mut config = Config::new();
    config
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    Engine::new(&config).unwrap()
}

fn rewritten(wasm: &[u8]) -> Vec<u8> {
    canonicalize(wasm, Kind::CoreModule).unwrap()
}

/// The memory after a call of `run`.
fn memory_after(engine: &Engine, wasm: &[u8]) -> Vec<u8> {
    let module = Module::new(engine, wasm).unwrap();
    let mut store = Store::new(engine, ());
    store.set_epoch_deadline(1);
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let run = instance.get_typed_func::<(f32, f64), ()>(&mut store, "run");
    let (single, double) = (f32::from_bits(0xff81_2345), f64::from_bits(!0 - 1));
    run.unwrap().call(&mut store, (single, double)).unwrap();
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    memory.data(&store).to_vec()
}

/// How many values are made canonical.
fn points(text: &str) -> usize {
    let count = |wasm: &[u8]| {
        let printed = Parser::new(0).parse_all(wasm).map(|payload| {
            let wasmparser::Payload::CodeSectionEntry(body) = payload.unwrap() else {
                return 0;
            };
            let operators = body.get_operators_reader().unwrap().into_iter();
            let is_choice = |operator: &Operator<'_>| {
                matches!(operator, Operator::Select | Operator::V128Bitselect)
            };
            operators
                .filter(|operator| is_choice(operator.as_ref().unwrap()))
                .count()
        });
        printed.sum::<usize>()
    };
    let wasm = wat::parse_str(text).unwrap();
    count(&rewritten(&wasm)) - count(&wasm)
}

#[test]
fn a_sum_is_made_canonical_once_it_is_done() {
    let text = r#"(module (memory 1) (func (param $n i32) (local $sum f64)
        (loop $next
            (local.set $sum (f64.add (local.get $sum)
                (f64.mul (f64.load (local.get $n)) (f64.load (local.get $n)))))
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 8)))))
        (f64.store (i32.const 0) (local.get $sum))))"#;
    assert_eq!(points(text), 1);
}

#[test]
fn a_sum_of_vectors_is_made_canonical_once_it_is_done() {
    let text = r#"(module (memory 1) (func (param $n i32) (local $a v128) (local $b v128)
        (local.set $a (v128.const i64x2 0 0))
        (loop $next
            (local.set $b (f32x4.add (local.get $a) (v128.load (local.get $n))))
            (local.set $a (local.get $b))
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 16)))))
        (v128.store (i32.const 0) (local.get $a))))"#;
    assert_eq!(points(text), 1);
}

/// As toolchains do it: one local holds zero all along, another is used for many
/// things.
#[test]
fn locals_are_followed_from_block_to_block() {
    let text = r#"(module (memory 1) (func (param $n i32)
            (local $m i32) (local $zero f64) (local $sum f64) (local $t f64)
        (local.set $zero (f64.const 0))
        (loop $outer
            (local.set $sum (local.get $zero))
            (local.set $t (f64.load (local.get $n)))
            (f64.store (i32.const 64) (local.get $t))
            (local.set $m (i32.const 80))
            (loop $inner
                (local.set $t (f64.mul (f64.load (local.get $m)) (f64.load (local.get $m))))
                (local.set $sum (f64.add (local.get $sum) (f64.sub (local.get $t) (f64.const 1))))
                (br_if $inner (local.tee $m (i32.sub (local.get $m) (i32.const 8)))))
            (f64.store (i32.const 0) (local.get $sum))
            (br_if $outer (local.tee $n (i32.sub (local.get $n) (i32.const 8)))))))"#;
    assert_eq!(points(text), 1);
}

#[test]
fn what_is_chosen_or_moved_stays_loose() {
    let text = r#"(module (memory 1) (func (param $v v128) (result i32)
        (local.set $v (v128.load (i32.const 0)))
        (f64.lt
            (f64.add
                (f64x2.extract_lane 0 (f64x2.mul (local.get $v) (local.get $v)))
                (f64x2.extract_lane 1 (f64x2.div (local.get $v) (local.get $v))))
            (select
                (f64.add (f64x2.extract_lane 0 (local.get $v)) (f64.const 1))
                (f64.const 5)
                (i32.const 1)))))"#;
    assert_eq!(points(text), 0);
    let text = r#"(module (func (param $v v128) (result v128)
        (i8x16.shuffle 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23
            (f64x2.add (local.get $v) (local.get $v))
            (f64x2.mul (local.get $v) (local.get $v)))))"#;
    assert_eq!(points(text), 1);
}

#[test]
fn what_is_compared_or_rounded_is_not_looked_at() {
    let text = r#"(module (func (param $x f64) (result i32)
        (i32.add
            (f64.lt (f64.div (local.get $x) (local.get $x)) (f64.const 1))
            (i32.trunc_sat_f64_s (f64.floor (f64.sqrt (local.get $x)))))))"#;
    assert_eq!(points(text), 0);
}

#[test]
fn a_local_that_holds_something_else_too_is_exact() {
    let text = |other: &str| {
        format!(
            r#"(module (memory 1) (func (param $p f64) (local $x f64)
                (local.set $x (f64.add (local.get $p) (local.get $p)))
                (if (f64.eq (local.get $p) (f64.const 0)) (then (local.set $x {other})))
                (f64.store (i32.const 0) (f64.add (local.get $x) (local.get $x)))))"#
        )
    };
    assert_eq!(points(&text("(f64.const 0)")), 1);
    for other in [
        "(f64.load (i32.const 8))",
        "(local.get $p)",
        "(f64.const nan)",
    ] {
        assert_eq!(points(&text(other)), 2, "{other}");
    }
}

#[test]
fn what_is_only_moved_keeps_its_bits() {
    let text = r#"(module (memory (export "memory") 1)
        (data (i32.const 0) "\01\02\03\04\05\06\f7\ff")
        (func (export "run") (param f32 f64) (local $x f64)
            (local.set $x (f64.load (i32.const 0)))
            (f64.store (i32.const 8) (local.get $x))
            (f64.store (i32.const 16) (f64.mul (local.get $x) (f64.const 1)))
            (f32.store (i32.const 24) (local.get 0))))"#;
    let wasm = wat::parse_str(text).unwrap();
    let memory = memory_after(&ours(), &rewritten(&wasm));
    assert_eq!(memory[..8], memory[8..16]);
    assert_eq!(memory[16..24], F64_NAN.to_le_bytes());
    assert_eq!(memory[24..28], 0xff81_2345_u32.to_le_bytes());
}

#[test]
fn code_without_arithmetic_stays_as_it_is() {
    let text = r#"(module (memory 1) (func (param f64) (result f64) (f64.neg (local.get 0))))"#;
    let wasm = wat::parse_str(text).unwrap();
    assert!(rewritten(&wasm) == wasm);
}

#[test]
fn modules_in_components_are_rewritten_too() {
    let text = r#"(component (component
        (core module (func (param f64) (result f64) (f64.add (local.get 0) (local.get 0))))))"#;
    let wasm = wat::parse_str(text).unwrap();
    let rewritten = canonicalize(&wasm, Kind::Component).unwrap();
    assert!(rewritten.len() > wasm.len());
    Validator::new().validate_all(&rewritten).unwrap();
}

#[test]
fn damaged_code_is_an_error() {
    let whole = wat::parse_str(r#"(module (func (f64.store (i32.const 0) (f64.add (f64.const 1) (f64.const 2)))) (memory 1))"#).unwrap();
    for length in HEADER..whole.len() {
        // Some beginnings are modules of their own.
        let _ = canonicalize(&whole[..length], Kind::CoreModule);
    }
    assert!(canonicalize(&whole[..whole.len() - 1], Kind::CoreModule).is_err());
}

/// A function without code that runs, after a jump: the stack can be anything there.
#[test]
fn dead_code_is_left_alone() {
    for dead in [
        "select i32.eqz drop",
        "f64.add drop",
        "f64.add f32.demote_f64 local.set 1 drop",
        "f32.mul f32.sqrt local.tee 1 f32.mul drop",
        "block (result f64) f64.const 1 f64.const 2 f64.add br 0 f32.mul drop end drop",
        "f64x2.extract_lane 1 local.set 0",
        "if f64.const 1 f64.sqrt drop else f32.const 1 f32.sqrt local.set 1 end",
    ] {
        let text = format!(
            "(module (memory 1) (func (param f64) (local f32)
                i32.const 0  local.get 0  local.get 0  f64.mul  f64.const 1
                block  br 0 {dead}  end
                f64.add  f64.store))"
        );
        let wasm = wat::parse_str(&text).unwrap();
        Validator::new().validate_all(&rewritten(&wasm)).unwrap();
    }
}

/// What cannot be followed is made canonical everywhere, as in the reference.
#[test]
fn functions_that_cannot_be_followed_come_to_the_same() {
    let (ours, reference) = (ours(), reference());
    for seed in 0..100 {
        let wasm = wat::parse_str(Code::generate(seed)).unwrap();
        let rewritten = canonicalize_within(&wasm, Kind::CoreModule, 0).unwrap();
        let wanted = memory_after(&reference, &wasm);
        assert!(memory_after(&ours, &rewritten) == wanted, "seed {seed}");
    }
    let tail = "(module (func (param f64) (result f64)
        (return_call 0 (f64.add (local.get 0) (local.get 0)))))";
    assert_eq!(points(tail), 1);
}

/// Shapes whose analysis would take very long, were it not bounded.
#[test]
fn shapes_that_multiply_are_analysed_at_once() {
    let float = "(f64.add (local.get 0) (local.get 0))";
    let many = |text: &str, times: usize| text.repeat(times);
    let locals = many("(local f64)", 40_000);
    let table = format!("(br_table {} (i32.const 0))", many("0 ", 100_000));
    let shapes = [
        format!(
            "{float} drop {} {} {}",
            many("i32.const 0 ", 100_000),
            many("block end ", 80_000),
            many("drop ", 100_000)
        ),
        format!("(loop (local.set 1 {float}) {table})"),
        format!(
            "(block {} drop)",
            many(
                &format!(
                    "(if (i32.const 0) (then (local.set 1 {float}))) (br_if 0 (i32.const 0)) "
                ),
                3000
            )
            .as_str()
            .to_owned()
                + float
        ),
        many("loop ", 900) + float + " drop " + &many("end ", 900),
    ];
    for body in shapes {
        let text = format!("(module (func (param f64) {locals} {body}))");
        let wasm = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
        Validator::new().validate_all(&rewritten(&wasm)).unwrap();
    }
}

#[test]
fn what_becomes_too_large_is_refused() {
    let message = |text: &str| {
        let wasm = wat::parse_str(text).unwrap();
        canonicalize(&wasm, Kind::CoreModule)
            .unwrap_err()
            .to_string()
    };
    let body = "f64.sqrt f64.neg ".repeat(150_000);
    let large = message(&format!(
        "(module (func (param f64) (result f64) local.get 0 {body}))"
    ));
    assert!(
        large.contains("bytes once its NaNs are made canonical"),
        "{large}"
    );
    let locals = "(local f32)".repeat(49_999);
    let many = message(&format!(
        "(module (func (param f64) (result f64) {locals} (f64.sqrt (local.get 0))))"
    ));
    assert!(many.contains("has 50000 locals"), "{many}");
}

#[test]
fn random_code_comes_to_what_the_reference_comes_to() {
    let (ours, reference) = (ours(), reference());
    let mut would_differ = 0;
    let (mut made, mut canonical) = (0, 0);
    for seed in 0..400 {
        let text = Code::generate(seed);
        let wasm = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let wanted = memory_after(&reference, &wasm);
        let found = memory_after(&ours, &rewritten(&wasm));
        assert!(found == wanted, "seed {seed}\n{text}");
        would_differ += usize::from(memory_after(&ours, &wasm) != wanted);
        made += arithmetic(&wasm);
        canonical += points(&text);
    }
    // Else the code has no NaN that could show.
    assert!(would_differ > 100, "only {would_differ} of 400");
    assert!(
        canonical * 4 < made * 3,
        "{canonical} of {made} made canonical"
    );
}

/// How many instructions can make a NaN.
fn arithmetic(wasm: &[u8]) -> usize {
    let bodies = Parser::new(0)
        .parse_all(wasm)
        .filter_map(|payload| match payload.unwrap() {
            wasmparser::Payload::CodeSectionEntry(body) => Some(body),
            _ => None,
        });
    let operators = bodies.flat_map(|body| body.get_operators_reader().unwrap());
    operators
        .filter(|operator| effect(operator.as_ref().unwrap()).makes.is_some())
        .count()
}

/// Types of the values that random code works with.
#[derive(Clone, Copy, PartialEq)]
enum Ty {
    Single,
    Double,
    Vector,
    Integer,
}

impl Ty {
    const ALL: [Self; 4] = [Self::Single, Self::Double, Self::Vector, Self::Integer];

    fn name(self) -> &'static str {
        ["f32", "f64", "v128", "i32"][self as usize]
    }
}

/// Locals of each type; the first of the floating-point ones are parameters.
const LOCALS: u32 = 4;
/// Bytes of memory that the code uses.
const BYTES: u32 = 256;

/// Writes random code: one function that works on its locals and the memory.
struct Code {
    random: ChaCha12Rng,
    loops: usize,
    /// Blocks that are open, by their numbers.
    open: Vec<usize>,
    blocks: usize,
}

impl Code {
    fn generate(seed: u64) -> String {
        let mut code = Self {
            random: ChaCha12Rng::seed_from_u64(seed),
            loops: 0,
            open: Vec::new(),
            blocks: 0,
        };
        let body = code.statements(12, 2);
        let data: String = (0..BYTES)
            .map(|_| format!("\\{:02x}", code.byte()))
            .collect();
        let locals = Ty::ALL.map(|ty| {
            let first = u32::from(matches!(ty, Ty::Single | Ty::Double));
            let local = |n| format!("(local ${}_{n} {})", ty.name(), ty.name());
            (first..LOCALS).map(local).collect::<String>()
        });
        let counters: String = (0..code.loops)
            .map(|n| format!("(local $loop_{n} i32)"))
            .collect();
        format!(
            "(module (memory (export \"memory\") 1) (data (i32.const 0) \"{data}\")
             (global $f32 (mut f32) (f32.const 0)) (global $f64 (mut f64) (f64.const 0))
             (global $v128 (mut v128) (v128.const i64x2 0 0)) (global $i32 (mut i32) (i32.const 0))
             (func $f32 (param f32) (result f32) (f32.mul (local.get 0) (f32.const 2)))
             (func $f64 (param f64) (result f64) (f64.store (i32.const 8) (local.get 0)) (local.get 0))
             (func $v128 (param v128) (result v128) (f64x2.add (local.get 0) (local.get 0)))
             (func $i32 (param i32) (result i32) (local.get 0))
             (func (export \"run\") (param $f32_0 f32) (param $f64_0 f64) {} {counters}
             {body}))",
            locals.concat()
        )
    }

    fn below(&mut self, n: u32) -> u32 {
        self.random.next_u32() % n
    }

    /// Often such that four or eight of them are a NaN.
    fn byte(&mut self) -> u32 {
        match self.below(3) {
            0 => 0xff,
            1 => 0x7f + self.below(2),
            _ => self.below(256),
        }
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u32) as usize]
    }

    fn local(&mut self, ty: Ty) -> String {
        format!("${}_{}", ty.name(), self.below(LOCALS))
    }

    fn address(&mut self) -> String {
        format!("(i32.const {})", self.below(BYTES / 16) * 16)
    }

    fn ty(&mut self) -> Ty {
        Ty::ALL[self.below(4) as usize]
    }

    fn statements(&mut self, count: u32, depth: u32) -> String {
        let mut text = String::new();
        for _ in 0..1 + self.below(count) {
            let ty = self.ty();
            let value = self.value(ty, 4);
            // Writing to a string cannot fail.
            let _ = match self.below(11) {
                0 if depth > 0 => writeln!(text, "{}", self.looped(depth)),
                1 if depth > 0 => {
                    let (condition, body) =
                        (self.value(Ty::Integer, 3), self.statements(4, depth - 1));
                    let other = self.statements(4, depth - 1);
                    let other = match self.below(2) {
                        0 => String::new(),
                        _ => format!("(else {other})"),
                    };
                    writeln!(text, "(if {condition} (then {body}) {other})")
                }
                8 if depth > 0 => {
                    let block = self.blocks;
                    self.blocks += 1;
                    self.open.push(block);
                    let body = self.statements(6, depth - 1);
                    self.open.pop();
                    writeln!(text, "(block $b{block} {body})")
                }
                9 if !self.open.is_empty() => writeln!(text, "{}", self.jump()),
                2 | 3 => {
                    let address = self.address();
                    let name = ty.name();
                    writeln!(text, "({name}.store {address} {value})")
                }
                4 => writeln!(text, "(drop {value})"),
                10 if self.below(4) == 0 => {
                    let condition = self.value(Ty::Integer, 2);
                    let end = self.pick(&["(return)", "(unreachable)", "(br 0)"]);
                    let never = "(i32.and (i32.const 0) ";
                    match end {
                        "(return)" => writeln!(text, "(if {condition} (then {end}))"),
                        _ => writeln!(text, "(if {never} {condition}) (then {end}))"),
                    }
                }
                10 => {
                    let name = ty.name();
                    writeln!(text, "(global.set ${name} {value})")
                }
                _ => writeln!(text, "(local.set {} {value})", self.local(ty)),
            };
        }
        text
    }

    /// A loop of a few turns, of which some may be cut short.
    fn looped(&mut self, depth: u32) -> String {
        let number = self.loops;
        self.loops += 1;
        let counter = format!("$loop_{number}");
        let again = format!(
            "(i32.gt_s (local.tee {counter} (i32.sub (local.get {counter}) (i32.const 1))) (i32.const 0))"
        );
        let turns = 1 + self.below(4);
        let (first, second) = (self.statements(4, depth - 1), self.statements(3, depth - 1));
        let condition = self.value(Ty::Integer, 2);
        format!(
            "(local.set {counter} (i32.const {turns}))
             (loop $l{number} {first}
             (br_if $l{number} (if (result i32) {condition} (then {again}) (else (i32.const 0))))
             {second} (br_if $l{number} {again}))"
        )
    }

    /// A jump out of an open block.
    fn jump(&mut self) -> String {
        let condition = self.value(Ty::Integer, 2);
        let mut block = || self.open[self.random.next_u32() as usize % self.open.len()];
        let (a, b) = (block(), block());
        match self.below(4) {
            0 => format!("(br $b{a})"),
            1 => format!("(br_table $b{a} $b{b} {condition})"),
            _ => format!("(br_if $b{a} {condition})"),
        }
    }

    fn value(&mut self, ty: Ty, depth: u32) -> String {
        let name = ty.name();
        match self.below(if depth == 0 { 3 } else { 18 }) {
            0 => self.constant(ty),
            1 => format!("(local.get {})", self.local(ty)),
            2 => format!("({name}.load {})", self.address()),
            3 => {
                let value = self.value(ty, depth - 1);
                format!("(local.tee {} {value})", self.local(ty))
            }
            4 => {
                let (a, b) = (self.value(ty, depth - 1), self.value(ty, depth - 1));
                let condition = self.value(Ty::Integer, depth - 1);
                let result = if ty == Ty::Vector {
                    "(result v128)"
                } else {
                    ""
                };
                format!("(select {result} {a} {b} {condition})")
            }
            5 => {
                let condition = self.value(Ty::Integer, depth - 1);
                let (a, b) = (self.value(ty, depth - 1), self.value(ty, depth - 1));
                format!("(if (result {name}) {condition} (then {a}) (else {b}))")
            }
            6 => self.other(ty, depth - 1),
            7 => format!("(call ${name} {})", self.value(ty, depth - 1)),
            8 => format!("(global.get ${name})"),
            9 => {
                let (a, b) = (self.value(ty, depth - 1), self.value(ty, depth - 1));
                let local = self.local(ty);
                format!("(block (result {name}) {a} {b} (local.set {local}))")
            }
            _ => self.operation(ty, depth - 1),
        }
    }

    fn constant(&mut self, ty: Ty) -> String {
        let float = |code: &mut Self| {
            code.pick(&[
                "0",
                "-0",
                "1.5",
                "inf",
                "-inf",
                "nan",
                "-nan",
                "nan:0x12345",
                "-7",
            ])
        };
        match ty {
            Ty::Single => format!("(f32.const {})", float(self)),
            Ty::Double => format!("(f64.const {})", float(self)),
            Ty::Integer => format!("(i32.const {})", self.below(3)),
            Ty::Vector => match self.below(3) {
                0 => "(v128.const i64x2 0 0)".to_owned(),
                1 => format!("(v128.const f64x2 {} {})", float(self), float(self)),
                _ => format!("(v128.const f32x4 {} 1 {} 0)", float(self), float(self)),
            },
        }
    }

    /// What takes or gives another type.
    fn other(&mut self, ty: Ty, depth: u32) -> String {
        let (names, of): (&[&str], Ty) = match (ty, self.below(3)) {
            (Ty::Single, 0) => (&["f32.demote_f64"], Ty::Double),
            (Ty::Single, 1) => (&["f32x4.extract_lane 2"], Ty::Vector),
            (Ty::Single, _) => (
                &[
                    "f32.reinterpret_i32",
                    "f32.convert_i32_s",
                    "f32.convert_i32_u",
                ],
                Ty::Integer,
            ),
            (Ty::Double, 0) => (&["f64.promote_f32"], Ty::Single),
            (Ty::Double, 1) => (&["f64x2.extract_lane 1"], Ty::Vector),
            (Ty::Double, _) => (&["f64.convert_i32_s", "f64.convert_i32_u"], Ty::Integer),
            (Ty::Vector, 0) => (
                &["f32x4.splat", "f32x4.replace_lane 3 (local.get $v128_2)"],
                Ty::Single,
            ),
            (Ty::Vector, 1) => (
                &["f64x2.splat", "f64x2.replace_lane 0 (local.get $v128_1)"],
                Ty::Double,
            ),
            (Ty::Vector, _) => (&["i32x4.splat"], Ty::Integer),
            (Ty::Integer, 0) => (
                &[
                    "i32.reinterpret_f32",
                    "i32.trunc_sat_f32_s",
                    "i32.trunc_sat_f32_u",
                ],
                Ty::Single,
            ),
            (Ty::Integer, 1) => (&["i32.trunc_sat_f64_s", "i32.trunc_sat_f64_u"], Ty::Double),
            (Ty::Integer, _) => (&["v128.any_true", "i32x4.extract_lane 3"], Ty::Vector),
        };
        format!("({} {})", self.pick(names), self.value(of, depth))
    }

    fn operation(&mut self, ty: Ty, depth: u32) -> String {
        const UNARY: [&str; 7] = ["sqrt", "ceil", "floor", "trunc", "nearest", "neg", "abs"];
        const BINARY: [&str; 6] = ["add", "sub", "mul", "div", "min", "max"];
        const COMPARE: [&str; 6] = ["eq", "ne", "lt", "gt", "le", "ge"];
        let lanes = match ty {
            Ty::Vector => self.pick(&["f32x4", "f64x2"]),
            Ty::Integer => self.pick(&["f32", "f64"]),
            Ty::Single | Ty::Double => ty.name(),
        };
        if ty == Ty::Integer {
            let of = if lanes == "f32" {
                Ty::Single
            } else {
                Ty::Double
            };
            let (a, b) = (self.value(of, depth), self.value(of, depth));
            return format!("({lanes}.{} {a} {b})", self.pick(&COMPARE));
        }
        let (a, b) = (self.value(ty, depth), self.value(ty, depth));
        match (self.below(8), ty) {
            (0, _) => format!("({lanes}.{} {a})", self.pick(&UNARY)),
            (1, Ty::Single | Ty::Double) => format!("({lanes}.copysign {a} {b})"),
            (1, _) => format!(
                "({lanes}.{} {a} {b})",
                self.pick(&["pmin", "pmax", "eq", "lt"])
            ),
            (2, Ty::Vector) => {
                let names = [
                    "i8x16.shuffle 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 (local.get $v128_0)",
                    "i8x16.shuffle 4 5 6 7 0 1 2 3 16 17 18 19 8 9 10 11 (local.get $v128_1)",
                    "i8x16.shuffle 1 2 3 4 0 1 2 3 16 17 18 19 8 9 10 11 (local.get $v128_2)",
                    "f64x2.promote_low_f32x4",
                    "f32x4.demote_f64x2_zero",
                    "i32x4.trunc_sat_f32x4_s",
                    "i32x4.trunc_sat_f64x2_u_zero",
                    "v128.not",
                    "f64x2.convert_low_i32x4_s",
                ];
                format!("({} {a})", self.pick(&names))
            }
            (3, Ty::Vector) => format!(
                "({} {a} {b})",
                self.pick(&["v128.xor", "i64x2.add", "i8x16.swizzle"])
            ),
            (4, Ty::Vector) => {
                let c = self.value(ty, depth);
                let name = self.pick(&["relaxed_madd", "relaxed_nmadd"]);
                format!("({lanes}.{name} {a} {b} {c})")
            }
            (5, Ty::Vector) => {
                format!(
                    "({lanes}.{} {a} {b})",
                    self.pick(&["relaxed_min", "relaxed_max"])
                )
            }
            _ => format!("({lanes}.{} {a} {b})", self.pick(&BINARY)),
        }
    }
}
