//! Lanes in another order.

use super::super::super::allocate::Place;
use super::super::super::lir::{Inst, Reg};
use super::super::{Emit, memory};
use super::{Avx2, LANES, Operand, SCRATCH};
use iced_x86::{Code, IcedError, Instruction, Register};

impl Emit<'_, Avx2> {
    /// The numbers of lanes, if they are the same in every call.
    fn known_numbers(&self, numbers: Reg) -> Option<[usize; LANES]> {
        let Some(Place::Table(n)) = self.constant_of(numbers) else { return None };
        let table = self.f.tables[n as usize];
        Some(std::array::from_fn(|i| table[i] as usize))
    }

    /// Lanes of a vector by number.
    pub(super) fn permute(&mut self, inst: &Inst, d: Register, wide: bool) -> Result<(), IcedError> {
        if let Some(numbers) = self.known_numbers(inst.srcs[0])
            && let Some((code, imm)) = single(numbers, self.is_half(wide))
        {
            let x = self.operand(inst.srcs[1]);
            return self.two_imm(code, d, x, imm);
        }
        let numbers = self.read(inst.srcs[0], SCRATCH[1])?;
        let x = self.read(inst.srcs[1], SCRATCH[2])?;
        self.permute_by(d, numbers, x, wide)
    }

    fn permute_by(&mut self, d: Register, numbers: Register, x: Register, wide: bool) -> Result<(), IcedError> {
        if self.is_half(wide) {
            self.three(Code::VEX_Vpermilps_ymm_ymm_ymmm256, d, x, Operand::Register(numbers))
        } else {
            self.three(Code::VEX_Vpermd_ymm_ymm_ymmm256, d, numbers, Operand::Register(x))
        }
    }

    /// Lanes of two vectors by number.
    pub(super) fn permute_two(&mut self, inst: &Inst, d: Register, wide: bool) -> Result<(), IcedError> {
        if let Some(numbers) = self.known_numbers(inst.srcs[0])
            && let Some((code, imm, swaps)) = double(numbers, self.is_half(wide))
        {
            let a = self.read(inst.srcs[1], SCRATCH[1])?;
            let b = self.operand(inst.srcs[2]);
            self.three_imm(code, d, a, b, imm)?;
            // Swaps the middle quarters.
            return if swaps {
                self.two_imm(Code::VEX_Vpermq_ymm_ymmm256_imm8, d, Operand::Register(d), 0b11_01_10_00)
            } else {
                Ok(())
            };
        }
        let numbers = self.read(inst.srcs[0], SCRATCH[2])?;
        for (i, to) in [(1, SCRATCH[0]), (2, SCRATCH[1])] {
            let x = self.read(inst.srcs[i], to)?;
            self.permute_by(to, numbers, x, wide)?;
        }
        // One bit of each number selects the vector.
        let shift = if self.is_half(wide) { 29 } else { 28 };
        self.add(Instruction::with3(Code::VEX_Vpslld_ymm_ymm_imm8, SCRATCH[2], numbers, shift)?)?;
        self.choose(d, SCRATCH[0], Operand::Register(SCRATCH[1]), SCRATCH[2])
    }

    /// The lanes of `mask`, contiguous.
    pub(super) fn compress(&mut self, d: Register, x: Register, mask: Reg, wide: bool) -> Result<(), IcedError> {
        // For each mask the numbers of its lanes. A lane of 64 bits counts as two.
        let numbers = |mask: usize| {
            let mut lanes = (0..LANES as u8).filter(move |lane| mask >> lane & 1 == 1);
            (0..LANES).map(move |_| lanes.next().unwrap_or(0))
        };
        let table: Vec<u8> = (0..1 << LANES).flat_map(numbers).collect();
        let table = self.pooled(&table);
        if wide {
            let k = self.read(mask, SCRATCH[2])?;
            self.add(Instruction::with2(Code::VEX_Vmovmskps_r32_ymm, Register::EAX, k)?)?;
        } else {
            self.mask_to_bits(mask, SCRATCH[2])?;
        }
        let entry = memory(Register::RSI, Some((Register::RAX, 8)), table.displacement as i32);
        self.two(Code::VEX_Vpmovzxbd_ymm_xmmm64, SCRATCH[2], Operand::Memory(entry))?;
        self.permute_by(d, SCRATCH[2], x, wide)
    }
}

/// Four numbers below four as an instruction's immediate.
fn four(numbers: impl Iterator<Item = usize>) -> i32 {
    numbers.enumerate().map(|(i, n)| (n as i32) << (2 * i)).sum()
}

/// The instruction that permutes by these numbers, if there is one that needs no register for them.
fn single(numbers: [usize; LANES], half: bool) -> Option<(Code, i32)> {
    let quarters = || numbers[..4].iter().copied();
    if quarters().all(|n| n < 4) && (half || (0..4).all(|i| numbers[i + 4] == numbers[i] + 4)) {
        return Some((Code::VEX_Vpermilps_ymm_ymmm256_imm8, four(quarters())));
    }
    let pairs = numbers.chunks(2).all(|pair| pair[0] % 2 == 0 && pair[0] < LANES && pair[1] == pair[0] + 1);
    let pairs = pairs.then(|| four(numbers.iter().step_by(2).map(|n| n / 2)));
    pairs.map(|imm| (Code::VEX_Vpermq_ymm_ymmm256_imm8, imm))
}

/// The instruction that takes lanes of two vectors by these numbers, if there is one, and whether the middle quarters
/// of its result must then be swapped.
fn double(numbers: [usize; LANES], half: bool) -> Option<(Code, i32, bool)> {
    // Two lanes of the first, two of the second; in whole registers the same in both halves.
    let shuffle = |n: [usize; LANES], second: usize| {
        let from = |n: usize, first: usize| (first..first + 4).contains(&n);
        let low = from(n[0], 0) && from(n[1], 0) && from(n[2], second) && from(n[3], second);
        let high = half || (0..4).all(|i| n[i + 4] == n[i] + 4);
        (low && high).then(|| four([n[0], n[1], n[2] - second, n[3] - second].into_iter()))
    };
    if half {
        return shuffle(numbers, 4).map(|imm| (Code::VEX_Vshufps_ymm_ymm_ymmm256_imm8, imm, false));
    }
    let is_block = |n: &[usize]| n[0].is_multiple_of(4) && (1..4).all(|i| n[i] == n[0] + i);
    if is_block(&numbers[..4]) && is_block(&numbers[4..]) {
        let imm = numbers[0] / 4 + numbers[4] / 4 * 16;
        return Some((Code::VEX_Vperm2f128_ymm_ymm_ymmm256_imm8, imm as i32, false));
    }
    let swapped = [0, 1, 4, 5, 2, 3, 6, 7].map(|i| numbers[i]);
    shuffle(swapped, 8).map(|imm| (Code::VEX_Vshufps_ymm_ymm_ymmm256_imm8, imm, true))
}
