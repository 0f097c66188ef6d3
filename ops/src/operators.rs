//! Operators and elementwise methods of [`Array`].
//!
//! Two arrays broadcast as in NumPy: shapes are aligned at the last axis, and an extent of 1 stretches. A scalar is not
//! broadcast. A Rust number takes the array's element type if both are floats or both are integers. On the left of an
//! operator it must be an `f64` or `i32`, the types of literals; on the right it may have any element type.

use crate::array::{Array, apply};
use crate::array_functions::shift_right;
use crate::elementwise::*;
use crate::movement::{reject, reshape};
use gavotte_core::aval::{DType, Dim, Literal, Shape, bf16, f16, shape as to_shape};
use gavotte_core::ir::structural::broadcast_in_dim;
use gavotte_core::ir::{Params, Primitive, for_caller, same, undecided};
use gavotte_core::tree::Tree;
use std::ops;

/// An operand of an operation with an array: an array, or a Rust number.
///
/// A number takes the array's element type if both are floats or both are integers and the number fits; otherwise it
/// keeps its own, and the operation refuses the pair.
pub trait Operand {
    /// The operand, converted for arrays of `dtype` if there is one.
    fn beside(self, dtype: Option<DType>) -> Array;

    /// The element type that numbers next to it take.
    fn imposes(&self) -> Option<DType>;
}

impl Operand for Array {
    fn beside(self, _: Option<DType>) -> Array {
        self
    }
    fn imposes(&self) -> Option<DType> {
        Some(self.dtype())
    }
}

impl Operand for &Array {
    fn beside(self, _: Option<DType>) -> Array {
        self.clone()
    }
    fn imposes(&self) -> Option<DType> {
        Some(self.dtype())
    }
}

fn literal_beside(literal: Literal, dtype: Option<DType>) -> Array {
    let Some(dtype) = dtype else { return Array::scalar(literal) };
    let own = literal.dtype();
    let converted = literal.convert(dtype);
    // A number that is cut to fewer bits, or changes its sign, comes back as another.
    let is_same = || converted.convert(own) == literal && (converted.as_f64() < 0.0) == (literal.as_f64() < 0.0);
    let takes = (own.is_float() && dtype.is_float()) || (own.is_int() && dtype.is_int() && is_same());
    Array::scalar(if takes { converted } else { literal })
}

/// Two operands broadcast to one shape and, for Rust numbers, with one element type.
#[track_caller]
pub(crate) fn pair(a: impl Operand, b: impl Operand) -> [Array; 2] {
    let dtype = a.imposes().or(b.imposes());
    broadcast([a.beside(dtype), b.beside(dtype)])
}

/// Applies an operation with two operands.
#[track_caller]
pub(crate) fn binary(row: &'static dyn Primitive, a: impl Operand, b: impl Operand) -> Array {
    let [a, b] = pair(a, b);
    apply(row, &[&a, &b], Params::new())
}

/// Applies an operation with one operand.
#[track_caller]
fn unary(row: &'static dyn Primitive, x: &Array) -> Array {
    apply(row, &[x], Params::new())
}

/// The shape that arrays broadcast to; `None` if two extents differ and neither is 1.
pub(crate) fn broadcast_shape(shapes: &[&Shape]) -> Option<Shape> {
    let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let one = Dim::from(1);
    (0..rank)
        .map(|axis| {
            let mut extent = one.clone();
            for shape in shapes {
                let Some(here) = (axis + shape.len()).checked_sub(rank).map(|axis| &shape[axis]) else { continue };
                match (extent == one, *here == one) {
                    (true, _) => extent = here.clone(),
                    (false, true) => {}
                    (false, false) if same(&extent, here) => {}
                    (false, false) => return None,
                }
            }
            Some(extent)
        })
        .collect()
}

/// Broadcasts arrays to one shape; scalars stay, and so do arrays that do not fit, which the operation refuses.
#[track_caller]
pub(crate) fn broadcast<const N: usize>(arrays: [Array; N]) -> [Array; N] {
    let full: Vec<&Shape> = arrays.iter().map(Array::shape).filter(|shape| !shape.is_empty()).collect();
    let Some(shape) = broadcast_shape(&full) else { return arrays };
    let mut stretched = vec![];
    for array in &arrays {
        stretched.push(if array.ndim() == 0 { array.clone() } else { stretch(array, &shape) });
    }
    stretched.try_into().unwrap_or_else(|_| unreachable!("as many as there were"))
}

/// `x` broadcast to a shape: axes that stretch are dropped, then repeated.
#[track_caller]
fn stretch(x: &Array, shape: &[Dim]) -> Array {
    let missing = shape.len() - x.ndim();
    let kept: Vec<usize> = (0..x.ndim()).filter(|axis| same(&x.shape()[*axis], &shape[axis + missing])).collect();
    let extents: Shape = kept.iter().map(|axis| x.shape()[*axis].clone()).collect();
    let dims: Vec<usize> = kept.iter().map(|axis| axis + missing).collect();
    let squeezed = if kept.len() == x.ndim() { x.value().clone() } else { reshape(x.value(), &extents) };
    broadcast_in_dim(&squeezed, shape, &dims).into()
}

// On the left only `f64` and `i32` are possible: with two floating types, the compiler could not infer the type of the
// literal in `(1.0 - &x).log()`.
macro_rules! operators {
    (@ $row:ident $a:expr, $b:expr) => { binary(&$row, $a, $b) };
    (@ ($function:ident) $a:expr, $b:expr) => { $function($a, $b) };
    ($($op:ident $method:ident $assign:ident $assign_method:ident $row:tt: $($t:ident)*;)*) => { $(
        impl<T: Operand> ops::$op<T> for &Array {
            type Output = Array;
            #[track_caller]
            fn $method(self, other: T) -> Array { operators!(@ $row self, other) }
        }
        impl<T: Operand> ops::$op<T> for Array {
            type Output = Array;
            #[track_caller]
            fn $method(self, other: T) -> Array { operators!(@ $row self, other) }
        }
        impl<T: Operand> ops::$assign<T> for Array {
            #[track_caller]
            fn $assign_method(&mut self, other: T) { *self = operators!(@ $row &*self, other); }
        }
        $(
            impl ops::$op<&Array> for $t {
                type Output = Array;
                #[track_caller]
                fn $method(self, other: &Array) -> Array { operators!(@ $row self, other) }
            }
            impl ops::$op<Array> for $t {
                type Output = Array;
                #[track_caller]
                fn $method(self, other: Array) -> Array { operators!(@ $row self, other) }
            }
        )*
    )* };
}
operators! {
    Add add AddAssign add_assign ADD: f64 i32;
    Sub sub SubAssign sub_assign SUB: f64 i32;
    Mul mul MulAssign mul_assign MUL: f64 i32;
    Div div DivAssign div_assign DIV: f64 i32;
    Rem rem RemAssign rem_assign REM: f64 i32;
    BitAnd bitand BitAndAssign bitand_assign AND: i32 bool;
    BitOr bitor BitOrAssign bitor_assign OR: i32 bool;
    BitXor bitxor BitXorAssign bitxor_assign XOR: i32 bool;
    Shl shl ShlAssign shl_assign SHIFT_LEFT: i32;
    // Not an operation of its own: copies of the sign come from above.
    Shr shr ShrAssign shr_assign (shift_right): i32;
}

macro_rules! numbers {
    ($($t:ident)*) => { $(impl Operand for $t {
        fn beside(self, dtype: Option<DType>) -> Array { literal_beside(self.into(), dtype) }
        fn imposes(&self) -> Option<DType> { None }
    })* };
}
numbers! { f16 bf16 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 bool }

macro_rules! prefix {
    ($($op:ident $method:ident $row:ident;)*) => { $(
        impl ops::$op for &Array {
            type Output = Array;
            #[track_caller]
            fn $method(self) -> Array { unary(&$row, self) }
        }
        impl ops::$op for Array {
            type Output = Array;
            #[track_caller]
            fn $method(self) -> Array { unary(&$row, &self) }
        }
    )* };
}
prefix! {
    Neg neg NEG;
    Not not NOT;
}

macro_rules! methods {
    ($($(#[$doc:meta])* $method:ident $row:ident;)*) => { $(
        $(#[$doc])*
        #[track_caller]
        pub fn $method(&self) -> Array { unary(&$row, self) }
    )* };
}

macro_rules! methods_of_two {
    ($($(#[$doc:meta])* $method:ident $row:ident;)*) => { $(
        $(#[$doc])*
        #[track_caller]
        pub fn $method(&self, other: impl Operand) -> Array { binary(&$row, self, other) }
    )* };
}

/// Elementwise methods.
impl Array {
    methods! {
        /// The absolute value.
        abs ABS;
        /// -1, 0 or 1; NaN for NaN.
        sign SIGN;
        /// The largest whole number that is not greater.
        floor FLOOR;
        /// The smallest whole number that is not less.
        ceil CEIL;
        /// The nearest whole number, of two the even one: 2 for 1.5 and for 2.5.
        round ROUND;
        /// The whole number next to it on the side of zero.
        trunc TRUNC;
        /// The number of bits that are set in each integer.
        population_count POPULATION_COUNT;
        /// The number of bits above the highest that is set in each integer; 32 for 0.
        #[doc(alias = "count_leading_zeros")]
        clz CLZ;
    }

    methods_of_two! {
        /// This array to the power `other`, both floating; [`powi`](Array::powi) takes whole exponents.
        pow POW;
        /// The angle of each point whose `y` is this array and whose `x` is `other`, both floating: [`atan2`].
        atan2 ATAN2;
        /// The larger one; NaN if either is NaN.
        maximum MAX;
        /// The smaller one; NaN if either is NaN.
        minimum MIN;
        /// Whether the elements are equal.
        eq EQ;
        /// Whether the elements differ.
        ne NE;
        /// Whether the elements are less.
        lt LT;
        /// Whether the elements are less or equal.
        le LE;
        /// Whether the elements are greater.
        gt GT;
        /// Whether the elements are greater or equal.
        ge GE;
    }

    /// This array times itself.
    #[track_caller]
    pub fn square(&self) -> Array {
        self * self
    }

    /// This array to a whole power, by repeated squaring; for integers, a nonnegative power.
    ///
    /// # Panics
    /// If the elements are integers and the power is negative, or the elements are `bool`.
    #[doc(alias = "integer_pow")]
    #[track_caller]
    pub fn powi(&self, n: i32) -> Array {
        if self.dtype() == DType::Bool || (n < 0 && !self.dtype().is_float()) {
            reject("powi", format!("{} has no power {n}: convert with `astype` first", self.dtype()), &[self]);
        }
        if n >= 0 {
            return self.power(n.unsigned_abs());
        }
        // The reciprocal first: the derivative of one over a power would divide by its square, which overflows much
        // earlier.
        let one = Array::scalar(Literal::from_f64(self.dtype(), 1.0));
        binary(&DIV, one, self).power(n.unsigned_abs())
    }

    /// By repeated squaring.
    #[track_caller]
    fn power(&self, n: u32) -> Array {
        let mut rest = n;
        let (mut power, mut square) = (None, self.clone());
        while rest > 0 {
            if rest & 1 == 1 {
                power = Some(match power {
                    Some(power) => &power * &square,
                    None => square.clone(),
                });
            }
            rest >>= 1;
            if rest > 0 {
                square = square.square();
            }
        }
        let one = || crate::generate::full(self.shape().clone(), Literal::from_f64(self.dtype(), 1.0));
        power.unwrap_or_else(one)
    }

    /// Each element, clamped between `low` and `high`.
    #[track_caller]
    pub fn clip(&self, low: impl Operand, high: impl Operand) -> Array {
        self.maximum(low).minimum(high)
    }

    /// The elements converted to another type, like Rust's `as`: floats to integers truncate and saturate, to `bool` is
    /// `x != 0`.
    #[track_caller]
    pub fn astype(&self, dtype: DType) -> Array {
        match self.dtype() == dtype {
            true => self.clone(),
            false => apply(CONVERT_ELEMENT_TYPE, &[self], Params::new().with("dtype", dtype)),
        }
    }

    /// The same bits as another type of the same width.
    #[track_caller]
    pub fn bitcast(&self, dtype: DType) -> Array {
        apply(BITCAST_CONVERT_TYPE, &[self], Params::new().with("dtype", dtype))
    }

    /// Selects by this `bool` array: `when_true` if it holds, else `when_false`.
    #[track_caller]
    pub fn select(&self, when_true: impl Operand, when_false: impl Operand) -> Array {
        let dtype = when_true.imposes().or(when_false.imposes());
        let [which, yes, no] = broadcast([self.clone(), when_true.beside(dtype), when_false.beside(dtype)]);
        apply(SELECT_N, &[&which, &no, &yes], Params::new())
    }

    /// The product of these weights with `x`, which counts as 0 wherever a weight is 0: masked elements are ignored,
    /// even infinite ones. A sum of weighted rows need not read the rows of dropped weights. The two broadcast.
    ///
    /// ```
    /// # use gavotte::Array;
    /// let (kept, x) = (Array::new(&[2], vec![2.0, 0.0]), Array::new(&[2], vec![3.0, f64::INFINITY]));
    /// assert_eq!(kept.weigh(&x).to_vec::<f64>(), [6.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If the two do not have the same floating type, or their shapes do not broadcast.
    #[track_caller]
    pub fn weigh(&self, x: &Array) -> Array {
        let [weights, x] = broadcast([self.clone(), x.clone()]);
        apply(WEIGH, &[&weights, &x], Params::new())
    }

    /// This array broadcast to a shape: axes are aligned at the last, and an extent of 1 stretches.
    ///
    /// # Panics
    /// If an extent is neither 1 nor that of the shape.
    #[track_caller]
    pub fn broadcast_to(&self, shape: impl IntoIterator<Item = impl Into<Dim>>) -> Array {
        let shape = to_shape(shape);
        let pairs = self.shape().iter().rev().zip(shape.iter().rev());
        let misfit = pairs.clone().find(|(own, wanted)| **own != 1 && !same(own, wanted));
        if self.ndim() > shape.len() || misfit.is_some() {
            let open = misfit.map_or(String::new(), |(a, b)| undecided(&a.equal_to(b), a, b));
            let why = format!("does not stretch to {shape:?}: extents, aligned at the last, must be equal or 1{open}");
            reject("broadcast_to", why, &[self]);
        }
        stretch(self, &shape)
    }

    /// This array, treated as a constant by derivatives.
    #[track_caller]
    pub fn stop_gradient(&self) -> Array {
        unary(STOP_GRADIENT, self)
    }
}

/// `when_true` if `condition` holds, else `when_false`. The three broadcast.
#[doc(alias = "where")]
#[track_caller]
pub fn where_(condition: &Array, when_true: impl Operand, when_false: impl Operand) -> Array {
    condition.select(when_true, when_false)
}

/// The angle of each point `(x, y)`, counted from the positive `x` axis, in radians from -π to π. The two broadcast.
///
/// As in C and JAX, the sign of a zero `y` says on which side of the `x` axis a point lies: `atan2(±0, x)` is ±0 if `x`
/// is 0 or greater, and ±π if it is -0 or less. Points at infinity lie on the axes and diagonals; the result for NaN is
/// NaN.
///
/// The derivative, `(x dy - y dx) / (x² + y²)`, is NaN at the origin.
#[track_caller]
pub fn atan2(y: impl Operand, x: impl Operand) -> Array {
    binary(&ATAN2, y, x)
}

/// The tree, with each array treated as a constant by derivatives.
#[track_caller]
pub fn stop_gradient<T: Tree>(tree: &T) -> T {
    for_caller(|| tree.map(|leaf| unary(STOP_GRADIENT, &leaf.into()).into()))
}
