//! Products in which a weight of 0 skips what it weighs.

use crate::ir::{Scalar, ScalarOp};
use crate::kernel::Instr;

/// A factor that is `row` where the other factor, `weight`, is not 0, and else 0: where the weight is 0, nothing
/// depends on the row's content.
#[derive(Clone, Copy, Debug)]
pub struct Guarded {
    /// The other factor.
    pub weight: Scalar,
    /// Whether the weight is not 0.
    pub counts: Scalar,
    /// What the weight weighs.
    pub row: Scalar,
}

/// How `factor` is guarded in a product with `weight`, if it is.
pub fn guarded(body: &[Instr], factor: Scalar, weight: Scalar) -> Option<Guarded> {
    let is_zero = |s: Scalar| matches!(&body[s.0 as usize], Instr::Const(x) if x.as_f64() == 0.0);
    let Instr::Op(ScalarOp::Select, cases) = &body[factor.0 as usize] else { return None };
    let (counts, otherwise, row) = (cases[0], cases[1], cases[2]);
    let Instr::Op(ScalarOp::Ne, ins) = &body[counts.0 as usize] else { return None };
    (ins[0] == weight && is_zero(ins[1]) && is_zero(otherwise)).then_some(Guarded { weight, counts, row })
}
