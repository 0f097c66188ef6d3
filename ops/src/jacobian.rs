//! Jacobians, Hessians, and products with Hessians, of functions of trees.

use crate::array::Array;
use crate::generate::eye;
use crate::movement::reshape;
use gavotte_core::api::{Args, Fun, Function, Shareable, avals, grad, trace_function};
use gavotte_core::aval::{Aval, Dim, Shape};
use gavotte_core::error::Error;
use gavotte_core::ir::structural::place_axis;
use gavotte_core::ir::{Traced, Value, refuse, trace};
use gavotte_core::transform::{instantiate, jvp, vjp, vmap};
use gavotte_core::tree::{Segment, Tree, TreeDef, next_leaf};
use std::fmt;
use std::marker::PhantomData;

/// The derivative of each leaf of a result with respect to each leaf of a tree `T`: blocks of shape `result.shape ++
/// leaf.shape`. It is a tree itself.
pub struct Jacobian<T> {
    /// The paths of the result's leaves; the empty path for a result that is one array.
    outs: Vec<String>,
    /// The structure of `T`.
    ins: TreeDef,
    /// For each leaf of the result, a block for each leaf of `T`.
    blocks: Vec<Value>,
    of: PhantomData<fn() -> T>,
}

impl<T: Tree> Jacobian<T> {
    /// The derivative of the result's leaf at the path `out` with respect to the leaf of `T` at the path `input`, such
    /// as `0.w`. The leaf of a tree that is one array has the empty path.
    ///
    /// # Panics
    /// If there is no such leaf; the message lists the existing ones.
    #[track_caller]
    pub fn block(&self, out: &str, input: &str) -> Array {
        let ins = self.ins.paths();
        let places = (self.outs.iter().position(|path| path == out), ins.iter().position(|path| path == input));
        match places {
            (Some(o), Some(i)) => Array::from(&self.blocks[o * ins.len() + i]),
            _ => refuse(Error::Type(format!(
                "there is no block ({out:?}, {input:?}): results are {:?}, arguments {ins:?}",
                self.outs
            ))),
        }
    }

    /// The only block of a function from one array to one array.
    ///
    /// # Panics
    /// If there are several.
    #[track_caller]
    pub fn array(&self) -> Array {
        match &self.blocks[..] {
            [block] => Array::from(block),
            blocks => refuse(Error::Type(format!(
                "a Jacobian of {} blocks is not one array: take one with `block`, of results {:?} and arguments {:?}",
                blocks.len(),
                self.outs,
                self.ins.paths()
            ))),
        }
    }

    /// The derivative of a result that is one array, in the structure of `T`.
    ///
    /// # Panics
    /// If the result has several leaves.
    #[track_caller]
    pub fn into_tree(self) -> T {
        match &self.outs[..] {
            [_] => T::unflatten(&self.ins, self.blocks),
            outs => refuse(Error::Type(format!(
                "a Jacobian of {} results {outs:?} is not one tree: take blocks with `block`",
                outs.len()
            ))),
        }
    }
}

impl<T> fmt::Debug for Jacobian<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ins = self.ins.paths();
        let paths = self.outs.iter().flat_map(|out| ins.iter().map(move |path| (out, path)));
        f.debug_map().entries(paths.zip(&self.blocks)).finish()
    }
}

impl<T> Tree for Jacobian<T> {
    fn disassemble(&self, leaves: &mut Vec<Value>) -> TreeDef {
        leaves.extend(self.blocks.iter().cloned());
        let row = |out: &String| (Segment::Key(out.as_str().into()), self.ins.clone());
        TreeDef::Node("Jacobian", self.outs.iter().map(row).collect())
    }
    fn assemble(def: &TreeDef, leaves: &mut dyn Iterator<Item = Value>) -> Self {
        let rows = def.children();
        Jacobian {
            outs: rows.iter().map(|(out, _)| out.name().into_owned()).collect(),
            // A result without leaves has no rows, and no blocks.
            ins: rows.first().map_or(TreeDef::Node("tuple", vec![]), |(_, ins)| ins.clone()),
            blocks: (0..def.n_leaf()).map(|_| next_leaf(leaves)).collect(),
            of: PhantomData,
        }
    }
}

/// A function at a point: its program, the leaves of its arguments, and which are differentiated.
struct Point {
    traced: Traced,
    leaves: Vec<Value>,
    /// The structure of the first argument.
    ins: TreeDef,
    out_def: TreeDef,
    /// The types of the result's leaves.
    outs: Vec<Aval>,
}

impl Point {
    #[track_caller]
    fn new<A: Args, F: Function<A, By>, By>(what: &str, f: &F, args: A) -> Point {
        const { assert!(A::ARITY > 0, "a function of no arguments has no derivative") };
        let (def, leaves) = args.into_leaves();
        let ins = def.child(0).clone();
        for (path, leaf) in ins.paths().iter().zip(&leaves) {
            refuse_unless_floating(what, "leaf", "of the first argument", path, leaf.aval());
        }
        let (traced, out_def) = trace_function::<A, F, By>(f, &def, &avals(&leaves));
        let outs = traced.program.out_avals();
        for (path, aval) in out_def.paths().iter().zip(&outs) {
            refuse_unless_floating(what, "leaf", "of the result", path, aval);
        }
        Point { traced, leaves, ins, out_def, outs }
    }

    /// The number of leaves of the arguments that are differentiated: the first ones.
    fn n_in(&self) -> usize {
        self.ins.n_leaf()
    }

    fn jacobian<T: Tree>(&self, block: impl Fn(usize, usize) -> Value) -> Jacobian<T> {
        let n_in = self.n_in();
        let places = (0..self.outs.len()).flat_map(|out| (0..n_in).map(move |i| (out, i)));
        Jacobian {
            outs: self.out_def.paths(),
            ins: self.ins.clone(),
            blocks: places.map(|(out, i)| block(out, i)).collect(),
            of: PhantomData,
        }
    }

    /// The shape of the block of a leaf of the result and a leaf of the first argument.
    fn block_shape(&self, out: usize, i: usize) -> Shape {
        self.outs[out].shape.iter().chain(self.leaves[i].shape()).cloned().collect()
    }
}

#[track_caller]
fn refuse_unless_floating(what: &str, a: &str, of: &str, path: &str, aval: &Aval) {
    if !aval.dtype.is_float() {
        let path = if path.is_empty() { String::new() } else { format!(" `{path}`") };
        refuse(Error::Type(format!("{what}: {a}{path} {of} is {aval}\n  only floats have derivatives")));
    }
}

/// Runs `f` along every unit vector of a type at once. Returns its results, each with the position of the axis of unit
/// vectors.
fn along_units(aval: &Aval, f: impl FnOnce(Value) -> Vec<Value>) -> (Vec<(Value, Option<usize>)>, Dim) {
    let n = aval.volume();
    let traced = trace("along", std::slice::from_ref(aval), |mut values| f(values.remove(0)));
    let shape: Shape = std::iter::once(&n).chain(&aval.shape).cloned().collect();
    let units = reshape(eye(&n, aval.dtype).value(), &shape);
    (vmap(&traced.program, &traced.consts, &[(units, Some(0))], &n), n)
}

/// The Jacobian of `f` with respect to the first argument, by forward mode: one pass over a batch of directions for
/// each leaf of that argument. Cheap if the argument has fewer elements than the result.
///
/// # Panics
/// When called: if a leaf of the first argument or of the result is not floating.
///
/// Source: JAX, `jax.jacfwd`.
#[track_caller]
pub fn jacfwd<'f, A: Args + 'f, F: Function<A, By> + Shareable + 'f, By>(f: F) -> Fun<'f, A, Jacobian<A::First>> {
    Fun::new(move |args: A| {
        let point = Point::new("jacfwd", &f, args);
        // Column blocks: the derivative of every result along the elements of one leaf, which are the last axes.
        let columns: Vec<Vec<Value>> = (0..point.n_in())
            .map(|i| {
                let (found, n) = along_units(point.leaves[i].aval(), |direction| {
                    let mut tangents = vec![None; point.leaves.len()];
                    tangents[i] = Some(direction);
                    let Traced { program, consts } = &point.traced;
                    let found = jvp(program, consts, &point.leaves, &tangents).1;
                    found.into_iter().zip(&point.outs).map(|(t, aval)| instantiate(t, aval)).collect()
                });
                let last = |(out, aval): (_, &Aval)| place_axis(out, aval.rank(), &n);
                found.iter().zip(&point.outs).map(last).collect()
            })
            .collect();
        point.jacobian(|out, i| reshape(&columns[i][out], &point.block_shape(out, i)))
    })
}

/// The Jacobian of `f` with respect to the first argument, by reverse mode: one pass over a batch of cotangents for
/// each leaf of the result. Cheap if the result has fewer elements than the argument.
///
/// # Panics
/// When called: if a leaf of the first argument or of the result is not floating.
///
/// Source: JAX, `jax.jacrev`.
#[track_caller]
pub fn jacrev<'f, A: Args + 'f, F: Function<A, By> + Shareable + 'f, By>(f: F) -> Fun<'f, A, Jacobian<A::First>> {
    Fun::new(move |args: A| {
        let point = Point::new("jacrev", &f, args);
        let n_in = point.n_in();
        let wrt: Vec<bool> = (0..point.leaves.len()).map(|i| i < n_in).collect();
        let (_, pull) = vjp(&point.traced.program, &point.traced.consts, &point.leaves, &wrt);
        // Row blocks: the derivatives of the elements of one result, which are the first axes.
        let rows: Vec<Vec<Value>> = (0..point.outs.len())
            .map(|out| {
                let (found, n) = along_units(&point.outs[out], |cotangent| {
                    let mut cotangents = vec![None; point.outs.len()];
                    cotangents[out] = Some(cotangent);
                    let found = pull(&cotangents).into_iter().zip(&point.leaves).take(n_in);
                    found.map(|(ct, leaf)| instantiate(ct, leaf.aval())).collect()
                });
                found.iter().map(|found| place_axis(found, 0, &n)).collect()
            })
            .collect();
        point.jacobian(|out, i| reshape(&rows[out][i], &point.block_shape(out, i)))
    })
}

/// The second derivatives of `f`, which must return one floating scalar, with respect to the first argument: the
/// derivative of each leaf of the gradient with respect to each leaf, forward over reverse.
///
/// # Panics
/// When called: as [`grad`].
///
/// Source: JAX, `jax.hessian`.
#[track_caller]
pub fn hessian<'f, A: Args + 'f, F: Function<A, By> + Shareable + 'f, By>(f: F) -> Fun<'f, A, Jacobian<A::First>>
where
    F::Out: 'f,
{
    jacfwd(grad(f))
}

/// The arguments of a function of one to seven trees, followed by a direction for the first one.
pub trait Directed: Args {
    /// The arguments, then the direction.
    type With: Args;
    /// Splits the arguments from the direction.
    fn apart(with: Self::With) -> (Self, Self::First);
}

macro_rules! directed {
    ($first:ident; $($t:ident $v:ident),*) => {
        impl<$($t: Tree),*> Directed for ($($t,)*) {
            type With = ($($t,)* $first);
            fn apart(($($v,)* direction): Self::With) -> (Self, $first) {
                (($($v,)*), direction)
            }
        }
    };
}
directed!(A; A a);
directed!(A; A a, B b);
directed!(A; A a, B b, C c);
directed!(A; A a, B b, C c, D d);
directed!(A; A a, B b, C c, D d, E e);
directed!(A; A a, B b, C c, D d, E e, F f);
directed!(A; A a, B b, C c, D d, E e, F f, G g);

/// The product of the Hessian of `f` with a direction: the derivative of its gradient along it, forward over reverse. `f`
/// must return one floating scalar. The result is called with the arguments of `f`, then the direction, a tree like the
/// first argument.
///
/// # Panics
/// When called: as [`grad`], or if the direction differs from the first argument in structure or types.
///
/// Source: Pearlmutter, *Fast exact multiplication by the Hessian* (Neural Computation 1994).
#[track_caller]
pub fn hvp<'f, A: Directed + 'f, F: Function<A, By> + Shareable + 'f, By>(f: F) -> Fun<'f, A::With, A::First>
where
    F::Out: 'f,
{
    let gradient = grad(f);
    Fun::new(move |with: A::With| {
        let (args, direction) = A::apart(with);
        let point = Point::new("hvp", &gradient, args);
        let (def, direction) = direction.into_leaves();
        if let Some(difference) = point.ins.first_difference(&def) {
            refuse(Error::Type(format!("hvp: the first argument and the direction differ {difference}")));
        }
        for ((path, x), v) in def.paths().iter().zip(&point.leaves).zip(&direction) {
            if x.aval() != v.aval() {
                let at = if path.is_empty() { String::new() } else { format!("at {path} ") };
                let (x, v) = (x.aval(), v.aval());
                refuse(Error::Type(format!("hvp: {at}the first argument is {x}, the direction {v}")));
            }
        }
        let mut tangents: Vec<Option<Value>> = direction.into_iter().map(Some).collect();
        tangents.resize(point.leaves.len(), None);
        let (outs, moves) = jvp(&point.traced.program, &point.traced.consts, &point.leaves, &tangents);
        let moves = moves.into_iter().zip(&outs).map(|(t, out)| instantiate(t, out.aval()));
        A::First::unflatten(&def, moves.collect())
    })
}
