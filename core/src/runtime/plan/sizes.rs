//! Checks the sizes of a call in everything that a program computes with. Code that runs later multiplies them
//! unchecked.

use crate::aval::{Aval, Dim, Sizes};
use crate::error::Error;
use crate::ir::{Index, Location, Program};
use crate::kernel::{Instr, Kernel, KernelProgram, Step};

/// Requires that every array of a program is possible for these sizes, and that every number that a kernel computes
/// with is known. `avals` are the types of its variables.
pub(in crate::runtime) fn check(lowered: &KernelProgram, avals: &[Aval], sizes: &Sizes) -> Result<(), Error> {
    let program = &lowered.program;
    let binders = program.args.iter().chain(&program.consts).map(|binder| (binder, None));
    let made = program.eqns.iter().flat_map(|eqn| eqn.outs.iter().map(move |binder| (binder, Some(eqn))));
    for (binder, eqn) in binders.chain(made) {
        let aval = &avals[binder.var.index()];
        if aval.bytes().is_none() {
            let why = aval.impossible().unwrap_or_else(|| format!("{aval} is no size: each symbol must have one"));
            let place = eqn.map_or(String::new(), |eqn| format!("\n  {} at {}", eqn.prim.name(), eqn.location));
            return Err(too_large(program, &format!("{}: {} for {sizes}: {why}{place}", binder.var, binder.aval)));
        }
    }
    lowered.steps.iter().try_for_each(|step| match step {
        Step::Kernel(kernel, location) => {
            check_kernel(kernel, *location, sizes).map_err(|why| too_large(program, &why))
        }
        Step::Eval(_) | Step::Control(_) => Ok(()),
    })
}

/// The sum of bytes that a program takes, each at most an array's.
pub(in crate::runtime) fn sum(program: &Program, bytes: impl IntoIterator<Item = usize>) -> Result<usize, Error> {
    let sum = bytes.into_iter().fold(0, usize::saturating_add);
    match isize::try_from(sum) {
        Ok(_) => Ok(sum),
        Err(_) => {
            Err(too_large(program, "what it keeps in memory is too large: in all it must be less than 2^63 bytes"))
        }
    }
}

fn too_large(program: &Program, why: &str) -> Error {
    Error::TooLarge(format!("@{}: {why}", program.name))
}

/// Requires that extents, strides and positions of a kernel are numbers.
fn check_kernel(kernel: &Kernel, location: Location, sizes: &Sizes) -> Result<(), String> {
    let check = |dim: &Dim| match dim.at(sizes) {
        number if number.is_too_large() => Err(format!("{}: {dim} is too large\n  at {location}", kernel.name)),
        _ => Ok(()),
    };
    let check_index = |index: &Index| match index {
        Index::Value(_) => Ok(()),
        Index::Affine { constant, terms } => {
            check(constant).and_then(|()| terms.iter().try_for_each(|(_, stride)| check(stride)))
        }
    };
    kernel.loops.iter().try_for_each(|l| check(&l.extent))?;
    kernel.body.iter().try_for_each(|instr| match instr {
        Instr::Size(dim, _) => check(dim),
        Instr::Position(index) => check_index(index),
        Instr::Load(_, index) => index.iter().try_for_each(check_index),
        Instr::Const(_) | Instr::Op(..) => Ok(()),
    })
}
