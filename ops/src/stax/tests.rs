use super::*;
use crate::optimizers::{Optimizer, adam};
use crate::{DType, jit, nn, shape, value_and_grad};

fn grid(rows: usize, columns: usize) -> Array {
    Array::new(&[rows, columns], (0..rows * columns).map(|i| i as f32 * 0.1 - 0.3).collect())
}

#[test]
fn serial_is_one_layer_behind_the_other() {
    let layer = serial((dense(4), tanh(), dense(2)));
    let (out, params) = (layer.init_fun)(Key::new(3), shape([5, 3]));
    assert_eq!(out, shape([5, 2]));
    let x = grid(5, 3);
    let by_hand = (x.dot(&params.0.w) + &params.0.b).tanh().dot(&params.2.w) + &params.2.b;
    assert_eq!((layer.apply_fun)(&params, &x, Mode::Eval).to_vec::<f32>(), by_hand.to_vec::<f32>());
    let paths: Vec<String> = params.leaves_with_paths().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["0.w", "0.b", "2.w", "2.b"]);
}

#[test]
fn branches_join_by_sum_and_side_by_side() {
    let branches = || parallel((dense(3), identity()));
    let sum = serial((fan_out(2), branches(), fan_in_sum()));
    let (out, params) = (sum.init_fun)(Key::new(0), shape([4, 3]));
    let x = grid(4, 3);
    let dense_part = x.dot(&params.1.0.w);
    assert_eq!(out, shape([4, 3]));
    assert_eq!((sum.apply_fun)(&params, &x, Mode::Eval).to_vec::<f32>(), (&dense_part + &x).to_vec::<f32>());
    let joined = serial((fan_out(2), branches(), fan_in_concat(-1)));
    let (out, _) = (joined.init_fun)(Key::new(0), shape([4, 3]));
    let y = (joined.apply_fun)(&params, &x, Mode::Eval);
    assert_eq!((out, y.shape().clone()), (shape([4, 6]), shape([4, 6])));
    assert_eq!(y.slice_axis(1, 3..6).to_vec::<f32>(), x.to_vec::<f32>());
}

#[test]
fn a_residual_block_knows_the_width_of_its_input() {
    let block = shape_dependent(|shape: &Shape| {
        let width = shape[shape.len() - 1].as_usize().unwrap_or(0);
        serial((fan_out(2), parallel((serial((relu(), dense(width))), identity())), fan_in_sum()))
    });
    let (out, params) = (block.init_fun)(Key::new(1), shape([2, 5]));
    assert_eq!(out, shape([2, 5]));
    assert_eq!(*(block.apply_fun)(&params, &grid(2, 5), Mode::Eval).shape(), out);
}

#[test]
fn flatten_keeps_the_rows() {
    let layer = flatten();
    assert_eq!((layer.init_fun)(Key::new(0), shape([2, 3, 4])).0, shape([2, 12]));
    let x = grid(6, 4).reshape([2, 3, 4]);
    assert_eq!(*(layer.apply_fun)(&(), &x, Mode::Eval).shape(), shape([2, 12]));
}

#[test]
fn dropout_drops_its_rate_and_keeps_the_mean() {
    let x = Array::new(&[100, 100], vec![1f32; 10_000]);
    let y = dropout_of(&x, 0.6, Mode::Train(Key::new(5))).to_vec::<f32>();
    let dropped = y.iter().filter(|x| **x == 0.0).count();
    assert!((5_800..6_200).contains(&dropped), "{dropped} of 10000");
    assert!(y.iter().all(|x| *x == 0.0 || (*x - 2.5).abs() < 1e-6));
    assert_eq!(dropout_of(&x, 0.6, Mode::Eval).to_vec::<f32>(), x.to_vec::<f32>());
    let again = (dropout(0.6).apply_fun)(&(), &x, Mode::Train(Key::new(5)));
    assert_eq!(again.to_vec::<f32>(), y);
}

#[test]
fn modes_are_split_into_different_keys() {
    let x = grid(10, 10);
    let [a, b] = Mode::Train(Key::new(1)).split();
    assert_ne!(dropout_of(&x, 0.5, a).to_vec::<f32>(), dropout_of(&x, 0.5, b).to_vec::<f32>());
    assert!(Mode::Eval.split::<3>().into_iter().all(|mode| mode.key().is_none()));
}

#[test]
#[should_panic(expected = "probability to drop")]
fn a_rate_of_one_is_refused() {
    dropout(1.0);
}

#[test]
#[should_panic(expected = "2 layers need 2 inputs")]
fn parallel_counts_its_inputs() {
    let layer = serial((fan_out(3), parallel((relu(), tanh()))));
    (layer.init_fun)(Key::new(0), shape([1, 1]));
}

#[test]
fn an_mlp_learns_xor() {
    let x = Array::new(&[4, 2], vec![0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
    let labels = Array::new(&[4], vec![0, 1, 1, 0]);
    let Layer { init_fun, apply_fun } = serial((dense(8), tanh(), dense(2), log_softmax()));
    let (_, params) = init_fun(Key::new(0), shape([4, 2]));
    let apply = apply_fun.clone();
    let loss = move |params, x: Array, labels: Array| {
        let picked = apply(&params, &x, Mode::Eval) * nn::one_hot(&labels, 2, DType::F32);
        -picked.sum(()) / 4.0
    };
    let Optimizer { init_fun, update_fun, get_params } = adam(0.05);
    let (differentiated, params_of) = (value_and_grad(loss), get_params.clone());
    let step = jit(move |i: Array, state, x: Array, labels: Array| {
        let (value, grads) = differentiated(params_of(&state), x, labels);
        (update_fun(&i, grads, state), value)
    });
    let mut state = init_fun(params);
    let mut first = None;
    let mut last = f32::INFINITY;
    for i in 0..150 {
        let (next, value) = step(Array::scalar(i), state, x.clone(), labels.clone());
        state = next;
        last = value.item();
        first.get_or_insert(last);
    }
    assert!(first.is_some_and(|first| first > 0.4) && last < 0.02, "from {first:?} to {last}");
    let guess = apply_fun(&get_params(&state), &x, Mode::Eval).argmax(-1);
    assert_eq!(guess.to_vec::<i32>(), [0, 1, 1, 0]);
    assert_eq!(step.n_entry(), 1);
}
