//! One dense product on one thread, through the crates `gemm-f32` and `gemm-f64`. The crate `gemm` has these, and others for
//! complex numbers: nothing is multiplied by those here, and they take long to compile.

use crate::runtime::compiled::totals::Float;
use gemm_common::Parallelism;
use std::mem::swap;

/// A function of these crates: rows, columns, terms; the result with its strides across and down, and whether it is added
/// to; both operands, likewise; two factors; what is conjugated.
type Function<T> = unsafe fn(
    usize,
    usize,
    usize,
    *mut T,
    isize,
    isize,
    bool,
    *const T,
    isize,
    isize,
    *const T,
    isize,
    isize,
    T,
    T,
    bool,
    bool,
    bool,
    Parallelism,
);

/// An element type with products.
pub(super) trait Multiplied: Float {
    const ZERO: Self;
    const ONE: Self;
    /// The function for this processor.
    fn function() -> Function<Self>;
}

impl Multiplied for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;
    fn function() -> Function<f32> {
        gemm_f32::gemm::f32::get_gemm_fn()
    }
}

impl Multiplied for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;
    fn function() -> Function<f64> {
        gemm_f64::gemm::f64::get_gemm_fn()
    }
}

/// Where a matrix begins, and by how many elements a step down and a step across move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Matrix<T> {
    pub(super) start: *mut T,
    pub(super) down: isize,
    pub(super) across: isize,
}

impl<T> Matrix<T> {
    fn transposed(self) -> Matrix<T> {
        Matrix { down: self.across, across: self.down, ..self }
    }

    /// The matrix with its `n` rows in reverse.
    fn flipped(self, n: usize) -> Matrix<T> {
        let last = self.down * (n as isize - 1);
        Matrix { start: self.start.wrapping_offset(last), down: -self.down, ..self }
    }
}

/// Writes the product of a matrix of `m` by `k` elements and one of `k` by `n`, or adds it to the result.
///
/// # Safety
/// The matrices must be where they say. Nobody else may use the result's elements meanwhile.
pub(super) unsafe fn multiply<T: Multiplied>(
    [mut m, mut n, k]: [usize; 3],
    mut out: Matrix<T>,
    [mut x, mut y]: [Matrix<T>; 2],
    adds: bool,
) {
    if m == 0 || n == 0 {
        return;
    }
    // As the crate `gemm` does before it calls these functions: columns of the result lie together, and no step goes back.
    if out.across.abs() < out.down.abs() {
        (out, x, y) = (out.transposed(), y.transposed(), x.transposed());
        swap(&mut m, &mut n);
    }
    if out.down < 0 {
        (out, x) = (out.flipped(m), x.flipped(m));
    }
    if out.across < 0 {
        (out, y) = (out.transposed().flipped(n).transposed(), y.transposed().flipped(n).transposed());
    }
    if x.across < 0 && k > 0 {
        (x, y) = (x.transposed().flipped(k).transposed(), y.flipped(k));
    }
    let function = T::function();
    // SAFETY: by this function's contract; the steps above name the same elements. The processor has what the function
    // needs: the crate has asked it.
    unsafe {
        function(
            m,
            n,
            k,
            out.start,
            out.across,
            out.down,
            // A result to which nothing is added is not read.
            adds,
            x.start,
            x.across,
            x.down,
            y.start,
            y.across,
            y.down,
            if adds { T::ONE } else { T::ZERO },
            T::ONE,
            // Nothing is conjugated.
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A matrix of `rows` by `columns` elements in memory of its own, with these steps, and its elements by row.
    struct Stored {
        memory: Vec<f64>,
        rows: usize,
        columns: usize,
        down: isize,
        across: isize,
    }

    impl Stored {
        /// In order of rows or of columns, with gaps, each way forwards or backwards.
        fn of(rows: usize, columns: usize, by_row: bool, gap: isize, signs: [isize; 2]) -> Stored {
            let (down, across) = if by_row { (columns as isize * gap, gap) } else { (gap, rows as isize * gap) };
            let memory = (0..rows * columns * gap as usize).map(|i| ((i * 37 + rows) % 19) as f64 - 9.0).collect();
            Stored { memory, rows, columns, down: down * signs[0], across: across * signs[1] }
        }

        fn start(&self) -> isize {
            let back = |step: isize, n: usize| if step < 0 { -step * (n as isize - 1) } else { 0 };
            back(self.down, self.rows) + back(self.across, self.columns)
        }

        fn at(&self, i: usize, j: usize) -> usize {
            (self.start() + i as isize * self.down + j as isize * self.across) as usize
        }

        fn matrix(&mut self) -> Matrix<f64> {
            let start = self.memory.as_mut_ptr().wrapping_offset(self.start());
            Matrix { start, down: self.down, across: self.across }
        }
    }

    /// Whole numbers, so that every order of additions has the same result.
    #[test]
    fn every_layout_of_operands_and_result() {
        let signs = [[1, 1], [-1, 1], [1, -1], [-1, -1]];
        for [m, n, k] in [[5, 7, 3], [33, 20, 17], [1, 9, 40], [4, 4, 1], [6, 2, 0]] {
            for case in 0..512 {
                let bit = |at: usize| case >> at & 1 == 1;
                let sign = |at: usize| signs[case >> at & 3];
                let mut x = Stored::of(m, k, bit(0), 1, sign(1));
                let mut y = Stored::of(k, n, bit(3), 2, sign(4));
                let mut out = Stored::of(m, n, bit(6), 1, sign(7));
                let arrays = (out.matrix(), [x.matrix(), y.matrix()]);
                // SAFETY: each matrix is in memory of its own.
                unsafe { multiply([m, n, k], arrays.0, arrays.1, false) };
                for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                    let wanted: f64 = (0..k).map(|t| x.memory[x.at(i, t)] * y.memory[y.at(t, j)]).sum();
                    assert_eq!(out.memory[out.at(i, j)], wanted, "{m} {n} {k}, layout {case}, at {i}, {j}");
                }
            }
        }
    }
}
