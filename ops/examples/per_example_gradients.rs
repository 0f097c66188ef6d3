//! Per-example gradients by `vmap(grad(f))`: the norm of each example's gradient, and a step that clips each to a bound, as
//! differentially private training does.
//!
//! ```sh
//! cargo run --release -p gavotte --example per_example_gradients
//! ```
//!
//! Source: Abadi et al., *Deep learning with differential privacy* (CCS 2016), algorithm 1 without the noise.

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use gavotte::random::Key;
use gavotte::{Array, DType, Tree, grad, jit, vmap, zeros};

/// A classifier of two layers.
#[derive(Tree, Clone)]
struct Params {
    w1: Array,
    b1: Array,
    w2: Array,
}

impl Params {
    fn new(key: Key) -> Params {
        let [w1, w2] = key.split();
        Params { w1: w1.normal([4, 8], DType::F32), b1: zeros([8], DType::F32), w2: w2.normal([8], DType::F32) }
    }
}

/// The logistic loss of one example: `x` is `f32[4]`, `y` is 1 or -1.
fn loss(params: Params, x: Array, y: Array) -> Array {
    let score = (x.dot(&params.w1) + &params.b1).tanh().dot(&params.w2);
    (-(score * y)).exp().log1p()
}

/// The gradient of every example: each leaf has the examples in front.
fn per_example(params: Params, x: Array, y: Array) -> Params {
    vmap(grad(loss), [None, Some(0), Some(0)])(params, x, y)
}

/// The norm of every example's gradient.
fn norms(grads: &Params) -> Array {
    let squares = |leaf: &Array| {
        let axes: Vec<isize> = (1..leaf.ndim() as isize).collect();
        (leaf * leaf).sum(&axes[..])
    };
    (squares(&grads.w1) + squares(&grads.b1) + squares(&grads.w2)).sqrt()
}

/// The mean of the gradients, each clipped to norm `bound`.
fn clipped(params: Params, x: Array, y: Array, bound: f64) -> Params {
    let grads = per_example(params, x, y);
    let scale = (bound / norms(&grads).maximum(1e-12)).minimum(1.0);
    let mean = |leaf: &Array| {
        let n = gavotte::dim_value(leaf.dim(0), DType::F32);
        vmap(|g: Array, s: Array| g * s, [Some(0), Some(0)])(leaf.clone(), scale.clone()).sum(0) / n
    };
    Params { w1: mean(&grads.w1), b1: mean(&grads.b1), w2: mean(&grads.w2) }
}

/// Examples whose class is the sign of the first feature plus half the second.
fn examples(key: Key, n: usize) -> (Array, Array) {
    let x = key.normal([n, 4], DType::F32);
    let rows = x.to_vec::<f32>();
    let y = rows.chunks(4).map(|row| if row[0] + 0.5 * row[1] > 0.0 { 1f32 } else { -1.0 }).collect();
    (x, Array::new(&[n], y))
}

/// Trains with clipped gradients; gives the parameters.
fn train(steps: usize, x: &Array, y: &Array) -> Params {
    let step = jit(|params: Params, x: Array, y: Array| {
        let grads = clipped(params.clone(), x, y, 0.5);
        params.zip_map(&grads, |w, g| (Array::from(w) - Array::from(g) * 0.5).into())
    });
    let mut params = Params::new(Key::new(1));
    for _ in 0..steps {
        params = step(params, x.clone(), y.clone());
    }
    params
}

fn accuracy(params: &Params, x: &Array, y: &Array) -> f32 {
    let hidden = (x.dot(&params.w1) + &params.b1).tanh();
    (hidden.dot(&params.w2) * y).gt(0.0).astype(DType::F32).mean(()).item()
}

fn main() {
    let (x, y) = examples(Key::new(0), 64);
    let start = Params::new(Key::new(1));
    let all = jit(per_example)(start.clone(), x.clone(), y.clone());
    let mut sorted = norms(&all).to_vec::<f32>();
    sorted.sort_by(f32::total_cmp);
    println!(
        "gradient norms of 64 examples: least {:.3}, median {:.3}, largest {:.3}",
        sorted[0], sorted[32], sorted[63]
    );
    println!("accuracy before {:.2}", accuracy(&start, &x, &y));
    println!("accuracy after 100 clipped steps {:.2}", accuracy(&train(100, &x, &y), &x, &y));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_a_loop() {
        let (x, y) = examples(Key::new(5), 7);
        let params = Params::new(Key::new(6));
        let all = jit(per_example)(params.clone(), x.clone(), y.clone());
        let (rows, classes) = (x.to_vec::<f32>(), y.to_vec::<f32>());
        for i in 0..7 {
            let row = Array::new(&[4], rows[4 * i..4 * i + 4].to_vec());
            let one = grad(loss)(params.clone(), row, Array::scalar(classes[i]));
            for ((path, all), (_, one)) in all.leaves_with_paths().into_iter().zip(one.leaves_with_paths()) {
                let (all, one) = (Array::from(all).to_vec::<f32>(), Array::from(one).to_vec::<f32>());
                let found = &all[i * one.len()..(i + 1) * one.len()];
                for (a, b) in found.iter().zip(&one) {
                    assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "example {i}, {path}: {found:?}, not {one:?}");
                }
            }
        }
    }

    #[test]
    fn no_example_counts_for_more_than_the_bound() {
        let (x, y) = examples(Key::new(8), 1);
        let one = clipped(Params::new(Key::new(9)), x, y, 0.01);
        let squares: f32 = one
            .leaves_with_paths()
            .into_iter()
            .flat_map(|(_, leaf)| Array::from(leaf).to_vec::<f32>())
            .map(|g| g * g)
            .sum();
        assert!((squares.sqrt() - 0.01).abs() < 1e-6, "the norm is {}", squares.sqrt());
    }

    #[test]
    fn clipped_steps_learn() {
        let (x, y) = examples(Key::new(0), 64);
        assert!(accuracy(&train(100, &x, &y), &x, &y) > 0.9);
    }
}
