//! What the derivatives of `scatter` and its relatives compute about updates with equal indices.

use super::batched::Numbered;
use super::read::gather;
use super::scatter::{scatter, scatter_add};
use crate::elementwise::{DIV, EQ, constant, select_n};
use crate::movement::reshape;
use crate::{Array, DType, ScanOptions, iota, ones, scan_with, where_};
use gavotte_core::aval::{Aval, Dim, Shape, volume};
use gavotte_core::ir::Value;
use gavotte_core::ir::structural::{broadcast_in_dim, zeros};

/// For each element of the updates, whether its update is the last one of its place.
pub(super) fn last(x: &Aval, ids: &Value, updates: &Aval, numbered: Numbered) -> Value {
    let Numbered { axis, shared } = numbered;
    let own = &ids.shape()[shared..];
    let numbers = iota([volume(own)], 0, DType::I32);
    let numbers = broadcast_in_dim(&reshape(&numbers.0, own), ids.shape(), &(shared..ids.rank()).collect::<Vec<_>>());
    let places: Shape = x.shape[..shared].iter().chain([&x.shape[axis]]).cloned().collect();
    let by_place = Numbered { axis: shared, shared };
    let winners = scatter(None, [&zeros(&Aval { dtype: DType::I32, shape: places }), ids, &numbers], by_place);
    let is_last = EQ.of([&gather(&winners, ids, shared, shared), &numbers]);
    broadcast_in_dim(&is_last, &updates.shape, &numbered.own_axes(ids.rank()))
}

/// What part of the tangent each element of the array and each update gets, where the greatest or least of both is the
/// result: those that are equal to it share it equally, as in JAX (`_scatter_extremal_jvp` in jax/_src/lax/slicing.py).
pub(super) fn share([x, ids, updates]: [&Value; 3], out: &Value, numbered: Numbered) -> [Value; 2] {
    let Numbered { axis, shared } = numbered;
    let [zero, one] = [0.0, 1.0].map(|n| constant(x.dtype(), n));
    let read = |from: &Value| gather(from, ids, axis, shared);
    let of_x = select_n(&EQ.of([x, out]), &zero, &one);
    let of_updates = select_n(&EQ.of([updates, &read(out)]), &zero, &one);
    let count = scatter_add(&of_x, ids, &of_updates, axis, shared);
    [DIV.of([&of_x, &count]), DIV.of([&of_updates, &read(&count)])]
}

/// For each element of the updates the product of the others of its place. Nothing is divided, so it is right for any
/// number of zeros, and so are its derivatives of any order.
pub(super) fn others(updates: &Value, ids: &Value, numbered: Numbered) -> Value {
    let Numbered { axis, shared } = numbered;
    let (front, own) = ids.shape().split_at(shared);
    let (n, rest) = (volume(own), &updates.shape()[axis + own.len()..]);
    let listed = |shape: &[Dim]| -> Vec<Dim> { shape.iter().chain([&n]).cloned().collect() };
    let ids = Array(reshape(ids, &listed(front)));
    let rows = [&listed(&updates.shape()[..axis])[..], rest].concat();
    // Updates of a place, one after the other.
    let order = ids.argsort(-1);
    let sorted = |x: &Value, axis: usize| Array(gather(x, &order.0, axis, shared)).move_axis(axis as isize, 0);
    let (places, factors) = (sorted(&ids.0, shared), sorted(&reshape(updates, &rows), axis));
    let one_row: Vec<Dim> = factors.shape()[1..].to_vec();
    let product = |reverse: bool| {
        let none = (crate::full(front.to_vec(), -1), ones(one_row.clone(), factors.dtype()));
        let step = |(place, product): (Array, Array), (next, factor): (Array, Array)| {
            let is_same = broadcast_in_dim(&next.eq(&place).0, &one_row, &(0..shared).collect::<Vec<_>>());
            let before = where_(&Array(is_same), product, ones(one_row.clone(), factor.dtype()));
            ((next, &before * factor), before)
        };
        scan_with(step, none, (places.clone(), factors.clone()), ScanOptions { reverse, ..ScanOptions::default() }).1
    };
    let found = (product(false) * product(true)).move_axis(0, axis as isize);
    let back = gather(&found.0, &order.argsort(-1).0, axis, shared);
    reshape(&back, updates.shape())
}
