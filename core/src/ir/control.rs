//! What a primitive of the kind [`Control`](crate::ir::Kind::Control) runs, as far as a runtime needs to know.

use crate::aval::{Aval, DType, Dim};
use crate::ir::{Eqn, Kind, Program, same};
use std::sync::Arc;

/// Nested programs and how they run. They have no constants: captured values are among the operands.
#[derive(Clone, Debug)]
pub enum Control {
    /// `length` iterations of `body`. Operands: constants, carries, sequences. `body` takes the constants, the carries,
    /// and one row of each sequence; it returns the carries, then one row of each stacked result.
    Scan {
        /// One iteration.
        body: Arc<Program>,
        /// The number of operands that are constants.
        n_const: usize,
        /// The number of operands, and of results, that are carries.
        n_carry: usize,
        /// The number of iterations.
        length: Dim,
        /// Whether rows are visited from the last to the first.
        reverse: bool,
    },
    /// Repeats `body` while `cond` holds. Operands: constants of `cond`, constants of `body`, carries.
    While {
        /// Takes its constants and the carries; returns one `bool`.
        cond: Arc<Program>,
        /// Takes its constants and the carries; returns the carries.
        body: Arc<Program>,
        /// The number of operands that are constants of `cond`.
        n_cond_const: usize,
        /// The number of operands that are constants of `body`.
        n_body_const: usize,
    },
    /// One of several programs. Operands: an `i32`, clamped to the range of branch numbers, then what every branch
    /// takes.
    Switch {
        /// The programs, all of one type.
        branches: Vec<Arc<Program>>,
    },
}

impl Control {
    /// The nested programs.
    pub fn programs(&self) -> Vec<&Arc<Program>> {
        match self {
            Control::Scan { body, .. } => vec![body],
            Control::While { cond, body, .. } => vec![cond, body],
            Control::Switch { branches } => branches.iter().collect(),
        }
    }

    /// The operand that argument `arg` of nested program `i` equals in every run of the program, if there is one.
    pub(crate) fn constant_operand(&self, i: usize, arg: usize) -> Option<usize> {
        match (self, i) {
            (Control::Scan { n_const, .. }, _) => (arg < *n_const).then_some(arg),
            (Control::While { n_cond_const, .. }, 0) => (arg < *n_cond_const).then_some(arg),
            (Control::While { n_cond_const, n_body_const, .. }, _) => {
                (arg < *n_body_const).then_some(n_cond_const + arg)
            }
            (Control::Switch { .. }, _) => Some(arg + 1),
        }
    }

    /// Requires that the nested programs take these operands and return these results.
    fn check(&self, ins: &[&Aval], outs: &[&Aval]) -> Result<(), String> {
        let check = |program: &Program, takes: &[&Aval], returns: &[&Aval]| {
            if !program.consts.is_empty() {
                return Err(format!("@{} has constants", program.name));
            }
            fits("takes", program, program.args.iter().map(|binder| &binder.aval), takes.iter().copied())?;
            fits("returns", program, program.out_avals().iter(), returns.iter().copied())
        };
        let too_few = || format!("{} operands and {} results are too few", ins.len(), outs.len());
        match self {
            Control::Scan { body, n_const, n_carry, length, .. } => {
                let (once, sequences) = ins.split_at_checked(n_const.saturating_add(*n_carry)).ok_or_else(too_few)?;
                let (carries, stacked) = outs.split_at_checked(*n_carry).ok_or_else(too_few)?;
                let row = |all: &&Aval| match all.shape.split_first() {
                    Some((first, rest)) if same(first, length) => Ok(all.with_shape(rest.into())),
                    _ => Err(format!("{all} does not have {length} rows, one per iteration")),
                };
                let rows = |all: &[&Aval]| all.iter().map(row).collect::<Result<Vec<Aval>, String>>();
                let (sequences, stacked) = (rows(sequences)?, rows(stacked)?);
                let takes: Vec<&Aval> = once.iter().copied().chain(&sequences).collect();
                let returns: Vec<&Aval> = carries.iter().copied().chain(&stacked).collect();
                if once[*n_const..] != *carries {
                    return Err(format!("the carries are {:?} before, and {carries:?} after", &once[*n_const..]));
                }
                check(body, &takes, &returns)
            }
            Control::While { cond, body, n_cond_const, n_body_const } => {
                let (of_cond, rest) = ins.split_at_checked(*n_cond_const).ok_or_else(too_few)?;
                let (of_body, carries) = rest.split_at_checked(*n_body_const).ok_or_else(too_few)?;
                check(cond, &[of_cond, carries].concat(), &[&Aval::scalar(DType::Bool)])?;
                check(body, &[of_body, carries].concat(), carries)?;
                if carries == outs { Ok(()) } else { Err(format!("the carries are {carries:?}, not {outs:?}")) }
            }
            Control::Switch { branches } => match ins.split_first() {
                Some((which, operands)) if **which == Aval::scalar(DType::I32) && !branches.is_empty() => {
                    branches.iter().try_for_each(|branch| check(branch, operands, outs))
                }
                _ => Err("a switch takes the number of a branch, an i32[], and has branches".into()),
            },
        }
    }
}

/// Requires that the nested programs of an equation fit it: passes that inline them, and runtimes that run them, pass
/// the equation's operands and take their results as its results, without conversion.
pub(crate) fn check_nested(eqn: &Eqn, ins: &[Aval]) -> Result<(), String> {
    let outs: Vec<&Aval> = eqn.outs.iter().map(|binder| &binder.aval).collect();
    let ins: Vec<&Aval> = ins.iter().collect();
    match (eqn.prim.kind(), eqn.prim.control(&eqn.params)) {
        (Kind::Control, Some(control)) => control.check(&ins, &outs),
        (_, Some(_)) => Err("it runs nested programs, but its kind is not `Control`".into()),
        (Kind::Call | Kind::Custom, None) => {
            let program = eqn.params.try_program("program").map_err(|why| why.to_string())?;
            let takes = program.consts.iter().chain(&program.args).map(|binder| &binder.aval);
            fits("takes", &program, takes, ins)?;
            fits("returns", &program, program.out_avals().iter(), outs)
        }
        (Kind::Barrier, None) if ins != outs => Err(format!("a barrier returns its operands {ins:?}, not {outs:?}")),
        (Kind::Reshape, None) => match (&ins[..], &outs[..]) {
            ([x, ..], [out]) if x.dtype == out.dtype && same(&x.volume(), &out.volume()) => Ok(()),
            _ => Err(format!("a reshape returns the elements of its operand, not {outs:?} of {ins:?}")),
        },
        _ => Ok(()),
    }
}

fn fits<'a>(
    what: &str,
    program: &Program,
    found: impl Iterator<Item = &'a Aval>,
    wanted: impl IntoIterator<Item = &'a Aval>,
) -> Result<(), String> {
    let (found, wanted): (Vec<_>, Vec<_>) = (found.collect(), wanted.into_iter().collect());
    if found == wanted { Ok(()) } else { Err(format!("@{} {what} {found:?}, not {wanted:?}", program.name)) }
}
