//! A reduction's function that is being written: which terms a thread takes, and how it combines them.

use super::accumulate::Accumulators;
use super::body::{Body, Level};
use super::draft::Draft;
use super::function::{Function, Name};
use super::launch::{Param, Pieces, ThreadGroup, WARP, When, Work};
use super::nest::{declare_row, declare_warp, write_loops, write_row_loops};
use super::prelude::Helper;
use super::shape::{LONG, Segments, Shape, rows, terms};
use crate::aval::DType;
use crate::ir::{ReduceOp, Scalar, Unsupported};
use crate::kernel::Kernel;

/// A reduction's function that is being written.
pub(super) struct Reduction<'k> {
    pub(super) draft: Draft<'k>,
    pub(super) kernel: &'k Kernel,
    pub(super) sums: Accumulators<'k>,
    pub(super) body: Body<'k>,
}

/// Where the terms of a thread begin and end, and the step from one to the next.
pub(super) struct Iterations {
    pub(super) begin: String,
    pub(super) end: String,
    pub(super) step: usize,
}

impl<'k> Reduction<'k> {
    pub(super) fn new(kernel: &'k Kernel, op: ReduceOp, name: &Name, is_long: bool) -> Self {
        let sums = Accumulators { kernel, op, is_long };
        Reduction { draft: Draft::new(kernel, name.width), kernel, sums, body: Body::new(kernel) }
    }

    pub(super) fn write(mut self, shape: &Shape, name: &Name) -> Result<Function, Unsupported> {
        let (kernel, is_parted) = (self.kernel, shape.parts.is_some());
        let is_by_thread = shape.lanes == WARP && !is_parted;
        let places = if is_by_thread {
            declare_row(&mut self.draft)
        } else {
            declare_warp(&mut self.draft, shape.lanes, is_parted)
        };
        let mut stores = places.stores;
        let (begin, end) = match Segments::of(kernel) {
            Some(segments) => self.short_members(&segments, &mut stores),
            None => self.dense_terms(is_parted),
        };
        self.body.write(&mut self.draft, Level::Row)?;
        self.sums.declare(&mut self.draft);
        let first = [begin, places.slice].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        let begin = if first.is_empty() { "0".into() } else { first.join(" + ") };
        self.term_loop(&Iterations { begin, end, step: shape.slices() })?;
        self.sums.fold(&mut self.draft, shape.lanes);
        let row = self.draft.row_number();
        if is_parted {
            let (rows, at) = (rows(kernel), "part");
            let at = if rows == 1usize { at.into() } else { format!("{} + {row}", self.draft.times(at, &rows)) };
            self.sums.store(&mut self.draft, &stores, &at, |i| format!("parts{i}"));
        } else {
            self.sums.store(&mut self.draft, &stores, &row, |i| format!("v{}", kernel.outputs[i].0.0));
        }
        write_row_loops(&mut self.draft, places.mark);
        let team = if is_by_thread { ThreadGroup::Thread } else { ThreadGroup::Warp };
        let of = if is_by_thread { 1 } else { shape.lanes };
        let units = vec![Pieces { extent: rows(kernel), of }];
        let results = if is_parted { Param::Scratch } else { Param::Output };
        let work = Work { team, units, is_parted, when: When::Always };
        Ok(self.function(name, results, work))
    }

    /// The function, which writes its results to these arrays.
    pub(super) fn function(&self, name: &Name, results: fn(usize) -> Param, work: Work) -> Function {
        let arrays = (0..self.kernel.inputs.len()).map(Param::Input).chain(self.sums.all().map(results));
        name.function(&self.draft, arrays.collect(), work)
    }

    /// Declares the members of the current segment as `range`.
    pub(super) fn declare_members(&mut self, segments: &Segments) {
        let draft = &mut self.draft;
        let at = draft.index(segments.number);
        let offsets = self.kernel.inputs[segments.offsets].0.0;
        let (members, record) = (draft.dim(&segments.members), draft.record());
        draft.uses(Helper::MembersOf);
        let [begin, end] = ["", " + 1"].map(|next| format!("v{offsets}[{at}{next}]"));
        draft.line(format!("const int2 range = members_of({begin}, {end}, {members}, {record});"));
    }

    /// Where the members of a segment begin and end: a long segment is left to the other function, and not stored.
    fn short_members(&mut self, segments: &Segments, stores: &mut String) -> (String, String) {
        self.declare_members(segments);
        self.body.has_terms = Some("range.x < range.y".into());
        let begin = self.draft.same_type("range.x");
        if !segments.may_be_long() {
            return (begin, "range.y".into());
        }
        let is_long = format!("range.y - range.x > {LONG}");
        // Threads that each store their own row take part in no shuffles.
        if stores.is_empty() {
            self.draft.line(format!("if ({is_long}) return;"));
            return (begin, "range.y".into());
        }
        self.draft.line(format!("const bool is_long = {is_long};"));
        self.draft.line("const int end = is_long ? range.x : range.y;");
        stores.push_str(" && !is_long");
        (begin, "end".into())
    }

    /// Where the terms of a row begin and end.
    fn dense_terms(&mut self, is_parted: bool) -> (String, String) {
        let (draft, terms) = (&mut self.draft, terms(self.kernel));
        let (int, end) = (draft.int(), draft.dim(&terms));
        if terms.as_usize().is_none_or(|terms| terms == 0) {
            self.body.has_terms = Some(format!("{end} > 0"));
        }
        if !is_parted {
            return (String::new(), end);
        }
        let (end, length) = (draft.same_type(&end), draft.part_length());
        draft.line(format!("const {int} begin = part * {length};"));
        draft.line(format!("const {int} end = min(begin + {length}, {end});"));
        ("begin".into(), "end".into())
    }

    /// Combines the terms of a thread, one after the other.
    pub(super) fn term_loop(&mut self, iterations: &Iterations) -> Result<(), Unsupported> {
        let n_row = self.kernel.n_row();
        let mut moving = (n_row..self.kernel.loops.len()).filter(|i| self.kernel.loops[*i].extent != 1usize);
        let term = match (moving.next(), moving.next()) {
            (Some(only), None) => format!("i{only}"),
            _ => "term".into(),
        };
        let Iterations { begin, end, step } = iterations;
        let increment = if *step == 1 { format!("++{term}") } else { format!("{term} += {step}") };
        self.draft.open(format!("for ({} {term} = {begin}; {term} < {end}; {increment})", self.draft.int()));
        let mark = self.draft.mark();
        self.body.write(&mut self.draft, Level::Term)?;
        for (i, scalar) in self.kernel.results.iter().enumerate() {
            self.accumulate(i, *scalar);
        }
        write_loops(&mut self.draft, mark, n_row..self.kernel.loops.len(), &term);
        self.draft.close();
        Ok(())
    }

    fn accumulate(&mut self, output: usize, scalar: Scalar) {
        let Some(factors) = self.body.factors(scalar) else {
            let value = self.body.operand(&mut self.draft, scalar);
            return self.sums.add(&mut self.draft, output, &value);
        };
        let [a, b] = factors.map(|factor| self.body.operand(&mut self.draft, factor));
        let name = self.sums.name(output);
        let fma = if self.sums.dtype(output) == DType::F32 { "fmaf" } else { "fma" };
        if let Some(lacks) = self.sums.lacks(output) {
            return self.sums.add_part(&mut self.draft, output, &format!("{fma}({a}, {b}, {lacks})"));
        }
        self.draft.line(format!("{name} = {fma}({a}, {b}, {name});"));
    }
}
