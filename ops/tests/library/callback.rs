//! `pure_callback`: functions of the host within programs, on every target.

use gavotte::{
    Array, DType, Error, Options, custom_vjp, fori_loop, grad, jit, jit_with, make_program, pure_callback, registry,
    vmap,
};
use gavotte_core::aval::Sizes;
use gavotte_core::ir::quietly;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

fn vector(xs: &[f32]) -> Array {
    Array::new(&[xs.len()], xs.to_vec())
}

/// The elements in ascending order, and their sum, by the host.
fn sorted(x: Array) -> (Array, Array) {
    let on_host = |x: Array| {
        let mut values = x.to_vec::<f32>();
        values.sort_by(f32::total_cmp);
        let sum = values.iter().sum::<f32>();
        (vector(&values), Array::scalar(sum))
    };
    pure_callback(on_host, &(x.clone(), x.sum(())))(x.clone())
}

/// The message of what a call refuses.
fn refusal<R>(f: impl FnOnce() -> R) -> String {
    quietly(f).err().expect("it is refused").to_string()
}

#[test]
fn compiled_code_calls_the_host() {
    let x = vector(&[3.0, 1.0, 2.0]);
    let f = |x: Array| {
        let (sorted, sum) = sorted(x * 2f32);
        sorted + sum
    };
    let wanted = [14f32, 16.0, 18.0];
    assert_eq!(f(x.clone()).to_vec::<f32>(), wanted);
    for target in crate::targets() {
        for threads in [1, 2] {
            let threads = NonZeroUsize::new(threads).expect("not 0");
            let f = jit_with(f, Options { target, threads, shares_all: true, ..Options::default() });
            for _ in 0..3 {
                assert_eq!(f(x.clone()).to_vec::<f32>(), wanted, "{target:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn the_host_may_run_compiled_functions() {
    let inner = Arc::new(jit(|x: Array| x.exp().sum(())));
    let f = jit(move |x: Array| {
        let inner = inner.clone();
        pure_callback(move |x: Array| inner(x), &x.sum(()))(x.clone()) + x.sum(())
    });
    let x = gavotte::zeros([100_000], DType::F32);
    assert_eq!(f(x).item::<f32>(), 100_000.0);
}

#[test]
fn a_batch_is_called_one_element_after_the_other() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let dot = move |x: Array, y: Array| {
        let counted = counted.clone();
        let on_host = move |x: Array, y: Array| {
            counted.fetch_add(1, Relaxed);
            assert_eq!((x.shape().len(), y.shape().len()), (1, 1));
            (x * y).sum(())
        };
        pure_callback(on_host, &x.sum(()))(x, y)
    };
    let x = Array::new(&[3, 2], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let y = vector(&[1.0, 10.0]);
    let rows = jit(vmap(dot.clone(), [Some(0), None]));
    assert_eq!(rows(x.clone(), y.clone()).to_vec::<f32>(), [21.0, 43.0, 65.0]);
    assert_eq!(calls.load(Relaxed), 3);
    // Columns against rows: every pair.
    let pairs = jit(vmap(vmap(dot.clone(), [Some(1), None]), [None, Some(0)]));
    let found = pairs(x.t(), x.clone());
    assert_eq!(found.shape().len(), 2);
    assert_eq!(found.to_vec::<f32>(), x.matmul(&x.t()).to_vec::<f32>());
    assert_eq!(calls.load(Relaxed), 12);
    // Of an empty batch nothing is called.
    assert_eq!(rows(gavotte::zeros([0, 2], DType::F32), y).to_vec::<f32>(), [0f32; 0]);
    assert_eq!(calls.load(Relaxed), 12);
}

#[test]
fn sizes_may_be_symbols() {
    let f = jit(|x: Array| sorted(x).0);
    let lowered = f.lower((vector(&[1.0]).declare(["n"]),)).expect("it compiles");
    let compiled = lowered.compile().expect("it compiles");
    for n in [0, 1, 5] {
        let x: Vec<f32> = (0..n).map(|i| -(i as f32)).collect();
        let found = compiled(vector(&x).declare(["n"]));
        assert_eq!(found.to_vec::<f32>(), x.into_iter().rev().collect::<Vec<f32>>());
    }
}

#[test]
fn loops_call_it_each_time_and_unread_results_never() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let next = move |x: Array| {
        let counted = counted.clone();
        let on_host = move |x: Array| {
            counted.fetch_add(1, Relaxed);
            x * 2f32
        };
        pure_callback(on_host, &x)(x.clone())
    };
    let loop_next = next.clone();
    let f = jit(move |x: Array| fori_loop(0, 5, |_, x: Array| loop_next(x), x));
    assert_eq!(f(Array::scalar(1f32)).item::<f32>(), 32.0);
    assert_eq!(calls.load(Relaxed), 5);
    let unread = jit(move |x: Array| {
        let _ = next(x.clone());
        x + 1f32
    });
    assert_eq!(unread(Array::scalar(1f32)).item::<f32>(), 2.0);
    assert_eq!(calls.load(Relaxed), 5);
}

#[test]
fn a_derivative_is_its_users_own() {
    let why = refusal(|| grad(|x: Array| sorted(x).1)(vector(&[1.0, 2.0])));
    assert!(why.contains("has no derivative") && why.contains("custom_jvp"), "{why}");
    assert_eq!(why.matches("callback.rs:").count(), 2, "the line that made it, and the line of the call: {why}");

    let sum = custom_vjp(
        |x: Array| sorted(x).1,
        |x: Array| (sorted(x.clone()).1, x),
        |x: Array, ct: Array| (gavotte::ones_like(&x) * ct,),
    );
    assert_eq!(grad(sum)(vector(&[1.0, 2.0])).to_vec::<f32>(), [1.0, 1.0]);
}

#[test]
fn results_are_what_they_are_said_to_be() {
    let x = vector(&[1.0, 2.0]);
    let longer = |x: Array| pure_callback(|_: Array| vector(&[1.0; 3]), &x)(x.clone());
    let wide = |x: Array| pure_callback(|x: Array| x.astype(DType::F64), &x)(x.clone());
    for (why, wanted) in [
        (refusal(|| longer(x.clone())), "result 0 of the function made at"),
        (refusal(|| jit(longer)(x.clone())), "is f32[3], and `results` says f32[2]"),
        (refusal(|| wide(x.clone())), "is f64[2], and `results` says f32[2]"),
        (refusal(|| jit(wide)(x.clone())), "ops/tests/library/callback.rs"),
        (refusal(|| vmap(longer, [Some(0)])(x.reshape([1, 2]))), "is f32[3], and `results` says f32[2]"),
    ] {
        assert!(why.contains(wanted), "{why}");
    }
    let lists = |x: Array| pure_callback(|x: Array| vec![x.clone(), x], &vec![x.clone()])(x.clone());
    let why = refusal(|| lists(x.clone()));
    assert!(why.contains("differs from `results`"), "{why}");
}

#[test]
fn a_program_with_one_stays_in_memory() {
    let x = vector(&[2.0, 1.0]);
    let program = make_program(&|x: Array| sorted(x).0, (x.clone(),));
    let text = program.to_string();
    assert!(text.contains("pure_callback %0 {dtypes=[f32,f32], function=host("), "{text}");
    assert!(gavotte_core::ir::parse(&text, registry()).is_err());
    let export = program.to_stablehlo(&Sizes::new()).expect_err("it cannot be exported").to_string();
    assert!(export.contains("pure_callback"), "{export}");

    let path = std::env::temp_dir().join(format!("gavotte-callback-{}", std::process::id()));
    let compiled = jit(|x: Array| fori_loop(0, 2, |_, x: Array| sorted(x).0, x))
        .lower((x,))
        .expect("it compiles")
        .compile()
        .expect("it compiles");
    let Err(Error::File(why)) = compiled.save(&path) else { panic!("it is not saved") };
    assert!(why.contains("calls the function of the host made at ops/tests/library/callback.rs"), "{why}");
    assert!(!path.exists());
}

#[test]
fn a_panic_of_the_host_is_an_error_of_the_call() {
    let f = jit(|x: Array| pure_callback(|_: Array| -> Array { panic!("the host's own") }, &x)(x.clone()));
    let why = f.try_call((vector(&[1.0]),)).expect_err("it panics").to_string();
    assert!(why.starts_with("pure_callback: the host's own\n  at ops/tests/library/callback.rs:"), "{why}");
}
