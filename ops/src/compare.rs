//! Whether two arrays are equal or close, for tests and for convergence checks.

use crate::array::Array;
use gavotte_core::device::HostArray;
use gavotte_core::ir::{demand, refuse};
use std::sync::Arc;

impl Array {
    /// Whether the other array has the same element type, shape and elements. As with `==` on floats, NaN does not
    /// equal NaN, and 0.0 equals -0.0. Arrays do not implement `==`, which could be mistaken for the elementwise
    /// [`eq`](Array::eq).
    ///
    /// ```
    /// use gavotte::Array;
    /// let x = Array::from([[1f32, 2.0]]);
    /// assert!(x.array_equal(&(&x * 1f32)));
    /// assert!(!x.array_equal(&Array::from([1f32, 2.0])), "the shapes differ");
    /// ```
    ///
    /// # Panics
    /// If an array is being traced.
    ///
    /// Source: NumPy, `numpy.array_equal`.
    #[track_caller]
    pub fn array_equal(&self, other: &Array) -> bool {
        let (a, b) = (read(self), read(other));
        a == b
    }
}

/// Whether each element of `a` is within `atol + rtol · |b|` of that of `b`. Infinities are close to themselves; NaN is
/// close to nothing. The rule is not symmetric: `b` is the reference. Shapes must be equal, without broadcasting;
/// element types may differ.
///
/// ```
/// use gavotte::{Array, allclose};
/// let (a, b) = (Array::from([1.0, 100.1]), Array::from([1.0, 100.0]));
/// assert!(allclose(&a, &b, 1e-2, 0.0) && !allclose(&a, &b, 1e-5, 1e-8));
/// ```
///
/// # Panics
/// If the shapes differ, or an array is being traced.
///
/// Source: NumPy, `numpy.allclose`, whose defaults are `rtol = 1e-5` and `atol = 1e-8`.
#[track_caller]
pub fn allclose(a: &Array, b: &Array, rtol: f64, atol: f64) -> bool {
    let [a, b] = alike("allclose", a, b);
    (0..a.len()).all(|i| is_close(&a, &b, i, rtol, atol))
}

/// Requires [`allclose`].
///
/// ```should_panic
/// use gavotte::{Array, assert_allclose};
/// // assert_allclose: 1 of 2 elements differ by more than 1e-5 · |b| + 0.0
/// //   at [1] a is 2.5 and b is 2.0
/// assert_allclose(&Array::from([1.0, 2.5]), &Array::from([1.0, 2.0]), 1e-5, 0.0);
/// ```
///
/// # Panics
/// If the arrays are not close: the message says how many elements differ, and shows the first. As [`allclose`].
///
/// Source: NumPy, `numpy.testing.assert_allclose`, where NaN equals NaN; here it does not.
#[track_caller]
pub fn assert_allclose(a: &Array, b: &Array, rtol: f64, atol: f64) {
    let [x, y] = alike("assert_allclose", a, b);
    let apart: Vec<usize> = (0..x.len()).filter(|i| !is_close(&x, &y, *i, rtol, atol)).collect();
    let Some(first) = apart.first() else { return };
    let mut rest = *first;
    let mut index: Vec<usize> = x.shape().iter().rev().map(|extent| (rest % extent, rest /= extent).0).collect();
    index.reverse();
    let [p, q] = [&x, &y].map(|array| array.get(*first).as_f64());
    panic!(
        "assert_allclose: {} of {} elements differ by more than {rtol:?} · |b| + {atol:?}\n  at {index:?} a is {p:?} and b \
         is {q:?}\n  operands: {}, {}",
        apart.len(),
        x.len(),
        a.value().aval(),
        b.value().aval()
    );
}

/// Whether the elements at a position are close. All element types convert to `f64` exactly.
fn is_close(a: &HostArray, b: &HostArray, i: usize, rtol: f64, atol: f64) -> bool {
    let (a, b) = (a.get(i).as_f64(), b.get(i).as_f64());
    a == b || (a.is_finite() && b.is_finite() && (a - b).abs() <= atol + rtol * b.abs())
}

/// Both arrays on the host.
#[track_caller]
fn alike(what: &str, a: &Array, b: &Array) -> [Arc<HostArray>; 2] {
    demand(a.shape() == b.shape(), || {
        let (a, b) = (a.value().aval(), b.value().aval());
        format!("{what}: the shapes differ: compare arrays of the same shape\n  operands: {a}, {b}")
    });
    [read(a), read(b)]
}

#[track_caller]
fn read(array: &Array) -> Arc<HostArray> {
    match array.to_host() {
        Ok(host) => host,
        Err(error) => refuse(error),
    }
}
