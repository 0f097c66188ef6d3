//! Loops and branches on the emulated GPU: what they compute, what the host waits for, how they fail.

use gavotte::random::Key;
use gavotte::{
    Array, DType, ScanOptions, Stage, Tree, cond, debug_print, device_put, fori_loop, jit, scan, scan_with, switch,
    value_and_grad, while_loop, with_debug_output,
};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{PrintOptions, quietly};
use gavotte_core::runtime::cuda::cuda;
use gavotte_emulator::control::Counts;
use gavotte_tests::compare::difference;
use gavotte_tests::gpu::{agree_on_calls, elements, machine, on_machine};
use std::cell::RefCell;
use std::rc::Rc;

fn floats(shape: &[usize]) -> Array {
    let n = shape.iter().product::<usize>();
    Array::new(shape, (0..n).map(|i| (i as f64 * 0.7).sin()).collect())
}

fn one() -> Array {
    Array::scalar(1.0)
}

/// Compares both devices.
#[track_caller]
fn assert_same<A: Tree + Clone, O: Tree>(what: &str, f: impl Fn(A) -> O + Send + Sync + Clone + 'static, args: A) {
    agree_on_calls(f, args, 1e-12).unwrap_or_else(|why| panic!("{what}: {why}"));
}

#[test]
fn scans_carry_in_place_and_alternating() {
    on_machine(|| {
        assert_same(
            "in place",
            |xs: Array| scan(|h: Array, x: Array| (&h * 0.5 + &x, &h - x), one(), xs),
            floats(&[9]),
        );
        let product = |(a, xs): (Array, Array)| scan(|h: Array, x: Array| (a.dot(&h) + &x, h), floats(&[3]), xs);
        assert_same("alternating", product, (floats(&[3, 3]), floats(&[4, 3])));
        assert_same("alternating, an even number of iterations", product, (floats(&[3, 3]), floats(&[5, 3])));
        let swap =
            |xs: Array| scan(|(a, b): (Array, Array), x: Array| ((b.clone(), a + x), b), (one(), one() * 2.0), xs);
        assert_same("carries that change places", swap, floats(&[5]));
        let given = |xs: Array| {
            let body = |(a, b): (Array, Array), x: Array| ((one() * 3.0, b.clone()), (one() * 4.0, x, a, b));
            scan(body, (one(), floats(&[2])), xs)
        };
        assert_same("what is not computed", given, floats(&[3, 5]));
        let bools = |xs: Array| scan(|odd: Array, x: Array| (odd.ne(x.gt(0.0)), odd), one().gt(2.0), xs);
        assert_same("bools", bools, floats(&[11]));
        let options = ScanOptions { reverse: true, ..ScanOptions::default() };
        let back = move |(xs, ys): (Array, Array)| {
            scan_with(|h: Array, (x, y): (Array, Array)| (&h + &x, h * y), floats(&[5]), (xs, ys), options.clone())
        };
        assert_same("reverse, rows of an odd size", back, (floats(&[4, 5]), floats(&[4, 5])));
        assert_same("no iteration", |xs: Array| scan(|h: Array, x: Array| (&h + &x, h), one(), xs), floats(&[0]));
    });
}

/// The initial value, the result and the alternating carry share memory.
#[test]
fn a_carry_may_begin_where_it_ends() {
    on_machine(|| {
        let f = |(x, a): (Array, Array)| scan(|h: Array, _: Array| (a.dot(&h) + 1.0, ()), x, floats(&[5])).0;
        let (here, there) = (jit(f), jit(f));
        let args = || (floats(&[3]), floats(&[3, 3]));
        let text = here.lower((args(),)).and_then(|lowered| lowered.text(Stage::Plan, PrintOptions::default()));
        assert!(text.as_ref().is_ok_and(|text| text.contains("in the memory of argument 0")), "{text:?}");
        let found = there(device_put(args(), &cuda(0).expect("the emulator is a GPU")).expect("it fits"));
        let found = elements(found);
        assert_eq!(difference(&found, &elements(here(args())), 1e-12), None);
    });
}

#[test]
fn loops_and_branches_nest() {
    on_machine(|| {
        let f = |x: Array| {
            let body = |sum: Array, i: Array| {
                let product =
                    fori_loop(0, &i + 1, |j: Array, p: Array| p * (&x + j.astype(DType::F64)), Array::scalar(1.0));
                let term = cond(i.eq(1), |p: Array| -p, |p: Array| p, product);
                (sum + &term, term)
            };
            scan(body, Array::scalar(0.0), gavotte::arange(4, DType::I32))
        };
        assert_same("a loop and a branch in a scan", f, Array::scalar(0.5));
        let cubes = |x: Array| {
            let body = |h: Array, x: Array| (h.sin() * &x, h * &x * &x);
            let (last, all) = scan(body, Array::scalar(0.3), x);
            last + all.sum(())
        };
        assert_same("a derivative", move |x: Array| value_and_grad(cubes)(x), floats(&[6]));
    });
}

#[test]
fn branches_are_the_nearest() {
    on_machine(|| {
        let f = |(i, x): (Array, Array)| {
            // One computes, one returns its operand, one returns numbers.
            switch(i, &[&|x: Array| (&x * &x, x), &|x: Array| (x.clone(), x), &|x: Array| (&x * 0.0 + 1.0, x)], x)
        };
        for i in [-3, 0, 1, 2, 7] {
            assert_same(&format!("branch {i}"), f, (Array::scalar(i), floats(&[4])));
        }
        for wanted in [true, false] {
            let f = move |x: Array| {
                cond(x.sum(()).gt(0.0).eq(wanted), |_: Array| Array::scalar(2.0), |x: Array| x.sum(()), x)
            };
            assert_same("a number", f, floats(&[4]));
        }
    });
}

#[test]
fn loops_end() {
    on_machine(|| {
        let halve =
            |x: Array| while_loop(|(x, _)| x.gt(1.0), |(x, n): (Array, Array)| (x * 0.5, n + 1), (x, Array::scalar(0)));
        for x in [100.0, 0.5] {
            assert_same("halving", halve, Array::scalar(x));
        }
        let swap = |x: Array| {
            let body = |(i, a, b): (Array, Array, Array)| (i + 1, b.clone(), a * 2.0 + b);
            while_loop(|(i, ..): (Array, Array, Array)| i.lt(5), body, (Array::scalar(0), x, floats(&[3])))
        };
        assert_same("carries that change places", swap, floats(&[3]));
    });
}

#[test]
fn equations_without_a_kernel_run_within_loops() {
    on_machine(|| {
        let best = |xs: Array| scan(|n: Array, x: Array| (n + x.argmax(0), x.argmax(0)), Array::scalar(0), xs);
        assert_same("argmax", best, floats(&[4, 3]));
        let lines = Rc::new(RefCell::new(vec![]));
        let f = jit(|x: Array| {
            let body = |(i, x): (Array, Array)| {
                debug_print("iteration {}: {}", &[&i, &x]);
                (i + 1, x * 2.0)
            };
            while_loop(|(i, _): (Array, Array)| i.lt(3), body, (Array::scalar(0), x)).1
        });
        let device = cuda(0).expect("the emulator is a GPU");
        let x = device_put(Array::scalar(0.5), &device).expect("it fits");
        let sink = lines.clone();
        let last = with_debug_output(move |line| sink.borrow_mut().push(line.to_string()), || f(x));
        assert_eq!(last.item::<f64>(), 4.0);
        assert_eq!(*lines.borrow(), ["iteration 0: 0.5", "iteration 1: 1.0", "iteration 2: 2.0"]);
    });
}

/// What a call adds to the counts once everything is compiled: launched, and recorded.
fn costs(f: impl Fn(Array) -> Array + Send + Sync + 'static, x: Array) -> Option<[Counts; 2]> {
    let machine = machine("")?;
    let (f, device) = (jit(f), cuda(0).expect("the emulator is a GPU"));
    let x = device_put(x, &device).expect("it fits");
    let first = f(x.clone());
    assert_eq!(machine.counts().modules, 1, "all kernels are compiled as one module");
    let call = || {
        let before = machine.counts();
        let again = f(x.clone());
        let after = machine.counts();
        assert_eq!(elements(first.clone())[0].data(), elements(again)[0].data());
        Counts {
            synchronizations: after.synchronizations - before.synchronizations,
            copies_to_host: after.copies_to_host - before.copies_to_host,
            copies_to_device: after.copies_to_device - before.copies_to_device,
            allocations: after.allocations - before.allocations,
            launches: after.launches - before.launches,
            graph_launches: after.graph_launches - before.graph_launches,
            ..after
        }
    };
    // The second result is in another place than the first; the third is in the second's.
    Some([call(), call()])
}

#[test]
fn a_scan_waits_for_nothing() {
    for iterations in [2, 40] {
        let f = |xs: Array| {
            let body = |(h, n): (Array, Array), x: Array| ((&h * 0.5 + x, n + Array::scalar(1.0)), Array::scalar(7.0));
            let ((h, n), rows) = scan(body, (Array::scalar(1.0), Array::scalar(0.0)), xs);
            h + n + rows.sum(())
        };
        let Some(costs) = costs(f, floats(&[iterations])) else { return };
        for (cost, recorded) in costs.iter().zip([0, 1]) {
            assert_eq!(
                (cost.synchronizations, cost.copies_to_host, cost.copies_to_device),
                (0, 0, 0),
                "{iterations} iterations"
            );
            assert!(cost.launches as usize >= iterations, "{} launches for {iterations} iterations", cost.launches);
            assert_eq!(cost.graph_launches, recorded);
        }
    }
}

#[test]
fn a_loop_reads_only_whether_it_goes_on() {
    for iterations in [3, 20] {
        let f = move |x: Array| {
            let body = |(i, x): (Array, Array)| (i + 1, x.sin());
            while_loop(|(i, _): (Array, Array)| i.lt(iterations), body, (Array::scalar(0), x)).1
        };
        let Some([_, cost]) = costs(f, floats(&[7])) else { return };
        // Every download also copies the record of errors that kernels found.
        assert_eq!(cost.copies_to_host, 2 * (iterations as u64 + 1));
        assert_eq!(cost.copies_to_device, 0);
        assert_eq!((cost.allocations, cost.graph_launches), (0, 0));
    }
}

#[test]
fn what_fails_within_a_loop_ends_it() {
    on_machine(|| {
        let device = cuda(0).expect("the emulator is a GPU");
        // Ends when the second element is in both places: never if there is no such element.
        let f = jit(|(x, ids): (Array, Array)| {
            while_loop(|(x, _)| x.sum(()).lt(3.5), |(x, ids): (Array, Array)| (x.take(&ids, 0), ids), (x, ids)).0
        });
        let call = |id: i32| {
            let args = (Array::new(&[2], vec![1.0, 2.0]), Array::new(&[2], vec![1, id]));
            quietly(|| f(device_put(args, &device).expect("it fits")))
        };
        let why = call(9).expect_err("there is no element 9").to_string();
        assert!(why.contains("position 9 is not in 0..2") && why.contains("gpu/control.rs"), "{why}");
        assert_eq!(call(1).expect("the device can still be used").to_vec::<f64>(), [2.0, 2.0]);
    });
}

/// A value computed from an out-of-bounds position decides nothing.
#[test]
fn what_fails_before_a_decision_is_reported() {
    on_machine(|| {
        let device = cuda(0).expect("the emulator is a GPU");
        let goes_on = jit(|(x, i): (Array, Array)| {
            while_loop(|(x, i)| x.take(&i, 0).gt(0.0), |(x, i): (Array, Array)| (x, i + 1), (x, i)).1
        });
        let branch = jit(|(x, i): (Array, Array)| {
            let which = x.take(&i, 0).astype(DType::I32);
            switch(which, &[&|i: Array| i, &|i: Array| i + 1], i)
        });
        for f in [goes_on, branch] {
            let call = |i: i32| {
                let args = (Array::new(&[3], vec![1.0, 1.0, 0.0]), Array::scalar(i));
                quietly(|| f(device_put(args, &device).expect("it fits")))
            };
            let why = call(3).expect_err("there is no element 3").to_string();
            assert!(why.contains("position 3 is not in 0..3") && why.contains("gpu/control.rs"), "{why}");
            assert_eq!(call(1).expect("the device can still be used").item::<i32>(), 2);
        }
    });
}

#[test]
fn training_as_one_scan_has_the_bits_of_the_loop() {
    on_machine(|| {
        let step = |w: Array, key: Key| {
            let x = key.normal([6, 4], DType::F32);
            let (loss, slope) = value_and_grad(|w: Array| x.dot(&w).tanh().sum(()))(w.clone());
            (w - slope * 0.1f32, loss)
        };
        let device = cuda(0).expect("the emulator is a GPU");
        let start = || device_put((Key::new(1).normal([4, 2], DType::F32), Key::new(2)), &device).expect("it fits");
        let body = move |(w, key): (Array, Key), (): ()| {
            let [now, next] = key.split();
            let (w, loss) = step(w, now);
            ((w, next), loss)
        };
        let one = jit(move |w: Array, key: Key| body((w, key), ()));
        let (mut losses, (mut w, mut key)) = (vec![], start());
        for _ in 0..6 {
            let ((next, rest), loss) = one(w, key);
            (w, key) = (next, rest);
            losses.extend(elements(loss));
        }
        let options = ScanOptions { length: Some(6.into()), ..ScanOptions::default() };
        let all = jit(move |w: Array, key: Key| scan_with(body, (w, key), (), options.clone()));
        let (w_all, key_all) = start();
        let ((found, _), found_losses) = all(w_all, key_all);
        assert_eq!(elements(found)[0].data(), elements(w)[0].data());
        let each: Vec<f32> = losses.iter().map(|loss: &HostArray| loss.get(0).as_f64() as f32).collect();
        assert_eq!(found_losses.to_vec::<f32>(), each);
    });
}
