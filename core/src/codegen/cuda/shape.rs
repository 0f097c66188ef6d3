//! How a warp shares a reduction: its threads are split between rows and terms.

use super::body::{Body, Level};
use super::launch::{Parts, Pieces, WARP};
use super::positions::Place;
use crate::aval::{Dim, volume};
use crate::ir::Scalar;
use crate::kernel::{Instr, Kernel, LoopKind};

/// The assumed number of terms of a segment, and of a dense axis of unknown extent.
const GUESSED: [usize; 2] = [8, 256];
/// Elements of a sector: reading neighbours together costs as much as reading one.
const SECTOR: usize = 8;
/// The least number of terms in a part for each thread.
const PART_TERMS: usize = 16;
/// This many warps are enough for a device: no more parts are made.
const ENOUGH_WARPS: usize = 1024;
/// More rows than this keep a device busy without parts.
const MANY_ROWS: usize = 1 << 15;

/// The shape of a reduction: it is fixed by the kernel and independent of the launch, so that sums have the same bits
/// for every size of blocks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    /// The number of rows side by side in a warp, a power of two. The terms of each row are dealt out to the row's
    /// threads in turn.
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

    /// The number of threads that share the terms of a row.
    pub(super) fn slices(&self) -> usize {
        WARP / self.lanes
    }
}

/// The number of terms in all.
pub(super) fn terms(kernel: &Kernel) -> Dim {
    kernel.loops[kernel.n_row()..].iter().fold(Dim::from(1), |terms, l| terms * &l.extent)
}

/// The number of rows.
pub(super) fn rows(kernel: &Kernel) -> Dim {
    volume(&kernel.outputs[0].1.shape)
}

fn parts(kernel: &Kernel, lanes: usize) -> Option<Parts> {
    if segment_of(kernel).is_some() {
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

/// The number of sectors that a warp requests for all loads of a term, divided by the share of threads that have work.
fn cost(kernel: &Kernel, body: &Body<'_>, lanes: usize) -> f64 {
    let slices = WARP / lanes;
    let loads = kernel.body.iter().enumerate().filter(|(i, _)| body.level(Scalar(*i as u32)) == Level::Term);
    let sectors = loads.map(|(_, instr)| match instr {
        Instr::Load(input, index) => sectors(kernel, body, &Place::of(kernel, *input as usize, index), lanes),
        _ => 0,
    });
    let n_term = match segment_of(kernel) {
        Some(_) => GUESSED[0],
        None => terms(kernel).as_usize().unwrap_or(GUESSED[1]),
    };
    let at_work = share(n_term, slices) * rows(kernel).as_usize().map_or(1.0, |rows| share(rows, lanes));
    (1 + sectors.sum::<usize>()) as f64 / at_work
}

/// The row loop that goes over segments.
fn segment_of(kernel: &Kernel) -> Option<usize> {
    Segments::of(kernel).map(|segments| segments.number)
}

/// A segment with more members is long: a block takes it.
pub(super) const LONG: usize = 1024;

/// The segments of a kernel whose last loop goes over their members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Segments {
    /// The row loop that goes over them.
    pub(super) number: usize,
    /// The input with their offsets.
    pub(super) offsets: usize,
    /// Members of all of them.
    pub(super) members: Dim,
    /// Their number, for all iterations of the enclosing loops.
    pub(super) all: Dim,
    /// The rows of each.
    pub(super) rows: Dim,
}

impl Segments {
    /// Whether a segment may be long for some sizes.
    pub(super) fn may_be_long(&self) -> bool {
        self.members.as_usize().is_none_or(|members| members > LONG)
    }

    pub(super) fn of(kernel: &Kernel) -> Option<Segments> {
        let last = kernel.loops.last()?;
        let LoopKind::Segment { segment, offsets } = last.kind else { return None };
        let (number, shape) = (segment as usize, &kernel.outputs[0].1.shape);
        let [all, rows] = [&shape[..number + 1], &shape[number + 1..]].map(volume);
        Some(Segments { number, offsets: offsets as usize, members: last.extent.clone(), all, rows })
    }
}

/// The number of sectors that a warp requests with one load of a term.
fn sectors(kernel: &Kernel, body: &Body<'_>, place: &Place, lanes: usize) -> usize {
    let n_row = kernel.n_row();
    let moves = |l: &usize| kernel.loops[*l].extent != 1usize;
    let along = |l: usize, n: usize| {
        let is_scattered = place.computed.iter().any(|(s, _)| body.depends(*s, l));
        sectors_along(n, &place.strides[l], is_scattered || segment_of(kernel) == Some(l))
    };
    let term = (n_row..kernel.loops.len()).rev().find(moves).map_or(1, |l| along(l, WARP / lanes));
    // Loops that are contiguous in memory are one run of neighbours; others request sectors of their own.
    let (mut sectors, mut rest) = (term, lanes);
    let mut run: Option<(usize, usize)> = None;
    for l in (0..n_row).rev().filter(moves) {
        let extent = kernel.loops[l].extent.as_usize().unwrap_or(WARP).clamp(1, rest);
        rest = rest.div_ceil(extent);
        run = match run {
            Some((last, n)) if goes_on(kernel, place, l, last) => Some((last, n * extent)),
            _ => {
                sectors *= run.map_or(1, |(l, n)| along(l, n));
                Some((l, extent))
            }
        };
    }
    sectors * run.map_or(1, |(l, n)| along(l, n))
}

/// Whether an iteration of a loop moves as far as all iterations of the inner loop.
fn goes_on(kernel: &Kernel, place: &Place, outer: usize, inner: usize) -> bool {
    let within = kernel.loops[outer + 1..=inner].iter().fold(Dim::from(1), |n, l| n * &l.extent);
    segment_of(kernel) != Some(outer) && place.strides[outer] == &place.strides[inner] * &within
}

fn sectors_along(n: usize, stride: &Dim, is_scattered: bool) -> usize {
    match stride.as_number() {
        _ if is_scattered => n,
        Some(0) => 1,
        Some(stride) => (n * stride.unsigned_abs() as usize).div_ceil(SECTOR).min(n),
        None => n,
    }
}

/// The share of `of` places that `n` items fill, if they come in rows of that many places.
fn share(n: usize, of: usize) -> f64 {
    n.max(1) as f64 / n.max(1).next_multiple_of(of) as f64
}
