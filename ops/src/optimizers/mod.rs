//! Optimizers: triples of functions, after `jax.example_libraries.optimizers`.
//!
//! An [`Optimizer`] is written for one array and lifted to trees. `init_fun(params)` makes a state, `update_fun(i,
//! grads, state)` takes step `i` (an `i32` scalar, counted from 0), and `get_params(&state)` reads the parameters.
//! States are trees, so a whole step can be compiled; a state that is moved into a compiled step is updated in place.
//!
//! ```
//! use gavotte::optimizers::{Optimizer, sgd};
//! use gavotte::{Array, grad, jit};
//!
//! let Optimizer { init_fun, update_fun, get_params } = sgd(0.1);
//! let gradient = grad(|x: Array| &x * &x);
//! let params = get_params.clone();
//! let step = jit(move |i: Array, state| update_fun(&i, gradient(params(&state)), state));
//! let mut state = init_fun(Array::scalar(1f32));
//! for i in 0..3 {
//!     state = step(Array::scalar(i), state);
//! }
//! assert!((get_params(&state).item::<f32>() - 0.8 * 0.8 * 0.8).abs() < 1e-6);
//! ```
//!
//! Updates use the type of each leaf: `f64` parameters are updated in `f64` throughout. A leaf that is not floating has
//! no gradient, so `init_fun` and `update_fun` refuse it.
//!
//! Settings that would make parameters NaN are refused when an optimizer or a schedule is made.

use crate::movement::reject;
use crate::{Array, Aval, DType, Literal, Tree, zeros_like};
use gavotte_core::error::Error;
use gavotte_core::ir::{Location, Value, for_caller, refuse, same, with_maker};
use gavotte_core::tree::TreeDef;
use std::sync::Arc;

/// Makes a state from parameters.
pub type InitFun<P, S> = dyn Fn(P) -> S + Send + Sync;
/// Takes a step: `(i, grads, state)` to the next state.
pub type UpdateFun<P, S> = dyn Fn(&Array, P, S) -> S + Send + Sync;
/// Reads the parameters of a state.
pub type GetParams<P, S> = dyn Fn(&S) -> P + Send + Sync;

/// A rule for updating parameters `P` with a state `S`.
///
/// Cloning copies three handles; an optimizer holds no state.
pub struct Optimizer<P: Tree, S: Tree> {
    /// `init_fun(params)` returns the state before the first step.
    pub init_fun: Arc<InitFun<P, S>>,
    /// `update_fun(&i, grads, state)` returns the state after step `i`, an `i32` scalar counted from 0.
    pub update_fun: Arc<UpdateFun<P, S>>,
    /// `get_params(&state)` returns the parameters.
    pub get_params: Arc<GetParams<P, S>>,
}

// By hand: a derived one would require `P` and `S` to be `Clone`.
impl<P: Tree, S: Tree> Clone for Optimizer<P, S> {
    fn clone(&self) -> Self {
        Optimizer {
            init_fun: self.init_fun.clone(),
            update_fun: self.update_fun.clone(),
            get_params: self.get_params.clone(),
        }
    }
}

/// A number that may change from step to step, such as a learning rate: a function of the step, counted from 0.
#[derive(Clone)]
pub struct Schedule(Arc<dyn Fn(&Array) -> Array + Send + Sync>);

impl Schedule {
    /// A custom schedule. The function takes the step as a floating scalar, and returns a scalar of its type.
    pub fn new(f: impl Fn(&Array) -> Array + Send + Sync + 'static) -> Self {
        Schedule(Arc::new(f))
    }

    /// The same number at every step.
    ///
    /// # Panics
    /// If it is not finite.
    #[track_caller]
    pub fn constant(x: f64) -> Self {
        expect("Schedule::constant", "x", x, x.is_finite(), "finite");
        Schedule::new(move |step| constant(x, step.dtype()))
    }

    /// `start * factor^(i / every)`.
    ///
    /// # Panics
    /// If `start` is not finite, `factor` is not positive, `every` is not positive, or the change in a step is not finite in
    /// `f32`.
    #[track_caller]
    pub fn exponential_decay(start: f64, every: f64, factor: f64) -> Self {
        let name = "Schedule::exponential_decay";
        expect(name, "start", start, start.is_finite(), "finite");
        expect_positive(name, "factor", factor);
        let slope = factor.ln() / every;
        expect_interval(name, every, slope);
        Schedule::new(move |step| (step * slope).exp() * start)
    }

    /// `start / (1 + factor * i / every)`.
    ///
    /// # Panics
    /// If `start` is not finite, `factor` is negative, `every` is not positive, or the change in a step is not finite in
    /// `f32`.
    #[track_caller]
    pub fn inverse_time_decay(start: f64, every: f64, factor: f64) -> Self {
        let name = "Schedule::inverse_time_decay";
        expect(name, "start", start, start.is_finite(), "finite");
        expect(name, "factor", factor, (0.0..f64::INFINITY).contains(&factor), "finite and at least 0");
        let slope = factor / every;
        expect_interval(name, every, slope);
        Schedule::new(move |step| start / (step * slope + 1.0))
    }

    /// From `start` at step 0 down half a cosine to `end` at step `n_step`, and `end` from there on.
    ///
    /// # Panics
    /// If `start` or `end` is not finite, or `n_step` is less than 1.
    #[track_caller]
    pub fn cosine_decay(start: f64, end: f64, n_step: f64) -> Self {
        let name = "Schedule::cosine_decay";
        expect(name, "start", start, start.is_finite(), "finite");
        expect(name, "end", end, end.is_finite(), "finite");
        expect(name, "n_step", n_step, (1.0..f64::INFINITY).contains(&n_step), "finite and at least 1");
        Schedule::new(move |step| {
            let share = (step * (1.0 / n_step)).minimum(1.0);
            ((share * std::f64::consts::PI).cos() + 1.0) * (0.5 * (start - end)) + end
        })
    }

    /// The number at step `i`, an `i32` scalar, as a scalar of this floating type.
    #[track_caller]
    pub fn at(&self, i: &Array, dtype: DType) -> Array {
        // A schedule's own closure would become the line that an error names.
        for_caller(|| (self.0)(&i.astype(dtype)))
    }
}

impl From<f64> for Schedule {
    #[track_caller]
    fn from(x: f64) -> Self {
        Schedule::constant(x)
    }
}
impl From<f32> for Schedule {
    /// The shortest decimal number that is `x` in `f32`, so that `1e-3f32` and `1e-3` are the same schedule for `f64`
    /// leaves.
    #[track_caller]
    fn from(x: f32) -> Self {
        Schedule::constant(x.to_string().parse().unwrap_or(f64::from(x)))
    }
}

/// Gradient descent: `x -= rate * g`.
#[track_caller]
pub fn sgd<P: Tree>(rate: impl Into<Schedule>) -> Optimizer<P, Sgd<P>> {
    let rate = rate.into();
    lift(|x| [x.clone()], move |i, g, [x]| [&x - rate.at(i, x.dtype()) * g])
}

/// The state of [`sgd`].
#[derive(Tree, Clone)]
pub struct Sgd<P: Tree> {
    /// The parameters.
    pub x: P,
}

/// Gradient descent with momentum (Polyak, 1964): `v = mass * v + g`, `x -= rate * v`.
///
/// # Panics
/// If `mass` is not finite.
#[track_caller]
pub fn momentum<P: Tree>(rate: impl Into<Schedule>, mass: f64) -> Optimizer<P, Momentum<P>> {
    expect("momentum", "mass", mass, mass.is_finite(), "finite");
    let rate = rate.into();
    lift(
        |x| [x.clone(), zeros_like(x)],
        move |i, g, [x, velocity]| {
            let velocity = velocity * mass + g;
            [&x - rate.at(i, x.dtype()) * &velocity, velocity]
        },
    )
}

/// The state of [`momentum`].
#[derive(Tree, Clone)]
pub struct Momentum<P: Tree> {
    /// The parameters.
    pub x: P,
    /// The decayed sum of gradients.
    pub velocity: P,
}

/// The decay rates of Adam's moments, and the term that keeps its root away from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root.
    pub epsilon: f64,
}

impl Default for Moments {
    /// The paper's 0.9, 0.999 and 1e-8.
    fn default() -> Self {
        Moments { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// Adam (Kingma and Ba, 2015, algorithm 1) with the paper's moments. With `t = i + 1`:
/// `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g²`,
/// `x -= rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)`.
#[track_caller]
pub fn adam<P: Tree>(rate: impl Into<Schedule>) -> Optimizer<P, Adam<P>> {
    adam_with(rate, Moments::default())
}

/// [`adam`] with custom moments.
///
/// # Panics
/// If a beta is not in `[0, 1)`, or `epsilon` is not positive.
#[track_caller]
pub fn adam_with<P: Tree>(rate: impl Into<Schedule>, moments: Moments) -> Optimizer<P, Adam<P>> {
    adamw_with(rate, 0.0, moments)
}

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019, algorithm 2):
/// `x -= rate * (Adam's update without the rate + decay * x)`.
///
/// # Panics
/// If `decay` is not finite.
#[track_caller]
pub fn adamw<P: Tree>(rate: impl Into<Schedule>, decay: f64) -> Optimizer<P, Adam<P>> {
    adamw_with(rate, decay, Moments::default())
}

/// [`adamw`] with custom moments.
///
/// # Panics
/// As [`adam_with`] and [`adamw`].
#[track_caller]
pub fn adamw_with<P: Tree>(rate: impl Into<Schedule>, decay: f64, moments: Moments) -> Optimizer<P, Adam<P>> {
    let rate = rate.into();
    let Moments { beta1, beta2, epsilon } = moments;
    for (name, beta) in [("beta1", beta1), ("beta2", beta2)] {
        expect("adam", name, beta, (0.0..1.0).contains(&beta), "at least 0 and less than 1");
    }
    expect_positive("adam", "epsilon", epsilon);
    expect("adam", "decay", decay, decay.is_finite(), "finite");
    lift(
        |x| [x.clone(), zeros_like(x), zeros_like(x)],
        move |i, g, [x, m, v]| {
            let rate = rate.at(i, x.dtype());
            // Incremented as a float: the integer may be the largest.
            let t = i.astype(x.dtype()) + 1.0;
            let m = m * beta1 + &g * (1.0 - beta1);
            let v = v * beta2 + &g * &g * (1.0 - beta2);
            let root = (&v / bias(beta2, &t)).sqrt() + epsilon;
            let mut step = &m * (&rate / bias(beta1, &t)) / root;
            if decay != 0.0 {
                step += &x * (rate * decay);
            }
            [x - step, m, v]
        },
    )
}

/// The state of [`adam`] and [`adamw`].
#[derive(Tree, Clone)]
pub struct Adam<P: Tree> {
    /// The parameters.
    pub x: P,
    /// The decayed mean of gradients.
    pub m: P,
    /// The decayed mean of squared gradients.
    pub v: P,
}

/// `1 - beta^t`, exact up to rounding: via `beta^t`, `1 - 0.999^t` loses four digits in `f32`.
//  1 - beta^t = -(e^(t ln beta) - 1), with ln beta from f64
#[track_caller]
fn bias(beta: f64, t: &Array) -> Array {
    -(t * beta.ln()).expm1()
}

/// Refuses a number that is invalid for an optimizer or a schedule.
#[track_caller]
fn expect(operation: &str, name: &str, x: f64, fits: bool, wanted: &str) {
    if !fits {
        reject(operation, format!("`{name}` is {x}, and must be {wanted}"), &[]);
    }
}

#[track_caller]
fn expect_positive(operation: &str, name: &str, x: f64) {
    expect(operation, name, x, x > 0.0 && x.is_finite(), "positive and finite");
}

/// A slope divided by `every` must be finite in `f32`, too: it is multiplied by step 0.
#[track_caller]
fn expect_interval(operation: &str, every: f64, slope: f64) {
    expect_positive(operation, "every", every);
    let advice = "finite: use a `factor` closer to 1, or a longer `every`";
    expect(operation, "change in a step", slope, (slope as f32).is_finite(), advice);
}

fn constant(x: f64, dtype: DType) -> Array {
    Array::scalar(Literal::from_f64(dtype, x))
}

/// A state that consists of a few trees like the parameters, starting with the parameters.
trait Slots<P, const N: usize>: Tree {
    fn pack(slots: [P; N]) -> Self;
    fn unpack(self) -> [P; N];
    fn params(&self) -> &P;
}

macro_rules! slots {
    ($state:ident $n:literal $($field:ident)*) => {
        impl<P: Tree> Slots<P, $n> for $state<P> {
            fn pack([$($field),*]: [P; $n]) -> Self { $state { $($field),* } }
            fn unpack(self) -> [P; $n] { [$(self.$field),*] }
            fn params(&self) -> &P { &self.x }
        }
    };
}
slots!(Sgd 1 x);
slots!(Momentum 2 x velocity);
slots!(Adam 3 x m v);

/// Refuses a parameter that is not floating: no step leads from one integer to the next.
#[track_caller]
fn require_floats(operation: &str, def: &TreeDef, leaves: &[Value]) {
    let Some(i) = leaves.iter().position(|leaf| !leaf.dtype().is_float()) else { return };
    let path = def.paths().swap_remove(i);
    let name = if path.is_empty() { "the parameter".to_string() } else { format!("the parameter {path}") };
    refuse(Error::Type(format!(
        "{operation}: {name} is {}, and has no gradient: convert it to a float type with `astype`, or keep it out of \
         the parameters",
        leaves[i].aval()
    )));
}

/// The optimizer of trees that applies these functions of one array to every leaf. Its functions have no line of a
/// caller, so errors in them name the line where the optimizer was made.
#[track_caller]
fn lift<P: Tree, S: Slots<P, N>, const N: usize>(
    init: impl Fn(&Array) -> [Array; N] + Send + Sync + 'static,
    update: impl Fn(&Array, Array, [Array; N]) -> [Array; N] + Send + Sync + 'static,
) -> Optimizer<P, S> {
    let made_at = Location::caller();
    let init_fun = move |params: P| {
        let (def, leaves) = params.into_leaves();
        require_floats("init_fun", &def, &leaves);
        let columns = transpose(leaves.into_iter().map(|leaf| init(&leaf.into())));
        S::pack(columns.map(|leaves| P::unflatten(&def, leaves)))
    };
    let update_fun = move |i: &Array, grads: P, state: S| {
        let (def, grads) = grads.into_leaves();
        let slots = state.unpack().map(|slot| {
            let (slot, leaves) = slot.into_leaves();
            if let Some(difference) = slot.first_difference(&def) {
                refuse(Error::Type(format!("update_fun: state and gradients differ {difference}")));
            }
            leaves
        });
        require_floats("update_fun", &def, &slots[0]);
        let mut slots = slots.map(Vec::into_iter);
        let paths = def.paths();
        let columns = transpose(grads.into_iter().zip(&paths).map(|(g, path)| {
            let leaf: [Array; N] =
                std::array::from_fn(|k| slots[k].next().expect("as many leaves as gradients").into());
            let (is, wanted) = (g.aval(), leaf[0].value().aval());
            if !is_alike(is, wanted) {
                let of = if path.is_empty() { String::new() } else { format!(" of {path}") };
                refuse(Error::Type(format!("update_fun: the gradient{of} is {is}, but its parameter is {wanted}")));
            }
            update(i, g.into(), leaf)
        }));
        S::pack(columns.map(|leaves| P::unflatten(&def, leaves)))
    };
    Optimizer {
        init_fun: Arc::new(move |params| with_maker(made_at, || init_fun(params))),
        update_fun: Arc::new(move |i, grads, state| with_maker(made_at, || update_fun(i, grads, state))),
        get_params: Arc::new(|state: &S| {
            let (def, leaves) = state.params().flatten();
            P::unflatten(&def, leaves)
        }),
    }
}

/// Whether two types are equal, by the facts in force.
fn is_alike(a: &Aval, b: &Aval) -> bool {
    a.dtype == b.dtype && a.rank() == b.rank() && a.shape.iter().zip(&b.shape).all(|(a, b)| same(a, b))
}

/// Rows of `N` arrays as `N` columns of leaves.
fn transpose<const N: usize>(rows: impl Iterator<Item = [Array; N]>) -> [Vec<Value>; N] {
    let mut columns = std::array::from_fn(|_| vec![]);
    for row in rows {
        for (column, array) in columns.iter_mut().zip(row) {
            column.push(array.into());
        }
    }
    columns
}

#[cfg(test)]
mod tests;
