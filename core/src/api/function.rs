//! Functions of one to four trees, and what a transformation makes of one.

use crate::aval::Aval;
use crate::error::Error;
use crate::ir::{Traced, Value, quietly, trace};
use crate::tree::{Tree, TreeDef};
use std::ops::Deref;
use std::rc::Rc;

/// The arguments of a function: a tuple of one to four trees.
pub trait Args: Tree {
    /// How many there are.
    const ARITY: usize;
    /// The first one: what `grad` differentiates with respect to.
    type First: Tree;
    /// One axis, or none, for each argument: a wrong count does not compile.
    type Axes: AsRef<[Option<usize>]>;
    /// The plain function type, so that a transformed function is called like any other.
    type Dyn<'f, O: 'f>: ?Sized
    where
        Self: 'f;
    /// A function of the tuple as a function of its members.
    fn boxed<'f, O: 'f>(f: impl Fn(Self) -> O + 'f) -> Box<Self::Dyn<'f, O>>
    where
        Self: 'f;
}

/// A function of trees: any closure of one to four trees that returns a tree, and every transformed function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function of trees",
    note = "annotate every closure parameter, take 1 to 4 arguments, and return a tree of arrays"
)]
pub trait Function<A: Args> {
    /// What it returns.
    type Out: Tree;
    /// Calls it.
    #[track_caller]
    fn apply(&self, args: A) -> Self::Out;
}

macro_rules! first {
    ($a:ident $($rest:ident)*) => {
        $a
    };
}
macro_rules! arity {
    ($n:literal; $($t:ident $v:ident),*) => {
        impl<$($t: Tree),*> Args for ($($t,)*) {
            const ARITY: usize = $n;
            type First = first!($($t)*);
            type Axes = [Option<usize>; $n];
            type Dyn<'f, O: 'f> = dyn Fn($($t),*) -> O + 'f where Self: 'f;
            fn boxed<'f, O: 'f>(f: impl Fn(Self) -> O + 'f) -> Box<Self::Dyn<'f, O>> where Self: 'f {
                Box::new(move |$($v: $t),*| f(($($v,)*)))
            }
        }
        impl<Func, $($t: Tree,)* Out: Tree> Function<($($t,)*)> for Func
        where
            Func: Fn($($t),*) -> Out,
        {
            type Out = Out;
            fn apply(&self, ($($v,)*): ($($t,)*)) -> Out { self($($v),*) }
        }
    };
}
arity!(1; A a);
arity!(2; A a, B b);
arity!(3; A a, B b, C c);
arity!(4; A a, B b, C c, D d);

/// A transformed function: call it like a function.
pub struct Fun<'f, A: Args + 'f, O: Tree + 'f> {
    call: Box<A::Dyn<'f, O>>,
    apply: Rc<dyn Fn(A) -> O + 'f>,
}

impl<'f, A: Args, O: Tree> Fun<'f, A, O> {
    /// The function of the tuple of arguments, to be called with its members.
    pub fn new(f: impl Fn(A) -> O + 'f) -> Self {
        let apply: Rc<dyn Fn(A) -> O + 'f> = Rc::new(f);
        let inner = apply.clone();
        Fun { call: A::boxed(move |args| inner(args)), apply }
    }

    /// Calls it with a tuple of arguments. What the engine refuses (shapes, types, traced values read) is an error
    /// instead of a panic.
    pub fn try_call(&self, args: A) -> Result<O, Error> {
        quietly(|| (self.apply)(args))
    }
}

impl<A: Args, O: Tree> Clone for Fun<'_, A, O> {
    fn clone(&self) -> Self {
        let inner = self.apply.clone();
        Fun { call: A::boxed(move |args| inner(args)), apply: self.apply.clone() }
    }
}

impl<'f, A: Args, O: Tree> Deref for Fun<'f, A, O> {
    type Target = A::Dyn<'f, O>;
    fn deref(&self) -> &Self::Target {
        &self.call
    }
}

impl<A: Args, O: Tree> Function<A> for Fun<'_, A, O> {
    type Out = O;
    fn apply(&self, args: A) -> O {
        (self.apply)(args)
    }
}
impl<A: Args, O: Tree> Function<A> for &Fun<'_, A, O> {
    type Out = O;
    fn apply(&self, args: A) -> O {
        (self.apply)(args)
    }
}

/// A function's program for arguments of this structure and these types, and the structure of its result.
#[track_caller]
pub fn trace_function<A: Args, F: Function<A>>(f: &F, def: &TreeDef, avals: &[Aval]) -> (Traced, TreeDef) {
    let mut out_def = TreeDef::Leaf;
    let traced = trace(&name_of::<F>(), avals, |leaves| {
        let (def, leaves) = f.apply(A::unflatten(def, leaves)).into_leaves();
        out_def = def;
        leaves
    });
    (traced, out_def)
}

/// The types of values as they are now.
pub fn avals(leaves: &[Value]) -> Vec<Aval> {
    leaves.iter().map(|leaf| leaf.aval().clone()).collect()
}

/// The name of the function that a closure stands in: `my::module::train::{{closure}}` is called `train`.
pub(super) fn name_of<F>() -> String {
    let full = std::any::type_name::<F>();
    let path = full.split(['<', '{']).next().unwrap_or("").trim_end_matches("::");
    let name: String =
        path.rsplit("::").next().unwrap_or("").chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    if name.is_empty() || name == "Fun" { "main".into() } else { name }
}
