//! Scalar operations on host arrays: the formulas of the table, element by element.

use super::threefry2x32;
use gavotte_core::device::{Data, Elements, HostArray, HostElement};
use gavotte_core::ir::ScalarOp;
use gavotte_core::ir::scalar::{Comparison, Form, Formula, Function, ScalarElement};
use gavotte_core::with_data;

/// The element at an index; a scalar has the same element at every index.
fn at<T: Copy>(xs: &[T], i: usize) -> T {
    if xs.len() == 1 { xs[0] } else { xs[i] }
}

/// Applies an operation to arrays of one shape and scalars, whose element types `abstract_eval` has checked.
pub(super) fn eval(op: ScalarOp, ins: &[&HostArray]) -> HostArray {
    let shape = ins.iter().find(|array| !array.shape().is_empty()).map_or_else(Default::default, |array| array.shape());
    let n = shape.iter().product();
    let data = match (op.form(), ins) {
        (Form::Function(function), [x]) => with_data!(x.data(), xs => unary(function, xs)),
        (Form::Function(function), [a, b]) => with_data!(a.data(), xs => binary(function, xs, b.as_slice(), n)),
        (Form::Comparison(how), [a, b]) => with_data!(a.data(), xs => compare(how, xs, b.as_slice(), n)),
        (Form::Select, [which, x, _]) => with_data!(x.data(), xs => select(which.as_slice(), xs, ins[2], n)),
        (Form::Convert(dtype), [x]) => x.convert(dtype).into_data(),
        (Form::Bitcast(dtype), [x]) => x.bitcast(dtype).into_data(),
        (Form::Threefry(word), _) => Data::U32(threefry(ins, n, word)),
        (_, ins) => unreachable!("abstract_eval refuses {op:?} of {} operands", ins.len()),
    };
    HostArray::from_data(&shape, data)
}

fn unary<T: ScalarElement>(function: &Function, xs: &[T]) -> Data {
    let Some(Formula::Unary(f)) = T::formula(function) else { unreachable!("abstract_eval refuses {}", T::DTYPE) };
    T::wrap(xs.iter().map(|x| f(*x)).collect())
}

fn binary<T: ScalarElement>(function: &Function, a: &[T], b: &[T], n: usize) -> Data {
    let Some(Formula::Binary(f)) = T::formula(function) else { unreachable!("abstract_eval refuses {}", T::DTYPE) };
    T::wrap((0..n).map(|i| f(at(a, i), at(b, i))).collect())
}

fn compare<T: ScalarElement>(how: Comparison, a: &[T], b: &[T], n: usize) -> Data {
    let f = how.function::<T>();
    Data::Bool((0..n).map(|i| f(&at(a, i), &at(b, i))).collect())
}

fn select<T: HostElement>(which: &[bool], when_false: &[T], when_true: &HostArray, n: usize) -> Data {
    let when_true = when_true.as_slice();
    T::wrap((0..n).map(|i| if at(which, i) { at(when_true, i) } else { at(when_false, i) }).collect())
}

fn threefry(ins: &[&HostArray], n: usize, word: usize) -> Elements<u32> {
    let [k0, k1, x0, x1] = [0, 1, 2, 3].map(|i| ins[i].as_slice::<u32>());
    (0..n).map(|i| threefry2x32([at(k0, i), at(k1, i)], [at(x0, i), at(x1, i)])[word]).collect()
}
