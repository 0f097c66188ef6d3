//! Kernels with a reduction, over dense axes or over the members of segments.
//!
//! A warp takes some rows side by side, and its other threads take the terms of those rows by turns. Then a tree of
//! shuffles folds what the threads of a row have. Where few rows have many terms, parts of the terms are units of work, and
//! a second function folds the parts. What is added to what is fixed by the kernel and the sizes.

use super::body::{Body, Level};
use super::draft::Draft;
use super::launch::{Param, Pieces, Team, WARP, Work};
use super::nest::{Places, declare_row, declare_warp, write_loops, write_row_loops};
use super::prelude::Helper;
use super::shape::{Shape, rows, terms};
use super::source::{Function, Name, Written};
use super::text::{literal, type_name};
use crate::aval::DType;
use crate::ir::{ReduceOp, Scalar, Unsupported};
use crate::kernel::{Kernel, LoopKind};

/// So many results, at least, are folded by a thread each: below, by a warp each.
const MANY_RESULTS: usize = 1 << 12;

/// Writes a kernel that reduces.
pub(super) fn write(kernel: &Kernel, op: ReduceOp, name: &Name) -> Result<Written, Unsupported> {
    if op == ReduceOp::Sum && kernel.outputs.iter().any(|(_, aval)| aval.dtype == DType::Bool) {
        return Err(Unsupported(format!("{}: there is no sum of bool", kernel.name)));
    }
    let body = Body::new(kernel);
    let shape = Shape::new(kernel, &body);
    let sums = Accumulators { kernel, op };
    let main = Reduction { draft: Draft::new(kernel, name.width), kernel, sums, body, shape: &shape }.write(name)?;
    let fold = shape.parts.is_some().then(|| fold(kernel, op, name));
    Ok(Written { functions: [main].into_iter().chain(fold).collect(), parts: shape.parts })
}

/// The variables that combine the terms, one for each output.
#[derive(Clone, Copy)]
struct Accumulators<'k> {
    kernel: &'k Kernel,
    op: ReduceOp,
}

impl Accumulators<'_> {
    fn name(self, output: usize) -> String {
        format!("{}{output}", self.op.name())
    }

    fn dtype(self, output: usize) -> DType {
        self.kernel.outputs[output].1.dtype
    }

    fn all(self) -> std::ops::Range<usize> {
        0..self.kernel.outputs.len()
    }

    fn declare(self, draft: &mut Draft<'_>) {
        for i in self.all() {
            let identity = literal(self.op.identity(self.dtype(i)));
            draft.line(format!("{} {} = {identity};", type_name(self.dtype(i)), self.name(i)));
        }
    }

    /// Combines one with a value of its type.
    fn combine(self, draft: &mut Draft<'_>, output: usize, value: &str) {
        let name = self.name(output);
        let (text, helper) = match (self.op, self.dtype(output)) {
            (ReduceOp::Sum, DType::I32) => (format!("wrapping_add({name}, {value})"), Some(Helper::WrappingAdd)),
            (ReduceOp::Sum, _) => (format!("{name} + {value}"), None),
            (ReduceOp::Max, DType::F32 | DType::F64) => (format!("nan_max({name}, {value})"), Some(Helper::NanMax)),
            (ReduceOp::Max, DType::Bool) => (format!("{name} | {value}"), None),
            (ReduceOp::Max, _) => (format!("max({name}, {value})"), None),
        };
        helper.into_iter().for_each(|helper| draft.uses(helper));
        draft.line(format!("{name} = {text};"));
    }

    /// Folds what the threads of each row have: those `lanes` apart.
    fn fold(self, draft: &mut Draft<'_>, lanes: usize) {
        if lanes == WARP {
            return;
        }
        draft.open(format!("for (int distance = {}; distance >= {lanes}; distance /= 2)", WARP / 2));
        for i in self.all() {
            let other = format!("__shfl_xor_sync(~0u, {}, distance)", self.name(i));
            self.combine(draft, i, &other);
        }
        draft.close();
    }

    /// Stores each at `at` of the array that `array` names.
    fn store(self, draft: &mut Draft<'_>, places: &Places, at: &str, array: impl Fn(usize) -> String) {
        let is_open = !places.stores.is_empty();
        if is_open {
            draft.open(format!("if ({})", places.stores));
        }
        for i in self.all() {
            draft.line(format!("{}[{at}] = {};", array(i), self.name(i)));
        }
        if is_open {
            draft.close();
        }
    }
}

/// The first function of a reduction, while it is written.
struct Reduction<'k, 's> {
    draft: Draft<'k>,
    kernel: &'k Kernel,
    sums: Accumulators<'k>,
    body: Body<'k>,
    shape: &'s Shape,
}

impl Reduction<'_, '_> {
    fn write(mut self, name: &Name) -> Result<Function, Unsupported> {
        let is_parted = self.shape.parts.is_some();
        let is_by_thread = self.shape.lanes == WARP && !is_parted;
        let places = if is_by_thread {
            declare_row(&mut self.draft)
        } else {
            declare_warp(&mut self.draft, self.shape.lanes, is_parted)
        };
        let range = self.term_range();
        self.body.write(&mut self.draft, Level::Row)?;
        self.sums.declare(&mut self.draft);
        self.term_loop(&places, range)?;
        self.sums.fold(&mut self.draft, self.shape.lanes);
        let row = self.draft.row_number();
        let kernel = self.kernel;
        if is_parted {
            let (rows, at) = (rows(kernel), "part");
            let at = if rows == 1usize { at.into() } else { format!("{} + {row}", self.draft.times(at, &rows)) };
            self.sums.store(&mut self.draft, &places, &at, |i| format!("parts{i}"));
        } else {
            self.sums.store(&mut self.draft, &places, &row, |i| format!("v{}", kernel.outputs[i].0.0));
        }
        write_row_loops(&mut self.draft, places.mark);
        let team = if is_by_thread { Team::Thread } else { Team::Warp };
        let of = if is_by_thread { 1 } else { self.shape.lanes };
        let work = Work { team, units: vec![Pieces { extent: rows(kernel), of }], is_parted };
        let results = if is_parted { Param::Scratch } else { Param::Output };
        let arrays = (0..kernel.inputs.len()).map(Param::Input).chain(self.sums.all().map(results));
        Ok(name.function(&self.draft, arrays.collect(), work))
    }

    /// Declares where the terms of a row begin and end, where that is no constant; gives both.
    fn term_range(&mut self) -> (String, String) {
        let draft = &mut self.draft;
        let (int, l) = (draft.int(), self.kernel.loops.last());
        if let Some(LoopKind::Segment { segment, offsets }) = l.map(|l| l.kind) {
            let at = draft.index(segment as usize);
            let offsets = self.kernel.inputs[offsets as usize].0.0;
            let members = draft.dim(&terms(self.kernel));
            let record = draft.record();
            draft.uses(Helper::MembersOf);
            let [begin, end] = ["", " + 1"].map(|next| format!("v{offsets}[{at}{next}]"));
            draft.line(format!("const int2 range = members_of({begin}, {end}, {members}, {record});"));
            self.body.has_terms = Some("range.x < range.y".into());
            return (draft.same_type("range.x"), "range.y".into());
        }
        let terms = terms(self.kernel);
        let end = draft.dim(&terms);
        if terms.as_usize().is_none_or(|terms| terms == 0) {
            self.body.has_terms = Some(format!("{end} > 0"));
        }
        if self.shape.parts.is_none() {
            return (String::new(), end);
        }
        let end = draft.same_type(&end);
        let length = draft.part_length();
        draft.line(format!("const {int} begin = part * {length};"));
        draft.line(format!("const {int} end = min(begin + {length}, {end});"));
        ("begin".into(), "end".into())
    }

    fn term_loop(&mut self, places: &Places, (begin, end): (String, String)) -> Result<(), Unsupported> {
        let n_row = self.kernel.n_row();
        let mut moving = (n_row..self.kernel.loops.len()).filter(|i| self.kernel.loops[*i].extent != 1usize);
        let term = match (moving.next(), moving.next()) {
            (Some(only), None) => format!("i{only}"),
            _ => "term".into(),
        };
        let first = [begin, places.slice.clone()].into_iter().filter(|part| !part.is_empty());
        let first = first.collect::<Vec<_>>().join(" + ");
        let first = if first.is_empty() { "0" } else { &first };
        let turn = match self.shape.slices() {
            1 => format!("++{term}"),
            slices => format!("{term} += {slices}"),
        };
        self.draft.open(format!("for ({} {term} = {first}; {term} < {end}; {turn})", self.draft.int()));
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
            return self.sums.combine(&mut self.draft, output, &value);
        };
        let [a, b] = factors.map(|factor| self.body.operand(&mut self.draft, factor));
        let name = self.sums.name(output);
        let fma = if self.sums.dtype(output) == DType::F32 { "fmaf" } else { "fma" };
        self.draft.line(format!("{name} = {fma}({a}, {b}, {name});"));
    }
}

/// The second function of a reduction in parts: folds the parts of each result.
pub(super) fn fold(kernel: &Kernel, op: ReduceOp, name: &Name) -> Function {
    let mut draft = Draft::new(kernel, name.width);
    draft.row = "row".into();
    let sums = Accumulators { kernel, op };
    let rows = rows(kernel);
    let is_by_thread = rows.as_usize().is_none_or(|rows| rows >= MANY_RESULTS);
    let lanes = if is_by_thread { WARP } else { 1 };
    let places = if is_by_thread { declare_row(&mut draft) } else { declare_warp(&mut draft, lanes, false) };
    sums.declare(&mut draft);
    let (int, row) = (draft.int(), draft.row.clone());
    let first = if is_by_thread { "0" } else { "lane" };
    let turn = if is_by_thread { "++part" } else { "part += 32" };
    let parts = draft.parts();
    draft.open(format!("for ({int} part = {first}; part < {parts}; {turn})"));
    let at = if rows == 1usize { "part".into() } else { format!("{} + {row}", draft.times("part", &rows)) };
    for i in sums.all() {
        sums.combine(&mut draft, i, &format!("parts{i}[{at}]"));
    }
    draft.close();
    sums.fold(&mut draft, lanes);
    sums.store(&mut draft, &places, &row, |i| format!("v{}", kernel.outputs[i].0.0));
    let units = vec![Pieces { extent: rows, of: 1 }];
    let team = if is_by_thread { Team::Thread } else { Team::Warp };
    let arrays = sums.all().map(Param::Scratch).chain(sums.all().map(Param::Output));
    name.part("fold").function(&draft, arrays.collect(), Work { team, units, is_parted: false })
}
