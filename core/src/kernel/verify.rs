//! The definition of a well-formed kernel.
//!
//! 1. Row loops come first and are the shape of every output; a segment loop is the last loop.
//! 2. A scalar is made before it is used, operations have as many operands as they take, of one type (but the
//!    predicate of `select`).
//! 3. A load has one position for each axis of its input; positions computed in the kernel are `i32`.
//! 4. There is a reduction exactly where a loop is no row, and one result for each output, of its type.

use crate::aval::DType;
use crate::error::Error;
use crate::ir::{Index, Scalar, ScalarOp};
use crate::kernel::{Instr, Kernel, LoopKind};

/// Checks a kernel. The error shows it with the message.
pub fn verify_kernel(kernel: &Kernel) -> Result<(), Error> {
    check(kernel)
        .map_err(|why| Error::Verify(format!("the kernel @{} is not well formed: {why}\n{kernel}", kernel.name)))
}

fn check(kernel: &Kernel) -> Result<(), String> {
    let n_row = kernel.n_row();
    if kernel.loops[..n_row].iter().any(|l| l.kind != LoopKind::Row) {
        return Err("a row loop stands behind another loop".into());
    }
    for (var, aval) in &kernel.outputs {
        if !aval.shape.iter().eq(kernel.loops[..n_row].iter().map(|l| &l.extent)) {
            return Err(format!("{var} has not the shape of the row loops"));
        }
    }
    for (i, l) in kernel.loops.iter().enumerate() {
        if let LoopKind::Segment { segment, offsets } = l.kind {
            if i + 1 != kernel.loops.len() || i != n_row || segment as usize >= n_row {
                return Err("a segment loop must be the only loop behind the rows".into());
            }
            let offsets = kernel.inputs.get(offsets as usize).ok_or("the offsets are no input")?;
            if offsets.1.dtype != DType::I32 || offsets.1.rank() != 1 {
                return Err(format!("the offsets {} must be i32[segments+1]", offsets.0));
            }
        }
    }
    let dtypes = kernel.dtypes();
    for (i, instr) in kernel.body.iter().enumerate() {
        check_instr(kernel, i, instr, &dtypes).map_err(|why| format!("${i}: {why}"))?;
    }
    if kernel.reduce.is_some() != (n_row < kernel.loops.len()) {
        return Err("there must be a reduction exactly where a loop is no row".into());
    }
    if kernel.results.len() != kernel.outputs.len() {
        return Err("there must be one result for each output".into());
    }
    for (scalar, (var, aval)) in kernel.results.iter().zip(&kernel.outputs) {
        if dtypes.get(scalar.0 as usize) != Some(&aval.dtype) {
            return Err(format!("{var} stores a scalar of another type"));
        }
    }
    Ok(())
}

fn check_instr(kernel: &Kernel, i: usize, instr: &Instr, dtypes: &[DType]) -> Result<(), String> {
    let made = |s: &Scalar| (s.0 as usize) < i;
    let position = |index: &Index| match index {
        Index::Value(s) if !made(s) || dtypes[s.0 as usize] != DType::I32 => Err(format!("${} is no position", s.0)),
        Index::Affine { terms, .. } if terms.iter().any(|(l, _)| *l as usize >= kernel.loops.len()) => {
            Err("there is no such loop".to_string())
        }
        _ => Ok(()),
    };
    match instr {
        Instr::Const(_) | Instr::Size(..) => Ok(()),
        Instr::Position(index) => position(index),
        Instr::Load(input, index) => {
            let (var, aval) = kernel.inputs.get(*input as usize).ok_or("there is no such input")?;
            if aval.rank() != index.len() {
                return Err(format!("{var} has {} axes, not {}", aval.rank(), index.len()));
            }
            index.iter().try_for_each(position)
        }
        Instr::Op(op, ins) => {
            if ins.len() != op.arity() || !ins.iter().all(made) {
                return Err(format!("{} takes {} scalars made before it", op.name(), op.arity()));
            }
            let data = if *op == ScalarOp::Select { &ins[1..] } else { &ins[..] };
            let same = data.windows(2).all(|pair| dtypes[pair[0].0 as usize] == dtypes[pair[1].0 as usize]);
            if same { Ok(()) } else { Err(format!("{}: operands of several types", op.name())) }
        }
    }
}
