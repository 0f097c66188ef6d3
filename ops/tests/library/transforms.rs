//! Transformations of functions: transposes of linear functions, functions that bring their own derivative, closures as
//! functions of what they capture, solutions of systems and roots, `jit` switched off, and named parts of programs.

use gavotte::{
    Arg, Array, DType, Error, closure_convert, concatenate, custom_gradient, custom_linear_solve, custom_root,
    custom_vjp, device_get, disable_jit, grad, grad_argnums, jit, jvp, linear_transpose, make_program, named_scope,
    ones, registry, scan, vmap, where_, while_loop,
};
use std::panic::{RefUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

fn vector(xs: &[f32]) -> Array {
    Array::new(&[xs.len()], xs.to_vec())
}

/// The message of what `f` refuses.
fn refusal(f: impl FnOnce() + RefUnwindSafe + std::panic::UnwindSafe) -> String {
    let payload = catch_unwind(f).expect_err("it is refused");
    payload.downcast_ref::<String>().expect("a message").clone()
}

#[test]
fn the_transpose_of_a_matrix_is_its_transpose() {
    let a = Array::new(&[2, 3], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let transposed = linear_transpose(&|x: Array| a.matmul(&x), (vector(&[0.0; 3]),));
    // (1, 4) + 10 · (…): Aᵀ (1, 10)
    assert_eq!(transposed(vector(&[1.0, 10.0])).0.to_vec::<f32>(), [41.0, 52.0, 63.0]);
    // A second transpose is the function.
    let again = linear_transpose(&|c: Array| transposed.try_call((c,)).expect("it fits").0, (vector(&[0.0; 2]),));
    assert_eq!(again(vector(&[1.0, 0.0, 1.0])).0.to_vec::<f32>(), [4.0, 10.0]);
    let compiled = jit(|c: Array| linear_transpose(&|x: Array| a.matmul(&x), (vector(&[0.0; 3]),))(c).0);
    assert_eq!(compiled(vector(&[1.0, 10.0])).to_vec::<f32>(), [41.0, 52.0, 63.0]);
}

#[test]
fn linear_functions_of_several_arguments_are_transposed() {
    // f(x, y) = (3 x + y where the mask, else 0; the sum of y; running sums of x)
    let mask = Array::new(&[3], vec![true, false, true]);
    let f = |x: Array, y: Array| {
        let masked = where_(&mask, &x * 3f32 + &y, gavotte::zeros([3], DType::F32));
        let (_, sums) = scan(
            |sum: Array, x: Array| {
                let sum = sum + x;
                (sum.clone(), sum)
            },
            Array::scalar(0f32),
            x,
        );
        (concatenate(&[masked, y.sum(()).reshape([1])], 0), sums)
    };
    let transposed = linear_transpose(&f, (vector(&[0.0; 3]), vector(&[0.0; 3])));
    let (x, y) = transposed((vector(&[1.0, 2.0, 4.0, 8.0]), vector(&[1.0, 10.0, 100.0])));
    assert_eq!(x.to_vec::<f32>(), [3.0 + 111.0, 110.0, 12.0 + 100.0]);
    assert_eq!(y.to_vec::<f32>(), [1.0 + 8.0, 8.0, 4.0 + 8.0]);
    // What no result depends on gets zeros; rows are mapped.
    let rows = vmap(
        |c: Array| linear_transpose(&|x: Array, _: Array| x * 2f32, (vector(&[0.0]), vector(&[0.0; 2])))(c),
        [Some(0)],
    );
    let (x, unused) = rows(Array::new(&[2, 1], vec![1f32, 3.0]));
    assert_eq!((x.to_vec::<f32>(), unused.to_vec::<f32>()), (vec![2.0, 6.0], vec![0.0; 4]));
}

#[test]
fn functions_that_are_not_linear_are_refused_with_the_operation_and_its_line() {
    type Of = fn(Array) -> Array;
    let cases: [(&str, &str, Of); 9] = [
        ("mul", "has a derivative that depends on them", |x| &x * &x),
        ("exp", "has a derivative that depends on them", |x| x.exp()),
        ("add", "adds a constant that is not zero, its operand 1", |x| x + 1f32),
        ("floor", "has the derivative zero, and is not zero", |x| x.floor()),
        ("gt", "makes bool[2] of them", |x| x.gt(0f32).astype(DType::F32)),
        ("select_n", "adds a constant", |x| where_(&Array::new(&[2], vec![true, false]), x, ones([2], DType::F32))),
        ("concatenate", "adds a constant", |x| concatenate(&[ones([1], DType::F32), x], 0)),
        ("div", "has a derivative that depends on them", |x| Array::scalar(1f32) / x),
        ("a result is a constant", "that is not zero", |_| ones([2], DType::F32)),
    ];
    for (name, why, f) in cases {
        let said = refusal(move || drop(linear_transpose(&f, (vector(&[1.0, 2.0]),))));
        assert!(
            said.contains(&format!("linear_transpose: the function is not linear in its arguments: {name}")),
            "{said}"
        );
        assert!(said.contains(why), "{name}: {said}");
        let lines = said.matches("ops/tests/library/transforms.rs:").count();
        assert_eq!(lines, if name.starts_with("a result") { 0 } else { 1 }, "{said}");
    }
    let said = refusal(|| drop(linear_transpose(&|x: Array| x, (Array::scalar(1i32),))));
    assert!(said.contains("the argument at 0 is i32[]: only floats have cotangents"), "{said}");
    let transposed = linear_transpose(&|x: Array| x.sum(()), (vector(&[1.0, 2.0]),));
    let said = transposed.try_call((vector(&[1.0]),)).err().map(|why| why.to_string()).unwrap_or_default();
    assert!(said.contains("the result is f32[], the cotangent f32[1]") && said.contains("transforms.rs"), "{said}");
}

#[test]
fn a_function_with_a_rule_is_as_linear_as_the_function() {
    let double = custom_vjp(|x: Array| x * 2f32, |x: Array| (x * 2f32, ()), |(): (), ct: Array| (ct * 2f32,));
    let transposed = linear_transpose(&|x: Array| double.try_call((x,)).expect("it fits"), (vector(&[0.0]),));
    assert_eq!(transposed(vector(&[3.0])).0.to_vec::<f32>(), [6.0]);
}

#[test]
fn a_function_defines_its_own_derivative() {
    // x² y with ten times its derivative.
    let f = custom_gradient(|(x, y): (Array, Array)| {
        let out = &x * &x * &y;
        (out, move |ct: Array| (&x * &y * 20f32 * &ct, &x * &x * 10f32 * ct))
    });
    let of = |x: Array, y: Array| f.try_call((x, y)).expect("it fits");
    let both = || grad_argnums(of, (Arg::<0>, Arg::<1>));
    let args = || (Array::scalar(3f32), Array::scalar(2f32));
    assert_eq!(f(args().0, args().1).item::<f32>(), 18.0);
    let (x, y) = both()(args().0, args().1);
    assert_eq!((x.item::<f32>(), y.item::<f32>()), (120.0, 90.0));
    let (x, y) = jit(both())(args().0, args().1);
    assert_eq!((x.item::<f32>(), y.item::<f32>()), (120.0, 90.0));
    let (x, y) = vmap(both(), [Some(0), None])(vector(&[3.0, 1.0]), args().1);
    assert_eq!((x.to_vec::<f32>(), y.to_vec::<f32>()), (vec![120.0, 40.0], vec![90.0, 10.0]));
    // The derivative of the derivative is that of what the closure computes: 20 y.
    assert_eq!(grad(grad(of))(args().0, args().1).item::<f32>(), 40.0);
}

#[test]
fn what_a_derivative_returns_is_checked() {
    let wrong = custom_gradient(|(x,): (Array,)| (x.sum(()), |ct: Array| (ct,)));
    let why = grad(wrong).try_call((vector(&[1.0, 2.0]),)).err().map(|why: Error| why.to_string()).unwrap_or_default();
    assert!(why.contains("custom_gradient: what the derivative returns at 0 is f32[], and must be f32[2]"), "{why}");
}

#[test]
fn what_a_closure_captured_becomes_an_argument() {
    let w = vector(&[2.0, 3.0]);
    let f = |x: Array| (&w * x).sum(());
    let (converted, captured) = closure_convert(&f, (vector(&[0.0; 2]),));
    assert_eq!(captured.iter().map(Array::to_vec::<f32>).collect::<Vec<_>>(), [vec![2.0, 3.0]]);
    assert_eq!(converted((vector(&[1.0, 10.0]),), captured).item::<f32>(), 32.0);
    assert_eq!(converted((vector(&[1.0, 10.0]),), vec![vector(&[1.0, 1.0])]).item::<f32>(), 11.0);
    let why = converted.try_call(((vector(&[1.0]),), vec![vector(&[1.0, 1.0])])).err().map(|why| why.to_string());
    assert!(why.unwrap_or_default().contains("closure_convert: the argument at 0 is f32[1], and must be f32[2]"));
}

#[test]
fn without_jit_functions_run_operation_by_operation() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let f = jit(|x: Array| {
        CALLS.fetch_add(1, Ordering::Relaxed);
        x.sin() * 2f32
    });
    let x = vector(&[0.5, -0.5]);
    let eager = disable_jit(|| [f(x.clone()), f(x.clone())].map(|y| y.to_vec::<f32>()));
    assert_eq!((CALLS.load(Ordering::Relaxed), f.n_entry()), (2, 0));
    let compiled = f(x.clone()).to_vec::<f32>();
    f(x.clone());
    assert_eq!((CALLS.load(Ordering::Relaxed), f.n_entry()), (3, 1));
    for y in eager {
        assert!(y.iter().zip(&compiled).all(|(a, b)| (a - b).abs() < 1e-6), "{y:?} and {compiled:?}");
    }
    // It is on again after a panic.
    let _ = catch_unwind(|| disable_jit(|| panic!("stop")));
    f(x);
    assert_eq!(CALLS.load(Ordering::Relaxed), 3);
}

#[test]
fn arrays_of_the_host_stay_where_they_are() {
    let tree = (vector(&[1.0, 2.0]), Array::scalar(3i32));
    let (a, b) = device_get(tree).expect("they are there");
    assert_eq!((a.to_vec::<f32>(), b.item::<i32>()), (vec![1.0, 2.0], 3));
    let traced = jit(|x: Array| device_get(x).expect("it is being traced") + 1f32);
    assert_eq!(traced(vector(&[1.0])).to_vec::<f32>(), [2.0]);
}

/// The part of the program that each equation of a text says that it belongs to.
fn scopes(text: &str) -> Vec<(&str, &str)> {
    let eqns = text.lines().filter_map(|line| line.trim().split_once(" = "));
    eqns.map(|(_, eqn)| {
        let prim = eqn.split_whitespace().next().unwrap_or_default();
        (prim, eqn.split_once("@\"").map_or("", |(_, scope)| scope.trim_end_matches('"')))
    })
    .collect()
}

#[test]
fn the_names_of_parts_are_those_of_the_scopes_around() {
    let f = |x: Array| {
        let x = named_scope("encoder", || {
            let x = x.sin();
            named_scope("a \"b\"\\", || x.cos())
        });
        x.exp()
    };
    let program = make_program(&f, (vector(&[1.0]),));
    let text = program.to_string();
    let found = scopes(&text);
    assert_eq!(found, [("sin", "encoder"), ("cos", "encoder/a \\\"b\\\"\\\\"), ("exp", "")]);
    let again = gavotte_core::ir::parse(&text, registry()).expect("it is read");
    assert_eq!((again.to_string(), &again), (text, &program));
    assert!(program.eqns[0].location.to_string().ends_with(" in encoder"), "{}", program.eqns[0].location);
    assert_eq!(f(vector(&[1.0])).to_vec::<f32>(), [1f32.sin().cos().exp()]);
}

#[test]
fn derivatives_and_mapped_operations_belong_to_the_part_of_what_they_are_of() {
    let f = |x: Array| named_scope("wave", || x.sin()) * 2f32;
    let text = make_program(
        &|x: Array| named_scope("loss", || grad(f).try_call((x,)).expect("it fits")),
        (Array::scalar(1f32),),
    )
    .to_string();
    // sin, its result times 2, the cotangent times 2, cos, and their product
    let found = scopes(&text);
    let within = found.iter().filter(|(_, scope)| *scope == "loss/wave").map(|(prim, _)| *prim).collect::<Vec<_>>();
    assert_eq!(within, ["sin", "cos", "mul"], "{text}");
    assert!(found.iter().all(|(_, scope)| scope.starts_with("loss")), "{text}");
    let text = make_program(&vmap(f, [Some(0)]), (vector(&[1.0, 2.0]),)).to_string();
    assert_eq!(scopes(&text), [("sin", "wave"), ("mul", "")]);
}

#[test]
fn a_program_in_the_place_of_its_call_keeps_the_parts_of_both() {
    let inner = jit(|x: Array| named_scope("inner", || x.sin()).cos());
    let rule = custom_vjp(
        |x: Array| named_scope("rule", || x.exp()),
        |x: Array| (x.exp(), x),
        |x: Array, ct: Array| (named_scope("back", || ct * x.exp()),),
    );
    let f = |x: Array| {
        let y = named_scope("outer", || inner.try_call((x,)).expect("it fits"));
        let y = named_scope("ruled", || rule.try_call((y,)).expect("it fits"));
        let body = |y: Array, _: Array| (named_scope("body", || y.tanh()), ());
        named_scope("loop", || scan(body, y, vector(&[0.0; 3])).0)
    };
    let lowered = jit(&f).lower((Array::scalar(1f32),)).expect("it is lowered");
    let text = lowered.text(gavotte::Stage::Optimized, Default::default()).expect("there is a text");
    for (prim, scope) in [("sin", "outer/inner"), ("cos", "outer"), ("exp", "ruled/rule"), ("tanh", "body")] {
        assert!(scopes(&text).contains(&(prim, scope)), "{prim} is not in {scope}:\n{text}");
    }
    assert!(text.contains("@\"loop\""), "{text}");
    let text = make_program(&grad(f), (Array::scalar(1f32),)).inlined().to_string();
    assert!(scopes(&text).contains(&("mul", "ruled/back")), "{text}");
}

#[test]
fn what_is_wrong_in_a_scope_names_it() {
    let of = jit(|x: Array| named_scope("encoder", || &x + vector(&[1.0, 2.0, 3.0])));
    let why = of.try_call((vector(&[1.0, 2.0]),)).err().map(|why| why.to_string()).unwrap_or_default();
    assert!(why.contains(" in encoder"), "{why}");
    let why = refusal(|| named_scope("", || ()));
    assert!(why.contains("named_scope: a scope has a name"), "{why}");
    let text = "program @f(%0: f32[]) -> (f32[]) {\n  %1: f32[] = sin %0 @\"\"\n  return %1\n}\n";
    let why = gavotte_core::ir::parse(text, registry()).expect_err("it is no name").to_string();
    assert!(why.contains("line 2, column 23: a scope has a name"), "{why}");
    // A panic leaves the scope.
    let _ = catch_unwind(|| named_scope("left", || panic!("stop")));
    assert_eq!(scopes(&make_program(&|x: Array| x.sin(), (vector(&[1.0]),)).to_string()), [("sin", "")]);
}

/// The solution of `A x = b` by Jacobi's iterations, which have no derivative in reverse.
fn jacobi(a: &Array, b: &Array) -> Array {
    let solve = |matvec: &dyn Fn(Array) -> Array, b: Array| {
        // The diagonals of the matrix and its transpose are the same.
        let diagonal = a.diagonal(0, 0, 1);
        while_loop(
            |(n, _): (Array, Array)| n.lt(60),
            |(n, x): (Array, Array)| (n + 1, &x + (&b - matvec(x.clone())) / &diagonal),
            (Array::scalar(0), b.clone()),
        )
        .1
    };
    custom_linear_solve(|x: Array| a.matmul(&x), b.clone(), solve, solve)
}

fn matrix() -> (Array, Array) {
    (Array::new(&[2, 2], vec![4f64, 1.0, -0.5, 2.0]), Array::new(&[2], vec![3f64, 1.0]))
}

/// The same by Cramer's rule.
fn cramer(a: &Array, b: &Array) -> Array {
    let at = |i: usize, j: usize| a.index(i).index(j);
    let determinant = at(0, 0) * at(1, 1) - at(0, 1) * at(1, 0);
    let x = at(1, 1) * b.index(0) - at(0, 1) * b.index(1);
    let y = at(0, 0) * b.index(1) - at(1, 0) * b.index(0);
    gavotte::stack(&[x, y], 0) / determinant
}

fn assert_close(found: &Array, wanted: &Array, what: &str) {
    let (found, wanted) = (found.to_vec::<f64>(), wanted.to_vec::<f64>());
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (x, y) in found.iter().zip(&wanted) {
        assert!((x - y).abs() < 1e-10 * (1.0 + y.abs()), "{what}: {found:?} is not {wanted:?}");
    }
}

#[test]
fn the_solution_of_a_system_has_the_derivative_of_the_solution() {
    type Of = fn(&Array, &Array) -> Array;
    let check = |what: &str, f: &dyn Fn(Of) -> Array| assert_close(&f(jacobi), &f(cramer), what);
    let (a, b) = matrix();
    let args = || (a.clone(), b.clone());
    let weighted = |of: Of| move |a: Array, b: Array| (of(&a, &b).square() * Array::from([1.0, 10.0])).sum(());
    let flat = |(a, b): (Array, Array)| concatenate(&[a.flatten(), b], 0);
    check("value", &|of| of(&a, &b));
    check("jit", &|of| jit(move |a: Array, b: Array| of(&a, &b))(a.clone(), b.clone()));
    check("grad", &|of| flat(grad_argnums(weighted(of), (Arg::<0>, Arg::<1>))(a.clone(), b.clone())));
    check("jit(grad)", &|of| flat(jit(grad_argnums(weighted(of), (Arg::<0>, Arg::<1>)))(a.clone(), b.clone())));
    check("jvp", &|of| jvp(&move |a: Array, b: Array| of(&a, &b), args(), (b.reshape([2, 1]) * &b, &b * 2.0)).1);
    check("second derivatives", &|of| {
        let slope = move |a: Array| {
            let f = move |a: Array, b: Array| weighted(of)(a, b);
            let (a, b) = grad_argnums(f, (Arg::<0>, Arg::<1>)).try_call((a, matrix().1)).expect("it fits");
            a.square().sum(()) + b.sum(())
        };
        grad(slope)(a.clone())
    });
    let matrices = gavotte::stack(&[a.clone(), &a * 2.0, a.t()], 0);
    check("vmap of the matrix", &|of| {
        vmap(move |a: Array, b: Array| of(&a, &b), [Some(0), None])(matrices.clone(), b.clone())
    });
    check("vmap of grad", &|of| vmap(grad(weighted(of)), [Some(0), None])(matrices.clone(), b.clone()));
    let sides = Array::new(&[3, 2], vec![1f64, 2.0, 3.0, 4.0, -5.0, 6.0]);
    check("vmap of the right side", &|of| vmap(move |b: Array| of(&matrix().0, &b), [Some(0)])(sides.clone()));
}

#[test]
fn a_system_is_linear_and_its_solution_like_its_right_side() {
    let divide = |_: &dyn Fn(Array) -> Array, b: Array| b;
    let one = || vector(&[1.0]);
    let said = refusal(|| drop(custom_linear_solve(|x: Array| &x * &x, one(), divide, divide)));
    assert!(said.contains("not linear in its arguments: mul has a derivative that depends on them"), "{said}");
    let said = refusal(|| drop(custom_linear_solve(|x: Array| x, one(), |_, b| b.sum(()), divide)));
    let why = "custom_linear_solve: the result of `solve` is f32[], and must be f32[1], the type of the right side";
    assert!(said.contains(why) && said.contains("transforms.rs"), "{said}");
    let said = refusal(|| drop(custom_linear_solve(|x: Array| x, Array::scalar(1), divide, divide)));
    assert!(said.contains("custom_linear_solve: the right side has i32[]"), "{said}");
}

/// The cube root of `a`, by bisection, which has no derivative of use.
fn cube_root(a: &Array) -> Array {
    let f = |x: Array| &x * &x * &x - a;
    let solve = |f: &dyn Fn(Array) -> Array, x: Array| {
        let step = |_: Array, (low, high): (Array, Array)| {
            let middle = (&low + &high) * 0.5;
            let is_below = f(middle.clone()).lt(0.0);
            (where_(&is_below, &middle, low), where_(&is_below, high, middle))
        };
        gavotte::fori_loop(0, 60, step, (gavotte::zeros_like(&x), gavotte::zeros_like(&x) + 8.0)).0
    };
    // The derivative is diagonal.
    let divide = |g: &dyn Fn(Array) -> Array, y: Array| &y / g(gavotte::ones_like(&y));
    custom_root(f, gavotte::ones_like(a), solve, divide)
}

#[test]
fn a_root_has_the_derivative_of_the_implicit_function() {
    let xs = || Array::from([8.0, 27.0, 0.125]);
    let closed = |order: usize| {
        let of = |x: f64| match order {
            0 => x.cbrt(),
            1 => x.powf(-2.0 / 3.0) / 3.0,
            2 => x.powf(-5.0 / 3.0) * -2.0 / 9.0,
            _ => x.powf(-8.0 / 3.0) * 10.0 / 27.0,
        };
        Array::from([of(8.0), of(27.0), of(0.125)])
    };
    let root = |a: Array| cube_root(&a);
    let first = |x: Array| vmap(grad(root), [Some(0)]).try_call((x,)).expect("it fits");
    let second = |x: Array| vmap(grad(grad(root)), [Some(0)]).try_call((x,)).expect("it fits");
    assert_close(&root(xs()), &closed(0), "value");
    assert_close(&jit(root)(xs()), &closed(0), "jit");
    assert_close(&vmap(root, [Some(0)])(xs()), &closed(0), "vmap");
    assert_close(&first(xs()), &closed(1), "grad");
    assert_close(&jit(first)(xs()), &closed(1), "jit(grad)");
    assert_close(&grad(|x: Array| root(x).sum(()))(xs()), &closed(1), "grad of a vector");
    assert_close(&jvp(&root, (xs(),), (gavotte::ones_like(&xs()),)).1, &closed(1), "jvp");
    assert_close(&second(xs()), &closed(2), "grad(grad)");
    let third = jvp(&second, (xs(),), (gavotte::ones_like(&xs()),)).1;
    assert_close(&third, &closed(3), "jvp(grad(grad))");
    let said = refusal(|| {
        drop(custom_root(|x: Array| x.sum(()), vector(&[1.0]), |_, x| x, |_, y| y));
    });
    let why = "custom_root: the result of `f` is f32[], and must be f32[1], the type of where to begin";
    assert!(said.contains(why) && said.contains("transforms.rs"), "{said}");
}
