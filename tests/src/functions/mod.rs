//! Public functions for the comparison with JAX: each by its name in `tests/python/functions.py`, with operands.
//!
//! A primitive is compared by its own line, with all its rules. A function here is a composition of primitives: what is
//! compared is its value, its derivatives and its batches, each with JAX's own of the function of that name. So a row
//! says what the function is called and on which operands it is tried, and nothing of how it is computed.

mod array;
mod cumulative;
mod einsum;
mod elementwise;
mod linalg;
mod nn;
mod products;
mod shapes;
mod sorting;
mod special;
mod statistics;
mod windows;

use crate::arrays::Random;
use gavotte::Array;
use gavotte_core::api::{ByValue, trace_function};
use gavotte_core::aval::DType;
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Program, Value};
use gavotte_core::tree::Tree;

/// An operand.
#[derive(Clone, Copy, Debug)]
pub enum Operand {
    /// Floats between these bounds.
    Between(f64, f64, &'static [usize]),
    /// Floats at which functions are special: zeros of both signs, ones, small and large ones, infinities, NaN.
    Edges(&'static [usize]),
    /// Integers from the first to below the second.
    Ints(i32, i32, &'static [usize]),
    /// These integers.
    These(&'static [i32]),
    /// Words of any bits.
    Words(&'static [usize]),
    /// Truth values.
    Bools(&'static [usize]),
}

/// Floats from -2 to 2.
pub const fn real(shape: &'static [usize]) -> Operand {
    Operand::Between(-2.0, 2.0, shape)
}

/// Floats from 0.1 to 3.
pub const fn positive(shape: &'static [usize]) -> Operand {
    Operand::Between(0.1, 3.0, shape)
}

const EDGES: [f64; 12] =
    [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-30, -1e30, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 3.0];

impl Operand {
    /// The operand, its floats of this type.
    pub fn array(&self, dtype: DType, random: &mut Random) -> HostArray {
        let floats = |shape: &[usize], xs: Vec<f64>| crate::arrays::from_numbers(shape, dtype, &xs);
        let volume = |shape: &[usize]| shape.iter().product::<usize>();
        match *self {
            Operand::Between(low, high, shape) => {
                let mut one = || low + (high - low) * (random.float() + 1.0) / 2.0;
                floats(shape, (0..volume(shape)).map(|_| one()).collect())
            }
            Operand::Edges(shape) => {
                // Two operands of one row meet in all pairs.
                let (first, step) = (random.below(EDGES.len()), [1, 5, 7, 11][random.below(4)]);
                floats(shape, (0..volume(shape)).map(|i| EDGES[(first + step * i) % EDGES.len()]).collect())
            }
            Operand::Ints(low, high, shape) => {
                let mut one = || low + random.below((high - low) as usize) as i32;
                HostArray::new(shape, (0..volume(shape)).map(|_| one()).collect())
            }
            Operand::These(all) => HostArray::new(&[all.len()], all.to_vec()),
            Operand::Words(shape) => HostArray::new(shape, (0..volume(shape)).map(|_| random.bits() as u32).collect()),
            Operand::Bools(shape) => {
                HostArray::new(shape, (0..volume(shape)).map(|_| random.below(2) == 1).collect::<Vec<bool>>())
            }
        }
    }

    /// Whether it has floats that are not moved off a kink by being random.
    pub fn is_edge(&self) -> bool {
        matches!(self, Operand::Edges(_))
    }
}

/// A public function.
#[derive(Clone, Copy)]
pub struct Function {
    /// Its name in `tests/python/functions.py`.
    pub name: &'static str,
    /// The function.
    pub f: fn(&[Array]) -> Vec<Array>,
    /// Operands on which it is tried.
    pub samples: &'static [&'static [Operand]],
    /// Whether it has derivatives between its edges.
    pub is_smooth: bool,
}

impl Function {
    /// Its program for operands of these types, and the arrays that the function itself made.
    pub fn program(&self, ins: &[HostArray]) -> (Program, Vec<HostArray>) {
        let f = self.f;
        let args: Vec<Array> = ins.iter().cloned().map(Array::from).collect();
        let (def, leaves) = (args,).into_leaves();
        let avals: Vec<_> = leaves.iter().map(Value::declared_aval).collect();
        let traced = trace_function::<(Vec<Array>,), _, ByValue>(&move |xs: Vec<Array>| f(&xs), &def, &avals).0;
        let made = traced.consts.iter().map(|value| HostArray::clone(&value.to_host().expect("it is computed")));
        let made = made.collect();
        (traced.program, made)
    }
}

/// What a function returns: one array or several.
pub(crate) trait Results {
    fn results(self) -> Vec<Array>;
}
impl Results for Array {
    fn results(self) -> Vec<Array> {
        vec![self]
    }
}
impl Results for Vec<Array> {
    fn results(self) -> Vec<Array> {
        self
    }
}
impl Results for (Array, Array) {
    fn results(self) -> Vec<Array> {
        vec![self.0, self.1]
    }
}

impl Results for (Array, Array, Array) {
    fn results(self) -> Vec<Array> {
        vec![self.0, self.1, self.2]
    }
}

/// Rows: `smooth` or `exact`, the name in Python, the operands' names, the function, the operands of each sample.
macro_rules! functions {
    ($($kind:ident $name:ident($($x:ident),*) = $f:expr, $([$($operand:expr),*]),+;)*) => {
        pub(super) const FUNCTIONS: &[crate::functions::Function] = &[$(crate::functions::Function {
            name: stringify!($name),
            f: |all| {
                let [$($x),*] = all else { panic!("{} takes other operands", stringify!($name)) };
                crate::functions::Results::results($f)
            },
            samples: &[$(&[$($operand),*]),+],
            is_smooth: functions!(@ $kind),
        }),*];
    };
    (@ smooth) => { true };
    (@ exact) => { false };
}
use functions;

/// Every function.
pub fn all() -> impl Iterator<Item = &'static Function> {
    [
        array::FUNCTIONS,
        cumulative::FUNCTIONS,
        elementwise::FUNCTIONS,
        statistics::FUNCTIONS,
        shapes::FUNCTIONS,
        sorting::FUNCTIONS,
        products::FUNCTIONS,
        einsum::FUNCTIONS,
        linalg::FUNCTIONS,
        nn::FUNCTIONS,
        special::FUNCTIONS,
        windows::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
}
