//! The memory address of a load: its positions as one sum over loops and computed positions.

use crate::aval::{Aval, Dim, volume};
use crate::ir::{Index, Scalar};
use crate::kernel::Kernel;

/// An element's place: `constant + Σ stride · loop + Σ stride · scalar`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Place {
    pub(super) constant: Dim,
    /// For each loop of the kernel, how many elements an iteration moves.
    pub(super) strides: Vec<Dim>,
    /// Positions that the kernel computes, each with the number of elements per step.
    pub(super) computed: Vec<(Scalar, Dim)>,
}

impl Place {
    /// The place of a load of an input. Loops of one iteration are at 0, and do not contribute.
    pub(super) fn of(kernel: &Kernel, input: usize, index: &[Index]) -> Place {
        let mut place = Place::at(kernel, Dim::from(0), &[]);
        for (at, step) in index.iter().zip(row_major(&kernel.inputs[input].1)) {
            match at {
                Index::Value(scalar) => place.computed.push((*scalar, step)),
                Index::Affine { constant, terms } => place.add(&Place::at(kernel, constant.clone(), terms), &step),
            }
        }
        place
    }

    /// A position made of loops.
    pub(super) fn at(kernel: &Kernel, constant: Dim, terms: &[(u32, Dim)]) -> Place {
        let mut strides = vec![Dim::from(0); kernel.loops.len()];
        let moving = terms.iter().filter(|(number, _)| kernel.loops[*number as usize].extent != 1usize);
        moving.for_each(|(number, stride)| strides[*number as usize] = stride.clone());
        Place { constant, strides, computed: vec![] }
    }

    fn add(&mut self, other: &Place, step: &Dim) {
        self.constant = &self.constant + &(&other.constant * step);
        for (sum, stride) in self.strides.iter_mut().zip(&other.strides) {
            *sum = &*sum + &(stride * step);
        }
    }

    /// The factor by which all row loops move as the number of the row does: with it, the number replaces the loops.
    pub(super) fn by_row(&self, kernel: &Kernel) -> Option<Dim> {
        let rows = row_major(&kernel.outputs[0].1);
        let moving = (0..rows.len()).filter(|i| kernel.loops[*i].extent != 1usize);
        let last = moving.clone().next_back()?;
        // The last loop with several iterations is the number's last digit.
        let factor = &self.strides[last];
        let is_row = *factor != 0usize && moving.into_iter().all(|i| self.strides[i] == &rows[i] * factor);
        is_row.then(|| factor.clone())
    }

    /// Whether it is the element that the row writes.
    pub(super) fn is_own(&self, kernel: &Kernel) -> bool {
        let rows = row_major(&kernel.outputs[0].1);
        let moves_along = |i: usize| kernel.loops[i].extent == 1usize || self.strides[i] == rows[i];
        self.constant == 0usize && self.computed.is_empty() && (0..rows.len()).all(moves_along)
    }
}

/// How many elements a step along each axis of an array moves.
pub(super) fn row_major(aval: &Aval) -> Vec<Dim> {
    (1..=aval.rank()).map(|axis| volume(&aval.shape[axis..])).collect()
}
