//! Random kernels: well formed, within the bounds of their arrays, and such that a correct target has little freedom in
//! what it computes.

use super::Case;
use super::fill::{Fill, Filler, Numbers};
use super::prune::pruned;
use super::scalar::{exists, special, ulps};
use crate::arrays::Random;
use gavotte_core::aval::{Aval, DType, Dim, Literal, Sizes, Symbol};
use gavotte_core::ir::{Index, ReduceOp, Scalar, ScalarOp, Var};
use gavotte_core::kernel::{Instr, Kernel, Loop, LoopKind};

/// A scalar that the generator has made.
#[derive(Clone)]
struct Made {
    dtype: DType,
    /// Whether a target may have computed another number: no decision may depend on it.
    rough: bool,
    /// The positions that it may be used as: those below this.
    below: Option<Dim>,
}

struct Generator {
    random: Random,
    sizes: Sizes,
    loops: Vec<Loop>,
    inputs: Vec<(Aval, Fill)>,
    body: Vec<Instr>,
    made: Vec<Made>,
    numbers: Numbers,
    /// Whether a loop is empty: then only the simplest positions are in bounds.
    has_empty: bool,
}

const EXTENTS: [usize; 4] = [64, 65, 100, 33];
/// The most elements of one input.
const MAX_ELEMENTS: i64 = 100_000;

/// A kernel with its arrays; deterministic for a seed.
pub fn random_kernel(seed: u64) -> Case {
    // The sum of a bool is no kernel: the few seeds that lead nowhere continue with another.
    let mut random = Random::new(seed ^ 0x6b65_726e_656c);
    loop {
        if let Some(case) = Generator::new(Random::new(random.bits())).case(seed) {
            return case;
        }
    }
}

impl Generator {
    fn new(mut random: Random) -> Self {
        let mut sizes = Sizes::new();
        for symbol in ["n", "e", "m"] {
            let size = if random.below(4) == 0 { *random.pick(&EXTENTS) } else { 1 + random.below(20) };
            sizes.set(Symbol::new(symbol), size).expect("it has no size yet");
        }
        let numbers = *random.pick(&[Numbers::Plain, Numbers::Plain, Numbers::Plain, Numbers::Whole, Numbers::Wild]);
        let (loops, inputs, body, made) = (vec![], vec![], vec![], vec![]);
        Generator { random, sizes, loops, inputs, body, made, numbers, has_empty: false }
    }

    fn at(&self, dim: &Dim) -> i64 {
        dim.at(&self.sizes).as_number().expect("every symbol has a size")
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.random.below(100) < percent
    }

    /// Row loops, and loops to reduce over; with few enough points for the evaluator.
    fn nest(&mut self) {
        let budget = if self.chance(3) { 50_000 } else { 4_000 };
        let mut points = 1;
        let (n_row, n_reduce) = (*self.random.pick(&[0, 1, 1, 2, 2, 2, 3]), *self.random.pick(&[0, 0, 1, 1, 2]));
        let is_segment = n_row > 0 && self.chance(22);
        self.has_empty = !is_segment && self.chance(2);
        for i in 0..n_row {
            self.push_loop(LoopKind::Row, &mut points, budget / if i == 0 && is_segment { 50 } else { 1 });
        }
        if is_segment {
            let segment = if self.chance(85) { 0 } else { self.random.below(n_row) };
            let extent = self.loops[segment].extent.clone();
            // Members are counted over all segments: other rows go over each of them.
            let members = if self.chance(70) { Dim::symbol("e") } else { Dim::from(self.random.below(300)) };
            self.has_empty = self.at(&members) == 0;
            self.inputs.push((Aval::new(DType::I32, [extent + 1]), Fill::Offsets(members.clone())));
            let kind = LoopKind::Segment { segment: segment as u32, offsets: 0 };
            self.loops.push(Loop { extent: members, kind });
            return;
        }
        for _ in 0..n_reduce {
            self.push_loop(LoopKind::Reduce, &mut points, budget);
        }
        if self.has_empty && !self.loops.is_empty() {
            let i = self.random.below(self.loops.len());
            self.loops[i].extent = Dim::from(0);
        } else {
            self.has_empty = false;
        }
    }

    fn push_loop(&mut self, kind: LoopKind, points: &mut i64, budget: i64) {
        let extent = match self.random.below(10) {
            0..3 => Dim::symbol("n"),
            3..5 => Dim::symbol("e"),
            5 => Dim::from(*self.random.pick(&EXTENTS)),
            _ => Dim::from(1 + self.random.below(20)),
        };
        let fits = *points * self.at(&extent) <= budget;
        let extent = if fits { extent } else { Dim::from(1 + self.random.below(4)) };
        *points *= self.at(&extent);
        self.loops.push(Loop { extent, kind });
    }

    fn push(&mut self, instr: Instr, made: Made) -> Scalar {
        self.body.push(instr);
        self.made.push(made);
        Scalar(self.made.len() as u32 - 1)
    }

    fn dtype(&mut self) -> DType {
        match self.random.below(20) {
            0..9 => DType::F32,
            9..11 => DType::I32,
            11..14 => DType::U32,
            14 => DType::Bool,
            _ => DType::F64,
        }
    }

    /// One position along a new axis, and the least extent of that axis.
    fn position(&mut self, number: usize) -> (Index, Dim) {
        let affine = |constant: Dim, terms: Vec<(u32, Dim)>| Index::Affine { constant, terms };
        let extent = self.loops[number].extent.clone();
        let this = number as u32;
        let one = || Dim::from(1);
        match self.random.below(20) {
            _ if self.has_empty => (affine(Dim::from(0), vec![(this, one())]), extent),
            0 => {
                let (stride, constant) = (2 + self.random.below(3), self.random.below(3));
                let end = (&extent - 1) * stride + constant + 1;
                (affine(Dim::from(constant), vec![(this, Dim::from(stride))]), end)
            }
            // Backwards.
            1 => (affine(&extent - 1, vec![(this, Dim::from(-1))]), extent),
            // Two loops in one axis, side by side or overlapping.
            2 | 3 if self.loops.len() > 1 => {
                let other = (number + 1 + self.random.below(self.loops.len() - 1)) % self.loops.len();
                let inner = self.loops[other].extent.clone();
                let stride = if self.chance(70) { inner.clone() } else { one() };
                let end = (&extent - 1) * &stride + &inner;
                (affine(Dim::from(0), vec![(this, stride), (other as u32, one())]), end)
            }
            4 => {
                let places: Vec<(Scalar, Dim)> = self.places();
                match places.is_empty() {
                    true => (affine(Dim::from(0), vec![(this, one())]), extent),
                    false => {
                        let (scalar, below) = self.random.pick(&places).clone();
                        (Index::Value(scalar), below)
                    }
                }
            }
            5 => {
                let at = self.random.below(4);
                (Index::constant(at), Dim::from(at + 1))
            }
            _ => (affine(Dim::from(0), vec![(this, one())]), extent),
        }
    }

    fn places(&self) -> Vec<(Scalar, Dim)> {
        let place = |(i, made): (usize, &Made)| Some((Scalar(i as u32), made.below.clone()?));
        self.made.iter().enumerate().filter_map(place).collect()
    }

    /// A load of a new input: some of the loops are its axes, mostly in order.
    fn load(&mut self, dtype: DType, below: Option<Dim>) -> Scalar {
        let mut axes: Vec<usize> = (0..self.loops.len()).collect();
        let kept = *self.random.pick(&[100, 100, 75, 50]);
        axes.retain(|_| self.random.below(100) < kept);
        if self.chance(25) {
            for i in (1..axes.len()).rev() {
                axes.swap(i, self.random.below(i + 1));
            }
        }
        if !axes.is_empty() && self.chance(4) {
            axes.push(axes[0]);
        }
        self.load_along(&axes, dtype, below)
    }

    fn load_along(&mut self, axes: &[usize], dtype: DType, below: Option<Dim>) -> Scalar {
        let is_place = below.is_some();
        let mut index = vec![];
        let mut shape: Vec<Dim> = vec![];
        for axis in axes {
            let (at, extent) = self.position(*axis);
            index.push(at);
            shape.push(extent);
        }
        // A gather along an axis of its own, most often the first.
        let places = self.places();
        if !is_place && !places.is_empty() && self.chance(50) {
            let (scalar, below) = self.random.pick(&places).clone();
            let segment = self.loops.iter().position(|l| matches!(l.kind, LoopKind::Segment { .. }));
            let instead = axes.iter().position(|axis| Some(*axis) == segment);
            match instead {
                Some(i) => (index[i], shape[i]) = (Index::Value(scalar), below),
                None => {
                    let i = if self.chance(70) { 0 } else { self.random.below(index.len() + 1) };
                    index.insert(i, Index::Value(scalar));
                    shape.insert(i, below);
                }
            }
        }
        let slack = if !shape.is_empty() && !self.has_empty && self.chance(10) { 1 + self.random.below(2) } else { 0 };
        let shifted = if slack > 0 { self.random.below(shape.len()) } else { 0 };
        if slack > 0 {
            shape[shifted] = &shape[shifted] + slack;
        }
        let aval = Aval::new(dtype, shape);
        if self.at(&aval.volume()) > MAX_ELEMENTS {
            return self.load_along(&axes[..axes.len().min(1)], dtype, below);
        }
        self.inputs.push((aval, below.clone().map_or(Fill::Numbers, Fill::Places)));
        let input = self.inputs.len() as u32 - 1;
        if slack > 0
            && let Index::Affine { constant, terms } = &index[shifted]
        {
            // The same array at neighbouring places.
            let mut near = index.clone();
            near[shifted] = Index::Affine { constant: constant + slack, terms: terms.clone() };
            let made = Made { dtype, rough: false, below: below.clone() };
            self.push(Instr::Load(input, near), made);
        }
        self.push(Instr::Load(input, index), Made { dtype, rough: false, below })
    }

    /// A number that may be a position along another axis.
    fn place(&mut self) {
        let mut below = match self.random.below(4) {
            0 => Dim::from(1 + self.random.below(30)),
            1 => Dim::symbol("n"),
            _ => Dim::symbol("m"),
        };
        let clamped = self.pick(DType::I32, false);
        match (self.random.below(6), clamped) {
            (0, _) if !self.loops.is_empty() && !self.has_empty => {
                let number = self.random.below(self.loops.len());
                below = self.loops[number].extent.clone();
                let at = Index::Affine { constant: Dim::from(0), terms: vec![(number as u32, Dim::from(1))] };
                self.push(Instr::Position(at), Made { dtype: DType::I32, rough: false, below: Some(below) });
            }
            (1, Some(x)) => {
                let int = |below| Made { dtype: DType::I32, rough: false, below };
                let last = self.push(Instr::Size(&below - 1, DType::I32), int(None));
                let low = self.push(Instr::Op(ScalarOp::Min, [x, last].into_iter().collect()), int(None));
                let zero = self.push(Instr::Const(Literal::I32(0)), int(None));
                self.push(Instr::Op(ScalarOp::Max, [zero, low].into_iter().collect()), int(Some(below)));
            }
            _ => {
                self.load(DType::I32, Some(below));
            }
        }
    }

    /// An existing scalar of this type; a rough one only on request.
    fn pick(&mut self, dtype: DType, rough: bool) -> Option<Scalar> {
        let fits = |made: &Made| made.dtype == dtype && (rough || !made.rough);
        let found: Vec<usize> = (0..self.made.len()).filter(|i| fits(&self.made[*i])).collect();
        if found.is_empty() {
            return None;
        }
        // Most often the latest.
        let last = found[found.len() - 1 - self.random.below(found.len().min(2))];
        let any = *self.random.pick(&found);
        Some(Scalar(if self.chance(60) { last } else { any } as u32))
    }

    /// The same, or a new one.
    fn operand(&mut self, dtype: DType, rough: bool) -> Scalar {
        match self.pick(dtype, rough) {
            Some(found) if !self.chance(15) => found,
            _ if self.chance(50) => self.load(dtype, None),
            _ => {
                let literal = self.literal(dtype);
                self.push(Instr::Const(literal), Made { dtype, rough: false, below: None })
            }
        }
    }

    fn literal(&mut self, dtype: DType) -> Literal {
        match self.random.below(if self.numbers == Numbers::Wild { 6 } else { 4 }) {
            0 => Literal::from_f64(dtype, self.random.below(40) as f64),
            1 => Literal::from_f64(dtype, *self.random.pick(&[0.0, 1.0, -1.0, 2.0, -0.0])),
            4.. => *self.random.pick(&special(dtype)),
            _ if self.numbers == Numbers::Whole => Literal::from_f64(dtype, self.random.below(9) as f64 - 4.0),
            _ => Literal::from_f64(dtype, 2.0 * self.random.float()),
        }
    }

    /// One operation on existing scalars, if it finds one.
    fn operation(&mut self) {
        let dtype = self.random.pick(&self.made).dtype;
        let (to, bits) = (self.dtype(), *self.random.pick(&[DType::F32, DType::I32, DType::U32]));
        let ops = ScalarOp::ALL.into_iter().map(|op| match op {
            ScalarOp::Convert(_) => ScalarOp::Convert(to),
            ScalarOp::Bitcast(_) => ScalarOp::Bitcast(bits),
            op => op,
        });
        let mut ops: Vec<ScalarOp> = ops.filter(|op| exists(*op, dtype)).collect();
        // Half of all are arithmetic.
        use ScalarOp::{Add, Max, Mul, Sub, Threefry0, Threefry1};
        ops.extend(
            [
                Add,
                Mul,
                Add,
                Mul,
                Sub,
                Sub,
                Max,
                ScalarOp::Select,
                ScalarOp::Convert(to),
                Threefry0,
                Threefry1,
                Threefry0,
                Threefry1,
            ]
            .into_iter()
            .filter(|op| exists(*op, dtype)),
        );
        let op = *self.random.pick(&ops);
        let rough = takes_rough(op);
        let n = op.arity() - usize::from(op == ScalarOp::Select);
        let mut ins: Vec<Scalar> = (0..n).map(|_| self.operand(dtype, rough)).collect();
        if op == ScalarOp::Select {
            let which = match self.pick(DType::Bool, false) {
                Some(which) if self.chance(60) => which,
                _ => {
                    let (a, b) = (self.operand(dtype, false), self.operand(dtype, false));
                    let made = Made { dtype: DType::Bool, rough: false, below: None };
                    self.push(Instr::Op(ScalarOp::Lt, [a, b].into_iter().collect()), made)
                }
            };
            ins.insert(0, which);
        }
        let rough = ulps(op).is_some() || ins.iter().any(|s| self.made[s.0 as usize].rough);
        let dtypes: Vec<DType> = ins.iter().map(|s| self.made[s.0 as usize].dtype).collect();
        let result = op.result(&dtypes);
        if rough && !result.is_float() {
            return;
        }
        let made = Made { dtype: result, rough, below: None };
        // Both words of one block are usually wanted together.
        if matches!(op, Threefry0 | Threefry1) && self.chance(70) {
            let twin = if op == Threefry0 { Threefry1 } else { Threefry0 };
            self.push(Instr::Op(twin, ins.iter().copied().collect()), made.clone());
        }
        self.push(Instr::Op(op, ins.into_iter().collect()), made);
    }

    /// The body, from loads to the operations on them.
    fn write_body(&mut self) {
        let segment = self.loops.iter().position(|l| matches!(l.kind, LoopKind::Segment { .. }));
        if let (Some(number), true) = (segment, self.chance(50)) {
            let members = self.loops[number].extent.clone();
            self.inputs.push((Aval::new(DType::I32, [members.clone()]), Fill::Order));
            let at = Index::Affine { constant: Dim::from(0), terms: vec![(number as u32, Dim::from(1))] };
            let load = Instr::Load(self.inputs.len() as u32 - 1, vec![at]);
            self.push(load, Made { dtype: DType::I32, rough: false, below: Some(members) });
        }
        for _ in 0..self.random.below(3) {
            self.place();
        }
        for _ in 0..1 + self.random.below(3) {
            let dtype = self.dtype();
            self.load(dtype, None);
        }
        if self.chance(20) {
            let dtype = *self.random.pick(&[DType::F32, DType::I32, DType::U32, DType::F64]);
            let dim = if self.chance(50) { Dim::symbol("n") } else { Dim::symbol("e") * 2 - 1 };
            self.push(Instr::Size(dim, dtype), Made { dtype, rough: false, below: None });
        }
        if !self.loops.is_empty() && self.chance(20) {
            let number = self.random.below(self.loops.len()) as u32;
            let (constant, stride) = (self.random.below(5) as i64 - 2, *self.random.pick(&[1, 1, -1, 3]));
            let at = Index::Affine { constant: Dim::from(constant), terms: vec![(number, Dim::from(stride))] };
            self.push(Instr::Position(at), Made { dtype: DType::I32, rough: false, below: None });
        }
        for _ in 0..self.random.below(9) {
            self.operation();
        }
        // Targets treat sums of products specially.
        if self.loops.last().is_some_and(|l| l.kind != LoopKind::Row) && self.chance(35) {
            let dtype = if self.chance(90) { DType::F32 } else { DType::F64 };
            let (a, b) = (self.load(dtype, None), self.operand(dtype, true));
            let rough = self.made[b.0 as usize].rough;
            let ins = if self.chance(50) { [a, b] } else { [b, a] };
            self.push(Instr::Op(ScalarOp::Mul, ins.into_iter().collect()), Made { dtype, rough, below: None });
        }
    }

    fn case(mut self, seed: u64) -> Option<Case> {
        self.nest();
        self.write_body();
        let is_reduced = self.loops.iter().any(|l| l.kind != LoopKind::Row);
        let op = if self.chance(50) { ReduceOp::Sum } else { *self.random.pick(&ReduceOp::ALL) };
        let reduce = is_reduced.then_some(op);
        let fits = |made: &Made| reduce != Some(ReduceOp::Sum) || made.dtype != DType::Bool;
        let able: Vec<usize> = (0..self.made.len()).filter(|i| fits(&self.made[*i])).collect();
        let mut results = vec![Scalar(*able.last()? as u32)];
        for _ in 0..*self.random.pick(&[0, 0, 0, 1, 1, 2]) {
            results.push(Scalar(*self.random.pick(&able) as u32));
        }
        let rows = self.loops.iter().filter(|l| l.kind == LoopKind::Row).map(|l| l.extent.clone());
        let rows: Vec<Dim> = rows.collect();
        let var = Var(0);
        let output = |s: &Scalar| (var, Aval::new(self.made[s.0 as usize].dtype, rows.clone()));
        let kernel = Kernel {
            name: format!("random_{seed}"),
            inputs: self.inputs.iter().map(|(aval, _)| (var, aval.clone())).collect(),
            outputs: results.iter().map(output).collect(),
            loops: self.loops.clone(),
            body: self.body.clone(),
            reduce,
            results,
        };
        let (kernel, kept) = pruned(&kernel);
        let fills: Vec<(Aval, Fill)> = std::mem::take(&mut self.inputs);
        let mut filler = Filler { random: &mut self.random, sizes: &self.sizes, numbers: self.numbers };
        let inputs = kept.iter().map(|i| filler.array(&fills[*i].0, &fills[*i].1)).collect();
        Some(Case { seed, kernel, sizes: self.sizes, inputs })
    }
}

/// Whether an operation may have operands that a target may compute in its own way.
fn takes_rough(op: ScalarOp) -> bool {
    use ScalarOp::*;
    match op {
        Add | Sub | Mul | Max | Min | Neg | Abs | Select | Sqrt | Exp | Expm1 | Log1p | Tanh | Logistic => true,
        Convert(to) => to.is_float(),
        _ => false,
    }
}
