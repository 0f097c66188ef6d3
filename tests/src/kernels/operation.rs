//! Kernels of one operation, on all numbers that may be special to it.

use super::Case;
use super::fill::filled;
use super::scalar::{exists, special};
use gavotte_core::aval::{Aval, DType, Dim, Literal, Sizes, Symbol};
use gavotte_core::ir::{Index, Scalar, ScalarOp, Var};
use gavotte_core::kernel::{Instr, Kernel, Loop, LoopKind};

/// Every operation with every operand type (for `select`: type of the choices) that it exists for.
pub fn operations() -> impl Iterator<Item = (ScalarOp, DType)> {
    let named = |op: &ScalarOp| !matches!(op, ScalarOp::Convert(_) | ScalarOp::Bitcast(_));
    let conversions = DType::ALL.iter().copied().flat_map(|to| [ScalarOp::Convert(to), ScalarOp::Bitcast(to)]);
    let all = ScalarOp::ALL.into_iter().filter(named).chain(conversions);
    all.flat_map(|op| DType::ALL.iter().map(move |dtype| (op, *dtype))).filter(|(op, dtype)| exists(*op, *dtype))
}

/// An operation on each pair of special numbers of a type, elementwise.
pub fn operation(op: ScalarOp, dtype: DType) -> Case {
    let numbers = special(dtype);
    let n = numbers.len() * numbers.len();
    // The first two operands make all pairs; others go through the numbers at another pace.
    let number = |operand: usize, i: usize| match operand {
        0 => numbers[i / numbers.len()],
        1 => numbers[i % numbers.len()],
        _ => numbers[(i * 7 + operand) % numbers.len()],
    };
    let is_select = op == ScalarOp::Select;
    let operand = |k: usize| -> (DType, Vec<Literal>) {
        match (is_select, k) {
            (true, 0) => (DType::Bool, (0..n).map(|i| Literal::Bool(i % 3 == 0)).collect()),
            _ => (dtype, (0..n).map(|i| number(k - usize::from(is_select), i)).collect()),
        }
    };
    let operands: Vec<(DType, Vec<Literal>)> = (0..op.arity()).map(operand).collect();
    let dtypes: Vec<DType> = operands.iter().map(|(dtype, _)| *dtype).collect();
    let extent = Dim::symbol("n");
    let aval = |dtype: DType| Aval::new(dtype, [extent.clone()]);
    let at = Index::Affine { constant: Dim::from(0), terms: vec![(0, Dim::from(1))] };
    let loads = (0..op.arity() as u32).map(|k| Instr::Load(k, vec![at.clone()]));
    let result = Instr::Op(op, (0..op.arity() as u32).map(Scalar).collect());
    let mut sizes = Sizes::new();
    sizes.set(Symbol::new("n"), n).expect("it has no size yet");
    let kernel = Kernel {
        name: format!("{}_{dtype}", op.name()),
        inputs: dtypes.iter().enumerate().map(|(k, dtype)| (Var(k as u32), aval(*dtype))).collect(),
        outputs: vec![(Var(dtypes.len() as u32), aval(op.result(&dtypes)))],
        loops: vec![Loop { extent: extent.clone(), kind: LoopKind::Row }],
        body: loads.chain([result]).collect(),
        reduce: None,
        results: vec![Scalar(op.arity() as u32)],
    };
    Case { seed: 0, kernel, sizes, inputs: operands.iter().map(|(dtype, numbers)| filled(*dtype, numbers)).collect() }
}
