//! Long segments: a block for each, with several of its rows side by side.
//!
//! The lengths of segments vary widely, as when a few nodes of a graph have most of its edges. A block searches as many
//! segments as it has threads for long ones. It processes those that it finds one after the other, with all its
//! threads: each warp folds its terms, and then the first threads fold the warps.

use super::body::Level;
use super::function::{Function, Name};
use super::launch::{Param, Pieces, ThreadGroup, WARP, When, Work};
use super::nest::{Mark, write_loops, write_row_loops};
use super::reduction::{Iterations, Reduction};
use super::shape::{LONG, Segments};
use super::text::type_name;
use crate::aval::Dim;
use crate::ir::Unsupported;

/// Threads of a block, whatever block size is requested: the tree of a sum depends on it.
const THREADS: usize = 256;
/// Warps of a block.
const WARPS: usize = THREADS / WARP;

/// Writes the function for the long segments of a kernel.
pub(super) fn write(mut reduction: Reduction<'_>, segments: &Segments, name: &Name) -> Result<Function, Unsupported> {
    let kernel = reduction.kernel;
    let lanes = segments.rows.as_usize().map_or(WARP, |rows| rows.clamp(1, WARP).next_power_of_two());
    declare(&mut reduction, segments, lanes);
    let of_own = find_long(&mut reduction, segments);
    reduction.draft.open(format!("for (int word = 0; word < {WARPS}; ++word)"));
    reduction.draft.open("for (unsigned rest = found[word]; rest != 0u; rest &= rest - 1u)");
    let mark = declare_row(&mut reduction, segments, lanes);
    reduction.declare_members(segments);
    reduction.body.write(&mut reduction.draft, Level::Row)?;
    reduction.sums.declare(&mut reduction.draft);
    let first = if lanes == 1 { "threadIdx.x".to_string() } else { format!("threadIdx.x / {lanes}") };
    let begin = format!("{} + (int)({first})", reduction.draft.same_type("range.x"));
    reduction.term_loop(&Iterations { begin, end: "range.y".into(), step: THREADS / lanes })?;
    reduction.sums.fold(&mut reduction.draft, lanes);
    fold_warps(&mut reduction, segments, lanes);
    write_row_loops(&mut reduction.draft, mark);
    (0..2).for_each(|_| reduction.draft.close());
    // Only the segment's own loop is needed to find it.
    let number = segments.number;
    reduction.draft.named = [number].into();
    write_loops(&mut reduction.draft, of_own, 0..number + 1, "own");
    let units =
        vec![Pieces { extent: segments.all.clone(), of: THREADS }, Pieces { extent: segments.rows.clone(), of: lanes }];
    let when = When::Above(kernel.loops[kernel.n_row()].extent.clone(), LONG);
    let work = Work { team: ThreadGroup::Block(THREADS as u32), units, is_parted: false, when };
    Ok(reduction.function(&name.part("long"), Param::Output, work))
}

/// Declares shared memory, and which segments and which of their rows a block has.
fn declare(reduction: &mut Reduction<'_>, segments: &Segments, lanes: usize) {
    let (draft, sums) = (&mut reduction.draft, reduction.sums);
    draft.line(format!("__shared__ unsigned found[{WARPS}];"));
    for i in sums.all() {
        draft.line(format!("__shared__ {} of_warps{i}[{WARPS}][{lanes}];", type_name(sums.dtype(i))));
    }
    draft.line(format!("const int warp = threadIdx.x / {WARP};"));
    draft.line(format!("const int lane = threadIdx.x % {WARP};"));
    let int = draft.int();
    let block = draft.same_type("blockIdx.x");
    match tiles(reduction, segments, lanes) {
        None => reduction.draft.line(format!("const {int} first = {block} * {THREADS};")),
        Some(tiles) => {
            reduction.draft.line(format!("const {int} first = {block} / {tiles} * {THREADS};"));
            reduction.draft.line(format!("const {int} tile = {block} % {tiles} * {lanes};"));
        }
    }
}

/// The number of tiles of a segment's rows, as a divisor; `None` for one tile.
fn tiles(reduction: &mut Reduction<'_>, segments: &Segments, lanes: usize) -> Option<String> {
    match segments.rows.as_usize() {
        Some(rows) if rows <= lanes => None,
        Some(rows) => Some(rows.div_ceil(lanes).to_string()),
        None => Some(format!("(({} + {}) / {lanes})", reduction.draft.dim(&segments.rows), lanes - 1)),
    }
}

/// Finds long segments, one thread for each segment and one bit for each result. Returns the place to declare a
/// thread's own segment.
fn find_long(reduction: &mut Reduction<'_>, segments: &Segments) -> Mark {
    let int = reduction.draft.int();
    reduction.draft.line(format!("const {int} own = first + threadIdx.x;"));
    reduction.draft.line("bool is_long = false;");
    let all = reduction.draft.dim(&segments.all);
    reduction.draft.open(format!("if (own < {all})"));
    let mark = reduction.draft.mark();
    reduction.declare_members(segments);
    reduction.draft.line(format!("is_long = range.y - range.x > {LONG};"));
    reduction.draft.close();
    reduction.draft.line("const unsigned votes = __ballot_sync(~0u, is_long);");
    reduction.draft.line("if (lane == 0) found[warp] = votes;");
    reduction.draft.line("__syncthreads();");
    mark
}

/// Declares the next of the segments that were found, and the row of a thread. Threads without a row repeat the last
/// row's work.
fn declare_row(reduction: &mut Reduction<'_>, segments: &Segments, lanes: usize) -> Mark {
    let draft = &mut reduction.draft;
    let (int, row) = (draft.int(), draft.row.clone());
    draft.line(format!("const {int} segment = first + word * {WARP} + __ffs(rest) - 1;"));
    let own = own_row(segments, lanes);
    let place = if segments.rows == 1usize {
        "segment".to_string()
    } else {
        let last = segments.rows.clone() - 1;
        let last = draft.dim(&last);
        let within = if is_exact(segments, lanes) {
            own
        } else {
            format!("min({}, {})", draft.same_type(&own), draft.same_type(&last))
        };
        format!("{} + {within}", draft.times("segment", &segments.rows))
    };
    draft.line(format!("const {int} {row} = {place};"));
    draft.mark()
}

/// The row of a thread among those of its segment.
fn own_row(segments: &Segments, lanes: usize) -> String {
    let among = if lanes == WARP { "lane".to_string() } else { format!("lane % {lanes}") };
    match segments.rows.as_usize() {
        Some(rows) if rows <= lanes => among,
        _ => format!("tile + {among}"),
    }
}

/// Whether every thread has a row of its own.
fn is_exact(segments: &Segments, lanes: usize) -> bool {
    segments.rows.as_usize().is_some_and(|rows| rows % lanes == 0)
}

/// Folds what the warps of a block have, in their order, and stores the rows.
fn fold_warps(reduction: &mut Reduction<'_>, segments: &Segments, lanes: usize) {
    let (draft, sums, kernel) = (&mut reduction.draft, reduction.sums, reduction.kernel);
    if lanes < WARP {
        draft.open(format!("if (lane < {lanes})"));
    }
    sums.all().for_each(|i| draft.line(format!("of_warps{i}[warp][lane] = {};", sums.name(i))));
    if lanes < WARP {
        draft.close();
    }
    draft.line("__syncthreads();");
    draft.open(format!("if (threadIdx.x < {lanes})"));
    draft.open(format!("for (int other = 1; other < {WARPS}; ++other)"));
    sums.all().for_each(|i| sums.combine(draft, i, &format!("of_warps{i}[other][lane]")));
    draft.close();
    let rows: Dim = segments.rows.clone();
    let stores = if rows == 1usize || is_exact(segments, lanes) {
        String::new()
    } else {
        format!("{} < {}", own_row(segments, lanes), draft.dim(&rows))
    };
    let row = draft.row_number();
    sums.store(draft, &stores, &row, |i| format!("v{}", kernel.outputs[i].0.0));
    draft.close();
    draft.line("__syncthreads();");
}
