//! What convolutions, windows and attention refuse, and what they do where sizes are symbols or zero.

use gavotte::nn::{AttentionOptions, avg_pool, dot_product_attention, max_pool};
use gavotte::{
    Array, ConvLayout, ConvOptions, DType, Dim, Padding, ReduceOp, WindowOptions, arange, conv, conv_transpose,
    conv_with, grad, jit, reduce_window, zeros,
};
use gavotte_core::ir::quietly;

/// The error of a call, which must name this file.
#[track_caller]
fn refused<T>(f: impl Fn() -> T) -> String {
    let error = quietly(f).err().expect("it is refused").to_string();
    assert!(error.contains("windows.rs"), "{error}");
    error
}

#[test]
fn borders_that_cut_off_too_much_are_told_so() {
    let x = zeros([2, 5], DType::F32);
    let cut = |low, high, base| {
        let padding = Padding::Explicit(vec![(0, 0), (low, high)]);
        let options = WindowOptions { padding, base_dilation: vec![1, base], ..WindowOptions::default() };
        reduce_window(&x, ReduceOp::Sum, &[1, 1], &options)
    };
    for (low, high, base, places) in [(-3, -3, 1, 5), (-10, 4, 1, 5), (0, -10, 2, 9)] {
        let error = refused(|| cut(low, high, base));
        let says = format!(
            "reduce_window: the borders {low} and {high} cut more off axis 1 than there is: its {places} places"
        );
        assert!(error.contains(&says), "{error}");
    }
    assert_eq!(cut(-2, -3, 1).shape().as_slice(), [2, 0]);
    assert_eq!(cut(-6, 4, 1).shape().as_slice(), [2, 3]);
    let padding = Padding::Explicit(vec![(-4, -2)]);
    let options = ConvOptions { padding, ..ConvOptions::default() };
    let error = refused(|| conv_with(&zeros([2, 5, 4], DType::F32), &zeros([1, 4, 6], DType::F32), &options));
    assert!(
        error.contains("conv_with: the borders -4 and -2 cut more off axis 0 than there is: its 5 places"),
        "{error}"
    );
    let error = refused(|| x.pad(0f32, &[(0, 0), (usize::MAX, 0)]));
    assert!(error.contains("pad: axis 1: a border is too large"), "{error}");
}

#[test]
fn what_does_not_fit_is_told_why() {
    let x = zeros([2, 5, 4], DType::F32);
    let w = zeros([3, 4, 6], DType::F32);
    let with = |options: ConvOptions| refused(|| conv_with(&x, &w, &options));
    let same = |base_dilation| ConvOptions { padding: Padding::Same, base_dilation, ..ConvOptions::default() };
    let named = |a, b, c| ConvOptions { layout: ConvLayout::Named(a, b, c), ..ConvOptions::default() };
    for (error, part) in [
        (
            refused(|| conv(&x, &zeros([3, 3, 4, 6], DType::F32), &[1], Padding::Valid)),
            "conv: the ranks differ: 3 and 4",
        ),
        (
            refused(|| conv(&x, &zeros([3, 5, 6], DType::F32), &[1], Padding::Valid)),
            "4 channels, and the kernel takes 5",
        ),
        (refused(|| conv(&x, &w, &[1, 1], Padding::Valid)), "the strides [1, 1] must be 1 numbers"),
        (refused(|| conv(&x, &w, &[0], Padding::Valid)), "the strides [0] must be"),
        (refused(|| conv(&x, &w.astype(DType::F64), &[1], Padding::Valid)), "takes numbers of one type"),
        (
            refused(|| conv(&x, &zeros([0, 4, 6], DType::F32), &[1], Padding::Valid)),
            "axis 0 of the kernel has no element",
        ),
        (with(ConvOptions { feature_groups: 3, ..ConvOptions::default() }), "4 channels, and the kernel takes 12"),
        (with(ConvOptions { batch_groups: 4, ..ConvOptions::default() }), "axis 0 does not divide into 4 groups"),
        (
            with(ConvOptions { batch_groups: 2, feature_groups: 2, ..ConvOptions::default() }),
            "either channels or the batch",
        ),
        (with(same(vec![2])), "use `Padding::Explicit`"),
        (with(named("NWC", "WIX", "NWC")), "conv_with: the letters NWC, WIX, NWC"),
        (with(named("NWC", "WIO", "NCC")), "must each be one axis"),
        (with(ConvOptions { padding: Padding::Explicit(vec![]), ..ConvOptions::default() }), "0 borders for 1 axes"),
        (
            refused(|| conv_transpose(&x, &zeros([3, 5, 6], DType::F32), &[2], Padding::Same)),
            "conv_transpose: the input has",
        ),
        (refused(|| reduce_window(&x, ReduceOp::Max, &[2], &WindowOptions::default())), "must be 3 numbers"),
        (
            refused(|| reduce_window(&x.gt(0.0), ReduceOp::Sum, &[1, 2, 1], &WindowOptions::default())),
            "bools have no sum",
        ),
        (refused(|| max_pool(&x, &[2, 2, 2], &[1], Padding::Valid)), "max_pool: a window over 3 axes"),
        (refused(|| avg_pool(&x.astype(DType::I32), &[2], &[1], Padding::Valid, true)), "avg_pool: takes floats"),
    ] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
    let attention = |q: &Array, k: &Array, v: &Array, options| refused(|| dot_product_attention(q, k, v, &options));
    let [q, k] = [zeros([3, 4, 8], DType::F32), zeros([5, 3, 8], DType::F32)];
    let plain = AttentionOptions::default;
    let mask = Some(zeros([5], DType::F32));
    assert!(attention(&q, &k, &k, plain()).contains("4 heads of queries cannot share 3"));
    assert!(attention(&q, &q, &k, plain()).contains("numbers of keys and values differ"));
    assert!(attention(&q.flatten(), &q, &q, plain()).contains("takes arrays of one type and rank"));
    assert!(attention(&q, &q, &q, AttentionOptions { mask, ..plain() }).contains("the mask must be `bool`"));
}

#[test]
fn one_program_serves_every_batch_and_length() {
    let f = jit(grad(|x: Array, w: Array| conv(&x, &w, &[1], Padding::Same).square().sum(())));
    let w = arange(6, DType::F64).reshape([3, 1, 2]);
    for (n, length) in [(2, 5), (3, 4), (1, 3)] {
        let x = arange(n * length, DType::F64).reshape([n, length, 1]);
        let found = f(x.clone().declare([Dim::symbol("n"), Dim::symbol("l") + 3, 1.into()]), w.clone());
        let wanted = grad(|x: Array, w: Array| conv(&x, &w, &[1], Padding::Same).square().sum(()))(x, w.clone());
        assert_eq!(found.to_vec::<f64>(), wanted.to_vec::<f64>());
    }
    assert_eq!(f.n_entry(), 1);
    let halves = jit(|x: Array| max_pool(&x, &[2], &[2], Padding::Valid));
    for m in [1, 4] {
        let x = arange(2 * m, DType::F32).reshape([1, 2 * m, 1]).declare([1.into(), Dim::symbol("m") * 2, 1.into()]);
        let wanted: Vec<f32> = (0..m).map(|i| (2 * i + 1) as f32).collect();
        assert_eq!(halves(x).to_vec::<f32>(), wanted);
    }
    assert_eq!(halves.n_entry(), 1);
}

#[test]
fn an_extent_that_may_be_too_small_asks_for_a_fact() {
    let w = zeros([3, 1, 1], DType::F32);
    let x = zeros([1, 5, 1], DType::F32).declare([1.into(), Dim::symbol("n"), 1.into()]);
    let f = jit(|x: Array, w: Array| conv(&x, &w, &[1], Padding::Valid));
    let error = quietly(|| f(x.clone(), w.clone())).expect_err("it is refused").to_string();
    assert!(error.contains("assume(\"n >= 2\")"), "{error}");
    let steps = jit(|x: Array, w: Array| conv(&x, &w, &[2], Padding::Same));
    let error = quietly(|| steps(x.clone(), w.clone())).expect_err("it is refused").to_string();
    assert!(error.contains("declare it as a multiple, such as 2*k"), "{error}");
}

#[test]
fn nothing_in_is_nothing_out() {
    let w = zeros([3, 2, 4], DType::F32);
    for shape in [[0, 5, 2], [2, 2, 2], [2, 0, 2]] {
        let x = zeros(shape, DType::F32);
        let out = conv(&x, &w, &[1], Padding::Valid);
        assert_eq!(out.to_vec::<f32>(), Vec::<f32>::new());
        let back = grad(|w: Array| conv(&x, &w, &[1], Padding::Valid).sum(()))(w.clone());
        assert_eq!(back.to_vec::<f32>(), vec![0.0; 24]);
    }
    let lost = reduce_window(&zeros([2], DType::F32), ReduceOp::Max, &[3], &WindowOptions::default());
    assert_eq!(lost.to_vec::<f32>(), Vec::<f32>::new());
}

#[test]
fn infinities_and_nan_stay_in_their_windows() {
    let x = Array::from([1.0, f64::NAN, 2.0, f64::INFINITY, 3.0]);
    let of = |op| reduce_window(&x, op, &[1], &WindowOptions::default()).to_vec::<f64>();
    assert_eq!(of(ReduceOp::Max)[3], f64::INFINITY);
    let pairs = reduce_window(&x, ReduceOp::Max, &[2], &WindowOptions::default()).to_vec::<f64>();
    assert!(pairs[0].is_nan() && pairs[1].is_nan());
    assert_eq!(pairs[2..], [f64::INFINITY; 2]);
    // A query that sees no key sees the mean of all values.
    let v = Array::new(&[1, 2, 1, 1], vec![1.0f32, 3.0]);
    let mask = Array::new(&[1, 1, 2, 2], vec![false, false, false, true]);
    let out = dot_product_attention(&v, &v, &v, &AttentionOptions { mask: Some(mask), ..Default::default() });
    assert_eq!(out.to_vec::<f32>(), [2.0, 3.0]);
}
