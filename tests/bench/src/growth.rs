//! Programs that grow: deep ones, and small ones whose steps read each other many times. Their first call should take
//! time proportional to their equations.

use gavotte::optimizers::{Optimizer, adam};
use gavotte::{Array, DType, Tree, concatenate, grad, jit, nn, ones, stack, value_and_grad};

/// A program by name: it is traced, compiled and run for a size, and returns a number.
pub struct Growing {
    /// Its name.
    pub name: &'static str,
    /// Sizes that double.
    pub sizes: &'static [usize],
    /// Traces, compiles and runs it.
    pub first_call: fn(usize) -> f32,
}

/// All programs.
pub static PROGRAMS: &[Growing] = &[
    Growing { name: "residual", sizes: &[50, 100, 200, 400], first_call: residual },
    Growing { name: "gpt", sizes: &[12, 24, 48], first_call: gpt },
    Growing { name: "heat", sizes: &[100, 200, 400], first_call: heat },
    Growing { name: "rotate", sizes: &[100, 200, 400], first_call: rotate },
    Growing { name: "take", sizes: &[150, 300, 600], first_call: take },
    Growing { name: "sum", sizes: &[750, 1500, 3000], first_call: sum },
    Growing { name: "chain", sizes: &[25_000, 50_000, 100_000], first_call: chain },
    Growing { name: "parts", sizes: &[500, 1000, 2000], first_call: parts },
    Growing { name: "totals", sizes: &[1000, 2000, 4000], first_call: totals },
    Growing { name: "results", sizes: &[1000, 2000, 4000], first_call: results },
];

/// Residual blocks of 16 features on 64 rows, with the gradient.
fn residual(n: usize) -> f32 {
    let w = Array::new(&[n, 16, 16], vec![0.01f32; n * 256]);
    let loss = move |w: Array, x: Array| {
        let block = |y: Array, i| &y + y.dot(&w.slice_axis(0, i..i + 1).reshape([16, 16])).tanh();
        let y = (0..n).fold(x, block);
        (&y * &y).mean(())
    };
    first(&jit(grad(loss))(w, Array::new(&[64, 16], vec![0.5f32; 1024])))
}

/// Steps of the heat equation on 64 points.
fn heat(n: usize) -> f32 {
    let step = |y: Array| {
        let p = y.pad(0f32, &[(1, 1)]);
        (p.slice_axis(0, 0usize..64) + p.slice_axis(0, 1usize..65) + p.slice_axis(0, 2usize..66)) * 0.25
    };
    first(&jit(move |x: Array| (0..n).fold(x, |y, _| step(y)))(ones([64usize], DType::F32)))
}

/// Four elements, rotated.
fn rotate(n: usize) -> f32 {
    let turn = |y: Array| concatenate(&[y.slice_axis(0, 1usize..4), y.slice_axis(0, 0usize..1)], 0);
    first(&jit(move |x: Array| (0..n).fold(x, |y, _| turn(y)))(Array::new(&[4], vec![1f32, 2., 3., 4.])))
}

/// Sums of elements and of other elements at given places.
fn take(n: usize) -> f32 {
    let step = |y: Array, i: &Array| (y.take(i, 0) + y) * 0.5;
    let x = Array::new(&[8], vec![1e-3f32; 8]);
    let i = Array::new(&[8], vec![1i32, 2, 3, 4, 5, 6, 7, 0]);
    first(&jit(move |x: Array, i: Array| (0..n).fold(x, |y, _| step(y, &i)))(x, i))
}

/// Elements that change by the sum of all.
fn sum(n: usize) -> f32 {
    let step = |y: Array| &y * 0.5 + y.sum(()) * 0.01;
    first(&jit(move |x: Array| (0..n).fold(x, |y, _| step(y)))(ones([8usize], DType::F32)))
}

/// One elementwise operation after another.
fn chain(n: usize) -> f32 {
    first(&jit(move |x: Array| (0..n / 2).fold(x, |y, _| (y * 1.01).tanh()))(Array::scalar(0.5f32)))
}

/// An array cut into its elements, each changed, and concatenated again.
fn parts(n: usize) -> f32 {
    let changed = move |x: Array| {
        let parts: Vec<Array> = (0..n).map(|i| x.slice_axis(0, i..i + 1).sin() * (i as f64)).collect();
        concatenate(&parts, 0)
    };
    first(&jit(changed)(ones([n], DType::F32)))
}

/// The running sums of the elements, one after another.
fn totals(n: usize) -> f32 {
    let totals = move |x: Array| {
        let step = |total: &mut Array, i: usize| {
            *total = &*total + x.index(i);
            Some(total.clone())
        };
        stack(&(0..n).scan(Array::scalar(0f32), step).collect::<Vec<_>>(), 0)
    };
    first(&jit(totals)(ones([n], DType::F32)))
}

/// The same number of arguments and results.
fn results(n: usize) -> f32 {
    let all = |xs: Vec<Array>| xs.iter().map(Array::sin).collect::<Vec<_>>();
    first(&jit(all)(vec![ones([8usize], DType::F32); n])[0])
}

fn first(array: &Array) -> f32 {
    array.to_vec::<f32>()[0]
}

const VOCABULARY: usize = 32;
const WIDTH: usize = 32;
const HEADS: usize = 4;
const LENGTH: usize = 16;

#[derive(Tree, Clone)]
struct Block {
    norms: [Array; 4],
    qkv: Array,
    out: Array,
    up: Array,
    up_bias: Array,
    down: Array,
    down_bias: Array,
}

#[derive(Tree, Clone)]
struct Gpt {
    tokens: Array,
    places: Array,
    blocks: Vec<Block>,
    norm: [Array; 2],
}

fn weights(shape: &[usize]) -> Array {
    let n: usize = shape.iter().product();
    Array::new(shape, (0..n).map(|i| ((i * 7919) % 2003) as f32 / 20_000.0 - 0.05).collect())
}

fn layer_norm(x: &Array, scale: &Array, shift: &Array) -> Array {
    let centred = x - x.mean(-1).expand_dims(-1);
    let variance = centred.square().mean(-1).expand_dims(-1);
    centred / (variance + 1e-5).sqrt() * scale + shift
}

fn attention(x: &Array, block: &Block) -> Array {
    let width = WIDTH / HEADS;
    let qkv = x.matmul(&block.qkv).reshape([LENGTH, 3, HEADS, width]).permute(&[1, 2, 0, 3]);
    let [q, k, v] = [0, 1, 2].map(|i| qkv.slice_axis(0, i..i + 1).reshape([HEADS, LENGTH, width]));
    let scores = q.matmul(&k.t()) * (1.0 / (width as f32).sqrt());
    let later = (0..LENGTH * LENGTH).map(|i| if i % LENGTH > i / LENGTH { -1e9 } else { 0.0 });
    let scores = scores + Array::new(&[LENGTH, LENGTH], later.collect::<Vec<f32>>());
    nn::softmax(&scores, -1).matmul(&v).permute(&[1, 0, 2]).reshape([LENGTH, WIDTH]).matmul(&block.out)
}

/// The loss of a transformer that predicts the next token of one sequence.
fn gpt_loss(model: Gpt, ids: Array, next: Array) -> Array {
    let x = model.blocks.iter().fold(model.tokens.take(&ids, 0) + &model.places, |x, block| {
        let [scale, shift, scale_2, shift_2] = &block.norms;
        let x = &x + attention(&layer_norm(&x, scale, shift), block);
        let hidden = nn::gelu(&(layer_norm(&x, scale_2, shift_2).matmul(&block.up) + &block.up_bias));
        x + hidden.matmul(&block.down) + &block.down_bias
    });
    let logits = layer_norm(&x, &model.norm[0], &model.norm[1]).matmul(&model.tokens.t());
    -(nn::log_softmax(&logits, -1) * nn::one_hot(&next, VOCABULARY, DType::F32)).sum(()) / LENGTH as f32
}

/// A transformer with this many blocks: loss, gradient, Adam.
fn gpt(n: usize) -> f32 {
    let norm = || [ones([WIDTH], DType::F32), gavotte::zeros([WIDTH], DType::F32)];
    let block = || {
        let ([a, b], [c, d]) = (norm(), norm());
        Block {
            norms: [a, b, c, d],
            qkv: weights(&[WIDTH, 3 * WIDTH]),
            out: weights(&[WIDTH, WIDTH]),
            up: weights(&[WIDTH, 4 * WIDTH]),
            up_bias: weights(&[4 * WIDTH]),
            down: weights(&[4 * WIDTH, WIDTH]),
            down_bias: weights(&[WIDTH]),
        }
    };
    let model = Gpt {
        tokens: weights(&[VOCABULARY, WIDTH]),
        places: weights(&[LENGTH, WIDTH]),
        blocks: (0..n).map(|_| block()).collect(),
        norm: norm(),
    };
    let Optimizer { init_fun, update_fun, get_params } = adam::<Gpt>(1e-3);
    let state = init_fun(model);
    let step = jit(move |i: Array, state, ids: Array, next: Array| {
        let (loss, grads) = value_and_grad(gpt_loss)(get_params(&state), ids, next);
        (loss, update_fun(&i, grads, state))
    });
    let ids =
        |shift: usize| Array::new(&[LENGTH], (0..LENGTH).map(|i| ((i * 5 + shift) % VOCABULARY) as i32).collect());
    first(&step(Array::scalar(0i32), state, ids(0), ids(5)).0)
}
