//! Finds where a function's values have to be made canonical.
//!
//! One pass over the function, with a symbolic operand stack and [`Locals`], finds
//! out who makes values, who takes them, and through which places they go. Then a
//! place is loose if all that it gets is: a fixed point, from the assumption that
//! all are.

use wasmparser::{
    FuncToValidate, FuncValidator, FuncValidatorAllocations, FunctionBody, Operator, ValType,
    ValidatorResources, WasmModuleResources,
};

use super::Result;
use super::locals::{Locals, Place, Places, Value};
use super::operators::{Forms, Lanes, Through, effect, passes, without_nan};

/// Where values are made canonical: after which byte, and in which form. In order.
pub(super) type Points = Vec<(usize, Lanes)>;

/// The points of a function, and the number of its locals.
pub(super) fn points(
    function: FuncToValidate<ValidatorResources>,
    body: &FunctionBody<'_>,
    allocations: FuncValidatorAllocations,
    budget: usize,
) -> Result<(Points, u32, FuncValidatorAllocations)> {
    let mut validator = function.into_validator(allocations);
    let analysis = Analysis::run(&mut validator, body, budget)?;
    let points = match analysis {
        Some(analysis) => analysis.points(),
        None => all_points(body)?,
    };
    let locals = validator.len_locals();
    Ok((points, locals, validator.into_allocations()))
}

/// The points of a function that cannot be followed: after everything that makes a
/// NaN.
fn all_points(body: &FunctionBody<'_>) -> Result<Points> {
    let mut points = Vec::new();
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let effect = effect(&operators.read()?);
        points.extend(
            effect
                .makes
                .map(|lanes| (operators.original_position(), lanes)),
        );
    }
    Ok(points)
}

/// An instruction that gives a value that may be loose.
#[derive(Debug)]
struct Maker {
    origin: Origin,
    /// The instruction that made the value, where this one took it from a local.
    copy_of: Option<usize>,
    /// Where the instruction ends.
    end: usize,
    /// The straight piece of code that it is in.
    piece: usize,
    /// The forms in which arithmetic takes the value.
    taken_as: Forms,
    /// Whether anything else takes it.
    is_seen: bool,
}

/// What a value is loose by.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Arithmetic(Lanes),
    /// Where the place is.
    Place(usize),
}

/// What is known of a function.
struct Analysis {
    makers: Vec<Maker>,
    places: Places,
    stack: Vec<Value>,
    locals: Locals,
    /// For each local, its number among those of floating-point numbers.
    numbers: Vec<Option<usize>>,
    /// Counts straight pieces of code.
    piece: usize,
    /// How many values at the bottom of the stack are known to be exact.
    exact: usize,
}

/// Most values that are copied to follow one function.
pub(super) const BUDGET: usize = 1 << 21;

impl Analysis {
    /// Nothing where the function cannot be followed: it is too large, or jumps in
    /// ways that are not known here.
    fn run<T: WasmModuleResources>(
        validator: &mut FuncValidator<T>,
        body: &FunctionBody<'_>,
        budget: usize,
    ) -> Result<Option<Self>> {
        let parameters = validator.len_locals();
        validator.read_locals(&mut body.get_binary_reader())?;
        let mut analysis = Self::new(validator, parameters, budget);
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let at = operators.original_position();
            let operator = operators.read()?;
            let arity = operator.operator_arity(&validator.visitor(at));
            if !analysis.step(&operator, arity, operators.original_position()) {
                return Ok(None);
            }
            validator.op(at, &operator)?;
            // Where code cannot be reached, the stack can be anything.
            let height = validator.operand_stack_height() as usize;
            analysis.stack.resize(height, Value::Exact);
            analysis.exact = analysis.exact.min(height);
        }
        Ok(Some(analysis))
    }

    fn new<T: WasmModuleResources>(
        validator: &FuncValidator<T>,
        parameters: u32,
        budget: usize,
    ) -> Self {
        let mut values = Vec::new();
        let mut number = |local: u32| {
            let ty = validator.get_local_type(local);
            let is_float = matches!(ty, Some(ValType::F32 | ValType::F64 | ValType::V128));
            is_float.then(|| {
                values.push(match local < parameters {
                    true => Value::Exact,
                    // It is zero.
                    false => Value::WithoutNan(Forms::ALL),
                });
                values.len() - 1
            })
        };
        let numbers = (0..validator.len_locals()).map(&mut number).collect();
        Self {
            makers: Vec::new(),
            places: Places::default(),
            stack: Vec::new(),
            locals: Locals::new(values, budget),
            numbers,
            piece: 0,
            exact: 0,
        }
    }

    /// Goes on by an instruction. Says whether it can be followed.
    fn step(&mut self, operator: &Operator<'_>, arity: Option<(u32, u32)>, end: usize) -> bool {
        if !self.locals.is_reached() {
            // What is never done makes nothing. Blocks are followed all the same.
            self.jump(operator);
            return !is_unknown_jump(operator);
        }
        let number = |local: u32| self.numbers.get(local as usize).copied().flatten();
        match *operator {
            Operator::LocalGet { local_index } if let Some(local) = number(local_index) => {
                let value = self.take_from(local, end);
                self.stack.push(value);
            }
            Operator::LocalSet { local_index } if let Some(local) = number(local_index) => {
                let value = self.pop();
                self.locals.set(local, value);
            }
            Operator::LocalTee { local_index } if let Some(local) = number(local_index) => {
                let value = self.pop();
                self.locals.set(local, value);
                self.stack.push(value);
            }
            Operator::Drop => drop(self.pop()),
            _ => match self.jump(operator) {
                // What is on the stack is not followed from one block to the next.
                true => {
                    self.piece += 1;
                    for at in self.exact.min(self.stack.len())..self.stack.len() {
                        self.see(self.stack[at]);
                        self.stack[at] = Value::Exact;
                    }
                    self.exact = self.stack.len();
                }
                false => {
                    let known = arity.filter(|_| !is_unknown_jump(operator));
                    let Some((takes, gives)) = known else {
                        return false;
                    };
                    self.other(operator, takes, gives, end);
                }
            },
        }
        !self.locals.are_too_many()
    }

    /// Follows an instruction that enters or leaves a block; says whether it is
    /// one.
    fn jump(&mut self, operator: &Operator<'_>) -> bool {
        let Self { locals, places, .. } = self;
        match operator {
            Operator::Block { .. } => locals.block(),
            Operator::Loop { .. } => locals.begin_loop(places),
            Operator::If { .. } => locals.begin_if(),
            Operator::Else => locals.begin_else(places),
            Operator::End => locals.end(places),
            Operator::Br { relative_depth } => {
                locals.branch(*relative_depth, places);
                locals.stop();
            }
            Operator::BrIf { relative_depth } => locals.branch(*relative_depth, places),
            Operator::BrTable { targets } => {
                let mut depths: Vec<_> = targets.targets().flatten().collect();
                depths.push(targets.default());
                depths.sort_unstable();
                depths.dedup();
                for depth in depths {
                    locals.branch(depth, places);
                }
                locals.stop();
            }
            Operator::Return | Operator::Unreachable => locals.stop(),
            _ => return false,
        }
        true
    }

    fn pop(&mut self) -> Value {
        let value = self.stack.pop().unwrap_or(Value::Exact);
        self.exact = self.exact.min(self.stack.len());
        value
    }

    fn take_from(&mut self, local: usize, end: usize) -> Value {
        match self.locals.get(local) {
            Value::Made(index) if self.makers[index].piece == self.piece => Value::Made(index),
            // It may be taken less often than it is made.
            Value::Made(index) => {
                let origin = self.makers[index].origin;
                self.make(origin, Some(index), end)
            }
            Value::Held(place) => self.make(Origin::Place(place), None, end),
            value @ (Value::Exact | Value::WithoutNan(_)) => value,
        }
    }

    fn make(&mut self, origin: Origin, copy_of: Option<usize>, end: usize) -> Value {
        self.makers.push(Maker {
            origin,
            copy_of,
            end,
            piece: self.piece,
            taken_as: Forms::default(),
            is_seen: false,
        });
        Value::Made(self.makers.len() - 1)
    }

    fn see(&mut self, value: Value) {
        if let Value::Made(index) = value {
            self.makers[index].is_seen = true;
        }
    }

    /// Any other instruction.
    fn other(&mut self, operator: &Operator<'_>, takes: u32, gives: u32, end: usize) {
        let kept = self.stack.len().saturating_sub(takes as usize);
        let taken = self.stack.split_off(kept);
        self.exact = self.exact.min(kept);
        let passes = passes(operator);
        let is_made = |value: &Value| matches!(value, Value::Made(_));
        if taken.len() == passes.len() && taken.iter().any(is_made) {
            let passed = taken.iter().zip(passes);
            let gets = passed.filter_map(|(value, through)| Some((*value, (*through)?)));
            let place = self.places.add(gets.collect());
            let value = self.make(Origin::Place(place), None, end);
            self.stack.push(value);
            return;
        }
        let effect = effect(operator);
        for value in taken {
            match (effect.takes, value) {
                (Some(lanes), Value::Made(index)) => {
                    let maker = &mut self.makers[index];
                    maker.taken_as = maker.taken_as.with(lanes);
                }
                _ => self.see(value),
            }
        }
        match effect.makes {
            Some(lanes) => {
                let value = self.make(Origin::Arithmetic(lanes), None, end);
                self.stack.push(value);
            }
            None => {
                let forms = without_nan(operator);
                let value = match forms.is_empty() {
                    true => Value::Exact,
                    false => Value::WithoutNan(forms),
                };
                self.stack.extend((0..gives).map(|_| value));
            }
        }
    }

    fn points(mut self) -> Points {
        let places = std::mem::take(&mut self.places);
        let loose = Loose::find(&self.makers, places.all());
        for place in loose.not_loose(places.all()) {
            // A place that is not loose shows what it gets.
            place.gets.iter().for_each(|(value, _)| self.see(*value));
        }
        let mut canonical = vec![false; self.makers.len()];
        let mut points = Vec::new();
        for (index, maker) in self.makers.iter().enumerate() {
            let Some(lanes) = loose.lanes(maker.origin) else {
                continue;
            };
            canonical[index] = maker.copy_of.is_some_and(|of| canonical[of]);
            // Read in another form, a NaN is something else.
            let is_seen = maker.is_seen || maker.taken_as.has_other_than(lanes);
            if is_seen && !canonical[index] {
                canonical[index] = true;
                points.push((maker.end, lanes));
            }
        }
        points
    }
}

/// Whether an instruction jumps in a way that is not followed.
const fn is_unknown_jump(operator: &Operator<'_>) -> bool {
    use Operator as Op;
    matches!(
        operator,
        Op::TryTable { .. }
            | Op::Try { .. }
            | Op::Catch { .. }
            | Op::CatchAll
            | Op::Delegate { .. }
            | Op::Rethrow { .. }
            | Op::Throw { .. }
            | Op::ThrowRef
            | Op::BrOnNull { .. }
            | Op::BrOnNonNull { .. }
            | Op::BrOnCast { .. }
            | Op::BrOnCastFail { .. }
            | Op::BrOnCastDescEq { .. }
            | Op::BrOnCastDescEqFail { .. }
            | Op::ReturnCall { .. }
            | Op::ReturnCallIndirect { .. }
            | Op::ReturnCallRef { .. }
            | Op::Resume { .. }
            | Op::ResumeThrow { .. }
            | Op::ResumeThrowRef { .. }
            | Op::Switch { .. }
    )
}

/// Which places are loose, and in which form.
struct Loose {
    forms: Vec<Option<Lanes>>,
    /// The forms in which a place never holds a NaN.
    without_nan: Vec<Forms>,
    /// Whether somebody takes the value of a place.
    is_used: Vec<bool>,
}

impl Loose {
    fn find(makers: &[Maker], places: &[Place]) -> Self {
        let is_used = used(makers, places);
        let mut loose = Self {
            forms: vec![None; places.len()],
            without_nan: vec![Forms::ALL; places.len()],
            is_used,
        };
        let ways = ways(makers, places);
        loose.find_without_nan(makers, places, &ways);
        loose.assume(makers, places, &ways);
        loose.withdraw(makers, places, &ways);
        loose
    }

    fn lanes(&self, origin: Origin) -> Option<Lanes> {
        match origin {
            Origin::Arithmetic(lanes) => Some(lanes),
            Origin::Place(place) => self.forms[place],
        }
    }

    /// Places whose value is taken, and is exact.
    fn not_loose<'a>(&self, places: &'a [Place]) -> impl Iterator<Item = &'a Place> {
        let not_loose = |at: usize| self.is_used[at] && self.forms[at].is_none();
        let places = places.iter().zip(0..);
        places.filter_map(move |(place, at)| not_loose(at).then_some(place))
    }

    /// The form that a place takes on by a value that it gets.
    fn form_by(&self, makers: &[Maker], value: Value, through: Through) -> Option<Lanes> {
        let of_value = match value {
            Value::Made(index) => self.lanes(makers[index].origin),
            Value::Held(place) => self.forms[place],
            Value::Exact | Value::WithoutNan(_) => None,
        };
        of_value.and_then(|lanes| through.form(lanes))
    }

    /// The forms in which a place holds no NaN by a value that it gets.
    fn without_nan_by(&self, makers: &[Maker], value: Value, through: Through) -> Forms {
        let of_value = match value {
            Value::Exact => Forms::default(),
            Value::WithoutNan(forms) => forms,
            Value::Held(place) => self.without_nan[place],
            Value::Made(index) => match makers[index].origin {
                Origin::Arithmetic(_) => Forms::default(),
                Origin::Place(place) => self.without_nan[place],
            },
        };
        through.forms(of_value)
    }

    /// From the assumption that none has a NaN. What a place loses, those lose that
    /// get its value: each is looked at once for each form.
    fn find_without_nan(&mut self, makers: &[Maker], places: &[Place], ways: &Ways) {
        let mut lost: Vec<usize> = Vec::new();
        for (place, at) in places.iter().zip(0..) {
            let gets = place.gets.iter();
            let forms = gets.map(|(value, through)| self.without_nan_by(makers, *value, *through));
            self.without_nan[at] = forms.fold(self.without_nan[at], Forms::and);
            if self.without_nan[at] != Forms::ALL {
                lost.push(at);
            }
        }
        while let Some(from) = lost.pop() {
            for (to, through) in &ways[from] {
                let forms = through.forms(self.without_nan[from]);
                let left = self.without_nan[*to].and(forms);
                if left != self.without_nan[*to] {
                    self.without_nan[*to] = left;
                    lost.push(*to);
                }
            }
        }
    }

    /// Assumes that all places are loose that get some loose value.
    fn assume(&mut self, makers: &[Maker], places: &[Place], ways: &Ways) {
        let mut found: Vec<usize> = Vec::new();
        for (place, at) in places.iter().zip(0..) {
            if self.is_used[at] {
                let gets = place.gets.iter();
                let mut forms =
                    gets.filter_map(|(value, through)| self.form_by(makers, *value, *through));
                self.forms[at] = forms.next();
                found.extend(self.forms[at].map(|_| at));
            }
        }
        while let Some(from) = found.pop() {
            for (to, through) in &ways[from] {
                if self.is_used[*to] && self.forms[*to].is_none() {
                    self.forms[*to] = self.forms[from].and_then(|lanes| through.form(lanes));
                    found.extend(self.forms[*to].map(|_| *to));
                }
            }
        }
    }

    /// Withdraws that where a place gets something else, too.
    fn withdraw(&mut self, makers: &[Maker], places: &[Place], ways: &Ways) {
        let fits = |place: &Place, form: Lanes| {
            place.gets.iter().all(|(value, through)| {
                let (value, through) = (*value, *through);
                self.form_by(makers, value, through) == Some(form)
                    || self.without_nan_by(makers, value, through).contains(form)
            })
        };
        let mut exact: Vec<(usize, bool)> = Vec::new();
        for (place, at) in places.iter().zip(0..).filter(|(_, at)| self.is_used[*at]) {
            match self.forms[at] {
                Some(form) if fits(place, form) => {}
                form => exact.push((at, form.is_some())),
            }
        }
        for (at, _) in &exact {
            self.forms[*at] = None;
        }
        while let Some((at, seemed_loose)) = exact.pop() {
            // Who gets the value of a place that only seemed loose is not, either.
            for (to, _) in ways[at].iter().filter(|_| seemed_loose) {
                if self.forms[*to].take().is_some() {
                    exact.push((*to, true));
                }
            }
            // What goes from local to local cannot be made canonical on its way: the
            // place that it comes from must be exact, too.
            for (value, _) in &places[at].gets {
                if let Value::Held(from) = value
                    && self.forms[*from].take().is_some()
                {
                    exact.push((*from, true));
                }
            }
        }
    }
}

/// For each place, those that get its value, and how.
type Ways = Vec<Vec<(usize, Through)>>;

fn ways(makers: &[Maker], places: &[Place]) -> Ways {
    let mut ways = vec![Vec::new(); places.len()];
    for (place, to) in places.iter().zip(0..) {
        for (value, through) in &place.gets {
            match value {
                Value::Held(from) => ways[*from].push((to, *through)),
                Value::Made(index) => {
                    if let Origin::Place(from) = makers[*index].origin {
                        ways[from].push((to, *through));
                    }
                }
                Value::Exact | Value::WithoutNan(_) => {}
            }
        }
    }
    ways
}

/// Which places an instruction takes the value of, itself or by way of others.
fn used(makers: &[Maker], places: &[Place]) -> Vec<bool> {
    let mut is_used = vec![false; places.len()];
    let mut found: Vec<usize> = makers
        .iter()
        .filter_map(|maker| match maker.origin {
            Origin::Place(place) => Some(place),
            Origin::Arithmetic(_) => None,
        })
        .collect();
    while let Some(at) = found.pop() {
        if !std::mem::replace(&mut is_used[at], true) {
            let held = places[at].gets.iter().filter_map(|(value, _)| match value {
                Value::Held(from) => Some(*from),
                Value::Exact | Value::WithoutNan(_) | Value::Made(_) => None,
            });
            found.extend(held);
        }
    }
    is_used
}
