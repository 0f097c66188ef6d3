//! Attention.

use super::softmax;
use crate::array::Array;
use crate::array_functions::floating;
use crate::contract::{Roles, dot_general};
use crate::generate::iota;
use crate::movement::reject;
use crate::operators::where_;
use gavotte_core::aval::{DType, Dim};
use gavotte_core::ir::same;
use gavotte_core::ir::structural::renamed;

/// How attention goes.
#[derive(Clone, Debug, Default)]
pub struct AttentionOptions {
    /// Added to the products of queries and keys; broadcast to `[batch, heads, queries, keys]`.
    pub bias: Option<Array>,
    /// Which keys each query sees, as `bool`; broadcast to `[batch, heads, queries, keys]`. A query that sees none sees
    /// the mean of all values.
    pub mask: Option<Array>,
    /// What products of queries and keys are multiplied by: by default one over the square root of their length.
    pub scale: Option<f64>,
    /// Whether query `i` sees only the keys up to `i`.
    pub is_causal: bool,
}

/// The mean of the values, weighted by the softmax over all keys of their products with each query.
///
/// Queries are `[batch, queries, heads, length]`; keys and values are `[batch, keys, heads, length]`, and the batch may be
/// missing from all. Keys and values may have fewer heads, which divide those of the queries: as many queries in a row
/// share each.
///
/// ```
/// use gavotte::{Array, nn::{AttentionOptions, dot_product_attention}};
/// let (q, k) = (Array::new(&[1, 2, 1, 1], vec![0.0f32, 0.0]), Array::new(&[1, 2, 1, 1], vec![1.0f32, 2.0]));
/// let v = Array::new(&[1, 2, 1, 1], vec![10.0f32, 20.0]);
/// let causal = AttentionOptions { is_causal: true, ..Default::default() };
/// assert_eq!(dot_product_attention(&q, &k, &v, &causal).to_vec::<f32>(), [10.0, 15.0]);
/// ```
///
/// # Panics
/// If the shapes do not fit, the elements are not of one floating type, or a mask is not `bool`.
///
/// Source: Vaswani et al., *Attention is all you need* (NeurIPS 2017), equation 1; JAX, `jax.nn.dot_product_attention`.
#[track_caller]
pub fn dot_product_attention(query: &Array, key: &Array, value: &Array, options: &AttentionOptions) -> Array {
    const NAME: &str = "dot_product_attention";
    let all = [query, key, value];
    floating(NAME, &all);
    let rank = query.ndim();
    if !(3..=4).contains(&rank) || all.iter().any(|x| x.ndim() != rank || x.dtype() != query.dtype()) {
        reject(NAME, "takes arrays of one type and rank: [batch, elements, heads, length], or without a batch", &all);
    }
    if rank == 3 {
        let [query, key, value] = all.map(|x| x.expand_dims(0));
        return dot_product_attention(&query, &key, &value, options).squeeze(0);
    }
    let fits = same(&query.dim(0), &key.dim(0)) && same(&query.dim(3), &key.dim(3));
    if !fits || !key.shape().iter().zip(value.shape()).take(3).all(|(a, b)| same(a, b)) {
        reject(NAME, "batches, lengths of queries and keys, or numbers of keys and values differ", &all);
    }
    let shared = key.dim(2);
    let Some(groups) = query.dim(2).div_exact(&shared) else {
        reject(NAME, format!("{} heads of queries cannot share {shared} heads of keys", query.dim(2)), &all)
    };
    // Equal extents get one name.
    let named = |x: &Array, last: Dim| Array(renamed(&x.0, &[query.dim(0), key.dim(1), shared.clone(), last]));
    let (key, value) = (named(key, query.dim(3)), named(value, value.dim(3)));
    let (t, s) = (query.dim(1), key.dim(1));
    let grouped = query.reshape([query.dim(0), t.clone(), shared, groups, query.dim(3)]);
    // [batch, shared heads, queries, groups, keys]
    let roles = Roles { batch: [vec![0, 2], vec![0, 2]], contract: [vec![4], vec![3]] };
    let products = Array(dot_general(&grouped.0, &key.0, &roles));
    let shape = [query.dim(0), query.dim(2), t.clone(), s.clone()];
    let mut logits = products.permute(&[0, 1, 3, 2, 4]).reshape(shape.clone());
    logits = match (options.scale, query.dim(3).as_usize()) {
        (Some(scale), _) => logits * scale,
        (None, Some(length)) => logits * (1.0 / (length as f64).sqrt()),
        (None, None) => logits / crate::dim_value(query.dim(3), query.dtype()).sqrt(),
    };
    if let Some(bias) = &options.bias {
        logits = &logits + bias.broadcast_to(shape.clone());
    }
    // So low that no weight is left, and finite, so that a query that sees nothing has no NaN.
    let low = -0.7 * if query.dtype() == DType::F32 { f64::from(f32::MAX) } else { f64::MAX };
    if let Some(mask) = &options.mask {
        if mask.dtype() != DType::Bool {
            reject(NAME, "the mask must be `bool`", &[mask]);
        }
        logits = where_(&mask.broadcast_to(shape.clone()), &logits, low);
    }
    if options.is_causal {
        let place = |axis: usize| iota([t.clone(), s.clone()], axis, DType::I32);
        logits = where_(&place(0).ge(place(1)).broadcast_to(shape), &logits, low);
    }
    let weights = softmax(&logits, -1);
    let (b, n, k) = (query.dim(0), query.dim(2), value.dim(2));
    // [batch, shared heads, groups, queries, keys] and [batch, keys, shared heads, length]
    let groups = n.div_exact(&k).expect("the shared heads divide them");
    let weights = weights.reshape([b.clone(), k, groups, t.clone(), s]);
    let roles = Roles { batch: [vec![0, 1], vec![0, 2]], contract: [vec![4], vec![1]] };
    let out = Array(dot_general(&weights.0, &value.0, &roles));
    out.permute(&[0, 3, 1, 2, 4]).reshape([b, t, n, value.dim(3)])
}
