//! Functions of up to eight trees, and transformed functions.

use crate::aval::Aval;
use crate::error::Error;
use crate::ir::{Location, Traced, Value, quietly, trace, with_maker};
use crate::tree::{Tree, TreeDef};
use std::ops::Deref;
use std::sync::Arc;

/// The arguments of a function: a tuple of up to eight trees.
pub trait Args: Tree {
    /// The number of arguments.
    const ARITY: usize;
    /// The first argument, with respect to which `grad` differentiates; `()` if there is none.
    type First: Tree;
    /// One axis, or none, per argument: a wrong count does not compile.
    type Axes: AsRef<[Option<usize>]> + Send + Sync;
    /// The plain function type, so that a transformed function is called like any other.
    type Dyn<'f, O: 'f>: ?Sized + Send + Sync
    where
        Self: 'f;
    /// Makes a function of the tuple a function of its members.
    fn boxed<'f, O: 'f>(f: impl Fn(Self) -> O + Send + Sync + 'f) -> Box<Self::Dyn<'f, O>>
    where
        Self: 'f;
}

/// The argument at a position, counted from 0, is a `T`.
///
/// The type is a parameter rather than an associated type, so that the compiler reports a wrong position once.
#[diagnostic::on_unimplemented(
    message = "there is no argument {I} among {Self}",
    note = "arguments are counted from 0, as in `grad_argnums(f, (Arg::<0>, Arg::<2>))`"
)]
pub trait HasArg<const I: usize, T: Tree>: Args {}

/// How a function takes its arguments: by value.
#[derive(Debug)]
pub struct ByValue;
/// How a function takes its arguments: all of them by reference.
#[derive(Debug)]
pub struct ByRef;

/// A function of trees: any closure of up to eight trees that returns a tree, and every transformed function.
///
/// A closure takes its arguments either all by value or all by reference, which `By` says; the compiler infers it. The
/// transformed function takes them by value in both cases.
///
/// A transformed function is `Send` and `Sync`: threads may share a compiled function. So the closure must be, too: it
/// captures arrays, layers and numbers, but no `Rc` or `RefCell`.
///
/// ```
/// # use gavotte_core::api::jit;
/// # use gavotte_core::ir::Value;
/// fn first(x: &Value, _: &Value) -> Value {
///     x.clone()
/// }
/// # let value = |x: f32| Value::from(gavotte_core::aval::Literal::F32(x));
/// let (by_reference, by_value) = (jit(first), jit(|x: Value, _: Value| x));
/// # let found = [by_reference(value(1.0), value(2.0)), by_value(value(1.0), value(2.0))];
/// # assert!(found.iter().all(|x| x.to_host().is_ok_and(|x| x.as_slice::<f32>() == [1.0])));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function of trees of arrays",
    label = "cannot be traced",
    note = "annotate every parameter of a closure: `|w: Array, x: Array|`",
    note = "take up to eight arguments, all by value or all by reference (`|w: &Array, x: &Array|`); group more in a \
            tuple, or in a struct with `#[derive(Tree)]`",
    note = "take and return trees of arrays: make a number an array with `Array::scalar`, and capture everything else"
)]
pub trait Function<A: Args, By = ByValue> {
    /// The type of the result.
    type Out: Tree;
    /// Calls the function.
    #[track_caller]
    fn apply(&self, args: A) -> Self::Out;
}

/// What several threads may call: `Send` and `Sync`, as a transformed function is.
///
/// One trait for both, so that the compiler reports a captured `Rc`, which is neither, once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` captures what threads cannot share",
    label = "not `Send` and `Sync`",
    note = "a transformed function may be called from several threads: capture arrays, layers and numbers, and no `Rc`, \
            `Cell` or `RefCell`",
    note = "use `Arc` and `Mutex` in their place, or make it an argument"
)]
pub trait Shareable: Send + Sync {}
#[diagnostic::do_not_recommend]
impl<T: Send + Sync + ?Sized> Shareable for T {}

macro_rules! arity {
    ($n:literal $first:ty; $($i:literal $t:ident $v:ident),*) => {
        impl<$($t: Tree),*> Args for ($($t,)*) {
            const ARITY: usize = $n;
            type First = $first;
            type Axes = [Option<usize>; $n];
            type Dyn<'f, O: 'f> = dyn Fn($($t),*) -> O + Send + Sync + 'f where Self: 'f;
            fn boxed<'f, O: 'f>(f: impl Fn(Self) -> O + Send + Sync + 'f) -> Box<Self::Dyn<'f, O>> where Self: 'f {
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
        by_ref!($($t $v),*);
        arguments!([$($t),*] $($i $t),*);
    };
}
macro_rules! by_ref {
    // Without arguments both ways are the same.
    () => {};
    ($($t:ident $v:ident),+) => {
        impl<Func, $($t: Tree,)* Out: Tree> Function<($($t,)*), ByRef> for Func
        where
            Func: Fn($(&$t),*) -> Out,
        {
            type Out = Out;
            fn apply(&self, ($($v,)*): ($($t,)*)) -> Out { self($(&$v),*) }
        }
    };
}
macro_rules! arguments {
    ($all:tt $($i:literal $t:ident),*) => { $(argument!($all $i $t);)* };
}
macro_rules! argument {
    ([$($all:ident),*] $i:literal $t:ident) => {
        impl<$($all: Tree),*> HasArg<$i, $t> for ($($all,)*) {}
    };
}
arity!(0 (););
arity!(1 A; 0 A a);
arity!(2 A; 0 A a, 1 B b);
arity!(3 A; 0 A a, 1 B b, 2 C c);
arity!(4 A; 0 A a, 1 B b, 2 C c, 3 D d);
arity!(5 A; 0 A a, 1 B b, 2 C c, 3 D d, 4 E e);
arity!(6 A; 0 A a, 1 B b, 2 C c, 3 D d, 4 E e, 5 F f);
arity!(7 A; 0 A a, 1 B b, 2 C c, 3 D d, 4 E e, 5 F f, 6 G g);
arity!(8 A; 0 A a, 1 B b, 2 C c, 3 D d, 4 E e, 5 F f, 6 G g, 7 H h);

/// A transformed function: call it like a function.
pub struct Fun<'f, A: Args + 'f, O: Tree + 'f> {
    call: Box<A::Dyn<'f, O>>,
    apply: Arc<dyn Fn(A) -> O + Send + Sync + 'f>,
}

impl<'f, A: Args, O: Tree> Fun<'f, A, O> {
    /// Makes a function of the tuple of arguments, to be called with its members. What is wrong with a call names the
    /// caller's line.
    #[track_caller]
    pub fn new(f: impl Fn(A) -> O + Send + Sync + 'f) -> Self {
        let made_at = Location::caller();
        let apply: Arc<dyn Fn(A) -> O + Send + Sync + 'f> = Arc::new(move |args| with_maker(made_at, || f(args)));
        let inner = apply.clone();
        Fun { call: A::boxed(move |args| inner(args)), apply }
    }

    /// Calls it with a tuple of arguments. What the engine refuses (shapes, types, reads of traced values) is an error
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

/// Traces a function for arguments of this structure and these types; returns its program and the structure of its
/// result.
#[track_caller]
pub fn trace_function<A: Args, F: Function<A, By>, By>(f: &F, def: &TreeDef, avals: &[Aval]) -> (Traced, TreeDef) {
    let mut out_def = TreeDef::Leaf;
    let traced = trace(&name_of::<F>(), avals, |leaves| {
        let (def, leaves) = f.apply(A::unflatten(def, leaves)).into_leaves();
        out_def = def;
        leaves
    });
    (traced, out_def)
}

/// [`trace_function`] of one function. What takes this is compiled once for all functions.
pub(super) type Tracer<'a> = &'a dyn Fn(&TreeDef, &[Aval]) -> (Traced, TreeDef);

/// The current types of values.
pub fn avals(leaves: &[Value]) -> Vec<Aval> {
    leaves.iter().map(|leaf| leaf.aval().clone()).collect()
}

/// The name of the function that contains a closure: `my::module::train::{{closure}}` is called `train`.
pub(super) fn name_of<F>() -> String {
    let full = std::any::type_name::<F>();
    let path = full.split(['<', '{']).next().unwrap_or("").trim_end_matches("::");
    let name: String =
        path.rsplit("::").next().unwrap_or("").chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    if name.is_empty() || name == "Fun" { "main".into() } else { name }
}
