//! Operations without vector code: a function stores their operands, and calls the portable target's loop for all lanes.
//!
//! So the bits are those of the portable target, and lanes that mean nothing do no harm: no operation traps.

use crate::aval::DType;
use crate::ir::ScalarOp;

/// Operations that are called, by number, with the type of their operands.
pub(super) const CALLED: [(ScalarOp, DType); 18] = {
    use DType::{F32, F64, I32, U32};
    use ScalarOp::*;
    [
        (Rem, F32),
        (Pow, F32),
        (Sin, F32),
        (Cos, F32),
        (Div, I32),
        (Rem, I32),
        (Div, U32),
        (Rem, U32),
        (Rem, F64),
        (Pow, F64),
        (Exp, F64),
        (Expm1, F64),
        (Log, F64),
        (Log1p, F64),
        (Sin, F64),
        (Cos, F64),
        (Tanh, F64),
        (Logistic, F64),
    ]
};

/// Bytes from one operand to the next, and the result behind them.
pub(super) const STEP: usize = 64;
/// Operands, at most.
pub(super) const OPERANDS: usize = 2;

/// The number of an operation that is called.
pub(super) fn number(op: ScalarOp, dtype: DType) -> Option<i64> {
    CALLED.iter().position(|called| *called == (op, dtype)).map(|at| at as i64)
}

/// Applies operation `number` to `lanes` lanes of the operands, which begin [`STEP`] bytes apart, and stores the result.
///
/// # Safety
/// `operands` must be valid for as many operands as the operation takes, `result` for one; they must not overlap.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe extern "sysv64" fn apply(number: u64, operands: *const u8, result: *mut u8, lanes: u64) {
    let called = CALLED.get(number as usize);
    let called = called.and_then(|(op, dtype)| crate::codegen::portable::tile_fn(*op, *dtype));
    let ins = std::array::from_fn(|i| operands.wrapping_add(i.min(OPERANDS - 1) * STEP));
    if let Some(f) = called {
        // SAFETY: by this function's contract.
        unsafe { f(lanes as usize, &ins, result, std::ptr::null_mut()) }
    }
}
