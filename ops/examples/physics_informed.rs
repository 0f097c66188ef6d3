//! A physics-informed network: a network learns the solution of a differential equation from the equation alone.
//!
//! The equation is `u‴ = -cos x` with `u(0) = 0`, `u′(0) = 1` and `u″(0) = 0`; its solution is `sin x`. The loss holds third
//! derivatives of the network, by forward mode in forward mode in forward mode, and is itself differentiated in reverse.
//!
//! ```sh
//! cargo run --release -p gavotte --example physics_informed
//! ```
//!
//! Source: Raissi, Perdikaris and Karniadakis, *Physics-informed neural networks* (Journal of Computational Physics 378, 2019).

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use gavotte::optimizers::{Optimizer, adam};
use gavotte::random::Key;
use gavotte::{Array, DType, Tree, arange, jit, jvp, value_and_grad, vmap};

/// `u(x) = Σⱼ vⱼ tanh(wⱼ x + bⱼ)`
#[derive(Tree, Clone)]
struct Network {
    w: Array,
    b: Array,
    v: Array,
}

impl Network {
    fn new(key: Key, width: usize) -> Network {
        let [w, b, v] = key.split::<3>();
        let normal = |key: Key| key.normal([width], DType::F64);
        Network { w: normal(w), b: normal(b), v: normal(v) * 0.3 }
    }

    fn at(&self, x: Array) -> Array {
        (&self.v * (&self.w * x + &self.b).tanh()).sum(())
    }
}

/// The derivative of a function of one number, by forward mode.
fn derivative(f: impl Fn(Array) -> Array) -> impl Fn(Array) -> Array {
    move |x: Array| jvp(&|x: Array| f(x), (x,), (Array::scalar(1.0),)).1
}

/// The mean square of what is left of the equation, and of the three conditions at 0.
fn loss(network: Network, points: Array) -> Array {
    let u = |x: Array| network.at(x);
    let [first, second] = [derivative(u)(Array::scalar(0.0)) - 1.0, derivative(derivative(u))(Array::scalar(0.0))];
    let third = derivative(derivative(derivative(u)));
    let left = vmap(|x: Array| third(x.clone()) + x.cos(), [Some(0)])(points);
    let start = u(Array::scalar(0.0));
    (&left * &left).mean(()) + &start * &start + &first * &first + &second * &second
}

/// The points at which the equation is asked for: `n` from 0 to 3.
fn points(n: usize) -> Array {
    arange(n, DType::F64) * (3.0 / (n as f64 - 1.0))
}

/// Trains a network; gives it and its last loss.
fn train(steps: i32, report: impl Fn(i32, f64)) -> (Network, f64) {
    let Optimizer { init_fun, update_fun, get_params } = adam(0.01);
    let params = get_params.clone();
    let step = jit(move |i: Array, state, points: Array| {
        let (value, grads) = value_and_grad(loss)(params(&state), points);
        (update_fun(&i, grads, state), value)
    });
    let mut state = init_fun(Network::new(Key::new(1), 16));
    let mut last = f64::INFINITY;
    for i in 0..steps {
        let (next, value) = step(Array::scalar(i), state, points(24));
        (state, last) = (next, value.item::<f64>());
        report(i, last);
    }
    (get_params(&state), last)
}

fn main() {
    let (network, _) = train(3000, |i, loss| {
        if i % 500 == 0 {
            println!("step {i:5}  loss {loss:.2e}");
        }
    });
    println!("\n    x   network     sin x");
    for x in [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0f64] {
        println!("{x:5.1} {:9.5} {:9.5}", network.at(Array::scalar(x)).item::<f64>(), x.sin());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tanh‴ = -2 (1 - t²) (1 - 3 t²)` with `t = tanh`.
    fn third_of_tanh(x: f64) -> f64 {
        let t2 = x.tanh() * x.tanh();
        -2.0 * (1.0 - t2) * (1.0 - 3.0 * t2)
    }

    #[test]
    fn third_derivatives_are_right() {
        let tanh = derivative(derivative(derivative(|x: Array| x.tanh())));
        let compiled = jit(&tanh);
        let network = Network::new(Key::new(7), 5);
        let third = derivative(derivative(derivative(|x: Array| network.at(x))));
        let [w, b, v] = [&network.w, &network.b, &network.v].map(|leaf| leaf.to_vec::<f64>());
        for x in [-2.0, -0.3, 0.0, 0.7, 1.9] {
            let (found, wanted) = (tanh(Array::scalar(x)).item::<f64>(), third_of_tanh(x));
            assert!((found - wanted).abs() < 1e-13, "tanh‴({x}) = {found}, not {wanted}");
            let found = compiled(Array::scalar(x)).item::<f64>();
            assert!((found - wanted).abs() < 1e-13, "compiled: tanh‴({x}) = {found}, not {wanted}");
            let found = third(Array::scalar(x)).item::<f64>();
            let wanted: f64 = (0..w.len()).map(|j| v[j] * w[j].powi(3) * third_of_tanh(w[j] * x + b[j])).sum();
            assert!((found - wanted).abs() < 1e-12 * (1.0 + wanted.abs()), "u‴({x}) = {found}, not {wanted}");
        }
    }

    #[test]
    fn it_learns_the_sine() {
        let (network, loss) = train(1500, |_, _| {});
        assert!(loss < 1e-3, "the loss is {loss}");
        for x in [0.25, 1.0, 2.2, 2.9f64] {
            let found = network.at(Array::scalar(x)).item::<f64>();
            assert!((found - x.sin()).abs() < 0.05, "u({x}) = {found}, not {}", x.sin());
        }
    }
}
