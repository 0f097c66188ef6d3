//! How a warp shares a reduction: some of its threads stand side by side on rows, the others on terms.

use super::body::{Body, Level};
use super::launch::{Parts, Pieces, WARP};
use super::positions::Place;
use crate::aval::{Dim, volume};
use crate::ir::{Index, Scalar};
use crate::kernel::{Instr, Kernel, LoopKind};

/// How many terms a segment is taken to have, and a dense axis of unknown extent.
const GUESSED: [usize; 2] = [8, 256];
/// Elements of a sector: what neighbours read together costs as much as one.
const SECTOR: usize = 8;
/// Terms of a part for each thread, at least.
const PART_TERMS: usize = 64;
/// So many warps are enough for a device: more parts are not made.
const ENOUGH_WARPS: usize = 1024;
/// More rows than these keep a device busy without parts.
const MANY_ROWS: usize = 1 << 15;

/// The shape of a reduction: it is fixed by the kernel, and by nothing of a launch, so that sums have the same bits for
/// every size of blocks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    /// So many rows, a power of two, stand side by side in a warp. The other threads take the terms by turns.
    pub(super) lanes: usize,
    /// How a long reduction of few rows is cut.
    pub(super) parts: Option<Parts>,
}

impl Shape {
    pub(super) fn new(kernel: &Kernel, body: &Body<'_>) -> Shape {
        let cost = |lanes: &usize| cost(kernel, body, *lanes);
        let lanes = [1, 2, 4, 8, 16, WARP].into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(1);
        Shape { lanes, parts: parts(kernel, lanes) }
    }

    /// How many threads share the terms of a row.
    pub(super) fn slices(&self) -> usize {
        WARP / self.lanes
    }
}

/// What is reduced over, in all.
pub(super) fn terms(kernel: &Kernel) -> Dim {
    kernel.loops[kernel.n_row()..].iter().fold(Dim::from(1), |terms, l| terms * &l.extent)
}

/// The number of rows.
pub(super) fn rows(kernel: &Kernel) -> Dim {
    volume(&kernel.outputs[0].1.shape)
}

fn parts(kernel: &Kernel, lanes: usize) -> Option<Parts> {
    if kernel.loops.iter().any(|l| matches!(l.kind, LoopKind::Segment { .. })) {
        return None;
    }
    let (terms, rows) = (terms(kernel), rows(kernel));
    let slices = WARP / lanes;
    let least = slices * PART_TERMS;
    let is_long = terms.as_usize().is_none_or(|terms| terms > 2 * least);
    let are_few = rows.as_usize().is_some_and(|rows| rows <= MANY_ROWS);
    let units = vec![Pieces { extent: rows, of: lanes }];
    (is_long && are_few).then_some(Parts { terms, least, step: slices, units, most: ENOUGH_WARPS })
}

/// How many sectors a warp asks for, for all loads of a term, divided by the share of threads that have work.
fn cost(kernel: &Kernel, body: &Body<'_>, lanes: usize) -> f64 {
    let n_row = kernel.n_row();
    let moving = |range: std::ops::Range<usize>| range.rev().find(|i| kernel.loops[*i].extent != 1usize);
    let (row, term) = (moving(0..n_row), moving(n_row..kernel.loops.len()));
    let slices = WARP / lanes;
    let mut sectors = 1;
    for (i, instr) in kernel.body.iter().enumerate() {
        let Instr::Load(input, index) = instr else { continue };
        if body.level(Scalar(i as u32)) == Level::Term {
            let place = Place::of(kernel, *input as usize, index);
            let along = |l: Option<usize>, n: usize| {
                l.map_or(1, |l| sectors_along(n, &place.strides[l], is_scattered(body, index, l)))
            };
            sectors += along(row, lanes) * along(term, slices);
        }
    }
    let is_segment = kernel.loops.iter().any(|l| matches!(l.kind, LoopKind::Segment { .. }));
    let n_term = if is_segment { None } else { terms(kernel).as_usize() };
    let n_term = n_term.unwrap_or(GUESSED[usize::from(!is_segment)]);
    sectors as f64 / (share(n_term, slices) * rows(kernel).as_usize().map_or(1.0, |rows| share(rows, lanes)))
}

/// Whether a computed position changes with a loop.
fn is_scattered(body: &Body<'_>, index: &[Index], number: usize) -> bool {
    index.iter().any(|at| matches!(at, Index::Value(s) if body.depends(*s, number)))
}

fn sectors_along(n: usize, stride: &Dim, is_scattered: bool) -> usize {
    match stride.as_number() {
        _ if is_scattered => n,
        Some(0) => 1,
        Some(stride) => (n * stride.unsigned_abs() as usize).div_ceil(SECTOR).min(n),
        None => n,
    }
}

/// The share of `of` places that `n` things fill, where they come in rows of so many places.
fn share(n: usize, of: usize) -> f64 {
    n.max(1) as f64 / n.max(1).next_multiple_of(of) as f64
}
