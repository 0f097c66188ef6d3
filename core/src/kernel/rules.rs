//! What a primitive's rule sees, and the kernel that results from it: an equation whose result is stored, together with
//! everything it reads that is not stored.

use crate::aval::{Aval, DType, Dim, Literal};
use crate::ir::{Atom, Eqn, Index, Kind, Lower, Params, Program, ReduceOp, Scalar, ScalarOp, Unsupported, Var};
use crate::kernel::fuse::{Fusion, Place};
use crate::kernel::{Instr, Kernel, Loop, LoopKind, verify_kernel};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// For each variable the equation that makes it, and the number of the output.
pub(super) fn makers_of(program: &Program) -> Vec<Option<(usize, usize)>> {
    let mut makers = vec![None; program.n_var()];
    for (i, eqn) in program.eqns.iter().enumerate() {
        for (k, binder) in eqn.outs.iter().enumerate() {
            makers[binder.var.index()] = Some((i, k));
        }
    }
    makers
}

/// Lowers single equations and operands tentatively.
pub(super) struct Trial<'a> {
    program: &'a Program,
    avals: Vec<Aval>,
    makers: Vec<Option<(usize, usize)>>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(program: &'a Program) -> Self {
        Trial { program, avals: program.avals(), makers: makers_of(program) }
    }

    fn lowering<'t>(&'t self, fusion: &'t Fusion) -> Lowering<'t> {
        Lowering::new(self.program, &self.avals, &self.makers, fusion)
    }

    /// The kernel of an equation, by number.
    pub(super) fn kernel(&self, fusion: &Fusion, eqn: usize) -> Option<Kernel> {
        let outs: Vec<usize> = (0..self.program.eqns[eqn].outs.len()).collect();
        let kernel = self.lowering(fusion).kernel(eqn, &outs, eqn).ok()?;
        verify_kernel(&kernel).is_ok().then(|| kernel.without_dead())
    }

    /// The arrays that an equation, by number, reads at positions that nothing checks.
    pub(super) fn unchecked(&self, fusion: &Fusion, eqn: usize) -> Vec<Var> {
        let mut lowering = self.lowering(fusion);
        // An equation without a kernel is evaluated, and `eval` checks.
        let _ = lowering.kernel(eqn, &[0], eqn);
        lowering.unchecked
    }

    /// Whether each element of a list that is computed where it is read equals its position.
    pub(super) fn counts_up(&self, fusion: &Fusion, list: Var) -> bool {
        self.lowering(fusion).counts_up(list)
    }

    /// The array that a variable shows with some elements several times, through views of one array.
    pub(super) fn shown(&self, var: Var) -> Option<Var> {
        let mut shown = None;
        let mut var = var;
        while let Some(from) = self.grown_from(var) {
            (shown, var) = (Some(from), from);
        }
        shown
    }

    /// Whether `var` is `operand` or one of the views through which it shows an array.
    pub(super) fn shows(&self, operand: Var, var: Var) -> bool {
        let mut at = operand;
        while let Some(from) = self.grown_from(at) {
            if at == var {
                return true;
            }
            at = from;
        }
        false
    }

    /// The array of which a variable is a view with more elements.
    fn grown_from(&self, var: Var) -> Option<Var> {
        let eqn = &self.program.eqns[self.makers[var.index()]?.0];
        let [Atom::Var(from)] = eqn.ins[..] else { return None };
        let [here, there] = [var, from].map(|var| self.avals[var.index()].rank());
        (eqn.prim.kind() == Kind::View && here > there).then_some(from)
    }

    /// Whether the elements of an operand are loaded from memory unchanged, possibly in another layout.
    pub(super) fn is_loaded(&self, fusion: &Fusion, operand: Var) -> bool {
        let shape = &self.avals[operand.index()].shape;
        let mut lowering = self.lowering(fusion);
        lowering.loops = shape.iter().map(|dim| Loop { extent: dim.clone(), kind: LoopKind::Row }).collect();
        let index: Vec<Index> = (0..shape.len()).map(loop_index).collect();
        let element = lowering.element(Atom::Var(operand), &index);
        let is_affine = |index: &Index| matches!(index, Index::Affine { .. });
        element.is_ok_and(|s| matches!(&lowering.body[s.0 as usize], Instr::Load(_, at) if at.iter().all(is_affine)))
    }
}

pub(super) struct Lowering<'a> {
    program: &'a Program,
    avals: &'a [Aval],
    makers: &'a [Option<(usize, usize)>],
    fusion: &'a Fusion,
    inputs: Vec<(Var, Aval)>,
    loops: Vec<Loop>,
    body: Vec<Instr>,
    /// The scalars computed so far: an element of a variable, and an instruction.
    seen: FxHashMap<(Var, Vec<Index>), Scalar>,
    unique: FxHashMap<Instr, Scalar>,
    reduce: Option<(ReduceOp, Scalar)>,
    /// The list of segments of which a loop goes through each segment's members in order, that loop, and the loop over
    /// the segments.
    own: Option<(Var, usize, usize)>,
    /// Arrays read at positions that no load checks against their extents.
    unchecked: Vec<Var>,
}

/// What one equation's rule sees: the shared state, its equation, and the wanted element.
struct Rule<'l, 'a> {
    lowering: &'l mut Lowering<'a>,
    eqn: &'a Eqn,
    index: Vec<Index>,
    is_root: bool,
}

fn loop_index(number: usize) -> Index {
    Index::Affine { constant: Dim::from(0), terms: vec![(number as u32, Dim::from(1))] }
}

impl<'a> Lowering<'a> {
    pub(super) fn new(
        program: &'a Program,
        avals: &'a [Aval],
        makers: &'a [Option<(usize, usize)>],
        fusion: &'a Fusion,
    ) -> Self {
        Lowering {
            program,
            avals,
            makers,
            fusion,
            inputs: vec![],
            loops: vec![],
            body: vec![],
            seen: FxHashMap::default(),
            unique: FxHashMap::default(),
            reduce: None,
            own: None,
            unchecked: vec![],
        }
    }

    /// The kernel of equation `i` that stores its outputs `stored`, as its rule makes it.
    pub(super) fn kernel(&mut self, i: usize, stored: &[usize], number: usize) -> Result<Kernel, Unsupported> {
        let eqn = &self.program.eqns[i];
        let shape = &eqn.outs[stored[0]].aval.shape;
        self.loops = shape.iter().map(|dim| Loop { extent: dim.clone(), kind: LoopKind::Row }).collect();
        let index: Vec<Index> = (0..shape.len()).map(loop_index).collect();
        let outs = eqn.prim.lower(&mut Rule { lowering: self, eqn, index, is_root: true })?;
        let results = match self.reduce {
            Some((_, value)) => vec![value],
            None => stored.iter().map(|k| outs[*k]).collect(),
        };
        let kernel = Kernel {
            name: format!("{}_{number}", eqn.prim.name()),
            inputs: std::mem::take(&mut self.inputs),
            outputs: stored.iter().map(|k| (eqn.outs[*k].var, eqn.outs[*k].aval.clone())).collect(),
            loops: std::mem::take(&mut self.loops),
            body: std::mem::take(&mut self.body),
            reduce: self.reduce.map(|(op, _)| op),
            results,
        };
        Ok(kernel)
    }

    fn push(&mut self, instr: Instr) -> Scalar {
        let next = Scalar(self.body.len() as u32);
        let scalar = *self.unique.entry(instr.clone()).or_insert(next);
        if scalar == next {
            self.body.push(instr);
        }
        scalar
    }

    fn input(&mut self, var: Var) -> u32 {
        if let Some(at) = self.inputs.iter().position(|(v, _)| *v == var) {
            return at as u32;
        }
        self.inputs.push((var, self.avals[var.index()].clone()));
        self.inputs.len() as u32 - 1
    }

    /// `index` along an axis of this extent, expressed by loops where it is a scalar that equals such a position. A
    /// position named by a loop is read unchecked, so only a loop over the whole axis counts.
    fn in_loops(&self, index: &Index, extent: &Dim) -> Index {
        if let Index::Value(scalar) = index
            && let Instr::Position(Index::Affine { constant, terms }) = &self.body[scalar.0 as usize]
            && let [(number, stride)] = &terms[..]
            && *constant == 0usize
            && *stride == 1usize
            && self.loops[*number as usize].extent == *extent
        {
            return loop_index(*number as usize);
        }
        index.clone()
    }

    /// Whether for an element of an array that is not in memory some load checks each computed position against the
    /// array's extents.
    fn is_checked(&self, var: Var, index: &[Index]) -> bool {
        let checks = |at: &Index, extent: &Dim| {
            self.body.iter().any(|instr| match instr {
                Instr::Load(input, places) => {
                    let shape = &self.inputs[*input as usize].1.shape;
                    places.iter().zip(shape).any(|(place, n)| place == at && n == extent)
                }
                _ => false,
            })
        };
        let mut axes = index.iter().zip(&self.avals[var.index()].shape);
        axes.all(|(at, extent)| match self.in_loops(at, extent) {
            at @ Index::Value(_) => checks(&at, extent),
            Index::Affine { .. } => true,
        })
    }

    /// Whether each element of a list that is computed where it is read equals its position, by its rule.
    fn counts_up(&self, list: Var) -> bool {
        let mut apart = Lowering::new(self.program, self.avals, self.makers, self.fusion);
        let element = apart.element(Atom::Var(list), &[loop_index(0)]);
        element.is_ok_and(|scalar| apart.body[scalar.0 as usize] == Instr::Position(loop_index(0)))
    }

    /// The element of an operand at `index`: loaded if stored, otherwise computed here.
    fn element(&mut self, atom: Atom, index: &[Index]) -> Result<Scalar, Unsupported> {
        let var = match atom {
            Atom::Literal(literal) => return Ok(self.push(Instr::Const(literal))),
            Atom::Var(var) => var,
        };
        let shape = &self.avals[var.index()].shape;
        if shape.len() != index.len() {
            return Err(Unsupported(format!(
                "{var} has {} axes, and is read at {} positions",
                shape.len(),
                index.len()
            )));
        }
        let index: Vec<Index> = index.iter().zip(shape).map(|(at, extent)| self.in_loops(at, extent)).collect();
        if let Some((ids, member, segment)) = self.own
            && self.fusion.memory(var) == ids
            && index == [loop_index(member)]
        {
            // The segment of a segment's own member is the current segment.
            return Ok(self.push(Instr::Position(loop_index(segment))));
        }
        if self.fusion.place(var) != Place::Inline {
            let input = self.input(var);
            return Ok(self.push(Instr::Load(input, index)));
        }
        let key = (var, index);
        if let Some(scalar) = self.seen.get(&key) {
            return Ok(*scalar);
        }
        let (_, index) = key;
        let (i, out) = self.makers[var.index()].ok_or_else(|| Unsupported(format!("{var} is made by no equation")))?;
        let eqn = &self.program.eqns[i];
        let outs = {
            let mut rule = Rule { lowering: self, eqn, index: index.clone(), is_root: false };
            eqn.prim.lower(&mut rule)?
        };
        for (binder, scalar) in eqn.outs.iter().zip(&outs) {
            self.seen.insert((binder.var, index.clone()), *scalar);
        }
        Ok(outs[out])
    }
}

impl Rule<'_, '_> {
    fn aval(&self, atom: Atom) -> Aval {
        match atom {
            Atom::Var(var) => self.lowering.avals[var.index()].clone(),
            Atom::Literal(literal) => Aval::scalar(literal.dtype()),
        }
    }

    fn root_only(&self) -> Result<(), Unsupported> {
        if self.is_root {
            return Ok(());
        }
        Err(Unsupported(format!("{}: loops can be opened by a kernel's root only", self.eqn.prim.name())))
    }
}

impl Lower for Rule<'_, '_> {
    fn params(&self) -> &Params {
        &self.eqn.params
    }

    fn operand(&self, i: usize) -> Aval {
        self.aval(self.eqn.ins[i])
    }

    fn arity(&self) -> usize {
        self.eqn.ins.len()
    }

    fn output(&self, i: usize) -> Aval {
        self.eqn.outs[i].aval.clone()
    }

    fn index(&self) -> Vec<Index> {
        self.index.clone()
    }

    fn read(&mut self, operand: usize, index: &[Index]) -> Result<Scalar, Unsupported> {
        let atom = self.eqn.ins[operand];
        // A scalar operand has the same element everywhere.
        let index = if self.aval(atom).rank() == 0 { &[] } else { index };
        self.lowering.element(atom, index)
    }

    fn read_checked(&mut self, operand: usize, index: &[Index]) -> Result<Scalar, Unsupported> {
        let element = self.read(operand, index)?;
        if let Atom::Var(var) = self.eqn.ins[operand]
            && self.lowering.fusion.place(var) == Place::Inline
            && !self.lowering.is_checked(var, index)
        {
            self.lowering.unchecked.push(var);
        }
        Ok(element)
    }

    fn op(&mut self, op: ScalarOp, ins: &[Scalar]) -> Scalar {
        self.lowering.push(Instr::Op(op, SmallVec::from_slice(ins)))
    }

    fn constant(&mut self, literal: Literal) -> Scalar {
        self.lowering.push(Instr::Const(literal))
    }

    fn size(&mut self, dim: &Dim, dtype: DType) -> Scalar {
        match dim.as_number() {
            Some(n) => self.constant(Literal::from_f64(dtype, n as f64)),
            None => self.lowering.push(Instr::Size(dim.clone(), dtype)),
        }
    }

    fn position(&mut self, index: &Index) -> Scalar {
        match index {
            Index::Value(scalar) => *scalar,
            affine => self.lowering.push(Instr::Position(affine.clone())),
        }
    }

    fn affine(&mut self, index: &Index, scale: &Dim, offset: &Dim) -> Index {
        match index {
            Index::Affine { constant, terms } => Index::Affine {
                constant: &(constant * scale) + offset,
                terms: terms.iter().map(|(l, stride)| (*l, stride * scale)).filter(|(_, s)| *s != 0usize).collect(),
            },
            Index::Value(value) => {
                let (scale, offset) = (self.size(scale, DType::I32), self.size(offset, DType::I32));
                let scaled = self.op(ScalarOp::Mul, &[*value, scale]);
                Index::Value(self.op(ScalarOp::Add, &[scaled, offset]))
            }
        }
    }

    fn add(&mut self, a: &Index, b: &Index) -> Index {
        match (a, b) {
            (Index::Affine { constant: c, terms: s }, Index::Affine { constant: d, terms: t }) => {
                let mut terms = s.clone();
                for (number, stride) in t {
                    match terms.iter_mut().find(|(n, _)| n == number) {
                        Some((_, old)) => *old = &*old + stride,
                        None => terms.push((*number, stride.clone())),
                    }
                }
                terms.retain(|(_, stride)| *stride != 0usize);
                terms.sort_by_key(|(number, _)| *number);
                Index::Affine { constant: c + d, terms }
            }
            _ => {
                let (a, b) = (self.position(a), self.position(b));
                Index::Value(self.op(ScalarOp::Add, &[a, b]))
            }
        }
    }

    fn reduction_loops(&mut self, extents: &[Dim]) -> Result<Vec<Index>, Unsupported> {
        self.root_only()?;
        let loops = &mut self.lowering.loops;
        Ok(extents
            .iter()
            .map(|extent| {
                loops.push(Loop { extent: extent.clone(), kind: LoopKind::Reduce });
                loop_index(loops.len() - 1)
            })
            .collect())
    }

    fn segment_loop(&mut self, segment: &Index, offsets: usize, order: usize) -> Result<Index, Unsupported> {
        self.root_only()?;
        let row = match segment {
            Index::Affine { terms, .. } if terms.len() == 1 => terms[0].0,
            _ => return Err(Unsupported("a segment must be an axis of the output".into())),
        };
        let offsets = match self.eqn.ins[offsets] {
            Atom::Var(var) if self.lowering.fusion.place(var) != Place::Inline => var,
            _ => return Err(Unsupported("offsets of segments must be stored".into())),
        };
        let extent = self.operand(order).shape[0].clone();
        let offsets_memory = self.lowering.fusion.memory(offsets);
        let offsets = self.lowering.input(offsets);
        self.lowering.loops.push(Loop { extent: extent.clone(), kind: LoopKind::Segment { segment: row, offsets } });
        let position = loop_index(self.lowering.loops.len() - 1);
        let member = Index::Value(self.read(order, &[position])?);
        // An order that counts up is computed here, and leads back to the loop.
        let member = self.lowering.in_loops(&member, &extent);
        let ids = self.eqn.prim.segments().and_then(|[ids, ..]| self.eqn.ins.get(ids)?.var());
        let ids = ids.map(|ids| self.lowering.fusion.memory(ids));
        if let (Index::Affine { .. }, Some(ids)) = (&member, ids)
            && self.lowering.fusion.is_paired(ids, offsets_memory)
        {
            self.lowering.own = Some((ids, self.lowering.loops.len() - 1, row as usize));
        }
        Ok(member)
    }

    fn reduce(&mut self, op: ReduceOp, value: Scalar) -> Result<Scalar, Unsupported> {
        self.root_only()?;
        if self.lowering.loops.iter().all(|l| l.kind == LoopKind::Row) {
            return Ok(value);
        }
        self.lowering.reduce = Some((op, value));
        Ok(value)
    }
}
