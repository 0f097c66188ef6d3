//! Times convolutions and pools, forward and with gradients, as `bench/windows.py` does for JAX and PyTorch.
//!
//! ```sh
//! cargo run --release -p gavotte-bench --example windows -- 2
//! ```

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use gavotte::nn::{avg_pool, max_pool};
use gavotte::random::Key;
use gavotte::{Arg, Array, DType, Options, Padding, conv, grad_argnums, jit_with};
use std::num::NonZeroUsize;
use std::time::Instant;

/// The median time of a call in milliseconds.
fn median(call: impl Fn() -> Vec<Array>) -> f64 {
    let mut times: Vec<f64> = (0..18)
        .map(|_| {
            let start = Instant::now();
            let outs = call();
            outs.iter().for_each(|out| drop(out.to_host()));
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.drain(..3);
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let [x, w] = Key::new(0).split::<2>();
    let x = x.normal([32, 32, 32, 64], DType::F32);
    let w = w.normal([3, 3, 64, 64], DType::F32) * 0.05;
    let threads = std::env::args().nth(1).map_or(1, |text| text.parse().expect("a number of threads"));
    let threads = NonZeroUsize::new(threads).expect("at least one thread");
    let options = Options { threads, ..Options::default() };
    let same = |x: &Array, w: &Array| conv(x, w, &[1, 1], Padding::Same);
    let forward = jit_with(move |x: Array, w: Array| same(&x, &w), options.clone());
    println!("conv                {:.2} ms", median(|| vec![forward(x.clone(), w.clone())]));
    let loss = move |x: Array, w: Array| same(&x, &w).square().sum(());
    let both = jit_with(grad_argnums(loss, (Arg::<0>, Arg::<1>)), options.clone());
    println!("conv, gradient      {:.2} ms", median(|| <[Array; 2]>::from(both(x.clone(), w.clone())).into()));
    type Pool = fn(&Array) -> Array;
    let pools: [(&str, Pool); 2] = [
        ("max_pool", |x| max_pool(x, &[2, 2], &[2, 2], Padding::Valid)),
        ("avg_pool", |x| avg_pool(x, &[2, 2], &[2, 2], Padding::Valid, true)),
    ];
    for (name, pool) in pools {
        let forward = jit_with(move |x: Array| pool(&x), options.clone());
        println!("{name}            {:.2} ms", median(|| vec![forward(x.clone())]));
        let back = jit_with(gavotte::grad(move |x: Array| pool(&x).square().sum(())), options.clone());
        println!("{name}, gradient  {:.2} ms", median(|| vec![back(x.clone())]));
    }
}
