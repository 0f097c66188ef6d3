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
pub trait Argnums<A: Args, Grads: Tree> {
    /// The places of the arguments.
    const NUMBERS: &'static [usize];
    /// The gradients as they are returned, built from one per number: a tree like the argument, or a tuple of them.
    fn grads(found: Vec<Gradient>) -> Grads;
}

impl<A: HasArg<I, T>, T: Tree, const I: usize> Argnums<A, T> for Arg<I> {
    const NUMBERS: &'static [usize] = &[I];
    fn grads(mut found: Vec<Gradient>) -> T {
        found.remove(0).tree()
    }
}

macro_rules! argnums {
    ($($i:ident $t:ident),*) => {
        impl<A: $(HasArg<$i, $t> +)*, $($t: Tree,)* $(const $i: usize),*> Argnums<A, ($($t,)*)> for ($(Arg<$i>,)*) {
            const NUMBERS: &'static [usize] = &[$($i),*];
            fn grads(found: Vec<Gradient>) -> ($($t,)*) {
                let mut found = found.into_iter();
                let mut next = || found.next().expect("there is a gradient for every number");
                ($(next().tree::<$t>(),)*)
            }
        }
    };
}
argnums!(I S);
argnums!(I S, J T);
argnums!(I S, J T, K U);
argnums!(I S, J T, K U, L V);
argnums!(I S, J T, K U, L V, M W);
argnums!(I S, J T, K U, L V, M W, N X);
argnums!(I S, J T, K U, L V, M W, N X, O Y);
argnums!(I S, J T, K U, L V, M W, N X, O Y, P Z);
