//! Order statistics.

use super::sorted;
use crate::Array;
use crate::elementwise::constant;
use crate::generate::dim_value;
use crate::movement::reject;
use crate::reduce::{Axes, resolve};
use crate::{DType, where_};
use gavotte_core::aval::{Dim, volume};
use gavotte_core::ir::require_at_least;

impl Array {
    /// The median over axes, which disappear: the mean of the two in the middle if their number is even. NaN if there
    /// is one.
    ///
    /// ```
    /// # use gavotte::Array;
    /// let x = Array::new(&[4], vec![3.0f32, 1.0, 4.0, 2.0]);
    /// assert_eq!(x.median(()).item::<f32>(), 2.5);
    /// ```
    ///
    /// # Panics
    /// If there is no such axis, no element along the axes, or the elements are not floats.
    #[track_caller]
    pub fn median(&self, axes: impl Axes) -> Array {
        quantile("median", self, 0.5, axes)
    }

    /// The value below which a fraction `q` of the elements over axes lies, linear between the two nearest elements. NaN
    /// if there is one.
    ///
    /// # Panics
    /// If `q` is not within 0 and 1, there is no such axis, no element along the axes, or the elements are not floats.
    #[track_caller]
    #[doc(alias = "percentile")]
    pub fn quantile(&self, q: f64, axes: impl Axes) -> Array {
        quantile("quantile", self, q, axes)
    }
}

#[track_caller]
fn quantile(operation: &str, x: &Array, q: f64, axes: impl Axes) -> Array {
    if !x.dtype().is_float() {
        reject(operation, "takes floats: convert with `astype` first", &[x]);
    }
    if !(0.0..=1.0).contains(&q) {
        reject(operation, format!("a fraction lies within 0 and 1, not at {q}"), &[x]);
    }
    let axes = resolve(operation, axes, x);
    let (kept, reduced): (Vec<usize>, Vec<usize>) = (0..x.ndim()).partition(|axis| !axes.contains(axis));
    let dims = |axes: &[usize]| axes.iter().map(|axis| x.dim(*axis)).collect::<Vec<Dim>>();
    let (shape, n) = (dims(&kept), volume(&dims(&reduced)));
    let why = || "the axes may have no element".to_string();
    if let Err(why) = require_at_least(&n, &1.into(), why) {
        reject(operation, why.0, &[x]);
    }
    let rows = x.permute(&[kept, reduced].concat()).reshape(shape.iter().cloned().chain([n.clone()]));
    let last = rows.ndim() - 1;
    let rows = sorted(&[&rows], last, 1, false).remove(0);
    let element = |at: &Array| rows.take(at, last as isize);
    let (low, high, part) = match n.as_number() {
        Some(n) => {
            let at = q * (n - 1) as f64;
            let number = |x: f64| Array(constant(DType::I32, x));
            (number(at.floor()), number(at.ceil()), Array(constant(x.dtype(), at.fract())))
        }
        None => {
            let at = (dim_value(n.clone(), DType::F64) - 1.0) * q;
            let number = |x: Array| x.astype(DType::I32);
            (number(at.floor()), number(at.ceil()), (&at - at.floor()).astype(x.dtype()))
        }
    };
    let value = element(&low) * (Array(constant(x.dtype(), 1.0)) - &part) + element(&high) * part;
    // NaN is last.
    let largest = rows.slice_axis(-1, &n - 1..n).reshape(shape);
    where_(&largest.isnan(), largest, value)
}
