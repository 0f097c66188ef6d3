//! Which layout a kernel gets: the cost of every layout that its loops allow is estimated, and the cheapest is taken.
//!
//! Everything is chosen for registers of 512 bits. If the machine's hold half as much, two replace one: sums are added
//! in the same order.

use super::Isa;
use super::layout::{Filling, Group, Layout, MAX_WIDTH, Packed, Pattern, number, place, runs_once};
use crate::ir::{Index, Unsupported};
use crate::kernel::{Instr, Kernel, LoopKind};
use std::ops::Range;

// Costs, in reads of one vector whose lanes are contiguous. They need only rank layouts.

/// Reading a vector whose lanes are contiguous, or all the same.
const IN_ORDER: f64 = 1.0;
/// Reading a vector whose lanes are near one another: a read and a permutation.
const NEAR: f64 = 2.0;
/// Reading a vector iteration by iteration, for each: a checked position, and a read of some of the lanes.
const BY_ITERATION: f64 = 3.0;
/// Reading a vector whose lanes are anywhere.
const GATHER: f64 = 14.0;
/// One unit of [`ScalarOp::cost`](crate::ir::ScalarOp::cost): two operations execute at a time, while a read takes
/// about as long as one.
const OPERATION: f64 = 0.5;
/// An iteration of the innermost code, besides its reads and operations.
const ITERATION: f64 = 1.0;
/// Combining the lanes of one vector with each other.
const FOLD: f64 = 8.0;
/// The same for several vectors that are folded together.
const FOLD_TOGETHER: f64 = 3.0;
/// A layout that costs more than this never replaces another one.
const WORST: f64 = 1e9;
/// The weight of a read outside the combined loops: it is done once for many iterations.
const OUTSIDE: f64 = 0.2;

// The assumed lengths of loops of unknown length, and the limits that decide how many vectors are taken at a time.

/// Members of a segment.
const MEMBERS: f64 = 12.0;
/// Iterations of another loop.
const ITERATIONS: f64 = 100.0;
/// Members of a short segment; most segments are short.
const SHORT: usize = 8;
/// A body whose operations cost this much is not worth running for iterations beyond the end.
const HEAVY: u32 = 60;
/// A loop of this many vectors is long: several are taken at a time.
const LONG: usize = 8;
/// Vectors of a long loop that are taken at a time.
const AT_A_TIME: usize = 4;

/// Chooses the layout of a kernel whose loop `partition` runs over a part of its extent.
pub(super) fn choose(kernel: &Kernel, partition: Option<usize>, isa: Isa) -> Result<Layout, Unsupported> {
    let layout = choose_whole(kernel, partition, Isa::Avx512.lanes(kernel))?;
    Ok(match isa {
        Isa::Avx512 => layout,
        Isa::Avx2 => layout.halved(),
    })
}

fn choose_whole(kernel: &Kernel, partition: Option<usize>, vector: usize) -> Result<Layout, Unsupported> {
    let n_row = kernel.n_row();
    let loops = |range: Range<usize>| range.filter(|l| !runs_once(kernel, partition, *l)).collect();
    let rows: Vec<usize> = loops(0..n_row);
    let reduces: Vec<usize> = loops(n_row..kernel.loops.len());
    let mut lanes: Vec<(usize, usize)> = vec![];
    let mut width = 1;
    let mut rest = rows.len();
    let has_segments = |row: usize| {
        kernel.loops.iter().any(|l| matches!(l.kind, LoopKind::Segment { segment, .. } if segment as usize == row))
    };
    while rest > 0 && Some(rows[rest - 1]) != partition && !has_segments(rows[rest - 1]) {
        match number(kernel, rows[rest - 1]) {
            Some(n) if n > 0 && width * n <= MAX_WIDTH => {
                lanes.insert(0, (rows[rest - 1], n));
                width *= n;
                rest -= 1;
            }
            _ => break,
        }
    }
    let outer = &rows[..rest];
    let plain = Layout {
        vector,
        lanes,
        width,
        filling: Filling::Row { group: Group::NONE },
        order: outer.iter().chain(&reduces).copied().collect(),
        first_reduce: outer.len(),
    };
    if let Some(grouped) = grouped(kernel, partition, &plain, &reduces) {
        return Ok(grouped);
    }
    let iterations = match vector / width {
        0 | 1 => return Ok(plain),
        iterations => 1 << iterations.ilog2(),
    };
    let mut candidates = vec![plain.clone()];
    let with = |filling: Filling| Layout { filling, ..plain.clone() };
    if let Some(q) = outer.last() {
        let has_segments = kernel.loops.iter().any(|l| matches!(l.kind, LoopKind::Segment { .. }));
        if !has_segments {
            candidates.push(with(Filling::Rows { packed: Packed::new(*q, iterations), group: Group::NONE }));
        }
    }
    if let Some(q) = reduces.last() {
        candidates.push(with(Filling::Terms { packed: Packed::new(*q, iterations) }));
    }
    candidates.extend(grouped_by_iteration(kernel, partition, &plain, &reduces));
    let cost = |layout: &Layout| cost(kernel, partition, layout);
    let best = candidates.into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
    let mut best = best.ok_or_else(|| Unsupported("no layout".into()))?;
    if let Filling::Rows { packed, .. } | Filling::Terms { packed } = &mut best.filling {
        packed.vectors = vectors_at_a_time(kernel, partition, *packed);
    }
    Ok(best)
}

/// How many vectors of a packed loop's iterations are taken at a time: independent work for the processor to overlap.
fn vectors_at_a_time(kernel: &Kernel, partition: Option<usize>, packed: Packed) -> usize {
    if matches!(kernel.loops[packed.number].kind, LoopKind::Segment { .. }) {
        // Most segments are short: with one pass over all members the processor predicts the end. Reads at computed
        // positions, or heavy computation, would pay for iterations beyond the end.
        let computes = |index: &Index| matches!(index, Index::Value(_));
        let gathers = kernel.body.iter().any(|i| matches!(i, Instr::Load(_, index) if index.iter().any(computes)));
        let cost = |instr: &Instr| if let Instr::Op(op, _) = instr { op.cost() } else { 0 };
        let is_heavy = kernel.body.iter().map(cost).sum::<u32>() >= HEAVY;
        return if gathers || is_heavy { 1 } else { SHORT.div_ceil(packed.iterations) };
    }
    let long =
        number(kernel, packed.number).is_none_or(|n| n >= LONG * packed.iterations) || Some(packed.number) == partition;
    if long { AT_A_TIME } else { 1 }
}

/// The layout in which one reduced axis is the last lane axis, if its elements are contiguous and every result is the
/// combination of neighbouring lanes.
fn grouped(kernel: &Kernel, partition: Option<usize>, plain: &Layout, reduces: &[usize]) -> Option<Layout> {
    let [l] = reduces else { return None };
    if Some(*l) == partition || kernel.loops[*l].kind != LoopKind::Reduce {
        return None;
    }
    let n = number(kernel, *l)?;
    let vector = plain.vector;
    let width = plain.width * n;
    let fits = n.is_power_of_two() && (2..=vector).contains(&n) && width.is_multiple_of(vector) && width <= MAX_WIDTH;
    let outer: Vec<usize> = plain.order[..plain.first_reduce].to_vec();
    if !fits || outer.is_empty() {
        return None;
    }
    let mut lanes = plain.lanes.clone();
    lanes.push((*l, n));
    let filling = Filling::Row { group: Group { lanes: n, members: n } };
    let layout = Layout { vector, lanes, width, filling, first_reduce: outer.len(), order: outer };
    // Worth it if it makes gathers contiguous.
    (cost(kernel, partition, &layout) < cost(kernel, partition, plain).min(WORST)).then_some(layout)
}

/// The layout in which one short reduced axis is the last lane axis, and a vector holds several rows: every result is
/// the combination of neighbouring lanes.
fn grouped_by_iteration(
    kernel: &Kernel,
    partition: Option<usize>,
    plain: &Layout,
    reduces: &[usize],
) -> Option<Layout> {
    let [l] = reduces else { return None };
    if Some(*l) == partition || kernel.loops[*l].kind != LoopKind::Reduce {
        return None;
    }
    let members = number(kernel, *l)?;
    let q = *plain.order[..plain.first_reduce].last()?;
    let group = Group { lanes: members.next_power_of_two(), members };
    let width = plain.width * group.lanes;
    // Results are contiguous, and halves of 512 bits hold a whole row, too.
    if members < 2 || !width.is_power_of_two() || 2 * width > plain.vector {
        return None;
    }
    let filling = Filling::Rows { packed: Packed::new(q, plain.vector / width), group };
    let lanes = plain.lanes.iter().copied().chain([(*l, group.lanes)]).collect();
    let order = plain.order[..plain.first_reduce].to_vec();
    Some(Layout { lanes, width, filling, order, ..plain.clone() })
}

/// About how many cycles one output element costs, by the patterns of its loads.
fn cost(kernel: &Kernel, partition: Option<usize>, layout: &Layout) -> f64 {
    let n_row = kernel.n_row();
    let trips = |l: usize| match (number(kernel, l), kernel.loops[l].kind) {
        (_, LoopKind::Segment { .. }) => MEMBERS,
        (Some(n), _) => n as f64,
        (None, _) => ITERATIONS,
    };
    let inner: f64 = layout.order[layout.first_reduce..].iter().map(|l| trips(*l)).product();
    let moves = |l: usize| layout.is_lane(l) || layout.is_packed(l);
    // Whether a scalar differs by lane.
    let mut varies: Vec<bool> = vec![];
    let mut loads = ITERATION;
    for instr in &kernel.body {
        let place = match instr {
            Instr::Load(input, index) => place(kernel, partition, *input as usize, index),
            Instr::Position(Index::Affine { terms, .. }) => {
                varies.push(terms.iter().any(|(l, _)| moves(*l as usize)));
                continue;
            }
            Instr::Position(Index::Value(s)) => {
                varies.push(varies[s.0 as usize]);
                continue;
            }
            Instr::Op(op, ins) => {
                let lanes = ins.iter().any(|s| varies[s.0 as usize]);
                loads += OPERATION * f64::from(op.cost());
                varies.push(lanes);
                continue;
            }
            Instr::Const(_) | Instr::Size(..) => {
                varies.push(false);
                continue;
            }
        };
        let scattered = place.computed.iter().any(|(s, ..)| varies[s.0 as usize]);
        varies.push(scattered || place.terms.iter().any(|(l, _)| moves(*l)));
        let in_loop = place.terms.iter().any(|(l, _)| *l >= n_row) || !place.computed.is_empty();
        let weight = if kernel.reduce.is_some() && !in_loop { OUTSIDE } else { 1.0 };
        let by_iteration = layout.reads_rows_by_iteration(&place.terms) && place.computed.len() == 1;
        loads += weight
            * match layout.pattern(0, &place.terms) {
                _ if scattered && by_iteration => {
                    BY_ITERATION * layout.packed().map_or(1.0, |packed| packed.iterations as f64)
                }
                _ if scattered => GATHER,
                Some(Pattern::Same | Pattern::Contiguous(_)) => IN_ORDER + place.computed.len() as f64,
                Some(Pattern::Near { .. }) => NEAR + place.computed.len() as f64,
                Some(Pattern::Far(..)) | None => GATHER,
            };
    }
    let width = layout.width as f64;
    match layout.filling {
        Filling::Terms { packed } => {
            let whole = (inner / packed.iterations as f64).max(1.0);
            (whole * loads + FOLD) / width
        }
        // Several vectors are folded together.
        Filling::Rows { packed, group } if group.lanes > 1 => {
            (loads + FOLD_TOGETHER) / (packed.iterations * layout.width / group.lanes) as f64
        }
        Filling::Rows { packed, .. } => inner * loads / (packed.iterations * layout.width) as f64,
        Filling::Row { group } if group.lanes > 1 => {
            (loads + FOLD) * layout.vectors() as f64 / (layout.width / group.lanes) as f64
        }
        Filling::Row { .. } => inner * loads * layout.vectors() as f64 / width,
    }
}
