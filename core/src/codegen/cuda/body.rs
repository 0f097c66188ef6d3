//! The work of a kernel's body at one point of its loops, as declarations of scalars.
//!
//! A scalar is computed as far outside as possible: once for the row, or for each term of the reduction.

use super::draft::Draft;
use super::launch::Width;
use super::positions::Place;
use super::prelude::Helper;
use super::scalar::Operation;
use super::text::{literal, type_name};
use crate::aval::{DType, Dim, Literal};
use crate::ir::scalar::Form;
use crate::ir::{Index, ReduceOp, Scalar, ScalarOp, Unsupported};
use crate::kernel::{Instr, Kernel};
use rustc_hash::FxHashMap;

/// How often a scalar is computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    /// Once for a row.
    Row,
    /// For each term that a row reduces.
    Term,
}

/// What is known about a kernel's scalars.
pub(super) struct Body<'k> {
    kernel: &'k Kernel,
    dtypes: Vec<DType>,
    /// For each scalar, the loops that it depends on.
    loops: Vec<Vec<bool>>,
    /// Products that only sums read: they are not rounded before they are added.
    fused: Vec<bool>,
    /// The checks written so far: of a scalar against an extent, by the name of the result.
    checked: FxHashMap<(u32, String), String>,
    /// The blocks of threefry written so far, by their operands.
    words: FxHashMap<Vec<Scalar>, String>,
    /// The condition under which a row reduces anything at all, if it may have no terms: checks of the row use it.
    pub(super) has_terms: Option<String>,
}

impl<'k> Body<'k> {
    pub(super) fn new(kernel: &'k Kernel) -> Self {
        let fused = (0..kernel.body.len()).map(|i| is_fused(kernel, Scalar(i as u32))).collect();
        Body {
            kernel,
            dtypes: kernel.dtypes(),
            loops: dependencies(kernel),
            fused,
            checked: FxHashMap::default(),
            words: FxHashMap::default(),
            has_terms: None,
        }
    }

    /// How often a scalar is computed.
    pub(super) fn level(&self, s: Scalar) -> Level {
        let inner = &self.loops[s.0 as usize][self.kernel.n_row()..];
        if inner.contains(&true) { Level::Term } else { Level::Row }
    }

    /// Whether a scalar depends on a loop.
    pub(super) fn depends(&self, s: Scalar, number: usize) -> bool {
        self.loops[s.0 as usize][number]
    }

    /// The factors of a result that is a product added without rounding.
    pub(super) fn factors(&self, s: Scalar) -> Option<[Scalar; 2]> {
        match &self.kernel.body[s.0 as usize] {
            Instr::Op(ScalarOp::Mul, ins) if self.fused[s.0 as usize] => Some([ins[0], ins[1]]),
            _ => None,
        }
    }

    /// A scalar as an operand.
    pub(super) fn operand(&self, draft: &mut Draft<'_>, s: Scalar) -> String {
        match &self.kernel.body[s.0 as usize] {
            Instr::Const(constant) => match literal(*constant) {
                negative if negative.starts_with('-') => format!("({negative})"),
                text => text,
            },
            Instr::Size(dim, dtype) => draft.size(dim, *dtype),
            _ => format!("s{}", s.0),
        }
    }

    /// Declares the scalars of a level.
    pub(super) fn write(&mut self, draft: &mut Draft<'_>, level: Level) -> Result<(), Unsupported> {
        for i in 0..self.kernel.body.len() {
            let s = Scalar(i as u32);
            if level == Level::Row && self.level(s) == Level::Term {
                self.check_early(draft, i);
            }
            let is_inline = matches!(&self.kernel.body[i], Instr::Const(_) | Instr::Size(..)) || self.fused[i];
            if !is_inline && self.level(s) == level {
                let value = self.value(draft, s)?;
                draft.line(format!("const {} s{i} = {value};", type_name(self.dtypes[i])));
            }
        }
        Ok(())
    }

    /// Checks once for the row what a load of each term reads at positions of the row.
    fn check_early(&mut self, draft: &mut Draft<'_>, i: usize) {
        let Instr::Load(input, index) = &self.kernel.body[i] else { return };
        for (at, extent) in index.iter().zip(&self.kernel.inputs[*input as usize].1.shape) {
            if let Index::Value(s) = at
                && self.level(*s) == Level::Row
            {
                self.check(draft, *s, extent);
            }
        }
    }

    fn value(&mut self, draft: &mut Draft<'_>, s: Scalar) -> Result<String, Unsupported> {
        match &self.kernel.body[s.0 as usize] {
            Instr::Const(_) | Instr::Size(..) => Ok(self.operand(draft, s)),
            Instr::Position(Index::Value(other)) => Ok(self.operand(draft, *other)),
            Instr::Position(Index::Affine { constant, terms }) => {
                let place = Place::at(self.kernel, constant.clone(), terms);
                let at = draft.place(&place, |_, _| String::new());
                Ok(if draft.width == Width::Wide { format!("(int)({at})") } else { at })
            }
            Instr::Load(input, index) => Ok(self.load(draft, *input as usize, index)),
            Instr::Op(op, ins) => {
                if let Form::Threefry(word) = op.form() {
                    let words = self.threefry(draft, s, ins);
                    return Ok(format!("{words}.{}", ["x", "y"][word]));
                }
                let dtype = self.dtypes[ins[usize::from(*op == ScalarOp::Select)].0 as usize];
                let ins: Vec<String> = ins.iter().map(|s| self.operand(draft, *s)).collect();
                let (text, helper) = Operation { op: *op, dtype, ins: &ins }.expression()?;
                helper.into_iter().for_each(|helper| draft.uses(helper));
                Ok(text)
            }
        }
    }

    /// Both words of a block, which are computed together.
    fn threefry(&mut self, draft: &mut Draft<'_>, s: Scalar, ins: &[Scalar]) -> String {
        if let Some(words) = self.words.get(ins) {
            return words.clone();
        }
        let name = format!("words{}", s.0);
        let operands: Vec<String> = ins.iter().map(|s| self.operand(draft, *s)).collect();
        draft.uses(Helper::Threefry);
        draft.line(format!("const uint2 {name} = threefry({});", operands.join(", ")));
        self.words.insert(ins.to_vec(), name.clone());
        name
    }

    fn load(&mut self, draft: &mut Draft<'_>, input: usize, index: &[Index]) -> String {
        let (var, aval) = &self.kernel.inputs[input];
        let mut checks = vec![];
        for (at, extent) in index.iter().zip(&aval.shape) {
            if let Index::Value(s) = at {
                checks.push(self.check(draft, *s, extent));
            }
        }
        let at = draft.place(&Place::of(self.kernel, input, index), |draft, s| self.operand(draft, s));
        let element = format!("v{}[{at}]", var.0);
        if checks.is_empty() {
            return element;
        }
        let zero = literal(Literal::from_f64(aval.dtype, 0.0));
        format!("{} ? {element} : {zero}", checks.join(" && "))
    }

    /// Checks whether a computed position is within an extent; returns the name of the result.
    fn check(&mut self, draft: &mut Draft<'_>, s: Scalar, extent: &Dim) -> String {
        let position = self.operand(draft, s);
        let extent = draft.dim(extent);
        let n = self.checked.keys().filter(|(other, _)| *other == s.0).count();
        if let Some(known) = self.checked.get(&(s.0, extent.clone())) {
            return known.clone();
        }
        let name = if n == 0 { format!("is_in{}", s.0) } else { format!("is_in{}_{n}", s.0) };
        draft.uses(Helper::Inside);
        let call = format!("inside({position}, {extent}, {})", draft.record());
        let call = match (&self.has_terms, self.level(s)) {
            (Some(has_terms), Level::Row) => format!("{has_terms} && {call}"),
            _ => call,
        };
        draft.line(format!("const bool {name} = {call};"));
        self.checked.insert((s.0, extent), name.clone());
        name
    }
}

/// Whether a scalar is a product of floats that only sums read.
fn is_fused(kernel: &Kernel, s: Scalar) -> bool {
    let is_product = matches!(&kernel.body[s.0 as usize], Instr::Op(ScalarOp::Mul, _));
    let reads = |instr: &Instr| match instr {
        Instr::Op(_, ins) => ins.contains(&s),
        Instr::Load(_, index) => index.contains(&Index::Value(s)),
        Instr::Position(index) => *index == Index::Value(s),
        Instr::Const(_) | Instr::Size(..) => false,
    };
    let summed = kernel.results.iter().position(|result| *result == s).map(|i| kernel.outputs[i].1.dtype);
    kernel.reduce == Some(ReduceOp::Sum)
        && is_product
        && summed.is_some_and(DType::is_float)
        && !kernel.body.iter().any(reads)
}

/// For each scalar, the loops that it depends on. Loops of one iteration do not count.
fn dependencies(kernel: &Kernel) -> Vec<Vec<bool>> {
    let mut all: Vec<Vec<bool>> = Vec::with_capacity(kernel.body.len());
    for instr in &kernel.body {
        let mut own = vec![false; kernel.loops.len()];
        let of_index = |index: &Index, own: &mut Vec<bool>| match index {
            Index::Value(s) => own.iter_mut().zip(&all[s.0 as usize]).for_each(|(own, other)| *own |= *other),
            Index::Affine { terms, .. } => terms
                .iter()
                .filter(|(number, _)| kernel.loops[*number as usize].extent != 1usize)
                .for_each(|(number, _)| own[*number as usize] = true),
        };
        match instr {
            Instr::Const(_) | Instr::Size(..) => {}
            Instr::Position(index) => of_index(index, &mut own),
            Instr::Load(_, index) => index.iter().for_each(|index| of_index(index, &mut own)),
            Instr::Op(_, ins) => ins.iter().for_each(|s| of_index(&Index::Value(*s), &mut own)),
        }
        all.push(own);
    }
    all
}
