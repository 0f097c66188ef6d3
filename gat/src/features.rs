//! Features of nodes, dense or sparse.

use crate::Error;
use crate::data::SparseMatrix;
use gavotte::segment::Segments;
use gavotte::stax::{Mode, dropout_of};
use gavotte::{Array, DType, Shape, Tree, shape};
use gavotte_core::device::HostArray;

/// A sparse matrix `f[n, m]` of `z` stored entries, as two maps from entries: one to rows, one to columns. Entries are
/// sorted by row.
#[derive(Tree, Clone)]
pub struct SparseFeatures {
    /// The stored entries, `f[z]`.
    pub values: Array,
    /// The row of each entry; ascending.
    pub rows: Segments,
    /// The column of each entry.
    pub columns: Segments,
}

impl SparseFeatures {
    /// The matrix with values of this floating type.
    ///
    /// # Errors
    /// If a column is out of bounds.
    pub fn new(matrix: &SparseMatrix, dtype: DType) -> Result<Self, Error> {
        let SparseMatrix { n_rows, n_cols, offsets, columns, values } = matrix;
        let rows: Vec<i32> = offsets
            .windows(2)
            .enumerate()
            .flat_map(|(row, ends)| std::iter::repeat_n(row as i32, (ends[1] - ends[0]) as usize))
            .collect();
        Ok(SparseFeatures {
            values: Array::new(&[values.len()], values.clone()).astype(dtype),
            rows: Segments::sorted(&rows, *n_rows)?,
            columns: Segments::new(columns, *n_cols)?,
        })
    }

    /// The same matrix whose numbers of rows and of stored entries are symbols. The number of columns stays a number.
    #[must_use]
    pub fn with_symbols(self, n_row: &str, n_entry: &str) -> Self {
        let Segments { ids, offsets, order } = self.columns;
        let order = order.map(|order| order.declare([n_entry]));
        let columns = Segments { ids: ids.declare([n_entry]), offsets, order };
        SparseFeatures { values: self.values.declare([n_entry]), rows: self.rows.with_symbols(n_row, n_entry), columns }
    }

    /// `f[n, m]`.
    pub fn shape(&self) -> Shape {
        shape([self.rows.n_segment(), self.columns.n_segment()])
    }

    /// The matrix product with `w`, `f[m, d]`. Each entry is multiplied by the row of `w` that its column names, and
    /// the products are summed over the entries of each row. The derivative with respect to `w` is the same sum over
    /// the entries of each column. An entry of 0 counts as one that is not stored.
    ///
    /// # Panics
    /// If `w` has another number of rows, or another type.
    #[track_caller]
    pub fn dot(&self, w: &Array) -> Array {
        self.rows.sum(&self.values.expand_dims(-1).weigh(&self.columns.gather(w)))
    }

    /// Dropout on the stored entries. Entries that are not stored are 0, and stay 0: the distribution is that of
    /// dropout on the dense matrix.
    #[track_caller]
    #[must_use]
    pub fn dropout(&self, rate: f64, mode: Mode) -> Self {
        SparseFeatures { values: dropout_of(&self.values, rate, mode), ..self.clone() }
    }

    /// The dense matrix `f[n, m]`; entries at the same place add up.
    ///
    /// # Errors
    /// While the matrix is being traced.
    pub fn to_dense(&self) -> Result<Array, Error> {
        let [n, m] = [self.rows.n_segment(), self.columns.n_segment()]
            .map(|extent| extent.as_usize().expect("a computed array has numeric extents"));
        let (rows, columns) = (self.rows.ids.to_host()?, self.columns.ids.to_host()?);
        let values = self.values.astype(DType::F64).to_host()?;
        let mut dense = vec![0.0; n * m];
        let places = rows.as_slice::<i32>().iter().zip(columns.as_slice::<i32>());
        for ((row, column), value) in places.zip(values.as_slice::<f64>()) {
            dense[*row as usize * m + *column as usize] += value;
        }
        Ok(Array::from(HostArray::new(&[n, m], dense)).astype(self.values.dtype()))
    }
}

/// Features of nodes: one row for each.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one a model, passed by reference; a box would show in every match"
)]
#[derive(Tree, Clone)]
pub enum Features {
    /// A dense matrix.
    Dense {
        /// `f[n, m]`.
        dense: Array,
    },
    /// A matrix of which few entries are not 0.
    Sparse {
        /// `f[n, m]`.
        sparse: SparseFeatures,
    },
}

impl Features {
    /// `f[n, m]`.
    pub fn shape(&self) -> Shape {
        match self {
            Features::Dense { dense } => dense.shape().clone(),
            Features::Sparse { sparse } => sparse.shape(),
        }
    }

    /// The matrix product with `w`, `f[m, d]`.
    ///
    /// # Panics
    /// If `w` has another number of rows, or another type.
    #[track_caller]
    pub fn dot(&self, w: &Array) -> Array {
        match self {
            Features::Dense { dense } => dense.dot(w),
            Features::Sparse { sparse } => sparse.dot(w),
        }
    }

    /// Dropout on every entry that may differ from 0.
    #[track_caller]
    #[must_use]
    pub fn dropout(&self, rate: f64, mode: Mode) -> Self {
        match self {
            Features::Dense { dense } => dropout_of(dense, rate, mode).into(),
            Features::Sparse { sparse } => sparse.dropout(rate, mode).into(),
        }
    }
}

impl From<Array> for Features {
    fn from(dense: Array) -> Self {
        Features::Dense { dense }
    }
}
impl From<SparseFeatures> for Features {
    fn from(sparse: SparseFeatures) -> Self {
        Features::Sparse { sparse }
    }
}
