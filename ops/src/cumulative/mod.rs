//! Cumulative operations: each element along an axis with all before it.

mod primitive;
mod scan;

pub use scan::associative_scan;

use crate::Array;
use crate::movement::{axis_of, reject};
use gavotte_core::ir::Primitive;
use gavotte_core::ir::structural::move_axis;
use primitive::{CUMMAX, CUMMIN, CUMPROD, CUMSUM, cumulative};

/// The primitives of this family.
pub(crate) static PRIMITIVES: &[&dyn Primitive] = &[CUMSUM, CUMPROD, CUMMAX, CUMMIN];

#[track_caller]
fn along(prim: &'static dyn Primitive, x: &Array, axis: isize, reverse: bool) -> Array {
    let axis = axis_of(prim.name(), axis, x.ndim(), x);
    let last = x.ndim() - 1;
    Array(move_axis(&cumulative(prim, &move_axis(&x.0, axis, last), reverse), last, axis))
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident, $(#[$reverse_doc:meta])* $reverse:ident = $prim:ident;)*) => {
        impl Array {
            $(
                $(#[$doc])*
                ///
                /// # Panics
                /// If there is no such axis, or the elements are `bool`.
                #[track_caller]
                pub fn $name(&self, axis: isize) -> Array {
                    along($prim, self, axis, false)
                }

                $(#[$reverse_doc])*
                ///
                /// # Panics
                /// If there is no such axis, or the elements are `bool`.
                #[track_caller]
                pub fn $reverse(&self, axis: isize) -> Array {
                    along($prim, self, axis, true)
                }
            )*
        }
    };
}

methods! {
    /// The sum of each element and of all before it along an axis. Rounding errors grow with the logarithm of their
    /// number.
    ///
    /// ```
    /// # use gavotte::Array;
    /// let x = Array::new(&[4], vec![3, 1, 4, 1]);
    /// assert_eq!(x.cumsum(0).to_vec::<i32>(), [3, 4, 8, 9]);
    /// assert_eq!(x.cumsum_reverse(0).to_vec::<i32>(), [9, 6, 5, 1]);
    /// ```
    cumsum,
    /// The sum of each element and of all after it along an axis.
    cumsum_reverse = CUMSUM;
    /// The product of each element and of all before it along an axis. Its derivatives are right where elements are zero.
    cumprod,
    /// The product of each element and of all after it along an axis.
    cumprod_reverse = CUMPROD;
    /// The largest of each element and of all before it along an axis; NaN from the first NaN on. The derivative is that
    /// of the last element that was the largest when it came.
    cummax,
    /// The largest of each element and of all after it along an axis.
    cummax_reverse = CUMMAX;
    /// The smallest of each element and of all before it along an axis; NaN from the first NaN on. The derivative is that
    /// of the last element that was the smallest when it came.
    cummin,
    /// The smallest of each element and of all after it along an axis.
    cummin_reverse = CUMMIN;
}

impl Array {
    /// `log(exp(x₀) + … + exp(xᵢ))` of each element and of all before it along an axis, without overflow.
    ///
    /// # Panics
    /// If there is no such axis, its extent is a symbol, or the elements are not floats.
    #[track_caller]
    pub fn cumlogsumexp(&self, axis: isize) -> Array {
        if !self.dtype().is_float() {
            reject("cumlogsumexp", "takes floats: convert with `astype` first", &[self]);
        }
        associative_scan(|a: Array, b: Array| crate::logaddexp(&a, &b), self.clone(), axis, false)
    }
}
