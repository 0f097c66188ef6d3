//! Random programs, well typed and well conditioned, from the primitives of the registry.

use crate::arrays::{Random, moved, numbers, random_array};
use crate::cases::DERIVED_BY_MPMATH;
use gavotte_core::aval::{Aval, DType, Dim, Facts, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::ir::structural::{BROADCAST_IN_DIM, TRANSPOSE};
use gavotte_core::ir::{
    Atom, Attr, Binder, Eqn, Kind, Location, Params, Primitive, Program, Var, eval_primitive, parse, verify,
};
use std::sync::LazyLock;

/// Extents of random arrays.
const EXTENTS: [usize; 3] = [2, 3, 4];
/// The most elements of an array.
const MAX_ELEMENTS: usize = 96;
/// Programs do not compute with larger numbers than this.
const MAX_NUMBER: f64 = 1e3;
/// An input moved by this moves a result by no more than `MAX_MOVE`, relative: no cancellation that leaves rounding
/// errors, no comparison of nearly equal numbers. So targets may be compared with a tolerance.
const NUDGE: f64 = 1e-6;
const MAX_MOVE: f64 = 1e-4;

/// A program of up to twenty equations, with its arguments and constants. Deterministic for a seed.
pub fn random_program(seed: u64) -> (Program, Vec<HostArray>) {
    let mut random = Random::new(seed);
    let mut builder = Builder::default();
    for _ in 0..2 + random.below(3) {
        let aval = random_aval(&mut random);
        builder.argument(random_array(&aval, &mut random), true);
    }
    let size = 4 + random.below(16);
    for _ in 0..40 * size {
        if builder.eqns.len() >= size {
            break;
        }
        builder.step(&mut random);
    }
    builder.finish(seed, &mut random)
}

/// A random program with the symbol `n` for each extent `size`, where it is well formed; symbols count as large.
pub fn with_symbol(program: &Program, size: char) -> Option<Program> {
    let text = program.to_string();
    let mut out = String::with_capacity(text.len());
    let mut depth = 0;
    for c in text.chars() {
        depth += i32::from(c == '[') - i32::from(c == ']');
        let is_extent = c == size && depth > 0 && out.ends_with(['[', ',']);
        out.push(if is_extent { 'n' } else { c });
    }
    let mut program = parse(&out, gavotte::registry()).ok()?;
    // Constants have no symbols.
    let consts = std::mem::take(&mut program.consts);
    program.args.extend(consts);
    verify(&program).is_ok().then_some(program)
}

fn random_aval(random: &mut Random) -> Aval {
    let dtype = *random.pick(&[DType::F32, DType::F32, DType::F32, DType::I32, DType::U32, DType::Bool]);
    let rank = *random.pick(&[0, 1, 1, 2, 2, 3]);
    Aval::new(dtype, (0..rank).map(|_| *random.pick(&EXTENTS)))
}

/// An operand with its value at the inputs, and near them.
#[derive(Clone)]
struct Node {
    atom: Atom,
    at: HostArray,
    near: HostArray,
}

impl Node {
    fn aval(&self) -> Aval {
        Aval::new(self.at.dtype(), self.at.shape())
    }
}

#[derive(Default)]
struct Builder {
    next: u32,
    args: Vec<(Binder, HostArray)>,
    consts: Vec<(Binder, HostArray)>,
    eqns: Vec<Eqn>,
    nodes: Vec<Node>,
}

/// Every primitive, by how the generator uses it.
static MAPS: LazyLock<Vec<&'static dyn Primitive>> = LazyLock::new(|| of_kind(|kind| matches!(kind, Kind::Map { .. })));
static OTHERS: LazyLock<Vec<&'static dyn Primitive>> =
    LazyLock::new(|| of_kind(|kind| !matches!(kind, Kind::Map { .. })));

/// Whether random programs have it: primitives that only print are left to the tests of printing, and those whose
/// derivatives are not compared with JAX's to theirs.
pub fn is_used(prim: &dyn Primitive) -> bool {
    !prim.has_effect() && !DERIVED_BY_MPMATH.contains(&prim.name())
}

fn of_kind(is: impl Fn(Kind) -> bool) -> Vec<&'static dyn Primitive> {
    gavotte::registry().iter().filter(|prim| is(prim.kind()) && is_used(*prim)).collect()
}

impl Builder {
    fn fresh(&mut self, aval: Aval) -> Binder {
        self.next += 1;
        Binder { var: Var(self.next - 1), aval }
    }

    fn argument(&mut self, array: HostArray, is_arg: bool) -> Node {
        let binder = self.fresh(Aval::new(array.dtype(), array.shape()));
        let near = moved(&array, &array, NUDGE);
        let node = Node { atom: Atom::Var(binder.var), at: array.clone(), near };
        let list = if is_arg { &mut self.args } else { &mut self.consts };
        list.push((binder, array));
        self.nodes.push(node.clone());
        node
    }

    /// Tries to add an equation.
    fn step(&mut self, random: &mut Random) {
        match random.below(11) {
            0..4 => self.map(random),
            4 => self.broadcast(random),
            5 => self.transpose(random),
            6 => self.reduction(random),
            7 => self.contraction(random),
            8 => self.again(random),
            _ => self.sample(random),
        }
    }

    /// An elementwise primitive on operands of one shape, scalars or literals, of the types in one of its samples.
    fn map(&mut self, random: &mut Random) {
        let prim = *random.pick(&MAPS);
        let samples = prim.samples();
        let sample = random.pick(&samples);
        let shape = random.pick(&self.nodes).aval().shape;
        let mut ins = vec![];
        for operand in &sample.ins {
            let fits = |node: &&Node| {
                let aval = node.aval();
                aval.dtype == operand.dtype() && (aval.shape == shape || aval.rank() == 0)
            };
            let nodes: Vec<&Node> = self.nodes.iter().filter(fits).collect();
            let literal = nodes.is_empty() || random.below(6) == 0;
            ins.push(if literal { random_literal(operand.dtype(), random) } else { (*random.pick(&nodes)).clone() });
        }
        self.bind(prim, ins, sample.params.clone());
    }

    fn broadcast(&mut self, random: &mut Random) {
        let node = random.pick(&self.nodes).clone();
        let mut shape = node.aval().shape;
        let mut dims: Vec<usize> = (0..shape.len()).collect();
        for _ in 0..1 + random.below(2) {
            let place = random.below(shape.len() + 1);
            shape.insert(place, Dim::from(*random.pick(&EXTENTS)));
            dims.iter_mut().filter(|dim| **dim >= place).for_each(|dim| *dim += 1);
        }
        self.bind(BROADCAST_IN_DIM, vec![node], Params::new().with("shape", shape).with("dims", dims));
    }

    fn transpose(&mut self, random: &mut Random) {
        let node = random.pick(&self.nodes).clone();
        let mut axes: Vec<usize> = (0..node.aval().rank()).collect();
        for i in (1..axes.len()).rev() {
            axes.swap(i, random.below(i + 1));
        }
        self.bind(TRANSPOSE, vec![node], Params::new().with("axes", axes));
    }

    /// A reduction over some axes, whose only attribute is `axes`.
    fn reduction(&mut self, random: &mut Random) {
        let is_axes = |prim: &&&'static dyn Primitive| {
            let samples = prim.samples();
            prim.kind() == Kind::Reduce && samples[0].params.iter().map(|(name, _)| name).eq(["axes"])
        };
        let prims: Vec<&'static dyn Primitive> = OTHERS.iter().filter(is_axes).copied().collect();
        let node = random.pick(&self.nodes).clone();
        let axes: Vec<usize> = (0..node.aval().rank()).filter(|_| random.below(2) == 1).collect();
        self.bind(*random.pick(&prims), vec![node], Params::new().with("axes", axes));
    }

    /// `dot_general` over one pair of axes, or over none; with a batch axis if two more axes fit.
    fn contraction(&mut self, random: &mut Random) {
        let Some(prim) = gavotte::registry().get("dot_general") else { return };
        let (a, b) = (random.pick(&self.nodes).clone(), random.pick(&self.nodes).clone());
        let (left, right) = (a.aval().shape, b.aval().shape);
        let axes = (0..left.len()).flat_map(|i| (0..right.len()).map(move |j| (i, j)));
        let mut pairs: Vec<(usize, usize)> = axes.filter(|(i, j)| left[*i] == right[*j]).collect();
        let mut lists = [vec![], vec![]].map(|none: Vec<usize>| [none.clone(), none]);
        for list in &mut lists {
            if pairs.is_empty() || random.below(4) == 0 {
                continue;
            }
            let (i, j) = *random.pick(&pairs);
            *list = [vec![i], vec![j]];
            pairs.retain(|pair| pair.0 != i && pair.1 != j);
        }
        let [contract, batch] = lists.map(|[a, b]| Attr::List(vec![a.into(), b.into()]));
        self.bind(prim, vec![a, b], Params::new().with("contract", contract).with("batch", batch));
    }

    /// An equation that already exists.
    fn again(&mut self, random: &mut Random) {
        if self.eqns.is_empty() {
            return;
        }
        let eqn = random.pick(&self.eqns).clone();
        let node = |atom: &Atom| match atom {
            Atom::Literal(literal) => literal_node(*literal),
            atom => self.nodes.iter().find(|node| node.atom == *atom).expect("an operand is a node").clone(),
        };
        let ins = eqn.ins.iter().map(node).collect();
        self.bind(eqn.prim, ins, eqn.params);
    }

    /// A sample, with operands of the same types from the program where it has any. Integers stay: they may be places,
    /// which must be valid.
    fn sample(&mut self, random: &mut Random) {
        let prim = *random.pick(&OTHERS);
        let samples = prim.samples();
        let sample = random.pick(&samples);
        let operand = |array: &HostArray| {
            let aval = Aval::new(array.dtype(), array.shape());
            let nodes: Vec<&Node> = self.nodes.iter().filter(|node| node.aval() == aval).collect();
            let replace = aval.dtype.is_float() && !nodes.is_empty();
            replace.then(|| (*random.pick(&nodes)).clone())
        };
        let found: Vec<Option<Node>> = sample.ins.iter().map(operand).collect();
        // A primitive that reads wild numbers yields wild ones.
        if sample.ins.iter().any(|array| !is_tame(array)) {
            return;
        }
        // Half of the missing operands become arguments, so that derivatives go through them.
        let pairs = found.into_iter().zip(&sample.ins);
        let is_arg = random.below(2) == 1;
        let ins = pairs.map(|(node, array)| {
            node.unwrap_or_else(|| self.argument(array.clone(), is_arg && array.dtype().is_float()))
        });
        let ins = ins.collect();
        self.bind(prim, ins, sample.params.clone());
    }

    /// Adds an equation, if its operands fit and its results are tame.
    fn bind(&mut self, prim: &'static dyn Primitive, ins: Vec<Node>, params: Params) {
        let avals: Vec<Aval> = ins.iter().map(Node::aval).collect();
        let Ok(outs) = prim.abstract_eval(&avals.iter().collect::<Vec<_>>(), &params) else { return };
        if outs.iter().any(|aval| aval.volume().as_usize().is_none_or(|n| n > MAX_ELEMENTS)) {
            return;
        }
        let at = eval_primitive(prim, &ins.iter().map(|node| &node.at).collect::<Vec<_>>(), &params);
        let near = eval_primitive(prim, &ins.iter().map(|node| &node.near).collect::<Vec<_>>(), &params);
        if !at.iter().all(is_tame) || !at.iter().zip(&near).all(|(at, near)| is_steady(at, near)) {
            return;
        }
        let outs: Vec<Binder> = outs.into_iter().map(|aval| self.fresh(aval)).collect();
        for (binder, (at, near)) in outs.iter().zip(at.into_iter().zip(near)) {
            self.nodes.push(Node { atom: Atom::Var(binder.var), at, near });
        }
        let ins = ins.iter().map(|node| node.atom).collect();
        self.eqns.push(Eqn { prim, params, ins, outs: outs.into_iter().collect(), location: Location::default() });
    }

    /// The program. Its results are those of the last equation, the last floating one, for derivatives, and a few more.
    fn finish(self, seed: u64, random: &mut Random) -> (Program, Vec<HostArray>) {
        let mut outs: Vec<Atom> = (0..random.below(3)).map(|_| random.pick(&self.nodes).atom).collect();
        let floating = |node: &&Node| node.at.dtype().is_float() && node.atom.var().is_some();
        outs.extend(self.nodes.iter().rfind(floating).map(|node| node.atom));
        outs.extend(self.eqns.last().iter().flat_map(|eqn| &eqn.outs).map(|binder| Atom::Var(binder.var)));
        let (args, mut arrays): (Vec<Binder>, Vec<HostArray>) = self.args.into_iter().unzip();
        let (consts, more): (Vec<Binder>, Vec<HostArray>) = self.consts.into_iter().unzip();
        arrays.extend(more);
        let name = format!("random_{seed}");
        (Program { name, args, consts, eqns: self.eqns, outs, facts: Facts::new() }.renumbered(), arrays)
    }
}

/// Numbers that rules know, and others.
fn random_literal(dtype: DType, random: &mut Random) -> Node {
    literal_node(Literal::from_f64(dtype, *random.pick(&[0.0, 1.0, 1.0, 2.0, 0.5, 3.0])))
}

fn literal_node(literal: Literal) -> Node {
    let array = HostArray::full(&[], literal);
    Node { atom: Atom::Literal(literal), at: array.clone(), near: array }
}

/// Whether no number is NaN, large, or so small that a target may flush it to zero. The extrema of nothing, `-∞` and `∞`,
/// are allowed.
fn is_tame(array: &HostArray) -> bool {
    let is_tame = |x: &f64| *x == 0.0 || x.is_infinite() || (f32::MIN_POSITIVE.into()..=MAX_NUMBER).contains(&x.abs());
    !array.dtype().is_float() || numbers(array).iter().all(is_tame)
}

fn is_steady(at: &HostArray, near: &HostArray) -> bool {
    let allowed = if at.dtype().is_float() { MAX_MOVE } else { 0.0 };
    numbers(at).iter().zip(numbers(near)).all(|(a, b)| *a == b || (a - b).abs() <= allowed * (1.0 + a.abs()))
}
