//! Sizes multiply without wrapping: a count too large for an integer or for memory is an error.

use super::{assert_has, refused};
use gavotte::random::Key;
use gavotte::{
    Array, DType, Dim, assume, concatenate, dim_value, full, grad, iota, jit, registry, scan, vmap, vmap_axes,
};
use gavotte_core::aval::{Aval, Literal};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{parse, trace};

const HUGE: usize = 1 << 32;

/// A function that asks for more than there can be.
type Asks = fn(Array) -> Array;

/// Each with the operation that its error names.
const ASKS: [(&str, Asks); 8] = [
    ("broadcast_in_dim", |x| x.broadcast_to([HUGE, HUGE]).argmax(1)),
    ("broadcast_in_dim", |x| x.broadcast_to([1usize << 31, 1 << 31, 1 << 31]).sum(())),
    // Few enough elements, but too many bytes.
    ("broadcast_in_dim", |x| x.broadcast_to([1usize << 61]).max(())),
    // It is empty, but no integer counts the rows.
    ("broadcast_in_dim", |x| x.broadcast_to([0, HUGE, HUGE]).sum(())),
    ("broadcast_in_dim", |_| full([1usize << 40, 1 << 30], 1.0f32)),
    ("iota", |_| iota([HUGE, HUGE], 1, DType::U32)),
    ("iota", |_| iota([usize::MAX], 0, DType::U32)),
    ("reshape", |x| x.reshape([HUGE, HUGE])),
];

fn flags(x: &Array) -> Array {
    x.gt(Array::scalar(0.0f32)).broadcast_to([1usize << 62])
}

/// On arrays that can exist, and that no compiled program has to store.
const ASKS_OF_LARGE: [(&str, Asks); 6] = [
    ("reshape", |x| x.broadcast_to([HUGE]).reshape([-1i64, 1 << 62, 1 << 62])),
    ("pad", |x| x.broadcast_to([HUGE, 1]).pad(0.0f32, &[(0, 0), (0, HUGE)])),
    ("concatenate", |x| concatenate(&[flags(&x), flags(&x)], 0)),
    ("dot_general", |x| x.broadcast_to([HUGE, 1]).dot(&x.broadcast_to([1, HUGE])).argmax(0)),
    ("convert_element_type", |x| flags(&x).astype(DType::F32).sum(())),
    ("scan", |x| scan(|total: Array, row: Array| (total.clone(), row.astype(DType::F64)), x.clone(), flags(&x)).1),
];

#[test]
fn numbers_that_wrap_are_refused_where_they_are_made() {
    let one = || Array::scalar(1.0f32);
    for (i, (name, f)) in ASKS.into_iter().chain(ASKS_OF_LARGE).enumerate() {
        let rows = Array::new(&[1], vec![1.0f32]);
        let mut errors =
            vec![refused(|| jit(f).try_call((one(),))), refused(|| jit(vmap(f, [Some(0)])).try_call((rows,)))];
        if i < ASKS.len() {
            errors.push(refused(|| Ok(f(one()))));
        }
        for error in errors {
            assert_has(&error, &["too large", "sizes.rs"]);
            assert!(error.contains(name), "{i}: {error}");
        }
    }
    let slope = grad(|x: Array| x.broadcast_to([HUGE, HUGE]).sum(()));
    assert_has(&refused(|| slope.try_call((one(),))), &["too large"]);
}

#[test]
fn arrays_are_not_made_of_sizes_that_wrap() {
    for make in [
        || HostArray::new(&[HUGE, HUGE], Vec::<f32>::new()),
        || HostArray::new(&[0, HUGE, HUGE], Vec::<f32>::new()),
        || HostArray::full(&[HUGE, HUGE], Literal::F32(1.0)),
        || HostArray::full(&[usize::MAX], Literal::Bool(true)),
        || HostArray::full(&[1 << 62], Literal::F64(1.0)),
        || HostArray::new(&[2], vec![1.0f32, 2.0]).reshaped(&[1 << 63, 2, 2]),
    ] {
        let payload = std::panic::catch_unwind(make).expect_err("it is no size");
        let why = payload.downcast_ref::<String>().expect("it says why");
        assert!(why.contains("too large"), "{why}");
    }
}

/// A vector whose extent is the symbol `n`.
fn symbolic(n: usize) -> Array {
    Array::new(&[n], vec![1.0f32; n]).declare(["n"])
}

#[test]
fn symbols_whose_sizes_wrap_are_refused_when_they_come() {
    let n = |x: &Array| x.dim(0);
    let four = jit(move |x: Array| {
        assume("n >= 1");
        let shape = [n(&x), n(&x), n(&x), n(&x)];
        x.sum(()).broadcast_to(shape).argmax(-1).astype(DType::F32).sum(())
    });
    assert_eq!(four.try_call((symbolic(2),)).map(|y| y.item::<f32>()), Ok(0.0));
    for size in [1 << 16, 1 << 20] {
        assert_has(&refused(|| four.try_call((symbolic(size),))), &["too large", "[n,n,n,n]", "sizes.rs"]);
    }
    // Few enough elements, but too many bytes; none of it is stored.
    let summed = jit(move |x: Array| x.broadcast_to([Dim::from(1i64 << 42), n(&x)]).max(()));
    assert_has(&refused(|| summed.try_call((symbolic(1 << 20),))), &["too large", "broadcast_in_dim"]);
    // A proof about `n` holds for the actual numbers.
    let rows = jit(move |x: Array| {
        assume("n >= 1");
        let many = x.sum(()).broadcast_to([n(&x) * (1i64 << 40)]);
        many.slice_axis(0, 0..8).sum(())
    });
    assert_eq!(rows.try_call((symbolic(2),)).map(|y| y.item::<f32>()), Ok(16.0));
    assert_has(&refused(|| rows.try_call((symbolic(1 << 21),))), &["too large"]);
    assert_has(
        &refused(|| {
            assume(n(&symbolic(2)).at_least(Dim::symbol("n") * i64::MAX * 2));
            Ok(())
        }),
        &["too large"],
    );
}

#[test]
fn symbols_in_nested_programs_are_checked() {
    let looped = jit(|x: Array| {
        assume("n >= 1");
        let shape = [x.dim(0), x.dim(0), x.dim(0), x.dim(0)];
        let body = move |total: Array, row: Array| {
            let all = row.broadcast_to(shape.clone()).argmax(0).astype(DType::F32).sum(());
            (&total + all, row)
        };
        scan(body, Array::scalar(0.0f32), x).0
    });
    assert!(looped.try_call((symbolic(2),)).is_ok());
    assert_has(&refused(|| looped.try_call((symbolic(1 << 16),))), &["too large", "sizes.rs"]);
}

#[test]
fn program_text_has_sizes_that_are_counted() {
    for text in [
        "program @f(%0: f32[4294967296,4294967296]) -> (f32[4294967296,4294967296]) { return %0 }",
        "program @f(%0: f32[9223372036854775808]) -> (f32[9223372036854775808]) { return %0 }",
        "program @f(%0: f32[18446744073709551617]) -> (f32[18446744073709551617]) { return %0 }",
        "program @f(%0: f32[4611686018427387904*n]) -> (f32[4611686018427387904*n]) { return %0 }",
        "program @f(%0: f32[n]) -> (f32[]) where n >= 9223372036854775808 { return 1f32 }",
        "program @f() -> (u32[4294967296,4294967296]) {
           %0: u32[4294967296,4294967296] = iota {axis=0, dtype=u32, shape=[4294967296,4294967296]}
           return %0 }",
        "program @f() -> (i32[]) { %0: i32[] = dim_value {dim=9223372036854775808, dtype=i32} return %0 }",
        "program @f() -> (f32[]) {
           %0: f32[] = call {program=program @g() -> (f32[]) {
             %0: f32[4294967296,4294967296] = iota {axis=0, dtype=f32, shape=[4294967296,4294967296]}
             return 1f32 }}
           return %0 }",
    ] {
        let error = refused(|| parse(text, registry()));
        assert!(error.contains("too large"), "{text}: {error}");
    }
    let negative = "program @f(%0: f32[-2]) -> (f32[-2]) { return %0 }";
    assert_has(&refused(|| parse(negative, registry())), &["negative extent"]);
}

/// Hand-made types meet the same check when they are compiled.
#[test]
fn traced_types_are_counted() {
    let traced = trace("f", &[Aval::new(DType::F32, [HUGE, HUGE])], |args| args);
    let compiled = gavotte_core::runtime::Executable::compile(&traced.program, &[], &Default::default());
    assert_has(&refused(|| compiled.map(drop)), &["too large"]);
}

/// More memory than any machine has is refused before it is allocated, with both numbers.
#[cfg(target_os = "linux")]
#[test]
fn memory_is_known_before_it_is_taken() {
    let both = ["are needed, and ", " are there", "too large"];
    // 4 TiB, 16 TiB and 1 EiB.
    let asks: [(&str, Asks); 5] = [
        ("result", |x| x.broadcast_to([1usize << 40])),
        ("between", |x| (x.broadcast_to([1usize << 21, 1 << 21]) * 2.0).reshape([1usize << 42]).max(())),
        ("many results", |x| (x.broadcast_to([1usize << 30, 1 << 28]) * 2.0).reshape([1usize << 58])),
        ("a loop", |x| scan(|c: Array, r: Array| (c, r * 2.0), x.clone(), x.broadcast_to([1usize << 40])).1),
        ("generated", |_| iota([1usize << 20, 1 << 20], 0, DType::F32)),
    ];
    for (_, f) in asks {
        let one = || Array::scalar(1.0f32);
        assert_has(&refused(|| Ok(f(one()))), &both);
        assert_has(&refused(|| jit(f).try_call((one(),))), &both);
    }
    assert_has(&refused(|| Ok(full([1usize << 40], 1.0f32))), &both);
    let payload =
        std::panic::catch_unwind(|| HostArray::full(&[1 << 40], Literal::F32(1.0))).expect_err("it is too large");
    assert_has(payload.downcast_ref::<String>().expect("it says why"), &both);
    // The same program runs with a size that fits.
    let by_size = jit(|x: Array| {
        assume("n >= 1");
        let (n, many) = (x.dim(0), x.dim(0) * (1i64 << 20));
        (x.sum(()).broadcast_to([&many, &n]) * 2.0).reshape([many * n]).max(())
    });
    assert_eq!(by_size.try_call((symbolic(2),)).map(|y| y.item::<f32>()), Ok(4.0));
    assert_has(&refused(|| by_size.try_call((symbolic(1 << 12),))), &both);
}

/// One key has words for a limited number of elements; with symbols, each call says how many there are.
#[test]
fn a_draw_is_no_larger_than_one_key_has_words_for() {
    let draw = |x: Array| {
        let n = x.shape()[0].clone();
        Key::new(0).bits([n.clone(), n]).max(())
    };
    let rows = |n: usize| Array::new(&[n], vec![0f32; n]).declare(["n"]);
    let drawn = jit(draw);
    assert!(drawn.try_call((rows(64),)).is_ok());
    let error = refused(|| drawn.try_call((rows(70_000),)));
    assert_has(&error, &["n*n", "4294967296"]);
    let error = refused(|| jit(|_: Array| Key::new(0).bits([70_000usize, 70_000]).max(())).try_call((rows(1),)));
    assert_has(&error, &["at most 2³² fit one key"]);
}

#[test]
fn new_axes_are_within_the_result() {
    let mapped = vmap_axes(|x: Array| x, |_, _| Some(0), |_| 9);
    let error = refused(|| mapped.try_call((Array::new(&[2, 3], vec![0f32; 6]),)));
    assert_has(&error, &["vmap: ", "f32[3] per batch element", "axis 9"]);
}

/// What is no size says so, wherever it is given.
#[test]
fn what_is_no_size_is_an_error() {
    let four = || Array::new(&[4], vec![1f32; 4]);
    let text = jit(|x: Array| x.reshape(["n-"])).try_call((four(),)).expect_err("it is no symbol").to_string();
    assert_has(&text, &["`n-` is no symbol"]);
    assert_has(
        &refused(|| Ok(dim_value("q", DType::I32))),
        &["dim_value: `dim` is q, a symbol", "outside a traced function"],
    );
    assert_has(&refused(|| Ok(four().reshape([usize::MAX]))), &["the extent of axis 0 is too large", "sizes.rs"]);
    assert_has(&refused(|| Ok(four().declare([usize::MAX]))), &["has 4 places, not 2^63 or more"]);
}
