//! Operators and comparisons under the names that they have in NumPy.

use crate::array::Array;
use crate::elementwise::{ADD, AND, DIV, EQ, GE, GT, LE, LT, MUL, NE, OR, SUB, XOR};
use crate::operators::{Operand, binary};

macro_rules! functions_of_two {
    ($($(#[$doc:meta])* $name:ident $row:ident;)*) => { $(
        $(#[$doc])*
        ///
        /// # Panics
        /// If the two differ in element type, their shapes do not broadcast, or the operation does not take the type.
        #[track_caller]
        pub fn $name(a: impl Operand, b: impl Operand) -> Array {
            binary(&$row, a, b)
        }
    )* };
}

functions_of_two! {
    /// `a + b`. The two broadcast, and either may be a number.
    ///
    /// ```
    /// use gavotte::{Array, add};
    /// assert_eq!(add(1.0, Array::from([2.0, 3.0])).to_vec::<f64>(), [3.0, 4.0]);
    /// ```
    add ADD;
    /// `a - b`. The two broadcast, and either may be a number.
    ///
    /// ```
    /// use gavotte::{Array, subtract};
    /// assert_eq!(subtract(1.0, Array::from([2.0, 3.0])).to_vec::<f64>(), [-1.0, -2.0]);
    /// ```
    subtract SUB;
    /// `a * b`. The two broadcast, and either may be a number.
    ///
    /// ```
    /// use gavotte::{Array, multiply};
    /// assert_eq!(multiply(Array::from([2.0, 3.0]), 4.0).to_vec::<f64>(), [8.0, 12.0]);
    /// ```
    multiply MUL;
    /// `a / b`; integers round toward zero, unlike in NumPy. The two broadcast, and either may be a number.
    ///
    /// ```
    /// use gavotte::{Array, divide};
    /// assert_eq!(divide(1.0, Array::from([2.0, 4.0])).to_vec::<f64>(), [0.5, 0.25]);
    /// ```
    divide DIV;
    /// Whether elements are equal; NaN equals nothing. [`Array::eq`] is the same.
    ///
    /// ```
    /// use gavotte::{Array, equal};
    /// assert_eq!(equal(Array::from([1.0, f64::NAN]), 1.0).to_vec::<bool>(), [true, false]);
    /// ```
    equal EQ;
    /// Whether elements differ; NaN differs from everything. [`Array::ne`] is the same.
    ///
    /// ```
    /// use gavotte::{Array, not_equal};
    /// assert_eq!(not_equal(Array::from([1.0, f64::NAN]), 1.0).to_vec::<bool>(), [false, true]);
    /// ```
    not_equal NE;
    /// Whether `a < b`; never for NaN. [`Array::lt`] is the same.
    ///
    /// ```
    /// use gavotte::{Array, less};
    /// assert_eq!(less(2, Array::from([2, 3])).to_vec::<bool>(), [false, true]);
    /// ```
    less LT;
    /// Whether `a ≤ b`; never for NaN. [`Array::le`] is the same.
    ///
    /// ```
    /// use gavotte::{Array, less_equal};
    /// assert_eq!(less_equal(3, Array::from([2, 3])).to_vec::<bool>(), [false, true]);
    /// ```
    less_equal LE;
    /// Whether `a > b`; never for NaN. [`Array::gt`] is the same.
    ///
    /// ```
    /// use gavotte::{Array, greater};
    /// assert_eq!(greater(3, Array::from([2, 3])).to_vec::<bool>(), [true, false]);
    /// ```
    greater GT;
    /// Whether `a ≥ b`; never for NaN. [`Array::ge`] is the same.
    ///
    /// ```
    /// use gavotte::{Array, greater_equal};
    /// assert_eq!(greater_equal(2, Array::from([2, 3])).to_vec::<bool>(), [true, false]);
    /// ```
    greater_equal GE;
    /// The bits that both have: `a & b`, of integers or `bool`.
    ///
    /// ```
    /// use gavotte::{Array, bitwise_and};
    /// assert_eq!(bitwise_and(Array::from([5, 6]), 4).to_vec::<i32>(), [4, 4]);
    /// ```
    bitwise_and AND;
    /// The bits that either has: `a | b`, of integers or `bool`.
    ///
    /// ```
    /// use gavotte::{Array, bitwise_or};
    /// assert_eq!(bitwise_or(Array::from([5, 6]), 8).to_vec::<i32>(), [13, 14]);
    /// ```
    bitwise_or OR;
    /// The bits that exactly one of them has: `a ^ b`, of integers or `bool`.
    ///
    /// ```
    /// use gavotte::{Array, bitwise_xor};
    /// assert_eq!(bitwise_xor(Array::from([5, 6]), 4).to_vec::<i32>(), [1, 2]);
    /// ```
    bitwise_xor XOR;
}

/// Operators with one operand, under the names that they have in NumPy.
impl Array {
    /// `-x`; integers wrap.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([1, -2]).negative().to_vec::<i32>(), [-1, 2]);
    /// ```
    ///
    /// # Panics
    /// If the elements are `bool`.
    #[track_caller]
    pub fn negative(&self) -> Array {
        -self
    }

    /// All bits inverted: `!x`, of integers or `bool`.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([0, -2]).bitwise_not().to_vec::<i32>(), [-1, 1]);
    /// ```
    ///
    /// # Panics
    /// If the elements are floating.
    #[track_caller]
    pub fn bitwise_not(&self) -> Array {
        !self
    }

    /// The number of bits that are set in the absolute value of each integer; [`population_count`](Array::population_count)
    /// counts those of the integer itself, which differ below 0.
    ///
    /// ```
    /// use gavotte::Array;
    /// assert_eq!(Array::from([7, -1]).bitwise_count().to_vec::<i32>(), [3, 1]);
    /// ```
    ///
    /// # Panics
    /// If the elements are not integers.
    #[track_caller]
    pub fn bitwise_count(&self) -> Array {
        if self.dtype().is_signed() { self.abs().population_count() } else { self.population_count() }
    }
}
