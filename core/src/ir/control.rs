//! What a primitive of the kind [`Control`](crate::ir::Kind::Control) runs, as far as a runtime must know.

use crate::aval::{Aval, DType, Dim};
use crate::ir::{Eqn, Kind, Program, same};
use std::sync::Arc;

/// Nested programs and how they run. They have no constants: what they read is among the operands.
#[derive(Clone, Debug)]
pub enum Control {
    /// `length` turns of `body`. Operands: constants, carries, sequences. `body` takes the constants, the carries, and one
    /// row of each sequence; it returns the carries, and then one row of each result.
    Scan {
        /// One turn.
        body: Arc<Program>,
        /// How many operands are constants.
        n_const: usize,
        /// How many operands, and results, are carries.
        n_carry: usize,
        /// How many turns.
        length: Dim,
        /// Whether the last row comes first.
        reverse: bool,
    },
    /// Turns of `body` while `cond` holds. Operands: constants of `cond`, constants of `body`, carries.
    While {
        /// From its constants and the carries one `bool`.
        cond: Arc<Program>,
        /// From its constants and the carries the carries again.
        body: Arc<Program>,
        /// How many operands are constants of `cond`.
        n_cond_const: usize,
        /// How many operands are constants of `body`.
        n_body_const: usize,
    },
    /// One of several programs. Operands: an `i32`, which counts as the nearest number of a branch, then what every branch
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

    /// The operand that argument `arg` of nested program `i` is, where it is one and the same as long as it runs.
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

    /// Demands that the nested programs take these operands, and return these results.
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
                    _ => Err(format!("{all} has not the {length} rows of the turns")),
                };
                let rows = |all: &[&Aval]| all.iter().map(row).collect::<Result<Vec<Aval>, String>>();
                let (sequences, stacked) = (rows(sequences)?, rows(stacked)?);
                let takes: Vec<&Aval> = once.iter().copied().chain(&sequences).collect();
                let returns: Vec<&Aval> = carries.iter().copied().chain(&stacked).collect();
                if once[*n_const..] != *carries {
                    return Err(format!("the carries are {:?} at first, and {carries:?} at last", &once[*n_const..]));
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

/// Demands that the nested programs of an equation fit it: whoever puts them in its place, or runs them, gives them its
/// operands and takes their results for its own, as they are.
pub(crate) fn check_nested(eqn: &Eqn, ins: &[Aval]) -> Result<(), String> {
    let outs: Vec<&Aval> = eqn.outs.iter().map(|binder| &binder.aval).collect();
    let ins: Vec<&Aval> = ins.iter().collect();
    match (eqn.prim.kind(), eqn.prim.control(&eqn.params)) {
        (Kind::Control, Some(control)) => control.check(&ins, &outs),
        (_, Some(_)) => Err("it runs nested programs, and its kind is not `Control`".into()),
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
