//! Elements of one byte: no instruction reads or writes only some of them, so these go one by one, or a few at a time.

use super::super::super::lir::{Inst, Mem, Op, Reg};
use super::super::{Emit, INT_SCRATCH, memory};
use super::{Avx2, Operand, SCRATCH, low};
use iced_x86::{Code, IcedError, Instruction, MemoryOperand, Register};

impl Emit<'_, Avx2> {
    /// The lanes of a mask that is the same in every call.
    fn known_lanes(&self, mask: Reg) -> Option<u16> {
        let writer = self.f.insts.iter().find(|inst| inst.dst == Some(mask))?;
        (writer.op == Op::MaskImm).then_some(writer.imm as u16)
    }

    pub(super) fn load_bytes(&mut self, inst: &Inst, d: Register) -> Result<(), IcedError> {
        let mem = inst.mem.expect("a load has a place");
        let Some(mask) = inst.mask else {
            let at = self.mem(mem)?;
            return self.widen(d, Operand::Memory(at));
        };
        if let Some(lanes) = self.known_lanes(mask) {
            let at = self.mem(mem)?;
            self.zeros(d)?;
            for (first, n) in pieces(lanes) {
                self.insert(d, at, first, n)?;
            }
            return self.widen(d, Operand::Register(low(d)));
        }
        self.mask_to_bits(mask, SCRATCH[1])?;
        let at = self.mem(mem)?;
        let (mut all, mut done) = (self.a.create_label(), self.a.create_label());
        self.add(Instruction::with2(Code::Cmp_rm32_imm32, Register::EAX, (1 << self.f.lanes) - 1)?)?;
        self.a.je(all)?;
        self.zeros(d)?;
        for lane in 0..self.f.lanes {
            let mut next = self.a.create_label();
            self.add(Instruction::with2(Code::Test_rm32_imm32, Register::EAX, 1 << lane)?)?;
            self.a.je(next)?;
            self.insert(d, at, lane, 1)?;
            self.place(&mut next)?;
        }
        self.widen(d, Operand::Register(low(d)))?;
        self.a.jmp(done)?;
        self.place(&mut all)?;
        self.widen(d, Operand::Memory(at))?;
        self.place(&mut done)
    }

    /// Stores lanes that are less than 256.
    pub(super) fn store_bytes(&mut self, inst: &Inst) -> Result<(), IcedError> {
        let x = self.read(inst.srcs[0], SCRATCH[0])?;
        let dense = low(SCRATCH[0]);
        let upper = if self.is_half(false) {
            low(x)
        } else {
            self.add(Instruction::with3(Code::VEX_Vextracti128_xmmm128_ymm_imm8, low(SCRATCH[1]), x, 1)?)?;
            low(SCRATCH[1])
        };
        self.add(Instruction::with3(Code::VEX_Vpackusdw_xmm_xmm_xmmm128, dense, low(x), upper)?)?;
        self.add(Instruction::with3(Code::VEX_Vpackuswb_xmm_xmm_xmmm128, dense, dense, dense)?)?;
        let mem = inst.mem.expect("a store has a place");
        let whole = ((1u32 << self.f.lanes) - 1) as u16;
        let known = inst.mask.map_or(Some(whole), |mask| self.known_lanes(mask));
        if let Some(lanes) = known {
            let at = self.mem(mem)?;
            return self.extract_all(dense, at, lanes);
        }
        let mask = inst.mask.expect("else all lanes are known");
        self.mask_to_bits(mask, SCRATCH[1])?;
        let at = self.mem(mem)?;
        let (mut all, mut done) = (self.a.create_label(), self.a.create_label());
        self.add(Instruction::with2(Code::Cmp_rm32_imm32, Register::EAX, i32::from(whole))?)?;
        self.a.je(all)?;
        for lane in 0..self.f.lanes {
            let mut next = self.a.create_label();
            self.add(Instruction::with2(Code::Test_rm32_imm32, Register::EAX, 1 << lane)?)?;
            self.a.je(next)?;
            self.extract_all(dense, at, 1 << lane)?;
            self.place(&mut next)?;
        }
        self.a.jmp(done)?;
        self.place(&mut all)?;
        self.extract_all(dense, at, whole)?;
        self.place(&mut done)
    }

    /// Bytes have no gather: lane by lane through the frame's first bytes, which a function that gathers bytes keeps free.
    pub(super) fn gather_bytes(&mut self, inst: &Inst, d: Register) -> Result<(), IcedError> {
        let at = self.read(inst.srcs[0], SCRATCH[1])?;
        let slot = |lane: usize| memory(Register::RSP, None, 4 * lane as i32);
        let mut numbers = at;
        if let Some(mask) = inst.mask {
            // A lane that is not wanted reads the first element.
            let k = self.lanes_of(mask, false, SCRATCH[2])?;
            self.three(Code::VEX_Vpand_ymm_ymm_ymmm256, SCRATCH[2], k, Operand::Register(at))?;
            numbers = SCRATCH[2];
        }
        self.add(Instruction::with2(Code::VEX_Vmovups_ymmm256_ymm, slot(0), numbers)?)?;
        let Mem { base, disp, .. } = inst.mem.expect("a gather has a place");
        let base = self.read(base, INT_SCRATCH[1])?;
        for lane in 0..self.f.lanes {
            self.add(Instruction::with2(Code::Movsxd_r64_rm32, Register::RAX, slot(lane))?)?;
            let from = memory(base, Some((Register::RAX, 1)), disp);
            self.add(Instruction::with2(Code::Movzx_r32_rm8, Register::EAX, from)?)?;
            self.add(Instruction::with2(Code::Mov_rm32_r32, slot(lane), Register::EAX)?)?;
        }
        self.two(Code::VEX_Vmovups_ymm_ymmm256, d, Operand::Memory(slot(0)))
    }

    /// Bytes as lanes of 32 bits.
    fn widen(&mut self, d: Register, from: Operand) -> Result<(), IcedError> {
        if self.is_half(false) {
            self.two(Code::VEX_Vpmovzxbd_xmm_xmmm32, low(d), from)
        } else {
            self.two(Code::VEX_Vpmovzxbd_ymm_xmmm64, d, from)
        }
    }

    /// Reads `n` bytes from byte `first` on into the same place of a register.
    fn insert(&mut self, d: Register, at: MemoryOperand, first: usize, n: usize) -> Result<(), IcedError> {
        let code = match n {
            4 => Code::VEX_Vpinsrd_xmm_xmm_rm32_imm8,
            2 => Code::VEX_Vpinsrw_xmm_xmm_r32m16_imm8,
            _ => Code::VEX_Vpinsrb_xmm_xmm_r32m8_imm8,
        };
        let number = (first / n) as i32;
        self.add(Instruction::with4(code, low(d), low(d), further(at, first), number)?)
    }

    /// Writes the bytes of these lanes.
    fn extract_all(&mut self, x: Register, at: MemoryOperand, lanes: u16) -> Result<(), IcedError> {
        for (first, n) in pieces(lanes) {
            let code = match n {
                4 => Code::VEX_Vpextrd_rm32_xmm_imm8,
                2 => Code::VEX_Vpextrw_r32m16_xmm_imm8,
                _ => Code::VEX_Vpextrb_r32m8_xmm_imm8,
            };
            self.add(Instruction::with3(code, further(at, first), x, (first / n) as i32)?)?;
        }
        Ok(())
    }
}

/// Lanes in pieces of four, two and one: the first of each, and how many.
fn pieces(lanes: u16) -> Vec<(usize, usize)> {
    let mut pieces = vec![];
    let mut at = 0usize;
    while at < 16 {
        let fits = |n: &usize| at.is_multiple_of(*n) && (lanes >> at) & ((1 << n) - 1) == (1 << n) - 1;
        let n = [4, 2, 1].into_iter().find(fits);
        pieces.extend(n.map(|n| (at, n)));
        at += n.unwrap_or(1);
    }
    pieces
}

/// So many bytes on.
fn further(at: MemoryOperand, by: usize) -> MemoryOperand {
    MemoryOperand { displacement: at.displacement + by as i64, displ_size: 1, ..at }
}
