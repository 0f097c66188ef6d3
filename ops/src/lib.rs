//! Gavotte: composable function transformations for Rust, with graphs as first-class data.
//!
//! # Integers
//!
//! Operations on integers never stop, and return the same on every target: XLA's results.
//!
//! | Operation | Result |
//! |---|---|
//! | sum, difference, product, `-x`, `abs` out of range | wraps: the low bits of the exact result |
//! | `x / y` | rounds toward zero |
//! | `x / 0` | all bits set: -1, or the largest of an unsigned type |
//! | `x % y` | has the sign of `x` |
//! | `x % 0` | `x` |
//! | the least integer `/ -1`, and `% -1` | itself, and 0 |
//! | `x << s`, with `s` negative or at least the width | 0 |
//! | `x >> s` of an unsigned type, with such an `s` | 0 |
//! | `x >> s` of a signed type, with such an `s` | 0, or -1 for a negative `x` |
//! | a float as an integer | rounds toward zero; the nearest integer of the type if it is out of range, and 0 for NaN |
//! | an integer as a shorter one | its low bits |
//!
//! ```
//! use gavotte::{Array, DType};
//! let x = Array::from([i32::MAX, i32::MIN, 7, -7]);
//! assert_eq!((&x + 1).to_vec::<i32>(), [i32::MIN, i32::MIN + 1, 8, -6]);
//! assert_eq!((-&x).to_vec::<i32>(), [-i32::MAX, i32::MIN, -7, 7]);
//! assert_eq!(x.abs().to_vec::<i32>(), [i32::MAX, i32::MIN, 7, 7]);
//! assert_eq!((&x / 2).to_vec::<i32>(), [i32::MAX / 2, i32::MIN / 2, 3, -3]);
//! assert_eq!((&x / 0).to_vec::<i32>(), [-1; 4]);
//! assert_eq!((Array::from([7u8, 0]) / 0).to_vec::<u8>(), [255, 255]);
//! assert_eq!((&x % 4).to_vec::<i32>(), [3, 0, 3, -3]);
//! assert_eq!((&x % 0).to_vec::<i32>(), x.to_vec::<i32>());
//! assert_eq!((&x / -1).to_vec::<i32>(), [-i32::MAX, i32::MIN, -7, 7]);
//! assert_eq!((&x % -1).to_vec::<i32>(), [0; 4]);
//! assert_eq!((&x << 32).to_vec::<i32>(), [0; 4]);
//! assert_eq!((&x << -1).to_vec::<i32>(), [0; 4]);
//! assert_eq!((Array::from([255u8]) >> 8).to_vec::<u8>(), [0]);
//! assert_eq!((&x >> 1).to_vec::<i32>(), [i32::MAX >> 1, i32::MIN >> 1, 3, -4]);
//! assert_eq!((&x >> 99).to_vec::<i32>(), [0, -1, 0, -1]);
//! let y = Array::from([-2.9f32, 1e30, f32::NEG_INFINITY, f32::NAN]);
//! assert_eq!(y.astype(DType::I16).to_vec::<i16>(), [-2, i16::MAX, i16::MIN, 0]);
//! assert_eq!(Array::from([300, -1]).astype(DType::U8).to_vec::<u8>(), [44, 255]);
//! ```

extern crate self as gavotte;

mod array;
mod array_functions;
mod callback;
mod compare;
mod contract;
mod control;
mod convert;
mod cumulative;
mod custom;
mod debug;
pub mod device;
mod elementwise;
mod gather;
mod generate;
pub mod indexing;
pub mod init;
mod jacobian;
pub mod linalg;
mod movement;
pub mod nn;
mod operators;
pub mod optimizers;
pub mod params;
pub mod random;
mod reduce;
mod saved;
pub mod segment;
mod show;
mod sort;
pub mod special;
pub mod stax;
pub mod tree;
mod window;

pub use array::Array;
pub use array_functions::{
    Contracted, Indexing, Overlap, add, average, bartlett, bitwise_and, bitwise_or, bitwise_xor, blackman, block,
    broadcast_shapes, column_stack, convolve, copysign, corrcoef, correlate, cov, cross, digitize, divide, equal,
    float_power, floor_divide, fmax, fmin, fmod, full_like, geomspace, greater, greater_equal, hamming, hanning,
    heaviside, hstack, hypot, inner, interp, isclose, isin, kron, ldexp, less, less_equal, linspace, logaddexp,
    logaddexp2, logical_and, logical_or, logical_xor, logspace, meshgrid, mulhi, multiply, nextafter, not_equal, outer,
    polyval, ravel_multi_index, reduce_and, reduce_or, reduce_precision, reduce_prod, reduce_xor, remainder,
    shift_left, shift_right, subtract, tensordot, tri, unravel_index, vdot, vecdot, vstack,
};
pub use callback::pure_callback;
pub use compare::{allclose, assert_allclose};
pub use contract::einsum;
pub use control::{ScanOptions, cond, fori_loop, scan, scan_with, switch, while_loop};
pub use cumulative::associative_scan;
pub use custom::{
    Policy, checkpoint, checkpoint_name, checkpoint_with, closure_convert, custom_gradient, custom_jvp,
    custom_linear_solve, custom_root, custom_vjp, optimization_barrier,
};
pub use debug::{debug_print, with_debug_output};
pub use gavotte_core::api::{
    Arg, Argnums, Args, ByRef, ByValue, Change, ChangeKind, Compiled, Fun, Function, HasArg, Jit, Lowered, MapAxes,
    Miss, Shareable, Stage, device_copy, device_get, device_put, disable_jit, eval_shape, grad, grad_argnums, jit,
    jit_with, jvp, linear_transpose, linearize, make_program, value_and_grad, value_and_grad_argnums,
    value_and_grad_aux, vjp, vmap, vmap_axes, vmap_with,
};
pub use gavotte_core::aval::{Aval, DType, Dim, Fact, Literal, Shape, bf16, f16, shape};
pub use gavotte_core::error::Error;
pub use gavotte_core::ir::{ReduceOp, assume, named_scope};
pub use gavotte_core::runtime::{Options, Target};
pub use generate::{arange, dim_value, eye, full, iota, ones, ones_like, zeros, zeros_like};
pub use indexmap::IndexMap;
pub use jacobian::{Directed, Jacobian, hessian, hvp, jacfwd, jacrev};
pub use movement::{concatenate, stack};
pub use operators::{Operand, atan2, stop_gradient, where_};
pub use params::{Params, load_params, load_params_like, save_params};
pub use reduce::Axes;
pub use saved::{load, load_like};
pub use sort::{Side, sort_by, sort_key_val};
#[doc(inline)]
pub use special::erfinv as erf_inv;
pub use tree::Tree;
#[doc(inline)]
pub use tree::{
    leaves as tree_leaves, map as tree_map, map_with_path as tree_map_with_path, ravel as ravel_pytree,
    reduce as tree_reduce,
};
pub use window::{
    ConvLayout, ConvOptions, Padding, WindowOptions, conv, conv_transpose, conv_transpose_with, conv_with,
    reduce_window,
};

use gavotte_core::ir::Registry;
use std::sync::LazyLock;

/// Every primitive, by name: those that program text may use.
pub fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
        Registry::new(&[
            elementwise::PRIMITIVES,
            movement::PRIMITIVES,
            reduce::PRIMITIVES,
            contract::PRIMITIVES,
            custom::PRIMITIVES,
            gather::PRIMITIVES,
            sort::PRIMITIVES,
            cumulative::PRIMITIVES,
            window::PRIMITIVES,
            linalg::PRIMITIVES,
            special::PRIMITIVES,
            generate::PRIMITIVES,
            control::PRIMITIVES,
            debug::PRIMITIVES,
        ])
    });
    &REGISTRY
}

/// The README's examples.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
