//! Which arguments a gradient is with respect to.

use crate::api::function::{Args, HasArg};
use crate::ir::Value;
use crate::tree::{Tree, TreeDef};

/// The argument at a place, counted from 0: `Arg::<1>` is the second.
#[derive(Clone, Copy, Debug)]
pub struct Arg<const I: usize>;

/// The gradient with respect to one argument.
pub struct Gradient {
    pub(super) def: TreeDef,
    pub(super) leaves: Vec<Value>,
}

impl Gradient {
    /// The gradient as a tree like its argument.
    pub(super) fn tree<T: Tree>(self) -> T {
        T::unflatten(&self.def, self.leaves)
    }
}

/// Arguments of a function of `A`: `Arg::<1>`, or a tuple such as `(Arg::<0>, Arg::<2>)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not choose arguments of a function of `{A}`",
    note = "write `Arg::<1>` for the second argument, or a tuple such as `(Arg::<0>, Arg::<2>)`"
)]
pub trait Argnums<A: Args> {
    /// The gradients: a tree like the argument, or a tuple of them.
    type Grads: Tree;
    /// The places of the arguments.
    const NUMBERS: &'static [usize];
    /// The gradients as they are returned, built from one per number.
    fn grads(found: Vec<Gradient>) -> Self::Grads;
}

impl<A: HasArg<I>, const I: usize> Argnums<A> for Arg<I> {
    type Grads = <A as HasArg<I>>::Arg;
    const NUMBERS: &'static [usize] = &[I];
    fn grads(mut found: Vec<Gradient>) -> Self::Grads {
        found.remove(0).tree()
    }
}

macro_rules! argnums {
    ($($i:ident),*) => {
        impl<A: $(HasArg<$i> +)*, $(const $i: usize),*> Argnums<A> for ($(Arg<$i>,)*) {
            type Grads = ($(<A as HasArg<$i>>::Arg,)*);
            const NUMBERS: &'static [usize] = &[$($i),*];
            fn grads(found: Vec<Gradient>) -> Self::Grads {
                let mut found = found.into_iter();
                let mut next = || found.next().expect("there is a gradient for every number");
                ($(next().tree::<<A as HasArg<$i>>::Arg>(),)*)
            }
        }
    };
}
argnums!(I);
argnums!(I, J);
argnums!(I, J, K);
argnums!(I, J, K, L);
argnums!(I, J, K, L, M);
argnums!(I, J, K, L, M, N);
argnums!(I, J, K, L, M, N, O);
argnums!(I, J, K, L, M, N, O, P);
