//! Loops and branches.

use super::{Body, Export, Operand, axes, extents};
use crate::aval::{Aval, DType, Literal};
use crate::ir::{Control, Program, ScalarOp, Unsupported};
use std::sync::Arc;

impl Export<'_> {
    /// Nested programs that run many times, or one of several.
    pub(crate) fn control(&mut self, control: &Control) -> Result<Vec<Operand>, Unsupported> {
        let ins = self.operands();
        match control {
            Control::Scan { body, n_const, n_carry, length, reverse } => {
                let length = length.as_usize().and_then(|length| i32::try_from(length).ok());
                let length = length.ok_or_else(|| Unsupported("scan: its length does not fit in an i32".into()))?;
                let (consts, rest) = ins.split_at(*n_const);
                let (carries, sequences) = rest.split_at(*n_carry);
                self.scan(body, [consts, carries, sequences], length, *reverse)
            }
            Control::While { cond, body, n_cond_const, n_body_const } => {
                let (cond_consts, rest) = ins.split_at(*n_cond_const);
                let (body_consts, carries) = rest.split_at(*n_body_const);
                self.while_loop(
                    carries,
                    &mut |cx, carried| cx.program(cond, &[cond_consts, carried].concat()),
                    &mut |cx, carried| cx.program(body, &[body_consts, carried].concat()),
                )
            }
            Control::Switch { branches } => {
                let (which, operands) = (&ins[0], &ins[1..]);
                // Here a negative number selects the first branch, in StableHLO the last one.
                let first = self.constant(Literal::I32(0));
                let which = self.scalar(ScalarOp::Max, &[which.clone(), first]);
                self.case(&which, branches, operands)
            }
        }
    }

    /// Repeats `carried = body(carried)` while `condition(carried)`, a `bool` scalar, holds.
    pub fn while_loop<'b>(
        &mut self,
        carried: &[Operand],
        condition: Body<'b>,
        body: Body<'b>,
    ) -> Result<Vec<Operand>, Unsupported> {
        if carried.is_empty() {
            return Ok(vec![]);
        }
        let avals: Vec<Aval> = carried.iter().map(|operand| operand.aval().clone()).collect();
        let mut regions = [(avals.clone(), condition), (avals.clone(), body)];
        self.op_with("while", &carried.iter().collect::<Vec<_>>(), &[], &avals, &mut regions)
    }

    /// Runs one of several programs with the same operands, chosen by `index`, an `i32` scalar; the last one if there
    /// is none of that number.
    pub fn case(
        &mut self,
        index: &Operand,
        programs: &[Arc<Program>],
        ins: &[Operand],
    ) -> Result<Vec<Operand>, Unsupported> {
        let outs = programs.first().map_or(vec![], |program| program.out_avals());
        if outs.is_empty() {
            return Ok(vec![]);
        }
        let mut bodies: Vec<_> =
            programs.iter().map(|program| |cx: &mut Export<'_>, _: &[Operand]| cx.program(program, ins)).collect();
        let mut regions: Vec<(Vec<Aval>, Body<'_>)> =
            bodies.iter_mut().map(|body| (vec![], body as Body<'_>)).collect();
        self.op_with("case", &[index], &[], &outs, &mut regions)
    }

    /// A loop that carries the iteration number, the carries, and the results, whose rows are filled one per iteration.
    fn scan(
        &mut self,
        iteration: &Program,
        [consts, carries, sequences]: [&[Operand]; 3],
        length: i32,
        reverse: bool,
    ) -> Result<Vec<Operand>, Unsupported> {
        let results = self.outputs().split_off(carries.len());
        let mut carried = vec![self.constant(Literal::I32(0))];
        carried.extend_from_slice(carries);
        for aval in results {
            let zero = self.constant(Literal::from_f64(aval.dtype, 0.0));
            carried.push(self.broadcast(&zero, &extents(&aval.shape), &[]));
        }
        if length == 0 {
            return Ok(carried.split_off(1));
        }
        let mut condition = |cx: &mut Export<'_>, carried: &[Operand]| {
            let end = cx.constant(Literal::I32(length));
            Ok(vec![cx.scalar(ScalarOp::Lt, &[carried[0].clone(), end])])
        };
        let mut body = |cx: &mut Export<'_>, carried: &[Operand]| {
            let (number, (carries, results)) = (&carried[0], carried[1..].split_at(carries.len()));
            let [one, last] = [1, length - 1].map(|x| cx.constant(Literal::I32(x)));
            let at = if reverse { cx.scalar(ScalarOp::Sub, &[last, number.clone()]) } else { number.clone() };
            let rows: Vec<Operand> = sequences.iter().map(|sequence| cx.row(sequence, &at)).collect();
            let outs = cx.program(iteration, &[consts, carries, &rows].concat())?;
            let (next, rows) = outs.split_at(carries.len());
            let mut carried = vec![cx.scalar(ScalarOp::Add, &[number.clone(), one])];
            carried.extend_from_slice(next);
            carried.extend(results.iter().zip(rows).map(|(all, row)| cx.with_row(all, row, &at)));
            Ok(carried)
        };
        Ok(self.while_loop(&carried, &mut condition, &mut body)?.split_off(1))
    }

    /// Row `at` along the first axis.
    fn row(&mut self, all: &Operand, at: &Operand) -> Operand {
        let mut shape = all.shape();
        shape[0] = 1;
        let starts = self.starts(all, at);
        let ins: Vec<&Operand> = std::iter::once(all).chain(&starts).collect();
        let out = Aval::new(all.aval().dtype, shape.iter().copied());
        let cut = self.op("dynamic_slice", &ins, &[("slice_sizes", axes(&shape))], out);
        self.reshape(&cut, &shape[1..])
    }

    /// `all` with row `at` replaced.
    fn with_row(&mut self, all: &Operand, row: &Operand, at: &Operand) -> Operand {
        let row = self.reshape(row, &[&[1], &row.shape()[..]].concat());
        let starts = self.starts(all, at);
        let ins: Vec<&Operand> = [all, &row].into_iter().chain(&starts).collect();
        self.op("dynamic_update_slice", &ins, &[], all.aval().clone())
    }

    /// The start indices of row `at`.
    fn starts(&mut self, all: &Operand, at: &Operand) -> Vec<Operand> {
        debug_assert_eq!(at.aval(), &Aval::scalar(DType::I32));
        let zero = if all.rank() > 1 { Some(self.constant(Literal::I32(0))) } else { None };
        std::iter::once(at.clone()).chain(zero.iter().cloned().cycle().take(all.rank() - 1)).collect()
    }
}
