//! Random arrays, and arrays cut, stacked and widened.

use gavotte_core::aval::{Aval, DType, Literal};
use gavotte_core::device::{Data, HostArray};
use gavotte_core::ir::structural::{row_major, strided};

/// The same numbers on every platform: splitmix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// 64 bits.
    ///
    /// Source: Steele et al., *Fast splittable pseudorandom number generators* (OOPSLA 2014), figure 17.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// A number from -1 to 1.
    pub fn float(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// An array of this type: floats from -2 to 2, signed integers 0 or 1 (valid places in every axis of two),
/// any unsigned ones.
///
/// # Panics
/// If an extent is a symbol.
pub fn random_array(aval: &Aval, random: &mut Random) -> HostArray {
    let shape: Vec<usize> = aval.shape.iter().map(|dim| dim.as_usize().expect("an extent is a number")).collect();
    let n = shape.iter().product();
    let mut element = || match aval.dtype {
        DType::Bool => Literal::Bool(random.below(2) == 1),
        dtype if dtype.is_float() => Literal::from_f64(dtype, 2.0 * random.float()),
        dtype if dtype.is_signed() => Literal::from_f64(dtype, random.below(2) as f64),
        dtype => Literal::from_bits(dtype, random.bits()),
    };
    let elements: Vec<Literal> = (0..n).map(|_| element()).collect();
    HostArray::from_data(&shape, Data::of(aval.dtype, elements.into_iter()))
}

/// The numbers of an array as `f64`.
pub fn numbers(array: &HostArray) -> Vec<f64> {
    (0..array.len()).map(|i| array.get(i).as_f64()).collect()
}

/// An array of `dtype` with these numbers.
pub fn from_numbers(shape: &[usize], dtype: DType, numbers: &[f64]) -> HostArray {
    let elements = numbers.iter().map(|number| Literal::from_f64(dtype, *number));
    HostArray::from_data(shape, Data::of(dtype, elements))
}

/// Floats as `f64`; other types as they are.
pub fn widened(array: &HostArray) -> HostArray {
    if array.dtype().is_float() { array.convert(DType::F64) } else { array.clone() }
}

/// A floating array moved by `step` along `direction`; any other array unchanged.
pub fn moved(array: &HostArray, direction: &HostArray, step: f64) -> HostArray {
    if !array.dtype().is_float() {
        return array.clone();
    }
    let sums: Vec<f64> = numbers(array).iter().zip(numbers(direction)).map(|(x, d)| x + step * d).collect();
    from_numbers(&array.shape(), array.dtype(), &sums)
}

/// Element `i` along `axis`, which disappears.
pub fn slice(array: &HostArray, axis: usize, i: usize) -> HostArray {
    let (mut shape, mut strides) = (array.shape().to_vec(), row_major(&array.shape()));
    shape.remove(axis);
    let stride = strides.remove(axis);
    strided(array, &shape, &strides, i * stride as usize)
}

/// Arrays of one type stacked along a new axis.
pub fn stack(arrays: &[HostArray], axis: usize) -> HostArray {
    let first = &arrays[0];
    let all: Vec<f64> = arrays.iter().flat_map(numbers).collect();
    let mut shape = first.shape().to_vec();
    shape.insert(0, arrays.len());
    let stacked = from_numbers(&shape, first.dtype(), &all);
    let mut strides = row_major(&shape);
    let (extent, stride) = (shape.remove(0), strides.remove(0));
    shape.insert(axis, extent);
    strides.insert(axis, stride);
    strided(&stacked, &shape, &strides, 0)
}
