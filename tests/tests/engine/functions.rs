//! Functions of every number of arguments, by value and by reference, and gradients with respect to chosen arguments.

use gavotte::{
    Arg, Array, Tree, checkpoint, custom_jvp, grad, grad_argnums, hvp, jacfwd, jacrev, jit, jvp, linearize,
    make_program, value_and_grad, value_and_grad_argnums, value_and_grad_aux, vjp, vmap, vmap_with,
};

fn scalar(x: f64) -> Array {
    Array::scalar(x)
}

#[derive(Tree, Clone)]
struct Params {
    w: Array,
    b: Array,
}

fn params() -> Params {
    Params { w: scalar(2.0), b: scalar(1.0) }
}

/// A function by reference, as users write it.
fn line(params: &Params, x: &Array) -> Array {
    &params.w * x + &params.b
}

#[test]
fn functions_of_no_arguments() {
    let x = scalar(3.0);
    let constant = jit(move || &x * 2.0);
    assert_eq!((constant().item::<f64>(), constant().item::<f64>()), (6.0, 6.0));
    assert_eq!(constant.n_entry(), 1);
    assert_eq!(constant.try_call(()).map(|x| x.item::<f64>()), Ok(6.0));
    assert_eq!(checkpoint(|| scalar(1.0))().item::<f64>(), 1.0);
    assert!(make_program(&|| scalar(1.0).sin(), ()).args.is_empty());
    let mapped = vmap(|| scalar(1.0), []).try_call(());
    assert!(mapped.err().is_some_and(|error| error.to_string().contains("no argument is mapped")));
    // Within a trace it is a call like any other.
    let outer = jit(move |x: Array| constant() * x);
    assert_eq!(outer(scalar(0.5)).item::<f64>(), 3.0);
}

#[test]
fn functions_of_eight_arguments() {
    #[rustfmt::skip]
    let weighted = |a: Array, b: Array, c: Array, d: Array, e: Array, f: Array, g: Array, h: Array| {
        a * 1.0 + b * 2.0 + c * 3.0 + d * 4.0 + e * 5.0 + f * 6.0 + g * 7.0 + &h * &h
    };
    let args = || {
        let s = scalar;
        (s(1.0), s(1.0), s(1.0), s(1.0), s(1.0), s(1.0), s(1.0), s(3.0))
    };
    let (a, b, c, d, e, f, g, h) = args();
    assert_eq!(jit(weighted)(a, b, c, d, e, f, g, h).item::<f64>(), 37.0);
    assert_eq!(grad(weighted).try_call(args()).map(|x| x.item::<f64>()), Ok(1.0));
    let (last, third) = grad_argnums(weighted, (Arg::<7>, Arg::<2>)).try_call(args()).expect("it has a gradient");
    assert_eq!((last.item::<f64>(), third.item::<f64>()), (6.0, 3.0));
    let axes = [None, None, None, None, None, None, None, Some(0)];
    let mut mapped = args();
    mapped.7 = Array::from([0.0, 1.0]);
    assert_eq!(vmap(weighted, axes).try_call(mapped).map(|x| x.to_vec::<f64>()), Ok(vec![28.0, 29.0]));
    let seven = |a: Array, _: Array, _: Array, _: Array, _: Array, _: Array, g: Array| &a * &a * g;
    let s = scalar;
    let product = hvp(seven)(s(1.0), s(0.0), s(0.0), s(0.0), s(0.0), s(0.0), s(3.0), s(0.5));
    assert_eq!(product.item::<f64>(), 3.0);
}

#[test]
fn functions_by_reference() {
    let x = || scalar(3.0);
    assert_eq!(jit(line)(params(), x()).item::<f64>(), 7.0);
    let slopes = jit(grad(line))(params(), x());
    assert_eq!((slopes.w.item::<f64>(), slopes.b.item::<f64>()), (3.0, 1.0));
    assert_eq!(value_and_grad(line)(params(), x()).0.item::<f64>(), 7.0);
    assert_eq!(vmap(line, [None, Some(0)])(params(), Array::from([0.0, 1.0])).to_vec::<f64>(), [1.0, 3.0]);
    assert_eq!(vmap_with(line, ((), 0), 0)(params(), Array::from([0.0, 1.0])).to_vec::<f64>(), [1.0, 3.0]);
    let aux = value_and_grad_aux(|p: &Params, x: &Array| (line(p, x), x.clone()));
    assert_eq!(aux(params(), x()).0.1.item::<f64>(), 3.0);
    let (out, moved) = jvp(&line, (params(), x()), (params(), scalar(0.0)));
    assert_eq!((out.item::<f64>(), moved.item::<f64>()), (7.0, 7.0));
    assert_eq!(linearize(&line, (params(), x())).1(params(), scalar(0.0)).item::<f64>(), 7.0);
    assert_eq!(vjp(&line, (params(), x())).1(scalar(1.0)).1.item::<f64>(), 2.0);
    assert_eq!(make_program(&line, (params(), x())).name, "line");
    let square = |x: &Array| x * x;
    assert_eq!(jacfwd(square)(x()).array().item::<f64>(), 6.0);
    assert_eq!(jacrev(square)(x()).array().item::<f64>(), 6.0);
    assert_eq!(grad(checkpoint(square))(x()).item::<f64>(), 6.0);
    let ruled = custom_jvp(square, |(x,): (Array,), (t,): (Array,)| (&x * &x, t * 10.0));
    assert_eq!(grad(ruled)(x()).item::<f64>(), 10.0);
    // Callers see no difference between by value and by reference.
    let by_value = |p: Params, x: Array| line(&p, &x);
    assert_eq!(jit(by_value)(params(), x()).item::<f64>(), jit(line)(params(), x()).item::<f64>());
}

#[test]
fn gradients_with_respect_to_chosen_arguments() {
    let f = |x: Array, n: Array, p: Params| (x * p.w * n.astype(gavotte::DType::F64) + p.b).sum(());
    let args = || (scalar(3.0), Array::scalar(4i32), params());
    let of_params = grad_argnums(f, Arg::<2>).try_call(args()).expect("it has a gradient");
    assert_eq!((of_params.w.item::<f64>(), of_params.b.item::<f64>()), (12.0, 1.0));
    let (value, (of_params, of_x)) =
        jit(value_and_grad_argnums(f, (Arg::<2>, Arg::<0>))).try_call(args()).expect("it has");
    assert_eq!((value.item::<f64>(), of_params.w.item::<f64>(), of_x.item::<f64>()), (25.0, 12.0, 8.0));
    let (one,) = grad_argnums(line, (Arg::<1>,))(params(), scalar(3.0));
    assert_eq!(one.item::<f64>(), 2.0);
    let (a, b) = grad_argnums(line, (Arg::<1>, Arg::<1>))(params(), scalar(3.0));
    assert_eq!((a.item::<f64>(), b.item::<f64>()), (2.0, 2.0));
    let second = grad(move |x: Array, n: Array, p: Params| grad_argnums(f, Arg::<2>)(x, n, p).w);
    assert_eq!(second.try_call(args()).map(|x| x.item::<f64>()), Ok(4.0));

    let refused = grad_argnums(f, (Arg::<0>, Arg::<1>)).try_call(args()).expect_err("n is an integer").to_string();
    for part in
        ["grad: the second argument is i32[]", "tests/tests/engine/functions.rs:", "as an argument that is not chosen"]
    {
        assert!(refused.contains(part), "{refused}");
    }
    let refused =
        grad_argnums(|x: Array| x, Arg::<0>).try_call((Array::from([1.0]),)).expect_err("a vector").to_string();
    assert!(refused.contains("must return one floating scalar"), "{refused}");
}
