//! Convolutions, reductions over windows, pooling and attention.

use super::{functions, positive, real};
use crate::functions::Operand::{Bools, Edges, Ints};
use gavotte::nn::{AttentionOptions, avg_pool, dot_product_attention, max_pool, min_pool, sum_pool};
use gavotte::*;

/// The options of a convolution with these borders.
fn bordered(padding: &[(i64, i64)]) -> ConvOptions {
    ConvOptions { padding: Padding::Explicit(padding.to_vec()), ..ConvOptions::default() }
}

/// `⌊x⌋`, which has equal elements, with derivative 1.
fn floor(x: &Array) -> Array {
    (x - x.stop_gradient()) + x.stop_gradient().floor()
}

fn window(strides: &[usize], padding: Padding, base: &[usize], window: &[usize]) -> WindowOptions {
    WindowOptions { strides: strides.to_vec(), padding, base_dilation: base.to_vec(), window_dilation: window.to_vec() }
}

functions! {
    smooth conv(x, w) = conv(x, w, &[1, 1], Padding::Same), [real(&[2, 5, 4, 3]), real(&[3, 3, 3, 2])],
        [real(&[2, 1, 3, 2]), real(&[2, 4, 2, 1])], [real(&[0, 4, 4, 2]), real(&[3, 3, 2, 2])],
        [real(&[2, 4, 4, 0]), real(&[3, 3, 0, 2])], [real(&[1, 4, 3, 2]), real(&[1, 1, 2, 3])],
        [Ints(-9, 9, &[1, 4, 3, 2]), Ints(-9, 9, &[2, 2, 2, 3])];
    smooth conv_line(x, w) = conv(x, w, &[2], Padding::Valid), [real(&[2, 8, 3]), real(&[3, 3, 4])],
        [real(&[2, 7, 1]), real(&[2, 1, 1])], [real(&[1, 3, 2]), real(&[5, 2, 3])], [real(&[3, 1, 2]), real(&[1, 2, 2])];
    smooth conv_space(x, w) = conv(x, w, &[2, 1, 2], Padding::Same), [real(&[1, 3, 4, 5, 2]), real(&[2, 3, 3, 2, 2])];
    smooth conv_no_space(x, w) = conv(x, w, &[], Padding::Valid), [real(&[3, 4]), real(&[4, 2])];
    smooth conv_long(x, w) = conv(x, w, &[1, 1], Padding::Same), [real(&[2, 9, 9, 16]), real(&[3, 3, 16, 17])];
    smooth conv_same_lower(x, w) = conv(x, w, &[2, 3], Padding::SameLower), [real(&[2, 7, 8, 2]), real(&[4, 2, 2, 2])];
    smooth conv_first(x, w) = conv_with(x, w, &ConvOptions {
        strides: vec![2, 1],
        layout: ConvLayout::ChannelsFirst,
        ..bordered(&[(1, 2), (0, 1)])
    }), [real(&[2, 3, 6, 5]), real(&[4, 3, 3, 2])];
    smooth conv_named(x, w) = conv_with(x, w, &ConvOptions {
        strides: vec![1, 2],
        layout: ConvLayout::Named("HCNW", "IWOH", "WNHC"),
        ..bordered(&[(3, 0), (1, 1)])
    }), [real(&[5, 3, 2, 6]), real(&[3, 3, 2, 2])];
    smooth conv_cut(x, w) = conv_with(x, w, &bordered(&[(-1, 2), (1, -2)])), [real(&[2, 6, 6, 2]), real(&[3, 2, 2, 3])];
    smooth conv_dilated(x, w) = conv_with(x, w, &ConvOptions {
        strides: vec![2, 3],
        base_dilation: vec![3, 2],
        window_dilation: vec![2, 3],
        ..bordered(&[(2, 1), (0, 5)])
    }), [real(&[2, 5, 6, 2]), real(&[3, 2, 2, 3])], [real(&[2, 1, 4, 2]), real(&[2, 3, 2, 1])],
        [real(&[2, 0, 4, 2]), real(&[2, 3, 2, 1])];
    smooth conv_grouped(x, w) = conv_with(x, w, &ConvOptions { feature_groups: 2, ..bordered(&[(1, 1), (0, 1)]) }),
        [real(&[2, 4, 5, 6]), real(&[3, 2, 3, 4])], [real(&[1, 3, 4, 2]), real(&[2, 2, 1, 2])];
    smooth conv_grouped_all(x, w) = conv_with(x, w, &ConvOptions {
        strides: vec![2, 1],
        base_dilation: vec![1, 2],
        window_dilation: vec![2, 1],
        feature_groups: 3,
        layout: ConvLayout::ChannelsFirst,
        ..bordered(&[(-1, 2), (2, 0)])
    }), [real(&[2, 6, 7, 5]), real(&[3, 2, 3, 2])];
    smooth conv_batches(x, w) = conv_with(x, w, &ConvOptions {
        strides: vec![2, 1],
        batch_groups: 2,
        ..bordered(&[(1, 0), (1, 1)])
    }), [real(&[4, 5, 4, 3]), real(&[2, 3, 3, 6])];
    smooth conv_transpose(x, w) = conv_transpose(x, w, &[2, 3], Padding::Same), [real(&[2, 3, 4, 2]), real(&[3, 2, 2, 3])],
        [real(&[2, 3, 4, 2]), real(&[2, 5, 2, 1])];
    smooth conv_transpose_valid(x, w) = conv_transpose(x, w, &[2, 3], Padding::Valid),
        [real(&[2, 3, 4, 2]), real(&[3, 2, 2, 3])], [real(&[1, 2, 1, 2]), real(&[1, 4, 2, 3])];
    smooth conv_transpose_all(x, w) = conv_transpose_with(x, w, &ConvOptions {
        strides: vec![2],
        window_dilation: vec![2],
        padding: Padding::Same,
        layout: ConvLayout::ChannelsFirst,
        ..ConvOptions::default()
    }), [real(&[2, 3, 4]), real(&[2, 3, 3])];
    smooth window_sum(x) = reduce_window(x, ReduceOp::Sum, &[2, 3], &WindowOptions::default()), [real(&[4, 5])],
        [real(&[1, 5])], [real(&[0, 5])], [Ints(-9, 9, &[3, 4])], [Edges(&[3, 12])];
    smooth window_sum_all(x) = reduce_window(x, ReduceOp::Sum, &[2, 3],
        &window(&[2, 1], Padding::Explicit(vec![(1, 2), (-1, 1)]), &[2, 3], &[3, 2])), [real(&[4, 5])];
    smooth window_max(x) = reduce_window(x, ReduceOp::Max, &[2, 3], &window(&[1, 2], Padding::Same, &[], &[])),
        [real(&[4, 5])], [Ints(-9, 9, &[4, 5])], [Edges(&[3, 12])], [real(&[3, 0])];
    smooth window_max_ties(x) = reduce_window(&floor(x), ReduceOp::Max, &[2, 3], &WindowOptions::default()),
        [real(&[5, 6])], [positive(&[5, 6])];
    smooth window_min_ties(x) = reduce_window(&floor(x), ReduceOp::Min, &[3, 2], &window(&[2, 2], Padding::Same, &[], &[])),
        [real(&[5, 6])];
    exact window_min(x) = reduce_window(x, ReduceOp::Min, &[2, 2],
        &window(&[1, 2], Padding::Explicit(vec![(1, 1), (0, 0)]), &[1, 2], &[2, 1])), [real(&[4, 5])], [Edges(&[3, 12])];
    exact window_any(x) = reduce_window(x, ReduceOp::Max, &[3], &WindowOptions::default()), [Bools(&[9])];
    exact window_all(x) = reduce_window(x, ReduceOp::Prod, &[3], &WindowOptions::default()), [Bools(&[9])];
    exact window_prod(x) = reduce_window(x, ReduceOp::Prod, &[3], &WindowOptions::default()), [real(&[9])],
        [Ints(-9, 9, &[7])];
    smooth max_pool(x) = max_pool(x, &[2, 2], &[2, 2], Padding::Valid), [real(&[2, 5, 6, 3])], [real(&[2, 4, 4, 1])];
    smooth max_pool_same(x) = max_pool(x, &[3, 3], &[2, 2], Padding::Same), [real(&[2, 5, 6, 3])];
    smooth min_pool(x) = min_pool(x, &[3], &[2], Padding::Explicit(vec![(1, 0)])), [real(&[2, 5, 3])];
    smooth sum_pool(x) = sum_pool(x, &[2, 3], &[], Padding::Same), [real(&[2, 5, 6, 3])];
    smooth avg_pool(x) = avg_pool(x, &[2, 3], &[2, 1], Padding::Same, true), [real(&[2, 5, 6, 3])], [real(&[2, 1, 1, 2])];
    smooth avg_pool_inside(x) = avg_pool(x, &[2, 3], &[2, 1], Padding::Same, false), [real(&[2, 5, 6, 3])];
    smooth attention(q, k, v) = dot_product_attention(q, k, v, &AttentionOptions::default()),
        [real(&[2, 3, 2, 4]), real(&[2, 5, 2, 4]), real(&[2, 5, 2, 4])], [real(&[3, 2, 4]), real(&[5, 2, 4]), real(&[5, 2, 4])];
    smooth attention_causal(q, k, v) = dot_product_attention(q, k, v,
        &AttentionOptions { is_causal: true, scale: Some(0.7), ..Default::default() }),
        [real(&[2, 4, 2, 3]), real(&[2, 5, 2, 3]), real(&[2, 5, 2, 3])], [real(&[1, 4, 1, 3]), real(&[1, 2, 1, 3]), real(&[1, 2, 1, 3])];
    smooth attention_shared(q, k, v, bias, mask) = dot_product_attention(q, k, v,
        &AttentionOptions { bias: Some(bias.clone()), mask: Some(mask.clone()), ..Default::default() }),
        [real(&[2, 3, 6, 4]), real(&[2, 5, 2, 4]), real(&[2, 5, 2, 4]), real(&[1, 6, 3, 5]), Bools(&[2, 1, 3, 5])];
}
