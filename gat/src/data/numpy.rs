//! Arrays and sparse matrices from pickles; every index is checked.

use super::{
    DataError,
    pickle::{Class, Id, Pickle, Value},
};
use crate::memory;

/// A dense array in C order. 64-bit floats hold every number of a data set; whole numbers are exact up to 2^53.
#[derive(Debug)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) data: Vec<f64>,
}

/// A sparse matrix as rows of (column, value): columns ascend and are in range, and no value is 0.
#[derive(Debug)]
pub(super) struct Csr {
    pub(super) n_cols: usize,
    pub(super) rows: Vec<Vec<(i32, f64)>>,
}

/// Reads a pickled array, which errors call `place`.
pub(super) fn read_array(place: &str, bytes: &[u8]) -> Result<Array, DataError> {
    let pickle = Pickle::read(place, bytes)?;
    array(&pickle, pickle.root()).map_err(|what| DataError::content(place, what))
}

/// Reads a pickled matrix, which errors call `place`: an array, or a matrix of `scipy.sparse` in compressed sparse
/// rows.
pub(super) fn read_matrix(place: &str, bytes: &[u8]) -> Result<Csr, DataError> {
    let pickle = Pickle::read(place, bytes)?;
    let matrix = match pickle.get(pickle.root()) {
        &Value::Object { class: Class::Csr, state: Some(state), .. } => csr(&pickle, state),
        Value::Object { class: Class::NdArray | Class::FromBuffer, .. } => dense(&pickle),
        _ => Err("the pickle holds no matrix".into()),
    };
    matrix.map_err(|what| DataError::content(place, what))
}

/// The entries of an array that are not 0.
fn dense(pickle: &Pickle<'_>) -> Result<Csr, String> {
    let Array { shape, data } = array(pickle, pickle.root())?;
    let &[n_rows, n_cols] = &shape[..] else {
        return Err(format!("the array has shape {shape:?}, not two dimensions"));
    };
    check_sizes(n_rows, n_cols, data.len())?;
    let columns: Vec<f64> = (0..n_cols).map(|column| column as f64).collect();
    let row = |row| {
        let values = &data[row * n_cols..(row + 1) * n_cols];
        csr_row(&columns, values, n_cols).map_err(|what| format!("row {row}: {what}"))
    };
    Ok(Csr { n_cols, rows: (0..n_rows).map(row).collect::<Result<_, _>>()? })
}

/// Refuses a matrix whose sizes do not fit `i32`, or whose rows do not fit the memory.
fn check_sizes(n_rows: usize, n_cols: usize, n_entry: usize) -> Result<(), String> {
    if i32::try_from(n_cols).is_err() || i32::try_from(n_rows).is_err() {
        return Err(format!("the matrix claims {n_rows} rows and {n_cols} columns"));
    }
    // Each row is a vector of its own before the rows are concatenated.
    let needed = (n_rows as u64).saturating_mul(48).saturating_add((n_entry as u64).saturating_mul(32));
    memory::check(needed).map_err(|shortage| format!("a matrix of {n_rows} rows and {n_entry} values: {shortage}"))
}

fn csr(pickle: &Pickle<'_>, state: Id) -> Result<Csr, String> {
    let member = |name: &str| pickle.item(state, name).ok_or_else(|| format!("the sparse matrix lacks `{name}`"));
    let vector = |name: &str| {
        let array = array(pickle, member(name)?).map_err(|what| format!("`{name}`: {what}"))?;
        if array.shape.len() == 1 { Ok(array.data) } else { Err(format!("`{name}` is not a vector")) }
    };
    let [n_rows, n_cols] = member("_shape").and_then(|id| sizes(pickle, id))?[..] else {
        return Err("the sparse matrix does not have two dimensions".into());
    };
    let (offsets, columns, values) = (vector("indptr")?, vector("indices")?, vector("data")?);
    if offsets.len().checked_sub(1) != Some(n_rows) {
        return Err(format!("`indptr` has {} entries for {n_rows} rows", offsets.len()));
    }
    if columns.len() != values.len() {
        return Err(format!("`indices` has {} entries and `data` {}", columns.len(), values.len()));
    }
    if offsets.first() != Some(&0.0) || offsets.last() != Some(&(columns.len() as f64)) {
        return Err(format!("`indptr` does not run from 0 to {}", columns.len()));
    }
    check_sizes(n_rows, n_cols, columns.len())?;
    let mut rows = Vec::with_capacity(n_rows);
    for (row, ends) in offsets.windows(2).enumerate() {
        let range = index(ends[0], columns.len() + 1).zip(index(ends[1], columns.len() + 1));
        let (start, end) = range
            .filter(|(start, end)| start <= end)
            .ok_or_else(|| format!("`indptr` falls, or leaves its bounds, at row {row}"))?;
        rows.push(
            csr_row(&columns[start..end], &values[start..end], n_cols).map_err(|what| format!("row {row}: {what}"))?,
        );
    }
    Ok(Csr { n_cols, rows })
}

fn csr_row(columns: &[f64], values: &[f64], n_cols: usize) -> Result<Vec<(i32, f64)>, String> {
    let mut row = Vec::with_capacity(columns.len());
    for (&column, &value) in columns.iter().zip(values) {
        let place = index(column, n_cols).ok_or_else(|| format!("column {column} is out of bounds, of {n_cols}"))?;
        if !value.is_finite() {
            return Err(format!("the value in column {column} is {value}"));
        }
        row.push((place as i32, value));
    }
    row.sort_unstable_by_key(|&(column, _)| column);
    // Entries at the same place add up, as in SciPy.
    row.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        kept.1 += if same { next.1 } else { 0.0 };
        same
    });
    row.retain(|&(_, value)| value != 0.0);
    match row.iter().find(|(_, value)| !value.is_finite()) {
        Some((column, value)) => Err(format!("the values in column {column} add up to {value}")),
        None => Ok(row),
    }
}

/// A number as an index below `n`.
pub(super) fn index(number: f64, n: usize) -> Option<usize> {
    (number >= 0.0 && number < n as f64 && number.fract() == 0.0).then_some(number as usize)
}

fn sizes(pickle: &Pickle<'_>, tuple: Id) -> Result<Vec<usize>, String> {
    let Value::Tuple(items) = pickle.get(tuple) else { return Err("a shape is not a tuple".into()) };
    let size = |&id: &Id| match pickle.get(id) {
        &Value::Int(size) => usize::try_from(size).map_err(|_| format!("a dimension is {size}")),
        _ => Err("a dimension is not a whole number".into()),
    };
    items.iter().map(size).collect()
}

/// The state of an array is (version, shape, type, whether in Fortran order, bytes); in protocol 5 its arguments are
/// (bytes, type, shape, order).
fn array(pickle: &Pickle<'_>, id: Id) -> Result<Array, String> {
    let parts = match *pickle.get(id) {
        Value::Object { class: Class::NdArray, state: Some(state), .. } => state,
        Value::Object { class: Class::FromBuffer, args, .. } => args,
        _ => return Err("the pickle holds no array where one is expected".into()),
    };
    let Value::Tuple(parts) = pickle.get(parts) else { return Err("the array has no state".into()) };
    let (shape, dtype, order, data) = match parts[..] {
        [_, shape, dtype, fortran, data] => (shape, dtype, fortran, data),
        [data, dtype, shape, order] => (shape, dtype, order, data),
        _ => return Err(format!("the state of the array has {} parts, not four or five", parts.len())),
    };
    let is_fortran = match pickle.get(order) {
        Value::Bool(is_fortran) => *is_fortran,
        Value::Bytes(name) => **name == *b"F",
        _ => false,
    };
    let shape = sizes(pickle, shape)?;
    let element = Element::read(pickle, dtype)?;
    let Value::Bytes(bytes) = pickle.get(data) else { return Err("the array does not hold plain numbers".into()) };
    let n = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    if n.and_then(|n| n.checked_mul(element.width)) != Some(bytes.len()) {
        return Err(format!("an array of shape {shape:?} has {} bytes of data", bytes.len()));
    }
    let needed = (bytes.len() / element.width) as u64 * size_of::<f64>() as u64;
    memory::check(2 * needed).map_err(|shortage| format!("an array of shape {shape:?}: {shortage}"))?;
    let data: Vec<_> = bytes.chunks_exact(element.width).map(|bytes| element.number(bytes)).collect();
    match (is_fortran, &shape[..]) {
        (true, &[n_rows, n_cols]) => Ok(Array { data: transpose(&data, n_cols, n_rows), shape }),
        _ => Ok(Array { data, shape }),
    }
}

/// The transpose of a matrix of `n_rows` rows.
fn transpose(data: &[f64], n_rows: usize, n_cols: usize) -> Vec<f64> {
    (0..n_cols).flat_map(|column| (0..n_rows).map(move |row| data[row * n_cols + column])).collect()
}

/// The type of an array's elements.
struct Element {
    kind: u8,
    width: usize,
    big_endian: bool,
}

impl Element {
    /// The argument of a type is a name such as `i4`; its state is (version, byte order, …).
    fn read(pickle: &Pickle<'_>, id: Id) -> Result<Self, String> {
        let &Value::Object { class: Class::DType, args, state } = pickle.get(id) else {
            return Err("the array has no element type".into());
        };
        let bytes = |id: Id| match pickle.get(id) {
            Value::Bytes(bytes) => &bytes[..],
            _ => &[],
        };
        let part = |tuple: Id, place: usize| match pickle.get(tuple) {
            Value::Tuple(parts) => parts.get(place).map_or(&[][..], |&id| bytes(id)),
            _ => &[],
        };
        let name = part(args, 0);
        let big_endian = state.is_some_and(|state| part(state, 1) == b">");
        match name {
            b"b1" | b"i1" | b"i2" | b"i4" | b"i8" | b"u1" | b"u2" | b"u4" | b"u8" | b"f4" | b"f8" => {
                Ok(Self { kind: name[0], width: usize::from(name[1] - b'0'), big_endian })
            }
            _ => Err(format!("elements of type `{}` are not plain numbers", String::from_utf8_lossy(name))),
        }
    }

    /// The number in `width` bytes.
    fn number(&self, bytes: &[u8]) -> f64 {
        let push = |bits: u64, &byte: &u8| bits << 8 | u64::from(byte);
        let bits = if self.big_endian { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) };
        let missing = 64 - 8 * self.width;
        match (self.kind, self.width) {
            (b'f', 4) => f32::from_bits(bits as u32).into(),
            (b'f', _) => f64::from_bits(bits),
            (b'i', _) => ((bits << missing) as i64 >> missing) as f64,
            _ => bits as f64,
        }
    }
}
