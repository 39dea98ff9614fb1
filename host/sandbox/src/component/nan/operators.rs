//! What instructions do with floating-point numbers.

use wasmparser::Operator;

/// How a value holds floating-point numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lanes {
    F32,
    F64,
    F32x4,
    F64x2,
}

/// Some of [`Lanes`], as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Forms(u8);

impl Forms {
    /// All of them.
    pub(super) const ALL: Self = Self(0b1111);

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn with(self, lanes: Lanes) -> Self {
        Self(self.0 | 1 << lanes as u8)
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn contains(self, lanes: Lanes) -> bool {
        self.0 & 1 << lanes as u8 != 0
    }

    pub(super) fn all(self) -> impl Iterator<Item = Lanes> {
        let all = [Lanes::F32, Lanes::F64, Lanes::F32x4, Lanes::F64x2];
        all.into_iter().filter(move |lanes| self.contains(*lanes))
    }

    /// Whether there is one beside `lanes`.
    pub(super) const fn has_other_than(self, lanes: Lanes) -> bool {
        self.0 & !(1 << lanes as u8) != 0
    }
}

/// What an instruction does with floating-point numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Effect {
    /// It takes values of this form, and comes to the same whatever NaN is in
    /// them.
    pub(super) takes: Option<Lanes>,
    /// It makes a value of this form, whose NaN may be any.
    pub(super) makes: Option<Lanes>,
}

/// What an instruction does. An instruction that is not listed looks at bits, and
/// makes none of its own.
pub(super) fn effect(operator: &Operator<'_>) -> Effect {
    use Lanes::{F32, F32x4, F64, F64x2};
    use Operator as Op;
    let arithmetic = |lanes| Effect {
        takes: Some(lanes),
        makes: Some(lanes),
    };
    let convert = |takes, makes| Effect {
        takes: Some(takes),
        makes: Some(makes),
    };
    let take = |lanes| Effect {
        takes: Some(lanes),
        makes: None,
    };
    match operator {
        Op::F32Add
        | Op::F32Sub
        | Op::F32Mul
        | Op::F32Div
        | Op::F32Min
        | Op::F32Max
        | Op::F32Sqrt
        | Op::F32Ceil
        | Op::F32Floor
        | Op::F32Trunc
        | Op::F32Nearest => arithmetic(F32),
        Op::F64Add
        | Op::F64Sub
        | Op::F64Mul
        | Op::F64Div
        | Op::F64Min
        | Op::F64Max
        | Op::F64Sqrt
        | Op::F64Ceil
        | Op::F64Floor
        | Op::F64Trunc
        | Op::F64Nearest => arithmetic(F64),
        Op::F32x4Add
        | Op::F32x4Sub
        | Op::F32x4Mul
        | Op::F32x4Div
        | Op::F32x4Min
        | Op::F32x4Max
        | Op::F32x4Sqrt
        | Op::F32x4Ceil
        | Op::F32x4Floor
        | Op::F32x4Trunc
        | Op::F32x4Nearest
        | Op::F32x4RelaxedMadd
        | Op::F32x4RelaxedNmadd
        | Op::F32x4RelaxedMin
        | Op::F32x4RelaxedMax => arithmetic(F32x4),
        Op::F64x2Add
        | Op::F64x2Sub
        | Op::F64x2Mul
        | Op::F64x2Div
        | Op::F64x2Min
        | Op::F64x2Max
        | Op::F64x2Sqrt
        | Op::F64x2Ceil
        | Op::F64x2Floor
        | Op::F64x2Trunc
        | Op::F64x2Nearest
        | Op::F64x2RelaxedMadd
        | Op::F64x2RelaxedNmadd
        | Op::F64x2RelaxedMin
        | Op::F64x2RelaxedMax => arithmetic(F64x2),
        Op::F32DemoteF64 => convert(F64, F32),
        Op::F64PromoteF32 => convert(F32, F64),
        Op::F32x4DemoteF64x2Zero => convert(F64x2, F32x4),
        Op::F64x2PromoteLowF32x4 => convert(F32x4, F64x2),
        Op::F32Eq
        | Op::F32Ne
        | Op::F32Lt
        | Op::F32Gt
        | Op::F32Le
        | Op::F32Ge
        | Op::I32TruncF32S
        | Op::I32TruncF32U
        | Op::I64TruncF32S
        | Op::I64TruncF32U
        | Op::I32TruncSatF32S
        | Op::I32TruncSatF32U
        | Op::I64TruncSatF32S
        | Op::I64TruncSatF32U => take(F32),
        Op::F64Eq
        | Op::F64Ne
        | Op::F64Lt
        | Op::F64Gt
        | Op::F64Le
        | Op::F64Ge
        | Op::I32TruncF64S
        | Op::I32TruncF64U
        | Op::I64TruncF64S
        | Op::I64TruncF64U
        | Op::I32TruncSatF64S
        | Op::I32TruncSatF64U
        | Op::I64TruncSatF64S
        | Op::I64TruncSatF64U => take(F64),
        Op::F32x4Eq
        | Op::F32x4Ne
        | Op::F32x4Lt
        | Op::F32x4Gt
        | Op::F32x4Le
        | Op::F32x4Ge
        | Op::I32x4TruncSatF32x4S
        | Op::I32x4TruncSatF32x4U => take(F32x4),
        Op::F64x2Eq
        | Op::F64x2Ne
        | Op::F64x2Lt
        | Op::F64x2Gt
        | Op::F64x2Le
        | Op::F64x2Ge
        | Op::I32x4TruncSatF64x2SZero
        | Op::I32x4TruncSatF64x2UZero => take(F64x2),
        _ => Effect::default(),
    }
}

/// How an operand becomes the result of an instruction that passes it on, bit for
/// bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Through {
    /// As it is, in whatever form.
    Whole,
    /// Lanes of it, read in the first form; they are the result, or some of its
    /// lanes, in the second one.
    Lanes(Lanes, Lanes),
}

impl Through {
    /// The form of the result where the operand has this one.
    pub(super) fn form(self, of_operand: Lanes) -> Option<Lanes> {
        match self {
            Self::Whole => Some(of_operand),
            Self::Lanes(from, to) => (of_operand == from).then_some(to),
        }
    }

    /// The forms of the result where the operand has these.
    pub(super) fn forms(self, of_operand: Forms) -> Forms {
        let forms = of_operand.all().filter_map(|lanes| self.form(lanes));
        forms.fold(Forms::default(), Forms::with)
    }
}

/// What an instruction passes on of its operands; nothing of those that it only
/// looks at, and nothing at all where it does something else.
pub(super) fn passes(operator: &Operator<'_>) -> &'static [Option<Through>] {
    use Lanes::{F32, F32x4, F64, F64x2};
    use Operator as Op;
    use Through::Whole;
    const fn lanes(from: Lanes, to: Lanes) -> Option<Through> {
        Some(Through::Lanes(from, to))
    }
    match operator {
        Op::Select | Op::TypedSelect { .. } => &[Some(Whole), Some(Whole), None],
        Op::F32x4ExtractLane { .. } => const { &[lanes(F32x4, F32)] },
        Op::F64x2ExtractLane { .. } => const { &[lanes(F64x2, F64)] },
        Op::F32x4Splat => const { &[lanes(F32, F32x4)] },
        Op::F64x2Splat => const { &[lanes(F64, F64x2)] },
        Op::F32x4ReplaceLane { .. } => const { &[lanes(F32x4, F32x4), lanes(F32, F32x4)] },
        Op::F64x2ReplaceLane { .. } => const { &[lanes(F64x2, F64x2), lanes(F64, F64x2)] },
        Op::F32x4PMin | Op::F32x4PMax => const { &[lanes(F32x4, F32x4); 2] },
        Op::F64x2PMin | Op::F64x2PMax => const { &[lanes(F64x2, F64x2); 2] },
        Op::I8x16Shuffle { lanes } if moves_whole(lanes, 8) => &[Some(Whole); 2],
        Op::I8x16Shuffle { lanes: bytes } if moves_whole(bytes, 4) => {
            const { &[lanes(F32x4, F32x4); 2] }
        }
        _ => &[],
    }
}

/// Whether a shuffle moves so many bytes together, from and to where such a number
/// is.
fn moves_whole(bytes: &[u8; 16], size: usize) -> bool {
    bytes.chunks_exact(size).all(|lane| {
        let first = usize::from(lane[0]);
        let follows = |(at, byte): (usize, &u8)| usize::from(*byte) == first + at;
        first.is_multiple_of(size) && lane.iter().enumerate().all(follows)
    })
}

/// The forms in which the value of a constant or conversion holds no NaN.
pub(super) fn without_nan(operator: &Operator<'_>) -> Forms {
    use Operator as Op;
    let none = Forms::default();
    match operator {
        Op::F32Const { value } if !f32::from_bits(value.bits()).is_nan() => none.with(Lanes::F32),
        Op::F64Const { value } if !f64::from_bits(value.bits()).is_nan() => none.with(Lanes::F64),
        // Of the constants of vectors, only the one that accumulators begin with.
        Op::V128Const { value } if value.i128() == 0 => none.with(Lanes::F32x4).with(Lanes::F64x2),
        Op::F32ConvertI32S | Op::F32ConvertI32U | Op::F32ConvertI64S | Op::F32ConvertI64U => {
            none.with(Lanes::F32)
        }
        Op::F64ConvertI32S | Op::F64ConvertI32U | Op::F64ConvertI64S | Op::F64ConvertI64U => {
            none.with(Lanes::F64)
        }
        _ => none,
    }
}
