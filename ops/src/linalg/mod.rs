//! Linear algebra: factorisations, systems of equations, eigenvalues, norms, products of several matrices, matrices with a
//! structure.
//!
//! Matrices are in the last two axes; the axes in front of them are batches. Their extents may be symbols.
//!
//! Factorisations run on the host, on one thread, on a GPU's arrays, too. They differentiate to any order, forwards and
//! backwards. What has no answer is NaN, as in JAX, and no error: the factor of a matrix that is not positive definite, and
//! every result of a matrix with NaN. A singular system has infinite or NaN solutions, and where a result has no derivative, it
//! is infinite or NaN.
//!
//! ```
//! use gavotte::{Array, grad, linalg};
//! let a = Array::from([[4.0, 2.0], [2.0, 5.0]]);
//! let l = linalg::cholesky(&a);
//! assert_eq!(l.to_vec::<f64>(), [2.0, 0.0, 1.0, 2.0]);
//! let b = Array::from([8.0, 12.0]);
//! let x = linalg::cho_solve(&l, &b);
//! assert_eq!(x.to_vec::<f64>(), [1.0, 2.0]);
//! assert!(gavotte::allclose(&linalg::solve(&a, &b), &x, 1e-12, 0.0));
//! // d log det A = A⁻¹.
//! let slope = grad(|a: &Array| linalg::slogdet(a).1)(a.clone());
//! assert!(gavotte::allclose(&slope, &linalg::inv(&a), 1e-12, 0.0));
//! let (values, vectors) = linalg::eigh(&a);
//! assert!(gavotte::allclose(&a.matmul(&vectors), &(vectors * values), 1e-12, 0.0));
//! ```

mod expm;
mod factors;
mod host;
mod norms;
mod primitives;
mod products;
mod spectral;
mod structured;
mod systems;

pub use crate::array_functions::outer;
pub use expm::expm;
pub use factors::{Triangle, cho_solve, cholesky, lu, polar, qr, solve_triangular};
pub use norms::{MatrixNorm, matrix_norm, norm, trace, vector_norm};
pub(crate) use primitives::PRIMITIVES;
pub use products::{matrix_power, multi_dot};
pub use spectral::{cond_number, eigh, eigvalsh, lstsq, matrix_rank, pinv, svd, svdvals};
pub use structured::{block_diag, hilbert, toeplitz};
pub use systems::{det, inv, slogdet, solve, tensorinv, tensorsolve};

use crate::array::Array;
use crate::array_functions::floating;
use crate::movement::reject;
use gavotte_core::aval::{Dim, Shape, volume};
use gavotte_core::ir::{same, structural::renamed, undecided};

/// Refuses what has no last two axes.
#[track_caller]
fn matrices(operation: &str, x: &Array) {
    if x.ndim() < 2 {
        reject(operation, "takes a matrix, or axes in front of matrices", &[x]);
    }
}

/// Refuses what has no last two axes, or where they differ; returns their extent.
#[track_caller]
fn square(operation: &str, x: &Array) -> Dim {
    matrices(operation, x);
    let [rows, columns] = [x.dim(x.ndim() - 2), x.dim(x.ndim() - 1)];
    if !same(&rows, &columns) {
        let open = undecided(&rows.equal_to(&columns), &rows, &columns);
        reject(operation, format!("the matrices are not square: {rows} rows, {columns} columns{open}"), &[x]);
    }
    rows
}

/// Refuses what is no square matrix of floats, or axes in front of such; returns the extent.
#[track_caller]
fn floating_square(operation: &str, x: &Array) -> Dim {
    floating(operation, &[x]);
    square(operation, x)
}

/// Matrices of floats and right sides, as the primitives take them.
struct RightSides {
    a: Array,
    b: Array,
    /// The shape of the solution, and the axes of the batches of `b` that became columns.
    shape: Shape,
    folded: usize,
    is_vector: bool,
}

/// Refuses matrices that are not square, and right sides that do not fit them.
#[track_caller]
fn checked_right_sides(operation: &str, a: &Array, b: &Array) -> RightSides {
    floating(operation, &[a, b]);
    let n = square(operation, a);
    if a.dtype() != b.dtype() {
        reject(operation, "element types differ: convert with `astype` first", &[a, b]);
    }
    if b.ndim() == 0 {
        reject(operation, "a right side is a vector or a matrix, no scalar", &[a, b]);
    }
    let is_vector = b.ndim() == 1;
    let b_rows = b.dim(b.ndim() - if is_vector { 1 } else { 2 });
    if !same(&n, &b_rows) {
        let open = undecided(&n.equal_to(&b_rows), &n, &b_rows);
        reject(operation, format!("there are {n} equations and {b_rows} right sides{open}"), &[a, b]);
    }
    let columns = if is_vector { b.expand_dims(-1) } else { b.clone() };
    let (of_a, of_b) = (a.ndim() - 2, columns.ndim() - 2);
    let mut shape = columns.shape().clone();
    shape[of_b] = n.clone();
    if of_a == 0 && of_b > 0 {
        // One matrix for all of them: they are further columns.
        let columns = Array(renamed(&columns.0, &shape)).move_axis(-2, 0);
        let folded = columns.reshape([n, volume(&columns.shape()[1..])]);
        return RightSides { a: a.clone(), b: folded, shape: columns.shape().clone(), folded: of_b, is_vector };
    }
    if of_b > 0 {
        if of_a != of_b {
            reject(operation, "both have the same batches, or one of them has none", &[a, b]);
        }
        for axis in 0..of_a {
            let (m, n) = (a.dim(axis), columns.dim(axis));
            if !same(&m, &n) {
                let open = undecided(&m.equal_to(&n), &m, &n);
                reject(operation, format!("batch axes {axis} differ: {m} and {n}{open}"), &[a, b]);
            }
            shape[axis] = m;
        }
    }
    let columns = Array(renamed(&columns.0, &shape));
    let all: Shape = a.shape()[..of_a].iter().chain(&shape[of_b..]).cloned().collect();
    let b = columns.broadcast_to(all.iter().cloned());
    RightSides { a: a.clone(), b, shape: all, folded: 0, is_vector }
}

impl RightSides {
    /// A solution in the shape of what the user gave.
    #[track_caller]
    fn restored(&self, x: &Array) -> Array {
        if self.folded > 0 {
            return x.reshape(self.shape.iter().cloned()).move_axis(0, -2);
        }
        if self.is_vector { x.squeeze(-1) } else { x.clone() }
    }
}
