//! The family `linalg`: factorisations of the matrices in the last two axes, and systems of equations by their factors.
//! They run through `eval`, on the host.

mod cholesky;
mod eigh;
mod lu;
mod qr;
mod solve;
mod svd;
mod triangular_solve;

pub(super) use cholesky::cholesky;
pub(super) use eigh::eigh;
pub(super) use lu::lu;
pub(super) use qr::qr;
pub(super) use solve::solve;
pub(super) use svd::svd;
pub(super) use triangular_solve::{Side, triangular_solve};

use crate::Array;
use gavotte_core::aval::{Aval, DType, Dim};
use gavotte_core::device::{Data, HostArray};
use gavotte_core::error::{Error, TypeError};
use gavotte_core::ir::structural::place_axis;
use gavotte_core::ir::{Batch, Batched, Params, Primitive, Value, bind, refuse, require_equal};

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] =
    &[cholesky::CHOLESKY, eigh::EIGH, lu::LU, qr::QR, solve::SOLVE, svd::SVD, triangular_solve::TRIANGULAR_SOLVE];

/// The extents of the matrices in the last two axes, which hold floats.
fn matrices(x: &Aval) -> Result<[&Dim; 2], TypeError> {
    match &x.shape[..] {
        [.., rows, columns] if x.dtype.is_float() && !x.dtype.is_narrow() => Ok([rows, columns]),
        _ => Err(TypeError::new(format!("takes matrices of f32 or f64, not {x}: convert with `astype` first"))),
    }
}

/// The extent of the square matrices in the last two axes, which hold floats.
fn square(x: &Aval) -> Result<&Dim, TypeError> {
    let [rows, columns] = matrices(x)?;
    alike(rows, columns, || format!("the matrices of {x} are not square"))?;
    Ok(rows)
}

/// Requires that two extents are equal and named alike.
fn alike(a: &Dim, b: &Dim, why: impl Fn() -> String) -> Result<(), TypeError> {
    require_equal(a, b, &why)?;
    if a == b { Ok(()) } else { Err(TypeError::new(format!("{}: name equal extents alike, with `reshape`", why()))) }
}

/// The extents in front of the last two axes.
fn leading(x: &Aval) -> &[Dim] {
    &x.shape[..x.rank() - 2]
}

/// A type with these last axes in the place of the last two.
fn with_last(x: &Aval, last: &[&Dim]) -> Aval {
    x.with_shape(leading(x).iter().chain(last.iter().copied()).cloned().collect())
}

/// The last two extents of an array.
fn last_two(x: &HostArray) -> [usize; 2] {
    let shape = x.shape();
    [shape[shape.len() - 2], shape[shape.len() - 1]]
}

/// The shape of an array with these last axes in the place of the last two.
fn shaped(x: &HostArray, last: &[usize]) -> Vec<usize> {
    let shape = x.shape();
    [&shape[..shape.len() - 2], last].concat()
}

/// The elements as `f64`, without negative zeros: passes may change the sign of a zero, which would decide about signs and
/// order of vectors.
fn wide(x: &HostArray) -> Vec<f64> {
    match x.data() {
        Data::F32(xs) => xs.iter().map(|x| f64::from(*x) + 0.0).collect(),
        Data::F64(xs) => xs.iter().map(|x| x + 0.0).collect(),
        _ => unreachable!("abstract_eval admits floats only"),
    }
}

/// An array of this element type, rounded to it.
fn rounded(shape: &[usize], dtype: DType, xs: Vec<f64>) -> HostArray {
    match dtype {
        DType::F32 => HostArray::new(shape, xs.into_iter().map(|x| x as f32).collect()),
        _ => HostArray::new(shape, xs),
    }
}

/// The symmetric part of square matrices.
#[track_caller]
fn symmetric_part(x: &Array) -> Array {
    (x + x.swap_axes(-1, -2)) * 0.5
}

/// `value * (1 / (difference + 1 on the diagonal) - 1 on the diagonal)`: quotients besides the diagonal, zeros on it.
#[track_caller]
fn divided(value: &Array, difference: &Array) -> Array {
    let n = difference.dim(difference.ndim() - 1);
    let one = crate::eye(n, difference.dtype());
    value * ((difference + &one).reciprocal() - one)
}

/// The diagonals of square matrices. A sum keeps shapes as they are where the extent is 0.
#[track_caller]
fn diagonal(x: &Array) -> Array {
    let n = x.dim(x.ndim() - 1);
    let (row, column) = (crate::iota([&n, &n], 0, DType::I32), crate::iota([&n, &n], 1, DType::I32));
    crate::where_(&row.eq(column), x, crate::array_functions::number(x.dtype(), 0.0)).sum(-1)
}

/// The results of a factorisation.
#[track_caller]
fn results<const N: usize>(prim: &'static dyn Primitive, x: &Array) -> [Array; N] {
    let mut outs = bind(prim, &[&x.0], Params::new()).into_iter().map(Array);
    [(); N].map(|()| outs.next().expect("its number of results is known"))
}

/// Refuses to transpose in an operand in which a primitive is not linear.
fn not_linear(name: &str) -> Vec<Option<Value>> {
    refuse(Error::Unsupported(format!("{name}: it is linear in the right side only")))
}

/// Batches a primitive whose operands and results have their batches in front.
#[track_caller]
fn batched(prim: &'static dyn Primitive, cx: &Batch<'_>) -> Batched {
    let ins: Vec<Value> = cx.ins.iter().map(|x| place_axis(x, 0, cx.size)).collect();
    let outs = bind(prim, &ins.iter().collect::<Vec<_>>(), cx.params.clone());
    outs.into_iter().map(|out| (out, Some(0))).collect()
}

/// A well conditioned matrix for samples: waves, with `diagonal` added on the diagonal.
fn sample(shape: &[usize], diagonal: f32) -> HostArray {
    let [.., rows, columns] = shape else { panic!("it is a matrix") };
    let element = |i: usize| {
        let is_diagonal = i % (rows * columns) / columns == i % columns;
        (i as f32 * 1.7 + 0.3).sin() + if is_diagonal { diagonal + (i as f32 * 0.9).cos() * 0.5 } else { 0.0 }
    };
    HostArray::new(shape, (0..shape.iter().product()).map(element).collect())
}
