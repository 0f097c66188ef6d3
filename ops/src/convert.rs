//! Arrays from Rust's numbers, vectors and nested arrays.

use crate::array::Array;
use gavotte_core::aval::{bf16, f16};

macro_rules! from_elements {
    ($($t:ty)*) => { $(
        /// A scalar.
        impl From<$t> for Array {
            fn from(x: $t) -> Self {
                Array::scalar(x)
            }
        }
        /// One axis.
        impl From<Vec<$t>> for Array {
            fn from(elements: Vec<$t>) -> Self {
                Array::new(&[elements.len()], elements)
            }
        }
        /// One axis.
        impl From<&[$t]> for Array {
            fn from(elements: &[$t]) -> Self {
                elements.to_vec().into()
            }
        }
        /// One axis.
        impl<const N: usize> From<[$t; N]> for Array {
            fn from(elements: [$t; N]) -> Self {
                elements.to_vec().into()
            }
        }
        /// A matrix: one inner array per row.
        impl<const N: usize, const M: usize> From<[[$t; N]; M]> for Array {
            fn from(rows: [[$t; N]; M]) -> Self {
                rows.as_slice().into()
            }
        }
        /// A matrix: one inner array per row.
        impl<const N: usize> From<&[[$t; N]]> for Array {
            fn from(rows: &[[$t; N]]) -> Self {
                Array::new(&[rows.len(), N], rows.as_flattened().to_vec())
            }
        }
        /// Three axes, outermost first.
        impl<const N: usize, const M: usize, const L: usize> From<[[[$t; N]; M]; L]> for Array {
            fn from(matrices: [[[$t; N]; M]; L]) -> Self {
                Array::new(&[L, M, N], matrices.as_flattened().as_flattened().to_vec())
            }
        }
    )* };
}
from_elements!(f16 bf16 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 bool);
