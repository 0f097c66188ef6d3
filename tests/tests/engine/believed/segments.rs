//! Segments are three arrays that anyone may combine: their consistency is checked where kernels rely on it.

use super::{assert_has, refused};
use gavotte::segment::Segments;
use gavotte::{Array, Error, Options, Target, grad, jit, jit_with, load, registry, scan, vmap};
use gavotte_core::aval::Sizes;
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Value, parse};
use gavotte_core::runtime::Executable;
use gavotte_tests::segments::{ADVICE, MEMBERS, ROWS, data, ids, ints, made, offsets, share, wrong};
use std::num::NonZeroUsize;

fn options() -> Vec<Options> {
    let threads = [1, 2].map(|n| NonZeroUsize::new(n).expect("not zero"));
    let of = |target: Target| threads.map(|threads| Options { target, threads, ..Options::default() });
    [of(Target::Portable), of(Target::native())].concat()
}

#[test]
fn arguments_are_checked() {
    for options in options() {
        let f = jit_with(|s: Segments, x: Array| share(&s, &x), options);
        let sums = f(made(ids(), offsets(), None), data()).to_vec::<f32>();
        assert!(sums.iter().all(|sum| (sum - 2.0).abs() < 1e-5), "{sums:?}");
        for (what, segments) in wrong() {
            let error = refused(|| f.try_call((segments.clone(), data())));
            assert_has(&error, ADVICE);
            assert!(error.contains("segment.rs") || error.contains("segments.rs"), "{what}: {error}");
            // Nothing of a refused call is remembered.
            assert_eq!(error, refused(|| f.try_call((segments, data()))), "{what}");
        }
        assert_eq!(f(made(ids(), offsets(), None), data()).to_vec::<f32>(), sums);
    }
}

#[test]
fn arrays_that_are_known_do_not_vouch_for_others() {
    let f = jit(|s: Segments, x: Array| share(&s, &x));
    let good = made(ids(), offsets(), None);
    f(good.clone(), data());
    let bad = wrong().swap_remove(0).1;
    // Each array was checked, but not the two together.
    for mixed in [
        Segments { ids: bad.ids, ..good.clone() },
        Segments { offsets: wrong().swap_remove(10).1.offsets, ..good.clone() },
    ] {
        assert_has(&refused(|| f.try_call((mixed, data()))), ADVICE);
    }
    // Many graphs come and go.
    for i in 0..40 {
        let shifted = Array::new(&[MEMBERS], vec![i as f32; MEMBERS]);
        assert!(f.try_call((made(ids(), offsets(), None), shifted)).is_ok());
    }
    assert!(f.try_call((good, data())).is_ok());
}

#[test]
fn sizes_that_are_symbols_change_nothing() {
    let f = jit(|s: Segments, x: Array| share(&s, &x));
    let with = |segments: Segments| (segments.with_symbols("n", "e"), data().declare(["e"]));
    assert!(f.try_call(with(made(ids(), offsets(), None))).is_ok());
    for (what, segments) in wrong() {
        let error = refused(|| f.try_call(with(segments)));
        assert!(error.contains("build segments with"), "{what}: {error}");
    }
}

#[test]
fn operations_outside_jit_check() {
    for (what, segments) in wrong() {
        let operations: [fn(&Segments) -> Array; 5] = [
            |s| s.sum(&data()),
            |s| s.max(&data()),
            |s| s.mean(&data()),
            |s| s.softmax(&data()),
            |s| s.gather(&Array::new(&[ROWS], vec![1.0f32; ROWS])),
        ];
        for f in operations {
            let error = refused(|| Ok(f(&segments)));
            assert_has(&error, ADVICE);
            assert!(error.contains("segment.rs") || error.contains("segments.rs"), "{what}: {error}");
        }
    }
}

#[test]
fn constants_derivatives_maps_and_files_are_checked() {
    let folder = tempfile::tempdir().expect("a folder can be created");
    for (i, (_, segments)) in wrong().into_iter().enumerate() {
        let of = segments.clone();
        assert_has(&refused(|| jit(move |x: Array| share(&of, &x)).try_call((data(),))), ADVICE);
        let slope = jit(|s: Segments, x: Array| grad(|x: Array| (share(&s, &x) * 0.5).sum(()))(x));
        assert_has(&refused(|| slope.try_call((segments.clone(), data()))), ADVICE);
        let mapped = jit(|s: Segments, x: Array| vmap(|x: Array| share(&s, &x), [Some(0)])(x));
        let rows = Array::new(&[2, MEMBERS], vec![1.0f32; 2 * MEMBERS]);
        assert_has(&refused(|| mapped.try_call((segments.clone(), rows))), ADVICE);
        if i == 0 {
            let path = folder.path().join("step");
            let f = jit(|s: Segments, x: Array| share(&s, &x));
            let args = (segments.clone(), data());
            let saved = f.lower(args.clone()).and_then(|lowered| lowered.compile()?.save(&path));
            saved.unwrap_or_else(|error| panic!("{error}"));
            let loaded = load::<(Segments, Array), Array>(&path).unwrap_or_else(|error| panic!("{error}"));
            assert_has(&refused(|| loaded.try_call(args)), ADVICE);
            assert!(loaded.try_call((made(ids(), offsets(), None), data())).is_ok());
        }
    }
}

/// Segments that a loop does not change are checked before it begins.
#[test]
fn loops_are_told_what_is_checked() {
    for options in options() {
        let f = jit_with(
            |s: Segments, x: Array| {
                let body = |x: Array, i: Array| (s.gather(&share(&s, &x)) * 0.5, i);
                scan(body, x, Array::new(&[3], vec![0.0f32; 3])).0
            },
            options,
        );
        let ones = f(made(ids(), offsets(), None), data()).to_vec::<f32>();
        assert!(ones.iter().all(|x| (x - 1.0).abs() < 1e-5));
        for (_, segments) in wrong() {
            assert_has(&refused(|| f.try_call((segments, data()))), ADVICE);
        }
    }
}

/// Segments that a program computes itself are read as they are: gathers use the ids and sums the offsets, whether or
/// not they agree.
#[test]
fn what_is_computed_within_is_read_as_it_is() {
    let by_hand = |ids: &[i32], offsets: &[i32], x: &[f32]| -> Vec<f64> {
        let sums = |x: &[f64]| -> Vec<f64> {
            offsets.windows(2).map(|ends| x[ends[0] as usize..ends[1] as usize].iter().sum()).collect()
        };
        let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
        let totals = sums(&x);
        sums(&x.iter().zip(ids).map(|(x, id)| x + totals[*id as usize]).collect::<Vec<_>>())
    };
    let back: Vec<i32> = ids().into_iter().rev().collect();
    let wanted = by_hand(&back, &offsets(), &data().to_vec::<f32>());
    for options in options() {
        // Ids from a carry, from a sequence, and from arithmetic.
        let computed = jit_with(
            |ids: Array, offsets: Array, x: Array| {
                let s = Segments { ids: Array::scalar(ROWS as i32 - 1) - ids, offsets, order: None };
                s.sum(&(&x + s.gather(&s.sum(&x))))
            },
            options.clone(),
        );
        let looped = jit_with(
            |ids: Array, offsets: Array, x: Array| {
                let body = |(ids, sums): (Array, Array), _: Array| {
                    let s = Segments { ids: ids.clone(), offsets: offsets.clone(), order: None };
                    let all = s.sum(&(&x + s.gather(&s.sum(&x))));
                    ((Array::scalar(ROWS as i32 - 1) - ids, &sums * 0.0 + all), Array::scalar(0.0f32))
                };
                let none = Array::new(&[ROWS], vec![0.0f32; ROWS]);
                scan(body, (ids, none), Array::new(&[2], vec![0.0f32; 2])).0.1
            },
            options,
        );
        for f in [computed, looped] {
            let found = f(ints(ids()), ints(offsets()), data()).to_vec::<f32>();
            assert!(found.iter().zip(&wanted).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-3), "{found:?}");
        }
    }
}

#[test]
fn program_text_is_no_witness() {
    let text = format!(
        "program @f(%0: i32[{MEMBERS}], %1: i32[{}], %2: f32[{MEMBERS}]) -> (f32[{ROWS}]) {{
           %3: i32[{MEMBERS}] = iota {{axis=0, dtype=i32, shape=[{MEMBERS}]}}
           %4: f32[{ROWS}] = segment_sum %2, %0, %1, %3
           %5: f32[{MEMBERS}] = gather %4, %0, %1, %3 {{axis=0}}
           %6: f32[{MEMBERS}] = mul %5, %2
           %7: f32[{ROWS}] = segment_sum %6, %0, %1, %3
           return %7 }}",
        ROWS + 1
    );
    let program = parse(&text, registry()).unwrap_or_else(|error| panic!("{error}"));
    let executable = Executable::compile(&program, &[], &Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let call = |ids: Vec<i32>, offsets: Vec<i32>| -> Result<Vec<Value>, Error> {
        let arrays = [HostArray::new(&[MEMBERS], ids).into(), HostArray::new(&[ROWS + 1], offsets).into()];
        executable.call(arrays.into_iter().chain([data().into()]).collect(), &Sizes::new())
    };
    assert!(call(ids(), offsets()).is_ok());
    for (_, segments) in wrong().into_iter().filter(|(_, segments)| segments.order.is_none()) {
        let error = refused(|| call(segments.ids.to_vec(), segments.offsets.to_vec()));
        assert_has(&error, &["@f: segment_sum: segments: "]);
    }
}

#[test]
fn what_has_no_axis_is_no_list() {
    let none = || Array::scalar(0i32);
    let list = || Array::new(&[2], vec![0, 1]);
    for (ids, offsets, says) in
        [(none(), list(), "the ids must have an axis"), (list(), none(), "ids i32[e], offsets i32[n+1]")]
    {
        let sum = jit(|ids: Array, offsets: Array| Segments { ids, offsets, order: None }.sum(&Array::scalar(1.0f32)));
        let error = refused(|| sum.try_call((ids, offsets)));
        assert_has(&error, &[says]);
    }
}
