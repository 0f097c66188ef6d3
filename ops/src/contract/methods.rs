//! Products of vectors, matrices and batches of them, as users call them.

use super::dot_general::{Roles, dot_general};
use crate::Array;
use crate::movement::reject;
use gavotte_core::ir::structural::{renamed, transpose};
use gavotte_core::ir::{same, undecided};

impl Array {
    /// The sum of products over the last axis of `self` and the second to last of `other` (its only one, if it has
    /// one), as in NumPy's `dot`: the other axes of `self`, then those of `other`.
    ///
    /// # Panics
    /// If one of them is a scalar, those extents differ, or the element types do.
    #[track_caller]
    pub fn dot(&self, other: &Array) -> Array {
        let contract = self.inner_axes("dot", other);
        let other = self.alike(other, &[(contract[0], contract[1])]);
        Array(dot_general(
            &self.0,
            &other.0,
            &Roles { batch: [vec![], vec![]], contract: contract.map(|axis| vec![axis]) },
        ))
    }

    /// The matrix product, as in NumPy's `matmul`: a vector counts as a row on the left and as a column on the right,
    /// and axes in front of the last two are batches, which both have with equal extents, or one of them lacks.
    ///
    /// ```
    /// # use gavotte::Array;
    /// let a = Array::new(&[2, 2], vec![1.0f32, 2.0, 3.0, 4.0]);
    /// let x = Array::new(&[2], vec![1.0f32, 10.0]);
    /// assert_eq!(a.matmul(&x).to_vec::<f32>(), [21.0, 43.0]);
    /// ```
    ///
    /// # Panics
    /// If one of them is a scalar, inner or batch extents differ, or the element types do.
    #[track_caller]
    pub fn matmul(&self, other: &Array) -> Array {
        let contract = self.inner_axes("matmul", other);
        let leading = [self, other].map(|array| array.ndim().saturating_sub(2));
        let shared = leading[0].min(leading[1]);
        let batch = leading.map(|leading| (leading - shared..leading).collect::<Vec<usize>>());
        for (a, b) in batch[0].iter().zip(&batch[1]) {
            let (m, n) = (self.dim(*a), other.dim(*b));
            if !same(&m, &n) {
                let open = undecided(&m.equal_to(&n), &m, &n);
                let why =
                    format!("batch axes {a} and {b} differ: {m} and {n}; make them equal with broadcast_to{open}");
                reject("matmul", why, &[self, other]);
            }
        }
        let pairs = batch[0].iter().copied().zip(batch[1].iter().copied()).chain([(contract[0], contract[1])]);
        let other = self.alike(other, &pairs.collect::<Vec<_>>());
        let out = dot_general(&self.0, &other.0, &Roles { batch, contract: contract.map(|axis| vec![axis]) });
        // The product's axes: shared, the left's own batches, its rows, the right's own batches, its columns.
        let own = leading.map(|leading| leading - shared);
        let rows = shared + own[0]..shared + own[0] + usize::from(self.ndim() > 1);
        let columns = rows.end + own[1]..out.rank();
        let left = shared..rows.start;
        let right = rows.end..columns.start;
        let order: Vec<usize> = left.chain(right).chain(0..shared).chain(rows).chain(columns).collect();
        Array(transpose(&out, &order))
    }

    /// `other` with the extents of these pairs of axes renamed as in `self`; facts say that they are equal.
    #[track_caller]
    fn alike(&self, other: &Array, pairs: &[(usize, usize)]) -> Array {
        let mut shape = other.shape().clone();
        pairs.iter().for_each(|(a, b)| shape[*b] = self.dim(*a));
        Array(renamed(&other.0, &shape))
    }

    /// The axes of both operands over which a matrix product sums; refuses extents that differ.
    #[track_caller]
    fn inner_axes(&self, operation: &str, other: &Array) -> [usize; 2] {
        if self.ndim() == 0 || other.ndim() == 0 {
            reject(operation, "a scalar has no inner dimension: multiply with `*`", &[self, other]);
        }
        let axes = [self.ndim() - 1, other.ndim().saturating_sub(2)];
        let (m, n) = (self.dim(axes[0]), other.dim(axes[1]));
        if !same(&m, &n) {
            let open = undecided(&m.equal_to(&n), &m, &n);
            reject(operation, format!("inner dimensions differ: {m} and {n}{open}"), &[self, other]);
        }
        axes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(shape: &[usize]) -> Array {
        Array::new(shape, (0..shape.iter().product()).map(|i| i as i32).collect())
    }

    #[test]
    fn products_are_numpys() {
        assert_eq!(count(&[3]).dot(&count(&[3])).item::<i32>(), 5);
        assert_eq!(count(&[2, 3]).matmul(&count(&[3, 2])).to_vec::<i32>(), [10, 13, 28, 40]);
        assert_eq!(count(&[2]).matmul(&count(&[2, 3])).to_vec::<i32>(), [3, 4, 5]);
        assert_eq!(count(&[2, 3]).matmul(&count(&[3])).to_vec::<i32>(), [5, 14]);
        let dims = |array: Array| array.0.aval().to_string();
        assert_eq!(dims(count(&[2, 3]).dot(&count(&[4, 3, 5]))), "i32[2,4,5]");
        assert_eq!(dims(count(&[7, 2, 3]).matmul(&count(&[3, 5]))), "i32[7,2,5]");
        assert_eq!(dims(count(&[2, 3]).matmul(&count(&[7, 3, 5]))), "i32[7,2,5]");
        assert_eq!(dims(count(&[6, 7, 2, 3]).matmul(&count(&[7, 3, 5]))), "i32[6,7,2,5]");
        assert_eq!(dims(count(&[7, 2, 3]).matmul(&count(&[6, 7, 3, 5]))), "i32[6,7,2,5]");
        assert_eq!(dims(count(&[3]).matmul(&count(&[6, 7, 3, 5]))), "i32[6,7,5]");
    }

    #[test]
    fn batches_are_multiplied_one_by_one() {
        let (a, b) = (count(&[2, 2, 3]), count(&[3, 2, 3, 2]));
        let product = a.matmul(&b);
        for i in 0..3 {
            for j in 0..2 {
                let one = a.index(j).matmul(&b.index(i).index(j));
                assert_eq!(product.index(i).index(j).to_vec::<i32>(), one.to_vec::<i32>());
            }
        }
    }

    #[test]
    fn inner_dimensions_must_agree() {
        let error =
            gavotte_core::ir::quietly(|| count(&[2, 3]).matmul(&count(&[4, 5]))).map(drop).unwrap_err().to_string();
        assert!(
            error.starts_with("matmul: inner dimensions differ: 3 and 4\n  operands: i32[2,3], i32[4,5]\n  at "),
            "{error}"
        );
        assert!(error.contains("contract/methods.rs"), "{error}");
    }
}
