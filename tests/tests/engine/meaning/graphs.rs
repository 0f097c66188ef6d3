//! Masks of graph networks: nodes that a loss excludes, and pairs of nodes that send no message.

use super::{check, floats, numbers};
use gavotte::random::Key;
use gavotte::stax::Mode;
use gavotte::{Array, grad, ones_like};
use gavotte_gat::attention::{AttentionOptions, coefficients, graph_attention};
use gavotte_gat::features::Features;
use gavotte_gat::graph::{Adjacency, Graph, Nodes};
use gavotte_gat::loss::masked_nll;

const INF: f32 = f32::INFINITY;

#[test]
fn a_loss_is_over_its_mask() {
    let log_probs = || Array::new(&[4, 2], vec![-0.5f32, -INF, -INF, -INF, -2.0, -0.25, f32::NAN, -1.0]);
    let (labels, mask) = (Array::new(&[4], vec![0, 1, 1, -1]), floats(&[1.0, 0.0, 1.0, 0.0]));
    let loss = |x: Array| masked_nll(&x, &Array::new(&[4], vec![0, 1, 1, -1]), &floats(&[1.0, 0.0, 1.0, 0.0]));
    check(loss, &log_probs(), &[0.375], 1e-6);
    let slope = |x: Array| grad(loss)(x);
    check(|x: Array| slope(x) + 0.0, &log_probs(), &[-0.5, 0.0, 0.0, 0.0, 0.0, -0.5, 0.0, 0.0], 1e-6);
    // A member whose own class has probability 0 has an infinite loss.
    assert_eq!(masked_nll(&log_probs(), &ones_like(&labels), &mask).item::<f32>(), INF);
}

/// Six edges into four nodes.
fn graph() -> Graph {
    Graph::new(&[0, 1, 2, 3, 0, 1], &[0, 0, 1, 1, 3, 3], 4).expect("it is a graph")
}

#[test]
fn a_matrix_masks_as_edges_do() {
    for scale in [1.0f32, 1e11, -1e11, 1e30] {
        let layer = graph_attention(2, AttentionOptions { bias: false, ..AttentionOptions::default() });
        let (_, mut head) = (layer.init_fun)(Key::new(1), gavotte::shape([4, 3]));
        head.w = Array::new(&[3, 2], vec![1f32, 0.0, 0.0, 1.0, 1.0, 1.0]);
        (head.a_src, head.a_dst) = (floats(&[scale, 0.0]), floats(&[0.0, scale]));
        let x = Array::new(&[4, 3], (0..12).map(|i| (i as f32 * 0.7).sin()).collect());
        let nodes = |adjacency| Nodes { x: Features::from(x.clone()), adjacency };
        let edges = nodes(graph().into());
        let dense = nodes(Adjacency::Dense { dense: graph().to_mask().expect("it is computed") });
        let by_edge = numbers(&coefficients(&head, &edges, 0.2));
        let matrix = numbers(&coefficients(&head, &dense, 0.2));
        for (edge, (receiver, sender)) in [(0, 0), (0, 1), (1, 2), (1, 3), (3, 0), (3, 1)].into_iter().enumerate() {
            let (a, b) = (by_edge[edge], matrix[receiver * 4 + sender]);
            assert!((a - b).abs() < 1e-6, "logits of {scale}: edge {edge} has {a}, the matrix {b}");
        }
        assert_eq!(matrix[8..12], [0.0; 4], "a node without messages");
        let through = |nodes: &Nodes| {
            let out = |w: Array| {
                let head = gavotte_gat::attention::Head { w, ..head.clone() };
                (layer.apply_fun)(&head, nodes, Mode::Eval).square().sum(())
            };
            numbers(&grad(out)(head.w.clone()))
        };
        for (a, b) in through(&edges).into_iter().zip(through(&dense)) {
            assert!((a - b).abs() <= 1e-4 * (1.0 + a.abs()), "gradients for logits of {scale}: {a} and {b}");
        }
    }
}
