//! Graph attention (Velickovic, Cucurull, Casanova, Romero, Lio and Bengio: Graph Attention Networks, ICLR 2018,
//! arXiv:1710.10903).
//!
//! A layer takes features `x` of nodes and returns new ones. For one head, with `h = x W`:
//!
//! | here | in the paper |
//! | --- | --- |
//! | `e[j -> i] = leaky_relu(a_src . h[j] + a_dst . h[i])` | equations 1 and 3; `a = [a_dst, a_src]` |
//! | `alpha[j -> i] = exp(e[j -> i]) / sum over k -> i of exp(e[k -> i])` | equations 2 and 3 |
//! | `out[i] = sum over j -> i of alpha[j -> i] h[j] + bias` | equation 4, without its nonlinearity |
//! | [`Join::Concat`] | equation 5 |
//! | [`Join::Mean`] | equation 6 |
//!
//! The product of `a` with the joined features of both ends is a sum of two terms, one for each end: they are computed
//! once for each node, and no array of edges times twice the features appears.

use crate::graph::{Adjacency, Nodes};
use gavotte::random::Key;
use gavotte::stax::{Layer, Mode, Signal, dropout_of};
use gavotte::{Array, Aval, DType, Shape, Tree, init, nn, vmap_axes, zeros};
use std::sync::OnceLock;

/// The parameters of one head, from `F` features to `D`.
#[derive(Tree, Clone)]
pub struct Head {
    /// Projects features: `f[F, D]`.
    pub w: Array,
    /// The source's half of the attention vector: `f[D]`.
    pub a_src: Array,
    /// The receiver's half of the attention vector: `f[D]`.
    pub a_dst: Array,
    /// Added to the sum of messages: `f[D]`.
    pub bias: Option<Array>,
    /// Projects the input onto the output, beside the attention: `f[F, D]`.
    pub residual: Option<Array>,
}

/// The options of an attention head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionOptions {
    /// In training, the probability to drop an attention coefficient.
    pub rate: f64,
    /// The slope of the leaky ReLU below 0.
    pub slope: f64,
    /// Whether a bias is added.
    pub bias: bool,
    /// Whether a projection of the input is added.
    pub residual: bool,
    /// The type of the parameters: `f32` or `f64`.
    pub dtype: DType,
}

impl Default for AttentionOptions {
    /// No dropout, slope 0.2, a bias, no residual, `f32`.
    fn default() -> Self {
        AttentionOptions { rate: 0.0, slope: 0.2, bias: true, residual: false, dtype: DType::F32 }
    }
}

/// One attention head, from `f[n, F]` to `f[n, dim]`. See the [module](self) for what it computes.
///
/// Projections are drawn from the uniform distribution of Glorot and Bengio (2010) over `[F, dim]`, attention vectors
/// over `[dim, 1]`, as in the authors' program; biases are 0. So the parameters of a head do not depend on how many
/// other heads there are. Dropout on the input is the caller's: see [`gat`](crate::model::gat).
///
/// # Panics
/// When initialised, if the number of features is a symbol.
pub fn graph_attention(dim: usize, options: AttentionOptions) -> Layer<Head, Nodes> {
    Layer::new(
        move |key: Key, mut shape: Shape| {
            let width = shape.last().and_then(|width| width.as_usize());
            let Some(width) = width else {
                panic!("graph_attention: the number of features must be a number: the input's shape is {shape:?}")
            };
            let [w, a_src, a_dst, residual] = key.split();
            let glorot = |key, rows, columns| init::glorot_uniform(key, [rows, columns], options.dtype);
            let head = Head {
                w: glorot(w, width, dim),
                a_src: glorot(a_src, dim, 1).reshape([dim]),
                a_dst: glorot(a_dst, dim, 1).reshape([dim]),
                bias: options.bias.then(|| zeros([dim], options.dtype)),
                residual: options.residual.then(|| glorot(residual, width, dim)),
            };
            let last = shape.len() - 1;
            shape[last] = dim.into();
            (shape, head)
        },
        move |head: &Head, nodes: &Nodes, mode| attend(head, nodes, options, mode),
    )
}

#[track_caller]
fn attend(head: &Head, nodes: &Nodes, options: AttentionOptions, mode: Mode) -> Array {
    let h = nodes.x.dot(&head.w);
    let alpha = dropout_of(&weigh(head, &h, &nodes.adjacency, options.slope), options.rate, mode);
    let mut out = match &nodes.adjacency {
        // `Array::weigh` lets the sum skip rows whose coefficient dropout has set to 0.
        Adjacency::Edges { edges } => edges.receivers.sum(&alpha.expand_dims(-1).weigh(&edges.senders.gather(&h))),
        Adjacency::Dense { .. } => alpha.dot(&h),
    };
    if let Some(residual) = &head.residual {
        out += nodes.x.dot(residual);
    }
    match &head.bias {
        Some(bias) => out + bias,
        None => out,
    }
}

/// The attention coefficients of a head, which sum to 1 over the messages that a node receives: `f[e]` for a list of
/// edges, `f[n, n]` for a matrix, where a node without messages has a row of zeros.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn coefficients(head: &Head, nodes: &Nodes, slope: f64) -> Array {
    weigh(head, &nodes.x.dot(&head.w), &nodes.adjacency, slope)
}

#[track_caller]
fn weigh(head: &Head, h: &Array, adjacency: &Adjacency, slope: f64) -> Array {
    let (sent, received) = ((h * &head.a_src).sum(-1), (h * &head.a_dst).sum(-1));
    match adjacency {
        Adjacency::Edges { edges } => {
            let logits = edges.senders.gather(&sent) + edges.receivers.gather(&received);
            edges.receivers.softmax(&nn::leaky_relu(&logits, slope))
        }
        Adjacency::Dense { dense: mask } => {
            let logits = nn::leaky_relu(&(sent.expand_dims(0) + received.expand_dims(1)), slope);
            // A row of nothing but -∞ has no softmax: where no message arrives, zeros replace it, and the second mask
            // removes them.
            let receives = mask.astype(DType::I32).max(-1).gt(0);
            let fill = receives.select(f64::NEG_INFINITY, zeros(Shape::new(), logits.dtype()));
            let masked = mask.select(&logits, fill.expand_dims(-1));
            mask.select(nn::softmax(&masked, -1), 0.0)
        }
    }
}

/// How the outputs of several heads become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Join {
    /// Side by side: head `k` of width `D` is columns `k * D` to `(k + 1) * D`.
    Concat,
    /// Their mean.
    Mean,
}

/// `n` copies of a layer, each with its own parameters, whose outputs are joined.
///
/// `vmap` maps initialisation and application of the one layer. Every parameter is stacked along a head axis before its
/// last axis (`w` is `f[F, n, D]`, `a_src` is `f[n, D]`), and so is the output before it is joined (`f[rows, n, D]`).
/// So the values of all heads are contiguous, and gathers and sums over rows move whole rows of all heads at once. In
/// training each head has its own key.
///
/// # Panics
/// When used, if a parameter is a scalar.
pub fn multi_head<P, X>(n: usize, layer: Layer<P, X>, join: Join) -> Layer<P, X>
where
    P: Tree + 'static,
    X: Signal<Shape = Shape> + Tree + Clone + 'static,
{
    let Layer { init_fun, apply_fun } = layer;
    Layer::new(
        move |key: Key, shape: Shape| {
            let one = OnceLock::new();
            let init = |key: Array| {
                let (out, params) = init_fun(Key::from_array(key), shape.clone());
                let _ = one.set(out);
                params
            };
            let params = vmap_axes(init, |_, _| Some(0), before_last)(key.split_array(n));
            let mut out: Shape = one.into_inner().unwrap_or_default();
            if let (Join::Concat, Some(width)) = (join, out.last_mut()) {
                *width = &*width * n;
            }
            (out, params)
        },
        move |params: &P, x: &X, mode| {
            let keys = mode.key().map(|key| key.split_array(n));
            let apply = apply_fun.clone();
            let one = move |params: P, key: Option<Array>, x: X| {
                let mode = key.map_or(Mode::Eval, |key| Mode::Train(Key::from_array(key)));
                apply(&params, &x, mode)
            };
            let place = |argument, aval: &Aval| (argument < 2).then(|| aval.rank() - 2);
            let out = vmap_axes(one, place, before_last)(copy(params), keys, x.clone());
            match join {
                Join::Mean => out.mean(-2),
                Join::Concat => {
                    let mut shape = out.shape().clone();
                    let width = shape.pop().expect("the head axis stands before the last one");
                    let last = shape.len() - 1;
                    shape[last] = width * n;
                    out.reshape(shape)
                }
            }
        },
    )
}

/// The place of the head axis: before the last axis.
#[track_caller]
fn before_last(aval: &Aval) -> usize {
    aval.rank().checked_sub(1).expect("multi_head: parameters and outputs need at least one axis")
}

/// A copy of the tree that shares its arrays.
fn copy<T: Tree>(tree: &T) -> T {
    let (def, leaves) = tree.flatten();
    T::unflatten(&def, leaves)
}
