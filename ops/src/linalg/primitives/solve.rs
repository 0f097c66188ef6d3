//! `solve`: systems of equations by the factors of their matrix.

use super::{alike, batched, last_two, leading, lu, matrices, sample, square, with_last};
use crate::Array;
use crate::linalg::host::Real;
use crate::linalg::host::triangular::{Triangle, solve as solve_triangle};
use crate::movement::{operands, reshape};
use gavotte_core::aval::{Aval, DType, Dim, Literal};
use gavotte_core::device::{Data, HostArray};
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::structural::{add_any, move_axis};
use gavotte_core::ir::{
    Batch, Batched, Jvp, Kind, Location, Params, Primitive, Sample, Transpose, Value, bind1, refuse, require_shape,
};
use gavotte_core::runtime::Place;

/// Both substitutions.
#[derive(Debug)]
struct Solve;
/// The primitive `solve {transposed}` of `A`, `B` and the factors of `A`, the first and the last result of `lu`: `X` with
/// `A·X = B`, or `Aᵀ·X = B`. Its derivative is that of `A⁻¹·B`: the factors are constants to it, and `A` is read by nothing
/// else.
pub(super) static SOLVE: &dyn Primitive = &Solve;

/// `X` with `A·X = B`.
#[track_caller]
pub(in crate::linalg) fn solve(a: &Array, b: &Array) -> Array {
    let [lu, _, order] = lu(&a.stop_gradient());
    Array(bind_solve([&a.0, &b.0, &lu.0, &order.0], false))
}

#[track_caller]
fn bind_solve(ins: [&Value; 4], transposed: bool) -> Value {
    bind1(SOLVE, &ins, Params::new().with("transposed", Literal::Bool(transposed)))
}

fn is_transposed(params: &Params) -> bool {
    params.literal("transposed") == Literal::Bool(true)
}

fn solutions<T: Real>(ins: &[&HostArray], transposed: bool) -> HostArray {
    let ([_, n], [_, m]) = (last_two(ins[2]), last_two(ins[1]));
    let (factors, orders) = (ins[2].as_slice::<T>(), ins[3].as_slice::<i32>());
    // The order may come from a text.
    if let Some((at, row)) = orders.iter().enumerate().find(|(_, row)| !(0..n as i32).contains(*row)) {
        let place = Location::current();
        refuse(Error::Call(format!("solve: row {row} at position {at} of the order is not in 0..{n}\n  at {place}")));
    }
    let mut out = vec![T::ZERO; ins[1].len()];
    let each = factors.chunks_exact((n * n).max(1)).zip(orders.chunks_exact(n.max(1)));
    let sides = ins[1].as_slice::<T>().chunks_exact((n * m).max(1)).zip(out.chunks_exact_mut((n * m).max(1)));
    for ((memory, order), (b, x)) in each.zip(sides) {
        let (place, at) = (Place::rows(n), Place::rows(m));
        let row = |i: i32| i as usize * m..(i as usize + 1) * m;
        if transposed {
            // Aᵀ = Uᵀ Lᵀ P.
            let mut y = b.to_vec();
            let place = place.transposed();
            solve_triangle(Triangle { memory, place, n, is_unit: false }, true, &mut y, at, m);
            solve_triangle(Triangle { memory, place, n, is_unit: true }, false, &mut y, at, m);
            (0..).zip(order).for_each(|(i, to)| x[row(*to)].copy_from_slice(&y[row(i)]));
        } else {
            (0..).zip(order).for_each(|(i, from)| x[row(i)].copy_from_slice(&b[row(*from)]));
            solve_triangle(Triangle { memory, place, n, is_unit: true }, true, x, at, m);
            solve_triangle(Triangle { memory, place, n, is_unit: false }, false, x, at, m);
        }
    }
    HostArray::new(&ins[1].shape(), out)
}

impl Primitive for Solve {
    fn name(&self) -> &'static str {
        "solve"
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["transposed"]
    }
    fn abstract_eval(&self, ins: &[&Aval], params: &Params) -> Result<Vec<Aval>, TypeError> {
        let ([a, b, lu, order], _) = (operands(ins)?, params.try_literal("transposed")?);
        let (n, [rows, _]) = (square(a)?, matrices(b)?);
        let why = || format!("{a} and {b} do not fit");
        if a.dtype != b.dtype || a.rank() != b.rank() {
            return Err(TypeError::new(why()));
        }
        alike(n, rows, why)?;
        require_shape(leading(a), leading(b), why)?;
        let rows = Aval { dtype: DType::I32, ..with_last(a, &[n]) };
        if lu != a || *order != rows || leading(a) != leading(b) {
            return Err(TypeError::new(format!(
                "{lu} and {order} are no factors of {a}, or the batches of {b} differ"
            )));
        }
        Ok(vec![b.clone()])
    }
    fn eval(&self, ins: &[&HostArray], params: &Params) -> Vec<HostArray> {
        vec![match ins[1].data() {
            Data::F32(_) => solutions::<f32>(ins, is_transposed(params)),
            _ => solutions::<f64>(ins, is_transposed(params)),
        }]
    }
    // A dX = dB - dA X.
    // Source: Giles, *An extended collection of matrix derivative results for forward and reverse mode automatic
    // differentiation* (Oxford, 2008), 2.3.1.
    fn jvp(&self, cx: &Jvp<'_>) -> Vec<Option<Value>> {
        let transposed = is_transposed(cx.params);
        let moved = cx.tangents[0].as_ref().map(|t| {
            let t = Array(t.clone());
            let t = if transposed { t.swap_axes(-1, -2) } else { t };
            (-t.matmul(&Array(cx.outs[0].clone()))).0
        });
        let right = match (moved, &cx.tangents[1]) {
            (Some(moved), Some(t)) => Some(add_any(&moved, t)),
            (moved, t) => moved.or_else(|| t.clone()),
        };
        let [a, _, lu, order] = cx.primals else { unreachable!("it has four operands") };
        vec![right.map(|right| bind_solve([a, &right, lu, order], transposed))]
    }
    fn transpose(&self, cx: &Transpose<'_>) -> Vec<Option<Value>> {
        let [Some(a), None, Some(lu), Some(order)] = [0, 1, 2, 3].map(|i| cx.ins[i].known()) else {
            return super::not_linear("solve");
        };
        let transposed = !is_transposed(cx.params);
        vec![None, Some(bind_solve([a, cx.cotangent(), lu, order], transposed)), None, None]
    }
    /// A new axis of the right sides alone is one of more right sides.
    fn batch(&self, cx: &Batch<'_>) -> Batched {
        let [(a, None), (b, Some(at)), (lu, None), (order, None)] = cx.ins else { return batched(SOLVE, cx) };
        let last = b.rank() - 1;
        let moved = move_axis(b, *at, last);
        let (front, end) = moved.shape().split_at(last - 1);
        let shape: Vec<Dim> = front.iter().cloned().chain([&end[0] * &end[1]]).collect();
        let solved = bind_solve([a, &reshape(&moved, &shape), lu, order], is_transposed(cx.params));
        vec![(reshape(&solved, moved.shape()), Some(last))]
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn samples(&self) -> Vec<Sample> {
        let to = |transposed: bool| Params::new().with("transposed", Literal::Bool(transposed));
        let of = |shape: &[usize], b: &[usize]| {
            let a = sample(shape, 2.0);
            let mut factors = lu::LU.eval(&[&a], &Params::new());
            let order = factors.pop().expect("it has three results");
            vec![a, sample(b, 0.0), factors.swap_remove(0), order]
        };
        vec![
            Sample::new("one", of(&[3, 3], &[3, 2]), to(false)),
            Sample::new("transposed", of(&[3, 3], &[3, 2]), to(true)),
            Sample::new("a batch", of(&[2, 3, 3], &[2, 3, 1]), to(false)),
            Sample::new("nothing", of(&[0, 0], &[0, 2]), to(false)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gavotte_core::ir::quietly;

    #[test]
    fn an_order_that_is_none_is_refused() {
        let sample = SOLVE.samples().swap_remove(0);
        for (row, is_right) in [(2, true), (3, false), (-1, false)] {
            let order = HostArray::new(&[3], vec![0, 1, row]);
            let ins = [&sample.ins[0], &sample.ins[1], &sample.ins[2], &order];
            let found = quietly(|| SOLVE.eval(&ins, &sample.params));
            assert_eq!(found.is_ok(), is_right, "{row}");
            assert!(found.is_ok() || found.is_err_and(|why| why.to_string().contains("is not in 0..3")));
        }
    }
}
