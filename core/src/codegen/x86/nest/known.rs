//! Lanes that are known before the code runs: numbers of turns of the lanes' loops, and what is computed from these.

use super::super::lir::{LANES, Reg};
use super::Nest;
use crate::aval::DType;
use crate::ir::ScalarOp;

/// What each lane holds.
enum Known {
    Numbers([i32; LANES]),
    Mask([bool; LANES]),
}

impl Nest<'_> {
    /// The result of an operation whose operands' lanes are all known, or of a choice that is the same in all lanes.
    pub(super) fn known(&mut self, op: ScalarOp, dtype: DType, ins: &[Reg]) -> Option<Reg> {
        let (is_signed, is_int) = (dtype == DType::I32, matches!(dtype, DType::I32 | DType::U32));
        if op == ScalarOp::Select {
            let mask = self.f.known_mask(ins[0])?;
            let all = self.all_lanes();
            return match mask & all {
                0 => Some(ins[1]),
                some if some == all => Some(ins[2]),
                _ if is_int => self.known_choice(mask, ins),
                _ => None,
            };
        }
        if !is_int {
            return None;
        }
        let [a, b] = ins else { return None };
        let (a, b) = (self.f.known_numbers(*a)?, self.f.known_numbers(*b)?);
        let less = |i: usize| if is_signed { a[i] < b[i] } else { (a[i] as u32) < b[i] as u32 };
        let greater = |i: usize| if is_signed { a[i] > b[i] } else { a[i] as u32 > b[i] as u32 };
        let numbers = |f: fn(i32, i32) -> i32| Known::Numbers(std::array::from_fn(|i| f(a[i], b[i])));
        let found = match op {
            ScalarOp::Add => numbers(i32::wrapping_add),
            ScalarOp::Sub => numbers(i32::wrapping_sub),
            ScalarOp::Mul => numbers(i32::wrapping_mul),
            ScalarOp::And => numbers(|a, b| a & b),
            ScalarOp::Or => numbers(|a, b| a | b),
            ScalarOp::Xor => numbers(|a, b| a ^ b),
            // A shift by 32 or more leaves nothing.
            ScalarOp::Shl => numbers(|a, b| (a as u32).checked_shl(b as u32).unwrap_or(0) as i32),
            ScalarOp::Shr => numbers(|a, b| (a as u32).checked_shr(b as u32).unwrap_or(0) as i32),
            ScalarOp::Lt => Known::Mask(std::array::from_fn(less)),
            ScalarOp::Ge => Known::Mask(std::array::from_fn(|i| !less(i))),
            ScalarOp::Gt => Known::Mask(std::array::from_fn(greater)),
            ScalarOp::Le => Known::Mask(std::array::from_fn(|i| !greater(i))),
            ScalarOp::Eq => Known::Mask(std::array::from_fn(|i| a[i] == b[i])),
            ScalarOp::Ne => Known::Mask(std::array::from_fn(|i| a[i] != b[i])),
            _ => return None,
        };
        Some(match found {
            Known::Numbers(numbers) => self.numbers(numbers),
            Known::Mask(lanes) => {
                let bits = (0..self.f.lanes).filter(|lane| lanes[*lane]).fold(0, |bits, lane| bits | 1 << lane);
                self.f.mask_of(bits)
            }
        })
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

    /// A position whose lanes begin at a known number.
    pub(super) fn known_position(&mut self, first: i64, lanes: Reg) -> Option<Reg> {
        let first = i32::try_from(first).ok()?;
        let lanes = self.f.known_numbers(lanes)?;
        Some(self.numbers(lanes.map(|lane| lane.wrapping_add(first))))
    }
}
