//! Lanes that are known before the code runs: iteration numbers of the lanes' loops, and what is computed from these.

use super::super::lir::{LANES, Reg};
use super::Nest;
use crate::aval::DType;
use crate::ir::ScalarOp;
use crate::ir::scalar::{Form, Formula, Function, ScalarElement};

/// The contents of each lane.
enum Known {
    Numbers([i32; LANES]),
    Mask([bool; LANES]),
}

impl Nest<'_> {
    /// The result of an operation whose operands' lanes are all known, or of a choice that is the same in all lanes.
    pub(super) fn known(&mut self, op: ScalarOp, dtype: DType, ins: &[Reg]) -> Option<Reg> {
        let found = match op.form() {
            Form::Select => {
                let mask = self.f.known_mask(ins[0])?;
                let all = self.all_lanes();
                return match mask & all {
                    0 => Some(ins[1]),
                    some if some == all => Some(ins[2]),
                    _ if dtype.is_int() => self.known_choice(mask, ins),
                    _ => None,
                };
            }
            Form::Function(function) => {
                let (a, b) = self.known_pair(dtype, ins)?;
                let numbers = match dtype {
                    DType::I32 => of_pairs(function, |i| (a[i], b[i]), |x: i32| x),
                    DType::U32 => of_pairs(function, |i| (a[i] as u32, b[i] as u32), |x: u32| x as i32),
                    _ => None,
                };
                Known::Numbers(numbers?)
            }
            Form::Comparison(how) => {
                let (a, b) = self.known_pair(dtype, ins)?;
                let (signed, unsigned) = (how.function::<i32>(), how.function::<u32>());
                Known::Mask(std::array::from_fn(|i| match dtype {
                    DType::I32 => signed(&a[i], &b[i]),
                    _ => unsigned(&(a[i] as u32), &(b[i] as u32)),
                }))
            }
            Form::Convert(_) | Form::Bitcast(_) | Form::Threefry(_) => return None,
        };
        Some(match found {
            Known::Numbers(numbers) => self.numbers(numbers),
            Known::Mask(lanes) => {
                let bits = (0..self.f.lanes).filter(|lane| lanes[*lane]).fold(0, |bits, lane| bits | 1 << lane);
                self.f.mask_of(bits)
            }
        })
    }

    /// The lanes of two integers, where all are known.
    fn known_pair(&self, dtype: DType, ins: &[Reg]) -> Option<([i32; LANES], [i32; LANES])> {
        let ([a, b], true) = (ins, dtype.is_int()) else { return None };
        Some((self.f.known_numbers(*a)?, self.f.known_numbers(*b)?))
    }

    fn all_lanes(&self) -> u16 {
        ((1u32 << self.f.lanes) - 1) as u16
    }

    fn known_choice(&mut self, mask: u16, ins: &[Reg]) -> Option<Reg> {
        let (no, yes) = (self.f.known_numbers(ins[1])?, self.f.known_numbers(ins[2])?);
        Some(self.numbers(std::array::from_fn(|lane| if mask >> lane & 1 == 1 { yes[lane] } else { no[lane] })))
    }

    /// A vector of numbers, as a constant.
    fn numbers(&mut self, numbers: [i32; LANES]) -> Reg {
        if numbers.iter().all(|n| *n == numbers[0]) { self.f.bits(numbers[0] as u32) } else { self.f.table(numbers) }
    }

    /// A position whose lanes start at a known number.
    pub(super) fn known_position(&mut self, first: i64, lanes: Reg) -> Option<Reg> {
        let first = i32::try_from(first).ok()?;
        let lanes = self.f.known_numbers(lanes)?;
        Some(self.numbers(lanes.map(|lane| lane.wrapping_add(first))))
    }
}

/// The results of a formula of two integers for the operands of each lane, as bits.
fn of_pairs<T: ScalarElement>(
    function: &Function,
    operands: impl Fn(usize) -> (T, T),
    bits: fn(T) -> i32,
) -> Option<[i32; LANES]> {
    let Formula::Binary(f) = T::formula(function)? else { return None };
    Some(std::array::from_fn(|i| {
        let (a, b) = operands(i);
        bits(f(a, b))
    }))
}
