//! Linear algebra: what it refuses, and derivatives at kinks.

use gavotte::linalg::{
    MatrixNorm, block_diag, matrix_norm, matrix_power, multi_dot, norm, toeplitz, trace, vector_norm,
};
use gavotte::{Arg, Array, DType, einsum, grad, grad_argnums, jit};
use gavotte_core::ir::quietly;

/// What is empty has no memory that others could lose.
#[test]
fn empty_axes_have_compiled_derivatives() {
    let f = |x: Array, e: Array, y: Array, a: Array| einsum("dgb,Ea,dg,ad->bg", &[&x, &e, &y, &a]).square().sum(());
    let some = |shape: &[usize]| gavotte::ones(shape.iter().copied(), DType::F64);
    let slopes = jit(grad_argnums(f, (Arg::<0>, Arg::<1>, Arg::<2>, Arg::<3>)));
    let (x, e, y, a) = slopes(some(&[3, 3, 0]), some(&[1, 1]), some(&[3, 3]), some(&[1, 1]));
    assert!(x.to_vec::<f64>().is_empty());
    assert_eq!([e.item::<f64>(), a.item()], [0.0; 2]);
    assert_eq!(y.to_vec::<f64>(), [0.0; 9]);
}

#[test]
fn mistakes_say_what_to_do() {
    let (x, ints, vector) =
        (Array::from([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), Array::from([1, 2]), Array::from([1.0, 2.0]));
    let empty = Array::from(Vec::<f64>::new());
    let refused: &[(&dyn Fn() -> Array, &str)] = &[
        (&|| norm(&ints, 0), "norm: takes floats: convert with `astype` first"),
        (&|| norm(&x, 2), "norm: there is no axis 2"),
        (&|| vector_norm(&ints, 2.0, 0), "vector_norm: takes floats"),
        (&|| vector_norm(&empty, f64::INFINITY, 0), "vector_norm: there are no elements"),
        (&|| matrix_norm(&vector, MatrixNorm::Frobenius), "matrix_norm: takes a matrix"),
        (&|| matrix_norm(&empty.reshape([0, 2]), MatrixNorm::One), "matrix_norm: there are no elements"),
        (&|| trace(&vector, 0), "trace: takes a matrix"),
        (&|| multi_dot(&[&x]), "multi_dot: takes two or more arrays, not 1"),
        (&|| multi_dot(&[&x, &vector, &x]), "multi_dot: array 1 must be a matrix, and has 1 axes"),
        (&|| multi_dot(&[&x.expand_dims(0), &x]), "multi_dot: array 0 must be a vector or a matrix, and has 3 axes"),
        (&|| multi_dot(&[&x, &x]), "matmul: inner dimensions differ: 3 and 2"),
        (&|| matrix_power(&vector, 2), "matrix_power: takes a matrix"),
        (&|| matrix_power(&x, 2), "matrix_power: the matrices are not square: 2 rows, 3 columns"),
        (&|| block_diag(&[]), "block_diag: there is no matrix"),
        (&|| block_diag(&[x.expand_dims(0)]), "block_diag: takes matrices, not 3 axes"),
        (&|| block_diag(&[x.clone(), ints.clone()]), "differ"),
        (&|| toeplitz(&x, &vector), "toeplitz: takes vectors, not 2 axes"),
        (&|| toeplitz(&empty, &vector), "toeplitz: there are no elements"),
        (&|| toeplitz(&ints, &vector), "differ"),
    ];
    for (f, says) in refused {
        let error = quietly(f).expect_err(says).to_string();
        assert!(error.contains(says), "{says}: {error}");
        assert!(error.contains("linalg.rs"), "{error} names no line here");
    }
}

#[test]
fn norms_have_slope_0_at_the_origin() {
    let slope = |f: fn(Array) -> Array| grad(f)(Array::from([0.0, 0.0])).to_vec::<f64>();
    assert_eq!(slope(|x| norm(&x, ())), [0.0, 0.0]);
    assert_eq!(slope(|x| vector_norm(&x, 1.0, ())), [0.0, 0.0]);
    assert_eq!(slope(|x| vector_norm(&x, 2.0, ())), [0.0, 0.0]);
    assert_eq!(slope(|x| vector_norm(&x, 3.0, ())), [0.0, 0.0]);
    assert_eq!(slope(|x| matrix_norm(&x.expand_dims(0), MatrixNorm::Frobenius)), [0.0, 0.0]);
    let aside = grad(|x: Array| norm(&x, ()))(Array::from([0.0, -2.0])).to_vec::<f64>();
    assert_eq!(aside, [0.0, -1.0]);
}
