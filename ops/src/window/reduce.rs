//! Reductions over windows, and pooling.

use super::padding::{Padding, counts};
use super::windows::{Moves, windows};
use crate::array::Array;
use crate::array_functions::{floating, number};
use crate::custom_jvp;
use crate::generate::{dim_value, iota, ones_like};
use crate::movement::{pad, reject};
use crate::operators::where_;
use gavotte_core::aval::{DType, Dim};
use gavotte_core::ir::ReduceOp;
use gavotte_core::ir::structural::broadcast_in_dim;

/// How a window moves. An empty list is a list of ones.
#[derive(Clone, Debug)]
pub struct WindowOptions {
    /// How far the window moves along each axis.
    pub strides: Vec<usize>,
    /// Elements around the array that change no result: zeros for a sum.
    pub padding: Padding,
    /// The distance of neighbouring elements of the array; between them are elements that change no result.
    pub base_dilation: Vec<usize>,
    /// The distance of neighbouring elements of the window.
    pub window_dilation: Vec<usize>,
}

impl Default for WindowOptions {
    /// A window that moves by 1 within the array.
    fn default() -> Self {
        WindowOptions { strides: vec![], padding: Padding::Valid, base_dilation: vec![], window_dilation: vec![] }
    }
}

/// Combines the elements that a window of this size shows, at each of its places. There is one size for each axis.
///
/// A maximum or a minimum is NaN if the window shows one. Its derivative is that of the first element that equals it, in
/// row-major order.
///
/// ```
/// use gavotte::{Array, ReduceOp, WindowOptions, grad, reduce_window};
/// let x = Array::from([1.0f32, 3.0, 3.0, 2.0]);
/// let largest = |x: Array| reduce_window(&x, ReduceOp::Max, &[2], &WindowOptions::default());
/// assert_eq!(largest(x.clone()).to_vec::<f32>(), [3.0, 3.0, 3.0]);
/// assert_eq!(grad(move |x: Array| largest(x).sum(()))(x).to_vec::<f32>(), [0.0, 2.0, 1.0, 0.0]);
/// ```
///
/// # Panics
/// If there is not one size for each axis, a size, stride or dilation is 0, padding is [`Padding::Same`] around a dilated
/// array, or elements are `bool` and summed.
///
/// Source: JAX, `jax.lax.reduce_window`, with the initial value that changes no result.
#[track_caller]
pub fn reduce_window(x: &Array, op: ReduceOp, size: &[usize], options: &WindowOptions) -> Array {
    reduced("reduce_window", x, op, size, options)
}

#[track_caller]
fn reduced(operation: &str, x: &Array, op: ReduceOp, size: &[usize], options: &WindowOptions) -> Array {
    let rank = x.ndim();
    if size.len() != rank || size.contains(&0) {
        let why = format!("the sizes {size:?} of a window must be {rank} numbers that are not 0");
        reject(operation, why, &[x]);
    }
    if x.dtype() == DType::Bool && op == ReduceOp::Sum {
        reject(operation, "bools have no sum: convert with `astype` first", &[x]);
    }
    let stride = counts(operation, "strides", &options.strides, rank, x);
    let base = counts(operation, "dilations", &options.base_dilation, rank, x);
    let dilation = counts(operation, "dilations", &options.window_dilation, rank, x);
    let (mut low, mut high): (Vec<Dim>, Vec<Dim>) = (vec![], vec![]);
    for axis in 0..rank {
        let span = Dim::from((size[axis] - 1) * dilation[axis] + 1);
        let extent = x.dim(axis);
        let (before, after) =
            options.padding.borders(operation, (axis, rank), (&extent, &span), (stride[axis], base[axis]), x);
        low.push(before);
        high.push(after);
    }
    let none = Array::scalar(op.identity(x.dtype()));
    let mut shown = surrounded(x, &none, (&low, &high), &base);
    let mut axes = vec![];
    // From the last axis on, so that the places of those before stay.
    for axis in (0..rank).rev().filter(|axis| size[*axis] != 1 || stride[*axis] != 1) {
        let moves = Moves { size: size[axis].into(), stride: stride[axis], dilation: dilation[axis] };
        shown = Array(windows(&shown.0, axis, &moves));
        axes.iter_mut().for_each(|other| *other += 1);
        axes.push(axis + 1);
    }
    axes.sort_unstable();
    match op {
        ReduceOp::Prod if x.dtype() == DType::Bool => shown.min(&axes[..]),
        ReduceOp::Sum => shown.sum(&axes[..]),
        ReduceOp::Prod => shown.prod(&axes[..]),
        ReduceOp::Max | ReduceOp::Min => extremum(&shown, op, axes),
    }
}

/// `x` with `none` around and between its elements, and without what negative borders cut off.
#[track_caller]
fn surrounded(x: &Array, none: &Array, (low, high): (&[Dim], &[Dim]), base: &[usize]) -> Array {
    let positive = |borders: &[Dim]| -> Vec<Dim> {
        borders.iter().map(|dim| if dim.as_number().is_some_and(|n| n < 0) { 0.into() } else { dim.clone() }).collect()
    };
    let interior: Vec<usize> = base.iter().map(|dilation| dilation - 1).collect();
    let mut out = Array(pad(&x.0, &none.0, &positive(low), &positive(high), &interior));
    for axis in 0..x.ndim() {
        let cut = |border: &Dim| border.as_number().map_or(0, |n| (-n).max(0));
        let (front, end) = (cut(&low[axis]), out.dim(axis) - cut(&high[axis]));
        if front > 0 || end != out.dim(axis) {
            out = out.slice_axis(axis as isize, Dim::from(front)..end);
        }
    }
    out
}

/// The extremum over axes, with the derivative of the first element that equals it.
#[track_caller]
fn extremum(shown: &Array, op: ReduceOp, axes: Vec<usize>) -> Array {
    let of = {
        let axes = axes.clone();
        move |x: Array| if op == ReduceOp::Max { x.max(&axes[..]) } else { x.min(&axes[..]) }
    };
    if axes.is_empty() || !shown.dtype().is_float() {
        return of(shown.clone());
    }
    // dy = Σᵢ dxᵢ [i is the first place where xᵢ = y or xᵢ is NaN]
    let value = of.clone();
    let rule = move |(x,): (Array,), (dx,): (Array,)| {
        let kept: Vec<usize> = (0..x.ndim()).filter(|axis| !axes.contains(axis)).collect();
        let spread = |y: &Array| Array(broadcast_in_dim(&y.0, x.shape(), &kept));
        let mut place = number(DType::I32, 0.0);
        for axis in &axes {
            let number = iota(x.shape().iter().cloned(), *axis, DType::I32);
            place = if place.ndim() == 0 { number } else { place * dim_value(x.dim(*axis), DType::I32) + number };
        }
        let still = x.stop_gradient();
        let wins = still.eq(spread(&value(still.clone()))) | still.ne(&still);
        let first = where_(&wins, &place, i32::MAX).min(&axes[..]);
        let is_first = place.eq(spread(&first));
        // So the derivative of this rule's own value has the same choice.
        let y = where_(&is_first, x, 0.0).sum(&axes[..]);
        (y, where_(&is_first, dx, 0.0).sum(&axes[..]))
    };
    custom_jvp(of, rule)(shown.clone())
}

/// The options of a pool: its window moves along the axes between the batch and the channels.
#[track_caller]
fn pooled(operation: &str, x: &Array, op: ReduceOp, size: &[usize], strides: &[usize], padding: &Padding) -> Array {
    let Some(before) = x.ndim().checked_sub(size.len() + 1) else {
        reject(operation, format!("a window over {} axes, beside one of channels", size.len()), &[x])
    };
    let strides = counts(operation, "strides", strides, size.len(), x);
    let around = |list: &[usize]| [&vec![1; before][..], list, &[1]].concat();
    let padding = match padding {
        Padding::Explicit(borders) if borders.len() == size.len() => {
            Padding::Explicit([&vec![(0, 0); before][..], borders, &[(0, 0)]].concat())
        }
        Padding::Explicit(borders) => {
            reject(operation, format!("{} borders for {} axes", borders.len(), size.len()), &[x])
        }
        other => other.clone(),
    };
    let options = WindowOptions { strides: around(&strides), padding, ..WindowOptions::default() };
    reduced(operation, x, op, &around(size), &options)
}

/// The largest element in each window over the spatial axes of `x`, which is `[…, spatial…, channels]`. The derivative is
/// that of the first such element of a window. No strides are strides of 1.
///
/// ```
/// use gavotte::{Array, Padding, nn::{avg_pool, max_pool}};
/// let x = Array::new(&[1, 2, 4, 1], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 0.0]);
/// assert_eq!(max_pool(&x, &[2, 2], &[2, 2], Padding::Valid).to_vec::<f32>(), [6.0, 7.0]);
/// assert_eq!(avg_pool(&x, &[2, 2], &[2, 2], Padding::Valid, true).to_vec::<f32>(), [3.5, 3.5]);
/// ```
///
/// # Panics
/// If `x` has fewer axes than the window and channels, there are not as many strides or borders as the window has axes,
/// or a number is 0.
///
/// Source: Flax, `flax.linen.max_pool`.
#[track_caller]
pub fn max_pool(x: &Array, size: &[usize], strides: &[usize], padding: Padding) -> Array {
    pooled("max_pool", x, ReduceOp::Max, size, strides, &padding)
}

/// The smallest element in each window: [`max_pool`] of the other end.
///
/// # Panics
/// As [`max_pool`].
///
/// Source: Flax, `flax.linen.min_pool`.
#[track_caller]
pub fn min_pool(x: &Array, size: &[usize], strides: &[usize], padding: Padding) -> Array {
    pooled("min_pool", x, ReduceOp::Min, size, strides, &padding)
}

/// The sum of each window over the spatial axes of `x`, which is `[…, spatial…, channels]`.
///
/// # Panics
/// As [`max_pool`]; and if the elements are `bool`.
///
/// Source: stax, `SumPool`.
#[track_caller]
pub fn sum_pool(x: &Array, size: &[usize], strides: &[usize], padding: Padding) -> Array {
    pooled("sum_pool", x, ReduceOp::Sum, size, strides, &padding)
}

/// The mean of each window over the spatial axes of `x`, which is `[…, spatial…, channels]`; zeros around the array
/// count if `counts_padding`.
///
/// # Panics
/// As [`max_pool`]; and if the elements are not floating.
///
/// Source: Flax, `flax.linen.avg_pool`, where `counts_padding` is `count_include_pad` and true unless said; stax's
/// `AvgPool` does not count it.
#[track_caller]
pub fn avg_pool(x: &Array, size: &[usize], strides: &[usize], padding: Padding, counts_padding: bool) -> Array {
    floating("avg_pool", &[x]);
    let sum = pooled("avg_pool", x, ReduceOp::Sum, size, strides, &padding);
    if counts_padding || padding == Padding::Valid {
        return sum / size.iter().product::<usize>() as f64;
    }
    sum / pooled("avg_pool", &ones_like(x), ReduceOp::Sum, size, strides, &padding)
}
