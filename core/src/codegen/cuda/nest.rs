//! Threads as points of loops: the row of a thread, and the loops that determine it.

use super::draft::Draft;
use super::launch::WARP;
use super::shape::rows;
use crate::aval::{Dim, volume};
use std::ops::Range;

/// A place among the lines after which loops are declared.
pub(super) type Mark = (usize, usize);

/// The threads of a warp among rows and terms.
pub(super) struct Places {
    /// After the declaration of the row.
    pub(super) mark: Mark,
    /// The slice of the terms that a thread has; empty if there is only one.
    pub(super) slice: String,
    /// The condition that holds in the one thread that stores a row; empty if every thread does.
    pub(super) stores: String,
}

/// A thread for each row: declares the number of its row, and ends threads that have none.
pub(super) fn declare_row(draft: &mut Draft<'_>) -> Places {
    let (int, row) = (draft.int(), draft.row.clone());
    let block = if int == "int" { "blockIdx.x" } else { "(long long)blockIdx.x" };
    draft.line(format!("const {int} {row} = {block} * blockDim.x + threadIdx.x;"));
    let rows = draft.dim(&rows(draft.kernel));
    draft.line(format!("if ({row} >= {rows}) return;"));
    Places { mark: draft.mark(), slice: String::new(), stores: String::new() }
}

/// A warp for each `lanes` rows, for each part of the terms if there are parts.
pub(super) fn declare_warp(draft: &mut Draft<'_>, lanes: usize, is_parted: bool) -> Places {
    let own = if is_parted { declare_part(draft, lanes) } else { declare_unit(draft, lanes) };
    let is_within = own.and_then(|own| declare_own(draft, lanes, &own));
    let (slice, is_first) = match lanes {
        1 => ("lane".into(), Some("lane == 0".to_string())),
        WARP => (String::new(), None),
        _ => (format!("lane / {lanes}"), Some(format!("lane < {lanes}"))),
    };
    let stores = is_first.into_iter().chain(is_within).collect::<Vec<_>>().join(" && ");
    Places { mark: draft.mark(), slice, stores }
}

/// Declares the number of a warp under this name, and that of the thread within it.
fn declare_warp_number(draft: &mut Draft<'_>, name: &str) {
    let int = draft.int();
    let block = if int == "int" { "blockIdx.x" } else { "(long long)blockIdx.x" };
    draft.line(format!("const {int} {name} = {block} * (blockDim.x / {WARP}) + threadIdx.x / {WARP};"));
    draft.line(format!("const int lane = threadIdx.x % {WARP};"));
}

/// Declares which rows a warp has; returns the row of a thread as an expression, if it is not declared yet.
fn declare_unit(draft: &mut Draft<'_>, lanes: usize) -> Option<String> {
    let rows = rows(draft.kernel);
    let rows = draft.dim(&rows);
    if lanes == 1 {
        let row = draft.row.clone();
        declare_warp_number(draft, &row);
        draft.line(format!("if ({row} >= {rows}) return;"));
        return None;
    }
    declare_warp_number(draft, "warp");
    draft.line(format!("if (warp * {lanes} >= {rows}) return;"));
    Some(format!("warp * {lanes} + {}", among(lanes)))
}

/// Declares which part a warp works on, and which rows; returns the row of a thread as an expression, if it is not
/// declared yet.
fn declare_part(draft: &mut Draft<'_>, lanes: usize) -> Option<String> {
    let int = draft.int();
    let rows = rows(draft.kernel).as_usize().expect("only few rows have parts");
    let tiles = rows.div_ceil(lanes);
    let is_one = tiles <= 1;
    declare_warp_number(draft, if is_one { "part" } else { "warp" });
    if !is_one {
        draft.line(format!("const {int} part = warp / {tiles};"));
    }
    let parts = draft.parts();
    draft.line(format!("if (part >= {parts}) return;"));
    match (is_one, lanes) {
        (true, 1) => {
            draft.row = "0".into();
            None
        }
        (true, _) => Some(among(lanes)),
        (false, 1) => Some(format!("warp % {tiles}")),
        (false, _) => Some(format!("warp % {tiles} * {lanes} + {}", among(lanes))),
    }
}

/// The row of a thread among those of its warp.
fn among(lanes: usize) -> String {
    if lanes == WARP { "lane".into() } else { format!("lane % {lanes}") }
}

/// Declares the row of a thread. If the last warp has more threads than rows, the others repeat the last row's work, as
/// all threads take part in shuffles: returns the condition that holds in threads with a row of their own.
fn declare_own(draft: &mut Draft<'_>, lanes: usize, own: &str) -> Option<String> {
    let (int, row, rows) = (draft.int(), draft.row.clone(), rows(draft.kernel));
    if rows.as_usize().is_some_and(|rows| rows % lanes == 0) {
        draft.line(format!("const {int} {row} = {own};"));
        return None;
    }
    let rows = draft.dim(&rows);
    if lanes == WARP {
        draft.line(format!("const {int} {row} = {own};"));
        draft.line(format!("if ({row} >= {rows}) return;"));
        return None;
    }
    draft.line(format!("const {int} own = {own};"));
    let last = draft.same_type(&format!("{rows} - 1"));
    draft.line(format!("const {int} {row} = min(own, {last});"));
    Some(format!("own < {rows}"))
}

/// Declares the row loops that the lines name, by the number of the row.
pub(super) fn write_row_loops(draft: &mut Draft<'_>, at: Mark) {
    let n_row = draft.kernel.n_row();
    let row = draft.row.clone();
    write_loops(draft, at, 0..n_row, &row);
}

/// Declares the loops of a range that the lines name, by their number among all points of the range. A loop that has
/// that name itself is declared already.
pub(super) fn write_loops(draft: &mut Draft<'_>, at: Mark, range: Range<usize>, number: &str) {
    let extents: Vec<Dim> = draft.kernel.loops[range.clone()].iter().map(|l| divisor(&l.extent)).collect();
    let first = extents.iter().position(|extent| *extent != 1usize);
    let named: Vec<usize> = range.clone().filter(|i| draft.named.contains(i) && format!("i{i}") != number).collect();
    let mut lines = vec![];
    for i in named {
        let own = i - range.start;
        let inner = volume(&extents[own + 1..]);
        let mut place = number.to_string();
        if inner != 1usize {
            place = format!("{place} / {}", draft.factor(&inner));
        }
        if first != Some(own) {
            place = format!("{place} % {}", draft.factor(&extents[own]));
        }
        // Of the loops with one iteration only those of segments are named.
        let place = if extents[own] == 1usize { "0".into() } else { place };
        lines.push(format!("const {} i{i} = {place};", draft.int()));
    }
    draft.insert(at, lines);
}

/// An extent as a divisor: where it is 0, nothing runs.
fn divisor(extent: &Dim) -> Dim {
    if *extent == 0usize { Dim::from(1) } else { extent.clone() }
}
