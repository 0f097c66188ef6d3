//! What sorting, cumulative operations and parts at computed places refuse, and what they do where sizes are symbols.

use gavotte::{Array, DType, Side, associative_scan, grad, jit, sort_by, sort_key_val, zeros};
use gavotte_core::ir::quietly;

/// The error of a call, which must name this file.
#[track_caller]
fn refused<T>(f: impl Fn() -> T) -> String {
    let error = quietly(f).err().expect("it is refused").to_string();
    assert!(error.contains("sorting.rs"), "{error}");
    error
}

#[test]
fn what_cannot_be_sorted_is_told_why() {
    let x = zeros([2, 3], DType::F32);
    let ints = zeros([3], DType::I32);
    for (error, part) in [
        (refused(|| x.sort(2)), "there is no axis 2"),
        (refused(|| Array::from(1.0f32).sort(0)), "there is no axis 0"),
        (refused(|| x.top_k(4)), "there are 3 elements along the last axis, not 4"),
        (refused(|| sort_key_val(&x, &ints, 0)), "must have one shape"),
        (refused(|| sort_key_val(&x, &zeros([3, 2], DType::F32), 0)), "must have one shape"),
        (refused(|| sort_by(&[&x], 2, 0)), "sort_by: sorts by at least one array and at most all 1, not 2"),
        (refused(|| sort_by(&[&x], 0, 0)), "sort_by: sorts by at least one"),
        (refused(|| sort_by(&[], 1, 0)), "there is no array"),
        (refused(|| x.searchsorted(&x, Side::Left)), "a sorted array of one axis"),
        (refused(|| ints.searchsorted(&x, Side::Left)), "values of its type"),
        (refused(|| x.bincount(3)), "counts i32"),
        (refused(|| ints.bincount(-1i64)), "bincount: counts the numbers from 0 to below -1"),
        (refused(|| x.gt(0f32).flatten().searchsorted(&x.gt(0f32), Side::Left)), "searchsorted: takes numbers"),
        (refused(|| ints.histogram(3, None)), "counts floats"),
        (refused(|| x.histogram(0, None)), "at least one bin"),
        (refused(|| x.histogram(3, Some((1.0, 1.0)))), "do not divide into bins"),
        (refused(|| x.histogram(3, Some((1.0, 1.0 + 1e-12)))), "do not divide into bins of f32"),
        (refused(|| x.histogram(3, Some((0.0, f64::INFINITY)))), "do not divide into bins"),
        (refused(|| x.histogram(3, Some((f64::NAN, 1.0)))), "do not divide into bins"),
        (refused(|| zeros([0], DType::F32).histogram(3, None)), "there may be no element"),
        (
            refused(|| x.dynamic_update_slice(&zeros([0, 9], DType::F32), &[0.into(), 0.into()])),
            "the part has extent 9 along axis 1 of 3",
        ),
        (refused(|| x.quantile(1.5, ())), "within 0 and 1"),
        (refused(|| x.quantile(f64::NAN, ())), "within 0 and 1"),
        (refused(|| ints.median(())), "takes floats"),
        (refused(|| zeros([0], DType::F32).median(())), "may have no element"),
        (refused(|| x.dynamic_slice(&[0.into()], [1, 1])), "1 starts and 2 extents for 2 axes"),
        (refused(|| x.dynamic_slice(&[0.into(), 0.into()], [1, 4])), "the part has extent 4 along axis 1 of 3"),
        (refused(|| x.dynamic_slice(&[ints.clone(), 0.into()], [1, 1])), "must be a scalar i32"),
        (refused(|| x.dynamic_update_slice(&ints, &[0.into()])), "1 starts and 1 extents for 2 axes"),
        (refused(|| ints.dynamic_update_slice(&ints.astype(DType::F32), &[0.into()])), "element types differ"),
        (refused(|| x.cumsum(-3)), "there is no axis -3"),
        (refused(|| zeros([3], DType::Bool).cumsum(0)), "takes numbers along an axis"),
        (refused(|| ints.cumlogsumexp(0)), "takes floats"),
        (refused(|| associative_scan(|a: Vec<Array>, _| a, vec![], 0, false)), "there is no array"),
        (refused(|| associative_scan(|a: (Array, Array), _| a, (x.clone(), ints.clone()), 0, false)), "one extent"),
        (refused(|| associative_scan(|a: Array, _| a.sum(()), x.clone(), 1, false)), "must return what it is given"),
    ] {
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
}

#[test]
fn products_of_any_number_have_derivatives() {
    let f = jit(grad(|x: Array| x.cumprod(0).sum(())));
    for n in [0usize, 1, 3, 40] {
        let slopes = f(gavotte::ones([n], DType::F64).declare(["n"])).to_vec::<f64>();
        assert_eq!(slopes, (0..n).map(|i| (n - i) as f64).collect::<Vec<_>>());
    }
    assert_eq!(f.n_entry(), 1, "one compilation serves every size");
}

#[test]
fn types_of_results_need_no_computation() {
    let f = |x: Array, k: Array| (x.sort(0), vec![x.dynamic_slice(&[k], [2])]);
    let x = gavotte::ones([5], DType::F32).declare(["n"]);
    let f = move |x: Array, k: Array| {
        gavotte::assume("n >= 2");
        f(x, k)
    };
    let types: Vec<String> =
        gavotte::eval_shape(&f, (x, Array::from(1))).iter().map(|(path, aval)| format!("{path}: {aval}")).collect();
    assert_eq!(types, ["0: f32[n]", "1.0: f32[2]"]);
}

#[test]
fn sizes_may_be_symbols() {
    let f = jit(|x: Array, v: Array| {
        gavotte::assume("n >= 1");
        let places = x.sort(0).searchsorted(&v, Side::Right);
        (places, x.argsort(0), x.median(()))
    });
    for n in [1usize, 2, 5, 64, 1000] {
        let x: Vec<f32> = (0..n).map(|i| (i * 7919 % n) as f32).collect();
        let v = Array::new(&[3], vec![-1.0f32, (n / 2) as f32, n as f32]);
        let (places, order, median) = f(Array::new(&[n], x.clone()).declare(["n"]), v);
        assert_eq!(places.to_vec::<i32>(), [0, n as i32 / 2 + 1, n as i32]);
        let order = order.to_vec::<i32>();
        assert!(order.windows(2).all(|pair| x[pair[0] as usize] <= x[pair[1] as usize]));
        assert_eq!(median.item::<f32>(), (n - 1) as f32 / 2.0);
    }
    assert_eq!(f.n_entry(), 1, "one compilation serves every size");
}
