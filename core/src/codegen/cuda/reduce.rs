//! Kernels with a reduction, over dense axes or over the members of segments.
//!
//! A warp takes some rows side by side, and the terms of each row are dealt out to its threads in turn. Then a tree of
//! shuffles folds the partial results of the threads of a row. If few rows have many terms, parts of the terms are
//! units of work, and a second function folds the parts; long segments are left to a second function (`long`). The
//! order of additions is fixed by the kernel and the sizes.

use super::accumulate::Accumulators;
use super::body::Body;
use super::draft::Draft;
use super::function::{Function, Name, Written};
use super::launch::{Param, Pieces, ThreadGroup, WARP, When, Work};
use super::long;
use super::nest::{declare_row, declare_warp};
use super::reduction::Reduction;
use super::shape::{Segments, Shape, rows, terms};
use crate::aval::DType;
use crate::ir::{ReduceOp, Unsupported};
use crate::kernel::Kernel;

/// At least this many results are folded by one thread each: fewer, by a warp each.
const MANY_RESULTS: usize = 1 << 12;

/// At most this many terms are added by a thread without carrying the rounding error along.
const CHAIN: usize = 256;

/// Writes a kernel that reduces.
pub(super) fn write(kernel: &Kernel, op: ReduceOp, name: &Name) -> Result<Written, Unsupported> {
    if op == ReduceOp::Sum && kernel.outputs.iter().any(|(_, aval)| aval.dtype == DType::Bool) {
        return Err(Unsupported(format!("{}: there is no sum of bool", kernel.name)));
    }
    let shape = Shape::new(kernel, &Body::new(kernel));
    let main = Reduction::new(kernel, op, name, has_chains(kernel, &shape)).write(&shape, name)?;
    let fold = shape.parts.is_some().then(|| fold(kernel, op, name));
    let segments = Segments::of(kernel).filter(Segments::may_be_long);
    let long =
        segments.map(|segments| long::write(Reduction::new(kernel, op, name, true), &segments, name)).transpose()?;
    Ok(Written { functions: [main].into_iter().chain(fold).chain(long).collect(), parts: shape.parts })
}

/// Whether a thread may add many dense terms one after the other.
fn has_chains(kernel: &Kernel, shape: &Shape) -> bool {
    let is_short = |terms: usize| terms <= CHAIN * shape.slices();
    Segments::of(kernel).is_none() && !terms(kernel).as_usize().is_some_and(is_short)
}

/// The second function of a reduction in parts: folds the parts of each result.
pub(super) fn fold(kernel: &Kernel, op: ReduceOp, name: &Name) -> Function {
    let mut draft = Draft::new(kernel, name.width);
    draft.row = "row".into();
    let sums = Accumulators { kernel, op, is_long: true };
    let rows = rows(kernel);
    let is_by_thread = rows.as_usize().is_none_or(|rows| rows >= MANY_RESULTS);
    let lanes = if is_by_thread { WARP } else { 1 };
    let places = if is_by_thread { declare_row(&mut draft) } else { declare_warp(&mut draft, lanes, false) };
    sums.declare(&mut draft);
    let (int, row) = (draft.int(), draft.row.clone());
    let first = if is_by_thread { "0" } else { "lane" };
    let increment = if is_by_thread { "++part" } else { "part += 32" };
    let parts = draft.parts();
    draft.open(format!("for ({int} part = {first}; part < {parts}; {increment})"));
    let at = if rows == 1usize { "part".into() } else { format!("{} + {row}", draft.times("part", &rows)) };
    for i in sums.all() {
        sums.add(&mut draft, i, &format!("parts{i}[{at}]"));
    }
    draft.close();
    sums.fold(&mut draft, lanes);
    sums.store(&mut draft, &places.stores, &row, |i| format!("v{}", kernel.outputs[i].0.0));
    let units = vec![Pieces { extent: rows, of: 1 }];
    let team = if is_by_thread { ThreadGroup::Thread } else { ThreadGroup::Warp };
    let arrays = sums.all().map(Param::Scratch).chain(sums.all().map(Param::Output));
    name.part("fold").function(&draft, arrays.collect(), Work { team, units, is_parted: false, when: When::Parts })
}
