//! One dense product on one thread, through the crates `gemm-f32` and `gemm-f64`. The crate `gemm` has these, and others for
//! complex numbers: nothing is multiplied by those here, and they take long to compile.

use crate::device::HostElement;
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

/// What a product does to the matrix that it goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    /// Replaces it.
    Write,
    /// Is added to it.
    Add,
    /// Is subtracted from it.
    Subtract,
}

/// Writes the product of a matrix of `m` by `k` elements and one of `k` by `n`, adds it to the result, or subtracts it.
///
/// # Safety
/// The matrices must be where they say. Nobody else may use the result's elements meanwhile.
pub(super) unsafe fn multiply<T: Multiplied>(
    [mut m, mut n, k]: [usize; 3],
    mut out: Matrix<T>,
    [mut x, mut y]: [Matrix<T>; 2],
    update: Update,
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
            // Whether the result is read.
            update != Update::Write,
            x.start,
            x.across,
            x.down,
            y.start,
            y.across,
            y.down,
            if update == Update::Write { T::ZERO } else { T::ONE },
            if update == Update::Subtract { T::ZERO - T::ONE } else { T::ONE },
            // Nothing is conjugated.
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Where the elements of a matrix are in a slice: the first one, and how far the next is down and across.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The position of the first element.
    pub start: usize,
    /// Positions from an element to the one below.
    pub down: isize,
    /// Positions from an element to the one on its right.
    pub across: isize,
}

impl Place {
    /// A matrix of rows of `n` elements, one after the other.
    pub fn rows(n: usize) -> Place {
        Place { start: 0, down: n as isize, across: 1 }
    }

    /// The position of an element.
    pub fn at(self, i: usize, j: usize) -> usize {
        self.start.wrapping_add_signed(self.down * i as isize + self.across * j as isize)
    }

    /// The part of the matrix that begins at an element.
    pub fn part(self, i: usize, j: usize) -> Place {
        Place { start: self.at(i, j), ..self }
    }

    /// The transposed matrix.
    pub fn transposed(self) -> Place {
        Place { down: self.across, across: self.down, ..self }
    }

    /// The matrix in memory of `len` elements, of which `rows` by `columns` are used.
    fn within<T>(self, memory: *mut T, len: usize, [rows, columns]: [usize; 2]) -> Matrix<T> {
        let last = |step: isize, n: usize| step as i128 * (n as i128 - 1);
        let (down, across) = (last(self.down, rows), last(self.across, columns));
        let (low, high) = (down.min(0) + across.min(0), down.max(0) + across.max(0));
        let start = self.start as i128;
        let is_empty = rows == 0 || columns == 0;
        let fits = is_empty || start + low >= 0 && start + high < len as i128;
        assert!(fits, "{self:?}, {rows} by {columns}, is not within {len} elements");
        let start = memory.wrapping_add(if is_empty { 0 } else { self.start });
        Matrix { start, down: self.down, across: self.across }
    }
}

/// An element type with dense products on one thread: a building block for what primitives compute on the host.
pub trait MatrixElement: HostElement {
    /// Writes `x · y` to a matrix, or subtracts it, for `x` of `m` by `k` and `y` of `k` by `n` elements, the `sizes`, which
    /// alone determine the order of all sums.
    ///
    /// # Panics
    /// If a matrix is not within its memory.
    fn multiply(sizes: [usize; 3], out: (&mut [Self], Place), x: (&[Self], Place), y: (&[Self], Place), update: Update)
    where
        Self: Sized;
}

fn checked<T: Multiplied>(
    [m, n, k]: [usize; 3],
    (out, to): (&mut [T], Place),
    (x, of_x): (&[T], Place),
    (y, of_y): (&[T], Place),
    update: Update,
) {
    let to = to.within(out.as_mut_ptr(), out.len(), [m, n]);
    let x = of_x.within(x.as_ptr().cast_mut(), x.len(), [m, k]);
    let y = of_y.within(y.as_ptr().cast_mut(), y.len(), [k, n]);
    // Two elements of the result in one place would be wrong, yet no danger: one thread writes.
    // SAFETY: each matrix is within its slice. The operands are only read, and the result is borrowed mutably.
    unsafe { multiply([m, n, k], to, [x, y], update) }
}

impl MatrixElement for f32 {
    fn multiply(sizes: [usize; 3], out: (&mut [f32], Place), x: (&[f32], Place), y: (&[f32], Place), update: Update) {
        checked(sizes, out, x, y, update);
    }
}

impl MatrixElement for f64 {
    fn multiply(sizes: [usize; 3], out: (&mut [f64], Place), x: (&[f64], Place), y: (&[f64], Place), update: Update) {
        checked(sizes, out, x, y, update);
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

        fn place(&self) -> Place {
            Place { start: self.start() as usize, down: self.down, across: self.across }
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
                let x = Stored::of(m, k, bit(0), 1, sign(1));
                let y = Stored::of(k, n, bit(3), 2, sign(4));
                let before = Stored::of(m, n, bit(6), 1, sign(7));
                for update in [Update::Write, Update::Add, Update::Subtract] {
                    let (mut out, place) = (before.memory.clone(), before.place());
                    f64::multiply([m, n, k], (&mut out, place), (&x.memory, x.place()), (&y.memory, y.place()), update);
                    for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                        let product: f64 = (0..k).map(|t| x.memory[x.at(i, t)] * y.memory[y.at(t, j)]).sum();
                        let at = before.at(i, j);
                        let wanted = match update {
                            Update::Write => product,
                            Update::Add => before.memory[at] + product,
                            Update::Subtract => before.memory[at] - product,
                        };
                        assert_eq!(out[at], wanted, "{m} {n} {k}, layout {case}, {update:?}, at {i}, {j}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_matrix_outside_its_memory_is_refused() {
        let x = [1.0; 6];
        let fits = |place: Place| {
            let run = || {
                f64::multiply(
                    [2, 2, 3],
                    (&mut [0.0; 4], Place::rows(2)),
                    (&x, place),
                    (&x, Place::rows(2)),
                    Update::Write,
                );
            };
            std::panic::catch_unwind(run).is_ok()
        };
        assert!(fits(Place::rows(3)));
        assert!(!fits(Place::rows(4)) && !fits(Place { start: 1, ..Place::rows(3) }));
        assert!(
            !fits(Place { start: 2, down: -3, across: 1 }) && !fits(Place { start: 0, down: 3, across: isize::MAX })
        );
    }
}
