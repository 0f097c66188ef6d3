//! Layers made of layers.

use super::{Layer, Mode, Signal};
use crate::random::Key;
use crate::{Array, Dim, Shape, Tree};
use gavotte_core::error::Error;
use gavotte_core::ir::{demand, refuse};

/// A tuple of one to eight layers, each taking the output of the one before.
pub trait Serial {
    /// The input of the first one.
    type In: Signal;
    /// The output of the last one.
    type Out: Signal;
    /// The tuple of their parameters.
    type Params: Tree;
    /// The layers as a single layer.
    #[track_caller]
    fn serial(self) -> Layer<Self::Params, Self::In, Self::Out>;
}

/// Chains one to eight layers: `serial((dense(128), relu(), dense(10)))`.
#[track_caller]
pub fn serial<L: Serial>(layers: L) -> Layer<L::Params, L::In, L::Out> {
    layers.serial()
}

/// A tuple of one to eight layers from `X` to `Y`.
pub trait Parallel<X: Signal, Y: Signal> {
    /// The tuple of their parameters.
    type Params: Tree;
    /// The layers as a single layer.
    #[track_caller]
    fn parallel(self) -> Layer<Self::Params, Vec<X>, Vec<Y>>;
}

/// One to eight layers side by side: input and output have one item for each of them.
///
/// # Panics
/// When used, if the number of inputs differs from the number of layers.
#[track_caller]
pub fn parallel<X: Signal, Y: Signal, L: Parallel<X, Y>>(layers: L) -> Layer<L::Params, Vec<X>, Vec<Y>> {
    layers.parallel()
}

#[track_caller]
fn expect_inputs(found: usize, wanted: usize) {
    demand(found == wanted, || format!("parallel: {wanted} layers need {wanted} inputs, not {found}: see fan_out"));
}

macro_rules! tuples {
    ($n:literal; $first:ident $last:ident; $($P:ident $X:ident $Y:ident $i:tt $layer:ident $p:ident $mode:ident),*) => {
        impl<$($P: Tree + 'static,)* $first: Signal + 'static, $($Y: Signal + 'static),*> Serial
            for ($(Layer<$P, $X, $Y>,)*)
        {
            type In = $first;
            type Out = $last;
            type Params = ($($P,)*);
            #[track_caller]
            fn serial(self) -> Layer<Self::Params, $first, $last> {
                let init = ($(self.$i.init_fun.clone(),)*);
                Layer::new(
                    move |key: Key, shape| {
                        let [$($layer),*] = key.split::<$n>();
                        $(let (shape, $p) = init.$i($layer, shape);)*
                        (shape, ($($p,)*))
                    },
                    move |params: &Self::Params, x: &$first, mode: Mode| {
                        let [$($mode),*] = mode.split::<$n>();
                        $(let $layer = &self.$i.apply_fun;)*
                        chain!(x, $($layer, &params.$i, $mode);*)
                    },
                )
            }
        }
        impl<$($P: Tree + 'static,)* X: Signal + 'static, Y: Signal + 'static> Parallel<X, Y>
            for ($(Layer<$P, X, Y>,)*)
        {
            type Params = ($($P,)*);
            #[track_caller]
            fn parallel(self) -> Layer<Self::Params, Vec<X>, Vec<Y>> {
                let init = ($(self.$i.init_fun.clone(),)*);
                Layer::new(
                    move |key: Key, shapes: Vec<X::Shape>| {
                        expect_inputs(shapes.len(), $n);
                        let [$($layer),*] = key.split::<$n>();
                        let parts = ($(init.$i($layer, shapes[$i].clone()),)*);
                        let ($($p,)*) = parts;
                        (vec![$($p.0),*], ($($p.1,)*))
                    },
                    move |params: &Self::Params, xs: &Vec<X>, mode: Mode| {
                        expect_inputs(xs.len(), $n);
                        let [$($mode),*] = mode.split::<$n>();
                        vec![$((self.$i.apply_fun)(&params.$i, &xs[$i], $mode)),*]
                    },
                )
            }
        }
    };
}
macro_rules! chain {
    ($x:expr, $f:expr, $p:expr, $mode:expr) => { $f($p, $x, $mode) };
    ($x:expr, $f:expr, $p:expr, $mode:expr; $($rest:tt)*) => {{
        let x = $f($p, $x, $mode);
        chain!(&x, $($rest)*)
    }};
}
tuples!(1; X0 X1; P0 X0 X1 0 l0 p0 m0);
tuples!(2; X0 X2; P0 X0 X1 0 l0 p0 m0, P1 X1 X2 1 l1 p1 m1);
tuples!(3; X0 X3; P0 X0 X1 0 l0 p0 m0, P1 X1 X2 1 l1 p1 m1, P2 X2 X3 2 l2 p2 m2);
tuples!(4; X0 X4; P0 X0 X1 0 l0 p0 m0, P1 X1 X2 1 l1 p1 m1, P2 X2 X3 2 l2 p2 m2, P3 X3 X4 3 l3 p3 m3);
tuples!(5; X0 X5; P0 X0 X1 0 l0 p0 m0, P1 X1 X2 1 l1 p1 m1, P2 X2 X3 2 l2 p2 m2, P3 X3 X4 3 l3 p3 m3, P4 X4 X5 4 l4 p4 m4);
tuples!(6; X0 X6; P0 X0 X1 0 l0 p0 m0, P1 X1 X2 1 l1 p1 m1, P2 X2 X3 2 l2 p2 m2, P3 X3 X4 3 l3 p3 m3, P4 X4 X5 4 l4 p4 m4, P5 X5 X6 5 l5 p5 m5);
tuples!(7; X0 X7; P0 X0 X1 0 l0 p0 m0, P1 X1 X2 1 l1 p1 m1, P2 X2 X3 2 l2 p2 m2, P3 X3 X4 3 l3 p3 m3, P4 X4 X5 4 l4 p4 m4, P5 X5 X6 5 l5 p5 m5, P6 X6 X7 6 l6 p6 m6);
tuples!(8; X0 X8; P0 X0 X1 0 l0 p0 m0, P1 X1 X2 1 l1 p1 m1, P2 X2 X3 2 l2 p2 m2, P3 X3 X4 3 l3 p3 m3, P4 X4 X5 4 l4 p4 m4, P5 X5 X6 5 l5 p5 m5, P6 X6 X7 6 l6 p6 m6, P7 X7 X8 7 l7 p7 m7);

/// The input `n` times, for [`parallel`] layers after it.
#[track_caller]
pub fn fan_out(n: usize) -> Layer<(), Array, Vec<Array>> {
    Layer::new(move |_, shape: Shape| (vec![shape; n], ()), move |(), x: &Array, _| vec![x.clone(); n])
}

/// The sum of the inputs, which have the same shape.
///
/// # Panics
/// When used, if there is no input, or their shapes differ.
#[track_caller]
pub fn fan_in_sum() -> Layer<(), Vec<Array>, Array> {
    Layer::new(
        |_, shapes: Vec<Shape>| {
            let Some(first) = shapes.first() else { refuse(Error::Type("fan_in_sum: there is nothing to sum".into())) };
            for shape in &shapes {
                demand(shape == first, || format!("fan_in_sum: the inputs' shapes differ: {first:?} and {shape:?}"));
            }
            (first.clone(), ())
        },
        |(), xs: &Vec<Array>, _| {
            let Some((first, rest)) = xs.split_first() else {
                refuse(Error::Type("fan_in_sum: there is nothing to sum".into()))
            };
            rest.iter().fold(first.clone(), |sum, x| {
                let why = || format!("fan_in_sum: the inputs' shapes differ: {:?} and {:?}", sum.shape(), x.shape());
                demand(sum.shape() == x.shape(), why);
                &sum + x
            })
        },
    )
}

/// The inputs joined in order along an axis; their other extents are equal. A negative axis counts from the end.
///
/// # Panics
/// When used, if there is no input, or the shapes do not fit.
#[track_caller]
pub fn fan_in_concat(axis: isize) -> Layer<(), Vec<Array>, Array> {
    Layer::new(
        move |_, shapes: Vec<Shape>| {
            let Some(first) = shapes.first() else {
                refuse(Error::Type("fan_in_concat: there is nothing to join".into()))
            };
            let at = place(axis, first.len());
            for shape in &shapes {
                let why = || format!("fan_in_concat: {first:?} and {shape:?} differ in the number of axes");
                demand(shape.len() == first.len(), why);
            }
            let mut shape = first.clone();
            shape[at] = shapes.iter().map(|shape| shape[at].clone()).sum::<Dim>();
            (shape, ())
        },
        move |(), xs: &Vec<Array>, _| crate::concatenate(xs, axis),
    )
}

#[track_caller]
fn place(axis: isize, rank: usize) -> usize {
    let at = if axis < 0 { axis + rank as isize } else { axis };
    demand((0..rank as isize).contains(&at), || format!("there is no axis {axis}: the input has {rank} axes"));
    at as usize
}

/// The layer that `make` builds for the shape of the input, for example a residual block, which needs its width.
#[track_caller]
pub fn shape_dependent<P, X, Y>(
    make: impl Fn(&X::Shape) -> Layer<P, X, Y> + Clone + Send + Sync + 'static,
) -> Layer<P, X, Y>
where
    P: Tree + 'static,
    X: Signal + 'static,
    Y: Signal + 'static,
{
    let again = make.clone();
    Layer::new(
        move |key, shape: X::Shape| (make(&shape).init_fun)(key, shape),
        move |params: &P, x: &X, mode| (again(&x.shape()).apply_fun)(params, x, mode),
    )
}
