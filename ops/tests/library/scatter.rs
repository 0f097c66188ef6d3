//! Writing by index: values and derivatives as in NumPy and JAX, or computed by hand where JAX has none.

use gavotte::{Arg, Array, DType, Dim, grad_argnums, hessian, jit, jvp, vmap};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn vector(xs: &[f32]) -> Array {
    Array::new(&[xs.len()], xs.to_vec())
}

fn ids() -> Array {
    Array::from([2, 0, 2, 2])
}

type Op = fn(&Array, &Array, &Array, isize) -> Array;

/// The gradients of the result weighted by 1, 10 and 100.
fn gradients(op: Op, x: &[f32], updates: &[f32]) -> [Vec<f32>; 2] {
    let loss = move |x: Array, u: Array| (op(&x, &ids(), &u, 0) * vector(&[1.0, 10.0, 100.0])).sum(());
    let args = || (vector(x), vector(updates));
    let f = grad_argnums(loss, (Arg::<0>, Arg::<1>));
    let found = [f(args().0, args().1), jit(f.clone())(args().0, args().1)];
    let [eager, compiled] = found.map(|(x, u)| [x.to_vec::<f32>(), u.to_vec()]);
    assert_eq!(eager, compiled);
    eager
}

#[test]
fn gradients_are_those_of_jax() {
    let x = [2.0, 3.0, 5.0];
    assert_eq!(
        gradients(Array::scatter, &x, &[4.0, 0.0, 5.0, 7.0]),
        [vec![0.0, 10.0, 0.0], vec![0.0, 1.0, 0.0, 100.0]]
    );
    assert_eq!(
        gradients(Array::scatter_add, &x, &[4.0, 0.0, 5.0, 7.0]),
        [vec![1.0, 10.0, 100.0], vec![100.0, 1.0, 100.0, 100.0]]
    );
    // As it is rounded.
    let third = 100.0 * (1f32 / 3.0);
    assert_eq!(
        gradients(Array::scatter_max, &x, &[5.0, 2.0, 5.0, 1.0]),
        [vec![0.5, 10.0, third], vec![third, 0.5, third, 0.0]]
    );
    assert_eq!(
        gradients(Array::scatter_min, &x, &[5.0, 2.0, 6.0, 9.0]),
        [vec![0.5, 10.0, 50.0], vec![50.0, 0.5, 0.0, 0.0]]
    );
}

#[test]
fn the_gradient_of_products_is_the_product_of_the_others() {
    // The places get 2 · 3, 3, and 5 · 4 · 5 · 7 = 700.
    assert_eq!(
        gradients(Array::scatter_mul, &[2.0, 3.0, 5.0], &[4.0, 3.0, 5.0, 7.0]),
        [vec![3.0, 10.0, 14_000.0], vec![17_500.0, 2.0, 14_000.0, 10_000.0]]
    );
    // One zero, then two.
    assert_eq!(
        gradients(Array::scatter_mul, &[2.0, 3.0, 5.0], &[4.0, 0.0, 0.0, 7.0]),
        [vec![0.0, 10.0, 0.0], vec![0.0, 2.0, 14_000.0, 0.0]]
    );
    assert_eq!(gradients(Array::scatter_mul, &[2.0, 3.0, 5.0], &[0.0, 3.0, 0.0, 7.0])[1], [0.0, 2.0, 0.0, 0.0]);
    // Second derivatives see through zeros: ∂²/∂u₀∂u₂ = 5 · 7.
    let f = |u: Array| vector(&[2.0, 3.0, 5.0]).scatter_mul(&ids(), &u, 0).index(2);
    let found = hessian(f)(vector(&[0.0, 3.0, 0.0, 7.0])).array().to_vec::<f32>();
    let mut wanted = vec![0.0; 16];
    (wanted[2], wanted[8]) = (35.0, 35.0);
    assert_eq!(found, wanted);
}

#[test]
fn rows_of_tables_are_written_and_broadcast() {
    let x = Array::new(&[2, 3], vec![1, 2, 3, 4, 5, 6]);
    let at = Array::from([[2, 0], [0, 0]]);
    let updates = Array::new(&[2, 2, 2], vec![10, 20, 30, 40, 50, 60, 70, 80]);
    assert_eq!(x.scatter(&at, &updates, -1).to_vec::<i32>(), [40, 2, 10, 80, 5, 50]);
    assert_eq!(x.scatter_add(&at, &updates, 1).to_vec::<i32>(), [91, 2, 13, 214, 5, 56]);
    assert_eq!(x.scatter(&Array::from([1, 1]), &Array::from([7, 8, 9]), 0).to_vec::<i32>(), [1, 2, 3, 7, 8, 9]);
    let flags = Array::new(&[3], vec![true, true, false]).scatter(&Array::from([0]), &Array::scalar(false), 0);
    assert_eq!(flags.to_vec::<bool>(), [false, true, false]);
    let none = x.scatter_mul(&Array::new::<i32>(&[0], vec![]), &Array::new::<i32>(&[0, 3], vec![]), 0);
    assert_eq!(none.to_vec::<i32>(), [1, 2, 3, 4, 5, 6]);
    let nan = vector(&[1.0, f32::NAN]).scatter_max(&Array::from([0, 1]), &vector(&[f32::NAN, 2.0]), 0).to_vec::<f32>();
    assert!(nan.iter().all(|x| x.is_nan()), "{nan:?}");
}

#[test]
fn scatters_are_mapped_and_traced_for_every_size() {
    let rows = || Array::new(&[2, 3], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let at = || Array::new(&[2, 2], vec![0, 0, 2, 1]);
    let updates = || Array::new(&[2, 2], vec![10f32, 20.0, 30.0, 40.0]);
    let f = |x: Array, at: Array, u: Array| x.scatter_mul(&at, &u, 0);
    assert_eq!(vmap(f, [Some(0); 3])(rows(), at(), updates()).to_vec::<f32>(), [200.0, 2.0, 3.0, 4.0, 200.0, 180.0]);
    let g = |u: Array, at: Array| {
        let of = |u: Array| vector(&[1.0, 2.0]).scatter_mul(&at, &u, 0).sum(());
        gavotte::grad(of).try_call((u,)).expect("it fits")
    };
    let compiled = jit(g);
    for (n, wanted) in [(3, vec![6.0, 6.0, 2.0]), (2, vec![3.0, 2.0]), (0, vec![])] {
        let u = vector(&[2.0, 3.0, 3.0][..n]).declare([Dim::symbol("n")]);
        let at = Array::new(&[n], [0, 0, 0][..n].to_vec()).declare([Dim::symbol("n")]);
        let wanted = if n == 3 { vec![9.0, 6.0, 6.0] } else { wanted };
        assert_eq!(compiled(u, at).to_vec::<f32>(), wanted);
    }
}

#[test]
fn one_element_of_each_row_is_put() {
    let x = Array::new(&[2, 3], vec![10, 30, 20, 60, 40, 50]);
    let largest = x.argmax(1).reshape([2, 1]);
    assert_eq!(x.put_along_axis(&largest, &Array::scalar(99), 1).to_vec::<i32>(), [10, 99, 20, 99, 40, 50]);
    let at = Array::new(&[2, 3], vec![1, 0, 1, 1, 1, 1]);
    let values = Array::new(&[2, 3], vec![1, 2, 3, 4, 5, 6]);
    assert_eq!(x.put_along_axis(&at, &values, 0).to_vec::<i32>(), [10, 2, 20, 4, 5, 6]);
    // One row of indices for all columns, and a derivative: of what is read back.
    let at = Array::new(&[1, 3], vec![1, 1, 0]);
    let f = |v: Array| x.astype(DType::F32).put_along_axis(&at, &v, 0).take_along_axis(&at, 0);
    let (value, slope) = jvp(&f, (vector(&[1.0, 2.0, 3.0]),), (vector(&[4.0, 5.0, 6.0]),));
    assert_eq!((value.to_vec::<f32>(), slope.to_vec::<f32>()), (vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]));
}

#[test]
fn what_does_not_fit_is_refused_at_the_users_line() {
    let x = || vector(&[1.0, 2.0]);
    let why = |f: &dyn Fn() -> Array| {
        let payload = catch_unwind(AssertUnwindSafe(f)).map(drop).expect_err("it is refused");
        let said = payload.downcast_ref::<String>().expect("a message").clone();
        assert!(said.contains("ops/tests/library/scatter.rs:"), "{said}");
        said
    };
    assert!(why(&|| x().scatter(&vector(&[0.0]), &x(), 0)).contains("scatter: numbers must be i32"));
    assert!(why(&|| x().scatter_add(&ids(), &ids(), 0)).contains("scatter_add: array and updates must have the same"));
    assert!(
        why(&|| x().scatter_mul(&Array::from([2]), &vector(&[0.0]), 0)).contains("scatter_mul: id 2 at position 0")
    );
    assert!(why(&|| x().scatter_max(&ids(), &x(), 0)).contains("broadcast"));
    let flags = Array::new(&[2], vec![true, false]);
    assert!(why(&|| flags.scatter_min(&ids(), &flags, 0)).contains("scatter_min: takes numbers, not bool"));
    assert!(why(&|| x().scatter(&ids(), &x(), 1)).contains("scatter: there is no axis 1"));
    let short = "put_along_axis: array and numbers must have the same number of axes";
    assert!(why(&|| x().put_along_axis(&Array::scalar(0), &x(), 0)).contains(short));
}
