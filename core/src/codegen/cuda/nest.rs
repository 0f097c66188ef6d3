//! Threads as points of loops: the row of a thread, and the loops that make it up.

use super::draft::Draft;
use super::launch::WARP;
use super::shape::rows;
use crate::aval::{Dim, volume};
use std::ops::Range;

/// A place among the lines, behind which loops are declared.
pub(super) type Mark = (usize, usize);

/// The threads of a warp among rows and terms.
pub(super) struct Places {
    /// Behind what declares the row.
    pub(super) mark: Mark,
    /// Which of the slices of the terms a thread has; empty where there is one.
    pub(super) slice: String,
    /// What holds for the one thread that stores a row; empty where every thread does.
    pub(super) stores: String,
}

/// A thread for each row: the number of its row, and an end to threads that have none.
pub(super) fn declare_row(draft: &mut Draft<'_>) -> Places {
    let (int, row) = (draft.int(), draft.row.clone());
    let first = if int == "int" { "blockIdx.x" } else { "(long long)blockIdx.x" };
    draft.line(format!("const {int} {row} = {first} * blockDim.x + threadIdx.x;"));
    let rows = draft.dim(&rows(draft.kernel));
    draft.line(format!("if ({row} >= {rows}) return;"));
    Places { mark: draft.mark(), slice: String::new(), stores: String::new() }
}

/// A warp for each `lanes` rows, for each part of the terms if there are parts.
pub(super) fn declare_warp(draft: &mut Draft<'_>, lanes: usize, is_parted: bool) -> Places {
    let int = draft.int();
    let first = if int == "int" { "blockIdx.x" } else { "(long long)blockIdx.x" };
    draft.line(format!("const {int} warp = {first} * (blockDim.x / {WARP}) + threadIdx.x / {WARP};"));
    draft.line(format!("const int lane = threadIdx.x % {WARP};"));
    let rows = rows(draft.kernel);
    let unit = if is_parted { declare_part(draft, &rows, lanes) } else { Some("warp") };
    let first = match (unit, lanes) {
        (None, _) => None,
        (Some(unit), 1) => Some(unit.to_string()),
        (Some(unit), _) => Some(format!("{unit} * {lanes}")),
    };
    if let (Some(first), false) = (&first, is_parted) {
        let rows = draft.dim(&rows);
        draft.line(format!("if ({first} >= {rows}) return;"));
    }
    let own = match lanes {
        1 => None,
        WARP => Some("lane".to_string()),
        _ => Some(format!("lane % {lanes}")),
    };
    let own = first.into_iter().chain(own).collect::<Vec<_>>().join(" + ");
    let is_within = declare_own(draft, &rows, lanes, &own);
    let slice = match lanes {
        1 => "lane".into(),
        WARP => String::new(),
        _ => format!("lane / {lanes}"),
    };
    let is_first = match lanes {
        1 => Some("lane == 0".to_string()),
        WARP => None,
        _ => Some(format!("lane < {lanes}")),
    };
    let stores = is_first.into_iter().chain(is_within).collect::<Vec<_>>().join(" && ");
    Places { mark: draft.mark(), slice, stores }
}

/// The part that a warp works on, and the name of its tile of rows, where there are several.
fn declare_part(draft: &mut Draft<'_>, rows: &Dim, lanes: usize) -> Option<&'static str> {
    let int = draft.int();
    let tiles = rows.as_usize().unwrap_or(0).div_ceil(lanes);
    if tiles <= 1 {
        draft.line(format!("const {int} part = warp;"));
    } else {
        draft.line(format!("const {int} part = warp / {tiles};"));
        draft.line(format!("const {int} tile = warp % {tiles};"));
    }
    let parts = draft.parts();
    draft.line(format!("if (part >= {parts}) return;"));
    (tiles > 1).then_some("tile")
}

/// Declares the row of a thread. Where the last warp has more threads than rows, the others do the last row's work again, as
/// all threads take part in shuffles: gives what holds for those that have a row of their own.
fn declare_own(draft: &mut Draft<'_>, rows: &Dim, lanes: usize, own: &str) -> Option<String> {
    let (int, row) = (draft.int(), draft.row.clone());
    if *rows == 1usize {
        draft.row = "0".into();
        return (lanes > 1).then(|| format!("{own} == 0"));
    }
    let is_exact = rows.as_usize().is_some_and(|rows| rows % lanes == 0);
    if lanes == 1 || is_exact {
        draft.line(format!("const {int} {row} = {own};"));
        return None;
    }
    let rows = draft.dim(rows);
    if lanes == WARP {
        draft.line(format!("const {int} {row} = {own};"));
        draft.line(format!("if ({row} >= {rows}) return;"));
        return None;
    }
    draft.line(format!("const {int} own = {own};"));
    let one = if int == "int" { "1" } else { "1ll" };
    draft.line(format!("const {int} {row} = min(own, {rows} - {one});"));
    Some(format!("own < {rows}"))
}

/// Declares the row loops that the lines name, by the number of the row.
pub(super) fn write_row_loops(draft: &mut Draft<'_>, at: Mark) {
    let n_row = draft.kernel.n_row();
    let row = draft.row.clone();
    write_loops(draft, at, 0..n_row, &row);
}

/// Declares the loops of a range that the lines name, by their number among all points of the range. A loop that has that
/// name itself is there already.
pub(super) fn write_loops(draft: &mut Draft<'_>, at: Mark, range: Range<usize>, number: &str) {
    let extents: Vec<Dim> = draft.kernel.loops[range.clone()].iter().map(|l| divisor(&l.extent)).collect();
    let first = extents.iter().position(|extent| *extent != 1usize);
    let named: Vec<usize> = range.clone().filter(|i| draft.named.contains(i) && format!("i{i}") != number).collect();
    let mut lines = vec![];
    for i in named {
        let own = i - range.start;
        let behind = volume(&extents[own + 1..]);
        let mut place = number.to_string();
        if behind != 1usize {
            place = format!("{place} / {}", draft.factor(&behind));
        }
        if first != Some(own) {
            place = format!("{place} % {}", draft.factor(&extents[own]));
        }
        // Of the loops of one turn only those of segments are named.
        let place = if extents[own] == 1usize { "0".into() } else { place };
        lines.push(format!("const {} i{i} = {place};", draft.int()));
    }
    draft.insert(at, lines);
}

/// An extent to divide by: where it is 0, nothing runs.
fn divisor(extent: &Dim) -> Dim {
    if *extent == 0usize { Dim::from(1) } else { extent.clone() }
}
