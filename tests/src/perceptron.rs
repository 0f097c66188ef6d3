//! A multilayer perceptron and its training step, which benchmarks and tests share.

use gavotte::optimizers::{Adam, Optimizer, adam};
use gavotte::random::Key;
use gavotte::stax::{Affine, Layer, Mode, dense, relu, serial};
use gavotte::{Array, DType, nn, shape, value_and_grad};

/// The parameters of three dense layers, with nothing for the rectifiers between them.
pub type Params = (Affine, (), Affine, (), Affine);

/// Layers of these widths, from inputs to classes, with rectifiers between them.
pub fn layers([_, first, second, classes]: [usize; 4]) -> Layer<Params> {
    serial((dense(first), relu(), dense(second), relu(), dense(classes)))
}

/// One step of Adam on the mean cross-entropy: from `(i, state, x[batch, inputs], y[batch, classes])`, with `y`
/// one-hot, to the next state and the loss.
pub fn step(widths: [usize; 4]) -> impl Fn(Array, Adam<Params>, Array, Array) -> (Adam<Params>, Array) + 'static {
    let Layer { apply_fun, .. } = layers(widths);
    let Optimizer { update_fun, get_params, .. } = adam(1e-3);
    move |i: Array, state: Adam<Params>, x: Array, y: Array| {
        let apply = apply_fun.clone();
        let loss = move |params: Params, x: Array, y: Array| {
            let log_p = nn::log_softmax(&apply(&params, &x, Mode::Eval), -1);
            -(log_p * y).sum(1).mean(())
        };
        let (value, grads) = value_and_grad(loss)(get_params(&state), x, y);
        (update_fun(&i, grads, state), value)
    }
}

/// The state before the first step, a batch of normal inputs, and classes that count up.
pub fn start(widths: [usize; 4], batch: usize) -> (Adam<Params>, Array, Array) {
    let [key, data] = Key::new(0).split::<2>();
    let [inputs, .., classes] = widths;
    let params = (layers(widths).init_fun)(key, shape([batch, inputs])).1;
    let x = data.normal([batch, inputs], DType::F32);
    let ids = Array::new(&[batch], (0..batch).map(|i| (i % classes) as i32).collect());
    ((adam(1e-3).init_fun)(params), x, nn::one_hot(&ids, classes, DType::F32))
}
