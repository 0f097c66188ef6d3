//! The `lower` rules against `eval`, with no code generator between: a rule runs for one element at a time, iteration
//! by iteration of its loops, and may read nothing outside of its operands. So are the compositions of other primitives.

use gavotte_core::aval::{Aval, DType, Dim, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Index, Lower, Params, ReduceOp, Scalar, ScalarOp, Unsupported};
use gavotte_tests::arrays::from_numbers;
use gavotte_tests::cases::{Case, NOT_LOWERED, cases};
use gavotte_tests::compare::{difference, run};
use gavotte_tests::kernels::scalar::evaluated;
use gavotte_tests::report::check_all;

/// Relative tolerance between a rule and `eval`: sums may be added in another order.
const TOLERANCE: f64 = 1e-5;

#[test]
fn lower_computes_what_eval_does() {
    check_all(cases(), |case| {
        let wanted = run(&case.program(), &case.ins);
        if let Some(composition) = case.composition() {
            return difference(&run(&composition, &case.ins), &wanted, TOLERANCE).map_or(Ok(()), Err);
        }
        // A rule is asked for the types in which its primitive is computed.
        if case.ins.iter().any(|array| case.prim.computed_in(array.dtype()) != array.dtype()) {
            return Ok(());
        }
        let excused = NOT_LOWERED.iter().any(|(name, _)| *name == case.prim.name());
        for (result, wanted) in wanted.iter().enumerate() {
            let found = match (lowered(case, result, wanted), excused) {
                (Ok(found), _) => found,
                (Err(_), true) => continue,
                (Err(Unsupported(why)), false) => return Err(why),
            };
            if let Some(why) = difference(&[found], std::slice::from_ref(wanted), TOLERANCE) {
                return Err(why);
            }
        }
        Ok(())
    });
}

#[test]
fn excuses_are_needed() {
    for (name, _) in NOT_LOWERED {
        let is_refused = |case: &Case| {
            let outs = run(&case.program(), &case.ins);
            case.prim.name() == *name && outs.iter().enumerate().any(|(i, out)| lowered(case, i, out).is_err())
        };
        assert!(cases().iter().any(|(_, case)| is_refused(case)), "{name} is lowered: drop its excuse");
    }
}

/// A result, every element by the rule; `like` has its type.
fn lowered(case: &Case, result: usize, like: &HostArray) -> Result<HostArray, Unsupported> {
    let shape = like.shape();
    let element = |i: usize| {
        let mut place = i;
        let mut index: Vec<usize> = shape
            .iter()
            .rev()
            .map(|extent| {
                let at = place % extent;
                place /= extent;
                at
            })
            .collect();
        index.reverse();
        Element::compute(case, result, index).map(|literal| literal.as_f64())
    };
    let numbers: Result<Vec<f64>, Unsupported> = (0..like.len()).map(element).collect();
    Ok(from_numbers(&shape, like.dtype(), &numbers?))
}

/// A kernel at one element of its output and one iteration of its loops; the rule runs again for every iteration.
struct Element<'a> {
    case: &'a Case,
    outs: Vec<Aval>,
    index: Vec<usize>,
    /// The results of the instructions in this iteration.
    tape: Vec<Literal>,
    iteration: usize,
    /// The number of iterations, once the loops are opened.
    n_iteration: Option<usize>,
    /// The reduction so far, once there is one.
    total: Option<Literal>,
}

impl<'a> Element<'a> {
    fn compute(case: &'a Case, result: usize, index: Vec<usize>) -> Result<Literal, Unsupported> {
        let outs = case.program().out_avals();
        let mut element = Element { case, outs, index, tape: vec![], iteration: 0, n_iteration: None, total: None };
        loop {
            element.tape.clear();
            let scalars = case.prim.lower(&mut element)?;
            element.iteration += 1;
            if element.iteration >= element.n_iteration.unwrap_or(1) {
                assert_eq!(
                    element.n_iteration.is_some(),
                    element.total.is_some(),
                    "loops and a reduction come together"
                );
                return Ok(element.tape[scalars[result].0 as usize]);
            }
        }
    }

    fn push(&mut self, literal: Literal) -> Scalar {
        self.tape.push(literal);
        Scalar(self.tape.len() as u32 - 1)
    }

    fn place(&self, index: &Index) -> i64 {
        match index {
            Index::Affine { constant, terms } if terms.is_empty() => constant.as_number().expect("sizes are numbers"),
            Index::Affine { .. } => unreachable!("every position is a number here"),
            Index::Value(scalar) => self.tape[scalar.0 as usize].as_f64() as i64,
        }
    }
}

impl Lower for Element<'_> {
    fn params(&self) -> &Params {
        &self.case.params
    }
    fn operand(&self, i: usize) -> Aval {
        Aval::new(self.case.ins[i].dtype(), self.case.ins[i].shape())
    }
    fn arity(&self) -> usize {
        self.case.ins.len()
    }
    fn output(&self, i: usize) -> Aval {
        self.outs[i].clone()
    }
    fn index(&self) -> Vec<Index> {
        self.index.iter().map(|at| Index::constant(*at)).collect()
    }
    fn read(&mut self, operand: usize, index: &[Index]) -> Result<Scalar, Unsupported> {
        let array = &self.case.ins[operand];
        assert_eq!(index.len(), array.shape().len(), "one position for each axis of operand {operand}");
        if self.n_iteration == Some(0) {
            // A loop without iterations reads nothing: any number will do.
            return Ok(self.push(Literal::from_f64(array.dtype(), 0.0)));
        }
        let mut at = 0;
        for (index, extent) in index.iter().zip(array.shape()) {
            let place = self.place(index);
            assert!((0..extent as i64).contains(&place), "operand {operand} is read at {place} of {extent}");
            at = at * extent + place as usize;
        }
        Ok(self.push(array.get(at)))
    }
    fn op(&mut self, op: ScalarOp, ins: &[Scalar]) -> Scalar {
        assert_eq!(ins.len(), op.arity(), "operands of {op:?}");
        let ins: Vec<Literal> = ins.iter().map(|scalar| self.tape[scalar.0 as usize]).collect();
        self.push(evaluated(op, &ins))
    }
    fn constant(&mut self, literal: Literal) -> Scalar {
        self.push(literal)
    }
    fn size(&mut self, dim: &Dim, dtype: DType) -> Scalar {
        self.push(Literal::from_f64(dtype, dim.as_number().expect("sizes are numbers") as f64))
    }
    fn position(&mut self, index: &Index) -> Scalar {
        self.push(Literal::I32(self.place(index) as i32))
    }
    fn affine(&mut self, index: &Index, scale: &Dim, offset: &Dim) -> Index {
        Index::constant(Dim::from(self.place(index)) * scale + offset)
    }
    fn add(&mut self, a: &Index, b: &Index) -> Index {
        Index::constant(self.place(a) + self.place(b))
    }
    fn reduction_loops(&mut self, extents: &[Dim]) -> Result<Vec<Index>, Unsupported> {
        let extents: Vec<usize> = extents.iter().map(|dim| dim.as_usize().expect("sizes are numbers")).collect();
        self.n_iteration = Some(extents.iter().product());
        let mut iteration = self.iteration;
        let mut at: Vec<Index> = extents
            .iter()
            .rev()
            .map(|extent| {
                let here = iteration % (*extent).max(1);
                iteration /= (*extent).max(1);
                Index::constant(here)
            })
            .collect();
        at.reverse();
        Ok(at)
    }
    fn segment_loop(&mut self, segment: &Index, offsets: usize, order: usize) -> Result<Index, Unsupported> {
        let segment = self.place(segment) as usize;
        let [offsets, order] = [offsets, order].map(|operand| self.case.ins[operand].as_slice::<i32>());
        let (first, end) = (offsets[segment] as usize, offsets[segment + 1] as usize);
        self.n_iteration = Some(end - first);
        let member = order[first..end].get(self.iteration).copied().unwrap_or(0);
        Ok(Index::constant(i64::from(member)))
    }
    fn reduce(&mut self, op: ReduceOp, value: Scalar) -> Result<Scalar, Unsupported> {
        assert!(self.n_iteration.is_some(), "a reduction without a loop");
        let x = self.tape[value.0 as usize];
        let total = self.total.unwrap_or_else(|| op.identity(x.dtype()));
        let total = if self.n_iteration == Some(0) { total } else { evaluated(op.on_two(), &[total, x]) };
        self.total = Some(total);
        Ok(self.push(total))
    }
}
