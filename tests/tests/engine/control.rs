//! Loops and branches as users write them: compiled, nested, differentiated, batched, of symbolic length.

use gavotte::optimizers::Adam;
use gavotte::random::Key;
use gavotte::segment::Segments;
use gavotte::{
    Array, DType, Dim, Error, Lowered, ScanOptions, Stage, Tree, cond, debug_print, fori_loop, grad, jit, jit_with,
    jvp, make_program, scan, scan_with, switch, vmap, while_loop, with_debug_output,
};
use gavotte_core::ir::{PrintOptions, Program, quietly};
use gavotte_core::runtime::Options;
use gavotte_gat::data::karate;
use gavotte_gat::experiment::Inputs;
use gavotte_gat::model::{GatConfig, GatParams};
use gavotte_gat::train::{GatTraining, Trainer};
use gavotte_tests::targets::ways;
use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

fn floats(n: usize) -> Array {
    Array::new(&[n], (0..n).map(|i| (i as f64 * 0.7).sin()).collect())
}

#[track_caller]
fn assert_close(found: &Array, wanted: &[f64]) {
    let found = found.to_vec::<f64>();
    assert_eq!(found.len(), wanted.len());
    for (a, b) in found.iter().zip(wanted) {
        assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{found:?}, not {wanted:?}");
    }
}

/// The bits of every leaf.
fn bits(tree: &impl Tree) -> Vec<Vec<u64>> {
    let leaf = |leaf: gavotte_core::ir::Value| -> Vec<u64> {
        let host = leaf.to_host().expect("it is computed");
        (0..host.len()).map(|i| host.get(i).as_f64().to_bits()).collect()
    };
    tree.flatten().1.into_iter().map(leaf).collect()
}

/// Two hundred epochs as one scan in one compiled program, and as a loop around a compiled step.
#[test]
fn training_as_one_scan_has_the_bits_of_the_loop() {
    const EPOCHS: usize = 200;
    let dataset = karate();
    let config = GatConfig::new(dataset.n_class());
    let split = dataset.default_split.clone().expect("the karate club has one");
    let experiment = config.experiment(&dataset, &split).expect("it fits");
    let trained = |threads: usize| {
        let threads = NonZeroUsize::new(threads).expect("not zero");
        let options = Options { threads, shares_all: true, ..Options::default() };
        let trainer = Trainer::gat_with_options(config, GatTraining::default(), options.clone()).expect("it is valid");
        let start = || {
            let params = trainer.init(Key::new(3), &experiment).expect("it fits");
            ((trainer.optimizer.init_fun)(params), Key::new(5))
        };
        let (i, state, inputs, _) = trainer.step_args(0, start().0, &experiment, Key::new(0)).expect("it fits");
        let step = &trainer.step;
        let body = move |(state, key): (Adam<GatParams>, Key), i: Array, inputs: Inputs| {
            let [now, next] = key.split();
            let (state, loss) = step(i, state, inputs, now);
            ((state, next), loss)
        };
        let one = jit_with(
            |i: Array, state: Adam<GatParams>, key: Key, inputs: Inputs| body((state, key), i, inputs),
            options.clone(),
        );
        let (mut state, mut key, mut losses) = (state, start().1, vec![]);
        for epoch in 0..EPOCHS {
            let number = Array::scalar(epoch as i32);
            let ((next, k), loss) = one(number, state, key, inputs.clone());
            (state, key) = (next, k);
            losses.push(loss.item::<f32>().to_bits());
        }
        let all = jit_with(
            |state: Adam<GatParams>, key: Key, inputs: Inputs| {
                let iterations = gavotte::iota([EPOCHS], 0, DType::I32);
                let ((state, _), losses) =
                    scan(|carry, i: Array| body(carry, i, inputs.clone()), (state, key), iterations);
                (state, losses)
            },
            options,
        );
        let (scanned, scanned_losses) = all(start().0, start().1, inputs);
        drop(i);
        let found: Vec<u32> = scanned_losses.to_vec::<f32>().into_iter().map(f32::to_bits).collect();
        assert_eq!(found, losses, "losses with {threads} threads");
        assert_eq!(bits(&scanned), bits(&state), "parameters with {threads} threads");
        assert!(f32::from_bits(losses[EPOCHS - 1]) < f32::from_bits(losses[0]), "it learns");
        bits(&scanned)
    };
    assert_eq!(trained(1), trained(2));
}

fn plan_text<A, O>(lowered: &Lowered<A, O>) -> String {
    lowered.text(Stage::Plan, PrintOptions::default()).expect("sizes are known")
}

/// Carries take no memory per iteration.
#[test]
fn carries_are_changed_in_place() {
    let bytes = |iterations: usize| {
        let f = jit(move |x: Array, w: Array| {
            let goes_on = |(i, _): (Array, Array)| i.lt(iterations as i32);
            while_loop(goes_on, |(i, x): (Array, Array)| (i + 1, (&x * &w).sin() + &x), (Array::scalar(0), x)).1
        });
        let lowered = f.lower((floats(1000), floats(1000))).expect("it compiles");
        let memory = lowered.memory_analysis().expect("sizes are known");
        (memory.results + memory.temporaries, plan_text(&lowered))
    };
    let (ten, text) = bytes(10);
    assert_eq!(ten, bytes(1000).0, "{text}");
    // The result, and less than one more array of that size.
    assert!(ten < 2 * 8000, "{ten} bytes\n{text}");
}

#[test]
fn a_moved_argument_is_the_memory_of_the_carry() {
    let double = jit(|x: Array| fori_loop(0, 3, |_: Array, x: Array| &x + &x, x));
    let text = plan_text(&double.lower((floats(8),)).expect("it compiles"));
    assert!(text.contains("in the memory of argument 0"), "{text}");
    let wanted: Vec<f64> = floats(8).to_vec::<f64>().iter().map(|x| x * 8.0).collect();
    assert_close(&double(floats(8)), &wanted);
}

#[test]
fn loops_nest() {
    // Σ_i Π_{j<=i} (x + j), by a loop in a scan, and a branch in the loop.
    let f = |x: Array| {
        let body = |sum: Array, i: Array| {
            let product =
                fori_loop(0, &i + 1, |j: Array, p: Array| p * (&x + j.astype(DType::F64)), Array::scalar(1.0));
            let term = cond(i.eq(1), |p: Array| -p, |p: Array| p, product);
            (sum + &term, term)
        };
        scan(body, Array::scalar(0.0), gavotte::arange(3, DType::I32))
    };
    let x = 0.5f64;
    let terms = [x, -x * (x + 1.0), x * (x + 1.0) * (x + 2.0)];
    for (sum, all) in [f(Array::scalar(x)), jit(f)(Array::scalar(x))] {
        assert_close(&all, &terms);
        assert_close(&sum, &[terms.iter().sum()]);
    }
    let slope = jvp(&|x: Array| f(x).0, (Array::scalar(x),), (Array::scalar(1.0),)).1;
    // d/dx of x - x² - x + x³ + 3x² + 2x
    assert_close(&slope, &[3.0 * x * x + 4.0 * x + 2.0]);
}

#[test]
fn gradients_of_scans() {
    // h_{t+1} = a h_t + x_t: dL/da for L = h_3 is 3 a² h_0 + 2 a x_0 + x_1
    let last = |a: Array, h: Array, xs: Array| scan(|h: Array, x: Array| (&a * h + x, ()), h, xs).0;
    let (a, h, xs) = (0.5, 2.0, [1.0, 3.0, -1.0]);
    let args = || (Array::scalar(a), Array::scalar(h), Array::new(&[3], xs.to_vec()));
    let wanted = 3.0 * a * a * h + 2.0 * a * xs[0] + xs[1];
    let gradient = grad(last);
    assert_close(&gradient.try_call(args()).expect("it runs"), &[wanted]);
    assert_close(&jit(grad(last)).try_call(args()).expect("it runs"), &[wanted]);
    // Twice: 6 a h_0 + 2 x_0
    let twice = jit(grad(move |a: Array, h: Array, xs: Array| gradient(a, h, xs)));
    assert_close(&twice.try_call(args()).expect("it runs"), &[6.0 * a * h + 2.0 * xs[0]]);
    let each = vmap(grad(last), [Some(0), None, None]);
    let at = [0.5f64, 1.0, -2.0];
    let wanted: Vec<f64> = at.iter().map(|a| 3.0 * a * a * h + 2.0 * a * xs[0] + xs[1]).collect();
    assert_close(&each(Array::new(&[3], at.to_vec()), Array::scalar(h), Array::new(&[3], xs.to_vec())), &wanted);
}

#[test]
fn gradients_of_branches() {
    let f = |i: Array, x: Array| {
        switch(i, &[&|x: Array| x.sin(), &|x: Array| &x * &x * &x, &|x: Array| x.exp()], x).sum(())
    };
    let slope = grad(move |x: Array, i: Array| f(i, x));
    for (i, wanted) in [(0, 0.3f64.cos()), (1, 3.0 * 0.09), (2, 0.3f64.exp()), (9, 0.3f64.exp()), (-4, 0.3f64.cos())] {
        assert_close(&slope(Array::scalar(0.3), Array::scalar(i)), &[wanted]);
    }
    let all = jit(vmap(slope, [None, Some(0)]));
    assert_close(&all(Array::scalar(0.3), Array::new(&[3], vec![2, 0, 1])), &[0.3f64.exp(), 0.3f64.cos(), 3.0 * 0.09]);
}

/// Each element stops on its own.
#[test]
fn loops_over_one_more_axis() {
    let steps = |x: Array| {
        while_loop(|(x, _): (Array, Array)| x.gt(1.0), |(x, n): (Array, Array)| (x * 0.5, n + 1), (x, Array::scalar(0)))
    };
    for (last, n) in
        [vmap(steps, [Some(0)]), vmap(jit(steps), [Some(0)])].map(|f| f(Array::new(&[4], vec![0.5, 3.0, 100.0, 1.5])))
    {
        assert_eq!(n.to_vec::<i32>(), [0, 2, 7, 1]);
        assert_close(&last, &[0.5, 0.75, 0.78125, 0.75]);
    }
}

/// One compiled program for any number of iterations, including none.
#[test]
fn symbolic_length() {
    let sums = jit(|xs: Array| {
        let n = xs.dim(0);
        let (sum, all) = scan(|sum: Array, x: Array| (&sum + &x, &sum * x), Array::scalar(0.0), xs);
        let iterations = fori_loop(0, n, |i: Array, count: Array| count + i, Array::scalar(0));
        (sum, all, iterations)
    });
    for n in [4, 0, 1, 7] {
        let xs = floats(n);
        let (mut sum, mut products) = (0.0, vec![]);
        for x in xs.to_vec::<f64>() {
            products.push(sum * x);
            sum += x;
        }
        let (found, all, iterations) = sums(xs.declare(["t"]));
        assert_close(&found, &[sum]);
        assert_close(&all, &products);
        assert_eq!(iterations.item::<i32>(), (0..n as i32).sum::<i32>());
    }
    assert_eq!(sums.n_entry(), 1);
}

#[test]
fn reverse_goes_from_the_end() {
    let options = ScanOptions { reverse: true, ..ScanOptions::default() };
    let xs = Array::new(&[3], vec![1, 2, 3]);
    let body = |sum: Array, x: Array| (&sum + &x, sum + x);
    let (last, all) = scan_with(body, Array::scalar(0), xs, options);
    assert_eq!((last.item::<i32>(), all.to_vec::<i32>()), (6, vec![6, 5, 3]));
    let options = ScanOptions { length: Some(Dim::from(4)), ..ScanOptions::default() };
    let (last, all) = scan_with(|x: Array, (): ()| (&x * 2, x), Array::scalar(1), (), options);
    assert_eq!((last.item::<i32>(), all.to_vec::<i32>()), (16, vec![1, 2, 4, 8]));
}

#[track_caller]
fn refused<T>(f: impl FnOnce() -> T) -> String {
    match quietly(f) {
        Err(Error::Type(why) | Error::Unsupported(why)) => why,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it is not refused"),
    }
}

#[test]
fn mistakes_are_explained() {
    let x = || Array::scalar(1.0);
    let cases = [
        (
            refused(|| scan(|c: Array, _: Array| (c.astype(DType::F32), ()), x(), floats(2))),
            "scan: the carry is f64[] before an iteration and f32[] after it",
        ),
        (
            refused(|| scan(|(a, b): (Array, Array), _: Array| ((a, b.sum(())), ()), (x(), floats(3)), floats(2))),
            "scan: the carry's leaf `1` is f64[3] before an iteration and f64[] after it",
        ),
        (
            refused(|| {
                let carry = |mut c: Vec<Array>, _: Array| {
                    c.push(Array::scalar(0));
                    (c, ())
                };
                scan(carry, vec![x()], floats(2))
            }),
            "scan: the carry before an iteration and after it differ at the root: Vec of 1 and Vec of 2",
        ),
        (refused(|| scan(|c: Array, (): ()| (c, ()), x(), ())), "there is no sequence: give the number of iterations"),
        (
            refused(|| scan(|c: Array, _: (Array, Array)| (c, ()), x(), (floats(2), floats(3)))),
            "scan: the sequence `1` has 3 rows, but the sequence `0` has 2: all must have the same number",
        ),
        (refused(|| scan(|c: Array, _: Array| (c, ()), x(), x())), "has no rows: it needs an axis to iterate over"),
        (
            refused(|| while_loop(|x: Array| x, |x: Array| x, x())),
            "while_loop: the condition must return bool[], not f64[]",
        ),
        (
            refused(|| grad(|x: Array| while_loop(|x: Array| x.gt(1.0), |x: Array| x * 0.5, x))(x())),
            "while_loop: reverse mode must know the number of iterations",
        ),
        (
            refused(|| cond(x().gt(0.0), |x: Array| x, |x: Array| x.astype(DType::F32), x())),
            "cond: the result is f32[] in the branch for `false` and f64[] in the branch for `true`: branches must return the same types",
        ),
        (refused(|| cond(x(), |x: Array| x, |x: Array| x, x())), "cond: the predicate must be bool[], not f64[]"),
        (refused(|| switch(x(), &[&|x: Array| x], x())), "switch: the index must be i32[], not f64[]"),
        (refused(|| switch::<Array, Array>(Array::scalar(0), &[], x())), "switch: there is no branch to take"),
        (refused(|| fori_loop(0, x(), |_: Array, x: Array| x, x())), "fori_loop: a bound must be i32[], not f64[]"),
    ];
    for (why, wanted) in cases {
        assert!(why.contains(wanted), "{why}\n does not say\n{wanted}");
        assert!(why.contains("tests/tests/engine/control.rs") || why.contains("control.rs:"), "no line: {why}");
    }
}

/// Arrays that an iteration computes without operands are recomputed on the way back, not kept for every iteration.
#[test]
fn numbers_that_need_no_operand_are_not_stacked() {
    let segments = Segments::sorted(&[0, 0, 2, 2, 2, 3], 4).unwrap_or_else(|error| panic!("{error}"));
    let loss = |x: Array, segments: Segments| {
        let body = |x: Array, _: Array| {
            let x = segments.sum(&segments.gather(&x).sin());
            (x.clone(), x.sum(()))
        };
        scan(body, x, floats(5)).1.sum(())
    };
    let step = jit(move |x: Array, segments: Segments| grad(move |x: Array| loss(x, segments.clone()))(x));
    let args = (floats(4).declare(["n"]), segments.with_symbols("n", "e"));
    let lowered = step.lower(args).unwrap_or_else(|error| panic!("{error}"));
    let text = lowered.text(Stage::Traced, PrintOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    assert!(text.contains("f64[5,e]") && !text.contains("i32[5,e]"), "{text}");
}

/// All equations, including those of nested programs.
fn n_eqn(program: &Program) -> usize {
    let within = |eqn: &gavotte_core::ir::Eqn| eqn.params.programs_within().map(|inner| n_eqn(inner)).sum::<usize>();
    program.eqns.iter().map(|eqn| 1 + within(eqn)).sum()
}

/// Rules evaluate a nested program once, however deeply it is nested: twice would be a million times for twenty loops.
#[test]
fn transformed_nests_grow_by_their_depth() {
    fn scans(depth: usize, y: Array) -> Array {
        if depth == 0 { (y * 1.1).sin() } else { fori_loop(0usize, 2usize, move |_, y| scans(depth - 1, y), y) }
    }
    fn branches(depth: usize, y: Array) -> Array {
        let which = y.sum(()).lt(Array::scalar(3.0));
        if depth == 0 { (y * 1.1).sin() } else { cond(which, move |y| branches(depth - 1, y), |y: Array| y.cos(), y) }
    }
    fn whiles(depth: usize, y: Array) -> Array {
        let goes_on = |y: Array| y.sum(()).lt(Array::scalar(3.0));
        if depth == 0 { (y * 1.1).sin() } else { while_loop(goes_on, move |y| whiles(depth - 1, y) + 1.0, y) }
    }
    type Nest = fn(usize, Array) -> Array;
    let x = || floats(2);
    let reverse = |f: Nest, depth| make_program(&grad(move |y: Array| f(depth, y).sum(())), (x(),));
    let forward =
        |f: Nest, depth| make_program(&move |y: Array| jvp(&move |y| f(depth, y), (y.clone(),), (y,)).1, (x(),));
    let mapped =
        |f: Nest, depth| make_program(&vmap(move |y: Array| f(depth, y), [Some(0)]), (gavotte::stack(&[x(), x()], 0),));
    let nests: [(&str, Nest); 3] = [("scan", scans), ("cond", branches), ("while", whiles)];
    for (name, nest) in nests {
        for (how, transformed) in
            [("forward", &forward as &dyn Fn(Nest, usize) -> Program), ("mapped", &mapped), ("reverse", &reverse)]
        {
            if (name, how) == ("while", "reverse") {
                continue;
            }
            let [few, more, many] = [5, 10, 20].map(|depth| n_eqn(&transformed(nest, depth)));
            // Backward iterations recompute the forward ones, including those of every enclosing loop.
            assert!(many - more <= 4 * (more - few) + 8, "{name}, {how}: {few}, {more}, {many} equations");
        }
    }
}

/// A position out of bounds in the third iteration of a loop that would end after five: the loop returns that error and
/// runs nothing more. The next call no longer has it.
#[test]
fn what_fails_in_an_iteration_is_the_last_of_a_loop() {
    type Loop = fn(Array, Array) -> Array;
    let in_the_body: Loop = |x, ids| {
        let body = |(i, sum): (Array, Array)| {
            let taken = x.take(&ids.take(&i, 0), 0);
            debug_print("{}: {}", &[&i, &taken]);
            (i + 1, sum + taken)
        };
        while_loop(|(i, _): (Array, Array)| i.lt(5), body, (Array::scalar(0), Array::scalar(0f32))).1
    };
    let in_the_predicate: Loop = |x, ids| {
        let goes_on = |(i, _): (Array, Array)| {
            let taken = x.take(&ids.take(&i, 0), 0);
            debug_print("{}: {}", &[&i, &taken]);
            taken.gt(-1.0) & i.lt(4)
        };
        let body = |(i, sum): (Array, Array)| {
            let next = sum + x.take(&ids.take(&i, 0).clip(0, 1), 0);
            (i + 1, next)
        };
        while_loop(goes_on, body, (Array::scalar(0), Array::scalar(0f32))).1
    };
    let in_a_scan: Loop = |x, ids| {
        let body = |sum: Array, (i, id): (Array, Array)| {
            let taken = x.take(&id, 0);
            debug_print("{}: {}", &[&i, &taken]);
            (sum + &taken, taken)
        };
        scan(body, Array::scalar(0f32), (gavotte::arange(5, DType::I32), ids)).0
    };
    let x = || Array::new(&[2], vec![0.5f32, 2.0]);
    for (what, f) in [("body", in_the_body), ("predicate", in_the_predicate), ("scan", in_a_scan)] {
        for (way, options) in ways() {
            let compiled = options.map(|options| jit_with(f, options));
            let run = |ids: [i32; 5]| {
                let lines = Rc::new(RefCell::new(vec![]));
                let (sink, ids) = (lines.clone(), Array::new(&[5], ids.to_vec()));
                let run = || match &compiled {
                    Some(compiled) => compiled.try_call((x(), ids)),
                    None => quietly(|| f(x(), ids)),
                };
                let found = with_debug_output(move |line| sink.borrow_mut().push(line.to_string()), run);
                (found.map(|sum| sum.item::<f32>()), lines.take())
            };
            let (found, lines) = run([0, 1, 9, 0, 7]);
            let why = found.expect_err("there is no element 9").to_string();
            assert!(why.contains("9") && why.contains("0..2") && why.contains("control.rs"), "{what}, {way}: {why}");
            assert_eq!(lines, ["0: 0.5", "1: 2.0"], "{what}, {way}");
            let (found, lines) = run([0, 1, 1, 0, 1]);
            let wanted = if what == "predicate" { 5.0 } else { 7.0 };
            assert_eq!((found.ok(), lines.len()), (Some(wanted), 5), "{what}, {way}");
        }
    }
}

/// Rows being made may have the type of rows being read, but cannot take their place: an iteration makes its row before
/// it reads the other.
#[test]
fn rows_that_are_read_are_not_written_over() {
    let f = |carry: Array, xs: Array| {
        let body = |carry: Array, x: Array| {
            let row = carry.tanh();
            (x.dot(&row) + &row, row)
        };
        scan(body, carry, xs)
    };
    let args = || (floats(9).reshape([3, 3]), floats(45).reshape([5, 3, 3]));
    let (carry, xs) = args();
    let wanted = f(carry, xs);
    for threads in [1, 2] {
        let threads = NonZeroUsize::new(threads).expect("not zero");
        let f = jit_with(f, Options { threads, shares_all: true, ..Options::default() });
        for _ in 0..2 {
            // Both are donated.
            let (carry, xs) = args();
            let found = f(carry, xs);
            assert_close(&found.0, &wanted.0.to_vec::<f64>());
            assert_close(&found.1, &wanted.1.to_vec::<f64>());
        }
    }
}
