//! The user-facing API: transformations compose in any order, tracing scopes, errors, the cache, donation.

use approx::assert_relative_eq;
use gavotte::optimizers::{Optimizer, adam};
use gavotte::random::Key;
use gavotte::{
    Array, DType, Error, Tree, eval_shape, grad, jit, jvp, linearize, make_program, optimizers, stax, value_and_grad,
    vjp, vmap,
};
use std::sync::Mutex;

fn scalar(x: f64) -> Array {
    Array::scalar(x)
}

fn vector(xs: &[f64]) -> Array {
    Array::new(&[xs.len()], xs.to_vec())
}

/// `sin(x²)` and its derivatives, by hand.
fn f(x: Array) -> Array {
    (&x * &x).sin()
}
fn df(x: f64) -> f64 {
    2.0 * x * (x * x).cos()
}
fn ddf(x: f64) -> f64 {
    2.0 * (x * x).cos() - 4.0 * x * x * (x * x).sin()
}

#[test]
fn derivatives_of_derivatives() {
    let x = 0.7;
    assert_relative_eq!(grad(f)(scalar(x)).item::<f64>(), df(x), epsilon = 1e-12);
    assert_relative_eq!(grad(grad(f))(scalar(x)).item::<f64>(), ddf(x), epsilon = 1e-12);
    let third = (ddf(x + 1e-5) - ddf(x - 1e-5)) / 2e-5;
    assert_relative_eq!(grad(grad(grad(f)))(scalar(x)).item::<f64>(), third, epsilon = 1e-6);
}

#[test]
fn transformations_compose_in_any_order() {
    let xs = [0.3, -1.1, 0.7];
    let expected: Vec<f64> = xs.iter().map(|x| df(*x)).collect();
    let check = |name: &str, found: Vec<f64>| {
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-12, "{name}: {found} is not {expected}");
        }
    };
    check("vmap(grad)", vmap(grad(f), [Some(0)])(vector(&xs)).to_vec());
    check("jit(vmap(grad))", jit(vmap(grad(f), [Some(0)]))(vector(&xs)).to_vec());
    check("vmap(jit(grad))", vmap(jit(grad(f)), [Some(0)])(vector(&xs)).to_vec());
    check("vmap(grad(jit))", vmap(grad(jit(f)), [Some(0)])(vector(&xs)).to_vec());
    check("jit(jit)", jit(jit(vmap(grad(f), [Some(0)])))(vector(&xs)).to_vec());
    check("grad(sum(vmap))", grad(|x: Array| vmap(f, [Some(0)])(x).sum(()))(vector(&xs)).to_vec());
    let by_jit = jit(grad(|x: Array| vmap(jit(f), [Some(0)])(x).sum(())));
    check("jit(grad(sum(vmap(jit))))", by_jit(vector(&xs)).to_vec());
}

#[test]
fn second_order_through_jit_and_vmap() {
    let hessian_diagonal = jit(vmap(grad(jit(grad(f))), [Some(0)]));
    for (found, x) in hessian_diagonal(vector(&[0.3, 0.9])).to_vec::<f64>().iter().zip([0.3, 0.9]) {
        assert_relative_eq!(*found, ddf(x), epsilon = 1e-12);
    }
}

#[test]
fn forward_and_reverse_agree() {
    let g = |x: Array, y: Array| (&x * &y).exp() + x.tanh();
    let (x, y) = (vector(&[0.2, -0.4]), vector(&[1.5, 0.3]));
    let (dx, dy) = (vector(&[1.0, -2.0]), vector(&[0.5, 0.25]));
    let (out, moved) = jvp(&g, (x.clone(), y.clone()), (dx.clone(), dy.clone()));
    let (same, derivative) = linearize(&g, (x.clone(), y.clone()));
    assert_eq!(out.to_vec::<f64>(), same.to_vec::<f64>());
    for (a, b) in derivative(dx.clone(), dy.clone()).to_vec::<f64>().iter().zip(moved.to_vec::<f64>()) {
        assert_relative_eq!(*a, b, epsilon = 1e-12);
    }
    let (_, pull) = vjp(&g, (x, y));
    let weights = vector(&[0.7, -1.3]);
    let (gx, gy) = pull(weights.clone());
    let left = (moved * weights).sum(()).item::<f64>();
    let right = ((gx * dx).sum(()) + (gy * dy).sum(())).item::<f64>();
    assert_relative_eq!(left, right, epsilon = 1e-12);
}

#[derive(Tree, Clone)]
struct Model {
    w: Array,
    b: Array,
    #[tree(static)]
    power: i32,
}

#[test]
fn structs_are_trees_with_static_fields() {
    let loss = |m: Model, x: Array| ((&m.w * x + &m.b).powi(m.power)).sum(());
    let model = |power| Model { w: scalar(2.0), b: scalar(1.0), power };
    let step = jit(value_and_grad(loss));
    let (value, grads) = step(model(2), scalar(3.0));
    assert_eq!((value.item::<f64>(), grads.w.item::<f64>(), grads.b.item::<f64>()), (49.0, 42.0, 14.0));
    assert_eq!(grads.power, 2);
    assert_eq!(step.n_entry(), 1);
    step(model(3), scalar(3.0));
    assert_eq!(step.n_entry(), 2, "a static field joins the key");
    let miss = step.misses().pop().expect("the last call traced").to_string();
    assert!(miss.contains("`0.power`: the static value was 2 and is 3"), "{miss}");
}

#[test]
fn symbols_share_one_program() {
    let mean = jit(|x: Array| x.mean(()));
    for n in [3usize, 7, 1000] {
        let xs: Vec<f64> = (0..n).map(|i| i as f64).collect();
        let found = mean(vector(&xs).declare(["n"])).item::<f64>();
        assert_relative_eq!(found, (n as f64 - 1.0) / 2.0, epsilon = 1e-9);
    }
    assert_eq!(mean.n_entry(), 1);
    let add = jit(|x: Array, y: Array| x + y);
    let (two, three) = (vector(&[1.0, 2.0]).declare(["n"]), vector(&[1.0, 2.0, 3.0]).declare(["n"]));
    let error = add.try_call((two, three)).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("`n` is 2 at argument 0 and 3 at argument 1"), "{error}");
}

#[test]
fn type_errors_name_operation_operands_and_line() {
    let product = jit(|x: Array, w: Array| x.matmul(&w));
    let (x, w) = (Array::new(&[2, 3], vec![0f32; 6]), Array::new(&[4, 5], vec![0f32; 20]));
    let Err(Error::Type(message)) = product.try_call((x, w)) else { panic!("must be refused") };
    for part in ["f32[2,3]", "f32[4,5]", "3 and 4", "tests/tests/engine/api.rs"] {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
    let Err(Error::Type(message)) = grad(|x: Array| x * 2.0).try_call((vector(&[1.0, 2.0]),)) else {
        panic!("must be refused")
    };
    assert!(message.contains("one floating scalar"), "{message}");
    let Err(Error::Type(message)) = grad(|x: Array| x.sum(())).try_call((Array::new(&[2], vec![1, 2]),)) else {
        panic!("must be refused")
    };
    assert!(message.contains("i32[2]"), "{message}");
}

#[test]
fn a_panic_inside_a_trace_closes_its_scope() {
    let bad = jit(|x: Array, w: Array| x.matmul(&w));
    let args = || (Array::new(&[2, 3], vec![0f32; 6]), Array::new(&[4, 5], vec![0f32; 20]));
    assert!(bad.try_call(args()).is_err());
    let user = std::panic::catch_unwind(|| {
        jit(|x: Array| -> Array {
            if x.ndim() == 0 { std::panic::resume_unwind(Box::new(())) } else { x }
        })(scalar(1.0))
    });
    assert!(user.is_err());
    assert_eq!(scalar(1.0).exp().item::<f64>(), 1f64.exp(), "outside a trace values are computed");
}

#[test]
fn an_escaped_value_is_named() {
    let kept: Mutex<Option<Array>> = Mutex::default();
    jit(|x: Array| {
        let y = x * 2.0;
        *kept.lock().unwrap() = Some(y.clone());
        y
    })(scalar(1.0));
    let escaped = kept.into_inner().unwrap().expect("the closure has run");
    let error = escaped.to_host().expect_err("it has no contents").to_string();
    for part in ["%", "f64[]", "tests/tests/engine/api.rs", "return it"] {
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
    // Everything that reads it names this file, and no other.
    let add = jit(|x: Array| x + 1.0);
    let path = std::env::temp_dir().join("never written.safetensors");
    let lowered = add.lower((scalar(1.0),)).expect("it is traced").compile().expect("it compiles");
    let readers: [(&dyn Fn() -> Option<Error>, &str); 4] = [
        (&|| add.try_call((escaped.clone(),)).err(), "argument 0"),
        (&|| gavotte_core::ir::quietly(|| lowered(escaped.clone())).err(), "argument 0"),
        (&|| gavotte::save_params(&path, &(escaped.clone(),), None).err(), "parameter `0`"),
        (&|| gavotte::save_params(&path, &vec![escaped.clone()], None).err(), "parameter `0`"),
    ];
    for (read, of) in readers {
        let error = read().expect("it has no contents").to_string();
        assert!(error.contains(of) && error.contains("return it"), "{error}");
        assert!(error.matches(".rs:").count() == error.matches("tests/tests/engine/api.rs:").count(), "{error}");
    }
    let used = jit(|x: Array| x + &escaped).try_call((scalar(1.0),));
    let Err(Error::Trace(message)) = used else { panic!("an ended trace's value cannot be captured") };
    assert!(message.contains("that trace has ended"), "{message}");
}

/// An argument of a trace that has ended.
fn escaped_from_jit(argument: Array) -> Array {
    let kept: Mutex<Option<Array>> = Mutex::default();
    jit(|x: Array| {
        *kept.lock().unwrap() = Some(x.clone());
        x
    })(argument);
    kept.into_inner().unwrap().expect("the closure has run")
}

/// A compiled function that was traced within a trace that has ended, and captured a value of that.
fn kept_jit() -> gavotte::Jit<'static, (Array,), Array> {
    let kept = Mutex::default();
    jit(|x: Array| {
        let captured = x.clone();
        let inner = jit(move |y: Array| y + &captured);
        let sum = inner(x);
        *kept.lock().unwrap() = Some(inner);
        sum
    })(Array::new(&[3], vec![1f64; 3]));
    kept.into_inner().unwrap().expect("the closure has run")
}

/// Also what the library computes in closures of its own is refused at the caller's line.
#[test]
fn the_line_is_the_callers_whatever_the_library_does() {
    let [x, kept_words, step] =
        [Array::new(&[3], vec![1f64; 3]), Key::new(0).into_array(), Array::scalar(0)].map(escaped_from_jit);
    let ids = Array::new(&[3], vec![0, 1, 2]);
    let key = || Key::new(0);
    let escaped = || Key::from_array(kept_words.clone());
    let Optimizer { init_fun, update_fun, .. } = adam::<Array>(0.1);
    let state = || init_fun(Array::new(&[3], vec![1f64; 3]));
    let inner = kept_jit();
    let mut wrong = vec![];
    let uses: &[(&str, &dyn Fn())] = &[
        ("sort", &|| drop(x.sort(0))),
        ("sort_key_val", &|| drop(gavotte::sort_key_val(&x, &x, 0))),
        ("take_along_axis", &|| drop(x.take_along_axis(&ids, 0))),
        ("cumlogsumexp", &|| drop(x.cumlogsumexp(0))),
        ("associative_scan", &|| drop(gavotte::associative_scan(|a: Array, b| a + b, x.clone(), 0, false))),
        ("cross", &|| drop(gavotte::cross(&x, &x, 0))),
        ("stop_gradient", &|| drop(gavotte::stop_gradient(&vec![x.clone()]))),
        ("uniform", &|| drop(key().uniform(["n"], DType::F32))),
        ("normal", &|| drop(key().normal(["n"], DType::F32))),
        ("bits", &|| drop(key().bits(["n"]))),
        ("hilbert", &|| drop(gavotte::linalg::hilbert("n", DType::F32))),
        ("sgd", &|| drop(optimizers::sgd::<Array>(f64::NAN))),
        ("escaped bits", &|| drop(escaped().bits([2]))),
        ("escaped uniform", &|| drop(escaped().uniform([2], DType::F32))),
        ("escaped uniform in f64", &|| drop(escaped().uniform([2], DType::F64))),
        ("escaped uniform_range", &|| drop(escaped().uniform_range([2], 0.0, 3.0, DType::F32))),
        ("escaped normal", &|| drop(escaped().normal([2], DType::F32))),
        ("escaped truncated_normal", &|| drop(escaped().truncated_normal([2], -1.0, 1.0, DType::F32))),
        ("escaped bernoulli", &|| drop(escaped().bernoulli(0.5, [2]))),
        ("escaped bernoulli_pairs", &|| drop(escaped().bernoulli_pairs(0.5, [2]))),
        ("escaped randint", &|| drop(escaped().randint([2], 0, 3))),
        ("escaped permutation", &|| drop(escaped().permutation(3))),
        ("escaped split", &|| drop(escaped().split::<2>())),
        ("escaped split_into", &|| drop(escaped().split_into(2))),
        ("escaped split_array", &|| drop(escaped().split_array(2))),
        ("escaped split_batch", &|| drop(escaped().split_batch(2))),
        ("escaped stack", &|| drop(Key::stack([escaped(), key()]))),
        ("escaped fold_in", &|| drop(escaped().fold_in(1))),
        ("fold_in of an escaped number", &|| drop(key().fold_in(x.take(&ids, 0).sum(()).astype(DType::I32)))),
        ("escaped rng", &|| _ = escaped().rng()),
        ("update_fun", &|| drop(update_fun(&Array::scalar(0), x.clone(), state()))),
        ("update_fun of an escaped step", &|| drop(update_fun(&step, Array::new(&[3], vec![0f64; 3]), state()))),
        ("init_fun of integers", &|| drop(init_fun(ids.clone()))),
        ("a schedule", &|| drop(optimizers::Schedule::cosine_decay(1.0, 0.0, 9.0).at(&x, DType::F64))),
        ("eval_shape", &|| drop(eval_shape(&|_: Array| x.clone(), (ids.clone(),)))),
        ("eval_shape of a sum", &|| drop(eval_shape(&|y: Array| y + &x, (ids.clone(),)))),
        ("make_program", &|| drop(make_program(&|_: Array| x.clone(), (ids.clone(),)))),
        ("grad", &|| drop(grad(|_: Array| x.clone())(ids.clone()))),
        ("vmap", &|| drop(vmap(|_: Array| x.clone(), [Some(0)])(ids.clone()))),
        ("jit", &|| drop(jit(|_: Array| x.clone())(ids.clone()))),
        ("jvp", &|| drop(jvp(&|_: Array| x.clone(), (scalar(1.0),), (scalar(1.0),)))),
        ("vjp", &|| drop(vjp(&|_: Array| x.clone(), (scalar(1.0),)).0)),
        ("jvp of an escaped value", &|| drop(jvp(&|x: Array| x.sin(), (x.clone(),), (x.clone(),)))),
        ("vjp of an escaped value", &|| drop(vjp(&|x: Array| x.sin(), (x.clone(),)).0)),
        ("linearize of an escaped value", &|| drop(linearize(&|x: Array| x.sin(), (x.clone(),)).0)),
        ("linearize", &|| drop(linearize(&|_: Array| x.clone(), (scalar(1.0),)).0)),
        ("grad of an escaped value", &|| drop(grad(|x: Array| x.sum(()))(x.clone()))),
        ("vmap of an escaped value", &|| drop(vmap(|x: Array| x.sin(), [Some(0)])(x.clone()))),
        ("checkpoint", &|| drop(gavotte::checkpoint(|y: Array| y + &x)(scalar(1.0)))),
        ("scan", &|| drop(gavotte::scan(|_: Array, y: Array| (x.clone(), y), scalar(0.0), ids.clone()))),
        ("scan of an escaped value", &|| drop(gavotte::scan(|s: Array, y: Array| (s + &y, y), scalar(0.0), x.clone()))),
        ("fori_loop", &|| drop(gavotte::fori_loop(0, 3, |_, _: Array| x.clone(), Array::new(&[3], vec![1f64; 3])))),
        ("while_loop", &|| drop(gavotte::while_loop(|y: Array| y.lt(1.0), |_: Array| x.sum(()), scalar(1.0)))),
        ("cond", &|| {
            drop(gavotte::cond(
                Array::scalar(true),
                |_: Array| x.clone(),
                |y: Array| y,
                Array::new(&[3], vec![1f64; 3]),
            ));
        }),
        ("cond by an escaped value", &|| {
            drop(gavotte::cond(x.sum(()).gt(0.0), |y: Array| y, |y: Array| y, scalar(0.0)));
        }),
        ("a kept function", &|| drop(inner(Array::new(&[3], vec![1f64; 3])))),
        ("a kept function, traced", &|| drop(jit(|y: Array| inner(y))(Array::new(&[3], vec![1f64; 3])))),
        ("a kept function, of an escaped value", &|| drop(inner(x.clone()))),
        ("a kept function, traced again", &|| drop(inner(ids.astype(DType::F64).sum(())))),
        ("dense", &|| drop((stax::dense(1 << 62).init_fun)(key(), gavotte::shape([2, 3])))),
        ("dense of a scalar", &|| drop((stax::dense(2).init_fun)(key(), gavotte::shape([0; 0])))),
        ("dense of a symbol", &|| drop((stax::dense(2).init_fun)(key(), gavotte::shape(["n"])))),
        ("flatten", &|| drop((stax::flatten().apply_fun)(&(), &scalar(1.0), stax::Mode::Eval))),
        ("relu", &|| drop((stax::relu().apply_fun)(&(), &x, stax::Mode::Eval))),
        ("softmax", &|| drop((stax::softmax().apply_fun)(&(), &scalar(1.0), stax::Mode::Eval))),
        ("dropout", &|| drop((stax::dropout(0.5).apply_fun)(&(), &x, stax::Mode::Train(key())))),
        ("serial", &|| drop((stax::serial((stax::tanh(), stax::elu())).apply_fun)(&((), ()), &x, stax::Mode::Eval))),
        ("fan_in_sum", &|| drop((stax::fan_in_sum().init_fun)(key(), vec![]))),
        ("fan_in_concat", &|| drop((stax::fan_in_concat(1).apply_fun)(&(), &vec![x.clone(); 2], stax::Mode::Eval))),
        ("parallel", &|| drop((stax::parallel((stax::tanh(),)).init_fun)(key(), vec![]))),
    ];
    for (name, used) in uses {
        let error = gavotte_core::ir::quietly(used).expect_err(name).to_string();
        let place = error.split("\n  at ").nth(1).unwrap_or_default();
        if !place.starts_with("tests/tests/engine/api.rs:") || error.contains("core/src/") || error.contains("ops/src/")
        {
            wrong.push(format!("{name}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Every mistake in a call is an error of `try_call` that names the line of this file where it was made.
#[test]
fn mistakes_within_a_call_are_errors() {
    fn message(f: impl Fn(Array) -> Array + Send + Sync) -> String {
        let x = Array::new(&[2], vec![1f32, 2.0]);
        jit(f).try_call((x,)).map(drop).expect_err("a mistake").to_string()
    }
    let two = || Array::new(&[2], vec![0f32; 2]);
    let (argument, argument_line) = (message(|x: Array| Array::new(&[2], x.to_vec::<f32>())), line!());
    let (made, made_line) = (message(|x: Array| Array::scalar((x * 2.0).item::<f32>())), line!());
    for (said, line) in [(&argument, argument_line), (&made, made_line)] {
        assert!(said.contains(&format!("\n  at {}:{line}:", file!())), "{said}");
    }
    assert!(argument.contains("in @mistakes_within_a_call_are_errors, as an argument"), "{argument}");
    assert!(made.contains(&format!("made at {}:{made_line}:", file!())), "{made}");
    for (said, part) in [
        (message(|_| Array::new(&[3], vec![0f32; 2])), "shape [3] does not hold the 2 elements"),
        (message(|_| Array::new(&[1 << 33, 1 << 33], vec![0f32; 0])), "does not hold the 0 elements"),
        (message(|x| Array::scalar(two().to_vec::<i32>().len() as f32) + x), "elements are f32, not i32"),
        (message(|x| Array::scalar(two().item::<f32>()) + x), "item: the array has 2 elements"),
        (message(|x| x.sum(()) * x.dim(1).as_usize().unwrap_or(0) as f32), "there is no axis 1: the array is f32[2]"),
        (message(|x| two().declare(["n", "m"]) + x), "declare: f32[2] has another number of axes"),
        (
            message(|x| {
                let _ = stax::dropout(1.5);
                x
            }),
            "dropout: the rate is 1.5",
        ),
        (
            message(|x| {
                let _ = (stax::flatten().init_fun)(Key::new(0), gavotte::shape([0; 0]));
                x
            }),
            "flatten: the input",
        ),
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

#[test]
fn no_two_leaves_have_one_path() {
    type Keys = indexmap::IndexMap<String, indexmap::IndexMap<String, Array>>;
    let words = ["", "a", "a.b", "b", ".", "\"", "\"a\"", "a\\", "0"];
    let inner = || words.iter().map(|word| (word.to_string(), scalar(0.0))).collect();
    let tree: Keys = words.iter().map(|word| (word.to_string(), inner())).collect();
    let paths: Vec<String> = tree.leaves_with_paths().into_iter().map(|(path, _)| path).collect();
    let distinct: std::collections::HashSet<&String> = paths.iter().collect();
    assert_eq!(distinct.len(), words.len() * words.len(), "{paths:?}");
    assert!(paths.contains(&"a.b".into()) && paths.contains(&"\"a.b\".a".into()), "{paths:?}");
    // Names survive the round trip.
    let (def, leaves) = tree.flatten();
    assert!(Keys::unflatten(&def, leaves).keys().eq(&words));
}

#[test]
fn reading_a_traced_value_is_an_error() {
    let read = jit(|x: Array| {
        assert!(x.to_host().is_err());
        x
    });
    read(scalar(1.0));
}

#[test]
fn moved_arguments_are_donated() {
    let add_one = jit(|x: Array| x + 1.0);
    let x = Array::new(&[4096], vec![1f32; 4096]);
    let pointer = |x: &Array| x.to_host().expect("computed").as_slice::<f32>().as_ptr();
    let kept = add_one(x.clone());
    assert_eq!(x.to_vec::<f32>(), vec![1f32; 4096], "a kept argument is not written");
    assert_ne!(pointer(&kept), pointer(&x));
    let before = pointer(&x);
    let moved = add_one(x);
    assert_eq!(pointer(&moved), before, "a moved argument's memory is the result's");
    assert_eq!(moved.to_vec::<f32>(), vec![2f32; 4096]);
}

#[test]
fn results_may_be_arguments_constants_or_repeated() {
    let captured = vector(&[5.0, 6.0]);
    let all = jit(move |x: Array| {
        let y = &x * 2.0;
        (x.clone(), y.clone(), y.reshape([2, 1]), (y, captured.clone(), x))
    });
    let (a, b, c, (d, e, g)) = all(vector(&[1.0, 2.0]));
    assert_eq!(a.to_vec::<f64>(), [1.0, 2.0]);
    assert_eq!(b.to_vec::<f64>(), [2.0, 4.0]);
    assert_eq!(c.to_vec::<f64>(), [2.0, 4.0]);
    assert_eq!(d.to_vec::<f64>(), [2.0, 4.0]);
    assert_eq!(e.to_vec::<f64>(), [5.0, 6.0]);
    assert_eq!(g.to_vec::<f64>(), [1.0, 2.0]);
}

#[test]
fn out_of_range_positions_are_errors() {
    let take = jit(|x: Array, ids: Array| x.take(&ids, 0));
    let x = vector(&[1.0, 2.0, 3.0]);
    assert_eq!(take(x.clone(), Array::new(&[2], vec![2, 0])).to_vec::<f64>(), [3.0, 1.0]);
    let error = take.try_call((x, Array::new(&[2], vec![1, 7]))).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("7 is not in 0..3"), "{error}");
}

#[test]
fn a_cache_can_be_dropped() {
    let f = jit(|x: Array| x.sum(()));
    let sums = |sizes: std::ops::Range<usize>| {
        for n in sizes {
            assert_eq!(f(Array::new(&[n], vec![1f64; n])).item::<f64>(), n as f64);
        }
    };
    sums(1..5);
    assert_eq!((f.n_entry(), f.misses().len()), (4, 4));
    f.clear_cache();
    assert_eq!((f.n_entry(), f.misses().len()), (0, 0));
    sums(3..6);
    assert_eq!(f.n_entry(), 3);
    assert!(f.misses()[0].changes.is_empty() && f.misses()[1].changes.len() == 1, "as if it were new");
}

#[test]
fn an_extent_that_an_array_does_not_have_is_not_declared() {
    let declared = std::panic::catch_unwind(|| Array::new(&[2, 3], vec![0f32; 6]).declare([2, 4]));
    let why = declared.expect_err("it has 3 places");
    let why = why.downcast_ref::<String>().map(String::as_str).unwrap_or_default();
    assert!(why.contains("axis 1 of f32[2,3] has 3 places, not 4: write 3, or a symbol"), "{why}");
}

/// A value that outlives its trace is named at the line that reads it, also where an operation does.
#[test]
fn the_line_that_reads_a_traced_value_is_the_users() {
    let kept = Mutex::new(None);
    jit(|x: Array| {
        *kept.lock().expect("no thread panicked") = Some(x.clone());
        x
    })(scalar(1.0));
    let kept = kept.into_inner().expect("no thread panicked").expect("it was kept");
    let why = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| &kept + 1f64)).expect_err("it has no contents");
    let why = why.downcast_ref::<String>().map(String::as_str).unwrap_or_default();
    assert!(why.contains(&format!("at {}:", file!())) && !why.contains("eval.rs"), "{why}");
}
