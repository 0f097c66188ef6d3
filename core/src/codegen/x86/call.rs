//! Operations without vector code: a function stores their operands, and calls the portable target's loop for all lanes.
//!
//! So the bits are those of the portable target, and unused lanes do no harm: no operation traps.

use crate::aval::DType;
use crate::codegen::portable::{TileFn, tile_fn};
use crate::ir::ScalarOp;
use crate::ir::scalar::{CodeOrCall, Form};
use std::sync::LazyLock;

/// Bytes from one operand to the next, and to the result after them.
pub(super) const STEP: usize = 64;
/// The most operands.
pub(super) const OPERANDS: usize = 2;

/// Whether machine code calls a loop for an operation on operands of this type.
fn is_called(op: ScalarOp, dtype: DType) -> bool {
    let Form::Function(function) = op.form() else { return false };
    match dtype {
        DType::F32 => function.f32.is_some_and(|column| column.machine == CodeOrCall::Call),
        DType::F64 => function.f64.is_some_and(|column| column.machine == CodeOrCall::Call),
        DType::I32 => function.i32.is_some_and(|column| column.machine == CodeOrCall::Call),
        DType::U32 => function.u32.is_some_and(|column| column.machine == CodeOrCall::Call),
        // Machine code has no vectors of other integers.
        _ => false,
    }
}

/// The operations that are called, by number, with the type of their operands and the loop.
pub(super) static CALLED: LazyLock<Vec<(ScalarOp, DType, TileFn)>> = LazyLock::new(|| {
    let all = ScalarOp::ALL.iter().flat_map(|op| DType::ALL.iter().map(|dtype| (*op, *dtype)));
    let called = all.filter(|(op, dtype)| is_called(*op, *dtype));
    called.filter_map(|(op, dtype)| Some((op, dtype, tile_fn(op, dtype)?))).collect()
});

/// The number of an operation that is called.
pub(super) fn number(op: ScalarOp, dtype: DType) -> Option<i64> {
    CALLED.iter().position(|called| (called.0, called.1) == (op, dtype)).map(|at| at as i64)
}

/// Applies operation `number` to `lanes` lanes of the operands, which are [`STEP`] bytes apart, and stores the result.
///
/// # Safety
/// `operands` must be valid for the number of operands that the operation takes, `result` for one; they must not
/// overlap.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe extern "sysv64" fn apply(number: u64, operands: *const u8, result: *mut u8, lanes: u64) {
    let ins = std::array::from_fn(|i| operands.wrapping_add(i.min(OPERANDS - 1) * STEP));
    if let Some((_, _, f)) = CALLED.get(number as usize) {
        // SAFETY: by this function's contract.
        unsafe { f(lanes as usize, &ins, result, std::ptr::null_mut()) }
    }
}
