//! The contents of the inputs of random kernels.

use super::scalar::special;
use crate::arrays::Random;
use gavotte_core::aval::{Aval, DType, Dim, Literal, Sizes};
use gavotte_core::device::{Data, HostArray};

/// The numbers that a kernel's inputs hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Numbers {
    /// Small fractions, whole numbers, zeros.
    Plain,
    /// Small whole numbers, whose sums and products are exact.
    Whole,
    /// Also NaN, infinities, the largest and the smallest numbers, any bits.
    Wild,
}

/// The contents of one input.
pub(super) enum Fill {
    Numbers,
    /// Positions below this extent.
    Places(Dim),
    /// Each position once.
    Order,
    /// Where segments begin, of this many members in all.
    Offsets(Dim),
}

/// Makes arrays.
pub(super) struct Filler<'a> {
    pub(super) random: &'a mut Random,
    pub(super) sizes: &'a Sizes,
    pub(super) numbers: Numbers,
}

impl Filler<'_> {
    fn at(&self, dim: &Dim) -> i64 {
        dim.at(self.sizes).as_number().expect("every symbol has a size")
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.random.below(100) < percent
    }

    /// An array of this type.
    pub(super) fn array(&mut self, aval: &Aval, fill: &Fill) -> HostArray {
        let shape: Vec<usize> = aval.shape.iter().map(|dim| self.at(dim) as usize).collect();
        let n: usize = shape.iter().product();
        let ints = |xs: Vec<usize>| Data::I32(xs.into_iter().map(|x| x as i32).collect());
        let data = match fill {
            Fill::Places(below) => {
                let below = self.at(below) as usize;
                ints((0..n).map(|_| self.random.below(below)).collect())
            }
            Fill::Order => {
                let mut order: Vec<usize> = (0..n).collect();
                (1..n).rev().for_each(|i| order.swap(i, self.random.below(i + 1)));
                ints(order)
            }
            Fill::Offsets(members) => {
                let members = self.at(members) as usize;
                ints(offsets(n, members, self.random))
            }
            Fill::Numbers => {
                let numbers: Vec<Literal> = (0..n).map(|_| self.number(aval.dtype)).collect();
                return filled(aval.dtype, &numbers).reshaped(&shape);
            }
        };
        HostArray::from_data(&shape, data)
    }

    fn number(&mut self, dtype: DType) -> Literal {
        match (self.numbers, self.random.below(10)) {
            (Numbers::Wild, 0) => *self.random.pick(&special(dtype)),
            (Numbers::Wild, 1) if dtype == DType::F32 => Literal::F32(f32::from_bits(self.random.bits() as u32)),
            (Numbers::Wild, 2) if dtype == DType::F64 => Literal::F64(f64::from_bits(self.random.bits())),
            _ if dtype == DType::U32 && self.chance(40) => Literal::U32(self.random.bits() as u32),
            _ if dtype == DType::I32 && self.chance(20) => Literal::I32(self.random.bits() as i32),
            _ if dtype == DType::Bool => Literal::Bool(self.random.below(2) == 1),
            (Numbers::Whole, _) | (_, 3..5) => Literal::from_f64(dtype, self.random.below(17) as f64 - 8.0),
            (_, 5) => Literal::from_f64(dtype, if self.chance(50) { 0.0 } else { -0.0 }),
            _ => Literal::from_f64(dtype, 2.0 * self.random.float()),
        }
    }
}

/// A vector of numbers of this type.
pub(super) fn filled(dtype: DType, numbers: &[Literal]) -> HostArray {
    HostArray::from_data(&[numbers.len()], Data::of(dtype, numbers.iter().copied()))
}

/// Where segments begin, of this many members in all: some are empty, one is long, and occasionally some members belong
/// to none.
fn offsets(n: usize, members: usize, random: &mut Random) -> Vec<usize> {
    let long = random.below(n);
    let mut borders: Vec<usize> = (0..n).map(|_| random.below(members + 1)).collect();
    borders.sort_unstable();
    for i in 1..n {
        if random.below(3) == 0 && i != long {
            borders[i] = borders[i - 1];
        }
    }
    if random.below(8) > 0 {
        (borders[0], borders[n - 1]) = (if n > 1 { 0 } else { members }, members);
    }
    borders
}
