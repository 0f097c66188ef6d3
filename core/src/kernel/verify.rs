//! The definition of a well-formed kernel.
//!
//! 1. A kernel writes at least one array, and no array is named twice.
//! 2. Row loops come first and are the shape of every output. A segment loop is the only loop after them; it runs over
//!    the segments of a row loop, by an input of type `i32[segments+1]`.
//! 3. A scalar is made before it is used; operations have as many operands as they take, of one type (except the
//!    predicate of `select`, which is `bool`).
//! 4. A load has one position for each axis of its input; positions computed in the kernel are `i32`, others name loops
//!    of the kernel, each once, with a nonzero stride.
//! 5. There is a reduction exactly if some loop is not a row, and one result for each output, of its type.

use crate::aval::DType;
use crate::error::Error;
use crate::ir::{Index, Scalar, ScalarOp};
use crate::kernel::{Instr, Kernel, Loop, LoopKind};
use rustc_hash::FxHashSet;

/// Checks a kernel. The error shows it with the message under the offending line.
pub fn verify_kernel(kernel: &Kernel) -> Result<(), Error> {
    check(kernel).map_err(|(line, why)| {
        let mut text = String::from("the kernel is not well formed");
        for (i, shown) in kernel.lines().iter().enumerate() {
            text.push('\n');
            text.push_str(shown);
            if i == line {
                text.push_str(&format!("\n  ^ {why}"));
            }
        }
        Error::Verify(text)
    })
}

/// The number of the wrong line, as [`Kernel::lines`] counts, and what is wrong.
type Wrong = (usize, String);

fn check(kernel: &Kernel) -> Result<(), Wrong> {
    let loops_at = 1;
    let body_at = loops_at + kernel.loops.len();
    let results_at = body_at + kernel.body.len();
    let end = results_at + kernel.results.len().min(kernel.outputs.len());
    check_names(kernel).map_err(|why| (0, why))?;
    let n_row = kernel.n_row();
    for (i, l) in kernel.loops.iter().enumerate() {
        check_loop(kernel, i, l, n_row).map_err(|why| (loops_at + i, why))?;
    }
    for (var, aval) in &kernel.outputs {
        if !aval.shape.iter().eq(kernel.loops[..n_row].iter().map(|l| &l.extent)) {
            return Err((0, format!("{var} does not have the shape of the row loops")));
        }
    }
    let dtypes = kernel.dtypes();
    for (i, instr) in kernel.body.iter().enumerate() {
        check_instr(kernel, i, instr, &dtypes).map_err(|why| (body_at + i, why))?;
    }
    if kernel.reduce.is_some() != (n_row < kernel.loops.len()) {
        return Err((results_at, "there must be a reduction exactly if some loop is not a row".into()));
    }
    if kernel.results.len() != kernel.outputs.len() {
        return Err((end, "there must be one result for each output".into()));
    }
    for (i, (scalar, (var, aval))) in kernel.results.iter().zip(&kernel.outputs).enumerate() {
        if dtypes.get(scalar.0 as usize) != Some(&aval.dtype) {
            return Err((results_at + i, format!("{var} must be a scalar of the body, of type {}", aval.dtype)));
        }
    }
    Ok(())
}

fn check_names(kernel: &Kernel) -> Result<(), String> {
    if kernel.outputs.is_empty() {
        return Err("it writes nothing".into());
    }
    let mut seen = FxHashSet::default();
    match kernel.inputs.iter().chain(&kernel.outputs).map(|(var, _)| var).find(|var| !seen.insert(*var)) {
        Some(var) => Err(format!("{var} is named twice")),
        None => Ok(()),
    }
}

fn check_loop(kernel: &Kernel, i: usize, l: &Loop, n_row: usize) -> Result<(), String> {
    let (segment, offsets) = match l.kind {
        LoopKind::Row if i < n_row => return Ok(()),
        LoopKind::Row => return Err("a row loop comes after another loop".into()),
        LoopKind::Reduce => return Ok(()),
        LoopKind::Segment { segment, offsets } => (segment as usize, offsets as usize),
    };
    if i != n_row || i + 1 != kernel.loops.len() || segment >= n_row {
        return Err("a segment loop must be the only loop after the rows, and run over one of them".into());
    }
    let (var, aval) = kernel.inputs.get(offsets).ok_or("the offsets are no input")?;
    let segments = &kernel.loops[segment].extent;
    if aval.dtype != DType::I32 || aval.shape.as_slice() != [segments + 1] {
        return Err(format!("the offsets {var}: {aval} must be i32[{}]", segments + 1));
    }
    Ok(())
}

fn check_instr(kernel: &Kernel, i: usize, instr: &Instr, dtypes: &[DType]) -> Result<(), String> {
    let made = |s: &Scalar| (s.0 as usize) < i;
    let dtype = |s: &Scalar| dtypes[s.0 as usize];
    match instr {
        Instr::Const(_) | Instr::Size(..) => Ok(()),
        Instr::Position(index) => check_index(kernel, index, &dtypes[..i]),
        Instr::Load(input, index) => {
            let (var, aval) = kernel.inputs.get(*input as usize).ok_or("there is no such input")?;
            if aval.rank() != index.len() {
                return Err(format!("{var} has {} axes, not {}", aval.rank(), index.len()));
            }
            index.iter().try_for_each(|index| check_index(kernel, index, &dtypes[..i]))
        }
        Instr::Op(op, ins) => {
            if ins.len() != op.arity() || !ins.iter().all(made) {
                return Err(format!("{} takes {} scalars computed before it", op.name(), op.arity()));
            }
            let is_select = *op == ScalarOp::Select;
            if is_select && dtype(&ins[0]) != DType::Bool {
                return Err("the predicate of select must be bool".into());
            }
            let data = &ins[usize::from(is_select)..];
            let same = data.windows(2).all(|pair| dtype(&pair[0]) == dtype(&pair[1]));
            if same { Ok(()) } else { Err(format!("{}: operands of several types", op.name())) }
        }
    }
}

/// `made` are the types of the scalars that the index may use.
fn check_index(kernel: &Kernel, index: &Index, made: &[DType]) -> Result<(), String> {
    match index {
        Index::Value(s) if made.get(s.0 as usize) != Some(&DType::I32) => {
            Err(format!("${} is no position: use an i32 that is computed before it", s.0))
        }
        Index::Value(_) => Ok(()),
        Index::Affine { terms, .. } => terms.iter().enumerate().try_for_each(|(i, (number, stride))| {
            if *number as usize >= kernel.loops.len() {
                return Err(format!("there is no loop i{number}"));
            }
            if *stride == 0usize || terms[..i].iter().any(|(other, _)| other == number) {
                return Err(format!("i{number} must stand once, with a stride that is not zero"));
            }
            Ok(())
        }),
    }
}
