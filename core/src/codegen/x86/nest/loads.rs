//! Loads as vectors, by the pattern of their lanes.

use super::super::layout::Pattern;
use super::super::lir::{Class, Inst, Mem, Op, Reg};
use super::{Nest, Scope};
use crate::aval::Dim;
use crate::ir::{Scalar, Unsupported};

impl Nest<'_> {
    pub(super) fn load_vector(&mut self, i: usize, v: usize, scope: &mut Scope) -> Result<Reg, Unsupported> {
        let access = self.accesses[i].as_ref().expect("a load");
        let (is_bool, class) = (access.size == 1, access.class);
        if let Some((at, read)) = access.staged.clone() {
            return Ok(self.load_staged(class, (at, &read), v, scope));
        }
        let (size, is_far) = (access.size, self.far[access.input]);
        let short = scope.left.is_some();
        let terms: Vec<(usize, Dim)> = access.place.terms.to_vec();
        let computed = self.varying(i);
        if self.loads_by_iteration(i, scope) {
            return self.load_by_iteration(i, v, scope);
        }
        let mem = self.address(i, scope)?;
        let mask = self.mask_of(v, scope);
        // Iterations beyond the end must not be read.
        let is_whole = scope.left.is_none();
        let layout = &self.layout;
        let span = if is_whole { *self.spans.entry(i).or_insert_with(|| layout.span(&terms)) } else { None };
        let pattern = self.layout.pattern_among(v, span, &terms);
        let value = match pattern {
            Some(Pattern::Same) if computed.is_empty() => {
                self.f.load(class, if is_bool { Op::BcstByte } else { Op::Bcst }, mem, None)
            }
            Some(Pattern::Contiguous(first)) if computed.is_empty() => {
                let mem = self.further(mem, first * size);
                self.f.load(class, if is_bool { Op::LoadBytes } else { Op::Load }, mem, mask)
            }
            Some(Pattern::Near { first, n, table })
                if computed.is_empty() && (!short || self.reads_by_iteration(&terms)) =>
            {
                let mem = self.further(mem, first * size);
                let near = match scope.left {
                    // Only the iterations that are left may be read.
                    Some(left) if self.moves_by_iteration(&terms) => Some(self.lanes_left(v, left, |lane| lane)),
                    _ => (n < self.f.lanes).then(|| self.f.first_lanes(n)),
                };
                let op = if is_bool { Op::LoadBytes } else { Op::Load };
                let known =
                    scope.rows.get(&(i, first, n)).copied().filter(|_| is_whole || self.layout.packed().is_none());
                let row = known.unwrap_or_else(|| self.f.load(class, op, mem, near));
                scope.rows.insert((i, first, n), row);
                self.f.permute(table, row)
            }
            _ => {
                let moving: Vec<(usize, Dim)> =
                    terms.into_iter().filter(|(l, _)| self.layout.is_lane(*l) || self.layout.is_packed(*l)).collect();
                if is_far {
                    return self.gather_far(i, v, mem, &moving, scope);
                }
                let mut at = if moving.is_empty() { None } else { Some(self.lane_offsets(v, &moving)?) };
                for (scalar, stride, extent) in computed {
                    let term = self.checked_offset(scalar, v, (&stride, &extent), scope)?.reg();
                    at = Some(match at {
                        None => term,
                        Some(at) => self.f.vec(Op::AddI, &[at, term]),
                    });
                }
                let at = at.ok_or_else(|| Unsupported("a gather without lanes".into()))?;
                let mem = self.without_index(i, mem, scope);
                if is_bool {
                    self.f.stack = self.f.stack.max(64);
                }
                self.f.gather(class, if is_bool { Op::GatherBytes } else { Op::Gather }, mem, at, mask)
            }
        };
        Ok(if is_bool { self.f.mask(Op::Test, &[value]) } else { value })
    }

    /// The computed positions of a load that differ by lane, with stride and extent.
    pub(super) fn varying(&self, i: usize) -> Vec<(Scalar, Dim, Dim)> {
        let computed = self.accesses[i].iter().flat_map(|access| &access.place.computed);
        computed.filter(|(s, ..)| self.varies(s.0 as usize)).cloned().collect()
    }

    /// Whether a load reads whole rows, one for each iteration that a vector holds.
    fn loads_by_iteration(&self, i: usize, scope: &Scope) -> bool {
        let Some(access) = &self.accesses[i] else { return false };
        let by_iteration =
            self.layout.reads_rows_by_iteration(&access.place.terms) && self.is_by_iteration(&self.varying(i));
        by_iteration && scope.left.is_none() && access.size > 1
    }

    /// Whether the lanes of a load are found one by one, at computed positions.
    pub(super) fn gathers(&self, i: usize, scope: &Scope) -> bool {
        let staged = self.accesses[i].as_ref().is_some_and(|access| access.staged.is_some());
        !staged && !self.varying(i).is_empty() && !self.loads_by_iteration(i, scope)
    }

    /// Whether computed positions differ only by iteration of the packed loop, and are read from memory at a fixed
    /// distance from one iteration to the next.
    pub(super) fn is_by_iteration(&self, computed: &[(Scalar, Dim, Dim)]) -> bool {
        let [(scalar, stride, _)] = computed else { return false };
        let at = scalar.0 as usize;
        let Some(access) = &self.accesses[at] else { return false };
        let terms = &access.place.terms;
        let by_iteration = self.by_iteration[at] && !self.by_lane[at] && access.place.computed.is_empty();
        by_iteration
            && access.staged.is_none()
            && self.iteration_stride(terms).is_some()
            && stride.as_number().is_some()
    }

    /// Rows at computed positions, one for each iteration that a vector holds: each is read into its lanes.
    pub(super) fn load_by_iteration(&mut self, i: usize, v: usize, scope: &mut Scope) -> Result<Reg, Unsupported> {
        let packed = self.layout.packed().expect("there is a packed loop");
        let access = self.accesses[i].as_ref().expect("a load");
        let (size, class) = (access.size, access.class);
        let computed = self.varying(i);
        let (scalar, stride, extent) = &computed[0];
        let stride = stride.as_number().unwrap_or(1) * size;
        let source = scalar.0 as usize;
        let terms = &self.accesses[source].as_ref().expect("a load").place.terms;
        let next = self.iteration_stride(terms).unwrap_or(0) * 4;
        let base = self.address(i, scope)?;
        let base = self.without_index(i, base, scope);
        let width = self.layout.width;
        let row = self.f.reg(class);
        for iteration in 0..packed.iterations {
            let number = (v * packed.iterations + iteration) as i64;
            let key = (scalar.0, number);
            let at = match scope.iterations.get(&key) {
                Some(at) => *at,
                None => {
                    let mem = self.address(source, scope)?;
                    let mem = self.further(mem, number * next);
                    let at = self.f.load(Class::Int, Op::LoadI32, mem, None);
                    let at = self.check_int(at, extent);
                    if self.extents_of(*scalar) == 1 {
                        scope.iterations.insert(key, at);
                    }
                    at
                }
            };
            let offset = self.f.int(Op::MulImm, &[at.reg()], stride);
            let mem = self.further(Mem { index: Some((offset, 1)), ..base }, -((iteration * width) as i64 * size));
            let mask = self.f.mask_of((((1u32 << self.layout.row()) - 1) << (iteration * width)) as u16);
            let op = if iteration == 0 { Op::Load } else { Op::LoadInto };
            self.f.push(Inst { dst: Some(row), mem: Some(mem), mask: Some(mask), ..Inst::new(op) });
        }
        Ok(row)
    }

    /// Whether, of the lanes' loops, only the packed one moves a load, by one element per iteration.
    pub(super) fn reads_by_iteration(&self, terms: &[(usize, Dim)]) -> bool {
        let lanes = terms.iter().any(|(l, _)| self.layout.is_lane(*l));
        if self.moves_by_iteration(terms) { !lanes && self.iteration_stride(terms) == Some(1) } else { true }
    }

    pub(super) fn moves_by_iteration(&self, terms: &[(usize, Dim)]) -> bool {
        terms.iter().any(|(l, _)| self.layout.is_packed(*l))
    }

    pub(super) fn iteration_stride(&self, terms: &[(usize, Dim)]) -> Option<i64> {
        terms.iter().find(|(l, _)| self.layout.is_packed(*l)).and_then(|(_, stride)| stride.as_number())
    }
}
