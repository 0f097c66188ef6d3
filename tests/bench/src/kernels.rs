//! Kernels of a million elements, each as a compiled function on one thread and as a loop in Rust.

use crate::native;
use gavotte::random::Key;
use gavotte::{Array, DType, jit_with, nn};
use gavotte_core::runtime::Options;
use std::num::NonZeroUsize;

const ROWS: usize = 1024;
const WIDTH: usize = 1024;

/// A computation in two forms with the same results; each changes its array in place, or only reads it.
pub struct Kernel {
    /// Its name in the figures.
    pub name: &'static str,
    /// The number of elements that it goes through.
    pub elements: u64,
    /// Runs the compiled function.
    pub compiled: Box<dyn FnMut()>,
    /// Runs the loop.
    pub native: Box<dyn FnMut()>,
}

/// Options for this many threads.
pub fn options(threads: usize) -> Options {
    Options { threads: NonZeroUsize::new(threads).expect("at least one thread"), ..Options::default() }
}

fn start() -> Array {
    Key::new(0).normal([ROWS, WIDTH], DType::F32)
}

/// Panics if the two forms differ for the same array.
fn check(name: &str, found: &Array, wanted: &[f32]) {
    for (found, wanted) in found.to_vec::<f32>().iter().zip(wanted) {
        assert!((found - wanted).abs() <= 1e-5 * wanted.abs().max(1.0), "{name}: {found} is not {wanted}");
    }
}

/// A kernel that writes where it reads.
fn in_place(
    name: &'static str,
    compiled: impl Fn(Array) -> Array + Send + Sync + 'static,
    native: impl Fn(&mut [f32]) + 'static,
) -> Kernel {
    let (step, x) = (jit_with(compiled, options(1)), start());
    let mut own = x.to_vec::<f32>();
    native(&mut own);
    // The first call compiles; from then on the array is donated.
    let mut x = step(x);
    check(name, &x, &own);
    let compiled = move || x = step(std::mem::replace(&mut x, Array::scalar(0f32)));
    Kernel {
        name,
        elements: (ROWS * WIDTH) as u64,
        compiled: Box::new(compiled),
        native: Box::new(move || native(&mut own)),
    }
}

/// All kernels.
pub fn kernels() -> Vec<Kernel> {
    let chain = |x: Array| &x * (&x * &x * -0.5).exp() + 0.25;
    let [scale, shift] = [1, 2].map(|seed| Key::new(seed).normal([WIDTH], DType::F32));
    let [own_scale, own_shift] = [&scale, &shift].map(Array::to_vec::<f32>);
    vec![
        in_place("chain with exp", chain, native::chain),
        in_place("chain, exp of std", chain, native::chain_std),
        in_place("softmax of rows", |x: Array| nn::softmax(&x, -1), |x| native::softmax(x, WIDTH)),
        in_place(
            "layer norm of rows",
            move |x: Array| {
                let centred = &x - x.mean(-1).expand_dims(-1);
                let deviation = ((&centred * &centred).mean(-1) + 1e-5).sqrt();
                centred * (1.0 / deviation).expand_dims(-1) * &scale + &shift
            },
            move |x| native::layer_norm(x, &own_scale, &own_shift),
        ),
        row_sums(),
    ]
}

fn row_sums() -> Kernel {
    let name = "sums of rows";
    let (sums, x) = (jit_with(|x: Array| x.sum(-1), options(1)), start());
    let (own, mut own_sums) = (x.to_vec::<f32>(), vec![0.0; ROWS]);
    native::row_sums(&own, WIDTH, &mut own_sums);
    let found = sums(x.clone());
    for (found, wanted) in found.to_vec::<f32>().iter().zip(&own_sums) {
        assert!((found - wanted).abs() <= 1e-3, "{name}: {found} is not {wanted}");
    }
    Kernel {
        name,
        elements: (ROWS * WIDTH) as u64,
        compiled: Box::new(move || drop(sums(x.clone()))),
        native: Box::new(move || native::row_sums(&own, WIDTH, std::hint::black_box(&mut own_sums))),
    }
}
