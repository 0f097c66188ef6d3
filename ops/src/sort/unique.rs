//! The different elements of an array.

use crate::array::Array;
use crate::generate::{ones, zeros};
use crate::movement::{concatenate, reject};
use gavotte_core::aval::DType;

impl Array {
    /// The different elements in ascending order, and how often each is there, as `i32`. Every NaN counts as different.
    ///
    /// `size` is how many are returned, which a traced function must know: if there are more, the largest are missing; if
    /// there are fewer, the least one is repeated with the count 0 (0, where there are no elements). Without it there are
    /// as many as there are different elements.
    ///
    /// ```
    /// use gavotte::Array;
    /// let (values, counts) = Array::from([3, 1, 3, 2, 3]).unique_counts(None);
    /// assert_eq!((values.to_vec::<i32>(), counts.to_vec::<i32>()), (vec![1, 2, 3], vec![1, 1, 3]));
    /// let (values, counts) = Array::from([3, 1, 3, 2, 3]).unique_counts(Some(4));
    /// assert_eq!((values.to_vec::<i32>(), counts.to_vec::<i32>()), (vec![1, 2, 3, 1], vec![1, 1, 3, 0]));
    /// ```
    ///
    /// # Panics
    /// If the array is traced and `size` is not given, or `size` exceeds `i32`.
    ///
    /// Source: JAX, `jax.numpy.unique_counts`; Array API, `unique_counts`.
    #[track_caller]
    pub fn unique_counts(&self, size: Option<usize>) -> (Array, Array) {
        if size.is_none() && self.0.is_traced() {
            let why = "how many elements are different is not known while the function is traced: give `size`";
            reject("unique_counts", why, &[self]);
        }
        if size.is_some_and(|n| i32::try_from(n).is_err()) {
            reject("unique_counts", "`size` is too large: the numbers of elements are i32", &[self]);
        }
        let x = self.flatten().sort(0);
        if x.dim(0) == 0 {
            let n = size.unwrap_or(0);
            return (zeros([n], self.dtype()), zeros([n], DType::I32));
        }
        let first = ones([1], DType::I32);
        let is_new = x.slice_axis(0, 1..).ne(x.slice_axis(0, ..x.dim(0) - 1)).astype(DType::I32);
        let group = concatenate(&[first, is_new], 0).cumsum(0) - 1;
        let n = size.unwrap_or_else(|| group.max(()).item::<i32>() as usize + 1);
        // What does not fit goes into one more place, which is dropped.
        let group = group.minimum(n as i32);
        let none = x.slice_axis(0, ..1).broadcast_to([n + 1]);
        let values = none.scatter(&group, &x, 0).slice_axis(0, ..n);
        let counts = zeros([n + 1], DType::I32).scatter_add(&group, &ones(group.shape().clone(), DType::I32), 0);
        (values, counts.slice_axis(0, ..n))
    }
}
