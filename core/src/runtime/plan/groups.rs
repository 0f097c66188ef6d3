//! Groups of kernels that go through their rows together, for given sizes: the units into which the rows are cut, and
//! the memory that these need.
//!
//! The rows are cut by their work and never by the number of threads. The partial results of a unit for a reduction
//! over all rows have a separate place.

use crate::aval::{Aval, DType, Sizes};
use crate::codegen::x86::ARGS;
use crate::device::ALIGN;
use crate::ir::{ReduceOp, Var};
use crate::kernel::{Group, Part, Space, Step};
use crate::runtime::plan::placed::{Buffers, bytes_of};
use crate::runtime::plan::work::Work;
use rustc_hash::FxHashSet;
use std::ops::Range;

/// The most units into which rows are cut.
const UNITS: usize = 32;
/// The least rows of a unit.
const MIN_UNIT: usize = 16;
/// Rows that every kernel runs on before the next ones: their arrays should fit into the nearest caches.
const CHUNK: usize = 128;
/// Members of these rows, unless one row has more.
const CHUNK_MEMBERS: usize = 1024;
/// How the steps of a group run.
#[derive(Debug)]
pub(in crate::runtime) enum GroupWork {
    /// One after the other.
    Each(Range<usize>),
    /// Chunk of rows by chunk of rows.
    Rows(Box<RowsWork>),
}

/// The partial result of a reduction over all rows for each unit.
#[derive(Debug)]
pub(in crate::runtime) struct Partial {
    /// The step's number and the output's.
    pub(in crate::runtime) step: usize,
    pub(in crate::runtime) output: usize,
    pub(in crate::runtime) var: Var,
    /// The entry with its address in the steps' tables.
    pub(in crate::runtime) entry: usize,
    pub(in crate::runtime) op: ReduceOp,
    pub(in crate::runtime) dtype: DType,
    /// Elements of a unit's part.
    pub(in crate::runtime) n: usize,
    /// Where the first unit's part starts, in the memory for partial results.
    pub(in crate::runtime) at: usize,
    /// Bytes of a unit's part.
    pub(in crate::runtime) bytes: usize,
    /// Whether units have many chunks. A part then has three arrays: the total, its rounding error, and the sum of a
    /// few chunks.
    pub(in crate::runtime) is_long: bool,
}

/// A group that goes through its rows, for given sizes.
#[derive(Debug)]
pub(in crate::runtime) struct RowsWork {
    pub(in crate::runtime) steps: Range<usize>,
    pub(in crate::runtime) rows: usize,
    /// The offsets of the rows' members, and the number of members.
    pub(in crate::runtime) members: Option<(Var, usize)>,
    pub(in crate::runtime) parts: Vec<Part>,
    pub(in crate::runtime) partials: Vec<Partial>,
    pub(in crate::runtime) locals: Vec<Local>,
    /// Where each step's table of arguments is in a thread's list of all tables.
    pub(in crate::runtime) tables: Vec<Range<usize>>,
}

/// An array of which each thread keeps only the rows, or the members, of the current chunk.
#[derive(Debug)]
pub(in crate::runtime) struct Local {
    pub(in crate::runtime) var: Var,
    pub(in crate::runtime) by_member: bool,
    /// Bytes of one row, or of one member.
    pub(in crate::runtime) bytes: usize,
    /// The entries with its address in the steps' tables.
    pub(in crate::runtime) entries: Vec<usize>,
}

impl GroupWork {
    /// How a group runs: through its rows if all its kernels are machine code.
    pub(in crate::runtime) fn new(
        group: &Group,
        steps: &[Step],
        work: &[Work],
        avals: &[Aval],
        sizes: &Sizes,
    ) -> GroupWork {
        let all = group.steps.clone();
        let is_code = work[all.clone()].iter().all(|work| matches!(work, Work::Machine(_)));
        match &group.space {
            Space::Rows { extent, members, parts, local } if is_code => {
                let rows = extent.at(sizes).as_usize().unwrap_or(0);
                let members = members.as_ref().map(|m| (m.offsets, m.extent.at(sizes).as_usize().unwrap_or(0)));
                let (parts, partials, locals, tables) = (parts.clone(), vec![], vec![], vec![]);
                let mut rows_work = RowsWork { steps: all, rows, members, parts, partials, locals, tables };
                rows_work.find_partials(steps, sizes);
                rows_work.find_locals(steps, local, avals);
                GroupWork::Rows(Box::new(rows_work))
            }
            _ => GroupWork::Each(all),
        }
    }

    /// Bytes for the units' parts of reductions.
    pub(in crate::runtime) fn partial_bytes(&self) -> usize {
        match self {
            GroupWork::Rows(rows) => rows.partials.iter().map(|p| p.unit_bytes() * rows.n_unit()).sum(),
            GroupWork::Each(_) => 0,
        }
    }

    /// Bytes of the arrays that each thread keeps chunk by chunk, unless one row has more members than a chunk.
    pub(in crate::runtime) fn chunk_bytes(&self) -> usize {
        match self {
            GroupWork::Rows(rows) => rows.locals.iter().map(|local| rows.chunk_bytes(local)).sum(),
            GroupWork::Each(_) => 0,
        }
    }
}

impl RowsWork {
    fn find_partials(&mut self, steps: &[Step], sizes: &Sizes) {
        let mut at = 0;
        for (i, part) in self.parts.iter().enumerate() {
            let Step::Kernel(kernel, _) = &steps[self.steps.start + i] else { continue };
            let Some(op) = kernel.reduce.filter(|_| part.is_partial()) else { continue };
            for (output, (var, aval)) in kernel.outputs.iter().enumerate() {
                let aval = aval.at(sizes);
                let (dtype, n, bytes) = (aval.dtype, aval.volume().as_usize().unwrap_or(0), bytes_of(&aval));
                let is_long = self.has_many_chunks() && op == ReduceOp::Sum && dtype.is_float();
                let partial = Partial { step: i, output, var: *var, entry: 0, op, dtype, n, at, bytes, is_long };
                at += partial.unit_bytes() * self.n_unit();
                self.partials.push(partial);
            }
        }
    }

    fn find_locals(&mut self, steps: &[Step], local: &[Var], avals: &[Aval]) {
        let local: FxHashSet<&Var> = local.iter().collect();
        for (step, part) in steps[self.steps.clone()].iter().zip(&self.parts) {
            for var in step.writes().into_iter().filter(|var| local.contains(var)) {
                let aval = &avals[var.index()];
                let row: usize = aval.shape[1..].iter().filter_map(|dim| dim.as_usize()).product();
                let bytes = row * aval.dtype.size();
                self.locals.push(Local { var, by_member: *part == Part::Member, bytes, entries: vec![] });
            }
        }
    }

    /// Lays out the steps' tables, once all arrays are placed.
    pub(in crate::runtime) fn lay_tables(&mut self, steps: &[Step], work: &[Work], buffers: &[Option<Buffers>]) {
        let mut end = 0;
        for (i, step) in self.steps.clone().enumerate() {
            let (Step::Kernel(kernel, _), Work::Machine(work)) = (&steps[step], &work[step]) else { continue };
            for (array, (var, _)) in kernel.inputs.iter().chain(&kernel.outputs).enumerate() {
                if let Some(Buffers::Chunk(k)) = buffers[var.index()] {
                    self.locals[k].entries.push(end + ARGS + array);
                }
            }
            for partial in self.partials.iter_mut().filter(|partial| partial.step == i) {
                partial.entry = end + ARGS + kernel.inputs.len() + partial.output;
            }
            let table = end..end + work.table_len(kernel);
            end = table.end;
            self.tables.push(table);
        }
    }

    fn chunk_bytes(&self, local: &Local) -> usize {
        let members = self.members.map_or(0, |(_, n)| n);
        let n = if local.by_member { CHUNK_MEMBERS.min(members) } else { CHUNK.min(self.rows) };
        (n * local.bytes).next_multiple_of(ALIGN)
    }

    /// The arrays that threads keep chunk by chunk, by number.
    pub(in crate::runtime) fn local_vars(&self) -> impl Iterator<Item = Var> + '_ {
        self.locals.iter().map(|local| local.var)
    }

    /// How a step goes over the rows.
    pub(in crate::runtime) fn part(&self, step: usize) -> Option<Part> {
        self.steps.contains(&step).then(|| self.parts[step - self.steps.start])
    }

    /// Whether units have several chunks each.
    fn has_many_chunks(&self) -> bool {
        self.rows > UNITS * CHUNK || self.members.is_some_and(|(_, n)| n > UNITS * CHUNK_MEMBERS)
    }

    pub(in crate::runtime) fn n_unit(&self) -> usize {
        self.rows.div_ceil(MIN_UNIT).clamp(1, UNITS)
    }

    /// The end of the chunk that starts at a row.
    pub(in crate::runtime) fn chunk_end(&self, start: usize, end: usize, offsets: Option<&[i32]>) -> usize {
        let mut stop = end.min(start + CHUNK);
        if let Some(offsets) = offsets {
            while stop > start + 1 && (offsets[stop] as i64 - offsets[start] as i64) > CHUNK_MEMBERS as i64 {
                stop = start + (stop - start) / 2;
            }
        }
        stop
    }
}

impl Partial {
    /// Bytes of all arrays of a unit.
    pub(in crate::runtime) fn unit_bytes(&self) -> usize {
        if self.is_long { 3 * self.bytes } else { self.bytes }
    }
}
