//! Arrays as Rust values: built from numbers, printed, compared.

use gavotte::{Array, DType, allclose, arange, assert_allclose, jit, vmap};
use gavotte_core::ir::quietly;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;

#[test]
fn arrays_come_from_numbers_vectors_and_nested_arrays() {
    let types = [
        Array::from(2.5f32),
        Array::from(vec![1.0, 2.0]),
        Array::from([1u32, 2, 3].as_slice()),
        Array::from([[true, false], [false, true], [true, true]]),
        Array::from([[1i32; 4]; 3].as_slice()),
        Array::from([[[1i32; 4]; 3]; 2]),
        Array::from(Vec::<f32>::new()),
        Array::from([[0f32; 0]; 3]),
    ]
    .map(|array| array.value().aval().to_string());
    let expected = ["f32[]", "f64[2]", "u32[3]", "bool[3,2]", "i32[3,4]", "i32[2,3,4]", "f32[0]", "f32[3,0]"];
    assert_eq!(types, expected);
    let cube = Array::from([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]);
    assert_eq!(cube.to_vec::<i32>(), [1, 2, 3, 4, 5, 6, 7, 8]);
    let x: Array = [1f32, 2.0].into();
    assert_eq!(x.to_vec::<f32>(), [1.0, 2.0]);
}

#[test]
fn what_is_no_shape_is_refused_where_it_is_written() {
    let x = || Array::from([1.0, 2.0]);
    let key = || gavotte::random::Key::new(0);
    let refused: [&dyn Fn() -> Array; 10] = [
        &|| x().declare(["n+1"]),
        &|| x().reshape(["n+1"]),
        &|| x().broadcast_to(["n+1"]),
        &|| x().tile(["n+1"]),
        &|| gavotte::zeros(["n+1"], DType::F32),
        &|| gavotte::iota(["n+1"], 0, DType::F32),
        &|| key().uniform(["n+1"], DType::F32),
        &|| key().normal(["n+1"], DType::F32),
        &|| gavotte::init::glorot_normal(key(), ["n+1", "n"], DType::F32),
        &|| Array::new(&[0, 1 << 62, 1 << 62], Vec::<f32>::new()),
    ];
    let (tx, panics) = std::sync::mpsc::channel();
    let me = std::thread::current().id();
    let old = std::panic::take_hook();
    // Panics on other threads are other tests'.
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == me {
            tx.send(panic.to_string()).expect("it is read below");
        }
    }));
    let stopped = refused.map(|f| std::panic::catch_unwind(AssertUnwindSafe(f)).is_err());
    std::panic::set_hook(old);
    assert_eq!(stopped, [true; 10]);
    for panic in panics {
        assert!(panic.contains("values.rs:"), "{panic}");
        assert!(panic.contains("is no symbol") || panic.contains("too large"), "{panic}");
    }
}

#[test]
fn arrays_are_printed_as_numpy_prints_them() {
    assert_eq!(Array::from(-0.5f32).to_string(), "f32[] -0.5");
    assert_eq!(Array::from([true, false]).to_string(), "bool[2] [true, false]");
    assert_eq!(Array::from([[1, -20], [300, 4]]).to_string(), "i32[2,2]\n[[  1, -20],\n [300,   4]]");
    let cube = Array::from([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]);
    assert_eq!(cube.to_string(), "i32[2,2,2]\n[[[1, 2],\n  [3, 4]],\n\n [[5, 6],\n  [7, 8]]]");
    assert_eq!(format!("{cube:?}"), "i32[2,2,2] [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]");
    assert_eq!(format!("{cube:#?}"), cube.to_string());
    assert_eq!(format!("{:.2}", Array::from([f32::NAN, 1.0, -f32::INFINITY])), "f32[3] [NaN, 1.00, -inf]");
    assert_eq!(Array::from(Vec::<f32>::new()).to_string(), "f32[0] []");
    let rows = arange(4000, DType::I32).reshape([1000, 4]);
    let dots = "i32[1000,4]\n[[   0,    1,    2,    3],\n [   4,    5,    6,    7],\n [   8,    9,   10,   11],\n …,\n \
                [3988, 3989, 3990, 3991],\n [3992, 3993, 3994, 3995],\n [3996, 3997, 3998, 3999]]";
    assert_eq!(rows.to_string(), dots);
    assert_eq!(format!("{:?}", arange(32, DType::I32)).matches(',').count(), 31);
    assert_eq!(format!("{:?}", arange(33, DType::I32)), "i32[33] [0, 1, 2, …, 30, 31, 32]");
}

#[test]
fn what_is_traced_says_so() {
    let seen = Mutex::new(vec![]);
    let traced = jit(|x: Array| {
        seen.lock().unwrap().extend([x.to_string(), format!("{x:?}")]);
        x
    });
    traced(Array::from([1f32, 2.0]).declare(["n"]));
    drop(traced);
    let seen = seen.into_inner().unwrap();
    assert!(seen[0].contains("f32[n] in @") && seen[0].ends_with("being traced"), "{seen:?}");
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn close_is_numpys_rule() {
    let pair = |a: f64, b: f64| allclose(&a.into(), &b.into(), 1e-2, 1e-3);
    assert!(pair(1.0, 1.0) && pair(101.0, 100.0) && pair(0.001, 0.0));
    // The tolerance is 0.011 + 0.001 at 1.1, and 0.01 + 0.001 at 1.0
    assert!(pair(1.0, 1.011) && !pair(1.0125, 1.0));
    assert!(allclose(&99.0.into(), &100.0.into(), 0.01, 0.0) && !allclose(&100.0.into(), &99.0.into(), 0.01, 0.0));
    let infinity = f64::INFINITY;
    assert!(pair(infinity, infinity) && !pair(infinity, -infinity) && !pair(1.0, infinity) && !pair(infinity, 1.0));
    assert!(!pair(f64::NAN, f64::NAN) && !pair(f64::NAN, 1.0));
    assert!(allclose(&Array::from([1f32, 2.0]), &Array::from([1, 2]), 0.0, 0.0), "types may differ");
    assert!(!allclose(&Array::from([1f32, 2.0]), &Array::from([1f32, 3.0]), 1e-3, 0.0));
    let refused =
        quietly(|| allclose(&Array::from([1f32]), &1f32.into(), 1.0, 1.0)).expect_err("shapes differ").to_string();
    assert!(refused.contains("the shapes differ") && refused.contains("f32[1], f32[]"), "{refused}");
    let traced = jit(|x: Array| if allclose(&x, &x, 0.0, 0.0) { x } else { -x }).try_call((1f32.into(),));
    assert!(traced.err().is_some_and(|error| error.to_string().contains("being traced")));
}

#[test]
fn what_is_not_close_is_named() {
    let (a, b) = (Array::from([[1.0, 2.0], [3.0, 4.5]]), Array::from([[1.0, 2.0], [3.5, 4.0]]));
    assert_allclose(&a, &a, 0.0, 0.0);
    let panic =
        std::panic::catch_unwind(AssertUnwindSafe(|| assert_allclose(&a, &b, 1e-5, 0.0))).expect_err("they differ");
    let text = panic.downcast_ref::<String>().expect("it has a message");
    let expected = "assert_allclose: 2 of 4 elements differ by more than 1e-5 · |b| + 0.0\n  at [1, 0] a is 3.0 and b is \
                    3.5\n  operands: f64[2,2], f64[2,2]";
    assert_eq!(text, expected);
}

#[test]
fn equal_arrays_are_of_one_type_and_shape() {
    let x = Array::from([1f32, 2.0]);
    assert!(x.array_equal(&x.clone()) && x.array_equal(&vmap(|x: Array| x, [Some(0)])(x.clone())));
    assert!(!x.array_equal(&Array::from([1f64, 2.0])) && !x.array_equal(&Array::from([[1f32, 2.0]])));
    assert!(!x.array_equal(&Array::from([1f32, 3.0])));
    assert!(!Array::from(f32::NAN).array_equal(&f32::NAN.into()) && Array::from(0.0).array_equal(&(-0.0).into()));
}
