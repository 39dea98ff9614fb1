//! What each local holds, at each point of a function.
//!
//! Toolchains use one local for many things, one after another: what is known of
//! it has to follow the flow of control. Where two ways meet and a local holds
//! different values on them, it holds the value of a *place* then, which gets both.
//! A place that nobody takes a value from does not matter.

use super::operators::Through;

/// A value of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Its bits are the same on every machine.
    Exact,
    /// So are these, and they hold no NaN, read in any of these forms.
    WithoutNan(super::operators::Forms),
    /// What the instruction of this index has made.
    Made(usize),
    /// What a place holds. Only in locals.
    Held(usize),
}

/// What becomes of several values.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    pub(super) gets: Vec<(Value, Through)>,
}

/// All places of a function.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Place>);

impl Places {
    /// A place that gets these values.
    pub(super) fn add(&mut self, gets: Vec<(Value, Through)>) -> usize {
        self.0.push(Place { gets });
        self.0.len() - 1
    }

    fn also_gets(&mut self, place: usize, value: Value) {
        self.0[place].gets.push((value, Through::Whole));
    }

    pub(super) fn all(&self) -> &[Place] {
        &self.0
    }
}

/// What the locals hold where something jumps to.
#[derive(Debug)]
struct Meeting {
    values: Vec<Value>,
    /// The places that were made for this meeting.
    own: Vec<Option<usize>>,
}

impl Meeting {
    fn of(values: &[Value]) -> Self {
        Self {
            values: values.to_vec(),
            own: vec![None; values.len()],
        }
    }

    /// A meeting at which every local has a place: what comes is not known yet.
    fn with_places(values: &[Value], places: &mut Places) -> Self {
        let place = |value: &Value| places.add(vec![(*value, Through::Whole)]);
        let own: Vec<_> = values.iter().map(place).collect();
        Self {
            values: own.iter().map(|place| Value::Held(*place)).collect(),
            own: own.into_iter().map(Some).collect(),
        }
    }

    /// Adds another way to get here.
    fn join(&mut self, values: &[Value], places: &mut Places) {
        let Self { values: met, own } = self;
        for ((met, own), value) in met.iter_mut().zip(own).zip(values) {
            match own {
                Some(place) => places.also_gets(*place, *value),
                None if met == value => {}
                None => {
                    let both = [*met, *value].map(|value| (value, Through::Whole));
                    let place = places.add(both.to_vec());
                    (*met, *own) = (Value::Held(place), Some(place));
                }
            }
        }
    }
}

/// A block that is open.
#[derive(Debug)]
struct Block {
    /// What its label leads to: its beginning, of a loop, else its end.
    label: Option<Meeting>,
    is_loop: bool,
    /// What the locals hold where its condition does not hold, until that is
    /// dealt with.
    otherwise: Option<Vec<Value>>,
    /// Whether it can be entered at all.
    is_entered: bool,
}

/// The locals, as an analysis goes through a function.
#[derive(Debug)]
pub(super) struct Locals {
    /// Nothing where the analysis is at a point that cannot be reached.
    now: Vec<Value>,
    is_reached: bool,
    blocks: Vec<Block>,
    /// How many values may still be copied, which bounds the analysis.
    budget: usize,
}

impl Locals {
    /// At the beginning of a function, which is a block, too.
    pub(super) fn new(now: Vec<Value>, budget: usize) -> Self {
        let mut locals = Self {
            now,
            is_reached: true,
            blocks: Vec::new(),
            budget,
        };
        locals.open(None, false);
        locals
    }

    pub(super) fn get(&self, local: usize) -> Value {
        self.now[local]
    }

    pub(super) fn set(&mut self, local: usize, value: Value) {
        self.now[local] = value;
    }

    /// Whether the function is too large to be followed.
    pub(super) const fn are_too_many(&self) -> bool {
        self.budget == 0
    }

    /// Whether the code can be reached.
    pub(super) const fn is_reached(&self) -> bool {
        self.is_reached
    }

    /// Whether all locals may be copied once more.
    fn pays(&mut self) -> bool {
        self.budget = self.budget.saturating_sub(self.now.len() + 1);
        self.budget > 0
    }

    fn open(&mut self, label: Option<Meeting>, is_loop: bool) {
        self.blocks.push(Block {
            label,
            is_loop,
            otherwise: None,
            is_entered: self.is_reached,
        });
    }

    pub(super) fn block(&mut self) {
        self.open(None, false);
    }

    pub(super) fn begin_loop(&mut self, places: &mut Places) {
        let label = self.pays().then(|| Meeting::with_places(&self.now, places));
        if let Some(label) = &label {
            self.now.clone_from(&label.values);
        }
        self.open(label, true);
    }

    pub(super) fn begin_if(&mut self) {
        self.open(None, false);
        if self.pays()
            && let Some(block) = self.blocks.last_mut()
        {
            block.otherwise = Some(self.now.clone());
        }
    }

    pub(super) fn begin_else(&mut self, places: &mut Places) {
        self.branch(0, places);
        if let Some(block) = self.blocks.last_mut()
            && let Some(otherwise) = block.otherwise.take()
        {
            self.now = otherwise;
            self.is_reached = block.is_entered;
        }
    }

    /// One of the ways on from here leads to a label.
    pub(super) fn branch(&mut self, depth: u32, places: &mut Places) {
        if !self.is_reached || !self.pays() {
            return;
        }
        let at = self.blocks.len().checked_sub(1 + depth as usize);
        if let Some(block) = at.and_then(|at| self.blocks.get_mut(at)) {
            match &mut block.label {
                Some(label) => label.join(&self.now, places),
                None => block.label = Some(Meeting::of(&self.now)),
            }
        }
    }

    /// There is no way on from here.
    pub(super) fn stop(&mut self) {
        self.is_reached = false;
    }

    pub(super) fn end(&mut self, places: &mut Places) {
        // The condition of an `if` without `else` may not hold.
        let otherwise = self.blocks.last_mut().and_then(|block| {
            let otherwise = block.otherwise.take();
            otherwise.filter(|_| block.is_entered)
        });
        if let Some(otherwise) = otherwise {
            self.branch(0, places);
            self.now = otherwise;
            self.is_reached = true;
        }
        let is_loop = self.blocks.last().is_some_and(|block| block.is_loop);
        if !is_loop {
            self.branch(0, places);
        }
        let block = self.blocks.pop();
        if let Some(label) = block.and_then(|block| block.label).filter(|_| !is_loop) {
            self.now = label.values;
            self.is_reached = true;
        }
    }
}
