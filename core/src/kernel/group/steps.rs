//! What a step is to the scheduler: which of its loops can be split among threads, and when it is placed.

use crate::aval::{Dim, volume};
use crate::ir::{Index, Var};
use crate::kernel::fuse::Fusion;
use crate::kernel::{Instr, Kernel, LoopKind, Part, Product, Step};

/// A kernel of at most this many points runs on one thread.
const SMALL: i64 = 4096;
/// Fewer rows are not worth several threads.
const MIN_ROWS: i64 = 32;
/// A reduction of all rows keeps at most this many elements for each range.
const MAX_PARTIAL: i64 = 4096;

/// What a step is. It decides when the step is placed, and in which group: the table in `schedule` says both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// No kernel, or a kernel without a loop that can be split.
    Alone,
    /// A product that may be large: a library goes through its rows in its own order.
    Product,
    /// A kernel of few points.
    Small,
    /// A kernel with a split loop that reads what other steps make.
    Rows,
    /// A kernel with a split loop that reads no other step's result: constants, arguments, or nothing.
    Source,
}

impl Class {
    pub(super) fn of(step: &Step, axis: Option<&Axis>, reads_steps: bool) -> Class {
        let Step::Kernel(kernel, _) = step else { return Class::Alone };
        if Product::of(kernel).is_some_and(|product| product.may_be_large()) {
            return Class::Product;
        }
        let points = volume(&kernel.loops.iter().map(|l| l.extent.clone()).collect::<Vec<_>>());
        match (points.as_number(), axis) {
            (Some(n), _) if n <= SMALL => Class::Small,
            (_, None) => Class::Alone,
            (_, Some(_)) if reads_steps => Class::Rows,
            (_, Some(_)) => Class::Source,
        }
    }
}

/// The loop of a kernel that is split.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) extent: Dim,
    /// Its number if it is a reduction; otherwise it is row loop 0.
    reduced: Option<u32>,
}

impl Axis {
    /// The split loop of a step: a long reduction to few results, or else its rows, if they are enough.
    pub(super) fn of(step: &Step) -> Option<Axis> {
        let Step::Kernel(kernel, _) = step else { return None };
        let n_row = kernel.n_row();
        let first = kernel.loops.first().filter(|_| n_row > 0).map(|l| &l.extent);
        let reduced = kernel.loops.get(n_row).filter(|l| l.kind == LoopKind::Reduce).map(|l| &l.extent);
        let results = volume(&kernel.loops[..n_row].iter().map(|l| l.extent.clone()).collect::<Vec<_>>());
        // A long reduction to few results is split itself: there are fewer rows, and they read what other rows make.
        // The exception is a reduction along its own rows, if these are enough.
        let rows = first.map_or(Some(0), Dim::as_number);
        let is_split = |rows: i64| rows < MIN_ROWS || !goes_along_rows(kernel);
        match (reduced, rows) {
            (Some(reduced), Some(rows))
                if is_large(reduced, MIN_ROWS.max(rows + 1))
                    && results.as_number().is_some_and(|n| n <= MAX_PARTIAL)
                    && is_split(rows) =>
            {
                Some(Axis { extent: reduced.clone(), reduced: Some(n_row as u32) })
            }
            _ => first.filter(|extent| is_enough(extent)).map(|extent| Axis { extent: extent.clone(), reduced: None }),
        }
    }

    /// How a kernel goes over a group's rows with this loop.
    pub(super) fn over_rows(&self) -> Part {
        self.reduced.map_or(Part::Row, Part::RowReduce)
    }

    /// How a kernel goes over the members of a group's rows with this loop.
    pub(super) fn over_members(&self) -> Part {
        self.reduced.map_or(Part::Member, Part::MemberReduce)
    }
}

/// Whether this many rows are worth several threads.
pub(super) fn is_enough(rows: &Dim) -> bool {
    is_large(rows, MIN_ROWS)
}

/// Whether an extent is at least this large: one that is not a number counts as larger than every number.
fn is_large(extent: &Dim, least: i64) -> bool {
    extent.as_number().is_none_or(|n| n >= least)
}

/// Whether a reduction goes along the rows of an array: the first loop is its first axis.
fn goes_along_rows(kernel: &Kernel) -> bool {
    let reduced = kernel.n_row() as u32;
    let mentions = |index: &Index| matches!(index, Index::Affine { terms, .. } if terms.iter().any(|t| t.0 == reduced));
    kernel.body.iter().any(|instr| match instr {
        Instr::Load(_, index) => {
            index.split_first().is_some_and(|(row, rest)| row.is_loop(0) && rest.iter().any(mentions))
        }
        _ => false,
    })
}

/// The offsets of the members that a kernel's rows are reduced over.
pub(super) fn own_members(step: &Step, fusion: &Fusion) -> Option<Var> {
    let Step::Kernel(kernel, _) = step else { return None };
    kernel.loops.iter().find_map(|l| match l.kind {
        LoopKind::Segment { segment: 0, offsets } => Some(fusion.memory(kernel.inputs[offsets as usize].0)),
        _ => None,
    })
}
