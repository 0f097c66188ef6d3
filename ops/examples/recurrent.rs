//! A recurrent network by `scan`: it reads numbers one after the other and gives the running sum of the last two.
//!
//! The loop over time is one operation of the program, so a step compiles as fast for long sequences as for short ones,
//! and one compiled program serves every length.
//!
//! ```sh
//! cargo run --release -p gavotte --example recurrent
//! ```
//!
//! Source: Elman, *Finding structure in time* (Cognitive Science 14, 1990).

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use gavotte::optimizers::{Optimizer, adam};
use gavotte::random::Key;
use gavotte::{Array, DType, Dim, Tree, jit, scan, value_and_grad, vmap, zeros};

/// `h ← tanh(W h + u x + b)`, `y = v · h`
#[derive(Tree, Clone)]
struct Cell {
    w: Array,
    u: Array,
    b: Array,
    v: Array,
}

impl Cell {
    fn new(key: Key, width: usize) -> Cell {
        let [w, u, v] = key.split::<3>();
        let scale = 1.0 / (width as f64).sqrt();
        Cell {
            w: w.normal([width, width], DType::F32) * scale,
            u: u.normal([width], DType::F32),
            b: zeros([width], DType::F32),
            v: v.normal([width], DType::F32) * scale,
        }
    }

    /// What it says after each number of a sequence.
    fn read(&self, xs: Array) -> Array {
        let turn = |h: Array, x: Array| {
            let h = (self.w.dot(&h) + &self.u * x + &self.b).tanh();
            (h.clone(), self.v.dot(&h))
        };
        scan(turn, zeros([self.b.dim(0)], DType::F32), xs).1
    }
}

/// The mean squared error over a batch of sequences `f32[batch, time]`.
fn loss(cell: Cell, xs: Array, ys: Array) -> Array {
    let error = vmap(|xs: Array| cell.read(xs), [Some(0)])(xs) - ys;
    (&error * &error).mean(())
}

/// Random sequences, and for each number its sum with the one before.
fn batch(key: Key, n: usize, time: usize) -> (Array, Array) {
    let xs = key.uniform_range([n, time], -0.5, 0.5, DType::F32);
    let rows = xs.to_vec::<f32>();
    let before = |i: usize| if i.is_multiple_of(time) { 0.0 } else { rows[i - 1] };
    let ys = (0..rows.len()).map(|i| rows[i] + before(i)).collect();
    (xs, Array::new(&[n, time], ys))
}

/// Trains a cell; gives it and its losses.
fn train(steps: i32) -> (Cell, Vec<f32>) {
    let Optimizer { init_fun, update_fun, get_params } = adam(0.01);
    let params = get_params.clone();
    let step = jit(move |i: Array, state, xs: Array, ys: Array| {
        let (value, grads) = value_and_grad(loss)(params(&state), xs, ys);
        (update_fun(&i, grads, state), value)
    });
    let [key, mut data] = Key::new(0).split();
    let mut state = init_fun(Cell::new(key, 12));
    let mut losses = vec![];
    for i in 0..steps {
        let [now, next] = data.split();
        data = next;
        // One program for all lengths: time is a symbol.
        let (xs, ys) = batch(now, 16, 8 + i as usize % 5);
        let time = [Dim::from(16), Dim::from("t")];
        let (xs, ys) = (xs.declare(&time), ys.declare(&time));
        let (next, value) = step(Array::scalar(i), state, xs, ys);
        state = next;
        losses.push(value.item::<f32>());
    }
    assert_eq!(step.n_entry(), 1, "every length runs the same program");
    (get_params(&state), losses)
}

fn main() {
    let (cell, losses) = train(600);
    for (i, loss) in losses.iter().enumerate().step_by(100) {
        println!("step {i:4}  loss {loss:.5}");
    }
    let (xs, ys) = batch(Key::new(99), 1, 6);
    let found = cell.read(xs.reshape([6]));
    println!("\n   read   wanted    found");
    for ((x, y), found) in xs.to_vec::<f32>().iter().zip(ys.to_vec::<f32>()).zip(found.to_vec::<f32>()) {
        println!("{x:7.3} {y:8.3} {found:8.3}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scan_is_the_loop() {
        let cell = Cell::new(Key::new(3), 4);
        let (xs, _) = batch(Key::new(4), 1, 5);
        let mut h = zeros([4], DType::F32);
        let mut wanted = vec![];
        for x in xs.to_vec::<f32>() {
            h = (cell.w.dot(&h) + &cell.u * x + &cell.b).tanh();
            wanted.push(cell.v.dot(&h).item::<f32>());
        }
        let found = jit(|cell: Cell, xs: Array| cell.read(xs))(cell, xs.reshape([5])).to_vec::<f32>();
        for (a, b) in found.iter().zip(&wanted) {
            assert!((a - b).abs() < 1e-5, "{found:?}, not {wanted:?}");
        }
    }

    #[test]
    fn it_learns() {
        let (_, losses) = train(300);
        let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
        let (first, last) = (mean(&losses[..10]), mean(&losses[290..]));
        assert!(last < 0.05 * first, "from {first} to {last}");
    }
}
