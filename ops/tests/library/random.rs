//! Keys and samplers beyond what the golden values cover.

use gavotte::random::{Key, KeyRng};
use gavotte::{Array, DType, Dim, init};
use gavotte_core::aval::{Aval, Sizes};
use gavotte_core::ir::{Value, evaluate, quietly, trace};
use gavotte_core::transform::vmap;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

fn words(key: Key) -> Vec<u32> {
    key.into_array().to_vec()
}

fn moments(xs: &[f64]) -> (f64, f64) {
    let mean = xs.iter().sum::<f64>() / xs.len() as f64;
    (mean, xs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / xs.len() as f64)
}

#[test]
fn a_draw_that_is_too_large_is_told_so() {
    let key = || Key::new(0);
    let draws: [(&dyn Fn() -> Array, &str); 5] = [
        (&|| key().bits([1u64 << 63].map(|n| n as usize)), "a draw of 2⁶³ or more elements"),
        (
            &|| key().uniform([1usize << 31, 1 << 32], DType::F32),
            "a draw of 2⁶³ or more elements, of shape [2147483648, ",
        ),
        (&|| key().uniform([1usize << 62, 2], DType::F64), "a draw of 2⁶³ or more elements"),
        (&|| key().bernoulli_pairs(0.5, [1usize << 62, 2]), "a draw of 2⁶³ or more elements"),
        (
            &|| key().bits([1usize << 33]),
            "a draw of 8589934592 elements, of shape [8589934592]: at most 2³² fit one key",
        ),
    ];
    for (draw, says) in draws {
        let error = quietly(draw).expect_err(says).to_string();
        assert!(error.contains(says) && !error.contains("assume"), "{error}, not {says}");
        assert!(error.contains("\n  at ") && error.contains("random.rs"), "{error}");
    }
}

#[test]
fn ways_to_split_agree() {
    let [a, b, c] = Key::new(7).split();
    let many: Vec<Vec<u32>> = Key::new(7).split_into(3).into_iter().map(words).collect();
    let array = Key::new(7).split_array(3).to_vec::<u32>();
    assert_eq!([words(a), words(b), words(c)].concat(), array);
    assert_eq!(many.concat(), array);
    assert_ne!(words(Key::new(7).fold_in(0u32)), words(Key::new(7).fold_in(1u32)));
    assert_eq!(words(Key::new(7).fold_in(5u32)), words(Key::new(7).fold_in(Array::scalar(5i32))));
    assert_eq!(words(Key::new(1 << 32 | 3)), [1, 3]);
}

#[test]
fn a_draw_is_the_start_of_a_longer_one() {
    let long = Key::new(3).uniform([100], DType::F64).to_vec::<f64>();
    assert_eq!(Key::new(3).uniform([5, 4], DType::F64).to_vec::<f64>(), long[..20]);
}

#[test]
fn traced_keys_draw_the_same() {
    let n = Dim::symbol("n");
    let avals = [Aval::new(DType::U32, [2]), Aval::new(DType::F32, [n.clone(), 3.into()])];
    let draw = |key: Key, shape: &[Dim]| {
        let [a, b] = key.split();
        a.normal(shape.to_vec(), DType::F32) + b.fold_in(2u32).uniform(shape.to_vec(), DType::F32)
    };
    let traced = trace("draw", &avals, |ins| vec![draw(Key::from_array((&ins[0]).into()), ins[1].shape()).into()]);
    let mut sizes = Sizes::new();
    sizes.set(n.as_symbol().expect("a symbol").clone(), 4).expect("one size");
    let host = |array: Array| array.to_host().expect("computed");
    let args = [host(Key::new(11).into_array()), host(gavotte::zeros([4, 3], DType::F32))];
    let found = evaluate(&traced.program, &args, &[], &sizes);
    let expected = draw(Key::new(11), &[4.into(), 3.into()]);
    assert_eq!(found[0].as_slice::<f32>(), expected.to_vec::<f32>());
}

#[test]
fn a_map_over_keys_draws_from_each() {
    let avals = [Aval::new(DType::U32, [2])];
    let traced = trace("f", &avals, |ins| {
        let [a, b] = Key::from_array((&ins[0]).into()).split();
        vec![a.bits([3]).into(), b.bits([0usize; 0]).into(), words_of(b_key(&ins[0]))]
    });
    let keys = Key::new(5).split_array(4);
    let outs = vmap(&traced.program, &traced.consts, &[(keys.value().clone(), Some(0))], &4.into());
    let array = |i: usize| {
        let (value, axis) = &outs[i];
        Array::from(gavotte_core::ir::structural::move_axis(value, axis.expect("batched"), 0)).to_vec::<u32>()
    };
    let [bits, scalars, children] = [array(0), array(1), array(2)];
    for (i, key) in Key::new(5).split_into(4).into_iter().enumerate() {
        let copy = words(key);
        let again = || Key::from_array(Array::new(&[2], copy.clone()));
        let [a, b] = again().split();
        assert_eq!(a.bits([3]).to_vec::<u32>(), bits[3 * i..][..3]);
        assert_eq!(b.bits([0usize; 0]).item::<u32>(), scalars[i]);
        assert_eq!(words(again().fold_in(9u32)), children[2 * i..][..2]);
    }
}

fn b_key(words: &Value) -> Key {
    Key::from_array(words.into()).fold_in(9u32)
}

fn words_of(key: Key) -> Value {
    key.into_array().into()
}

#[test]
fn doubles_are_uniform_and_normal() {
    let uniform = Key::new(0).uniform([20_000], DType::F64).to_vec::<f64>();
    assert!(uniform.iter().all(|x| (0.0..1.0).contains(x)));
    // Standard errors: √(1/12/20000) = 0.002 and about 0.0005.
    let (mean, variance) = moments(&uniform);
    assert!((mean - 0.5).abs() < 0.01 && (variance - 1.0 / 12.0).abs() < 0.003, "{mean} {variance}");
    // More bits than the 23 of an f32.
    assert!(uniform.iter().any(|x| (x * 2f64.powi(24)).fract() != 0.0));
    let (mean, variance) = moments(&Key::new(1).normal([20_000], DType::F64).to_vec::<f64>());
    assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    let cut = Key::new(2).truncated_normal([2000], -1.0, 0.5, DType::F64).to_vec::<f64>();
    assert!(cut.iter().all(|x| (-1.0..0.5).contains(x)));
    let range = Key::new(2).uniform_range([2000], -3.0, 7.0, DType::F64).to_vec::<f64>();
    assert!(range.iter().all(|x| (-3.0..7.0).contains(x)) && range.iter().any(|x| *x > 6.5));
}

#[test]
fn integers_stay_in_their_range() {
    let draws = Key::new(4).randint([2000], -3, 4).to_vec::<i32>();
    assert!((-3..4).all(|x| draws.contains(&x)) && draws.iter().all(|x| (-3..4).contains(x)));
    assert_eq!(Key::new(4).randint([2], 5, 5).to_vec::<i32>(), [5, 5]);
    let wide = Key::new(4).randint([2000], i32::MIN, i32::MAX).to_vec::<i32>();
    assert!(wide.iter().any(|x| *x < -1_000_000_000) && wide.iter().any(|x| *x > 1_000_000_000));
}

#[test]
fn permutations_hold_every_number_once() {
    for n in [0, 1, 2, 1000] {
        let mut order = Key::new(9).permutation(n).to_vec::<i32>();
        order.sort_unstable();
        assert!(order.into_iter().eq(0..n as i32));
    }
    let refused =
        quietly(|| trace("f", &[Aval::new(DType::U32, [2])], |ins| vec![b_key(&ins[0]).permutation(3).into()]));
    assert!(refused.expect_err("traced").to_string().contains("call it outside the traced function"));
}

#[test]
fn initialisers_have_their_variance() {
    type Init = fn(Key, [usize; 2], DType) -> Array;
    let all: [(Init, f64); 4] = [
        (init::glorot_uniform, 2.0 / 300.0),
        (init::glorot_normal, 2.0 / 300.0),
        (init::he_uniform, 2.0 / 200.0),
        (init::he_normal, 2.0 / 200.0),
    ];
    for (f, expected) in all {
        let (mean, variance) = moments(&f(Key::new(6), [200, 100], DType::F64).to_vec::<f64>());
        assert!(mean.abs() < 0.003 && (variance / expected - 1.0).abs() < 0.05, "{mean}, {variance}, not {expected}");
    }
    let deviation = init::normal(0.5)(Key::new(6), [Dim::from(10_000)].into_iter().collect(), DType::F64);
    assert!((moments(&deviation.to_vec::<f64>()).1 - 0.25).abs() < 0.02);
    // The windows of a convolution count for both fans.
    let window = init::he_uniform(Key::new(6), [3, 5, 2, 7], DType::F64).to_vec::<f64>();
    assert!(window.iter().all(|x| x.abs() <= (6f64 / 30.0).sqrt()));
    assert_eq!(init::ones(Key::new(0), [2], DType::F32).to_vec::<f32>(), [1.0; 2]);
    assert_eq!(init::zeros(Key::new(0), [2], DType::F32).to_vec::<f32>(), [0.0; 2]);
    assert!(quietly(|| init::he_normal(Key::new(0), [3], DType::F32)).is_err());
}

#[test]
fn keys_seed_generators_of_the_host() {
    let mut rng: KeyRng = Key::new(0).into();
    // Both words of block 0, from the golden split of key 0.
    assert_eq!([rng.next_u32(), rng.next_u32()], [0x6b20_0159, 0x99ba_4efe]);
    assert_eq!(rng.next_u64(), 0xcddb_151d_375f_238f);
    let mut bytes = [0u8; 6];
    Key::new(0).rng().fill_bytes(&mut bytes);
    assert_eq!(bytes, [0x59, 0x01, 0x20, 0x6b, 0xfe, 0x4e]);
    let mut rng = Key::new(1).rng();
    let normal: Vec<f64> = (0..10_000).map(|_| StandardNormal.sample(&mut rng)).collect();
    let (mean, variance) = moments(&normal);
    assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.06, "{mean} {variance}");
    assert!((0..100).map(|_| rng.random_range(0..7)).all(|x: i32| (0..7).contains(&x)));
    let refused = quietly(|| {
        trace("f", &[Aval::new(DType::U32, [2])], |ins| {
            let _: KeyRng = Key::from_array((&ins[0]).into()).rng();
            vec![]
        })
    });
    assert!(refused.is_err());
}

#[test]
fn bernoulli_is_true_where_uniform_is_less() {
    let last = 1.0 - f32::EPSILON / 2.0;
    for p in [f32::NAN, -1.0, 0.0, 1e-9, 0.4, 0.6, 0.999_999, last, 1.0, 7.0] {
        let found = Key::new(5).bernoulli(p, [4000]).to_vec::<bool>();
        let uniform = Key::new(5).uniform([4000], DType::F32).to_vec::<f32>();
        assert_eq!(found, uniform.iter().map(|u| *u < p).collect::<Vec<_>>(), "{p}");
    }
}

#[test]
fn pairs_take_both_words_of_each_block() {
    let (rows, columns, p) = (3, 70, 0.4f32);
    let found = Key::new(9).bernoulli_pairs(p, [rows, columns]).to_vec::<bool>();
    for (i, found) in found.into_iter().enumerate() {
        let (row, column) = (i / columns, i % columns);
        // Folding in yields both words at a counter.
        let block = words(Key::new(9).fold_in((row * columns + column / 32 * 16 + column % 16) as u32));
        let uniform = (block[column / 16 % 2] >> 9) as f32 / (1 << 23) as f32;
        assert_eq!(found, uniform < p, "row {row}, column {column}");
    }
    let one = Key::new(9).bernoulli_pairs(1.0, Vec::<usize>::new());
    assert!(one.item::<bool>());
    assert!(Key::new(9).bernoulli_pairs(p, [3, 0]).to_vec::<bool>().is_empty());
}

#[test]
fn pairs_are_the_same_whether_sizes_are_symbols_or_numbers() {
    let draw = |x: Array, key: Array| Key::from_array(key).bernoulli_pairs(0.6, x.shape().clone());
    for shape in [vec![4, 36], vec![50], vec![2, 3, 8]] {
        let x = gavotte::zeros(shape.clone(), DType::F32);
        let key = || Key::new(2).into_array();
        let symbols: Vec<Dim> = ["a", "b", "c"][..shape.len()].iter().map(|name| Dim::symbol(name)).collect();
        let found = gavotte::jit(draw)(x.clone().declare(symbols), key()).to_vec::<bool>();
        assert_eq!(found, draw(x, key()).to_vec::<bool>(), "{shape:?}");
    }
}

#[test]
fn compiled_pairs_are_those_of_the_interpreter() {
    for shape in [vec![5, 64], vec![3, 32], vec![2, 8, 8], vec![7, 6], vec![40], vec![9, 130]] {
        let draw = |key: Array| Key::from_array(key).bernoulli_pairs(0.6, shape.clone());
        let found = gavotte::jit(draw)(Key::new(2).into_array()).to_vec::<bool>();
        assert_eq!(found, draw(Key::new(2).into_array()).to_vec::<bool>(), "{shape:?}");
    }
}
