//! The associative scan: each element combined with all before it, in a number of steps that is a logarithm.

use crate::movement::{axis_of, reject, slice};
use crate::{Array, concatenate, stack};
use gavotte_core::aval::Dim;
use gavotte_core::ir::for_caller;
use gavotte_core::tree::Tree;
use std::cell::RefCell;

/// What combines two runs of elements, the earlier first.
type Two<'a> = &'a dyn Fn(&[Array], &[Array]) -> Vec<Array>;

/// Each element of arrays of one extent along `axis` with all before it, or with all after it. Odd elements are scanned
/// as pairs, and every even one is combined with the pair before it.
#[track_caller]
fn associative(two: Two<'_>, elements: &[Array], axis: usize, reverse: bool) -> Vec<Array> {
    let flipped = |xs: &[Array]| xs.iter().map(|x| x.flip(axis)).collect::<Vec<_>>();
    match reverse {
        true => flipped(&forward(two, &flipped(elements), axis)),
        false => forward(two, elements, axis),
    }
}

/// Every second element from `first` to before `end`.
#[track_caller]
fn every_second(xs: &[Array], axis: usize, first: usize, end: usize) -> Vec<Array> {
    let of = |x: &Array| {
        let (mut start, mut limit, mut stride) = (vec![Dim::from(0); x.ndim()], x.shape().to_vec(), vec![1; x.ndim()]);
        (start[axis], limit[axis], stride[axis]) = (first.into(), end.into(), 2);
        Array(slice(&x.0, &start, &limit, &stride))
    };
    xs.iter().map(of).collect()
}

#[track_caller]
fn forward(two: Two<'_>, elements: &[Array], axis: usize) -> Vec<Array> {
    let n = elements[0].dim(axis).as_usize().expect("the extent is a number");
    if n < 2 {
        return elements.to_vec();
    }
    let at = axis as isize;
    let part = |xs: &[Array], from: usize, to: usize| -> Vec<Array> {
        xs.iter().map(|x| x.slice_axis(at, from..to)).collect()
    };
    // After each odd element, then after each even one but the first.
    let pairs = two(&every_second(elements, axis, 0, n - 1), &every_second(elements, axis, 1, n));
    let odd = forward(two, &pairs, axis);
    let first = part(elements, 0, 1);
    if n == 2 {
        return first.into_iter().zip(odd).map(|(a, b)| concatenate(&[a, b], at)).collect();
    }
    let rest = two(&part(&odd, 0, (n - 1) / 2), &every_second(elements, axis, 2, n));
    let of = |((first, rest), odd): ((Array, Array), Array)| {
        let even = concatenate(&[first, rest], at);
        let mut shape = odd.shape().to_vec();
        shape[axis] = (n / 2 * 2).into();
        let both = stack(&[even.slice_axis(at, ..n / 2), odd], at + 1).reshape(shape);
        if n.is_multiple_of(2) { both } else { concatenate(&[both, even.slice_axis(at, n / 2..)], at) }
    };
    first.into_iter().zip(rest).zip(odd).map(of).collect()
}

/// Each element along an axis of a tree of arrays combined with all before it, by a function that is associative. It is
/// called with the arrays of many elements, the earlier ones first, and must treat each element alike. The number of its
/// calls is twice the logarithm of the number of elements.
///
/// With `reverse`, each element is combined with all after it.
///
/// ```
/// # use gavotte::{Array, associative_scan};
/// let x = Array::new(&[4], vec![3, 1, 4, 1]);
/// let running = associative_scan(|a: Array, b: Array| a.maximum(b), x, 0, false);
/// assert_eq!(running.to_vec::<i32>(), [3, 3, 4, 4]);
/// ```
///
/// # Panics
/// If there is no array or no such axis, or its extents differ or are symbols; if the function returns arrays of another
/// number or of other shapes.
#[track_caller]
pub fn associative_scan<T: Tree>(f: impl Fn(T, T) -> T, elements: T, axis: isize, reverse: bool) -> T {
    for_caller(|| {
        let (def, leaves) = elements.into_leaves();
        let arrays: Vec<Array> = leaves.into_iter().map(Array).collect();
        let Some(first) = arrays.first() else { reject("associative_scan", "there is no array to scan", &[]) };
        let at = axis_of("associative_scan", axis, first.ndim(), first);
        for x in &arrays {
            let own = axis_of("associative_scan", axis, x.ndim(), x);
            if own != at || x.dim(own) != first.dim(at) {
                reject("associative_scan", "the arrays must have one extent along the same axis", &[first, x]);
            }
        }
        if first.dim(at).as_usize().is_none() {
            let why = "the number of elements must be a number: its logarithm is the number of steps";
            reject("associative_scan", why, &[first]);
        }
        let tree = |xs: &[Array]| T::assemble(&def, &mut xs.iter().map(|x| x.0.clone()));
        let wrong: RefCell<Option<Vec<Array>>> = RefCell::default();
        let two = |a: &[Array], b: &[Array]| -> Vec<Array> {
            let (found, leaves) = f(tree(a), tree(b)).into_leaves();
            let found_arrays: Vec<Array> = leaves.into_iter().map(Array).collect();
            if found == def && found_arrays.iter().zip(b).all(|(x, b)| x.0.aval() == b.0.aval()) {
                return found_arrays;
            }
            // The error is the caller's, so it is told after this closure.
            wrong.borrow_mut().get_or_insert_with(|| [&found_arrays, b].concat());
            b.to_vec()
        };
        let scanned = tree(&associative(&two, &arrays, at, reverse));
        if let Some(types) = wrong.take() {
            let why = "the function must return what it is given: the same tree and types";
            reject("associative_scan", why, &types.iter().collect::<Vec<_>>());
        }
        scanned
    })
}
