//! Which loops of a nest are lanes of a vector, which one is taken several turns at a time, and in what order the others
//! stand.
//!
//! All is chosen for registers of 512 bits. Where those of the machine hold half as much, two stand for one: sums are added
//! in the same order.

use super::Isa;
use super::lir::LANES;
use crate::aval::Dim;
use crate::ir::{Index, Scalar, Unsupported};
use crate::kernel::{Instr, Kernel, Loop, LoopKind};
use smallvec::SmallVec;
use std::ops::Range;

/// Lanes of one row, at most; what is longer is a loop over packs of lanes.
pub(super) const MAX_WIDTH: usize = 64;

/// A loop of which one vector holds several turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Packed {
    pub(super) number: usize,
    /// How many turns a vector holds: a power of two.
    pub(super) turns: usize,
    /// Whether what it makes is combined.
    pub(super) reduces: bool,
}

/// A load's place: `constant + Σ stride·loop + Σ stride·computed`, in elements.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) constant: Dim,
    pub(super) terms: SmallVec<[(usize, Dim); 4]>,
    /// Computed positions, with stride and extent.
    pub(super) computed: SmallVec<[(Scalar, Dim, Dim); 1]>,
}

/// How the lanes of a load lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Pattern {
    /// All at one place.
    Same,
    /// Side by side, from this element on.
    Contiguous(i64),
    /// Among `n` elements from the first on, no more than a vector holds: which of these each lane is.
    Near { first: i64, n: usize, table: [i32; LANES] },
    /// Anywhere: offsets from the first number.
    Far(i64, [i32; LANES]),
}

/// The shape of a nest's code.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Layout {
    /// Lanes of a vector.
    pub(super) vector: usize,
    /// Loops that are lanes, with their extents.
    pub(super) lanes: Vec<(usize, usize)>,
    /// The product of their extents.
    pub(super) width: usize,
    pub(super) packed: Option<Packed>,
    /// How many vectors the innermost code works on.
    pub(super) vectors: usize,
    /// How many of them stand for one of 512 bits.
    pub(super) parts: usize,
    /// The other loops, outermost first.
    pub(super) order: Vec<usize>,
    /// Where in `order` the loops begin whose results are combined.
    pub(super) first_reduce: usize,
    /// Neighbouring lanes, this many, are combined into one result.
    pub(super) group: usize,
    /// How many lanes of a group mean something; the others read what the last of these reads.
    pub(super) members: usize,
}

impl Layout {
    /// Lanes of vector `v` that mean something.
    pub(super) fn active(&self, v: usize) -> usize {
        match self.packed {
            Some(packed) => packed.turns * self.width,
            None => self.vector.min(self.width - v * self.vector),
        }
    }

    /// This layout with vectors of half as many lanes, two for one.
    fn halved(self) -> Layout {
        let vector = self.vector / 2;
        let packed = self.packed.map(|packed| Packed { turns: packed.turns / 2, ..packed });
        let vectors = if packed.is_some() { 2 * self.vectors } else { self.width.div_ceil(vector) };
        Layout { vector, packed, vectors, parts: 2 * self.parts, ..self }
    }

    /// The level of a loop: 0 is the start of the function; `None` for lanes.
    pub(super) fn level(&self, number: usize) -> Option<usize> {
        self.order.iter().position(|l| *l == number).map(|at| at + 1)
    }

    pub(super) fn is_lane(&self, number: usize) -> bool {
        self.lanes.iter().any(|(l, _)| *l == number)
    }

    pub(super) fn is_packed(&self, number: usize) -> bool {
        self.packed.is_some_and(|packed| packed.number == number)
    }

    /// For each lane of vector `v` the turn of the packed loop and the coordinates of the lanes' loops.
    fn coordinates(&self, v: usize, lane: usize) -> (usize, SmallVec<[usize; 3]>) {
        let (turn, mut at) = match self.packed {
            Some(packed) => (v * packed.turns + lane / self.width, lane % self.width),
            None => (0, v * self.vector + lane),
        };
        let mut coordinates: SmallVec<[usize; 3]> = self
            .lanes
            .iter()
            .rev()
            .map(|(_, extent)| {
                let i = at % extent;
                at /= extent;
                i
            })
            .collect();
        coordinates.reverse();
        if let Some(last) = coordinates.last_mut().filter(|_| self.group > 1) {
            *last = (*last).min(self.members - 1);
        }
        (turn, coordinates)
    }

    /// For each active lane of vector `v` what these strides add up to; `None` where a stride is not a number.
    pub(super) fn offsets(&self, v: usize, terms: &[(usize, Dim)]) -> Option<Vec<i64>> {
        let stride = |number: usize| match terms.iter().find(|(l, _)| *l == number) {
            Some((_, stride)) => stride.as_number(),
            None => Some(0),
        };
        let packed = match self.packed {
            Some(packed) => stride(packed.number)?,
            None => 0,
        };
        let lanes: Option<SmallVec<[i64; 3]>> = self.lanes.iter().map(|(l, _)| stride(*l)).collect();
        let lanes = lanes?;
        let offset = |lane: usize| {
            let (turn, coordinates) = self.coordinates(v, lane);
            let inner = coordinates.iter().zip(&lanes).map(|(i, stride)| *i as i64 * stride);
            turn as i64 * packed + inner.sum::<i64>()
        };
        Some((0..self.active(v)).map(offset).collect())
    }

    /// Whether a vector holds a few rows of several elements, each contiguous but for where it begins.
    pub(super) fn reads_rows_by_turn(&self, terms: &[(usize, Dim)]) -> bool {
        let Some(packed) = self.packed else { return false };
        let few = packed.turns <= 4 && self.width >= 4;
        let moves = terms.iter().any(|(l, _)| *l == packed.number);
        let lanes = self.offsets(0, terms);
        let lane = |i: usize| (i % self.width).min(self.row() - 1) as i64;
        few && !moves && lanes.is_some_and(|at| at.iter().enumerate().all(|(i, at)| *at == lane(i)))
    }

    /// How many elements a row has that is read by turn.
    pub(super) fn row(&self) -> usize {
        self.width - (self.group - self.members)
    }

    /// Whether a lane means something, as far as that does not depend on the turns that are left.
    pub(super) fn is_member(&self, lane: usize) -> bool {
        lane % self.group < self.members
    }

    /// How the lanes of vector `v` lie; `None` where that is known only when the kernel runs.
    pub(super) fn pattern(&self, v: usize, terms: &[(usize, Dim)]) -> Option<Pattern> {
        self.pattern_among(v, None, terms)
    }

    /// The first element that all vectors read and how many there are from it to the last, if one vector holds these.
    pub(super) fn span(&self, terms: &[(usize, Dim)]) -> Option<(i64, usize)> {
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        for v in 0..self.vectors {
            for at in self.offsets(v, terms)? {
                (first, last) = (first.min(at), last.max(at));
            }
        }
        let n = usize::try_from(last - first).ok()? + 1;
        (n <= self.vector).then_some((first, n))
    }

    /// How the lanes of vector `v` lie; where all vectors read the same few elements, among these.
    pub(super) fn pattern_among(
        &self,
        v: usize,
        span: Option<(i64, usize)>,
        terms: &[(usize, Dim)],
    ) -> Option<Pattern> {
        let moves = |l: &usize| self.is_lane(*l) || self.is_packed(*l);
        if !terms.iter().any(|(l, _)| moves(l)) {
            return Some(Pattern::Same);
        }
        let offsets = self.offsets(v, terms)?;
        let first = *offsets.iter().min()?;
        if offsets.iter().enumerate().all(|(lane, at)| *at == first + lane as i64) {
            return Some(Pattern::Contiguous(first));
        }
        let own = (first, (*offsets.iter().max()? - first) as usize + 1);
        let (first, n) = span.unwrap_or(own);
        let mut table = [0i32; LANES];
        for (entry, offset) in table.iter_mut().zip(&offsets) {
            *entry = i32::try_from(offset - first).ok()?;
        }
        Some(if n <= self.vector { Pattern::Near { first, n, table } } else { Pattern::Far(first, table) })
    }
}

/// Whether a loop has one turn always. One member of all segments together is in one of them.
pub(super) fn runs_once(kernel: &Kernel, partition: Option<usize>, l: usize) -> bool {
    let Loop { extent, kind } = &kernel.loops[l];
    Some(l) != partition && *extent == 1usize && !matches!(kind, LoopKind::Segment { .. })
}

/// The place of a load, its strides multiplied out; loops of one turn are left out, but `partition`.
pub(super) fn place(kernel: &Kernel, partition: Option<usize>, input: usize, index: &[Index]) -> Place {
    let shape = &kernel.inputs[input].1.shape;
    let mut place = Place { constant: Dim::from(0), terms: SmallVec::new(), computed: SmallVec::new() };
    let mut stride = Dim::from(1);
    for (index, extent) in index.iter().zip(shape).rev() {
        match index {
            Index::Value(scalar) => place.computed.push((*scalar, stride.clone(), extent.clone())),
            Index::Affine { constant, terms } => {
                place.constant = &place.constant + &(constant * &stride);
                for (number, factor) in terms {
                    add_term(&mut place.terms, *number as usize, factor * &stride);
                }
            }
        }
        stride = &stride * extent;
    }
    place.terms.retain(|(l, stride)| *stride != 0usize && !runs_once(kernel, partition, *l));
    place.terms.sort_by_key(|(l, _)| *l);
    place
}

fn add_term(terms: &mut SmallVec<[(usize, Dim); 4]>, number: usize, stride: Dim) {
    match terms.iter_mut().find(|(l, _)| *l == number) {
        Some((_, old)) => *old = &*old + &stride,
        None => terms.push((number, stride)),
    }
}

fn number(kernel: &Kernel, l: usize) -> Option<usize> {
    kernel.loops[l].extent.as_number().and_then(|n| usize::try_from(n).ok())
}

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
        lanes: lanes.clone(),
        width,
        packed: None,
        vectors: width.div_ceil(vector),
        parts: 1,
        order: outer.iter().chain(&reduces).copied().collect(),
        first_reduce: outer.len(),
        group: 1,
        members: 1,
    };
    if let Some(grouped) = grouped(kernel, partition, &plain, &reduces) {
        return Ok(grouped);
    }
    let turns = match vector / width {
        0 | 1 => return Ok(plain),
        turns => 1 << turns.ilog2(),
    };
    let mut candidates = vec![Layout { vectors: 1, ..plain.clone() }];
    if let Some(q) = outer.last() {
        let has_segments = kernel.loops.iter().any(|l| matches!(l.kind, LoopKind::Segment { .. }));
        if !has_segments {
            let packed = Some(Packed { number: *q, turns, reduces: false });
            candidates.push(Layout { packed, vectors: 1, ..plain.clone() });
        }
    }
    if let Some(q) = reduces.last() {
        let packed = Some(Packed { number: *q, turns, reduces: true });
        candidates.push(Layout { packed, vectors: 1, ..plain.clone() });
    }
    candidates.extend(grouped_by_turn(kernel, partition, &plain, &reduces));
    let cost = |layout: &Layout| cost(kernel, partition, layout);
    let best = candidates.into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
    let mut best = best.ok_or_else(|| Unsupported("no layout".into()))?;
    if let Some(packed) = best.packed {
        best.vectors = vectors_at_a_time(kernel, partition, packed);
    }
    Ok(best)
}

/// How many vectors of a packed loop's turns are taken at a time: independent work for the processor to overlap.
fn vectors_at_a_time(kernel: &Kernel, partition: Option<usize>, packed: Packed) -> usize {
    if matches!(kernel.loops[packed.number].kind, LoopKind::Segment { .. }) {
        // Most segments are short: of one pass over all members the processor guesses the end. What reads at computed
        // positions, or computes much, would pay for the turns that are not there.
        let computes = |index: &Index| matches!(index, Index::Value(_));
        let gathers = kernel.body.iter().any(|i| matches!(i, Instr::Load(_, index) if index.iter().any(computes)));
        let cost = |instr: &Instr| if let Instr::Op(op, _) = instr { op.cost() } else { 0 };
        let is_heavy = kernel.body.iter().map(cost).sum::<u32>() >= 60;
        return if gathers || is_heavy { 1 } else { SHORT.div_ceil(packed.turns) };
    }
    let long = number(kernel, packed.number).is_none_or(|n| n >= 8 * packed.turns) || Some(packed.number) == partition;
    if long { 4 } else { 1 }
}

/// The layout in which one reduced axis is the last lane axis, where its elements lie side by side and every result is the
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
    let first_reduce = outer.len();
    let vectors = width / vector;
    let (packed, order) = (None, outer);
    let layout = Layout { vector, lanes, width, packed, vectors, parts: 1, order, first_reduce, group: n, members: n };
    // Worth it where it makes gathers contiguous.
    (cost(kernel, partition, &layout) < cost(kernel, partition, plain).min(1e9)).then_some(layout)
}

/// The layout in which one short reduced axis is the last lane axis, and a vector holds several rows: every result is the
/// combination of neighbouring lanes.
fn grouped_by_turn(kernel: &Kernel, partition: Option<usize>, plain: &Layout, reduces: &[usize]) -> Option<Layout> {
    let [l] = reduces else { return None };
    if Some(*l) == partition || kernel.loops[*l].kind != LoopKind::Reduce {
        return None;
    }
    let members = number(kernel, *l)?;
    let q = *plain.order[..plain.first_reduce].last()?;
    let group = members.next_power_of_two();
    let width = plain.width * group;
    // Results stand side by side, and halves of 512 bits hold a row as well.
    if members < 2 || !width.is_power_of_two() || 2 * width > plain.vector {
        return None;
    }
    let turns = plain.vector / width;
    let packed = Some(Packed { number: q, turns, reduces: false });
    let lanes = plain.lanes.iter().copied().chain([(*l, group)]).collect();
    let order = plain.order[..plain.first_reduce].to_vec();
    Some(Layout { lanes, width, packed, vectors: 1, order, group, members, ..plain.clone() })
}

/// Members of a short segment.
const SHORT: usize = 8;
/// Members of a segment, about; turns of a loop of unknown length.
const MEMBERS: f64 = 12.0;
const TURNS: f64 = 100.0;
/// Reading one vector whose lanes lie anywhere, in reads of one that lies in order.
const GATHER: f64 = 14.0;

/// About how many cycles one output element costs, from how its loads lie.
fn cost(kernel: &Kernel, partition: Option<usize>, layout: &Layout) -> f64 {
    let n_row = kernel.n_row();
    let trips = |l: usize| match (number(kernel, l), kernel.loops[l].kind) {
        (_, LoopKind::Segment { .. }) => MEMBERS,
        (Some(n), _) => n as f64,
        (None, _) => TURNS,
    };
    let inner: f64 = layout.order[layout.first_reduce..].iter().map(|l| trips(*l)).product();
    let moves = |l: usize| layout.is_lane(l) || layout.is_packed(l);
    // Whether a scalar differs by lane.
    let mut varies: Vec<bool> = vec![];
    let mut loads = 1.0;
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
                // Two operations at a time, while a read takes about as long as one.
                loads += 0.5 * f64::from(op.cost());
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
        let weight = if kernel.reduce.is_some() && !in_loop { 0.2 } else { 1.0 };
        let by_turn = layout.reads_rows_by_turn(&place.terms) && place.computed.len() == 1;
        loads += weight
            * match layout.pattern(0, &place.terms) {
                _ if scattered && by_turn => 3.0 * layout.packed.map_or(1.0, |packed| packed.turns as f64),
                _ if scattered => GATHER,
                Some(Pattern::Same | Pattern::Contiguous(_)) => 1.0 + place.computed.len() as f64,
                Some(Pattern::Near { .. }) => 2.0 + place.computed.len() as f64,
                Some(Pattern::Far(..)) | None => GATHER,
            };
    }
    match layout.packed {
        Some(Packed { reduces: true, turns, .. }) => {
            let whole = (inner / turns as f64).max(1.0);
            (whole * loads + 8.0) / layout.width as f64
        }
        // Several vectors are folded together.
        Some(packed) if layout.group > 1 => (loads + 3.0) / (packed.turns * layout.width / layout.group) as f64,
        Some(packed) => inner * loads / (packed.turns * layout.width) as f64,
        None if layout.group > 1 => (loads + 8.0) * layout.vectors as f64 / (layout.width / layout.group) as f64,
        None => inner * loads * layout.width.div_ceil(layout.vector) as f64 / layout.width as f64,
    }
}
